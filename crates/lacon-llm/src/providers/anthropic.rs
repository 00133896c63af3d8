//! Anthropic's Messages.
//!
//! An answer in a given form is requested as a forced call of a tool with that form, which every model of the family
//! supports. Its arguments become the text.

use serde_json::{Value, json};

use super::calls::Calls;
use super::marks::Marks;
use super::{Fault, Form, Outgoing, Reader, Wire, bad_json, effort, not_empty, temperature, to_bytes};
use crate::capabilities::{Capabilities, StructuredSupport};
use crate::client::StreamEvent;
use crate::error::Error;
use crate::message::{Message, Role, ToolChoice};
use crate::request::Request;
use crate::response::{Finish, Response, Usage};
use crate::wire::messages::{MessageAnswer, MessageEvent, MessageUsage};

/// Sent when the request has no limit: the API insists on one.
const DEFAULT_MAX_TOKENS: u32 = 8192;

/// The protocol.
pub(crate) struct Messages;

impl Wire for Messages {
    fn authorization(&self, key: &str) -> (&'static str, String) {
        ("x-api-key", key.to_owned())
    }

    fn encode(&self, request: &Request, capabilities: &Capabilities, form: Form) -> Result<Outgoing, Error> {
        let mut warnings = Vec::new();
        let max_tokens = request.max_tokens.unwrap_or_else(|| {
            warnings.push(format!("max_tokens set to {DEFAULT_MAX_TOKENS}: this api insists on a limit"));
            DEFAULT_MAX_TOKENS
        });
        let mut body = json!({"model": request.model, "max_tokens": max_tokens, "stream": form.stream});
        let marks = Marks::of(request);
        let mut system: Vec<Value> = Vec::new();
        for (n, message) in request.messages.iter().enumerate() {
            if message.role == Role::System && !message.content.is_empty() {
                system.extend(marks.blocks(n, &message.content, "text"));
            }
        }
        if !system.is_empty() {
            body["system"] = system.into();
        }
        body["messages"] = turns(&request.messages, &marks).into();
        if let Some(temperature) = temperature(request, capabilities, &mut warnings) {
            body["temperature"] = temperature.into();
        }
        if let Some(effort) = effort(request, capabilities, &mut warnings) {
            body["output_config"]["effort"] = effort.as_str().into();
        }
        let mut tools: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| json!({"name": tool.name, "description": tool.description, "input_schema": tool.parameters}))
            .collect();
        let mut choice = match &request.tool_choice {
            _ if request.tools.is_empty() => None,
            ToolChoice::Auto => None,
            ToolChoice::None => Some(json!({"type": "none"})),
            _ if !capabilities.forced_tool => {
                warnings.push(format!(
                    "tool choice left out: {} models of this version refuse a forced call",
                    capabilities.family
                ));
                None
            }
            ToolChoice::Required => Some(json!({"type": "any"})),
            ToolChoice::Named(name) => Some(json!({"type": "tool", "name": name})),
        };
        if let Some(format) = &request.response_format
            && is_native(capabilities)
        {
            body["output_config"]["format"] = json!({"type": "json_schema", "schema": format.schema});
        } else if let Some(format) = &request.response_format {
            tools.push(json!({
                "name": format.name,
                "description": "Gives the answer in the required form.",
                "input_schema": format.schema,
            }));
            choice = match (&request.tool_choice, request.tools.is_empty()) {
                (_, true) | (ToolChoice::None, _) => Some(json!({"type": "tool", "name": format.name})),
                (ToolChoice::Named(_), false) => choice,
                _ => Some(json!({"type": "any"})),
            };
        }
        if !tools.is_empty() {
            body["tools"] = tools.into();
        }
        if let Some(choice) = choice {
            body["tool_choice"] = choice;
        }
        Ok(Outgoing {
            path: "/messages".to_owned(),
            query: None,
            headers: &[("anthropic-version", "2023-06-01")],
            body: to_bytes(&body)?,
            warnings,
        })
    }

    fn reader(&self, request: &Request, capabilities: &Capabilities) -> Box<dyn Reader> {
        let format = request.response_format.as_ref().filter(|_| !is_native(capabilities));
        let form = format.map(|format| format.name.clone());
        Box::new(MessagesReader { form, ..MessagesReader::default() })
    }
}

