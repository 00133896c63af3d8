//! The rows of a run's calls, as the ledger collects them and `run.json` shows them.

use lacon_llm::Usage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens in disjoint sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    /// Prompt tokens, cached ones included.
    pub prompt: u64,
    /// Of these, read from the provider's cache; absent when never reported.
    pub cached: Option<u64>,
    /// Of the prompt tokens, written to the provider's cache; absent when never reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// Completion tokens, reasoning included.
    pub completion: u64,
    /// Of these, hidden reasoning; absent when never reported.
    pub reasoning: Option<u64>,
    /// Prompt and completion.
    pub total: u64,
    /// Of the total, estimated because the provider reported nothing (failed and canceled attempts).
    pub estimated: u64,
}

/// One model call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Call {
    /// The role.
    pub role: String,
    /// The turn within the role, from 1.
    pub turn: u32,
    /// The model that answered.
    pub model: String,
    /// Prompt tokens as reported.
    pub prompt: Option<u64>,
    /// Cached prompt tokens as reported.
    pub cached: Option<u64>,
    /// Prompt tokens written to the provider's cache for its usual time, as reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// The same for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
    /// Completion tokens as reported.
    pub completion: Option<u64>,
    /// Reasoning tokens as reported.
    pub reasoning: Option<u64>,
    /// Our own count of the prompt, before it was sent.
    pub prompt_counted: Option<u64>,
    /// Start in seconds.
    pub start_s: f64,
    /// First token in seconds.
    pub first_token_s: Option<f64>,
    /// End in seconds.
    pub end_s: f64,
    /// How many attempts were made.
    pub attempts: u32,
    /// Whether a second request was sent beside a slow one.
    pub hedged: bool,
    /// `ok` or the kind of the error.
    pub status: String,
    /// Seconds that it waited for a place.
    #[serde(default)]
    pub queue_s: f64,
    /// Seconds of failed tries and of the waits between them.
    #[serde(default)]
    pub retry_s: f64,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// Digest of what was sent.
    pub prompt_digest: String,
}

impl Call {
    /// What is billed, in buckets that do not overlap.
    pub fn usage(&self) -> Usage {
        Usage::from_totals(self.prompt, self.cached, self.completion, self.reasoning)
            .with_written(self.cache_write, self.cache_write_1h)
    }
}

/// One tool call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCall {
    /// The tool.
    pub name: String,
    /// The role that asked.
    pub role: String,
    /// Its arguments.
    pub args: serde_json::Value,
    /// Where the answer came from.
    pub source: String,
    /// Start in seconds.
    pub start_s: f64,
    /// End in seconds.
    pub end_s: f64,
    /// `hit`, `miss` or `prefetch`.
    pub cache: String,
    /// `ok`, `no_data` or what went wrong.
    pub status: String,
    /// Tokens of the answer.
    pub tokens: Option<u64>,
}
