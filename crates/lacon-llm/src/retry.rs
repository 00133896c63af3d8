//! Retries a call when that can help. No other place in the workspace retries calls.
//!
//! The wait is drawn uniformly from zero to a limit that doubles with each attempt (full jitter). A wait that the
//! provider asks for is never shortened, and is lengthened by at most a tenth, so that agents refused together do not
//! return together. A budget bounds the extra load on an endpoint that keeps failing.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::budget::Budget;
use crate::client::{BoxFuture, Client, ClientInfo, StreamEvent};
use crate::error::{Error, ErrorKind, Timeout};
use crate::request::Request;
use crate::response::{Attempt, Outcome, Response};
use crate::rng::Rng;
use crate::traffic::Traffic;
use crate::watch::Watch;

/// Steers [`Retry`].
#[derive(Debug, Clone)]
pub struct RetryOptions {
    /// Most attempts a call may take; 1 turns retries off.
    pub max_attempts: u32,
    /// Limit of the first wait.
    pub base: Duration,
    /// Limit of every wait.
    pub cap: Duration,
    /// Longest wait a provider may ask for; a longer one ends the call.
    pub max_retry_after: Duration,
    /// Retries that every call adds to the budget.
    pub budget_ratio: f64,
    /// Retries that the budget holds at the start.
    pub budget_reserve: u32,
    /// Retries that the budget holds at most.
    pub budget_most: u32,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            max_attempts: 6,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(20),
            max_retry_after: Duration::from_secs(60),
            budget_ratio: 0.5,
            budget_reserve: 20,
            budget_most: 500,
            seed: 0,
        }
    }
}

/// How much later than the layers below the limit of the whole call is kept here.
const GRACE: Duration = Duration::from_millis(10);

/// Retries the calls of the client it wraps.
#[derive(Debug)]
pub struct Retry<C> {
    inner: C,
    options: RetryOptions,
    rng: Rng,
    budget: Budget,
}

impl<C: Client> Retry<C> {
    /// Wraps a client.
    pub fn new(inner: C, options: RetryOptions) -> Self {
        let budget = Budget::new(options.budget_reserve, options.budget_ratio, options.budget_most);
        Self { inner, rng: Rng::new(options.seed), budget, options }
    }

    /// Returns how long to wait before attempt `attempt + 1`, or why there will be none.
    fn delay(&self, attempt: u32, error: &Error) -> Result<Duration, Option<&'static str>> {
        if !error.is_retryable() {
            return Err(None);
        }
        if attempt >= self.options.max_attempts {
            return Err(None);
        }
        let delay = match error.retry_after() {
            Some(wait) if wait > self.options.max_retry_after => {
                return Err(Some("the wait the provider asks for is over the limit"));
            }
            Some(wait) => wait + self.rng.below(wait / 10),
            None => {
                let limit =
                    self.options.base.saturating_mul(1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
                self.rng.below(limit.min(self.options.cap))
            }
        };
        if self.budget.withdraw() { Ok(delay) } else { Err(Some("the retry budget is used up")) }
    }

    async fn run(
        &self,
        request: &Request,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        let begin = Instant::now();
        let deadline = request.timeout.map(|timeout| begin + timeout);
        let mut attempts: Vec<Attempt> = Vec::new();
        self.budget.deposit();
        let mut attempt = 0u32;
        loop {
            attempt = attempt.saturating_add(1);
            let offset = begin.elapsed();
            let watch = Watch::new(offset);
            let started = Mutex::new(attempts.len() as u32);
            let forward = |event: StreamEvent<'_>| {
                watch.see(&event);
                let event = match event {
                    StreamEvent::Sent { .. } => {
                        let mut n = started.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        *n += 1;
                        StreamEvent::Sent { attempt: *n }
                    }
                    other => other,
                };
                on_event(event);
            };
            // A layer below that has several requests under way keeps the limit itself, so that it can tell of each of them.
            let limited = deadline.map(|deadline| Request {
                timeout: Some(deadline.saturating_duration_since(Instant::now())),
                ..request.clone()
            });
            let call = self.inner.complete(limited.as_ref().unwrap_or(request), &forward);
            let result = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline + GRACE, call).await,
                None => Ok(call.await),
            };
            let mut error = match result {
                Ok(Ok(mut response)) => {
                    for mut inner in std::mem::take(&mut response.attempts) {
                        inner.shift(offset);
                        attempts.push(inner);
                    }
                    fill_estimates(&mut attempts, &response);
                    response.attempts = attempts;
                    response.first_token = response.first_token.map(|first| first + offset);
                    response.elapsed = begin.elapsed();
                    return Ok(response);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    let kind = ErrorKind::Timeout(Timeout::Total);
                    let outcome = Outcome::Failed(kind);
                    attempts.extend(watch.attempt(
                        begin.elapsed(),
                        outcome,
                        Some("the call ran out of time"),
                        false,
                    ));
                    return Err(total_timeout(request).with_attempts(attempts));
                }
            };
            for mut inner in error.take_attempts() {
                inner.shift(offset);
                attempts.push(inner);
            }
            if error.kind() == ErrorKind::Timeout(Timeout::Total) {
                return Err(total_timeout(request).with_attempts(attempts));
            }
            let delay = match self.delay(attempt, &error) {
                Ok(delay) => delay,
                Err(why) => {
                    let error = match (why, attempt) {
                        (Some(why), _) => error.with_note(why),
                        (None, 1) => error,
                        (None, n) => error.with_note(&format!("gave up after {n} attempts")),
                    };
                    return Err(error.with_attempts(attempts));
                }
            };
            if deadline.is_some_and(|deadline| Instant::now() + delay >= deadline) {
                let error = error.with_note("no time is left for another attempt");
                return Err(error.with_attempts(attempts));
            }
            on_event(StreamEvent::Retrying { attempt, delay, kind: error.kind() });
            tokio::time::sleep(delay).await;
        }
    }
}

/// Makes the error of a call that ran out of time.
pub(crate) fn total_timeout(request: &Request) -> Error {
    let limit = request.timeout.unwrap_or_default().as_secs_f64();
    Error::new(ErrorKind::Timeout(Timeout::Total), format!("call took longer than its limit of {limit} s"))
        .with_hint("raise the deadline or use a faster model")
}

/// Gives attempts that reached the model the prompt's size, which the answer's usage tells exactly.
pub(crate) fn fill_estimates(attempts: &mut [Attempt], response: &Response) {
    let Some(prompt) = response.usage.and_then(|usage| usage.prompt_total()) else { return };
    for attempt in attempts {
        if let Some(estimate) = &mut attempt.usage_estimate
            && estimate.input.is_none()
        {
            estimate.input = Some(prompt);
        }
    }
}

impl<C: Client> Client for Retry<C> {
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
