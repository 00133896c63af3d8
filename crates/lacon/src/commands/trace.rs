//! `lacon trace`: one file per verb; this list is their index.

mod analyze;
mod compare;
mod what_if;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use lacon_monitor::trace::{Trace, read};

use crate::{
    args::trace::{TraceArgs, TraceCommand},
    failure::Failure,
};

/// Runs the subcommand.
pub fn run(args: &TraceArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        TraceCommand::Analyze(args) => analyze::run(args),
        TraceCommand::Compare(args) => compare::run(args),
        TraceCommand::WhatIf(args) => what_if::run(args),
    }
}

/// All traces of a file; of a run's folder its `trace.jsonl`.
pub fn traces(path: &Path) -> Result<Vec<Trace>, Failure> {
    let path: PathBuf = if path.is_dir() { path.join("trace.jsonl") } else { path.to_owned() };
    let (name, bytes) = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes);
        ("standard input".to_owned(), read.map(|_| bytes))
    } else {
        (path.display().to_string(), std::fs::read(&path))
    };
    let bytes = bytes.map_err(|e| Failure::input(format!("{name}: cannot be read: {e}")))?;
    read(&bytes).map_err(|e| Failure::input(format!("{name}: {e}")))
}
