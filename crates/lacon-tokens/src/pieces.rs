//! From piece borders to counts and ids: tables of seen pieces per thread (`seen.rs`), then the vocabulary, then
//! merging.
//!
//! A batch takes two passes. While borders are found, each piece of up to 8 bytes is looked up in a table of frequent
//! one-token pieces, which stays in the first-level cache. A missing piece is appended to a list without a branch. Then
//! the list, a fifth to a half of the pieces, is divided by length. The cache lines of all are requested before any is
//! read. Most of the cost of a text is waiting for memory, and this way it waits for all lines at once. Threads share
//! nothing that they write, and the size of the tables is fixed.
//!
//! Cost: 18 instructions for a piece of the front table, 42 for one of the near table, and about 110 plus a load, a
//! hash and a cache line for others. Each window adds about 270. A kilobyte takes some 11,000. What was tried and lost
//! is in `OPTIMIZATIONS.md`.

use std::cell::RefCell;
use std::hint::select_unpredictable;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::pretokenize::{Pattern, piece_end};
use crate::scan::{Packed, REACH, Sink, TAIL, WINDOW, unpack};
use crate::seen::{
    Front, FrontKnown, ID_BITS, ID_MASK, IN_MANY, Ids, MEDIUM, Matches, PROMOTE, PieceCache, SHORT, WORD,
    WORD_WAYS, count_piece, encode_piece, front_known_place, front_place, near_count, near_key, near_store,
    short_count, short_key, short_known, word_key,
};
use crate::simd::{Isa, count_missed, encode_missed, scan, scan_tail};
use crate::slots::prefetch;
use crate::vocabulary::Vocabulary;

/// Caches that a thread keeps, one per encoding.
const CACHES_PER_THREAD: usize = 4;

/// State of a thread for one encoding: its number, the cache and work space.
struct Kept {
    number: u64,
    cache: PieceCache,
    scratch: Scratch,
}

impl Kept {
    fn new(number: u64) -> Self {
        Self { number, cache: PieceCache::new(), scratch: Scratch::default() }
    }
}

/// The caches of one thread; when it ends, they wait for the next thread.
struct Caches(Vec<Box<Kept>>);

thread_local! {
    static KEPT: RefCell<Caches> = const { RefCell::new(Caches(Vec::new())) };
}

/// Caches of ended threads: a short-lived thread starts with what others have seen.
static SPARE: Mutex<Vec<Box<Kept>>> = Mutex::new(Vec::new());

impl Caches {
    fn take(number: u64) -> Option<Box<Kept>> {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        let at = spare.iter().rposition(|kept| kept.number == number)?;
        Some(spare.swap_remove(at))
    }
}

impl Drop for Caches {
    fn drop(&mut self) {
        let limit = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).max(CACHES_PER_THREAD);
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        spare.append(&mut self.0);
        let surplus = spare.len().saturating_sub(limit);
        spare.drain(..surplus);
    }
}

/// Splits and looks up the pieces of one encoding; clones share their threads' caches.
#[derive(Clone)]
pub(crate) struct Pieces {
    /// Distinguishes the caches of encodings; never reused.
    number: u64,
    pattern: Pattern,
    isa: Isa,
    /// Whether single ASCII characters and groups of digits need no look-up to be counted.
    skip: bool,
}

