//! Checks a graph before it may run and lists every fault at once.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{
    State,
    spec::{Builder, Edge, Graph, Inner},
};

/// One fault of a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Two nodes carry one name.
    #[error("node {0:?} is declared twice")]
    DuplicateNode(String),
    /// An edge or entry names a node that does not exist.
    #[error("{at} names node {name:?}, which is not declared")]
    UnknownNode {
        /// Where the name occurs.
        at: String,
        /// The name.
        name: String,
    },
    /// The graph declares no entry.
    #[error("the graph has no entry")]
    NoEntry,
    /// No path leads from an entry to the node.
    #[error("node {0:?} cannot be reached from an entry")]
    Unreachable(String),
    /// A cycle without a bounded back edge.
    #[error("cycle without a bound: {}", .0.join(" -> "))]
    UnboundedCycle(Vec<String>),
    /// A back edge with a bound of 0.
    #[error("the way back from {from:?} to {to:?} has bound 0, at least 1 is needed")]
    ZeroBound {
        /// Source.
        from: String,
        /// Target.
        to: String,
    },
    /// A back edge that closes no cycle.
    #[error("the way back from {from:?} to {to:?} closes no cycle: {to:?} does not lead to {from:?}")]
    BackEdgeForward {
        /// Source.
        from: String,
        /// Target.
        to: String,
    },
    /// A declared route without an edge, or an edge whose label is not a declared route.
    #[error("route {label:?} of node {node:?} {problem}")]
    Route {
        /// The node.
        node: String,
        /// The label.
        label: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A quorum larger than the number of incoming edges.
    #[error("node {node:?} waits for {wanted} of {available} inputs")]
    Quorum {
        /// The node.
        node: String,
        /// The quorum asked for.
        wanted: usize,
        /// How many edges come in.
        available: usize,
    },
    /// A field that a node reads and nobody writes.
    #[error("node {node:?} reads field {field:?}, which no node writes and which is not an input")]
    NeverWritten {
        /// The reader.
        node: String,
        /// The field.
        field: &'static str,
    },
    /// Two nodes that can run at the same time write a field that keeps only one value.
    #[error("nodes {first:?} and {second:?} may both write field {field:?} at once, which keeps one value")]
    ConcurrentWriters {
        /// One writer.
        first: String,
        /// The other writer.
        second: String,
        /// The field.
        field: &'static str,
    },
}

/// All faults of a graph; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the graph has {} fault(s)", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(f, "; {fault}"))
    }
}

impl std::error::Error for Faults {}

impl<S: State> Builder<S> {
    /// Checks the graph and freezes it.
    ///
    /// # Errors
    /// Every fault at once: duplicate or unknown names, cycles without a bound, unreachable nodes, a field read
    /// but never written, a last-wins field with two concurrent writers.
    pub fn build(self) -> Result<Graph<S>, Faults> {
        let names: HashMap<&str, usize> =
            self.nodes.iter().enumerate().map(|(i, node)| (&*node.name, i)).collect();
        check(&self, &names).map(|layout| Graph {
            inner: Arc::new(Inner {
                edges: layout.edges,
                out: layout.out,
                into: layout.into,
                rank: layout.rank,
                cyclic: layout.cyclic,
                tail_us: layout.tail_us,
                entries: layout.entries,
                nodes: self.nodes,
            }),
        })
    }
}

/// What the executor needs to know of a valid graph.
pub(crate) struct Layout {
    pub edges: Vec<Edge>,
    pub out: Vec<Vec<usize>>,
    pub into: Vec<Vec<usize>>,
    pub rank: Vec<u32>,
    pub cyclic: Vec<bool>,
    pub tail_us: Vec<u64>,
    pub entries: Vec<usize>,
}

