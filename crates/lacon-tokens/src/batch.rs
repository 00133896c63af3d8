//! Counts and encodes many texts, or one long text, on several threads.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::crew::together;
use crate::encoding::Encoding;
use crate::incremental::last_settled_border;

/// Smallest total size in bytes for which threads pay off.
const WORTH_THREADS: usize = 128 << 10;
/// Bytes that a thread takes at a time. The last thread keeps the others waiting for half of this on average; taking
/// the next share costs as much as counting ten bytes.
const SHARE: usize = 32 << 10;
/// Bytes of one long text that a canceled count still finishes.
const SLICE: usize = 64 << 10;

/// Cancels counts from another thread.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// Creates a handle that has canceled nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels every count that holds this handle, within the time of 64 KiB of text.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether `cancel` was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Encoding {
    /// Counts the tokens of each text on at most `threads` threads.
    pub fn count_batch(&self, texts: &[&str], threads: NonZeroUsize) -> Vec<usize> {
        self.batch(texts, threads, |text| self.count(text))
    }

    /// Encodes each text on at most `threads` threads.
    pub fn encode_batch(&self, texts: &[&str], threads: NonZeroUsize) -> Vec<Vec<u32>> {
        self.batch(texts, threads, |text| self.encode(text))
    }

    /// Counts the tokens of one long text on at most `threads` threads.
    ///
    /// The text is cut where every pattern has a border in any context. A text without such a place is counted by one
    /// thread.
    pub fn count_parallel(&self, text: &str, threads: NonZeroUsize) -> usize {
        if text.len() < WORTH_THREADS || threads.get() == 1 || !self.is_of_bytes() {
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

    /// Counts the tokens of `text`; `None` if the count is canceled.
    pub fn count_cancellable(&self, text: &str, cancel: &Cancel) -> Option<usize> {
        let mut n_tokens = 0;
        for part in self.parts(text) {
            if cancel.is_cancelled() {
                return None;
            }
            n_tokens += self.count(part);
        }
        Some(n_tokens)
    }

    /// Parts of a text whose counts add up; a text of SentencePiece, which may join any two characters, is one.
    pub(crate) fn parts<'t>(&self, text: &'t str) -> Vec<&'t str> {
        match self.is_of_bytes() {
            true => parts(text, SLICE),
            false => vec![text],
        }
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

/// Groups neighboring texts of about [`SHARE`] bytes and leaves longer texts alone. The longest come first, so that the
/// last ones to finish are short.
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

/// Cuts `text` into parts of about `size` bytes, at certain borders.
fn parts(mut text: &str, size: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let (part, behind) = split_part(text, size);
        parts.push(part);
        text = behind;
    }
    parts
}

/// Returns the first part of `text`, of about `size` bytes and cut at a certain border, and the rest.
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
