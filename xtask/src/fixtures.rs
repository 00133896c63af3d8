//! Files that are generated from the source.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{root, say};

/// Writes them. The crate that owns their source does it, and its tests fail when they differ: so nothing but
/// that crate's own tests must be built to know.
pub fn write() -> Result<()> {
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--locked", "-p", "lacon-runtime", "--example", "fixtures"])
        .current_dir(root())
        .status()
        .context("cannot start cargo for the fixtures")?;
    if !status.success() {
        bail!("the fixtures could not be written");
    }
    say("wrote docs/settings.md and docs/lacon.sample.toml");
    Ok(())
}
