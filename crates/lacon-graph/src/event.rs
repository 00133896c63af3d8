//! Events of a run, as they happen.

use std::time::Duration;

use crate::NodeId;

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Time since the start of the run.
    pub at: Duration,
    /// The node.
    pub node: NodeId,
    /// Number of starts of the node, including this one; 0 before the first.
    pub visit: u32,
    /// What happened.
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The inputs are ready; the node waits for a free slot in its class.
    Ready,
    /// The step runs.
    Started,
    /// The step returned an output, which is in the state.
    Finished,
    /// The step failed; with a fallback, the run goes on.
    Failed {
        /// What went wrong.
        error: String,
        /// Whether a fallback replaced the output.
        isolated: bool,
    },
    /// The step failed with a transient error; it starts again after a wait.
    Retrying {
        /// What went wrong.
        error: String,
        /// The number of the next start, from 2.
        attempt: u32,
    },
    /// The step asks a person; the run stops when the nodes running beside it are done.
    Interrupted {
        /// What it asks.
        question: String,
    },
    /// The output was taken from the cache.
    Cached,
    /// One instance of a node that fans out is done.
    ItemFinished {
        /// The item.
        item: usize,
        /// What went wrong, if a fallback replaced the output.
        error: Option<String>,
    },
    /// The node was skipped: every incoming edge was ruled out.
    Skipped,
    /// The output was taken from the journal of an earlier run.
    Restored,
}
