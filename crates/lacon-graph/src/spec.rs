//! The parts of a graph: nodes with declared reads and writes, edges, joins, bounded loops.

use std::{collections::HashMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{Pulse, Retry, State};

/// A node's index in its graph, in the order of declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

impl NodeId {
    /// The position in declaration order.
    pub fn index(self) -> usize {
        self.0
    }
}

/// When a node with several incoming edges starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Join {
    /// When every incoming edge was taken or ruled out, and at least one was taken.
    #[default]
    All,
    /// When the first incoming edge is taken; later arrivals are ignored.
    Any,
    /// When this many incoming edges were taken, or all were decided and at least one was taken.
    Quorum(usize),
    /// Like [`Join::All`], but at most this long after the first edge was taken.
    Deadline(Duration),
}

/// Input of a step.
#[derive(Debug)]
pub struct Context<S> {
    /// A snapshot of the state at the moment the node became ready.
    pub state: Arc<S>,
    /// The node's name.
    pub node: Arc<str>,
    /// Number of starts of the node, including this one.
    pub visit: u32,
    /// The instance of the node, for a node that fans out.
    pub item: Option<usize>,
    /// The answer of a person, if the node interrupted an earlier run.
    pub answer: Option<String>,
    /// Signs of life, for a node with an idle limit.
    pub pulse: Pulse,
}

/// Output of a step.
#[derive(Debug)]
pub struct Output<S: State> {
    /// New values for the declared fields.
    pub update: S::Update,
    /// The labeled route to take; `None` takes the edges without a label.
    pub route: Option<&'static str>,
}

impl<S: State> Output<S> {
    /// Creates an update that follows the unlabeled edges.
    pub fn update(update: S::Update) -> Self {
        Self { update, route: None }
    }

    /// Creates an update that follows the edges with this label, and those without one.
    pub fn route(update: S::Update, label: &'static str) -> Self {
        Self { update, route: Some(label) }
    }
}

/// Why a step returned no output.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    message: String,
    kind: StepErrorKind,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepErrorKind {
    Final,
    Transient,
    Interrupt,
}

impl StepError {
    /// Creates an error from a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: StepErrorKind::Final, source: None }
    }

    /// Stops the run until a person has answered; this is not an error of the step.
    ///
    /// Nodes running beside it finish first. A later run with the answer in
    /// [`Options::answers`](crate::Options::answers) starts the node again, with [`Context::answer`] set.
    pub fn interrupt(question: impl Into<String>) -> Self {
        Self { kind: StepErrorKind::Interrupt, ..Self::new(question) }
    }

    /// Returns the same error, marked as transient.
    #[must_use]
    pub fn transient(self) -> Self {
        Self { kind: StepErrorKind::Transient, ..self }
    }

    /// Returns whether a retry may succeed.
    pub fn is_transient(&self) -> bool {
        self.kind == StepErrorKind::Transient
    }

    /// Returns whether the step asks a person.
    pub fn is_interrupt(&self) -> bool {
        self.kind == StepErrorKind::Interrupt
    }

    /// Creates an error that keeps its cause.
    pub fn with_source(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { source: Some(source.into()), ..Self::new(message) }
    }
}

/// The future of a step. Dropping it stops the step; a step must leave nothing half done when dropped.
pub type StepFuture<'a, S> = Pin<Box<dyn Future<Output = Result<Output<S>, StepError>> + Send + 'a>>;

/// The work of a node.
///
/// `run` can be called several times (loops, retries) and from concurrent runs of one graph. The future can be dropped
/// at any await point.
pub trait Step<S: State>: Send + Sync {
    /// Does the work.
    fn run<'a>(&'a self, context: Context<S>) -> StepFuture<'a, S>;
}

struct FnStep<F>(F);

impl<S, F, R> Step<S> for FnStep<F>
where
    S: State,
    F: Fn(Context<S>) -> R + Send + Sync,
    R: Future<Output = Result<Output<S>, StepError>> + Send + 'static,
{
    fn run<'a>(&'a self, context: Context<S>) -> StepFuture<'a, S> {
        Box::pin((self.0)(context))
    }
}

