//! Ollama's own chat protocol.
//!
//! Ollama silently cuts a prompt that is longer than its context, and its default context is small. So every request
//! asks for a context that holds prompt and answer.

use serde_json::{Value, json};

use super::calls::Calls;
use super::{
    Fault, Form, Framing, Outgoing, Reader, Wire, bad_json, effort, not_empty, temperature, to_bytes,
};
use crate::capabilities::Capabilities;
use crate::client::StreamEvent;
use crate::error::Error;
use crate::message::{Message, Role, ToolChoice};
use crate::request::Request;
use crate::response::{Finish, Response, Usage};
use crate::wire::ollama::OllamaAnswer;

/// Smallest context that is asked for.
const MIN_CONTEXT: u64 = 4096;
/// Room for an answer without a limit.
const ANSWER_ROOM: u64 = 4096;

/// The protocol.
pub(crate) struct Ollama;

impl Wire for Ollama {
    fn authorization(&self, key: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {key}"))
    }

    fn encode(&self, request: &Request, capabilities: &Capabilities, form: Form) -> Result<Outgoing, Error> {
        let mut warnings = Vec::new();
        let needed = context(request);
        // Another size of context makes the server load the model again.
        let context = form.context.filter(|loaded| *loaded >= needed).unwrap_or(needed);
        let mut options = json!({"num_ctx": context});
        if let Some(temperature) = temperature(request, capabilities, &mut warnings) {
            options["temperature"] = temperature.into();
        }
        if let Some(max) = request.max_tokens {
            options["num_predict"] = max.into();
        }
        let mut body = json!({
            "model": request.model,
            "messages": request.messages.iter().map(message).collect::<Vec<_>>(),
            "stream": form.stream,
            "options": options,
        });
        if let Some(effort) = effort(request, capabilities, &mut warnings) {
            body["think"] = json!(effort.as_str());
        }
        if !request.tools.is_empty() && request.tool_choice != ToolChoice::None {
            let tool = |tool: &crate::message::ToolSpec| {
                json!({"type": "function", "function":
                    {"name": tool.name, "description": tool.description, "parameters": tool.parameters}})
            };
            body["tools"] = request.tools.iter().map(tool).collect();
            if request.tool_choice != ToolChoice::Auto {
                warnings.push("tool choice left out: ollama cannot force a call".to_owned());
            }
        }
        if let Some(format) = &request.response_format {
            body["format"] = format.schema.clone();
        }
        Ok(Outgoing {
            path: "/api/chat".to_owned(),
            query: None,
            headers: &[],
            body: to_bytes(&body)?,
            warnings,
        })
    }

    fn reader(&self, _: &Request, _: &Capabilities) -> Box<dyn Reader> {
        Box::new(OllamaReader::default())
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }
}

/// Returns a context that holds prompt and answer, rounded up so that like requests share a loaded model.
fn context(request: &Request) -> u64 {
    let messages: usize = request
        .messages
        .iter()
        .map(|message| {
            let calls: usize =
                message.tool_calls.iter().map(|call| call.name.len() + call.arguments.len() + 32).sum();
            message.content.len() + calls + 32
        })
        .sum();
    let tools: usize = request
        .tools
        .iter()
        .map(|tool| tool.description.len() + tool.parameters.to_string().len() + 64)
        .sum();
    // Three bytes a token is cautious for English; text in other scripts has more bytes a token, not fewer.
    let prompt = (messages + tools) as u64 / 3;
    let answer = request.max_tokens.map_or(ANSWER_ROOM, u64::from);
    (prompt + answer).max(MIN_CONTEXT).next_power_of_two()
}

fn message(message: &Message) -> Value {
    let mut value = json!({"role": message.role.as_str(), "content": message.content});
    if !message.tool_calls.is_empty() {
        let call = |call: &crate::message::ToolCall| {
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
            json!({"function": {"name": call.name, "arguments": arguments}})
        };
        value["tool_calls"] = message.tool_calls.iter().map(call).collect();
    }
    if let (Role::Tool, Some(name)) = (message.role, &message.name) {
        value["tool_name"] = json!(name);
    }
    value
}

/// Puts together an answer from its lines.
#[derive(Default)]
struct OllamaReader {
    text: String,
    calls: Calls,
    reason: Option<String>,
    usage: Option<Usage>,
    model: String,
    done: bool,
    received: u64,
}

impl Reader for OllamaReader {
    fn event(&mut self, _: &[u8], data: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault> {
        let answer: OllamaAnswer = serde_json::from_slice(data).map_err(|error| bad_json("line", &error))?;
        if answer.error.as_ref().is_some_and(|error| !error.is_null()) {
            return Err(Fault::Refusal(data.to_vec()));
        }
        self.usage = answer.buckets().or(self.usage);
        self.model = answer.model.unwrap_or(std::mem::take(&mut self.model));
        self.reason = answer.done_reason.or(self.reason.take());
        self.done |= answer.done;
        let message = answer.message.unwrap_or_default();
        if let Some(thinking) = message.thinking.filter(|thinking| !thinking.is_empty()) {
            self.received += thinking.len() as u64;
            sink(StreamEvent::Reasoning(thinking.len()));
        }
        if !message.content.is_empty() {
            self.received += message.content.len() as u64;
            sink(StreamEvent::Delta(&message.content));
            self.text.push_str(&message.content);
        }
        for call in message.tool_calls {
            let name = call.function.name.unwrap_or_default();
            let arguments = match call.function.arguments {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text,
                Some(object) => object.to_string(),
            };
            self.received += arguments.len() as u64;
            // Each call comes whole, whatever number the server gives it.
            self.calls.add(None, call.id, &name, &arguments)?;
            sink(StreamEvent::ToolCall(&name));
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault> {
        self.event(b"", body, sink)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn is_complete(&self) -> bool {
        self.done
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn finish(self: Box<Self>) -> Result<Response, Error> {
        let this = *self;
        let tool_calls = this.calls.finish(this.reason.as_deref() == Some("length"))?;
        let finish = match this.reason.as_deref() {
            Some("length") => Finish::Length,
            Some("stop") | None if tool_calls.is_empty() => Finish::Stop,
            Some("stop") | None => Finish::ToolCalls,
            Some(other) => Finish::Other(other.to_owned()),
        };
        not_empty(&this.text, &tool_calls, &finish)?;
        Ok(Response { tool_calls, finish, usage: this.usage, ..Response::new(this.model, this.text) })
    }
}
