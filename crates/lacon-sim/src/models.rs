//! The endpoints of the simulated model: five protocols read into one request, one answer written in five.

use std::fmt::Write as _;

use lacon_llm::{
    Cut, Effort, Finish, JsonSchema, Message, Request, Response, Reuse, Role, Tags, ToolCall, ToolChoice,
    ToolSpec, Usage,
};
use serde_json::{Value, json};

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Google Gemini.
    Gemini,
    /// Ollama.
    Ollama,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// In which protocol.
    pub dialect: Dialect,
    /// What is asked.
    pub request: Request,
    /// Whether the answer comes as a stream.
    pub stream: bool,
    /// Whether a chat stream ends with the usage.
    pub usage_wanted: bool,
    /// Whether the request names a hosted search tool.
    pub wants_search: bool,
}

/// The protocol of a path, with the model and the streaming where they stand in it.
pub fn dialect_of(path: &str) -> Option<(Dialect, Option<String>, Option<bool>)> {
    if path.ends_with("/chat/completions") {
        return Some((Dialect::Chat, None, None));
    }
    if path.ends_with("/v1/responses") {
        return Some((Dialect::Responses, None, None));
    }
    if path.ends_with("/v1/messages") {
        return Some((Dialect::Messages, None, None));
    }
    if path.ends_with("/api/chat") {
        return Some((Dialect::Ollama, None, None));
    }
    let (_, rest) = path.split_once("/models/")?;
    let (model, method) = rest.rsplit_once(':')?;
    match method {
        "generateContent" => Some((Dialect::Gemini, Some(model.into()), Some(false))),
        "streamGenerateContent" => Some((Dialect::Gemini, Some(model.into()), Some(true))),
        _ => None,
    }
}

/// Reads a request.
///
/// # Errors
/// When the body is no JSON object or has no messages.
pub fn read(
    dialect: Dialect,
    model: Option<String>,
    stream: Option<bool>,
    tags: Tags,
    body: &[u8],
) -> Result<Incoming, String> {
    let value: Value = serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"))?;
    if !value.is_object() {
        return Err("the body is no JSON object".into());
    }
    let model = model.unwrap_or_else(|| text(&value, "model"));
    let mut request = Request { tags, ..Request::new(model) };
    let system = |parts: &Value| -> Vec<Message> {
        let text = joined(parts);
        if text.is_empty() { Vec::new() } else { vec![Message::system(text)] }
    };
    match dialect {
        Dialect::Chat | Dialect::Ollama => {
            request.messages = list(&value, "messages").iter().map(chat_message).collect();
        }
        Dialect::Responses => {
            request.messages = system(value.get("instructions").unwrap_or(&Value::Null));
            match value.get("input") {
                Some(Value::String(text)) => request.messages.push(Message::user(text.clone())),
                _ => request.messages.extend(list(&value, "input").iter().filter_map(responses_item)),
            }
        }
        Dialect::Messages => {
            request.messages = system(value.get("system").unwrap_or(&Value::Null));
            request.messages.extend(list(&value, "messages").iter().flat_map(anthropic_turn));
        }
        Dialect::Gemini => {
            request.messages = system(value.pointer("/systemInstruction/parts").unwrap_or(&Value::Null));
            request.messages.extend(list(&value, "contents").iter().flat_map(gemini_turn));
        }
    }
    if request.messages.is_empty() {
        return Err("the request has no messages".into());
    }
    request.reuse = reuse(dialect, &value);
    let tools = list(&value, "tools");
    let wants_search = tools.iter().any(|t| text(t, "type").starts_with("web_search"));
    let schema = |t: &Value, name: &str| t.get(name).cloned().unwrap_or_else(|| json!({"type": "object"}));
    request.tools = match dialect {
        Dialect::Gemini => tools
            .iter()
            .flat_map(|t| list(t, "functionDeclarations"))
            .map(|t| {
                let name = if t.get("parametersJsonSchema").is_some() {
                    "parametersJsonSchema"
                } else {
                    "parameters"
                };
                ToolSpec::new(text(&t, "name"), text(&t, "description"), schema(&t, name))
            })
            .collect(),
        _ => tools
            .iter()
            .map(|t| t.get("function").unwrap_or(t))
            .filter(|t| t.get("name").is_some())
            .map(|t| {
                let name = if t.get("input_schema").is_some() { "input_schema" } else { "parameters" };
                ToolSpec::new(text(t, "name"), text(t, "description"), schema(t, name))
            })
            .collect(),
    };
    let choice = value
        .get("tool_choice")
        .and_then(|c| c.as_str().or_else(|| c.get("type")?.as_str()))
        .or_else(|| value.pointer("/toolConfig/functionCallingConfig/mode")?.as_str());
    request.response_format = form(&value);
    request.tool_choice = match choice {
        Some("none" | "NONE") => ToolChoice::None,
        Some("required" | "any" | "ANY") => ToolChoice::Required,
        _ => ToolChoice::Auto,
    };
    request.max_tokens = [
        "/max_completion_tokens",
        "/max_tokens",
        "/max_output_tokens",
        "/generationConfig/maxOutputTokens",
        "/options/num_predict",
    ]
    .iter()
    .find_map(|p| u32::try_from(value.pointer(p)?.as_u64()?).ok());
    request.effort = ["/reasoning_effort", "/reasoning/effort", "/output_config/effort", "/think"]
        .iter()
        .find_map(|p| value.pointer(p)?.as_str())
        .or_else(|| value.pointer("/generationConfig/thinkingConfig/thinkingLevel")?.as_str())
        .and_then(|level| match level {
            "low" => Some(Effort::Low),
            "medium" => Some(Effort::Medium),
            "high" => Some(Effort::High),
            _ => None,
        });
    // Ollama streams unless told otherwise.
    let asked = value.get("stream").and_then(Value::as_bool).unwrap_or(dialect == Dialect::Ollama);
    Ok(Incoming {
        dialect,
        request,
        stream: stream.unwrap_or(asked),
        usage_wanted: value
            .pointer("/stream_options/include_usage")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        wants_search,
    })
}

