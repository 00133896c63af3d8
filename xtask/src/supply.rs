//! What comes with the dependencies: licences against a list, versions that occur twice, how many there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{root, say};

/// Licences that a dependency may be under, alone or as one choice of several.
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

/// Reads the lock file's packages as cargo resolves them for this system. `cargo deny` says more where it is installed.
pub fn run() -> Result<()> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .context("cannot start cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut refused = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages.iter().filter(|p| !p["source"].is_null()) {
        let (name, version) = (text(package, "name"), text(package, "version"));
        versions.entry(name).or_default().insert(version);
        let license = text(package, "license");
        if !allowed(license) {
            refused.push(format!(
                "{name} {version}: {}",
                if license.is_empty() { "no licence" } else { license }
            ));
        }
    }
    let twice: Vec<String> = versions
        .iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| {
            format!("{name} {}", versions.iter().copied().collect::<Vec<_>>().join(" and "))
        })
        .collect();
    say(&format!("== supply: {} packages, {} in more than one version", versions.len(), twice.len()));
    twice.iter().for_each(|line| say(&format!("   {line}")));
    if !refused.is_empty() {
        bail!("licences that are not on the list:\n  {}", refused.join("\n  "));
    }
    Ok(())
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// Whether an SPDX expression can be met with the list: one side of an OR, all sides of an AND.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], "");
    expression.split(" OR ").any(|side| side.split(" AND ").all(|one| ALLOWED.contains(&one.trim())))
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn one_choice_is_enough_and_all_parts_are_needed() {
        assert!(allowed("MIT OR GPL-3.0") && allowed("MIT/Apache-2.0") && allowed("MIT AND BSD-3-Clause"));
        assert!(!allowed("GPL-3.0") && !allowed("MIT AND GPL-3.0") && !allowed(""));
    }
}
