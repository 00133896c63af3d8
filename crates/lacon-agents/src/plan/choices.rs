//! What a plan may choose, and the choice: the length of each answer, and the form of each text in the prompts of those
//! who read it.
//!
//! Whoever plans says what each choice costs. Which choices there are, what they are worth, and which prompts hold one form
//! of a text is decided here. Prompts that begin alike hold one form of a text: they would share nothing otherwise.

use std::collections::BTreeMap;

use lacon_prompt::plan::{
    self as solver, Call, Choice, Cost, Group, Limits, PlanError, Prices, Problem, Solution,
};
use serde::{Deserialize, Serialize};

/// Share of an agent's usual words, and what an answer of that length is worth.
pub const LENGTHS: [(u32, u32); 4] = [(100, 1000), (75, 900), (60, 780), (45, 600)];

/// The form that a text takes in a reader's prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// As it was written.
    Full,
    /// Its figures and conclusions.
    Digest,
    /// Its figures and its last line.
    Figures,
    /// Its title, and that another text has taken it up.
    Pointer,
}

impl Form {
    /// The name in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Digest => "digest",
            Self::Figures => "figures",
            Self::Pointer => "pointer",
        }
    }

    /// Worth of a text that is to be read whole, and of one that is only to be seen.
    pub(crate) fn worth(self) -> (u32, u32) {
        match self {
            Self::Full => (1000, 400),
            Self::Digest => (930, 390),
            Self::Figures => (820, 330),
            Self::Pointer => (0, 60),
        }
    }

    /// The forms that a text may take, the fullest first. What is to be read whole shrinks where a limit asks for it alone,
    /// and is never left out.
    pub fn open(whole: bool, digests: bool, limited: bool) -> &'static [Self] {
        match (whole, limited) {
            (true, true) => &[Self::Full, Self::Digest, Self::Figures],
            (false, true) if digests => &[Self::Digest, Self::Figures, Self::Pointer],
            (false, false) if digests => &[Self::Digest],
            _ => &[Self::Full],
        }
    }
}

/// A text in prompts that hold one form of it; agents by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Who reads it.
    pub readers: Vec<usize>,
    /// Who writes it.
    pub source: usize,
    /// Whether it is to be read whole.
    pub whole: bool,
}

/// The texts in all prompts, each once for those that hold one form of it. `reads` names for each agent whom it reads, and
/// whether whole; `alike` gives for an agent all whose prompts begin like its own, itself among them.
pub fn shown(reads: &[Vec<(usize, bool)>], alike: impl Fn(usize) -> Vec<usize>) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for (reader, own) in reads.iter().enumerate() {
        for read @ (source, whole) in own {
            if all.iter().any(|text| text.source == *source && text.readers.contains(&reader)) {
                continue;
            }
            let readers = alike(reader).into_iter().filter(|other| reads[*other].contains(read)).collect();
            all.push(Shown { readers, source: *source, whole: *whole });
        }
    }
    all
}

/// A call, and how long its answer may be: words with worth and cost, the usual length first.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The call.
    pub call: Call,
    /// At least one length.
    pub lengths: Vec<(u32, u32, Cost)>,
    /// Whether the words are told to the model.
    pub limited: bool,
}

/// What was chosen.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The word limit of each call's answer, in the order of the calls.
    pub words: Vec<u32>,
    /// The form of each text by reader and source.
    pub forms: BTreeMap<(usize, usize), Form>,
    /// The problem that was solved.
    pub problem: Problem,
    /// Its solution.
    pub solution: Solution,
}

/// Chooses all lengths and forms together.
///
/// # Errors
/// When a limit cannot be held even with the shortest answers and the smallest forms; the error names the least.
pub fn choose(
    asked: &[Asked],
    texts: &[(Shown, Vec<(Form, Cost)>)],
    limits: Limits,
    prices: Prices,
) -> Result<Chosen, PlanError> {
    let length = |asked: &Asked, (words, worth, cost): &(u32, u32, Cost)| Choice {
        form: if asked.limited { format!("{words} words") } else { "no limit".into() },
        worth: *worth,
        cost: *cost,
    };
    let answers = asked.iter().enumerate().map(|(call, asked)| Group {
        call,
        segment: "answer".into(),
        choices: asked.lengths.iter().map(|one| length(asked, one)).collect(),
    });
    let forms = texts.iter().map(|(text, forms)| {
        let worth = |form: Form| if text.whole { form.worth().0 } else { form.worth().1 };
        let choice = |(form, cost): &(Form, Cost)| Choice {
            form: form.name().into(),
            worth: worth(*form) * text.readers.len() as u32,
            cost: *cost,
        };
        Group {
            call: text.readers.iter().min().copied().unwrap_or_default(),
            segment: asked[text.source].call.name.clone(),
            choices: forms.iter().map(choice).collect(),
        }
    });
    let problem = Problem {
        calls: asked.iter().map(|asked| asked.call.clone()).collect(),
        groups: answers.chain(forms).collect(),
        limits,
        prices,
    };
    let solution = solver::solve(&problem)?;
    let (lengths, shapes) = solution.chosen.split_at(asked.len());
    let words = asked.iter().zip(lengths).map(|(asked, chosen)| asked.lengths[*chosen].0).collect();
    let forms = texts.iter().zip(shapes).flat_map(|((text, forms), chosen)| {
        text.readers.iter().map(|reader| ((*reader, text.source), forms[*chosen].0))
    });
    Ok(Chosen { words, forms: forms.collect(), problem, solution })
}
