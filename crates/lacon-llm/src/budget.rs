//! A budget for extra requests: every call adds a fraction of one, every extra request takes one.

use crate::sync::atomic::{AtomicI64, Ordering};

/// Thousandths of an extra request, shared by all calls of a layer.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicI64,
    most: i64,
    add: i64,
}

impl Budget {
    /// Makes a budget that starts with `reserve` requests, gains `ratio` of one per call and holds at most `most`.
    ///
    /// `most` has to be well above the reserve: hundreds of calls may start at once and fail later.
    pub(crate) fn new(reserve: u32, ratio: f64, most: u32) -> Self {
        let reserve = i64::from(reserve) * 1000;
        let most = reserve.max(i64::from(most) * 1000);
        let add = (ratio.clamp(0.0, 1000.0) * 1000.0) as i64;
        Self { left: AtomicI64::new(reserve), most, add }
    }

    /// Counts a call.
    pub(crate) fn deposit(&self) {
        let more = |left: i64| Some((left + self.add).min(self.most));
        // The closure always returns a value, so the update cannot fail.
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes one extra request, if there is one.
    pub(crate) fn withdraw(&self) -> bool {
        let less = |left: i64| (left >= 1000).then(|| left - 1000);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_starts_with_its_reserve_and_grows_slowly() {
        let budget = Budget::new(2, 0.5, 3);
        assert!(budget.withdraw() && budget.withdraw() && !budget.withdraw());
        budget.deposit();
        assert!(!budget.withdraw());
        budget.deposit();
        assert!(budget.withdraw());
        (0..100).for_each(|_| budget.deposit());
        assert!(budget.withdraw() && budget.withdraw() && budget.withdraw() && !budget.withdraw());
    }

    #[test]
    fn no_reserve_and_no_ratio_means_none() {
        let budget = Budget::new(0, 0.0, 9);
        budget.deposit();
        assert!(!budget.withdraw());
        let budget = Budget::new(0, 0.5, 9);
        budget.deposit();
        budget.deposit();
        assert!(budget.withdraw());
    }
}

#[cfg(all(test, shuttle))]
mod shuttled {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn no_order_spends_more_than_there_is() {
        let spenders = || {
            let budget = Arc::new(Budget::new(2, 0.5, 3));
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let budget = Arc::clone(&budget);
                    shuttle::thread::spawn(move || {
                        budget.deposit();
                        u32::from(budget.withdraw()) + u32::from(budget.withdraw())
                    })
                })
                .collect();
            let spent: u32 = threads.into_iter().map(|t| t.join().unwrap()).sum();
            // Two in reserve and four halves.
            assert!((2..=4).contains(&spent), "{spent}");
        };
        shuttle::check_random(spenders, 20_000);
    }
}
