//! Observes an attempt from outside by its events, for attempts that are dropped midway.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::StreamEvent;
use crate::response::{Attempt, Outcome, Usage};

/// Watches the events of one inner call.
#[derive(Debug)]
pub(crate) struct Watch {
    begin: Instant,
    /// Where the inner call's clock starts on the outer call's clock.
    offset: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) sent: Option<Duration>,
    pub(crate) first: Option<Duration>,
    pub(crate) last: Option<Duration>,
    /// Longest wait between two parts of the answer.
    pub(crate) gap: Duration,
    pub(crate) received: u64,
}

impl Seen {
    fn part(&mut self, now: Duration) {
        if let Some(last) = self.last {
            self.gap = self.gap.max(now.saturating_sub(last));
        }
        self.last = Some(now);
    }
}

impl Watch {
    pub(crate) fn new(offset: Duration) -> Self {
        Self { begin: Instant::now(), offset, seen: Mutex::default() }
    }

    /// Returns the time since the inner call began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Takes note of an event.
    pub(crate) fn see(&self, event: &StreamEvent<'_>) {
        let now = self.begin.elapsed();
        let mut seen = self.lock();
        match event {
            StreamEvent::Sent { .. } => *seen = Seen { sent: Some(now), ..Seen::default() },
            StreamEvent::FirstToken => {
                seen.first = Some(now);
                seen.part(now);
            }
            StreamEvent::Delta(text) => {
                seen.received += text.len() as u64;
                seen.part(now);
            }
            StreamEvent::Reasoning(n) => {
                seen.received += *n as u64;
                seen.part(now);
            }
            StreamEvent::ToolCall(_) => seen.part(now),
            // The inner call has told of this attempt itself, or will.
            StreamEvent::Retrying { .. } => *seen = Seen::default(),
            _ => {}
        }
    }

    /// Returns what was seen, on the inner call's clock.
    pub(crate) fn seen(&self) -> Seen {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Returns the attempt that was under way, if one was, ended at `end` on the outer clock.
    pub(crate) fn attempt(
        &self,
        end: Duration,
        outcome: Outcome,
        error: Option<&str>,
        hedge: bool,
    ) -> Option<Attempt> {
        let seen = self.seen();
        let start = seen.sent? + self.offset;
        Some(Attempt {
            start,
            connected: None,
            first_token: seen.first.map(|first| first + self.offset),
            end,
            status: seen.first.map(|_| 200),
            outcome,
            error: error.map(str::to_owned),
            usage: None,
            usage_estimate: Some(estimate(seen.received)),
            received: seen.received,
            hedge,
        })
    }
}

/// Estimates what was generated from the bytes that came: a token of English is about four.
pub(crate) fn estimate(received: u64) -> Usage {
    Usage { output: Some(received.div_ceil(4)), ..Usage::default() }
}
