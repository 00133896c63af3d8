//! Many texts, or one long one, over several threads.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::crew::together;
use crate::encoding::Encoding;
use crate::incremental::last_settled_border;

/// Below this many bytes in all, waking threads costs more than it saves.
const WORTH_THREADS: usize = 128 << 10;
/// Bytes that a thread takes at a time: the last to end keeps the others waiting for half of that at the mean. A look-up of
/// the next costs as much as counting some ten bytes.
const SHARE: usize = 32 << 10;
/// Bytes of one long text that a cancelled count still finishes.
pub(crate) const SLICE: usize = 64 << 10;

/// Stops counts that others have begun.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// Nothing is cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops every count that was given this, within the time that 64 KiB of text take.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Encoding {
    /// Number of tokens of each text, over at most `threads` threads.
    pub fn count_batch(&self, texts: &[&str], threads: NonZeroUsize) -> Vec<usize> {
        self.batch(texts, threads, |text| self.count(text))
    }

    /// Token ids of each text, over at most `threads` threads.
    pub fn encode_batch(&self, texts: &[&str], threads: NonZeroUsize) -> Vec<Vec<u32>> {
        self.batch(texts, threads, |text| self.encode(text))
    }

    /// Number of tokens of one long text, over at most `threads` threads.
    ///
    /// The text is cut where every pattern has a border whatever surrounds it; one that has no such place is
    /// counted by one thread.
    pub fn count_parallel(&self, text: &str, threads: NonZeroUsize) -> usize {
        if text.len() < WORTH_THREADS || threads.get() == 1 {
            return self.count(text);
        }
        let rest = Mutex::new(text);
        let counts = together(threads.get() - 1, || {
            let mut n_tokens = 0;
            loop {
                let part = {
                    let mut rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
                    let (part, behind) = split_part(&rest, SHARE);
                    *rest = behind;
                    part
                };
                if part.is_empty() {
                    return n_tokens;
                }
                n_tokens += self.count(part);
            }
        });
        counts.iter().sum()
    }

    /// Number of tokens of `text`, or nothing if it is cancelled before the end.
    pub fn count_cancellable(&self, text: &str, cancel: &Cancel) -> Option<usize> {
        let mut n_tokens = 0;
        for part in parts(text, SLICE) {
            if cancel.is_cancelled() {
                return None;
            }
            n_tokens += self.count(part);
        }
        Some(n_tokens)
    }

    fn batch<T: Send>(
        &self,
        texts: &[&str],
        threads: NonZeroUsize,
        work: impl Fn(&str) -> T + Sync,
    ) -> Vec<T> {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let threads = threads.get().min(texts.len());
        if threads <= 1 || bytes < WORTH_THREADS {
            return texts.iter().map(|text| work(text)).collect();
        }
        let shares = shares(texts);
        let next = AtomicUsize::new(0);
        let done = together(threads.min(shares.len()) - 1, || {
            let mut done: Vec<(usize, Vec<T>)> = Vec::new();
            while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((share.start, texts[share.clone()].iter().map(|text| work(text)).collect()));
            }
            done
        });
        let mut done: Vec<_> = done.into_iter().flatten().collect();
        done.sort_unstable_by_key(|(start, _)| *start);
        done.into_iter().flat_map(|(_, results)| results).collect()
    }
}

/// Neighbours of about [`SHARE`] bytes in all, and longer texts alone: the longest first, so that the last to be done are
/// short ones.
fn shares(texts: &[&str]) -> Vec<Range<usize>> {
    let mut shares: Vec<(usize, Range<usize>)> = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        match shares.last_mut() {
            Some((bytes, share)) if *bytes + text.len() <= SHARE => {
                *bytes += text.len();
                share.end = at + 1;
            }
            _ => shares.push((text.len(), at..at + 1)),
        }
    }
    shares.sort_by_key(|(bytes, _)| Reverse(*bytes));
    shares.into_iter().map(|(_, share)| share).collect()
}

/// `text` in parts of about `size` bytes, cut where a border is certain.
pub(crate) fn parts(mut text: &str, size: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let (part, behind) = split_part(text, size);
        parts.push(part);
        text = behind;
    }
    parts
}

/// The first part of `text`, of about `size` bytes and cut where a border is certain, and what is behind it.
fn split_part(text: &str, size: usize) -> (&str, &str) {
    // How far the search for a border goes: doubled where there is none.
    let mut reach = size;
    while text.len() > reach {
        match last_settled_border(&text[..text.ceil_char_boundary(reach)]) {
            Some(border) => return text.split_at(border),
            None => reach *= 2,
        }
    }
    (text, "")
}
