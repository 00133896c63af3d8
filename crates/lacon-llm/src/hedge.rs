//! Hedging: a second request beside one that is slower than usual; the first valid answer wins.
//!
//! Three signs count as slow. There is no first token by the time at which nearly all earlier calls of this role and
//! model had one. A stream stands still far longer than such streams do. Or a stream is so slow that, at the usual
//! length and speed, a new request would finish well before it. A long answer at the usual speed is not slow, and a call
//! is not slow that waits while the server works on others ([`Traffic`]).
//!
//! The race is decided as early as possible, because a loser that goes on writing is billed in full: after a late first
//! token by the first token, after a standstill by the next part. The loser is dropped, which cancels it; its estimated
//! bill stays in the attempts. All requests run in the caller's future, so dropping the call drops them all.

mod history;

use std::future::{Future, poll_fn};
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use history::History;
pub use history::Sample;

use crate::budget::Budget;
use crate::client::{BoxFuture, Client, ClientInfo, StreamEvent};
use crate::error::{Error, ErrorKind, Timeout};
use crate::request::Request;
use crate::response::{Attempt, Outcome, Response};
use crate::retry::{fill_estimates, total_timeout};
use crate::traffic::Traffic;
use crate::watch::Watch;

/// Steers [`Hedge`].
#[derive(Debug, Clone)]
pub struct HedgeOptions {
    /// Share of earlier calls that must have had their first token sooner.
    pub quantile: f64,
    /// Earlier calls that are needed before their times are used.
    pub min_samples: usize,
    /// Earlier answers of a role that are needed before their length is used.
    pub min_lengths: usize,
    /// Earlier calls that are remembered per role and model.
    pub window: usize,
    /// Wait for a first token while nothing is learned, four times as long for reasoning models; `None` disables the
    /// hedge.
    pub first_token: Option<Duration>,
    /// Wait for the next part of an answer while nothing is learned; `None` disables the hedge.
    pub gap: Option<Duration>,
    /// The wait for a first token is this many times what was learned.
    pub first_factor: f64,
    /// Shortest wait, whatever was learned.
    pub min_wait: Duration,
    /// A gap must be this many times the usual longest one.
    pub gap_factor: f64,
    /// How long a stream is watched before its speed is judged.
    pub crawl_after: Duration,
    /// The rest of the answer must take this many times as long as a new request; `None` disables the check. Slow
    /// spells of a provider often affect all requests alike: measure before turning it on.
    pub crawl_factor: Option<f64>,
    /// Most further requests per call; 0 turns hedging off. A further one after the first goes out only when the one before it was
    /// refused and the first request is still slow.
    pub max_hedges: usize,
    /// Hedges that every call adds to the budget.
    pub budget_ratio: f64,
    /// Hedges that the budget holds at the start.
    pub budget_reserve: u32,
    /// Hedges that the budget holds at most.
    pub budget_most: u32,
}

impl Default for HedgeOptions {
    fn default() -> Self {
        Self {
            quantile: 0.95,
            min_samples: 12,
            min_lengths: 3,
            window: 128,
            first_token: Some(Duration::from_secs(20)),
            gap: Some(Duration::from_secs(8)),
            first_factor: 1.5,
            min_wait: Duration::from_millis(250),
            gap_factor: 4.0,
            crawl_after: Duration::from_secs(2),
            crawl_factor: None,
            max_hedges: 2,
            budget_ratio: 0.1,
            budget_reserve: 4,
            budget_most: 100,
        }
    }
}

/// Hedges the calls of the client it wraps.
#[derive(Debug)]
pub struct Hedge<C> {
    inner: C,
    options: HedgeOptions,
    budget: Budget,
    history: Mutex<History>,
}

/// Why a call counts as slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    NoFirstToken,
    Standstill,
    Crawl,
}

/// One request of a call.
struct Arm<'a> {
    /// Absent once it has failed.
    future: Option<BoxFuture<'a, Result<Response, Error>>>,
    start: Duration,
}

/// What a call waits for.
enum Turn {
    Ended(usize, Box<Result<Response, Error>>),
    Slow(Sign),
    /// The race is decided although nobody has ended.
    Leads(usize),
    Late,
}

/// Told of a request that was cut off by the time limit of its call.
const OUT_OF_TIME: &str = "the call ran out of time";

