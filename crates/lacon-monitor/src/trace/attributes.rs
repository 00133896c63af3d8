//! What a span is by its attributes, whichever instrumentation wrote them: GenAI conventions of any age, OpenInference,
//! OpenLLMetry, Vercel's AI SDK, MLflow, Pydantic AI, LangSmith.
//!
//! A span is a call by what it holds: a model together with usage or messages. Its name and its declared kind only decide
//! where that leaves a doubt.

use serde_json::{Map, Value};

use super::{Kind, Span, answer, json, settle::Raw, state, usage};
use crate::{evidence::Evidence, names};

const MODEL: [&str; 11] = [
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "llm.response.model",
    "llm.request.model",
    "ai.response.model",
    "ai.model.id",
    "mlflow.llm.model",
    "embedding.model_name",
    "model_name",
    "ls_model_name",
];
const PROMPT: [&str; 7] = [
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.usage.prompt_tokens",
    "llm.token_count.prompt",
    "ai.usage.inputTokens",
    "ai.usage.promptTokens",
    "ai.usage.tokens",
];
const COMPLETION: [&str; 6] = [
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.usage.completion_tokens",
    "llm.token_count.completion",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
];
const CACHED: [&str; 7] = [
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.input_tokens.cached",
    "gen_ai.usage.details.cache_read_tokens",
    "llm.token_count.prompt_details.cache_read",
    "llm.usage.cache_read_input_tokens",
    "ai.usage.cachedInputTokens",
];
const CACHE_WRITE: [&str; 7] = [
    names::CACHE_WRITE_TOKENS,
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "llm.token_count.prompt_details.cache_write",
    "llm.usage.cache_creation_input_tokens",
    "ai.usage.inputTokenDetails.cacheWriteTokens",
];
const REASONING: [&str; 6] = [
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
    "llm.usage.reasoning_tokens",
    "ai.usage.reasoningTokens",
];
const TOTAL: [&str; 4] =
    ["gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total", "ai.usage.totalTokens"];
/// What names a tool; the last one names any entity and makes none a tool.
const TOOL_NAME: [&str; 7] = [
    "gen_ai.tool.name",
    "tool.name",
    "ai.toolCall.name",
    "tool_name",
    "mcp.tool.name",
    "traceloop.tool.name",
    "traceloop.entity.name",
];
const TOOL: &[&str] = match TOOL_NAME.split_last() {
    Some((_, tools)) => tools,
    None => &[],
};
const COST: [&str; 6] = [
    "gen_ai.usage.cost",
    "gen_ai.cost.total_cost",
    "llm.cost.total",
    "llm.usage.cost",
    "operation.cost",
    "langfuse.cost",
];
const REQUEST: [&str; 6] = [
    "gen_ai.response.id",
    "llm.response.id",
    "ai.response.id",
    "gen_ai.tool.call.id",
    "ai.toolCall.id",
    "tool_call.id",
];
const INPUT: [&str; 12] = [
    "gen_ai.input.messages",
    "ai.prompt.messages",
    "ai.prompt",
    "mlflow.spanInputs",
    "input.value",
    "traceloop.entity.input",
    "gen_ai.tool.call.arguments",
    "ai.toolCall.args",
    "langfuse.observation.input",
    "request_data",
    "gcp.vertex.agent.llm_request",
    "gcp.vertex.agent.tool_call_args",
];
const OUTPUT: [&str; 13] = [
    "gen_ai.output.messages",
    "ai.response.text",
    "ai.response.object",
    "mlflow.spanOutputs",
    "output.value",
    "traceloop.entity.output",
    "gen_ai.tool.call.result",
    "ai.toolCall.result",
    "langfuse.observation.output",
    "response_data",
    "tool_response",
    "gcp.vertex.agent.llm_response",
    "gcp.vertex.agent.tool_response",
];
/// Beginnings of names under which nested objects are taken apart into dotted names.
const NESTED: [&str; 14] = [
    "llm",
    "gen_ai",
    "input",
    "output",
    "openinference",
    "tool",
    "ai",
    "traceloop",
    "mlflow",
    "embedding",
    "retrieval",
    "metadata",
    "langfuse",
    "graph",
];

/// Takes nested objects apart: `{"llm": {"model_name": …}}` is `llm.model_name`.
pub fn flat(map: Map<String, Value>) -> Map<String, Value> {
    if !map.iter().any(|(key, value)| value.is_object() && NESTED.contains(&key.as_str())) {
        return map;
    }
    let mut out = Map::new();
    for (key, value) in map {
        match value {
            Value::Object(inner) if NESTED.contains(&key.as_str()) => put(&mut out, &key, inner, 0),
            value => {
                out.insert(key, value);
            }
        }
    }
    out
}