impl Pieces {
    pub(crate) fn new(pattern: Pattern, isa: Isa, vocabulary: &Vocabulary) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Bytes are tokens in every vocabulary; groups of digits are checked, all 1,100 of them.
        let digits = |n: usize| (0..10_usize.pow(n as u32)).map(move |i| format!("{i:0n$}"));
        let skip = pattern == Pattern::Gpt2
            || (1..=3).all(|n| digits(n).all(|group| vocabulary.token(group.as_bytes()).is_some()));
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), pattern, isa, skip }
    }

    /// A number that no other encoding with different results has.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Counts the tokens of `text`; returns some number above `limit` as soon as there are more.
    pub(crate) fn count(&self, vocabulary: &Vocabulary, mut text: &[u8], limit: usize) -> usize {
        self.with_kept(|kept| {
            let (cache, scratch) = (&mut kept.cache, &mut kept.scratch);
            cache.fit(text);
            let skip = if self.skip { u64::MAX } else { 0 };
            let mut n_tokens = 0;
            let mut padded = [0; TAIL];
            while !text.is_empty() && n_tokens <= limit {
                let mut sink = CountSink {
                    front: &cache.front,
                    missed: &mut scratch.missed,
                    n_missed: 0,
                    n_pieces: 0,
                    skip,
                    far: false,
                };
                let end = scan(self.isa, self.pattern, text, &mut sink);
                let readable = if end > 0 {
                    text
                } else {
                    padded[..text.len()].copy_from_slice(text);
                    scan_tail(self.isa, self.pattern, &padded, text.len(), &mut sink);
                    &padded
                };
                let n_missed = sink.n_missed;
                n_tokens += sink.n_pieces - n_missed;
                n_tokens += count_missed(self.isa, cache, scratch, vocabulary, readable, n_missed);
                text = if end > 0 { &text[end..] } else { &[] };
            }
            n_tokens
        })
    }

    /// Appends the tokens of `text` to `out`.
    pub(crate) fn encode(&self, vocabulary: &Vocabulary, mut text: &[u8], out: &mut Vec<u32>) {
        self.with_kept(|kept| {
            let (cache, scratch) = (&mut kept.cache, &mut kept.scratch);
            cache.fit(text);
            cache.encodes = true;
            let mut padded = [0; TAIL];
            while !text.is_empty() {
                let mut sink = EncodeSink {
                    front: &cache.front_known,
                    batch: &mut scratch.batch,
                    n_missed: 0,
                    n_pieces: 0,
                    far: false,
                };
                let end = scan(self.isa, self.pattern, text, &mut sink);
                let readable = if end > 0 {
                    text
                } else {
                    padded[..text.len()].copy_from_slice(text);
                    scan_tail(self.isa, self.pattern, &padded, text.len(), &mut sink);
                    &padded
                };
                let (n_missed, n_pieces) = (sink.n_missed, sink.n_pieces);
                encode_missed(self.isa, self.pattern, cache, scratch, vocabulary, readable, n_missed);
                emit(&cache.many, &scratch.resolved, &scratch.batch.answers[..n_pieces], out);
                cache.trim_many();
                text = if end > 0 { &text[end..] } else { &[] };
            }
        });
    }

    fn with_kept<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        KEPT.with_borrow_mut(|Caches(all)| {
            let at = match all.iter().position(|kept| kept.number == self.number) {
                Some(at) => at,
                None => {
                    all.truncate(CACHES_PER_THREAD - 1);
                    all.insert(
                        0,
                        Caches::take(self.number).unwrap_or_else(|| Box::new(Kept::new(self.number))),
                    );
                    0
                }
            };
            work(&mut all[at])
        })
    }
}

/// Missed pieces at which a batch ends: their cache lines together fit the first-level cache.
const FULL: usize = 256;
/// Most missed pieces of a batch, including the rest of its last window.
const MISSED: usize = 512;
/// Most pieces of a batch to encode.
const PIECES: usize = 2048;

/// Most missed pieces that a window adds, as a power of two, so that an index fits a byte.
const OF_WINDOW: usize = 256;

/// Start and length of a piece, in two stores. Joining them would take three instructions in a loop that is bound by
/// computation (5 to 7 % slower on a kilobyte of prompt).
type Listed = [u32; 2];

#[inline(always)]
fn packed([start, len]: Listed) -> Packed {
    Packed::from(start) | Packed::from(len) << LEN_SHIFT
}

#[inline(always)]
fn listed(piece: Packed) -> Listed {
    [piece as u32, (piece >> LEN_SHIFT) as u32]
}

/// Work space.
pub(crate) struct Scratch {
    /// Pieces missing from the front table.
    missed: [Listed; MISSED],
    words: [Packed; MISSED],
    shorts: [Packed; MISSED],
    others: [Packed; MISSED],
    batch: Batch,
    /// Tokens of the pieces that have several.
    resolved: [Ids; MISSED],
    tokens: Vec<u32>,
}

