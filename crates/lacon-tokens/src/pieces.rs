//! From piece borders to counts and ids: a small cache of seen pieces per thread, then the vocabulary, then merging.
//!
//! The cache is what makes text fast: a piece of up to 15 bytes is two words that are compared at once, and the
//! pieces that a text is made of stay dense in the second-level cache, which the whole vocabulary does not. It is
//! per thread, so that threads share nothing that they write; its size is fixed.
//!
//! Cost: one load of 16 bytes, one hash, one probe of two neighbouring entries, no branch that text decides.

use std::cell::RefCell;
use std::hint::select_unpredictable;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::merge::{count_merged, merge};
use crate::pretokenize::Pattern;
use crate::scan::{Batch, KEY, TAIL, unpack};
use crate::simd::{Vectors, count_batch, encode_batch, scan, scan_tail};
use crate::tables::{hash, mix};
use crate::vocabulary::Vocabulary;

/// Longest piece whose bytes, length and count fit one word.
const TINY: usize = 7;
const TINY_SETS: usize = 1 << 13;
/// Longest piece whose bytes, length and count fit two words.
const SHORT: usize = 15;
const SHORT_SETS: usize = 1 << 15;
const SHORT_WAYS: usize = 4;
/// Longest piece of the third table.
const MEDIUM: usize = 46;
const MEDIUM_SETS: usize = 1 << 13;
const MEDIUM_WAYS: usize = 4;
/// Longest piece of the fourth table.
const LONG: usize = 256;
const LONG_SETS: usize = 1 << 11;
/// Caches that a thread keeps, one per encoding.
const CACHES_PER_THREAD: usize = 4;

/// Pieces of up to 7 bytes, a cache line of them: the bytes, zero-padded, 5 bits of token count, 3 of length.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct TinySet(pub(crate) [u64; 8]);

const TINY_LEN_SHIFT: u32 = 61;
const TINY_COUNT_SHIFT: u32 = 56;
/// The bits of a [`TinySet`]'s word that are its count and not its key.
pub(crate) const TINY_COUNT: u64 = 0x1F << TINY_COUNT_SHIFT;

/// Pieces of 8 to 15 bytes, a cache line of them: the first words, then the second; with the bytes, zero-padded,
/// 4 bits of token count, 4 of length.
type ShortSet = [u64; 2 * SHORT_WAYS];

const COUNT_SHIFT: u32 = 56;
const COUNT_MASK: u64 = 0x0F << COUNT_SHIFT;

/// A piece of 16 to 46 bytes: the bytes, zero-padded, then one byte of length and one of token count.
type Medium = [u64; 6];

/// Token numbers of a cached piece: up to three, plus one, in 21 bits each; or where they are in `many`.
///
/// Zero where the piece was counted and not encoded.
type Ids = u64;

const ID_BITS: u32 = 21;
const ID_MASK: u64 = (1 << ID_BITS) - 1;
const IN_MANY: u64 = 1 << 63;
/// Most ids that a thread keeps for pieces of more than three.
const MANY: usize = 1 << 18;

/// Pieces seen by one thread with one encoding.
///
/// All tables but the first are arrays of plain words, which begin as zeros: the system hands out their pages when
/// they are first touched, so that a thread that counts one short text does not pay for the whole.
pub(crate) struct PieceCache {
    tiny: Box<[TinySet; TINY_SETS]>,
    tiny_ids: Vec<[Ids; 8]>,
    short: Lines,
    short_ids: Vec<[Ids; SHORT_WAYS]>,
    medium: Vec<[Medium; MEDIUM_WAYS]>,
    medium_ids: Vec<[Ids; MEDIUM_WAYS]>,
    /// Pieces of 47 to 256 bytes: length and token count in the halves of a word, the bytes, the ids.
    long: Vec<u32>,
    long_bytes: Vec<[u8; LONG]>,
    long_ids: Vec<Ids>,
    /// Ids of the pieces that have more than three.
    many: Vec<u32>,
}

