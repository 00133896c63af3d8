//! One client trait for language models: providers, streaming, retry, hedging, tape.
//!
//! [`Client`] is the only thing the rest of the workspace calls. A provider is a [`Client`] that makes exactly one attempt;
//! everything else (retry, hedge, limits, tape) is a [`Client`] around a [`Client`] and can be left out. Calls are retried in
//! this crate and nowhere else, and every attempt, also the failed and the cancelled one, is handed back for the ledger.

mod client;
mod error;
mod message;
mod request;
mod response;
mod secret;

pub use client::{BoxFuture, Client, ClientInfo, StreamEvent, ignore_events};
pub use error::{Error, ErrorKind, Malformed, Timeout};
pub use message::{Message, Role, ToolCall, ToolChoice, ToolSpec};
pub use request::{Effort, JsonSchema, Request, Tags};
pub use response::{Attempt, Finish, Outcome, Response, Usage};
pub use secret::Secret;
