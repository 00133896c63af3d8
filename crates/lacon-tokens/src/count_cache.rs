//! A cache of token counts, bounded by bytes.
//!
//! The key is a 256-bit digest of the encoding and the full text, so two texts never share an entry. A digest costs
//! about as much as counting a short text, so short texts bypass the cache.

use std::collections::HashMap;
use std::sync::PoisonError;

use crate::encoding::Encoding;
use crate::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

const N_SHARDS: usize = 16;
/// Bytes of one entry: key, count, links and its share of the hash table.
const ENTRY_BYTES: usize = 96;
/// Length below which texts bypass the cache.
const DEFAULT_THRESHOLD: usize = 8192;

/// A bounded, sharded cache of exact counts that many threads can share.
pub struct CountCache {
    shards: [Mutex<Shard>; N_SHARDS],
    entries_per_shard: usize,
    threshold: usize,
    enabled: bool,
    hits: AtomicU64,
    misses: AtomicU64,
    bypassed: AtomicU64,
    evictions: AtomicU64,
}

/// Options of a [`CountCache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountCacheOptions {
    /// Largest size in bytes.
    pub max_bytes: usize,
    /// Texts shorter than this many bytes bypass the cache.
    pub threshold: usize,
    /// Whether the cache is off, so that every count is computed.
    pub enabled: bool,
}

impl Default for CountCacheOptions {
    fn default() -> Self {
        Self { max_bytes: 4 << 20, threshold: DEFAULT_THRESHOLD, enabled: true }
    }
}

/// Statistics of a cache since it was created or cleared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CountCacheStats {
    /// Counts answered from the cache.
    pub hits: u64,
    /// Counts computed and stored.
    pub misses: u64,
    /// Counts computed because the text was short or the cache off.
    pub bypassed: u64,
    /// Entries dropped to stay within the bound.
    pub evictions: u64,
    /// Entries held.
    pub entries: usize,
    /// Bytes held.
    pub bytes: usize,
}

type Key = [u8; 32];

/// Two generations: a full young one replaces the old one, and a hit in the old one moves to the young one.
#[derive(Default)]
struct Shard {
    young: HashMap<Key, u32>,
    old: HashMap<Key, u32>,
}

impl CountCache {
    /// Creates an empty cache.
    pub fn new(options: CountCacheOptions) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            entries_per_shard: options.max_bytes / ENTRY_BYTES / N_SHARDS,
            threshold: options.threshold,
            enabled: options.enabled,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            bypassed: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// Counts the tokens of `text`, or returns the cached count.
    pub fn count(&self, encoding: &Encoding, text: &str) -> usize {
        if !self.enabled || text.len() < self.threshold || self.entries_per_shard < 2 {
            self.bypassed.fetch_add(1, Ordering::Relaxed);
            return encoding.count(text);
        }
        let key = key(encoding, text);
        let shard = &self.shards[key[0] as usize % N_SHARDS];
        if let Some(count) = self.find(shard, &key) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return count as usize;
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let count = encoding.count(text);
        if let Ok(small) = u32::try_from(count) {
            self.store(&mut shard.lock().unwrap_or_else(PoisonError::into_inner), key, small);
        }
        count
    }

    /// Clears all counts and statistics.
    pub fn clear(&self) {
        for shard in &self.shards {
            *shard.lock().unwrap_or_else(PoisonError::into_inner) = Shard::default();
        }
        for figure in [&self.hits, &self.misses, &self.bypassed, &self.evictions] {
            figure.store(0, Ordering::Relaxed);
        }
    }

    /// Returns the statistics of the cache.
    pub fn stats(&self) -> CountCacheStats {
        let entries = self
            .shards
            .iter()
            .map(|shard| {
                let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                shard.young.len() + shard.old.len()
            })
            .sum();
        CountCacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bypassed: self.bypassed.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            entries,
            bytes: entries * ENTRY_BYTES,
        }
    }

    fn find(&self, shard: &Mutex<Shard>, key: &Key) -> Option<u32> {
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = shard.young.get(key) {
            return Some(*count);
        }
        let count = shard.old.remove(key)?;
        self.store(&mut shard, *key, count);
        Some(count)
    }

    fn store(&self, shard: &mut Shard, key: Key, count: u32) {
        if shard.young.len() >= self.entries_per_shard / 2 {
            let dropped = std::mem::replace(&mut shard.old, std::mem::take(&mut shard.young));
            self.evictions.fetch_add(dropped.len() as u64, Ordering::Relaxed);
        }
        shard.young.insert(key, count);
    }
}

impl Default for CountCache {
    fn default() -> Self {
        Self::new(CountCacheOptions::default())
    }
}

impl std::fmt::Debug for CountCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CountCache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

fn key(encoding: &Encoding, text: &str) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&encoding.number().to_le_bytes());
    hasher.update(text.as_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(all(test, shuttle))]
mod shuttled {
    use std::sync::Arc;

    use super::*;

    /// Counting needs more stack than the scheduler gives a thread.
    fn check(threads: impl Fn() + Send + Sync + 'static) {
        let mut config = shuttle::Config::new();
        config.stack_size = 4 << 20;
        shuttle::Runner::new(shuttle::scheduler::RandomScheduler::new(2_000), config).run(threads);
    }

    #[test]
    fn in_any_order_counts_are_right_and_bounds_hold() {
        let encoding = crate::encoding(crate::EncodingName::Cl100kBase);
        let texts: Vec<String> = (0..6).map(|i| "word ".repeat(i + 1)).collect();
        let expected: Vec<usize> = texts.iter().map(|t| encoding.count(t)).collect();
        let work = Arc::new((texts, expected));
        let threads = move || {
            let options =
                CountCacheOptions { max_bytes: N_SHARDS * ENTRY_BYTES * 2, threshold: 0, enabled: true };
            let cache = Arc::new(CountCache::new(options));
            let threads: Vec<_> = (0..3)
                .map(|t| {
                    let (cache, work) = (Arc::clone(&cache), Arc::clone(&work));
                    shuttle::thread::spawn(move || {
                        for i in 0..6 {
                            let i = (i + t) % 6;
                            assert_eq!(cache.count(encoding, &work.0[i]), work.1[i]);
                        }
                        if t == 2 {
                            cache.clear();
                        }
                    })
                })
                .collect();
            let within =
                |stats: CountCacheStats| assert!(stats.bytes <= N_SHARDS * ENTRY_BYTES * 2, "{stats:?}");
            within(cache.stats());
            threads.into_iter().for_each(|t| t.join().unwrap());
            within(cache.stats());
        };
        check(threads);
    }

    #[test]
    fn figures_add_up_in_any_order() {
        let encoding = crate::encoding(crate::EncodingName::Cl100kBase);
        let threads = move || {
            let options = CountCacheOptions { max_bytes: 1 << 20, threshold: 0, enabled: true };
            let cache = Arc::new(CountCache::new(options));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let cache = Arc::clone(&cache);
                    shuttle::thread::spawn(move || {
                        cache.count(encoding, "one text");
                        cache.count(encoding, "another text");
                    })
                })
                .collect();
            threads.into_iter().for_each(|t| t.join().unwrap());
            let stats = cache.stats();
            assert_eq!((stats.hits + stats.misses, stats.entries), (6, 2), "{stats:?}");
            assert!(stats.misses >= 2);
        };
        check(threads);
    }
}
