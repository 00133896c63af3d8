//! The run's trace: one JSON object per line, with OpenTelemetry GenAI attribute names. It never holds prompt text.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use crate::{
    ledger::{Facts, NodeFact},
    names,
    ops::OpFact,
    record::{Call, Grade, Labels, Read, RunRecord, Tokens, ToolCall},
};

/// Spans of our own work that are written out; the longest ones when there are more.
const MOST_OPS: usize = 2000;

/// The trace of a run: the run itself, then nodes, model calls with their phases, tool calls and our own work, each
/// under its parent. One JSON object a line; `O(facts × nodes)`.
pub fn trace_lines(run: &RunRecord, facts: &Facts, ops: &[OpFact]) -> String {
    let ids = Ids::new(&run.run_id);
    let trace_id = ids.of("trace", 0, 32);
    let root = ids.of("run", 0, 16);
    // A run of thirteen roles takes some 64 KiB.
    let mut out = String::with_capacity(80 << 10);
    let push = |out: &mut String, span: &Span<'_>, attributes: Attributes<'_>| {
        let line = Line {
            attributes,
            end_s: micros(span.end_s),
            name: span.name,
            parent_span_id: span.parent,
            span_id: span.id,
            start_s: micros(span.start_s),
            trace_id: &trace_id,
        };
        // A value of JSON types cannot fail to be written.
        out.push_str(&serde_json::to_string(&line).unwrap_or_default());
        out.push('\n');
    };
    let name = format!("invoke_workflow {}", run.profile);
    let whole = Span { name: &name, id: &root, parent: None, start_s: 0.0, end_s: run.wall_s };
    push(&mut out, &whole, of_run(run));
    let node_id = |node: Option<usize>| node.map_or_else(|| root.clone(), |i| ids.of("node", i, 16));
    for (i, node) in facts.nodes.iter().enumerate() {
        let id = node_id(Some(i));
        let (start_s, end_s) = (node.start_s, node.end_s);
        let span = Span { name: &node.node, id: &id, parent: Some(&root), start_s, end_s };
        push(&mut out, &span, of_node(run, node));
    }
    let mut n_phases = 0;
    for (i, fact) in facts.calls.iter().enumerate() {
        let c = &fact.call;
        let node = owner(facts, &c.role, c.start_s);
        let (id, parent, name) = (ids.of("call", i, 16), node_id(node), format!("chat {}", c.model));
        let (start_s, end_s) = (c.start_s, c.end_s);
        push(
            &mut out,
            &Span { name: &name, id: &id, parent: Some(&parent), start_s, end_s },
            of_call(run, c, &fact.tokens),
        );
        for (name, start_s, end_s, mut attributes) in phases(c, &fact.attempts) {
            attributes.put(names::KIND, json!("phase"));
            n_phases += 1;
            let phase = ids.of("phase", n_phases, 16);
            let span = Span { name: &name, id: &phase, parent: Some(&id), start_s, end_s };
            push(&mut out, &span, attributes);
        }
    }
    for (i, fact) in facts.tools.iter().enumerate() {
        let t = &fact.tool;
        let node = owner(facts, &t.role, t.start_s);
        let (id, parent) = (ids.of("tool", i, 16), node_id(node));
        let name = format!("execute_tool {}", t.name);
        let (start_s, end_s) = (t.start_s, t.end_s);
        push(&mut out, &Span { name: &name, id: &id, parent: Some(&parent), start_s, end_s }, of_tool(t));
    }
    let mut kept: Vec<&OpFact> = ops.iter().collect();
    if kept.len() > MOST_OPS {
        kept.sort_by_key(|o| std::cmp::Reverse(o.took));
        kept.truncate(MOST_OPS);
    }
    for (i, op) in kept.into_iter().enumerate() {
        let id = ids.of("op", i, 16);
        let start_s = op.start.as_secs_f64();
        let end_s = start_s + op.took.as_secs_f64();
        let span = Span { name: op.op, id: &id, parent: Some(&root), start_s, end_s };
        push(&mut out, &span, object([(names::KIND, json!("own"))]));
    }
    out
}

/// The node that a call of this role belongs to: the one that was open when it began and whose name holds the role.
/// Where one of its nodes ends as the next begins both are open: the later one is meant.
fn owner(facts: &Facts, role: &str, start: f64) -> Option<usize> {
    let named = |node: &str| node.strip_prefix(role).is_some_and(|r| r.is_empty() || r.starts_with('_'));
    let open = facts
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, n)| n.start_s <= start + 1e-6 && start <= n.end_s + 1e-6 && named(&n.node));
    open.max_by(|a, b| a.1.start_s.total_cmp(&b.1.start_s)).map(|(i, _)| i)
}