/// Says whether the model keeps a schema by itself, without a tool that stands for it.
fn is_native(capabilities: &Capabilities) -> bool {
    capabilities.structured == StructuredSupport::Schema && capabilities.is_known()
}

/// Writes the conversation as turns of user and assistant; results of tools that were called together share a turn.
fn turns(messages: &[Message], marks: &Marks) -> Vec<Value> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for (n, message) in messages.iter().enumerate() {
        let mut blocks = Vec::new();
        let role = match message.role {
            Role::System => continue,
            Role::User => "user",
            Role::Tool => {
                let id = message.tool_call_id.as_deref().unwrap_or_default();
                blocks.push(json!({"type": "tool_result", "tool_use_id": id, "content": message.content}));
                "user"
            }
            Role::Assistant => {
                let state = message.provider_state.as_ref();
                blocks.extend(
                    state.and_then(|state| state.get("thinking")?.as_array().cloned()).unwrap_or_default(),
                );
                "assistant"
            }
        };
        if message.role != Role::Tool && !message.content.is_empty() {
            blocks.extend(marks.blocks(n, &message.content, "text"));
        }
        for call in &message.tool_calls {
            let input: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
            blocks.push(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input}));
        }
        // Of a tool's result, or of calls, the end is the only place.
        if marks.has(n)
            && (message.role == Role::Tool || !message.tool_calls.is_empty())
            && let Some(block) = blocks.last_mut()
        {
            marks.set(block);
        }
        match turns.last_mut() {
            Some((last, into)) if *last == role => into.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns
        .into_iter()
        .filter(|(_, blocks)| !blocks.is_empty())
        .map(|(role, blocks)| json!({"role": role, "content": blocks}))
        .collect()
}

/// Puts together an answer from its events.
#[derive(Default)]
struct MessagesReader {
    /// Name of the tool that stands for the form of the answer.
    form: Option<String>,
    text: String,
    /// Thinking blocks by their place, to be sent back.
    thinking: Vec<(u64, Value)>,
    calls: Calls,
    stop: Option<String>,
    usage: MessageUsage,
    model: String,
    id: Option<String>,
    done: bool,
    received: u64,
}

impl MessagesReader {
    fn head(&mut self, answer: &MessageAnswer) {
        self.id = answer.id.clone();
        self.model = answer.model.clone().unwrap_or_default();
        self.usage.update(answer.usage.unwrap_or_default());
    }

    /// Takes the start of a block, or a whole one.
    fn block(
        &mut self,
        index: u64,
        block: Value,
        sink: &mut dyn FnMut(StreamEvent<'_>),
    ) -> Result<(), Error> {
        let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "text" => {
                let text = text("text");
                if !text.is_empty() {
                    self.received += text.len() as u64;
                    sink(StreamEvent::Delta(text));
                    self.text.push_str(text);
                }
            }
            "tool_use" => {
                // A stream begins each call with an empty object and sends the arguments after it.
                let input = block
                    .get("input")
                    .filter(|input| input.as_object().is_some_and(|input| !input.is_empty()));
                let arguments = input.map(Value::to_string).unwrap_or_default();
                self.received += arguments.len() as u64;
                self.calls.add(Some(index), Some(text("id").to_owned()), text("name"), &arguments)?;
                sink(StreamEvent::ToolCall(text("name")));
            }
            "thinking" | "redacted_thinking" => {
                sink(StreamEvent::Reasoning(text("thinking").len()));
                self.received += text("thinking").len() as u64;
                self.thinking.push((index, block));
            }
            _ => {}
        }
        Ok(())
    }