impl PieceCache {
    fn new() -> Self {
        Self {
            tiny: vec![TinySet([0; 8]); TINY_SETS]
                .into_boxed_slice()
                .try_into()
                .unwrap_or_else(|_| unreachable!("made with this length")),
            tiny_ids: vec![[0; 8]; TINY_SETS],
            short: Lines::new(SHORT_SETS),
            short_ids: vec![[0; SHORT_WAYS]; SHORT_SETS],
            medium: vec![[[0; 6]; MEDIUM_WAYS]; MEDIUM_SETS],
            medium_ids: vec![[0; MEDIUM_WAYS]; MEDIUM_SETS],
            long: vec![0; LONG_SETS],
            long_bytes: vec![[0; LONG]; LONG_SETS],
            long_ids: vec![0; LONG_SETS],
            many: Vec::new(),
        }
    }
}

/// Sets of eight words, each in one cache line.
struct Lines {
    words: Vec<u64>,
    /// Words before the first that begins a line.
    from: usize,
}

impl Lines {
    fn new(n: usize) -> Self {
        let words = vec![0; n * 8 + 8];
        let from = (words.as_ptr() as usize).wrapping_neg() % 64 / 8;
        Self { words, from }
    }

    #[inline(always)]
    fn get(&self, at: usize) -> &[u64; 8] {
        let from = self.from + at * 8;
        self.words[from..from + 8].try_into().expect("the range has this length")
    }

    #[inline(always)]
    fn get_mut(&mut self, at: usize) -> &mut [u64; 8] {
        let from = self.from + at * 8;
        (&mut self.words[from..from + 8]).try_into().expect("the range has this length")
    }
}

/// What a thread keeps for one encoding: its number, the cache, and room to work in.
struct Kept {
    number: u64,
    cache: PieceCache,
    batch: Box<Batch>,
    misses: Misses,
}

thread_local! {
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// What splits and looks up the pieces of one encoding; clones share their threads' caches.
#[derive(Clone)]
pub(crate) struct Pieces {
    /// Tells the caches of encodings apart; never given twice.
    number: u64,
    pattern: Pattern,
    vectors: Vectors,
    /// Whether single ASCII characters and groups of digits need no look-up to be counted.
    skip: bool,
}

impl Pieces {
    pub(crate) fn new(pattern: Pattern, vectors: Vectors, vocabulary: &Vocabulary) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Bytes are tokens in every vocabulary; groups of digits are checked, all 1,100 of them.
        let digits = |n: usize| (0..10_usize.pow(n as u32)).map(move |i| format!("{i:0n$}"));
        let skip = pattern == Pattern::Gpt2
            || (1..=3).all(|n| digits(n).all(|group| vocabulary.token(group.as_bytes()).is_some()));
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), pattern, vectors, skip }
    }

    /// A number that no other encoding with other results has.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Number of tokens of `text`, or some number above `limit` as soon as there are more.
    pub(crate) fn count(&self, vocabulary: &Vocabulary, text: &[u8], limit: usize) -> usize {
        self.with_kept(|kept| {
            let (cache, misses) = (&mut kept.cache, &mut kept.misses);
            let mut n_tokens = 0;
            self.for_each_batch(text, &mut kept.batch, self.skip, |text, batch| {
                n_tokens += count_batch(self.vectors, cache, misses, vocabulary, text, batch);
                n_tokens <= limit
            });
            n_tokens
        })
    }

    /// Appends the tokens of `text` to `out`.
    pub(crate) fn encode(&self, vocabulary: &Vocabulary, text: &[u8], out: &mut Vec<u32>) {
        self.with_kept(|kept| {
            let cache = &mut kept.cache;
            self.for_each_batch(text, &mut kept.batch, false, |text, batch| {
                encode_batch(self.vectors, cache, vocabulary, text, batch, out);
                true
            });
        });
    }

    /// Calls `each` with batches of pieces in order, until it says no.
    fn for_each_batch(
        &self,
        text: &[u8],
        batch: &mut Batch,
        skip: bool,
        mut each: impl FnMut(&[u8], &Batch) -> bool,
    ) {
        batch.set_skip(skip);
        let mut at = 0;
        loop {
            let end = scan(self.vectors, self.pattern, text, at, batch);
            if end == at {
                break;
            }
            if !each(text, batch) {
                return;
            }
            at = end;
        }
        let rest = &text[at..];
        if !rest.is_empty() {
            let mut padded = [0; TAIL];
            padded[..rest.len()].copy_from_slice(rest);
            scan_tail(self.vectors, self.pattern, &padded, rest.len(), batch);
            each(&padded, batch);
        }
    }

    fn with_kept<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        KEPT.with_borrow_mut(|all| {
            let at = match all.iter().position(|kept| kept.number == self.number) {
                Some(at) => at,
                None => {
                    all.truncate(CACHES_PER_THREAD - 1);
                    let (cache, batch) = (PieceCache::new(), Box::new(Batch::new()));
                    all.insert(0, Kept { number: self.number, cache, batch, misses: Misses::default() });
                    0
                }
            };
            work(&mut all[at])
        })
    }
}

