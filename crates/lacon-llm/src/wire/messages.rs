//! Anthropic's Messages: answers and the events of their stream.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{lenient_count, null_default};
use crate::response::Usage;

/// One event of a stream; fields that its type does not use are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MessageEvent {
    /// Such as `content_block_delta`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The message that began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageAnswer>,
    /// Place of the block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// The block that began; kept as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_block: Option<Value>,
    /// What was added to a block or to the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<BlockDelta>,
    /// Tokens so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<MessageUsage>,
}

/// What was added to a block or to the message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BlockDelta {
    /// Such as `text_delta`; absent for the message itself.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Arguments of a tool call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_json: Option<String>,
    /// Thoughts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Signature of a thinking block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
}

/// A whole answer, or its head.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MessageAnswer {
    /// `message`, or `error`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Id of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Blocks of several types; kept as they came.
    #[serde(default, deserialize_with = "null_default")]
    pub content: Vec<Value>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<MessageUsage>,
}

/// Tokens of an answer; the prompt's buckets do not overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageUsage {
    /// Prompt tokens neither read from nor written to the cache.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Prompt tokens written to the cache.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub cache_creation_input_tokens: Option<u64>,
    /// The same by how long they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_creation: Option<CacheCreation>,
    /// Prompt tokens read from the cache.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub cache_read_input_tokens: Option<u64>,
    /// Generated tokens, thoughts included; the API does not split them.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
}

/// Tokens written to the cache by how long they are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheCreation {
    /// For five minutes.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub ephemeral_5m_input_tokens: Option<u64>,
    /// For an hour.
    #[serde(default, deserialize_with = "lenient_count", skip_serializing_if = "Option::is_none")]
    pub ephemeral_1h_input_tokens: Option<u64>,
}

impl MessageUsage {
    /// Returns the disjoint buckets; absent when nothing was reported.
    pub fn buckets(&self) -> Option<Usage> {
        let written_1h = self.cache_creation.and_then(|parts| parts.ephemeral_1h_input_tokens);
        let written_5m = self.cache_creation.and_then(|parts| parts.ephemeral_5m_input_tokens);
        // The total contains both; a gateway may state only one of the two forms.
        let written = self.cache_creation_input_tokens.map(|all| all.saturating_sub(written_1h.unwrap_or(0)));
        let usage = Usage {
            input: self.input_tokens,
            cached: self.cache_read_input_tokens,
            cache_write: written.or(written_5m),
            cache_write_1h: written_1h,
            output: self.output_tokens,
            reasoning: None,
        };
        usage.total().map(|_| usage)
    }

    /// Takes over what a later event states; counts are cumulative.
    pub fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_creation = later.cache_creation.or(self.cache_creation);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
    }
}
