//! Hash tables of a vocabulary: token by its bytes, and merged token by its two halves.
//!
//! Arrays of buckets of eight, filled once and never changed. A slot is one word of 32 bits: the token number and a
//! fingerprint. The caller compares what the token is made of, so a look-up is exact, and a table of 200,000 tokens
//! takes 2 MB: what counts is how much of it stays in the caches, and that no branch depends on what is found.
//!
//! Tried and lost: 64-bit slots that hold the whole key (twice the memory, slower on every corpus and to load);
//! probing slot by slot (each look-up a branch that the processor guesses wrong a third of the time).

use std::borrow::Cow;
use std::collections::HashMap;
use std::hint::select_unpredictable;

use crate::slots::{prefetch, same_slots};

const EMPTY: u32 = u32::MAX;

/// Slots that are compared at once; half a cache line.
pub(crate) const BUCKET: usize = 8;

/// Token numbers of `BITS` bits by a 64-bit hash; the other bits of a slot are the fingerprint.
pub(crate) struct NumberTable<const BITS: u32> {
    buckets: Cow<'static, [Bucket]>,
    shift: u32,
}

/// Eight slots as bytes, the lowest first: the build script writes them to a file that is part of the binary.
pub(crate) type Bucket = [u8; 4 * BUCKET];

#[inline(always)]
pub(crate) fn slot(bucket: &Bucket, at: usize) -> u32 {
    let (slots, _) = bucket.as_chunks::<4>();
    u32::from_le_bytes(slots[at % BUCKET])
}

impl<const BITS: u32> NumberTable<BITS> {
    const NUMBER: u32 = (1 << BITS) - 1;

    pub(crate) fn with_capacity(n: usize) -> Self {
        let size = (n * 2 / BUCKET).max(2).next_power_of_two();
        Self { buckets: vec![[0xFF; 4 * BUCKET]; size].into(), shift: 64 - size.trailing_zeros() }
    }

    /// A table as [`Self::bytes`] gave it.
    pub(crate) fn from_bytes(bytes: &'static [u8]) -> Self {
        let (buckets, _) = bytes.as_chunks();
        Self { buckets: Cow::Borrowed(buckets), shift: 64 - buckets.len().trailing_zeros() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.buckets.as_flattened()
    }

    #[inline(always)]
    pub(crate) fn insert(&mut self, hash: u64, number: u32) {
        let mask = self.buckets.len() - 1;
        let mut at = (hash >> self.shift) as usize;
        loop {
            let bucket = &mut self.buckets.to_mut()[at & mask];
            // No branch on how full the bucket is: a load of a vocabulary would wait for each of its cache misses.
            let empty = same_slots(bucket, EMPTY, u32::MAX);
            if empty != 0 {
                let (slots, _) = bucket.as_chunks_mut::<4>();
                slots[empty.trailing_zeros() as usize % BUCKET] =
                    ((hash as u32) << BITS | number).to_le_bytes();
                return;
            }
            at += 1;
        }
    }

    /// Asks for the memory that [`Self::guess`] reads.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64) {
        prefetch(&self.buckets[(hash >> self.shift) as usize & (self.buckets.len() - 1)]);
    }

    /// A number inserted with this hash, or, rarely, with one that looks like it; `u32::MAX` if there is none.
    #[inline(always)]
    pub(crate) fn guess(&self, hash: u64) -> u32 {
        let mask = self.buckets.len() - 1;
        let mut at = (hash >> self.shift) as usize;
        loop {
            let bucket = &self.buckets[at & mask];
            let matched = same_slots(bucket, (hash as u32) << BITS, !Self::NUMBER);
            let number = slot(bucket, matched.trailing_zeros() as usize) & Self::NUMBER;
            // Slots fill in order, so that only a full bucket has more behind it.
            if matched != 0 || slot(bucket, BUCKET - 1) == EMPTY {
                return select_unpredictable(matched != 0 && number != Self::NUMBER, number, u32::MAX);
            }
            at += 1;
        }
    }

    /// The number inserted with this hash that `is_it` accepts, or `u32::MAX`.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> u32 {
        let first = self.guess(hash);
        if first == u32::MAX || is_it(first) { first } else { self.search(hash, is_it) }
    }

    #[cold]
    fn search(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> u32 {
        let mask = self.buckets.len() - 1;
        let mut at = (hash >> self.shift) as usize;
        loop {
            for slot in (0..BUCKET).map(|i| slot(&self.buckets[at & mask], i)) {
                if slot == EMPTY {
                    return u32::MAX;
                }
                if (slot ^ (hash as u32) << BITS) & !Self::NUMBER == 0 && is_it(slot & Self::NUMBER) {
                    return slot & Self::NUMBER;
                }
            }
            at += 1;
        }
    }
}

/// Hash of a pair of tokens.
#[inline(always)]
pub(crate) fn hash_pair(left: u32, right: u32) -> u64 {
    let key = u64::from(left) << 32 | u64::from(right);
    let product = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ (product >> 32)
}

/// Tokens of two bytes, directly: the first step of every merge.
pub(crate) struct BytePairs(Cow<'static, [[u8; 2]]>);

impl BytePairs {
    /// From `(left, right, merged)` and the token of each byte.
    pub(crate) fn new(pairs: impl Iterator<Item = (u32, u32, u32)>, of_byte: &[u32; 256]) -> Self {
        let byte_of: HashMap<u32, usize> = of_byte.iter().copied().zip(0..).collect();
        let mut table = vec![[0xFF; 2]; 1 << 16];
        for (left, right, merged) in pairs {
            if let (Some(left), Some(right), Ok(merged)) =
                (byte_of.get(&left), byte_of.get(&right), u16::try_from(merged))
            {
                table[left << 8 | right] = merged.to_le_bytes();
            }
        }
        Self(table.into())
    }

    /// A table as [`Self::bytes`] gave it.
    pub(crate) fn from_bytes(bytes: &'static [u8]) -> Self {
        Self(Cow::Borrowed(bytes.as_chunks().0))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_flattened()
    }

    /// The merged token of two bytes, or `u32::MAX`.
    #[inline(always)]
    pub(crate) fn get(&self, left: u8, right: u8) -> u32 {
        let merged = u16::from_le_bytes(self.0[(left as usize) << 8 | right as usize]);
        select_unpredictable(merged == u16::MAX, u32::MAX, u32::from(merged))
    }
}

/// Hash of a byte string.
#[inline(always)]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let half = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")));
    let mut state = len as u64;
    if len > 16 {
        for at in (0..len - 16).step_by(16) {
            state = mix(state, word(at), word(at + 8));
        }
        return mix(state, word(len - 16), word(len - 8));
    }
    match len {
        8.. => mix(state, word(0), word(len - 8)),
        4.. => mix(state, half(0), half(len - 4)),
        1.. => {
            let ends = u64::from(bytes[0]) | u64::from(bytes[len / 2]) << 8 | u64::from(bytes[len - 1]) << 16;
            mix(state, ends, 0)
        }
        0 => 0,
    }
}

#[inline(always)]
pub(crate) fn mix(state: u64, low: u64, high: u64) -> u64 {
    let product = u128::from(low ^ 0x2D35_8DCC_AA6C_78A5 ^ state.rotate_left(32))
        * u128::from(high.rotate_left(17) ^ 0x8BB8_4B93_962E_ACC9);
    (product as u64 ^ (product >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
