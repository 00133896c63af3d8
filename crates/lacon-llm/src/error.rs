//! The one error type of the crate: why a call failed, and whether to retry.

use std::fmt;
use std::time::Duration;

use crate::response::Attempt;

/// Which wait ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// Connecting, TLS included.
    Connect,
    /// From the sent request to the first part of the answer.
    FirstToken,
    /// Between two parts of the answer.
    Idle,
    /// The whole call, waits and retries included.
    Total,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Malformed {
    /// A web page instead of an API's answer.
    Html,
    /// The stream ended before the model said why it stopped.
    CutStream,
    /// Not JSON, or JSON of another shape.
    Json,
    /// The arguments of a tool call are not a JSON object.
    ToolArguments,
    /// A success status with an error inside.
    ErrorInBody,
    /// Longer than the limit.
    TooLarge,
    /// No text and no tool call.
    Empty,
    /// Not what the requested schema says.
    Schema,
}

/// Why a call gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection, or it broke before an answer began.
    Connect,
    /// The server's certificate was refused, or TLS failed in another way that stays.
    Tls,
    /// A wait ran out.
    Timeout(Timeout),
    /// The provider answered with this status, which no other kind explains.
    Status(u16),
    /// The key is missing, wrong or not allowed to do this.
    Auth,
    /// Too many requests or tokens.
    RateLimited,
    /// The account has no credit left; waiting does not help.
    Quota,
    /// The answer is not usable.
    Malformed(Malformed),
    /// The prompt is longer than the model reads.
    ContextTooLong,
    /// The model or path does not exist at this endpoint.
    NotFound,
    /// The caller gave up.
    Cancelled,
    /// The endpoint failed too often lately and is left alone for a while.
    CircuitOpen,
    /// The provider refuses the request as it is.
    InvalidRequest,
    /// The tape holds no answer to this request.
    TapeMiss,
    /// Reading or writing a file failed.
    Io,
}

impl ErrorKind {
    /// Says whether the same request may succeed later.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Connect | Self::RateLimited | Self::CircuitOpen => true,
            Self::Timeout(which) => which != Timeout::Total,
            Self::Status(status) => matches!(status, 408 | 409 | 425 | 429) || status >= 500,
            // A web page under a success status means a wrong base URL or a login page: it stays. What answers with too much
            // does so again, and each time costs as much.
            Self::Malformed(what) => !matches!(what, Malformed::Html | Malformed::TooLarge),
            Self::Tls
            | Self::Auth
            | Self::Quota
            | Self::ContextTooLong
            | Self::NotFound
            | Self::Cancelled
            | Self::InvalidRequest
            | Self::TapeMiss
            | Self::Io => false,
        }
    }

    /// Finds a kind by the name that [`ErrorKind::as_str`] returns; `status` is the one of [`ErrorKind::Status`].
    pub fn from_name(name: &str, status: Option<u16>) -> Option<Self> {
        let kinds = [
            Self::Connect,
            Self::Tls,
            Self::Timeout(Timeout::Connect),
            Self::Timeout(Timeout::FirstToken),
            Self::Timeout(Timeout::Idle),
            Self::Timeout(Timeout::Total),
            Self::Status(status.unwrap_or(500)),
            Self::Auth,
            Self::RateLimited,
            Self::Quota,
            Self::Malformed(Malformed::Html),
            Self::Malformed(Malformed::CutStream),
            Self::Malformed(Malformed::Json),
            Self::Malformed(Malformed::ToolArguments),
            Self::Malformed(Malformed::ErrorInBody),
            Self::Malformed(Malformed::TooLarge),
            Self::Malformed(Malformed::Empty),
            Self::Malformed(Malformed::Schema),
            Self::ContextTooLong,
            Self::NotFound,
            Self::Cancelled,
            Self::CircuitOpen,
            Self::InvalidRequest,
            Self::TapeMiss,
            Self::Io,
        ];
        kinds.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns a short fixed name for reports and ledgers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout(Timeout::Connect) => "timeout_connect",
            Self::Timeout(Timeout::FirstToken) => "timeout_first_token",
            Self::Timeout(Timeout::Idle) => "timeout_idle",
            Self::Timeout(Timeout::Total) => "timeout_total",
            Self::Status(_) => "status",
            Self::Auth => "auth",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Malformed(Malformed::Html) => "malformed_html",
            Self::Malformed(Malformed::CutStream) => "malformed_cut_stream",
            Self::Malformed(Malformed::Json) => "malformed_json",
            Self::Malformed(Malformed::ToolArguments) => "malformed_tool_arguments",
            Self::Malformed(Malformed::ErrorInBody) => "malformed_error_in_body",
            Self::Malformed(Malformed::TooLarge) => "malformed_too_large",
            Self::Malformed(Malformed::Empty) => "malformed_empty",
            Self::Malformed(Malformed::Schema) => "malformed_schema",
            Self::ContextTooLong => "context_too_long",
            Self::NotFound => "not_found",
            Self::Cancelled => "cancelled",
            Self::CircuitOpen => "circuit_open",
            Self::InvalidRequest => "invalid_request",
            Self::TapeMiss => "tape_miss",
            Self::Io => "io",
        }
    }
}

