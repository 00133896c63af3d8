//! Compression and metering of chat messages as values.
//!
//! [`request`](crate::request) works on the text of a request and explains what may change. This module is for programs
//! that hold messages as values.

use crate::error::{Error, Result};
use crate::meter;
use crate::offload::Store;
use crate::receipt::PassReport;
use crate::request::{Edit, Request as Wire, RequestOptions, splice};
use lacon_tokens::{Encoding, ModelEncoding, RequestCount, count_schema, count_tools, is_system};
use serde_json::{Map, Value};

/// A compressed list of messages.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CompressedChat {
    /// The messages to send.
    pub messages: Vec<Value>,
    /// JSON pointers of the changed texts; [`expand`] needs them.
    pub changed: Vec<String>,
    /// Tokens of the input, framing included.
    pub tokens_before: usize,
    /// Tokens of `messages`; in an audit, what they would be.
    pub tokens_after: usize,
    /// Whether [`expand`] restores every byte; otherwise some JSON comes back in another layout.
    pub exact: bool,
    /// Report of each pass for each text, named by its pointer.
    pub passes: Vec<PassReport>,
}

/// Compresses the texts of a list that may change; with a store, blobs go there.
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

/// Undoes [`compress`], given the list of changes.
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

/// Meters a list with its declared tools for a model, as [`meter::count`] counts a request.
///
/// # Errors
/// When an item of the list is no message.
pub fn count(
    messages: &[Value],
    tools: &[Value],
    response_schema: Option<&Value>,
    model: &ModelEncoding,
) -> Result<RequestCount> {
    for (index, message) in messages.iter().enumerate() {
        object(index, message)?;
    }
    let json = Value::Array(messages.to_vec()).to_string();
    let mut sum = meter::metered(&json, model.encoding)?;
    if !tools.is_empty() {
        let role = |message: &Value| message.get("role").and_then(Value::as_str).is_some_and(is_system);
        sum.tools += count_tools(model.encoding, tools, messages.iter().any(role));
    }
    if let Some(schema) = response_schema {
        sum.tools += count_schema(model.encoding, schema);
    }
    Ok(sum.priced(model))
}

fn total(messages: &[Value], encoding: &'static Encoding) -> Result<usize> {
    let model = ModelEncoding::from(encoding);
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
