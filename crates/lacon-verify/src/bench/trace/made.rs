//! Generated traces of any size: rounds of the trading graph, each node with a call, its phases and a tool, in every
//! format.

use serde_json::{Value, json};

/// A form's name as a file and how it is written.
type Form = (&'static str, fn(&[Made]) -> String);

/// Every form that `lacon trace` reads.
pub const FORMS: &[Form] = &[
    ("own-lines.jsonl", own),
    ("otlp-document.json", otlp),
    ("otlp-lines.jsonl", otlp_lines),
    ("langsmith-list.json", langsmith_list),
    ("langsmith-lines.jsonl", langsmith_lines),
    ("langsmith-tree.json", langsmith_tree),
    ("langfuse-trace.json", langfuse),
];

#[derive(Clone, Copy, PartialEq)]
enum What {
    Run,
    Node,
    Call,
    Phase,
    Tool,
    Own,
}

/// One made span.
pub struct Made {
    id: u64,
    parent: Option<u64>,
    what: What,
    name: String,
    start: f64,
    end: f64,
    inputs: Vec<String>,
    prompt: u64,
    completion: u64,
    text: String,
}

const ROLES: [&str; 13] = [
    "market",
    "social",
    "news",
    "fundamentals",
    "bull",
    "bear",
    "judge",
    "plan",
    "risky",
    "safe",
    "neutral",
    "risk_manager",
    "trader",
];
const SINCE: f64 = 1_753_900_000.0;

/// About `n` spans: eight a node, nodes in rounds of thirteen, each after the one before.
pub fn spans(n: usize) -> Vec<Made> {
    let n_nodes = n / 8;
    let mut made: Vec<Made> = Vec::with_capacity(n_nodes * 8 + 1);
    let mut push = |parent: Option<u64>, what, name: String, start: f64, end: f64| {
        let id = made.len() as u64 + 1;
        made.push(Made {
            id,
            parent,
            what,
            name,
            start,
            end,
            inputs: Vec::new(),
            prompt: 0,
            completion: 0,
            text: String::new(),
        });
        (id, made.len() - 1)
    };
    let mut later: Vec<(usize, Vec<String>, u64, u64, String)> = Vec::new();
    let (run, _) = push(None, What::Run, "invoke_workflow lacon".into(), 0.0, n_nodes as f64 * 4.0);
    let mut before: Option<&str> = None;
    for i in 0..n_nodes {
        let (role, at) = (ROLES[i % ROLES.len()], i as f64 * 4.0);
        let (node, n) = push(Some(run), What::Node, role.into(), at, at + 3.9);
        later.push((n, before.map(Into::into).into_iter().collect(), 0, 0, String::new()));
        let (call, c) = push(Some(node), What::Call, "chat gpt-4o-mini".into(), at + 1.0, at + 3.8);
        let figure = i % 997;
        let text = format!(
            "Close of round {i} was {figure}.{:02} USD, {} % above the average of 50 days; RSI {}.4, volume {},{:03}. The plan keeps a stop at {}.5 and adds above {}.25.",
            i % 100,
            i % 17,
            i % 90,
            i % 900,
            i % 1000,
            figure + 3,
            figure + 11
        );
        later.push((c, Vec::new(), 900 + i as u64 % 700, 80 + i as u64 % 200, text));
        push(Some(call), What::Phase, "connect".into(), at + 1.0, at + 1.1);
        push(Some(call), What::Phase, "first token".into(), at + 1.1, at + 1.6);
        push(Some(call), What::Phase, "stream".into(), at + 1.6, at + 3.8);
        push(Some(node), What::Tool, "get_prices".into(), at + 0.1, at + 0.9);
        push(Some(run), What::Own, "digest".into(), at + 0.95, at + 0.96);
        push(Some(run), What::Own, "count prompt".into(), at + 0.96, at + 0.99);
        before = Some(role);
    }
    for (i, inputs, prompt, completion, text) in later {
        let span = &mut made[i];
        (span.inputs, span.prompt, span.completion, span.text) = (inputs, prompt, completion, text);
    }
    made
}

fn id(n: u64) -> String {
    format!("{n:016x}")
}

/// Attributes as our own traces and OTLP carry them.
fn attributes(span: &Made) -> Vec<(&'static str, Value)> {
    match span.what {
        What::Run => {
            vec![("gen_ai.operation.name", json!("invoke_workflow")), ("lacon.ticker", json!("CRCL"))]
        }
        What::Node => vec![
            ("gen_ai.operation.name", json!("invoke_agent")),
            ("gen_ai.agent.name", json!(span.name)),
            ("gen_ai.conversation.id", json!("bench")),
            ("lacon.inputs", json!(span.inputs)),
        ],
        What::Call => vec![
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.provider.name", json!("openai")),
            ("gen_ai.request.model", json!("gpt-4o-mini")),
            ("gen_ai.response.model", json!("gpt-4o-mini-2024-07-18")),
            ("gen_ai.usage.input_tokens", json!(span.prompt)),
            ("gen_ai.usage.output_tokens", json!(span.completion)),
            ("gen_ai.usage.cache_read.input_tokens", json!(span.prompt / 3)),
            ("gen_ai.usage.reasoning.output_tokens", json!(0)),
            ("gen_ai.response.finish_reasons", json!(["stop"])),
            ("lacon.queue_s", json!(0.0)),
            ("lacon.retry_s", json!(0.0)),
        ],
        What::Phase => vec![("lacon.kind", json!("phase"))],
        What::Tool => vec![
            ("gen_ai.operation.name", json!("execute_tool")),
            ("gen_ai.tool.name", json!(span.name)),
            ("gen_ai.tool.type", json!("function")),
            ("lacon.cache", json!("miss")),
            ("lacon.status", json!("ok")),
        ],
        What::Own => vec![("lacon.kind", json!("own"))],
    }
}

fn lines(values: impl Iterator<Item = Value>) -> String {
    let mut text = String::new();
    for value in values {
        text.push_str(&value.to_string());
        text.push('\n');
    }
    text
}

fn own(spans: &[Made]) -> String {
    lines(spans.iter().map(|s| {
        let map: serde_json::Map<String, Value> =
            attributes(s).into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        json!({ "attributes": map, "end_s": s.end, "name": s.name, "parent_span_id": s.parent.map(id), "span_id": id(s.id),
            "start_s": s.start, "trace_id": "5d1f8f1c37dd0f3c2f55f0f7c1c2a001" })
    }))
}

fn otlp_span(s: &Made) -> Value {
    let wrapped = |value: &Value| match value {
        Value::String(_) => json!({ "stringValue": value }),
        Value::Array(items) => {
            let values: Vec<Value> = items.iter().map(|v| json!({ "stringValue": v })).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Value::Number(n) if n.is_f64() => json!({ "doubleValue": n }),
        other => json!({ "intValue": other.to_string() }),
    };
    let mut pairs: Vec<Value> =
        attributes(s).iter().map(|(k, v)| json!({ "key": k, "value": wrapped(v) })).collect();
    if s.what == What::Call {
        let messages = |role: &str| {
            json!([{ "role": role, "parts": [{ "type": "text", "content": s.text }] }]).to_string()
        };
        pairs.push(json!({ "key": "gen_ai.input.messages", "value": { "stringValue": messages("user") } }));
        pairs.push(
            json!({ "key": "gen_ai.output.messages", "value": { "stringValue": messages("assistant") } }),
        );
    }
    let nanos = |at: f64| (((SINCE + at) * 1e6).round() as u64 * 1000).to_string();
    json!({ "traceId": "5d1f8f1c37dd0f3c2f55f0f7c1c2a001", "spanId": id(s.id), "parentSpanId": s.parent.map_or_else(String::new, id),
        "name": s.name, "kind": 1, "startTimeUnixNano": nanos(s.start), "endTimeUnixNano": nanos(s.end),
        "attributes": pairs, "status": {} })
}

fn otlp_document(spans: &[Value]) -> Value {
    json!({ "resourceSpans": [{ "resource": { "attributes": [] },
        "scopeSpans": [{ "scope": { "name": "lacon" }, "spans": spans }] }] })
}

fn otlp(spans: &[Made]) -> String {
    otlp_document(&spans.iter().map(otlp_span).collect::<Vec<_>>()).to_string()
}

/// As a collector's file exporter writes: a document of some hundred spans a line.
fn otlp_lines(spans: &[Made]) -> String {
    lines(spans.chunks(512).map(|some| otlp_document(&some.iter().map(otlp_span).collect::<Vec<_>>())))
}

fn stamp(at: f64) -> String {
    let micros = ((SINCE + at) * 1e6).round() as i64;
    jiff::Timestamp::from_microsecond(micros).map(|t| t.to_string()).unwrap_or_default()
}

fn uuid(n: u64) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

fn langsmith_run(s: &Made) -> Value {
    let kind = match s.what {
        What::Call => "llm",
        What::Tool => "tool",
        _ => "chain",
    };
    let (inputs, outputs) = match s.what {
        What::Call => (
            json!({ "messages": [[{ "type": "human", "content": s.text }]] }),
            json!({ "generations": [[{ "text": s.text, "message": { "type": "ai", "content": s.text,
                "usage_metadata": { "input_tokens": s.prompt, "output_tokens": s.completion,
                    "total_tokens": s.prompt + s.completion } } }]] }),
        ),
        What::Tool => (json!({ "input": "CRCL" }), json!({ "output": "Date,Close\n2025-07-30,181.64" })),
        What::Node => (json!({ "ticker": "CRCL" }), json!({})),
        _ => (json!({}), json!({})),
    };
    json!({ "id": uuid(s.id), "trace_id": uuid(1), "parent_run_id": s.parent.map(uuid), "name": s.name, "run_type": kind,
        "start_time": stamp(s.start), "end_time": stamp(s.end), "status": "success", "error": null,
        "extra": { "metadata": { "ls_model_name": (s.what == What::Call).then_some("gpt-4o-mini"),
            "langgraph_node": (s.what == What::Node).then_some(&s.name) } },
        "inputs": inputs, "outputs": outputs })
}

fn langsmith_list(spans: &[Made]) -> String {
    Value::Array(spans.iter().map(langsmith_run).collect()).to_string()
}

fn langsmith_lines(spans: &[Made]) -> String {
    lines(spans.iter().map(langsmith_run))
}

fn langsmith_tree(spans: &[Made]) -> String {
    // Children come after their parents: built from the end, each run is whole when it is put under its own.
    let mut children: Vec<Vec<Value>> = spans.iter().map(|_| Vec::new()).collect();
    let mut root = Value::Null;
    for s in spans.iter().rev() {
        let mut run = langsmith_run(s);
        let mut own = std::mem::take(&mut children[s.id as usize - 1]);
        own.reverse();
        run["child_runs"] = Value::Array(own);
        match s.parent {
            Some(parent) => children[parent as usize - 1].push(run),
            None => root = run,
        }
    }
    root.to_string()
}

fn langfuse(spans: &[Made]) -> String {
    let observations: Vec<Value> = spans
        .iter()
        .map(|s| {
            let kind = match s.what {
                What::Call => "GENERATION",
                What::Tool => "TOOL",
                _ => "SPAN",
            };
            let text = (!s.text.is_empty()).then_some(&s.text);
            let mut observation = json!({ "id": id(s.id), "traceId": "bench", "parentObservationId": s.parent.map(id), "type": kind,
                "name": s.name, "startTime": stamp(s.start), "endTime": stamp(s.end), "level": "DEFAULT",
                "input": text.map(|t| json!([{ "role": "user", "content": t }])),
                "output": text.map(|t| json!({ "role": "assistant", "content": t })) });
            if s.what == What::Call {
                observation["model"] = json!("gpt-4o-mini");
                observation["usageDetails"] = json!({ "input": s.prompt, "output": s.completion,
                    "total": s.prompt + s.completion });
            }
            observation
        })
        .collect();
    json!({ "id": "bench", "name": "trading", "input": { "ticker": "CRCL" }, "observations": observations })
        .to_string()
}
