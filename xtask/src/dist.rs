//! What is shipped: the binary of profile `dist` with the licenses and the README in one archive, and its checksum.
//!
//! `tar` and the checksum program come with every platform that is built for, Windows included.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{root, say};

/// Programs that print a SHA-256 before a file's name; the first one that is installed is used.
const CHECKSUMS: &[&[&str]] = &[&["sha256sum"], &["shasum", "-a", "256"]];

/// Builds, packs and prints where the archive is.
pub fn run() -> Result<()> {
    let metadata = output(root(), "cargo", &["metadata", "--format-version", "1", "--no-deps", "--offline"])?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata printed no JSON")?;
    let target = Path::new(metadata["target_directory"].as_str().context("cargo names no target folder")?);
    let cargo = ["build", "--profile", "dist", "--locked", "--package", "lacon"];
    let status =
        Command::new("cargo").args(cargo).current_dir(root()).status().context("cannot start cargo")?;
    ensure!(status.success(), "cargo {} failed", cargo.join(" "));
    let name = format!("lacon-{}-{}", env!("CARGO_PKG_VERSION"), host()?);
    let archives = target.join("dist-archives");
    let folder = archives.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let binary = format!("lacon{}", std::env::consts::EXE_SUFFIX);
    copy(&target.join("dist").join(&binary), &folder.join(&binary))?;
    for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "CHANGELOG.md"] {
        copy(&root().join(file), &folder.join(file))?;
    }
    let archive = format!("{name}.tar.gz");
    output(&archives, "tar", &["-czf", &archive, &name])?;
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    let sum = checksum(&archives, &archive)?;
    fs::write(archives.join(format!("{archive}.sha256")), &sum).context("cannot write the checksum")?;
    say(&format!("== dist: {}\n   {}", archives.join(&archive).display(), sum.trim()));
    Ok(())
}

/// The platform that is built for, as rustc names it.
fn host() -> Result<String> {
    let text = output(root(), "rustc", &["-vV"])?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

fn checksum(folder: &Path, file: &str) -> Result<String> {
    for program in CHECKSUMS {
        let arguments: Vec<&str> = program[1..].iter().copied().chain([file]).collect();
        if let Ok(sum) = output(folder, program[0], &arguments) {
            return Ok(sum);
        }
    }
    bail!("no program for SHA-256 is installed: sha256sum or shasum is needed")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

/// What a program printed; an error where it failed.
fn output(folder: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(done.status.success(), "{program} failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
