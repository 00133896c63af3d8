//! The layers around a client in their one order, each with its switch.
//!
//! From the outside in: tape, form, retry, hedge, limit, breaker, client. The tape records what a caller gets, so a
//! replay needs no other layer. A retry is a new call to the hedge, so each attempt of a stalled call is hedged. Every
//! single request, also a hedge, waits for the limit and is seen by the breaker.

use std::fmt;
use std::sync::Arc;

use crate::breaker::{Breaker, BreakerOptions};
use crate::client::Client;
use crate::hedge::{Hedge, HedgeOptions};
use crate::limit::{Limit, LimitOptions};
use crate::retry::{Retry, RetryOptions};
use crate::structured::{Structured, StructuredOptions};
use crate::tape::{Tape, Taped};

/// The layers to put around a client; `None` leaves one out.
#[derive(Debug, Clone, Default)]
pub struct StackOptions {
    /// Rest an endpoint that keeps failing.
    pub breaker: Option<BreakerOptions>,
    /// Calls at once and per minute.
    pub limit: Option<LimitOptions>,
    /// Second requests beside slow ones.
    pub hedge: Option<HedgeOptions>,
    /// Retry.
    pub retry: Option<RetryOptions>,
    /// Check answers that have a form.
    pub structured: Option<StructuredOptions>,
    /// Record or replay.
    pub tape: Option<Arc<Tape>>,
}

impl StackOptions {
    /// Switches every layer on with its defaults, apart from the tape.
    pub fn full() -> Self {
        Self {
            breaker: Some(BreakerOptions::default()),
            limit: Some(LimitOptions::default()),
            hedge: Some(HedgeOptions::default()),
            retry: Some(RetryOptions::default()),
            structured: Some(StructuredOptions::default()),
            tape: None,
        }
    }
}

/// A client with its layers.
#[derive(Clone)]
pub struct Stack {
    /// The outermost layer: what callers use.
    pub client: Arc<dyn Client>,
    /// The hedge, to teach it and to keep what it learned.
    pub hedge: Option<Arc<Hedge<Arc<dyn Client>>>>,
    /// The limit, to show how many calls it lets through.
    pub limit: Option<Arc<Limit<Arc<dyn Client>>>>,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("client", &self.client.describe()).finish_non_exhaustive()
    }
}

impl Stack {
    /// Puts the layers around `client`.
    pub fn new(client: Arc<dyn Client>, options: StackOptions) -> Self {
        let mut client = client;
        if let Some(options) = options.breaker {
            client = Arc::new(Breaker::new(client, options));
        }
        let limit = options.limit.map(|options| Arc::new(Limit::new(Arc::clone(&client), options)));
        if let Some(limit) = &limit {
            client = Arc::clone(limit) as Arc<dyn Client>;
        }
        let hedge = options.hedge.map(|options| Arc::new(Hedge::new(Arc::clone(&client), options)));
        if let Some(hedge) = &hedge {
            client = Arc::clone(hedge) as Arc<dyn Client>;
        }
        if let Some(options) = options.retry {
            client = Arc::new(Retry::new(client, options));
        }
        if let Some(options) = options.structured {
            client = Arc::new(Structured::new(client, options));
        }
        if let Some(tape) = options.tape {
            client = Arc::new(Taped::new(client, tape));
        }
        Self { client, hedge, limit }
    }
}
