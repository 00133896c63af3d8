//! Classes of 64 bytes in one step, with the widest vectors of the processor.
//!
//! The crate has `unsafe` here, in `simd/` and in `slots.rs`: loads of vectors, and calls of functions compiled for
//! features that an [`Isa`] was found to have. The loop over windows is compiled once per feature level, so that the
//! masks stay in registers. What was tried and lost is in `OPTIMIZATIONS.md`.

#![cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(unsafe_code, reason = "vector loads, and calls of functions compiled for detected features")
)]

mod isa;

pub(crate) use isa::Isa;
pub use isa::Vectors;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::classes::class_of_bytes;
use crate::pieces::{Scratch, count_missed_with, encode_missed_with};
use crate::pretokenize::Pattern;
use crate::scan::{
    Cased, DeepSeek3, Gpt2, Masks, Sink, TAIL, Uncased, WINDOW, planes_scalar, scan_tail_with, scan_with,
};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::scan::{Planes, REACH};
use crate::seen::{KNOWN_WAYS, KnownSet, PieceCache, WORD_WAYS, WordSet};
use crate::vocabulary::Vocabulary;

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

// Both use the macro above.
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

/// [`scan_with`] by these vectors.
pub(crate) fn scan<S: Sink>(isa: Isa, pattern: Pattern, text: &[u8], sink: &mut S) -> usize {
    match isa.vectors() {
        // SAFETY: an `Isa` of this kind is made only where the processor has the features.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { x86::scan_avx512(pattern, text, sink) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe { x86::scan_avx2(pattern, text, sink) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Vectors::Neon => unsafe { neon::scan(pattern, text, sink) },
        _ => by_pattern!(scan_with, pattern, masks_scalar, planes_scalar, text, sink),
    }
}

/// [`scan_tail_with`] by these vectors.
pub(crate) fn scan_tail<S: Sink>(isa: Isa, pattern: Pattern, padded: &[u8; TAIL], len: usize, sink: &mut S) {
    match isa.vectors() {
        // SAFETY: an `Isa` of this kind is made only where the processor has the features.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { x86::scan_tail_avx512(pattern, padded, len, sink) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe { x86::scan_tail_avx2(pattern, padded, len, sink) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Vectors::Neon => unsafe { neon::scan_tail(pattern, padded, len, sink) },
        _ => by_pattern!(scan_tail_with, pattern, masks_scalar, planes_scalar, padded, len, sink),
    }
}

/// [`count_missed_with`] by these vectors.
pub(crate) fn count_missed(
    isa: Isa,
    cache: &mut PieceCache,
    scratch: &mut Scratch,
    vocabulary: &Vocabulary,
    text: &[u8],
    n_missed: usize,
) -> usize {
    match isa.vectors() {
        // SAFETY: an `Isa` of this kind is made only where the processor has the features.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { x86::count_missed_avx512(cache, scratch, vocabulary, text, n_missed) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe { x86::count_missed_avx2(cache, scratch, vocabulary, text, n_missed) },
        _ => count_missed_with(matches_scalar, cache, scratch, vocabulary, text, n_missed),
    }
}

/// [`encode_missed_with`] by these vectors.
pub(crate) fn encode_missed(
    isa: Isa,
    pattern: Pattern,
    cache: &mut PieceCache,
    scratch: &mut Scratch,
    vocabulary: &Vocabulary,
    text: &[u8],
    n_missed: usize,
) {
    match isa.vectors() {
        // SAFETY: an `Isa` of this kind is made only where the processor has the features.
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

/// The masks of a block by what compares all its bytes: with one byte, and with so many from a first one on.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn masks_by(equal: impl Fn(u8) -> u64, within: impl Fn(u8, u8) -> u64, high: u64) -> Masks {
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
        high,
    }
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

/// The class number of each non-ASCII character at all of its bytes and, perhaps, at some behind it; and the first
/// byte of the one that the window cuts, or 64. `leads` has the first bytes of characters.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
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

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
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
            #[cfg(target_arch = "aarch64")]
            {
                // SAFETY: every 64-bit Arm processor has NEON.
                assert_eq!(unsafe { neon::planes(&bytes, high) }, expected, "{scalar:?}");
                windows += 1;
            }
            #[cfg(target_arch = "x86_64")]
            if Vectors::detect() >= Vectors::Avx2 {
                // SAFETY: the features were found on this processor.
                assert_eq!(unsafe { x86::planes_avx2(&bytes, high) }, expected, "{scalar:?}");
                windows += 1;
            }
            #[cfg(target_arch = "x86_64")]
            if Vectors::detect() >= Vectors::Avx512 {
                // SAFETY: as above.
                assert_eq!(unsafe { x86::planes_avx512(&bytes, high) }, expected, "{scalar:?}");
            }
        }
        assert!(windows == 0 || windows > 1_100_000);
    }

    #[test]
    fn vectors_that_are_not_here_are_not_made() {
        for vectors in Vectors::ALL {
            let made = Isa::at_most(vectors).vectors();
            assert!(made <= vectors && made <= Vectors::detect());
        }
        assert!(Vectors::ALL.is_sorted_by(|a, b| a > b));
    }
}
