//! The run's own trace: one JSON object a line, with OpenTelemetry GenAI attribute names. Never any prompt text.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::{
    ledger::Facts,
    names,
    ops::OpFact,
    record::{Call, RunRecord},
};

/// Spans of our own work that are written out; the longest ones when there are more.
const MOST_OPS: usize = 2000;

/// The trace of a run: the run itself, then nodes, model calls with their phases, tool calls and our own work, each
/// under its parent.
pub fn trace_lines(run: &RunRecord, facts: &Facts, ops: &[OpFact]) -> Vec<String> {
    let trace_id = id(&run.run_id, "trace", 0, 32);
    let root = id(&run.run_id, "run", 0, 16);
    let mut lines =
        Vec::with_capacity(1 + facts.nodes.len() + 3 * facts.calls.len() + facts.tools.len() + ops.len());
    let mut push =
        |name: &str, span: &str, parent: Option<&str>, (start, end): (f64, f64), attributes: Attributes| {
            let line = Line {
                attributes,
                end_s: micros(end),
                name,
                parent_span_id: parent,
                span_id: span,
                start_s: micros(start),
                trace_id: &trace_id,
            };
            // A value of JSON types cannot fail to be written.
            lines.push(serde_json::to_string(&line).unwrap_or_default());
        };
    push(&format!("invoke_workflow {}", run.profile), &root, None, (0.0, run.wall_s), of_run(run));
    // A call belongs to the node that was open when it began and whose name holds the call's role.
    // Where one of its nodes ends as the next begins both are open: the later one is meant.
    let owner = |role: &str, start: f64| {
        facts
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, n)| n.start_s <= start + 1e-6 && start <= n.end_s + 1e-6)
            .filter(|(_, n)| n.node.strip_prefix(role).is_some_and(|r| r.is_empty() || r.starts_with('_')))
            .max_by(|a, b| a.1.start_s.total_cmp(&b.1.start_s))
            .map_or_else(|| root.clone(), |(i, _)| id(&run.run_id, "node", i, 16))
    };
    for (i, node) in facts.nodes.iter().enumerate() {
        let mut attributes = object([
            (names::OPERATION, json!("invoke_agent")),
            (names::AGENT, json!(node.node)),
            (names::CONVERSATION, json!(run.run_id)),
            ("lacon.inputs", json!(node.inputs)),
            ("lacon.visit", json!(node.visit)),
        ]);
        if let Some(error) = &node.error {
            attributes.put(names::ERROR_TYPE, json!(error));
        }
        push(
            &node.node,
            &id(&run.run_id, "node", i, 16),
            Some(&root),
            (node.start_s, node.end_s),
            attributes,
        );
    }
    let mut n_phases = 0;
    for (i, fact) in facts.calls.iter().enumerate() {
        let c = &fact.call;
        let span = id(&run.run_id, "call", i, 16);
        let parent = owner(&c.role, c.start_s);
        push(&format!("chat {}", c.model), &span, Some(&parent), (c.start_s, c.end_s), of_call(run, c));
        for (name, start, end, mut attributes) in phases(c, &fact.attempts) {
            n_phases += 1;
            attributes.put(names::KIND, json!("phase"));
            push(&name, &id(&run.run_id, "phase", n_phases, 16), Some(&span), (start, end), attributes);
        }
    }
    for (i, fact) in facts.tools.iter().enumerate() {
        let t = &fact.tool;
        let mut attributes = object([
            (names::OPERATION, json!("execute_tool")),
            (names::TOOL, json!(t.name)),
            (names::TOOL_TYPE, json!("function")),
            (names::AGENT, json!(t.role)),
            ("lacon.cache", json!(t.cache)),
            ("lacon.source", json!(t.source)),
            ("lacon.tokens", json!(t.tokens)),
        ]);
        attributes.put("lacon.status", json!(t.status));
        if t.status != "ok" && t.status != "no_data" {
            attributes.put(names::ERROR_TYPE, json!(t.status));
        }
        let parent = owner(&t.role, t.start_s);
        let span = id(&run.run_id, "tool", i, 16);
        push(&format!("execute_tool {}", t.name), &span, Some(&parent), (t.start_s, t.end_s), attributes);
    }
    let mut kept: Vec<&OpFact> = ops.iter().collect();
    if kept.len() > MOST_OPS {
        kept.sort_by_key(|o| std::cmp::Reverse(o.took));
        kept.truncate(MOST_OPS);
    }
    for (i, op) in kept.into_iter().enumerate() {
        let start = op.start.as_secs_f64();
        let attributes = object([(names::KIND, json!("own"))]);
        push(
            op.op,
            &id(&run.run_id, "op", i, 16),
            Some(&root),
            (start, start + op.took.as_secs_f64()),
            attributes,
        );
    }
    lines
}

