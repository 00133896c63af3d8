//! Runs a graph: each node starts when its own inputs are decided, never at a common step.
//!
//! Edges carry tokens. A finished node decides each of its outgoing edges: taken or ruled out. A join fires by
//! its rule once enough edges are decided; a node all of whose edges were ruled out is skipped and rules out its
//! own. Edges that lie on a cycle must be decided again for each visit; edges from outside a cycle stay decided.
//!
//! Cost: O(nodes + edges) per run plus one boxed future and one state snapshot (an `Arc`) per start. All steps are
//! polled by one future in the caller's task: no task is spawned, so dropping [`run`]'s future stops everything.

use std::{
    collections::{BinaryHeap, VecDeque},
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

use crate::{
    Context, Event, EventKind, Graph, Join, NodeId, Output, Stamp, State, StepError, checkpoint::Record,
};

/// How one run is done.
pub struct Options<'a, S: State> {
    /// The longest the whole run may take; what is finished by then is kept.
    pub deadline: Option<Duration>,
    /// The run stops when this resolves; what is finished by then is kept.
    pub cancel: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
    /// How many nodes of a class may run at once; a class that is not named is not bounded.
    pub class_limits: Vec<(&'static str, usize)>,
    /// Called for every event, in order, from the run's own task; must return quickly.
    pub on_event: Option<Box<dyn FnMut(Event) + Send + 'a>>,
    /// Called with each new output (not with restored ones) before it enters the state, so that a journal is never
    /// behind the state.
    pub on_output: Option<OnOutput<'a, S>>,
    /// Outputs of an earlier run, in its order; their nodes do not run again.
    pub restored: Vec<Record<S::Update>>,
}

/// What [`Options::on_output`] is called with: node, visit, route, update. An error stops the run.
pub type OnOutput<'a, S> =
    Box<dyn FnMut(&str, u32, Option<&str>, &<S as State>::Update) -> Result<(), StepError> + Send + 'a>;

impl<S: State> Default for Options<'_, S> {
    fn default() -> Self {
        Self {
            deadline: None,
            cancel: None,
            class_limits: Vec::new(),
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

/// Per-node progress within one run.
#[derive(Clone, Default)]
struct Progress {
    /// Incoming edges (loops left out) that are not decided yet.
    pending: u32,
    /// Decided edges that were taken.
    taken: u32,
    /// Of those, the ones from outside any cycle, which stay taken.
    sticky: u32,
    /// Already started for the present set of inputs (joins that do not wait for all).
    fired: bool,
    /// Distinguishes the deadline of this join from an earlier visit's.
    generation: u32,
    visits: u32,
}

enum Done<S: State> {
    Step(usize, Result<Output<S>, StepError>),
    JoinDeadline(usize, u32),
}

type Pending<'a, S> = Pin<Box<dyn Future<Output = Done<S>> + Send + 'a>>;

/// Ready nodes: those with the longest way to the end first, then first come, first served.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ready {
    tail_us: u64,
    sequence: std::cmp::Reverse<u64>,
    node: usize,
}

struct Run<'a, S: State> {
    graph: &'a Graph<S>,
    options: Options<'a, S>,
    state: Arc<S>,
    began: Instant,
    progress: Vec<Progress>,
    loops: Vec<u32>,
    ready: BinaryHeap<Ready>,
    held: Vec<Ready>,
    in_class: Vec<(&'static str, usize)>,
    running: FuturesUnordered<Pending<'a, S>>,
    steps_running: Vec<bool>,
    n_running: usize,
    /// Records of an earlier run, by node and in visit order.
    restored: Vec<VecDeque<Record<S::Update>>>,
    sequence: u64,
}

/// Runs the graph from the given state to its end, its deadline, its cancellation or its first failure.
///
/// Dropping the future stops all steps at their next await point and leaves nothing running; a caller who wants
/// the partial state back resolves [`Options::cancel`] instead.
pub async fn run<S: State>(graph: &Graph<S>, state: S, options: Options<'_, S>) -> Outcome<S> {
    let inner = &graph.inner;
    let mut restored: Vec<VecDeque<Record<S::Update>>> = Vec::new();
    restored.resize_with(inner.nodes.len(), VecDeque::new);
    let mut options = options;
    for record in std::mem::take(&mut options.restored) {
        if let Some(node) = graph.find(&record.node) {
            restored[node.0].push_back(record);
        }
    }
    let progress = (0..inner.nodes.len())
        .map(|i| Progress {
            pending: inner.into[i].iter().filter(|e| inner.edges[**e].loop_bound.is_none()).count() as u32,
            ..Progress::default()
        })
        .collect();
    let mut run = Run {
        graph,
        state: Arc::new(state),
        began: Instant::now(),
        progress,
        loops: vec![0; inner.edges.len()],
        ready: BinaryHeap::new(),
        held: Vec::new(),
        in_class: options.class_limits.iter().map(|(class, _)| (*class, 0)).collect(),
        running: FuturesUnordered::new(),
        steps_running: vec![false; inner.nodes.len()],
        n_running: 0,
        restored,
        sequence: 0,
        options,
    };
    let status = run.drive().await;
    let mut unfinished: Vec<NodeId> =
        (0..run.steps_running.len()).filter(|i| run.steps_running[*i]).map(NodeId).collect();
    unfinished.extend(run.ready.drain().chain(run.held.drain(..)).map(|r| NodeId(r.node)));
    unfinished.sort_unstable();
    unfinished.dedup();
    Outcome {
        status,
        elapsed: run.began.elapsed(),
        visits: run.progress.iter().map(|p| p.visits).collect(),
        unfinished,
        state: run.state,
    }
}

impl<'a, S: State> Run<'a, S> {
    async fn drive(&mut self) -> Status {
        let mut deadline = self.options.deadline.map(|limit| Box::pin(tokio::time::sleep(limit)));
        let mut cancel = self.options.cancel.take();
        for entry in self.graph.inner.entries.clone() {
            self.make_ready(entry);
        }
        loop {
            if let Err(status) = self.start_ready() {
                return status;
            }
            if self.n_running == 0 && self.ready.is_empty() && self.held.is_empty() {
                return Status::Done;
            }
            let next = std::future::poll_fn(|cx| {
                if let Some(cancel) = &mut cancel
                    && cancel.as_mut().poll(cx).is_ready()
                {
                    return Poll::Ready(Err(Status::Cancelled));
                }
                if let Some(deadline) = &mut deadline
                    && deadline.as_mut().poll(cx).is_ready()
                {
                    return Poll::Ready(Err(Status::DeadlineExceeded));
                }
                match self.running.poll_next_unpin(cx) {
                    Poll::Ready(Some(done)) => Poll::Ready(Ok(done)),
                    // Empty only while nodes are held back by a class limit that nothing occupies: impossible,
                    // because a class is full only of running nodes.
                    Poll::Ready(None) | Poll::Pending => Poll::Pending,
                }
            })
            .await;
            match next {
                Err(status) => return status,
                Ok(Done::JoinDeadline(node, generation)) => {
                    let progress = &mut self.progress[node];
                    if progress.generation == generation && !progress.fired && progress.taken > 0 {
                        progress.fired = true;
                        self.make_ready(node);
                    }
                }
                Ok(Done::Step(node, result)) => {
                    self.steps_running[node] = false;
                    self.n_running -= 1;
                    self.leave_class(node);
                    if let Err(status) = self.settle(node, result) {
                        return status;
                    }
                }
            }
        }
    }

    fn emit(&mut self, node: usize, kind: EventKind) {
        if let Some(on_event) = &mut self.options.on_event {
            let visit = self.progress[node].visits;
            on_event(Event { at: self.began.elapsed(), node: NodeId(node), visit, kind });
        }
    }

    fn make_ready(&mut self, node: usize) {
        self.emit(node, EventKind::Ready);
        self.sequence += 1;
        let tail_us = self.graph.inner.tail_us[node];
        self.ready.push(Ready { tail_us, sequence: std::cmp::Reverse(self.sequence), node });
    }

    fn class_is_full(&self, node: usize) -> bool {
        let Some(class) = self.graph.inner.nodes[node].class else { return false };
        let limit =
            self.options.class_limits.iter().find(|(name, _)| *name == class).map(|(_, limit)| *limit);
        let used = self.in_class.iter().find(|(name, _)| *name == class).map_or(0, |(_, used)| *used);
        limit.is_some_and(|limit| used >= limit.max(1))
    }

    fn leave_class(&mut self, node: usize) {
        let class = self.graph.inner.nodes[node].class;
        if let Some((_, used)) = self.in_class.iter_mut().find(|(name, _)| Some(*name) == class) {
            *used -= 1;
            self.ready.extend(self.held.drain(..));
        }
    }

    fn start_ready(&mut self) -> Result<(), Status> {
        while let Some(next) = self.ready.pop() {
            if self.class_is_full(next.node) {
                self.held.push(next);
                continue;
            }
            self.start(next.node)?;
        }
        Ok(())
    }

    fn start(&mut self, node: usize) -> Result<(), Status> {
        self.progress[node].visits += 1;
        self.consume_inputs(node);
        if let Some(record) = self.restored[node].pop_front() {
            let labels = &self.graph.inner.nodes[node].routes;
            let route = record.route.as_deref().and_then(|r| labels.iter().find(|l| **l == r).copied());
            self.emit(node, EventKind::Restored);
            return self.absorb(node, Output { update: record.update, route }, false);
        }
        self.emit(node, EventKind::Started);
        let class = self.graph.inner.nodes[node].class;
        if let Some((_, used)) = self.in_class.iter_mut().find(|(name, _)| Some(*name) == class) {
            *used += 1;
        }
        let spec = &self.graph.inner.nodes[node];
        let context = Context {
            state: Arc::clone(&self.state),
            node: Arc::clone(&spec.name),
            visit: self.progress[node].visits,
        };
        self.n_running += 1;
        self.steps_running[node] = true;
        self.running.push(Box::pin(async move {
            // A panicking step is that node's failure, not the end of every other branch.
            let work = AssertUnwindSafe(spec.step.run(context)).catch_unwind();
            let result = match spec.time_limit {
                None => work.await,
                Some(limit) => match tokio::time::timeout(limit, work).await {
                    Ok(result) => result,
                    Err(_) => Ok(Err(StepError::new(format!(
                        "node {:?} took longer than its limit of {:.3} s",
                        spec.name,
                        limit.as_secs_f64()
                    )))),
                },
            };
            Done::Step(node, result.unwrap_or_else(|panic| Err(StepError::new(panic_text(&*panic)))))
        }));
        Ok(())
    }

    /// Forgets the decided inputs that must be decided again before the next visit.
    fn consume_inputs(&mut self, node: usize) {
        let inner = &self.graph.inner;
        let waits_for_all = matches!(inner.nodes[node].join, Join::All);
        let progress = &mut self.progress[node];
        if waits_for_all || progress.pending == 0 {
            progress.pending = inner.into[node]
                .iter()
                .filter(|e| inner.edges[**e].loop_bound.is_none() && inner.cyclic[**e])
                .count() as u32;
            progress.taken = progress.sticky;
            progress.fired = false;
            progress.generation += 1;
        }
    }

    fn settle(&mut self, node: usize, result: Result<Output<S>, StepError>) -> Result<(), Status> {
        let checked = result.and_then(|output| self.check_output(node, output));
        match (checked, &self.graph.inner.nodes[node].fallback) {
            (Ok(output), _) => {
                self.emit(node, EventKind::Finished);
                self.absorb(node, output, true)
            }
            (Err(error), Some(fallback)) => {
                let update = fallback(&error);
                self.emit(node, EventKind::Failed { error: error.to_string(), isolated: true });
                self.absorb(node, Output::update(update), true)
            }
            (Err(error), None) => {
                self.emit(node, EventKind::Failed { error: error.to_string(), isolated: false });
                Err(Status::Failed { node: NodeId(node), error })
            }
        }
    }

    fn check_output(&self, node: usize, output: Output<S>) -> Result<Output<S>, StepError> {
        let spec = &self.graph.inner.nodes[node];
        if let Some(field) = S::written(&output.update).into_iter().find(|f| !spec.writes.contains(f)) {
            return Err(StepError::new(format!(
                "node {:?} wrote field {:?}, which it does not declare",
                spec.name,
                S::name(field)
            )));
        }
        match output.route {
            Some(route) if !spec.routes.contains(&route) => Err(StepError::new(format!(
                "node {:?} returned route {route:?}; its routes are {:?}",
                spec.name, spec.routes
            ))),
            None if !spec.routes.is_empty() => Err(StepError::new(format!(
                "node {:?} returned no route; its routes are {:?}",
                spec.name, spec.routes
            ))),
            _ => Ok(output),
        }
    }

    /// Takes an output into the journal and the state, then decides the node's outgoing edges.
    fn absorb(&mut self, node: usize, output: Output<S>, fresh: bool) -> Result<(), Status> {
        let inner = &self.graph.inner;
        let visit = self.progress[node].visits;
        if let Some(on_output) = self.options.on_output.as_mut().filter(|_| fresh) {
            on_output(&inner.nodes[node].name, visit, output.route, &output.update)
                .map_err(|error| Status::Failed { node: NodeId(node), error })?;
        }
        let stamp = Stamp { visit, rank: inner.rank[node], node: node as u32 };
        Arc::make_mut(&mut self.state).apply(output.update, stamp);
        self.decide_edges(node, output.route)
    }

    fn decide_edges(&mut self, node: usize, route: Option<&str>) -> Result<(), Status> {
        let inner = &self.graph.inner;
        let goes_back = |e: &&usize| {
            let edge = &inner.edges[**e];
            edge.loop_bound.is_some() && edge.label == route
        };
        if let Some(back) = inner.out[node].iter().find(goes_back).copied() {
            let edge = &inner.edges[back];
            self.loops[back] += 1;
            let bound = edge.loop_bound.unwrap_or(0);
            if self.loops[back] > bound {
                let error = StepError::new(format!(
                    "node {:?} went back to {:?} more often than its bound of {bound}",
                    inner.nodes[node].name, inner.nodes[edge.to].name
                ));
                return Err(Status::Failed { node: NodeId(node), error });
            }
            let to = edge.to;
            // The other labelled ways stay open: the node decides them when it is visited again.
            let open: Vec<usize> = inner.out[node]
                .iter()
                .copied()
                .filter(|e| inner.edges[*e].loop_bound.is_none() && inner.edges[*e].label.is_none())
                .collect();
            self.deliver(open.into_iter().map(|e| (e, true)).collect());
            self.make_ready(to);
            return Ok(());
        }
        let decided = inner.out[node]
            .iter()
            .copied()
            .filter(|e| inner.edges[*e].loop_bound.is_none())
            .map(|e| (e, inner.edges[e].label.is_none() || inner.edges[e].label == route))
            .collect();
        self.deliver(decided);
        Ok(())
    }

    /// Hands decided edges to their targets; skips spread from node to node without recursion.
    fn deliver(&mut self, mut decided: VecDeque<(usize, bool)>) {
        let inner = &self.graph.inner;
        while let Some((edge, taken)) = decided.pop_front() {
            let node = inner.edges[edge].to;
            let cyclic = inner.cyclic[edge];
            let progress = &mut self.progress[node];
            progress.pending = progress.pending.saturating_sub(1);
            progress.taken += u32::from(taken);
            progress.sticky += u32::from(taken && !cyclic);
            let all = progress.pending == 0;
            let fires = !progress.fired
                && progress.taken > 0
                && match inner.nodes[node].join {
                    Join::All | Join::Deadline(_) => all,
                    Join::Any => true,
                    Join::Quorum(wanted) => all || progress.taken as usize >= wanted,
                };
            if fires {
                progress.fired = true;
                self.make_ready(node);
            } else if all && progress.fired && !matches!(inner.nodes[node].join, Join::All) {
                // The last of the inputs that came after the start; the node is open for its next visit.
                self.consume_inputs(node);
            } else if all && progress.taken == 0 {
                self.emit(node, EventKind::Skipped);
                self.consume_inputs(node);
                let out = inner.out[node].iter().filter(|e| inner.edges[**e].loop_bound.is_none());
                decided.extend(out.map(|e| (*e, false)));
            } else if let Join::Deadline(limit) = inner.nodes[node].join
                && taken
                && progress.taken == 1
            {
                let generation = progress.generation;
                self.running.push(Box::pin(async move {
                    tokio::time::sleep(limit).await;
                    Done::JoinDeadline(node, generation)
                }));
            }
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("step panicked: {}", text.unwrap_or("no message"))
}
