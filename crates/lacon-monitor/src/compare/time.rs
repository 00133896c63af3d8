//! The added time, divided along the chain of nodes that decided it.

use std::collections::HashMap;

use serde::Serialize;

use crate::{
    analyze::{Flow, Parts, flow::family, gathered_at},
    trace::{Kind, Trace},
};

/// What time can be spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeCause {
    /// The model: tokens a second and first token at equal length of answer.
    ModelSpeed,
    /// Longer or shorter answers at equal speed.
    OutputLength,
    /// Model calls whose answers' lengths are not known.
    ModelUnsplit,
    /// Tools.
    Tools,
    /// Waiting for a place, failed tries, waits between tries.
    Queue,
    /// Waiting for a whole step.
    Barrier,
    /// Our own work inside nodes.
    LocalCpu,
    /// Times between nodes.
    Gaps,
    /// Nodes that only one side has on its chain.
    Structure,
}

impl TimeCause {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::ModelSpeed,
        Self::OutputLength,
        Self::ModelUnsplit,
        Self::Tools,
        Self::Queue,
        Self::Barrier,
        Self::LocalCpu,
        Self::Gaps,
        Self::Structure,
    ];

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::ModelSpeed => "model speed (first token, tokens/s)",
            Self::OutputLength => "length of answers",
            Self::ModelUnsplit => "model calls of unknown length",
            Self::Tools => "tools",
            Self::Queue => "queue and retries",
            Self::Barrier => "barriers",
            Self::LocalCpu => "local code in nodes",
            Self::Gaps => "gaps between nodes",
            Self::Structure => "calls added or removed",
        }
    }
}

/// One node on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct NodeDelta {
    /// The node with its visit; `a → b` where the chain took another branch.
    pub node: String,
    /// Seconds in A.
    pub a_s: Option<f64>,
    /// Seconds in B.
    pub b_s: Option<f64>,
    /// Seconds that it adds to the run.
    pub delta_s: f64,
    /// Of these, model calls.
    pub model_s: f64,
    /// Of these, by speed at equal length.
    pub speed_s: Option<f64>,
    /// Of these, by length at equal speed.
    pub length_s: Option<f64>,
    /// Tokens of its answers in A.
    pub a_completion: Option<u64>,
    /// Tokens of its answers in B.
    pub b_completion: Option<u64>,
    /// Whether it begins after the data was gathered.
    pub decides: bool,
}

/// The added time by cause and by node; both add up to the difference.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TimeSplit {
    /// Seconds by cause; all causes are there.
    pub by_cause: Vec<(TimeCause, f64)>,
    /// Nodes on the chain.
    pub nodes: Vec<NodeDelta>,
    /// Added seconds of model calls in nodes that begin after the data was gathered.
    pub deciding_model_s: f64,
    /// The median of B's seconds per token over A's, of calls known on both sides.
    pub speed_ratio: Option<f64>,
    /// Calls behind that ratio.
    pub n_speeds: usize,
    /// The share of A's and of B's time that barriers cost.
    pub barrier_shares: (f64, f64),
}

impl TimeSplit {
    /// Seconds of one cause.
    pub fn of(&self, cause: TimeCause) -> f64 {
        self.by_cause.iter().find(|(c, _)| *c == cause).map_or(0.0, |(_, s)| *s)
    }
}

/// A node on a chain.
struct Step {
    label: String,
    parts: Parts,
    gap_s: f64,
    seconds: f64,
    first_token_s: Option<f64>,
    completion: Option<u64>,
    decides: bool,
}

fn chain(trace: &Trace, flow: &Flow) -> (Vec<Step>, f64, f64) {
    let since = gathered_at(trace, flow);
    let (path, barrier) = flow.path_without_barriers(trace);
    let steps: Vec<Step> = path
        .into_iter()
        .map(|step| {
            let i = step.span;
            let span = &trace.spans[i];
            let mut calls = flow.calls_of(trace, &step);
            calls.retain(|m| trace.spans[*m].kind == Kind::Model);
            let calls = if calls.is_empty() && span.hidden_calls > 0 { vec![i] } else { calls };
            let all = |get: &dyn Fn(usize) -> Option<f64>| calls.iter().map(|m| get(*m)).sum::<Option<f64>>();
            Step {
                label: flow.label(trace, i),
                parts: flow.parts_of(trace, &step),
                gap_s: step.gap_s,
                seconds: step.to - step.from,
                first_token_s: all(&|m| Some(trace.spans[m].first_token_s? - trace.spans[m].start_s)),
                completion: all(&|m| trace.spans[m].tokens.completion.filter(|c| *c > 0).map(|c| c as f64))
                    .map(|c| c as u64)
                    .filter(|c| *c > 0),
                decides: span.start_s + 1e-3 >= since,
            }
        })
        .collect();
    let on_path: f64 = steps.iter().map(|s| s.gap_s + s.seconds).sum();
    (steps, barrier, trace.wall_s - barrier - on_path)
}

