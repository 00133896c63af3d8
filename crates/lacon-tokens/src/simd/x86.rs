//! AVX2 and AVX-512: one function per loop and feature level, so that the masks stay in registers.

use std::arch::x86_64::*;

use super::*;
use crate::scan::{REACH, below};

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
    masks_by(equal, within, _mm512_movepi8_mask(bytes))
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
    masks_by(equal, within, bits(halves))
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
