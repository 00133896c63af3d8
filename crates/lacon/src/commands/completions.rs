//! `lacon completions`: a completion script for a shell.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionsArgs},
    failure::Failure,
    text,
};

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lacon", &mut script);
    text::raw(&script);
    Ok(ExitCode::SUCCESS)
}