/// Makes a step from an async closure.
pub fn step<S, F, R>(f: F) -> Arc<dyn Step<S>>
where
    S: State,
    F: Fn(Context<S>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Output<S>, StepError>> + Send + 'static,
{
    Arc::new(FnStep(f))
}

type Items<S> = Arc<dyn Fn(&S) -> usize + Send + Sync>;
type CacheKey<S> = Arc<dyn Fn(&S) -> Option<String> + Send + Sync>;
type Fallback<S> = Arc<dyn Fn(&StepError) -> <S as State>::Update + Send + Sync>;

/// One node; made by [`Builder::node`].
pub(crate) struct Node<S: State> {
    pub name: Arc<str>,
    pub step: Arc<dyn Step<S>>,
    pub reads: Vec<S::Field>,
    pub writes: Vec<S::Field>,
    pub join: Join,
    pub time_limit: Option<Duration>,
    pub idle_limit: Option<Duration>,
    pub retry: Option<Retry>,
    pub cache: Option<(Duration, CacheKey<S>)>,
    pub items: Option<Items<S>>,
    pub class: Option<&'static str>,
    pub expected: Option<Duration>,
    pub fallback: Option<Fallback<S>>,
    pub routes: Vec<&'static str>,
}

/// An edge between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub from: usize,
    pub to: usize,
    /// The route that the step must return; `None` for any.
    pub label: Option<&'static str>,
    /// The bound of a back edge: it starts its target again at most this many times.
    pub loop_bound: Option<u32>,
}

/// A checked, immutable graph. Cheap to clone; one graph serves many concurrent runs.
pub struct Graph<S: State> {
    pub(crate) inner: Arc<Inner<S>>,
}

impl<S: State> Clone for Graph<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S: State> fmt::Debug for Graph<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("nodes", &self.names().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

pub(crate) struct Inner<S: State> {
    pub nodes: Vec<Node<S>>,
    pub edges: Vec<Edge>,
    /// Outgoing and incoming edge indices by node.
    pub out: Vec<Vec<usize>>,
    pub into: Vec<Vec<usize>>,
    /// Topological rank, without loop edges.
    pub rank: Vec<u32>,
    /// For each edge, whether its source can run again after its target (both lie on one cycle).
    pub cyclic: Vec<bool>,
    /// Longest expected time from each node's start to the end of the graph, in microseconds.
    pub tail_us: Vec<u64>,
    /// The nodes that a run starts with.
    pub entries: Vec<usize>,
}

impl<S: State> Inner<S> {
    /// [`Inner::tail_us`] with learned durations instead of declared ones.
    pub(crate) fn tails(&self, learned: &[(String, Duration)]) -> Vec<u64> {
        let learned: HashMap<&str, Duration> = learned.iter().map(|(node, d)| (&**node, *d)).collect();
        let own = |i: usize| {
            let node = &self.nodes[i];
            let expected = learned.get(&*node.name).copied().or(node.expected);
            expected.map_or(0, |d| d.as_micros().try_into().unwrap_or(u64::MAX))
        };
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_unstable_by_key(|i| std::cmp::Reverse(self.rank[*i]));
        let mut tails = vec![0u64; self.nodes.len()];
        for i in order {
            let next = self.out[i].iter().map(|e| &self.edges[*e]).filter(|e| e.loop_bound.is_none());
            tails[i] = own(i).saturating_add(next.map(|e| tails[e.to]).max().unwrap_or(0));
        }
        tails
    }
}

impl<S: State> Graph<S> {
    /// Returns the node names in declaration order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inner.nodes.iter().map(|node| &*node.name)
    }

    /// Returns the number of nodes.
    pub fn len(&self) -> usize {
        self.inner.nodes.len()
    }

    /// Returns whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.inner.nodes.is_empty()
    }

    /// Returns the node of that name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.inner.nodes.iter().position(|node| &*node.name == name).map(NodeId)
    }

    /// Returns the names of the nodes that a node waits for, without loop edges.
    pub fn inputs(&self, node: NodeId) -> impl Iterator<Item = &str> {
        let inner = &self.inner;
        inner.into[node.0]
            .iter()
            .filter(|edge| inner.edges[**edge].loop_bound.is_none())
            .map(|edge| &*inner.nodes[inner.edges[*edge].from].name)
    }
}

/// Collects nodes and edges; [`Builder::build`] checks them all at once.
pub struct Builder<S: State> {
    pub(crate) nodes: Vec<Node<S>>,
    pub(crate) edges: Vec<(String, String, Option<&'static str>, Option<u32>)>,
    pub(crate) inputs: Vec<S::Field>,
    pub(crate) entries: Vec<String>,
}

impl<S: State> Default for Builder<S> {
    fn default() -> Self {
        Self { nodes: Vec::new(), edges: Vec::new(), inputs: Vec::new(), entries: Vec::new() }
    }
}

impl<S: State> Builder<S> {
    /// Creates an empty graph whose initial state already holds these fields.
    pub fn new(inputs: &[S::Field]) -> Self {
        Self { inputs: inputs.to_vec(), ..Self::default() }
    }

