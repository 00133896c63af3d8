//! Cache marks for conversations that the proxy recognizes.
//!
//! A provider whose rule wants marks reads nothing without them. The proxy remembers digests of how requests began: one that
//! repeats all of an earlier one is a conversation that grows, one that parts from it is a sibling. Nothing is marked at first
//! sight, where a client has marked anything itself, or where the rule of the model needs no mark.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::header::{AUTHORIZATION, HeaderMap};
use lacon_models::{CacheKind, CacheRow, cache_of, plain_name};
use serde_json::value::RawValue;

/// Beginnings that are remembered.
const REMEMBERED: usize = 100_000;
/// Bytes below which a beginning is shorter than any provider caches: a token has about four.
const SHORTEST: usize = 4_096;
/// What a client writes that marks its prompt itself.
const OWN_MARKS: [&str; 3] = ["\"cache_control\"", "\"prompt_cache_breakpoint\"", "\"prompt_cache_options\""];

/// A beginning that was sent.
#[derive(Clone, Copy)]
struct Seen {
    /// Whether a whole request was like it.
    whole: bool,
    at: Instant,
}

/// What requests began with.
#[derive(Default)]
pub struct Conversations(Mutex<HashMap<u64, Seen>>);

type Members<'j> = HashMap<String, &'j RawValue>;

impl Conversations {
    /// Puts marks into a body; `None` where it stays as it is. The request is remembered in any case.
    pub fn mark(&self, json: &str, headers: &HeaderMap) -> Option<String> {
        let body: Members<'_> = serde_json::from_str(json).ok()?;
        let model: String = serde_json::from_str(body.get("model")?.get()).ok()?;
        let rule = cache_of(&plain_name(&model)).filter(|rule| rule.kind != CacheKind::Automatic)?;
        let (list, part) = match (body.get("messages"), body.get("input")) {
            (Some(messages), _) => (messages, "text"),
            (None, Some(input)) => (input, "input_text"),
            _ => return None,
        };
        let messages: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
        let ends = beginnings(&body, &model, headers, &messages);
        let shape = self.recognized(&ends, Duration::from_secs(rule.keep_s));
        if OWN_MARKS.iter().any(|own| json.contains(own)) {
            return None;
        }
        let place = |n: usize| match n.checked_sub(1) {
            Some(message) => marked(json, messages.get(message)?, part, rule),
            None => marked_value(json, body.get("system")?, part, rule),
        };
        let mut edits = Vec::new();
        match (shape, rule.kind) {
            (Shape::Grows(from), CacheKind::Marks) => {
                // The old end is read, the new one is written for the next turn.
                edits.push(place(messages.len())?);
                edits.extend(place(from));
            }
            (Shape::Sibling(n), kind) => {
                edits.push(place(n)?);
                if kind == CacheKind::Breakpoints {
                    let at = json.find('{')? + 1;
                    edits.push((at..at, "\"prompt_cache_options\":{\"mode\":\"explicit\"},".to_owned()));
                }
            }
            // The newest message is a breakpoint by itself.
            (Shape::Grows(_) | Shape::New, _) => return None,
        }
        Some(spliced(json, edits))
    }

    /// Says what the request with these beginnings is to those before it, and remembers it.
    fn recognized(&self, ends: &[(u64, usize)], kept: Duration) -> Shape {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() > REMEMBERED {
            seen.retain(|_, one| now.duration_since(one.at) < kept);
            if seen.len() > REMEMBERED {
                seen.clear();
            }
        }
        let fresh = |digest: &u64| seen.get(digest).filter(|one| now.duration_since(one.at) < kept);
        let earlier = &ends[..ends.len().saturating_sub(1)];
        let known = earlier.iter().enumerate().rev().filter(|(_, (_, bytes))| *bytes >= SHORTEST);
        let mut shape = Shape::New;
        for (n, (digest, _)) in known {
            match (fresh(digest), &shape) {
                (Some(one), _) if one.whole => {
                    shape = Shape::Grows(n);
                    break;
                }
                (Some(_), Shape::New) => shape = Shape::Sibling(n),
                _ => {}
            }
        }
        for (n, (digest, _)) in ends.iter().enumerate() {
            let whole = n + 1 == ends.len() || seen.get(digest).is_some_and(|one| one.whole);
            seen.insert(*digest, Seen { whole, at: now });
        }
        shape
    }
}