fn put(out: &mut Map<String, Value>, prefix: &str, map: Map<String, Value>, depth: usize) {
    for (key, value) in map {
        let name = format!("{prefix}.{key}");
        match value {
            Value::Object(inner)
                if depth < 6 && !matches!(key.as_str(), "value" | "parameters" | "tokenUsage") =>
            {
                put(out, &name, inner, depth + 1);
            }
            value => {
                out.insert(name, value);
            }
        }
    }
}

/// A text attribute; MLflow writes all of its values as JSON.
fn word(map: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    let text = keys.iter().find_map(|k| json::member(map, k)).and_then(json::text)?;
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(&text).trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn number(map: &Map<String, Value>, keys: &[&str]) -> Option<u64> {
    keys.iter().filter_map(|k| json::member(map, k)).find_map(json::count)
}

/// Fills a span in from its attributes, whichever names they have. What the reader found before stays.
pub fn fill(raw: &mut Raw, map: Map<String, Value>) {
    let mut map = flat(map);
    let span = &mut raw.span;
    span.model = span.model.take().or_else(|| word(&map, &MODEL));
    tokens(span, &map);
    // Since GenAI v0.1.0 the agent's name of a workflow is the workflow's own.
    let names: &[&str] = match word(&map, &[names::OPERATION]).as_deref() {
        Some("invoke_workflow") => &["traceloop.entity.name", "graph.node.id"],
        _ => &["gen_ai.agent.name", "traceloop.entity.name", "graph.node.id", "agent_name"],
    };
    span.role = word(&map, names).or(span.role.take());
    span.request = span.request.take().or_else(|| word(&map, &REQUEST));
    span.cost_usd =
        span.cost_usd.or_else(|| COST.iter().find_map(|k| json::member(&map, k)).and_then(json::money));
    if span.kind == Kind::Other {
        span.kind = kind(span, &map);
    }
    name(span, &map);
    if let Some(error) = word(&map, &["error.type", "exception.type"]) {
        span.error.get_or_insert(error);
    }
    if let Some(Value::Array(inputs)) = json::member(&map, "lacon.inputs") {
        span.inputs = Some(inputs.iter().filter_map(|v| v.as_str().map(Into::into)).collect());
    }
    if raw.first_token.is_none()
        && let Some(start) = raw.start
    {
        let seconds = |key: &str| json::member(&map, key).and_then(Value::as_f64);
        let after = seconds("gen_ai.response.time_to_first_chunk")
            .or_else(|| seconds("gen_ai.server.time_to_first_token"))
            .or_else(|| seconds("ai.response.msToFirstChunk").map(|ms| ms / 1000.0));
        raw.first_token = after.map(|after| start + after);
    }
    content(span, &map);
    // Prompts are not kept; what was derived from them is.
    map.retain(|key, value| {
        !key.contains("messages")
            && !key.contains("prompt.")
            && !key.contains("completion.")
            && value.as_str().is_none_or(|t| t.len() < 512)
    });
    if span.attributes.is_empty() {
        span.attributes = map;
    } else {
        span.attributes.extend(map);
    }
}

fn tokens(span: &mut Span, map: &Map<String, Value>) {
    let t = &mut span.tokens;
    t.prompt = t.prompt.or_else(|| number(map, &PROMPT));
    t.completion = t.completion.or_else(|| number(map, &COMPLETION));
    t.cached = t.cached.or_else(|| number(map, &CACHED));
    t.reasoning = t.reasoning.or_else(|| number(map, &REASONING));
    // The conventions name one figure; of it, what is kept for an hour.
    t.cache_write_1h = t.cache_write_1h.or_else(|| number(map, &[names::CACHE_WRITE_1H_TOKENS]));
    let hour = t.cache_write_1h.unwrap_or(0);
    t.cache_write = t.cache_write.or_else(|| number(map, &CACHE_WRITE).map(|n| n.saturating_sub(hour)));
    t.total = t.total.or_else(|| number(map, &TOTAL));
    for key in ["gen_ai.usage.input_token_details", "mlflow.chat.tokenUsage", "gen_ai.usage"] {
        let Some(found) = json::member(map, key) else { continue };
        let parsed = match found {
            Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            other => other.clone(),
        };
        t.cached = t.cached.or_else(|| parsed.get("cache_read").and_then(json::count));
        if parsed.is_object() && key != "gen_ai.usage.input_token_details" {
            *t = t.or(&usage::of(&parsed));
        }
    }
    // A cache that gave more than the whole prompt was counted beside it.
    if let (Some(cached), Some(prompt)) = (t.cached, t.prompt)
        && cached > prompt
    {
        let written = t.cache_write.unwrap_or(0).saturating_add(t.cache_write_1h.unwrap_or(0));
        t.prompt = Some(prompt.saturating_add(cached).saturating_add(written));
        t.total = None;
    }
}

/// What a span is: by what is declared, then by what it holds.
fn kind(span: &Span, map: &Map<String, Value>) -> Kind {
    match word(map, &["lacon.kind"]).as_deref() {
        Some("phase") => return Kind::Attempt,
        Some("own") => return Kind::Own,
        _ => {}
    }
    let operation =
        word(map, &["gen_ai.operation.name", "ai.operationId", "llm.request.type"]).unwrap_or_default();
    let declared = word(
        map,
        &[
            "openinference.span.kind",
            "traceloop.span.kind",
            "langsmith.span.kind",
            "mlflow.spanType",
            "langfuse.observation.type",
            "span_kind",
        ],
    )
    .unwrap_or_default()
    .to_lowercase();
    let by_word = match (operation.as_str(), declared.as_str()) {
        ("invoke_workflow" | "plan", _) => Some(Kind::Other),
        (memory, _) if memory.contains("_memory") => Some(Kind::Tool),
        // The agent kit of Google sums parallel tools up in one more span.
        _ if word(map, TOOL).as_deref() == Some("(merged tools)") => Some(Kind::Other),
        ("chat" | "text_completion" | "generate_content" | "completion" | "embeddings", _)
        | (_, "llm" | "chat_model" | "generation" | "embedding") => Some(Kind::Model),
        ("execute_tool" | "retrieval", _) | ("ai.toolCall", _) | (_, "tool" | "retriever" | "reranker") => {
            Some(Kind::Tool)
        }
        ("invoke_agent" | "create_agent", _) | (_, "agent") => Some(Kind::Node),
        (_, "workflow" | "chain" | "task" | "guardrail" | "evaluator" | "parser" | "memory") => {
            Some(Kind::Other)
        }
        _ => None,
    };
    let holds_usage = span.tokens.sum().is_some();
    let holds_messages = map.keys().any(|key| {
        key.starts_with("gen_ai.prompt.")
            || key.starts_with("gen_ai.completion.")
            || key.starts_with("llm.input_messages")
            || key.starts_with("llm.output_messages")
            || matches!(
                key.as_str(),
                "gen_ai.input.messages"
                    | "gen_ai.output.messages"
                    | "ai.prompt.messages"
                    | "ai.prompt"
                    | "ai.response.text"
            )
    });
    match by_word {
        Some(Kind::Other) if operation.is_empty() && span.model.is_some() && holds_usage => Kind::Model,
        Some(kind) => kind,
        None if span.model.is_some() && (holds_usage || holds_messages) => Kind::Model,
        None if json::member(map, "gen_ai.system").is_some() && span.tokens.completion.is_some() => {
            Kind::Model
        }
        None if TOOL.iter().any(|key| json::member(map, key).is_some_and(|v| !v.is_null())) => Kind::Tool,
        None => Kind::Other,
    }
}

/// `invoke_agent market` is the node `market`, `execute_tool search` the tool `search`.
fn name(span: &mut Span, map: &Map<String, Value>) {
    let (keys, prefix): (&[&str], &str) = match span.kind {
        Kind::Node => (&["gen_ai.agent.name", "agent_name"], "invoke_agent "),
        Kind::Tool => (&TOOL_NAME, "execute_tool "),
        _ => return,
    };
    if let Some(name) = word(map, keys).or_else(|| span.name.strip_prefix(prefix).map(Into::into)) {
        span.name = name;
    }
}

/// Texts of messages, where a trace carries them.
fn content(span: &mut Span, map: &Map<String, Value>) {
    let parsed = |keys: &[&str]| {
        keys.iter().filter_map(|k| json::member(map, k)).find(|v| !v.is_null()).map(|v| match v {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
            other => other.clone(),
        })
    };
    let inputs = parsed(&INPUT[..1])
        .or_else(|| numbered(map, "gen_ai.prompt"))
        .or_else(|| numbered(map, "llm.input_messages"))
        .or_else(|| parsed(&INPUT[1..]));
    let mut outputs = parsed(&OUTPUT[..1])
        .or_else(|| numbered(map, "gen_ai.completion"))
        .or_else(|| numbered(map, "llm.output_messages"));
    if outputs.is_none() {
        // The AI SDK keeps the text and the tool calls of one answer apart.
        let calls = parsed(&["ai.response.toolCalls"]);
        outputs = match (parsed(&OUTPUT[1..]), calls) {
            (Some(text), Some(calls)) => {
                Some(serde_json::json!([{"role": "assistant", "content": text, "tool_calls": calls}]))
            }
            (text, calls) => text.or(calls),
        };
    }
    recorded(span, inputs.as_ref(), outputs.as_ref());
    if span.kind == Kind::Tool && json::member(map, "lacon.status").and_then(Value::as_str) == Some("no_data")
    {
        span.no_data.push("no data".into());
    }
}

/// Messages under numbered names: `llm.input_messages.0.message.role`.
fn numbered(map: &Map<String, Value>, prefix: &str) -> Option<Value> {
    if let Some(found) = json::member(map, prefix).filter(|v| !v.is_null()) {
        return Some(found.clone());
    }
    // Nearly all spans have none of these; making up names to look for takes longer than all the rest.
    if !map.keys().any(|key| key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))) {
        return None;
    }
    let mut messages = Vec::new();
    for i in 0..256 {
        let get =
            |name: &str| ["", "message."].iter().find_map(|m| map.get(&format!("{prefix}.{i}.{m}{name}")));
        let (role, content) = (get("role"), get("content"));
        let mut calls = Vec::new();
        for j in 0..64 {
            let call = |name: &str| {
                [
                    format!("{prefix}.{i}.tool_calls.{j}.{name}"),
                    format!("{prefix}.{i}.message.tool_calls.{j}.tool_call.{name}"),
                ]
                .iter()
                .find_map(|key| map.get(key))
            };
            let Some(name) = call("name").or_else(|| call("function.name")) else { break };
            let args = call("arguments").or_else(|| call("function.arguments"));
            calls.push(serde_json::json!({"name": name, "args": args}));
        }
        if role.is_none() && content.is_none() && calls.is_empty() {
            break;
        }
        messages.push(serde_json::json!({"role": role, "content": content, "tool_calls": calls}));
    }
    (!messages.is_empty()).then_some(Value::Array(messages))
}

