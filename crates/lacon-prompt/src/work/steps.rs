//! Work of the encoders, counted: a search that takes too many steps gives up, and one that nobody waits for ends.
//!
//! A step is a line, a word or a byte that is looked at. Steps are counted instead of time, so that one text gives one
//! result on every machine and growth can be tested to the step.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many steps go by between two looks at the flag: some milliseconds at most.
const LOOK: u64 = 1 << 13;

/// The work on one text, and who may end it.
#[derive(Debug, Default)]
pub(crate) struct Steps<'a> {
    used: Cell<u64>,
    stop: Option<&'a AtomicBool>,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(stop: Option<&'a AtomicBool>) -> Self {
        Steps { used: Cell::new(0), stop }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.get()
    }

    /// Counts steps; `true` where somebody says to stop. Looks at the flag now and then.
    pub(crate) fn take(&self, steps: u64) -> bool {
        let before = self.used.get();
        self.used.set(before.saturating_add(steps));
        (before / LOOK != self.used.get() / LOOK) && self.is_stopped()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// What one search may take of it: so many steps for each byte of its text, and some for a short one.
    pub(crate) fn share(&self, bytes: usize, steps_per_byte: usize) -> Share<'_> {
        let limit = (bytes as u64).saturating_mul(steps_per_byte as u64).saturating_add(MIN_STEPS);
        Share { steps: self, left: Cell::new(limit), is_over: Cell::new(false) }
    }
}

/// Steps for a short text.
pub(crate) const MIN_STEPS: u64 = 1 << 16;

/// The steps of one search.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    steps: &'a Steps<'a>,
    left: Cell<u64>,
    is_over: Cell<bool>,
}

impl Share<'_> {
    /// Takes steps; `false` where there are not so many left, or somebody says to stop.
    pub(crate) fn spend(&self, steps: usize) -> bool {
        let stopped = self.steps.take(steps as u64);
        match self.left.get().checked_sub(steps as u64).filter(|_| !stopped) {
            Some(left) => self.left.set(left),
            None => {
                self.left.set(0);
                self.is_over.set(true);
            }
        }
        !self.is_over.get()
    }

    /// Whether the search gave up.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_ends_at_its_limit_or_when_told() {
        let stop = AtomicBool::new(false);
        let steps = Steps::new(Some(&stop));
        let share = steps.share(0, 1);
        assert!(share.spend(MIN_STEPS as usize) && !share.spend(1) && share.is_over());
        let share = steps.share(1 << 20, 1);
        stop.store(true, Ordering::Relaxed);
        let until = (0..LOOK * 2).find(|_| !share.spend(1));
        assert!(until.is_some_and(|n| n <= LOOK));
        assert!(steps.used() > MIN_STEPS);
    }
}
