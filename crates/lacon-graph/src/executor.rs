//! Runs a graph: each node starts when its own inputs are decided, never at a common step.
//!
//! Edges carry tokens. A finished node decides each of its outgoing edges: taken or ruled out. A join fires by its rule
//! once enough edges are decided. A node whose edges were all ruled out is skipped and rules out its own edges. Edges
//! on a cycle must be decided again for each visit; edges from outside a cycle stay decided.
//!
//! Cost: O(nodes + edges) per run, plus one boxed future and one state snapshot (an `Arc`) per start. One future in the
//! caller's task polls all steps. No task is spawned, so dropping [`run`]'s future stops everything.

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
    Context, Event, EventKind, Graph, Join, NodeId, Options, Outcome, Output, Pulse, Stamp, State, Status,
    StepError, checkpoint::Record, policy,
};

/// Per-node progress within one run.
#[derive(Clone, Default)]
struct Progress {
    /// Undecided incoming edges, without loops.
    pending: u32,
    /// Decided edges that were taken.
    taken: u32,
    /// Those from outside any cycle, which stay taken.
    sticky: u32,
    /// Whether the node has started for the present inputs (joins that do not wait for all).
    fired: bool,
    /// Distinguishes the deadline of this join from that of an earlier visit.
    generation: u32,
    visits: u32,
    /// Unfinished instances of the present visit, for a node that fans out.
    items_left: usize,
}

/// One start of a step: node, item and attempt.
#[derive(Clone, Copy)]
struct Start {
    node: usize,
    item: Option<usize>,
    attempt: u32,
}

enum Done<S: State> {
    Step(Start, Result<Output<S>, StepError>),
    JoinDeadline(usize, u32),
}

type Pending<'a, S> = Pin<Box<dyn Future<Output = Done<S>> + Send + 'a>>;

/// Ready nodes: the longest path to the end first, then in order of arrival.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ready {
    tail_us: u64,
    sequence: std::cmp::Reverse<u64>,
    node: usize,
    item: Option<usize>,
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
    /// Number of running instances of each node.
    steps_running: Vec<u32>,
    n_running: usize,
    /// Records of an earlier run, by node and in visit order.
    restored: Vec<VecDeque<Record<S::Update>>>,
    /// Nodes that wait for a person.
    questions: Vec<(NodeId, String)>,
    /// Longest expected time from each node to the end, if durations were learned.
    tail_us: Option<Vec<u64>>,
    sequence: u64,
}

