//! What comes with the dependencies: licenses against a list, versions that occur twice against another, known
//! vulnerabilities where a copy of the RustSec database lies on this machine, and how many packages there are.
//!
//! `cargo deny` asks the same; this needs nothing but cargo, and no network.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result, bail};
use semver::{Version, VersionReq};
use serde_json::Value;

use crate::{root, say, tidy::BESIDE};

/// Licenses that a dependency may be under, alone or as one choice of several.
const ALLOWED: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "0BSD",
    "Unlicense",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "MIT-0",
    "Apache-2.0 WITH LLVM-exception",
];

/// Packages that come in more than one version, how many, and who keeps the older ones.
const SEVERAL: &[(&str, usize, &str)] = &[
    ("base64", 2, "tiktoken-rs and opentelemetry-proto, for tests and benchmarks"),
    ("bit-vec", 2, "bit-set below regexes of tiktoken-rs, for benchmarks"),
    ("constant_time_eq", 2, "blake3, and zip, which reads archives of statements"),
    ("const-oid", 2, "x509-cert below tokio-postgres-rustls, of the feature `postgres`"),
    ("cpufeatures", 2, "const-hex below opentelemetry-proto, for tests"),
    ("crypto-common", 2, "crc-fast below object_store, of the feature `stores`"),
    ("digest", 2, "crc-fast below object_store, of the feature `stores`"),
    ("fallible-iterator", 2, "tokio-postgres, of the feature `postgres`"),
    ("getrandom", 3, "ring and parquet's hasher"),
    ("num-bigint", 2, "certificates made for tests"),
    ("quick-xml", 2, "object_store, of the feature `stores`"),
    ("r-efi", 2, "getrandom, on UEFI alone"),
    ("rand", 3, "shuttle and opentelemetry_sdk, for tests"),
    ("rand_chacha", 2, "shuttle and opentelemetry_sdk, for tests"),
    ("rand_core", 3, "shuttle and opentelemetry_sdk, for tests"),
    ("syn", 2, "derive macros that have not moved on, at build time"),
    ("synstructure", 2, "asn1-rs below certificates made for tests, and icu below redis, at build time"),
    ("wasi", 2, "whoami below tokio-postgres, on WASI alone"),
    ("windows-sys", 3, "ring and shuttle, on Windows alone"),
];

/// Reads the lock files' packages as cargo resolves them.
pub fn run() -> Result<()> {
    let mut packages = resolved("Cargo.toml")?;
    for manifest in BESIDE {
        match resolved(manifest) {
            Ok(more) => packages.extend(more),
            // What only it needs is not fetched by the workspace's own build.
            Err(why) => say(&format!("   {manifest}: not looked at, {why:#}")),
        }
    }
    let mut faults = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages.iter().filter(|p| !p["source"].is_null()) {
        let (name, version) = (text(package, "name"), text(package, "version"));
        versions.entry(name).or_default().insert(version);
        let license = text(package, "license");
        if !allowed(license) {
            let license = if license.is_empty() { "no license" } else { license };
            faults.push(format!("{name} {version}: {license} is not on the list of licenses"));
        }
    }
    let twice: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    for (name, versions) in &twice {
        let known = SEVERAL.iter().find(|(known, ..)| known == *name).map_or(1, |(_, most, _)| *most);
        if versions.len() > known {
            let versions = versions.iter().copied().collect::<Vec<_>>().join(" and ");
            faults.push(format!("{name} {versions}: {known} of these were known; see `cargo tree -d`"));
        }
    }
    for (name, most, why) in SEVERAL {
        let n = versions.get(name).map_or(0, BTreeSet::len);
        if n < *most {
            faults.push(format!("{name} comes in {n} versions, not {most} ({why}): fix the list"));
        }
    }
    say(&format!("== supply: {} packages, {} in more than one version", versions.len(), twice.len()));
    match database() {
        Some(folder) => {
            let found = advisories(&folder, &versions)?;
            say(&format!("   advisories of {}: {} apply", folder.display(), found.len()));
            faults.extend(found);
        }
        None => {
            say("   advisories: no copy of github.com/RustSec/advisory-db on this machine, not looked at")
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n  "));
    }
    Ok(())
}

fn resolved(manifest: &str) -> Result<Vec<Value>> {
    let output = Command::new("cargo")
        .args([
            "metadata",
            "--format-version",
            "1",
            "--all-features",
            "--locked",
            "--manifest-path",
            manifest,
        ])
        .current_dir(root())
        .output()
        .context("cannot start cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("cargo metadata printed no JSON: {}", String::from_utf8_lossy(&output.stderr).trim())
    })?;
    Ok(metadata["packages"].as_array().context("cargo metadata lists no packages")?.clone())
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// Whether an SPDX expression can be met with the list: one side of an OR, all sides of an AND, which binds closer.
fn allowed(expression: &str) -> bool {
    let words = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = words.split_whitespace().peekable();
    either(&mut words) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>) -> bool {
    let mut holds = both(words);
    while words.next_if_eq(&"OR").is_some() {
        holds |= both(words);
    }
    holds
}

fn both(words: &mut Words<'_>) -> bool {
    let mut holds = one(words);
    while words.next_if_eq(&"AND").is_some() {
        holds &= one(words);
    }
    holds
}

fn one(words: &mut Words<'_>) -> bool {
    match words.next() {
        Some("(") => either(words) & (words.next() == Some(")")),
        Some(name) => match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
            Some(exception) => ALLOWED.contains(&format!("{name} WITH {exception}").as_str()),
            None => ALLOWED.contains(&name),
        },
        None => false,
    }
}

