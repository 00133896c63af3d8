//! `lacon bench`: one file per subject; this list is their index.

mod graph;
mod indicators;
mod prompts;
mod run;
mod tokens;
mod trace;

use std::{process::ExitCode, time::Instant};

use crate::args::bench::{BenchArgs, BenchCommand};
use lacon::commands::Common;
use lacon::failure::Failure;

/// Runs the benchmark.
pub fn run(common: &Common, args: &BenchArgs, started: Instant) -> Result<ExitCode, Failure> {
    match &args.command {
        BenchCommand::Tokens(args) => tokens::run(args),
        BenchCommand::Prompts(args) => prompts::run(args),
        BenchCommand::Graph(args) => graph::run(args),
        BenchCommand::Indicators(args) => indicators::run(args),
        BenchCommand::Run(args) => run::run(common, args, started),
        BenchCommand::Trace(args) => trace::run(args),
    }
}

/// The value below which the share `q` of the values lies.
fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(((values.len() as f64 * q) as usize).min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
