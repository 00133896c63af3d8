//! Tests at the crate's edge.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod analyst;
mod client;
mod live;
mod models;
mod recorded;
mod vendors;
