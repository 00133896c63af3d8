//! Langfuse: a trace with its `observations`, or a list of observations, as the API and the batch export give them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    Kind, SpanTokens, Trace, attributes,
    batch::{Batch, Outer, beginning},
    json, otlp,
    settle::Raw,
    state, usage, when,
};

/// Whether a value is a Langfuse trace or observation.
pub fn is_ours(value: &Value) -> bool {
    event(value).is_some()
        || json::get(value, "observations").is_some_and(Value::is_array)
        || json::get(value, "type").and_then(Value::as_str).is_some_and(|t| {
            [
                "SPAN",
                "GENERATION",
                "EVENT",
                "AGENT",
                "TOOL",
                "CHAIN",
                "RETRIEVER",
                "EVALUATOR",
                "EMBEDDING",
                "GUARDRAIL",
            ]
            .contains(&t.to_uppercase().as_str())
        }) && (json::get(value, "traceId").is_some() || json::get(value, "trace_id").is_some())
}

/// The kind and the body of an event of the ingestion API: `generation-create`, `span-update`.
fn event(value: &Value) -> Option<(&str, &Value)> {
    let kind = json::get(value, "type")?.as_str()?;
    let kind = kind.strip_suffix("-create").or_else(|| kind.strip_suffix("-update"))?;
    Some((kind, json::get(value, "body").filter(|b| b.is_object())?))
}

/// Reads a trace with its observations, one observation, or an event about one.
pub fn add(value: &Value, batch: &mut Batch) {
    match event(value) {
        Some(("trace", body)) => return batch.outer.push(outer(body)),
        Some(("score" | "sdk-log" | "dataset-run-item", _)) => return,
        Some((kind, body)) => {
            let mut raw = observed(body, None);
            if raw.span.kind == Kind::Other && kind == "generation" {
                raw.span.kind = Kind::Model;
            }
            return batch.raws.push(raw);
        }
        None => {}
    }
    match value.get("observations").and_then(Value::as_array) {
        Some(observations) if observations.first().is_some_and(Value::is_string) => {
            // A list of traces names its observations and does not hold them.
            let what =
                "observations are named and not in the file; get each trace: GET /api/public/traces/ID";
            super::note(&mut batch.problems, "observations_left_out", what);
            batch.raws.push(bare(value));
            batch.outer.push(outer(value));
        }
        Some(observations) => {
            let outer = outer(value);
            batch.raws.extend(observations.iter().map(|one| observed(one, Some(&outer.id))));
            batch.outer.push(outer);
        }
        None if value.is_object() => batch.raws.push(observed(value, None)),
        None => super::note(&mut batch.problems, "not_an_observation", beginning(value)),
    }
}

/// A trace without its observations: when it was, how long it took, what it cost.
fn bare(value: &Value) -> Raw {
    let get = |keys: &[&str]| json::first(value, keys);
    let start = get(&["timestamp"]).and_then(when::unix);
    let took = get(&["latency"]).and_then(Value::as_f64).filter(|s| s.is_finite() && *s >= 0.0);
    let id = get(&["id"]).and_then(json::text);
    let mut raw =
        Raw { trace: id.clone(), start, end: start.zip(took).map(|(at, took)| at + took), ..Raw::default() };
    raw.span.id = id.unwrap_or_default();
    raw.span.name = get(&["name"]).and_then(json::text).unwrap_or_else(|| "unnamed".into());
    raw.span.cost_usd = get(&["totalCost", "total_cost"]).and_then(json::money);
    raw
}

