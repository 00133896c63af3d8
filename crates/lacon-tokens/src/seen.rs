//! Pieces that a thread has seen, with their counts and ids.
//!
//! There are tables by length of the piece, with ids for encoding and without for counting. No text can make them grow.
//! In front of them is a small direct-mapped table of frequent one-token pieces, which stays in the first-level cache.
//! Text is UTF-8, so no byte is 0xFF: a key is the complement of the bytes, zero-padded, and needs no length.
//!
//! Counting has a third small table between the two, for pieces of up to 15 bytes that the front table cannot hold. It
//! serves texts of few distinct pieces, mostly short ones. When it knows less than three eighths of a batch, it rests.
//!
//! Chance decides what enters the front table: one in [`PROMOTE`] hits of the table behind it. Frequent pieces win,
//! rare ones seldom replace them, and no statistics are needed. What was tried and lost is in `OPTIMIZATIONS.md`.

use crate::merge::{count_merged, merge};
use crate::scan::{KEY, REACH};
use crate::slots::{LARGE_PAGE, large_pages};
use crate::tables::{hash, mix};
use crate::vocabulary::Vocabulary;

/// Longest piece whose bytes fit one word.
pub(crate) const WORD: usize = 8;
/// Entries of the front table: 32 KB of keys.
pub(crate) const FRONT: usize = 1 << 12;
/// Entries of the front table of encoding, which holds the tokens too.
pub(crate) const FRONT_KNOWN: usize = 1 << 12;
/// Entries of the table of counting between the front and the others: 16 KB.
const NEAR: usize = 1 << 10;
/// Hits of the second table for each that enters the front table.
pub(crate) const PROMOTE: u32 = 8;
const WORD_SETS: usize = 1 << 14;
/// Pieces in a set of the second table.
pub(crate) const WORD_WAYS: usize = 7;
const KNOWN_SETS: usize = 1 << 15;
/// Pieces in a set of the second table of encoding.
pub(crate) const KNOWN_WAYS: usize = 4;
/// Longest piece whose bytes and count fit two words.
pub(crate) const SHORT: usize = 15;
const SHORT_SETS: usize = 1 << 15;
const SHORT_WAYS: usize = 4;
/// Longest piece of the fourth table.
pub(crate) const MEDIUM: usize = 48;
const MEDIUMS: usize = 1 << 16;
/// Slots that a piece of the fourth and fifth table can use.
const PLACES: usize = 4;
/// Longest piece of the fifth table.
const LONG: usize = 256;
const LONGS: usize = 1 << 12;

/// The tables start at this power of two below their full size, so a process that counts a few prompts touches a
/// sixteenth of the pages. Under virtualization the first touch of a page takes 4 µs, as long as counting 2 KB.
const BEGIN_SMALLER: u32 = 4;
/// Pieces after which the smallest tables are replaced by ones four times as large; those get their full size after
/// eight times as many.
const SMALL_PIECES: u32 = 1 << 12;
/// Length of a text that gets tables of full size at once, on large pages: its first pass touches most of them, and touching
/// them page by page took half of that pass.
const LONG_TEXT: usize = 1 << 16;

/// Pieces of up to 8 bytes, a cache line of them: seven keys, then a word with a byte of token count for each.
pub(crate) type WordSet = [u64; 8];

/// Pieces of up to 8 bytes with their ids, a cache line of them: key, ids, key, ids, ….
pub(crate) type KnownSet = [u64; 2 * KNOWN_WAYS];

/// Pieces of 9 to 15 bytes, a cache line of them: the first words of the keys, then the second, whose last byte is
/// the token count.
type ShortSet = [u64; 2 * SHORT_WAYS];

const COUNT_SHIFT: u32 = 56;
const COUNT_MASK: u64 = 0xFF << COUNT_SHIFT;

/// A piece of 16 to 48 bytes, a cache line: the first sixteen, sixteen behind or among them, and the last; the ids; length
/// and token count in a byte each. An empty line has no length.
type Medium = [u64; 8];
/// Words of a [`Medium`] that hold the bytes.
const MEDIUM_KEY: usize = 6;
const MEDIUM_IDS: usize = 6;
const MEDIUM_LEN: usize = 7;

