//! NEON. Look-ups in sets of pieces stay scalar: the compiler makes vectors of eight comparisons by itself.

use std::arch::aarch64::*;

use super::*;
use crate::scan::below;

#[target_feature(enable = "neon")]
pub(super) fn scan<S: Sink>(pattern: Pattern, text: &[u8], sink: &mut S) -> usize {
    by_pattern!(scan_with, pattern, |block| masks(block), |bytes, high| planes(bytes, high), text, sink)
}

#[target_feature(enable = "neon")]
pub(super) fn scan_tail<S: Sink>(pattern: Pattern, padded: &[u8; TAIL], len: usize, sink: &mut S) {
    by_pattern!(
        scan_tail_with,
        pattern,
        |block| masks(block),
        |bytes, high| planes(bytes, high),
        padded,
        len,
        sink
    );
}

type Block = [uint8x16_t; 4];

/// The first 64 bytes.
#[inline]
#[target_feature(enable = "neon")]
fn load<const N: usize>(bytes: &[u8; N]) -> Block {
    const { assert!(N >= WINDOW) };
    // SAFETY: all four loads end within the 64 bytes that the array has at least, and need no alignment.
    [0, 16, 32, 48].map(|at| unsafe { vld1q_u8(bytes.as_ptr().add(at)) })
}

/// One bit of each byte, which is 0 or 255: the first byte's bit is the lowest.
#[inline]
#[target_feature(enable = "neon")]
fn bits(bytes: Block) -> u64 {
    let weights = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
    let [a, b, c, d] = bytes.map(|part| vandq_u8(part, weights));
    // Three sums of neighbors make one byte of eight.
    let sums = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)))
}

/// [`super::masks_scalar`].
#[inline]
#[target_feature(enable = "neon")]
fn masks(block: &[u8; WINDOW]) -> Masks {
    let bytes = load(block);
    let equal = |byte: u8| bits(bytes.map(|part| vceqq_u8(part, vdupq_n_u8(byte))));
    let within =
        |low: u8, n: u8| bits(bytes.map(|part| vcltq_u8(vsubq_u8(part, vdupq_n_u8(low)), vdupq_n_u8(n))));
    masks_by(equal, within, with_bit(bytes, 0x80))
}

/// The bytes that have a bit.
#[inline]
#[target_feature(enable = "neon")]
fn with_bit(bytes: Block, bit: u8) -> u64 {
    bits(bytes.map(|part| vtstq_u8(part, vdupq_n_u8(bit))))
}

/// [`crate::scan::planes_scalar`].
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn planes(bytes: &[u8; REACH], high: u64) -> Planes {
    let leads = with_bit(load(bytes), 0x40) & high;
    let (classes, cut) = classes_of(bytes, leads);
    let classes = load(&classes);
    let seen = high & below(cut);
    Planes {
        one: with_bit(classes, 1) & seen,
        two: with_bit(classes, 2) & seen,
        four: with_bit(classes, 4) & seen,
        eight: with_bit(classes, 8) & seen,
        rest: seen & !leads,
        cut,
    }
}
