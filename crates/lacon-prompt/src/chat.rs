//! Lists of chat messages as values: the same list in fewer tokens and back, and what it is metered at.
//!
//! What may change, and how, is said in [`request`](crate::request), which works on the text of a request; this is for programs that
//! hold messages as values. Counted are the messages of OpenAI's chat requests, the items of its Responses, and the blocks of
//! Anthropic's messages.

use crate::error::{Error, Result};
use crate::offload::Store;
use crate::receipt::PassReport;
use crate::request::{Edit, Request as Wire, RequestOptions, splice};
use lacon_tokens::{
    ChatMessage, Encoding, Exactness, Image, ModelEncoding, Request, RequestCount, count_request,
};
use serde_json::{Map, Value};

/// A list in fewer tokens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CompressedChat {
    /// The messages to send.
    pub messages: Vec<Value>,
    /// Places of the texts that changed, as JSON pointers; [`expand`] needs them.
    pub changed: Vec<String>,
    /// Tokens of the list it was made from, framing included.
    pub tokens_before: usize,
    /// Tokens of `messages`; in an audit, of what they would be.
    pub tokens_after: usize,
    /// Whether [`expand`] gives back every text byte for byte; otherwise some JSON comes back in another layout.
    pub exact: bool,
    /// What each pass did to each text, which is named by its pointer.
    pub passes: Vec<PassReport>,
}

/// Shortens the texts of a list that may change; with a store, opaque runs go there.
///
/// # Errors
/// When an item of the list is no message, the store's medium fails, or the result has more tokens than the budget.
pub fn compress(
    messages: &[Value],
    options: &RequestOptions<'_>,
    budget: Option<usize>,
    mut store: Option<&mut dyn Store>,
    encoding: &'static Encoding,
) -> Result<CompressedChat> {
    let tokens_before = total(messages, encoding)?;
    let json = Value::Array(messages.to_vec()).to_string();
    let reborrowed = store.as_mut().map(|store| &mut **store as &mut dyn Store);
    let shrunk = wire(&json).shrink(options, reborrowed, encoding)?;
    let shorter = edited(&json, &shrunk.edits);
    let changed: Vec<String> = shrunk.edits.into_iter().map(|edit| edit.pointer).collect();
    let tokens_after = if options.compress.audit {
        tokens_before.saturating_sub(shrunk.tokens_before.saturating_sub(shrunk.tokens_after))
    } else {
        total(&shorter, encoding)?
    };
    if let Some(budget) = budget.filter(|budget| tokens_after > *budget) {
        return Err(Error::TooLong { tokens: tokens_after, budget });
    }
    let exact = expand(&shorter, &changed, store.as_deref().map(|store| store as &dyn Store))? == messages;
    Ok(CompressedChat {
        messages: shorter,
        changed,
        tokens_before,
        tokens_after,
        exact,
        passes: shrunk.passes,
    })
}

/// Undoes [`compress`], given what it changed.
///
/// # Errors
/// When an item is no message, a text was edited since, or a marker's content is not in the store.
pub fn expand(messages: &[Value], changed: &[String], store: Option<&dyn Store>) -> Result<Vec<Value>> {
    for (index, message) in messages.iter().enumerate() {
        object(index, message)?;
    }
    if changed.is_empty() {
        return Ok(messages.to_vec());
    }
    let json = Value::Array(messages.to_vec()).to_string();
    Ok(edited(&json, &wire(&json).restore(changed, store)?))
}

fn wire(json: &str) -> Wire<'_> {
    Wire::parse(json).expect("an array is a list of messages")
}

fn edited(json: &str, edits: &[Edit]) -> Vec<Value> {
    serde_json::from_str(&splice(json, edits)).expect("strings of a JSON were replaced by strings")
}

