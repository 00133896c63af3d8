//! One model of calls and results for requests of OpenAI (chat and Responses), Anthropic and Gemini.
//!
//! Messages keep their bytes. This module reads where each message is, who says it, and which calls it makes or
//! answers. [`blocks`] joins each call with its results; a block stays or goes as a whole.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::wire::{Object, array, is_string, list, member, object, place, string};

/// Whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// OpenAI's chat requests, and what speaks like them.
    Chat,
    /// OpenAI's Responses.
    Responses,
    Anthropic,
    Gemini,
    /// Messages of users and assistants that do not tell.
    Plain,
}

impl Kind {
    pub(crate) fn is_openai(self) -> bool {
        matches!(self, Kind::Chat | Kind::Responses | Kind::Plain)
    }

    /// Whether users and model must take turns.
    pub(crate) fn alternates(self) -> bool {
        matches!(self, Kind::Anthropic | Kind::Gemini | Kind::Plain)
    }
}

/// Who sends an item. Results of tools are sent by the user's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    System,
    User,
    Model,
}

/// A message, or an item of Responses.
#[derive(Debug, Clone)]
pub(crate) struct Item<'j> {
    pub(crate) range: Range<usize>,
    pub(crate) members: Object<'j>,
    pub(crate) role: String,
    pub(crate) side: Side,
    /// Names of the calls that it makes.
    pub(crate) calls: Vec<String>,
    /// Names of the calls that it answers.
    pub(crate) results: Vec<String>,
    /// Places of the texts that its results hold.
    pub(crate) texts: Vec<Range<usize>>,
}

/// A request whose messages were found.
#[derive(Debug, Clone)]
pub(crate) struct Conversation<'j> {
    pub(crate) kind: Kind,
    pub(crate) items: Vec<Item<'j>>,
    /// The members around the messages, where there are any.
    pub(crate) body: Option<Object<'j>>,
}

/// Items that stay or go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) items: Vec<usize>,
    /// Whether it begins with the model and ends with the user's side, as a call and its results do.
    pub(crate) is_pair: bool,
    pub(crate) side: Side,
}

/// Types of items of Responses that have no role.
const ITEM_TYPES: [&str; 5] =
    ["function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"];
const ROLES: [&str; 7] = ["system", "developer", "user", "assistant", "tool", "function", "model"];

/// Whether a text begins as a request does, well formed or not.
pub(crate) fn begins_as_request(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let named = |names: &[&str]| {
        names.iter().any(|name| {
            ['"', '\''].into_iter().any(|quote| {
                let key = format!("{quote}{name}{quote}");
                text.match_indices(&key).any(|(i, _)| text[i + key.len()..].trim_start().starts_with(':'))
            })
        })
    };
    match text.chars().next() {
        Some('{') => {
            named(&["messages", "contents"]) || (named(&["input"]) && named(&["model"])) || is_message(text)
        }
        Some('[') => text[1..].trim_start().starts_with('{') && is_message(text[1..].trim_start()),
        _ => false,
    }
}

/// Whether the first object of a text has a known role, or is a list of parts.
fn is_message(text: &str) -> bool {
    let said = |key: &str| {
        let quoted = ['"', '\''].map(|quote| format!("{quote}{key}{quote}"));
        let (i, key) = quoted.iter().find_map(|key| Some((text.find(key.as_str())?, key)))?;
        let value = text[i + key.len()..].trim_start().strip_prefix(':')?.trim_start();
        Some(value.trim_start_matches(['"', '\'']))
    };
    let begins = |value: Option<&str>, words: &[&str]| {
        value.is_some_and(|value| {
            words
                .iter()
                .any(|word| value.strip_prefix(word).is_some_and(|rest| rest.starts_with(['"', '\''])))
        })
    };
    begins(said("role"), &ROLES) || begins(said("type"), &ITEM_TYPES)
}

fn refused(what: impl Into<String>, hint: &'static str) -> Error {
    Error::BadRequest { what: what.into(), hint }
}

