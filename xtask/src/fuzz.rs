//! Runs every fuzz target of `fuzz/` for some seconds on the pinned toolchain, kept crashes first.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{root, say};

/// Runs all targets; stops at the first that finds something.
pub fn run(seconds: &str) -> Result<()> {
    let n: u64 = seconds.parse().with_context(|| format!("{seconds:?} is no number of seconds"))?;
    let folder = root().join("fuzz");
    let library =
        std::fs::read_to_string(folder.join("src/lib.rs")).context("cannot read fuzz/src/lib.rs")?;
    let list =
        library.split_once("TARGETS: &[").and_then(|(_, rest)| rest.split_once("];")).map(|(list, _)| list);
    let targets: Vec<&str> = list
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(\"")?.split_once('"').map(|(name, _)| name))
        .collect();
    if targets.is_empty() {
        bail!("fuzz/src/lib.rs lists no targets");
    }
    for target in targets {
        say(&format!("== fuzz {target}, {n} s"));
        let status = Command::new("cargo")
            .args(["run", "--quiet", "--release", "--locked", "--", target, seconds])
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", root().join("target/fuzz"))
            .status()
            .with_context(|| format!("cannot start cargo for fuzz target {target}"))?;
        if !status.success() {
            bail!("fuzz target {target} failed");
        }
    }
    Ok(())
}