enum Shape {
    New,
    /// All of an earlier request, which had so many messages.
    Grows(usize),
    /// The first so many messages of an earlier request.
    Sibling(usize),
}

/// Digests of how the request begins, with no, one, two … of its messages, and their bytes.
fn beginnings(
    body: &Members<'_>,
    model: &str,
    headers: &HeaderMap,
    messages: &[&RawValue],
) -> Vec<(u64, usize)> {
    let mut hash = DefaultHasher::new();
    // Requests of different accounts share no cache.
    let keys = headers.get_all("x-api-key").iter().chain(headers.get_all(AUTHORIZATION));
    keys.for_each(|key| key.as_bytes().hash(&mut hash));
    model.hash(&mut hash);
    let mut bytes = 0;
    for name in ["tools", "system", "instructions"] {
        let raw = body.get(name).map_or("", |raw| raw.get());
        raw.hash(&mut hash);
        bytes += raw.len();
    }
    let mut all = vec![(hash.finish(), bytes)];
    for message in messages {
        message.get().hash(&mut hash);
        bytes += message.get().len();
        all.push((hash.finish(), bytes));
    }
    all
}

type Edit = (Range<usize>, String);

/// Where `part`, a slice of `json`, lies in it.
fn range(json: &str, part: &str) -> Option<Range<usize>> {
    let from = (part.as_ptr() as usize).checked_sub(json.as_ptr() as usize)?;
    (from + part.len() <= json.len()).then(|| from..from + part.len())
}

/// Marks the end of a message.
fn marked(json: &str, message: &RawValue, part: &str, rule: &CacheRow) -> Option<Edit> {
    let members: Members<'_> = serde_json::from_str(message.get()).ok()?;
    // Of the parts of an answer, Responses knows none that can be marked.
    let is_answer = members.get("role").is_some_and(|role| role.get() == "\"assistant\"");
    if is_answer && part == "input_text" {
        return None;
    }
    marked_value(json, members.get("content")?, part, rule)
}

