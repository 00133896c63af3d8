//! `lacon completions`: a completion script for a shell.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionsArgs},
    failure::Failure,
};

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    clap_complete::generate(args.shell, &mut Cli::command(), "lacon", &mut std::io::stdout().lock());
    Ok(ExitCode::SUCCESS)
}