pub(crate) fn check<S: State>(builder: &Builder<S>, names: &HashMap<&str, usize>) -> Result<Layout, Faults> {
    let n = builder.nodes.len();
    let name = |i: usize| builder.nodes[i].name.to_string();
    let mut faults = Vec::new();

    for (i, node) in builder.nodes.iter().enumerate() {
        if names[&*node.name] != i {
            faults.push(Fault::DuplicateNode(node.name.to_string()));
        }
    }
    let mut edges = Vec::new();
    for (from, to, label, loop_bound) in &builder.edges {
        let find = |wanted: &str, faults: &mut Vec<Fault>| {
            let found = names.get(wanted).copied();
            if found.is_none() {
                faults
                    .push(Fault::UnknownNode { at: format!("edge {from:?} -> {to:?}"), name: wanted.into() });
            }
            found
        };
        let (source, target) = (find(from, &mut faults), find(to, &mut faults));
        if *loop_bound == Some(0) {
            faults.push(Fault::ZeroBound { from: from.clone(), to: to.clone() });
        }
        if let (Some(source), Some(target)) = (source, target) {
            edges.push(Edge { from: source, to: target, label: *label, loop_bound: *loop_bound });
        }
    }
    let mut entries = Vec::new();
    for entry in &builder.entries {
        match names.get(entry.as_str()) {
            Some(i) => entries.push(*i),
            None => faults.push(Fault::UnknownNode { at: "entry".into(), name: entry.clone() }),
        }
    }
    if builder.entries.is_empty() {
        faults.push(Fault::NoEntry);
    }

    let (mut out, mut into) = (vec![Vec::new(); n], vec![Vec::new(); n]);
    for (i, edge) in edges.iter().enumerate() {
        out[edge.from].push(i);
        into[edge.to].push(i);
    }
    let forward = |i: usize| out[i].iter().map(|e| &edges[*e]).filter(|e| e.loop_bound.is_none());

    let seen = reach(n, &entries, |i| forward(i).map(|e| e.to));
    faults.extend((0..n).filter(|i| !seen[*i]).map(|i| Fault::Unreachable(name(i))));

    let order = topological(n, &edges, &out, &into);
    let mut rank = vec![0u32; n];
    for (position, node) in order.iter().enumerate() {
        rank[*node] = position as u32;
    }
    if order.len() < n {
        let mut left = vec![true; n];
        order.iter().for_each(|i| left[*i] = false);
        faults.push(Fault::UnboundedCycle(cycle_among(&left, &edges, &out).into_iter().map(name).collect()));
    }
    let mut cyclic = vec![false; edges.len()];
    for back in edges.iter().filter(|e| e.loop_bound.is_some()) {
        let body = reach(n, &[back.to], |i| forward(i).map(|e| e.to));
        if !body[back.from] {
            faults.push(Fault::BackEdgeForward { from: name(back.from), to: name(back.to) });
        }
        let leads_back = reach(n, &[back.from], |i| {
            into[i].iter().map(|e| &edges[*e]).filter(|e| e.loop_bound.is_none()).map(|e| e.from)
        });
        for (i, edge) in edges.iter().enumerate() {
            let inside = |node: usize| body[node] && leads_back[node];
            cyclic[i] |= inside(edge.from) && inside(edge.to);
        }
    }
    check_routes(builder, &edges, &out, &mut faults);
    check_quorums(builder, &edges, &into, &mut faults);
    check_fields(builder, &edges, &out, &mut faults);
    if !faults.is_empty() {
        return Err(Faults(faults));
    }

    let mut tail_us = vec![0u64; n];
    for &i in order.iter().rev() {
        let own = builder.nodes[i].expected.map_or(0, |d| d.as_micros() as u64);
        tail_us[i] = own + forward(i).map(|e| tail_us[e.to]).max().unwrap_or(0);
    }
    Ok(Layout { edges, out, into, rank, cyclic, tail_us, entries })
}

fn reach<I: Iterator<Item = usize>>(n: usize, from: &[usize], next: impl Fn(usize) -> I) -> Vec<bool> {
    let mut seen = vec![false; n];
    let mut work = from.to_vec();
    while let Some(i) = work.pop() {
        if !std::mem::replace(&mut seen[i], true) {
            work.extend(next(i));
        }
    }
    seen
}

/// Kahn's algorithm without back edges; shorter than `n` if there is a cycle.
fn topological(n: usize, edges: &[Edge], out: &[Vec<usize>], into: &[Vec<usize>]) -> Vec<usize> {
    let mut waiting: Vec<usize> =
        (0..n).map(|i| into[i].iter().filter(|e| edges[**e].loop_bound.is_none()).count()).collect();
    let mut order: Vec<usize> = (0..n).filter(|i| waiting[*i] == 0).collect();
    let mut at = 0;
    while at < order.len() {
        for edge in out[order[at]].iter().map(|e| &edges[*e]).filter(|e| e.loop_bound.is_none()) {
            waiting[edge.to] -= 1;
            if waiting[edge.to] == 0 {
                order.push(edge.to);
            }
        }
        at += 1;
    }
    order
}

/// Returns one cycle among the nodes left over by the topological sort.
fn cycle_among(left: &[bool], edges: &[Edge], out: &[Vec<usize>]) -> Vec<usize> {
    // Every left-over node has a left-over predecessor, but only those on a cycle or behind one; following
    // successors that still reach back is not needed: walking predecessors must repeat a node.
    let Some(start) = left.iter().position(|l| *l) else { return Vec::new() };
    let mut predecessor = vec![None; left.len()];
    for (i, targets) in out.iter().enumerate().filter(|(i, _)| left[*i]) {
        for edge in targets.iter().map(|e| &edges[*e]).filter(|e| e.loop_bound.is_none() && left[e.to]) {
            predecessor[edge.to] = Some(i);
        }
    }
    let mut path = vec![start];
    let mut at = start;
    while let Some(previous) = predecessor[at] {
        if let Some(position) = path.iter().position(|p| *p == previous) {
            let mut cycle = path.split_off(position);
            cycle.push(previous);
            cycle.reverse();
            return cycle;
        }
        path.push(previous);
        at = previous;
    }
    path
}

