//! Lacon's `trace.jsonl`: one span per line, times in seconds since the start of the run.

use serde_json::Value;

use crate::names;

use super::{
    Text, Trace, attributes,
    batch::{Batch, beginning},
    json, otlp,
    settle::Raw,
    when,
};

/// Whether a value is one of our lines.
pub fn is_line(value: &Value) -> bool {
    json::get(value, "span_id").is_some() && json::get(value, "start_s").is_some()
}

/// Reads one line.
pub fn add(value: Value, batch: &mut Batch) {
    if is_line(&value) {
        batch.raws.push(line(value));
    } else {
        super::note(&mut batch.problems, "not_a_span", beginning(&value));
    }
}

fn line(mut value: Value) -> Raw {
    let text = |key: &str| json::get(&value, key).and_then(json::text).filter(|t| !t.is_empty());
    let seconds = |key: &str| json::get(&value, key).and_then(Value::as_f64).filter(|s| s.is_finite());
    let mut raw = Raw {
        trace: text("trace_id"),
        parent: text("parent_span_id"),
        start: seconds("start_s"),
        end: seconds("end_s"),
        first_token: json::get(&value, "attributes")
            .and_then(|a| json::get(a, "lacon.first_token_s"))
            .and_then(Value::as_f64),
        ..Raw::default()
    };
    raw.span.id = text("span_id").unwrap_or_default();
    raw.span.scope = Some("lacon".into());
    raw.span.name = text("name").unwrap_or_else(|| "unnamed".into());
    if let Some(Value::Object(map)) = value.get_mut("attributes").map(Value::take) {
        let estimated = map.get(names::ESTIMATED_TOKENS).cloned();
        attributes::fill(&mut raw, map);
        // A stream that was closed early reports no usage: what was counted stands in, as an estimate.
        let tokens = &mut raw.span.tokens;
        if let Some([prompt, completion]) = estimated.as_ref().and_then(Value::as_array).map(Vec::as_slice)
            && tokens.sum().is_none()
        {
            (tokens.prompt, tokens.completion) = (json::count(prompt), json::count(completion));
            tokens.estimated = true;
        }
    }
    raw
}

/// What only our own traces say: which texts the run left, who read them, its grade.
pub fn finish(trace: &mut Trace) {
    otlp::inputs_of_attributes(trace);
    let attributes = trace.attributes.clone();
    if let Some(at) = attributes.get("lacon.started_at").and_then(when::unix) {
        trace.began_unix_s = Some(at);
    }
    if let Some(status) = attributes.get("lacon.status").and_then(json::text) {
        trace.status = status;
    }
    for report in attributes.get("lacon.reports").and_then(Value::as_array).into_iter().flatten() {
        let get = |key: &str| report.get(key).and_then(json::count).unwrap_or(0);
        let role = report.get("role").and_then(json::text).unwrap_or_default();
        let text = Text {
            key: role.clone(),
            chars: get("words") * 6,
            tokens: get("tokens"),
            whole: true,
            start: String::new(),
        };
        // The last span of the role's node is the one that wrote it.
        if let Some(span) = trace.spans.iter_mut().rev().find(|s| s.parent.is_none() && s.name == role) {
            span.wrote.push(text.clone());
        }
        trace.texts.push(text);
    }
    for key in
        ["lacon.reads", "lacon.grade", "lacon.decision", "lacon.simulated", "lacon.actions", "lacon.waste"]
    {
        if let Some(value) = attributes.get(key) {
            trace.flags.insert(key.into(), value.clone());
        }
    }
}
