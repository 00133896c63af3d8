//! Tests at the crate's edge.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod answers;
mod extended;
mod folder;
mod indicators;
