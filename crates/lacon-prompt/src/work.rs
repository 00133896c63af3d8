//! What one expansion may cost. Every decoder asks here before it writes, also inside one row.

pub(crate) mod steps;

use std::cell::Cell;
use steps::Steps;

/// Said where an expansion is stopped.
pub(crate) const OVER: &str = "expands to more than its budget";

/// How much an expansion may write, and how much work it may do.
///
/// A few bytes can stand for gigabytes, or cost hours and write nothing. Whoever expands a text says what that may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Most bytes of the expanded text, and of each form on the way to it. The first copy of a content from the store is
    /// not counted: its size was bounded when it was put there.
    pub bytes: usize,
    /// Most units of work that need not write anything: parts of a row, lines looked at, bytes read again.
    pub steps: u64,
}

impl Budget {
    /// For a text of so many bytes from anywhere: 16 times its size and 64 KiB. What [`crate::compress::compress`] makes
    /// always expands within it.
    #[must_use]
    pub fn untrusted(len: usize) -> Budget {
        Budget::of_size(len.saturating_mul(16).saturating_add(64 << 10))
    }

    /// At most so many bytes, with work in proportion.
    #[must_use]
    pub fn of_size(bytes: usize) -> Budget {
        Budget { bytes, steps: (bytes as u64).saturating_mul(4) }
    }
}

/// A budget while it is used up.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    bytes: usize,
    steps: Cell<u64>,
    /// The work that this expansion is part of: a result is checked by expanding it.
    work: Option<&'a Steps<'a>>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(budget: Budget, work: Option<&'a Steps<'a>>) -> Self {
        Meter { bytes: budget.bytes, steps: Cell::new(budget.steps), work }
    }

    /// Whether a text may grow to so many bytes.
    pub(crate) fn fits(&self, len: usize) -> Result<(), &'static str> {
        if len > self.bytes { Err(OVER) } else { Ok(()) }
    }

    /// Appends a part if there is room for it.
    pub(crate) fn push(&self, out: &mut String, part: &str) -> Result<(), &'static str> {
        self.fits(out.len() + part.len())?;
        if self.work.is_some_and(|work| work.take(part.len() as u64)) {
            return Err(OVER);
        }
        out.push_str(part);
        Ok(())
    }

    /// Takes units of work from the budget.
    pub(crate) fn spend(&self, steps: usize) -> Result<(), &'static str> {
        self.steps.set(self.steps.get().checked_sub(steps as u64).ok_or(OVER)?);
        match self.work {
            Some(work) if work.take(steps as u64) => Err(OVER),
            _ => Ok(()),
        }
    }
}
