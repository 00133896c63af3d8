//! A body, made shorter: which policy holds for it, and the work itself on a thread that may be busy.

use std::sync::{Arc, Mutex, PoisonError};

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
    server::{Figures, Policy},
};

/// A body up to so many bytes is worked on in place: about a millisecond of work.
const INLINE: usize = 16 << 10;

/// What all requests share.
pub struct Shrinker {
    pub policy: Policy,
    pub passes: PassSet,
    pub protect: Vec<String>,
    pub store: SharedStore,
    cache: ProcessedCache,
    /// As many at once as there are processors: more would only wait for each other.
    turns: Semaphore,
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
    pub fn new(
        policy: Policy,
        passes: PassSet,
        protect: Vec<String>,
        store: Box<dyn Store + Send>,
        cache: usize,
    ) -> Self {
        let turns = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let store = SharedStore(Arc::new(Mutex::new(store)));
        Self {
            policy,
            passes,
            protect,
            store,
            cache: ProcessedCache::new(cache),
            turns: Semaphore::new(turns),
        }
    }

    /// The policy that a request asks for, never further than the server's own.
    pub fn policy(&self, headers: &HeaderMap) -> Policy {
        match headers.get(headers::POLICY).map(|value| value.as_bytes()) {
            Some(b"off") => Policy::Off,
            Some(b"lossless") => self.policy.min(Policy::Lossless),
            _ => self.policy,
        }
    }

    /// Shortens a body; what cannot be read comes back as it is.
    pub async fn body(self: &Arc<Self>, body: Bytes, headers: &HeaderMap) -> Done {
        if headers.contains_key(CONTENT_ENCODING) {
            return Done::unchanged(body, "the body is encoded");
        }
        let policy = self.policy(headers);
        let declared = declares(headers);
        if body.len() <= INLINE {
            return self.work(body, policy, declared);
        }
        let Ok(_turn) = self.turns.acquire().await else { return Done::unchanged(body, "closing") };
        let (this, kept) = (Arc::clone(self), body.clone());
        let work = tokio::task::spawn_blocking(move || this.work(body, policy, declared));
        work.await.unwrap_or_else(|_| Done::unchanged(kept, "the work broke"))
    }

    fn work(&self, body: Bytes, policy: Policy, declared: bool) -> Done {
        let Ok(json) = std::str::from_utf8(&body) else {
            return Done::unchanged(body, "the body is no UTF-8");
        };
        let Some(request) = Request::parse(json) else {
            return Done::unchanged(body, "the body is no request");
        };
        let Ok(shrunk) = self.request(&request, policy, declared) else {
            return Done::unchanged(body, "the store failed");
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
    ) -> lacon_prompt::Result<Shrunk> {
        let encoding = match request.model() {
            Some(model) => for_model(model).encoding,
            None => encoding(EncodingName::O200kBase),
        };
        let options = RequestOptions {
            // What a client has compressed itself stays as it is.
            compress: Options { passes: self.passes, audit: false, once: true },
            protect: &self.protect,
            cache: Some(&self.cache),
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
