//! Runs the fuzz targets for some seconds each, kept crashes first: guided by coverage where cargo-fuzz and a nightly
//! toolchain are installed, else with random changes to the seeds.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{root, say};

/// Runs one target, or `all`.
pub fn run(seconds: &str, target: &str) -> Result<()> {
    let _: u64 = seconds.parse().with_context(|| format!("{seconds:?} is no number of seconds"))?;
    let guided = Command::new("cargo").args(["+nightly", "fuzz", "--version"]).output();
    if guided.is_ok_and(|o| o.status.success()) {
        return with_coverage(seconds, target);
    }
    say("cargo-fuzz is not installed: random changes to the seeds");
    // The driver's own profile keeps the checks of debug builds.
    let mut command = Command::new("cargo");
    command.args([
        "run",
        "--quiet",
        "--locked",
        "--profile",
        "fuzz",
        "-p",
        "lacon-fuzz",
        "--",
        target,
        seconds,
    ]);
    finish(command, "the fuzz driver")
}

fn with_coverage(seconds: &str, target: &str) -> Result<()> {
    let listed = Command::new("cargo")
        .args(["+nightly", "fuzz", "list"])
        .current_dir(root().join("fuzz"))
        .output()
        .context("cannot list the fuzz targets")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let targets: Vec<&str> = listed.lines().filter(|name| target == "all" || *name == target).collect();
    if targets.is_empty() {
        bail!("no fuzz target {target:?}; there are {}", listed.replace('\n', " "));
    }
    for name in targets {
        say(&format!("== fuzz {name}, {seconds} s, guided by coverage"));
        let found = root().join("target/fuzz/corpus").join(name);
        std::fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let mut command = Command::new("cargo");
        // Libfuzzer writes what it finds into the first folder and only reads the others.
        command.args(["+nightly", "fuzz", "run", name]).arg(found);
        let kept = root().join("fuzz/corpus").join(name);
        if kept.is_dir() {
            command.arg(kept);
        }
        command.args(["--", &format!("-max_total_time={seconds}")]);
        finish(command, name)?;
    }
    Ok(())
}

fn finish(mut command: Command, name: &str) -> Result<()> {
    let status =
        command.current_dir(root()).status().with_context(|| format!("cannot start cargo for {name}"))?;
    if !status.success() {
        bail!("{name} found something that breaks a promise");
    }
    Ok(())
}
