//! The crate's edge, checked from outside.

mod batch;
mod bounds;
mod chat;
mod compress;
mod expand;
mod extract;
mod inputs;
mod layout;
mod plan;
mod providers;
mod request;
mod snapshots;
mod span;
mod tools;
mod trim;
