//! The sections of a prompt: whose text stands there, and in which form.

use crate::Role;

/// The form that a text takes in a reader's prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// As it was written.
    Full,
    /// Its figures and conclusions.
    Digest,
    /// Its figures and its last line.
    Figures,
    /// Its title, and that the plan has taken it up.
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

    /// Worth of a text that must be read, of one that is only to be seen, and the expected share of its tokens.
    pub(crate) fn weight(self) -> (u32, u32, f64) {
        match self {
            Self::Full => (1000, 400, 1.0),
            Self::Digest => (930, 390, 0.55),
            Self::Figures => (820, 330, 0.45),
            Self::Pointer => (0, 60, 0.05),
        }
    }
}

/// A text in a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Who wrote it.
    pub source: Role,
    /// Whether it stands in the part that siblings share.
    pub shared: bool,
    /// Whether the role must read it; otherwise it may shrink to a pointer.
    pub required: bool,
}