/// Scratch of one count.
pub(crate) struct Misses {
    /// Start in the lower half, length in the upper.
    pieces: Vec<u64>,
    tokens: Vec<u32>,
}

impl Default for Misses {
    fn default() -> Self {
        Self { pieces: Vec::new(), tokens: Vec::with_capacity(64) }
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

/// Number of tokens of the pieces of `batch`; call it through `simd.rs`.
///
/// `matches` gives a bit for each word of a set that equals the key but for its count.
#[inline(always)]
pub(crate) fn count_batch_with(
    matches: impl Fn(&TinySet, u64) -> u32,
    cache: &mut PieceCache,
    misses: &mut Misses,
    vocabulary: &Vocabulary,
    text: &[u8],
    batch: &Batch,
) -> usize {
    let pieces = batch.packed();
    if misses.pieces.len() <= pieces.len() {
        misses.pieces.resize(pieces.len() + 1, 0);
    }
    let missed = &mut misses.pieces[..pieces.len() + 1];
    let mut n_tokens = batch.n_plain();
    let mut n_misses = 0;
    for piece in pieces {
        let (start, len) = unpack(*piece);
        let key = tiny_key(text, start, len);
        let set = &cache.tiny[tiny_set(key) % TINY_SETS];
        let matched = matches(set, key);
        let hit = (matched != 0) & (len <= TINY);
        let found = set.0[matched.trailing_zeros() as usize & 7];
        n_tokens += select_unpredictable(hit, (found >> TINY_COUNT_SHIFT & 31) as usize, 0);
        missed[n_misses] = *piece;
        n_misses += usize::from(!hit);
    }
    let n_longer = n_misses;
    n_misses = 0;
    for i in 0..n_longer {
        let (start, len) = unpack(missed[i]);
        let (low, high) = short_key(text, start, len);
        let set: &ShortSet = cache.short.get(short_set(low, high));
        // At most one way holds the key, so that the union over the ways is its count.
        let mut found = 0;
        for way in 0..SHORT_WAYS {
            let word = set[SHORT_WAYS + way];
            let differs = (set[way] ^ low) | ((word ^ high) & !COUNT_MASK);
            found |= select_unpredictable(differs == 0, word & COUNT_MASK, 0);
        }
        let found = select_unpredictable(len <= SHORT, (found >> COUNT_SHIFT) as usize, 0);
        n_tokens += found;
        missed[n_misses] = missed[i];
        n_misses += usize::from(found == 0);
    }
    for i in 0..n_misses {
        let (start, len) = unpack(misses.pieces[i]);
        n_tokens += count_miss(&matches, cache, &mut misses.tokens, vocabulary, text, start, len);
    }
    n_tokens
}

#[inline(always)]
fn tiny_key(text: &[u8], start: usize, len: usize) -> u64 {
    let bytes: &[u8; 8] = text[start..start + 8].try_into().expect("the range has this length");
    // Of a longer piece some bits that no piece of the table has.
    let keep = (1_u64 << (8 * len & 63)) - 1;
    (u64::from_le_bytes(*bytes) & keep) | (len as u64) << TINY_LEN_SHIFT
}

#[inline(always)]
fn tiny_set(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - TINY_SETS.trailing_zeros())) as usize
}