/// The path as a row of calls and tools, however deep they lie; what runs between two of them belongs to the second.
fn chain_of_calls(trace: &Trace, flow: &Flow) -> (Vec<Step>, f64, f64) {
    let mut order: HashMap<usize, usize> = HashMap::new();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (i, span) in trace.spans.iter().enumerate() {
        if matches!(span.kind, Kind::Model | Kind::Tool) {
            let n = seen.entry(&span.name).or_default();
            *n += 1;
            order.insert(i, *n);
        }
    }
    let mut steps: Vec<Step> = Vec::new();
    let (mut gap_s, mut local) = (0.0, Parts::default());
    let mut last = 0.0;
    for step in flow.path(trace) {
        gap_s += step.gap_s;
        last = step.to;
        for (owner, parts) in flow.by_call(trace, &step) {
            let Some(i) = owner else {
                local.add(&parts);
                continue;
            };
            let span = &trace.spans[i];
            let mut parts = parts;
            parts.add(&std::mem::take(&mut local));
            let label = match order.get(&i) {
                Some(n) if *n > 1 => format!("{}#{n}", span.name),
                Some(_) => span.name.clone(),
                None => span.label(),
            };
            let is_call = span.kind != Kind::Tool;
            steps.push(Step {
                label,
                seconds: parts.sum(),
                parts,
                gap_s: std::mem::take(&mut gap_s),
                first_token_s: span.first_token_s.map(|f| f - span.start_s).filter(|_| is_call),
                completion: span.tokens.completion.filter(|c| is_call && *c > 0),
                decides: false,
            });
        }
    }
    if local.sum() > 0.0 {
        let label = "after the last call".to_owned();
        let seconds = local.sum();
        let gap_s = std::mem::take(&mut gap_s);
        steps.push(Step {
            label,
            parts: local,
            gap_s,
            seconds,
            first_token_s: None,
            completion: None,
            decides: false,
        });
    }
    (steps, 0.0, gap_s + trace.wall_s - last)
}

/// Splits the difference.
pub fn split(a: &Trace, b: &Trace, by_call: bool) -> TimeSplit {
    let (flow_a, flow_b) = (Flow::of(a), Flow::of(b));
    let chain = if by_call { chain_of_calls } else { chain };
    let (steps_a, barrier_a, tail_a) = chain(a, &flow_a);
    let (steps_b, barrier_b, tail_b) = chain(b, &flow_b);
    let mut sums: HashMap<TimeCause, f64> = HashMap::new();
    let mut split = TimeSplit::default();
    *sums.entry(TimeCause::Barrier).or_default() += barrier_b - barrier_a;
    *sums.entry(TimeCause::Gaps).or_default() += tail_b - tail_a;
    for (a, b) in align(&steps_a, &steps_b) {
        let pair = match (a, b) {
            (Some(a), Some(b)) => both(a, b, &mut sums),
            (Some(a), None) => {
                *sums.entry(TimeCause::Structure).or_default() -= a.gap_s + a.seconds;
                alone(a, -1.0)
            }
            (None, Some(b)) => {
                *sums.entry(TimeCause::Structure).or_default() += b.gap_s + b.seconds;
                alone(b, 1.0)
            }
            (None, None) => continue,
        };
        if pair.decides {
            split.deciding_model_s += pair.model_s;
        }
        split.nodes.push(pair);
    }
    split.by_cause = TimeCause::ALL.iter().map(|c| (*c, sums.get(c).copied().unwrap_or(0.0))).collect();
    let share = |barrier: f64, wall: f64| if wall > 0.0 { barrier / wall } else { 0.0 };
    split.barrier_shares = (share(barrier_a, a.wall_s), share(barrier_b, b.wall_s));
    (split.speed_ratio, split.n_speeds) = speeds(a, &flow_a, b, &flow_b);
    split.nodes.sort_by(|a, b| b.delta_s.abs().total_cmp(&a.delta_s.abs()));
    split
}

fn both(a: &Step, b: &Step, sums: &mut HashMap<TimeCause, f64>) -> NodeDelta {
    let mut add = |cause, seconds: f64| *sums.entry(cause).or_default() += seconds;
    let model_s = b.parts.model_s - a.parts.model_s;
    let mut speed_s = None;
    let mut length_s = None;
    match (a.completion, b.completion) {
        (Some(ca), Some(cb)) if a.parts.model_s > 0.0 && b.parts.model_s > 0.0 => {
            // T = f + c·s on both sides: Δ = Δf + mean(c)·Δs + mean(s)·Δc, exactly.
            let (fa, fb) = match (a.first_token_s, b.first_token_s) {
                (Some(fa), Some(fb)) => (fa.min(a.parts.model_s), fb.min(b.parts.model_s)),
                _ => (0.0, 0.0),
            };
            let (ca, cb) = (ca as f64, cb as f64);
            let (sa, sb) = ((a.parts.model_s - fa) / ca, (b.parts.model_s - fb) / cb);
            let speed = (fb - fa) + f64::midpoint(ca, cb) * (sb - sa);
            let length = f64::midpoint(sa, sb) * (cb - ca);
            add(TimeCause::ModelSpeed, speed);
            add(TimeCause::OutputLength, length);
            (speed_s, length_s) = (Some(speed), Some(length));
        }
        _ => add(TimeCause::ModelUnsplit, model_s),
    }
    add(TimeCause::Tools, b.parts.tool_s - a.parts.tool_s);
    add(TimeCause::Queue, b.parts.queue_s + b.parts.retry_s - a.parts.queue_s - a.parts.retry_s);
    add(TimeCause::LocalCpu, b.parts.local_s - a.parts.local_s);
    add(TimeCause::Gaps, b.gap_s - a.gap_s);
    // What a clipped part lost stays visible.
    let rest = (b.seconds - b.parts.sum()) - (a.seconds - a.parts.sum());
    add(TimeCause::LocalCpu, rest);
    NodeDelta {
        node: if a.label == b.label { b.label.clone() } else { format!("{} → {}", a.label, b.label) },
        a_s: Some(a.seconds),
        b_s: Some(b.seconds),
        delta_s: b.seconds + b.gap_s - a.seconds - a.gap_s,
        model_s,
        speed_s,
        length_s,
        a_completion: a.completion,
        b_completion: b.completion,
        decides: a.decides && b.decides,
    }
}

