//! Runs the tests that a scheduler drives: caches and limiter in thousands of orders of their threads.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{root, say};

/// The crates with a module `sync` that can be switched.
const CRATES: &[&str] = &["lacon-tokens", "lacon-llm", "lacon-runtime"];

/// Builds them with `--cfg shuttle`, apart from all other builds, and runs the modules `shuttled`.
pub fn run() -> Result<()> {
    say(&format!("== shuttle: {}", CRATES.join(", ")));
    let mut command = Command::new("cargo");
    command.args(["test", "--locked", "--lib"]);
    CRATES.iter().for_each(|name| {
        command.args(["-p", name]);
    });
    let status = command
        .arg("shuttled")
        .current_dir(root())
        .env("RUSTFLAGS", "--cfg shuttle")
        .env("CARGO_TARGET_DIR", root().join("target/shuttle"))
        .status()
        .context("cannot start cargo for shuttle")?;
    if !status.success() {
        bail!("an order of threads was found that breaks something");
    }
    Ok(())
}
