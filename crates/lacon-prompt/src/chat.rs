//! Lists of chat messages as they go over the wire, in JSON: the same list in fewer tokens and back, and what it is metered at.
//!
//! Read are the messages of OpenAI's chat requests, the results among the items of its Responses, and the blocks of Anthropic's
//! messages. Nothing but text changes: order, roles, calls, pictures and members that are not known here stay as they came.
//!
//! Which texts may change depends on their role alone, and a text's form on the texts above it alone. So a conversation that
//! goes on begins with the same bytes as before, and a provider's cache still holds them.

use crate::compress::Options;
use crate::error::{Error, Result};
use crate::offload::Store;
use crate::optimize::{optimize, restore};
use crate::prompt::{Message, Prompt, Role, Segment};
use crate::receipt::PassReport;
use crate::shorten::{Policy, ShortenOptions, shorten};
use crate::trim::{TrimOptions, trim};
use lacon_tokens::{
    ChatMessage, Encoding, Exactness, Image, ModelEncoding, Request, RequestCount, count_request,
};
use serde_json::{Map, Value, json};

/// Whose texts may change. The system's never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Results of tools.
    pub tool: bool,
    /// What the user says; off by default, since it may say what to do with the very form of its data.
    pub user: bool,
    /// Earlier answers; off by default, since a model takes them for its own way of writing.
    pub assistant: bool,
}

impl Default for Roles {
    fn default() -> Self {
        Roles { tool: true, user: false, assistant: false }
    }
}

/// A list in fewer tokens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CompressedChat {
    /// The messages to send.
    pub messages: Vec<Value>,
    /// Tokens of the list it was made from, framing included.
    pub tokens_before: usize,
    /// Tokens of `messages`; in an audit, of what they would be.
    pub tokens_after: usize,
    /// Whether [`expand`] gives back every text byte for byte.
    pub exact: bool,
    /// What was done, one object a pass and text; `segment` says which text.
    pub receipt: Vec<Value>,
    /// Whether the store was too full to keep what an extract leaves out.
    pub unkept: bool,
}

/// Shortens the texts of those roles by a policy. Where the budget is not met, a lossy policy goes on to [`trim`] the list; the
/// receipt then names what is gone.
///
/// # Errors
/// When an item of the list is no message, the store's medium fails, the share is none, or the list is longer than the budget.
pub fn compress(
    messages: &[Value],
    options: &ShortenOptions<'_>,
    roles: Roles,
    store: Option<&mut dyn Store>,
    encoding: &'static Encoding,
) -> Result<CompressedChat> {
    let mut shorter = messages.to_vec();
    let mut done = match options.policy {
        Policy::Lossy => selected(&mut shorter, options, roles, store, encoding)?,
        Policy::Safe => rewritten(&mut shorter, options.exact, roles, store, encoding)?,
        Policy::Lossless => rewritten(&mut shorter, options.exact, roles, None, encoding)?,
    };
    done.tokens_before = total(messages, encoding)?;
    done.tokens_after = total(&shorter, encoding)?;
    if options.exact.audit {
        shorter = messages.to_vec();
    }
    done.messages = shorter;
    match options.budget {
        Some(budget) if done.tokens_after > budget && options.policy == Policy::Lossy => {
            let trimmed = trim(&done.messages, &TrimOptions::new(budget), encoding)?;
            done.receipt.push(json!({
                "pass": "trim",
                "reformed": trimmed.reformed,
                "digested": trimmed.digested,
                "dropped": trimmed.dropped,
                "tokens_before": trimmed.tokens_before,
                "tokens_after": trimmed.tokens_after,
                "outcome": if options.exact.audit { "audited" } else { "kept" },
            }));
            done.tokens_after = total(&trimmed.messages, encoding)?;
            if !options.exact.audit {
                done.messages = trimmed.messages;
                done.exact = false;
            }
        }
        Some(budget) if done.tokens_after > budget => {
            return Err(Error::TooLong { tokens: done.tokens_after, budget });
        }
        _ => {}
    }
    Ok(done)
}

