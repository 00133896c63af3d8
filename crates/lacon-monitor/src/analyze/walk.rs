//! Gives every moment of a run to exactly one span: the path that decided its time, so that parts add up to the whole.
//!
//! The walk goes from the end back. At each moment it takes the span that ended there, or that ran through it; what no
//! span inside covers is the enclosing span's own time. A span is timed inside the nearest span that encloses it: one that
//! begins after its parent ended is not part of the parent's time.

use std::collections::HashMap;

use super::flow::{Parts, is_tool_node};
use crate::trace::{Kind, Span, Trace};

/// Moments closer than this are the same.
const EPS_S: f64 = 1e-4;
/// A span that ended this shortly before another began let it begin, even if a third one ran on.
const HANDOVER_S: f64 = 0.05;
/// So is what lies within this share of the run.
const HANDOVER: f64 = 1e-3;
/// A span may outlive the one around it by this, and by a tenth of its length, and still be timed inside it.
const OVER_S: f64 = 0.05;
/// Higher ancestors are not looked at.
const HIGHEST: usize = 256;

/// What a span's own time is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Own {
    #[default]
    Local,
    Model,
    Tool,
}

/// A stretch of a span on the path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// The span; of what no span inside covers nothing.
    pub span: Option<usize>,
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
}

/// Spans inside one span, in the orders in which the walk looks for them.
#[derive(Clone, Debug, Default)]
struct Inside {
    by_end: Vec<usize>,
    by_start: Vec<usize>,
    /// For each of `by_start` the latest end up to it.
    max_end: Vec<f64>,
}

/// The spans of a trace by the spans that enclose them.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    inside: HashMap<Option<usize>, Inside>,
    own: Vec<Own>,
    /// The span that stands for each echo.
    same_as: HashMap<usize, usize>,
}

impl Walk {
    /// Finds out what lies in what.
    pub fn of(trace: &Trace) -> Self {
        let mut lists: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
        for (i, span) in trace.spans.iter().enumerate() {
            if (span.is_work() || span.is_echo()) && span.seconds() > 1e-9 {
                lists.entry(enclosing(trace, i)).or_default().push(i);
            }
        }
        let spans = &trace.spans;
        let inside = lists.into_iter().map(|(key, list)| {
            let (mut by_end, mut by_start) = (list.clone(), list);
            let order = |a: &f64, b: &f64| a.total_cmp(b);
            by_end.sort_by(|a, b| {
                order(&spans[*a].end_s, &spans[*b].end_s).then(order(&spans[*a].start_s, &spans[*b].start_s))
            });
            by_start.sort_by(|a, b| order(&spans[*a].start_s, &spans[*b].start_s));
            let mut latest = f64::NEG_INFINITY;
            let max_end = by_start
                .iter()
                .map(|i| {
                    latest = latest.max(spans[*i].end_s);
                    latest
                })
                .collect();
            (key, Inside { by_end, by_start, max_end })
        });
        Self { inside: inside.collect(), own: owned(trace), same_as: echoes(trace) }
    }

    /// The path through what lies directly in a span, or in the run, from the end of the stretch back. The stretches
    /// cover it without a hole.
    pub fn path(&self, trace: &Trace, of: Option<usize>, from: f64, to: f64) -> Vec<Stretch> {
        let mut path = Vec::new();
        let mut at = to;
        let rest = |path: &mut Vec<Stretch>, from: f64, to: f64| {
            if to > from {
                path.push(Stretch { span: None, from, to });
            }
        };
        let Some(inside) = self.inside.get(&of) else {
            rest(&mut path, from, to);
            return path;
        };
        let spans = &trace.spans;
        let mut n = inside.by_end.len();
        while at > from + 1e-9 {
            while n > 0 {
                let span = &spans[inside.by_end[n - 1]];
                if span.end_s <= at + EPS_S && span.start_s < at - 1e-9 {
                    break;
                }
                n -= 1;
            }
            let ended = n.checked_sub(1).map(|n| inside.by_end[n]).filter(|i| spans[*i].end_s > from + 1e-9);
            let is_recent =
                ended.is_some_and(|i| spans[i].end_s >= at - HANDOVER_S.max(HANDOVER * trace.wall_s));
            let running = || {
                let k = inside.max_end.partition_point(|end| *end <= at + EPS_S);
                inside.by_start.get(k).copied().filter(|i| spans[*i].start_s < at - EPS_S)
            };
            let next = if is_recent { ended } else { running().or(ended) };
            let Some(i) = next else { break };
            let end = spans[i].end_s.min(at);
            rest(&mut path, end, at);
            let begin = spans[i].start_s.max(from);
            path.push(Stretch { span: Some(i), from: begin, to: end });
            at = begin;
        }
        rest(&mut path, from, at.max(from));
        path
    }

