//! The optimizations: what a run may save, each with its switch.

use std::{collections::BTreeMap, fmt, str::FromStr};

use lacon_prompt::passes::PassSet;

use crate::switches::{Row, Switches, find};

/// A named saving that can be switched off. Its place is that of its row in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Optimization {
    /// Tool calls whose arguments are known are made before the model is asked.
    Prefetch,
    /// An agent starts when what it reads is there, not when a whole step is done.
    NoBarrier,
    /// Word limits are told to the model, and a stream is closed at the end of a sentence behind the limit.
    WordLimits,
    /// A reader that allows it gets the short form of a text.
    Digests,
    /// What several agents read stands first, in one order, so that a provider's prompt cache finds it.
    PrefixLayout,
    /// Tool answers and JSON texts are written in fewer tokens, without loss.
    Lossless,
    /// The schema of an answer goes to the provider alone, not into the prompt as well.
    SchemaOnce,
    /// Equal tool calls of one run are made once.
    ToolCache,
    /// Near the deadline answers get shorter, then come from the quick model.
    DeadlineLadder,
    /// An agent that nearly always ends before a sibling waits for that one's first token, to read its cached prefix.
    Stagger,
    /// Lengths of all answers are chosen together when tokens, money or time are limited.
    PromptPlan,
    /// One call answers for agents that read the same with the same model.
    Merged,
}

/// Names and what each does, in one sentence without its end. `merged` saves tokens at the price of time, and of independent
/// answers.
const TABLE: [Row; 12] = [
    Row::usual("prefetch", "makes tool calls with known arguments before the model is asked"),
    Row::usual("no_barrier", "starts an agent when what it reads is there"),
    Row::usual("word_limits", "tells the model its word limit and closes the stream behind it"),
    Row::usual("digests", "gives a reader that allows it the short form of a text"),
    Row::usual("prefix_layout", "puts what several agents read first, for the provider's prompt cache"),
    Row::usual("lossless", "writes tool answers and JSON in fewer tokens, without loss"),
    Row::usual("schema_once", "sends the schema of an answer once"),
    Row::usual("tool_cache", "makes equal tool calls of a run once"),
    Row::usual("deadline_ladder", "near the deadline shortens answers, then asks the quick model"),
    Row::usual(
        "stagger",
        "has one that nearly always ends before a sibling wait for its first token and cached prefix",
    ),
    Row::usual(
        "prompt_plan",
        "chooses the lengths of all answers together under limits of tokens, money or time",
    ),
    Row::on_demand("merged", "has one call answer for agents that read the same with the same model"),
];

impl Optimization {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Prefetch,
        Self::NoBarrier,
        Self::WordLimits,
        Self::Digests,
        Self::PrefixLayout,
        Self::Lossless,
        Self::SchemaOnce,
        Self::ToolCache,
        Self::DeadlineLadder,
        Self::Stagger,
        Self::PromptPlan,
        Self::Merged,
    ];

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name in files and flags.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it does, in one sentence without its end.
    pub fn about(self) -> &'static str {
        self.row().about
    }

    /// Whether it is off unless it is asked for.
    pub fn on_demand(self) -> bool {
        !self.row().usual
    }
}

impl fmt::Display for Optimization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Optimization {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        find(&TABLE, text).map(|at| Self::ALL[at])
    }
}

/// The forms that a model was shown to read as well as the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The passes of [`Optimization::Lossless`].
    pub passes: PassSet,
    /// Whether [`Optimization::Digests`] may give it short forms of texts.
    pub digests: bool,
}

impl Proven {
    const NOTHING: Self = Self { passes: PassSet::NONE, digests: false };
}

/// Which optimizations are on, and which forms each model may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Optimizations {
    switches: Switches,
    /// By model; every form where it is absent.
    proven: Option<BTreeMap<String, Proven>>,
}

impl Default for Optimizations {
    fn default() -> Self {
        Self::all()
    }
}

impl From<Switches> for Optimizations {
    fn from(switches: Switches) -> Self {
        Self { switches, proven: None }
    }
}

impl Optimizations {
    /// All are on but those on demand.
    pub fn all() -> Self {
        Switches::usual(&TABLE).into()
    }

    /// None is on.
    pub fn none() -> Self {
        Switches::none(&TABLE).into()
    }

    /// These are on.
    pub fn of(on: &[Optimization]) -> Self {
        Switches::of(&TABLE, on.iter().map(|optimization| optimization.name())).into()
    }

    /// Whether one is on.
    pub fn has(&self, optimization: Optimization) -> bool {
        self.switches.has(optimization.name())
    }

    /// The same with one.
    #[must_use]
    pub fn with(&self, optimization: Optimization) -> Self {
        Self { switches: self.switches.with(optimization.name()), ..self.clone() }
    }

    /// The same without one.
    #[must_use]
    pub fn without(&self, optimization: Optimization) -> Self {
        Self { switches: self.switches.without(optimization.name()), ..self.clone() }
    }

    /// The same with names switched off and on; `all` stands for every usual one.
    ///
    /// # Errors
    /// As [`Switches::switched`].
    pub fn switched(&self, off: &[&str], on: &[&str]) -> Result<Self, String> {
        Ok(Self { switches: self.switches.switched(off, on)?, ..self.clone() })
    }

    /// The same with forms that were proven, by model. A model that is not among them is given none.
    #[must_use]
    pub fn proven(&self, forms: BTreeMap<String, Proven>) -> Self {
        Self { proven: Some(forms), ..self.clone() }
    }

    /// Whether one is on and has a form that this model may be given.
    pub fn reaches(&self, optimization: Optimization, model: &str) -> bool {
        let may = match optimization {
            Optimization::Digests => self.may_shorten(model),
            Optimization::Lossless => self.passes(model) != PassSet::NONE,
            _ => true,
        };
        may && self.has(optimization)
    }

    /// Whether a model may be given short forms of texts, also where a limit of the run asks for them.
    pub(crate) fn may_shorten(&self, model: &str) -> bool {
        self.read_by(model).is_none_or(|proven| proven.digests)
    }

    /// The passes that may write what a model reads.
    pub fn passes(&self, model: &str) -> PassSet {
        self.read_by(model).map_or_else(PassSet::default, |proven| proven.passes)
    }

    fn read_by(&self, model: &str) -> Option<Proven> {
        let forms = self.proven.as_ref()?;
        Some(forms.get(model).copied().unwrap_or(Proven::NOTHING))
    }
}