/// Token numbers of a cached piece: up to three, plus one, in 21 bits each; or where they are in `many`.
///
/// Zero where the piece was counted and not encoded.
pub(crate) type Ids = u64;

pub(crate) const ID_BITS: u32 = 21;
pub(crate) const ID_MASK: u64 = (1 << ID_BITS) - 1;
/// Set if the ids are in `many`: their number in the 16 bits above the lower half, their position in that.
pub(crate) const IN_MANY: u64 = 1 << 63;
/// Most ids that a thread keeps for pieces of more than three; at that number, all are dropped.
const MANY: usize = 1 << 19;
/// What a batch may add.
const MANY_OF_BATCH: usize = 1 << 14;

/// Pieces seen by one thread with one encoding.
///
/// The larger tables are arrays of plain words, which begin as zeros: the system hands out their pages when they are
/// first touched, so that a thread that counts one short text does not pay for the whole.
pub(crate) struct PieceCache {
    pub(crate) front: Box<Front>,
    pub(crate) front_known: Box<FrontKnown>,
    pub(crate) near: Box<Near>,
    /// Batches until the near table is asked again, after it knew too little of the last one.
    pub(crate) near_rests: u32,
    /// Whether ids of pieces of 9 to 15 bytes are kept; none are before the first text is encoded.
    pub(crate) encodes: bool,
    /// Hits since a piece last entered a front table.
    pub(crate) hits: u32,
    /// Power of two by which the tables are smaller than their full size.
    smaller: u32,
    /// Pieces that entered a table behind the front since the tables have their size.
    stored: u32,
    words: Lines,
    known: Lines,
    short: Lines,
    short_ids: Lines<SHORT_WAYS>,
    medium: Lines,
    /// Pieces of 49 to 256 bytes: length and token count in the halves of a word, the bytes, the ids.
    long: Vec<u32>,
    long_bytes: Vec<[u8; LONG]>,
    long_ids: Vec<Ids>,
    /// The slot to replace next when all slots of a piece are taken.
    turn: usize,
    /// Ids of the pieces that have more than three.
    pub(crate) many: Vec<u32>,
    /// Ids of `many` that pieces of the tables refer to; behind them are those of pieces too long to be kept.
    kept: usize,
}

impl PieceCache {
    pub(crate) fn new() -> Self {
        Self::sized(BEGIN_SMALLER, false)
    }

    fn sized(smaller: u32, large: bool) -> Self {
        let longs = LONGS >> smaller;
        Self {
            front: Box::new(Front { keep: KEEP, keys: [EMPTY; FRONT] }),
            front_known: Box::new(FrontKnown {
                keep: KEEP,
                keys: [EMPTY; FRONT_KNOWN],
                ids: [0; FRONT_KNOWN],
            }),
            near: Box::new([[0; 2]; NEAR]),
            near_rests: 0,
            encodes: false,
            hits: 0,
            smaller,
            stored: 0,
            words: Lines::new(WORD_SETS >> smaller, large),
            known: Lines::new(KNOWN_SETS >> smaller, large),
            short: Lines::new(SHORT_SETS >> smaller, large),
            short_ids: Lines::new(SHORT_SETS >> smaller, large),
            medium: Lines::new(MEDIUMS >> smaller, large),
            long: vec![0; longs],
            long_bytes: vec![[0; LONG]; longs],
            long_ids: vec![0; longs],
            turn: 0,
            many: Vec::new(),
            kept: 0,
        }
    }

    /// Grows the tables when it pays off: before a long text, or after many pieces.
    pub(crate) fn fit(&mut self, text: &[u8]) {
        if self.smaller == 0 {
            return;
        }
        if text.len() >= LONG_TEXT {
            *self = Self::sized(0, true);
        } else if self.stored > SMALL_PIECES << (3 * (BEGIN_SMALLER - self.smaller) / 2) {
            *self = Self::sized(self.smaller - 2, false);
        }
    }

