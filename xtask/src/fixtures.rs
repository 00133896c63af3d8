//! Files that are generated from the source.

use std::fs;

use anyhow::{Context, Result};
use lacon_runtime::{config, settings::SETTINGS};

use crate::{root, say};

/// Path and content of every generated file.
pub fn generated() -> Vec<(&'static str, String)> {
    vec![("docs/settings.md", config::reference()), ("docs/lacon.sample.toml", sample())]
}

/// Writes them.
pub fn write() -> Result<()> {
    for (path, content) in generated() {
        fs::write(root().join(path), content).with_context(|| format!("cannot write {path}"))?;
        say(&format!("wrote {path}"));
    }
    Ok(())
}

/// A settings file with every key, commented out, at its default.
fn sample() -> String {
    let mut text = String::from("# Every setting at its default. Copy what you change to lacon.toml.\n");
    let mut section = "";
    for s in SETTINGS {
        let (head, name) = s.key.split_once('.').unwrap_or(("", s.key));
        if head != section {
            text.push_str(&format!("\n[{head}]\n"));
            section = head;
        }
        let bare = s.default.parse::<f64>().is_ok() || matches!(s.default, "true" | "false");
        let value = if bare { s.default.to_owned() } else { format!("{:?}", s.default) };
        text.push_str(&format!("# {}\n# {name} = {value}\n", s.doc));
    }
    text
}
