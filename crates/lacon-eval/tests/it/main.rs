//! Tests of the reading test.

mod arms;
mod planted;
mod reading;
mod statistics;
