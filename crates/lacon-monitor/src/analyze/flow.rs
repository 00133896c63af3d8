//! The graph behind a trace: what each node waited for, the critical path, slack, barriers.
//!
//! If a trace names the inputs of its nodes, they are used. Otherwise a node is assumed to wait for the node that ended
//! last before it started, and for all that ran beside that one. Of these, nodes of another family (`news_tools` before
//! `market_agent`) are a barrier, not inputs, if a whole step of families follows a whole step of the same ones.

use std::collections::HashMap;

use serde::Serialize;

use super::walk::Walk;
use crate::trace::{Kind, Span, Trace};

/// Clocks and event loops blur times by this much.
const EPS_S: f64 = 1e-4;
/// More simultaneous predecessors than this are not told apart.
const MOST_WAITS: usize = 64;

/// The nodes of a trace and what each of them waited for.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Indices of the spans directly under the run, by start.
    pub units: Vec<usize>,
    /// For each of them the places (in `units`) of those that it waited for.
    pub waits: Vec<Vec<usize>>,
    /// The same without barriers.
    pub inputs: Vec<Vec<usize>>,
    /// Whether the trace named the inputs.
    pub known: bool,
    /// Leaf calls of each span, by start.
    leaves: HashMap<usize, Vec<usize>>,
    walk: Walk,
}

/// A stretch of a node on the path that decided the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The span: a node, or what a node left to do later.
    pub span: usize,
    /// Where it begins to decide.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Seconds since the step before, or since the start.
    pub gap_s: f64,
}

/// Where seconds went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Parts {
    /// Inside model calls.
    pub model_s: f64,
    /// Inside tool calls.
    pub tool_s: f64,
    /// Waiting for a place at the provider.
    pub queue_s: f64,
    /// Failed tries and the waits between tries.
    pub retry_s: f64,
    /// Inside a node, outside of calls.
    pub local_s: f64,
    /// Between nodes.
    pub gap_s: f64,
}

impl Parts {
    /// Adds another's seconds.
    pub fn add(&mut self, other: &Self) {
        self.model_s += other.model_s;
        self.tool_s += other.tool_s;
        self.queue_s += other.queue_s;
        self.retry_s += other.retry_s;
        self.local_s += other.local_s;
        self.gap_s += other.gap_s;
    }

    /// All seconds.
    pub fn sum(&self) -> f64 {
        self.model_s + self.tool_s + self.queue_s + self.retry_s + self.local_s + self.gap_s
    }
}

impl Flow {
    /// Finds out what each node waited for.
    pub fn of(trace: &Trace) -> Self {
        let units: Vec<usize> = (0..trace.spans.len()).filter(|i| trace.spans[*i].is_unit()).collect();
        let known = units.iter().any(|i| trace.spans[*i].inputs.as_ref().is_some_and(|l| !l.is_empty()));
        let mut flow = Self { units, known, walk: Walk::of(trace), ..Self::default() };
        let mut by_end: Vec<usize> = (0..flow.units.len()).collect();
        by_end.sort_by(|a, b| flow.span(trace, *a).end_s.total_cmp(&flow.span(trace, *b).end_s));
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for u in 0..flow.units.len() {
            by_name.entry(flow.span(trace, u).name.as_str()).or_default().push(u);
        }
        flow.waits = (0..flow.units.len())
            .map(|u| flow.named(trace, u, &by_name).unwrap_or_else(|| flow.inferred(trace, u, &by_end)))
            .collect();
        flow.inputs = flow.without_barriers(trace);
        for (i, span) in trace.spans.iter().enumerate() {
            if (span.is_call() || span.is_tool())
                && let Some(top) = top_of(trace, i)
                && top != i
            {
                flow.leaves.entry(top).or_default().push(i);
            }
        }
        flow
    }