impl<'j> Conversation<'j> {
    /// Reads a request.
    ///
    /// # Errors
    /// When the text is no JSON, no request, or holds something that is no message.
    pub(crate) fn parse(json: &'j str) -> Result<Self> {
        let raw: &RawValue = serde_json::from_str(json).map_err(|error| {
            refused(
                format!("is no JSON: {error}"),
                "pass the request as it goes over the wire; NaN, comments and single quotes are no JSON",
            )
        })?;
        let not_one = || {
            refused(
                "has no messages",
                "pass an object with messages, input or contents, or a list of messages",
            )
        };
        let (body, elements, key) = if raw.get().starts_with('[') {
            (None, array(raw.get()).ok_or_else(not_one)?, "")
        } else {
            let body = object(raw.get()).ok_or_else(not_one)?;
            let key = ["messages", "contents", "input"].into_iter().find(|key| body.contains_key(*key));
            let key = key.ok_or_else(not_one)?;
            let elements = match array(body[key].get()) {
                Some(elements) => elements,
                None if key == "input" && is_string(body[key]) => Vec::new(),
                None => return Err(not_one()),
            };
            (Some(body), elements, key)
        };
        let members: Vec<Object<'j>> = elements
            .iter()
            .enumerate()
            .map(|(index, element)| {
                object(element.get())
                    .ok_or_else(|| bad(index, "is no object", "pass a JSON array of chat messages"))
            })
            .collect::<Result<_>>()?;
        let kind = kind_of(body.as_ref(), key, &members);
        let items = elements
            .iter()
            .zip(members)
            .enumerate()
            .map(|(index, (element, members))| read(json, index, place(json, element), members, kind))
            .collect::<Result<_>>()?;
        Ok(Conversation { kind, items, body })
    }
}

fn bad(index: usize, what: impl Into<String>, hint: &'static str) -> Error {
    Error::BadMessage { index, what: what.into(), hint }
}

fn kind_of(body: Option<&Object<'_>>, key: &str, items: &[Object<'_>]) -> Kind {
    let role = |item: &Object<'_>| string(item, "role");
    if key == "contents"
        || items.iter().any(|item| item.contains_key("parts") && !item.contains_key("content"))
    {
        return Kind::Gemini;
    }
    if key == "input" || items.iter().any(|item| !item.contains_key("role") && item.contains_key("type")) {
        return Kind::Responses;
    }
    let model = body.and_then(|body| string(body, "model")).unwrap_or_default();
    let has_blocks = items.iter().any(|item| {
        list(item, "content").iter().filter_map(|part| object(part.get())).any(|part| {
            matches!(
                string(&part, "type").as_deref(),
                Some("tool_use" | "tool_result" | "thinking" | "redacted_thinking" | "image" | "document")
            )
        })
    });
    let top = |key: &str| body.is_some_and(|body| body.contains_key(key));
    if has_blocks || top("system") || top("anthropic_version") || model.contains("claude") {
        return Kind::Anthropic;
    }
    let chat = items.iter().any(|item| {
        item.contains_key("tool_calls")
            || item.contains_key("function_call")
            || role(item)
                .is_some_and(|role| matches!(role.as_str(), "system" | "developer" | "tool" | "function"))
    });
    if chat || model.starts_with("gpt") { Kind::Chat } else { Kind::Plain }
}

