//! The worker pool: threads that share a call's work with the caller.
//!
//! The threads outlive the call. Starting a thread and waiting for its end takes some 110 µs of processor time under
//! virtualization, a quarter of it the caller's. Waking a sleeping thread takes a tenth of that, and its tables of seen
//! pieces survive.
//!
//! Text is borrowed. Only a library with `unsafe` of its own can lend borrowed data to such threads: `rayon-core`. This
//! module owns one pool of it and uses nothing global.
//!
//! A thread is reserved before it gets work, so that no call waits for another call's work. If no thread is free, the
//! caller works alone. A forked process has no threads of its parent and starts threads for each call.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{available_parallelism, scope};

use rayon_core::{ThreadPool, ThreadPoolBuilder};

/// The threads of one process.
struct Crew {
    pool: ThreadPool,
    /// The process that started them.
    process: u32,
    /// Idle threads.
    free: AtomicUsize,
}

static CREW: OnceLock<Crew> = OnceLock::new();

/// Runs `work` once in the caller's thread and once in up to `others` more threads, and returns all results.
///
/// A panic of any thread resumes in the caller after all have ended.
pub(crate) fn together<R: Send>(others: usize, work: impl Fn() -> R + Sync) -> Vec<R> {
    let Some(crew) = crew() else { return by_new_threads(others, work) };
    let reserved = Reserved::up_to(others, &crew.free);
    if reserved.is_empty() {
        return vec![work()];
    }
    let results = Mutex::new(Vec::with_capacity(reserved.len() + 1));
    let keep = |result| results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
    crew.pool.in_place_scope(|scope| {
        for free in reserved {
            let (work, keep) = (&work, &keep);
            scope.spawn(move |_| {
                let _until_done = free;
                keep(work());
            });
        }
        keep(work());
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Returns this process's pool, started on first use; `None` if threads are unavailable or the process was forked.
fn crew() -> Option<&'static Crew> {
    let process = std::process::id();
    if CREW.get().is_none() {
        let n = available_parallelism().map_or(1, NonZeroUsize::get) - 1;
        let pool = ThreadPoolBuilder::new().num_threads(n.max(1)).thread_name(|i| format!("lacon-crew-{i}"));
        // Not under the cell's lock, which a fork in between would leave locked for ever.
        let crew = Crew { pool: pool.build().ok()?, process, free: AtomicUsize::new(n) };
        // Another thread may have been faster; then this crew ends.
        let _ = CREW.set(crew);
    }
    CREW.get().filter(|crew| crew.process == process)
}

/// A reserved thread; dropping it returns it to the pool.
struct Reserved(&'static AtomicUsize);

impl Reserved {
    fn up_to(most: usize, free: &'static AtomicUsize) -> Vec<Self> {
        let take = |n: usize| (n > 0 && most > 0).then(|| n - n.min(most));
        let before = free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or(0);
        (0..before.min(most)).map(|_| Self(free)).collect()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn by_new_threads<R: Send>(others: usize, work: impl Fn() -> R + Sync) -> Vec<R> {
    scope(|scope| {
        let others: Vec<_> = (0..others).map(|_| scope.spawn(&work)).collect();
        let mut results = vec![work()];
        for other in others {
            results.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn each_share_is_done_once_whoever_asks_at_the_same_time() {
        scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for others in 0..50 {
                        let next = AtomicUsize::new(0);
                        let done = together(others % 5, || {
                            let mut mine = Vec::new();
                            loop {
                                match next.fetch_add(1, Ordering::Relaxed) {
                                    share if share < 40 => mine.push(share),
                                    _ => return mine,
                                }
                            }
                        });
                        assert!((1..=others % 5 + 1).contains(&done.len()));
                        let mut done = done.concat();
                        done.sort_unstable();
                        assert_eq!(done, (0..40).collect::<Vec<_>>());
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_of_any_reaches_the_caller_and_all_threads_stay() {
        for round in 0..200 {
            let next = AtomicUsize::new(0);
            let ended = catch_unwind(AssertUnwindSafe(|| {
                together(3, || {
                    if next.fetch_add(1, Ordering::Relaxed) == round % 2 {
                        panic!("as asked");
                    }
                })
            }));
            // Where no second thread was free, nothing asked for the panic of round 1.
            assert!(ended.is_err() || next.into_inner() <= round % 2);
        }
        if let Some(crew) = crew() {
            // Other tests use the same threads and give them back.
            let all = available_parallelism().map_or(1, NonZeroUsize::get) - 1;
            while crew.free.load(Ordering::Relaxed) != all {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn without_a_crew_new_threads_do_the_same() {
        let next = AtomicUsize::new(0);
        let mut done = by_new_threads(3, || next.fetch_add(1, Ordering::Relaxed));
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2, 3]);
        assert!(catch_unwind(|| by_new_threads(1, || panic!("as asked"))).is_err());
    }
}
