//! Classes of 64 bytes in one step, with the widest vectors of the processor.
//!
//! This file and `slots.rs` are the only ones of the crate with `unsafe`. This one calls functions compiled for a feature that was detected at run
//! time. The loop over windows is compiled once per feature level, so that the masks stay in registers. What was tried
//! and lost is in `OPTIMIZATIONS.md`.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "vector loads, and calls of functions compiled for detected features")
)]

#[cfg(target_arch = "x86_64")]
use crate::classes::class_of_bytes;
use crate::pieces::{Scratch, count_missed_with, encode_missed_with};
use crate::pretokenize::Pattern;
use crate::scan::{
    Cased, DeepSeek3, Gpt2, Masks, Sink, TAIL, Uncased, WINDOW, planes_scalar, scan_tail_with, scan_with,
};
#[cfg(target_arch = "x86_64")]
use crate::scan::{Planes, REACH, below};
use crate::seen::{KNOWN_WAYS, KnownSet, PieceCache, WORD_WAYS, WordSet};
use crate::vocabulary::Vocabulary;

/// What the masks are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Vectors {
    /// One byte at a time through a table.
    None,
    /// 32 bytes at a time, x86-64.
    Avx2,
    /// 64 bytes at a time, x86-64.
    Avx512,
}

impl Vectors {
    /// The widest that this processor has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt")
            {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt")
            {
                return Self::Avx2;
            }
        }
        Self::None
    }
}

macro_rules! by_pattern {
    ($function:ident, $pattern:expr, $masks:expr, $planes:expr, $($argument:expr),*) => {
        match $pattern {
            Pattern::O200k => $function::<Cased<3, true>, _>($masks, $planes, $($argument),*),
            Pattern::Tekken => $function::<Cased<1, false>, _>($masks, $planes, $($argument),*),
            Pattern::Cl100k => $function::<Uncased<3, true>, _>($masks, $planes, $($argument),*),
            Pattern::Llama3 => $function::<Uncased<3, false>, _>($masks, $planes, $($argument),*),
            Pattern::Qwen2 => $function::<Uncased<1, false>, _>($masks, $planes, $($argument),*),
            Pattern::Gpt2 => $function::<Gpt2, _>($masks, $planes, $($argument),*),
            Pattern::DeepSeek3 => $function::<DeepSeek3, _>($masks, $planes, $($argument),*),
        }
    };
}

/// [`scan_with`] by the given vectors, which must come from [`Vectors::detect`].
pub(crate) fn scan<S: Sink>(vectors: Vectors, pattern: Pattern, text: &[u8], sink: &mut S) -> usize {
    match vectors {
        // SAFETY: the variant is made by `detect` alone, which found the features on this processor.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { x86::scan_avx512(pattern, text, sink) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe { x86::scan_avx2(pattern, text, sink) },
        _ => by_pattern!(scan_with, pattern, masks_scalar, planes_scalar, text, sink),
    }
}

/// [`scan_tail_with`] by the given vectors, which must come from [`Vectors::detect`].
pub(crate) fn scan_tail<S: Sink>(
    vectors: Vectors,
    pattern: Pattern,
    padded: &[u8; TAIL],
    len: usize,
    sink: &mut S,
) {
    match vectors {
        // SAFETY: the variant is made by `detect` alone, which found the features on this processor.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { x86::scan_tail_avx512(pattern, padded, len, sink) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe { x86::scan_tail_avx2(pattern, padded, len, sink) },
        _ => by_pattern!(scan_tail_with, pattern, masks_scalar, planes_scalar, padded, len, sink),
    }
}

/// [`count_missed_with`] by the given vectors, which must come from [`Vectors::detect`].
pub(crate) fn count_missed(
    vectors: Vectors,
    cache: &mut PieceCache,
    scratch: &mut Scratch,
    vocabulary: &Vocabulary,
    text: &[u8],
    n_missed: usize,
) -> usize {
    match vectors {
        // SAFETY: the variant is made by `detect` alone, which found the features on this processor.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { x86::count_missed_avx512(cache, scratch, vocabulary, text, n_missed) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe { x86::count_missed_avx2(cache, scratch, vocabulary, text, n_missed) },
        _ => count_missed_with(matches_scalar, cache, scratch, vocabulary, text, n_missed),
    }
}

