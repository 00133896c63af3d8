//! Tests at the crate's edge.

mod client;
mod live;
mod models;
mod vendors;
