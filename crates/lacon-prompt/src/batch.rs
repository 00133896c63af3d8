//! Many texts at once: real threads, ordered results, bounded memory. One failure stays one failure.

use crate::compress::Compressed;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Options of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// Number of threads; at least one is used.
    pub jobs: usize,
    /// Most items that are read and not yet written; bounds memory.
    pub window: usize,
}

impl BatchOptions {
    /// Creates options for this many threads, with a window of four items each.
    #[must_use]
    pub fn jobs(jobs: usize) -> Self {
        BatchOptions { jobs: jobs.max(1), window: jobs.max(1) * 4 }
    }
}

/// Result of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done<I, R, E> {
    /// The result of the work.
    Ok(R),
    /// The work failed; this is the input.
    Failed(I, E),
    /// The work panicked, which is a bug; this is the input.
    Panicked(I),
}

/// Summary of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchSummary {
    /// Items passed to the sink.
    pub items: u64,
    /// Items that failed.
    pub failed: u64,
    /// Whether the batch ended before its input did.
    pub cancelled: bool,
}

/// Processes items in `jobs` threads and passes the results to `sink` in input order, with their index.
///
/// The input is read and the sink is called on this thread; a failing sink ends the batch. When `cancel` is set,
/// started items are finished and passed on, and no more are read.
///
/// # Errors
/// The sink's error.
pub fn run<I, R, E, X>(
    input: impl IntoIterator<Item = I>,
    options: BatchOptions,
    cancel: &AtomicBool,
    work: impl Fn(&I) -> Result<R, E> + Sync,
    mut sink: impl FnMut(u64, Done<I, R, E>) -> Result<(), X>,
) -> Result<BatchSummary, X>
where
    I: Send,
    R: Send,
    E: Send,
{
    let jobs = options.jobs.max(1);
    let window = options.window.max(jobs);
    let mut input = input.into_iter().fuse();
    let mut summary = BatchSummary::default();
    std::thread::scope(|scope| {
        let (to_work, from_input) = sync_channel::<(u64, I)>(window);
        let from_input = Arc::new(Mutex::new(from_input));
        let (to_sink, from_work) = sync_channel::<(u64, Done<I, R, E>)>(window);
        for _ in 0..jobs {
            let (from_input, to_sink, work) = (Arc::clone(&from_input), to_sink.clone(), &work);
            scope.spawn(move || {
                loop {
                    let next = from_input.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((index, item)) = next else { break };
                    let done = match catch_unwind(AssertUnwindSafe(|| work(&item))) {
                        Ok(Ok(result)) => Done::Ok(result),
                        Ok(Err(error)) => Done::Failed(item, error),
                        Err(_) => Done::Panicked(item),
                    };
                    if to_sink.send((index, done)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(to_sink);
        let mut waiting: HashMap<u64, Done<I, R, E>> = HashMap::new();
        let (mut read, mut written) = (0u64, 0u64);
        let mut open = true;
        loop {
            while open && read - written < window as u64 {
                if cancel.load(Ordering::Relaxed) {
                    summary.cancelled = true;
                    open = false;
                    break;
                }
                match input.next() {
                    // The channel holds a whole window, so this never waits.
                    Some(item) => match to_work.send((read, item)) {
                        Ok(()) => read += 1,
                        Err(_) => open = false,
                    },
                    None => open = false,
                }
            }
            if read == written {
                break;
            }
            let Ok((index, done)) = from_work.recv() else { break };
            waiting.insert(index, done);
            while let Some(done) = waiting.remove(&written) {
                summary.items += 1;
                summary.failed += u64::from(!matches!(done, Done::Ok(_)));
                let index = written;
                written += 1;
                sink(index, done)?;
            }
        }
        Ok(summary)
    })
}

/// Results of a [`Batch`] in input order, and the summary.
pub type Collected<I, R, E> = (Vec<Done<I, R, E>>, BatchSummary);

/// A batch as a future for any runtime: it works in its own threads and wakes its poller.
///
/// Nothing starts before the first poll. Dropping it lets running items end, starts no more, and drops their results.
/// All results are held until the last one is ready; [`run`] passes them on one by one.
#[must_use = "a batch does nothing until it is polled"]
pub struct Batch<I, R, E> {
    job: Option<Job<I, R, E>>,
    shared: Arc<Shared<I, R, E>>,
}

type Job<I, R, E> = Box<dyn FnOnce(&AtomicBool) -> Collected<I, R, E> + Send>;

struct Shared<I, R, E> {
    cancel: AtomicBool,
    state: Mutex<Progress<I, R, E>>,
}

struct Progress<I, R, E> {
    done: Option<Collected<I, R, E>>,
    waker: Option<Waker>,
}

/// Like [`run`], as a future.
pub fn run_async<I, R, E>(
    input: Vec<I>,
    options: BatchOptions,
    work: impl Fn(&I) -> Result<R, E> + Send + Sync + 'static,
) -> Batch<I, R, E>
where
    I: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let job = move |cancel: &AtomicBool| {
        let mut results = Vec::with_capacity(input.len());
        let summary = run(input, options, cancel, work, |_, done| {
            results.push(done);
            Ok::<(), std::convert::Infallible>(())
        });
        match summary {
            Ok(summary) => (results, summary),
        }
    };
    let shared =
        Shared { cancel: AtomicBool::new(false), state: Mutex::new(Progress { done: None, waker: None }) };
    Batch { job: Some(Box::new(job)), shared: Arc::new(shared) }
}

fn once<F: FnOnce()>(work: &Mutex<Option<F>>) {
    let taken = work.lock().unwrap_or_else(PoisonError::into_inner).take();
    taken.into_iter().for_each(|work| work());
}

// Nothing in it is pinned: the work lies in another thread.
impl<I, R, E> Unpin for Batch<I, R, E> {}

impl<I: Send + 'static, R: Send + 'static, E: Send + 'static> Future for Batch<I, R, E> {
    type Output = Collected<I, R, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(done) = state.done.take() {
                return Poll::Ready(done);
            }
            state.waker = Some(context.waker().clone());
        }
        if let Some(job) = self.job.take() {
            let shared = Arc::clone(&self.shared);
            let work = move || {
                let done = job(&shared.cancel);
                let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.done = Some(done);
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
            };
            // Without a thread to spare the batch is done here: late is better than never.
            let work = Arc::new(Mutex::new(Some(work)));
            let other = Arc::clone(&work);
            if std::thread::Builder::new().name("batch".into()).spawn(move || once(&other)).is_err() {
                once(&work);
            }
        }
        Poll::Pending
    }
}

impl<I, R, E> Drop for Batch<I, R, E> {
    fn drop(&mut self) {
        self.shared.cancel.store(true, Ordering::Relaxed);
    }
}

/// A cache of compressed texts, keyed by the hash of the input; bounded by bytes, least recently used first out.
#[derive(Debug)]
pub struct ProcessedCache {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<[u8; 32], (Compressed, u64)>,
    uses: VecDeque<([u8; 32], u64)>,
    bytes: usize,
    clock: u64,
    hits: u64,
    misses: u64,
}

/// Statistics of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// Hits.
    pub hits: u64,
    /// Misses.
    pub misses: u64,
    /// Bytes held.
    pub bytes: usize,
    /// Texts held.
    pub entries: usize,
}

