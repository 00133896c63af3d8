//! Tests of the crate's edge.

mod cache;
mod encodings;
mod operations;
mod requests;
mod rivals;
mod texts;
