//! Tests of the crate's edge.

mod asynchronous;
mod cache;
mod encodings;
mod operations;
mod oracle;
mod requests;
mod rivals;
mod texts;
