//! Google's Gemini: answers, which are also the events of their stream.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{lenient_count, null_default};
use crate::response::Usage;

/// A whole answer, or one part of a stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiAnswer {
    /// The answers; only the first is asked for.
    #[serde(default, deserialize_with = "null_default")]
    pub candidates: Vec<Candidate>,
    /// Tokens so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_metadata: Option<GeminiUsage>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_version: Option<String>,
    /// Id of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// Says that the prompt was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_feedback: Option<PromptFeedback>,
    /// An error under a success status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// What was said.
    #[serde(default, deserialize_with = "null_default")]
    pub content: GeminiContent,
    /// Why it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Which answer.
    #[serde(default)]
    pub index: u64,
}

/// One turn of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GeminiContent {
    /// `user` or `model`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// Parts of several kinds; kept as they came.
    #[serde(default, deserialize_with = "null_default")]
    pub parts: Vec<Value>,
}

/// One part, as far as it is understood.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiPart {
    /// Text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the text is a thought.
    #[serde(default, deserialize_with = "null_default")]
    pub thought: bool,
    /// State that has to be sent back with the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<String>,
    /// A call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_call: Option<FunctionCall>,
}

/// A call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Id, if the server gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name of the tool.
    #[serde(default)]
    pub name: String,
    /// Arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Value>,
}

/// Says that the prompt was refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptFeedback {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_reason: Option<String>,
}

/// Tokens of an answer; the prompt contains the cached ones, the answer does not contain the thoughts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiUsage {
    /// All prompt tokens.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub prompt_token_count: Option<u64>,
    /// Prompt tokens read from the cache.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub cached_content_token_count: Option<u64>,
    /// Tokens of the answer.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub candidates_token_count: Option<u64>,
    /// Tokens of the thoughts.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub thoughts_token_count: Option<u64>,
}

impl GeminiUsage {
    /// Returns the disjoint buckets; absent when nothing was reported.
    pub fn buckets(&self) -> Option<Usage> {
        let usage = Usage {
            input: self
                .prompt_token_count
                .map(|prompt| prompt.saturating_sub(self.cached_content_token_count.unwrap_or(0))),
            cached: self.cached_content_token_count,
            cache_write: None,
            cache_write_1h: None,
            output: self.candidates_token_count,
            reasoning: self.thoughts_token_count,
        };
        usage.total().map(|_| usage)
    }
}
