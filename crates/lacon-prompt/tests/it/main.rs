//! The crate's edge, checked from outside.

mod budget;
mod compress;
mod inputs;
mod optimize;
mod span;
mod trim;
