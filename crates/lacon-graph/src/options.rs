//! Options and results of a run.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{Event, NodeCache, NodeId, State, StepError, checkpoint::Record};

/// Options of one run.
pub struct Options<'a, S: State> {
    /// Time limit of the run; finished work is kept.
    pub deadline: Option<Duration>,
    /// The run stops when this resolves; finished work is kept.
    pub cancel: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
    /// Most nodes of each class at once; other classes have no bound.
    pub class_limits: Vec<(&'static str, usize)>,
    /// Most nodes at once; 0 for no bound.
    pub max_running: usize,
    /// Durations of nodes, learned from earlier runs; they override the declared ones.
    pub expected: Vec<(String, Duration)>,
    /// Outputs of nodes that have a cache policy.
    pub cache: Option<Arc<dyn NodeCache<S>>>,
    /// Answers of a person to nodes that interrupted an earlier run, by node.
    pub answers: Vec<(String, String)>,
    /// Called for every event, in order, from the run's own task; must return quickly.
    pub on_event: Option<Box<dyn FnMut(Event) + Send + 'a>>,
    /// Called with each new output (not with restored ones) before it enters the state, so that a journal is never
    /// behind the state.
    pub on_output: Option<OnOutput<'a, S>>,
    /// Outputs of an earlier run, in its order; their nodes do not run again.
    pub restored: Vec<Record<S::Update>>,
}

/// Argument of [`Options::on_output`]. An error stops the run.
pub type OnOutput<'a, S> =
    Box<dyn FnMut(&Record<&<S as State>::Update>) -> Result<(), StepError> + Send + 'a>;

impl<S: State> Default for Options<'_, S> {
    fn default() -> Self {
        Self {
            deadline: None,
            cancel: None,
            class_limits: Vec::new(),
            max_running: 0,
            expected: Vec::new(),
            cache: None,
            answers: Vec::new(),
            on_event: None,
            on_output: None,
            restored: Vec::new(),
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub enum Status {
    /// Every node that could be reached has run.
    Done,
    /// [`Options::cancel`] resolved.
    Cancelled,
    /// [`Options::deadline`] passed.
    DeadlineExceeded,
    /// Nodes wait for a person's answer; everything independent of it is done.
    Interrupted(Vec<(NodeId, String)>),
    /// A node without a fallback failed.
    Failed {
        /// The node.
        node: NodeId,
        /// Why.
        error: StepError,
    },
}

/// Result of a run.
#[derive(Debug)]
pub struct Outcome<S> {
    /// The state, even if the run did not reach its end.
    pub state: Arc<S>,
    /// How it ended.
    pub status: Status,
    /// How long it took.
    pub elapsed: Duration,
    /// Number of starts of each node.
    pub visits: Vec<u32>,
    /// The nodes that were running or ready when the run stopped.
    pub unfinished: Vec<NodeId>,
}
