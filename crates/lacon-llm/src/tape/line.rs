//! The lines of a tape file: a head, then one JSON object per call.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::message::ToolCall;
use crate::request::{Request, canonical};
use crate::response::{Finish, Response, Usage};

/// Version of the file's shape.
pub(super) const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Line {
    /// The head: who answered.
    Tape {
        version: u32,
        provider: String,
        base_url: String,
        simulated: bool,
        /// What the requests of the recording were tagged with.
        #[serde(default)]
        nonce: String,
    },
    /// A model call.
    Llm(Box<LlmLine>),
    /// A tool call.
    Tool(ToolLine),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LlmLine {
    pub(super) digest: String,
    /// When the call was made, since the tape was opened; for readers of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at_ms: Option<u64>,
    #[serde(with = "shared")]
    pub(super) request: Arc<Request>,
    pub(super) answer: Answer,
}

/// A request that the player keeps beside its line.
mod shared {
    use super::{Arc, Deserialize, Request, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(
        request: &Arc<Request>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (**request).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Request>, D::Error> {
        Request::deserialize(deserializer).map(Arc::new)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ToolLine {
    pub(super) digest: String,
    pub(super) name: String,
    pub(super) arguments: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    pub(super) elapsed_ms: u64,
}

/// An answer, or why there was none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finish: Option<Finish>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(default)]
    model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_state: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first_token_ms: Option<u64>,
    #[serde(default)]
    pub(super) elapsed_ms: u64,
    /// How many tries it took; for readers of the file.
    #[serde(default)]
    attempts: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Failure {
    kind: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

impl Answer {
    pub(super) fn of(result: &Result<Response, Error>) -> Self {
        match result {
            Ok(response) => Self {
                text: response.text.clone(),
                tool_calls: response.tool_calls.clone(),
                finish: Some(response.finish.clone()),
                usage: response.usage,
                model: response.model.clone(),
                id: response.id.clone(),
                provider_state: response.provider_state.clone(),
                error: None,
                first_token_ms: response.first_token.map(super::millis),
                elapsed_ms: super::millis(response.elapsed),
                attempts: response.attempts.len(),
            },
            Err(error) => Self {
                error: Some(Failure {
                    kind: error.kind().as_str().to_owned(),
                    message: error.message().to_owned(),
                    hint: error.hint().map(str::to_owned),
                    status: error.status(),
                }),
                elapsed_ms: error
                    .attempts()
                    .iter()
                    .map(|attempt| super::millis(attempt.end))
                    .max()
                    .unwrap_or(0),
                attempts: error.attempts().len(),
                ..Self::default()
            },
        }
    }

    pub(super) fn into_result(self) -> Result<Response, Error> {
        if let Some(failure) = self.error {
            let kind = ErrorKind::from_name(&failure.kind, failure.status).unwrap_or(ErrorKind::TapeMiss);
            let error = Error::new(kind, failure.message);
            let error = match failure.hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            };
            return Err(match failure.status {
                Some(status) => error.with_status(status),
                None => error,
            });
        }
        Ok(Response {
            tool_calls: self.tool_calls,
            finish: self.finish.unwrap_or(Finish::Stop),
            usage: self.usage,
            id: self.id,
            provider_state: self.provider_state,
            elapsed: Duration::from_millis(self.elapsed_ms),
            ..Response::new(self.model, self.text)
        })
    }
}

/// Names a tool call by its tool and arguments; the order of the arguments does not matter.
pub(super) fn digest_of_tool(name: &str, arguments: &Value) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(&(name.len() as u64).to_le_bytes());
    hash.update(name.as_bytes());
    canonical(&mut hash, arguments);
    hash.finalize().to_hex().to_string()
}
