//! The answer of a model, its cost, and its attempts.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ErrorKind;
use crate::message::{Message, ToolCall};

/// Says why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The answer is complete.
    Stop,
    /// A token limit cut the answer.
    Length,
    /// The stream was closed at the end of a sentence behind the request's word limit ([`crate::Enough`]).
    WordLimit,
    /// The model waits for tool results.
    ToolCalls,
    /// A filter stopped the answer.
    ContentFilter,
    /// Anything else, in the provider's word.
    Other(String),
}

impl Finish {
    /// Returns the word used in reports.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::WordLimit => "word_limit",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other(word) => word,
        }
    }
}

/// Tokens a call was billed for, in buckets that do not overlap. Absent means not reported, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens neither read from nor written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Prompt tokens read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<u64>,
    /// Prompt tokens written to the provider's cache for its usual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// Prompt tokens written to the provider's cache for an hour, which some bill higher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
    /// Generated tokens that are not reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Generated tokens of hidden reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Sums the prompt's buckets; absent when none was reported.
    pub fn prompt_total(&self) -> Option<u64> {
        sum([self.input, self.cached, self.cache_write, self.cache_write_1h])
    }

    /// Sums what was written to the cache; absent when neither was reported.
    pub fn written(&self) -> Option<u64> {
        sum([self.cache_write, self.cache_write_1h])
    }

    /// Sums the answer's buckets; absent when none was reported.
    pub fn completion_total(&self) -> Option<u64> {
        sum([self.output, self.reasoning])
    }

    /// Sums all buckets; absent when none was reported.
    pub fn total(&self) -> Option<u64> {
        sum([self.prompt_total(), self.completion_total()])
    }

    /// Builds the disjoint buckets from the overlapping totals that the OpenAI shapes report.
    pub fn from_totals(
        prompt: Option<u64>,
        cached: Option<u64>,
        completion: Option<u64>,
        reasoning: Option<u64>,
    ) -> Self {
        Self {
            input: prompt.map(|prompt| prompt.saturating_sub(cached.unwrap_or(0))),
            cached,
            cache_write: None,
            cache_write_1h: None,
            output: completion.map(|completion| completion.saturating_sub(reasoning.unwrap_or(0))),
            reasoning,
        }
    }

    /// Moves the tokens that were written to the cache out of the prompt's remaining tokens, which contain them.
    pub fn with_written(self, written: Option<u64>, written_1h: Option<u64>) -> Self {
        let rest =
            |input: u64| input.saturating_sub(written.unwrap_or(0)).saturating_sub(written_1h.unwrap_or(0));
        Self { input: self.input.map(rest), cache_write: written, cache_write_1h: written_1h, ..self }
    }
}

/// Prompt tokens that a provider may add to what was sent: its own instructions for tools and formats.
#[cfg(feature = "http")]
const ADDED_PROMPT: u64 = 1 << 16;
/// Tokens that a model may generate without showing them: hidden reasoning.
#[cfg(feature = "http")]
const HIDDEN_OUTPUT: u64 = 1 << 20;

#[cfg(feature = "http")]
impl Usage {
    /// Says why the reported counts cannot be true of a request with so many bytes and an answer with so many: a token
    /// has at least one byte.
    pub(crate) fn fault(&self, sent: u64, received: u64) -> Option<String> {
        let check = |what: &str, count: Option<u64>, bytes: u64, more: u64| {
            let count = count.filter(|count| *count > bytes.saturating_add(more))?;
            let count = if count == u64::MAX { "a negative number of".into() } else { count.to_string() };
            Some(format!("{count} {what} tokens for {bytes} bytes"))
        };
        check("prompt", self.prompt_total(), sent, ADDED_PROMPT)
            .or_else(|| check("answer", self.completion_total(), received, HIDDEN_OUTPUT))
    }
}

fn sum<const N: usize>(buckets: [Option<u64>; N]) -> Option<u64> {
    buckets.into_iter().flatten().reduce(u64::saturating_add)
}

/// Says how an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It gave the answer.
    Answered,
    /// It failed.
    Failed(ErrorKind),
    /// It was canceled because another attempt answered first.
    Superseded,
}

