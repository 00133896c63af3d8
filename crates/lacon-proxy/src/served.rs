//! The report of each request.

use std::{sync::Arc, time::Duration};

use lacon_llm::Usage;
use lacon_monitor::metrics::proxy::Route;
use lacon_prompt::{offload::Handle, receipt::PassReport, request::Shrunk};

use crate::arms::Arm;

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
pub type OnServed = Arc<dyn Fn(&Served) + Send + Sync>;