/// [`encode_missed_with`] by the given vectors, which must come from [`Vectors::detect`].
pub(crate) fn encode_missed(
    vectors: Vectors,
    pattern: Pattern,
    cache: &mut PieceCache,
    scratch: &mut Scratch,
    vocabulary: &Vocabulary,
    text: &[u8],
    n_missed: usize,
) {
    match vectors {
        // SAFETY: the variant is made by `detect` alone, which found the features on this processor.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe {
            x86::encode_missed_avx512(pattern, cache, scratch, vocabulary, text, n_missed)
        },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe {
            x86::encode_missed_avx2(pattern, cache, scratch, vocabulary, text, n_missed)
        },
        _ => encode_missed_with(matches_known_scalar, pattern, cache, scratch, vocabulary, text, n_missed),
    }
}

/// Class bits of each ASCII byte, in the order of the fields of [`Masks`].
const BITS: [u16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = match i as u8 {
            b'a'..=b'z' => 1,
            b'A'..=b'Z' => 2,
            b'0'..=b'9' => 4,
            b'\r' | b'\n' => 8,
            b' ' => 16,
            b'\t' | 0x0B | 0x0C => 32,
            b'\'' => 64,
            b'/' => 128,
            0x80.. => 256,
            _ => 0,
        };
        i += 1;
    }
    table
};

/// The masks one byte at a time: the form that the others must equal.
#[inline(always)]
pub(crate) fn masks_scalar(block: &[u8; WINDOW]) -> Masks {
    let mut masks = Masks::default();
    for (i, byte) in block.iter().enumerate() {
        let bits = u64::from(BITS[*byte as usize]);
        masks.lower |= (bits & 1) << i;
        masks.upper |= (bits >> 1 & 1) << i;
        masks.digit |= (bits >> 2 & 1) << i;
        masks.newline |= (bits >> 3 & 1) << i;
        masks.space |= (bits >> 4 & 1) << i;
        masks.blank |= (bits >> 5 & 1) << i;
        masks.apostrophe |= (bits >> 6 & 1) << i;
        masks.slash |= (bits >> 7 & 1) << i;
        masks.high |= (bits >> 8 & 1) << i;
    }
    masks
}

/// Keys of the set that equal the key, one at a time, and the bit behind them.
#[inline(always)]
pub(crate) fn matches_scalar(set: &WordSet, key: u64) -> u32 {
    let mut matched = 1 << WORD_WAYS;
    for (way, word) in set[..WORD_WAYS].iter().enumerate() {
        matched |= u32::from(*word == key) << way;
    }
    matched
}