/// Undoes [`compress`] under the same roles; only exact forms can be undone.
///
/// # Errors
/// When an item is no message, a text was edited since, or a marker's content is not in the store.
pub fn expand(messages: &[Value], roles: Roles, store: Option<&dyn Store>) -> Result<Vec<Value>> {
    let mut whole = messages.to_vec();
    let texts = texts(&mut whole, roles)?;
    let prompt = restore(&prompt_of(&texts), store)?;
    put_back(texts, prompt);
    Ok(whole)
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

/// The exact short forms of all texts of a list, which see what stands above them.
fn rewritten(
    messages: &mut [Value],
    options: Options,
    roles: Roles,
    store: Option<&mut dyn Store>,
    encoding: &'static Encoding,
) -> Result<CompressedChat> {
    let texts = texts(messages, roles)?;
    // An audit's forms are wanted too, for their count; the caller gives the input back.
    let audit = options.audit;
    let store = store.filter(|_| !audit);
    let short = optimize(&prompt_of(&texts), None, Options { audit: false, ..options }, store, encoding)?;
    put_back(texts, short.prompt);
    let receipt = short.passes.iter().map(PassReport::to_json).map(|mut report| {
        if audit && report["outcome"] == "kept" {
            report["outcome"] = "audited".into();
        }
        report
    });
    Ok(CompressedChat {
        messages: Vec::new(),
        tokens_before: 0,
        tokens_after: 0,
        exact: short.exact,
        receipt: receipt.collect(),
        unkept: false,
    })
}

/// Extracts of all texts of a list.
fn selected(
    messages: &mut [Value],
    options: &ShortenOptions<'_>,
    roles: Roles,
    mut store: Option<&mut dyn Store>,
    encoding: &'static Encoding,
) -> Result<CompressedChat> {
    let mut done = CompressedChat {
        messages: Vec::new(),
        tokens_before: 0,
        tokens_after: 0,
        exact: true,
        receipt: Vec::new(),
        unkept: false,
    };
    // The list's budget is no text's own; an audit's extract is wanted for its count.
    let audit = options.exact.audit;
    let exact = Options { audit: false, ..options.exact };
    let options = ShortenOptions { budget: None, exact, ..*options };
    for Text { name, text } in texts(messages, roles)? {
        let store = match &mut store {
            Some(store) if !audit => Some(&mut **store as &mut dyn Store),
            _ => None,
        };
        let short = shorten(text, &options, store, encoding)?;
        done.exact &= short.exact;
        done.unkept |= short.unkept;
        for mut report in short.receipt {
            report["segment"] = name.clone().into();
            if audit {
                report["outcome"] = "audited".into();
            }
            done.receipt.push(report);
        }
        *text = short.text;
    }
    Ok(done)
}

/// A text that may change, and where it stands.
struct Text<'m> {
    name: String,
    text: &'m mut String,
}

/// The texts as data of one prompt.
fn prompt_of(texts: &[Text<'_>]) -> Prompt {
    let segments = texts.iter().map(|text| Segment::data(text.name.clone(), text.text.clone())).collect();
    Prompt::new(vec![Message::new(Role::Tool, segments)])
}

fn put_back(texts: Vec<Text<'_>>, prompt: Prompt) {
    let segments = prompt.messages.into_iter().flat_map(|message| message.segments);
    for (text, segment) in texts.into_iter().zip(segments) {
        *text.text = segment.text;
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
    Ok(object)
}

fn texts(messages: &mut [Value], roles: Roles) -> Result<Vec<Text<'_>>> {
    let mut found = Vec::new();
    for (index, message) in messages.iter_mut().enumerate() {
        let known = object(index, message)?;
        let word = |key: &str| known.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let (role, kind) = (word("role"), word("type"));
        let open = match role.as_str() {
            "tool" | "function" => roles.tool,
            "user" => roles.user,
            "assistant" => roles.assistant,
            _ => false,
        };
        let name = format!("message {index}");
        if role.is_empty() && kind == "function_call_output" && roles.tool {
            if let Some(output) = message.get_mut("output") {
                content(output, &name, true, false, &mut found);
            }
        } else if let Some(inner) = message.get_mut("content") {
            content(inner, &name, open, roles.tool, &mut found);
        }
    }
    Ok(found)
}

/// The texts of a message's content: itself, or its parts of text where they are `open`, and its results of tools.
fn content<'m>(value: &'m mut Value, name: &str, open: bool, results: bool, found: &mut Vec<Text<'m>>) {
    match value {
        Value::String(text) if open => found.push(Text { name: name.to_owned(), text }),
        Value::Array(parts) => {
            for (i, part) in parts.iter_mut().enumerate() {
                let kind = part.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
                let name = format!("{name} part {i}");
                match kind.as_str() {
                    "text" | "input_text" | "output_text" if open => {
                        if let Some(Value::String(text)) = part.get_mut("text") {
                            found.push(Text { name, text });
                        }
                    }
                    "tool_result" if results => {
                        if let Some(inner) = part.get_mut("content") {
                            content(inner, &name, true, false, found);
                        }
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
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
