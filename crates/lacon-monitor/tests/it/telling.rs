//! Tells a true run in every form that is read.

use serde_json::{Map, Value, json};

/// Moments in microseconds since the run began.
pub type Micros = u64;

#[derive(Clone, Debug)]
pub struct Call {
    pub start: Micros,
    pub end: Micros,
    pub prompt: u64,
    pub cached: u64,
    pub completion: u64,
    /// Tools that run beside each other after it, by name.
    pub tools: Vec<(usize, Micros, Micros)>,
}

#[derive(Clone, Debug)]
pub struct Run {
    pub calls: Vec<Call>,
    pub end: Micros,
}

/// How it is told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Spans of one request inside of each other.
    pub nested: usize,
    /// Whether one more instrumentation tells of each request beside them.
    pub beside: bool,
    /// Whether the spans around each step are not in the file.
    pub missing: bool,
    /// Whether the agent's span says the sums of its calls, with a model.
    pub summed: bool,
    /// Whether requests and tools are served by another service, with its clock's offset in seconds.
    pub served: Option<i64>,
}

pub const TOOLS: [&str; 3] = ["search", "fetch_page", "run_sql"];
pub const MODEL: &str = "gpt-4o-mini-2024-07-18";
pub const BASE_S: u64 = 1_790_000_000;
/// How much a wrapper begins before and ends after what it is around.
pub const AROUND: Micros = 2_000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    Agent,
    Step,
    Call,
    Tool,
    Served,
}

/// A span of no form yet.
#[derive(Clone, Debug)]
pub struct Node {
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    pub what: What,
    pub start: Micros,
    pub end: Micros,
    pub tokens: Option<(u64, u64, u64)>,
    pub service: &'static str,
    pub scope: &'static str,
    /// Added to its times, in microseconds.
    pub skew: i64,
}

pub fn nodes(run: &Run, told: &Told) -> Vec<Node> {
    let mut all = Vec::new();
    let mut n = 0;
    let mut push = |all: &mut Vec<Node>,
                    parent: Option<&str>,
                    name: &str,
                    what: What,
                    at: (Micros, Micros),
                    tokens,
                    scope| {
        n += 1;
        let id = format!("{n:016x}");
        all.push(Node {
            id: id.clone(),
            parent: parent.map(Into::into),
            name: name.into(),
            what,
            start: at.0,
            end: at.1,
            tokens,
            service: "agent",
            scope,
            skew: 0,
        });
        id
    };
    let root = push(&mut all, None, "garden run", What::Agent, (0, run.end), None, "framework");
    // A second instrumentation that tells of the whole run in a tree of its own.
    let at = (1_000, run.end - 1_000);
    let other =
        told.beside.then(|| push(&mut all, Some(&root), "run.workflow", What::Step, at, None, "other"));
    for call in &run.calls {
        let last = call.tools.iter().map(|t| t.2).max().unwrap_or(call.end);
        let step = push(
            &mut all,
            Some(&root),
            "step",
            What::Step,
            (call.start - 5 * AROUND, last + 5 * AROUND),
            None,
            "framework",
        );
        let tokens = Some((call.prompt, call.cached, call.completion));
        let mut parent = step.clone();
        for depth in 0..told.nested {
            let around = (told.nested - 1 - depth) as u64 * AROUND;
            let (name, scope) =
                [("call_llm", "framework"), ("ChatOpenAI", "client"), ("openai.chat", "sdk")][depth];
            parent = push(
                &mut all,
                Some(&parent),
                name,
                What::Call,
                (call.start - around, call.end + around),
                tokens,
                scope,
            );
        }
        if let Some(other) = &other {
            let at = (call.start - 3 * AROUND, last + 3 * AROUND);
            let task = push(&mut all, Some(other), "agent.task", What::Step, at, None, "other");
            push(
                &mut all,
                Some(&task),
                "llm request",
                What::Call,
                (call.start, call.end + 500),
                tokens,
                "other",
            );
            for (name, start, end) in &call.tools {
                let at = (start - 500, end + 500);
                push(&mut all, Some(&task), TOOLS[*name], What::Tool, at, None, "other");
            }
        }
        if told.served.is_some() {
            push(
                &mut all,
                Some(&parent),
                "POST /v1/chat",
                What::Served,
                (call.start + 1_000, call.end - 1_000),
                None,
                "http",
            );
        }
        for (name, start, end) in &call.tools {
            let tool =
                push(&mut all, Some(&step), TOOLS[*name], What::Tool, (*start, *end), None, "framework");
            if told.served.is_some() {
                push(
                    &mut all,
                    Some(&tool),
                    "GET /tool",
                    What::Served,
                    (start + 1_000, end - 1_000),
                    None,
                    "http",
                );
            }
        }
    }
    if told.summed {
        let sum = |of: fn(&Call) -> u64| run.calls.iter().map(of).sum::<u64>();
        all[0].tokens = Some((sum(|c| c.prompt), sum(|c| c.cached), sum(|c| c.completion)));
    }
    for node in all.iter_mut().filter(|n| n.what == What::Served) {
        node.service = "gateway";
        node.skew = told.served.unwrap_or(0) * 1_000_000;
    }
    if told.missing {
        all.retain(|node| node.name != "step");
    }
    all
}

