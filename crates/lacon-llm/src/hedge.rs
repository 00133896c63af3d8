//! Sends a second request beside one that is slower than usual; the first valid answer wins.
//!
//! Two signs count as slow: no first token by the time by which nearly all earlier calls of this role and model had one, and a
//! stream that stands still far longer than such streams do. A long answer that keeps coming is not slow: a second request would
//! have to write it all again. The loser is dropped, which cancels it; what it was probably billed stays in the attempts. Both
//! requests run in the caller's future, so dropping the call drops both.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::budget::Budget;
use crate::client::{BoxFuture, Client, ClientInfo, StreamEvent};
use crate::error::{Error, ErrorKind, Timeout};
use crate::request::Request;
use crate::response::{Attempt, Outcome, Response};
use crate::retry::{fill_estimates, total_timeout};
use crate::watch::{Seen, Watch};

/// Most roles and models that are told apart; the one unused longest is forgotten.
const MAX_KEYS: usize = 256;

/// Steers [`Hedge`].
#[derive(Debug, Clone)]
pub struct HedgeOptions {
    /// Share of earlier calls that must have had their first token sooner.
    pub quantile: f64,
    /// Earlier calls that are needed before their times are used.
    pub min_samples: usize,
    /// Earlier calls that are remembered per role and model.
    pub window: usize,
    /// Wait for a first token while nothing is learned; none means no hedge.
    pub first_token: Option<Duration>,
    /// Wait for the next part of an answer while nothing is learned; none means no hedge.
    pub gap: Option<Duration>,
    /// Shortest wait, whatever was learned.
    pub min_wait: Duration,
    /// A gap must be this many times the usual longest one.
    pub gap_factor: f64,
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
            window: 128,
            first_token: Some(Duration::from_secs(20)),
            gap: Some(Duration::from_secs(8)),
            min_wait: Duration::from_millis(250),
            gap_factor: 4.0,
            max_hedges: 2,
            budget_ratio: 0.1,
            budget_reserve: 4,
            budget_most: 100,
        }
    }
}

/// The times of one earlier call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// From the sent request to the first token.
    pub first_token: Duration,
    /// Longest wait between two parts of the answer; absent for calls that were given up.
    pub gap: Option<Duration>,
}

#[derive(Debug, Default)]
struct History {
    /// By model and role; the model alone has the empty role.
    by_key: HashMap<(String, String), VecDeque<Sample>>,
    /// Keys, the one used last at the end.
    order: VecDeque<(String, String)>,
}

/// Hedges the calls of the client it wraps.
#[derive(Debug)]
pub struct Hedge<C> {
    inner: C,
    options: HedgeOptions,
    budget: Budget,
    history: Mutex<History>,
}

/// When a call counts as slow.
#[derive(Debug, Clone, Copy)]
struct Patience {
    first_token: Option<Duration>,
    gap: Option<Duration>,
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
    Slow,
    Late,
}

impl<C: Client> Hedge<C> {
    /// Wraps a client.
    pub fn new(inner: C, options: HedgeOptions) -> Self {
        let budget = Budget::new(options.budget_reserve, options.budget_ratio, options.budget_most);
        Self { inner, options, budget, history: Mutex::default() }
    }

    /// Adds the times of a call, such as one of an earlier run.
    pub fn learn(&self, model: &str, role: &str, sample: Sample) {
        let mut history = self.lock();
        for role in if role.is_empty() { vec![""] } else { vec![role, ""] } {
            let key = (model.to_owned(), role.to_owned());
            history.order.retain(|other| *other != key);
            history.order.push_back(key.clone());
            let samples = history.by_key.entry(key).or_default();
            if samples.len() >= self.options.window.max(1) {
                samples.pop_front();
            }
            samples.push_back(sample);
        }
        while history.order.len() > MAX_KEYS {
            if let Some(key) = history.order.pop_front() {
                history.by_key.remove(&key);
            }
        }
    }

