//! Tools behind one trait, and the cache in front of them.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use lacon_llm::BoxFuture;
use serde_json::{Map, Value};
use tokio::{sync::OnceCell, time::Instant};

use crate::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

/// One tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolRequest {
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// The role that asks; not part of what is cached.
    pub role: String,
}

/// What a tool gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolText {
    /// The text for the model.
    pub text: String,
    /// Whether the text says that there is no data.
    pub no_data: bool,
}

/// Why a tool gave nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The model asked for a tool or with arguments that do not exist; telling it lets it ask again.
    #[error("{0}")]
    BadRequest(String),
    /// The source failed.
    #[error("{0}")]
    Failed(String),
    /// Nobody could give data that the asking role cannot work without: the role fails with this reason.
    #[error("{0}")]
    Unavailable(String),
    /// The source took too long.
    #[error("tool {name} took longer than {limit_s} s")]
    TimedOut {
        /// The tool.
        name: String,
        /// The limit in seconds.
        limit_s: f64,
    },
}

impl From<String> for ToolError {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

impl ToolError {
    /// A short fixed name for reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::Failed(_) => "failed",
            Self::Unavailable(_) => "unavailable",
            Self::TimedOut { .. } => "timeout",
        }
    }
}

/// Answers tool calls. Dropping the future gives the call up; nothing goes on in the background.
pub trait ToolSource: Send + Sync {
    /// Makes one call.
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>>;

    /// Where the answers come from, for reports.
    fn describe(&self) -> String;

    /// Whether the answers are not the live market: an offline pack or a replay.
    fn simulated(&self) -> bool;

    /// Where each figure of the answers so far comes from, as it is written beside `run.json`; nothing where a source
    /// keeps no such books.
    fn provenance(&self) -> Option<Value> {
        None
    }
}

/// Some tools of their own sources, all others of one.
pub struct ToolsByName {
    own: std::collections::BTreeMap<String, Arc<dyn ToolSource>>,
    rest: Arc<dyn ToolSource>,
}

impl ToolsByName {
    /// Puts own tools before a source.
    pub fn new(
        own: std::collections::BTreeMap<String, Arc<dyn ToolSource>>,
        rest: Arc<dyn ToolSource>,
    ) -> Self {
        Self { own, rest }
    }
}

impl ToolSource for ToolsByName {
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
        self.own.get(&request.name).unwrap_or(&self.rest).call(request)
    }

    fn describe(&self) -> String {
        self.rest.describe()
    }

    fn simulated(&self) -> bool {
        self.rest.simulated()
    }

    fn provenance(&self) -> Option<Value> {
        self.rest.provenance()
    }
}

/// How long an answer stays fresh, by tool: the original system's times.
pub fn time_to_live(tool: &str) -> Duration {
    Duration::from_secs(match tool {
        name if name.contains("simfin") => 3600,
        name if name.contains("fundamentals") || name.contains("insider") => 1800,
        name if name.contains("reddit") => 180,
        name if name.contains("stocktwits") || name.contains("twitter") => 120,
        _ => 300,
    })
}

/// How a cached call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// From the cache, or by a call that was already under way.
    Hit,
    /// By the source.
    Miss,
    /// By the source, because what processes share could not be reached.
    Unshared,
}

/// Answers that processes share. What fails there is no failure of a call: its source is asked then.
pub trait Elsewhere: Send + Sync {
    /// Answers a call that has a [`ToolCache::key`] by what another process has, or by the source.
    fn call<'a>(
        &'a self,
        key: &'a str,
        source: &'a dyn ToolSource,
        request: &'a ToolRequest,
    ) -> BoxFuture<'a, Result<(ToolText, Lookup), ToolError>>;
}

impl Lookup {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Unshared => "unshared",
        }
    }
}

/// Names the answer to a call with a [`ToolCache::key`], of a source that a text identifies.
pub fn answer_name(source: &str, key: &str) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(&(source.len() as u64).to_le_bytes()).update(source.as_bytes()).update(key.as_bytes());
    hash.finalize().to_hex()[..32].to_owned()
}

struct Entry {
    cell: OnceCell<ToolText>,
    made: Instant,
}

#[derive(Default)]
struct Shelf {
    entries: HashMap<String, Arc<Entry>>,
    bytes: usize,
}

