//! The same operations as futures, for any runtime.
//!
//! A short text is handled in the first `poll`. A longer one goes to a pool of this module's own threads, one per
//! processor, so that no task of the event loop waits for a count. Dropping a future cancels its work within the time
//! of 64 KiB of text, well below a millisecond.

use std::collections::VecDeque;
use std::future::Future;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::batch::Cancel;
use crate::encoding::Encoding;

/// Texts up to this size run inline: some ten microseconds.
pub const INLINE_BYTES: usize = 8 << 10;

/// Counts the tokens of `text`; drop the future to cancel.
pub fn count_async<E>(encoding: E, text: impl Into<Arc<str>>) -> Work<usize>
where
    E: Deref<Target = Encoding> + Send + 'static,
{
    let text = text.into();
    Work::new(text.len(), move |cancel| encoding.count_cancellable(&text, cancel))
}

/// Encodes `text` as ordinary text; drop the future to cancel.
pub fn encode_async<E>(encoding: E, text: impl Into<Arc<str>>) -> Work<Vec<u32>>
where
    E: Deref<Target = Encoding> + Send + 'static,
{
    let text = text.into();
    Work::new(text.len(), move |cancel| {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        for part in encoding.parts(&text) {
            if cancel.is_cancelled() {
                return None;
            }
            encoding.encode_into(part, &mut ids);
        }
        Some(ids)
    })
}

type Job<T> = Box<dyn FnOnce(&Cancel) -> Option<T> + Send>;

/// A future of this module. It does nothing until it is polled.
pub struct Work<T> {
    n_bytes: usize,
    job: Option<Job<T>>,
    shared: Option<Arc<Shared<T>>>,
}

struct Shared<T> {
    cancel: Cancel,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// The result or the panic of the job.
    result: Option<std::thread::Result<T>>,
    waker: Option<Waker>,
}

impl<T: Send + 'static> Work<T> {
    fn new(n_bytes: usize, job: impl FnOnce(&Cancel) -> Option<T> + Send + 'static) -> Self {
        Self { n_bytes, job: Some(Box::new(job)), shared: None }
    }
}

impl<T: Send + 'static> Future for Work<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if let Some(job) = self.job.take() {
            if self.n_bytes <= INLINE_BYTES {
                return Poll::Ready(job(&Cancel::new()).expect("nothing cancels inline work"));
            }
            let state = State { result: None, waker: Some(context.waker().clone()) };
            let shared = Arc::new(Shared { cancel: Cancel::new(), state: Mutex::new(state) });
            self.shared = Some(Arc::clone(&shared));
            pool().push(Box::new(move || run(job, &shared)));
            return Poll::Pending;
        }
        let shared = self.shared.as_ref().expect("a future is not polled after it was ready");
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.result.take() {
            Some(Ok(result)) => Poll::Ready(result),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn run<T>(job: Job<T>, shared: &Shared<T>) {
    if shared.cancel.is_cancelled() {
        return;
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&shared.cancel)));
    let result = match result {
        Ok(Some(result)) => Ok(result),
        // Canceled: nobody waits any more.
        Ok(None) => return,
        Err(panic) => Err(panic),
    };
    let waker = {
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.result = Some(result);
        state.waker.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.cancel.cancel();
        }
    }
}

impl<T> std::fmt::Debug for Work<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("n_bytes", &self.n_bytes).field("begun", &self.shared.is_some()).finish()
    }
}

/// The threads of this module. The queue is as long as the number of waiting futures, each of which holds its text.
struct Pool {
    queue: Mutex<Queue>,
    ready: Condvar,
}

struct Queue {
    jobs: VecDeque<Box<dyn FnOnce() + Send>>,
    idle: usize,
    n_threads: usize,
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool {
        queue: Mutex::new(Queue { jobs: VecDeque::new(), idle: 0, n_threads: 0 }),
        ready: Condvar::new(),
    })
}

impl Pool {
    fn push(&'static self, job: Box<dyn FnOnce() + Send>) {
        let limit = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.jobs.push_back(job);
        if queue.idle < queue.jobs.len() && queue.n_threads < limit {
            let name = format!("lacon-tokens-{}", queue.n_threads);
            if std::thread::Builder::new().name(name).spawn(move || self.work()).is_ok() {
                queue.n_threads += 1;
            } else if queue.n_threads == 0 {
                // No thread can be had at all: do the work here rather than never.
                let job = queue.jobs.pop_back().expect("it was just pushed");
                drop(queue);
                job();
                return;
            }
        }
        drop(queue);
        self.ready.notify_one();
    }

    fn work(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                job();
                queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            } else {
                queue.idle += 1;
                queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }
}

/// The adapter for tokio: the same work on its blocking threads, for programs that want one pool.
#[cfg(feature = "tokio")]
pub mod on_tokio {
    use super::*;

    /// Cancels on drop.
    struct Guard(Arc<Cancel>);

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }

    /// Counts the tokens of `text`, on tokio's blocking pool if it is long; dropping the future cancels the work.
    ///
    /// Must be called inside a tokio runtime. Returns `None` if the runtime shuts down before the count is done.
    pub async fn count<E>(encoding: E, text: impl Into<Arc<str>>) -> Option<usize>
    where
        E: Deref<Target = Encoding> + Send + 'static,
    {
        let text = text.into();
        if text.len() <= INLINE_BYTES {
            return Some(encoding.count(&text));
        }
        let guard = Guard(Arc::new(Cancel::new()));
        let cancel = Arc::clone(&guard.0);
        tokio::task::spawn_blocking(move || encoding.count_cancellable(&text, &cancel)).await.ok().flatten()
    }
}
