//! Tests of the crate's edge: what callers see, against servers on loopback that misbehave on cue.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod chat;
mod hedge;
mod limit;
mod local;
mod marks;
mod retry;
mod scripted;
mod server;
mod stack;
mod structured;
mod tape;
mod tls;
mod transcripts;
