//! The binary: arguments in, one file per subcommand, results on stdout, everything else on stderr.
//!
//! Exit codes: 0 done, 1 ran but a gate said no, 2 usage, configuration or input, 3 upstream or network,
//! 4 authentication, 101 a bug, 130 interrupted.

mod args;
mod commands;
mod embeddings;
mod failure;
mod live;
mod lock;
mod logging;
mod otlp;
mod output;
mod signals;
mod text;
mod vendors;
mod world;

use std::{process::ExitCode, time::Instant};

use clap::Parser;

fn main() -> ExitCode {
    let started = Instant::now();
    let cli = args::Cli::parse();
    match commands::run(cli, started) {
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
