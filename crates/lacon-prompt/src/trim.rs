//! Fits a conversation into a budget and leaves it one that can be sent.
//!
//! A call and its results are one group and stay or go together. The system's messages, the first user turn, the last
//! group and what is pinned always stay. Before anything is left out, tool results get their shorter exact form; then
//! stale results shrink to the values they held; then groups go, those first that say least that is not said elsewhere.

use crate::compress::{Options, compress};
use crate::error::{Error, Result};
use crate::guard;
use crate::json::escape_into;
use crate::offload::{Store, StoreError};
use crate::passes::{Pass, PassSet};
use lacon_tokens::{Encoding, Side};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};

/// How to trim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrimOptions {
    /// Most tokens of the result, tools included.
    pub budget: usize,
    /// Indexes of messages that must stay as they are.
    pub pinned: Vec<usize>,
    /// Tokens that the request's tools need.
    pub tool_tokens: usize,
    /// Leave out the oldest groups in strides of so many, so that the next trims cut at the same place and a cached
    /// prefix stays. Zero: leave out what says least, wherever it is.
    pub stride: usize,
    /// Whether the first user turn may go as well, where the budget cannot be met with it and a later user turn can
    /// begin the conversation. It often holds what the user wants, so it is kept unless this says otherwise.
    pub drop_first: bool,
}

impl TrimOptions {
    /// A budget without anything else.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        TrimOptions { budget, pinned: Vec::new(), tool_tokens: 0, stride: 0, drop_first: false }
    }
}

/// A trimmed conversation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Trimmed {
    /// The messages to send.
    pub messages: Vec<Value>,
    /// Tokens before, counted on the cautious side.
    pub tokens_before: usize,
    /// Tokens after.
    pub tokens_after: usize,
    /// Indexes of messages in another, exact form.
    pub reformed: Vec<usize>,
    /// Indexes of tool results of which only the values are left.
    pub digested: Vec<usize>,
    /// Indexes of messages that are gone.
    pub dropped: Vec<usize>,
}

/// A text that was fitted into a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrimmedText {
    /// The text, its exact short form, or its start and end.
    pub text: String,
    /// Tokens before.
    pub tokens_before: usize,
    /// Tokens after.
    pub tokens_after: usize,
    /// Tokens that were left out of the middle.
    pub left_out: usize,
}

/// Fits a text into a budget: as it is, else in its exact short form, else its start and end with a line between them that says
/// how much is missing.
///
/// # Errors
/// When the budget has no room for that line and something beside it.
pub fn trim_text(text: &str, budget: usize, encoding: &Encoding) -> Result<TrimmedText> {
    let tokens_before = encoding.count(text);
    let short = compress(text, Options::default(), None, encoding)?;
    let (text, left_out) = if tokens_before <= budget {
        (text.to_owned(), 0)
    } else if short.tokens_after <= budget {
        (short.text, 0)
    } else {
        cut(text, tokens_before, budget, encoding)?
    };
    Ok(TrimmedText { tokens_before, tokens_after: encoding.count(&text), text, left_out })
}

/// The start and the end of a text, whole lines of both, and between them a line that says what is missing.
fn cut(text: &str, tokens: usize, budget: usize, encoding: &Encoding) -> Result<(String, usize)> {
    let mark = |n: usize| format!("[… {n} tokens left out …]\n");
    // Seams may cost a token or two more than their sides; the loop takes them off again.
    let mut room = budget.saturating_sub(encoding.count(&mark(tokens)) + 1);
    loop {
        if room < 2 {
            return Err(Error::Uncuttable { minimum: encoding.count(&mark(tokens)) + 3, budget });
        }
        let head = encoding.truncate(text, room * 7 / 10, Side::Back);
        let tail = encoding.truncate(text, room - room * 7 / 10, Side::Front);
        let head = head.rfind('\n').filter(|i| i * 2 > head.len()).map_or(&*head, |i| &head[..=i]);
        let tail = tail.find('\n').filter(|i| i * 2 < tail.len()).map_or(&*tail, |i| &tail[i + 1..]);
        let left_out = tokens.saturating_sub(encoding.count(head) + encoding.count(tail));
        let seam = if head.ends_with('\n') { "" } else { "\n" };
        let result = format!("{head}{seam}{}{tail}", mark(left_out));
        if encoding.count(&result) <= budget {
            return Ok((result, left_out));
        }
        room -= 1;
    }
}

