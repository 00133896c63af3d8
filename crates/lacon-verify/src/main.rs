//! The verification suite and the benchmarks: `lacon verify` and `lacon bench`. Not part of the product binary.

mod args;
mod bench;
mod verify;

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use lacon::commands::Common;

fn main() -> ExitCode {
    let started = Instant::now();
    let cli = args::Cli::parse();
    let common = Common { config: cli.config, log_level: cli.log_level };
    lacon::ended(match &cli.command {
        args::Command::Verify(args) => verify::run(&common, args),
        args::Command::Bench(args) => bench::run(&common, args, started),
        args::Command::Product(_) => return lacon::main(),
    })
}
