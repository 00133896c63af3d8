//! Trajectories of SWE-agent: steps of an answer and an action, with the sums of the whole run beside them. They hold no
//! moments, only how long each action took.

use serde_json::Value;

use super::{
    Answer, Kind, attributes,
    batch::{Batch, Outer},
    json,
    settle::Raw,
};

/// Whether a value is a trajectory.
pub fn is_trajectory(value: &Value) -> bool {
    json::get(value, "trajectory").is_some_and(Value::is_array)
        && (json::get(value, "info").is_some() || json::get(value, "history").is_some())
}

/// Reads a trajectory.
pub fn add(value: &Value, batch: &mut Batch) {
    let n = batch.outer.len() + 1;
    let id = format!("trajectory {n}");
    super::note(
        &mut batch.problems,
        "no_times",
        "a trajectory says how long actions took, not when, and of calls neither",
    );
    let mut raws = Vec::new();
    let mut now = 0.0;
    for (i, step) in
        json::get(value, "trajectory").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        let filled =
            |key: &str| json::get(step, key).and_then(Value::as_str).is_some_and(|t| !t.trim().is_empty());
        let mut call = Raw { start: Some(now), end: Some(now), ..Raw::default() };
        call.span.id = format!("call {}", i + 1);
        call.span.name = "call".into();
        call.span.kind = Kind::Model;
        call.span.answer =
            if filled("response") || filled("thought") { Answer::Text } else { Answer::NotRecorded };
        raws.push(call);
        if !filled("action") {
            continue;
        }
        let took =
            json::get(step, "execution_time").and_then(Value::as_f64).filter(|s| s.is_finite() && *s >= 0.0);
        let action = json::get(step, "action").and_then(Value::as_str).unwrap_or_default();
        let mut tool = Raw { start: Some(now), ..Raw::default() };
        now += took.unwrap_or(0.0);
        tool.end = Some(now);
        tool.span.id = format!("action {}", i + 1);
        tool.span.name = action.split_whitespace().next().unwrap_or("action").to_owned();
        tool.span.kind = Kind::Tool;
        let bytes = json::get(step, "observation").map_or(0, attributes::size);
        tool.span.attributes.insert("result_bytes".into(), bytes.into());
        raws.push(tool);
    }
    let mut root = Raw { start: Some(0.0), end: Some(now), ..Raw::default() };
    root.span.id.clone_from(&id);
    root.span.name = json::first(value, &["environment", "info.instance_id"])
        .and_then(json::text)
        .unwrap_or_else(|| "trajectory".into());
    let stats = |key: &str| json::first(value, &["info.model_stats"]).and_then(|s| json::get(s, key));
    root.span.tokens.prompt = stats("tokens_sent").and_then(json::count);
    root.span.tokens.completion = stats("tokens_received").and_then(json::count);
    root.span.cost_usd = stats("instance_cost").and_then(Value::as_f64).filter(|c| c.is_finite());
    for raw in &mut raws {
        raw.parent = Some(id.clone());
    }
    for mut raw in std::iter::once(root).chain(raws) {
        raw.trace = Some(id.clone());
        batch.raws.push(raw);
    }
    batch.outer.push(Outer { id, ..Outer::default() });
}
