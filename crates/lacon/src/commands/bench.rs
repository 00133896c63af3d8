//! `lacon bench`: one file per subject; this list is their index.

mod tokens;

use std::process::ExitCode;

use crate::{
    args::{BenchArgs, BenchCommand},
    failure::Failure,
};

/// Runs the benchmark.
pub fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        BenchCommand::Tokens(args) => tokens::run(args),
    }
}
