//! The crate's edge, checked from outside.

mod batch;
mod bounds;
mod budget;
mod cache;
mod chat;
mod compress;
mod expand;
mod extract;
mod generators;
mod inputs;
mod layout;
mod optimize;
mod plan;
mod providers;
mod request;
mod snapshots;
mod span;
mod tools;
mod trim;
