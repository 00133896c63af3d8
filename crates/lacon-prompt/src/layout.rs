//! The order of a request: shared material first, changing material last, so that providers read it from their caches.
//!
//! A provider caches the longest common prefix of requests, byte for byte. So tools and their schemas get one order,
//! shared material comes first in one order, and role-specific text follows. Nothing is reworded: [`shared_first`]
//! moves whole segments, [`volatile_last`] whole lines.

mod cache;
mod refer;
mod volatile;

pub use cache::{Cache, CacheMarks, Predicted, Sent, Shape, marks_for, net_saving, predict};
pub use refer::{Reference, follow, refer};
pub use volatile::{Moved, put_back, volatile_last};

use crate::prompt::{Message, Prompt, Role, Segment};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// Tools in the order of their names, schemas in the order of their keys; lists keep their order, for it may matter.
#[must_use]
pub fn canonical_tools(tools: &[Value]) -> Vec<Value> {
    let mut sorted: Vec<Value> = tools.iter().map(sorted_keys).collect();
    sorted.sort_by(|a, b| tool_name(a).cmp(tool_name(b)));
    sorted
}

fn tool_name(tool: &Value) -> &str {
    tool.get("function").unwrap_or(tool).get("name").and_then(Value::as_str).unwrap_or("")
}

fn sorted_keys(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            let sorted: Map<String, Value> =
                names.into_iter().map(|name| (name.clone(), sorted_keys(&members[name]))).collect();
            Value::Object(sorted)
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted_keys).collect()),
        other => other.clone(),
    }
}

/// One stretch of a request as a cache sees it.
struct Stretch {
    owner: String,
    message: Option<usize>,
    text: String,
}

/// The request in the order providers hash it: tools, then messages.
fn stretches(prompt: &Prompt) -> Vec<Stretch> {
    let mut out = Vec::new();
    for tool in &prompt.tools {
        out.push(Stretch {
            owner: format!("tool {}", tool_name(tool)),
            message: None,
            text: tool.to_string(),
        });
    }
    for (i, message) in prompt.messages.iter().enumerate() {
        let head =
            format!("\u{1}{}\u{2}{}\u{2}", message.role.as_str(), message.name.as_deref().unwrap_or(""));
        out.push(Stretch { owner: format!("message {i}"), message: Some(i), text: head });
        for segment in &message.segments {
            out.push(Stretch { owner: segment.name.clone(), message: Some(i), text: segment.text.clone() });
        }
        for call in &message.tool_calls {
            let text = format!("\u{3}{}\u{2}{}\u{2}{}", call.id, call.name, call.arguments);
            out.push(Stretch { owner: format!("call {}", call.name), message: Some(i), text });
        }
        if let Some(id) = &message.tool_call_id {
            out.push(Stretch { owner: format!("result {id}"), message: Some(i), text: id.clone() });
        }
    }
    out
}

fn common_bytes(a: &str, b: &str) -> usize {
    let mut n = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    while !a.is_char_boundary(n) {
        n -= 1;
    }
    n
}

/// The first difference of two requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// First byte of the requests' texts that differs.
    pub byte: usize,
    /// The segment, tool or call with the difference, in the first request (in the second if the first has ended).
    pub owner: String,
    /// Its message; `None` for tools.
    pub message: Option<usize>,
    /// A few characters of the first request from there on.
    pub left: String,
    /// The same of the second one.
    pub right: String,
}

/// Returns the first byte in which two requests differ, and its owner; `None` if one starts with all of the other.
#[must_use]
pub fn first_difference(a: &Prompt, b: &Prompt) -> Option<Difference> {
    let (left, right) = (stretches(a), stretches(b));
    let text = |stretches: &[Stretch]| stretches.iter().map(|s| s.text.as_str()).collect::<String>();
    let (whole_left, whole_right) = (text(&left), text(&right));
    let byte = common_bytes(&whole_left, &whole_right);
    if byte == whole_left.len() || byte == whole_right.len() {
        return None;
    }
    let mut end = 0;
    let owner = left.iter().find(|stretch| {
        end += stretch.text.len();
        byte < end
    })?;
    let some = |text: &str| text[byte..].chars().take(24).filter(|c| !c.is_control()).collect();
    Some(Difference {
        byte,
        owner: owner.owner.clone(),
        message: owner.message,
        left: some(&whole_left),
        right: some(&whole_right),
    })
}

