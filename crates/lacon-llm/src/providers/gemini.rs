//! Google's Gemini. Calls usually have no ids there, so a result is paired by its tool's name and its position.

use serde_json::{Value, json};

use super::calls::Calls;
use super::{Fault, Form, Outgoing, Reader, Wire, bad_json, effort, not_empty, temperature, to_bytes};
use crate::capabilities::Capabilities;
use crate::client::StreamEvent;
use crate::error::{Error, ErrorKind, Malformed};
use crate::message::{Message, Role, ToolChoice};
use crate::request::{Effort, Request};
use crate::response::{Finish, Response, Usage};
use crate::wire::gemini::{GeminiAnswer, GeminiPart};

/// The protocol.
pub(crate) struct Gemini;

impl Wire for Gemini {
    fn authorization(&self, key: &str) -> (&'static str, String) {
        ("x-goog-api-key", key.to_owned())
    }

    fn encode(&self, request: &Request, capabilities: &Capabilities, form: Form) -> Result<Outgoing, Error> {
        let mut warnings = Vec::new();
        let model = request.model.strip_prefix("models/").unwrap_or(&request.model);
        if !model.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c)) || model.is_empty() {
            let message = format!("model name {model:?} cannot stand in an address");
            return Err(
                Error::new(ErrorKind::InvalidRequest, message).with_hint("write it as gemini-2.5-flash")
            );
        }
        let mut body = json!({"contents": turns(&request.messages)});
        let system: Vec<Value> = request
            .messages
            .iter()
            .filter(|message| message.role == Role::System && !message.content.is_empty())
            .map(|message| json!({"text": message.content}))
            .collect();
        if !system.is_empty() {
            body["systemInstruction"] = json!({"parts": system});
        }
        if !request.tools.is_empty() {
            let declaration = |tool: &crate::message::ToolSpec| json!({"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters});
            let declarations: Vec<Value> = request.tools.iter().map(declaration).collect();
            body["tools"] = json!([{"functionDeclarations": declarations}]);
            let config = match &request.tool_choice {
                ToolChoice::Auto => None,
                ToolChoice::None => Some(json!({"mode": "NONE"})),
                ToolChoice::Required => Some(json!({"mode": "ANY"})),
                ToolChoice::Named(name) => Some(json!({"mode": "ANY", "allowedFunctionNames": [name]})),
            };
            if let Some(config) = config {
                body["toolConfig"] = json!({"functionCallingConfig": config});
            }
        }
        let mut config = json!({});
        if let Some(temperature) = temperature(request, capabilities, &mut warnings) {
            config["temperature"] = temperature.into();
        }
        if let Some(max) = request.max_tokens {
            config["maxOutputTokens"] = max.into();
        }
        if let Some(format) = &request.response_format {
            config["responseMimeType"] = json!("application/json");
            config["responseJsonSchema"] = format.schema.clone();
        }
        if let Some(effort) = effort(request, capabilities, &mut warnings) {
            config["thinkingConfig"] = thinking(model, capabilities, effort, &mut warnings);
        }
        if config.as_object().is_some_and(|config| !config.is_empty()) {
            body["generationConfig"] = config;
        }
        let (method, query) =
            if form.stream { ("streamGenerateContent", Some("alt=sse")) } else { ("generateContent", None) };
        Ok(Outgoing {
            path: format!("/models/{model}:{method}"),
            query,
            headers: &[],
            body: to_bytes(&body)?,
            warnings,
        })
    }

    fn reader(&self, _: &Request, _: &Capabilities) -> Box<dyn Reader> {
        Box::new(GeminiReader::default())
    }
}

/// Writes an effort as a level, or as a budget of tokens for members that know no levels.
fn thinking(model: &str, capabilities: &Capabilities, effort: Effort, warnings: &mut Vec<String>) -> Value {
    if capabilities.family == "gemini-2.5" {
        let budget = match effort {
            Effort::Low => 1024,
            Effort::Medium => 8192,
            Effort::High => 24_576,
        };
        return json!({"thinkingBudget": budget});
    }
    if effort == Effort::Medium && model.starts_with("gemini-3-pro") {
        warnings.push("effort raised to high: gemini-3-pro knows only low and high".to_owned());
        return json!({"thinkingLevel": "high"});
    }
    json!({"thinkingLevel": effort.as_str()})
}