/// Figures of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolCacheStats {
    /// Answered from the cache.
    pub hits: u64,
    /// Answered by the source.
    pub misses: u64,
    /// Entries dropped for space or age.
    pub evictions: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Most bytes that it holds.
    pub limit_bytes: u64,
}

/// Tool answers by tool and arguments, bounded by bytes, with single flight: concurrent equal calls make one.
///
/// Errors are never kept: the next caller asks again.
pub struct ToolCache {
    shelf: Mutex<Shelf>,
    elsewhere: Option<Arc<dyn Elsewhere>>,
    limit_bytes: usize,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

impl ToolCache {
    /// Makes a cache; 0 bytes switches it off.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            shelf: Mutex::default(),
            elsewhere: None,
            limit_bytes,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// Asks for what other processes have before a source is asked.
    #[must_use]
    pub fn sharing(self, elsewhere: Option<Arc<dyn Elsewhere>>) -> Self {
        Self { elsewhere, ..self }
    }

    /// The name of a call: tool and arguments with sorted keys.
    pub fn key(request: &ToolRequest) -> String {
        let mut pairs: Vec<_> = request.arguments.iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(b.0));
        let arguments: Vec<String> = pairs.into_iter().map(|(k, v)| format!("{k:?}:{v}")).collect();
        format!("{}({})", request.name, arguments.join(","))
    }

    /// Answers a call from the cache or the source. Dropping the future while it is the one that asks the source
    /// gives that call up; another waiter then asks in its place.
    ///
    /// # Errors
    /// What the source says.
    pub async fn call(
        &self,
        source: &dyn ToolSource,
        request: &ToolRequest,
    ) -> Result<(ToolText, Lookup), ToolError> {
        if self.limit_bytes == 0 {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return source.call(request).await.map(|text| (text, Lookup::Miss));
        }
        let key = Self::key(request);
        let entry = self.entry(&key, &request.name);
        let mut lookup = None;
        let text = entry
            .cell
            .get_or_try_init(|| async {
                let (text, by) = match &self.elsewhere {
                    Some(elsewhere) => elsewhere.call(&key, source, request).await?,
                    None => (source.call(request).await?, Lookup::Miss),
                };
                lookup = Some(by);
                Ok::<_, ToolError>(text)
            })
            .await?
            .clone();
        if lookup.is_some() {
            self.account(&key, text.text.len());
        }
        let lookup = lookup.unwrap_or(Lookup::Hit);
        match lookup {
            Lookup::Hit => self.hits.fetch_add(1, Ordering::Relaxed),
            Lookup::Miss | Lookup::Unshared => self.misses.fetch_add(1, Ordering::Relaxed),
        };
        Ok((text, lookup))
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, key: &str, tool: &str) -> Arc<Entry> {
        let mut shelf = self.lock();
        let stale = shelf.entries.get(key).is_some_and(|e| e.made.elapsed() > time_to_live(tool));
        if stale {
            self.remove(&mut shelf, key);
        }
        let fresh = || Arc::new(Entry { cell: OnceCell::new(), made: Instant::now() });
        Arc::clone(shelf.entries.entry(key.to_owned()).or_insert_with(fresh))
    }

