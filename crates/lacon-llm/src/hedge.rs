//! Sends a second request beside one that is slower than usual; the first valid answer wins.
//!
//! Two signs count as slow: no first token by the time by which nearly all earlier calls of this role and model had one, and a
//! stream that stands still far longer than such streams do. A long answer that keeps coming is not slow: a second request would
//! have to write it all again. The loser is dropped, which cancels it; what it was probably billed stays in the attempts. Both
//! requests run in the caller's future, so dropping the call drops both.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Sleep};

use crate::budget::Budget;
use crate::client::{BoxFuture, Client, ClientInfo, StreamEvent};
use crate::error::Error;
use crate::request::Request;
use crate::response::{Outcome, Response};
use crate::retry::fill_estimates;
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

enum Step {
    First(Result<Response, Error>),
    Second(Result<Response, Error>),
    Slow,
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

    fn note(&self, request: &Request, seen: Seen, answered: bool, elapsed: Duration) {
        let Some(sent) = seen.sent else { return };
        // A call that was given up would have taken longer still: without its time the quantile would shrink from hedge to hedge.
        let first = seen.first.unwrap_or(elapsed).saturating_sub(sent);
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
        let watch = Watch::new(Duration::ZERO);
        let see = |event: StreamEvent<'_>| {
            watch.see(&event);
            on_event(event);
        };
        let mut first = self.inner.complete(request, &see);
        let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        let step = poll_fn(|context| {
            if let Poll::Ready(result) = first.as_mut().poll(context) {
                return Poll::Ready(Step::First(result));
            }
            let Some(due) = due(begin, watch.seen(), patience) else { return Poll::Pending };
            arm(&mut timer, due);
            timer.as_mut().poll(context).map(|()| Step::Slow)
        })
        .await;
        if let Step::First(result) = step {
            if result.is_ok() {
                self.note(request, watch.seen(), true, watch.elapsed());
            }
            return result;
        }
        if !self.budget.withdraw() {
            let result = first.await;
            if result.is_ok() {
                self.note(request, watch.seen(), true, watch.elapsed());
            }
            return result;
        }
        let after = begin.elapsed();
        on_event(StreamEvent::Hedged { after });
        let second_watch = Watch::new(after);
        // The first request's text is being shown; the second one's is kept back until it has won.
        let quiet = |event: StreamEvent<'_>| second_watch.see(&event);
        let mut second = self.inner.complete(request, &quiet);
        let mut failed: Option<(Error, bool)> = None;
        let (mut response, second_won) = loop {
            let step = poll_fn(|context| {
                let first_failed = matches!(failed, Some((_, false)));
                let second_failed = matches!(failed, Some((_, true)));
                if !first_failed && let Poll::Ready(result) = first.as_mut().poll(context) {
                    return Poll::Ready(Step::First(result));
                }
                if !second_failed && let Poll::Ready(result) = second.as_mut().poll(context) {
                    return Poll::Ready(Step::Second(result));
                }
                Poll::Pending
            })
            .await;
            let (result, is_second) = match step {
                Step::First(result) => (result, false),
                Step::Second(result) => (result, true),
                Step::Slow => continue,
            };
            match result {
                Ok(response) => break (response, is_second),
                Err(mut error) => {
                    let offset = if is_second { after } else { Duration::ZERO };
                    let mut attempts = error.take_attempts();
                    attempts.iter_mut().for_each(|attempt| {
                        attempt.shift(offset);
                        attempt.hedge |= is_second;
                    });
                    let Some((mut earlier, _)) = failed.take() else {
                        failed = Some((error.with_attempts(attempts), is_second));
                        continue;
                    };
                    let mut all = earlier.take_attempts();
                    all.extend(attempts);
                    all.sort_by_key(|attempt| attempt.start);
                    return Err(error.with_attempts(all));
                }
            }
        };
        let end = begin.elapsed();
        drop(first);
        drop(second);
        self.note(request, watch.seen(), !second_won, watch.elapsed());
        if second_won {
            self.note(request, second_watch.seen(), true, second_watch.elapsed());
        }
        let offset = if second_won { after } else { Duration::ZERO };
        for attempt in &mut response.attempts {
            attempt.shift(offset);
            attempt.hedge |= second_won;
        }
        match failed {
            Some((mut error, _)) => response.attempts.extend(error.take_attempts()),
            None => {
                let loser = if second_won { &watch } else { &second_watch };
                response.attempts.extend(loser.attempt(end, Outcome::Superseded, None, !second_won));
            }
        }
        response.attempts.sort_by_key(|attempt| attempt.start);
        let mut attempts = std::mem::take(&mut response.attempts);
        fill_estimates(&mut attempts, &response);
        response.attempts = attempts;
        response.first_token = response.first_token.map(|first| first + offset);
        response.elapsed = end;
        response.hedged = true;
        if second_won {
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

fn arm(timer: &mut Pin<Box<Sleep>>, due: Instant) {
    if timer.deadline() != due {
        timer.as_mut().reset(due);
    }
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