pub fn micros(node: &Node, at: Micros) -> i64 {
    BASE_S as i64 * 1_000_000 + at as i64 + node.skew
}

pub fn stamp(node: &Node, at: Micros) -> String {
    let all = micros(node, at);
    // 1790000000 is 2026-09-21 13:33:20 UTC; runs are shorter than the rest of that day, offsets too.
    let (seconds, rest) = (all.div_euclid(1_000_000) - 1_789_948_800, all.rem_euclid(1_000_000));
    format!("2026-09-21T{:02}:{:02}:{:02}.{rest:06}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Attributes in one of the dialects.
pub fn attributes(node: &Node, dialect: usize) -> Map<String, Value> {
    let mut map = Map::new();
    let mut set = |key: &str, value: Value| drop(map.insert(key.into(), value));
    match (node.what, dialect % 4) {
        (What::Agent, 0) => set("gen_ai.operation.name", json!("invoke_agent")),
        (What::Agent, 2) => set("openinference.span.kind", json!("AGENT")),
        (What::Tool, 0 | 1) => {
            set("gen_ai.operation.name", json!("execute_tool"));
            set("gen_ai.tool.name", json!(node.name));
        }
        (What::Tool, 2) => set("openinference.span.kind", json!("TOOL")),
        (What::Tool, _) => {
            set("ai.operationId", json!("ai.toolCall"));
            set("ai.toolCall.name", json!(node.name));
        }
        _ => {}
    }
    if let (What::Call | What::Agent, Some((prompt, cached, completion))) = (node.what, node.tokens) {
        let names = match dialect % 4 {
            0 => [
                "gen_ai.request.model",
                "gen_ai.usage.input_tokens",
                "gen_ai.usage.cache_read.input_tokens",
                "gen_ai.usage.output_tokens",
            ],
            1 => [
                "gen_ai.response.model",
                "gen_ai.usage.prompt_tokens",
                "gen_ai.usage.cache_read_input_tokens",
                "gen_ai.usage.completion_tokens",
            ],
            2 => [
                "llm.model_name",
                "llm.token_count.prompt",
                "llm.token_count.prompt_details.cache_read",
                "llm.token_count.completion",
            ],
            _ => {
                ["ai.model.id", "ai.usage.inputTokens", "ai.usage.cachedInputTokens", "ai.usage.outputTokens"]
            }
        };
        set(names[0], json!(MODEL));
        set(names[1], json!(prompt));
        set(names[2], json!(cached));
        set(names[3], json!(completion));
        if dialect == 2 && node.what == What::Call {
            set("openinference.span.kind", json!("LLM"));
        }
    }
    map
}

pub fn otlp(nodes: &[Node], dialect: usize) -> String {
    let resources: Vec<Value> = nodes
        .iter()
        .map(|n| {
            let pairs: Vec<Value> = attributes(n, dialect)
                .into_iter()
                .map(|(key, value)| match value {
                    Value::String(text) => json!({"key": key, "value": {"stringValue": text}}),
                    other => json!({"key": key, "value": {"intValue": other.to_string()}}),
                })
                .collect();
            json!({"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": n.service}}]},
                "scopeSpans": [{"scope": {"name": n.scope}, "spans": [{"traceId": "ab", "spanId": n.id,
                    "parentSpanId": n.parent.clone().unwrap_or_default(), "name": n.name,
                    "kind": if n.what == What::Served { 2 } else { 1 }, "attributes": pairs,
                    "startTimeUnixNano": (micros(n, n.start) * 1000).to_string(),
                    "endTimeUnixNano": (micros(n, n.end) * 1000).to_string()}]}]})
        })
        .collect();
    json!({"resourceSpans": resources}).to_string()
}

