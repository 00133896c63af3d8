//! The list of passes, in the order they run.

/// One pass: its name and the kind of what it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pass {
    /// Opaque runs go to the store. Keeps: a marker with kind, length and handle. Does nothing without a store.
    Blobs,
    /// JSON without layout, with tables for records. Keeps every lexeme. Does nothing where that is not shorter.
    Json,
    /// JSON lines as one table.
    JsonLines,
    /// Log lines as templates and rows. Keeps every token whole.
    Logs,
    /// Markdown tables without padding.
    Grids,
    /// Passages that occur again are named once. Keeps whole lines, sentences, cells and values.
    Repeats,
    /// A whole segment that stands earlier in the prompt becomes one line that says so.
    Duplicates,
}

/// Every pass in its order.
///
/// Blobs come first because nothing else may look into them. Forms come next, while the text is still what a program
/// printed. Repeats come after forms: tables and unescaped strings bring more passages into the same words. Duplicates
/// look at whole segments and are the only pass that sees more than one.
pub const PASSES: [Pass; 7] =
    [Pass::Blobs, Pass::Json, Pass::JsonLines, Pass::Logs, Pass::Grids, Pass::Repeats, Pass::Duplicates];

impl Pass {
    /// The name in receipts and switches.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Pass::Blobs => "blobs",
            Pass::Json => "json",
            Pass::JsonLines => "jsonl",
            Pass::Logs => "logs",
            Pass::Grids => "grids",
            Pass::Repeats => "repeats",
            Pass::Duplicates => "duplicates",
        }
    }

    /// What the pass does, in one sentence for a user.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Pass::Blobs => "moved opaque runs (base64, hex) to the store; each marker names its entry",
            Pass::Json => "wrote JSON without its layout and records as tables",
            Pass::JsonLines => "wrote JSON lines as one table",
            Pass::Logs => "wrote log lines as templates and their values",
            Pass::Grids => "wrote markdown tables without padding",
            Pass::Repeats => "named passages that occur again and repeated the name",
            Pass::Duplicates => "replaced a text that stands above by a line that says so",
        }
    }

    /// The pass of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Pass> {
        PASSES.into_iter().find(|pass| pass.name() == name)
    }
}

/// A set of passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassSet(u16);

impl PassSet {
    /// All passes.
    pub const ALL: PassSet = PassSet(u16::MAX);
    /// No pass.
    pub const NONE: PassSet = PassSet(0);

    /// The set without one pass.
    #[must_use]
    pub fn without(self, pass: Pass) -> PassSet {
        PassSet(self.0 & !(1 << pass as u16))
    }

    /// The set with one pass.
    #[must_use]
    pub fn with(self, pass: Pass) -> PassSet {
        PassSet(self.0 | (1 << pass as u16))
    }

    /// Whether a pass is in the set.
    #[must_use]
    pub fn has(self, pass: Pass) -> bool {
        self.0 & (1 << pass as u16) != 0
    }
}

impl Default for PassSet {
    fn default() -> Self {
        PassSet::ALL
    }
}
