//! Checks that need no build: the layers, circles of modules, the map, how the documentation is written, what may not
//! stand in the repository.

mod circles;
mod voice;
mod words;

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{root, say};

/// Runs all checks and lists every fault.
pub fn run() -> Result<()> {
    let mut faults = Vec::new();
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).context("cannot read ARCHITECTURE.md")?;
    let crates = dependencies()?;
    layers(&map, &crates, &mut faults);
    for name in crates.keys() {
        if !map.contains(&format!("`{name}`")) {
            faults.push(format!("ARCHITECTURE.md does not name crate `{name}`"));
        }
    }
    let files = tracked()?;
    for file in files.iter().filter(|f| f.ends_with(".rs") || f.ends_with(".md") || f.ends_with(".toml")) {
        let Ok(text) = fs::read_to_string(root().join(file)) else { continue };
        source(file, &text, &mut faults);
    }
    circles::check(&files, &mut faults);
    voice::check(&files, &mut faults)?;
    for fault in &faults {
        say(&format!("tidy: {fault}"));
    }
    if faults.is_empty() {
        say(&format!("== tidy: ok, {} crates, {} files", crates.len(), files.len()));
        return Ok(());
    }
    bail!("tidy found {} fault(s)", faults.len());
}

/// Crates beside the workspace that the layers hold for too.
pub const BESIDE: [&str; 1] = ["crates/lacon-python/Cargo.toml"];

/// Each crate of ours with those that it depends on (tests and builds left out).
fn dependencies() -> Result<BTreeMap<String, Vec<String>>> {
    let mut packages = Vec::new();
    for manifest in ["Cargo.toml"].into_iter().chain(BESIDE) {
        let output = Command::new("cargo")
            .args([
                "metadata",
                "--format-version",
                "1",
                "--no-deps",
                "--offline",
                "--manifest-path",
                manifest,
            ])
            .current_dir(root())
            .output()
            .context("cannot start cargo metadata")?;
        let metadata: Value =
            serde_json::from_slice(&output.stdout).context("cargo metadata gave no JSON")?;
        packages.extend(metadata["packages"].as_array().context("cargo metadata lists no packages")?.clone());
    }
    let name = |v: &Value| v["name"].as_str().unwrap_or_default().to_owned();
    let names: Vec<String> = packages.iter().map(name).collect();
    Ok(packages
        .iter()
        .map(|package| {
            let of = package["dependencies"]
                .as_array()
                .map(|list| list.iter().filter(|d| d["kind"].is_null()).map(name).collect::<Vec<_>>())
                .unwrap_or_default();
            (name(package), of.into_iter().filter(|d| names.contains(d)).collect())
        })
        .collect())
}

/// Compares with the table in ARCHITECTURE.md whose first column is a crate and whose second what it may depend on.
fn layers(map: &str, crates: &BTreeMap<String, Vec<String>>, faults: &mut Vec<String>) {
    let rows: BTreeMap<&str, &str> = map
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
            Some((cells.first()?.trim_end_matches('`').trim_end_matches("` "), *cells.get(1)?))
        })
        .collect();
    for (name, depends) in crates {
        let Some(allowed) = rows.get(name.as_str()) else {
            faults.push(format!("the layer table of ARCHITECTURE.md has no row for `{name}`"));
            continue;
        };
        if *allowed == "all" {
            continue;
        }
        let allowed: Vec<String> =
            allowed.split(',').map(|a| a.trim().trim_matches('`').to_owned()).collect();
        for dependency in depends.iter().filter(|d| !allowed.contains(d)) {
            faults.push(format!("`{name}` depends on `{dependency}`, which the layer table does not allow"));
        }
    }
}

fn tracked() -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files"])
        .current_dir(root())
        .output()
        .context("cannot start git ls-files")?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(Into::into).collect())
}

/// What may not stand in a file.
fn source(file: &str, text: &str, faults: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        let at = format!("{file}:{}", number + 1);
        // Spelled in parts so that this file does not find itself.
        for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")] {
            if line.contains(word) && !file.ends_with("CONTRIBUTING.md") {
                faults.push(format!("{at}: {word} without an issue"));
            }
        }
        if line.contains(concat!("/wo", "rk/")) || line.contains(concat!("/ro", "ot/")) {
            faults.push(format!("{at}: a path of one machine"));
        }
    }
    words::check(file, text, faults);
    let is_source = file.ends_with(".rs") && !file.contains("/tests/") && !file.starts_with("benchmarks/");
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let n = code.lines().count();
    if is_source && n > 800 && !text.lines().take(12).any(|l| l.contains("one thing")) {
        faults.push(format!(
            "{file}: {n} lines without tests; split it, or say in its head why it is one thing"
        ));
    }
    if Path::new(file).file_name().is_some_and(|f| f == "mod.rs") && !file.contains("/tests/") {
        faults.push(format!("{file}: modules are foo.rs beside foo/"));
    }
}
