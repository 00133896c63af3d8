//! What is asked before a call goes to the provider, and told after it: limits and budgets that several proxies share.
//!
//! A call is let through for its most: the tokens of its prompt, and the answer that it allows. When the answer ends, the usage in it
//! says what it really took. An answer without usage took its most: what is not known is not given back.

use std::time::Duration;

use hyper::{HeaderMap, StatusCode, header::AUTHORIZATION};
use lacon_llm::Usage;
use lacon_prompt::{meter, offload::Handle};
use lacon_tokens::for_model;
use serde_json::Value;

use crate::headers;

/// Most tokens of an answer whose request names no limit.
const UNLIMITED: u64 = 16_384;

/// A call that is about to be made, by what it takes at most.
#[derive(Clone, Debug)]
pub struct Call {
    /// Digest of the provider's key.
    pub key: String,
    /// Who pays, as the header `x-lacon-team` says.
    pub team: String,
    /// The model's name.
    pub model: String,
    /// Tokens of the prompt.
    pub input: u64,
    /// Most tokens of the answer.
    pub output: u64,
}

impl Call {
    /// Reads a request; what cannot be read is no call of a model.
    pub(crate) fn read(json: &str, headers: &HeaderMap) -> Option<Self> {
        let body: Value = serde_json::from_str(json).ok()?;
        let model = body["model"].as_str()?.to_owned();
        let found = for_model(&model);
        // The upper end of an estimate, where the vocabulary is not public.
        let error = found.estimator.as_ref().map_or(0.0, |estimator| estimator.error);
        let input = (meter::count(json, &found).ok()?.total as f64 * (1.0 + error)).ceil() as u64;
        let limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
        let output = limits.iter().filter_map(|name| body[*name].as_u64()).max().unwrap_or(UNLIMITED);
        let output = output.saturating_mul(body["n"].as_u64().unwrap_or(1).max(1));
        let mut key = String::new();
        for value in headers.get_all("x-api-key").iter().chain(headers.get_all(AUTHORIZATION)) {
            key.push_str(&String::from_utf8_lossy(value.as_bytes()));
        }
        let team = headers.get(headers::TEAM).map_or("default", |team| team.to_str().unwrap_or(""));
        Some(Self {
            key: Handle::of(b"lacon: digest of a provider key.", &key).to_string(),
            team: team.trim().to_owned(),
            model,
            input,
            output,
        })
    }

    /// The usage of its most.
    #[must_use]
    pub fn most(&self) -> Usage {
        Usage { input: Some(self.input), output: Some(self.output), ..Usage::default() }
    }
}

/// Why a call is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The key's limit is reached; later there is room.
    Limit {
        /// How much later.
        wait: Duration,
        /// What to say.
        what: String,
    },
    /// The team's budget is used up, or the call would pass it.
    Budget(String),
    /// No such team, no price, or larger than any limit.
    Never(String),
    /// It cannot be known whether there is money left.
    Unknown(String),
}

impl Refused {
    pub(crate) fn parts(&self) -> (StatusCode, &'static str, &'static str, &str) {
        match self {
            Refused::Limit { what, .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", what)
            }
            Refused::Budget(what) => {
                (StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "budget_exhausted", what)
            }
            Refused::Never(what) => (StatusCode::FORBIDDEN, "invalid_request_error", "not_allowed", what),
            Refused::Unknown(what) => {
                (StatusCode::SERVICE_UNAVAILABLE, "api_error", "shared_state_unavailable", what)
            }
        }
    }
}

/// A call that was let through.
pub trait Pass: Send {
    /// Says what it took. Must not block.
    fn settle(self: Box<Self>, usage: &Usage);
}

/// Lets calls through or not.
pub trait Gate: Send + Sync {
    /// Asks for a call. May block for as long as its own time limit says.
    ///
    /// # Errors
    /// When the call must not be made.
    fn open(&self, call: &Call) -> Result<Box<dyn Pass>, Refused>;

    /// Whether calls can be let through at all.
    ///
    /// # Errors
    /// Why not.
    fn ready(&self) -> Result<(), String>;

    /// Gives back what was reserved and not used.
    fn close(&self);

    /// Adds its figures to the metrics.
    fn metrics(&self, out: &mut String);
}