fn alone(step: &Step, sign: f64) -> NodeDelta {
    let seconds = Some(step.seconds);
    NodeDelta {
        node: step.label.clone(),
        a_s: if sign < 0.0 { seconds } else { None },
        b_s: if sign > 0.0 { seconds } else { None },
        delta_s: sign * (step.seconds + step.gap_s),
        model_s: sign * step.parts.model_s,
        speed_s: None,
        length_s: None,
        a_completion: step.completion.filter(|_| sign < 0.0),
        b_completion: step.completion.filter(|_| sign > 0.0),
        decides: step.decides,
    }
}

/// Of longer rows the steps are paired in order.
const MOST_PAIRS: usize = 1 << 22;

/// Pairs the steps of two chains: equal labels in order; between them, branches of the same rank.
fn align<'a>(a: &'a [Step], b: &'a [Step]) -> Vec<(Option<&'a Step>, Option<&'a Step>)> {
    let place: HashMap<&str, usize> = b.iter().enumerate().map(|(i, s)| (s.label.as_str(), i)).collect();
    let mut pairs = Vec::new();
    let (mut from_a, mut from_b) = (0, 0);
    let mut between = |to_a: usize, to_b: usize, from_a: usize, from_b: usize| {
        let (left, right) = (&a[from_a..to_a], &b[from_b..to_b]);
        if left.len() * right.len() > MOST_PAIRS {
            pairs.extend((0..left.len().max(right.len())).map(|i| (left.get(i), right.get(i))));
            return;
        }
        let mut taken = vec![false; right.len()];
        for step in left {
            // Another branch took its place when it does the same kind of work.
            let kind = |s: &Step| (s.parts.model_s > 0.0, s.parts.tool_s > 0.0);
            let partner = (0..right.len()).find(|i| {
                !taken[*i]
                    && kind(&right[*i]) == kind(step)
                    && family(&right[*i].label) != family(&step.label)
                    || !taken[*i] && right[*i].label == step.label
            });
            if let Some(i) = partner {
                taken[i] = true;
            }
            pairs.push((Some(step), partner.map(|i| &right[i])));
        }
        pairs.extend(right.iter().zip(&taken).filter(|(_, t)| !**t).map(|(s, _)| (None, Some(s))));
    };
    let mut anchors = Vec::new();
    let mut reached = 0;
    for (i, step) in a.iter().enumerate() {
        if let Some(j) = place.get(step.label.as_str()).copied().filter(|j| *j >= reached) {
            anchors.push((i, j));
            reached = j + 1;
        }
    }
    for (i, j) in anchors {
        between(i, j, from_a, from_b);
        between(i + 1, j + 1, i, j);
        (from_a, from_b) = (i + 1, j + 1);
    }
    between(a.len(), b.len(), from_a, from_b);
    pairs
}

/// The median ratio of seconds per token of calls that both sides have.
fn speeds(a: &Trace, flow_a: &Flow, b: &Trace, flow_b: &Flow) -> (Option<f64>, usize) {
    let per_token = |trace: &Trace, flow: &Flow| -> HashMap<String, f64> {
        let mut map = HashMap::new();
        for i in &flow.units {
            let span = &trace.spans[*i];
            let calls: Vec<usize> = flow.models_in(trace, *i).collect();
            let calls = if calls.is_empty() && span.hidden_calls > 0 { vec![*i] } else { calls };
            for (n, m) in calls.into_iter().enumerate() {
                let call = &trace.spans[m];
                if let Some(c) = call.tokens.completion.filter(|c| *c >= 20) {
                    map.insert(format!("{}/{n}", span.label()), call.seconds() / c as f64);
                }
            }
        }
        map
    };
    let (of_a, of_b) = (per_token(a, flow_a), per_token(b, flow_b));
    let mut ratios: Vec<f64> = of_a
        .iter()
        .filter_map(|(k, a)| Some(of_b.get(k)? / a))
        .filter(|r| r.is_finite() && *r > 0.0)
        .collect();
    ratios.sort_by(f64::total_cmp);
    (ratios.get(ratios.len() / 2).copied(), ratios.len())
}
