//! OpenAI's Responses. Nothing is stored at the provider: reasoning comes back encrypted and is sent again in the next
//! turn.

use serde_json::{Value, json};

use super::calls::Calls;
use super::marks::Marks;
use super::{Fault, Form, Outgoing, Reader, Wire, bad_json, effort, not_empty, temperature, to_bytes};
use crate::capabilities::Capabilities;
use crate::client::StreamEvent;
use crate::error::Error;
use crate::message::{Message, Role, ToolChoice};
use crate::request::Request;
use crate::response::{Finish, Response, Usage};
use crate::wire::responses::{OutputItem, ResponseAnswer, ResponseEvent};

/// The protocol.
pub(crate) struct Responses;

impl Wire for Responses {
    fn authorization(&self, key: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {key}"))
    }

    fn encode(&self, request: &Request, capabilities: &Capabilities, form: Form) -> Result<Outgoing, Error> {
        let mut warnings = Vec::new();
        let marks = Marks::of(request);
        let mut body = json!({
            "model": request.model,
            "input": request.messages.iter().enumerate().flat_map(|(n, one)| items(one, n, &marks)).collect::<Vec<_>>(),
            "stream": form.stream,
            "store": false,
        });
        if let Some(max) = request.max_tokens {
            body["max_output_tokens"] = max.into();
        }
        if let Some(temperature) = temperature(request, capabilities, &mut warnings) {
            body["temperature"] = temperature.into();
        }
        if let Some(effort) = effort(request, capabilities, &mut warnings) {
            body["reasoning"] = json!({"effort": effort.as_str()});
        }
        if capabilities.effort {
            body["include"] = json!(["reasoning.encrypted_content"]);
        }
        if !request.tools.is_empty() {
            let tool = |tool: &crate::message::ToolSpec| {
                json!({
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                    "strict": false,
                })
            };
            body["tools"] = request.tools.iter().map(tool).collect();
            match &request.tool_choice {
                ToolChoice::Auto => {}
                ToolChoice::None => body["tool_choice"] = json!("none"),
                ToolChoice::Required => body["tool_choice"] = json!("required"),
                ToolChoice::Named(name) => body["tool_choice"] = json!({"type": "function", "name": name}),
            }
        }
        if let Some(format) = &request.response_format {
            body["text"] = json!({"format": {
                "type": "json_schema", "name": format.name, "schema": format.schema, "strict": format.strict,
            }});
        }
        for (name, value) in marks.fields {
            body[name] = value;
        }
        Ok(Outgoing {
            path: "/responses".to_owned(),
            query: None,
            headers: &[],
            body: to_bytes(&body)?,
            warnings,
        })
    }

    fn reader(&self, _: &Request, _: &Capabilities) -> Box<dyn Reader> {
        Box::new(ResponsesReader::default())
    }
}

/// Writes one message as the items it consists of.
fn items(message: &Message, n: usize, marks: &Marks) -> Vec<Value> {
    if message.role == Role::Tool {
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        return vec![json!({"type": "function_call_output", "call_id": id, "output": message.content})];
    }
    let mut items: Vec<Value> = message
        .provider_state
        .as_ref()
        .and_then(|state| state.get("reasoning_items")?.as_array().cloned())
        .unwrap_or_default();
    if !message.content.is_empty() || message.tool_calls.is_empty() {
        // An answer's parts have another type and are not marked.
        let marked = marks.has(n) && message.role != Role::Assistant && !message.content.is_empty();
        let content = match marked {
            true => marks.blocks(n, &message.content, "input_text").into(),
            false => json!(message.content),
        };
        items.push(json!({"role": message.role.as_str(), "content": content}));
    }
    items.extend(message.tool_calls.iter().map(|call| {
        json!({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments})
    }));
    items
}

/// Puts together an answer from its events.
#[derive(Default)]
struct ResponsesReader {
    text: String,
    refusal: String,
    reasoning: Vec<Value>,
    calls: Calls,
    answer: ResponseAnswer,
    usage: Option<Usage>,
    done: bool,
    received: u64,
}

