//! Experiments that say what a saving costs, on a user's own model and data.
//!
//! The reading test makes questions with certain answers from texts ([`material`], [`questions`]), writes the texts in
//! each form ([`forms`]), asks a model about the original and every form ([`experiment`]), and decides by paired
//! statistics ([`stats`], [`verdict`]). The run test compares whole runs of two arms ([`runs`]), and [`receipts`] the arms of a proxy. [`reader`] is a simulated model with a weakness that is known, to test the test.
//! The crate prints nothing, opens no file and names no price.

pub mod experiment;
pub mod forms;
pub mod material;
pub mod questions;
pub mod reader;
pub mod receipts;
pub mod runs;
pub mod stats;
pub mod verdict;