/// What a list with its declared tools is metered at for a model. Pictures count by their size where the request holds it; one
/// that is an address counts as the smallest, and the count is then worth no more than a guess.
///
/// # Errors
/// When an item of the list is no message.
pub fn count(
    messages: &[Value],
    tools: &[Value],
    response_schema: Option<&Value>,
    model: &ModelEncoding,
) -> Result<RequestCount> {
    let mut parts = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        parts.push(Parts::of(object(index, message)?));
    }
    let calls: Vec<Vec<(&str, &str)>> = parts
        .iter()
        .map(|part| part.calls.iter().map(|(name, arguments)| (name.as_str(), arguments.as_str())).collect())
        .collect();
    let list: Vec<ChatMessage<'_>> = parts
        .iter()
        .zip(&calls)
        .map(|(part, tool_calls)| ChatMessage {
            role: &part.role,
            content: &part.content,
            name: part.name.as_deref(),
            tool_calls,
        })
        .collect();
    let images: Vec<Image> = parts.iter().flat_map(|part| part.images.iter().copied()).collect();
    let request = Request { messages: &list, tools, response_schema, images: &images };
    let mut counted = count_request(model, &request);
    if images.iter().any(|image| !image.low_detail && image.width == 0) {
        counted.how = Exactness::Heuristic;
    }
    Ok(counted)
}

fn total(messages: &[Value], encoding: &'static Encoding) -> Result<usize> {
    let model = ModelEncoding { encoding, how: Exactness::Exact, warning: None };
    count(messages, &[], None, &model).map(|counted| counted.total)
}

/// Levels of lists and objects in a member of a message. JSON text is read back up to 128 levels and no further.
const MAX_DEPTH: usize = 100;

fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(members) => levels == 0 || members.values().any(|item| is_deeper(item, levels - 1)),
        _ => false,
    }
}

fn object(index: usize, message: &Value) -> Result<&Map<String, Value>> {
    let bad = |what: &str, hint| Error::BadMessage { index, what: what.to_owned(), hint };
    let object = message
        .as_object()
        .ok_or_else(|| bad("is no object", "pass a list of chat messages, each an object"))?;
    if !object.get("role").is_some_and(Value::is_string) && !object.get("type").is_some_and(Value::is_string)
    {
        return Err(bad("has no role", "give each message a \"role\""));
    }
    if object.values().any(|value| is_deeper(value, MAX_DEPTH)) {
        return Err(bad("is nested too deep", "a message may hold 100 levels of lists and objects"));
    }
    Ok(object)
}

/// What is counted of a message.
#[derive(Default)]
struct Parts {
    role: String,
    content: String,
    name: Option<String>,
    calls: Vec<(String, String)>,
    images: Vec<Image>,
}

impl Parts {
    fn of(message: &Map<String, Value>) -> Self {
        let word = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("").to_owned();
        let mut parts = Parts {
            role: word(message.get("role")),
            name: message.get("name").and_then(Value::as_str).map(str::to_owned),
            ..Parts::default()
        };
        if let Some(content) = message.get("content") {
            parts.add(content);
        }
        if let Some(output) = message.get("output") {
            parts.add(output);
        }
        if message.get("type").and_then(Value::as_str) == Some("function_call") {
            // An item of its own, whose name is that of the function.
            parts.calls.extend(parts.name.take().map(|name| (name, word(message.get("arguments")))));
        }
        for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let function = call.get("function").unwrap_or(call);
            parts.calls.push((word(function.get("name")), json_text(function.get("arguments"))));
        }
        parts
    }

    fn add(&mut self, content: &Value) {
        match content {
            Value::String(text) => self.content.push_str(text),
            Value::Array(items) => {
                for item in items {
                    self.add_part(item);
                }
            }
            _ => {}
        }
    }

    fn add_part(&mut self, part: &Value) {
        if let Some(text) = part.as_str().or_else(|| part.get("text").and_then(Value::as_str)) {
            self.content.push_str(text);
            return;
        }
        match part.get("type").and_then(Value::as_str) {
            Some("tool_result") => {
                if let Some(inner) = part.get("content") {
                    self.add(inner);
                }
            }
            Some("tool_use") => {
                let name = part.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
                self.calls.push((name, json_text(part.get("input"))));
            }
            Some("image_url" | "input_image" | "image") => self.images.push(picture(part)),
            _ => {}
        }
    }
}

/// Arguments as text: as they are where they are text, else as JSON.
fn json_text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// A picture of a message; without its size where that is not told.
fn picture(part: &Value) -> Image {
    let inner = part.get("image_url").filter(|url| url.is_object()).unwrap_or(part);
    let detail = inner.get("detail").and_then(Value::as_str);
    let side = |key: &str| {
        inner.get(key).and_then(Value::as_u64).and_then(|side| u32::try_from(side).ok()).unwrap_or(0)
    };
    Image { width: side("width"), height: side("height"), low_detail: detail == Some("low") }
}
