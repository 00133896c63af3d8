//! The command line of the suite. What is no command of its own is the product's.

pub mod bench;
pub mod verify;

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, Subcommand};

/// Checks Lacon's promises and measures it on this machine.
#[derive(Debug, Parser)]
#[command(name = "lacon-verify", version, arg_required_else_help = true)]
pub struct Cli {
    /// Settings file [default: lacon.toml in the working folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log level on stderr: error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every documented promise and print the measurements
    Verify(Box<verify::VerifyArgs>),
    /// Measure Lacon on this machine
    Bench(bench::BenchArgs),
    /// A command of the product
    // The checks start runs as processes. They start this program again, so that it needs no other binary beside it.
    #[command(external_subcommand)]
    #[expect(dead_code, reason = "the product reads the whole line itself, with its global flags")]
    Product(Vec<OsString>),
}
