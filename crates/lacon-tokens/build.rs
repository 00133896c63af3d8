//! Writes the tables of the large vocabularies, which the library includes, so that loading them computes nothing.
//!
//! The build script uses the library's own code by path. A test in `encodings.rs` checks that the library builds the
//! same tables.

#![expect(dead_code, unused_imports, reason = "the library uses what the build script does not")]

use std::borrow::Cow;
use std::path::Path;

#[path = "src/classes.rs"]
mod classes;
#[path = "src/error.rs"]
mod error;
#[path = "src/tables.rs"]
mod tables;
#[path = "src/vocabulary.rs"]
mod vocabulary;

mod slots {
    use crate::tables::{BUCKET, Bucket, slot};

    pub(crate) fn prefetch<T>(_: &T) {}

    pub(crate) fn same_slots(bucket: &Bucket, fingerprint: u32, mask: u32) -> u32 {
        (0..BUCKET).fold(0, |matched, at| matched | u32::from(slot(bucket, at) & mask == fingerprint) << at)
    }
}

#[expect(clippy::disallowed_methods, reason = "cargo names a build script's folder in the environment")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in ["build.rs", "src/tables.rs", "src/vocabulary.rs", "data"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let out = std::env::var("OUT_DIR")?;
    for name in ["o200k_base", "cl100k_base"] {
        let stored = std::fs::read(Path::new("data").join(name).with_extension("bpe"))?;
        let vocabulary = vocabulary::Vocabulary::load(Cow::Owned(stored), usize::MAX)?;
        for (table, bytes) in vocabulary.tables() {
            std::fs::write(Path::new(&out).join(name).with_extension(table), bytes)?;
        }
    }
    Ok(())
}