    /// Every stretch below a span between two moments, each given to the innermost span; in no order.
    pub fn stretches(&self, trace: &Trace, of: usize, from: f64, to: f64) -> Vec<Stretch> {
        let mut found = Vec::new();
        let mut open = vec![Stretch { span: Some(of), from, to }];
        while let Some(Stretch { span, from, to }) = open.pop() {
            for part in self.path(trace, span, from, to) {
                match part.span {
                    Some(_) => open.push(part),
                    None => found.push(Stretch { span, ..part }),
                }
            }
        }
        found
    }

    /// Where the seconds of a stretch of a span went.
    pub fn parts(&self, trace: &Trace, of: usize, from: f64, to: f64) -> Parts {
        let mut parts = Parts::default();
        for stretch in self.stretches(trace, of, from, to) {
            self.give(trace, stretch, &mut parts);
        }
        parts
    }

    fn give(&self, trace: &Trace, stretch: Stretch, parts: &mut Parts) {
        let Some(i) = stretch.span else { return };
        let seconds = stretch.to - stretch.from;
        match self.own.get(i).copied().unwrap_or_default() {
            Own::Local => parts.local_s += seconds,
            Own::Tool => parts.tool_s += seconds,
            Own::Model => call_parts(&trace.spans[i], stretch, parts),
        }
    }

    /// The same by call or tool, in order of time; a call that waits for a tool inside of it is one entry.
    pub fn by_call(&self, trace: &Trace, of: usize, from: f64, to: f64) -> Vec<(Option<usize>, Parts)> {
        let mut stretches = self.stretches(trace, of, from, to);
        stretches.sort_by(|a, b| a.from.total_cmp(&b.from));
        let mut found: Vec<(Option<usize>, Parts)> = Vec::new();
        let mut places: HashMap<usize, usize> = HashMap::new();
        for stretch in stretches {
            let owner = stretch.span.and_then(|i| self.owner(trace, i));
            let place = match owner.and_then(|i| places.get(&i).copied()) {
                Some(place) => place,
                None => {
                    if let Some(i) = owner {
                        places.insert(i, found.len());
                    }
                    found.push((owner, Parts::default()));
                    found.len() - 1
                }
            };
            self.give(trace, stretch, &mut found[place].1);
        }
        found
    }

    /// The span that counts: of an echo the one that stands for it.
    pub fn stands_for(&self, i: usize) -> usize {
        self.same_as.get(&i).copied().unwrap_or(i)
    }

    /// The outermost span that encloses a span in time.
    pub fn top(&self, trace: &Trace, i: usize) -> usize {
        let mut top = i;
        for _ in 0..HIGHEST {
            match enclosing(trace, top) {
                Some(above) => top = above,
                None => break,
            }
        }
        top
    }

    /// The call or tool that a span's own time belongs to.
    fn owner(&self, trace: &Trace, i: usize) -> Option<usize> {
        let mut at = Some(i);
        for _ in 0..HIGHEST {
            let i = at?;
            let stands =
                trace.spans[i].parent.is_none() && self.own.get(i).is_some_and(|own| *own != Own::Local);
            if trace.spans[i].is_call() || trace.spans[i].is_tool() || stands {
                return Some(self.stands_for(i));
            }
            at = trace.spans[i].parent;
        }
        None
    }

