//! The time breakdown of a run: every second of its wall time under one cause.
//!
//! The chain of model and tool calls that ends last is divided into model, tools, queue and retries. The time between
//! its calls is overhead, by operation. What nothing accounts for has its own row. The rows add up to the wall time
//! exactly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ledger::Facts, ops::OpFact};

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BookRow {
    /// `model`, `tools`, `queue`, `retries`, `own: WHAT`, `unattributed`.
    pub kind: String,
    /// Seconds.
    pub seconds: f64,
}

/// The books.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Books {
    /// The wall time that the rows add up to.
    pub wall_s: f64,
    /// The rows; `unattributed` is always there, as the last one.
    pub rows: Vec<BookRow>,
}

impl Books {
    /// Seconds of a kind.
    pub fn of(&self, kind: &str) -> f64 {
        self.rows.iter().filter(|r| r.kind == kind).map(|r| r.seconds).sum()
    }

    /// Seconds that were ours: everything outside of model, tools, queue and retries.
    pub fn own_s(&self) -> f64 {
        self.rows
            .iter()
            .filter(|r| !["model", "tools", "queue", "retries"].contains(&r.kind.as_str()))
            .map(|r| r.seconds)
            .sum()
    }

    /// How far the rows are from the wall time.
    pub fn imbalance_s(&self) -> f64 {
        (self.rows.iter().map(|r| r.seconds).sum::<f64>() - self.wall_s).abs()
    }
}

/// Makes the books of a run that took `wall_s`.
pub fn books(wall_s: f64, facts: &Facts, ops: &[OpFact]) -> Books {
    // (start, end, queue, retries, is a model call)
    let mut spans: Vec<(f64, f64, f64, f64, bool)> = facts
        .calls
        .iter()
        .map(|c| (c.call.start_s, c.call.end_s, c.call.queue_s, c.call.retry_s, true))
        .collect();
    spans.extend(facts.tools.iter().map(|t| (t.tool.start_s, t.tool.end_s, 0.0, 0.0, false)));
    spans.retain(|s| s.0 < wall_s && s.1 >= s.0);
    spans.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut model, mut tools, mut queue, mut retries) = (0.0, 0.0, 0.0, 0.0);
    let mut own: Vec<(f64, f64)> = Vec::new();
    let mut limit = wall_s;
    for (start, end, waits, tries, is_model) in spans.into_iter().rev() {
        if end > limit + 1e-6 {
            continue;
        }
        let (end, start) = (end.min(limit), start.max(0.0));
        own.push((end, limit));
        let seconds = (end - start).max(0.0);
        if is_model {
            let waits = waits.clamp(0.0, seconds);
            let tries = tries.clamp(0.0, seconds - waits);
            queue += waits;
            retries += tries;
            model += seconds - waits - tries;
        } else {
            tools += seconds;
        }
        limit = start.min(limit);
    }
    own.push((0.0, limit.max(0.0)));
    let mut rows: Vec<BookRow> = Vec::new();
    let mut add = |kind: &str, seconds: f64| match rows.iter_mut().find(|r| r.kind == kind) {
        Some(row) => row.seconds += seconds,
        None => rows.push(BookRow { kind: kind.to_owned(), seconds }),
    };
    for (kind, seconds) in [("model", model), ("tools", tools), ("queue", queue), ("retries", retries)] {
        add(kind, seconds);
    }
    let mut unattributed = 0.0;
    let mut timed: Vec<(f64, f64, &str)> =
        ops.iter().map(|o| (o.start.as_secs_f64(), (o.start + o.took).as_secs_f64(), o.op)).collect();
    // Of operations within each other the inner one is what was done: it begins later.
    timed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let nodes: Vec<(f64, f64)> = facts.nodes.iter().map(|n| (n.start_s, n.end_s)).collect();
    for (from, to) in own {
        let mut cuts: Vec<f64> = vec![from, to];
        let inside = |t: f64| t > from && t < to;
        cuts.extend(timed.iter().flat_map(|o| [o.0, o.1]).filter(|t| inside(*t)));
        cuts.extend(nodes.iter().flat_map(|n| [n.0, n.1]).filter(|t| inside(*t)));
        cuts.sort_by(f64::total_cmp);
        for pair in cuts.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            let middle = f64::midpoint(start, end);
            let op = timed.iter().rev().find(|o| o.0 <= middle && middle < o.1);
            match op {
                Some((.., name)) => add(&format!("own: {name}"), end - start),
                None if !nodes.iter().any(|n| n.0 <= middle && middle < n.1) => {
                    add("own: executor", end - start)
                }
                None => unattributed += end - start,
            }
        }
    }
    rows.retain(|r| r.seconds > 0.0 || ["model", "tools"].contains(&r.kind.as_str()));
    rows.push(BookRow { kind: "unattributed".into(), seconds: unattributed });
    Books { wall_s, rows }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        ledger::{CallFact, NodeFact, ToolFact},
        record::{Call, Tokens, ToolCall},
    };

    fn call(start_s: f64, end_s: f64, queue_s: f64) -> CallFact {
        CallFact {
            call: Call { start_s, end_s, queue_s, ..Call::default() },
            tokens: Tokens::default(),
            micro_usd: None,
            attempts: Vec::new(),
        }
    }

    fn op(op: &'static str, start: f64, took: f64) -> OpFact {
        OpFact { op, start: Duration::from_secs_f64(start), took: Duration::from_secs_f64(took) }
    }

    #[test]
    fn every_second_has_a_name() {
        let facts = Facts {
            calls: vec![call(1.0, 3.0, 0.5), call(1.0, 2.0, 0.0), call(3.5, 5.0, 0.0)],
            tools: vec![ToolFact { tool: ToolCall { start_s: 0.25, end_s: 0.75, ..ToolCall::default() } }],
            nodes: vec![NodeFact {
                node: "a".into(),
                visit: 1,
                start_s: 0.0,
                end_s: 5.5,
                inputs: vec![],
                error: None,
            }],
            ..Facts::default()
        };
        let ops = [op("count", 3.0, 0.3), op("digest", 3.1, 0.1), op("write", 5.5, 0.4)];
        let books = books(6.0, &facts, &ops);
        let of = |kind: &str| (books.of(kind) * 1e3).round() / 1e3;
        assert_eq!((of("model"), of("queue"), of("tools")), (3.0, 0.5, 0.5));
        assert_eq!(
            (of("own: count"), of("own: digest"), of("own: write"), of("own: executor")),
            (0.2, 0.1, 0.4, 0.1)
        );
        assert_eq!(of("unattributed"), 1.2);
        assert!(books.imbalance_s() < 1e-9);
        assert_eq!(books.rows.last().unwrap().kind, "unattributed");
    }

    proptest! {
        #[test]
        fn the_books_balance(
            calls in prop::collection::vec((0.0f64..10.0, 0.0f64..5.0, 0.0f64..1.0), 0..12),
            ops in prop::collection::vec((0.0f64..12.0, 0.0f64..2.0), 0..12),
            wall in 0.0f64..14.0,
        ) {
            let facts = Facts { calls: calls.into_iter().map(|(s, d, q)| call(s, s + d, q)).collect(), ..Facts::default() };
            let ops: Vec<OpFact> = ops.into_iter().map(|(s, d)| op("x", s, d)).collect();
            let books = books(wall, &facts, &ops);
            prop_assert!(books.imbalance_s() < 1e-6, "{books:?}");
            prop_assert!(books.rows.iter().all(|r| r.seconds >= -1e-9));
        }
    }
}