    /// State that the first two passes over missed pieces read and write.
    #[inline(always)]
    pub(crate) fn parts(&mut self) -> (Sets<'_>, &mut Front, &mut FrontKnown, &mut Near) {
        let sets = Sets {
            smaller: self.smaller,
            words: self.words.all(),
            known: self.known.all(),
            short: self.short.all(),
            short_ids: self.short_ids.all(),
            medium: self.medium.all(),
        };
        (sets, &mut self.front, &mut self.front_known, &mut self.near)
    }
}

/// The tables behind the front table, for reading.
#[derive(Clone, Copy)]
pub(crate) struct Sets<'a> {
    smaller: u32,
    words: &'a [WordSet],
    known: &'a [KnownSet],
    short: &'a [ShortSet],
    short_ids: &'a [[Ids; SHORT_WAYS]],
    medium: &'a [Medium],
}

impl<'a> Sets<'a> {
    /// The set of a piece of up to [`WORD`] bytes.
    #[inline(always)]
    pub(crate) fn word(&self, key: u64) -> &'a WordSet {
        &self.words[word_place(key) >> self.smaller]
    }

    /// The set of a piece of up to [`WORD`] bytes, with the ids.
    #[inline(always)]
    pub(crate) fn known(&self, key: u64) -> &'a KnownSet {
        &self.known[known_place(key) >> self.smaller]
    }

    /// The set of a piece of 9 to [`SHORT`] bytes.
    #[inline(always)]
    pub(crate) fn short(&self, low: u64, high: u64) -> &'a ShortSet {
        &self.short[short_place(low, high) >> self.smaller]
    }

    /// The ids of such a set.
    #[inline(always)]
    pub(crate) fn short_ids(&self, low: u64, high: u64) -> &'a [Ids; SHORT_WAYS] {
        &self.short_ids[short_place(low, high) >> self.smaller]
    }

    /// The first place of a piece of 16 to [`MEDIUM`] bytes.
    #[inline(always)]
    pub(crate) fn medium_home(&self, piece: &[u8]) -> &'a Medium {
        &self.medium[medium_place(&medium_key(piece)) >> self.smaller]
    }
}

/// Sets of words that share no cache line with their neighbors where there are eight.
struct Lines<const N: usize = 8> {
    words: Vec<u64>,
    /// Words before the first set.
    from: usize,
}

impl<const N: usize> Lines<N> {
    fn new(n: usize, large: bool) -> Self {
        let align = if large { LARGE_PAGE } else { 64 };
        let bytes = (n * N * size_of::<u64>()).next_multiple_of(align);
        let words = vec![0; (bytes + align) / size_of::<u64>()];
        let from = (words.as_ptr() as usize).wrapping_neg() % align / size_of::<u64>();
        if large {
            large_pages(&words[from..from + bytes / size_of::<u64>()]);
        }
        Self { words, from }
    }

    #[inline(always)]
    fn all(&self) -> &[[u64; N]] {
        self.words[self.from..].as_chunks().0
    }

    #[inline(always)]
    fn get(&self, at: usize) -> &[u64; N] {
        &self.all()[at]
    }

    #[inline(always)]
    fn all_mut(&mut self) -> &mut [[u64; N]] {
        self.words[self.from..].as_chunks_mut().0
    }

    #[inline(always)]
    fn get_mut(&mut self, at: usize) -> &mut [u64; N] {
        &mut self.all_mut()[at]
    }
}

/// Returns the key of a piece of up to [`WORD`] bytes; of a longer one, a value that must not be used.
#[inline(always)]
pub(crate) fn word_key(text: &[u8], start: usize, len: usize) -> u64 {
    let bytes: &[u8; 8] = text[start..start + 8].try_into().expect("the range has this length");
    !u64::from_le_bytes(*bytes) & (u64::MAX >> (64_usize.wrapping_sub(8 * len) & 63))
}

/// Stands for "no key" in a front table, whose keys begin with a byte that is not zero.
const EMPTY: u64 = 1 << 63;

