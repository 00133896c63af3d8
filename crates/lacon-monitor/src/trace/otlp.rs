//! OTLP JSON: `resourceSpans` documents or lines, as collectors and SDKs write them, with the GenAI attributes of
//! v1.41, of the names before 1.37, of OpenInference and of OpenLLMetry.

use serde_json::{Map, Value};

use super::{
    Kind, Trace,
    batch::{Batch, beginning},
    json,
    settle::Raw,
    state, when,
};
use crate::evidence::Evidence;

/// Names of the list of resources.
pub const RESOURCES: [&str; 3] = ["resourceSpans", "resource_spans", "batches"];
/// Names of a resource's list of scopes.
pub const SCOPES: [&str; 3] = ["scopeSpans", "scope_spans", "instrumentationLibrarySpans"];

/// Whether a value is an OTLP document.
pub fn is_document(value: &Value) -> bool {
    RESOURCES.iter().any(|key| json::get(value, key).is_some())
}

/// Reads one document.
pub fn add(document: &Value, batch: &mut Batch) {
    if !is_document(document) {
        super::note(&mut batch.problems, "not_otlp", beginning(document));
    }
    let list = |value, keys: &[&str]| {
        json::first(value, keys).and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
    };
    for scope in list(document, &RESOURCES).iter().flat_map(|resource| list(resource, &SCOPES)) {
        batch.raws.extend(scope.get("spans").and_then(Value::as_array).into_iter().flatten().map(span));
    }
}

/// Ticker, date and status of a run from its attributes.
pub fn inputs_of_attributes(trace: &mut Trace) {
    for (key, value) in &trace.attributes {
        let last = key.rsplit('.').next().unwrap_or(key);
        if ["ticker", "date", "trade_date", "company_of_interest", "profile"].contains(&last)
            && let Some(text) = json::text(value)
        {
            trace.inputs.insert(last.to_owned(), text);
        }
    }
}

/// Ids are hex, or base64 where a Go program wrote them with its own JSON.
fn id(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|t| !t.is_empty() && t.bytes().any(|b| b != b'0')).map(Into::into)
}

fn plain(value: &Value) -> Value {
    let Some(map) = value.as_object() else { return value.clone() };
    if let Some(text) = map.get("stringValue").or(map.get("boolValue")).or(map.get("doubleValue")) {
        return text.clone();
    }
    if let Some(int) = map.get("intValue") {
        return json::count(int).map_or_else(|| int.clone(), Value::from);
    }
    if let Some(values) = json::first(value, &["arrayValue.values"]).and_then(Value::as_array) {
        return values.iter().map(plain).collect();
    }
    if let Some(values) = json::first(value, &["kvlistValue.values"]) {
        return Value::Object(attributes(Some(values)));
    }
    Value::Null
}

fn attributes(value: Option<&Value>) -> Map<String, Value> {
    match value {
        Some(Value::Array(pairs)) => pairs
            .iter()
            .filter_map(|p| Some((p.get("key")?.as_str()?.to_owned(), plain(p.get("value")?))))
            .collect(),
        Some(Value::Object(map)) => map.clone(),
        _ => Map::new(),
    }
}

/// Reads one span.
pub fn span(value: &Value) -> Raw {
    let get = |keys: &[&str]| json::first(value, keys);
    let map = attributes(value.get("attributes"));
    let mut raw = Raw {
        trace: id(get(&["traceId", "trace_id"])),
        parent: id(get(&["parentSpanId", "parent_span_id"])),
        start: get(&["startTimeUnixNano", "start_time_unix_nano"]).and_then(when::unix),
        end: get(&["endTimeUnixNano", "end_time_unix_nano"]).and_then(when::unix),
        ..Raw::default()
    };
    raw.span.id = id(get(&["spanId", "span_id"])).unwrap_or_default();
    raw.span.name = get(&["name"]).and_then(json::text).unwrap_or_else(|| "unnamed".into());
    let status = get(&["status.code"]).and_then(json::text).unwrap_or_default();
    if status == "2" || status == "STATUS_CODE_ERROR" {
        raw.span.error = Some(
            get(&["status.message"])
                .and_then(json::text)
                .filter(|m| !m.is_empty())
                .unwrap_or_else(|| "failed".into()),
        );
    }
    for event in value.get("events").and_then(Value::as_array).into_iter().flatten() {
        let name = event.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.contains("first_token") || name.contains("first_chunk") {
            raw.first_token = json::first(event, &["timeUnixNano", "time_unix_nano"]).and_then(when::unix);
        }
    }
    from_attributes(&mut raw, map);
    raw
}

