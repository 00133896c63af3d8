//! Traces in: forms, robustness, the two recorded runs, twins with planted causes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compare;
mod forms;
mod recorded;
mod robust;
mod support;