fn of_node(run: &RunRecord, node: &NodeFact) -> Attributes<'static> {
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
    attributes
}

fn of_tool(t: &ToolCall) -> Attributes<'static> {
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
    attributes
}

fn of_run(run: &RunRecord) -> Attributes<'_> {
    let reports = run.reports.iter().map(|r| Said { role: &r.role, words: r.words, tokens: r.tokens });
    let mut map = object([
        (names::OPERATION, json!("invoke_workflow")),
        (names::WORKFLOW, json!(run.profile)),
        (names::CONVERSATION, json!(run.run_id)),
        ("lacon.profile", json!(run.profile)),
        ("lacon.started_at", json!(run.started_at)),
        ("lacon.status", json!(run.status)),
        ("lacon.simulated", json!(run.llm.simulated)),
        ("lacon.time_scale", json!(run.environment.time_scale)),
        ("lacon.decision", json!(run.decision.action)),
    ]);
    map.labels = Some(&run.labels);
    map.rows.extend([
        ("lacon.reports", Attribute::Reports(reports.collect())),
        ("lacon.reads", Attribute::Reads(&run.reads)),
        ("lacon.grade", Attribute::Grade(&run.grade)),
    ]);
    if run.status != "done" {
        map.put(names::ERROR_TYPE, json!(run.status));
    }
    map
}

fn of_call(run: &RunRecord, c: &Call, tokens: &Tokens) -> Attributes<'static> {
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
        (names::CACHE_WRITE_TOKENS, json!(c.usage().written())),
        (names::CACHE_WRITE_1H_TOKENS, json!(c.cache_write_1h)),
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
    if c.prompt.is_none() && tokens.estimated > 0 {
        attributes.put(names::ESTIMATED_TOKENS, json!([tokens.prompt, tokens.completion]));
    }
    if c.status != "ok" {
        attributes.put(names::ERROR_TYPE, json!(c.status));
    }
    attributes.drop_nulls();
    attributes
}

/// What takes less is finding an unused connection.
const SHORTEST_CONNECT_S: f64 = 50e-6;

type Phase = (String, f64, f64, Attributes<'static>);

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
            attributes.drop_nulls();
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

fn object<const N: usize>(pairs: [(&'static str, Value); N]) -> Attributes<'static> {
    let rows = pairs.into_iter().map(|(name, value)| (name, Attribute::Value(value))).collect();
    Attributes { rows, labels: None }
}

/// A span's attributes: few enough that looking one up is a walk, and written once.
#[derive(Default)]
struct Attributes<'a> {
    rows: Vec<(&'static str, Attribute<'a>)>,
    labels: Option<&'a Labels>,
}

/// An attribute's value; long ones are lent by the record.
#[derive(Serialize)]
#[serde(untagged)]
enum Attribute<'a> {
    Value(Value),
    Reports(Vec<Said<'a>>),
    Reads(&'a [Read]),
    Grade(&'a Grade),
}

/// How much a role said.
#[derive(Serialize)]
struct Said<'a> {
    role: &'a str,
    words: u64,
    tokens: u64,
}

impl Attributes<'_> {
    fn put(&mut self, name: &'static str, value: Value) {
        self.rows.push((name, Attribute::Value(value)));
    }

    fn drop_nulls(&mut self) {
        self.rows.retain(|(_, attribute)| !matches!(attribute, Attribute::Value(Value::Null)));
    }
}

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.rows {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in self.labels.into_iter().flat_map(|labels| &labels.0) {
            map.serialize_entry(&format!("lacon.{name}"), value)?;
        }
        map.end()
    }
}

/// One line of the trace.
#[derive(Serialize)]
struct Line<'a> {
    attributes: Attributes<'a>,
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

/// Where a span is in the trace.
struct Span<'a> {
    name: &'a str,
    id: &'a str,
    parent: Option<&'a str>,
    start_s: f64,
    end_s: f64,
}

/// Hex identifiers that are the same for the same run, kind and index (FNV-1a, two lanes).
struct Ids([u64; 2]);

impl Ids {
    fn new(run: &str) -> Self {
        let lanes = [0xcbf2_9ce4_8422_2325, 0x6c62_272e_07bb_0142];
        Self(lanes.map(|basis| fold(fold(basis, run.as_bytes()), b"/")))
    }

    fn of(&self, kind: &str, index: usize, digits: usize) -> String {
        let tail = format!("{kind}/{index}");
        let [high, low] = self.0.map(|lane| fold(lane, tail.as_bytes()));
        let mut id = format!("{high:016x}{low:016x}");
        id.truncate(digits);
        id
    }
}

fn fold(lane: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(lane, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