/// Writes the conversation as turns of user and model.
fn turns(messages: &[Message]) -> Vec<Value> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in messages {
        let mut parts = Vec::new();
        let role = match message.role {
            Role::System => continue,
            Role::User => "user",
            Role::Tool => {
                let name = message.name.as_deref().unwrap_or_default();
                let mut part = json!({"name": name, "response": {"result": message.content}});
                // Ids that were made up here mean nothing to the provider.
                if let Some(id) = message.tool_call_id.as_deref().filter(|id| !Calls::is_made_up(id)) {
                    part["id"] = id.into();
                }
                parts.push(json!({"functionResponse": part}));
                "user"
            }
            Role::Assistant => "model",
        };
        // Parts with signatures go back exactly as they came, in place of what was made of them.
        let raw = message.provider_state.as_ref().and_then(|state| state.get("parts")?.as_array().cloned());
        match raw {
            Some(raw) if message.role == Role::Assistant => parts.extend(raw),
            _ => {
                if message.role != Role::Tool && !message.content.is_empty() {
                    parts.push(json!({"text": message.content}));
                }
                for call in &message.tool_calls {
                    let args: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
                    parts.push(json!({"functionCall": {"name": call.name, "args": args}}));
                }
            }
        }
        match turns.last_mut() {
            Some((last, into)) if *last == role => into.extend(parts),
            _ => turns.push((role, parts)),
        }
    }
    turns
        .into_iter()
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(role, parts)| json!({"role": role, "parts": parts}))
        .collect()
}

/// Puts together an answer from its parts. The stream has no end mark: it is whole when a reason came and the body has ended.
#[derive(Default)]
struct GeminiReader {
    text: String,
    parts: Vec<Value>,
    signed: bool,
    calls: Calls,
    finish: Option<String>,
    usage: Option<Usage>,
    model: String,
    id: Option<String>,
    received: u64,
}

impl GeminiReader {
    fn answer(&mut self, data: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault> {
        let answer: GeminiAnswer = serde_json::from_slice(data).map_err(|error| bad_json("chunk", &error))?;
        if answer.error.as_ref().is_some_and(|error| !error.is_null()) {
            return Err(Fault::Refusal(data.to_vec()));
        }
        self.usage = answer.usage_metadata.and_then(|usage| usage.buckets()).or(self.usage);
        self.model = answer.model_version.unwrap_or(std::mem::take(&mut self.model));
        self.id = self.id.take().or(answer.response_id);
        if let Some(reason) = answer.prompt_feedback.and_then(|feedback| feedback.block_reason) {
            self.finish = Some(format!("SAFETY: {reason}"));
        }
        for candidate in answer.candidates.into_iter().filter(|candidate| candidate.index == 0) {
            for value in candidate.content.parts {
                self.part(value, sink)?;
            }
            self.finish = candidate.finish_reason.or(self.finish.take());
        }
        Ok(())
    }

    fn part(&mut self, value: Value, sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Error> {
        let part: GeminiPart = serde_json::from_value(value.clone()).unwrap_or_default();
        self.signed |= part.thought_signature.is_some();
        let text = part.text.unwrap_or_default();
        self.received += text.len() as u64;
        if part.thought {
            sink(StreamEvent::Reasoning(text.len()));
        } else if !text.is_empty() {
            sink(StreamEvent::Delta(&text));
            self.text.push_str(&text);
        }
        if let Some(call) = part.function_call {
            let arguments = call.args.map(|args| args.to_string()).unwrap_or_default();
            self.received += arguments.len() as u64;
            self.calls.add(None, call.id, &call.name, &arguments)?;
            sink(StreamEvent::ToolCall(&call.name));
        }
        self.parts.push(value);
        Ok(())
    }
}

impl Reader for GeminiReader {
    fn event(&mut self, _: &[u8], data: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault> {
        if data.trim_ascii().is_empty() {
            return Ok(());
        }
        self.answer(data, sink)
    }

    fn whole(&mut self, body: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault> {
        if body.trim_ascii_start().first() == Some(&b'[') {
            // Without server-sent events a stream is one array; its errors come that way too.
            let chunks: Vec<Value> =
                serde_json::from_slice(body).map_err(|error| bad_json("body", &error))?;
            return chunks.iter().try_for_each(|chunk| self.answer(&to_bytes(chunk)?, sink));
        }
        self.answer(body, sink)
    }

    fn is_done(&self) -> bool {
        false
    }

    fn is_complete(&self) -> bool {
        self.finish.is_some()
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn finish(self: Box<Self>) -> Result<Response, Error> {
        let this = *self;
        let reason = this.finish.as_deref().unwrap_or("STOP");
        if matches!(reason, "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL") {
            let message = format!("answer broke off in a tool call, the provider's reason is {reason}");
            return Err(Error::new(ErrorKind::Malformed(Malformed::ToolArguments), message));
        }
        let tool_calls = this.calls.finish(reason == "MAX_TOKENS")?;
        let finish = match reason {
            "STOP" if tool_calls.is_empty() => Finish::Stop,
            "STOP" => Finish::ToolCalls,
            "MAX_TOKENS" => Finish::Length,
            "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => Finish::ContentFilter,
            other if other.starts_with("SAFETY") => Finish::ContentFilter,
            other => Finish::Other(other.to_lowercase()),
        };
        not_empty(&this.text, &tool_calls, &finish)?;
        Ok(Response {
            tool_calls,
            finish,
            usage: this.usage,
            id: this.id,
            provider_state: this.signed.then(|| json!({"parts": this.parts})),
            ..Response::new(this.model, this.text)
        })
    }
}