fn check_routes<S: State>(builder: &Builder<S>, edges: &[Edge], out: &[Vec<usize>], faults: &mut Vec<Fault>) {
    for (i, node) in builder.nodes.iter().enumerate() {
        let labels: Vec<&str> = out[i].iter().filter_map(|e| edges[*e].label).collect();
        if node.items.is_some() {
            faults.extend(node.routes.iter().map(|label| Fault::Route {
                node: node.name.to_string(),
                label: (*label).into(),
                problem: "stands on a node that runs once for each item",
            }));
        }
        let mut fault = |label: &str, problem| {
            faults.push(Fault::Route { node: node.name.to_string(), label: label.into(), problem });
        };
        for route in node.routes.iter().filter(|r| !labels.contains(r)) {
            fault(route, "has no edge");
        }
        for label in labels.iter().filter(|l| !node.routes.contains(l)) {
            fault(label, "stands on an edge but the node does not declare it");
        }
    }
}

fn check_quorums<S: State>(
    builder: &Builder<S>,
    edges: &[Edge],
    into: &[Vec<usize>],
    faults: &mut Vec<Fault>,
) {
    for (i, node) in builder.nodes.iter().enumerate() {
        let available = into[i].iter().filter(|e| edges[**e].loop_bound.is_none()).count();
        if let crate::Join::Quorum(wanted) = node.join
            && (wanted == 0 || wanted > available)
        {
            faults.push(Fault::Quorum { node: node.name.to_string(), wanted, available });
        }
    }
}

fn check_fields<S: State>(builder: &Builder<S>, edges: &[Edge], out: &[Vec<usize>], faults: &mut Vec<Fault>) {
    let n = builder.nodes.len();
    let targets =
        |i: usize| out[i].iter().map(|e| &edges[*e]).filter(|e| e.loop_bound.is_none()).map(|e| e.to);
    for node in &builder.nodes {
        for field in &node.reads {
            let written = builder.inputs.contains(field)
                || builder.nodes.iter().any(|other| other.writes.contains(field));
            if !written {
                faults.push(Fault::NeverWritten { node: node.name.to_string(), field: S::name(*field) });
            }
        }
    }
    for field in S::FIELDS.iter().filter(|f| !S::shared(**f)) {
        let writers: Vec<usize> = (0..n).filter(|i| builder.nodes[*i].writes.contains(field)).collect();
        if writers.len() < 2 {
            continue;
        }
        let after: Vec<Vec<bool>> = writers.iter().map(|w| reach(n, &[*w], targets)).collect();
        for a in 0..writers.len() {
            for b in a + 1..writers.len() {
                let (first, second) = (writers[a], writers[b]);
                let ordered = after[a][second] || after[b][first];
                if !ordered && !exclusive(n, edges, out, first, second) {
                    faults.push(Fault::ConcurrentWriters {
                        first: builder.nodes[first].name.to_string(),
                        second: builder.nodes[second].name.to_string(),
                        field: S::name(*field),
                    });
                }
            }
        }
    }
}

/// Returns whether two nodes lie behind different routes of one node, so that one run reaches only one of them.
fn exclusive(n: usize, edges: &[Edge], out: &[Vec<usize>], first: usize, second: usize) -> bool {
    let targets =
        |i: usize| out[i].iter().map(|e| &edges[*e]).filter(|e| e.loop_bound.is_none()).map(|e| e.to);
    (0..n).any(|router| {
        let labelled: Vec<&Edge> =
            out[router].iter().map(|e| &edges[*e]).filter(|e| e.label.is_some()).collect();
        let behind: Vec<Vec<bool>> = labelled.iter().map(|e| reach(n, &[e.to], targets)).collect();
        let only = |node: usize, other: usize| {
            let labels: Vec<_> =
                labelled.iter().zip(&behind).filter(|(_, b)| b[node]).map(|(e, _)| e.label).collect();
            let others: Vec<_> =
                labelled.iter().zip(&behind).filter(|(_, b)| b[other]).map(|(e, _)| e.label).collect();
            !labels.is_empty() && !others.is_empty() && labels.iter().all(|l| !others.contains(l))
        };
        only(first, second)
    })
}
