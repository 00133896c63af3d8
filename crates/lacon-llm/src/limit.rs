//! Rate limits shared by all agents: concurrent calls, requests and tokens per minute.
//!
//! Calls wait in the order of arrival. Tokens are reserved by estimate before a call and settled by the reported usage
//! after it. A single rate refusal concerns only its own call, because some providers refuse at random. When a large
//! share of recent calls is refused, fewer calls run at once, and all new ones wait as long as the provider asks.
//! Successes raise the number again. An endpoint that was seen to answer fewer calls at once than it takes
//! ([`Traffic`]) gets no more than that. The share is taken of calls sent, not ended, because a refusal comes at once and a
//! success only after the whole answer.

use std::time::Duration;

use tokio::sync::{Mutex as Gate, Notify};
use tokio::time::{Instant, sleep_until};

use crate::client::{BoxFuture, Client, ClientInfo, StreamEvent};
use crate::error::{Error, ErrorKind};
use crate::request::Request;
use crate::response::Response;
use crate::sync::{Mutex, MutexGuard};
use crate::traffic::Traffic;

/// Fewest refusals that say something about the rate.
const MIN_REFUSED: u32 = 3;
/// Largest share of refusals that is taken for chance.
const MAX_SHARE: f64 = 0.4;
/// Calls after which older ones count half.
const WINDOW: u32 = 64;

/// Steers [`Limit`].
#[derive(Debug, Clone)]
pub struct LimitOptions {
    /// Most calls at once; the adaptive limit starts here.
    pub max_concurrent: usize,
    /// Most requests per minute; no limit when absent.
    pub requests_per_minute: Option<u32>,
    /// Most tokens per minute, prompts and answers; no limit when absent.
    pub tokens_per_minute: Option<u32>,
    /// Shrink the number of calls at once when the provider refuses for the rate.
    pub adaptive: bool,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self { max_concurrent: 512, requests_per_minute: None, tokens_per_minute: None, adaptive: true }
    }
}

/// Limits the calls of the client it wraps.
#[derive(Debug)]
pub struct Limit<C> {
    inner: C,
    options: LimitOptions,
    state: Mutex<State>,
    /// A place became free.
    free: Notify,
    /// Held by the one call that waits for the buckets; it makes the queue first in, first out.
    gate: Gate<()>,
}

#[derive(Debug)]
struct State {
    active: usize,
    limit: f64,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    /// Calls sent since the share was last looked at, and how many of them were refused.
    sent: u32,
    refused: u32,
    pause_until: Option<Instant>,
}

/// A bucket that refills evenly and may be overdrawn by what a call really took.
#[derive(Debug)]
struct Bucket {
    level: f64,
    capacity: f64,
    per_second: f64,
    at: Instant,
}

impl Bucket {
    fn new(per_minute: u32) -> Self {
        let capacity = f64::from(per_minute.max(1));
        Self { level: capacity, capacity, per_second: capacity / 60.0, at: Instant::now() }
    }

    fn refill(&mut self, now: Instant) {
        self.level =
            (self.level + now.duration_since(self.at).as_secs_f64() * self.per_second).min(self.capacity);
        self.at = now;
    }

    /// Returns how long to wait until `n` are there; more than the bucket holds counts as a full bucket.
    fn wait(&self, n: f64) -> Duration {
        let missing = n.min(self.capacity) - self.level;
        // A nanosecond more than needed: rounding must not lead to a wait of zero.
        if missing <= 1e-6 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(missing / self.per_second + 1e-6)
        }
    }
}

impl<C: Client> Limit<C> {
    /// Wraps a client.
    pub fn new(inner: C, options: LimitOptions) -> Self {
        let state = State {
            active: 0,
            limit: options.max_concurrent.max(1) as f64,
            requests: options.requests_per_minute.map(Bucket::new),
            tokens: options.tokens_per_minute.map(Bucket::new),
            sent: 0,
            refused: 0,
            pause_until: None,
        };
        Self { inner, options, state: Mutex::new(state), free: Notify::new(), gate: Gate::new(()) }
    }

