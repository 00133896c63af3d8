//! Tests of the crate's edge.

mod asynchronous;
mod cache;
mod custom;
mod encodings;
mod operations;
mod oracle;
mod pieces;
mod recorded;
mod requests;
mod rivals;
mod sentencepiece;
mod texts;
