//! Trajectories of SWE-agent: steps of an answer and an action, with the sums of the whole run beside them. They hold no
//! moments, only how long each action took.

use serde_json::Value;

use super::{
    Answer, Kind, attributes,
    batch::{Batch, Outer},
    json,
    settle::Raw,
    usage, when,
};

/// Whether a value is a trajectory.
pub fn is_trajectory(value: &Value) -> bool {
    let steps = json::get(value, "trajectory").is_some_and(Value::is_array);
    steps && (json::get(value, "info").is_some() || json::get(value, "history").is_some())
        || json::get(value, "messages").is_some_and(Value::is_array)
            && json::first(value, &["info.model_stats"]).is_some()
}

/// Reads a trajectory.
pub fn add(value: &Value, batch: &mut Batch) {
    let n = batch.outer.len() + 1;
    let id = format!("trajectory {n}");
    let is_mini = json::get(value, "trajectory").is_none();
    let (mut raws, from, to) = if is_mini { messages(value) } else { steps(value) };
    if !raws.iter().any(|r| r.span.kind == Kind::Model && r.end > r.start) {
        let what = "a trajectory says how long actions took, not when, and of calls neither";
        super::note(&mut batch.problems, "no_times", what);
    }
    let mut root = Raw { start: Some(from), end: Some(to), ..Raw::default() };
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

/// Steps of SWE-agent: actions with how long they took.
fn steps(value: &Value) -> (Vec<Raw>, f64, f64) {
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
    (raws, 0.0, now)
}

/// Messages of mini-SWE-agent, with usage and moments beside some of them.
fn messages(value: &Value) -> (Vec<Raw>, f64, f64) {
    let mut raws: Vec<Raw> = Vec::new();
    let (mut first, mut now) = (None, 0.0);
    for (i, message) in
        json::get(value, "messages").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        let at = json::first(message, &["extra.timestamp", "timestamp"]).and_then(when::unix);
        let before = if first.is_some() { now } else { at.unwrap_or(0.0) };
        first = first.or(at);
        now = at.unwrap_or(before).max(before);
        let role = json::get(message, "role").and_then(Value::as_str).unwrap_or_default();
        let mut raw = Raw { start: Some(before), end: Some(now), ..Raw::default() };
        raw.span.id = format!("message {i}");
        match role {
            "assistant" => {
                raw.span.name = "call".into();
                raw.span.kind = Kind::Model;
                raw.span.model = json::first(message, &["extra.response.model"]).and_then(json::text);
                raw.span.cost_usd = json::first(message, &["extra.cost"]).and_then(json::money);
                attributes::recorded(&mut raw.span, None, json::get(message, "content"));
                if let Some(found) = json::first(message, &["extra.response.usage", "extra.usage"]) {
                    raw.span.tokens = usage::of(found);
                }
            }
            // What follows an answer is what its command gave.
            "user" | "tool" if raws.last().is_some_and(|r| r.span.kind == Kind::Model) => {
                raw.span.name = "bash".into();
                raw.span.kind = Kind::Tool;
                let bytes = json::get(message, "content").map_or(0, attributes::size);
                raw.span.attributes.insert("result_bytes".into(), bytes.into());
            }
            _ => continue,
        }
        raws.push(raw);
    }
    (raws, first.unwrap_or(0.0), now)
}