/// Marks the end of a content: a text becomes a list of one part, a list gets the mark in its last part.
fn marked_value(json: &str, content: &RawValue, part: &str, rule: &CacheRow) -> Option<Edit> {
    let mark = match rule.kind {
        CacheKind::Breakpoints => r#""prompt_cache_breakpoint":{"mode":"explicit"}"#,
        _ => r#""cache_control":{"type":"ephemeral"}"#,
    };
    let raw = content.get();
    if raw.starts_with('"') {
        let whole = format!(r#"[{{"type":"{part}","text":{raw},{mark}}}]"#);
        return (raw.len() > 2).then_some((range(json, raw)?, whole));
    }
    let parts: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    let last = parts.last()?.get();
    let members: Members<'_> = serde_json::from_str(last).ok()?;
    const CAN: [&str; 6] = ["text", "input_text", "image", "image_url", "tool_result", "document"];
    let kind: String = serde_json::from_str(members.get("type")?.get()).ok()?;
    let end = range(json, last)?.end - 1;
    CAN.contains(&kind.as_str()).then(|| (end..end, format!(",{mark}")))
}

fn spliced(json: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(json.len() + 256);
    let mut from = 0;
    for (range, text) in edits {
        // Two marks at one place are one.
        if range.start < from {
            continue;
        }
        out.push_str(&json[from..range.start]);
        out.push_str(&text);
        from = range.end;
    }
    out.push_str(&json[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ask(to: &Conversations, body: &Value) -> Option<Value> {
        let marked = to.mark(&body.to_string(), &HeaderMap::new())?;
        Some(serde_json::from_str(&marked).expect("the body stays JSON"))
    }

    fn long(word: &str) -> String {
        format!("{word} \"closed\" at 232.78\n").repeat(400)
    }

    fn user(text: impl Into<String>) -> Value {
        json!({"role": "user", "content": text.into()})
    }

    #[test]
    fn siblings_are_marked_where_they_part() {
        let body = |model: &str, question: &str| json!({"model": model, "messages": [user(long("Apple")), user(question)]});
        for (model, mark) in
            [("gpt-5.6-sol", "prompt_cache_breakpoint"), ("claude-opus-4-7", "cache_control")]
        {
            let proxy = Conversations::default();
            assert_eq!(ask(&proxy, &body(model, "a")), None);
            let marked = ask(&proxy, &body(model, "b")).expect("is marked");
            let part = &marked["messages"][0]["content"][0];
            assert!(part[mark].is_object() && part["text"] == long("Apple"), "{marked}");
            assert_eq!(marked["messages"][1], user("b"));
            assert_eq!(marked["prompt_cache_options"]["mode"] == "explicit", model.starts_with("gpt"));
        }
        let proxy = Conversations::default();
        for question in ["a", "b", "c"] {
            assert_eq!(ask(&proxy, &body("gpt-5.5", question)), None, "a cache that works by itself");
            assert_eq!(ask(&proxy, &body("somebody", question)), None, "an unknown rule");
        }
    }

    #[test]
    fn a_growing_conversation_is_marked_at_its_end() {
        let turn = |n: usize| {
            let all =
                [user(long("Apple")), json!({"role": "assistant", "content": "Fine."}), user("And now?")];
            json!({"model": "claude-opus-4-7", "system": "Rules.", "messages": all[..n]})
        };
        let proxy = Conversations::default();
        assert_eq!(ask(&proxy, &turn(1)), None);
        let marked = ask(&proxy, &turn(3)).expect("is marked");
        assert!(marked["messages"][0]["content"][0]["cache_control"].is_object());
        assert!(marked["messages"][2]["content"][0]["cache_control"].is_object());
        assert_eq!(marked.to_string().matches("cache_control").count(), 2);
        // Where the newest message is a breakpoint by itself, every byte stays.
        let proxy = Conversations::default();
        for n in [1, 3] {
            let mut body = turn(n);
            body["model"] = json!("gpt-6-sol");
            assert_eq!(ask(&proxy, &body), None);
        }
    }

    #[test]
    fn a_mark_of_the_client_is_never_worked_against() {
        let proxy = Conversations::default();
        let mut body = json!({"model": "gpt-5.6-sol", "messages": [user(long("Apple")), user("a")]});
        assert_eq!(ask(&proxy, &body), None);
        body["prompt_cache_options"] = json!({"mode": "implicit"});
        body["messages"][1] = user("b");
        assert_eq!(ask(&proxy, &body), None);
    }

    #[test]
    fn a_system_prompt_and_parts_are_marked_too() {
        let proxy = Conversations::default();
        let body = |question: &str| json!({"model": "claude-opus-4-7", "system": [{"type": "text", "text": long("Rules")}], "messages": [user(question)]});
        assert_eq!(ask(&proxy, &body("a")), None);
        let marked = ask(&proxy, &body("b")).expect("is marked");
        assert!(marked["system"][0]["cache_control"].is_object(), "{marked}");
        let input =
            |question: &str| json!({"model": "gpt-6-sol", "input": [user(long("Apple")), user(question)]});
        assert_eq!(ask(&proxy, &input("a")), None);
        let marked = ask(&proxy, &input("b")).expect("is marked");
        assert_eq!(marked["input"][0]["content"][0]["type"], "input_text");
    }

    #[test]
    fn odd_bodies_stay_as_they_are() {
        let proxy = Conversations::default();
        for odd in [
            "",
            "[]",
            "{}",
            r#"{"model":1,"messages":[]}"#,
            r#"{"model":"gpt-6-sol","messages":"x"}"#,
            r#"{"model":"gpt-6-sol","messages":[]}"#,
            r#"{"model":"gpt-6-sol","messages":[1,null]}"#,
        ] {
            for _ in 0..3 {
                assert_eq!(proxy.mark(odd, &HeaderMap::new()), None, "{odd}");
            }
        }
        // Another account shares no cache.
        let body = |question: &str| {
            json!({"model": "gpt-6-sol", "messages": [user(long("A")), user(question)]}).to_string()
        };
        let mut headers = HeaderMap::new();
        assert_eq!(proxy.mark(&body("a"), &headers), None);
        headers.insert(AUTHORIZATION, "Bearer x".parse().expect("is a header"));
        assert_eq!(proxy.mark(&body("b"), &headers), None);
    }
}
