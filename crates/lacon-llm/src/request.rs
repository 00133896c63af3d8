//! A request to a model, and the digest that identifies it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::enough::Enough;
use crate::message::{Message, ToolChoice, ToolSpec};

/// How long a reasoning model may think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// Least thinking.
    Low,
    /// The usual amount.
    Medium,
    /// Most thinking.
    High,
}

impl Effort {
    /// Returns the word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A JSON Schema that the answer must fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JsonSchema {
    /// Name of the schema, letters, digits, `_` and `-`.
    pub name: String,
    /// The schema itself.
    pub schema: Value,
    /// Asks the provider to enforce the schema while it generates.
    pub strict: bool,
}

/// Says for whom a call is made; sent as headers, never part of the prompt or its digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Tags {
    /// The run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// The agent's role.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// Labels of the run, each sent as `X-Lacon-NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// One request to a model. Fill it by `Request { messages, ..Request::new(model) }`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Request {
    /// The model's name as the provider knows it.
    pub model: String,
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// Tools that may be called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
    /// Whether tools may or must be called; without tools it is not sent.
    #[serde(default)]
    pub tool_choice: ToolChoice,
    /// Most tokens the answer may have, reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Sampling temperature; left to the provider when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Reasoning effort; left to the provider when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// Schema of the answer; free text when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<JsonSchema>,
    /// How later calls will reuse the beginning of this one, for providers that want to be told. This changes the bill, not
    /// the answer, and is not part of the digest.
    #[serde(default, skip_serializing_if = "Reuse::is_unknown")]
    pub reuse: Reuse,
    /// The length at which the stream is closed; `None` for never. Not part of the digest.
    #[serde(skip)]
    pub enough: Option<Enough>,
    /// For whom the call is made.
    #[serde(default)]
    pub tags: Tags,
    /// Longest time the whole call may take, waits and retries included; no limit when absent. [`crate::Retry`] and
    /// [`crate::Hedge`] keep it, a bare provider does not.
    #[serde(skip)]
    pub timeout: Option<Duration>,
}

/// How later calls will reuse the beginning of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// Nothing is known; the provider is told nothing.
    #[default]
    Unknown,
    /// Others begin with what stands before one of these places.
    Siblings(Vec<Cut>),
    /// The next call repeats all of it and adds to it; others begin with what stands before one of these places.
    Grows(Vec<Cut>),
    /// Nobody reads it again.
    Alone,
}

impl Reuse {
    /// Says that nobody reads it again, where anything may be said at all.
    #[must_use]
    pub fn alone(&self) -> Self {
        if self.is_unknown() { Self::Unknown } else { Self::Alone }
    }

    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

/// A place in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cut {
    /// The message, from 0.
    pub message: usize,
    /// Bytes of its text before the place; what is beyond its end is the end.
    pub byte: usize,
}

impl Cut {
    /// The end of a message.
    pub fn end_of(message: usize) -> Self {
        Self { message, byte: usize::MAX }
    }
}

impl Request {
    /// Makes an empty request to `model`.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), ..Self::default() }
    }

    /// Returns the blake3 digest, in hex, of all that determines the answer: model, messages, tools, choice, limits,
    /// format.
    ///
    /// Tags, time limits and cache marks are left out, and object keys are hashed in sorted order: two equivalent
    /// requests have the same digest in any key order.
    pub fn digest(&self) -> String {
        let mut hash = blake3::Hasher::new();
        field(&mut hash, "model", self.model.as_bytes());
        for message in &self.messages {
            field(&mut hash, "role", message.role.as_str().as_bytes());
            field(&mut hash, "content", message.content.as_bytes());
            optional(&mut hash, "name", message.name.as_deref());
            optional(&mut hash, "tool_call_id", message.tool_call_id.as_deref());
            for call in &message.tool_calls {
                field(&mut hash, "call_id", call.id.as_bytes());
                field(&mut hash, "call_name", call.name.as_bytes());
                field(&mut hash, "call_arguments", call.arguments.as_bytes());
            }
            if let Some(state) = &message.provider_state {
                field(&mut hash, "state", b"");
                canonical(&mut hash, state);
            }
        }
        for tool in &self.tools {
            field(&mut hash, "tool", tool.name.as_bytes());
            field(&mut hash, "description", tool.description.as_bytes());
            canonical(&mut hash, &tool.parameters);
        }
        if !self.tools.is_empty() {
            match &self.tool_choice {
                ToolChoice::Auto => field(&mut hash, "choice", b"auto"),
                ToolChoice::None => field(&mut hash, "choice", b"none"),
                ToolChoice::Required => field(&mut hash, "choice", b"required"),
                ToolChoice::Named(name) => field(&mut hash, "choice_named", name.as_bytes()),
            }
        }
        if let Some(max) = self.max_tokens {
            field(&mut hash, "max_tokens", &max.to_le_bytes());
        }
        if let Some(temperature) = self.temperature {
            field(&mut hash, "temperature", &temperature.to_le_bytes());
        }
        optional(&mut hash, "effort", self.effort.map(Effort::as_str));
        if let Some(format) = &self.response_format {
            field(&mut hash, "format", format.name.as_bytes());
            field(&mut hash, "strict", &[u8::from(format.strict)]);
            canonical(&mut hash, &format.schema);
        }
        hash.finalize().to_hex().to_string()
    }
}

