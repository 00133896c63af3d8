//! LangSmith: runs as the SDK, the CLI and the shared-trace page export them (a list, lines, a tree of `child_runs`),
//! and the files of the original system's analyzer, which hold a shortened run.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use serde_json::{Map, Value};

use super::{
    Kind, SpanTokens, Text, Trace, answer, attributes,
    batch::{Batch, Outer, beginning},
    json,
    settle::Raw,
    state::{self, Held},
    usage, when,
};
use crate::{analyze::flow::family, evidence::Evidence};

/// Whether a value looks like one run, or like a batch of the ingest API.
pub fn is_run(value: &Value) -> bool {
    let has = |key: &str| json::get(value, key).is_some();
    (has("id") || has("run_id")) && (has("run_type") || has("start_time") && has("dotted_order"))
        || has("id") && has("dotted_order") && (has("end_time") || has("outputs"))
        || is_batch(value)
}

fn is_batch(value: &Value) -> bool {
    ["post", "patch"].iter().any(|key| {
        json::get(value, key).and_then(Value::as_array).is_some_and(|l| l.first().is_some_and(is_run))
    })
}

/// Whether a value is a file of the original system's analyzer.
pub fn is_analyzer(value: &Value) -> bool {
    json::get(value, "trace_data").is_some_and(is_run)
}

/// Identifier and trace of the run above.
pub type Above = (String, Option<String>);

/// Reads a run with the runs under it.
pub fn add(value: &Value, above: Option<&Above>, batch: &mut Batch) {
    if is_batch(value) {
        // What a run was started with and what it ended with come in two parts, maybe in two batches.
        let parts = ["post", "patch"].iter().filter_map(|key| value.get(key)?.as_array()).flatten();
        batch.lines.extend(parts.cloned());
        return;
    }
    let mut stack: Vec<(&Value, Option<Rc<Above>>)> = vec![(value, above.cloned().map(Rc::new))];
    while let Some((value, above)) = stack.pop() {
        if !value.is_object() {
            super::note(&mut batch.problems, "not_a_run", beginning(value));
            continue;
        }
        let children = value.get("child_runs").and_then(Value::as_array);
        let own = run(value, children.map(Vec::len), above.as_deref(), batch);
        if let Some(children) = children.filter(|list| !list.is_empty()) {
            let own = Rc::new(own);
            stack.extend(children.iter().rev().map(|child| (child, Some(Rc::clone(&own)))));
        }
    }
}

/// Joins the parts of runs that batches of the ingest API hold, and reads them.
pub fn batches(parts: Vec<Value>, batch: &mut Batch) {
    let mut order: Vec<String> = Vec::new();
    let mut runs: HashMap<String, Map<String, Value>> = HashMap::new();
    for part in parts {
        let Value::Object(part) = part else { continue };
        let Some(id) = part.get("id").or_else(|| part.get("run_id")).and_then(json::text) else { continue };
        let run = runs.entry(id.clone()).or_insert_with(|| {
            order.push(id);
            Map::new()
        });
        for (key, value) in part {
            if !value.is_null() || !run.contains_key(&key) {
                run.insert(key, value);
            }
        }
    }
    for run in order.iter().filter_map(|id| runs.remove(id)) {
        add(&Value::Object(run), None, batch);
    }
}

/// Reads one run, however many are in its list of children, and gives what those need to know of it.
pub fn run(value: &Value, n_children: Option<usize>, above: Option<&Above>, batch: &mut Batch) -> Above {
    let raw = read(value, above);
    if raw.parent.is_none() {
        let mut outer = Outer { id: raw.span.id.clone(), ..Outer::default() };
        if let Some(Value::Object(map)) = part_of(value, INPUTS).as_deref() {
            let short = flags(map).into_iter();
            outer.inputs = Some(short.filter_map(|(k, v)| json::text(&v).map(|text| (k, text))).collect());
        }
        if let Some(Value::Object(map)) = part_of(value, OUTPUTS).as_deref() {
            outer.flags = Some(flags(map).into_iter().collect());
        }
        let total = json::first(value, &["child_runs_total"]).and_then(json::count);
        if let (Some(total), Some(n)) = (total, n_children)
            && (n as u64) < total
        {
            let what = format!("{n} of {total} child runs are in the file");
            super::note(&mut batch.problems, "runs_left_out", what);
        }
        batch.outer.push(outer);
    }
    let above = (raw.span.id.clone(), raw.trace.clone().or_else(|| Some(raw.span.id.clone())));
    batch.raws.push(raw);
    above
}