/// The database as `cargo audit` and `cargo deny` keep it below cargo's folder.
fn database() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "cargo's variable, no setting of the product")]
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = variable("CARGO_HOME").or_else(|| Some(variable("HOME")?.join(".cargo")))?;
    let deny = std::fs::read_dir(home.join("advisory-dbs")).into_iter().flatten().flatten().map(|e| e.path());
    std::iter::once(home.join("advisory-db")).chain(deny).find(|folder| folder.join("crates").is_dir())
}

/// Advisories about versions that are in use.
fn advisories(folder: &std::path::Path, versions: &BTreeMap<&str, BTreeSet<&str>>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (name, versions) in versions {
        for entry in std::fs::read_dir(folder.join("crates").join(name)).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(entry.path())
                .with_context(|| format!("cannot read {}", entry.path().display()))?;
            for version in versions.iter().filter(|version| concerns(&text, version)) {
                found.push(format!("{name} {version}: {}", entry.file_name().to_string_lossy()));
            }
        }
    }
    Ok(found)
}

/// Whether an advisory is about a version: it is in none of its lists of sound ones. Notes without harm are no faults.
fn concerns(advisory: &str, version: &str) -> bool {
    let Ok(version) = Version::parse(version) else { return false };
    // The value of a key, up to the end of its list.
    let value = |key: &str| {
        let at = advisory.find(&format!("\n{key} ="))?;
        let value = advisory[at..].split_once('=')?.1.trim_start();
        value.split(if value.starts_with('[') { ']' } else { '\n' }).next()
    };
    if value("informational").is_some() || value("withdrawn").is_some() {
        return false;
    }
    let sound = |key: &str| {
        let ranges = value(key).unwrap_or_default().split('"').skip(1).step_by(2);
        ranges.filter_map(|range| VersionReq::parse(range).ok()).any(|range| range.matches(&version))
    };
    !sound("patched") && !sound("unaffected")
}

#[cfg(test)]
mod tests {
    use super::{allowed, concerns};

    #[test]
    fn one_choice_is_enough_and_all_parts_are_needed() {
        for fine in ["MIT OR GPL-3.0", "MIT/Apache-2.0", "MIT AND BSD-3-Clause", "(MIT OR GPL-3.0) AND ISC"] {
            assert!(allowed(fine), "{fine}");
        }
        assert!(allowed("Apache-2.0 WITH LLVM-exception OR GPL-2.0") && allowed("GPL-3.0 AND X OR MIT"));
        for refused in
            ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "MIT WITH X", "", "MIT MIT", "(MIT"]
        {
            assert!(!allowed(refused), "{refused}");
        }
    }

    #[test]
    fn an_advisory_is_about_versions_that_are_not_mended() {
        let advisory = "```toml\n[advisory]\nid = \"RUSTSEC-1\"\n\n[versions]\npatched = [\">= 1.2.3\", \"^0.9.4\"]\nunaffected = [\"< 0.5.0\"]\n```";
        assert!(concerns(advisory, "1.2.2") && concerns(advisory, "0.9.3"));
        assert!(!concerns(advisory, "1.2.3") && !concerns(advisory, "0.9.5") && !concerns(advisory, "0.4.9"));
        assert!(!concerns(&advisory.replace("id =", "informational = \"unmaintained\"\nid ="), "1.2.2"));
        assert!(concerns("[versions]\npatched = []", "1.0.0"));
        assert!(!concerns("[versions]\npatched = [\n  \">= 1\",\n]", "1.0.0"));
    }
}