    /// Adds a node and returns its handle for further settings.
    pub fn node(&mut self, name: impl Into<Arc<str>>, step: Arc<dyn Step<S>>) -> NodeSettings<'_, S> {
        self.nodes.push(Node {
            name: name.into(),
            step,
            reads: Vec::new(),
            writes: Vec::new(),
            join: Join::All,
            time_limit: None,
            idle_limit: None,
            retry: None,
            cache: None,
            items: None,
            class: None,
            expected: None,
            fallback: None,
            routes: Vec::new(),
        });
        NodeSettings { node: self.nodes.last_mut().expect("a node was pushed on the line before") }
    }

    /// Declares an entry. A node that no entry leads to is a fault.
    pub fn entry(&mut self, name: &str) -> &mut Self {
        self.entries.push(name.into());
        self
    }

    /// Makes `to` wait for `from`.
    pub fn edge(&mut self, from: &str, to: &str) -> &mut Self {
        self.edges.push((from.into(), to.into(), None, None));
        self
    }

    /// Makes `to` wait for `from`, if the step of `from` returns the label.
    pub fn route(&mut self, from: &str, label: &'static str, to: &str) -> &mut Self {
        self.edges.push((from.into(), to.into(), Some(label), None));
        self
    }

    /// Adds a back edge: the label starts `to` again, at most `bound` times in a run.
    pub fn back(&mut self, from: &str, label: &'static str, to: &str, bound: u32) -> &mut Self {
        self.edges.push((from.into(), to.into(), Some(label), Some(bound)));
        self
    }
}

/// Settings of one node, as returned by [`Builder::node`].
pub struct NodeSettings<'a, S: State> {
    node: &'a mut Node<S>,
}

impl<S: State> NodeSettings<'_, S> {
    /// Declares the fields that the step reads.
    pub fn reads(self, fields: &[S::Field]) -> Self {
        self.node.reads.extend_from_slice(fields);
        self
    }

    /// Declares the fields that the step may write; writing another one fails the node.
    pub fn writes(self, fields: &[S::Field]) -> Self {
        self.node.writes.extend_from_slice(fields);
        self
    }

    /// Declares the routes that the step may return. Each needs an edge, and no edge may have another label.
    pub fn routes(self, labels: &[&'static str]) -> Self {
        self.node.routes.extend_from_slice(labels);
        self
    }

    /// Sets when the node starts; the default is [`Join::All`].
    pub fn join(self, join: Join) -> Self {
        self.node.join = join;
        self
    }

    /// Limits the time of one start of the step.
    pub fn time_limit(self, limit: Duration) -> Self {
        self.node.time_limit = Some(limit);
        self
    }

    /// Limits the silence of the step: it must call [`Pulse::beat`] at least this often.
    pub fn idle_limit(self, limit: Duration) -> Self {
        self.node.idle_limit = Some(limit);
        self
    }

    /// Retries after a transient error; a reached limit counts as one.
    pub fn retry(self, retry: Retry) -> Self {
        self.node.retry = Some(retry);
        self
    }

    /// Takes the output from [`Options::cache`](crate::Options::cache) if it holds one under this key, for the given
    /// time.
    ///
    /// The key must name everything that the output depends on; `None` bypasses the cache. A node with routes is never
    /// cached, because its route is part of its output.
    pub fn cache(
        self,
        time_to_live: Duration,
        key: impl Fn(&S) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.node.cache = Some((time_to_live, Arc::new(key)));
        self
    }

    /// Fans out: runs the step once per item, in parallel; [`Context::item`] is the item.
    ///
    /// The number is read when the node's inputs are ready, so it can depend on them. The node is finished when all its
    /// instances are; with none it is finished at once. Updates merge by the item's position, in whatever order the
    /// instances finish. Such a node has no routes.
    pub fn for_each(self, items: impl Fn(&S) -> usize + Send + Sync + 'static) -> Self {
        self.node.items = Some(Arc::new(items));
        self
    }

    /// Sets the concurrency class; [`Options::class_limits`](crate::Options) bounds how many nodes of it run at once.
    pub fn class(self, class: &'static str) -> Self {
        self.node.class = Some(class);
        self
    }

    /// Declares the usual duration of the step. Under limits, the node with the longest path to the end goes first.
    pub fn expected(self, duration: Duration) -> Self {
        self.node.expected = Some(duration);
        self
    }

    /// Isolates the branch: an error becomes this update, and the run goes on.
    pub fn fallback(self, f: impl Fn(&StepError) -> S::Update + Send + Sync + 'static) -> Self {
        self.node.fallback = Some(Arc::new(f));
        self
    }
}