/// Appends the tokens of the pieces of `batch` to `out`; call it through `simd.rs`.
#[inline(always)]
pub(crate) fn encode_batch_with(
    matches: impl Fn(&TinySet, u64) -> u32,
    cache: &mut PieceCache,
    vocabulary: &Vocabulary,
    text: &[u8],
    batch: &Batch,
    out: &mut Vec<u32>,
) {
    const ROOM: usize = 256;
    let mut buffer = [0_u32; ROOM + 4];
    let mut n = 0;
    for piece in batch.packed() {
        let (start, len) = unpack(*piece);
        let mut ids = 0;
        let mut count = 0;
        if len <= TINY {
            let key = tiny_key(text, start, len);
            let at = tiny_set(key);
            let matched = matches(&cache.tiny[at % TINY_SETS], key);
            let way = matched.trailing_zeros() as usize & 7;
            ids = select_unpredictable(matched != 0, cache.tiny_ids[at][way], 0);
            count = (cache.tiny[at % TINY_SETS].0[way] >> TINY_COUNT_SHIFT & 31) as usize;
        }
        if ids == 0 || ids & IN_MANY != 0 {
            let piece = &text[start..start + len];
            let (slot, found) = find(&matches, cache, text, start, len);
            (ids, count) = match found {
                Some((ids, count)) if ids != 0 => (ids, count),
                _ => {
                    out.extend_from_slice(&buffer[..n]);
                    n = 0;
                    let first = out.len();
                    match vocabulary.token(piece) {
                        Some(token) => out.push(token),
                        None => merge(vocabulary, piece, out),
                    }
                    let tokens = &out[first..];
                    let packed = pack(&mut cache.many, tokens);
                    store(cache, slot, piece, tokens.len(), packed);
                    continue;
                }
            };
        }
        if ids & IN_MANY != 0 {
            out.extend_from_slice(&buffer[..n]);
            n = 0;
            let at = (ids & !IN_MANY) as usize;
            out.extend_from_slice(&cache.many[at..at + count]);
            continue;
        }
        for (i, slot) in buffer[n..n + 3].iter_mut().enumerate() {
            *slot = ((ids >> (i as u32 * ID_BITS) & ID_MASK) as u32).wrapping_sub(1);
        }
        n += count;
        if n > ROOM {
            out.extend_from_slice(&buffer[..n]);
            n = 0;
        }
    }
    out.extend_from_slice(&buffer[..n]);
}

fn pack(many: &mut Vec<u32>, tokens: &[u32]) -> Ids {
    if tokens.len() <= 3 {
        let packed = tokens.iter().rev().fold(0, |packed, token| packed << ID_BITS | u64::from(token + 1));
        return packed;
    }
    if many.len() + tokens.len() > MANY {
        return 0;
    }
    let at = many.len() as u64;
    many.extend_from_slice(tokens);
    at | IN_MANY
}

#[inline(always)]
fn count_miss(
    matches: impl Fn(&TinySet, u64) -> u32,
    cache: &mut PieceCache,
    tokens: &mut Vec<u32>,
    vocabulary: &Vocabulary,
    text: &[u8],
    start: usize,
    len: usize,
) -> usize {
    let piece = &text[start..start + len];
    // The same piece can have missed before in this batch, so its table is asked once more.
    let (slot, found) = find(matches, cache, text, start, len);
    if let Some((_, count)) = found {
        return count;
    }
    let (n, ids) = match vocabulary.token(piece) {
        Some(token) => (1, u64::from(token) + 1),
        None => (count_merged(vocabulary, piece, tokens), 0),
    };
    store(cache, slot, piece, n, ids);
    n
}

/// Where a piece is in the cache, or would go.
enum Slot {
    Tiny(usize, Option<usize>, u64),
    Short(usize, Option<usize>, u64, u64),
    Medium(usize, Option<usize>, [u64; 6]),
    Long(usize),
    None,
}