/// The bits of a word that belong to a piece, by its length plus 64; none where a word does not hold it. The compiler
/// knows that a difference of two places in a window is among these lengths, and checks nothing.
const KEEP: [u64; 129] = {
    let mut table = [0; 129];
    let mut len = 1;
    while len <= WORD {
        table[64 + len] = u64::MAX >> (64 - 8 * len);
        len += 1;
    }
    table
};

/// Keys of pieces that are one token. With [`KEEP`] beside them, one pointer is enough for a probe: the loop over the
/// pieces of a window has no register to spare.
pub(crate) struct Front {
    keep: [u64; 129],
    pub(crate) keys: [u64; FRONT],
}

/// The same for encoding, which needs the tokens too.
pub(crate) struct FrontKnown {
    keep: [u64; 129],
    pub(crate) keys: [u64; FRONT_KNOWN],
    pub(crate) ids: [u32; FRONT_KNOWN],
}

/// Pieces of up to [`SHORT`] bytes that come often and that the front table cannot hold: of several tokens, or of more
/// than [`WORD`] bytes. The two words of the key; the last byte is the token count.
pub(crate) type Near = [[u64; 2]; NEAR];

/// The bits of two words that belong to a piece, by its length; none where they do not hold it.
const KEEP_SHORT: [u128; SHORT + 2] = {
    let mut table = [0; SHORT + 2];
    let mut len = 1;
    while len <= SHORT {
        table[len] = u128::MAX >> (128 - 8 * len);
        len += 1;
    }
    table
};

#[inline(always)]
fn near_place(low: u64, high: u64) -> usize {
    (short_hash(low, high) >> (64 - NEAR.trailing_zeros())) as usize
}

/// Count of the piece with this key, or zero.
#[inline(always)]
pub(crate) fn near_count(near: &Near, (low, high): (u64, u64)) -> usize {
    let [first, second] = near[near_place(low, high)];
    let differs = (first ^ low) | ((second ^ high) & !COUNT_MASK);
    let found = std::hint::select_unpredictable(differs == 0, second, 0);
    (found >> COUNT_SHIFT) as usize
}

/// Puts a piece into the near table.
#[inline(always)]
pub(crate) fn near_store(near: &mut Near, low: u64, high: u64, count: usize) {
    near[near_place(low, high)] = [low, high | (count as u64) << COUNT_SHIFT];
}

impl Front {
    /// [`word_key`] of a piece of a window; zero, which no table holds, for an empty or longer piece.
    #[inline(always)]
    pub(crate) fn key(&self, window: &[u8; REACH], start: usize, len: usize) -> u64 {
        !window_word(window, start) & self.keep[len.wrapping_add(64)]
    }
}

impl FrontKnown {
    /// As [`Front::key`].
    #[inline(always)]
    pub(crate) fn key(&self, window: &[u8; REACH], start: usize, len: usize) -> u64 {
        !window_word(window, start) & self.keep[len.wrapping_add(64)]
    }
}

#[inline(always)]
fn window_word(window: &[u8; REACH], start: usize) -> u64 {
    u64::from_le_bytes(window[start..start + 8].try_into().expect("the range has this length"))
}

