//! From piece borders to counts and ids: a small cache of seen pieces per thread, then the vocabulary, then merging.
//!
//! The cache is what makes text fast: a piece of up to 15 bytes is two words that are compared at once, and the
//! pieces that a text is made of stay dense in the second-level cache, which the whole vocabulary does not. It is
//! per thread, so that threads share nothing that they write; its size is fixed.
//!
//! Cost: one load of 16 bytes, one hash, one probe of two neighbouring entries, no branch that text decides.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::merge::merge;
use crate::pretokenize::{Pattern, piece_end};
use crate::scan::{Batch, KEY, TAIL};
use crate::simd::{Vectors, scan, scan_tail};
use crate::tables::mix;
use crate::vocabulary::Vocabulary;

/// Longest piece whose bytes, length and count fit an entry of two words.
const SHORT: usize = 15;
const SHORT_SETS: usize = 1 << 15;
/// Longest piece of the second cache.
const MEDIUM: usize = 46;
const MEDIUM_SETS: usize = 1 << 12;
/// Caches that a thread keeps, one per encoding.
const CACHES_PER_THREAD: usize = 4;

/// A piece of up to 15 bytes: the bytes, zero-padded, then 4 bits of token count and 4 of length.
#[derive(Clone, Copy, Default)]
struct Short {
    low: u64,
    high: u64,
}

const COUNT_SHIFT: u32 = 56;
const COUNT_MASK: u64 = 0x0F << COUNT_SHIFT;

/// A piece of 16 to 46 bytes: the bytes, zero-padded, then one byte of length and one of token count.
#[derive(Clone, Copy, Default)]
struct Medium {
    words: [u64; 6],
}

/// Pieces seen by one thread with one encoding.
struct PieceCache {
    short: Box<[[Short; 2]]>,
    medium: Box<[[Medium; 2]]>,
}

impl PieceCache {
    fn new() -> Self {
        Self {
            short: vec![[Short::default(); 2]; SHORT_SETS].into_boxed_slice(),
            medium: vec![[Medium::default(); 2]; MEDIUM_SETS].into_boxed_slice(),
        }
    }
}

thread_local! {
    static CACHES: RefCell<Vec<(u64, PieceCache)>> = const { RefCell::new(Vec::new()) };
}

/// What splits and looks up the pieces of one encoding.
pub(crate) struct Pieces {
    /// Tells the caches of encodings apart; never given twice.
    number: u64,
    pattern: Pattern,
    vectors: Vectors,
}

impl Pieces {
    pub(crate) fn new(pattern: Pattern, vectors: Vectors) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), pattern, vectors }
    }

    /// Number of tokens of `text`, or some number above `limit` as soon as there are more.
    pub(crate) fn count(&self, vocabulary: &Vocabulary, text: &[u8], limit: usize) -> usize {
        self.with_cache(|cache| {
            let mut n_tokens = 0;
            let mut misses = Misses::default();
            self.for_each_batch(text, |text, batch| {
                n_tokens += count_batch(cache, &mut misses, vocabulary, text, batch);
                n_tokens <= limit
            });
            n_tokens
        })
    }

    /// Calls `each` with batches of pieces in order, until it says no.
    fn for_each_batch(&self, text: &[u8], mut each: impl FnMut(&[u8], &Batch) -> bool) {
        let mut batch = Batch::new();
        let mut at = 0;
        loop {
            let end = scan(self.vectors, self.pattern, text, at, &mut batch);
            if end == at {
                break;
            }
            if !each(text, &batch) {
                return;
            }
            at = end;
        }
        let rest = &text[at..];
        if !rest.is_empty() {
            let mut padded = [0; TAIL];
            padded[..rest.len()].copy_from_slice(rest);
            scan_tail(self.vectors, self.pattern, &padded, rest.len(), &mut batch);
            each(&padded, &batch);
        }
    }

    fn with_cache<T>(&self, work: impl FnOnce(&mut PieceCache) -> T) -> T {
        CACHES.with_borrow_mut(|caches| {
            let at = match caches.iter().position(|(number, _)| *number == self.number) {
                Some(at) => at,
                None => {
                    caches.truncate(CACHES_PER_THREAD - 1);
                    caches.insert(0, (self.number, PieceCache::new()));
                    0
                }
            };
            work(&mut caches[at].1)
        })
    }
}

/// Scratch of one count.
struct Misses {
    starts: Vec<(u32, u32)>,
    tokens: Vec<u32>,
}

impl Default for Misses {
    fn default() -> Self {
        Self { starts: Vec::new(), tokens: Vec::with_capacity(64) }
    }
}