/// The piece's place, and its ids and count if it is there.
#[inline(always)]
fn find(
    matches: impl Fn(&TinySet, u64) -> u32,
    cache: &PieceCache,
    text: &[u8],
    start: usize,
    len: usize,
) -> (Slot, Option<(Ids, usize)>) {
    let piece = &text[start..start + len];
    match len {
        n if n <= TINY => {
            let key = tiny_key(text, start, len);
            let at = tiny_set(key);
            let matched = matches(&cache.tiny[at % TINY_SETS], key);
            let way = (matched != 0).then(|| matched.trailing_zeros() as usize & 7);
            let found = way.map(|way| {
                (
                    cache.tiny_ids[at][way],
                    (cache.tiny[at % TINY_SETS].0[way] >> TINY_COUNT_SHIFT & 31) as usize,
                )
            });
            (Slot::Tiny(at, way, key), found)
        }
        n if n <= SHORT => {
            let (low, high) = short_key(text, start, len);
            let at = short_set(low, high);
            let set: &ShortSet = cache.short.get(at);
            let way =
                (0..SHORT_WAYS).find(|way| set[*way] == low && set[SHORT_WAYS + way] & !COUNT_MASK == high);
            let found = way
                .map(|way| (cache.short_ids[at][way], (set[SHORT_WAYS + way] >> COUNT_SHIFT & 15) as usize));
            (Slot::Short(at, way, low, high), found)
        }
        n if n <= MEDIUM => {
            let words = medium_key(piece);
            let at = medium_set(&words);
            let set = &cache.medium[at];
            let way = (0..MEDIUM_WAYS).find(|way| {
                let found = &set[*way];
                found[..5] == words[..5] && found[5] & !(0xFF << 56) == words[5]
            });
            let found = way.map(|way| (cache.medium_ids[at][way], (set[way][5] >> 56) as usize));
            (Slot::Medium(at, way, words), found)
        }
        n if n <= LONG => {
            let at = (hash(piece) >> 32) as usize % LONG_SETS;
            let known = cache.long[at];
            let same = known as usize & 0xFFFF == len && cache.long_bytes[at][..len] == *piece;
            (Slot::Long(at), same.then(|| (cache.long_ids[at], (known >> 16) as usize)))
        }
        _ => (Slot::None, None),
    }
}

/// Puts a piece where [`find`] said; the oldest of its set gives way.
#[inline(always)]
fn store(cache: &mut PieceCache, slot: Slot, piece: &[u8], n: usize, ids: Ids) {
    match slot {
        Slot::Tiny(at, Some(way), _) => cache.tiny_ids[at][way] = ids,
        Slot::Short(at, Some(way), ..) => cache.short_ids[at][way] = ids,
        Slot::Medium(at, Some(way), _) => cache.medium_ids[at][way] = ids,
        Slot::Tiny(at, None, key) => {
            let set = &mut cache.tiny[at % TINY_SETS].0;
            set.copy_within(..7, 1);
            set[0] = key | (n as u64) << TINY_COUNT_SHIFT;
            cache.tiny_ids[at].copy_within(..7, 1);
            cache.tiny_ids[at][0] = ids;
        }
        Slot::Short(at, None, low, high) => {
            let set: &mut ShortSet = cache.short.get_mut(at);
            set.copy_within(..SHORT_WAYS - 1, 1);
            set.copy_within(SHORT_WAYS..2 * SHORT_WAYS - 1, SHORT_WAYS + 1);
            (set[0], set[SHORT_WAYS]) = (low, high | (n as u64) << COUNT_SHIFT);
            cache.short_ids[at].copy_within(..SHORT_WAYS - 1, 1);
            cache.short_ids[at][0] = ids;
        }
        Slot::Medium(at, None, mut words) => {
            words[5] |= (n as u64) << 56;
            cache.medium[at].copy_within(..MEDIUM_WAYS - 1, 1);
            cache.medium[at][0] = words;
            cache.medium_ids[at].copy_within(..MEDIUM_WAYS - 1, 1);
            cache.medium_ids[at][0] = ids;
        }
        Slot::Long(at) => {
            cache.long_bytes[at][..piece.len()].copy_from_slice(piece);
            cache.long[at] = piece.len() as u32 | (n as u32) << 16;
            cache.long_ids[at] = ids;
        }
        Slot::None => {}
    }
}

#[inline(always)]
fn medium_key(piece: &[u8]) -> [u64; 6] {
    let mut padded = [0; 48];
    padded[..piece.len()].copy_from_slice(piece);
    padded[MEDIUM] = piece.len() as u8;
    std::array::from_fn(|i| u64::from_le_bytes(padded[i * 8..i * 8 + 8].try_into().expect("eight bytes")))
}

#[inline(always)]
fn medium_set(words: &[u64; 6]) -> usize {
    let hash = mix(mix(mix(0, words[0], words[1]), words[2], words[3]), words[4], words[5]);
    (hash >> 32) as usize % MEDIUM_SETS
}