impl ProcessedCache {
    /// Creates an empty cache for at most this many bytes of text.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        ProcessedCache { limit, inner: Mutex::default() }
    }

    /// Returns the cached result for a text under a name of settings and encoding, or computes it.
    ///
    /// The key is a hash of the whole text. Two threads that miss the same text both compute it, with the same result.
    ///
    /// # Errors
    /// What `compute` returns; errors are not kept.
    pub fn get_or<E>(
        &self,
        settings: &str,
        text: &str,
        compute: impl FnOnce() -> Result<Compressed, E>,
    ) -> Result<Compressed, E> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(settings.len() as u64).to_le_bytes());
        hasher.update(settings.as_bytes());
        hasher.update(text.as_bytes());
        let key = *hasher.finalize().as_bytes();
        if let Some(found) = self.lock().get(&key) {
            return Ok(found);
        }
        let computed = compute()?;
        self.lock().insert(key, computed.clone(), self.limit);
        Ok(computed)
    }

    /// Returns the statistics.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let inner = self.lock();
        CacheStats {
            hits: inner.hits,
            misses: inner.misses,
            bytes: inner.bytes,
            entries: inner.entries.len(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn get(&mut self, key: &[u8; 32]) -> Option<Compressed> {
        self.clock += 1;
        let clock = self.clock;
        let Some((found, used)) = self.entries.get_mut(key) else {
            self.misses += 1;
            return None;
        };
        *used = clock;
        let found = found.clone();
        self.uses.push_back((*key, clock));
        self.hits += 1;
        self.shorten();
        Some(found)
    }

    fn insert(&mut self, key: [u8; 32], value: Compressed, limit: usize) {
        let size = value.text.len();
        if size > limit || self.entries.contains_key(&key) {
            return;
        }
        self.clock += 1;
        self.bytes += size;
        self.uses.push_back((key, self.clock));
        self.entries.insert(key, (value, self.clock));
        while self.bytes > limit
            && let Some((key, used)) = self.uses.pop_front()
        {
            // An older use of an entry that was used again is skipped.
            if self.entries.get(&key).is_some_and(|(_, last)| *last == used)
                && let Some((gone, _)) = self.entries.remove(&key)
            {
                self.bytes -= gone.text.len();
            }
        }
    }

    /// Drops outdated uses once they outnumber the entries, so that the list is bounded too.
    fn shorten(&mut self) {
        if self.uses.len() > 4 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.uses.retain(|(key, used)| entries.get(key).is_some_and(|(_, last)| last == used));
        }
    }
}
