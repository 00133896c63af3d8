//! `lacon cache`: shows and clears the caches on disk.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use super::Common;
use crate::{
    args::{CacheArgs, CacheCommand},
    failure::Failure,
    text::{self, thousands},
};

/// A kept thing: what it is, where, how many files, how many bytes.
struct Row {
    what: &'static str,
    path: PathBuf,
    files: u64,
    bytes: u64,
}

/// Prints or clears the caches beside the results.
pub fn run(common: &Common, args: &CacheArgs) -> Result<ExitCode, Failure> {
    let (out, clear, as_json) = match &args.command {
        CacheCommand::Stats { out, json } => (out, false, *json),
        CacheCommand::Clear { out } => (out, true, false),
    };
    let config = common.settings(&[("run.out", out.as_ref())])?;
    let root = Path::new(config.text("run.out")).join(".cache");
    let rows: Vec<Row> = [
        ("market-wide tool answers", "tools"),
        ("durations of nodes", "durations.json"),
        ("durations of calls", "latency.json"),
        ("counts learned from bills", "tokens.json"),
        ("vendors' answers", "vendors"),
    ]
    .into_iter()
    .map(|(what, name)| {
        let path = root.join(name);
        let (files, bytes) = measure(&path);
        Row { what, path, files, bytes }
    })
    .collect();
    if clear {
        for row in &rows {
            remove(&row.path)?;
        }
        let bytes: u64 = rows.iter().map(|r| r.bytes).sum();
        let files: u64 = rows.iter().map(|r| r.files).sum();
        text::out(&format!("removed {} bytes in {files} files under {}", thousands(bytes), root.display()));
        return Ok(ExitCode::SUCCESS);
    }
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|r| json!({ "what": r.what, "path": r.path, "files": r.files, "bytes": r.bytes }))
            .collect();
        text::out(&format!("{:#}", json!({ "schema_version": 1, "caches": rows })));
    } else {
        for row in &rows {
            let path = row.path.display();
            text::out(&format!(
                "{:<26} {:>4} files {:>11} bytes  {path}",
                row.what,
                row.files,
                thousands(row.bytes)
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(path: &Path) -> (u64, u64) {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return (0, 0) };
    if !meta.is_dir() {
        return (1, meta.len());
    }
    std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| measure(&entry.path()))
        .fold((0, 0), |(files, bytes), (f, b)| (files + f, bytes + b))
}

fn remove(path: &Path) -> Result<(), Failure> {
    let result = match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
    };
    result.map_err(|e| Failure::input(format!("{}: cannot be removed: {e}", path.display())))
}