    /// Returns what was learned, as model, role and times, to be kept for the next run.
    pub fn history(&self) -> Vec<(String, String, Vec<Sample>)> {
        let history = self.lock();
        let known = history.order.iter().filter(|(_, role)| !role.is_empty());
        known
            .filter_map(|key| {
                let samples = history.by_key.get(key)?;
                Some((key.0.clone(), key.1.clone(), samples.iter().copied().collect()))
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn patience(&self, request: &Request) -> Patience {
        let history = self.lock();
        let samples = [request.tags.role.as_str(), ""].into_iter().find_map(|role| {
            let samples = history.by_key.get(&(request.model.clone(), role.to_owned()))?;
            (samples.len() >= self.options.min_samples.max(1)).then_some(samples)
        });
        let Some(samples) = samples else {
            return Patience { first_token: self.options.first_token, gap: self.options.gap };
        };
        let floor = self.options.min_wait;
        let firsts = samples.iter().map(|sample| sample.first_token).collect();
        let gaps: Vec<_> = samples.iter().filter_map(|sample| sample.gap).collect();
        let gap =
            quantile(gaps, self.options.quantile).map(|gap| gap.mul_f64(self.options.gap_factor).max(floor));
        Patience {
            first_token: quantile(firsts, self.options.quantile).map(|first| first.max(floor)),
            gap: gap.or(self.options.gap),
        }
    }

    fn note(&self, request: &Request, watch: &Watch, answered: bool) {
        let seen = watch.seen();
        let Some(sent) = seen.sent else { return };
        // A call that was given up would have taken longer still: without its time the quantile would shrink from hedge to hedge.
        let first = seen.first.unwrap_or(watch.elapsed()).saturating_sub(sent);
        let gap = answered.then_some(seen.gap);
        self.learn(&request.model, &request.tags.role, Sample { first_token: first, gap });
    }

    async fn run(
        &self,
        request: &Request,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        self.budget.deposit();
        let begin = Instant::now();
        let patience = self.patience(request);
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
        let mut may_hedge = self.options.max_hedges > 0;
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
                if let Some(limit) = &mut limit
                    && limit.as_mut().poll(context).is_ready()
                {
                    return Poll::Ready(Turn::Late);
                }
                let due = if arms.len() == 1 { due(begin, watches[0].seen(), patience) } else { again };
                let Some(due) = due.filter(|_| may_hedge) else { return Poll::Pending };
                if timer.deadline() != due {
                    timer.as_mut().reset(due);
                }
                timer.as_mut().poll(context).map(|()| Turn::Slow)
            })
            .await;
            match turn {
                Turn::Slow if self.budget.withdraw() => {
                    let start = begin.elapsed();
                    on_event(StreamEvent::Hedged { after: start });
                    let future = self.inner.complete(request, &listeners[arms.len()]);
                    arms.push(Arm { future: Some(future), start });
                    again = None;
                    may_hedge = arms.len() <= self.options.max_hedges;
                }
                Turn::Slow => may_hedge = false,
                Turn::Late => {
                    let end = begin.elapsed();
                    let kind = ErrorKind::Timeout(Timeout::Total);
                    for (n, _) in arms.iter().enumerate().filter(|(_, arm)| arm.future.is_some()) {
                        let outcome = Outcome::Failed(kind);
                        attempts.extend(watches[n].attempt(
                            end,
                            outcome,
                            Some("the call ran out of time"),
                            n > 0,
                        ));
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
        for (n, arm) in arms.iter_mut().enumerate() {
            // Dropping the future cancels the request.
            if n != winner && arm.future.take().is_some() {
                self.note(request, &watches[n], false);
                attempts.extend(watches[n].attempt(end, Outcome::Superseded, None, n > 0));
            }
        }
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

/// Returns when the call counts as slow; never while it waits for its turn.
fn due(begin: Instant, seen: Seen, patience: Patience) -> Option<Instant> {
    let sent = seen.sent?;
    let due = match seen.last {
        None => sent + patience.first_token?,
        Some(last) => last + patience.gap?,
    };
    begin.checked_add(due)
}

/// Returns the smallest sample that at least `q` of all samples do not exceed.
fn quantile(mut samples: Vec<Duration>, q: f64) -> Option<Duration> {
    samples.sort_unstable();
    let rank = (samples.len() as f64 * q.clamp(0.0, 1.0)).ceil() as usize;
    samples.get(rank.max(1) - 1).copied()
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let ms = |n: u64| Duration::from_millis(n);
        let samples: Vec<_> = (1..=20).map(ms).collect();
        assert_eq!(quantile(samples.clone(), 0.95), Some(ms(19)));
        assert_eq!(quantile(samples.clone(), 0.0), Some(ms(1)));
        assert_eq!(quantile(samples, 1.0), Some(ms(20)));
        assert_eq!(quantile(Vec::new(), 0.5), None);
    }
}
