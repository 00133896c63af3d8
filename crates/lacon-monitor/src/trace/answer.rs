//! What a call answered, in any of the forms in which traces keep it.
//!
//! A form that is not known is said to be not understood. It is never taken for an empty answer.

use serde::Serialize;
use serde_json::{Map, Value};

/// What is known of a call's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The trace holds none.
    #[default]
    NotRecorded,
    /// It is recorded in a form that is not known.
    NotUnderstood,
    /// It is recorded and says nothing.
    Empty,
    /// It asks for tools and says nothing else.
    Tools,
    /// A text or an object.
    Text,
}

/// Deeper values are not looked at.
const DEEPEST: usize = 16;
/// Keys around an answer that are no part of it.
const ENVELOPE: [&str; 30] = [
    "id",
    "object",
    "created",
    "created_at",
    "model",
    "model_name",
    "model_version",
    "modelVersion",
    "role",
    "type",
    "index",
    "finish_reason",
    "finishReason",
    "stop_reason",
    "stop_sequence",
    "status",
    "usage",
    "usage_metadata",
    "usageMetadata",
    "token_usage",
    "response_metadata",
    "logprobs",
    "system_fingerprint",
    "llm_output",
    "provider",
    "cost",
    "name",
    "refusal",
    "service_tier",
    "citationMetadata",
];
/// Keys that hold tool calls.
const CALLS: [&str; 8] = [
    "tool_calls",
    "toolCalls",
    "function_call",
    "functionCall",
    "tool_call",
    "toolCall",
    "tool_use",
    "toolUse",
];

#[derive(Default)]
struct Found {
    text: bool,
    calls: u32,
    opaque: bool,
}

/// Reads a recorded answer.
pub fn of(value: &Value) -> Answer {
    if value.is_null() {
        return Answer::NotRecorded;
    }
    let found = look(value);
    match () {
        () if found.text => Answer::Text,
        () if found.calls > 0 => Answer::Tools,
        () if found.opaque => Answer::NotUnderstood,
        () => Answer::Empty,
    }
}

/// How many tools a recorded answer asks for.
pub fn n_tool_calls(value: &Value) -> u32 {
    look(value).calls
}

fn look(value: &Value) -> Found {
    let mut found = Found::default();
    visit(value, 0, &mut found);
    found
}

fn visit(value: &Value, depth: usize, found: &mut Found) {
    if depth > DEEPEST {
        found.opaque = true;
        return;
    }
    match value {
        Value::String(text) => string(text, depth, found),
        Value::Array(items) => items.iter().for_each(|item| visit(item, depth + 1, found)),
        Value::Object(map) => object(map, depth, found),
        // A bare number or flag is an answer: a score, a verdict.
        Value::Number(_) | Value::Bool(_) => found.text = true,
        Value::Null => {}
    }
}

fn string(text: &str, depth: usize, found: &mut Found) {
    let text = text.trim();
    if text.starts_with(['{', '['])
        && let Ok(inner) = serde_json::from_str::<Value>(text)
    {
        return visit(&inner, depth + 1, found);
    }
    if text.starts_with('<') && text.contains(" object at 0x") {
        found.opaque = true;
    } else if !matches!(text, "" | "null" | "None") {
        found.text = true;
    }
}

fn object(map: &Map<String, Value>, depth: usize, found: &mut Found) {
    if is_call(map) {
        found.calls += 1;
        return;
    }
    for (key, value) in map {
        let key = key.as_str();
        if CALLS.contains(&key) {
            found.calls += match value {
                Value::Array(calls) => calls.len() as u32,
                Value::Null => 0,
                Value::String(text) => match serde_json::from_str::<Value>(text) {
                    Ok(Value::Array(calls)) => calls.len() as u32,
                    _ => u32::from(!text.trim().is_empty()),
                },
                _ => 1,
            };
        } else if !ENVELOPE.contains(&key) && !key.ends_with("_tokens") && !key.ends_with("Tokens") {
            // The same calls stand in LangChain's messages twice.
            let before = found.calls;
            visit(value, depth + 1, found);
            if key == "additional_kwargs" && before > 0 {
                found.calls = before;
            }
        }
    }
}

/// One request for a tool, in the spellings of the providers and frameworks.
fn is_call(map: &Map<String, Value>) -> bool {
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    let named = map.contains_key("name") || map.contains_key("toolName") || map.contains_key("function");
    matches!(kind, "tool_call" | "function_call" | "tool_use" | "tool-call" | "function" | "server_tool_use")
        && named
        || map.contains_key("toolCallId") && map.contains_key("toolName")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_of_all_forms_are_told_apart() {
        let check = |value: Value, expected: Answer| assert_eq!(of(&value), expected, "{value}");
        check(Value::Null, Answer::NotRecorded);
        check(json!(""), Answer::Empty);
        check(json!("Yes."), Answer::Text);
        check(json!({"role": "assistant", "content": ""}), Answer::Empty);
        check(json!({"verdict": true}), Answer::Text);
        check(
            json!({"content": {"parts": [{"text": "Sow."}], "role": "model"}, "finish_reason": "STOP"}),
            Answer::Text,
        );
        check(
            json!("{\"content\": {\"parts\": [{\"function_call\": {\"name\": \"c\", \"args\": {}}}]}}"),
            Answer::Tools,
        );
        check(json!([{"toolCallId": "c", "toolName": "order", "input": "{}"}]), Answer::Tools);
        check(
            json!({"content": [{"type": "tool_use", "name": "read", "input": {"path": "a"}}]}),
            Answer::Tools,
        );
        check(json!({"content": "", "tool_calls": [{"id": "1"}, {"id": "2"}]}), Answer::Tools);
        check(json!("<openai.Stream object at 0x7f>"), Answer::NotUnderstood);
        assert_eq!(n_tool_calls(&json!({"tool_calls": [{"id": "1"}, {"id": "2"}]})), 2);
    }
}