/// Pieces of a batch to be encoded, behind one pointer.
pub(crate) struct Batch {
    /// The token of each piece, or [`FLAG`] and the piece's place in `resolved`.
    answers: [u32; PIECES],
    /// Pieces missing from the front table.
    missed: [Placed; MISSED],
}

/// Start in 32 bits, length in 20, place among the answers in 12.
type Placed = u64;
const LEN_SHIFT: u32 = 32;
const AT_SHIFT: u32 = 52;
/// Stands for this length and all longer ones, which are found by splitting once more.
const LEN_MAX: usize = (1 << (AT_SHIFT - LEN_SHIFT)) - 1;
const _: () = assert!(PIECES <= 1 << (64 - AT_SHIFT));

/// Start, length and place among the answers.
#[inline(always)]
fn unpack_placed(piece: Placed) -> (usize, usize, usize) {
    (piece as u32 as usize, (piece >> LEN_SHIFT) as usize & LEN_MAX, (piece >> AT_SHIFT) as usize % PIECES)
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            missed: [[0; 2]; MISSED],
            words: [0; MISSED],
            shorts: [0; MISSED],
            others: [0; MISSED],
            batch: Batch { answers: [0; PIECES], missed: [0; MISSED] },
            resolved: [0; MISSED],
            tokens: Vec::with_capacity(64),
        }
    }
}

/// Bytes after which a batch ends, so that all positions fit 32 bits.
const FAR: usize = 1 << 31;

/// Counts pieces and lists those missing from the front table.
pub(crate) struct CountSink<'a> {
    front: &'a Front,
    missed: &'a mut [Listed; MISSED],
    n_missed: usize,
    n_pieces: usize,
    /// All ones if pieces that are visibly one token need no look-up.
    skip: u64,
    /// Whether the batch is so long that it ends here.
    far: bool,
}

impl Sink for CountSink<'_> {
    #[inline(always)]
    fn between(&mut self, window: &[u8; REACH], base: usize, borders: u64, plain: u64) {
        let starts = borders & !(1 << (63 - borders.leading_zeros()));
        let plain = plain & self.skip;
        let mut starts_left = starts & !plain;
        let mut ends_left = borders & !(plain << 1) & !1;
        self.n_pieces += starts.count_ones() as usize;
        let count = starts_left.count_ones() as usize;
        let missed: &mut [Listed; OF_WINDOW] =
            self.missed[self.n_missed..].first_chunk_mut().expect("a full batch takes no window");
        let mut n_missed = 0;
        let mut done = 0;
        // Steps of four, so that the branch is predictable. The empty pieces behind the last are always missed.
        while done < count {
            for _ in 0..4 {
                let start = starts_left.trailing_zeros() as usize;
                let len = (ends_left.trailing_zeros() as usize).wrapping_sub(start);
                starts_left &= starts_left.wrapping_sub(1);
                ends_left &= ends_left.wrapping_sub(1);
                let key = self.front.key(window, start, len);
                missed[n_missed as u8 as usize] = [(base + start) as u32, len as u32];
                n_missed += usize::from(self.front.keys[front_place(key)] != key);
            }
            done += 4;
        }
        self.n_missed += n_missed - (done - count);
    }

    #[inline(always)]
    fn one(&mut self, start: usize, end: usize) {
        self.n_pieces += 1;
        self.missed[self.n_missed % MISSED] = [start as u32, (end - start) as u32];
        self.n_missed += 1;
        self.far |= end > FAR;
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.n_missed >= FULL || self.far
    }
}

/// Looks pieces up in the front table and lists the missing ones.
pub(crate) struct EncodeSink<'a> {
    front: &'a FrontKnown,
    batch: &'a mut Batch,
    n_missed: usize,
    n_pieces: usize,
    far: bool,
}

