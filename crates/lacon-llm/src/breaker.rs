//! A circuit breaker: rests an endpoint that keeps failing, and tries it again with one call.
//!
//! Only signs of the endpoint's health count: connections, time-outs, server errors, cut streams. A refused key, a rate
//! limit or a bad request shows that the endpoint is alive. Failures must also be more than half of the calls since the
//! last success, because of many calls that start together the failures end first.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::{BoxFuture, Client, ClientInfo, StreamEvent};
use crate::error::{Error, ErrorKind, Malformed, Timeout};
use crate::request::Request;
use crate::response::Response;
use crate::sync::{Mutex, MutexGuard};
use crate::traffic::Traffic;

/// Steers [`Breaker`].
#[derive(Debug, Clone)]
pub struct BreakerOptions {
    /// Consecutive failures that open the circuit; 0 turns the breaker off.
    pub failures: u32,
    /// How long the circuit stays open at first; it doubles with each failed trial.
    pub open: Duration,
    /// Longest time that the circuit stays open.
    pub max_open: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self { failures: 10, open: Duration::from_secs(2), max_open: Duration::from_secs(60) }
    }
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Calls sent since the last sign of life.
    sent: u32,
    /// Trials that failed since the circuit opened.
    trials: u32,
    open_until: Option<Instant>,
    trial: bool,
}

/// A circuit breaker around a client; one breaker stands for one endpoint.
#[derive(Debug)]
pub struct Breaker<C> {
    inner: C,
    options: BreakerOptions,
    state: Mutex<State>,
}

impl<C: Client> Breaker<C> {
    /// Wraps a client.
    pub fn new(inner: C, options: BreakerOptions) -> Self {
        Self { inner, options, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Lets a call pass; returns whether it is the trial of an open circuit.
    fn enter(&self) -> Result<bool, Error> {
        let mut state = self.lock();
        let Some(until) = state.open_until else {
            state.sent = state.sent.saturating_add(1);
            return Ok(false);
        };
        let now = Instant::now();
        if now >= until && !state.trial {
            state.trial = true;
            return Ok(true);
        }
        // While the trial runs, the others come back after the shortest wait.
        let wait = until.checked_duration_since(now).unwrap_or(self.options.open);
        let message = format!(
            "endpoint failed {} times in a row and is left alone for {:.1} s",
            state.failures,
            wait.as_secs_f64()
        );
        Err(Error::new(ErrorKind::CircuitOpen, message)
            .with_hint("check that the endpoint is up")
            .with_retry_after(Some(wait)))
    }

    fn leave(&self, result: &Result<Response, Error>, trial: bool) {
        let mut state = self.lock();
        if trial {
            state.trial = false;
        }
        if !result.as_ref().err().is_some_and(|error| is_sick(error.kind())) {
            *state = State { trial: state.trial, ..State::default() };
            return;
        }
        state.failures = state.failures.saturating_add(1);
        // Calls that were sent before the circuit opened do not prolong it.
        let most_fail = u64::from(state.failures) * 2 > u64::from(state.sent);
        let opens = state.failures >= self.options.failures && most_fail;
        if trial || (state.open_until.is_none() && opens) {
            let factor = 2u32.checked_pow(state.trials).unwrap_or(u32::MAX);
            let open = self.options.open.saturating_mul(factor).min(self.options.max_open);
            state.open_until = Some(Instant::now() + open);
            state.trials = state.trials.saturating_add(1);
        }
    }
}

fn is_sick(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Connect | ErrorKind::Malformed(Malformed::CutStream) => true,
        ErrorKind::Timeout(which) => which != Timeout::Total,
        ErrorKind::Status(status) => status >= 500,
        _ => false,
    }
}

/// Ends the trial also when its call is dropped.
struct Trial<'a, C: Client>(&'a Breaker<C>, bool);

impl<C: Client> Drop for Trial<'_, C> {
    fn drop(&mut self) {
        if self.1 {
            self.0.lock().trial = false;
        }
    }
}

impl<C: Client> Client for Breaker<C> {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            if self.options.failures == 0 {
                return self.inner.complete(request, on_event).await;
            }
            let trial = self.enter()?;
            let mut guard = Trial(self, trial);
            let result = self.inner.complete(request, on_event).await;
            guard.1 = false;
            self.leave(&result, trial);
            result
        })
    }

    fn describe(&self) -> ClientInfo {
        self.inner.describe()
    }

    fn traffic(&self) -> Option<&Traffic> {
        self.inner.traffic()
    }

    fn prepare(&self) -> Option<BoxFuture<'_, ()>> {
        self.inner.prepare()
    }
}
