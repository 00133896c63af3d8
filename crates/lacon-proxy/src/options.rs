//! Options of the server, and the report of each request.

use std::{sync::Arc, time::Duration};

use lacon_llm::{TransportOptions, Usage};
use lacon_monitor::metrics::proxy::Route;
use lacon_prompt::{
    offload::{Handle, Store, StoreError},
    passes::PassSet,
    receipt::PassReport,
    request::Shrunk,
};

use crate::{access::Access, arms::Arm, gate::Gate};

/// How far requests may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Everything passes through.
    Off,
    /// Exact forms only.
    Lossless,
    /// Exact forms, and blobs moved to the store if the request declares a way to retrieve them.
    Safe,
}

/// Savings of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Figures {
    /// Tokens of the texts that may change, as they came.
    pub tokens_before: usize,
    /// Tokens of the same texts as they were sent on.
    pub tokens_after: usize,
    /// What each pass did to each text, which is named by its place in the body.
    pub passes: Vec<PassReport>,
    /// What the new texts refer to in the store.
    pub handles: Vec<Handle>,
}

impl Figures {
    pub(crate) fn of(shrunk: &Shrunk) -> Self {
        Self {
            tokens_before: shrunk.tokens_before,
            tokens_after: shrunk.tokens_after,
            passes: shrunk.passes.clone(),
            handles: shrunk.handles(),
        }
    }
}

/// What is told of a request when its answer is over. It holds no text, no key, and no header but the outcome's name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Served {
    /// Which route it took.
    pub route: Route,
    /// The answer's status.
    pub status: u16,
    /// Savings; `None` if nothing was examined.
    pub figures: Option<Figures>,
    /// Why the body passed unchanged although it should have been compressed.
    pub unchanged: Option<&'static str>,
    /// Time between the body's last byte and the call to the upstream.
    pub overhead: Duration,
    /// Time from that call to the first byte of its answer.
    pub waited: Duration,
    /// Time from that call to the end of its answer.
    pub took: Duration,
    /// The model that the request names where its body was read, else the one that the answer names.
    pub model: Option<String>,
    /// What the answer says it took; `None` where it says nothing.
    pub usage: Option<Usage>,
    /// Millionths of a USD for it at the model's list price, where it has one.
    pub micro_usd: Option<u64>,
    /// The arm of the request, where a share is held out.
    pub arm: Option<Arm>,
    /// The name under which the client will tell what came of it.
    pub outcome: Option<String>,
}

/// Receives the report of each request.
pub type OnServed = Box<dyn Fn(&Served) + Send + Sync>;

/// Options of the server.
pub struct ProxyOptions {
    /// The provider's address, such as `https://api.openai.com/v1`.
    pub upstream: String,
    /// How far requests may be changed.
    pub policy: Policy,
    /// The passes that may run.
    pub passes: PassSet,
    /// Texts to leave alone: `user`, `tool` or the name of a tool.
    pub protect: Vec<String>,
    /// Whether user messages are compressed too, not only tool results.
    pub shorten_user: bool,
    /// Whether tool results are compressed that a later edit may have to quote exactly.
    pub shorten_quotable: bool,
    /// Whether a line above a request's first compressed text tells how to read its form.
    pub legend: bool,
    /// Conversations of a thousand whose requests pass as they came.
    pub holdout: u16,
    /// Whether conversations that are recognized get marks for the provider's prompt cache.
    pub cache_marks: bool,
    /// Who may call.
    pub access: Access,
    /// Store for offloaded content.
    pub store: Box<dyn Store + Send>,
    /// Gives the store of a client that names its session, and makes it where the second argument says so. Without it,
    /// nothing of such a client is offloaded.
    pub sessions: Option<Sessions>,
    /// Lets calls through or not; without one, all.
    pub gate: Option<Arc<dyn Gate>>,
    /// Size of the cache of earlier texts and their results, in bytes.
    pub cache: usize,
    /// Most bytes of a request's body.
    pub max_body: usize,
    /// Most connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// Longest wait for a request's head, also on a connection that is kept open.
    pub header_timeout: Duration,
    /// Longest wait for a request's body.
    pub body_timeout: Duration,
    /// Longest time to compress a request; after that it passes unchanged.
    pub work_timeout: Duration,
    /// Longest wait for the head of the upstream's answer.
    pub answer_timeout: Duration,
    /// Time for open requests after the stop signal.
    pub drain: Duration,
    /// Time after the stop signal in which new requests are still served while `/readyz` refuses, so that a balancer sees it.
    pub notice: Duration,
    /// Connections to the upstream.
    pub transport: TransportOptions,
    /// Receives the report of each request.
    pub on_served: Option<OnServed>,
}

/// Gives the stores of sessions by name.
pub type Sessions =
    Box<dyn Fn(&str, bool) -> Result<Option<Box<dyn Store + Send>>, StoreError> + Send + Sync>;

impl ProxyOptions {
    /// The usual limits.
    #[must_use]
    pub fn new(upstream: impl Into<String>, policy: Policy, store: Box<dyn Store + Send>) -> Self {
        Self {
            upstream: upstream.into(),
            policy,
            passes: PassSet::default(),
            protect: Vec::new(),
            shorten_user: false,
            shorten_quotable: false,
            legend: false,
            holdout: 0,
            cache_marks: false,
            access: Access::default(),
            store,
            sessions: None,
            gate: None,
            cache: 32 << 20,
            max_body: 32 << 20,
            max_connections: 1024,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            work_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(600),
            drain: Duration::from_secs(30),
            notice: Duration::ZERO,
            transport: TransportOptions::default(),
            on_served: None,
        }
    }
}