/// Fills a span in from its attributes, whichever names they have.
pub fn from_attributes(raw: &mut Raw, mut map: Map<String, Value>) {
    let text = |map: &Map<String, Value>, keys: &[&str]| {
        keys.iter().find_map(|k| json::member(map, k)).and_then(json::text)
    };
    let number = |map: &Map<String, Value>, keys: &[&str]| {
        keys.iter().find_map(|k| json::member(map, k)).and_then(json::count)
    };
    let span = &mut raw.span;
    span.model = text(
        &map,
        &[
            "gen_ai.response.model",
            "gen_ai.request.model",
            "llm.model_name",
            "llm.response.model",
            "llm.request.model",
        ],
    );
    span.tokens.prompt = number(
        &map,
        &[
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.prompt_tokens",
            "llm.usage.prompt_tokens",
            "llm.token_count.prompt",
        ],
    );
    span.tokens.completion = number(
        &map,
        &[
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.completion_tokens",
            "llm.usage.completion_tokens",
            "llm.token_count.completion",
        ],
    );
    span.tokens.cached = number(
        &map,
        &[
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "llm.token_count.prompt_details.cache_read",
            "gen_ai.usage.input_tokens.cached",
        ],
    );
    span.tokens.reasoning = number(
        &map,
        &[
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "llm.token_count.completion_details.reasoning",
        ],
    );
    span.tokens.total =
        number(&map, &["gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total"]);
    if let Some(details) = text(&map, &["gen_ai.usage.input_token_details"])
        && let Ok(details) = serde_json::from_str::<Value>(&details)
    {
        span.tokens.cached = span.tokens.cached.or(details.get("cache_read").and_then(json::count));
    }
    span.role = text(&map, &["gen_ai.agent.name", "traceloop.entity.name", "graph.node.id"]);
    let operation = text(&map, &["gen_ai.operation.name"]).unwrap_or_default();
    let kind_word = text(&map, &["openinference.span.kind", "traceloop.span.kind", "langsmith.span.kind"])
        .unwrap_or_default()
        .to_lowercase();
    span.kind = match (operation.as_str(), kind_word.as_str()) {
        ("invoke_workflow", _) => Kind::Run,
        ("chat" | "text_completion" | "generate_content" | "completion", _) | (_, "llm") => Kind::Model,
        ("execute_tool" | "retrieval", _) | (_, "tool" | "retriever") => Kind::Tool,
        ("invoke_agent" | "create_agent", _) | (_, "agent") => Kind::Node,
        ("", "") if json::member(&map, "gen_ai.system").is_some() && span.tokens.completion.is_some() => {
            Kind::Model
        }
        ("", "") if json::member(&map, "gen_ai.tool.name").is_some() => Kind::Tool,
        _ => Kind::Other,
    };
    match text(&map, &["lacon.kind"]).as_deref() {
        Some("phase") => span.kind = Kind::Attempt,
        Some("own") => span.kind = Kind::Own,
        _ => {}
    }
    if matches!(span.kind, Kind::Run) {
        span.kind = Kind::Other;
    }
    // `invoke_agent market` is the node `market`.
    if span.kind == Kind::Node {
        span.name = text(&map, &["gen_ai.agent.name"])
            .or_else(|| span.name.strip_prefix("invoke_agent ").map(Into::into))
            .unwrap_or_else(|| span.name.clone());
    }
    if span.kind == Kind::Tool {
        span.name = text(&map, &["gen_ai.tool.name", "tool.name"])
            .or_else(|| span.name.strip_prefix("execute_tool ").map(Into::into))
            .unwrap_or_else(|| span.name.clone());
    }
    if let Some(error) = text(&map, &["error.type"]).filter(|e| !e.is_empty()) {
        span.error.get_or_insert(error);
    }
    if let Some(Value::Array(inputs)) = json::member(&map, "lacon.inputs") {
        span.inputs = Some(inputs.iter().filter_map(|v| v.as_str().map(Into::into)).collect());
    }
    if raw.first_token.is_none()
        && let (Some(start), Some(after)) =
            (raw.start, json::member(&map, "gen_ai.response.time_to_first_chunk").and_then(Value::as_f64))
    {
        raw.first_token = Some(start + after);
    }
    content(span, &map);
    // Prompts are not kept; what was derived from them is.
    map.retain(|key, value| {
        !key.contains("messages")
            && !key.contains("prompt.")
            && !key.contains("completion.")
            && value.as_str().is_none_or(|t| t.len() < 512)
    });
    if span.attributes.is_empty() {
        span.attributes = map;
    } else {
        span.attributes.extend(map);
    }
}

/// Texts of messages, where a trace carries them.
fn content(span: &mut super::Span, map: &Map<String, Value>) {
    let parsed = |keys: &[&str]| {
        keys.iter().find_map(|k| json::member(map, k)).map(|v| match v {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
            other => other.clone(),
        })
    };
    let old = |prefix: &str| -> Option<Value> {
        // Nearly all spans have none of these; making up names to look for takes longer than all the rest.
        if !map.keys().any(|key| key.starts_with(prefix)) {
            return None;
        }
        let mut messages = Vec::new();
        for i in 0..256 {
            let get = |name: &str| {
                ["", "message."].iter().find_map(|m| map.get(&format!("{prefix}.{i}.{m}{name}")))
            };
            let (Some(role), content) = (get("role"), get("content")) else { break };
            messages.push(serde_json::json!({"role": role, "content": content}));
        }
        (!messages.is_empty()).then_some(Value::Array(messages))
    };
    let inputs = parsed(&[
        "gen_ai.input.messages",
        "input.value",
        "traceloop.entity.input",
        "gen_ai.tool.call.arguments",
    ])
    .or_else(|| old("gen_ai.prompt"))
    .or_else(|| old("llm.input_messages"));
    let outputs = parsed(&["gen_ai.output.messages", "output.value", "traceloop.entity.output"])
        .or_else(|| old("gen_ai.completion"))
        .or_else(|| old("llm.output_messages"));
    let read = inputs.as_ref().map(state::read).unwrap_or_default();
    if let Some(outputs) = &outputs {
        let gave = state::held(outputs);
        let wrote = state::wrote(&read, &gave);
        span.asks_tools = wrote.n_calls;
        span.no_data = wrote.no_data;
        let answer: String = gave.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n");
        let prompt: String = read.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n");
        if span.kind == Kind::Model && !prompt.is_empty() && answer.len() > 80 {
            span.traceable = Some(Evidence::of(&[&prompt], "").share(&answer));
        }
        span.wrote = wrote.texts;
    }
    if span.kind == Kind::Tool
        && let Some(result) = json::member(map, "gen_ai.tool.call.result").and_then(json::text)
    {
        span.no_data.extend(state::no_data(&result));
    }
    if span.kind == Kind::Tool && json::member(map, "lacon.status").and_then(Value::as_str) == Some("no_data")
    {
        span.no_data.push("no data".into());
    }
}