/// The form that an answer is asked in, wherever the protocol says so. Anthropic has it as a tool that must be called or as the
/// format of its output.
fn form(value: &Value) -> Option<JsonSchema> {
    let schema = [
        "/response_format/json_schema/schema",
        "/text/format/schema",
        "/generationConfig/responseJsonSchema",
        "/output_config/format/schema",
        "/format",
    ]
    .iter()
    .find_map(|p| value.pointer(p).filter(|schema| schema.is_object()))?;
    Some(JsonSchema { name: "answer".into(), schema: schema.clone(), strict: true })
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(value: &Value, name: &str) -> Vec<Value> {
    value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// A text, or the texts of parts.
/// What the request tells the prompt cache.
fn reuse(dialect: Dialect, value: &Value) -> Reuse {
    let (mut cuts, mut is_anthropic) = (Vec::new(), false);
    // Where a message of the dialect begins among the request's.
    let mut at = 0;
    let mut mark = |at: usize, parts: &Value, one_each: bool| {
        let (mut byte, mut n) = (0, 0);
        for part in parts.as_array().into_iter().flatten() {
            byte += part["text"].as_str().map_or(0, str::len);
            if part["cache_control"].is_object() || part["prompt_cache_breakpoint"].is_object() {
                is_anthropic |= part["cache_control"].is_object();
                cuts.push(if one_each { Cut::end_of(at + n) } else { Cut { message: at, byte } });
            }
            n += 1;
        }
    };
    match dialect {
        Dialect::Messages => {
            let system = value.get("system").unwrap_or(&Value::Null);
            mark(0, system, false);
            at += usize::from(!joined(system).is_empty());
            for turn in list(value, "messages") {
                let is_user = text(&turn, "role") != "assistant";
                mark(at, &turn["content"], is_user);
                at += anthropic_turn(&turn).len();
            }
        }
        Dialect::Chat | Dialect::Responses => {
            at += usize::from(value.get("instructions").is_some_and(|text| !joined(text).is_empty()));
            let key = if dialect == Dialect::Chat { "messages" } else { "input" };
            for (i, message) in list(value, key).iter().enumerate() {
                mark(at + i, &message["content"], false);
            }
        }
        Dialect::Gemini | Dialect::Ollama => {}
    }
    let only = value["prompt_cache_options"]["mode"] == "explicit";
    match (cuts.is_empty(), only || is_anthropic) {
        (true, true) => Reuse::Alone,
        (true, false) => Reuse::Unknown,
        (false, true) => Reuse::Siblings(cuts),
        (false, false) => Reuse::Grows(cuts),
    }
}

fn joined(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|p| p.get("text").and_then(Value::as_str)).collect(),
        _ => String::new(),
    }
}

