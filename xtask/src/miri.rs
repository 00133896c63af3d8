//! Runs the tests of the code with `unsafe` under Miri, where a nightly toolchain has it.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{root, say};

/// The crate whose unsafe code computes: its vector paths against the plain ones. What else is unsafe calls the C library.
pub fn run() -> Result<()> {
    let there = Command::new("cargo").args(["+nightly", "miri", "--version"]).output();
    if !there.is_ok_and(|o| o.status.success()) {
        say("skipped: no Miri\nhint: rustup toolchain install nightly --component miri");
        return Ok(());
    }
    let status = Command::new("cargo")
        .args(["+nightly", "miri", "test", "--locked", "-p", "lacon-tokens", "--test", "it", "oracle"])
        .current_dir(root())
        .env("CARGO_TARGET_DIR", root().join("target/miri"))
        // Vector paths are chosen by detected features; the interpreter detects those that it is told of.
        .env("RUSTFLAGS", "-Ctarget-feature=+avx2")
        .env("MIRIFLAGS", "-Zmiri-disable-isolation")
        .env("PROPTEST_CASES", "2")
        .status()
        .context("cannot start Miri")?;
    if !status.success() {
        bail!("Miri found undefined behaviour");
    }
    Ok(())
}
