//! What is shipped: the binary of profile `dist` with the licenses and the README in one archive, a wheel for Python that holds the
//! command too, and their checksums.
//!
//! `tar` and the checksum program come with every platform that is built for, Windows included.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

use crate::{python, root, say};

/// Programs that print a SHA-256 before a file's name; the first one that is installed is used.
const CHECKSUMS: &[&[&str]] = &[&["sha256sum"], &["shasum", "-a", "256"]];

/// Builds, unless a binary is given, packs, and prints where the archives are.
pub fn run(given: Option<&str>) -> Result<()> {
    let target = python::target()?;
    let name = format!("lacon-{}-{}", env!("CARGO_PKG_VERSION"), host()?);
    let archives = target.join("dist-archives");
    let folder = archives.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let binary = format!("lacon{}", std::env::consts::EXE_SUFFIX);
    let built = match given {
        Some(path) => Path::new(path).to_path_buf(),
        None => {
            let cargo =
                ["build", "--profile", "dist", "--locked", "--package", "lacon", "--features", "shared"];
            let status = Command::new("cargo").args(cargo).current_dir(root()).status();
            ensure!(status.context("cannot start cargo")?.success(), "cargo {} failed", cargo.join(" "));
            target.join("dist").join(&binary)
        }
    };
    copy(&built, &folder.join(&binary))?;
    for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "CHANGELOG.md"] {
        copy(&root().join(file), &folder.join(file))?;
    }
    let archive = format!("{name}.tar.gz");
    output(&archives, "tar", &["-czf", &archive, &name])?;
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    let mut files = vec![archive];
    files.extend(python::ship(&built, &archives)?);
    for file in files {
        let sum = checksum(&archives, &file)?;
        fs::write(archives.join(format!("{file}.sha256")), &sum).context("cannot write the checksum")?;
        say(&format!("== dist: {}\n   {}", archives.join(&file).display(), sum.trim()));
    }
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
