//! Jaeger's JSON (traces with processes, as the API and the page give them) and Zipkin's JSON, version 2.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    attributes,
    batch::{Batch, beginning},
    json, otlp,
    settle::Raw,
};

/// Whether a value is a Jaeger trace or span.
pub fn is_jaeger(value: &Value) -> bool {
    json::get(value, "traceID").is_some()
        && (json::get(value, "spans").is_some_and(Value::is_array)
            || json::get(value, "operationName").is_some())
}

/// Whether a value is a Zipkin span, or a trace as a list of them.
pub fn is_zipkin(value: &Value) -> bool {
    if let Value::Array(list) = value {
        return list.first().is_some_and(is_zipkin);
    }
    let has = |key: &str| json::get(value, key).is_some();
    has("traceId")
        && has("id")
        && json::get(value, "timestamp").is_some_and(Value::is_number)
        && (has("localEndpoint") || has("tags") || has("duration"))
        && !has("instrumentationScope")
}

fn micros(value: Option<&Value>) -> Option<f64> {
    let number = value?.as_f64().or_else(|| value?.as_str()?.trim().parse().ok())?;
    (number.is_finite() && number >= 0.0).then_some(number / 1e6)
}

/// Reads a Jaeger trace or span.
pub fn add(value: &Value, batch: &mut Batch) {
    match json::get(value, "spans").and_then(Value::as_array) {
        Some(spans) => {
            let processes: HashMap<&str, Option<String>> = json::get(value, "processes")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(id, process)| (id.as_str(), service(process)))
                .collect();
            for one in spans {
                let known =
                    json::get(one, "processID").and_then(Value::as_str).and_then(|id| processes.get(id));
                batch.raws.push(span(one, known.cloned().flatten()));
            }
        }
        None if is_jaeger(value) => {
            batch.raws.push(span(value, json::get(value, "process").and_then(service)))
        }
        None => super::note(&mut batch.problems, "not_a_span", beginning(value)),
    }
}

fn service(process: &Value) -> Option<String> {
    let mut map = tags(json::get(process, "tags"));
    if let Some(name) = json::get(process, "serviceName") {
        map.insert("service.name".into(), name.clone());
    }
    otlp::service(&map)
}

/// Typed pairs as a map; Jaeger writes the text of lists and objects.
fn tags(list: Option<&Value>) -> Map<String, Value> {
    let pairs = list.and_then(Value::as_array).into_iter().flatten();
    pairs.filter_map(|tag| Some((tag.get("key")?.as_str()?.to_owned(), tag.get("value")?.clone()))).collect()
}

fn span(value: &Value, service: Option<String>) -> Raw {
    let text = |key: &str| json::get(value, key).and_then(json::text).filter(|t| !t.is_empty());
    let mut map = tags(json::get(value, "tags"));
    let parents = json::get(value, "references").and_then(Value::as_array).into_iter().flatten();
    let parent = parents
        .filter(|r| json::get(r, "traceID").is_none_or(|t| Some(t) == json::get(value, "traceID")))
        .find_map(|r| json::get(r, "spanID").and_then(json::text))
        .or_else(|| text("parentSpanID"));
    let start = micros(json::get(value, "startTime"));
    let mut raw = Raw {
        trace: text("traceID"),
        parent,
        start,
        end: start.zip(micros(json::get(value, "duration"))).map(|(start, took)| start + took),
        ..Raw::default()
    };
    raw.span.id = text("spanID").unwrap_or_default();
    raw.span.name = text("operationName").unwrap_or_else(|| "unnamed".into());
    raw.span.service = service;
    finish(&mut raw, &mut map);
    let logs = json::get(value, "logs").and_then(Value::as_array).into_iter().flatten();
    let events: Vec<Value> = logs
        .map(|log| {
            let fields = tags(json::get(log, "fields"));
            let name = fields.get("event").or_else(|| fields.get("name")).cloned();
            serde_json::json!({"name": name, "time": log.get("timestamp"), "attributes": fields})
        })
        .collect();
    otlp::events(Some(&Value::Array(events)), &mut raw, &mut map);
    attributes::fill(&mut raw, map);
    raw
}

/// Scope, kind and error, which both write as tags.
fn finish(raw: &mut Raw, map: &mut Map<String, Value>) {
    let word = |key: &str| map.get(key).and_then(json::text);
    raw.span.scope = word("otel.scope.name").or_else(|| word("otel.library.name"));
    raw.span.is_server = word("span.kind").is_some_and(|kind| kind.eq_ignore_ascii_case("server"));
    let failed = word("error").is_some_and(|e| !matches!(e.to_lowercase().as_str(), "" | "false" | "0"))
        || word("otel.status_code").is_some_and(|code| code == "ERROR");
    if failed {
        let why = word("otel.status_description")
            .or_else(|| word("error").filter(|e| !e.eq_ignore_ascii_case("true")));
        raw.span.error = Some(why.filter(|w| !w.is_empty()).unwrap_or_else(|| "failed".into()));
    }
    map.retain(|key, _| !key.starts_with("internal.span.") && key != "error");
    map.remove("span.kind");
}

/// Reads a Zipkin span, or a trace as a list of them.
pub fn add_zipkin(value: &Value, batch: &mut Batch) {
    if let Value::Array(list) = value {
        list.iter().for_each(|one| batch.raws.push(zipkin(one)));
    } else if value.is_object() {
        batch.raws.push(zipkin(value));
    } else {
        super::note(&mut batch.problems, "not_a_span", beginning(value));
    }
}

fn zipkin(value: &Value) -> Raw {
    let text = |key: &str| json::get(value, key).and_then(json::text).filter(|t| !t.is_empty());
    let mut map = otlp::attributes(json::get(value, "tags"));
    let start = micros(json::get(value, "timestamp"));
    let mut raw = Raw {
        trace: text("traceId"),
        parent: text("parentId"),
        start,
        end: start.zip(micros(json::get(value, "duration"))).map(|(start, took)| start + took),
        ..Raw::default()
    };
    raw.span.id = text("id").unwrap_or_default();
    raw.span.name = text("name").unwrap_or_else(|| "unnamed".into());
    finish(&mut raw, &mut map);
    raw.span.service = json::first(value, &["localEndpoint.serviceName"]).and_then(json::text);
    raw.span.is_server = text("kind").is_some_and(|kind| kind == "SERVER");
    // Client and server of one request may share an identifier: the server's span lies in the client's.
    if json::get(value, "shared").and_then(Value::as_bool) == Some(true) {
        raw.parent = Some(raw.span.id.clone());
        raw.span.id.push_str("/server");
    }
    attributes::fill(&mut raw, map);
    raw
}
