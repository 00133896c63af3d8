//! A server between clients and a provider: what it understands of a request it shortens, everything else it passes through.
//!
//! Of a body only strings change that [`lacon_prompt::request`] finds and can give back; every other byte, the answer, its
//! status and its stream go through as they are. Nothing is retried here: a call is made again by whoever made it first. An
//! answer that was cut stays cut, and a client that leaves takes its call at the provider with it.

mod access;
mod answer;
mod error;
mod forward;
mod headers;
mod refusal;
mod routes;
mod server;
mod shrink;

pub use access::Access;
pub use error::Error;
pub use server::{Figures, Policy, Proxy, ProxyOptions, Served, Sessions};
