//! The added tokens by kind: a text lost to its readers, the template of the first prompts, history and tool results,
//! other texts, answers.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::{
    analyze::{Flow, flow::family, gathered_at, gatherers, readers, reports},
    trace::{Span, Trace},
};

/// What tokens can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenCause {
    /// A report that one side lacks: where it was written and in every prompt that held it.
    VanishedInput,
    /// The first prompt of each gathering node.
    PromptTemplate,
    /// What tools gave, in every prompt that holds it.
    ToolResults,
    /// Later prompts of gathering nodes: the conversation and the tool results.
    History,
    /// Texts in the prompts of deciding nodes, the vanished ones not counted.
    OtherTexts,
    /// Answers.
    Output,
    /// Nodes that only one side has.
    Structure,
    /// What the nodes do not account for.
    Unexplained,
}

impl TokenCause {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::VanishedInput,
        Self::PromptTemplate,
        Self::ToolResults,
        Self::History,
        Self::OtherTexts,
        Self::Output,
        Self::Structure,
        Self::Unexplained,
    ];

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::VanishedInput => "vanished input",
            Self::PromptTemplate => "prompt template",
            Self::ToolResults => "tool results",
            Self::History => "history and tool results",
            Self::OtherTexts => "other texts in prompts",
            Self::Output => "answers",
            Self::Structure => "calls added or removed",
            Self::Unexplained => "unexplained",
        }
    }
}

/// A report that one side lacks.
#[derive(Clone, Debug, Serialize)]
pub struct Vanished {
    /// Its field.
    pub text: String,
    /// The side that lacks it: `A` or `B`.
    pub missing_in: &'static str,
    /// Characters where it is there.
    pub chars: u64,
    /// Its tokens.
    pub tokens: u64,
    /// Prompts that held it.
    pub prompts: u64,
    /// Tokens that its absence explains, with its own.
    pub explains: i64,
}

/// A prompt that holds more or less of what tools gave before it.
#[derive(Clone, Debug, Serialize)]
pub struct ToolChange {
    /// The tools before it; none where the trace shows no tool and the call before asked for some.
    pub tools: Vec<String>,
    /// The call with this prompt.
    pub call: String,
    /// Tokens that B's prompt holds more.
    pub tokens: i64,
}

/// The added tokens by cause; the rows add up to the difference.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TokenSplit {
    /// Tokens by cause; all causes are there.
    pub by_cause: Vec<(TokenCause, i64)>,
    /// Reports that one side lacks.
    pub vanished: Vec<Vanished>,
    /// Prompts whose tool results changed, the largest change first.
    pub tools: Vec<ToolChange>,
    /// Tokens of first prompts in A.
    pub template_a: i64,
    /// Whether prompts and answers were told apart by estimate.
    pub estimated: bool,
}

impl TokenSplit {
    /// Tokens of one cause.
    pub fn of(&self, cause: TokenCause) -> i64 {
        self.by_cause.iter().find(|(c, _)| *c == cause).map_or(0, |(_, t)| *t)
    }
}

/// A node's tokens.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    prompt: i64,
    completion: i64,
    total: i64,
}

fn used(trace: &Trace, flow: &Flow, i: usize) -> Option<Used> {
    let calls: Vec<usize> = flow.models_in(trace, i).collect();
    let calls = if calls.is_empty() { vec![i] } else { calls };
    let sum = |get: fn(&Span) -> Option<u64>| {
        calls.iter().filter_map(|m| get(&trace.spans[*m])).sum::<u64>() as i64
    };
    let total = sum(|s| s.tokens.sum());
    let (prompt, completion) = (sum(|s| s.tokens.prompt), sum(|s| s.tokens.completion));
    (total > 0).then(|| {
        let known = prompt + completion;
        Used { prompt: if known == 0 { total } else { prompt }, completion, total }
    })
}

/// Texts by field: what the run left, and what gathering nodes wrote.
fn texts(trace: &Trace, flow: &Flow) -> BTreeMap<String, (u64, u64)> {
    let mut found: BTreeMap<String, (u64, u64)> = trace
        .texts
        .iter()
        .filter(|t| t.key.ends_with("_report") && !t.key.contains('.'))
        .map(|t| (t.key.clone(), (t.chars, t.tokens)))
        .collect();
    if found.is_empty() {
        found = trace
            .texts
            .iter()
            .filter(|t| gatherers(trace, flow).contains(family(&t.key)) && !t.key.contains('.'))
            .map(|t| (t.key.clone(), (t.chars, t.tokens)))
            .collect();
    }
    if found.is_empty() {
        found = reports(trace, flow).into_iter().map(|(key, tokens)| (key, (tokens * 5, tokens))).collect();
    }
    found
}

