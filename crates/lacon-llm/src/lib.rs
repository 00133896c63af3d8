//! One client trait for language models: providers, streaming, retry, hedging, tape.
//!
//! The rest of the workspace calls only [`Client`]. A provider is a [`Client`] that makes exactly one attempt.
//! Everything else (retry, hedge, limits, tape) is a [`Client`] around a [`Client`] and can be left out. Calls are
//! retried in this crate and nowhere else. Every attempt is reported for the ledger, also a failed or canceled one.
//! [`Stack`] puts the layers in their order. Without the feature `http` the providers are left out, for those who only
//! read requests and answers.
//!
//! ```
//! use std::sync::Arc;
//!
//! use lacon_llm::{Message, Protocol, Provider, ProviderOptions, Request, Stack, StackOptions, ignore_events};
//!
//! # async fn example() -> Result<(), lacon_llm::Error> {
//! let options = ProviderOptions { base_url: "http://127.0.0.1:8090/v1".into(), ..ProviderOptions::default() };
//! let provider = Provider::new(Protocol::Chat, options)?;
//! let stack = Stack::new(Arc::new(provider), StackOptions::full());
//! let request = Request { messages: vec![Message::user("AAPL?")], ..Request::new("gpt-4o-mini") };
//! let response = stack.client.complete(&request, &ignore_events).await?;
//! println!("{} after {} attempts", response.text, response.attempts.len());
//! # Ok(())
//! # }
//! ```

mod breaker;
mod budget;
mod capabilities;
mod client;
mod count;
mod echo;
#[cfg(feature = "http")]
mod endpoint;
mod enough;
mod error;
#[cfg(feature = "http")]
mod fetch;
mod form;
mod hedge;
mod limit;
#[cfg(feature = "http")]
mod loops;
mod marks;
mod message;
#[cfg(feature = "http")]
mod providers;
#[cfg(feature = "http")]
mod refusal;
mod request;
mod response;
mod retry;
mod rng;
mod secret;
pub mod sse;
mod stack;
pub mod structured;
mod sync;
mod tape;
mod traffic;
#[cfg(feature = "http")]
mod transport;
mod watch;
pub mod wire;

pub use breaker::{Breaker, BreakerOptions};
pub use capabilities::{Capabilities, StructuredSupport};
pub use client::{BoxFuture, Client, ClientInfo, StreamEvent, ignore_events};
pub use count::count_prompt;
pub use echo::Echoes;
#[cfg(feature = "http")]
pub use endpoint::Endpoint;
pub use enough::{Enough, first_sentence, whole_sentences};
pub use error::{Error, ErrorKind, Malformed, Timeout};
#[cfg(feature = "http")]
pub use fetch::{Fetch, FetchOptions};
pub use hedge::{Hedge, HedgeOptions, Sample};
pub use limit::{Limit, LimitOptions};
pub use marks::CacheMarks;
pub use message::{Message, Role, ToolCall, ToolChoice, ToolSpec};
#[cfg(feature = "http")]
pub use providers::{Protocol, Provider, ProviderOptions};
pub use request::{Cut, Effort, JsonSchema, Request, Reuse, Tags};
pub use response::{Attempt, Finish, Outcome, Response, Usage};
pub use retry::{Retry, RetryOptions};
pub use secret::Secret;
pub use stack::{Stack, StackOptions};
pub use structured::{Structured, StructuredOptions};
pub use tape::{Miss, Tape, TapeMode, TapeOptions, Taped};
pub use traffic::Traffic;
#[cfg(feature = "http")]
pub use transport::{Transport, TransportOptions};