impl Sink for EncodeSink<'_> {
    #[inline(always)]
    fn between(&mut self, window: &[u8; REACH], base: usize, borders: u64, _plain: u64) {
        let mut starts = borders & !(1 << (63 - borders.leading_zeros()));
        let mut ends = borders & !1;
        let count = starts.count_ones() as usize;
        let full = "a full batch takes no window";
        let missed: &mut [Placed; OF_WINDOW] =
            self.batch.missed[self.n_missed..].first_chunk_mut().expect(full);
        let answers: &mut [u32; WINDOW + 4] =
            self.batch.answers[self.n_pieces..].first_chunk_mut().expect(full);
        let mut placed = base as u64 + ((self.n_pieces as u64) << AT_SHIFT);
        let mut n_missed = 0;
        let mut done = 0;
        while done < count {
            for i in 0..4 {
                let start = starts.trailing_zeros() as usize;
                let len = (ends.trailing_zeros() as usize).wrapping_sub(start);
                starts &= starts.wrapping_sub(1);
                ends &= ends.wrapping_sub(1);
                let key = self.front.key(window, start, len);
                let place = front_known_place(key);
                answers[done % WINDOW + i] = self.front.ids[place];
                missed[n_missed as u8 as usize] =
                    placed.wrapping_add(start as u64).wrapping_add((len as u64) << LEN_SHIFT);
                placed = placed.wrapping_add(1 << AT_SHIFT);
                n_missed += usize::from(self.front.keys[place] != key);
            }
            done += 4;
        }
        self.n_missed += n_missed - (done - count);
        self.n_pieces += count;
    }

    #[inline(always)]
    fn one(&mut self, start: usize, end: usize) {
        let len = (end - start).min(LEN_MAX) as u64;
        self.batch.missed[self.n_missed % MISSED] =
            start as u64 | len << LEN_SHIFT | (self.n_pieces as u64) << AT_SHIFT;
        self.n_missed += 1;
        self.n_pieces += 1;
        self.far |= end > FAR;
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.n_missed >= FULL || self.n_pieces >= PIECES - 2 * WINDOW || self.far
    }
}

/// A step between batches that no text can match: of a short text that repeats, every piece eventually gets its turn to
/// enter the front table.
#[inline(always)]
fn scatter(hits: u32) -> u32 {
    (hits ^ hits >> 15).wrapping_mul(0x9E37_79B1)
}

/// Counts the tokens of the missed pieces; call it through `simd.rs`.
#[inline(always)]
pub(crate) fn count_missed_with(
    matches: impl Matches,
    cache: &mut PieceCache,
    scratch: &mut Scratch,
    vocabulary: &Vocabulary,
    text: &[u8],
    n_missed: usize,
) -> usize {
    let Scratch { missed, words, shorts, others, tokens, .. } = scratch;
    let mut n_tokens = 0;
    let mut n_far = n_missed;
    let (rests, mut hits) = (cache.near_rests, cache.hits);
    let (sets, front, _, near) = cache.parts();
    let ask_near = rests == 0 || n_missed < FULL;
    if ask_near {
        n_far = 0;
        for i in 0..n_missed {
            let piece = missed[i % MISSED];
            let (start, len) = unpack(packed(piece));
            let found = near_count(near, near_key(text, start, len));
            n_tokens += found;
            missed[n_far % MISSED] = piece;
            n_far += usize::from(found == 0);
        }
    }
    let rests = match rests {
        0 if 8 * n_far > 5 * n_missed => NEAR_RESTS,
        n => n.saturating_sub(1),
    };
    let (mut n_words, mut n_shorts, mut n_others) = (0, 0, 0);
    for piece in &missed[..n_far] {
        let piece = &packed(*piece);
        let (_, len) = unpack(*piece);
        words[n_words % MISSED] = *piece;
        n_words += usize::from(len <= WORD);
        shorts[n_shorts % MISSED] = *piece;
        n_shorts += usize::from((len > WORD) & (len <= SHORT));
        others[n_others % MISSED] = *piece;
        n_others += usize::from(len > SHORT);
    }
    let (words, shorts, others) = (&words[..n_words], &shorts[..n_shorts], &others[..n_others]);
    for piece in words {
        let (start, len) = unpack(*piece);
        prefetch(sets.word(word_key(text, start, len)));
    }
    for piece in shorts {
        let (start, len) = unpack(*piece);
        let (low, high) = short_key(text, start, len);
        prefetch(sets.short(low, high));
    }
    for piece in others {
        let (start, len) = unpack(*piece);
        if len <= MEDIUM {
            prefetch(sets.medium_home(&text[start..start + len]));
        }
    }
    let mut n_unknown = 0;
    for piece in words {
        let (start, len) = unpack(*piece);
        let key = word_key(text, start, len);
        let set = sets.word(key);
        let found = (set[WORD_WAYS] >> (matches(set, key).trailing_zeros() * 8 % 64)) as usize & 0xFF;
        n_tokens += found;
        missed[n_unknown % MISSED] = listed(*piece);
        n_unknown += usize::from(found == 0);
        hits = hits.wrapping_add(1);
        if hits.is_multiple_of(PROMOTE) {
            if found == 1 {
                front.keys[front_place(key)] = key;
            } else if found > 1 && ask_near {
                near_store(near, key, 0, found);
            }
        }
    }
    for piece in shorts {
        let (start, len) = unpack(*piece);
        let (low, high) = short_key(text, start, len);
        let found = short_count(sets.short(low, high), low, high);
        n_tokens += found;
        missed[n_unknown % MISSED] = listed(*piece);
        n_unknown += usize::from(found == 0);
        hits = hits.wrapping_add(1);
        if hits.is_multiple_of(PROMOTE) && found > 0 && ask_near {
            near_store(near, low, high, found);
        }
    }
    (cache.hits, cache.near_rests) = (scatter(hits), rests);
    vocabulary.prefetch_tokens(missed[..n_unknown].iter().map(|piece| {
        let (start, len) = unpack(packed(*piece));
        &text[start..start + len]
    }));
    for piece in missed[..n_unknown].iter().map(|piece| packed(*piece)).chain(others.iter().copied()) {
        let (start, len) = unpack(piece);
        // The same piece can have missed before in this batch, so its table is asked once more.
        n_tokens += count_piece(&matches, cache, tokens, vocabulary, text, start, len);
    }
    n_tokens
}