/// Runs the graph from the given state to its end, its deadline, its cancellation or its first failure.
///
/// Dropping the future stops all steps at their next await point and leaves nothing running. To get the partial state
/// back, resolve [`Options::cancel`] instead.
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
        steps_running: vec![0; inner.nodes.len()],
        n_running: 0,
        restored,
        questions: Vec::new(),
        tail_us: (!options.expected.is_empty()).then(|| inner.tails(&options.expected)),
        sequence: 0,
        options,
    };
    let status = run.drive().await;
    let mut unfinished: Vec<NodeId> =
        (0..run.steps_running.len()).filter(|i| run.steps_running[*i] > 0).map(NodeId).collect();
    unfinished.extend(run.questions.iter().map(|(node, _)| *node));
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
                return match std::mem::take(&mut self.questions) {
                    questions if questions.is_empty() => Status::Done,
                    questions => {
                        let status = Status::Interrupted(questions.clone());
                        self.questions = questions;
                        status
                    }
                };
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
                Ok(Done::Step(start, result)) => {
                    if let Err(status) = self.settle(start, result) {
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

    /// Queues a node whose inputs are ready.
    fn make_ready(&mut self, node: usize) {
        self.emit(node, EventKind::Ready);
        self.enqueue(node, None);
    }

    /// Queues each item of a node; an item done in an earlier run is restored instead.
    fn spread(&mut self, node: usize, n: usize) -> Result<(), Status> {
        self.begin_visit(node);
        self.progress[node].items_left = n;
        self.emit(node, EventKind::Started);
        if n == 0 {
            self.emit(node, EventKind::Finished);
            return self.decide_edges(node, None);
        }
        let visit = self.progress[node].visits;
        let mut done = vec![false; n];
        while let Some(record) =
            self.restored[node].pop_front_if(|r| r.visit == visit && r.item.is_some_and(|i| i < n))
        {
            let item = record.item.unwrap_or(0);
            if !std::mem::replace(&mut done[item], true) {
                self.finish_item(node, item, record.update, false, None)?;
            }
        }
        (0..n).filter(|item| !done[*item]).for_each(|item| self.enqueue(node, Some(item)));
        Ok(())
    }

    fn enqueue(&mut self, node: usize, item: Option<usize>) {
        self.sequence += 1;
        let tail_us = self.tail_us.as_ref().map_or(self.graph.inner.tail_us[node], |tails| tails[node]);
        self.ready.push(Ready { tail_us, sequence: std::cmp::Reverse(self.sequence), node, item });
    }

    fn class_is_full(&self, node: usize) -> bool {
        if self.options.max_running > 0 && self.n_running >= self.options.max_running {
            return true;
        }
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
        }
        self.ready.extend(self.held.drain(..));
    }

    fn start_ready(&mut self) -> Result<(), Status> {
        while let Some(next) = self.ready.pop() {
            let graph = self.graph;
            if let (None, Some(items)) = (next.item, &graph.inner.nodes[next.node].items) {
                self.spread(next.node, items(&self.state))?;
                continue;
            }
            if self.class_is_full(next.node) {
                self.held.push(next);
                continue;
            }
            self.start(next.node, next.item)?;
        }
        Ok(())
    }

    fn begin_visit(&mut self, node: usize) {
        self.progress[node].visits += 1;
        self.consume_inputs(node);
    }

    fn start(&mut self, node: usize, item: Option<usize>) -> Result<(), Status> {
        let graph = self.graph;
        let spec = &graph.inner.nodes[node];
        if item.is_none() {
            self.begin_visit(node);
            if let Some(record) = self.restored[node].pop_front() {
                let route =
                    record.route.as_deref().and_then(|r| spec.routes.iter().find(|l| **l == r).copied());
                self.emit(node, EventKind::Restored);
                return self.absorb(node, Output { update: record.update, route }, false);
            }
            if let Some(update) = self.cached(node) {
                self.emit(node, EventKind::Cached);
                return self.absorb(node, Output::update(update), true);
            }
            self.emit(node, EventKind::Started);
        }
        if let Some((_, used)) = self.in_class.iter_mut().find(|(name, _)| Some(*name) == spec.class) {
            *used += 1;
        }
        self.n_running += 1;
        self.steps_running[node] += 1;
        self.launch(Start { node, item, attempt: 1 }, Duration::ZERO);
        Ok(())
    }

    fn cache_key(&self, node: usize) -> Option<(Duration, String)> {
        let spec = &self.graph.inner.nodes[node];
        let (time_to_live, key) = spec.cache.as_ref().filter(|_| spec.routes.is_empty())?;
        Some((*time_to_live, format!("{}/{}", spec.name, key(&self.state)?)))
    }

    fn cached(&self, node: usize) -> Option<S::Update> {
        let cache = self.options.cache.as_ref()?;
        cache.get(&self.cache_key(node)?.1)
    }

    /// Polls one attempt of a step, after a wait.
    fn launch(&mut self, start: Start, wait: Duration) {
        let graph = self.graph;
        let spec = &graph.inner.nodes[start.node];
        let answer = self.options.answers.iter().find(|(node, _)| **node == *spec.name);
        let pulse = if spec.idle_limit.is_some() { Pulse::heard() } else { Pulse::default() };
        let context = Context {
            state: Arc::clone(&self.state),
            node: Arc::clone(&spec.name),
            visit: self.progress[start.node].visits,
            item: start.item,
            answer: answer.map(|(_, answer)| answer.clone()),
            pulse: pulse.clone(),
        };
        // A panicking step is that node's failure, not the end of every other branch.
        let done = |start, result: std::thread::Result<Result<Output<S>, StepError>>| {
            Done::Step(start, result.unwrap_or_else(|panic| Err(StepError::new(panic_text(&*panic)))))
        };
        // Two futures, for one with room for limits and waits is four times as large, and most nodes have neither.
        if wait.is_zero() && spec.time_limit.is_none() && spec.idle_limit.is_none() {
            self.running.push(Box::pin(async move {
                done(start, AssertUnwindSafe(spec.step.run(context)).catch_unwind().await)
            }));
            return;
        }
        self.running.push(Box::pin(async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
                pulse.beat();
            }
            let work = async { spec.step.run(context).await };
            let limited = policy::within(&spec.name, work, spec.time_limit, spec.idle_limit, pulse);
            done(start, AssertUnwindSafe(limited).catch_unwind().await)
        }));
    }

    /// Clears the decided inputs that must be decided again before the next visit.
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

    fn settle(&mut self, start: Start, result: Result<Output<S>, StepError>) -> Result<(), Status> {
        let node = start.node;
        let graph = self.graph;
        let spec = &graph.inner.nodes[node];
        let checked = result.and_then(|output| self.check_output(node, output));
        if let (Err(error), Some(retry)) = (&checked, spec.retry)
            && error.is_transient()
            && start.attempt < retry.attempts
        {
            let attempt = start.attempt + 1;
            self.emit(node, EventKind::Retrying { error: error.to_string(), attempt });
            self.launch(Start { attempt, ..start }, retry.wait(attempt));
            return Ok(());
        }
        self.steps_running[node] -= 1;
        self.n_running -= 1;
        self.leave_class(node);
        match (checked, &spec.fallback) {
            (Ok(output), _) => {
                if let Some(item) = start.item {
                    return self.finish_item(node, item, output.update, true, None);
                }
                if let (Some(cache), Some((time_to_live, key))) =
                    (self.options.cache.clone(), self.cache_key(node))
                {
                    cache.put(&key, &output.update, time_to_live);
                }
                self.emit(node, EventKind::Finished);
                self.absorb(node, output, true)
            }
            (Err(error), _) if error.is_interrupt() => {
                self.emit(node, EventKind::Interrupted { question: error.to_string() });
                self.questions.push((NodeId(node), error.to_string()));
                Ok(())
            }
            (Err(error), Some(fallback)) => {
                let update = fallback(&error);
                if let Some(item) = start.item {
                    return self.finish_item(node, item, update, true, Some(error.to_string()));
                }
                self.emit(node, EventKind::Failed { error: error.to_string(), isolated: true });
                self.absorb(node, Output::update(update), true)
            }
            (Err(error), None) => {
                self.emit(node, EventKind::Failed { error: error.to_string(), isolated: false });
                Err(Status::Failed { node: NodeId(node), error })
            }
        }
    }

    /// Takes the update of one instance; the last one finishes the node.
    fn finish_item(
        &mut self,
        node: usize,
        item: usize,
        update: S::Update,
        fresh: bool,
        error: Option<String>,
    ) -> Result<(), Status> {
        self.enter_state(node, Some(item), None, update, fresh)?;
        self.emit(node, EventKind::ItemFinished { item, error });
        self.progress[node].items_left -= 1;
        if self.progress[node].items_left > 0 {
            return Ok(());
        }
        self.emit(node, EventKind::Finished);
        self.decide_edges(node, None)
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

    /// Writes an output to the journal and the state, then decides the node's outgoing edges.
    fn absorb(&mut self, node: usize, output: Output<S>, fresh: bool) -> Result<(), Status> {
        self.enter_state(node, None, output.route, output.update, fresh)?;
        self.decide_edges(node, output.route)
    }

    fn enter_state(
        &mut self,
        node: usize,
        item: Option<usize>,
        route: Option<&str>,
        update: S::Update,
        fresh: bool,
    ) -> Result<(), Status> {
        let inner = &self.graph.inner;
        let visit = self.progress[node].visits;
        if let Some(on_output) = self.options.on_output.as_mut().filter(|_| fresh) {
            let record = Record {
                node: inner.nodes[node].name.to_string(),
                visit,
                item,
                route: route.map(Into::into),
                update: &update,
            };
            on_output(&record).map_err(|error| Status::Failed { node: NodeId(node), error })?;
        }
        let item = item.map_or(0, |item| item.try_into().unwrap_or(u32::MAX));
        let stamp = Stamp { visit, rank: inner.rank[node], node: node as u32, item };
        Arc::make_mut(&mut self.state).apply(update, stamp);
        Ok(())
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
            // The other labeled ways stay open: the node decides them when it is visited again.
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

    /// Passes decided edges to their targets; skips spread without recursion.
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
