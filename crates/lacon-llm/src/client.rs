//! The one trait for calling models.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::request::Request;
use crate::response::Response;
use crate::traffic::Traffic;

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Events of a running call.
///
/// Text from [`StreamEvent::Delta`] is void after [`StreamEvent::Retrying`] and [`StreamEvent::Restarted`]: later text
/// replaces it. Only the [`Response`] is the answer.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum StreamEvent<'a> {
    /// The call waits for its turn under a rate limit.
    Queued,
    /// An attempt's request goes out; attempts count from 1.
    Sent {
        /// Number of the attempt.
        attempt: u32,
    },
    /// The first part of the answer came.
    FirstToken,
    /// The answer's text grew by this.
    Delta(&'a str),
    /// Hidden reasoning grew by this many bytes.
    Reasoning(usize),
    /// The model is writing a call of this tool.
    ToolCall(&'a str),
    /// An attempt failed and another will follow after `delay`.
    Retrying {
        /// Number of the attempt that failed.
        attempt: u32,
        /// Wait before the next one.
        delay: Duration,
        /// Why it failed.
        kind: ErrorKind,
    },
    /// A second request was sent beside a slow first one.
    Hedged {
        /// How long the first had been running.
        after: Duration,
    },
    /// The text so far came from an attempt that lost; the next deltas start from the beginning.
    Restarted,
    /// A warning for the caller.
    Warning(&'a str),
}

/// Ignores all events, for callers that only want the answer.
pub fn ignore_events(_: StreamEvent<'_>) {}

/// Identity of the model behind a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The provider's name, such as `openai`; layers pass on the name of the client they wrap.
    pub provider: String,
    /// Where requests go, without credentials; empty when there is no endpoint.
    pub base_url: String,
    /// Whether answers are simulated rather than a model's.
    pub simulated: bool,
}

/// Answers requests with a model.
///
/// `complete` can be called any number of times at once. It returns only complete, valid answers: a cut stream, an
/// answer that breaks the protocol, or malformed tool arguments are errors, never shortened answers. Events are sent in
/// order, from the task that polls the future; `on_event` must not block.
///
/// Dropping the future cancels the call: its connection is closed or its stream reset, waits end, hedges are dropped,
/// and nothing continues in the background. The provider may still bill what it generated until then.
pub trait Client: Send + Sync {
    /// Asks the model and waits for the whole answer.
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>>;

    /// Says who answers.
    fn describe(&self) -> ClientInfo;

    /// Returns what calls to the endpoint have shown of how many it answers at once; layers pass it on.
    fn traffic(&self) -> Option<&Traffic> {
        None
    }

    /// Gives what has to happen once before the first call takes its place, such as asking a server how many it has.
    /// Dropping the future leaves it to the next caller.
    fn prepare(&self) -> Option<BoxFuture<'_, ()>> {
        None
    }
}

impl<C: Client + ?Sized> Client for Arc<C> {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        (**self).complete(request, on_event)
    }

    fn describe(&self) -> ClientInfo {
        (**self).describe()
    }

    fn traffic(&self) -> Option<&Traffic> {
        (**self).traffic()
    }

    fn prepare(&self) -> Option<BoxFuture<'_, ()>> {
        (**self).prepare()
    }
}
