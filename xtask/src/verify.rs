//! The verification suite: a program of its own, built as a newcomer builds the product.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::root;

/// Runs `lacon-verify verify` with these flags.
pub fn run(flags: &[&str]) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--release", "--locked", "--package", "lacon-verify", "--", "verify"]);
    let status = command.args(flags).current_dir(root()).status().context("cannot start cargo")?;
    ensure!(status.success(), "the suite found something that does not hold");
    Ok(())
}
