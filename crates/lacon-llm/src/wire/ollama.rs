//! Ollama's chat: answers, which are also the lines of their stream.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{lenient_count, null_default};
use crate::response::Usage;

/// A whole answer, or one line of a stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OllamaAnswer {
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<OllamaMessage>,
    /// Whether this is the last line.
    #[serde(default, deserialize_with = "null_default")]
    pub done: bool,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_reason: Option<String>,
    /// Prompt tokens.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub prompt_eval_count: Option<u64>,
    /// Generated tokens, thoughts included.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub eval_count: Option<u64>,
    /// An error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

impl OllamaAnswer {
    /// Returns the disjoint buckets; absent when nothing was reported.
    pub fn buckets(&self) -> Option<Usage> {
        let usage = Usage { input: self.prompt_eval_count, output: self.eval_count, ..Usage::default() };
        usage.total().map(|_| usage)
    }
}

/// A message, or what was added to one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OllamaMessage {
    /// Who speaks.
    #[serde(default, deserialize_with = "null_default")]
    pub role: String,
    /// Text.
    #[serde(default, deserialize_with = "null_default")]
    pub content: String,
    /// Thoughts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Calls; each comes whole.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<super::chat::ChatToolCall>,
}