/// Moves segments that several requests share to the front of each, so that each starts like an earlier one.
///
/// System text of every request comes first. Then, request by request in sending order, comes the data that forms the
/// longest possible start of an earlier request; then other shared data, the most shared first; then each request's own
/// data. Segments keep their role and text. Requests with calls or named speakers are histories whose order carries
/// meaning, and stay as they are.
#[must_use]
pub fn shared_first(prompts: &[Prompt]) -> Vec<Prompt> {
    let mut shares: HashMap<Key<'_>, (usize, usize)> = HashMap::new();
    let mut order = 0;
    for prompt in prompts {
        let mut seen: HashSet<Key<'_>> = HashSet::new();
        for message in &prompt.messages {
            for segment in &message.segments {
                let key = (message.role, segment.text.as_str());
                if seen.insert(key) {
                    order += 1;
                    shares.entry(key).or_insert((0, order)).0 += 1;
                }
            }
        }
    }
    let mut sent: Vec<Vec<Key<'_>>> = Vec::new();
    prompts.iter().map(|prompt| front_loaded(prompt, prompts.len(), &shares, &mut sent)).collect()
}

/// A segment as a cache sees it: who speaks, and the text.
type Key<'a> = (Role, &'a str);

fn front_loaded<'a>(
    prompt: &'a Prompt,
    n: usize,
    shares: &HashMap<Key<'a>, (usize, usize)>,
    sent: &mut Vec<Vec<Key<'a>>>,
) -> Prompt {
    let is_history = |message: &Message| {
        !message.tool_calls.is_empty()
            || message.tool_call_id.is_some()
            || message.name.is_some()
            || !matches!(message.role, Role::System | Role::User)
    };
    if prompt.messages.iter().any(is_history) {
        return prompt.clone();
    }
    let mut common: Vec<(Role, &Segment)> = Vec::new();
    let mut shared: Vec<(usize, usize, Role, &'a Segment)> = Vec::new();
    let mut own: Vec<(Role, &Segment)> = Vec::new();
    for message in &prompt.messages {
        for segment in &message.segments {
            let (count, first) = shares[&(message.role, segment.text.as_str())];
            match (message.role, segment.kind.may_change()) {
                (Role::System, _) if count == n => common.push((message.role, segment)),
                (_, true) if count > 1 => shared.push((count, first, message.role, segment)),
                _ => own.push((message.role, segment)),
            }
        }
    }
    shared.sort_by_key(|(count, first, ..)| (std::cmp::Reverse(*count), *first));
    let key = |(.., role, segment): &(usize, usize, Role, &'a Segment)| (*role, segment.text.as_str());
    let mine: HashSet<Key<'a>> = shared.iter().map(key).collect();
    // The earlier request that begins with the most text of which this one has every piece.
    let beginning = sent
        .iter()
        .map(|earlier| earlier.iter().take_while(|key| mine.contains(*key)).copied().collect::<Vec<_>>())
        .max_by_key(|keys| keys.iter().map(|(_, text)| text.len()).sum::<usize>())
        .unwrap_or_default();
    let place = |entry: &(usize, usize, Role, &'a Segment)| {
        beginning.iter().position(|known| *known == key(entry)).unwrap_or(usize::MAX)
    };
    shared.sort_by_key(place);
    sent.push(shared.iter().map(key).collect());

    let mut messages: Vec<Message> = Vec::new();
    for (role, segment) in common {
        push(&mut messages, role, segment, 0);
    }
    for (.., role, segment) in shared {
        push(&mut messages, role, segment, 0);
    }
    // The seam between shared and own text starts a message, so that the shared one is the same for all.
    let n_shared = messages.len();
    for (role, segment) in own {
        push(&mut messages, role, segment, n_shared);
    }
    Prompt { messages, tools: canonical_tools(&prompt.tools) }
}

/// Appends a segment to the last message if it has the same role and is not one of the first `fixed`.
fn push(messages: &mut Vec<Message>, role: Role, segment: &Segment, fixed: usize) {
    let open = messages.len() > fixed && messages.last().is_some_and(|message| message.role == role);
    match messages.last_mut() {
        Some(last) if open => last.segments.push(segment.clone()),
        _ => messages.push(Message::new(role, vec![segment.clone()])),
    }
}
