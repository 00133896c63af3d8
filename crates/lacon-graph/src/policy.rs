//! Policies of a node: retry, cache, idle limit.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{State, StepError};

/// Retries of a step after a transient error ([`StepError::transient`]).
///
/// The wait doubles with each attempt. A waiting node keeps its slot in its class, so that retries cannot crowd out the
/// work they wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Starts in all, including the first; 1 for no retry.
    pub attempts: u32,
    /// Wait before the second start.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
}

impl Retry {
    /// Retries up to `starts` in all: half a second before the second one, at most half a minute between two.
    pub fn attempts(attempts: u32) -> Self {
        Self { attempts, first: Duration::from_millis(500), longest: Duration::from_secs(30) }
    }

    /// Returns the wait before a start, counted from 2.
    pub(crate) fn wait(self, attempt: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << attempt.saturating_sub(2).min(20));
        doubled.min(self.longest)
    }
}

/// A sign of life from a working step, for nodes with an idle limit.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    /// `None` if nobody listens.
    last: Option<Arc<Mutex<Instant>>>,
}

impl Pulse {
    /// Creates a pulse with a listener, and its first beat.
    pub(crate) fn heard() -> Self {
        Self { last: Some(Arc::new(Mutex::new(Instant::now()))) }
    }

    /// Reports that the step still makes progress.
    pub fn beat(&self) {
        if let Some(last) = &self.last {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// Returns the time of the last beat; without a listener, now.
    fn last(&self) -> Instant {
        self.last
            .as_ref()
            .map_or_else(Instant::now, |last| *last.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs a step under the limits of its node; the error names the limit that was reached.
pub(crate) async fn within<T>(
    node: &str,
    work: impl Future<Output = Result<T, StepError>>,
    time_limit: Option<Duration>,
    idle_limit: Option<Duration>,
    pulse: Pulse,
) -> Result<T, StepError> {
    let silence = async {
        let Some(limit) = idle_limit else { return std::future::pending().await };
        loop {
            let due = pulse.last() + limit;
            if due <= Instant::now() {
                return limit;
            }
            tokio::time::sleep_until(due).await;
        }
    };
    let over = async {
        match time_limit {
            Some(limit) => {
                tokio::time::sleep(limit).await;
                limit
            }
            None => std::future::pending().await,
        }
    };
    let (work, silence, over) = (std::pin::pin!(work), std::pin::pin!(silence), std::pin::pin!(over));
    let limits = futures_util::future::select(silence, over);
    match futures_util::future::select(work, limits).await {
        futures_util::future::Either::Left((result, _)) => result,
        futures_util::future::Either::Right((futures_util::future::Either::Left((limit, _)), _)) => {
            Err(StepError::new(format!(
                "node {node:?} gave no sign of life for its idle limit of {:.3} s",
                limit.as_secs_f64()
            ))
            .transient())
        }
        futures_util::future::Either::Right((futures_util::future::Either::Right((limit, _)), _)) => {
            Err(StepError::new(format!(
                "node {node:?} took longer than its limit of {:.3} s",
                limit.as_secs_f64()
            ))
            .transient())
        }
    }
}

/// Keeps outputs of nodes with a cache policy between starts and runs.
pub trait NodeCache<S: State>: Send + Sync {
    /// Returns the update under a key, unless it has expired.
    fn get(&self, key: &str) -> Option<S::Update>;
    /// Keeps an update under a key for the given time.
    fn put(&self, key: &str, update: &S::Update, time_to_live: Duration);
}

/// A [`NodeCache`] in memory, bounded by the number of entries; the oldest one is dropped.
pub struct MemoryCache<S: State> {
    capacity: usize,
    entries: Mutex<HashMap<String, Entry<S>>>,
}

struct Entry<S: State> {
    update: S::Update,
    stored: Instant,
    until: Instant,
}

impl<S: State> fmt::Debug for MemoryCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl<S: State> MemoryCache<S> {
    /// Creates a cache of at most this many updates.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::new(HashMap::new()) }
    }
}

impl<S: State> NodeCache<S> for MemoryCache<S> {
    fn get(&self, key: &str) -> Option<S::Update> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|entry| entry.until > Instant::now()).map(|entry| entry.update.clone())
    }

    fn put(&self, key: &str, update: &S::Update, time_to_live: Duration) {
        if self.capacity == 0 {
            return;
        }
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.capacity && !entries.contains_key(key) {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.stored).map(|(key, _)| key.clone());
            oldest.map(|key| entries.remove(&key));
        }
        entries.insert(key.into(), Entry { update: update.clone(), stored: now, until: now + time_to_live });
    }
}
