//! Slots of tables: loaded before they are read, compared at once, and on large pages where most of them will be touched.
//!
//! Tables and vocabularies need no other vectors, so they know nothing of the wide ones in `simd.rs`.

#![cfg_attr(
    any(target_arch = "x86_64", target_os = "linux"),
    expect(unsafe_code, reason = "a vector load, a prefetch, advice on pages")
)]

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

/// Bytes of a large page, and how it is aligned.
pub(crate) const LARGE_PAGE: usize = 2 << 20;

/// Asks for large pages behind words that will be touched all over. Where the system has none, nothing changes.
pub(crate) fn large_pages(words: &[u64]) {
    #[cfg(all(target_os = "linux", not(miri)))]
    // SAFETY: the advice changes neither the words nor who may use them.
    unsafe {
        libc::madvise(words.as_ptr().cast_mut().cast(), size_of_val(words), libc::MADV_HUGEPAGE);
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = words;
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
