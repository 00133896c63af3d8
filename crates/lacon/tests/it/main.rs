//! The binary as a user meets it: output, exit codes, messages.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[cfg(feature = "parquet")]
mod batch;
mod cast;
mod config;
mod count;
mod doctor;
mod eval;
mod eval_run;
#[cfg(feature = "postgres")]
mod journal;
mod many;
#[cfg(feature = "mcp")]
mod mcp;
#[cfg(feature = "mcp")]
mod mcp_tools;
mod models;
mod prompt;
mod pull;
mod readme;
mod report;
mod resume;
mod run;
mod serve;
mod server;
#[cfg(feature = "shared")]
mod shared;
mod suite;
mod support;
mod team;
mod vendors;
mod writers;