#[inline(always)]
fn word_hash(key: u64) -> u64 {
    key.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[inline(always)]
fn short_hash(low: u64, high: u64) -> u64 {
    word_hash(low ^ high.rotate_left(29))
}

/// Where a key would be in the front table of encoding.
#[inline(always)]
pub(crate) fn front_known_place(key: u64) -> usize {
    (word_hash(key) >> (64 - FRONT_KNOWN.trailing_zeros())) as usize
}

/// Where a key would be in the front table of counting.
#[inline(always)]
pub(crate) fn front_place(key: u64) -> usize {
    (word_hash(key) >> (64 - FRONT.trailing_zeros())) as usize
}

#[inline(always)]
fn word_place(key: u64) -> usize {
    (word_hash(key) >> (64 - WORD_SETS.trailing_zeros())) as usize
}

#[inline(always)]
fn known_place(key: u64) -> usize {
    (word_hash(key) >> (64 - KNOWN_SETS.trailing_zeros())) as usize
}

/// Key of a piece of up to [`SHORT`] bytes; of a longer one something that must not be used.
#[inline(always)]
pub(crate) fn short_key(text: &[u8], start: usize, len: usize) -> (u64, u64) {
    let bytes: &[u8; KEY] = text[start..start + KEY].try_into().expect("the range has this length");
    let both = !u128::from_le_bytes(*bytes);
    (both as u64, (both >> 64) as u64 & (u64::MAX >> (128_usize.wrapping_sub(8 * len) & 63)))
}

/// The same for the near table, by a table of masks, a third of the instructions; zero, which it does not hold, for a
/// longer piece.
#[inline(always)]
pub(crate) fn near_key(text: &[u8], start: usize, len: usize) -> (u64, u64) {
    let bytes: &[u8; KEY] = text[start..start + KEY].try_into().expect("the range has this length");
    let both = !u128::from_le_bytes(*bytes) & KEEP_SHORT[len.min(SHORT + 1)];
    (both as u64, (both >> 64) as u64)
}

#[inline(always)]
fn short_place(low: u64, high: u64) -> usize {
    (short_hash(low, high) >> (64 - SHORT_SETS.trailing_zeros())) as usize
}

/// Count of the piece with this key, or zero.
#[inline(always)]
pub(crate) fn short_count(set: &ShortSet, low: u64, high: u64) -> usize {
    // At most one way holds the key, so that the union over the ways is its count.
    let mut found = 0;
    for way in 0..SHORT_WAYS {
        let word = set[SHORT_WAYS + way];
        let differs = (set[way] ^ low) | ((word ^ high) & !COUNT_MASK);
        found |= std::hint::select_unpredictable(differs == 0, word & COUNT_MASK, 0);
    }
    (found >> COUNT_SHIFT) as usize
}

/// Ids of the piece with this key, or zero.
#[inline(always)]
pub(crate) fn short_known(set: &ShortSet, ids: &[Ids; SHORT_WAYS], low: u64, high: u64) -> Ids {
    let mut found = 0;
    for way in 0..SHORT_WAYS {
        let differs = (set[way] ^ low) | ((set[SHORT_WAYS + way] ^ high) & !COUNT_MASK);
        found |= std::hint::select_unpredictable(differs == 0, ids[way], 0);
    }
    found
}

/// The slot of a piece in the cache, whether or not it is there.
enum Slot {
    /// The table of counting.
    Word(u64),
    /// The table of encoding.
    Known(u64),
    Short(usize, Option<usize>, u64, u64),
    /// A place, whether the piece is there, and its key.
    Medium(usize, bool, [u64; MEDIUM_KEY]),
    /// A place, and whether the piece is there.
    Long(usize, bool),
    None,
}

/// `matches` gives a bit for each key of a set that equals the key, and the bit behind them always.
pub(crate) trait Matches: Fn(&[u64; 8], u64) -> u32 {}
impl<F: Fn(&[u64; 8], u64) -> u32> Matches for F {}

/// The place of a piece of more than [`WORD`] bytes, and its ids and count if it is there.
#[inline(always)]
fn find(cache: &PieceCache, text: &[u8], start: usize, len: usize) -> (Slot, Option<(Ids, usize)>) {
    let piece = &text[start..start + len];
    match len {
        n if n <= SHORT => {
            let (low, high) = short_key(text, start, len);
            let at = short_place(low, high) >> cache.smaller;
            let set: &ShortSet = cache.short.get(at);
            let way =
                (0..SHORT_WAYS).find(|way| set[*way] == low && set[SHORT_WAYS + way] & !COUNT_MASK == high);
            let found = way
                .map(|way| (cache.short_ids.get(at)[way], (set[SHORT_WAYS + way] >> COUNT_SHIFT) as usize));
            (Slot::Short(at, way, low, high), found)
        }
        n if n <= MEDIUM => {
            let words = medium_key(piece);
            let home = medium_place(&words) >> cache.smaller;
            for place in (0..PLACES).map(|i| home ^ i) {
                let entry: &Medium = cache.medium.get(place);
                if entry[..MEDIUM_KEY] == words && entry[MEDIUM_LEN] & 0xFF == len as u64 {
                    return (
                        Slot::Medium(place, true, words),
                        Some((entry[MEDIUM_IDS], (entry[MEDIUM_LEN] >> 8) as usize)),
                    );
                }
            }
            (Slot::Medium(home, false, words), None)
        }
        n if n <= LONG => {
            let home = ((hash(piece) >> 32) as usize % LONGS) >> cache.smaller;
            for place in (0..PLACES).map(|i| home ^ i) {
                let known = cache.long[place];
                if known as usize & 0xFFFF == len && cache.long_bytes[place][..len] == *piece {
                    return (Slot::Long(place, true), Some((cache.long_ids[place], (known >> 16) as usize)));
                }
            }
            (Slot::Long(home, false), None)
        }
        _ => (Slot::None, None),
    }
}

/// Counts the tokens of a piece, from the cache or by merging.
#[inline(always)]
pub(crate) fn count_piece(
    matches: &impl Matches,
    cache: &mut PieceCache,
    tokens: &mut Vec<u32>,
    vocabulary: &Vocabulary,
    text: &[u8],
    start: usize,
    len: usize,
) -> usize {
    let piece = &text[start..start + len];
    let (slot, found) = if len <= WORD {
        let key = word_key(text, start, len);
        let set: &WordSet = cache.words.get(word_place(key) >> cache.smaller);
        let way = matches(set, key).trailing_zeros();
        (
            Slot::Word(key),
            (way < WORD_WAYS as u32).then(|| (0, (set[WORD_WAYS] >> (8 * way)) as usize & 0xFF)),
        )
    } else {
        find(cache, text, start, len)
    };
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

/// Tokens of a piece, from the cache or by merging; those that the cache has no room for are at the end of `many`.
#[inline(always)]
pub(crate) fn encode_piece(
    cache: &mut PieceCache,
    vocabulary: &Vocabulary,
    text: &[u8],
    start: usize,
    len: usize,
) -> Ids {
    let piece = &text[start..start + len];
    let (slot, found) = if len <= WORD {
        let key = word_key(text, start, len);
        let set: &KnownSet = cache.known.get(known_place(key) >> cache.smaller);
        let way = (0..KNOWN_WAYS).find(|way| set[2 * way] == key);
        (Slot::Known(key), way.map(|way| (set[2 * way + 1], 0)))
    } else {
        find(cache, text, start, len)
    };
    if let Some((ids, _)) = found.filter(|(ids, _)| *ids != 0) {
        return ids;
    }
    if let Some(token) = vocabulary.token(piece) {
        let ids = u64::from(token) + 1;
        store(cache, slot, piece, 1, ids);
        return ids;
    }
    let from = cache.many.len();
    merge(vocabulary, piece, &mut cache.many);
    let tokens = &cache.many[from..];
    let n = tokens.len();
    if n <= 3 {
        let ids = tokens.iter().rev().fold(0, |packed, token| packed << ID_BITS | u64::from(token + 1));
        cache.many.truncate(from);
        store(cache, slot, piece, n, ids);
        return ids;
    }
    let ids = IN_MANY | (n as u64) << 32 | from as u64;
    if from + n <= MANY && len <= LONG {
        cache.kept = from + n;
        store(cache, slot, piece, n, ids);
    }
    ids
}

/// Stores a piece where [`find`] said, replacing the oldest of its set.
#[inline(always)]
fn store(cache: &mut PieceCache, slot: Slot, piece: &[u8], n: usize, ids: Ids) {
    cache.stored = cache.stored.saturating_add(1);
    match slot {
        Slot::Short(at, Some(way), ..) => cache.short_ids.get_mut(at)[way] = ids,
        Slot::Medium(place, true, _) => cache.medium.get_mut(place)[MEDIUM_IDS] = ids,
        Slot::Long(place, true) => cache.long_ids[place] = ids,
        Slot::Word(key) => {
            let at = word_place(key) >> cache.smaller;
            let set: &mut WordSet = cache.words.get_mut(at);
            // The last byte stays zero: it is the count where no key matches.
            let counts = (set[WORD_WAYS] << 8 | n as u64) & (u64::MAX >> 8);
            set.copy_within(..WORD_WAYS - 1, 1);
            (set[0], set[WORD_WAYS]) = (key, counts);
        }
        Slot::Known(key) => {
            let set: &mut KnownSet = cache.known.get_mut(known_place(key) >> cache.smaller);
            set.copy_within(..2 * (KNOWN_WAYS - 1), 2);
            (set[0], set[1]) = (key, ids);
        }
        Slot::Short(at, None, low, high) => {
            let set: &mut ShortSet = cache.short.get_mut(at);
            set.copy_within(..SHORT_WAYS - 1, 1);
            set.copy_within(SHORT_WAYS..2 * SHORT_WAYS - 1, SHORT_WAYS + 1);
            (set[0], set[SHORT_WAYS]) = (low, high | (n as u64) << COUNT_SHIFT);
            if cache.encodes {
                let all = cache.short_ids.get_mut(at);
                all.copy_within(..SHORT_WAYS - 1, 1);
                all[0] = ids;
            }
        }
        Slot::Medium(home, false, words) => {
            let empty = (0..PLACES).find(|i| cache.medium.get(home ^ i)[MEDIUM_LEN] == 0);
            let place = home ^ empty.unwrap_or_else(|| cache.next_turn());
            let entry: &mut Medium = cache.medium.get_mut(place);
            entry[..MEDIUM_KEY].copy_from_slice(&words);
            entry[MEDIUM_IDS] = ids;
            entry[MEDIUM_LEN] = piece.len() as u64 | (n as u64) << 8;
        }
        Slot::Long(home, false) => {
            let empty = (0..PLACES).find(|i| cache.long[home ^ i] == 0);
            let place = home ^ empty.unwrap_or_else(|| cache.next_turn());
            cache.long_bytes[place][..piece.len()].copy_from_slice(piece);
            cache.long[place] = piece.len() as u32 | (n as u32) << 16;
            cache.long_ids[place] = ids;
        }
        Slot::None => {}
    }
}

/// The bytes of a piece of 16 to [`MEDIUM`]; with the length they tell it from all others.
#[inline(always)]
fn medium_key(piece: &[u8]) -> [u64; MEDIUM_KEY] {
    let last = piece.len() - 16;
    let word = |at: usize| u64::from_le_bytes(piece[at..at + 8].try_into().expect("eight bytes"));
    let between = last.min(16);
    [word(0), word(8), word(between), word(between + 8), word(last), word(last + 8)]
}

#[inline(always)]
fn medium_place(words: &[u64; MEDIUM_KEY]) -> usize {
    let hash = mix(mix(mix(0, words[0], words[1]), words[2], words[3]), words[4], words[5]);
    (hash >> 32) as usize % MEDIUMS
}

impl PieceCache {
    fn next_turn(&mut self) -> usize {
        self.turn = (self.turn + 1) % PLACES;
        self.turn
    }

    /// Drops ids that no piece of the tables refers to, or all if there is no room for another batch.
    pub(crate) fn trim_many(&mut self) {
        self.many.truncate(self.kept);
        // A piece of megabytes leaves no room behind.
        if self.many.capacity() > 4 * MANY {
            self.many.shrink_to(MANY);
        }
        if self.kept + MANY_OF_BATCH > MANY {
            self.forget_ids();
        }
    }

    /// Drops the ids of all pieces but those of the front table, which have one each.
    #[cold]
    fn forget_ids(&mut self) {
        self.many.clear();
        self.kept = 0;
        self.known.words.fill(0);
        self.short_ids.words.fill(0);
        for entry in self.medium.all_mut() {
            entry[MEDIUM_IDS] = 0;
        }
        self.long_ids.fill(0);
    }
}