/// Bytes of a key that belong to a piece of this length.
const KEEP: [(u64, u64); SHORT + 1] = {
    let mut table = [(0, 0); SHORT + 1];
    let mut len = 1;
    while len <= SHORT {
        table[len] = if len <= 8 {
            (u64::MAX >> (64 - 8 * len), 0)
        } else {
            (u64::MAX, u64::MAX >> (64 - 8 * (len - 8)))
        };
        len += 1;
    }
    table
};

#[inline(always)]
fn short_key(text: &[u8], start: usize, len: usize) -> (u64, u64) {
    let bytes: &[u8; KEY] = text[start..start + KEY].try_into().expect("the range has this length");
    let both = u128::from_le_bytes(*bytes);
    let (low, high) = KEEP[len & SHORT];
    (both as u64 & low, ((both >> 64) as u64 & high) | (len as u64) << 60)
}

#[inline(always)]
fn short_set(low: u64, high: u64) -> usize {
    (mix(0, low, high) >> 32) as usize % SHORT_SETS
}

#[inline(always)]
fn count_batch(
    cache: &mut PieceCache,
    misses: &mut Misses,
    vocabulary: &Vocabulary,
    text: &[u8],
    batch: &Batch,
) -> usize {
    let borders = batch.borders();
    misses.starts.resize(borders.len(), (0, 0));
    let short: &[[Short; 2]; SHORT_SETS] = (&*cache.short).try_into().expect("the cache has this size");
    let mut n_tokens = 0;
    let mut n_misses = 0;
    for pair in borders.windows(2) {
        let (start, len) = (pair[0] as usize, (pair[1] - pair[0]) as usize);
        let (low, high) = short_key(text, start, len);
        let [first, second] = &short[short_set(low, high)];
        let is_first = (first.low ^ low) | ((first.high ^ high) & !COUNT_MASK) == 0;
        let is_second = (second.low ^ low) | ((second.high ^ high) & !COUNT_MASK) == 0;
        let found = if is_first { first.high } else { second.high };
        let hit = (is_first | is_second) & (len <= SHORT);
        n_tokens += if hit { (found >> COUNT_SHIFT & 15) as usize } else { 0 };
        misses.starts[n_misses] = (pair[0], len as u32);
        n_misses += usize::from(!hit);
    }
    for i in 0..n_misses {
        let (start, len) = misses.starts[i];
        n_tokens += count_miss(cache, &mut misses.tokens, vocabulary, text, start as usize, len as usize);
    }
    n_tokens
}

fn count_miss(
    cache: &mut PieceCache,
    tokens: &mut Vec<u32>,
    vocabulary: &Vocabulary,
    text: &[u8],
    start: usize,
    len: usize,
) -> usize {
    let piece = &text[start..start + len];
    let mut resolve = || {
        if vocabulary.token(piece).is_some() {
            return 1;
        }
        tokens.clear();
        merge(vocabulary, piece, tokens);
        tokens.len()
    };
    if len <= SHORT {
        let (low, high) = short_key(text, start, len);
        let set = short_set(low, high);
        // The same piece can have missed before in this batch.
        for entry in &cache.short[set] {
            if entry.low == low && entry.high & !COUNT_MASK == high {
                return (entry.high >> COUNT_SHIFT & 15) as usize;
            }
        }
        let n = resolve();
        let [first, second] = &mut cache.short[set];
        *second = *first;
        *first = Short { low, high: high | (n as u64) << COUNT_SHIFT };
        n
    } else if len <= MEDIUM {
        let mut padded = [0; 48];
        padded[..len].copy_from_slice(piece);
        let mut words: [u64; 6] = std::array::from_fn(|i| {
            u64::from_le_bytes(padded[i * 8..i * 8 + 8].try_into().expect("eight bytes"))
        });
        let mut hash = mix(len as u64, words[0], words[1]);
        hash = mix(hash, words[2], words[3]);
        hash = mix(hash, words[4], words[5]);
        let set = (hash >> 32) as usize % MEDIUM_SETS;
        words[5] |= (len as u64) << 48;
        for entry in &cache.medium[set] {
            if entry.words[..5] == words[..5] && entry.words[5] & !(0xFF << 56) == words[5] {
                return (entry.words[5] >> 56) as usize;
            }
        }
        let n = resolve();
        words[5] |= (n as u64) << 56;
        let [first, second] = &mut cache.medium[set];
        *second = *first;
        *first = Medium { words };
        n
    } else {
        resolve()
    }
}

/// The pieces of `text` by the plain automaton: the oracle of the fast path.
pub(crate) fn plain_pieces(pattern: Pattern, text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < text.len()).then(|| {
            let start = at;
            at = piece_end(pattern, text, start);
            &text[start..at]
        })
    })
}
