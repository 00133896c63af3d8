//! The connection to the upstream.

use std::{
    error::Error as StdError,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{Either, Full, LengthLimitError, Limited};
use hyper::{
    Response, StatusCode, Uri,
    body::{Body, Frame, Incoming, SizeHint},
    http::request,
};
use lacon_llm::{Endpoint, ErrorKind, Transport, TransportOptions};
use lacon_monitor::metrics::proxy::ProxyMetrics;

use crate::{
    answer::Answer,
    error::Error,
    headers,
    refusal::{invalid, refuse},
};

/// A body on its way: one that was read, or the client's as it comes.
pub type Onward = Either<Full<Bytes>, Limited<Timed>>;

/// A client's body that must have come by some time.
pub struct Timed {
    pub body: Incoming,
    pub end: Pin<Box<tokio::time::Sleep>>,
}

/// The client's body did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come in time")]
struct TooSlow;

impl Body for Timed {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => match self.end.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(TooSlow.into()))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The provider, reached by a pool of connections.
pub struct Upstream {
    transport: Transport<Onward>,
    /// Scheme, host and path that a request's own path follows.
    base: String,
    /// Longest wait for the head of an answer.
    head: Duration,
}

impl Upstream {
    /// Checks the address; connects nowhere yet.
    pub fn new(url: &str, options: &TransportOptions, head: Duration) -> Result<Self, Error> {
        let base = Endpoint::parse(url)?.base_url();
        if url.contains('?') {
            return Err(Error::Query { url: base });
        }
        Ok(Self { transport: Transport::new(options)?, base, head })
    }

    /// The upstream's address of a request. Clients send `/v1/…`, whether the upstream's address ends in `/v1` or not.
    fn address(&self, uri: &Uri) -> Option<Uri> {
        let path = uri.path_and_query()?.as_str();
        // `OPTIONS *` and its like have no place below a base.
        if !path.starts_with('/') {
            return None;
        }
        let base = match self.base.strip_suffix("/v1") {
            Some(base) if path.starts_with("/v1/") || path == "/v1" => base,
            _ => &self.base,
        };
        format!("{base}{path}").parse().ok()
    }

    /// Sends a request on and gives the answer as it begins, or a refusal that says why there is none.
    ///
    /// Dropping the future, or the answer's body, ends the call.
    pub async fn send(
        &self,
        mut head: request::Parts,
        body: Onward,
        limit: usize,
        metrics: &Arc<ProxyMetrics>,
    ) -> Response<Answer> {
        let Some(address) = self.address(&head.uri) else {
            let what = format!("{:?} is no path\nhint: send requests to /v1/…", head.uri.to_string());
            return invalid(StatusCode::BAD_REQUEST, "bad_path", what);
        };
        head.uri = address;
        head.version = hyper::Version::HTTP_11;
        head.extensions = hyper::http::Extensions::new();
        headers::onward(&mut head.headers);
        let request = hyper::Request::from_parts(head, body);
        match tokio::time::timeout(self.head, self.transport.send(request, &mut None)).await {
            Ok(Ok(answer)) => {
                let (mut head, body) = answer.into_parts();
                headers::back(&mut head.headers);
                // The connection's own version is the server's to say.
                head.version = hyper::Version::HTTP_11;
                Response::from_parts(head, Answer::Upstream(body, Arc::clone(metrics), None))
            }
            Ok(Err(error)) if caused::<LengthLimitError>(&error) => too_large(limit, None),
            Ok(Err(error)) if caused::<TooSlow>(&error) => too_slow(),
            Ok(Err(error)) => {
                metrics.unreachable();
                let status = match error.kind() {
                    ErrorKind::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
                    _ => StatusCode::BAD_GATEWAY,
                };
                refuse(status, "api_error", "upstream_unreachable", format!("upstream: {error}"))
            }
            Err(_) => {
                metrics.unreachable();
                let limit = self.head.as_secs_f64();
                let what =
                    format!("upstream: no answer began within {limit} s\nhint: raise --answer-timeout");
                refuse(StatusCode::GATEWAY_TIMEOUT, "api_error", "upstream_timeout", what)
            }
        }
    }
}

/// A body over the limit.
pub fn too_large(limit: usize, bytes: Option<u64>) -> Response<Answer> {
    let size = bytes.map_or_else(|| format!("more than {limit}"), |bytes| bytes.to_string());
    invalid(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("body has {size} bytes, the limit is {limit}\nhint: raise --max-body"),
    )
}

/// A body that does not come.
pub fn too_slow() -> Response<Answer> {
    let what = "the body did not come in time\nhint: raise --body-timeout";
    invalid(StatusCode::REQUEST_TIMEOUT, "body_timeout", what)
}

fn caused<E: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    let mut at = Some(error);
    while let Some(error) = at {
        if error.is::<E>() {
            return true;
        }
        at = error.source();
    }
    false
}