fn arguments(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "{}".into(),
    }
}

fn chat_message(m: &Value) -> Message {
    let content = joined(m.get("content").unwrap_or(&Value::Null));
    match text(m, "role").as_str() {
        "system" | "developer" => Message::system(content),
        "tool" => {
            let name =
                m.get("name").or_else(|| m.get("tool_name")).and_then(Value::as_str).unwrap_or_default();
            Message::tool(text(m, "tool_call_id"), name, content)
        }
        "assistant" => {
            let calls = list(m, "tool_calls");
            let call = |c: &Value| ToolCall {
                id: text(c, "id"),
                name: c.pointer("/function/name").and_then(Value::as_str).unwrap_or_default().into(),
                arguments: arguments(c.pointer("/function/arguments")),
            };
            Message::assistant_calls(content, calls.iter().map(call).collect())
        }
        _ => Message::user(content),
    }
}

fn responses_item(item: &Value) -> Option<Message> {
    match text(item, "type").as_str() {
        "function_call" => {
            let call = ToolCall {
                id: text(item, "call_id"),
                name: text(item, "name"),
                arguments: arguments(item.get("arguments")),
            };
            Some(Message::assistant_calls(String::new(), vec![call]))
        }
        "function_call_output" => {
            Some(Message::tool(text(item, "call_id"), "", joined(item.get("output").unwrap_or(&Value::Null))))
        }
        "" | "message" => Some(chat_message(item)),
        _ => None,
    }
}

fn anthropic_turn(turn: &Value) -> Vec<Message> {
    let blocks = match turn.get("content") {
        Some(Value::Array(blocks)) => blocks.clone(),
        Some(Value::String(text)) => vec![json!({"type": "text", "text": text})],
        _ => Vec::new(),
    };
    let assistant = text(turn, "role") == "assistant";
    let mut messages = Vec::new();
    let (mut said, mut calls) = (Vec::new(), Vec::new());
    for block in &blocks {
        match text(block, "type").as_str() {
            "text" => said.push(text(block, "text")),
            "tool_use" => calls.push(ToolCall {
                id: text(block, "id"),
                name: text(block, "name"),
                arguments: arguments(block.get("input")),
            }),
            "tool_result" => {
                let content = joined(block.get("content").unwrap_or(&Value::Null));
                messages.push(Message::tool(text(block, "tool_use_id"), "", content));
            }
            _ => {}
        }
    }
    if assistant {
        messages.push(Message::assistant_calls(said.join("\n"), calls));
    } else {
        messages.extend(said.into_iter().map(Message::user));
    }
    messages
}

fn gemini_turn(turn: &Value) -> Vec<Message> {
    let assistant = text(turn, "role") == "model";
    let mut messages = Vec::new();
    for part in list(turn, "parts") {
        if let Some(call) = part.get("functionCall") {
            let call = ToolCall {
                id: text(call, "id"),
                name: text(call, "name"),
                arguments: arguments(call.get("args")),
            };
            messages.push(Message::assistant_calls(String::new(), vec![call]));
        } else if let Some(answer) = part.get("functionResponse") {
            let result = answer.pointer("/response/result").or_else(|| answer.get("response"));
            messages.push(Message::tool(text(answer, "id"), text(answer, "name"), arguments(result)));
        } else if let Some(said) = part.get("text").and_then(Value::as_str) {
            let role = if assistant { Role::Assistant } else { Role::User };
            messages.push(Message::new(role, said));
        }
    }
    messages
}

/// Dimensions of the simulated embeddings.
const DIMENSIONS: usize = 64;