    fn append(&mut self, index: u64, key: &str, more: &str) {
        let Some((_, block)) = self.thinking.iter_mut().find(|(at, _)| *at == index) else { return };
        match block.get_mut(key) {
            Some(Value::String(text)) => text.push_str(more),
            _ => block[key] = more.into(),
        }
    }
}

impl Reader for MessagesReader {
    fn event(&mut self, _: &[u8], data: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault> {
        let data = data.trim_ascii();
        if data.is_empty() {
            return Ok(());
        }
        let event: MessageEvent = serde_json::from_slice(data).map_err(|error| bad_json("event", &error))?;
        let index = event.index.unwrap_or(0);
        match event.kind.as_str() {
            "message_start" => self.head(&event.message.unwrap_or_default()),
            "content_block_start" => self.block(index, event.content_block.unwrap_or_default(), sink)?,
            "content_block_delta" => {
                let delta = event.delta.unwrap_or_default();
                if let Some(text) = delta.text {
                    self.received += text.len() as u64;
                    sink(StreamEvent::Delta(&text));
                    self.text.push_str(&text);
                }
                if let Some(json) = delta.partial_json {
                    self.received += json.len() as u64;
                    self.calls.add(Some(index), None, "", &json)?;
                    sink(StreamEvent::ToolCall(self.calls.last_name()));
                }
                if let Some(thinking) = delta.thinking {
                    self.received += thinking.len() as u64;
                    sink(StreamEvent::Reasoning(thinking.len()));
                    self.append(index, "thinking", &thinking);
                }
                if let Some(signature) = delta.signature {
                    self.append(index, "signature", &signature);
                }
            }
            "message_delta" => {
                self.usage.update(event.usage.unwrap_or_default());
                self.stop = event.delta.and_then(|delta| delta.stop_reason).or(self.stop.take());
            }
            "message_stop" => self.done = true,
            "error" => return Err(Fault::Refusal(data.to_vec())),
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault> {
        let answer: MessageAnswer = serde_json::from_slice(body).map_err(|error| bad_json("body", &error))?;
        if answer.kind == "error" {
            return Err(Fault::Refusal(body.to_vec()));
        }
        self.head(&answer);
        self.stop = answer.stop_reason;
        for (index, block) in (0u64..).zip(answer.content) {
            self.block(index, block, sink)?;
        }
        self.done = self.stop.is_some();
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn is_complete(&self) -> bool {
        self.done || self.stop.is_some()
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn usage(&self) -> Option<Usage> {
        self.usage.buckets()
    }

    fn finish(self: Box<Self>) -> Result<Response, Error> {
        let this = *self;
        let stop = this.stop.as_deref().unwrap_or("end_turn");
        let mut tool_calls = this.calls.finish(stop == "max_tokens")?;
        let mut text = this.text;
        let formed = this.form.and_then(|form| tool_calls.iter().position(|call| call.name == form));
        if let Some(at) = formed {
            text = tool_calls.remove(at).arguments;
        }
        let finish = match stop {
            "max_tokens" | "model_context_window_exceeded" => Finish::Length,
            "refusal" => Finish::ContentFilter,
            "end_turn" | "stop_sequence" | "tool_use" if tool_calls.is_empty() => Finish::Stop,
            "end_turn" | "stop_sequence" | "tool_use" => Finish::ToolCalls,
            other => Finish::Other(other.to_owned()),
        };
        not_empty(&text, &tool_calls, &finish)?;
        let thinking: Vec<_> = this.thinking.into_iter().map(|(_, block)| block).collect();
        Ok(Response {
            tool_calls,
            finish,
            usage: this.usage.buckets(),
            id: this.id,
            provider_state: (!thinking.is_empty()).then(|| json!({"thinking": thinking})),
            ..Response::new(this.model, text)
        })
    }
}
