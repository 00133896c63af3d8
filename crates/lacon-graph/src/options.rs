//! How a run is done, and what it leaves.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{Event, NodeCache, NodeId, State, StepError, checkpoint::Record};

/// How one run is done.
pub struct Options<'a, S: State> {
    /// The longest the whole run may take; what is finished by then is kept.
    pub deadline: Option<Duration>,
    /// The run stops when this resolves; what is finished by then is kept.
    pub cancel: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
    /// How many nodes of a class may run at once; a class that is not named is not bounded.
    pub class_limits: Vec<(&'static str, usize)>,
    /// How many nodes may run at once; 0 for no bound.
    pub max_running: usize,
    /// How long nodes take, as learned from earlier runs; goes before what the graph declares.
    pub expected: Vec<(String, Duration)>,
    /// Outputs of nodes that have a cache policy.
    pub cache: Option<Arc<dyn NodeCache<S>>>,
    /// What a person answered to nodes that interrupted an earlier run, by node.
    pub answers: Vec<(String, String)>,
    /// Called for every event, in order, from the run's own task; must return quickly.
    pub on_event: Option<Box<dyn FnMut(Event) + Send + 'a>>,
    /// Called with each new output (not with restored ones) before it enters the state, so that a journal is never
    /// behind the state.
    pub on_output: Option<OnOutput<'a, S>>,
    /// Outputs of an earlier run, in its order; their nodes do not run again.
    pub restored: Vec<Record<S::Update>>,
}

/// What [`Options::on_output`] is called with. An error stops the run.
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
    /// Nodes wait for a person's answer; everything that did not need it is done.
    Interrupted(Vec<(NodeId, String)>),
    /// A node without a fallback failed.
    Failed {
        /// The node.
        node: NodeId,
        /// Why.
        error: StepError,
    },
}

/// What a run leaves.
#[derive(Debug)]
pub struct Outcome<S> {
    /// The state, also when the run did not get to its end.
    pub state: Arc<S>,
    /// How it ended.
    pub status: Status,
    /// How long it took.
    pub elapsed: Duration,
    /// For each node how often it was started.
    pub visits: Vec<u32>,
    /// The nodes that were running or ready when the run stopped.
    pub unfinished: Vec<NodeId>,
}