impl ResponsesReader {
    fn grow(&mut self, delta: Option<Value>) -> String {
        let text = match delta {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        self.received += text.len() as u64;
        text
    }

    /// Takes the final answer, which states everything once more; what was pieced together is replaced by it.
    fn close(&mut self, answer: ResponseAnswer) -> Result<(), Fault> {
        if answer.error.as_ref().is_some_and(|error| !error.is_null())
            || answer.status.as_deref() == Some("failed")
        {
            return Err(Fault::Refusal(to_bytes(&json!({"error": answer.error}))?));
        }
        self.usage = answer.usage.and_then(|usage| usage.buckets()).or(self.usage);
        let (mut text, mut refusal, mut calls, mut reasoning) =
            (String::new(), String::new(), Calls::default(), Vec::new());
        for value in &answer.output {
            let item: OutputItem = serde_json::from_value(value.clone()).unwrap_or_default();
            match item.kind.as_str() {
                "message" => {
                    for part in item.content {
                        text.push_str(part.text.as_deref().unwrap_or_default());
                        refusal.push_str(part.refusal.as_deref().unwrap_or_default());
                    }
                }
                "function_call" => {
                    let (name, arguments) =
                        (item.name.unwrap_or_default(), item.arguments.unwrap_or_default());
                    calls.add(None, item.call_id, &name, &arguments)?;
                }
                "reasoning" => reasoning.push(value.clone()),
                _ => {}
            }
        }
        if !answer.output.is_empty() {
            (self.text, self.refusal, self.calls, self.reasoning) = (text, refusal, calls, reasoning);
        }
        self.answer = answer;
        self.done = true;
        Ok(())
    }
}

impl Reader for ResponsesReader {
    fn event(&mut self, _: &[u8], data: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault> {
        let data = data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let event: ResponseEvent = serde_json::from_slice(data).map_err(|error| bad_json("event", &error))?;
        match event.kind.as_str() {
            "response.output_text.delta" => {
                let text = self.grow(event.delta);
                sink(StreamEvent::Delta(&text));
                self.text.push_str(&text);
            }
            "response.refusal.delta" => {
                let text = self.grow(event.delta);
                sink(StreamEvent::Delta(&text));
                self.refusal.push_str(&text);
            }
            "response.function_call_arguments.delta" => {
                let text = self.grow(event.delta);
                self.calls.add(event.output_index, None, "", &text)?;
                sink(StreamEvent::ToolCall(self.calls.last_name()));
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let text = self.grow(event.delta);
                sink(StreamEvent::Reasoning(text.len()));
            }
            "response.output_item.added" => {
                let item: OutputItem =
                    event.item.and_then(|item| serde_json::from_value(item).ok()).unwrap_or_default();
                match item.kind.as_str() {
                    "function_call" => {
                        let name = item.name.unwrap_or_default();
                        self.calls.add(event.output_index, item.call_id, &name, "")?;
                        sink(StreamEvent::ToolCall(&name));
                    }
                    "reasoning" => sink(StreamEvent::Reasoning(0)),
                    _ => {}
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.close(event.response.unwrap_or_default())?;
            }
            "error" => return Err(Fault::Refusal(data.to_vec())),
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault> {
        let answer: ResponseAnswer =
            serde_json::from_slice(body).map_err(|error| bad_json("body", &error))?;
        self.close(answer)?;
        if !self.text.is_empty() {
            self.received += self.text.len() as u64;
            sink(StreamEvent::Delta(&self.text));
        }
        if !self.calls.is_empty() {
            sink(StreamEvent::ToolCall(self.calls.last_name()));
        }
        Ok(())
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
        let reason = this.answer.incomplete_details.map(|details| details.reason).unwrap_or_default();
        let refused = this.text.is_empty() && !this.refusal.is_empty();
        let tool_calls = this.calls.finish(reason == "max_output_tokens")?;
        let finish = match reason.as_str() {
            _ if refused => Finish::ContentFilter,
            "max_output_tokens" => Finish::Length,
            "content_filter" => Finish::ContentFilter,
            "" if tool_calls.is_empty() => Finish::Stop,
            "" => Finish::ToolCalls,
            other => Finish::Other(other.to_owned()),
        };
        let text = if refused { this.refusal } else { this.text };
        not_empty(&text, &tool_calls, &finish)?;
        let state = (!this.reasoning.is_empty()).then(|| json!({"reasoning_items": this.reasoning}));
        Ok(Response {
            tool_calls,
            finish,
            usage: this.usage,
            id: this.answer.id,
            provider_state: state,
            ..Response::new(this.answer.model.unwrap_or_default(), text)
        })
    }
}