fn read<'j>(
    json: &'j str,
    index: usize,
    range: Range<usize>,
    members: Object<'j>,
    kind: Kind,
) -> Result<Item<'j>> {
    let role = string(&members, "role");
    let mut item = Item {
        range,
        role: role.clone().unwrap_or_default(),
        side: Side::User,
        calls: Vec::new(),
        results: Vec::new(),
        texts: Vec::new(),
        members,
    };
    let typed = string(&item.members, "type");
    match (role.as_deref(), kind, typed) {
        (Some("system" | "developer"), ..) => item.side = Side::System,
        (Some("user"), ..) => {}
        (Some("assistant"), ..) | (Some("model"), Kind::Gemini, _) => item.side = Side::Model,
        (Some("tool" | "function"), kind, _) if kind != Kind::Gemini => {
            let answered = match string(&item.members, "tool_call_id") {
                Some(id) => id,
                None => by_name(string(&item.members, "name")),
            };
            item.results.push(answered);
            if let Some(content) = item.members.get("content") {
                texts_of(json, content, &mut item.texts);
            }
        }
        (None | Some("function"), Kind::Gemini, _) => {}
        (None, Kind::Responses, Some(typed)) => {
            let id = string(&item.members, "call_id");
            item.side = Side::Model;
            if typed.ends_with("_output") {
                item.side = Side::User;
                item.results.push(id.unwrap_or_default());
                if let Some(output) = item.members.get("output") {
                    texts_of(json, output, &mut item.texts);
                }
            } else if typed == "mcp_approval_response" {
                item.side = Side::User;
                item.results.push(string(&item.members, "approval_request_id").unwrap_or_default());
            } else if typed == "mcp_approval_request" {
                item.calls.extend(string(&item.members, "id"));
            } else if typed.ends_with("_call") {
                item.calls.extend(id);
            }
        }
        (None, ..) => return Err(bad(index, "has no role", "give each message a \"role\"")),
        (Some(_), ..) => {}
    }
    for call in list(&item.members, "tool_calls").into_iter().filter_map(|call| object(call.get())) {
        item.calls.push(string(&call, "id").unwrap_or_default());
    }
    if let Some(call) = member(&item.members, "function_call") {
        item.calls.push(by_name(string(&call, "name")));
    }
    let key = if kind == Kind::Gemini { "parts" } else { "content" };
    for part in list(&item.members, key).into_iter().filter_map(|part| object(part.get())) {
        let inner = |camel: &str, snake: &str| member(&part, camel).or_else(|| member(&part, snake));
        let named = |call: &Object<'_>| string(call, "id").unwrap_or_else(|| by_name(string(call, "name")));
        match string(&part, "type").as_deref() {
            Some("tool_use") => item.calls.push(string(&part, "id").unwrap_or_default()),
            Some("tool_result") => {
                item.results.push(string(&part, "tool_use_id").unwrap_or_default());
                if let Some(content) = part.get("content") {
                    texts_of(json, content, &mut item.texts);
                }
            }
            None if kind == Kind::Gemini => {
                if let Some(call) = inner("functionCall", "function_call") {
                    item.calls.push(named(&call));
                }
                if let Some(result) = inner("functionResponse", "function_response") {
                    item.results.push(named(&result));
                    if let Some(response) = result.get("response") {
                        strings(json, response, &mut item.texts);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(item)
}

/// Calls without an id are known by their name.
fn by_name(name: Option<String>) -> String {
    format!("name:{}", name.unwrap_or_default())
}

/// A result that is a string, or the texts of its parts.
fn texts_of(json: &str, content: &RawValue, out: &mut Vec<Range<usize>>) {
    if is_string(content) {
        out.push(place(json, content));
        return;
    }
    for part in array(content.get()).unwrap_or_default().into_iter().filter_map(|part| object(part.get())) {
        let text = part.get("text").filter(|text| is_string(text) && !part.contains_key("citations"));
        out.extend(text.map(|text| place(json, text)));
    }
}

/// The strings of a value, those in its lists and objects too.
pub(crate) fn strings(json: &str, value: &RawValue, out: &mut Vec<Range<usize>>) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        if is_string(value) {
            out.push(place(json, value));
        } else if let Some(items) = array(value.get()) {
            open.extend(items);
        } else if let Some(members) = object(value.get()) {
            // Names, ids and data say nothing that a reader would miss.
            let quiet =
                ["type", "id", "tool_use_id", "call_id", "signature", "data", "url", "file_data", "role"];
            open.extend(
                members.into_iter().filter(|(key, _)| !quiet.contains(&key.as_str())).map(|(_, v)| v),
            );
        }
    }
    out.sort_by_key(|range| range.start);
}

/// What stays or goes together, in order: a call with its results; where users and model must take turns, all that one side says
/// in a row; with Responses, reasoning and what follows from it. The system's messages belong to none.
///
/// # Errors
/// When a role is not known, a result has no call before it, or a call no result. A conversation may end with calls that are not answered yet.
pub(crate) fn blocks(conversation: &Conversation<'_>) -> Result<Vec<Block>> {
    let Conversation { kind, items, .. } = conversation;
    let mut turns: Vec<Block> = Vec::new();
    // Where the calls were made that have no result yet: turn and message.
    let mut open: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
    let mut n_open = 0;
    let mut spans: Vec<Range<usize>> = Vec::new();
    let immediate = matches!(kind, Kind::Chat | Kind::Anthropic | Kind::Plain);
    let mut follows_system = false;
    for (index, item) in items.iter().enumerate() {
        if !item.role.is_empty() && !ROLES.contains(&item.role.as_str()) {
            let what = format!("has the unknown role {:?}", item.role);
            return Err(bad(index, what, "use system, developer, user, assistant or tool"));
        }
        if item.side == Side::System {
            follows_system = true;
            continue;
        }
        let joins = turns.last().is_some_and(|turn| {
            let last = &items[*turn.items.last().expect("a turn has an item")];
            let alike = turn.side == item.side && !(follows_system && item.results.is_empty());
            let same_row = match item.side {
                Side::User => item.results.is_empty() == last.results.is_empty(),
                _ => *kind == Kind::Responses,
            };
            (turn.side == item.side && kind.alternates())
                || (alike && same_row && (item.side == Side::Model || !item.results.is_empty()))
        });
        follows_system = false;
        if !joins {
            if item.side == Side::Model || item.results.is_empty() {
                unanswered(&open, n_open, immediate)?;
            }
            turns.push(Block { items: Vec::new(), is_pair: false, side: item.side });
        }
        let turn = turns.len() - 1;
        turns[turn].items.push(index);
        for id in &item.results {
            let call = open.get_mut(id.as_str()).and_then(Vec::pop);
            let Some((from, _)) = call.filter(|(from, _)| *from < turn) else {
                return Err(bad(
                    index,
                    "is a tool result without a call before it",
                    "keep the assistant message with the matching tool_calls id in front of it",
                ));
            };
            n_open -= 1;
            spans.push(from..turn);
        }
        for id in &item.calls {
            open.entry(id).or_default().push((turn, index));
            n_open += 1;
        }
    }
    // Calls of the last turn may be open; of an earlier one, only where some results are still to come.
    let last_model = turns.iter().rposition(|turn| turn.side == Side::Model);
    open.values_mut().for_each(|calls| calls.retain(|(turn, _)| Some(*turn) != last_model));
    let n_open = open.values().map(Vec::len).sum();
    unanswered(&open, n_open, true)?;
    Ok(joined(turns, spans))
}

/// Merges the turns of each span.
fn joined(turns: Vec<Block>, mut spans: Vec<Range<usize>>) -> Vec<Block> {
    spans.sort_by_key(|span| span.start);
    let mut spans = spans.into_iter().peekable();
    let mut out: Vec<Block> = Vec::new();
    let mut until = None;
    for (i, turn) in turns.into_iter().enumerate() {
        let inside = until.is_some_and(|until| i <= until);
        while let Some(span) = spans.next_if(|span| span.start <= i) {
            until = until.max(Some(span.end));
        }
        match out.last_mut() {
            Some(block) if inside => {
                block.items.extend(turn.items);
                block.is_pair = true;
            }
            _ => out.push(turn),
        }
    }
    out
}

fn unanswered(open: &HashMap<&str, Vec<(usize, usize)>>, n_open: usize, check: bool) -> Result<()> {
    if !check || n_open == 0 {
        return Ok(());
    }
    let all = || open.iter().flat_map(|(id, calls)| calls.iter().map(move |(_, index)| (*id, *index)));
    let index = all().map(|(_, index)| index).min().unwrap_or(0);
    let mut ids: Vec<&str> = all().map(|(id, _)| id).collect();
    ids.sort_unstable();
    Err(bad(
        index,
        format!("calls {} without a result", ids.join(", ")),
        "add the missing tool messages or remove the call",
    ))
}
