//! Times Lacon's own operations: one call around any operation, sync or async.
//!
//! ```
//! # let ops = lacon_monitor::OpLog::default();
//! let sum = ops.time("add", || 1 + 1);
//! assert_eq!((sum, ops.facts().len()), (2, 1));
//! ```

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Most operations that are kept; a run of thirteen roles notes some 160.
const MOST: usize = 100_000;

/// One finished operation. Times are since the log began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpFact {
    /// Name of the operation, one of a fixed set.
    pub op: &'static str,
    /// When it began.
    pub start: Duration,
    /// How long it took.
    pub took: Duration,
}

/// The operations of a run in order of their ends. Beyond 100,000 they are counted and not kept.
#[derive(Debug)]
pub struct OpLog {
    began: Instant,
    on: bool,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    facts: Vec<OpFact>,
    dropped: usize,
}

impl Default for OpLog {
    fn default() -> Self {
        Self::new(Instant::now(), true)
    }
}

impl OpLog {
    /// Creates a log whose times count from `began`. A log that is off runs operations and notes nothing.
    pub fn new(began: Instant, on: bool) -> Self {
        Self { began, on, noted: Mutex::default() }
    }

    /// Returns whether it notes operations.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Runs an operation and notes its duration.
    pub fn time<R>(&self, op: &'static str, f: impl FnOnce() -> R) -> R {
        if !self.on {
            return f();
        }
        let start = Instant::now();
        let result = f();
        self.note(op, start);
        result
    }

    /// Awaits something and notes how long that took, its waits included. Dropping the future notes nothing.
    pub async fn wrap<F: Future>(&self, op: &'static str, future: F) -> F::Output {
        if !self.on {
            return future.await;
        }
        let start = Instant::now();
        let result = future.await;
        self.note(op, start);
        result
    }

    /// Notes what has been done since `start`.
    pub fn since(&self, op: &'static str, start: Instant) {
        if self.on {
            self.note(op, start);
        }
    }

    fn note(&self, op: &'static str, start: Instant) {
        let fact = OpFact { op, start: start.saturating_duration_since(self.began), took: start.elapsed() };
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.facts.len() < MOST { noted.facts.push(fact) } else { noted.dropped += 1 }
    }

    /// A copy of everything noted so far.
    pub fn facts(&self) -> Vec<OpFact> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).facts.clone()
    }

    /// Operations that were not kept.
    pub fn n_dropped(&self) -> usize {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_and_async_work_is_timed_and_the_switch_works() {
        let log = OpLog::default();
        assert_eq!(log.time("a", || 3), 3);
        let mut future = Box::pin(log.wrap("b", async { 4 }));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert_eq!(future.as_mut().poll(&mut context), std::task::Poll::Ready(4));
        drop(future);
        assert_eq!(log.facts().iter().map(|o| o.op).collect::<Vec<_>>(), ["a", "b"]);
        let off = OpLog::new(Instant::now(), false);
        off.time("a", || ());
        assert_eq!(off.facts().len(), 0);
    }
}
