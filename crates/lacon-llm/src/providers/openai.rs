//! OpenAI Chat Completions, and every server that speaks it.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::calls::Calls;
use super::marks::Marks;
use super::{Fault, Form, Outgoing, Reader, Wire, bad_json, effort, not_empty, temperature, to_bytes};
use crate::capabilities::{Capabilities, StructuredSupport};
use crate::client::StreamEvent;
use crate::error::{Error, ErrorKind, Malformed};
use crate::message::{Message, Role, ToolCall, ToolChoice};
use crate::request::Request;
use crate::response::{Finish, Response, Usage};
use crate::structured::instruct;
use crate::wire::chat::{
    ChatAnswer, ChatCalledFunction, ChatFunction, ChatMessage, ChatRequest, ChatTool, ChatToolCall, Content,
    StreamOptions,
};

/// The protocol.
pub(crate) struct Chat;

impl Wire for Chat {
    fn authorization(&self, key: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {key}"))
    }

    fn encode(&self, request: &Request, capabilities: &Capabilities, form: Form) -> Result<Outgoing, Error> {
        let mut warnings = Vec::new();
        let body = body(request, capabilities, form, &mut warnings);
        Ok(Outgoing {
            path: "/chat/completions".to_owned(),
            query: None,
            headers: &[],
            body: to_bytes(&body)?,
            warnings,
        })
    }

    fn reader(&self, _: &Request, capabilities: &Capabilities) -> Box<dyn Reader> {
        Box::new(ChatReader { echo_reasoning: capabilities.echo_reasoning, ..ChatReader::default() })
    }
}

