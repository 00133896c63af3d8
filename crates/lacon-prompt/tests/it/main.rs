//! The crate's edge, checked from outside.

mod batch;
mod bounds;
mod cache;
mod chat;
mod compress;
mod expand;
mod extract;
mod generators;
mod inputs;
mod layout;
mod plan;
mod providers;
mod request;
mod snapshots;
mod span;
mod tools;
mod trim;
