//! Hash tables of a vocabulary: token by its bytes, and merged token by its two halves.
//!
//! Both are open-addressed arrays of one word per entry, filled once and never changed. The token table holds a
//! 43-bit fingerprint and the token number; the caller compares the bytes, so a look-up is exact.

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