pub fn lines(values: impl Iterator<Item = Value>) -> String {
    values.map(|v| v.to_string()).collect::<Vec<_>>().join("\n")
}

pub fn phoenix(nodes: &[Node], dialect: usize) -> String {
    let spans = nodes.iter().map(|n| {
        json!({"id": format!("Span{}", n.id), "name": n.name, "context": {"trace_id": "ab", "span_id": n.id}, "parent_id": n.parent,
            "start_time": stamp(n, n.start), "end_time": stamp(n, n.end), "status_code": "OK", "events": [],
            "attributes": attributes(n, dialect), "instrumentation_scope": {"name": n.scope},
            "resource": {"attributes": {"service.name": n.service}}})
    });
    json!({"data": spans.collect::<Vec<_>>(), "next_cursor": null}).to_string()
}

pub fn jaeger(nodes: &[Node], dialect: usize) -> String {
    let spans: Vec<Value> = nodes
        .iter()
        .map(|n| {
            let mut tags: Vec<Value> = attributes(n, dialect)
                .into_iter()
                .map(|(key, value)| json!({"key": key, "type": "string", "value": value}))
                .collect();
            tags.push(json!({"key": "otel.scope.name", "type": "string", "value": n.scope}));
            tags.push(json!({"key": "span.kind", "type": "string", "value": if n.what == What::Served { "server" } else { "client" }}));
            let parents: Vec<Value> =
                n.parent.iter().map(|p| json!({"refType": "CHILD_OF", "traceID": "ab", "spanID": p})).collect();
            json!({"traceID": "ab", "spanID": n.id, "operationName": n.name, "references": parents, "tags": tags, "logs": [],
                "startTime": micros(n, n.start), "duration": n.end - n.start, "processID": n.service})
        })
        .collect();
    json!({"data": [{"traceID": "ab", "spans": spans,
        "processes": {"agent": {"serviceName": "agent"}, "gateway": {"serviceName": "gateway"}}}]})
    .to_string()
}

pub fn zipkin(nodes: &[Node], dialect: usize) -> String {
    let spans: Vec<Value> = nodes
        .iter()
        .map(|n| {
            let mut tags: Map<String, Value> =
                attributes(n, dialect).into_iter().map(|(k, v)| (k, json!(v.as_str().map_or(v.to_string(), Into::into)))).collect();
            tags.insert("otel.scope.name".into(), json!(n.scope));
            json!({"traceId": "ab", "id": n.id, "parentId": n.parent, "name": n.name, "timestamp": micros(n, n.start),
                "duration": n.end - n.start, "kind": if n.what == What::Served { "SERVER" } else { "CLIENT" },
                "localEndpoint": {"serviceName": n.service}, "tags": tags})
        })
        .collect();
    json!([spans]).to_string()
}