/// A call that gave no answer, with every attempt that was made.
#[non_exhaustive]
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    status: Option<u16>,
    retry_after: Option<Duration>,
    attempts: Vec<Attempt>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error; `message` is lower case, without a period, and holds no secret.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                message: message.into(),
                hint: None,
                status: None,
                retry_after: None,
                attempts: Vec::new(),
                source: None,
            }),
        }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Adds the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.inner.status = Some(status);
        self
    }

    /// Adds the wait that the provider asked for.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.inner.retry_after = wait;
        self
    }

    /// Replaces the attempts.
    #[must_use]
    pub fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.inner.attempts = attempts;
        self
    }

    /// Replaces the text.
    #[cfg(feature = "http")]
    #[must_use]
    pub(crate) fn with_message(mut self, message: String) -> Self {
        self.inner.message = message;
        self
    }

    /// Adds why nothing more was tried.
    #[must_use]
    pub(crate) fn with_note(mut self, note: &str) -> Self {
        self.inner.message = format!("{}; {note}", self.inner.message);
        self
    }

    /// Adds the error below.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Says why the call gave no answer.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Says whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.inner.kind.is_retryable()
    }

    /// Returns the wait that the provider asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Returns the HTTP status, if one came.
    pub fn status(&self) -> Option<u16> {
        self.inner.status
    }

    /// Returns every attempt that was made.
    pub fn attempts(&self) -> &[Attempt] {
        &self.inner.attempts
    }

    /// Takes the attempts out, to merge them with others.
    pub fn take_attempts(&mut self) -> Vec<Attempt> {
        std::mem::take(&mut self.inner.attempts)
    }

    /// Replaces the attempts in place.
    pub(crate) fn set_attempts(&mut self, attempts: Vec<Attempt>) {
        self.inner.attempts = attempts;
    }

    /// Moves the attempts' times by `offset`.
    pub(crate) fn shift_attempts(&mut self, offset: Duration) {
        self.inner.attempts.iter_mut().for_each(|attempt| attempt.shift(offset));
    }

    /// Returns the text without the hint.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// Returns what the user can do, if anything.
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        match &self.inner.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message)
            .field("status", &self.inner.status)
            .field("retry_after", &self.inner.retry_after)
            .field("attempts", &self.inner.attempts.len())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_puts_the_hint_on_its_own_line() {
        let error = Error::new(ErrorKind::Auth, "provider answered 401").with_hint("set OPENAI_API_KEY");
        assert_eq!(error.to_string(), "provider answered 401\nhint: set OPENAI_API_KEY");
    }

    #[test]
    fn retryable_kinds() {
        let check = |kind: ErrorKind, expected| assert_eq!(kind.is_retryable(), expected, "{kind:?}");
        check(ErrorKind::Status(500), true);
        check(ErrorKind::Status(503), true);
        check(ErrorKind::Status(418), false);
        check(ErrorKind::RateLimited, true);
        check(ErrorKind::Quota, false);
        check(ErrorKind::Auth, false);
        check(ErrorKind::Timeout(Timeout::Idle), true);
        check(ErrorKind::Timeout(Timeout::Total), false);
        check(ErrorKind::Malformed(Malformed::CutStream), true);
        check(ErrorKind::Malformed(Malformed::Html), false);
        check(ErrorKind::Malformed(Malformed::TooLarge), false);
    }
}
