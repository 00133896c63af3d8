//! Langfuse: a trace with its `observations`, or a list of observations, as the API and the batch export give them.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    Kind, Trace,
    batch::{Batch, Outer, beginning},
    json, langsmith,
    settle::Raw,
    state, when,
};
use crate::evidence::Evidence;

/// Whether a value is a Langfuse trace or observation.
pub fn is_ours(value: &Value) -> bool {
    json::get(value, "observations").is_some_and(Value::is_array)
        || json::get(value, "type").and_then(Value::as_str).is_some_and(|t| {
            ["SPAN", "GENERATION", "EVENT", "AGENT", "TOOL", "CHAIN"].contains(&t.to_uppercase().as_str())
        }) && (json::get(value, "traceId").is_some() || json::get(value, "trace_id").is_some())
}

/// Reads a trace with its observations, or one observation.
pub fn add(value: &Value, batch: &mut Batch) {
    match value.get("observations").and_then(Value::as_array) {
        Some(observations) => {
            let outer = outer(value);
            batch.raws.extend(observations.iter().map(|one| observed(one, Some(&outer.id))));
            batch.outer.push(outer);
        }
        None if value.is_object() => batch.raws.push(observed(value, None)),
        None => super::note(&mut batch.problems, "not_an_observation", beginning(value)),
    }
}

/// What a trace says beside its observations.
pub fn outer(value: &Value) -> Outer {
    let text = |key: &str| json::first(value, &[key]).and_then(json::text).unwrap_or_default();
    let inputs = json::first(value, &["input"]).and_then(Value::as_object).map(|map| {
        map.iter().filter_map(|(k, v)| Some((k.clone(), json::text(v).filter(|t| t.len() <= 64)?))).collect()
    });
    Outer { id: text("id"), name: text("name"), inputs, flags: None }
}

/// Names a trace and says what was asked.
pub fn finish(trace: &mut Trace, outer: &HashMap<&str, &Outer>) {
    let Some(outer) = outer.get(trace.id.as_str()) else { return };
    if trace.name == "unnamed" && !outer.name.is_empty() {
        trace.name.clone_from(&outer.name);
    }
    if let Some(inputs) = &outer.inputs {
        trace.inputs.clone_from(inputs);
    }
}

/// Reads one observation; `trace` is the trace that holds it, where it does not say so itself.
pub fn observed(value: &Value, trace: Option<&str>) -> Raw {
    let mut raw = observation(value);
    if raw.trace.is_none() {
        raw.trace = trace.map(Into::into);
    }
    raw
}

fn observation(value: &Value) -> Raw {
    let get = |keys: &[&str]| json::first(value, keys);
    let text = |keys: &[&str]| get(keys).and_then(json::text).filter(|t| !t.is_empty());
    let mut raw = Raw {
        trace: text(&["traceId", "trace_id"]),
        parent: text(&["parentObservationId", "parent_observation_id"]),
        start: get(&["startTime", "start_time"]).and_then(when::unix),
        end: get(&["endTime", "end_time"]).and_then(when::unix),
        first_token: get(&["completionStartTime", "completion_start_time"]).and_then(when::unix),
        ..Raw::default()
    };
    let span = &mut raw.span;
    span.id = text(&["id"]).unwrap_or_default();
    span.name = text(&["name"]).unwrap_or_else(|| "unnamed".into());
    span.model = text(&["model", "providedModelName", "provided_model_name", "internalModelId"]);
    span.kind = match text(&["type"]).unwrap_or_default().to_uppercase().as_str() {
        "GENERATION" | "EMBEDDING" => Kind::Model,
        "TOOL" | "RETRIEVER" => Kind::Tool,
        "AGENT" => Kind::Node,
        _ => Kind::Other,
    };
    for usage in [get(&["usageDetails", "usage_details"]), get(&["usage"])].into_iter().flatten() {
        langsmith::merge_usage(&mut span.tokens, usage);
    }
    span.tokens.prompt = span.tokens.prompt.or(get(&["promptTokens"]).and_then(json::count));
    span.tokens.completion = span.tokens.completion.or(get(&["completionTokens"]).and_then(json::count));
    // The split usage counts the cached part beside the input, not within it.
    if let (Some(_), Some(cached), Some(prompt)) = (
        get(&["usageDetails.input_cached_tokens", "usage_details.input_cached_tokens"]),
        span.tokens.cached,
        span.tokens.prompt,
    ) && span.tokens.total == Some(prompt + cached + span.tokens.completion.unwrap_or(0))
    {
        span.tokens.prompt = Some(prompt + cached);
    }
    if text(&["level"]).as_deref() == Some("ERROR") {
        span.error = Some(text(&["statusMessage", "status_message"]).unwrap_or_else(|| "failed".into()));
    }
    let parse = |keys: &[&str]| {
        get(keys).map(|v| match v {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| v.clone()),
            other => other.clone(),
        })
    };
    let read = parse(&["input"]).as_ref().map(state::read).unwrap_or_default();
    if let Some(output) = parse(&["output"]) {
        let gave = state::held(&output);
        let wrote = state::wrote(&read, &gave);
        span.asks_tools = wrote.n_calls;
        span.no_data = wrote.no_data;
        if span.kind == Kind::Model {
            let prompt: String =
                read.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n");
            let answer: String =
                gave.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n");
            if !prompt.is_empty() && answer.len() > 80 {
                span.traceable = Some(Evidence::of(&[&prompt], "").share(&answer));
            }
        }
        span.wrote = if raw.parent.is_none() { gave.texts } else { wrote.texts };
    }
    if let Some(Value::Object(metadata)) = get(&["metadata"]) {
        let short =
            metadata.iter().filter(|(_, v)| v.as_str().is_none_or(|t| t.len() < 256) && !v.is_object());
        span.attributes.extend(short.map(|(k, v)| (k.clone(), v.clone())));
    }
    raw
}