/// Hashes one named field; lengths are hashed too, so that no two sequences of fields can run into each other.
fn field(hash: &mut blake3::Hasher, name: &str, value: &[u8]) {
    hash.update(&(name.len() as u64).to_le_bytes());
    hash.update(name.as_bytes());
    hash.update(&(value.len() as u64).to_le_bytes());
    hash.update(value);
}

fn optional(hash: &mut blake3::Hasher, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        field(hash, name, value.as_bytes());
    }
}

/// Hashes a JSON value with its object keys in sorted order.
pub(crate) fn canonical(hash: &mut blake3::Hasher, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            field(hash, "{", &(keys.len() as u64).to_le_bytes());
            for key in keys {
                field(hash, "k", key.as_bytes());
                canonical(hash, &map[key.as_str()]);
            }
        }
        Value::Array(items) => {
            field(hash, "[", &(items.len() as u64).to_le_bytes());
            for item in items {
                canonical(hash, item);
            }
        }
        Value::String(text) => field(hash, "s", text.as_bytes()),
        Value::Number(number) => field(hash, "n", number.to_string().as_bytes()),
        Value::Bool(flag) => field(hash, "b", &[u8::from(*flag)]),
        Value::Null => field(hash, "0", b""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request() -> Request {
        Request {
            messages: vec![Message::system("be brief"), Message::user("AAPL?")],
            tools: vec![ToolSpec::new(
                "price",
                "last price",
                json!({"type": "object", "properties": {"a": {}, "b": {}}}),
            )],
            ..Request::new("gpt-4o-mini")
        }
    }

    #[test]
    fn digest_ignores_key_order_and_tags() {
        let mut other = request();
        other.tools[0].parameters = json!({"properties": {"b": {}, "a": {}}, "type": "object"});
        other.tags.role = "bull".into();
        other.timeout = Some(Duration::from_secs(1));
        other.reuse = Reuse::Alone;
        assert_eq!(request().digest(), other.digest());
    }

    #[test]
    fn digest_sees_every_field_that_decides_the_answer() {
        let changes: [fn(&mut Request); 11] = [
            |r| r.model.push('x'),
            |r| r.messages[0].content.push('x'),
            |r| r.messages[0].role = Role::User,
            |r| r.messages[1].name = Some("x".into()),
            |r| r.messages.swap(0, 1),
            |r| r.tools[0].description.push('x'),
            |r| r.tool_choice = ToolChoice::Required,
            |r| r.max_tokens = Some(1),
            |r| r.temperature = Some(0.0),
            |r| r.effort = Some(Effort::Low),
            |r| r.response_format = Some(JsonSchema { name: "a".into(), schema: json!({}), strict: true }),
        ];
        use crate::message::Role;
        let mut seen = vec![request().digest()];
        for change in changes {
            let mut other = request();
            change(&mut other);
            seen.push(other.digest());
        }
        let n = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), n);
    }

    #[test]
    fn text_cannot_move_between_messages_unseen() {
        let digest = |a: &str, b: &str| {
            Request { messages: vec![Message::user(a), Message::user(b)], ..Request::new("m") }.digest()
        };
        assert_ne!(digest("ab", "c"), digest("a", "bc"));
    }
}
