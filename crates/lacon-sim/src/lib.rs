//! A seeded synthetic world: a simulated language model with measured latency, companies, and vendors of their data.
//!
//! [`SimClient`] is a [`lacon_llm::Client`] that reads its prompt, writes an answer from the figures in it, and takes
//! as long as a recorded provider took for that many tokens. [`World`] holds companies whose prices, statements and
//! news agree. With the feature `serve`, vendors serve them in the formats of the real ones, in process or on loopback,
//! beside the model's endpoints. It is no language model and no market: its answers test the program, not a stock, and
//! everything that a run prints says so.

pub mod analyst;
pub mod client;
pub mod fault;
pub mod generic;
pub mod latency;
#[cfg(feature = "serve")]
pub mod models;
#[cfg(feature = "serve")]
pub mod server;
#[cfg(feature = "serve")]
pub mod vendors;
pub mod world;

pub use client::{Faults, SimClient, SimOptions};
pub use fault::{Fault, FaultPlan};
pub use latency::{Profile, tool_seconds};
pub use world::World;
