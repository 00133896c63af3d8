//! Compresses a body: chooses the policy and does the work on a thread beside the event loop.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use lacon_prompt::{
    batch::ProcessedCache,
    compress::Options,
    offload::{Handle, Store, StoreError},
    passes::PassSet,
    request::{Request, RequestOptions, Shrunk, splice},
};
use lacon_tokens::{EncodingName, encoding, for_model};
use tokio::sync::Semaphore;

use crate::{
    headers,
    server::{Figures, Policy, ProxyOptions},
};

/// What all requests share.
pub struct Shrinker {
    policy: Policy,
    passes: PassSet,
    protect: Vec<String>,
    shorten_user: bool,
    shorten_quotable: bool,
    pub store: SharedStore,
    cache: ProcessedCache,
    /// Longest that one request may take.
    limit: Duration,
    /// As many at once as there are processors: more would only wait for each other.
    turns: Arc<Semaphore>,
}

/// Stops the work when whoever asked for it is gone.
struct Asked(Arc<AtomicBool>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A body and what became of it.
pub struct Done {
    /// The body to send on.
    pub body: Bytes,
    /// What was saved; `None` where the body is as it came and why is in `unchanged`.
    pub figures: Option<Figures>,
    /// Why nothing was done to it.
    pub unchanged: Option<&'static str>,
}

impl Done {
    fn unchanged(body: Bytes, why: &'static str) -> Self {
        Self { body, figures: None, unchanged: Some(why) }
    }
}

impl Shrinker {
    pub fn new(options: ProxyOptions) -> Self {
        let turns = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            policy: options.policy,
            passes: options.passes,
            protect: options.protect,
            shorten_user: options.shorten_user,
            shorten_quotable: options.shorten_quotable,
            store: SharedStore(Arc::new(Mutex::new(options.store))),
            cache: ProcessedCache::new(options.cache),
            limit: options.work_timeout,
            turns: Arc::new(Semaphore::new(turns)),
        }
    }

    /// The policy that a request asks for, never further than the server's own. A word that is none changes nothing.
    pub fn policy(&self, headers: &HeaderMap) -> Policy {
        let asked = headers.get_all(headers::POLICY).iter().map(|value| {
            match value.to_str().unwrap_or("").trim().to_ascii_lowercase().as_str() {
                "safe" => Policy::Safe,
                "lossless" => Policy::Lossless,
                _ => Policy::Off,
            }
        });
        asked.fold(self.policy, Policy::min)
    }

    /// Does work on a thread that may be busy, until it takes too long or nobody waits for it; `None` then. The event loop
    /// never works on content itself.
    pub async fn away<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    ) -> Option<T> {
        let asked = Asked(Arc::default());
        let stop = Arc::clone(&asked.0);
        let work = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
            // The turn is taken until the work has really ended.
            let work = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                work(&stop)
            });
            work.await.ok()
        };
        tokio::time::timeout(self.limit, work).await.ok().flatten()
    }

    /// Shortens a body; what cannot be read, or not in time, comes back as it is.
    pub async fn body(self: &Arc<Self>, body: Bytes, headers: &HeaderMap) -> Done {
        if headers.contains_key(CONTENT_ENCODING) {
            return Done::unchanged(body, "the body is encoded");
        }
        let policy = self.policy(headers);
        let declared = declares(headers);
        let (this, kept) = (Arc::clone(self), body.clone());
        let done = self.away(move |stop| this.work(body, policy, declared, stop)).await;
        done.unwrap_or_else(|| Done::unchanged(kept, "the work took too long or broke"))
    }

    fn work(&self, body: Bytes, policy: Policy, declared: bool, stop: &AtomicBool) -> Done {
        let Ok(json) = std::str::from_utf8(&body) else {
            return Done::unchanged(body, "the body is no UTF-8");
        };
        let Some(request) = Request::parse(json) else {
            return Done::unchanged(body, "the body is no request");
        };
        let Ok(shrunk) = self.request(&request, policy, declared, stop) else {
            return Done::unchanged(body, "the work was stopped");
        };
        let figures = Some(Figures::of(&shrunk));
        if shrunk.edits.is_empty() {
            return Done { body, figures, unchanged: None };
        }
        Done { body: Bytes::from(splice(json, &shrunk.edits)), figures, unchanged: None }
    }

    /// Shortens a request under a policy. Opaque runs are offloaded only where the model or its client can retrieve.
    pub fn request(
        &self,
        request: &Request<'_>,
        policy: Policy,
        declared: bool,
        stop: &AtomicBool,
    ) -> lacon_prompt::Result<Shrunk> {
        let encoding = match request.model() {
            Some(model) => for_model(model).encoding,
            None => encoding(EncodingName::O200kBase),
        };
        let options = RequestOptions {
            // What a client has compressed itself stays as it is.
            compress: Options { passes: self.passes, audit: false, once: true, exact: true },
            protect: &self.protect,
            keep_user: !self.shorten_user,
            keep_quotable: !self.shorten_quotable,
            cache: Some(&self.cache),
            stop: Some(stop),
        };
        let offload = policy == Policy::Safe && (declared || request.can_retrieve());
        let mut store = self.store.clone();
        request.shrink(&options, offload.then_some(&mut store as &mut dyn Store), encoding)
    }
}

/// Whether the client says that it can call `/v1/retrieve`.
pub fn declares(headers: &HeaderMap) -> bool {
    headers.get(headers::RETRIEVE).is_some_and(|value| matches!(value.as_bytes(), b"1" | b"true"))
}

/// The store of all requests; locked for one entry at a time.
#[derive(Clone)]
pub struct SharedStore(Arc<Mutex<Box<dyn Store + Send>>>);

impl Store for SharedStore {
    fn put(&mut self, content: &str) -> Result<Handle, StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(content)
    }

    fn get(&self, handle: &Handle) -> Result<Option<String>, StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(handle)
    }
}
