//! Texts and messages inside the inputs and outputs of a span: LangGraph state, LangChain messages, and the shortened
//! forms that the original system's analyzer leaves (`text_preview` with `full_length`, lists with `count` and `sample`).

use lacon_tokens::{EncodingName, encoding};
use serde_json::Value;

use super::{Shown, Text, json};
use crate::facts;

/// Bytes of a text's beginning that are kept.
const KEPT: usize = 600;
/// Characters by which two texts are taken for the same.
const SAME: usize = 120;
/// Shorter texts are values, not answers.
const ANSWER_CHARS: u64 = 24;

/// One message of a conversation; its tokens are counted where it is collected.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// `human`, `ai`, `tool`, `system`.
    pub kind: String,
    /// Its text.
    pub text: Text,
    /// Its whole text, where it is there.
    pub content: String,
    /// Name and arguments of each tool call.
    pub calls: Vec<(String, String)>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// Usage as the message reports it.
    pub usage: Option<Value>,
    /// Its name: the tool's.
    pub name: Option<String>,
}

/// A digest of all that a value says; nothing for an empty one.
pub fn digest(value: &Value) -> Option<u64> {
    struct Fold(u64);
    impl std::io::Write for Fold {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = bytes.iter().fold(self.0, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let is_empty = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let mut fold = Fold(0xcbf2_9ce4_8422_2325);
    (!is_empty && serde_json::to_writer(&mut fold, value).is_ok()).then_some(fold.0)
}

/// What a value holds.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Texts by path.
    pub texts: Vec<Text>,
    /// Messages.
    pub messages: Vec<Message>,
    /// Messages that the trace left out.
    pub n_left_out: u64,
}

/// Collects texts and messages of a value.
pub fn held(value: &Value) -> Held {
    collected(value, true)
}

/// As [`held`], of something that was read: what it says is compared and never summed up, so its tokens are left at 0.
pub fn read(value: &Value) -> Held {
    collected(value, false)
}

/// Texts of a conversation that are shown: the first, and the last ones.
const SHOWN: usize = 4;

/// The beginnings of what was read or written: messages, or texts where there is no message.
pub fn shown(held: &Held, wrote: bool) -> Vec<Shown> {
    /// The first and the last ones of a list.
    fn some<T>(list: Vec<T>) -> impl Iterator<Item = T> {
        let left_out = 1..(list.len() + 1).saturating_sub(SHOWN).max(1);
        list.into_iter().enumerate().filter(move |(i, _)| !left_out.contains(i)).map(|(_, one)| one)
    }
    let messages: Vec<&Message> = held.messages.iter().filter(|m| !m.content.is_empty()).collect();
    if messages.is_empty() {
        let shown = |t: &Text| Shown { chars: t.chars, ..Shown::new(&t.key, &t.start, wrote) };
        return some(held.texts.iter().collect()).map(shown).collect();
    }
    some(messages).map(|m| Shown::new(&m.kind, &m.content, wrote)).collect()
}

fn collected(value: &Value, counts: bool) -> Held {
    let mut collector = Collector { counts, last: ("", 0), held: Held::default() };
    collector.collect(value, "", 0);
    collector.held
}

struct Collector<'a> {
    counts: bool,
    /// The text that was counted last, and its tokens: answers stand in a span as text and again as a message.
    last: (&'a str, u64),
    held: Held,
}

impl<'a> Collector<'a> {
    fn collect(&mut self, value: &'a Value, path: &str, depth: usize) {
        if depth > 12 || self.held.texts.len() + self.held.messages.len() > 4096 {
            return;
        }
        match value {
            Value::String(text) => self.text(path, text, None),
            Value::Array(items) => items.iter().for_each(|v| self.collect(v, path, depth + 1)),
            Value::Object(map) => {
                if let Some(mut message) = message(value) {
                    message.text.tokens = self.tokens(&message.content);
                    self.held.messages.push(message);
                } else if let (Some(Value::String(preview)), Some(length)) =
                    (map.get("text_preview"), map.get("full_length").and_then(json::count))
                {
                    self.text(path, preview, Some(length));
                } else if let (Some(count), Some(Value::Array(sample))) =
                    (map.get("count").and_then(json::count), map.get("sample"))
                {
                    let before = self.held.messages.len();
                    sample.iter().for_each(|v| self.collect(v, path, depth + 1));
                    if self.held.messages.len() > before {
                        self.held.n_left_out += count.saturating_sub(sample.len() as u64);
                    }
                } else {
                    for (key, value) in map {
                        match path {
                            "" => self.collect(value, key, depth + 1),
                            _ => self.collect(value, &format!("{path}.{key}"), depth + 1),
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Keeps a text.
    fn text(&mut self, key: &str, text: &'a str, full_chars: Option<u64>) {
        let counted = self.tokens(text);
        self.last = (text, counted);
        self.held.texts.push(text_of(key, text, full_chars, counted));
    }

    fn tokens(&self, text: &str) -> u64 {
        match self.held.messages.last() {
            _ if !self.counts || text.is_empty() => 0,
            _ if self.last.0 == text => self.last.1,
            Some(message) if message.content == text => message.text.tokens,
            _ => encoding(EncodingName::O200kBase).count(text) as u64,
        }
    }
}

/// A text of so many tokens; both sizes are extrapolated where it is only the beginning of one.
fn text_of(key: &str, text: &str, full_chars: Option<u64>, tokens: u64) -> Text {
    let kept_chars = text.chars().count() as u64;
    let chars = full_chars.unwrap_or(kept_chars).max(kept_chars.saturating_sub(3));
    let whole = chars <= kept_chars;
    let tokens = if whole || kept_chars == 0 { tokens } else { tokens * chars / kept_chars };
    Text { key: key.to_owned(), chars, tokens, whole, start: beginning(text, KEPT).to_owned() }
}

fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A message in one of the spellings of LangChain or of a chat API.
pub fn message(value: &Value) -> Option<Message> {
    let map = value.as_object()?;
    // A serialized LangChain object: {"lc": 1, "id": [..., "AIMessage"], "kwargs": {...}}.
    if let (Some(kwargs), Some(class)) =
        (map.get("kwargs"), map.get("id").and_then(Value::as_array).and_then(|id| id.last()?.as_str()))
    {
        let mut found =
            message_of(kwargs, &class.replace("MessageChunk", "").replace("Message", "").to_lowercase())?;
        if found.name.is_none() {
            found.name = kwargs.get("name").and_then(json::text);
        }
        return Some(found);
    }
    let kind = map.get("type").or(map.get("role")).and_then(Value::as_str)?;
    message_of(value, kind)
}

fn message_of(value: &Value, kind: &str) -> Option<Message> {
    let kind = match kind {
        "human" | "user" | "HumanMessage" => "human",
        "ai" | "assistant" | "AIMessage" | "AIMessageChunk" | "model" => "ai",
        "tool" | "ToolMessage" | "function" => "tool",
        "system" | "SystemMessage" | "developer" => "system",
        _ => return None,
    };
    let content = value.get("content").or(value.get("parts")).or(value.get("tool_calls"))?;
    let mut text = String::new();
    plain(content, &mut text);
    let mut calls: Vec<(String, String)> = Vec::new();
    let lists = [value.get("tool_calls"), json::first(value, &["additional_kwargs.tool_calls"])];
    for call in
        lists.into_iter().flatten().filter_map(Value::as_array).find(|l| !l.is_empty()).into_iter().flatten()
    {
        let name = json::first(call, &["name", "function.name"]).and_then(json::text).unwrap_or_default();
        let args = json::first(call, &["args", "function.arguments", "arguments"]).map(|a| match a {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        calls.push((name, args.unwrap_or_default()));
    }
    // Parts of GenAI messages, of Gemini and of Anthropic's content.
    for part in content.as_array().into_iter().chain(value.get("parts").and_then(Value::as_array)).flatten() {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        let call = match kind {
            "tool_call" | "tool_use" | "tool-call" => Some(part),
            _ => json::first(part, &["function_call", "functionCall"]),
        };
        if let Some(call) = call {
            let name = json::first(call, &["name", "toolName"]).and_then(json::text).unwrap_or_default();
            let args = json::first(call, &["arguments", "args", "input"]).map(ToString::to_string);
            let call = (name, args.unwrap_or_default());
            if !calls.contains(&call) {
                calls.push(call);
            }
        }
    }
    Some(Message {
        kind: kind.into(),
        text: text_of("", &text, None, 0),
        content: text,
        calls,
        model: json::first(value, &["response_metadata.model_name", "response_metadata.model"])
            .and_then(json::text),
        usage: json::first(value, &["usage_metadata", "response_metadata.token_usage"]).cloned(),
        name: value.get("name").and_then(json::text),
    })
}

/// The text of a message's content, of parts too.
fn plain(content: &Value, into: &mut String) {
    match content {
        Value::String(text) => into.push_str(text),
        Value::Array(parts) => parts.iter().for_each(|p| plain(p, into)),
        Value::Object(map) => {
            if let Some(inner) =
                ["text", "content", "response", "result", "text_preview"].iter().find_map(|k| map.get(*k))
            {
                plain(inner, into);
            }
        }
        _ => {}
    }
}

/// What makes two texts the same: their beginning without a speaker's name.
pub fn same_key(text: &Text) -> String {
    let start = text.start.trim_start();
    let start = match start.split_once(": ") {
        Some((speaker, rest)) if speaker.len() <= 24 && !speaker.contains(['\n', '#', '*', '.']) => rest,
        _ => start,
    };
    start.trim_start().chars().filter(|c| !c.is_whitespace()).take(SAME).collect()
}

/// A digest of [`same_key`].
pub fn key_digest(text: &Text) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    same_key(text).hash(&mut hasher);
    hasher.finish()
}

/// Whether a text is long enough to be an answer and under no key that holds a name.
fn is_answer(text: &Text) -> bool {
    let last = text.key.rsplit('.').next().unwrap_or(&text.key);
    text.chars >= ANSWER_CHARS
        && text.start.trim().contains(' ')
        && !["sender", "name", "latest_speaker", "company_of_interest", "trade_date", "history"]
            .contains(&last)
}

/// What a span wrote: texts and answers of its outputs that its inputs did not hold.
#[derive(Clone, Debug, Default)]
pub struct Wrote {
    /// The texts.
    pub texts: Vec<Text>,
    /// Tool calls that it asks for.
    pub n_calls: u32,
    /// Tokens of these tool calls as a provider counts them.
    pub call_tokens: u64,
    /// Model of the last answer.
    pub model: Option<String>,
    /// Tool answers without data.
    pub no_data: Vec<String>,
    /// Tool answers with data.
    pub n_with_data: u32,
    /// Usage that the answers report, in the order of the answers.
    pub usage: Vec<Value>,
    /// Answers of the outputs that the inputs hold too.
    pub handed: Vec<Text>,
}

/// Compares outputs with inputs. A text of the outputs that begins like one of the inputs was handed on, not written.
pub fn wrote(inputs: &Held, outputs: &Held) -> Wrote {
    let mut result = Wrote::default();
    let mut known: Vec<String> =
        inputs.texts.iter().chain(inputs.messages.iter().map(|m| &m.text)).map(same_key).collect();
    let known_calls: Vec<&(String, String)> = inputs.messages.iter().flat_map(|m| &m.calls).collect();
    known.retain(|k| !k.is_empty());
    let mut found: Vec<(String, Text)> = Vec::new();
    let mut handed: Vec<Text> = Vec::new();
    let mut add = |text: &Text| {
        let key = same_key(text);
        if !is_answer(text) || key.is_empty() {
            return;
        }
        if known.contains(&key) {
            handed.push(text.clone());
            return;
        }
        match found.iter_mut().find(|(k, _)| *k == key) {
            // A joined history begins with its first part: the shorter text is the answer itself.
            Some((_, other)) if text.chars < other.chars => *other = text.clone(),
            Some(_) => {}
            None => found.push((key, text.clone())),
        }
    };
    outputs.texts.iter().for_each(&mut add);
    for message in &outputs.messages {
        match message.kind.as_str() {
            "ai" => {
                let is_new = message.calls.iter().any(|c| !known_calls.contains(&c));
                if is_new {
                    let encoding = encoding(EncodingName::O200kBase);
                    result.n_calls += message.calls.len() as u32;
                    result.call_tokens += message
                        .calls
                        .iter()
                        .map(|(name, args)| (encoding.count(name) + encoding.count(args)) as u64)
                        .sum::<u64>()
                        + if message.calls.len() == 1 { 2 } else { 24 };
                }
                let mut text = message.text.clone();
                text.key = "answer".into();
                let fresh = is_new
                    || !inputs
                        .messages
                        .iter()
                        .any(|m| m.kind == "ai" && same_key(&m.text) == same_key(&text));
                if fresh {
                    result.model = message.model.clone().or(result.model.take());
                    result.usage.extend(message.usage.clone());
                }
                add(&text);
            }
            "tool" | "human" => {
                let is_tool = message.kind == "tool" || message.text.start.starts_with("Tool result");
                if is_tool && !inputs.messages.iter().any(|m| same_key(&m.text) == same_key(&message.text)) {
                    match no_data(&message.content) {
                        Some(says) => {
                            let name = message.name.as_deref().unwrap_or("tool");
                            result.no_data.push(format!("{name}: {says}"));
                        }
                        None => result.n_with_data += 1,
                    }
                }
            }
            _ => {}
        }
    }
    result.texts = found.into_iter().map(|(_, text)| text).collect();
    result.handed = handed;
    result
}

/// What a tool's answer says instead of data; `None` when it holds some.
pub fn no_data(text: &str) -> Option<String> {
    const SIGNS: &[&str] = &[
        "no data",
        "error:",
        "error fetching",
        "exception",
        "failed to",
        "could not ",
        "unavailable",
        "no news found",
        "no results",
        "no objects",
        "rate limit",
        "no records",
        "not found",
        "traceback",
        "timed out",
    ];
    if text.trim().is_empty() {
        return Some("nothing at all".into());
    }
    let (mut n_bad, mut n_lines) = (0_usize, 0_usize);
    let mut example = None;
    for line in beginning(text, 8192).lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        n_lines += 1;
        let lower = line.to_lowercase();
        if SIGNS.iter().any(|s| lower.contains(s)) {
            n_bad += 1;
            example.get_or_insert_with(|| beginning(line.trim(), 120).to_owned());
        }
    }
    let mostly = n_bad * 2 >= n_lines.max(1);
    (n_bad > 0 && mostly && text.len() < 8192 || n_bad > 0 && facts::numbers(text).is_empty())
        .then(|| example.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_new_was_written() {
        let inputs = held(
            &json!({"plan": {"text_preview": "Buy slowly and watch", "full_length": 900}, "risk": {"history": ""}}),
        );
        let outputs = held(&json!({
            "plan": {"text_preview": "Buy slowly and watch", "full_length": 900},
            "risk": {"history": {"text_preview": "Safe Analyst: Keep the money at home", "full_length": 500},
                     "safe": {"text_preview": "Keep the money at home", "full_length": 480}},
            "m": [{"type": "ai", "content": "", "tool_calls": [{"name": "t", "args": {"a": 1}}]},
                  {"type": "tool", "content": "Error: no data for X", "name": "t"}],
        }));
        let wrote = wrote(&inputs, &outputs);
        let sizes: Vec<(&str, u64)> = wrote.texts.iter().map(|t| (t.key.as_str(), t.chars)).collect();
        assert_eq!(sizes, [("risk.safe", 480)]);
        assert_eq!((wrote.n_calls, wrote.no_data.len()), (1, 1));
        assert!(wrote.call_tokens > 2);
    }

    #[test]
    fn data_is_told_from_excuses() {
        assert!(
            no_data("2025-07-31: Error: No data available\n2025-07-30: Error: No objects to concatenate")
                .is_some()
        );
        assert!(no_data("Date,Open\n2025-07-30,181.64\n2025-07-29,190.02").is_none());
        assert!(no_data("The standard error: 3.2 % over 12.5 million samples\nA line\nAnother").is_none());
        assert!(no_data(" ").is_some());
    }
}
