//! The run's own trace: one JSON object a line, with OpenTelemetry GenAI attribute names. Never any prompt text.

use serde_json::{Map, Value, json};

use crate::{ledger::Facts, names, record::RunRecord};

/// The trace of a run: the run itself, then nodes, model calls and tool calls, each under its parent.
pub fn trace_lines(run: &RunRecord, facts: &Facts) -> Vec<String> {
    let trace_id = id(&run.run_id, "trace", 0, 32);
    let root = id(&run.run_id, "run", 0, 16);
    let mut lines = Vec::with_capacity(1 + facts.nodes.len() + facts.calls.len() + facts.tools.len());
    let mut push = |name: &str,
                    span: &str,
                    parent: Option<&str>,
                    start: f64,
                    end: f64,
                    attributes: Map<String, Value>| {
        lines.push(
            json!({
                "trace_id": trace_id, "span_id": span, "parent_span_id": parent, "name": name,
                "start_s": micros(start), "end_s": micros(end), "attributes": attributes,
            })
            .to_string(),
        );
    };
    push(
        "invoke_workflow",
        &root,
        None,
        0.0,
        run.wall_s,
        object(&[
            (names::OPERATION, json!("invoke_workflow")),
            (names::CONVERSATION, json!(run.run_id)),
            ("lacon.ticker", json!(run.ticker)),
            ("lacon.profile", json!(run.profile)),
            ("lacon.started_at", json!(run.started_at)),
        ]),
    );
    // A call belongs to the node that was open when it began and whose name holds the call's role.
    let owner = |role: &str, start: f64| {
        facts
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, n)| n.start_s <= start + 1e-6 && start <= n.end_s + 1e-6)
            .find(|(_, n)| {
                n.node == role || n.node.strip_prefix(role).is_some_and(|rest| rest.starts_with('_'))
            })
            .map_or_else(|| root.clone(), |(i, _)| id(&run.run_id, "node", i, 16))
    };
    for (i, node) in facts.nodes.iter().enumerate() {
        let mut attributes = object(&[
            (names::OPERATION, json!("invoke_agent")),
            (names::AGENT, json!(node.node)),
            ("lacon.inputs", json!(node.inputs)),
            ("lacon.visit", json!(node.visit)),
        ]);
        if let Some(error) = &node.error {
            attributes.insert(names::ERROR_TYPE.into(), json!(error));
        }
        push(&node.node, &id(&run.run_id, "node", i, 16), Some(&root), node.start_s, node.end_s, attributes);
    }
    for (i, fact) in facts.calls.iter().enumerate() {
        let c = &fact.call;
        let mut attributes = object(&[
            (names::OPERATION, json!("chat")),
            (names::PROVIDER, json!(run.llm.provider)),
            (names::REQUEST_MODEL, json!(c.model)),
            (names::RESPONSE_MODEL, json!(c.model)),
            (names::AGENT, json!(c.role)),
            (names::INPUT_TOKENS, json!(c.prompt)),
            (names::CACHED_TOKENS, json!(c.cached)),
            (names::OUTPUT_TOKENS, json!(c.completion)),
            (names::FINISH_REASONS, json!([c.finish_reason])),
            ("lacon.turn", json!(c.turn)),
            ("lacon.attempts", json!(c.attempts)),
            ("lacon.first_token_s", json!(c.first_token_s)),
            ("lacon.prompt_digest", json!(c.prompt_digest)),
        ]);
        if c.status != "ok" {
            attributes.insert(names::ERROR_TYPE.into(), json!(c.status));
        }
        let parent = owner(&c.role, c.start_s);
        push(
            &format!("chat {}", c.model),
            &id(&run.run_id, "call", i, 16),
            Some(&parent),
            c.start_s,
            c.end_s,
            attributes,
        );
    }
    for (i, fact) in facts.tools.iter().enumerate() {
        let t = &fact.tool;
        let mut attributes = object(&[
            (names::OPERATION, json!("execute_tool")),
            (names::TOOL, json!(t.name)),
            (names::AGENT, json!(t.role)),
            ("lacon.cache", json!(t.cache)),
            ("lacon.source", json!(t.source)),
            ("lacon.tokens", json!(t.tokens)),
        ]);
        if t.status != "ok" {
            attributes.insert(names::ERROR_TYPE.into(), json!(t.status));
        }
        let parent = owner(&t.role, t.start_s);
        push(
            &format!("execute_tool {}", t.name),
            &id(&run.run_id, "tool", i, 16),
            Some(&parent),
            t.start_s,
            t.end_s,
            attributes,
        );
    }
    lines
}

fn object(pairs: &[(&str, Value)]) -> Map<String, Value> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
}

fn micros(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// A hex identifier that is the same for the same run, kind and index (FNV-1a, two lanes).
fn id(run: &str, kind: &str, index: usize, digits: usize) -> String {
    let lane = |basis: u64| {
        format!("{run}/{kind}/{index}")
            .bytes()
            .fold(basis, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    format!("{:016x}{:016x}", lane(0xcbf2_9ce4_8422_2325), lane(0x6c62_272e_07bb_0142))[..digits].to_owned()
}
