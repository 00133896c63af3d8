//! `lacon trace`: one file per verb; this list is their index.

mod analyze;
mod compare;
mod packed;
mod pull;
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
        TraceCommand::Pull(args) => pull::run(args),
    }
}

/// More files of a folder are not read.
const MOST_FILES: usize = 10_000;

/// All traces of a file; of a run's folder its `trace.jsonl`, or its journal while there is none.
pub fn traces(path: &Path) -> Result<Vec<Trace>, Failure> {
    let in_folder = || ["trace.jsonl", "journal.jsonl"].map(|name| path.join(name));
    match path.is_dir() {
        true => in_folder()
            .iter()
            .find(|file| file.exists())
            .map_or_else(|| read_file(&in_folder()[0]), |file| read_file(file)),
        false => read_file(path),
    }
}

/// All traces of a file, unpacked where it is packed.
pub fn read_file(path: &Path) -> Result<Vec<Trace>, Failure> {
    let bytes = unpacked(path)?;
    read(&bytes).map_err(|e| Failure::input(format!("{}: {e}", shown(path))))
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// The bytes of a file, unpacked where it is packed.
fn unpacked(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = shown(path);
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = bytes.map_err(|e| Failure::input(format!("{name}: cannot be read: {e}")))?;
    packed::unpacked(bytes).map_err(|e| Failure::input(format!("{name}: {e}")))
}

/// The files that an argument names: itself, or all files of a folder that is no run's.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() || ["trace.jsonl", "journal.jsonl"].iter().any(|name| path.join(name).exists()) {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let unread = |e: std::io::Error| Failure::input(format!("{}: cannot be read: {e}", folder.display()));
        for entry in std::fs::read_dir(&folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let kind = entry.file_type().map_err(unread)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
            if found.len() + folders.len() > MOST_FILES {
                let path = path.display();
                return Err(Failure::input(format!(
                    "{path}: more than {MOST_FILES} files\nhint: give a folder inside of it"
                )));
            }
        }
    }
    if found.is_empty() {
        return Err(Failure::input(format!("{}: the folder holds no file", path.display())));
    }
    found.sort();
    Ok(found)
}
