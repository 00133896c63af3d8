//! Traces in: forms, robustness, the two recorded runs, twins with planted causes.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and says why it was skipped"
)]

mod billing;
mod cases;
mod compare;
mod export;
mod foreign;
mod forms;
mod parts;
mod recorded;
mod robust;
mod support;
mod telling;
mod truth;