/// What a span read and wrote, as far as it is recorded.
pub fn recorded(span: &mut Span, inputs: Option<&Value>, outputs: Option<&Value>) {
    let read = inputs.map(state::read).unwrap_or_default();
    if span.kind == Kind::Model {
        span.prompt_key = span.prompt_key.or_else(|| inputs.and_then(state::digest));
    }
    span.shown = state::shown(&read, false);
    let Some(outputs) = outputs else { return };
    let gave = state::held(outputs);
    span.shown.extend(state::shown(&gave, true));
    let wrote = state::wrote(&read, &gave);
    let is_call = span.kind == Kind::Model;
    if is_call || span.answer == answer::Answer::NotRecorded {
        span.answer = answer::of(outputs);
    }
    span.asks_tools = wrote.n_calls.max(if is_call { answer::n_tool_calls(outputs) } else { 0 });
    span.no_data = wrote.no_data;
    let joined =
        |held: &state::Held| held.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n");
    let (answer, prompt) = (joined(&gave), joined(&read));
    if is_call && !prompt.is_empty() && answer.len() > 80 {
        span.traceable = Some(Evidence::of(&[&prompt], "").share(&answer));
    }
    if is_call && span.tokens.sum().is_none() {
        usage_of_output(span, outputs);
    }
    if span.kind == Kind::Tool {
        if let Some(result) = json::text(outputs) {
            span.no_data.extend(state::no_data(&result));
        }
        span.attributes.insert("result_bytes".into(), size(outputs).into());
    }
    span.wrote = wrote.texts;
}

/// Usage that a provider's raw response carries.
fn usage_of_output(span: &mut Span, outputs: &Value) {
    let found = json::first(
        outputs,
        &["usage", "usage_metadata", "usageMetadata", "response.usage", "message.usage_metadata"],
    );
    if let Some(found) = found.filter(|u| u.is_object()) {
        span.tokens = span.tokens.or(&usage::of(found));
    }
}

/// Bytes of a recorded value as text.
pub fn size(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        other => other.to_string().len() as u64,
    }
}
