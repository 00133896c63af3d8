//! The body of an answer: Lacon's own, or the upstream's frame by frame.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use lacon_monitor::metrics::proxy::ProxyMetrics;

use crate::tap::Tap;

/// The body of an answer.
pub enum Answer {
    /// Ours.
    Own(Full<Bytes>),
    /// The upstream's, passed on as it comes. Dropping it ends the call.
    Upstream(Incoming, Arc<ProxyMetrics>, Option<Box<Tap>>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Answer::Own(body) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Answer::Upstream(body, metrics, tap) => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(context));
                // The error ends the client's connection, so that it sees the cut too and never a clean end.
                if matches!(frame, Some(Err(_))) {
                    metrics.cut();
                }
                if let (Some(tap), Some(Ok(frame))) = (tap.as_mut(), &frame)
                    && let Some(bytes) = frame.data_ref()
                {
                    tap.hear(bytes);
                }
                // Told before the client can see the end.
                if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
                    *tap = None;
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Own(body) => body.is_end_stream(),
            Answer::Upstream(body, ..) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Own(body) => body.size_hint(),
            Answer::Upstream(body, ..) => body.size_hint(),
        }
    }
}
