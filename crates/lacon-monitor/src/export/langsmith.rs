//! The trace as LangSmith runs: the fields that its SDK stores and its users look for.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{nanos, uuid};
use crate::{
    names,
    trace::{Kind, Span, Trace},
};

/// A list of runs, parents before children.
pub fn langsmith(trace: &Trace) -> Vec<Value> {
    let root = uuid(&format!("{}/run", trace.id));
    let mut orders: Vec<String> = vec![String::new(); trace.spans.len()];
    let root_order = order(trace, 0.0, &root);
    let mut extra = Map::new();
    extra.insert("metadata".into(), json!({"ls_run_depth": 0, "lacon_run": trace.id}));
    let texts: Map<String, Value> = trace
        .flags
        .iter()
        .filter(|(k, _)| *k == "lacon.decision")
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let mut runs = vec![json!({
        "id": root, "trace_id": root, "parent_run_id": null, "dotted_order": root_order, "name": trace.name, "run_type": "chain",
        "start_time": stamp(trace, 0.0), "end_time": stamp(trace, trace.wall_s), "status": status(trace.error.as_deref()), "error": trace.error,
        "inputs": trace.inputs, "outputs": texts, "extra": extra, "tags": ["lacon"],
        "prompt_tokens": trace.tokens.prompt, "completion_tokens": trace.tokens.completion, "total_tokens": trace.tokens.sum(),
    })];
    // A parent may begin after its child by a clock's blur: parents come first all the same.
    let mut left: Vec<usize> = (0..trace.spans.len()).collect();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|i| {
            let span = &trace.spans[*i];
            let above = match span.parent {
                None => Some((root.clone(), root_order.clone())),
                Some(p) => (!orders[p].is_empty()).then(|| (uuid(&trace.spans[p].id), orders[p].clone())),
            };
            let Some((parent, above)) = above else { return true };
            let id = uuid(&span.id);
            orders[*i] = format!("{above}.{}", order(trace, span.start_s, &id));
            runs.push(run(trace, span, &id, &root, &parent, &orders[*i]));
            false
        });
        if left.len() == before {
            break;
        }
    }
    runs
}

fn run(trace: &Trace, span: &Span, id: &str, root: &str, parent: &str, order: &str) -> Value {
    let kind = match span.kind {
        Kind::Model => "llm",
        Kind::Tool => "tool",
        _ => "chain",
    };
    let mut metadata = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            metadata.insert(key.into(), value);
        }
    };
    set("ls_model_name", span.model.clone().map(Into::into));
    set("ls_provider", span.attributes.get(names::PROVIDER).cloned());
    set("ls_model_type", (span.kind == Kind::Model).then(|| "chat".into()));
    set("langgraph_node", (span.parent.is_none()).then(|| span.name.clone().into()));
    for (key, value) in span.attributes.iter().filter(|(k, _)| k.starts_with("lacon.")) {
        metadata.insert(key.clone(), value.clone());
    }
    let t = &span.tokens;
    let mut outputs = Map::new();
    if span.kind == Kind::Model {
        let mut usage =
            json!({"input_tokens": t.prompt, "output_tokens": t.completion, "total_tokens": t.sum()});
        // LangChain's names; its sum of writes is 0 where they are divided.
        let details = [
            ("cache_read", t.cached),
            ("cache_creation", t.cache_write.filter(|_| t.cache_write_1h.is_none())),
            ("ephemeral_5m_input_tokens", t.cache_write.filter(|_| t.cache_write_1h.is_some())),
            ("ephemeral_1h_input_tokens", t.cache_write_1h),
        ];
        for (name, n) in details.into_iter().filter_map(|(name, n)| Some((name, n?))) {
            usage["input_token_details"][name] = json!(n);
        }
        if let Some(reasoning) = t.reasoning {
            usage["output_token_details"] = json!({"reasoning": reasoning});
        }
        outputs.insert("usage_metadata".into(), usage);
    }
    json!({
        "id": id, "trace_id": root, "parent_run_id": parent, "dotted_order": order, "name": span.name, "run_type": kind,
        "start_time": stamp(trace, span.start_s), "end_time": stamp(trace, span.end_s),
        "first_token_time": span.first_token_s.map(|t| stamp(trace, t)),
        "status": status(span.error.as_deref()), "error": span.error, "inputs": {}, "outputs": outputs,
        "extra": {"metadata": metadata}, "tags": ["lacon"],
        "prompt_tokens": t.prompt, "completion_tokens": t.completion, "total_tokens": t.sum(),
    })
}

fn status(error: Option<&str>) -> &'static str {
    if error.is_some() { "error" } else { "success" }
}

fn timestamp(trace: &Trace, seconds: f64) -> Timestamp {
    Timestamp::from_microsecond((nanos(trace, seconds) / 1000) as i64).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn stamp(trace: &Trace, seconds: f64) -> String {
    timestamp(trace, seconds).strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}

/// One part of a dotted order: `<YYYYMMDDTHHMMSSffffff>Z<uuid>`.
fn order(trace: &Trace, seconds: f64, id: &str) -> String {
    format!("{}Z{id}", timestamp(trace, seconds).strftime("%Y%m%dT%H%M%S%6f"))
}