impl<C: Client> Hedge<C> {
    /// Wraps a client.
    pub fn new(inner: C, options: HedgeOptions) -> Self {
        let budget = Budget::new(options.budget_reserve, options.budget_ratio, options.budget_most);
        Self { inner, options, budget, history: Mutex::default() }
    }

    /// Returns the client inside.
    pub fn inner(&self) -> &C {
        &self.inner
    }

    /// Adds the times of a call, such as one of an earlier run.
    pub fn learn(&self, model: &str, role: &str, sample: Sample) {
        self.lock().learn(model, role, sample, self.options.window);
    }

    /// Returns what was learned, as model, role and times, to be kept for the next run.
    pub fn history(&self) -> Vec<(String, String, Vec<Sample>)> {
        self.lock().all()
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn note(&self, request: &Request, watch: &Watch, answered: bool) {
        if let Some(sample) = Sample::of(watch.seen(), watch.elapsed(), answered) {
            self.learn(&request.model, &request.tags.role, sample);
        }
    }

    /// Says whether a second request would only wait at the server beside the first, and since when the first is waited
    /// for in earnest.
    fn waits(&self, watch: &Watch, begin: Instant, held: &mut Duration) -> bool {
        let (Some(traffic), Some(sent)) = (self.inner.traffic(), watch.seen().sent) else { return false };
        let free =
            traffic.has_room_since().map_or(begin.elapsed(), |since| since.saturating_duration_since(begin));
        let before = std::mem::replace(held, free.max(sent));
        before.max(sent) < *held
    }

    /// Drops every request but `keep`, which cancels them, and accounts for them.
    fn retire(
        &self,
        request: &Request,
        arms: &mut [Arm<'_>],
        watches: &[Watch],
        keep: usize,
        end: Duration,
    ) -> Vec<Attempt> {
        let mut losers = Vec::new();
        for (n, arm) in arms.iter_mut().enumerate() {
            if n != keep && arm.future.take().is_some() {
                self.note(request, &watches[n], false);
                losers.extend(watches[n].attempt(end, Outcome::Superseded, None, n > 0));
            }
        }
        losers
    }

    async fn run(
        &self,
        request: &Request,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        self.budget.deposit();
        let begin = Instant::now();
        let patience = self.lock().patience(&request.model, &request.tags.role, &self.options);
        // All on the call's own clock.
        let watches: Vec<Watch> = (0..=self.options.max_hedges).map(|_| Watch::new(Duration::ZERO)).collect();
        let listeners: Vec<_> = watches
            .iter()
            .enumerate()
            .map(|(n, watch)| {
                move |event: StreamEvent<'_>| {
                    watch.see(&event);
                    // The first request's text is being shown; the others' is kept back until one has won.
                    if n == 0 {
                        on_event(event);
                    }
                }
            })
            .collect();
        let first = self.inner.complete(request, &listeners[0]);
        let mut arms = vec![Arm { future: Some(first), start: Duration::ZERO }];
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut again: Option<Instant> = None;
        let mut sign = Sign::NoFirstToken;
        let mut may_hedge = self.options.max_hedges > 0;
        // Until here the call waited for a server that worked on others.
        let mut held = Duration::ZERO;
        let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        let mut limit = request.timeout.map(|timeout| Box::pin(tokio::time::sleep(timeout)));
        let (winner, mut response) = loop {
            let turn = poll_fn(|context| {
                for (n, arm) in arms.iter_mut().enumerate() {
                    let Some(future) = &mut arm.future else { continue };
                    if let Poll::Ready(result) = future.as_mut().poll(context) {
                        arm.future = None;
                        return Poll::Ready(Turn::Ended(n, Box::new(result)));
                    }
                }
                if let Some(n) = leader(&arms, &watches, sign) {
                    return Poll::Ready(Turn::Leads(n));
                }
                if let Some(limit) = &mut limit
                    && limit.as_mut().poll(context).is_ready()
                {
                    return Poll::Ready(Turn::Late);
                }
                if !may_hedge {
                    return Poll::Pending;
                }
                let (due, sign) = if arms.len() == 1 {
                    let mut seen = watches[0].seen();
                    seen.sent = seen.sent.map(|sent| sent.max(held));
                    if patience.is_crawling(seen, begin.elapsed()) {
                        return Poll::Ready(Turn::Slow(Sign::Crawl));
                    }
                    let sign = if seen.first.is_none() { Sign::NoFirstToken } else { Sign::Standstill };
                    (patience.due(seen).and_then(|due| begin.checked_add(due)), sign)
                } else {
                    (again, sign)
                };
                let Some(due) = due else { return Poll::Pending };
                if timer.deadline() != due {
                    timer.as_mut().reset(due);
                }
                timer.as_mut().poll(context).map(|()| Turn::Slow(sign))
            })
            .await;
            match turn {
                Turn::Slow(why) if arms.len() == 1 && self.waits(&watches[0], begin, &mut held) => {
                    may_hedge = why == Sign::NoFirstToken;
                }
                Turn::Slow(why) if self.budget.withdraw() => {
                    sign = why;
                    let start = begin.elapsed();
                    on_event(StreamEvent::Hedged { after: start });
                    let future = self.inner.complete(request, &listeners[arms.len()]);
                    arms.push(Arm { future: Some(future), start });
                    again = None;
                    may_hedge = arms.len() <= self.options.max_hedges;
                }
                Turn::Slow(_) => may_hedge = false,
                Turn::Leads(n) => {
                    may_hedge = false;
                    let losers = self.retire(request, &mut arms, &watches, n, begin.elapsed());
                    attempts.extend(losers);
                }
                Turn::Late => {
                    let late = Outcome::Failed(ErrorKind::Timeout(Timeout::Total));
                    for (n, _) in arms.iter().enumerate().filter(|(_, arm)| arm.future.is_some()) {
                        let attempt =
                            watches[n].attempt(begin.elapsed(), late.clone(), Some(OUT_OF_TIME), n > 0);
                        attempts.extend(attempt);
                    }
                    attempts.sort_by_key(|attempt| attempt.start);
                    return Err(total_timeout(request).with_attempts(attempts));
                }
                Turn::Ended(n, result) => match *result {
                    Ok(response) => break (n, response),
                    Err(mut error) => {
                        for mut attempt in error.take_attempts() {
                            attempt.shift(arms[n].start);
                            attempt.hedge |= n > 0;
                            attempts.push(attempt);
                        }
                        if arms.iter().all(|arm| arm.future.is_none()) {
                            attempts.sort_by_key(|attempt| attempt.start);
                            return Err(error.with_attempts(attempts));
                        }
                        // A second request that was refused leaves the first as slow as it was.
                        let wait = error.retry_after().unwrap_or(self.options.min_wait);
                        let first_is_left = arms[0].future.is_some();
                        again = (error.is_retryable() && first_is_left).then(|| Instant::now() + wait);
                    }
                },
            }
        };
        let end = begin.elapsed();
        self.note(request, &watches[winner], true);
        attempts.extend(self.retire(request, &mut arms, &watches, winner, end));
        let start = arms[winner].start;
        for mut attempt in std::mem::take(&mut response.attempts) {
            attempt.shift(start);
            attempt.hedge |= winner > 0;
            attempts.push(attempt);
        }
        attempts.sort_by_key(|attempt| attempt.start);
        fill_estimates(&mut attempts, &response);
        // A further request that the breaker refused was never sent.
        response.hedged |= attempts.iter().any(|attempt| attempt.hedge);
        response.attempts = attempts;
        response.first_token = response.first_token.map(|first| first + start);
        response.elapsed = end;
        if winner > 0 {
            on_event(StreamEvent::Restarted);
            if !response.text.is_empty() {
                on_event(StreamEvent::Delta(&response.text));
            }
        }
        Ok(response)
    }
}

/// Returns the request that has shown itself to be the better one while others are still under way.
fn leader(arms: &[Arm<'_>], watches: &[Watch], sign: Sign) -> Option<usize> {
    let alive: Vec<usize> = (0..arms.len()).filter(|&n| arms[n].future.is_some()).collect();
    if alive.len() < 2 {
        return None;
    }
    let first_of = |n: &usize| watches[*n].seen().first;
    match sign {
        Sign::NoFirstToken => alive.into_iter().filter(|n| first_of(n).is_some()).min_by_key(first_of),
        Sign::Standstill => {
            let moves_again = watches[0].seen().last > Some(arms[1].start);
            if alive[0] == 0 && moves_again {
                Some(0)
            } else {
                alive.into_iter().find(|n| *n > 0 && first_of(n).is_some())
            }
        }
        // Both are writing, and the one that started first may still be done first.
        Sign::Crawl => None,
    }
}

impl<C: Client> Client for Hedge<C> {
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
