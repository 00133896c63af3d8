//! The command line: arguments in, one file per subcommand, results on stdout, everything else on stderr.
//! A library, so that the verification suite runs the same code without building it again.
//!
//! Exit codes: 0 done, 1 ran but a gate said no, 2 usage, configuration or input, 3 upstream or network,
//! 4 authentication, 5 waits for a person, 101 a bug, 130 interrupted.

pub mod args;
pub mod commands;
mod embeddings;
pub mod failure;
mod forms;
#[cfg_attr(not(any(feature = "postgres", feature = "stores")), path = "journal/without.rs")]
mod journal;
mod live;
mod lock;
mod logging;
#[cfg_attr(not(feature = "mcp"), path = "mcp_tools/without.rs")]
mod mcp_tools;
mod memory;
mod otlp;
#[cfg_attr(not(feature = "shared"), path = "shared/without.rs")]
mod shared;
mod signals;
#[cfg(feature = "stores")]
mod stores;
pub mod text;
mod vendors;
mod world;

use std::{process::ExitCode, time::Instant};

use clap::Parser;

use failure::Failure;

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let started = Instant::now();
    ended(commands::run(args::Cli::parse(), started))
}

/// The exit code of a command; its error goes to stderr.
pub fn ended(result: Result<ExitCode, Failure>) -> ExitCode {
    match result {
        Ok(code) => match text::lost() {
            None => code,
            Some(why) => {
                text::error(&format!("standard output cannot be written: {why}"));
                ExitCode::from(failure::INPUT)
            }
        },
        Err(failure) => {
            text::error(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}