/// One try at a call. Times are offsets from the start of the call that the attempt belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// When the request was sent.
    pub start: Duration,
    /// When a connection was available, new or idle. Absent if no network was used or no connection was made.
    pub connected: Option<Duration>,
    /// When the first part of the answer came.
    pub first_token: Option<Duration>,
    /// When the attempt ended.
    pub end: Duration,
    /// The HTTP status, if one came.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// The error's text, if it failed.
    pub error: Option<String>,
    /// What the provider reported for this attempt.
    pub usage: Option<Usage>,
    /// Estimated bill of the attempt if the provider reported nothing; to be marked as an estimate.
    pub usage_estimate: Option<Usage>,
    /// Bytes of answer text and tool arguments that arrived.
    pub received: u64,
    /// Whether it was sent while an earlier attempt was still running.
    pub hedge: bool,
}

impl Attempt {
    /// Moves all times by `offset`; layers use it to put an inner call's attempts on their own clock.
    pub fn shift(&mut self, offset: Duration) {
        self.start += offset;
        self.end += offset;
        for at in [&mut self.connected, &mut self.first_token].into_iter().flatten() {
            *at += offset;
        }
    }
}

/// A complete, valid answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The text, byte for byte as the provider sent it.
    pub text: String,
    /// Tool calls, each with arguments that are a JSON object.
    pub tool_calls: Vec<ToolCall>,
    /// Why the model stopped.
    pub finish: Finish,
    /// Tokens of the attempt that answered, as reported; absent when the provider reported none.
    pub usage: Option<Usage>,
    /// The model that answered, as the provider names it.
    pub model: String,
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// State to send back with the assistant's message; [`Response::message`] does it.
    pub provider_state: Option<Value>,
    /// Every attempt, in order of start; the text is from the last one that answered.
    pub attempts: Vec<Attempt>,
    /// Whether a second request was sent beside the first.
    pub hedged: bool,
    /// When the first part of the winning answer came, from the start of the call.
    pub first_token: Option<Duration>,
    /// How long the call took, waits and failed attempts included.
    pub elapsed: Duration,
    /// Warnings: a parameter left out, an unknown model, a repaired answer.
    pub warnings: Vec<String>,
}

impl Response {
    /// Makes an answer that took one attempt and no time; simulators and tests fill in the rest.
    pub fn new(model: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tool_calls: Vec::new(),
            finish: Finish::Stop,
            usage: None,
            model: model.into(),
            id: None,
            provider_state: None,
            attempts: Vec::new(),
            hedged: false,
            first_token: None,
            elapsed: Duration::ZERO,
            warnings: Vec::new(),
        }
    }

    /// Returns the answer as the assistant's message of the next turn.
    pub fn message(&self) -> Message {
        Message {
            provider_state: self.provider_state.clone(),
            ..Message::assistant_calls(self.text.clone(), self.tool_calls.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_split_into_disjoint_buckets() {
        let usage = Usage::from_totals(Some(2000), Some(1536), Some(300), Some(120));
        assert_eq!((usage.input, usage.output), (Some(464), Some(180)));
        assert_eq!(
            (usage.prompt_total(), usage.completion_total(), usage.total()),
            (Some(2000), Some(300), Some(2300))
        );
    }

    #[test]
    fn absent_is_not_zero() {
        assert_eq!(Usage::default().total(), None);
        let usage = Usage::from_totals(Some(10), None, Some(0), None);
        assert_eq!((usage.cached, usage.reasoning), (None, None));
        assert_eq!((usage.prompt_total(), usage.completion_total()), (Some(10), Some(0)));
    }

    #[test]
    fn a_count_that_the_bytes_do_not_allow_is_a_fault() {
        let usage = |prompt, output| Usage::from_totals(Some(prompt), None, Some(output), None);
        assert_eq!(usage(300, 12).fault(1200, 40), None);
        // Hidden reasoning and a provider's own instructions.
        assert_eq!(usage(4000, 200_000).fault(1200, 40), None);
        for (usage, what) in [
            (usage(2_000_000_000, 1), "2000000000 prompt tokens for 1200 bytes"),
            (usage(1, 2_000_000_000), "2000000000 answer tokens for 40 bytes"),
            (usage(u64::MAX, 1), "a negative number of prompt tokens"),
            (Usage::from_totals(Some(5), Some(u64::MAX), None, None), "a negative number of prompt tokens"),
        ] {
            let fault = usage.fault(1200, 40);
            assert!(fault.as_deref().is_some_and(|fault| fault.contains(what)), "{fault:?}");
        }
    }

    #[test]
    fn buckets_survive_totals_that_contradict_each_other() {
        assert_eq!(Usage::from_totals(Some(10), Some(12), None, Some(3)).input, Some(0));
    }
}
