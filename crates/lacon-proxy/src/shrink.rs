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
    arms::Arm,
    headers,
    marks::Conversations,
    options::{Policy, ProxyOptions, Sessions},
    served::Figures,
};

/// What all requests share.
pub struct Shrinker {
    policy: Policy,
    passes: PassSet,
    protect: Vec<String>,
    shorten_user: bool,
    shorten_quotable: bool,
    legend: bool,
    holdout: u16,
    store: SharedStore,
    sessions: Option<Sessions>,
    cache: ProcessedCache,
    /// Conversations whose prompts get cache marks, where that is wanted.
    conversations: Option<Conversations>,
    /// Longest that one request may take.
    limit: Duration,
    /// As many at once as there are processors: more would only wait for each other.
    turns: Arc<Semaphore>,
}

/// What a client asks for in its headers.
pub struct Ask {
    pub policy: Policy,
    /// Whether it can call `/v1/retrieve`.
    pub declared: bool,
    /// Its name for its session; empty for the server's own.
    pub session: Option<String>,
}

/// Longest name of a session.
const MAX_SESSION: usize = 128;

/// The session that a client names; an empty name for a header that is none, which stands for no session at all.
pub fn session(headers: &HeaderMap) -> Option<String> {
    let mut named = headers.get_all(headers::SESSION).iter();
    let name = named.next()?.to_str().unwrap_or("").trim();
    let fits = named.next().is_none() && name.len() <= MAX_SESSION;
    Some(if fits { name.to_owned() } else { String::new() })
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
    /// Its arm, where a share is held out.
    pub arm: Option<Arm>,
    /// The model that it names.
    pub model: Option<String>,
}

impl Done {
    fn unchanged(body: Bytes, why: &'static str) -> Self {
        Self { body, figures: None, unchanged: Some(why), arm: None, model: None }
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
            legend: options.legend,
            holdout: options.holdout,
            store: SharedStore(Arc::new(Mutex::new(options.store))),
            sessions: options.sessions,
            cache: ProcessedCache::new(options.cache),
            conversations: options.cache_marks.then(Conversations::default),
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

    pub fn ask(&self, headers: &HeaderMap) -> Ask {
        Ask { policy: self.policy(headers), declared: declares(headers), session: session(headers) }
    }

    /// The store of a session. Blocks for the disk.
    pub fn store(&self, session: Option<&str>, make: bool) -> Result<Option<SharedStore>, StoreError> {
        match (session, &self.sessions) {
            (None, _) => Ok(Some(self.store.clone())),
            (Some(""), _) | (Some(_), None) => Ok(None),
            (Some(name), Some(sessions)) => {
                Ok(sessions(name, make)?.map(|store| SharedStore(Arc::new(Mutex::new(store)))))
            }
        }
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
        let ask = self.ask(headers);
        let (this, kept) = (Arc::clone(self), body.clone());
        let headers = headers.clone();
        let done = self.away(move |stop| this.marked(this.work(body, &ask, stop), &headers)).await;
        done.unwrap_or_else(|| Done::unchanged(kept, "the work took too long or broke"))
    }

    /// Whether bodies are read at all under a policy.
    pub fn reads(&self, headers: &HeaderMap) -> bool {
        self.conversations.is_some() || self.policy(headers) != Policy::Off
    }

    /// Marks what is to be cached, in the body as it is sent on.
    fn marked(&self, done: Done, headers: &HeaderMap) -> Done {
        let marked = self.conversations.as_ref().and_then(|known| {
            let json = std::str::from_utf8(&done.body).ok()?;
            known.mark(json, headers)
        });
        match marked {
            Some(body) => Done { body: Bytes::from(body), ..done },
            None => done,
        }
    }

    fn work(&self, body: Bytes, ask: &Ask, stop: &AtomicBool) -> Done {
        if ask.policy == Policy::Off {
            return Done { body, figures: None, unchanged: None, arm: None, model: None };
        }
        let Ok(json) = std::str::from_utf8(&body) else {
            return Done::unchanged(body, "the body is no UTF-8");
        };
        let Some(request) = Request::parse(json) else {
            return Done::unchanged(body, "the body is no request");
        };
        let (arm, model) = (Arm::of(json, self.holdout), request.model().map(str::to_owned));
        // What is not sent is not offloaded.
        let held =
            Ask { policy: ask.policy.min(Policy::Lossless), declared: false, session: ask.session.clone() };
        let ask = if arm == Some(Arm::Control) { &held } else { ask };
        let Ok(shrunk) = self.request(&request, ask, stop) else {
            return Done::unchanged(body, "the work was stopped");
        };
        let figures = Figures::of(&shrunk);
        if arm == Some(Arm::Control) {
            // The work was done all the same, so that both arms wait alike.
            let tokens_after = figures.tokens_before;
            let figures = Some(Figures { tokens_after, passes: Vec::new(), handles: Vec::new(), ..figures });
            return Done { body, figures, unchanged: Some("the conversation is held out"), arm, model };
        }
        let body = match shrunk.edits.is_empty() {
            true => body,
            false => Bytes::from(splice(json, &shrunk.edits)),
        };
        Done { body, figures: Some(figures), unchanged: None, arm, model }
    }

    /// Shortens a request under a policy. Opaque runs are offloaded only where the model or its client can retrieve.
    pub fn request(
        &self,
        request: &Request<'_>,
        ask: &Ask,
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
            legend: self.legend,
            session: ask.session.as_deref().unwrap_or_default(),
            cache: Some(&self.cache),
            stop: Some(stop),
        };
        let offload = ask.policy == Policy::Safe && (ask.declared || request.can_retrieve());
        // A session that cannot be had costs what it would have saved.
        let store = if offload { self.store(ask.session.as_deref(), true).unwrap_or(None) } else { None };
        let mut store = store;
        request.shrink(&options, store.as_mut().map(|store| store as &mut dyn Store), encoding)
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

    fn ready(&self) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ready()
    }
}
