//! Hash tables of a vocabulary: token by its bytes, and merged token by its two halves.
//!
//! Open-addressed arrays, filled once and never changed. A slot is one word of 32 bits: the token number and 11 bits
//! of fingerprint. The caller compares what the token is made of, so a look-up is exact, and a table of 200,000
//! tokens takes 2 MB: what counts is how much of it stays in the caches.
//!
//! Tried and lost: 64-bit slots that hold the whole key (twice the memory, slower on every corpus and to load).

use std::collections::HashMap;

const NUMBER_BITS: u32 = 21;
const NUMBER: u32 = (1 << NUMBER_BITS) - 1;
const EMPTY: u32 = u32::MAX;
const NO_PAIR: u64 = u64::MAX;

/// Token numbers by a 64-bit hash.
pub(crate) struct NumberTable {
    slots: Box<[u32]>,
    shift: u32,
}

impl NumberTable {
    pub(crate) fn with_capacity(n: usize) -> Self {
        let size = (n * 2).max(16).next_power_of_two();
        Self { slots: vec![EMPTY; size].into_boxed_slice(), shift: 64 - size.trailing_zeros() }
    }

    #[inline(always)]
    pub(crate) fn insert(&mut self, hash: u64, number: u32) {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> self.shift) as usize & mask;
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = (hash as u32) << NUMBER_BITS | number;
    }

    /// The number inserted with this hash that `is_it` accepts, or `u32::MAX`.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> u32 {
        let mask = self.slots.len() - 1;
        let fingerprint = (hash as u32) << NUMBER_BITS;
        let mut at = (hash >> self.shift) as usize;
        loop {
            let slot = self.slots[at & mask];
            if (slot ^ fingerprint) & !NUMBER == 0 {
                // An empty slot looks like a fingerprint of ones.
                if slot == EMPTY {
                    return u32::MAX;
                }
                if is_it(slot & NUMBER) {
                    return slot & NUMBER;
                }
            } else if slot == EMPTY {
                return u32::MAX;
            }
            at += 1;
        }
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        self.slots.len() * 4
    }
}

/// Hash of a pair of tokens.
#[inline(always)]
pub(crate) fn hash_pair(left: u32, right: u32) -> u64 {
    let key = u64::from(left) << 32 | u64::from(right);
    let product = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ (product >> 32)
}

/// Pairs that merge to a token below a limit: small, and without a look-up for pairs of single bytes.
pub(crate) struct LowPairTable {
    of_bytes: Box<[u16; 1 << 16]>,
    slots: Box<[u64; LOW_SLOTS]>,
}

const LOW_SLOTS: usize = 1 << 15;
const LOW_BITS: u32 = 14;

impl LowPairTable {
    /// From `(left, right, merged)` with `merged` below 2^14, and the token of each byte.
    pub(crate) fn new(pairs: impl Iterator<Item = (u32, u32, u32)>, of_byte: &[u32; 256]) -> Self {
        let mut slots = vec![NO_PAIR; LOW_SLOTS].into_boxed_slice();
        let mut byte_of = HashMap::new();
        for (byte, token) in of_byte.iter().enumerate() {
            byte_of.insert(*token, byte);
        }
        let mut of_bytes = vec![u16::MAX; 1 << 16].into_boxed_slice();
        for (left, right, merged) in pairs {
            debug_assert!(merged < 1 << LOW_BITS);
            if let (Some(left), Some(right)) = (byte_of.get(&left), byte_of.get(&right)) {
                of_bytes[left << 8 | right] = merged as u16;
            }
            let key = Self::key(left, right);
            let mut at = Self::home(key);
            while slots[at] != NO_PAIR {
                at = (at + 1) % LOW_SLOTS;
            }
            slots[at] = key << LOW_BITS | u64::from(merged);
        }
        Self {
            of_bytes: of_bytes.try_into().expect("made with this length"),
            slots: slots.try_into().expect("made with this length"),
        }
    }

    /// The merged token of two bytes, or `u32::MAX`.
    #[inline(always)]
    pub(crate) fn of_bytes(&self, left: u8, right: u8) -> u32 {
        let merged = self.of_bytes[(left as usize) << 8 | right as usize];
        if merged == u16::MAX { u32::MAX } else { u32::from(merged) }
    }

    /// The merged token, or `u32::MAX`.
    #[inline(always)]
    pub(crate) fn get(&self, left: u32, right: u32) -> u32 {
        let key = Self::key(left, right);
        let mut at = Self::home(key);
        loop {
            let slot = self.slots[at % LOW_SLOTS];
            if slot >> LOW_BITS == key {
                return (slot & ((1 << LOW_BITS) - 1)) as u32;
            }
            if slot == NO_PAIR {
                return u32::MAX;
            }
            at += 1;
        }
    }

    #[inline(always)]
    fn key(left: u32, right: u32) -> u64 {
        u64::from(left) << 21 | u64::from(right)
    }

    #[inline(always)]
    fn home(key: u64) -> usize {
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - LOW_SLOTS.trailing_zeros())) as usize
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        size_of_val(&*self.of_bytes) + size_of_val(&*self.slots)
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