/// Answers for the missed pieces; call it through `simd.rs`.
#[inline(always)]
pub(crate) fn encode_missed_with(
    matches_known: impl Matches,
    pattern: Pattern,
    cache: &mut PieceCache,
    scratch: &mut Scratch,
    vocabulary: &Vocabulary,
    text: &[u8],
    n_missed: usize,
) {
    let Scratch { words, shorts, batch: Batch { answers, missed }, resolved, .. } = scratch;
    let mut hits = cache.hits;
    let (sets, _, front, _) = cache.parts();
    let (mut n_words, mut n_shorts, mut n_others) = (0, 0, 0);
    for i in 0..n_missed % MISSED {
        let piece = missed[i];
        let (_, len, _) = unpack_placed(piece);
        words[n_words % MISSED] = piece;
        n_words += usize::from(len <= WORD);
        shorts[n_shorts % MISSED] = piece;
        n_shorts += usize::from((len > WORD) & (len <= SHORT));
        missed[n_others % MISSED] = piece;
        n_others += usize::from(len > SHORT);
    }
    let (words, shorts) = (&words[..n_words], &shorts[..n_shorts]);
    for piece in words {
        let (start, len, _) = unpack_placed(*piece);
        prefetch(sets.known(word_key(text, start, len)));
    }
    for piece in shorts {
        let (start, len, _) = unpack_placed(*piece);
        let (low, high) = short_key(text, start, len);
        prefetch(sets.short(low, high));
        prefetch(sets.short_ids(low, high));
    }
    for piece in &missed[..n_others] {
        let (start, len, _) = unpack_placed(*piece);
        if len <= MEDIUM {
            prefetch(sets.medium_home(&text[start..start + len]));
        }
    }
    let n_long = n_others;
    let mut n_resolved = 0;
    for piece in words {
        let (start, len, at) = unpack_placed(*piece);
        let key = word_key(text, start, len);
        let set = sets.known(key);
        let matched = matches_known(set, key);
        let ids = set[matched.trailing_zeros() as usize & 6 | 1];
        let ids = select_unpredictable(matched != 0, ids, 0);
        resolved[n_resolved % MISSED] = ids;
        let single = (ids as u32).wrapping_sub(1);
        answers[at] = select_unpredictable(ids <= ID_MASK, single, FLAG | n_resolved as u32);
        n_resolved += usize::from(ids > ID_MASK);
        missed[n_others % MISSED] = *piece;
        n_others += usize::from(ids == 0);
        hits = hits.wrapping_add(1);
        if hits.is_multiple_of(PROMOTE) {
            let place = front_known_place(key);
            let known = (ids != 0) & (ids <= ID_MASK);
            front.keys[place] = select_unpredictable(known, key, front.keys[place]);
            front.ids[place] = select_unpredictable(known, single, front.ids[place]);
        }
    }
    for piece in shorts {
        let (start, len, at) = unpack_placed(*piece);
        let (low, high) = short_key(text, start, len);
        let ids = short_known(sets.short(low, high), sets.short_ids(low, high), low, high);
        resolved[n_resolved % MISSED] = ids;
        let single = (ids as u32).wrapping_sub(1);
        answers[at] = select_unpredictable(ids <= ID_MASK, single, FLAG | n_resolved as u32);
        n_resolved += usize::from(ids > ID_MASK);
        missed[n_others % MISSED] = *piece;
        n_others += usize::from(ids == 0);
    }
    cache.hits = scatter(hits);
    vocabulary.prefetch_tokens(missed[n_long..n_others].iter().map(|piece| {
        let (start, len, _) = unpack_placed(*piece);
        &text[start..start + len]
    }));
    for piece in &missed[..n_others] {
        let (start, mut len, at) = unpack_placed(*piece);
        if len == LEN_MAX {
            len = piece_end(pattern, text, start) - start;
        }
        let ids = encode_piece(cache, vocabulary, text, start, len);
        answers[at] = if ids <= ID_MASK {
            ids as u32 - 1
        } else {
            resolved[n_resolved % MISSED] = ids;
            n_resolved += 1;
            FLAG | (n_resolved - 1) as u32
        };
    }
}

