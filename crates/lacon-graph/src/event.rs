//! What happens in a run, as it happens.

use std::time::Duration;

use crate::NodeId;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Time since the run began.
    pub at: Duration,
    /// The node it happened to.
    pub node: NodeId,
    /// How often the node had been started, this start included; 0 before the first.
    pub visit: u32,
    /// What happened.
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The inputs are there; the node waits for a free place in its class.
    Ready,
    /// The step runs.
    Started,
    /// The step gave an output, which is in the state.
    Finished,
    /// The step failed; with a fallback the run goes on.
    Failed {
        /// What went wrong.
        error: String,
        /// Whether a fallback took its place.
        isolated: bool,
    },
    /// The step failed in a way that another try may not; it is started again after a wait.
    Retrying {
        /// What went wrong.
        error: String,
        /// The start that follows, counted from 2.
        attempt: u32,
    },
    /// The step asks a person; the run stops when what runs beside it is done.
    Interrupted {
        /// What it asks.
        question: String,
    },
    /// The output was taken from the cache.
    Cached,
    /// One instance of a node with several items is done.
    ItemFinished {
        /// The item.
        item: usize,
        /// What went wrong, when a fallback took its place.
        error: Option<String>,
    },
    /// No way led here: every incoming edge was ruled out.
    Skipped,
    /// The output was taken from the journal of an earlier run.
    Restored,
}
