//! Options of the server.

use std::{sync::Arc, time::Duration};

use lacon_llm::TransportOptions;
use lacon_prompt::{
    offload::{Store, StoreError},
    passes::PassSet,
};

use crate::{access::Access, gate::Gate, served::OnServed};

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
    /// Whether estimates of token counts learn from what answers say was billed.
    pub learn: bool,
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
            learn: false,
            on_served: None,
        }
    }
}