    /// Returns how many calls may be under way at once now.
    pub fn concurrency(&self) -> usize {
        let at_once = self.inner.traffic().and_then(Traffic::at_once).unwrap_or(usize::MAX);
        (self.lock().limit as usize).min(at_once)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes a place and the reservation, or says what to wait for.
    fn enter(&self, tokens: f64) -> Result<(), Option<Instant>> {
        let now = Instant::now();
        // What the endpoint would only queue waits here, where nobody takes it for slow.
        let at_once = self.inner.traffic().filter(|_| self.options.adaptive).and_then(Traffic::at_once);
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.active >= at_once.unwrap_or(usize::MAX) || state.active as f64 + 1.0 > state.limit.floor() {
            return Err(None);
        }
        let mut until = state.pause_until.filter(|until| *until > now);
        for (bucket, n) in
            [(&mut state.requests, 1.0), (&mut state.tokens, tokens)].into_iter().filter_map(filled)
        {
            bucket.refill(now);
            let wait = bucket.wait(n);
            if !wait.is_zero() {
                until = until.max(Some(now + wait));
            }
        }
        if until.is_some() {
            return Err(until);
        }
        state.active += 1;
        state.sent = state.sent.saturating_add(1);
        for (bucket, n) in
            [(&mut state.requests, 1.0), (&mut state.tokens, tokens)].into_iter().filter_map(filled)
        {
            bucket.level -= n;
        }
        Ok(())
    }

    async fn wait(&self, tokens: f64, on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync)) {
        let mut told = false;
        let mut tell = || {
            if !std::mem::replace(&mut told, true) {
                on_event(StreamEvent::Queued);
            }
        };
        let _turn = match self.gate.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                tell();
                self.gate.lock().await
            }
        };
        loop {
            let freed = self.free.notified();
            match self.enter(tokens) {
                Ok(()) => return,
                Err(Some(until)) => {
                    tell();
                    sleep_until(until).await;
                }
                Err(None) => {
                    tell();
                    freed.await;
                }
            }
        }
    }

    fn settle(&self, result: &Result<Response, Error>, reserved: f64) {
        let mut state = self.lock();
        if let Some(bucket) = &mut state.tokens {
            let used = match result {
                Ok(response) => {
                    response.usage.and_then(|usage| usage.total()).map_or(reserved, |total| total as f64)
                }
                Err(error) if error.kind() == ErrorKind::RateLimited => 0.0,
                Err(_) => reserved,
            };
            bucket.level = (bucket.level + reserved - used).min(bucket.capacity);
        }
        if !self.options.adaptive {
            return;
        }
        match result {
            Ok(_) => {
                if state.sent >= WINDOW {
                    (state.sent, state.refused) = (state.sent / 2, state.refused / 2);
                }
                let most = self.options.max_concurrent.max(1) as f64;
                state.limit = (state.limit + 1.0 / state.limit).min(most);
            }
            Err(error) if error.kind() == ErrorKind::RateLimited => {
                state.refused = state.refused.saturating_add(1);
                if state.refused >= MIN_REFUSED
                    && f64::from(state.refused) > MAX_SHARE * f64::from(state.sent)
                {
                    // The limit only means something below what is really under way.
                    state.limit = (state.limit.min(state.active as f64 + 1.0) * 0.7).max(1.0);
                    let wait =
                        error.retry_after().unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(60));
                    state.pause_until = state.pause_until.max(Some(Instant::now() + wait));
                    (state.sent, state.refused) = (0, 0);
                }
            }
            Err(_) => {}
        }
    }
}

fn filled((bucket, n): (&mut Option<Bucket>, f64)) -> Option<(&mut Bucket, f64)> {
    bucket.as_mut().map(|bucket| (bucket, n))
}