    /// The calls and tools that a stretch of a span lies in, by start.
    pub fn calls(&self, trace: &Trace, of: usize, from: f64, to: f64) -> Vec<usize> {
        let stretches = self.stretches(trace, of, from, to).into_iter();
        let mut found: Vec<usize> = stretches
            .filter_map(|s| self.owner(trace, s.span?))
            .filter(|i| matches!(trace.spans[*i].kind, Kind::Model | Kind::Tool))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Queue, failed tries and the call itself, as far as the stretch holds them.
fn call_parts(span: &Span, stretch: Stretch, parts: &mut Parts) {
    let seconds = |key: &str| span.attributes.get(key).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
    let queue = seconds("lacon.queue_s").clamp(0.0, span.seconds());
    let retry = seconds("lacon.retry_s").clamp(0.0, span.seconds() - queue);
    let within = |from: f64, to: f64| (stretch.to.min(to) - stretch.from.max(from)).max(0.0);
    let (asked, sent) = (span.start_s + queue, span.start_s + queue + retry);
    let (queue, retry) = (within(span.start_s, asked), within(asked, sent));
    parts.queue_s += queue;
    parts.retry_s += retry;
    parts.model_s += stretch.to - stretch.from - queue - retry;
}

/// The nearest span above that encloses a span in time; nothing where only the run does.
fn enclosing(trace: &Trace, i: usize) -> Option<usize> {
    let span = &trace.spans[i];
    let blur = OVER_S.min(span.seconds() / 10.0).max(0.002);
    let mut at = span.parent;
    for _ in 0..HIGHEST {
        let above = &trace.spans[at?];
        if (above.is_work() || above.is_echo())
            && span.start_s >= above.start_s - blur
            && span.end_s <= above.end_s + blur
        {
            return at;
        }
        at = above.parent;
    }
    None
}

/// Where the spans are that stand for echoes.
fn echoes(trace: &Trace) -> HashMap<usize, usize> {
    let wanted: Vec<(usize, &str)> =
        trace.spans.iter().enumerate().filter_map(|(i, s)| Some((i, s.same_as.as_deref()?))).collect();
    if wanted.is_empty() {
        return HashMap::new();
    }
    let places: HashMap<&str, usize> =
        trace.spans.iter().enumerate().map(|(i, s)| (s.id.as_str(), i)).collect();
    wanted.into_iter().filter_map(|(i, id)| Some((i, *places.get(id)?))).collect()
}

/// What the own time of each span is: a span without a word of its own belongs to the call or tool around it.
fn owned(trace: &Trace) -> Vec<Own> {
    let n = trace.spans.len();
    let mut holds_call = vec![false; n];
    for i in 0..n {
        if !trace.spans[i].is_call() && !trace.spans[i].is_tool() {
            continue;
        }
        let mut at = trace.spans[i].parent;
        while let Some(p) = at.filter(|p| !holds_call[*p]) {
            holds_call[p] = true;
            at = trace.spans[p].parent;
        }
    }
    let alone = |i: usize| {
        let span = &trace.spans[i];
        match span.kind {
            _ if span.is_call() => Some(Own::Model),
            _ if span.is_tool() => Some(Own::Tool),
            _ if span.parent.is_some() => None,
            _ if span.hidden_calls > 0 => Some(Own::Model),
            _ if is_tool_node(span) && !holds_call[i] => Some(Own::Tool),
            _ => Some(Own::Local),
        }
    };
    let mut own: Vec<Option<Own>> = (0..n).map(alone).collect();
    let mut chain = Vec::new();
    for i in 0..n {
        let mut at = Some(i);
        while let Some(j) = at.filter(|j| own[*j].is_none()) {
            // Marks the way, so that a circle ends.
            own[j] = Some(Own::Local);
            chain.push(j);
            at = trace.spans[j].parent;
        }
        let above = at.and_then(|j| own[j]);
        for j in chain.drain(..) {
            own[j] = above;
        }
    }
    own.into_iter().map(Option::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(kind: Kind, parent: Option<usize>, start_s: f64, end_s: f64) -> Span {
        Span { kind, parent, start_s, end_s, ended: true, ..Span::default() }
    }

    /// Each run with the seconds of model, tools, local code and gaps on its path.
    #[test]
    fn every_moment_belongs_to_one_span() {
        use Kind::{Model, Node, Other, Tool};
        let check = |spans: Vec<Span>, wall_s: f64, expected: [f64; 4]| {
            let trace = Trace { spans, wall_s, ..Trace::default() };
            let walk = Walk::of(&trace);
            let mut parts = Parts::default();
            for stretch in walk.path(&trace, None, 0.0, wall_s) {
                match stretch.span {
                    Some(i) => parts.add(&walk.parts(&trace, i, stretch.from, stretch.to)),
                    None => parts.gap_s += stretch.to - stretch.from,
                }
            }
            let found = [parts.model_s, parts.tool_s, parts.local_s, parts.gap_s];
            let same = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(same, "{found:?}, expected {expected:?}");
        };
        // A tool inside of a call's span.
        check(vec![span(Model, None, 0.0, 3.0), span(Tool, Some(0), 2.0, 3.0)], 3.0, [2.0, 1.0, 0.0, 0.0]);
        // Nodes that overlap.
        check(vec![span(Node, None, 0.0, 5.0), span(Model, None, 4.0, 9.0)], 9.0, [5.0, 0.0, 4.0, 0.0]);
        // A call that begins after the node that started it ended.
        check(
            vec![span(Node, None, 0.0, 4.0), span(Model, Some(0), 1.0, 4.0), span(Model, Some(0), 5.0, 9.0)],
            10.0,
            [7.0, 0.0, 1.0, 2.0],
        );
        // A plain span inside of a tool is the tool's time, a call inside of it is a call's.
        check(
            vec![span(Tool, None, 0.0, 8.0), span(Other, Some(0), 1.0, 7.0), span(Model, Some(1), 2.0, 6.0)],
            8.0,
            [4.0, 4.0, 0.0, 0.0],
        );
        check(vec![], 2.0, [0.0, 0.0, 0.0, 2.0]);
    }
}
