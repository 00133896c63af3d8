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

use serde::Serialize;

pub use interval::{Interval, welch, wilson};
pub use time::{NodeDelta, TimeCause, TimeSplit};
pub use tokens::{TokenCause, TokenSplit, ToolChange};
pub use verdict::{Cause, CauseKind};

use crate::{
    analyze::{Analysis, analyze, is_trading},
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
    /// Its tokens; 0 where none are recorded.
    pub tokens: u64,
    /// Seconds of every trace.
    pub all_wall_s: Vec<f64>,
    /// Tokens of every trace.
    pub all_tokens: Vec<u64>,
    /// Models that are written in it.
    pub models: Vec<String>,
    /// The origin's grade, of a run of its graph.
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
    /// Tokens of B less those of A.
    pub delta_tokens: i64,
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
}

/// Compares sides of one or more traces each.
///
/// # Errors
/// When a side has no trace.
pub fn compare(a: &[Trace], b: &[Trace]) -> Result<Comparison, String> {
    let (Some(trace_a), Some(trace_b)) = (median(a), median(b)) else {
        return Err("a side has no trace\nhint: give at least one file for each side".into());
    };
    let (analysis_a, analysis_b) = (analyze(trace_a), analyze(trace_b));
    // Reports, readers and gathering nodes are known of one graph. Any other run is a row of calls.
    let by_call = !(is_trading(trace_a) && is_trading(trace_b));
    let time = time::split(trace_a, trace_b, by_call);
    let tokens = if by_call { calls::split(trace_a, trace_b) } else { tokens::split(trace_a, trace_b) };
    let causes = verdict::causes(trace_a, trace_b, &time, &tokens);
    let confounded_by = verdict::confounded(&causes);
    let mut comparison = Comparison {
        schema_version: 1,
        a: side(a, trace_a, &analysis_a),
        b: side(b, trace_b, &analysis_b),
        delta_s: trace_b.wall_s - trace_a.wall_s,
        delta_tokens: signed(trace_b.tokens.sum()) - signed(trace_a.tokens.sum()),
        time,
        tokens,
        causes,
        by_call,
        confounded: !confounded_by.is_empty(),
        confounded_by,
        findings: Vec::new(),
        interval_s: None,
        interval_tokens: None,
    };
    let numbers = |side: &[Trace], of: fn(&Trace) -> f64| side.iter().map(of).collect::<Vec<f64>>();
    comparison.interval_s = welch(&numbers(a, |t| t.wall_s), &numbers(b, |t| t.wall_s));
    let tokens_of = |t: &Trace| t.tokens.sum().unwrap_or(0) as f64;
    comparison.interval_tokens = welch(&numbers(a, tokens_of), &numbers(b, tokens_of));
    comparison.findings = verdict::findings(&comparison);
    Ok(comparison)
}

fn signed(tokens: Option<u64>) -> i64 {
    tokens.unwrap_or(0) as i64
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
        tokens: of.tokens.sum().unwrap_or(0),
        all_wall_s: all.iter().map(|t| t.wall_s).collect(),
        all_tokens: all.iter().map(|t| t.tokens.sum().unwrap_or(0)).collect(),
        models: of.models(),
        grade: analysis.origin.applies.then_some(analysis.origin.quality_grade),
        content: analysis.content.letter.clone(),
    }
}
