//! OpenAI's Responses: answers and the events of their stream.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{lenient_count, null_default};
use crate::response::Usage;

/// One event of a stream; fields that its type does not use are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResponseEvent {
    /// Such as `response.output_text.delta`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Text that was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Value>,
    /// Place of the item in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_index: Option<u64>,
    /// The item that began or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Value>,
    /// The answer as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseAnswer>,
}

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResponseAnswer {
    /// Id of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `completed`, `incomplete`, `failed` and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Items of several types, in no fixed order; kept as they came.
    #[serde(default, deserialize_with = "null_default")]
    pub output: Vec<Value>,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ResponseUsage>,
    /// Why the answer is incomplete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete_details: Option<Incomplete>,
    /// Why the answer failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// Why an answer is incomplete.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Incomplete {
    /// `max_output_tokens` or `content_filter`.
    #[serde(default, deserialize_with = "null_default")]
    pub reason: String,
}

/// One item of the output, as far as it is understood.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputItem {
    /// `message`, `function_call`, `reasoning` and others.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Id that pairs a call with its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// Name of the called tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Arguments of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// Parts of a message.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<OutputPart>,
}

/// One part of a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputPart {
    /// `output_text`, `refusal` and others.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Text of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// Tokens of an answer; totals that contain their details.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseUsage {
    /// All prompt tokens.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Parts of the prompt tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens_details: Option<super::chat::PromptDetails>,
    /// All generated tokens.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Parts of the generated tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_details: Option<super::chat::CompletionDetails>,
}

impl ResponseUsage {
    /// Returns the disjoint buckets; absent when nothing was reported.
    pub fn buckets(&self) -> Option<Usage> {
        let cached = self.input_tokens_details.and_then(|details| details.cached_tokens);
        let reasoning = self.output_tokens_details.and_then(|details| details.reasoning_tokens);
        let written = self.input_tokens_details.and_then(|details| details.cache_write_tokens);
        let usage = Usage::from_totals(self.input_tokens, cached, self.output_tokens, reasoning)
            .with_written(written, None);
        usage.total().map(|_| usage)
    }
}