pub fn langfuse(nodes: &[Node], dialect: usize) -> String {
    let list: Vec<Value> = nodes
        .iter()
        .map(|n| {
            let kind = match n.what {
                What::Agent => "AGENT",
                What::Call => "GENERATION",
                // Half of the exporters leave tools to their attributes.
                What::Tool if dialect.is_multiple_of(2) => "TOOL",
                _ => "SPAN",
            };
            let mut value = json!({"id": n.id, "traceId": "t", "type": kind, "name": n.name, "parentObservationId": n.parent,
                "startTime": stamp(n, n.start), "endTime": stamp(n, n.end), "level": "DEFAULT",
                "metadata": {"scope": {"name": n.scope}, "resourceAttributes": {"service.name": n.service},
                    "attributes": if n.what == What::Tool { attributes(n, dialect) } else { Map::new() }}});
            if let Some((prompt, cached, completion)) = n.tokens {
                value["model"] = json!(MODEL);
                value["usageDetails"] = json!({"input": prompt - cached, "input_cached_tokens": cached, "output": completion,
                    "total": prompt + completion});
            }
            value
        })
        .collect();
    json!({"id": "t", "name": "garden run", "observations": list}).to_string()
}

pub fn langsmith(nodes: &[Node], dialect: usize) -> String {
    lines(nodes.iter().map(|n| {
        let kind = match n.what {
            What::Call => "llm",
            What::Tool => "tool",
            _ => "chain",
        };
        let mut value = json!({"id": n.id, "trace_id": nodes[0].id, "name": n.name, "run_type": kind, "start_time": stamp(n, n.start),
            "end_time": stamp(n, n.end), "status": "success", "extra": {"metadata": {}}});
        match (&n.parent, dialect % 2) {
            (Some(parent), 0) => value["parent_run_id"] = json!(parent),
            (Some(parent), _) => value["parent_run_ids"] = json!([parent]),
            (None, _) => {}
        }
        if let (Some((prompt, _, completion)), What::Agent) = (n.tokens, n.what) {
            value["prompt_tokens"] = json!(prompt);
            value["completion_tokens"] = json!(completion);
            value["total_tokens"] = json!(prompt + completion);
        } else if let Some((prompt, cached, completion)) = n.tokens {
            value["extra"]["metadata"]["ls_model_name"] = json!(MODEL);
            value["outputs"] = json!({"llm_output": {"token_usage": {"prompt_tokens": prompt, "completion_tokens": completion,
                "total_tokens": prompt + completion, "prompt_tokens_details": {"cached_tokens": cached}}}});
        }
        value
    }))
}

pub fn mlflow(nodes: &[Node], _: usize) -> String {
    let spans: Vec<Value> = nodes
        .iter()
        .map(|n| {
            let kind = match n.what {
                What::Agent => "AGENT",
                What::Call => "CHAT_MODEL",
                What::Tool => "TOOL",
                _ => "UNKNOWN",
            };
            let mut map = json!({"mlflow.spanType": json!(kind).to_string()});
            if let Some((prompt, cached, completion)) = n.tokens {
                map["mlflow.chat.tokenUsage"] = json!(json!({"input_tokens": prompt, "output_tokens": completion,
                    "total_tokens": prompt + completion, "cached_input_tokens": cached}).to_string());
                map["mlflow.llm.model"] = json!(json!(MODEL).to_string());
            }
            json!({"trace_id": "ab", "span_id": n.id, "parent_span_id": n.parent, "name": n.name, "attributes": map, "events": [],
                "start_time_unix_nano": micros(n, n.start) * 1000, "end_time_unix_nano": micros(n, n.end) * 1000,
                "status": {"code": "STATUS_CODE_OK"}})
        })
        .collect();
    json!({"info": {"trace_id": "ab"}, "data": {"spans": spans}}).to_string()
}

pub fn agents(nodes: &[Node], _: usize) -> String {
    let trace = json!({"object": "trace", "id": "ab", "workflow_name": "garden"});
    lines(std::iter::once(trace).chain(nodes.iter().map(|n| {
        let mut data = match n.what {
            What::Agent => json!({"type": "agent", "name": n.name}),
            What::Call => json!({"type": "generation", "model": MODEL}),
            What::Tool => json!({"type": "function", "name": n.name}),
            _ => json!({"type": "custom", "name": n.name}),
        };
        if let Some((prompt, cached, completion)) = n.tokens {
            data["usage"] = json!({"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion,
                "input_tokens_details": {"cached_tokens": cached}});
        }
        json!({"object": "trace.span", "id": n.id, "trace_id": "ab", "parent_id": n.parent, "started_at": stamp(n, n.start),
            "ended_at": stamp(n, n.end), "span_data": data, "error": null})
    })))
}

