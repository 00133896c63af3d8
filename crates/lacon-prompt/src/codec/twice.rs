//! Which hashes of a text occur more than once.
//!
//! What occurs once is found by no later place, so a search need not remember it. Two bits a slot answer that from a
//! small table. A table of all places leaves the processor's cache at a few MiB of text, and time then grows faster than the
//! text does.

/// Counts hashes as none, one, or several. Hashes that share a slot count as one, so `has` may say yes too often, never
/// too seldom.
pub(super) struct Twice {
    words: Vec<u64>,
    shift: u32,
}

impl Twice {
    /// A table for about `n` hashes: four slots each, a byte in all.
    pub(super) fn for_about(n: usize) -> Self {
        let slots = (4 * n).next_power_of_two().max(64);
        Self { words: vec![0; slots / 32], shift: u64::BITS - slots.ilog2() }
    }

    /// The word of a hash and the place of its two bits.
    fn slot(&self, hash: u64) -> (usize, u32) {
        // The high bits of a product depend on all bits of the hash.
        let slot = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift;
        ((slot / 32) as usize, (slot % 32 * 2) as u32)
    }

    pub(super) fn note(&mut self, hash: u64) {
        let (word, bit) = self.slot(hash);
        let seen = self.words[word] >> bit & 1;
        self.words[word] |= (1 | seen << 1) << bit;
    }

    /// Whether a hash may have been noted more than once.
    pub(super) fn has(&self, hash: u64) -> bool {
        let (word, bit) = self.slot(hash);
        self.words[word] >> bit & 2 != 0
    }

    /// One that says yes to all: what it saves is nothing, and what is found is the same.
    #[cfg(test)]
    pub(super) fn of_all() -> Self {
        Self { words: vec![u64::MAX; 2], shift: u64::BITS - 6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_twice_is_had() {
        let mut twice = Twice::for_about(1000);
        let hash = |i: u64| i.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ i >> 7;
        for i in 0..1000 {
            twice.note(hash(i));
        }
        let once = (0..1000).filter(|i| !twice.has(hash(*i))).count();
        assert!(once > 700, "{once} of 1000");
        for i in 0..1000 {
            twice.note(hash(i));
        }
        assert!((0..1000).all(|i| twice.has(hash(i))));
    }
}
