//! Everything that the crate promises, from its edge.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod checks;
mod figures;
mod hostile;
mod ladder;
mod limits;
mod merged;
mod optimizations;
mod own;
mod properties;
mod reports;
mod runs;
mod scale;
mod scorers;
mod shipped;
mod support;
mod variants;