fn of_run(run: &RunRecord) -> Attributes {
    let reports: Vec<Value> =
        run.reports.iter().map(|r| json!({"role": r.role, "words": r.words, "tokens": r.tokens})).collect();
    let mut map = object([
        (names::OPERATION, json!("invoke_workflow")),
        (names::WORKFLOW, json!(run.profile)),
        (names::CONVERSATION, json!(run.run_id)),
        ("lacon.ticker", json!(run.ticker)),
        ("lacon.date", json!(run.date)),
        ("lacon.profile", json!(run.profile)),
        ("lacon.started_at", json!(run.started_at)),
        ("lacon.status", json!(run.status)),
        ("lacon.simulated", json!(run.llm.simulated)),
        ("lacon.time_scale", json!(run.environment.time_scale)),
        ("lacon.decision", json!(run.decision.action)),
        ("lacon.reports", json!(reports)),
        ("lacon.reads", json!(run.reads)),
        ("lacon.grade", json!(run.grade)),
    ]);
    if run.status != "done" {
        map.put(names::ERROR_TYPE, json!(run.status));
    }
    map
}

fn of_call(run: &RunRecord, c: &Call) -> Attributes {
    let mut attributes = object([
        (names::OPERATION, json!("chat")),
        (names::PROVIDER, json!(run.llm.provider)),
        (names::REQUEST_MODEL, json!(c.model)),
        (names::RESPONSE_MODEL, json!(c.model)),
        (names::AGENT, json!(c.role)),
        (names::CONVERSATION, json!(run.run_id)),
        (names::STREAM, json!(c.first_token_s.is_some())),
        (names::INPUT_TOKENS, json!(c.prompt)),
        (names::CACHED_TOKENS, json!(c.cached)),
        (names::OUTPUT_TOKENS, json!(c.completion)),
        (names::REASONING_TOKENS, json!(c.reasoning)),
        (names::FINISH_REASONS, json!([c.finish_reason])),
        (names::FIRST_CHUNK, json!(c.first_token_s.map(|f| micros(f - c.start_s)))),
        ("lacon.turn", json!(c.turn)),
        ("lacon.attempts", json!(c.attempts)),
        ("lacon.hedged", json!(c.hedged)),
        ("lacon.queue_s", json!(micros(c.queue_s))),
        ("lacon.retry_s", json!(micros(c.retry_s))),
        ("lacon.first_token_s", json!(c.first_token_s)),
        ("lacon.prompt_digest", json!(c.prompt_digest)),
    ]);
    if c.status != "ok" {
        attributes.put(names::ERROR_TYPE, json!(c.status));
    }
    attributes.0.retain(|(_, v)| !v.is_null());
    attributes
}

/// What takes less is finding an unused connection.
const SHORTEST_CONNECT_S: f64 = 50e-6;

type Phase = (String, f64, f64, Attributes);

/// Queue, each try, and of the answer connecting, the wait for the first token, and the stream. A connection that was
/// found unused takes no time and has no span.
fn phases(c: &Call, attempts: &[crate::ledger::AttemptFact]) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    if c.queue_s > 1e-6 {
        phases.push(("queue".into(), c.start_s, c.start_s + c.queue_s, Attributes::default()));
    }
    if attempts.len() > 1 {
        for (i, a) in attempts.iter().enumerate() {
            let name = if a.hedge { format!("hedge {}", i + 1) } else { format!("attempt {}", i + 1) };
            let mut attributes =
                object([("lacon.outcome", json!(a.outcome)), ("http.response.status_code", json!(a.status))]);
            attributes.0.retain(|(_, v)| !v.is_null());
            phases.push((name, c.start_s + a.start_s, c.start_s + a.end_s, attributes));
        }
    }
    if let Some(first) = c.first_token_s.filter(|f| *f <= c.end_s) {
        let mut sent = c.start_s + c.queue_s + c.retry_s;
        let answered = attempts.iter().rev().find(|a| a.outcome == "answered");
        if let Some(connected) = answered.and_then(|a| a.connected_s).map(|s| c.start_s + s)
            && connected - sent > SHORTEST_CONNECT_S
            && connected <= first
        {
            phases.push(("connect".into(), sent, connected, Attributes::default()));
            sent = connected;
        }
        phases.push(("first token".into(), sent, first, Attributes::default()));
        phases.push(("stream".into(), first, c.end_s, Attributes::default()));
    }
    phases
}

fn object<const N: usize>(pairs: [(&'static str, Value); N]) -> Attributes {
    Attributes(pairs.into())
}

/// A span's attributes: few enough that looking one up is a walk, and written once.
#[derive(Default)]
struct Attributes(Vec<(&'static str, Value)>);

impl Attributes {
    fn put(&mut self, name: &'static str, value: Value) {
        self.0.push((name, value));
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// One line of the trace.
#[derive(Serialize)]
struct Line<'a> {
    attributes: Attributes,
    end_s: f64,
    name: &'a str,
    parent_span_id: Option<&'a str>,
    span_id: &'a str,
    start_s: f64,
    trace_id: &'a str,
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
