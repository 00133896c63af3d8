//! Tests at the crate's edge.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod canary;
mod casts;
mod decisions;
mod defects;
mod foresee;
mod generic;
mod golden;
mod pages;
mod runs;
mod sources;
mod support;
