//! Compares two traces, or several per side: the causes of added time and missing tokens, and whether the pair can tell
//! them.
//!
//! The time is divided along the chain of nodes that decided it, node by node and visit by visit; the rows add up to
//! the difference. One pair cannot separate two things that changed together, and the comparison says so.

mod calls;
mod interval;
mod time;
mod tokens;
mod verdict;

use std::collections::BTreeMap;

use serde::Serialize;

pub use interval::{Interval, welch};
pub use time::{NodeDelta, TimeCause, TimeSplit};
pub use tokens::{TokenCause, TokenSplit, ToolChange};
pub use verdict::{Cause, CauseKind};

use crate::{
    analyze::{Analysis, GENERAL, Scorers, analyze},
    trace::Trace,
};

/// One side of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// The run whose nodes are compared: of several the one with the median time.
    pub title: String,
    /// How many traces there are.
    pub n: usize,
    /// Its seconds.
    pub wall_s: f64,
    /// Its tokens; absent where none are recorded.
    pub tokens: Option<u64>,
    /// Seconds of every trace.
    pub all_wall_s: Vec<f64>,
    /// Tokens of every trace.
    pub all_tokens: Vec<Option<u64>>,
    /// Models that are written in it.
    pub models: Vec<String>,
    /// The original Python system's grade, of a run of its graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grade: Option<&'static str>,
    /// The content-aware grade.
    pub content: String,
}

/// What a comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Version of this shape.
    pub schema_version: u32,
    /// The first side.
    pub a: Side,
    /// The second side.
    pub b: Side,
    /// Seconds of B less those of A.
    pub delta_s: f64,
    /// Tokens of B less those of A; absent where a side has none recorded.
    pub delta_tokens: Option<i64>,
    /// The added time by cause.
    pub time: TimeSplit,
    /// The added tokens by cause.
    pub tokens: TokenSplit,
    /// What changed, the most seconds first.
    pub causes: Vec<Cause>,
    /// Whether the sides were compared call by call, as runs of any kind are.
    pub by_call: bool,
    /// Whether the pair cannot tell its causes apart.
    pub confounded: bool,
    /// Why.
    pub confounded_by: Vec<String>,
    /// What to say about it, in sentences with figures.
    pub findings: Vec<String>,
    /// Interval of the difference in seconds; only with two or more traces a side.
    pub interval_s: Option<Interval>,
    /// Interval of the difference in tokens.
    pub interval_tokens: Option<Interval>,
    /// Each node's seconds with their interval, the largest difference first; only with two or more traces a side.
    pub nodes: Vec<NodeInterval>,
}

/// A node over all traces of both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeInterval {
    /// The node with its visit.
    pub node: String,
    /// Traces of A that have it.
    pub n_a: usize,
    /// Traces of B that have it.
    pub n_b: usize,
    /// Mean of its seconds in A.
    pub mean_a_s: f64,
    /// Mean of its seconds in B.
    pub mean_b_s: f64,
    /// Interval of the difference; absent where a side has it less than twice.
    pub interval_s: Option<Interval>,
}

/// Compares sides of one or more traces each.
///
/// # Errors
/// When a side has no trace.
pub fn compare(a: &[Trace], b: &[Trace], scorers: Scorers<'_>) -> Result<Comparison, String> {
    let (Some(trace_a), Some(trace_b)) = (median(a), median(b)) else {
        return Err("a side has no trace\nhint: give at least one file for each side".into());
    };
    let (analysis_a, analysis_b) = (analyze(trace_a, scorers), analyze(trace_b, scorers));
    // Reports, readers and gathering nodes are known of one graph. Any other run is a row of calls.
    let by_call = [&analysis_a, &analysis_b].iter().any(|analysis| analysis.content.scorer == GENERAL);
    let time = time::split(trace_a, trace_b, by_call);
    let tokens = if by_call { calls::split(trace_a, trace_b) } else { tokens::split(trace_a, trace_b) };
    let causes = verdict::causes(trace_a, trace_b, &time, &tokens, by_call);
    let confounded_by = verdict::confounded(&causes);
    let mut comparison = Comparison {
        schema_version: 1,
        a: side(a, trace_a, &analysis_a),
        b: side(b, trace_b, &analysis_b),
        delta_s: trace_b.wall_s - trace_a.wall_s,
        delta_tokens: signed(trace_b).zip(signed(trace_a)).map(|(b, a)| b - a),
        time,
        tokens,
        causes,
        by_call,
        confounded: !confounded_by.is_empty(),
        confounded_by,
        findings: Vec::new(),
        interval_s: None,
        interval_tokens: None,
        nodes: if a.len() > 1 && b.len() > 1 { node_intervals(a, b) } else { Vec::new() },
    };
    let numbers = |side: &[Trace], of: fn(&Trace) -> f64| side.iter().map(of).collect::<Vec<f64>>();
    comparison.interval_s = welch(&numbers(a, |t| t.wall_s), &numbers(b, |t| t.wall_s));
    let tokens_of =
        |side: &[Trace]| side.iter().filter_map(|t| Some(t.tokens.sum()? as f64)).collect::<Vec<f64>>();
    comparison.interval_tokens = welch(&tokens_of(a), &tokens_of(b));
    comparison.findings = verdict::findings(&comparison);
    Ok(comparison)
}

fn signed(trace: &Trace) -> Option<i64> {
    trace.tokens.sum().map(|tokens| tokens as i64)
}

/// Nodes over all traces, by name and visit.
fn node_intervals(a: &[Trace], b: &[Trace]) -> Vec<NodeInterval> {
    let mut seconds: BTreeMap<String, [Vec<f64>; 2]> = BTreeMap::new();
    for (side, traces) in [a, b].into_iter().enumerate() {
        for (_, node) in traces.iter().flat_map(Trace::nodes) {
            seconds.entry(node.label()).or_default()[side].push(node.seconds());
        }
    }
    let mean = |of: &[f64]| if of.is_empty() { 0.0 } else { of.iter().sum::<f64>() / of.len() as f64 };
    let mut nodes: Vec<NodeInterval> = seconds
        .into_iter()
        .map(|(node, [a, b])| NodeInterval {
            node,
            n_a: a.len(),
            n_b: b.len(),
            mean_a_s: mean(&a),
            mean_b_s: mean(&b),
            interval_s: welch(&a, &b),
        })
        .collect();
    let change = |n: &NodeInterval| (n.mean_b_s - n.mean_a_s).abs();
    nodes.sort_by(|x, y| change(y).total_cmp(&change(x)).then_with(|| x.node.cmp(&y.node)));
    nodes
}

/// The trace with the median time.
fn median(side: &[Trace]) -> Option<&Trace> {
    let mut order: Vec<&Trace> = side.iter().collect();
    order.sort_by(|a, b| a.wall_s.total_cmp(&b.wall_s));
    order.get(order.len().saturating_sub(1) / 2).copied()
}

fn side(all: &[Trace], of: &Trace, analysis: &Analysis) -> Side {
    Side {
        title: of.title(),
        n: all.len(),
        wall_s: of.wall_s,
        tokens: of.tokens.sum(),
        all_wall_s: all.iter().map(|t| t.wall_s).collect(),
        all_tokens: all.iter().map(|t| t.tokens.sum()).collect(),
        models: of.models(),
        grade: analysis.origin.applies.then_some(analysis.origin.quality_grade),
        content: analysis.content.letter.clone(),
    }
}
