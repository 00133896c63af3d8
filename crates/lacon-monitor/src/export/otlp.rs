//! OTLP traces: spans with the GenAI names of v1.41.1, or of v0.1.0 where that is set.

use serde_json::{Map, Value, json};

use super::{error, hex_id, nanos, proto};
use crate::{
    names::{self, Conventions},
    trace::{Kind, Span, Trace},
};

/// A span in the shape of OTLP, before it is written as JSON or protobuf.
pub(super) struct Row {
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    /// 1 internal, 3 client.
    pub kind: u64,
    pub start: u128,
    pub end: u128,
    pub attributes: Map<String, Value>,
    pub error: Option<String>,
}

/// The identifier of the whole trace.
pub(super) fn trace_id(trace: &Trace) -> String {
    hex_id(&trace.id, 32)
}

fn root_id(trace: &Trace) -> String {
    hex_id(&format!("{}/run", trace.id), 16)
}

/// All spans, the run first.
pub(super) fn rows(trace: &Trace, conventions: Conventions) -> Vec<Row> {
    let root = root_id(trace);
    let mut attributes = trace.attributes.clone();
    attributes.entry(names::OPERATION).or_insert_with(|| json!("invoke_workflow"));
    let written = attributes.remove(names::WORKFLOW).unwrap_or_else(|| json!(trace.name));
    attributes.entry(conventions.workflow()).or_insert(written);
    let mut rows = vec![Row {
        id: root.clone(),
        parent: None,
        name: if trace.name.starts_with("invoke_workflow") {
            trace.name.clone()
        } else {
            format!("invoke_workflow {}", trace.name)
        },
        kind: 1,
        start: nanos(trace, 0.0),
        end: nanos(trace, trace.wall_s),
        attributes,
        error: trace.error.clone(),
    }];
    rows.extend(trace.spans.iter().map(|span| Row {
        id: hex_id(&span.id, 16),
        parent: Some(span.parent.map_or_else(|| root.clone(), |p| hex_id(&trace.spans[p].id, 16))),
        name: title(span),
        kind: if span.kind == Kind::Model { 3 } else { 1 },
        start: nanos(trace, span.start_s),
        end: nanos(trace, span.end_s),
        attributes: attributes_of(span, conventions),
        error: error(span).map(Into::into),
    }));
    rows
}

/// The span's name after the conventions.
fn title(span: &Span) -> String {
    let model = span.model.as_deref().unwrap_or("unknown");
    match span.kind {
        Kind::Model => format!("chat {model}"),
        Kind::Tool => format!("execute_tool {}", span.name),
        Kind::Node => format!("invoke_agent {}", span.name),
        Kind::Run | Kind::Attempt | Kind::Own | Kind::Other | Kind::Echo | Kind::EchoTool => {
            span.name.clone()
        }
    }
}

/// Attributes as they are, completed from the typed fields.
fn attributes_of(span: &Span, conventions: Conventions) -> Map<String, Value> {
    let mut map = span.attributes.clone();
    map.retain(|key, _| key != "blocks");
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.entry(key).or_insert(value);
        }
    };
    let operation = match span.kind {
        Kind::Model => Some("chat"),
        Kind::Tool => Some("execute_tool"),
        Kind::Node => Some("invoke_agent"),
        _ => None,
    };
    set(names::OPERATION, operation.map(Into::into));
    match span.kind {
        Kind::Model => {
            set(names::PROVIDER, Some("unknown".into()));
            set(names::REQUEST_MODEL, span.model.clone().map(Into::into));
            set(names::INPUT_TOKENS, span.tokens.prompt.map(Into::into));
            set(names::OUTPUT_TOKENS, span.tokens.completion.map(Into::into));
            set(names::CACHED_TOKENS, span.tokens.cached.map(Into::into));
            set(names::CACHE_WRITE_TOKENS, span.tokens.usage().written().map(Into::into));
            set(names::CACHE_WRITE_1H_TOKENS, span.tokens.cache_write_1h.map(Into::into));
            set(names::REASONING_TOKENS, span.tokens.reasoning.map(Into::into));
            set(names::FIRST_CHUNK, span.first_token_s.map(|f| json!(f - span.start_s)));
        }
        Kind::Tool => set(names::TOOL, Some(span.name.clone().into())),
        Kind::Node => set(names::AGENT, Some(span.name.clone().into())),
        _ => {}
    }
    if let Some(written) = map.remove(names::CACHE_WRITE_TOKENS) {
        map.entry(conventions.cache_write()).or_insert(written);
    }
    map
}

/// OTLP JSON, `TracesData`.
pub fn otlp_json(trace: &Trace, version: &str, conventions: Conventions) -> Value {
    let any = |value: &Value| -> Value { any_value(value) };
    let pairs = |map: &Map<String, Value>| -> Vec<Value> {
        map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| json!({"key": k, "value": any(v)})).collect()
    };
    let id = trace_id(trace);
    let spans: Vec<Value> = rows(trace, conventions)
        .iter()
        .map(|row| {
            let mut span = json!({
                "traceId": id, "spanId": row.id, "name": row.name, "kind": row.kind,
                "startTimeUnixNano": row.start.to_string(), "endTimeUnixNano": row.end.to_string(),
                "attributes": pairs(&row.attributes),
            });
            if let Some(parent) = &row.parent {
                span["parentSpanId"] = json!(parent);
            }
            if let Some(error) = &row.error {
                span["status"] = json!({"code": 2, "message": error});
            }
            span
        })
        .collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "lacon"}}, {"key": "service.version", "value": {"stringValue": version}}]},
        "scopeSpans": [{"scope": {"name": "lacon", "version": version}, "spans": spans, "schemaUrl": conventions.schema_url()}],
    }]})
}

fn any_value(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Number(number) => match number.as_i64() {
            Some(int) => json!({"intValue": int.to_string()}),
            None => json!({"doubleValue": number}),
        },
        Value::Array(items) => {
            json!({"arrayValue": {"values": items.iter().map(any_value).collect::<Vec<_>>()}})
        }
        Value::Object(map) => json!({"kvlistValue": {"values": map
            .iter()
            .map(|(k, v)| json!({"key": k, "value": any_value(v)}))
            .collect::<Vec<_>>()}}),
        Value::Null => json!({}),
    }
}

/// OTLP protobuf, `ExportTraceServiceRequest`: what every collector takes.
pub fn otlp_proto(trace: &Trace, version: &str, conventions: Conventions) -> Vec<u8> {
    proto::request(&trace_id(trace), &rows(trace, conventions), version, conventions)
}
