//! The sections of a prompt: whose text stands there.

pub use lacon_agents::plan::choices::Form;

use crate::Role;

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