/// Tokens of one chat message: four of framing, its content, name and calls. Calls are counted as JSON text, which is
/// more than providers meter, so that a budget kept here is kept everywhere.
#[must_use]
pub fn message_tokens(message: &Value, encoding: &Encoding) -> usize {
    let text = |key: &str| message.get(key).and_then(Value::as_str).map_or(0, |text| encoding.count(text));
    let content = match message.get("content") {
        Some(Value::Array(parts)) => parts.iter().map(|part| encoding.count(&python_json(part))).sum(),
        _ => text("content"),
    };
    let calls = match message.get("tool_calls") {
        Some(calls) if !calls.is_null() => encoding.count(&python_json(calls)),
        _ => 0,
    };
    4 + content + text("name") + calls
}

/// JSON as Python prints it, the longest of the usual forms.
fn python_json(value: &Value) -> String {
    let mut out = String::new();
    fn print(value: &Value, out: &mut String) {
        let quote = |text: &str, out: &mut String| {
            out.push('"');
            escape_into(out, text, true);
            out.push('"');
        };
        match value {
            Value::String(text) => quote(text, out),
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    print(item, out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    quote(name, out);
                    out.push_str(": ");
                    print(value, out);
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    print(value, &mut out);
    out
}

struct Turn {
    /// The message as it will be sent; changed while shrinking.
    message: Map<String, Value>,
    role: String,
    tokens: usize,
    keep: bool,
    gone: bool,
}

struct Group {
    turns: std::ops::Range<usize>,
    keep: bool,
}

/// Fits chat messages (as in OpenAI's chat requests) into a budget.
///
/// # Errors
/// When a message is no object with a role, a tool result has no call or a call no result, or the messages that must
/// stay need more than the budget; the error then names the least budget that works.
pub fn trim(messages: &[Value], options: &TrimOptions, encoding: &Encoding) -> Result<Trimmed> {
    trim_with_store(messages, options, None, encoding)
}

/// As [`trim`]; what is left out of tool results goes to the store, and a handle in its place says where it is.
///
/// To be used only where the request gives the model a way to retrieve. A full store leaves the handle out.
///
/// # Errors
/// As [`trim`], and when the store's medium fails.
pub fn trim_with_store(
    messages: &[Value],
    options: &TrimOptions,
    store: Option<&mut dyn Store>,
    encoding: &Encoding,
) -> Result<Trimmed> {
    if options.drop_first {
        let kept = TrimOptions { drop_first: false, ..options.clone() };
        return match trim_with_store(messages, &kept, store, encoding) {
            Err(Error::OverBudget { .. }) => without_first(messages, &kept, encoding),
            other => other,
        };
    }
    let mut turns = read(messages, options, encoding)?;
    let mut groups = group(&turns)?;
    let first_user = groups.iter().position(|group| turns[group.turns.start].role == "user");
    let last = groups.len().checked_sub(1);
    for (i, group) in groups.iter_mut().enumerate() {
        let has_kept = turns[group.turns.clone()].iter().any(|turn| turn.keep || is_system(&turn.role));
        group.keep = has_kept || Some(i) == first_user || Some(i) == last;
        if group.keep {
            turns[group.turns.clone()].iter_mut().for_each(|turn| turn.keep = true);
        }
    }
    let base = options.tool_tokens;
    let tokens_before: usize = base + turns.iter().map(|turn| turn.tokens).sum::<usize>();
    let mut state = State {
        turns,
        groups,
        total: tokens_before,
        encoding,
        reformed: Vec::new(),
        digested: Vec::new(),
        noted: true,
    };

    if state.total > options.budget {
        state.reform();
    }
    if state.total > options.budget {
        state.shrink(messages, options, store)?;
    }
    let dropped: Vec<usize> = (0..state.turns.len()).filter(|i| state.turns[*i].gone).collect();
    let note = note_for(dropped.len());
    let mut messages = Vec::new();
    let mut noted = dropped.is_empty() || !state.noted;
    for turn in &state.turns {
        if turn.gone {
            if !std::mem::replace(&mut noted, true) {
                messages.push(note.clone());
            }
            continue;
        }
        messages.push(Value::Object(turn.message.clone()));
    }
    let gone = |i: &usize| !dropped.contains(i);
    Ok(Trimmed {
        messages,
        tokens_before,
        tokens_after: state.total,
        reformed: state.reformed.iter().copied().filter(gone).collect(),
        digested: state.digested.iter().copied().filter(gone).collect(),
        dropped,
    })
}

/// Trims without the messages from the first user turn to the next one.
fn without_first(messages: &[Value], options: &TrimOptions, encoding: &Encoding) -> Result<Trimmed> {
    let role = |message: &Value| message.get("role").and_then(Value::as_str).map(str::to_owned);
    let users: Vec<usize> =
        (0..messages.len()).filter(|i| role(&messages[*i]).as_deref() == Some("user")).collect();
    let mut best = None;
    for pair in users.windows(2) {
        let gone = users[0]..pair[1];
        let system = messages[gone.clone()].iter().any(|m| role(m).is_some_and(|role| is_system(&role)));
        if system || options.pinned.iter().any(|pin| gone.contains(pin)) {
            break;
        }
        let rest: Vec<Value> = [&messages[..gone.start], &messages[gone.end..]].concat();
        let place = |i: usize| if i < gone.start { i } else { i + gone.len() };
        let pinned = options.pinned.iter().map(|i| if *i < gone.start { *i } else { *i - gone.len() });
        let options = TrimOptions { pinned: pinned.collect(), ..options.clone() };
        match trim_with_store(&rest, &options, None, encoding) {
            Ok(mut trimmed) => {
                for list in [&mut trimmed.reformed, &mut trimmed.digested, &mut trimmed.dropped] {
                    list.iter_mut().for_each(|i| *i = place(*i));
                }
                trimmed.dropped.extend(gone.clone());
                trimmed.dropped.sort_unstable();
                trimmed.tokens_before +=
                    messages[gone].iter().map(|m| message_tokens(m, encoding)).sum::<usize>();
                return Ok(trimmed);
            }
            Err(error) => best = Some(least(best, error)),
        }
    }
    match best {
        Some(error) => Err(error),
        None => trim_with_store(messages, options, None, encoding),
    }
}

/// The refusal with the lower minimum.
fn least(known: Option<Error>, error: Error) -> Error {
    match (known, error) {
        (Some(Error::OverBudget { minimum, budget, largest }), Error::OverBudget { minimum: other, .. })
            if minimum <= other =>
        {
            Error::OverBudget { minimum, budget, largest }
        }
        (_, error) => error,
    }
}

/// The message that stands where the first messages were left out.
fn note_for(n: usize) -> Value {
    serde_json::json!({"role": "user", "content": format!("[{n} earlier messages were left out here to fit the context]")})
}

fn is_system(role: &str) -> bool {
    matches!(role, "system" | "developer")
}

fn read(messages: &[Value], options: &TrimOptions, encoding: &Encoding) -> Result<Vec<Turn>> {
    messages
        .iter()
        .enumerate()
        .map(|(index, message)| {
            let bad = |what: String, hint| Error::BadMessage { index, what, hint };
            let object = message
                .as_object()
                .ok_or_else(|| bad("is no object".to_owned(), "pass a JSON array of chat messages"))?;
            let role = object
                .get("role")
                .and_then(Value::as_str)
                .ok_or_else(|| bad("has no role".to_owned(), "give each message a \"role\""))?;
            if !matches!(role, "system" | "developer" | "user" | "assistant" | "tool") {
                return Err(bad(
                    format!("has the unknown role {role:?}"),
                    "use system, developer, user, assistant or tool",
                ));
            }
            Ok(Turn {
                tokens: message_tokens(message, encoding),
                role: role.to_owned(),
                message: object.clone(),
                keep: options.pinned.contains(&index),
                gone: false,
            })
        })
        .collect()
}

fn call_ids(turn: &Turn) -> Vec<&str> {
    let calls = turn.message.get("tool_calls").and_then(Value::as_array);
    calls.into_iter().flatten().filter_map(|call| call.get("id").and_then(Value::as_str)).collect()
}

/// Puts each call together with its results. A conversation may end with calls that are not answered yet.
fn group(turns: &[Turn]) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut at = 0;
    while at < turns.len() {
        let turn = &turns[at];
        let orphan = |index: usize| Error::BadMessage {
            index,
            what: "is a tool result without a call before it".to_owned(),
            hint: "keep the assistant message with the matching tool_calls id in front of it",
        };
        if turn.role == "tool" {
            return Err(orphan(at));
        }
        let mut open: HashSet<&str> = call_ids(turn).into_iter().collect();
        let has_calls = !open.is_empty();
        let mut end = at + 1;
        while end < turns.len() && turns[end].role == "tool" {
            let id = turns[end].message.get("tool_call_id").and_then(Value::as_str).unwrap_or("");
            if !open.remove(id) {
                return Err(orphan(end));
            }
            end += 1;
        }
        if has_calls && !open.is_empty() && end < turns.len() {
            let mut ids: Vec<&str> = open.into_iter().collect();
            ids.sort_unstable();
            return Err(Error::BadMessage {
                index: at,
                what: format!("calls {} without a result", ids.join(", ")),
                hint: "add the missing tool messages or remove the call",
            });
        }
        groups.push(Group { turns: at..end, keep: false });
        at = end;
    }
    Ok(groups)
}

struct State<'e> {
    turns: Vec<Turn>,
    groups: Vec<Group>,
    total: usize,
    encoding: &'e Encoding,
    reformed: Vec<usize>,
    digested: Vec<usize>,
    /// Whether the place of what is gone is marked.
    noted: bool,
}

impl State<'_> {
    fn set_content(&mut self, index: usize, content: String) -> bool {
        let mut message = self.turns[index].message.clone();
        message.insert("content".to_owned(), Value::String(content));
        let value = Value::Object(message);
        let tokens = message_tokens(&value, self.encoding);
        let turn = &mut self.turns[index];
        if tokens >= turn.tokens {
            return false;
        }
        self.total -= turn.tokens - tokens;
        turn.tokens = tokens;
        if let Value::Object(message) = value {
            turn.message = message;
        }
        true
    }

    /// Gives tool results their shorter exact form. Repeats are not named: a later message would change an earlier one.
    fn reform(&mut self) {
        let passes = PassSet::default().without(Pass::Repeats).without(Pass::Duplicates);
        let options = Options { passes, ..Options::default() };
        for i in 0..self.turns.len() {
            let turn = &self.turns[i];
            if turn.keep || turn.role != "tool" {
                continue;
            }
            let Some(content) = turn.message.get("content").and_then(Value::as_str) else { continue };
            if let Ok(short) = compress(content, options, None, self.encoding)
                && short.exact
                && short.tokens_after < short.tokens_before
                && self.set_content(i, short.text)
            {
                self.reformed.push(i);
            }
        }
    }

    fn shrink(
        &mut self,
        messages: &[Value],
        options: &TrimOptions,
        store: Option<&mut dyn Store>,
    ) -> Result<()> {
        let values: Vec<BTreeSet<String>> = self.turns.iter().map(|turn| facts_of(&turn.message)).collect();
        self.digest(messages, options.budget, &values, store)?;
        if self.total <= options.budget {
            return Ok(());
        }
        let note = message_tokens(&note_for(self.turns.len()), self.encoding);
        self.total += note;
        if options.stride > 0 {
            self.drop_oldest(options);
        } else {
            self.drop_least(options.budget, &values);
        }
        // Where only the note is too much, the report alone says what is gone.
        if self.total > options.budget {
            self.total -= note;
            self.noted = false;
        }
        if self.total > options.budget {
            let largest = self
                .turns
                .iter()
                .enumerate()
                .filter(|(_, turn)| !turn.gone)
                .max_by_key(|(_, turn)| turn.tokens);
            let largest =
                largest.map_or_else(String::new, |(i, turn)| format!("message {i} ({})", turn.role));
            return Err(Error::OverBudget { minimum: self.total, budget: options.budget, largest });
        }
        Ok(())
    }

    /// Leaves of stale tool results only the values they held, oldest first, until the budget is met.
    fn digest(
        &mut self,
        messages: &[Value],
        budget: usize,
        values: &[BTreeSet<String>],
        mut store: Option<&mut dyn Store>,
    ) -> Result<()> {
        for (i, values) in values.iter().enumerate() {
            if self.total <= budget {
                break;
            }
            let turn = &self.turns[i];
            if turn.keep || turn.role != "tool" || turn.tokens < 60 {
                continue;
            }
            let whole = messages[i].get("content").and_then(Value::as_str).unwrap_or("");
            let place = match store.as_deref_mut().map(|store| store.put(whole)) {
                Some(Ok(handle)) => format!(", ref={handle}"),
                None | Some(Err(StoreError::Full { .. } | StoreError::Collision { .. })) => String::new(),
                Some(Err(error)) => return Err(error.into()),
            };
            let own: Vec<&str> = values.iter().map(String::as_str).collect();
            if self.set_content(i, format!("[result left out{place}; values in it: {}]", own.join(" "))) {
                self.digested.push(i);
            }
        }
        Ok(())
    }

    fn drop_oldest(&mut self, options: &TrimOptions) {
        let free: Vec<usize> = (0..self.groups.len()).filter(|g| !self.groups[*g].keep).collect();
        for stride in free.chunks(options.stride) {
            if self.total <= options.budget {
                return;
            }
            for group in stride {
                self.drop_group(*group);
            }
        }
    }

    fn drop_group(&mut self, group: usize) {
        for turn in &mut self.turns[self.groups[group].turns.clone()] {
            turn.gone = true;
            self.total -= turn.tokens;
        }
    }

    /// Drops the group with the fewest values a token that no other message holds, again and again.
    fn drop_least(&mut self, budget: usize, values: &[BTreeSet<String>]) {
        let mut said: HashMap<&str, usize> = HashMap::new();
        for set in values {
            for value in set {
                *said.entry(value).or_default() += 1;
            }
        }
        let mut free: Vec<usize> = (0..self.groups.len()).filter(|g| !self.groups[*g].keep).collect();
        let n = self.groups.len() as f64;
        while self.total > budget && !free.is_empty() {
            let worth = |group: usize| {
                let range = self.groups[group].turns.clone();
                let mut seen: BTreeSet<&str> = BTreeSet::new();
                for i in range.clone() {
                    seen.extend(values[i].iter().map(String::as_str));
                }
                // A value that two messages of this group hold is still lost with the group.
                let held = |value: &str| range.clone().filter(|i| values[*i].contains(value)).count();
                let unique = seen.iter().filter(|value| said.get(**value) == Some(&held(value))).count();
                let tokens: usize = self.turns[range].iter().map(|turn| turn.tokens).sum();
                // Of two groups that say as much, the older one goes.
                (unique as f64 + 0.2 + 0.2 * group as f64 / n) / tokens.max(1) as f64
            };
            let (at, group) = free
                .iter()
                .copied()
                .enumerate()
                .map(|(at, group)| (worth(group), at, group))
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, at, group)| (at, group))
                .expect("free is not empty");
            free.remove(at);
            for i in self.groups[group].turns.clone() {
                for value in &values[i] {
                    if let Some(n) = said.get_mut(value.as_str()) {
                        *n -= 1;
                    }
                }
            }
            self.drop_group(group);
        }
    }
}

fn facts_of(message: &Map<String, Value>) -> BTreeSet<String> {
    let content = message.get("content").and_then(Value::as_str).unwrap_or("");
    guard::values(content)
}