/// A node of the session itself, for its clock.
fn clock() -> Node {
    Node {
        id: String::new(),
        parent: None,
        name: String::new(),
        what: What::Agent,
        start: 0,
        end: 0,
        tokens: None,
        service: "",
        scope: "",
        skew: 0,
    }
}

pub fn claude(run: &Run) -> String {
    let clock = clock();
    let at = |t: Micros| stamp(&clock, t);
    let line = |kind: &str, t: Micros, message: Value| json!({"type": kind, "uuid": format!("u{t}"), "sessionId": "s", "timestamp": at(t), "isSidechain": false, "message": message});
    let mut all = vec![line("user", 0, json!({"role": "user", "content": "Which peas?"}))];
    let mut n = 0;
    for (i, call) in run.calls.iter().enumerate() {
        let written = (call.prompt - call.cached) / 2;
        let usage = json!({"input_tokens": call.prompt - call.cached - written, "cache_creation_input_tokens": written,
            "cache_read_input_tokens": call.cached, "output_tokens": call.completion});
        let message = |block: Value| json!({"id": format!("m{i}"), "model": "claude-sonnet-4", "role": "assistant", "content": [block], "usage": usage});
        all.push(line("assistant", call.end - 1000, message(json!({"type": "text", "text": "So."}))));
        let first = n;
        for (name, ..) in &call.tools {
            all.push(line(
                "assistant",
                call.end,
                message(
                    json!({"type": "tool_use", "id": format!("t{n}"), "name": TOOLS[*name], "input": {}}),
                ),
            ));
            n += 1;
        }
        for (k, (_, _, end)) in call.tools.iter().enumerate() {
            let result =
                json!([{"type": "tool_result", "tool_use_id": format!("t{}", first + k), "content": "peas"}]);
            all.push(line("user", *end, json!({"role": "user", "content": result})));
        }
    }
    lines(all.into_iter())
}

pub fn codex(run: &Run) -> String {
    let node = clock();
    let line = |t: Micros, kind: &str, payload: Value| json!({"timestamp": stamp(&node, t), "type": kind, "payload": payload});
    let mut all = vec![
        line(0, "session_meta", json!({"id": "s"})),
        line(0, "turn_context", json!({"model": "gpt-5-codex"})),
        line(0, "event_msg", json!({"type": "user_message", "message": "Which peas?"})),
    ];
    let (mut n, mut sum) = (0, [0_u64; 3]);
    for call in &run.calls {
        all.push(line(
            call.end - 1000,
            "response_item",
            json!({"type": "message", "role": "assistant", "content": []}),
        ));
        let first = n;
        for (name, ..) in &call.tools {
            all.push(line(
                call.end,
                "response_item",
                json!({"type": "function_call", "name": TOOLS[*name], "call_id": format!("t{n}")}),
            ));
            n += 1;
        }
        for (total, part) in sum.iter_mut().zip([call.prompt, call.cached, call.completion]) {
            *total += part;
        }
        let usage = |[i, c, o]: [u64; 3]| json!({"input_tokens": i, "cached_input_tokens": c, "output_tokens": o, "total_tokens": i + o});
        let info = json!({"total_token_usage": usage(sum), "last_token_usage": usage([call.prompt, call.cached, call.completion])});
        // Some releases say the same twice.
        for _ in 0..2 {
            all.push(line(call.end, "event_msg", json!({"type": "token_count", "info": info})));
        }
        for (k, (_, _, end)) in call.tools.iter().enumerate() {
            all.push(line(*end, "response_item", json!({"type": "function_call_output", "call_id": format!("t{}", first + k), "output": "peas"})));
        }
    }
    lines(all.into_iter())
}

pub type Teller = fn(&[Node], usize) -> String;

pub const FORMS: [(&str, Teller); 8] = [
    ("otlp", otlp),
    ("phoenix", phoenix),
    ("jaeger", jaeger),
    ("zipkin", zipkin),
    ("langfuse", langfuse),
    ("langsmith", langsmith),
    ("mlflow", mlflow),
    ("agents", agents),
];