/// Batches that skip the near table after it knew less than three eighths of one.
const NEAR_RESTS: u32 = 15;

/// Marks an answer that is not a token but an index into `resolved`.
const FLAG: u32 = 1 << 31;

/// Appends the tokens that `answers` stand for to `out`.
fn emit(many: &[u32], resolved: &[Ids; MISSED], answers: &[u32], out: &mut Vec<u32>) {
    const STEP: usize = 8;
    // Room for the most that pieces of three tokens need; longer ones ask for their own.
    out.reserve(3 * answers.len() + STEP);
    let (chunks, rest) = answers.as_chunks::<STEP>();
    for chunk in chunks {
        if chunk.iter().fold(0, |all, answer| all | answer) & FLAG == 0 {
            out.extend_from_slice(chunk);
        } else {
            emit_some(many, resolved, chunk, out);
        }
    }
    emit_some(many, resolved, rest, out);
}

/// [`emit`] for up to eight answers.
#[inline(always)]
fn emit_some(many: &[u32], resolved: &[Ids; MISSED], answers: &[u32], out: &mut Vec<u32>) {
    let mut tokens = [0; 32];
    let mut n = 0;
    for answer in answers {
        let ids = resolved[*answer as usize % MISSED];
        let ids = select_unpredictable(answer & FLAG != 0, ids, u64::from(*answer) + 1);
        if ids & IN_MANY != 0 {
            out.extend_from_slice(&tokens[..n]);
            n = 0;
            let (from, len) = (ids as u32 as usize, (ids >> 32) as usize & 0x7FFF_FFFF);
            out.extend_from_slice(&many[from..from + len]);
            continue;
        }
        // Three are written and as many kept as there are.
        for i in 0..3 {
            tokens[(n + i) % 32] = ((ids >> (i as u32 * ID_BITS) & ID_MASK) as u32).wrapping_sub(1);
        }
        n += 1 + usize::from(ids >> ID_BITS != 0) + usize::from(ids >> (2 * ID_BITS) != 0);
    }
    out.extend_from_slice(&tokens[..n]);
}
