//! An append-only list that many tasks write to at once. One atomic addition takes a slot, so no writer waits. Memory
//! grows in doubling chunks up to a limit; what does not fit is counted.

use crate::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

/// Chunks of `first`, 2·`first`, 4·`first`, …
const CHUNKS: usize = 12;

/// The list.
#[derive(Debug)]
pub struct Slots<T> {
    first: usize,
    next: AtomicUsize,
    chunks: [OnceLock<Box<[OnceLock<T>]>>; CHUNKS],
}

impl<T> Slots<T> {
    /// A list whose first chunk, of `first` places, is there from the start.
    pub fn new(first: usize) -> Self {
        let slots = Self {
            first: first.max(1),
            next: AtomicUsize::new(0),
            chunks: [const { OnceLock::new() }; CHUNKS],
        };
        slots.chunk(0);
        slots
    }

    fn chunk(&self, k: usize) -> &[OnceLock<T>] {
        self.chunks[k].get_or_init(|| (0..self.first << k).map(|_| OnceLock::new()).collect())
    }

    /// Most values that it holds.
    pub fn limit(&self) -> usize {
        self.first * ((1 << CHUNKS) - 1)
    }

    /// Adds a value; gives it back when there is no room.
    ///
    /// # Errors
    /// When the list is full.
    pub fn push(&self, value: T) -> Result<(), T> {
        let i = self.next.fetch_add(1, Ordering::Relaxed);
        if i >= self.limit() {
            return Err(value);
        }
        // Chunk k begins at first · (2^k − 1).
        let k = (i / self.first + 1).ilog2() as usize;
        let within = i - self.first * ((1 << k) - 1);
        self.chunk(k)[within].set(value)
    }

    /// Values that did not fit.
    pub fn n_dropped(&self) -> usize {
        self.next.load(Ordering::Relaxed).saturating_sub(self.limit())
    }

    /// The values in the order in which their places were taken. One whose writer is between taking its place and
    /// filling it is left out.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.places().filter_map(OnceLock::get)
    }

    /// The values before the first place that is taken and not filled: none will ever come between or before them.
    pub fn settled(&self) -> impl Iterator<Item = &T> {
        self.places().map_while(OnceLock::get)
    }

    /// As [`Slots::iter`], without the values of the first `n` places.
    pub fn since(&self, n: usize) -> impl Iterator<Item = &T> {
        self.places().skip(n).filter_map(OnceLock::get)
    }

    fn places(&self) -> impl Iterator<Item = &OnceLock<T>> {
        let n = self.next.load(Ordering::Acquire).min(self.limit());
        self.chunks.iter().filter_map(OnceLock::get).flat_map(|c| c.iter()).take(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_writers_lose_nothing() {
        let slots = Slots::new(4);
        std::thread::scope(|scope| {
            for t in 0..8 {
                let slots = &slots;
                scope.spawn(move || (0..1000).for_each(|i| slots.push(t * 1000 + i).unwrap()));
            }
        });
        let mut all: Vec<i32> = slots.iter().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..8000).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_list_counts_what_it_drops() {
        let slots = Slots::new(1);
        let dropped = (0..5000).filter(|i| slots.push(*i).is_err()).count();
        assert_eq!((slots.limit(), dropped, slots.n_dropped()), (4095, 905, 905));
        assert_eq!(slots.iter().count(), 4095);
    }

    #[test]
    fn what_is_settled_and_what_came_since_are_all() {
        let slots = Slots::new(2);
        (0..5).for_each(|i| slots.push(i).unwrap());
        let mut known: Vec<i32> = slots.settled().copied().collect();
        (5..9).for_each(|i| slots.push(i).unwrap());
        known.extend(slots.since(known.len()));
        assert_eq!(known, (0..9).collect::<Vec<_>>());
        // A writer that has its place and has not filled it.
        slots.next.fetch_add(1, Ordering::Relaxed);
        slots.push(10).unwrap();
        assert_eq!(slots.settled().count(), 9);
        assert_eq!(slots.since(9).copied().collect::<Vec<_>>(), [10]);
    }
}

#[cfg(all(test, shuttle))]
mod shuttled {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn no_order_of_writers_loses_or_doubles_a_value() {
        let writers = || {
            let slots = Arc::new(Slots::new(1));
            let threads: Vec<_> = (0..3)
                .map(|t| {
                    let slots = Arc::clone(&slots);
                    shuttle::thread::spawn(move || (0..3).for_each(|i| slots.push(t * 3 + i).unwrap()))
                })
                .collect();
            // A reader in between sees whole values, each once.
            let mut seen: Vec<i32> = slots.iter().copied().collect();
            let n = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), n);
            threads.into_iter().for_each(|t| t.join().unwrap());
            let mut all: Vec<i32> = slots.iter().copied().collect();
            all.sort_unstable();
            assert_eq!(all, (0..9).collect::<Vec<_>>());
        };
        shuttle::check_random(writers, 20_000);
        shuttle::check_pct(writers, 20_000, 3);
    }
}