/// What follows from all runs of a trace; `only` is the outermost one where there is no other.
pub fn finish(trace: &mut Trace, outer: &HashMap<&str, &Outer>, only: Option<&Outer>) {
    if let Some(outer) = only.or_else(|| outer.get(trace.id.as_str()).copied()) {
        if let Some(inputs) = &outer.inputs {
            trace.inputs.clone_from(inputs);
        }
        if let Some(flags) = &outer.flags {
            trace.flags.clone_from(flags);
        }
    }
    if let Some(status) = trace.attributes.get("status").and_then(json::text) {
        trace.status = status;
    }
    if trace.has_root && trace.spans.len() == 1 && trace.spans[0].hidden_calls > 0 {
        let name = trace.name.clone();
        trace.problem(
            "children_left_out",
            format!("{name}: only the run itself is in the file, its child runs are not"),
        );
    }
    written_in_place(trace);
    known_models(trace);
    spread_completion(trace);
}

/// What a run read, under one of its names.
const INPUTS: [&str; 2] = ["inputs", "inputs_summary"];
/// What a run gave, under one of its names.
const OUTPUTS: [&str; 2] = ["outputs", "outputs_summary"];

/// Inputs or outputs under one of their names; bulk exports hold them as JSON strings.
fn part_of<'a>(value: &'a Value, names: [&str; 2]) -> Option<std::borrow::Cow<'a, Value>> {
    let [name, short] = names;
    let found = json::get(value, name).filter(|v| !v.is_null()).or_else(|| json::get(value, short))?;
    match found {
        Value::String(text) => serde_json::from_str(text).ok().map(std::borrow::Cow::Owned),
        other => Some(std::borrow::Cow::Borrowed(other)),
    }
}

