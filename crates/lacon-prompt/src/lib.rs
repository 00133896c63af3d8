//! Prompts as data: lossless compression, trimming, cache-friendly layout and prompt plans.
//!
//! [`compress::compress`] shortens one text, and [`compress::expand`] restores it byte for byte. [`chat`] does
//! the same to a list of messages, and [`request::Request`] to a request as it goes over the wire. Instructions are never changed. Nothing here reads a clock or the network, and only the
//! feature `sqlite` opens a file: the store of [`offload`] on disk.

#[cfg(feature = "arrow")]
pub mod arrow;
pub mod batch;
pub mod budget;
pub mod chat;
mod codec;
pub mod compress;
mod conversation;
pub mod digest;
pub mod error;
pub mod extract;
pub mod guard;
mod json;
pub mod layout;
pub use codec::marker;
pub mod meter;
pub mod offload;
mod openings;
pub mod passes;
pub mod plan;
pub mod prompt;
pub mod receipt;
pub mod request;
pub mod shorten;
pub mod span;
pub mod trim;
mod wire;
mod work;

pub use error::{Error, Result};