    fn span<'a>(&self, trace: &'a Trace, u: usize) -> &'a Span {
        &trace.spans[self.units[u]]
    }

    /// The last visit of each named input that ended before this one began.
    fn named(&self, trace: &Trace, u: usize, by_name: &HashMap<&str, Vec<usize>>) -> Option<Vec<usize>> {
        let span = self.span(trace, u);
        let names = span.inputs.as_ref()?;
        let found: Vec<usize> = names
            .iter()
            .filter_map(|name| {
                // Units are in order of start: the last one of the name that ended in time.
                let visits = by_name.get(name.as_str())?;
                let before = visits.partition_point(|v| *v < u);
                let in_time = |v: &&usize| self.span(trace, **v).end_s <= span.start_s + 0.01;
                visits[..before].iter().rev().find(in_time).copied()
            })
            .collect();
        (!found.is_empty() || names.is_empty()).then_some(found)
    }

    /// Only nodes that began earlier, or stand earlier: of two that began and ended in the same instant each would
    /// otherwise wait for the other.
    fn inferred(&self, trace: &Trace, u: usize, by_end: &[usize]) -> Vec<usize> {
        let start = self.span(trace, u).start_s + EPS_S;
        let n_before = by_end.partition_point(|v| self.span(trace, *v).end_s <= start);
        let Some(last) = by_end[..n_before].iter().rev().copied().find(|v| *v < u) else {
            return Vec::new();
        };
        let since = self.span(trace, last).start_s;
        by_end[..n_before]
            .iter()
            .rev()
            .copied()
            .filter(|v| *v < u)
            .take_while(|v| self.span(trace, *v).end_s > since + EPS_S || *v == last)
            .take(MOST_WAITS)
            .collect()
    }

    fn without_barriers(&self, trace: &Trace) -> Vec<Vec<usize>> {
        let mut inputs = self.waits.clone();
        let mut steps: HashMap<Vec<usize>, Vec<usize>> = HashMap::new();
        for (u, waits) in self.waits.iter().enumerate().filter(|(_, w)| w.len() >= 2) {
            let mut key = waits.clone();
            key.sort_unstable();
            steps.entry(key).or_default().push(u);
        }
        for (before, after) in &steps {
            let matches: Vec<(usize, usize)> = after
                .iter()
                .filter_map(|u| {
                    let family = family(&self.span(trace, *u).name);
                    let mut own = before
                        .iter()
                        .filter(|v| family == crate::analyze::flow::family(&self.span(trace, **v).name));
                    let first = own.next()?;
                    own.next().is_none().then_some((*u, *first))
                })
                .collect();
            let mut partners: Vec<usize> = matches.iter().map(|(_, v)| *v).collect();
            partners.sort_unstable();
            partners.dedup();
            if partners.len() >= 2 && partners.len() == matches.len() {
                for (u, v) in matches {
                    inputs[u] = vec![v];
                }
            }
        }
        inputs
    }

    /// The path that decided the time, first to last: along the inputs where the trace names them, else along the times.
    pub fn path(&self, trace: &Trace) -> Vec<Step> {
        let mut stretches: Vec<(usize, f64, f64)> = if self.known {
            let mut limit = f64::INFINITY;
            let places = self.named_path(trace).into_iter().map(|u| {
                let span = self.span(trace, u);
                let to = span.end_s.min(limit);
                limit = span.start_s.min(to);
                (self.units[u], span.start_s.min(to), to)
            });
            places.collect()
        } else {
            let path = self.walk.path(trace, None, 0.0, trace.wall_s);
            path.into_iter().filter_map(|s| Some((self.walk.stands_for(s.span?), s.from, s.to))).collect()
        };
        stretches.reverse();
        let mut last = 0.0;
        let step = |(span, from, to): (usize, f64, f64)| {
            let from = from.max(last);
            let to = to.max(from);
            let gap_s = from - last;
            last = to;
            Step { span, from, to, gap_s }
        };
        stretches.into_iter().map(step).collect()
    }

    /// The chain of named inputs that ended last: places in `units`, last to first.
    fn named_path(&self, trace: &Trace) -> Vec<usize> {
        let mut path = Vec::new();
        let mut at = (0..self.units.len()).max_by(|a, b| {
            let (a, b) = (self.span(trace, *a), self.span(trace, *b));
            // Of equal ends the later start is the one that the others led to.
            a.end_s.total_cmp(&b.end_s).then(a.start_s.total_cmp(&b.start_s))
        });
        while let Some(u) = at {
            path.push(u);
            if path.len() > self.units.len() {
                break;
            }
            at = self.waits[u]
                .iter()
                .copied()
                .max_by(|a, b| self.span(trace, *a).end_s.total_cmp(&self.span(trace, *b).end_s));
        }
        path
    }

    /// A span's name for people: its node, and what it is inside of it.
    pub fn label(&self, trace: &Trace, i: usize) -> String {
        match top_of(trace, i) {
            Some(top) if top != i => format!("{} › {}", trace.spans[top].label(), trace.spans[i].name),
            _ => trace.spans[i].label(),
        }
    }

    /// The node that a span lies in.
    pub fn unit_of(&self, trace: &Trace, i: usize) -> Option<usize> {
        top_of(trace, i)
    }

    /// How much later each node could have ended without a later end of the run.
    pub fn slack(&self, trace: &Trace) -> Vec<f64> {
        let end = self.units.iter().map(|i| trace.spans[*i].end_s).fold(0.0, f64::max);
        let mut slack: Vec<f64> = self.units.iter().map(|i| (end - trace.spans[*i].end_s).max(0.0)).collect();
        let mut by_start: Vec<usize> = (0..self.units.len()).collect();
        by_start.sort_by(|a, b| self.span(trace, *b).start_s.total_cmp(&self.span(trace, *a).start_s));
        for u in by_start {
            let start = self.span(trace, u).start_s;
            // Its own gap after the last input stays: it is the executor's.
            let ready =
                self.waits[u].iter().map(|v| self.span(trace, *v).end_s).fold(f64::NEG_INFINITY, f64::max);
            for v in &self.waits[u] {
                let room = (ready.min(start) - self.span(trace, *v).end_s).max(0.0);
                slack[*v] = slack[*v].min(slack[u] + room);
            }
        }
        slack
    }

    /// Seconds that a node waited for nodes that are none of its inputs.
    pub fn barrier_wait(&self, trace: &Trace, u: usize) -> f64 {
        if self.inputs[u] == self.waits[u] {
            return 0.0;
        }
        let latest = |list: &[usize]| list.iter().map(|v| self.span(trace, *v).end_s).fold(0.0, f64::max);
        (latest(&self.waits[u]) - latest(&self.inputs[u])).max(0.0)
    }

    /// When each node would end if it waited for `waits` and kept its length and its gap after its last input.
    pub fn ends(&self, trace: &Trace, waits: &[Vec<usize>]) -> Vec<f64> {
        let mut ends = vec![0.0; self.units.len()];
        let latest =
            |list: &[usize], of: &dyn Fn(usize) -> f64| list.iter().map(|v| of(*v)).fold(0.0, f64::max);
        for u in 0..self.units.len() {
            let span = self.span(trace, u);
            let recorded = latest(&self.waits[u], &|v| self.span(trace, v).end_s);
            let gap = (span.start_s - recorded).max(0.0);
            let begin = latest(&waits[u], &|v| ends[v]) + gap;
            ends[u] = begin + span.seconds();
        }
        ends
    }

    /// The path that would decide the time without barriers, first to last; and what the barriers cost.
    pub fn path_without_barriers(&self, trace: &Trace) -> (Vec<Step>, f64) {
        if !self.known && self.inputs == self.waits {
            return (self.path(trace), 0.0);
        }
        let ends = self.ends(trace, &self.inputs);
        let own_gap = |u: usize| {
            let before = self.waits[u].iter().map(|v| self.span(trace, *v).end_s).fold(0.0, f64::max);
            (self.span(trace, u).start_s - before).max(0.0)
        };
        let mut path = Vec::new();
        let mut at = (0..self.units.len()).max_by(|a, b| ends[*a].total_cmp(&ends[*b]).then(a.cmp(b)));
        while let Some(u) = at {
            let span = self.span(trace, u);
            path.push(Step { span: self.units[u], from: span.start_s, to: span.end_s, gap_s: own_gap(u) });
            if path.len() > self.units.len() {
                break;
            }
            at = self.inputs[u].iter().copied().max_by(|a, b| ends[*a].total_cmp(&ends[*b]).then(a.cmp(b)));
        }
        path.reverse();
        let latest = |ends: &[f64]| ends.iter().copied().fold(0.0, f64::max);
        let with = latest(&self.ends(trace, &self.waits));
        (path, (with - latest(&ends)).max(0.0))
    }

    /// Model calls inside a node, by start.
    pub fn models_in<'a>(&'a self, trace: &'a Trace, i: usize) -> impl Iterator<Item = usize> + 'a {
        let own = (trace.spans[i].kind == Kind::Model).then_some(i);
        let inside = self.leaves.get(&i).into_iter().flatten().copied();
        own.into_iter().chain(inside.filter(|m| trace.spans[*m].kind == Kind::Model))
    }

    /// Tool calls inside a node, by start.
    pub fn tools_in<'a>(&'a self, trace: &'a Trace, i: usize) -> impl Iterator<Item = usize> + 'a {
        let own = (trace.spans[i].kind == Kind::Tool).then_some(i);
        let inside = self.leaves.get(&i).into_iter().flatten().copied();
        own.into_iter().chain(inside.filter(|m| trace.spans[*m].kind == Kind::Tool))
    }

    /// The calls of a node that decided its time: from the one that ended last back to the one that ended last
    /// before it began. First to last.
    pub fn chain(&self, trace: &Trace, i: usize) -> Vec<usize> {
        let mut calls: Vec<usize> = self.leaves.get(&i).cloned().unwrap_or_default();
        calls.sort_by(|a, b| trace.spans[*a].end_s.total_cmp(&trace.spans[*b].end_s));
        let mut chain = Vec::new();
        let mut limit = f64::INFINITY;
        for m in calls.into_iter().rev() {
            if trace.spans[m].end_s <= limit + EPS_S {
                limit = trace.spans[m].start_s;
                chain.push(m);
            }
        }
        chain.reverse();
        chain
    }

    /// Where a node's seconds went.
    pub fn parts(&self, trace: &Trace, i: usize) -> Parts {
        let span = &trace.spans[i];
        self.walk.parts(trace, i, span.start_s, span.end_s)
    }

    /// Where the seconds of a step went.
    pub fn parts_of(&self, trace: &Trace, step: &Step) -> Parts {
        self.walk.parts(trace, step.span, step.from, step.to)
    }

    /// The outermost span that encloses a span in time: its node, or itself where the node had ended before.
    pub fn top_in_time(&self, trace: &Trace, i: usize) -> usize {
        self.walk.top(trace, i)
    }

    /// The seconds of a step by the call or tool that they belong to, in order of time; nothing where it is local code.
    pub fn by_call(&self, trace: &Trace, step: &Step) -> Vec<(Option<usize>, Parts)> {
        self.walk.by_call(trace, step.span, step.from, step.to)
    }

    /// The calls and tools that decided a step's time, by start.
    pub fn calls_of(&self, trace: &Trace, step: &Step) -> Vec<usize> {
        self.walk.calls(trace, step.span, step.from, step.to)
    }
}

/// Whether a node without spans inside is one of tools: by its name, or by tool answers that it gave.
pub fn is_tool_node(span: &Span) -> bool {
    span.kind == Kind::Tool
        || span.name.ends_with("_tools")
        || span.name.ends_with("tools")
        || span.attributes.get("n_with_data").and_then(serde_json::Value::as_u64).unwrap_or(0) > 0
            && span.hidden_calls == 0
}

/// The part of a name that nodes of one branch share.
pub fn family(name: &str) -> &str {
    let end = name.find(['_', '-', ' ', '.', ':']).unwrap_or(name.len());
    &name[..end]
}

fn top_of(trace: &Trace, i: usize) -> Option<usize> {
    let mut at = i;
    for _ in 0..256 {
        match trace.spans[at].parent {
            Some(parent) => at = parent,
            None => return Some(at),
        }
    }
    None
}
