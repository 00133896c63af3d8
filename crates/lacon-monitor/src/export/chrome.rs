//! Chrome trace JSON, for Perfetto and `chrome://tracing`: lanes of slices, arrows along the waits, counters.

use serde_json::{Value, json};

use crate::{
    analyze::Flow,
    trace::{Kind, Span, Trace},
};

/// The trace as `{"traceEvents": [...]}`. Times are microseconds since the run began.
pub fn chrome(trace: &Trace) -> Value {
    let flow = Flow::of(trace);
    let micros = |s: f64| (s * 1e6).round().max(0.0);
    let mut events = vec![meta("process_name", 0, &format!("lacon: {}", trace.title()))];
    // Slices on one lane must nest: each node takes the first lane that is free, its spans go with it.
    let mut free: Vec<f64> = Vec::new();
    let mut lane_of = vec![0_usize; trace.spans.len()];
    for i in &flow.units {
        let span = &trace.spans[*i];
        let lane = free.iter().position(|end| *end <= span.start_s + 1e-9).unwrap_or_else(|| {
            free.push(0.0);
            free.len() - 1
        });
        free[lane] = span.end_s;
        lane_of[*i] = lane;
    }
    let mut inner_free: Vec<Vec<(usize, f64)>> = vec![Vec::new(); free.len()];
    let mut n_lanes = free.len();
    let mut names: Vec<(usize, String)> = (0..free.len()).map(|l| (l, format!("lane {}", l + 1))).collect();
    for (i, span) in trace.spans.iter().enumerate() {
        let Some(parent) = span.parent else { continue };
        let base = lane_of[top(trace, i)];
        if matches!(span.kind, Kind::Attempt | Kind::Own) {
            lane_of[i] = lane_of[parent];
            continue;
        }
        // Calls of one node that overlap need lanes of their own below it.
        let lanes = &mut inner_free[base];
        let slot = lanes.iter().position(|(_, end)| *end <= span.start_s + 1e-9).unwrap_or_else(|| {
            lanes.push((if lanes.is_empty() { base } else { n_lanes }, 0.0));
            if lanes.len() > 1 {
                names.push((n_lanes, format!("lane {}.{}", base + 1, lanes.len())));
                n_lanes += 1;
            }
            lanes.len() - 1
        });
        lanes[slot].1 = span.end_s;
        lane_of[i] = lanes[slot].0;
    }
    events.extend(names.iter().map(|(lane, name)| meta("thread_name", lane + 1, name)));
    let critical = flow.path(trace);
    for (i, span) in trace.spans.iter().enumerate() {
        events.push(json!({
            "ph": "X", "name": label(span), "cat": category(span), "pid": 1, "tid": lane_of[i] + 1,
            "ts": micros(span.start_s), "dur": micros(span.end_s) - micros(span.start_s), "args": arguments(span),
        }));
    }
    let path_lane = n_lanes + 1;
    events.push(meta("thread_name", path_lane, "critical path"));
    for step in &critical {
        events.push(json!({
            "ph": "X", "name": flow.label(trace, step.span), "cat": "critical", "pid": 1, "tid": path_lane,
            "ts": micros(step.from), "dur": micros(step.to) - micros(step.from),
        }));
    }
    for (u, waits) in flow.waits.iter().enumerate() {
        for v in waits {
            let (from, to) = (&trace.spans[flow.units[*v]], &trace.spans[flow.units[u]]);
            let id = format!("{v}-{u}");
            events.push(json!({"ph": "s", "name": "waits", "cat": "flow", "id": id, "pid": 1, "tid": lane_of[flow.units[*v]] + 1, "ts": micros(from.end_s)}));
            events.push(json!({"ph": "f", "bp": "e", "name": "waits", "cat": "flow", "id": id, "pid": 1, "tid": lane_of[flow.units[u]] + 1, "ts": micros(to.start_s)}));
        }
    }
    let mut changes: Vec<(f64, i64)> = trace
        .spans
        .iter()
        .filter(|s| s.kind == Kind::Model || s.hidden_calls > 0)
        .flat_map(|s| [(s.start_s, 1), (s.end_s, -1)])
        .collect();
    changes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut now = 0;
    for (at, change) in changes {
        now += change;
        events.push(
            json!({"ph": "C", "name": "model calls", "pid": 1, "ts": micros(at), "args": {"at once": now}}),
        );
    }
    json!({"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"run": trace.id, "wall_s": trace.wall_s}})
}

fn meta(what: &str, thread: usize, name: &str) -> Value {
    json!({"ph": "M", "name": what, "pid": 1, "tid": thread, "args": {"name": name}})
}

fn top(trace: &Trace, mut i: usize) -> usize {
    for _ in 0..256 {
        match trace.spans[i].parent {
            Some(parent) => i = parent,
            None => break,
        }
    }
    i
}

fn label(span: &Span) -> String {
    match (&span.kind, &span.model) {
        (Kind::Model, Some(model)) => format!("chat {model}"),
        _ => span.label(),
    }
}

fn category(span: &Span) -> &'static str {
    match span.kind {
        Kind::Model => "model",
        Kind::Tool => "tool",
        Kind::Attempt => "phase",
        Kind::Own => "own",
        Kind::Node | Kind::Run => "node",
        Kind::Other | Kind::Echo | Kind::EchoTool => "other",
    }
}

fn arguments(span: &Span) -> Value {
    let mut map = serde_json::Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(key.into(), value);
        }
    };
    set("prompt tokens", span.tokens.prompt.map(Into::into));
    set("cached tokens", span.tokens.cached.map(Into::into));
    set("cache write tokens", span.tokens.usage().written().map(Into::into));
    set("answer tokens", span.tokens.completion.map(Into::into));
    set("error", span.error.clone().map(Into::into));
    set("cache", span.attributes.get("lacon.cache").cloned());
    Value::Object(map)
}