/// Answers a request for embeddings: each word has a direction that follows from its letters, a text has the sum of its words', of
/// length one.
///
/// # Errors
/// When the body is no JSON object with an input.
pub fn embeddings(body: &[u8]) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"))?;
    let inputs: Vec<String> = match value.get("input") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) => texts.iter().filter_map(|t| t.as_str().map(ToOwned::to_owned)).collect(),
        _ => return Err("the request has no input".into()),
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let mut vector = [0f64; DIMENSIONS];
            for word in text.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 2) {
                let hash = blake3::hash(word.to_lowercase().as_bytes());
                for (i, byte) in hash.as_bytes().iter().enumerate() {
                    vector[i] += f64::from(*byte & 15) - 7.5;
                    vector[i + 32] += f64::from(*byte >> 4) - 7.5;
                }
            }
            let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-9);
            let vector: Vec<f64> = vector.iter().map(|x| x / length).collect();
            json!({"object": "embedding", "index": index, "embedding": vector})
        })
        .collect();
    let words: usize = inputs.iter().map(|text| text.split_whitespace().count()).sum();
    Ok(json!({"object": "list", "model": text(&value, "model"), "data": data,
        "usage": {"prompt_tokens": words, "total_tokens": words}}))
}

/// Hidden reasoning of an answer: a share of its tokens that grows with the effort; billed as completion.
pub fn reasoning_tokens(request: &Request, completion: u64) -> u64 {
    match request.effort {
        None => 0,
        Some(Effort::Low) => completion / 4,
        Some(Effort::Medium) => completion * 3 / 5,
        Some(Effort::High) => completion * 6 / 5,
    }
}

/// Prompt, cached, completion (with reasoning), reasoning.
fn counts(incoming: &Incoming, usage: Option<Usage>) -> (u64, u64, u64, u64) {
    let usage = usage.unwrap_or_default();
    let said = usage.completion_total().unwrap_or(0);
    let reasoning = reasoning_tokens(&incoming.request, said);
    (usage.prompt_total().unwrap_or(0), usage.cached.unwrap_or(0), said + reasoning, reasoning)
}

fn written(usage: Option<Usage>) -> u64 {
    usage.and_then(|usage| usage.cache_write).unwrap_or(0)
}

/// Parts of the prompt tokens; a rule without paid writes reports none.
fn details(cached: u64, usage: Option<Usage>) -> Value {
    let mut details = json!({"cached_tokens": cached});
    if let Some(written) = usage.and_then(|usage| usage.cache_write) {
        details["cache_write_tokens"] = json!(written);
    }
    details
}

fn chat_usage(incoming: &Incoming, usage: Option<Usage>) -> Value {
    let (prompt, cached, completion, reasoning) = counts(incoming, usage);
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": details(cached, usage),
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    })
}

fn id(incoming: &Incoming) -> String {
    format!("sim-{}", &incoming.request.digest()[..16])
}

fn call_value(call: &ToolCall) -> Value {
    serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}))
}

