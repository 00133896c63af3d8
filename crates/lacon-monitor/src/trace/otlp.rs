//! OTLP JSON: `resourceSpans` documents or lines, as collectors and SDKs write them, with the GenAI attributes of
//! v1.41, of the names before 1.37, of OpenInference and of OpenLLMetry.

use serde_json::{Map, Value};

use super::{
    Trace, attributes,
    batch::{Batch, beginning},
    json,
    settle::Raw,
    when,
};

/// Names of the list of resources.
pub const RESOURCES: [&str; 3] = ["resourceSpans", "resource_spans", "batches"];
/// Names of a resource's list of scopes.
pub const SCOPES: [&str; 3] = ["scopeSpans", "scope_spans", "instrumentationLibrarySpans"];

/// Whether a value is an OTLP document.
pub fn is_document(value: &Value) -> bool {
    RESOURCES.iter().any(|key| json::get(value, key).is_some())
}

/// What the spans of one resource and scope share.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The service with its host or instance: what has a clock of its own.
    pub service: Option<String>,
    /// The instrumentation.
    pub scope: Option<String>,
}

impl Source {
    /// From the members `resource` and `scope` beside a list of spans.
    pub fn of(resource: Option<&Value>, scope: Option<&Value>) -> Self {
        let map = attributes(resource.and_then(|r| r.get("attributes")));
        let name = |value: &Value, key: &str| value.get(key).and_then(json::text).filter(|t| !t.is_empty());
        Self { service: service(&map), scope: scope.and_then(|s| name(s, "name")) }
    }

    /// Notes it in a span that does not say so itself.
    pub fn mark(&self, raw: &mut Raw) {
        raw.span.service = raw.span.service.take().or_else(|| self.service.clone());
        raw.span.scope = raw.span.scope.take().or_else(|| self.scope.clone());
    }
}

/// A service with its host or instance.
pub fn service(resource: &Map<String, Value>) -> Option<String> {
    let parts: Vec<String> = ["service.name", "host.name", "service.instance.id"]
        .iter()
        .filter_map(|key| json::member(resource, key).and_then(json::text))
        .collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Reads one document.
pub fn add(document: &Value, batch: &mut Batch) {
    if !is_document(document) {
        super::note(&mut batch.problems, "not_otlp", beginning(document));
    }
    let list = |value, keys: &[&str]| {
        json::first(value, keys).and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
    };
    for resource in list(document, &RESOURCES) {
        for scope in list(resource, &SCOPES) {
            let scope_of = json::first(scope, &["scope", "instrumentationLibrary"]);
            let source = Source::of(resource.get("resource"), scope_of);
            for one in scope.get("spans").and_then(Value::as_array).into_iter().flatten() {
                batch.raws.push(span(one, &source));
            }
        }
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
pub fn id(value: Option<&Value>) -> Option<String> {
    let text = value.and_then(Value::as_str)?;
    let text = text.strip_prefix("0x").unwrap_or(text);
    let is_zero = text.bytes().all(|b| b == b'0')
        || text.ends_with('=') && text.trim_end_matches('=').bytes().all(|b| b == b'A');
    (!text.is_empty() && !is_zero).then(|| text.to_owned())
}

/// The value of an attribute, without the name of its type.
pub fn plain(value: &Value) -> Value {
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

/// Attributes as pairs with typed values, or as an object.
pub fn attributes(value: Option<&Value>) -> Map<String, Value> {
    match value {
        Some(Value::Array(pairs)) => pairs
            .iter()
            .filter_map(|p| Some((p.get("key")?.as_str()?.to_owned(), plain(p.get("value")?))))
            .collect(),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(Value::Object(map)) => map.clone(),
        _ => Map::new(),
    }
}

/// Reads one span.
pub fn span(value: &Value, source: &Source) -> Raw {
    let get = |keys: &[&str]| json::first(value, keys);
    let mut map = attributes(value.get("attributes"));
    let mut raw = Raw {
        trace: id(get(&["traceId", "trace_id"])),
        parent: id(get(&["parentSpanId", "parent_span_id"])),
        start: get(&["startTimeUnixNano", "start_time_unix_nano"]).and_then(when::nanos),
        end: get(&["endTimeUnixNano", "end_time_unix_nano"]).and_then(when::nanos),
        ..Raw::default()
    };
    raw.span.id = id(get(&["spanId", "span_id"])).unwrap_or_default();
    raw.span.name = get(&["name"]).and_then(json::text).unwrap_or_else(|| "unnamed".into());
    raw.span.is_server = kind_is_server(value.get("kind"));
    source.mark(&mut raw);
    let status = get(&["status.code"]).and_then(json::text).unwrap_or_default();
    if status == "2" || status == "STATUS_CODE_ERROR" {
        raw.span.error = Some(
            get(&["status.message"])
                .and_then(json::text)
                .filter(|m| !m.is_empty())
                .unwrap_or_else(|| "failed".into()),
        );
    }
    events(value.get("events"), &mut raw, &mut map);
    attributes::fill(&mut raw, map);
    raw
}

/// Whether a span's kind says that it serves a request of another process.
pub fn kind_is_server(kind: Option<&Value>) -> bool {
    kind.and_then(json::text).is_some_and(|kind| kind == "2" || kind.to_uppercase().ends_with("SERVER"))
}

/// The first token, and messages that instrumentations write as events.
pub fn events(list: Option<&Value>, raw: &mut Raw, map: &mut Map<String, Value>) {
    let (mut read, mut wrote) = (Vec::new(), Vec::new());
    let parsed = match list {
        Some(Value::String(text)) => serde_json::from_str::<Value>(text).ok(),
        _ => None,
    };
    for event in parsed.as_ref().or(list).and_then(Value::as_array).into_iter().flatten() {
        let name = event.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.contains("first_token") || name.contains("first_chunk") || name.contains("First Token") {
            let at = json::first(event, &["timeUnixNano", "time_unix_nano"]).and_then(when::nanos);
            raw.first_token = at.or_else(|| json::first(event, &["timestamp", "time"]).and_then(when::unix));
        }
        if !name.starts_with("gen_ai.") {
            continue;
        }
        let inner = attributes(event.get("attributes"));
        for (key, value) in &inner {
            let wanted =
                ["gen_ai.prompt", "gen_ai.completion", "gen_ai.input.messages", "gen_ai.output.messages"];
            if wanted.contains(&key.as_str()) && !map.contains_key(key) {
                map.insert(key.clone(), parse(value));
            }
        }
        let role = name.strip_prefix("gen_ai.").and_then(|n| n.strip_suffix(".message"));
        let inner = Value::Object(inner);
        if let Some(role) = role {
            let content = json::first(&inner, &["content", "gen_ai.event.content"]).map(parse);
            read.push(serde_json::json!({"role": role, "content": content}));
        } else if name == "gen_ai.choice" {
            let message = json::first(&inner, &["message", "content", "gen_ai.event.content"]).map(parse);
            wrote.push(match message {
                Some(Value::Object(mut message)) => {
                    message.entry("role").or_insert_with(|| "assistant".into());
                    Value::Object(message)
                }
                other => serde_json::json!({"role": "assistant", "content": other}),
            });
        }
    }
    for (key, list) in [("gen_ai.input.messages", read), ("gen_ai.output.messages", wrote)] {
        if !list.is_empty() && !map.contains_key(key) {
            map.insert(key.into(), Value::Array(list));
        }
    }
}

fn parse(value: &Value) -> Value {
    match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            serde_json::from_str(text).unwrap_or_else(|_| value.clone())
        }
        other => other.clone(),
    }
}
