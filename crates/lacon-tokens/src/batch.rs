//! Many texts, or one long one, over several threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::encoding::Encoding;
use crate::incremental::last_settled_border;

/// Below this many bytes in all, starting threads costs more than it saves.
const WORTH_THREADS: usize = 256 << 10;
/// Bytes of one long text that a thread takes at a time; also what a cancelled count still finishes.
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
        let parts = parts(text, (text.len() / (threads.get() * 4)).max(SLICE));
        self.count_batch(&parts, threads).iter().sum()
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
        let next = AtomicUsize::new(0);
        let take = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(text) = texts.get(at) else { return done };
                done.push((at, work(text)));
            }
        };
        let mut results: Vec<(usize, T)> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
            let mut all = take();
            for other in others {
                all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            all
        });
        results.sort_unstable_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

/// `text` in parts of about `size` bytes, cut where a border is certain.
pub(crate) fn parts(text: &str, size: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    // How far the search for a border goes: doubled where there is none.
    let mut reach = size;
    while rest.len() > reach {
        let mut end = reach;
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        match last_settled_border(&rest[..end]) {
            Some(border) => {
                let (part, behind) = rest.split_at(border);
                parts.push(part);
                rest = behind;
                reach = size;
            }
            None => reach *= 2,
        }
    }
    parts.push(rest);
    parts
}