fn body(
    request: &Request,
    capabilities: &Capabilities,
    form: Form,
    warnings: &mut Vec<String>,
) -> ChatRequest {
    let mut messages = Cow::Borrowed(&request.messages);
    if let Some(format) = &request.response_format
        && capabilities.structured != StructuredSupport::Schema
    {
        instruct(messages.to_mut(), format);
    }
    let marks = Marks::of(request);
    let mut body = ChatRequest {
        model: request.model.clone(),
        messages: messages.iter().enumerate().map(|(n, one)| message(one, n, &marks)).collect(),
        stream: form.stream,
        stream_options: (form.stream && form.stream_usage).then_some(StreamOptions { include_usage: true }),
        temperature: temperature(request, capabilities, warnings),
        reasoning_effort: effort(request, capabilities, warnings).map(|effort| effort.as_str().to_owned()),
        ..ChatRequest::default()
    };
    if capabilities.max_completion_tokens {
        body.max_completion_tokens = request.max_tokens;
    } else {
        body.max_tokens = request.max_tokens;
    }
    if !request.tools.is_empty() {
        body.tools = request
            .tools
            .iter()
            .map(|tool| ChatTool {
                kind: "function".to_owned(),
                function: ChatFunction {
                    name: tool.name.clone(),
                    description: tool.description.clone(),
                    parameters: tool.parameters.clone(),
                },
            })
            .collect();
        body.tool_choice = match &request.tool_choice {
            ToolChoice::Auto => None,
            ToolChoice::None => Some(json!("none")),
            _ if !capabilities.forced_tool => {
                warnings.push(format!(
                    "tool choice left out: {} models refuse a forced call",
                    capabilities.family
                ));
                None
            }
            ToolChoice::Required => Some(json!("required")),
            ToolChoice::Named(name) => Some(json!({"type": "function", "function": {"name": name}})),
        };
    }
    if let Some(format) = &request.response_format {
        body.response_format = match capabilities.structured {
            StructuredSupport::Schema => Some(json!({
                "type": "json_schema",
                "json_schema": {"name": format.name, "schema": format.schema, "strict": format.strict},
            })),
            StructuredSupport::JsonObject => Some(json!({"type": "json_object"})),
            StructuredSupport::Prompt => None,
        };
    }
    body.extra.extend(marks.fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
    if capabilities.reasoning_split {
        body.extra.insert("reasoning_split".to_owned(), Value::Bool(true));
    }
    body
}

fn message(message: &Message, n: usize, marks: &Marks) -> ChatMessage {
    let calls = &message.tool_calls;
    let bare_call = message.role == Role::Assistant && !calls.is_empty() && message.content.is_empty();
    ChatMessage {
        role: message.role.as_str().to_owned(),
        content: (!bare_call).then(|| match marks.has(n) && !message.content.is_empty() {
            true => Content::Blocks(marks.blocks(n, &message.content, "text")),
            false => Content::Text(message.content.clone()),
        }),
        // A tool's result is paired by its id; a name there is refused by some servers.
        name: message.name.clone().filter(|_| message.role != Role::Tool),
        tool_calls: calls.iter().map(tool_call).collect(),
        tool_call_id: message.tool_call_id.clone(),
        refusal: None,
        reasoning_content: message
            .provider_state
            .as_ref()
            .and_then(|state| state.get("reasoning_content")?.as_str().map(str::to_owned)),
        reasoning: None,
    }
}

fn tool_call(call: &ToolCall) -> ChatToolCall {
    ChatToolCall {
        index: None,
        id: Some(call.id.clone()),
        kind: Some("function".to_owned()),
        function: ChatCalledFunction {
            name: Some(call.name.clone()),
            arguments: Some(Value::String(call.arguments.clone())),
        },
    }
}

/// Puts together an answer from its chunks.
#[derive(Default)]
struct ChatReader {
    text: String,
    refusal: String,
    reasoning: String,
    calls: Calls,
    finish: Option<String>,
    usage: Option<Usage>,
    model: String,
    id: Option<String>,
    done: bool,
    received: u64,
    echo_reasoning: bool,
}

impl ChatReader {
    fn answer(&mut self, answer: ChatAnswer, sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Error> {
        if let Some(usage) = answer.usage.and_then(|usage| usage.buckets()) {
            self.usage = Some(usage);
        }
        if let Some(model) = answer.model.filter(|model| !model.is_empty()) {
            self.model = model;
        }
        self.id = self.id.take().or(answer.id);
        for choice in answer.choices.into_iter().filter(|choice| choice.index == 0) {
            if let Some(message) = choice.delta.or(choice.message) {
                self.message(message, sink)?;
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish = Some(reason);
            }
        }
        Ok(())
    }

    fn message(&mut self, message: ChatMessage, sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Error> {
        let reasoning = message.reasoning_content.or(match message.reasoning {
            Some(Value::String(text)) => Some(text),
            _ => None,
        });
        if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
            self.received += text.len() as u64;
            sink(StreamEvent::Reasoning(text.len()));
            self.reasoning.push_str(&text);
        }
        if let Some(text) = message.content.map(|content| content.text()).filter(|text| !text.is_empty()) {
            self.received += text.len() as u64;
            sink(StreamEvent::Delta(&text));
            self.text.push_str(&text);
        }
        if let Some(text) = message.refusal.filter(|text| !text.is_empty()) {
            self.received += text.len() as u64;
            sink(StreamEvent::Delta(&text));
            self.refusal.push_str(&text);
        }
        for call in message.tool_calls {
            let arguments = match call.function.arguments {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text,
                Some(object) => object.to_string(),
            };
            self.received += arguments.len() as u64;
            let name = call.function.name.unwrap_or_default();
            if self.calls.add(call.index, call.id, &name, &arguments)? {
                sink(StreamEvent::ToolCall(&name));
            } else {
                // Growing arguments are progress too.
                sink(StreamEvent::ToolCall(self.calls.last_name()));
            }
        }
        Ok(())
    }

    fn parse(data: &[u8]) -> Result<ChatAnswer, Fault> {
        let answer: ChatAnswer = serde_json::from_slice(data).map_err(|error| bad_json("chunk", &error))?;
        match &answer.error {
            Some(error) if !error.is_null() => Err(Fault::Refusal(data.to_vec())),
            _ => Ok(answer),
        }
    }
}

impl Reader for ChatReader {
    fn event(
        &mut self,
        name: &[u8],
        data: &[u8],
        sink: &mut dyn FnMut(StreamEvent<'_>),
    ) -> Result<(), Fault> {
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        if name == b"error" {
            return Err(Fault::Refusal(data.to_vec()));
        }
        if data.is_empty() {
            return Ok(());
        }
        let answer = Self::parse(data)?;
        self.answer(answer, sink)?;
        Ok(())
    }

    fn whole(&mut self, body: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault> {
        let answer = Self::parse(body)?;
        if answer.choices.is_empty() {
            let message = "answer has no choices";
            return Err(Error::new(ErrorKind::Malformed(Malformed::Json), message).into());
        }
        self.answer(answer, sink)?;
        self.done = true;
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn is_complete(&self) -> bool {
        self.done || self.finish.is_some()
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn finish(self: Box<Self>) -> Result<Response, Error> {
        let this = *self;
        // Some servers end an answer that broke off midway in good order and only say so here.
        if let Some(reason @ ("error" | "insufficient_system_resource" | "abort")) = this.finish.as_deref() {
            let message = format!(
                "answer broke off after {} bytes, the provider's reason is {reason:?}",
                this.received
            );
            return Err(Error::new(ErrorKind::Malformed(Malformed::ErrorInBody), message));
        }
        let refused = this.text.is_empty() && !this.refusal.is_empty();
        let tool_calls = this.calls.finish(this.finish.as_deref() == Some("length"))?;
        let finish = match this.finish.as_deref() {
            _ if refused => Finish::ContentFilter,
            Some("length" | "max_tokens") => Finish::Length,
            Some("content_filter") => Finish::ContentFilter,
            // Some servers say "stop" beside tool calls; what counts is that they are there.
            Some("stop" | "tool_calls" | "function_call" | "end_turn" | "eos") | None => {
                if tool_calls.is_empty() { Finish::Stop } else { Finish::ToolCalls }
            }
            Some(other) => Finish::Other(other.to_owned()),
        };
        let state = (this.echo_reasoning && !this.reasoning.is_empty())
            .then(|| json!({"reasoning_content": this.reasoning}));
        let text = if refused { this.refusal } else { this.text };
        not_empty(&text, &tool_calls, &finish)?;
        let unexplained =
            this.finish.is_none().then(|| "the endpoint never said why the answer ended".to_owned());
        Ok(Response {
            warnings: unexplained.into_iter().collect(),
            tool_calls,
            finish,
            usage: this.usage,
            id: this.id,
            provider_state: state,
            ..Response::new(this.model, text)
        })
    }
}