    fn remove(&self, shelf: &mut Shelf, key: &str) {
        if let Some(old) = shelf.entries.remove(key) {
            shelf.bytes = shelf.bytes.saturating_sub(old.cell.get().map_or(0, |t| t.text.len() + key.len()));
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn account(&self, key: &str, bytes: usize) {
        let mut shelf = self.lock();
        shelf.bytes += bytes + key.len();
        while shelf.bytes > self.limit_bytes {
            let oldest = shelf
                .entries
                .iter()
                .filter(|(_, e)| e.cell.initialized())
                .min_by_key(|(_, e)| e.made)
                .map(|(k, _)| k.clone());
            match oldest {
                Some(oldest) => self.remove(&mut shelf, &oldest),
                None => break,
            }
        }
    }

    /// Hits, misses, evictions and bytes so far.
    pub fn stats(&self) -> ToolCacheStats {
        ToolCacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            bytes: self.lock().bytes as u64,
            limit_bytes: self.limit_bytes as u64,
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.lock() = Shelf::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Counting {
        calls: AtomicUsize,
        fail_first: bool,
    }

    impl ToolSource for Counting {
        fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
            Box::pin(async move {
                let n = self.calls.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                if self.fail_first && n == 0 {
                    return Err(ToolError::Failed("upstream down".into()));
                }
                Ok(ToolText { text: format!("{} {n}", request.name), no_data: false })
            })
        }

        fn describe(&self) -> String {
            "test".into()
        }

        fn simulated(&self) -> bool {
            true
        }
    }

    fn request(name: &str, pairs: &[(&str, &str)]) -> ToolRequest {
        let arguments = pairs.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
        ToolRequest { name: name.into(), arguments, role: "x".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn equal_calls_at_once_make_one() {
        let (cache, source) =
            (ToolCache::new(1 << 20), Counting { calls: AtomicUsize::new(0), fail_first: false });
        let (a, b) = (request("t", &[("x", "1"), ("y", "2")]), request("t", &[("y", "2"), ("x", "1")]));
        let (first, second) =
            futures_util::future::join(cache.call(&source, &a), cache.call(&source, &b)).await;
        assert_eq!(first.unwrap().0, second.unwrap().0);
        assert_eq!(source.calls.load(Ordering::SeqCst), 1);
        tokio::time::advance(Duration::from_secs(301)).await;
        cache.call(&source, &a).await.unwrap();
        assert_eq!(source.calls.load(Ordering::SeqCst), 2, "stale after 300 s");
    }

    /// The original Python system's cache stored a running task including its error.
    #[tokio::test(start_paused = true)]
    async fn defect_14_errors_are_not_cached() {
        let (cache, source) =
            (ToolCache::new(1 << 20), Counting { calls: AtomicUsize::new(0), fail_first: true });
        let ask = request("t", &[]);
        let (first, second) =
            futures_util::future::join(cache.call(&source, &ask), cache.call(&source, &ask)).await;
        assert!(first.is_err(), "the first caller sees the failure");
        assert_eq!(second.unwrap().0.text, "t 1", "the waiter asks again");
        assert_eq!(cache.call(&source, &ask).await.unwrap().1, Lookup::Hit);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_bounded_and_the_switch_works() {
        let source = Counting { calls: AtomicUsize::new(0), fail_first: false };
        let small = ToolCache::new(40);
        for i in 0..20 {
            small.call(&source, &request("t", &[("x", &i.to_string())])).await.unwrap();
        }
        assert!(small.lock().bytes <= 40 && small.stats().evictions > 10);
        let off = ToolCache::new(0);
        off.call(&source, &request("t", &[])).await.unwrap();
        assert_eq!(off.call(&source, &request("t", &[])).await.unwrap().1, Lookup::Miss);
    }
}

#[cfg(all(test, shuttle))]
mod shuttled {
    use super::*;
    use crate::sync::atomic::AtomicUsize;

    /// Counts its calls; the first one fails.
    struct Source(AtomicUsize);

    impl ToolSource for Source {
        fn call<'a>(&'a self, _: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
            Box::pin(async move {
                let n = self.0.fetch_add(1, Ordering::SeqCst);
                shuttle::future::yield_now().await;
                if n == 0 {
                    return Err(ToolError::Failed("not now".into()));
                }
                Ok(ToolText { text: "answer".into(), no_data: false })
            })
        }

        fn describe(&self) -> String {
            "a test".into()
        }

        fn simulated(&self) -> bool {
            true
        }
    }

    #[test]
    fn in_any_order_equal_calls_are_one_and_a_failure_is_not_kept() {
        let callers = || {
            let cache = Arc::new(ToolCache::new(1 << 20));
            let source = Arc::new(Source(AtomicUsize::new(0)));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (cache, source) = (Arc::clone(&cache), Arc::clone(&source));
                    shuttle::thread::spawn(move || {
                        let request =
                            ToolRequest { name: "t".into(), arguments: Map::new(), role: "market".into() };
                        shuttle::future::block_on(async { cache.call(&*source, &request).await.is_ok() })
                    })
                })
                .collect();
            let answered = threads.into_iter().map(|t| t.join().unwrap()).filter(|ok| *ok).count();
            // One met the failure, all others share one answer.
            assert_eq!((answered, source.0.load(Ordering::SeqCst)), (2, 2));
            let stats = cache.stats();
            assert_eq!((stats.hits, stats.misses, stats.bytes), (1, 1, 9));
        };
        shuttle::check_random(callers, 5_000);
    }
}