/// What a trace says beside its observations.
pub fn outer(value: &Value) -> Outer {
    // The page's download holds the trace beside its observations.
    let value = json::get(value, "trace").filter(|t| t.is_object()).unwrap_or(value);
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
    let seconds = |keys: &[&str]| get(keys).and_then(Value::as_f64).filter(|s| s.is_finite() && *s >= 0.0);
    if let Some(start) = raw.start {
        raw.end = raw.end.or_else(|| Some(start + seconds(&["latency"])?));
        raw.first_token =
            raw.first_token.or_else(|| Some(start + seconds(&["timeToFirstToken", "time_to_first_token"])?));
    }
    let span = &mut raw.span;
    span.id = text(&["id"]).unwrap_or_default();
    span.name = text(&["name"]).unwrap_or_else(|| "unnamed".into());
    span.model = text(&["model", "providedModelName", "provided_model_name", "modelName"]);
    span.kind = match text(&["type"]).unwrap_or_default().to_uppercase().as_str() {
        "GENERATION" | "EMBEDDING" => Kind::Model,
        "TOOL" | "RETRIEVER" => Kind::Tool,
        "AGENT" => Kind::Node,
        _ => Kind::Other,
    };
    if let Some(differs) = tokens(value, &mut span.tokens) {
        raw.notes.push(("usage_differs", format!("{} {}: {differs}", span.name, span.id)));
    }
    let total = ["costDetails.total", "cost_details.total", "totalCost", "total_cost", "calculatedTotalCost"];
    let parts = get(&["costDetails", "cost_details"]).and_then(Value::as_object);
    // Without a total the cost is that of its parts.
    let sum = parts.and_then(|p| p.values().filter_map(json::money).reduce(|a, b| a + b));
    span.cost_usd = get(&total).and_then(json::money).or(sum);
    if text(&["level"]).as_deref() == Some("ERROR") {
        span.error = Some(text(&["statusMessage", "status_message"]).unwrap_or_else(|| "failed".into()));
    }
    let object = |value: &Value| -> Option<Map<String, Value>> {
        match value {
            Value::Object(map) => Some(map.clone()),
            Value::String(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    };
    let metadata = get(&["metadata"]).and_then(object).unwrap_or_default();
    let inner = |key: &str| metadata.get(key).and_then(object);
    span.scope = inner("scope").and_then(|s| s.get("name").and_then(json::text));
    span.service = inner("resourceAttributes").and_then(|r| otlp::service(&r));
    let is_top = raw.parent.is_none();
    attributes::fill(&mut raw, inner("attributes").unwrap_or_default());
    let span = &mut raw.span;
    let parse = |keys: &[&str]| {
        get(keys).map(|v| match v {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| v.clone()),
            other => other.clone(),
        })
    };
    let (input, output) = (parse(&["input"]), parse(&["output"]));
    if input.is_some() || output.is_some() {
        attributes::recorded(span, input.as_ref(), output.as_ref());
    }
    if is_top && let Some(output) = &output {
        span.wrote = state::held(output).texts;
    }
    let short =
        metadata.into_iter().filter(|(_, v)| v.as_str().is_none_or(|t| t.len() < 256) && !v.is_object());
    span.attributes.extend(short);
    raw
}

/// The observation's tokens, by parts or by the older names; says what does not add up.
fn tokens(value: &Value, into: &mut SpanTokens) -> Option<String> {
    let get = |keys: &[&str]| json::first(value, keys);
    let count = |keys: &[&str]| get(keys).and_then(json::count);
    let own = SpanTokens {
        prompt: count(&["inputUsage", "input_usage", "promptTokens", "usage.input", "usage.promptTokens"]),
        completion: count(&[
            "outputUsage",
            "output_usage",
            "completionTokens",
            "usage.output",
            "usage.completionTokens",
        ]),
        total: count(&["totalUsage", "total_usage", "totalTokens", "usage.total", "usage.totalTokens"]),
        ..SpanTokens::default()
    };
    let details = get(&["usageDetails", "usage_details", "provided_usage_details"]).map(|v| match v {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    });
    // An empty total is a default, not a figure.
    let total = own.total.filter(|t| *t > 0);
    let mut differs = None;
    if let Some(details) = details.filter(|d| d.as_object().is_some_and(|m| !m.is_empty())) {
        (*into, differs) = usage::parts(&details, total);
    } else if let Some(found) = get(&["usage"]).filter(|u| u.is_object()) {
        *into = usage::of(found);
    }
    let known = SpanTokens {
        prompt: own.prompt.filter(|_| own.sum().is_some_and(|s| s > 0)),
        completion: own.completion.filter(|_| own.sum().is_some_and(|s| s > 0)),
        total,
        ..SpanTokens::default()
    };
    *into = into.or(&known);
    differs
}
