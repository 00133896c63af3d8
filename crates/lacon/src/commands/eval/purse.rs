//! A budget over all calls of a test: it refuses a call that would pass it, and changes no other.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lacon_llm::{
    BoxFuture, Client, ClientInfo, Error, ErrorKind, Request, Response, StreamEvent, Traffic, Usage,
};
use lacon_monitor::{ledger::CallFact, prices};

use crate::commands::micro_usd;

/// Bytes of a prompt for a token, to know what a call takes before it is made.
const BYTES_PER_TOKEN: usize = 4;

/// What may be spent, and on whom.
pub struct Purse {
    inner: Arc<dyn Client>,
    micro_usd: u64,
    tokens: u64,
    state: Mutex<State>,
}

/// What is spent, and what calls under way take at least: micro-dollars and tokens.
#[derive(Default)]
struct State {
    spent: (u64, u64),
    held: (u64, u64),
    is_empty: bool,
    trouble: Option<(ErrorKind, String)>,
}

impl Purse {
    /// A purse before a client; without a limit it only counts.
    pub fn new(inner: Arc<dyn Client>, usd: Option<f64>, tokens: Option<u64>) -> Self {
        let micro_usd = usd.map_or(u64::MAX, micro_usd);
        Self { inner, micro_usd, tokens: tokens.unwrap_or(u64::MAX), state: Mutex::default() }
    }

    /// Whether a call was refused.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty
    }

    /// The last error since this was last asked that the next call would meet too, such as that of a dead endpoint.
    pub fn trouble(&self) -> Option<(ErrorKind, String)> {
        self.lock().trouble.take()
    }

    /// What was spent so far: micro-dollars at known prices, and tokens.
    pub fn spent(&self) -> (u64, u64) {
        self.lock().spent
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(
        &self,
        request: &Request,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        let bytes: usize = request.messages.iter().map(|message| message.content.len()).sum();
        let prompt = (bytes / BYTES_PER_TOKEN) as u64;
        let usage = Usage { input: Some(prompt), ..Usage::default() };
        let need = (prices::cost(&request.model, &usage).unwrap_or(0), prompt);
        {
            let mut state = self.lock();
            let over = |spent: u64, held: u64, need: u64, most: u64| {
                spent.saturating_add(held).saturating_add(need) > most
            };
            if over(state.spent.0, state.held.0, need.0, self.micro_usd)
                || over(state.spent.1, state.held.1, need.1, self.tokens)
            {
                state.is_empty = true;
                return Err(Error::new(ErrorKind::Cancelled, "the budget of the test is used up")
                    .with_hint("raise --budget-usd or --budget-tokens"));
            }
            state.held = (state.held.0 + need.0, state.held.1 + need.1);
        }
        let held = Held { purse: self, need };
        let result = self.inner.complete(request, on_event).await;
        drop(held);
        // A failed call was billed too where its tries say so.
        let fact = match &result {
            Ok(response) => CallFact::answered("", 1, Duration::ZERO, String::new(), None, response),
            Err(error) => CallFact::failed(
                "",
                1,
                &request.model,
                (Duration::ZERO, Duration::ZERO),
                String::new(),
                error,
            ),
        };
        let mut state = self.lock();
        state.spent.0 = state.spent.0.saturating_add(fact.micro_usd.unwrap_or(0));
        state.spent.1 = state.spent.1.saturating_add(fact.tokens.total);
        if let Err(error) = &result
            && ends_all(error.kind())
        {
            state.trouble = Some((error.kind(), error.to_string()));
        }
        result
    }
}

/// Whether an error says nothing of the request that met it.
fn ends_all(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Malformed(_)
            | ErrorKind::ContextTooLong
            | ErrorKind::InvalidRequest
            | ErrorKind::Timeout(_)
            | ErrorKind::Cancelled
    )
}

/// What a call under way takes at least; given back when it ends, also by being dropped.
struct Held<'a> {
    purse: &'a Purse,
    need: (u64, u64),
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.purse.lock();
        state.held = (state.held.0 - self.need.0, state.held.1 - self.need.1);
    }
}

impl Client for Purse {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(self.run(request, on_event))
    }

    fn describe(&self) -> ClientInfo {
        self.inner.describe()
    }

    fn traffic(&self) -> Option<&Traffic> {
        self.inner.traffic()
    }
}
