//! A trace that is written twice is, the second time, what one written at once would be.

use std::time::Duration;

use lacon_monitor::{
    OpFact, RunRecord,
    ledger::{CallFact, Facts, NodeFact, ToolFact},
    record::{Call, Tokens, ToolCall},
    spans::{TraceLines, trace_lines},
};
use proptest::prelude::*;

const ROLES: [&str; 3] = ["news", "bull", "trader"];

/// Facts from numbers: which kind, which role, when, how long.
fn facts(of: &[(u8, u8, u16, u16)]) -> (Facts, Vec<OpFact>) {
    let (mut facts, mut ops) = (Facts::default(), Vec::new());
    for &(kind, role, start, took) in of {
        let role = ROLES[usize::from(role) % ROLES.len()].to_owned();
        let (start_s, end_s) = (f64::from(start) / 1e3, f64::from(start) / 1e3 + f64::from(took) / 1e4);
        match kind % 4 {
            0 => facts.nodes.push(
                serde_json::from_value::<NodeFact>(serde_json::json!({
                    "node": if took % 2 == 0 { role.clone() } else { format!("{role}_tools") },
                    "visit": 1, "start_s": start_s, "end_s": end_s, "inputs": [], "error": null,
                }))
                .unwrap(),
            ),
            1 => {
                let call = Call {
                    role,
                    model: "m \"quoted\"".into(),
                    start_s,
                    end_s,
                    queue_s: f64::from(took % 3) / 1e3,
                    first_token_s: (took % 5 > 0).then_some((start_s + end_s) / 2.0),
                    status: if took % 7 == 0 { "timeout" } else { "ok" }.into(),
                    ..Call::default()
                };
                facts.calls.push(CallFact {
                    call,
                    tokens: Tokens::default(),
                    micro_usd: None,
                    attempts: Vec::new(),
                });
            }
            2 => {
                let tool = ToolCall { name: "t".into(), role, start_s, end_s, ..ToolCall::default() };
                facts.tools.push(ToolFact { tool });
            }
            _ => ops.push(OpFact {
                op: "record",
                start: Duration::from_millis(start.into()),
                took: Duration::from_micros(took.into()),
            }),
        }
    }
    (facts, ops)
}

fn record(id: &str) -> RunRecord {
    serde_json::from_value(serde_json::json!({
        "schema_version": 1, "run_id": id, "ticker": "CRCL", "date": "2025-07-30", "profile": "lacon",
        "started_at": "2025-07-30T00:00:00Z", "status": "done",
        "llm": {"provider": "p", "base_url": "", "quick_model": "q", "deep_model": "d", "simulated": true},
        "data": {"source": "none", "simulated": true},
        "decision": {"action": "HOLD", "confidence": null, "parsed": true, "source": null, "reasons": []},
        "wall_s": 1.0, "model_s": 1.0, "own_ms": 0.0, "first_request_ms": null, "peak_rss_mb": null,
        "tokens": {"prompt": 0, "cached": 0, "completion": 0, "reasoning": null, "total": 0, "estimated": 0},
        "cost_usd": null, "calls": [], "tools": [], "reports": [], "critical_path": [],
        "books": {"wall_s": 1.0, "rows": []}, "reads": [], "levers": {},
        "plan": {"digest": "", "segments": 0, "tokens_planned": 0, "tokens_sent": 0},
        "degraded": [], "grade": {"origin": "A+", "content": "A+", "content_points": 100.0, "reasons": []},
        "warnings": [], "environment": {"version": "0", "host_cpus": 1, "seed": 1, "time_scale": 1.0},
    }))
    .unwrap()
}

proptest! {
    #[test]
    fn twice_is_as_once(of in proptest::collection::vec(any::<(u8, u8, u16, u16)>(), 0..60), cut in 0.0..1.0f64) {
        let run = record("r1");
        let early = (of.len() as f64 * cut) as usize;
        let mut kept = TraceLines::default();
        let (before, ops_before) = facts(&of[..early]);
        prop_assert_eq!(kept.write(&run, &before, &ops_before), trace_lines(&run, &before, &ops_before));
        let (all, ops) = facts(&of);
        prop_assert_eq!(kept.write(&run, &all, &ops), trace_lines(&run, &all, &ops));
        // Other facts, another run.
        let (other, other_ops) = facts(&of[early..]);
        prop_assert_eq!(kept.write(&run, &other, &other_ops), trace_lines(&run, &other, &other_ops));
        let next = record("r2");
        prop_assert_eq!(kept.write(&next, &all, &ops), trace_lines(&next, &all, &ops));
    }
}
