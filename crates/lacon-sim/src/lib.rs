//! A seeded synthetic world: a simulated language model with measured latency.
//!
//! [`SimClient`] is a [`lacon_llm::Client`] that reads the prompt it is given, writes an answer from the figures in
//! it, and takes as long as a recorded provider took for that many tokens. It is not a language model: its
//! answers show that the machinery works, not what to do with a stock, and everything that a run prints says so.

pub mod client;
pub mod latency;
pub mod writer;

pub use client::{Faults, SimClient, SimOptions};
pub use latency::{Profile, tool_seconds};
