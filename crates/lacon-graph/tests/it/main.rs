//! Tests at the crate's edge.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod execute;
mod journal;
mod policies;
mod reducers;
mod support;
mod validate;