/// Short values of a state: flags, numbers, words, and which report was ready.
fn flags(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter()
        .filter(|(key, value)| match value {
            Value::String(text) => text.len() <= 64,
            Value::Bool(_) | Value::Number(_) => true,
            Value::Object(_) => key.contains("readiness") || *key == "research_debate_state",
            _ => false,
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A run of a table keeps its objects as text.
fn opened(value: &Value) -> Option<Value> {
    const OBJECTS: [&str; 7] = [
        "extra",
        "metadata",
        "events",
        "tags",
        "parent_run_ids",
        "prompt_token_details",
        "completion_token_details",
    ];
    let is_text =
        |key: &str| json::get(value, key).and_then(Value::as_str).is_some_and(|t| t.starts_with(['{', '[']));
    if !OBJECTS.iter().any(|key| is_text(key)) {
        return None;
    }
    let mut map = value.as_object()?.clone();
    for key in OBJECTS {
        if let Some(Value::String(text)) = map.get(key)
            && let Ok(inner) = serde_json::from_str(text)
        {
            map.insert(key.into(), inner);
        }
    }
    Some(Value::Object(map))
}

fn read(value: &Value, above: Option<&Above>) -> Raw {
    let opened = opened(value);
    let value = opened.as_ref().unwrap_or(value);
    let text = |paths: &[&str]| json::first(value, paths).and_then(json::text).filter(|t| !t.is_empty());
    let mut raw = Raw::default();
    let span = &mut raw.span;
    span.id = text(&["id", "run_id"]).unwrap_or_default();
    // One tracer writes each of its calls once.
    span.scope = Some("langsmith".into());
    span.name = text(&["name"]).unwrap_or_else(|| "unnamed".into());
    // Every part is the moment of a start, a Z, and the run's identifier.
    let order: Vec<&str> = json::get(value, "dotted_order")
        .and_then(Value::as_str)
        .map(|o| o.split('.').filter_map(|part| part.split_once('Z').map(|(_, id)| id)).collect())
        .unwrap_or_default();
    let ancestors: Vec<&str> = json::get(value, "parent_run_ids")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    raw.trace = text(&["trace_id"])
        .or_else(|| order.first().map(|o| (*o).to_owned()))
        .or_else(|| ancestors.first().map(|o| (*o).to_owned()))
        .or_else(|| above.and_then(|(_, trace)| trace.clone()))
        .or_else(|| above.is_none().then(|| span.id.clone()));
    // Ancestors are listed from the root down; some exports turn the list round.
    let nearest = match ancestors.as_slice() {
        [first, .., last] if Some(*last) == raw.trace.as_deref() => Some(*first),
        list => list.last().copied(),
    };
    raw.parent = text(&["parent_run_id", "parent_id"])
        .or_else(|| order.len().checked_sub(2).map(|i| order[i].to_owned()))
        .or_else(|| nearest.map(Into::into))
        .or_else(|| above.map(|(id, _)| id.clone()))
        .filter(|p| *p != span.id);
    raw.start = json::get(value, "start_time").and_then(when::unix);
    raw.end = json::get(value, "end_time").and_then(when::unix);
    raw.first_token = json::get(value, "first_token_time").and_then(when::unix).or_else(|| {
        let events = json::get(value, "events")?.as_array()?;
        events
            .iter()
            .find(|e| e.get("name").and_then(Value::as_str) == Some("new_token"))?
            .get("time")
            .and_then(when::unix)
    });
    span.kind = match json::get(value, "run_type").and_then(Value::as_str) {
        Some("llm") => Kind::Model,
        Some("tool" | "retriever") => Kind::Tool,
        _ => Kind::Other,
    };
    let status = text(&["status"]);
    let failed = matches!(status.as_deref(), Some("error" | "failed" | "failure"));
    if let Some(status) = status {
        span.attributes.insert("status".into(), status.into());
    }
    span.error = text(&["error"])
        .map(|e| e.chars().take(200).collect())
        .or_else(|| failed.then(|| "failed".to_owned()));
    span.model = text(&[
        "extra.metadata.ls_model_name",
        "extra.invocation_params.model",
        "extra.invocation_params.model_name",
        "outputs.llm_output.model_name",
    ]);
    let metadata = [
        json::get(value, "extra").and_then(|extra| json::get(extra, "metadata")),
        json::get(value, "metadata"),
    ];
    let noted = |key: &str| {
        metadata.iter().flatten().find_map(|metadata| json::get(metadata, key).filter(|v| !v.is_null()))
    };
    span.role = noted("langgraph_node").and_then(json::text).filter(|t| !t.is_empty());
    for key in ["langgraph_step", "langgraph_triggers", "ls_provider", "thread_id"] {
        if let Some(found) = noted(key) {
            span.attributes.insert(key.into(), found.clone());
        }
    }
    if let Some(tags) = json::get(value, "tags").filter(|t| t.as_array().is_some_and(|t| !t.is_empty())) {
        span.attributes.insert("tags".into(), tags.clone());
    }
    let count = |paths: &[&str]| json::first(value, paths).and_then(json::count);
    span.tokens = SpanTokens {
        prompt: count(&["prompt_tokens", "token_usage.prompt_tokens"]),
        completion: count(&["completion_tokens", "token_usage.completion_tokens"]),
        total: count(&["total_tokens", "token_usage.total_tokens"]),
        cached: count(&["prompt_token_details.cache_read", "token_usage.prompt_token_details.cache_read"]),
        cache_write: count(&[
            "prompt_token_details.cache_creation",
            "token_usage.prompt_token_details.cache_creation",
        ]),
        reasoning: count(&["completion_token_details.reasoning"]),
        ..SpanTokens::default()
    };
    span.cost_usd = json::first(value, &["total_cost", "costs.total_cost"]).and_then(json::money);
    if span.kind == Kind::Model {
        span.prompt_key = part_of(value, INPUTS).as_deref().and_then(state::digest);
    }
    content(value, span);
    raw
}

/// What the run read and wrote.
fn content(value: &Value, span: &mut super::Span) {
    let (inputs, outputs) = (part_of(value, INPUTS), part_of(value, OUTPUTS));
    let read = inputs.as_deref().map(state::read).unwrap_or_default();
    let gave = outputs.as_deref().map(state::held).unwrap_or_default();
    if let Some(outputs) = outputs.as_deref().filter(|o| span.kind == Kind::Model || !o.is_null()) {
        span.answer = answer::of(outputs);
        if span.kind == Kind::Tool {
            span.attributes.insert("result_bytes".into(), attributes::size(outputs).into());
        }
    }
    let is_root = json::get(value, "child_runs").is_some()
        || json::get(value, "parent_run_id").is_some_and(Value::is_null);
    let wrote = state::wrote(&read, &gave);
    if let Some(model) = &wrote.model
        && span.model.is_none()
    {
        span.model = Some(model.clone());
    }
    if span.kind == Kind::Model {
        let mut usage = outputs
            .as_deref()
            .and_then(|o| {
                json::first(
                    o,
                    &["usage_metadata", "llm_output.token_usage", "usage", "message.usage_metadata"],
                )
                .cloned()
            })
            .or_else(|| outputs.as_deref().and_then(|o| deep_usage(o, 0)));
        usage = usage.or_else(|| wrote.usage.last().cloned());
        if let Some(found) = usage {
            span.tokens = span.tokens.or(&usage::of(&found));
        }
        let answer: String = answers(&gave);
        let prompt: String = read.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n");
        if read.n_left_out == 0 && !prompt.is_empty() && answer.len() > 80 {
            span.traceable = Some(Evidence::of(&[&prompt], "").share(&answer));
        }
        repeats(&read, span);
    } else {
        // The usage that messages carry, where the run itself reports none (streaming).
        let known: SpanTokens =
            wrote.usage.iter().map(usage::of).fold(SpanTokens::default(), SpanTokens::most);
        if span.tokens.sum().is_none() {
            span.tokens = known;
        }
        span.tokens.reasoning = span.tokens.reasoning.or(known.reasoning);
    }
    span.asks_tools = wrote.n_calls;
    span.no_data = wrote.no_data;
    if wrote.n_with_data > 0 {
        span.attributes.insert("n_with_data".into(), wrote.n_with_data.into());
    }
    if wrote.call_tokens > 0 {
        span.attributes.insert("call_tokens".into(), wrote.call_tokens.into());
    }
    if span.kind == Kind::Tool
        && let Some(output) = outputs.as_deref()
    {
        let text = json::first(output, &["output.content", "output.kwargs.content", "output", "content"]);
        match text.and_then(json::text) {
            Some(text) => span.no_data.extend(state::no_data(&text)),
            None if span.no_data.is_empty() && gave.texts.is_empty() && gave.messages.is_empty() => {
                span.no_data.push("nothing at all".into());
            }
            None => {}
        }
    }
    // Of the run itself every text counts, the empty ones most of all.
    span.wrote = if is_root
        && json::get(value, "parent_run_id").is_none_or(Value::is_null)
        && span.kind == Kind::Other
    {
        gave.texts
            .into_iter()
            .filter(|t| t.chars == 0 || t.chars > 40 || t.key.contains("decision"))
            .collect()
    } else {
        wrote.texts
    };
    if span.kind == Kind::Other {
        span.handed = wrote.handed;
        span.read_keys = read.texts.iter().filter(|t| t.chars > 0).map(state::key_digest).collect();
    }
    let n_answers = span.wrote.len() as u32 + u32::from(wrote.n_calls > 0);
    span.hidden_calls = n_answers;
}

fn answers(held: &Held) -> String {
    let texts = held.messages.iter().filter(|m| m.kind == "ai").map(|m| m.content.as_str());
    texts.collect::<Vec<_>>().join("\n")
}

/// Usage wherever a chat model's output keeps it: `generations[0][0].message.kwargs.usage_metadata` and the like.
fn deep_usage(value: &Value, depth: usize) -> Option<Value> {
    if depth > 8 {
        return None;
    }
    match value {
        Value::Object(map) => {
            for key in ["usage_metadata", "token_usage"] {
                if let Some(found) = map.get(key).filter(|v| v.is_object()) {
                    return Some(found.clone());
                }
            }
            map.values().find_map(|v| deep_usage(v, depth + 1))
        }
        Value::Array(items) => items.iter().take(4).find_map(|v| deep_usage(v, depth + 1)),
        _ => None,
    }
}

/// Paragraphs of a prompt by digest, so that equal ones can be found in other prompts.
fn repeats(read: &Held, span: &mut super::Span) {
    let mut blocks = Vec::new();
    for message in &read.messages {
        for block in message.content.split("\n\n").filter(|b| b.len() >= 240).take(64) {
            let hash = block
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
            let start: String = block.chars().take(48).collect();
            blocks.push(serde_json::json!([hash, block.len() / 4, start]));
        }
    }
    if !blocks.is_empty() {
        blocks.truncate(128);
        span.attributes.insert("blocks".into(), Value::Array(blocks));
    }
}

/// A node that changes its input in place leaves its answer in its own recorded input. It wrote the text when no
/// earlier node had it; a text under another node's name is a quotation of that node.
fn written_in_place(trace: &mut Trace) {
    let families: HashSet<String> =
        trace.spans.iter().filter(|s| s.parent.is_none()).map(|s| family(&s.name).to_owned()).collect();
    let mut seen: HashSet<u64> = HashSet::new();
    let mut under_way: Vec<(f64, Vec<u64>)> = Vec::new();
    for i in 0..trace.spans.len() {
        let span = &mut trace.spans[i];
        if span.parent.is_some() {
            continue;
        }
        // What nodes that began with this one read or wrote says nothing about what was there before it.
        under_way.retain(|(start, keys)| {
            let earlier = *start < span.start_s - 0.02;
            if earlier {
                seen.extend(keys);
            }
            !earlier
        });
        for text in std::mem::take(&mut span.handed) {
            let last = text.key.rsplit('.').next().unwrap_or_default();
            let quoted = families.contains(last) && last != family(&span.name);
            let key = state::key_digest(&text);
            if !quoted && !seen.contains(&key) && !span.wrote.iter().any(|t| state::key_digest(t) == key) {
                span.wrote.push(text);
                span.hidden_calls +=
                    u32::from(span.tokens.sum().is_some_and(|t| t > 0) && span.hidden_calls > 0);
            }
        }
        let quoted = |t: &Text| {
            let last = t.key.rsplit('.').next().unwrap_or_default();
            families.contains(last) && last != family(&span.name)
        };
        span.wrote.retain(|t| !quoted(t));
        let mut keys = std::mem::take(&mut span.read_keys);
        keys.extend(span.wrote.iter().map(state::key_digest));
        under_way.push((span.start_s, keys));
    }
    for span in trace.spans.iter_mut().filter(|s| s.hidden_calls > 0) {
        span.hidden_calls = (span.wrote.len() as u32 + u32::from(span.asks_tools > 0)).max(1);
    }
}

/// A node asks the same model on each visit.
fn known_models(trace: &mut Trace) {
    let mut models: HashMap<String, String> = HashMap::new();
    for span in &trace.spans {
        if let (true, Some(model)) = (span.parent.is_none(), &span.model) {
            models.entry(span.name.clone()).or_insert_with(|| model.clone());
        }
    }
    for span in trace.spans.iter_mut().filter(|s| s.model.is_none() && s.hidden_calls > 0) {
        span.model = models.get(&span.name).cloned();
    }
}

/// Where only totals are reported per node, the completion follows from what the node wrote, scaled so that the sum
/// meets the run's own completion total; the prompt is the rest.
fn spread_completion(trace: &mut Trace) {
    let wants: Vec<usize> = (0..trace.spans.len())
        .filter(|i| {
            let s = &trace.spans[*i];
            s.hidden_calls > 0 && s.tokens.completion.is_none() && s.tokens.total.is_some_and(|t| t > 0)
        })
        .collect();
    if wants.is_empty() {
        return;
    }
    let written = |span: &super::Span| {
        let calls = span.attributes.get("call_tokens").and_then(Value::as_u64).unwrap_or(0);
        span.wrote.iter().map(|t: &Text| t.tokens).sum::<u64>() + calls
    };
    let sum: u64 = wants.iter().map(|i| written(&trace.spans[*i])).sum();
    let known: u64 = trace.spans.iter().filter_map(|s| s.tokens.completion).sum();
    let target = trace.tokens.completion.map(|c| c.saturating_sub(known));
    let scale = match target {
        Some(target) if sum > 0 => (target as f64 / sum as f64).clamp(0.5, 2.0),
        _ => 1.0,
    };
    for i in wants {
        let span = &mut trace.spans[i];
        let total = span.tokens.total.unwrap_or(0);
        let completion = ((written(span) as f64 * scale).round() as u64).min(total);
        span.tokens.completion = Some(completion);
        span.tokens.prompt = Some(total - completion);
        span.tokens.estimated = true;
    }
    // The same scale holds for every text that the file keeps in part.
    let spans = trace.spans.iter_mut().flat_map(|s| s.wrote.iter_mut());
    for text in spans.chain(trace.texts.iter_mut()).filter(|t| !t.whole) {
        text.tokens = (text.tokens as f64 * scale).round() as u64;
    }
}
