//! One limit for all texts of a request: what they stand for together is bounded, however small each of them is.

use std::collections::HashSet;

use crate::compress::Compressed;
use crate::marker;
use crate::offload::Handle;
use crate::receipt::Outcome;

/// What the changed texts of a request stand for, all together.
#[derive(Default)]
pub(super) struct Whole {
    pub(super) bytes: usize,
    /// Contents of the store that are counted already, which they are not: whoever put one there has bounded it.
    known: HashSet<Handle>,
}

impl Whole {
    /// Adds a text and what it stands for: each content from the store is free once.
    pub(super) fn add(&mut self, short: &str, len: usize) {
        self.bytes += self.new_bytes(short, len);
        self.known.extend(marker::all(short).map(|marker| marker.handle));
    }

    pub(super) fn new_bytes(&self, short: &str, len: usize) -> usize {
        let mut seen = HashSet::new();
        let new =
            marker::all(short).filter(|m| !self.known.contains(&m.handle) && seen.insert(m.handle.clone()));
        // A character has at least one byte.
        len.saturating_sub(new.map(|marker| marker.chars).sum())
    }
}

/// The text as it is: its shorter form would take the request past what anyone restores.
pub(super) fn beyond_limit(short: Compressed, source: &str) -> Compressed {
    let mut passes = short.passes;
    for report in passes.iter_mut().filter(|report| report.outcome == Outcome::Kept) {
        report.outcome = Outcome::RolledBack("the request would expand to more than its budget");
    }
    let tokens_after = short.tokens_before;
    Compressed { text: source.to_owned(), exact: true, tokens_after, passes, ..short }
}
