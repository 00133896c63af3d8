//! A true run, told in every form that is read: by one to three instrumentations, with missing parents, other services and
//! clocks that differ. The same figures must come back from each.

use lacon_monitor::{
    analyze::{Analysis, analyze},
    compare::{CauseKind, compare},
    trace::{Trace, read},
    whatif,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Moments in microseconds since the run began.
type Micros = u64;

#[derive(Clone, Debug)]
struct Call {
    start: Micros,
    end: Micros,
    prompt: u64,
    cached: u64,
    completion: u64,
    /// Tools that run beside each other after it, by name.
    tools: Vec<(usize, Micros, Micros)>,
}

#[derive(Clone, Debug)]
struct Run {
    calls: Vec<Call>,
    end: Micros,
}

/// How it is told.
#[derive(Clone, Debug)]
struct Told {
    /// Spans of one request inside of each other.
    nested: usize,
    /// Whether one more instrumentation tells of each request beside them.
    beside: bool,
    /// Whether the spans around each step are not in the file.
    missing: bool,
    /// Whether requests and tools are served by another service, with its clock's offset in seconds.
    served: Option<i64>,
}

const TOOLS: [&str; 3] = ["search", "fetch_page", "run_sql"];
const MODEL: &str = "gpt-4o-mini-2024-07-18";
const BASE_S: u64 = 1_790_000_000;
/// How much a wrapper begins before and ends after what it is around.
const AROUND: Micros = 2_000;

fn runs() -> impl Strategy<Value = Run> {
    let tool = (0..TOOLS.len(), 50_000..4_000_000_u64);
    let call = (
        60_000..400_000_u64,
        150_000..9_000_000_u64,
        100..40_000_u64,
        0.0..1.0_f64,
        1..3_000_u64,
        prop::collection::vec(tool, 0..3),
    );
    prop::collection::vec(call, 1..6).prop_map(|parts| {
        let mut at = 0;
        let mut calls = Vec::new();
        for (i, (gap, took, prompt, share, completion, tools)) in parts.into_iter().enumerate() {
            let start = at + gap;
            let end = start + took;
            // Two requests of one run differ, if in nothing else in their prompts.
            let prompt = prompt + i as u64;
            let tools: Vec<(usize, Micros, Micros)> =
                tools.into_iter().map(|(name, took)| (name, end + 60_000, end + 60_000 + took)).collect();
            at = tools.iter().map(|t| t.2).max().unwrap_or(end);
            calls.push(Call {
                start,
                end,
                prompt,
                cached: (prompt as f64 * share) as u64,
                completion,
                tools,
            });
        }
        Run { calls, end: at + 100_000 }
    })
}

fn tellings() -> impl Strategy<Value = Told> {
    (1..4_usize, any::<bool>(), any::<bool>(), prop::option::of(-400..400_i64)).prop_map(
        |(nested, beside, missing, served)| Told { nested, beside: beside && nested < 3, missing, served },
    )
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Agent,
    Step,
    Call,
    Tool,
    Served,
}

/// A span of no form yet.
#[derive(Clone, Debug)]
struct Node {
    id: String,
    parent: Option<String>,
    name: String,
    what: What,
    start: Micros,
    end: Micros,
    tokens: Option<(u64, u64, u64)>,
    service: &'static str,
    scope: &'static str,
    /// Added to its times, in microseconds.
    skew: i64,
}

fn nodes(run: &Run, told: &Told) -> Vec<Node> {
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
        if told.beside {
            push(
                &mut all,
                Some(&root),
                "llm request",
                What::Call,
                (call.start, call.end + 500),
                tokens,
                "other",
            );
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
    for node in all.iter_mut().filter(|n| n.what == What::Served) {
        node.service = "gateway";
        node.skew = told.served.unwrap_or(0) * 1_000_000;
    }
    if told.missing {
        all.retain(|node| node.what != What::Step);
    }
    all
}

fn micros(node: &Node, at: Micros) -> i64 {
    BASE_S as i64 * 1_000_000 + at as i64 + node.skew
}

fn stamp(node: &Node, at: Micros) -> String {
    let all = micros(node, at);
    // 1790000000 is 2026-09-21 13:33:20 UTC; runs are shorter than the rest of that day, offsets too.
    let (seconds, rest) = (all.div_euclid(1_000_000) - 1_789_948_800, all.rem_euclid(1_000_000));
    format!("2026-09-21T{:02}:{:02}:{:02}.{rest:06}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Attributes in one of the dialects.
fn attributes(node: &Node, dialect: usize) -> Map<String, Value> {
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
    if let (What::Call, Some((prompt, cached, completion))) = (node.what, node.tokens) {
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
        if dialect == 2 {
            set("openinference.span.kind", json!("LLM"));
        }
    }
    map
}

fn otlp(nodes: &[Node], dialect: usize) -> String {
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

fn lines(values: impl Iterator<Item = Value>) -> String {
    values.map(|v| v.to_string()).collect::<Vec<_>>().join("\n")
}

fn phoenix(nodes: &[Node], dialect: usize) -> String {
    let spans = nodes.iter().map(|n| {
        json!({"id": format!("Span{}", n.id), "name": n.name, "context": {"trace_id": "ab", "span_id": n.id}, "parent_id": n.parent,
            "start_time": stamp(n, n.start), "end_time": stamp(n, n.end), "status_code": "OK", "events": [],
            "attributes": attributes(n, dialect), "instrumentation_scope": {"name": n.scope},
            "resource": {"attributes": {"service.name": n.service}}})
    });
    json!({"data": spans.collect::<Vec<_>>(), "next_cursor": null}).to_string()
}

fn jaeger(nodes: &[Node], dialect: usize) -> String {
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

fn zipkin(nodes: &[Node], dialect: usize) -> String {
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

fn langfuse(nodes: &[Node], dialect: usize) -> String {
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

fn langsmith(nodes: &[Node], dialect: usize) -> String {
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
        if let Some((prompt, cached, completion)) = n.tokens {
            value["extra"]["metadata"]["ls_model_name"] = json!(MODEL);
            value["outputs"] = json!({"llm_output": {"token_usage": {"prompt_tokens": prompt, "completion_tokens": completion,
                "total_tokens": prompt + completion, "prompt_tokens_details": {"cached_tokens": cached}}}});
        }
        value
    }))
}

fn mlflow(nodes: &[Node], _: usize) -> String {
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

fn agents(nodes: &[Node], _: usize) -> String {
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

fn claude(run: &Run) -> String {
    let at = |t: Micros| {
        let node = Node {
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
        };
        stamp(&node, t)
    };
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

fn codex(run: &Run) -> String {
    let node = Node {
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
    };
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

fn one(text: &str) -> (Trace, Analysis) {
    let mut traces = read(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(traces.len(), 1, "{text}");
    let trace = traces.remove(0);
    let analysis = analyze(&trace);
    (trace, analysis)
}

/// Counts and tokens, which every form keeps.
fn same_figures(name: &str, run: &Run, found: &Analysis) {
    let s = &found.summary;
    let sum = |of: fn(&Call) -> u64| run.calls.iter().map(of).sum::<u64>();
    let tools = run.calls.iter().map(|c| c.tools.len()).sum::<usize>();
    let expected = (
        run.calls.len(),
        tools,
        Some(sum(|c| c.prompt)),
        Some(sum(|c| c.cached)),
        Some(sum(|c| c.completion)),
    );
    let got = (s.n_calls, s.n_tool_calls, s.tokens.prompt, s.tokens.cached, s.tokens.completion);
    assert_eq!(got, expected, "{name}: calls, tools, prompt, cached, completion; {:?}", found.problems);
    assert_eq!(s.tokens.total, Some(sum(|c| c.prompt + c.completion)), "{name}: one sum");
    let of_nodes: u64 = found.nodes.iter().filter_map(|n| n.total).sum();
    assert_eq!(Some(of_nodes), s.tokens.total, "{name}: the nodes' sum");
    for (i, tool) in TOOLS.iter().enumerate() {
        let n = run.calls.iter().flat_map(|c| &c.tools).filter(|t| t.0 == i).count();
        assert_eq!(s.tools.get(*tool).copied().unwrap_or(0), n, "{name}: {tool}");
    }
    assert!((found.parts.sum() - found.wall_s).abs() < 1e-6, "{name}: {:?} of {}", found.parts, found.wall_s);
}

/// Seconds, which forms of spans keep.
fn same_times(name: &str, run: &Run, told: &Told, found: &Analysis) {
    let seconds = |micros: u64| micros as f64 / 1e6;
    let model: f64 = run.calls.iter().map(|c| seconds(c.end - c.start)).sum();
    let tools: f64 =
        run.calls.iter().filter_map(|c| c.tools.iter().map(|t| t.2 - t.1).max()).map(seconds).sum();
    // What wrappers add and what clocks cannot tell.
    let blur = 0.003 * run.calls.len() as f64 * if told.beside || told.served.is_some() { 2.0 } else { 1.0 };
    let close = |what: &str, got: f64, expected: f64| {
        assert!(
            (got - expected).abs() <= blur,
            "{name} {what}: {got}, expected {expected}; {told:?}\n{:?}\n{:?}",
            found.problems,
            found.critical_path
        );
    };
    close("wall", found.wall_s, seconds(run.end));
    close("model", found.parts.model_s, model);
    close("tools", found.parts.tool_s, tools);
}

type Teller = fn(&[Node], usize) -> String;

const FORMS: [(&str, Teller); 8] = [
    ("otlp", otlp),
    ("phoenix", phoenix),
    ("jaeger", jaeger),
    ("zipkin", zipkin),
    ("langfuse", langfuse),
    ("langsmith", langsmith),
    ("mlflow", mlflow),
    ("agents", agents),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_run_has_the_same_figures_in_every_form(run in runs(), told in tellings(), dialect in 0..4_usize) {
        for (name, tell) in FORMS {
            // Only these say which instrumentation and which service a span is of.
            let all = ["otlp", "phoenix", "jaeger", "zipkin", "langfuse"].contains(&name);
            let mut told = if all { told.clone() } else { Told { beside: false, served: None, ..told.clone() } };
            // These do not say which span serves another: a single one that is late may have been left to do later.
            if ["phoenix", "langfuse"].contains(&name) && run.calls.len() == 1 && run.calls[0].tools.is_empty() {
                told.served = None;
            }
            let (trace, found) = one(&tell(&nodes(&run, &told), dialect));
            same_figures(name, &run, &found);
            same_times(name, &run, &told, &found);
            let further = (told.nested - 1 + usize::from(told.beside)) * run.calls.len();
            prop_assert_eq!(found.summary.n_folded as usize, further, "{}", name);
            // The replay of an unedited run takes as long as the run did.
            let latency = whatif::fit(std::slice::from_ref(&trace), &no_latency());
            let replayed = whatif::what_if(&trace, &[], &latency, &whatif::Options { draws: 1, seed: 1 });
            prop_assert!((replayed.before.replayed_s - trace.wall_s).abs() < 1e-3, "{}: {} of {}", name, replayed.before.replayed_s, trace.wall_s);
        }
        for (name, text) in [("claude", claude(&run)), ("codex", codex(&run))] {
            let (_, found) = one(&text);
            same_figures(name, &run, &found);
        }
    }

    /// A tool whose result shrank is the cause, in every form and however often each request is told of.
    #[test]
    fn a_shrunken_tool_result_is_named_in_every_form(run in runs(), told in tellings(), dialect in 0..4_usize) {
        let mut big = run;
        big.calls.iter_mut().for_each(|c| { c.tools.clear(); c.cached = 0; c.prompt = c.prompt % 2000 + 1000; });
        let mut first = big.calls[0].clone();
        first.tools = vec![(0, first.end + 1000, first.end + 50_000)];
        let shift = first.end + 100_000;
        let mut second = big.calls[big.calls.len() - 1].clone();
        (second.start, second.end) = (shift, shift + 3_000_000);
        second.prompt = first.prompt + 30_000;
        let mut small = second.clone();
        small.prompt = first.prompt + 2_000;
        let told = Told { served: None, ..told };
        for (name, tell) in FORMS {
            let told = if name == "otlp" { told.clone() } else { Told { beside: false, ..told.clone() } };
            let side = |last: &Call| {
                let run = Run { calls: vec![first.clone(), last.clone()], end: last.end + 100_000 };
                one(&tell(&nodes(&run, &told), dialect)).0
            };
            let found = compare(&[side(&second)], &[side(&small)]).unwrap();
            let kinds: Vec<CauseKind> = found.causes.iter().map(|c| c.kind).collect();
            prop_assert_eq!(&kinds, &[CauseKind::ToolResults], "{}: {:?}", name, found.findings);
            prop_assert!(found.findings.iter().any(|f| f.starts_with("a tool's result shrank: search")), "{:?}", found.findings);
            let sum: i64 = found.tokens.by_cause.iter().map(|(_, t)| t).sum();
            prop_assert_eq!((sum, found.delta_tokens), (-28_000, -28_000));
        }
    }
}

/// Read on all processors, each form gives what it gives value by value.
#[test]
fn every_form_is_read_in_parts() {
    let call = |at: Micros| Call {
        start: at,
        end: at + 900_000,
        prompt: 700,
        cached: 30,
        completion: 40,
        tools: vec![(1, at + 950_000, at + 1_900_000)],
    };
    let run = Run { calls: (0..8).map(|i| call(i * 2_000_000 + 100_000)).collect(), end: 17_000_000 };
    let told = Told { nested: 2, beside: false, missing: true, served: Some(30) };
    for (_, tell) in FORMS {
        crate::parts::check(tell(&nodes(&run, &told), 0).as_bytes());
    }
    crate::parts::check(claude(&run).as_bytes());
    crate::parts::check(codex(&run).as_bytes());
}

fn no_latency() -> whatif::Latency {
    whatif::Latency {
        profiles: std::collections::BTreeMap::new(),
        profile: String::new(),
        tools: None,
        source: whatif::Source::BuiltIn,
    }
}
