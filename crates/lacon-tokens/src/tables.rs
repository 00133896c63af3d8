//! Hash tables of a vocabulary: token by its bytes, and merged token by its two halves.
//!
//! Both are open-addressed arrays of one word per entry, filled once and never changed. The token table holds a
//! 43-bit fingerprint and the token number; the caller compares the bytes, so a look-up is exact.

use std::collections::HashMap;

const EMPTY: u64 = u64::MAX;
const NUMBER_BITS: u32 = 21;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;

/// Merged token by its two halves.
pub(crate) struct PairTable {
    slots: Box<[u64]>,
    shift: u32,
}

impl PairTable {
    pub(crate) fn with_capacity(n: usize) -> Self {
        let size = (n * 2).max(16).next_power_of_two();
        Self { slots: vec![EMPTY; size].into_boxed_slice(), shift: 64 - size.trailing_zeros() }
    }

    pub(crate) fn insert(&mut self, left: u32, right: u32, merged: u32) {
        let key = u64::from(left) << NUMBER_BITS | u64::from(right);
        let mask = self.slots.len() - 1;
        let mut at = self.home(key);
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = key << NUMBER_BITS | u64::from(merged);
    }

    /// The merged token, or `u32::MAX`.
    #[inline]
    pub(crate) fn get(&self, left: u32, right: u32) -> u32 {
        let key = u64::from(left) << NUMBER_BITS | u64::from(right);
        let mask = self.slots.len() - 1;
        let mut at = self.home(key);
        loop {
            let slot = self.slots[at & mask];
            if slot >> NUMBER_BITS == key {
                return (slot & NUMBER) as u32;
            }
            if slot == EMPTY {
                return u32::MAX;
            }
            at += 1;
        }
    }

    fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        self.slots.len() * 8
    }
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
        let mut slots = vec![EMPTY; LOW_SLOTS].into_boxed_slice();
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
            while slots[at] != EMPTY {
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
            if slot == EMPTY {
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

/// Token numbers by the hash of their bytes.
pub(crate) struct TokenTable {
    slots: Box<[u64]>,
    shift: u32,
}

impl TokenTable {
    pub(crate) fn with_capacity(n: usize) -> Self {
        let size = (n * 2).max(16).next_power_of_two();
        Self { slots: vec![EMPTY; size].into_boxed_slice(), shift: 64 - size.trailing_zeros() }
    }

    pub(crate) fn insert(&mut self, bytes: &[u8], token: u32) {
        let hash = hash(bytes);
        let mask = self.slots.len() - 1;
        let mut at = (hash >> self.shift) as usize;
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = hash << NUMBER_BITS | u64::from(token);
    }

    /// Tokens whose fingerprint is that of `bytes`: almost always one or none.
    #[inline]
    pub(crate) fn candidates(&self, bytes: &[u8]) -> Candidates<'_> {
        let hash = hash(bytes);
        Candidates { slots: &self.slots, at: (hash >> self.shift) as usize, fingerprint: hash << NUMBER_BITS }
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        self.slots.len() * 8
    }
}

/// Iterator of [`TokenTable::candidates`].
pub(crate) struct Candidates<'a> {
    slots: &'a [u64],
    at: usize,
    fingerprint: u64,
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let mask = self.slots.len() - 1;
        loop {
            let slot = self.slots[self.at & mask];
            if slot == EMPTY {
                return None;
            }
            self.at += 1;
            if slot & !NUMBER == self.fingerprint {
                return Some((slot & NUMBER) as u32);
            }
        }
    }
}

/// Hash of a byte string; up to 16 bytes it is a function of two zero-padded words and the length.
#[inline]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64;
    let mut rest = bytes;
    while rest.len() > 16 {
        let (head, tail) = rest.split_at(16);
        state = mix(state, word(&head[..8]), word(&head[8..]));
        rest = tail;
    }
    let (low, high) = rest.split_at(rest.len().min(8));
    mix(state, word(low), word(high))
}

#[inline]
pub(crate) fn mix(state: u64, low: u64, high: u64) -> u64 {
    let product = u128::from(low ^ 0x2D35_8DCC_AA6C_78A5 ^ state.rotate_left(32))
        * u128::from(high.rotate_left(17) ^ 0x8BB8_4B93_962E_ACC9);
    (product as u64 ^ (product >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(padded)
}