/// Splits the difference.
pub fn split(a: &Trace, b: &Trace) -> TokenSplit {
    let (flow_a, flow_b) = (Flow::of(a), Flow::of(b));
    let index = |trace: &Trace, flow: &Flow| -> HashMap<String, usize> {
        flow.units.iter().map(|i| (trace.spans[*i].label(), *i)).collect()
    };
    let (in_a, in_b) = (index(a, &flow_a), index(b, &flow_b));
    let mut split = TokenSplit {
        estimated: a.tokens.estimated || a.spans.iter().chain(&b.spans).any(|s| s.tokens.estimated),
        ..TokenSplit::default()
    };
    let (mut sums, mut explained) = (HashMap::<u8, i64>::new(), 0_i64);
    let mut add = |cause: TokenCause, tokens: i64| {
        *sums.entry(cause as u8).or_default() += tokens;
        explained += tokens;
    };

    // The change of each deciding node's prompt and of each gathering node's answer, still to be explained.
    let (mut prompt_left, mut answer_left) = (HashMap::<String, i64>::new(), HashMap::<String, i64>::new());
    let families = gatherers(a, &flow_a);
    let since = gathered_at(a, &flow_a);
    let mut first_of_family: HashMap<&str, &str> = HashMap::new();
    let mut labels: Vec<(&String, &usize)> = in_a.iter().collect();
    labels.sort_by_key(|(_, i)| **i);
    for (label, i) in labels {
        let Some(of_a) = used(a, &flow_a, *i) else { continue };
        let Some(of_b) = in_b.get(label).and_then(|j| used(b, &flow_b, *j)) else {
            add(TokenCause::Structure, -of_a.total);
            continue;
        };
        let (prompt, answer) = (of_b.prompt - of_a.prompt, of_b.completion - of_a.completion);
        let rest = (of_b.total - of_a.total) - prompt - answer;
        if rest != 0 {
            add(TokenCause::Unexplained, rest);
        }
        let span = &a.spans[*i];
        let family = family(&span.name);
        answer_left.insert(label.clone(), answer);
        if since > 0.0 && (span.start_s + 1e-3 >= since || !families.contains(family)) {
            prompt_left.insert(label.clone(), prompt);
        } else if *first_of_family.entry(family).or_insert(label.as_str()) == label.as_str() {
            split.template_a += of_a.prompt;
            add(TokenCause::PromptTemplate, prompt);
        } else {
            add(TokenCause::History, prompt);
        }
    }
    for (label, j) in &in_b {
        if !in_a.contains_key(label) || used(a, &flow_a, in_a[label]).is_none() {
            add(TokenCause::Structure, used(b, &flow_b, *j).map_or(0, |u| u.total));
        }
    }

    let (texts_a, texts_b) = (texts(a, &flow_a), texts(b, &flow_b));
    for (key, missing_in, (chars, tokens)) in vanished(&texts_a, &texts_b) {
        let sign = if missing_in == "B" { -1 } else { 1 };
        let (side, flow, places) = if missing_in == "B" { (a, &flow_a, &in_a) } else { (b, &flow_b, &in_b) };
        let (mut explains, mut prompts) = (0_i64, 0_u64);
        for reader in readers(side, flow) {
            let label = side.spans[reader.span].label();
            let Some(left) = prompt_left.get_mut(&label) else { continue };
            let wants = (reader.times * tokens) as i64;
            let takes = wants.min((*left * sign).max(0));
            if takes > 0 {
                *left -= sign * takes;
                explains += sign * takes;
                prompts += reader.times;
            }
        }
        // Its own tokens, where its writer lost that many.
        let stem = family(&key).to_owned();
        let alias = side
            .spans
            .iter()
            .find(|s| s.wrote.iter().any(|t| t.key == key || t.key.ends_with(&key)))
            .map(|s| family(&s.name).to_owned());
        let mut own = tokens as i64;
        let mut writers: Vec<&String> =
            places.keys().filter(|l| family(l) == stem || alias.as_deref() == Some(family(l))).collect();
        writers.sort();
        for label in writers {
            if let Some(left) = answer_left.get_mut(label) {
                let takes = own.min((*left * sign).max(0));
                *left -= sign * takes;
                own -= takes;
                explains += sign * takes;
            }
        }
        add(TokenCause::VanishedInput, explains);
        split.vanished.push(Vanished { text: key, missing_in, chars, tokens, prompts, explains });
    }
    prompt_left.into_values().for_each(|left| add(TokenCause::OtherTexts, left));
    answer_left.into_values().for_each(|left| add(TokenCause::Output, left));
    let total = b.tokens.sum().unwrap_or(0) as i64 - a.tokens.sum().unwrap_or(0) as i64;
    let rest = total - explained;
    *sums.entry(TokenCause::Unexplained as u8).or_default() += rest;
    split.by_cause =
        TokenCause::ALL.iter().map(|c| (*c, sums.get(&(*c as u8)).copied().unwrap_or(0))).collect();
    split
}

/// Reports that are there on one side and all but empty on the other.
fn vanished(
    a: &BTreeMap<String, (u64, u64)>,
    b: &BTreeMap<String, (u64, u64)>,
) -> Vec<(String, &'static str, (u64, u64))> {
    let mut found = Vec::new();
    for (here, there, missing_in) in [(a, b, "B"), (b, a, "A")] {
        for (key, (chars, tokens)) in here {
            let other = there.get(key).map_or(0, |(chars, _)| *chars);
            if *chars >= 200 && other * 5 < *chars && !there.is_empty() {
                found.push((key.clone(), missing_in, (*chars, *tokens)));
            }
        }
    }
    found
}