/// The places in the set whose keys equal the key, one at a time.
#[inline(always)]
pub(crate) fn matches_known_scalar(set: &KnownSet, key: u64) -> u32 {
    let mut matched = 0;
    for way in 0..KNOWN_WAYS {
        matched |= u32::from(set[2 * way] == key) << (2 * way);
    }
    matched
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;

    #[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn scan_avx512<S: Sink>(pattern: Pattern, text: &[u8], sink: &mut S) -> usize {
        by_pattern!(
            scan_with,
            pattern,
            |block| masks_avx512(block),
            |bytes, high| planes_avx512(bytes, high),
            text,
            sink
        )
    }

    #[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn scan_tail_avx512<S: Sink>(pattern: Pattern, padded: &[u8; TAIL], len: usize, sink: &mut S) {
        by_pattern!(
            scan_tail_with,
            pattern,
            |block| masks_avx512(block),
            |bytes, high| planes_avx512(bytes, high),
            padded,
            len,
            sink
        );
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn scan_avx2<S: Sink>(pattern: Pattern, text: &[u8], sink: &mut S) -> usize {
        by_pattern!(
            scan_with,
            pattern,
            |block| masks_avx2(block),
            |bytes, high| planes_avx2(bytes, high),
            text,
            sink
        )
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn scan_tail_avx2<S: Sink>(pattern: Pattern, padded: &[u8; TAIL], len: usize, sink: &mut S) {
        by_pattern!(
            scan_tail_with,
            pattern,
            |block| masks_avx2(block),
            |bytes, high| planes_avx2(bytes, high),
            padded,
            len,
            sink
        );
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn count_missed_avx512(
        cache: &mut PieceCache,
        scratch: &mut Scratch,
        vocabulary: &Vocabulary,
        text: &[u8],
        n_missed: usize,
    ) -> usize {
        count_missed_with(|set, key| matches_avx512(set, key), cache, scratch, vocabulary, text, n_missed)
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn count_missed_avx2(
        cache: &mut PieceCache,
        scratch: &mut Scratch,
        vocabulary: &Vocabulary,
        text: &[u8],
        n_missed: usize,
    ) -> usize {
        count_missed_with(|set, key| matches_avx2(set, key), cache, scratch, vocabulary, text, n_missed)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn encode_missed_avx512(
        pattern: Pattern,
        cache: &mut PieceCache,
        scratch: &mut Scratch,
        vocabulary: &Vocabulary,
        text: &[u8],
        n_missed: usize,
    ) {
        encode_missed_with(
            |set, key| matches_known_avx512(set, key),
            pattern,
            cache,
            scratch,
            vocabulary,
            text,
            n_missed,
        )
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn encode_missed_avx2(
        pattern: Pattern,
        cache: &mut PieceCache,
        scratch: &mut Scratch,
        vocabulary: &Vocabulary,
        text: &[u8],
        n_missed: usize,
    ) {
        encode_missed_with(
            |set, key| matches_known_avx2(set, key),
            pattern,
            cache,
            scratch,
            vocabulary,
            text,
            n_missed,
        )
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn matches_avx512(set: &WordSet, key: u64) -> u32 {
        // SAFETY: the set has 64 readable bytes and the load needs no alignment.
        let words = unsafe { _mm512_loadu_si512(set.as_ptr().cast()) };
        u32::from(_mm512_cmpeq_epi64_mask(words, _mm512_set1_epi64(key as i64))) | 1 << WORD_WAYS
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn matches_avx2(set: &WordSet, key: u64) -> u32 {
        let half = |at: usize| {
            // SAFETY: `at` is 0 or 4, so that 32 of the set's 64 bytes are readable; the load needs no alignment.
            let words = unsafe { _mm256_loadu_si256(set.as_ptr().add(at).cast()) };
            let equal = _mm256_cmpeq_epi64(words, _mm256_set1_epi64x(key as i64));
            _mm256_movemask_pd(_mm256_castsi256_pd(equal)) as u32
        };
        half(0) | half(4) << 4 | 1 << WORD_WAYS
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn matches_known_avx512(set: &KnownSet, key: u64) -> u32 {
        // SAFETY: the set has 64 readable bytes and the load needs no alignment.
        let words = unsafe { _mm512_loadu_si512(set.as_ptr().cast()) };
        u32::from(_mm512_cmpeq_epi64_mask(words, _mm512_set1_epi64(key as i64))) & 0x55
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn matches_known_avx2(set: &KnownSet, key: u64) -> u32 {
        let half = |at: usize| {
            // SAFETY: `at` is 0 or 4, so that 32 of the set's 64 bytes are readable; the load needs no alignment.
            let words = unsafe { _mm256_loadu_si256(set.as_ptr().add(at).cast()) };
            let equal = _mm256_cmpeq_epi64(words, _mm256_set1_epi64x(key as i64));
            _mm256_movemask_pd(_mm256_castsi256_pd(equal)) as u32
        };
        (half(0) | half(4) << 4) & 0x55
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn masks_avx512(block: &[u8; WINDOW]) -> Masks {
        // SAFETY: the block has 64 readable bytes and the load needs no alignment.
        let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        let all = |byte: u8| _mm512_set1_epi8(byte as i8);
        let within = |low: u8, n: u8| _mm512_cmplt_epu8_mask(_mm512_sub_epi8(bytes, all(low)), all(n));
        let equal = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, all(byte));
        let newline = equal(b'\n') | equal(b'\r');
        Masks {
            lower: within(b'a', 26),
            upper: within(b'A', 26),
            digit: within(b'0', 10),
            newline,
            space: equal(b' '),
            blank: within(9, 5) & !newline,
            apostrophe: equal(b'\''),
            slash: equal(b'/'),
            high: _mm512_movepi8_mask(bytes),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn masks_avx2(block: &[u8; WINDOW]) -> Masks {
        // SAFETY: the block has 64 readable bytes and the loads need no alignment.
        let halves = unsafe {
            [_mm256_loadu_si256(block.as_ptr().cast()), _mm256_loadu_si256(block.as_ptr().add(32).cast())]
        };
        let all = |byte: u8| _mm256_set1_epi8(byte as i8);
        let bits = |[low, high]: [__m256i; 2]| {
            u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32
        };
        let equal = |byte: u8| bits(halves.map(|half| _mm256_cmpeq_epi8(half, all(byte))));
        let within = |low: u8, n: u8| {
            bits(halves.map(|half| {
                let offset = _mm256_sub_epi8(half, all(low));
                _mm256_cmpeq_epi8(_mm256_min_epu8(offset, all(n - 1)), offset)
            }))
        };
        let newline = equal(b'\n') | equal(b'\r');
        Masks {
            lower: within(b'a', 26),
            upper: within(b'A', 26),
            digit: within(b'0', 10),
            newline,
            space: equal(b' '),
            blank: within(9, 5) & !newline,
            apostrophe: equal(b'\''),
            slash: equal(b'/'),
            high: bits(halves),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn planes_avx512(bytes: &[u8; REACH], high: u64) -> Planes {
        // SAFETY: a window has more than 64 readable bytes and the load needs no alignment.
        let block = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
        let leads = _mm512_movepi8_mask(_mm512_slli_epi16::<1>(block)) & high;
        let (classes, cut) = classes_of(bytes, leads);
        // SAFETY: the array has more than 64 readable bytes and the load needs no alignment.
        let classes = unsafe { _mm512_loadu_si512(classes.as_ptr().cast()) };
        let seen = high & below(cut);
        Planes {
            one: _mm512_movepi8_mask(_mm512_slli_epi16::<7>(classes)) & seen,
            two: _mm512_movepi8_mask(_mm512_slli_epi16::<6>(classes)) & seen,
            four: _mm512_movepi8_mask(_mm512_slli_epi16::<5>(classes)) & seen,
            eight: _mm512_movepi8_mask(_mm512_slli_epi16::<4>(classes)) & seen,
            rest: seen & !leads,
            cut,
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn planes_avx2(bytes: &[u8; REACH], high: u64) -> Planes {
        // SAFETY: a window has more than 64 readable bytes and the loads need no alignment.
        let halves = unsafe {
            [_mm256_loadu_si256(bytes.as_ptr().cast()), _mm256_loadu_si256(bytes.as_ptr().add(32).cast())]
        };
        let bits = |[low, high]: [__m256i; 2]| {
            u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32
        };
        let leads = bits(halves.map(|half| _mm256_slli_epi16::<1>(half))) & high;
        let (classes, cut) = classes_of(bytes, leads);
        // SAFETY: the array has more than 64 readable bytes and the loads need no alignment.
        let classes = unsafe {
            [_mm256_loadu_si256(classes.as_ptr().cast()), _mm256_loadu_si256(classes.as_ptr().add(32).cast())]
        };
        let seen = high & below(cut);
        Planes {
            one: bits(classes.map(|half| _mm256_slli_epi16::<7>(half))) & seen,
            two: bits(classes.map(|half| _mm256_slli_epi16::<6>(half))) & seen,
            four: bits(classes.map(|half| _mm256_slli_epi16::<5>(half))) & seen,
            eight: bits(classes.map(|half| _mm256_slli_epi16::<4>(half))) & seen,
            rest: seen & !leads,
            cut,
        }
    }
}

/// The class number of each non-ASCII character at all of its bytes and, perhaps, at some behind it; and the first
/// byte of the one that the window cuts, or 64. `leads` has the first bytes of characters.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn classes_of(bytes: &[u8; REACH], mut leads: u64) -> ([u8; REACH], u32) {
    let mut classes = [0; REACH];
    while leads != 0 {
        let at = leads.trailing_zeros() as usize;
        leads &= leads - 1;
        let class =
            class_of_bytes(*bytes[at..].first_chunk().expect("a window reaches beyond its last byte"));
        // Four bytes at once: what is too much is overwritten by the next character, or masked.
        classes[at..at + 4].copy_from_slice(&(u32::from(class) * 0x0101_0101).to_le_bytes());
    }
    let last = &bytes[WINDOW - 3..WINDOW];
    let cut = match (last[0], last[1], last[2]) {
        (0xF0.., _, _) => WINDOW - 3,
        (_, 0xE0.., _) => WINDOW - 2,
        (_, _, 0xC0..) => WINDOW - 1,
        _ => WINDOW,
    };
    (classes, cut as u32)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn planes_of_every_character_equal_the_scalar_ones() {
        let mut windows = 0;
        for (i, scalar) in ('\u{80}'..=char::MAX).enumerate() {
            let mut bytes = [b' '; REACH];
            let mut encoded = [0; 4];
            let encoded = scalar.encode_utf8(&mut encoded).as_bytes();
            // At the front, at a place that moves, and where the window ends.
            for at in [0, 8 + i % 40, WINDOW - 1 - i % 5] {
                bytes[at..at + encoded.len()].copy_from_slice(encoded);
            }
            let high = masks_scalar(bytes.first_chunk().expect("a window is longer than a block")).high;
            let expected = planes_scalar(&bytes, high);
            if Vectors::detect() >= Vectors::Avx2 {
                // SAFETY: the features were found on this processor.
                assert_eq!(unsafe { x86::planes_avx2(&bytes, high) }, expected, "{scalar:?}");
                windows += 1;
            }
            if Vectors::detect() >= Vectors::Avx512 {
                // SAFETY: as above.
                assert_eq!(unsafe { x86::planes_avx512(&bytes, high) }, expected, "{scalar:?}");
            }
        }
        assert!(windows == 0 || windows > 1_100_000);
    }
}
