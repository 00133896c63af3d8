//! The one access to the network: a request in, a bounded answer out.

use std::{fmt, future::Future, pin::Pin, time::Duration};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Asks with a body.
    Post,
}

/// One request as it goes on the wire, keys included.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// How.
    pub method: Method,
    /// Where, with the query.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body; empty for a GET.
    pub body: Vec<u8>,
    /// Longest time from the first byte sent to the last byte read.
    pub timeout: Duration,
    /// Largest body that is read.
    pub max_bytes: usize,
}

impl fmt::Debug for HttpRequest {
    /// Leaves out query, headers and body: they may hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.url.split('?').next().unwrap_or_default();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("address", &address)
            .finish_non_exhaustive()
    }
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, at most as long as was allowed.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// Why no whole answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The address is none.
    #[error("{0}")]
    BadUrl(String),
    /// No connection.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        cause: String,
    },
    /// Too slow.
    #[error("no whole answer within {0:?}")]
    TimedOut(Duration),
    /// The connection ended in the middle.
    #[error("the answer was cut: {0}")]
    Cut(String),
    /// The body is larger than allowed.
    #[error("the answer is longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// Makes one request: no retry, no cache, no waiting for others.
///
/// Dropping the future gives the request up and closes its connection. The body is never read beyond
/// [`HttpRequest::max_bytes`], nor for longer than [`HttpRequest::timeout`].
pub trait Fetch: Send + Sync {
    /// Sends a request and reads the whole answer, whatever its status.
    fn fetch<'a>(&'a self, request: &'a HttpRequest) -> BoxFuture<'a, Result<HttpAnswer, FetchError>>;
}
