//! The proxy between a client and an upstream that are nothing but sockets, so that bytes can be compared.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod access;
mod compress;
mod limits;
mod shared;
mod shared_answers;
mod shorten;
mod store;
mod stream;
mod support;
mod through;
