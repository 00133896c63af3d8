//! The optimizations: what a run may save, each with its switch.

use std::{collections::BTreeSet, fmt, str::FromStr};

use lacon_runtime::config::nearest;

/// A named saving that can be switched off.
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

    /// Its name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefetch => "prefetch",
            Self::NoBarrier => "no_barrier",
            Self::WordLimits => "word_limits",
            Self::Digests => "digests",
            Self::PrefixLayout => "prefix_layout",
            Self::Lossless => "lossless",
            Self::SchemaOnce => "schema_once",
            Self::ToolCache => "tool_cache",
            Self::DeadlineLadder => "deadline_ladder",
            Self::Stagger => "stagger",
            Self::PromptPlan => "prompt_plan",
            Self::Merged => "merged",
        }
    }

    /// What it does, in one sentence without its end.
    pub fn about(self) -> &'static str {
        match self {
            Self::Prefetch => "makes tool calls with known arguments before the model is asked",
            Self::NoBarrier => "starts an agent when what it reads is there",
            Self::WordLimits => "tells the model its word limit and closes the stream behind it",
            Self::Digests => "gives a reader that allows it the short form of a text",
            Self::PrefixLayout => "puts what several agents read first, for the provider's prompt cache",
            Self::Lossless => "writes tool answers and JSON in fewer tokens, without loss",
            Self::SchemaOnce => "sends the schema of an answer once",
            Self::ToolCache => "makes equal tool calls of a run once",
            Self::DeadlineLadder => "near the deadline shortens answers, then asks the quick model",
            Self::Stagger => {
                "has one that nearly always ends before a sibling wait for its first token and cached prefix"
            }
            Self::PromptPlan => {
                "chooses the lengths of all answers together under limits of tokens, money or time"
            }
            Self::Merged => "has one call answer for agents that read the same with the same model",
        }
    }

    /// Whether it is off unless it is asked for: it saves tokens at the price of time, and of independent answers.
    pub fn on_demand(self) -> bool {
        self == Self::Merged
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
        Self::ALL.into_iter().find(|o| o.name() == text).ok_or_else(|| {
            let names = || Self::ALL.into_iter().map(Self::name);
            let hint = match nearest(text, names()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("known are: {}", names().collect::<Vec<_>>().join(", ")),
            };
            format!("optimization {text:?} is unknown\nhint: {hint}")
        })
    }
}

/// Which optimizations are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Optimizations(BTreeSet<Optimization>);

impl Default for Optimizations {
    fn default() -> Self {
        Self::all()
    }
}

impl Optimizations {
    /// All are on but those on demand.
    pub fn all() -> Self {
        Self(Optimization::ALL.into_iter().filter(|optimization| !optimization.on_demand()).collect())
    }

    /// None is on.
    pub fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// These are on.
    pub fn of(on: &[Optimization]) -> Self {
        Self(on.iter().copied().collect())
    }

    /// Whether one is on.
    pub fn has(&self, optimization: Optimization) -> bool {
        self.0.contains(&optimization)
    }

    /// The same without one.
    #[must_use]
    pub fn without(&self, optimization: Optimization) -> Self {
        let mut set = self.0.clone();
        set.remove(&optimization);
        Self(set)
    }

    /// The same with names switched off and on; `all` stands for every one.
    ///
    /// # Errors
    /// At a name that is none, with the nearest one.
    pub fn switched(&self, off: &[&str], on: &[&str]) -> Result<Self, String> {
        let mut set = self.0.clone();
        for name in off {
            match *name {
                "all" => set.clear(),
                name => drop(set.remove(&name.parse()?)),
            }
        }
        for name in on {
            match *name {
                "all" => set.extend(Self::all().0),
                name => drop(set.insert(name.parse()?)),
            }
        }
        Ok(Self(set))
    }
}