/// The whole answer.
pub fn whole(incoming: &Incoming, answer: &Response) -> Value {
    let model = &incoming.request.model;
    let (prompt, cached, completion, reasoning) = counts(incoming, answer.usage);
    match incoming.dialect {
        Dialect::Chat => {
            let mut message = json!({"role": "assistant", "content": answer.text});
            if !answer.tool_calls.is_empty() {
                message["content"] = Value::Null;
                message["tool_calls"] = answer
                    .tool_calls
                    .iter()
                    .map(|c| json!({"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}))
                    .collect();
            }
            json!({"id": id(incoming), "object": "chat.completion", "created": 0, "model": model,
                "choices": [{"index": 0, "message": message, "finish_reason": answer.finish.as_str()}],
                "usage": chat_usage(incoming, answer.usage)})
        }
        Dialect::Responses => {
            let mut output = Vec::new();
            if reasoning > 0 {
                output.push(json!({"type": "reasoning", "id": "rs_1", "summary": []}));
            }
            output.extend(answer.tool_calls.iter().map(|c| {
                json!({"type": "function_call", "call_id": c.id, "name": c.name, "arguments": c.arguments, "status": "completed"})
            }));
            if !answer.text.is_empty() {
                output.push(
                    json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": answer.text, "annotations": []}]}),
                );
            }
            let cut = answer.finish == Finish::Length;
            let mut value = json!({"id": id(incoming), "object": "response", "model": model,
                "status": if cut { "incomplete" } else { "completed" }, "output": output,
                "usage": {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion,
                    "input_tokens_details": details(cached, answer.usage),
                    "output_tokens_details": {"reasoning_tokens": reasoning}}});
            if cut {
                value["incomplete_details"] = json!({"reason": "max_output_tokens"});
            }
            value
        }
        Dialect::Messages => {
            let mut content = Vec::new();
            if !answer.text.is_empty() {
                content.push(json!({"type": "text", "text": answer.text}));
            }
            content.extend(
                answer
                    .tool_calls
                    .iter()
                    .map(|c| json!({"type": "tool_use", "id": c.id, "name": c.name, "input": call_value(c)})),
            );
            json!({"id": id(incoming), "type": "message", "role": "assistant", "model": model, "content": content,
                "stop_reason": stop_reason(answer),
                "usage": {"input_tokens": prompt.saturating_sub(cached).saturating_sub(written(answer.usage)),
                    "cache_read_input_tokens": cached,
                    "cache_creation_input_tokens": written(answer.usage), "output_tokens": completion}})
        }
        Dialect::Gemini => {
            let mut parts = Vec::new();
            if !answer.text.is_empty() {
                parts.push(json!({"text": answer.text}));
            }
            parts.extend(
                answer
                    .tool_calls
                    .iter()
                    .map(|c| json!({"functionCall": {"name": c.name, "args": call_value(c)}})),
            );
            gemini(incoming, parts, Some(answer))
        }
        Dialect::Ollama => ollama(incoming, &answer.text, Some(answer)),
    }
}

fn stop_reason(answer: &Response) -> &'static str {
    match answer.finish {
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        _ => "end_turn",
    }
}

fn gemini(incoming: &Incoming, parts: Vec<Value>, last: Option<&Response>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    let mut value = json!({"modelVersion": incoming.request.model, "responseId": id(incoming)});
    if let Some(answer) = last {
        candidate["finishReason"] =
            json!(if answer.finish == Finish::Length { "MAX_TOKENS" } else { "STOP" });
        let (prompt, cached, completion, reasoning) = counts(incoming, answer.usage);
        value["usageMetadata"] = json!({"promptTokenCount": prompt, "cachedContentTokenCount": cached,
            "candidatesTokenCount": completion - reasoning, "thoughtsTokenCount": reasoning,
            "totalTokenCount": prompt + completion});
    }
    value["candidates"] = json!([candidate]);
    value
}

fn ollama(incoming: &Incoming, said: &str, last: Option<&Response>) -> Value {
    let mut message = json!({"role": "assistant", "content": said});
    let mut value = json!({"model": incoming.request.model, "created_at": "1970-01-01T00:00:00Z", "done": last.is_some()});
    if let Some(answer) = last {
        if !answer.tool_calls.is_empty() {
            message["tool_calls"] = answer
                .tool_calls
                .iter()
                .map(|c| json!({"function": {"name": c.name, "arguments": call_value(c)}}))
                .collect();
        }
        let (prompt, _, completion, _) = counts(incoming, answer.usage);
        value["done_reason"] = json!(if answer.finish == Finish::Length { "length" } else { "stop" });
        value["prompt_eval_count"] = json!(prompt);
        value["eval_count"] = json!(completion);
    }
    value["message"] = message;
    value
}

/// The content type of a stream.
pub fn stream_type(dialect: Dialect) -> &'static str {
    if dialect == Dialect::Ollama { "application/x-ndjson" } else { "text/event-stream" }
}

fn sse(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn event(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default())
}

fn chat_chunk(incoming: &Incoming, delta: Value, finish: Option<&str>) -> Value {
    json!({"id": id(incoming), "object": "chat.completion.chunk", "created": 0, "model": incoming.request.model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

/// What a stream begins with.
pub fn opening(incoming: &Incoming) -> String {
    match incoming.dialect {
        Dialect::Chat => sse(&chat_chunk(incoming, json!({"role": "assistant", "content": ""}), None)),
        Dialect::Responses => event(&json!({"type": "response.created",
            "response": {"id": id(incoming), "status": "in_progress", "model": incoming.request.model, "output": []}})),
        Dialect::Messages => {
            event(&json!({"type": "message_start", "message": {"id": id(incoming), "type": "message",
            "role": "assistant", "model": incoming.request.model, "content": [], "stop_reason": null,
            "usage": {"input_tokens": 0, "output_tokens": 0}}}))
        }
        Dialect::Gemini | Dialect::Ollama => String::new(),
    }
}

/// A piece of text; `first` for the first piece of an answer.
pub fn delta(incoming: &Incoming, said: &str, first: bool) -> String {
    match incoming.dialect {
        Dialect::Chat => sse(&chat_chunk(incoming, json!({"content": said}), None)),
        Dialect::Responses => event(
            &json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": said}),
        ),
        Dialect::Messages => {
            let mut out = String::new();
            if first {
                out.push_str(&event(&json!({"type": "content_block_start", "index": 0,
                    "content_block": {"type": "text", "text": ""}})));
            }
            out.push_str(&event(&json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": said}})));
            out
        }
        Dialect::Gemini => sse(&gemini(incoming, vec![json!({"text": said})], None)),
        Dialect::Ollama => format!("{}\n", ollama(incoming, said, None)),
    }
}

/// What a stream ends with: calls, reason, usage.
pub fn closing(incoming: &Incoming, answer: &Response) -> String {
    let mut out = String::new();
    match incoming.dialect {
        Dialect::Chat => {
            for (i, c) in answer.tool_calls.iter().enumerate() {
                let call = json!({"tool_calls": [{"index": i, "id": c.id, "type": "function",
                    "function": {"name": c.name, "arguments": c.arguments}}]});
                out.push_str(&sse(&chat_chunk(incoming, call, None)));
            }
            out.push_str(&sse(&chat_chunk(incoming, json!({}), Some(answer.finish.as_str()))));
            if incoming.usage_wanted {
                let mut last = chat_chunk(incoming, json!({}), None);
                last["choices"] = json!([]);
                last["usage"] = chat_usage(incoming, answer.usage);
                out.push_str(&sse(&last));
            }
            out.push_str("data: [DONE]\n\n");
        }
        Dialect::Responses => {
            for (i, c) in answer.tool_calls.iter().enumerate() {
                let item = json!({"type": "function_call", "call_id": c.id, "name": c.name, "arguments": ""});
                out.push_str(&event(
                    &json!({"type": "response.output_item.added", "output_index": i, "item": item}),
                ));
                out.push_str(&event(
                    &json!({"type": "response.function_call_arguments.delta", "output_index": i,
                    "delta": c.arguments}),
                ));
            }
            let whole = whole(incoming, answer);
            let kind =
                if whole["status"] == "incomplete" { "response.incomplete" } else { "response.completed" };
            out.push_str(&event(&json!({"type": kind, "response": whole})));
        }
        Dialect::Messages => {
            let text_blocks = usize::from(!answer.text.is_empty());
            if text_blocks == 1 {
                out.push_str(&event(&json!({"type": "content_block_stop", "index": 0})));
            }
            for (i, c) in answer.tool_calls.iter().enumerate() {
                let index = i + text_blocks;
                let block = json!({"type": "tool_use", "id": c.id, "name": c.name, "input": {}});
                out.push_str(&event(
                    &json!({"type": "content_block_start", "index": index, "content_block": block}),
                ));
                out.push_str(&event(&json!({"type": "content_block_delta", "index": index,
                    "delta": {"type": "input_json_delta", "partial_json": c.arguments}})));
                out.push_str(&event(&json!({"type": "content_block_stop", "index": index})));
            }
            let usage = whole(incoming, answer)["usage"].clone();
            out.push_str(&event(&json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(answer)}, "usage": usage})));
            out.push_str(&event(&json!({"type": "message_stop"})));
        }
        Dialect::Gemini => {
            let calls = answer
                .tool_calls
                .iter()
                .map(|c| json!({"functionCall": {"name": c.name, "args": call_value(c)}}));
            out.push_str(&sse(&gemini(incoming, calls.collect(), Some(answer))));
        }
        Dialect::Ollama => {
            let _ = writeln!(out, "{}", ollama(incoming, "", Some(answer)));
        }
    }
    out
}

/// An error in the protocol's shape.
pub fn refusal(dialect: Dialect, status: u16, message: &str) -> Value {
    match dialect {
        Dialect::Messages => json!({"type": "error", "error": {"type": "api_error", "message": message}}),
        Dialect::Gemini => json!({"error": {"code": status, "message": message, "status": "UNAVAILABLE"}}),
        Dialect::Ollama => json!({"error": message}),
        _ => json!({"error": {"message": message, "type": "server_error", "code": null}}),
    }
}
