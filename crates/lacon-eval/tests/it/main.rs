//! Tests of the reading test, the run test and the arms of receipts.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod arms;
mod planted;
mod reading;
mod statistics;
