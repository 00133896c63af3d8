//! The list of a pack's files with their digests, and the check of a pack against it.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{KEPT, load, read, tickers, write::put_whole};
use crate::{DataError, Symbol};

/// Where the list stands.
const NAME: &str = "manifest.json";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    schema_version: u32,
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    blake3: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Files whose digest was compared.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Tickers that were read.
    pub tickers: Vec<String>,
    /// Whether there is a list of digests at all; a folder of the original system has none.
    pub has_manifest: bool,
    /// What is wrong, one line each.
    pub problems: Vec<String>,
}

fn path(root: &Path) -> std::path::PathBuf {
    root.join(KEPT).join(NAME)
}

fn old(root: &Path) -> Result<Option<Manifest>, DataError> {
    let path = path(root);
    if !path.exists() {
        return Ok(None);
    }
    let manifest = serde_json::from_str(&read(&path)?).map_err(|e| DataError::Malformed {
        name: path.display().to_string(),
        line: e.line(),
        problem: e.to_string(),
    })?;
    Ok(Some(manifest))
}

fn digest(path: &Path) -> io::Result<Entry> {
    let mut hash = blake3::Hasher::new();
    let mut file = fs::File::open(path)?;
    let mut part = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        let n = io::Read::read(&mut file, &mut part)?;
        if n == 0 {
            break;
        }
        hash.update(&part[..n]);
        bytes += n as u64;
    }
    Ok(Entry { bytes, blake3: hash.finalize().to_hex().to_string() })
}

/// Enters files in the list, and takes out those that are gone.
pub(super) fn update(root: &Path, written: &[String]) -> Result<(), DataError> {
    let mut manifest = old(root)?.unwrap_or_default();
    manifest.schema_version = 1;
    manifest.files.retain(|name, _| root.join(name).exists());
    for name in written {
        let entry =
            digest(&root.join(name)).map_err(|source| DataError::Io { name: name.clone(), source })?;
        manifest.files.insert(name.clone(), entry);
    }
    let mut json = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    json.push(b'\n');
    put_whole(&path(root), &json)
}

/// Checks a pack: every listed file against its digest, then every ticker as a run would read it, with what no data may
/// look like.
pub fn verify(root: &Path) -> Checked {
    let mut checked = Checked::default();
    match old(root) {
        Err(error) => checked.problems.push(error.to_string()),
        Ok(None) => {}
        Ok(Some(manifest)) => {
            checked.has_manifest = true;
            for (name, entry) in &manifest.files {
                // The list is a file like any other: it must not lead out of the pack.
                let inside =
                    Path::new(name).components().all(|c| matches!(c, std::path::Component::Normal(_)));
                if !inside {
                    checked.problems.push(format!("{name}: leads out of the pack"));
                    continue;
                }
                match digest(&root.join(name)) {
                    Err(error) => checked.problems.push(format!("{name}: {error}")),
                    Ok(found) if found != *entry => checked.problems.push(format!(
                        "{name}: {} bytes with digest {}, listed are {} bytes with {}",
                        found.bytes,
                        &found.blake3[..12],
                        entry.bytes,
                        entry.blake3.get(..12).unwrap_or(&entry.blake3)
                    )),
                    Ok(found) => {
                        checked.files += 1;
                        checked.bytes += found.bytes;
                    }
                }
            }
        }
    }
    let known = tickers(root);
    if known.is_empty() {
        checked.problems.push("the folder holds no ticker at all".into());
    }
    for name in known {
        let problems = Symbol::parse(&name)
            .map_err(|e| e.to_string())
            .and_then(|symbol| load(root, &symbol).map_err(|e| e.to_string()))
            .map(|data| crate::dataset::oddities(&data));
        match problems {
            Ok(found) => {
                checked.problems.extend(found.into_iter().map(|p| format!("{name}: {p}")));
                checked.tickers.push(name);
            }
            Err(error) => checked.problems.push(format!("{name}: {error}")),
        }
    }
    checked
}