/// Estimates the tokens a request will take; a token of English is about four bytes.
fn estimate(request: &Request) -> f64 {
    let messages: usize = request.messages.iter().map(|message| message.content.len()).sum();
    let tools: usize =
        request.tools.iter().map(|tool| tool.description.len() + tool.parameters.to_string().len()).sum();
    (messages + tools) as f64 / 4.0 + f64::from(request.max_tokens.unwrap_or(500))
}

/// Gives a place back, also when the call is dropped.
struct Place<'a, C: Client>(&'a Limit<C>);

impl<C: Client> Drop for Place<'_, C> {
    fn drop(&mut self) {
        self.0.lock().active -= 1;
        self.0.free.notify_one();
    }
}

impl<C: Client> Client for Limit<C> {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            let begin = Instant::now();
            if let Some(preparation) = self.inner.prepare() {
                preparation.await;
            }
            let reserved = if self.options.tokens_per_minute.is_some() { estimate(request) } else { 0.0 };
            self.wait(reserved, on_event).await;
            let _place = Place(self);
            let offset = begin.elapsed();
            let mut result = self.inner.complete(request, on_event).await;
            self.settle(&result, reserved);
            match &mut result {
                Ok(response) => {
                    response.attempts.iter_mut().for_each(|attempt| attempt.shift(offset));
                    response.first_token = response.first_token.map(|first| first + offset);
                    response.elapsed += offset;
                }
                Err(error) => error.shift_attempts(offset),
            }
            result
        })
    }

    fn describe(&self) -> ClientInfo {
        self.inner.describe()
    }

    fn traffic(&self) -> Option<&Traffic> {
        self.inner.traffic()
    }
}

#[cfg(all(test, shuttle))]
mod shuttled {
    use std::sync::Arc;

    use super::*;
    use crate::{
        Malformed,
        sync::atomic::{AtomicUsize, Ordering},
    };

    /// Counts who is inside; every fourth call is refused.
    struct Inner {
        inside: AtomicUsize,
        calls: AtomicUsize,
        most: usize,
    }

    /// Also a call that is dropped leaves.
    struct Leaves<'a>(&'a AtomicUsize);

    impl Drop for Leaves<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Client for Inner {
        fn complete<'a>(
            &'a self,
            _: &'a Request,
            _: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
        ) -> BoxFuture<'a, Result<Response, Error>> {
            Box::pin(async move {
                let before = self.inside.fetch_add(1, Ordering::SeqCst);
                assert!(before < self.most, "{} inside", before + 1);
                let _leaves = Leaves(&self.inside);
                shuttle::future::yield_now().await;
                match self.calls.fetch_add(1, Ordering::SeqCst) % 4 {
                    3 => Err(Error::new(ErrorKind::Malformed(Malformed::Json), "refused")),
                    _ => Ok(Response::new("m", "done")),
                }
            })
        }

        fn describe(&self) -> ClientInfo {
            ClientInfo { provider: "test".into(), base_url: String::new(), simulated: true }
        }
    }

    #[test]
    fn in_any_order_nobody_is_forgotten_and_the_limit_holds() {
        let callers = || {
            let inner = Inner { inside: AtomicUsize::new(0), calls: AtomicUsize::new(0), most: 2 };
            let options = LimitOptions { max_concurrent: 2, adaptive: false, ..LimitOptions::default() };
            let limit = Arc::new(Limit::new(inner, options));
            let threads: Vec<_> = (0..4)
                .map(|i| {
                    let limit = Arc::clone(&limit);
                    shuttle::thread::spawn(move || {
                        shuttle::future::block_on(async move {
                            let request = Request::new("m");
                            let mut call = limit.complete(&request, &crate::ignore_events);
                            // One of them is dropped in the middle: its place is free again.
                            if i == 0 {
                                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                                let _ = call.as_mut().poll(&mut context);
                                drop(call);
                                return;
                            }
                            let _ = call.await;
                        });
                    })
                })
                .collect();
            threads.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(limit.lock().active, 0);
        };
        shuttle::check_random(callers, 5_000);
    }
}
