//! Tests at the crate's edge.

mod client;
