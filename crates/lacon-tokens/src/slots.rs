//! Slots of tables: loaded before they are read, and compared at once.
//!
//! Tables and vocabularies need no other vectors, so they know nothing of the wide ones in `simd.rs`.

#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "a vector load and a prefetch"))]

use crate::tables::Bucket;

/// Asks for a value's first cache line, which will be read.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// A bit for each slot that equals `fingerprint` under `mask`.
#[inline(always)]
pub(crate) fn same_slots(bucket: &Bucket, fingerprint: u32, mask: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        // SAFETY: SSE2 is part of x86-64; the loads need no alignment and read the bucket's 32 bytes.
        unsafe {
            let fingerprint = _mm_set1_epi32(fingerprint as i32);
            let half = |at: usize| {
                let slots = _mm_loadu_si128(bucket.as_ptr().add(4 * at).cast());
                let slots = _mm_and_si128(slots, _mm_set1_epi32(mask as i32));
                _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(slots, fingerprint))) as u32
            };
            half(0) | half(4) << 4
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        use crate::tables::{BUCKET, slot};
        (0..BUCKET).fold(0, |matched, at| matched | u32::from(slot(bucket, at) & mask == fingerprint) << at)
    }
}
