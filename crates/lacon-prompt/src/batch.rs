//! Many texts at once: real threads, results in order, bounded memory, one failure stays one failure.

use crate::compress::Compressed;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// How to run a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// Threads; at least one is used.
    pub jobs: usize,
    /// Items that may be read and not yet written; bounds memory.
    pub window: usize,
}

impl BatchOptions {
    /// So many threads, with a window of four items each.
    #[must_use]
    pub fn jobs(jobs: usize) -> Self {
        BatchOptions { jobs: jobs.max(1), window: jobs.max(1) * 4 }
    }
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done<I, R, E> {
    /// It was worked on.
    Ok(R),
    /// It failed; here it is back.
    Failed(I, E),
    /// The work panicked, which is a bug; here it is back.
    Panicked(I),
}

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchSummary {
    /// Items that were handed to the sink.
    pub items: u64,
    /// Items of them that failed.
    pub failed: u64,
    /// Whether the batch ended before its input did.
    pub cancelled: bool,
}

/// Works on items in `jobs` threads and hands the results to `sink` in the order of the input, with their index.
///
/// The input is read and the sink called on this thread; a sink that fails ends the batch. When `cancel` is set, items
/// that were started are finished and handed over, no further ones are read.
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

/// What a [`Batch`] gives: the results in the order of the input, and the summary.
pub type Collected<I, R, E> = (Vec<Done<I, R, E>>, BatchSummary);

/// A batch as a future for any runtime: it works in threads of its own and wakes whoever polls it.
///
/// Nothing starts before the first poll. Dropping it lets the items under way end, starts no further ones and gives
/// their results to nobody. All results are held until the last one is there; [`run`] hands them over one by one.
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

/// As [`run`], as a future.
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

/// Compressed texts by the hash of what they came from; bounded by bytes, the least recently used go first.
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

/// How a cache did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// Texts that were found.
    pub hits: u64,
    /// Texts that were not.
    pub misses: u64,
    /// Bytes of the texts held.
    pub bytes: usize,
    /// Texts held.
    pub entries: usize,
}

impl ProcessedCache {
    /// An empty cache that holds at most so many bytes of texts.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        ProcessedCache { limit, inner: Mutex::default() }
    }

    /// The result for a text under a name of settings and encoding, computed if it is not there.
    ///
    /// The key is a hash of the whole text. Two threads that miss the same text both compute it, and get the same.
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

    /// How the cache has done so far.
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
