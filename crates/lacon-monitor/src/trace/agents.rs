//! Spans of the OpenAI Agents SDK, as its processors export them: `trace` and `trace.span` objects.

use serde_json::Value;

use super::{
    Kind, attributes,
    batch::{Batch, Outer},
    json,
    settle::Raw,
    usage, when,
};

/// Whether a value is a trace or a span of the SDK.
pub fn is_item(value: &Value) -> bool {
    let object = json::get(value, "object").and_then(Value::as_str);
    object == Some("trace.span")
        || object == Some("trace") && json::get(value, "workflow_name").is_some()
        || json::get(value, "span_data").is_some() && json::get(value, "trace_id").is_some()
}

/// Reads a trace or a span.
pub fn add(value: &Value, batch: &mut Batch) {
    let text = |key: &str| json::get(value, key).and_then(json::text).filter(|t| !t.is_empty());
    if json::get(value, "span_data").is_none() {
        let (id, name) = (text("id").unwrap_or_default(), text("workflow_name").unwrap_or_default());
        batch.outer.push(Outer { id, name, ..Outer::default() });
        return;
    }
    let get = |path: &str| json::first(value, &[path]);
    let mut raw = Raw {
        trace: text("trace_id"),
        parent: text("parent_id"),
        start: get("started_at").and_then(when::unix),
        end: get("ended_at").and_then(when::unix),
        ..Raw::default()
    };
    let span = &mut raw.span;
    span.scope = Some("openai-agents".into());
    span.id = text("id").or_else(|| text("span_id")).unwrap_or_default();
    let kind = get("span_data.type").and_then(json::text).unwrap_or_default();
    let name = get("span_data.name").and_then(json::text);
    span.name = name.unwrap_or_else(|| if kind.is_empty() { "unnamed".into() } else { kind.clone() });
    span.kind = match kind.as_str() {
        "generation" | "response" | "transcription" | "speech" => Kind::Model,
        "function" | "mcp_tools" => Kind::Tool,
        "agent" => Kind::Node,
        _ => Kind::Other,
    };
    span.model =
        json::first(value, &["span_data.model", "span_data.response.model", "span_data.model_config.model"])
            .and_then(json::text);
    if let Some(found) = json::first(value, &["span_data.usage", "span_data.response.usage"]) {
        span.tokens = usage::of(found);
    }
    span.request = get("span_data.response_id").or_else(|| get("span_data.response.id")).and_then(json::text);
    if let Some(error) = json::get(value, "error").filter(|e| !e.is_null()) {
        let message = json::first(error, &["message"]).and_then(json::text);
        span.error = Some(message.unwrap_or_else(|| "failed".into()));
    }
    let parsed = |path: &[&str]| {
        json::first(value, path).map(|v| match v {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| v.clone()),
            other => other.clone(),
        })
    };
    let input = parsed(&["span_data.input"]);
    let output = parsed(&["span_data.output", "span_data.response.output", "span_data.result"]);
    attributes::recorded(span, input.as_ref(), output.as_ref());
    batch.raws.push(raw);
}
