//! The price table `crates/lacon-monitor/data/prices.json`, written from the package `genai-prices` of the Python index (MIT).

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    python::{bounded, interpreter, last_line, target, text},
    root, say,
};

/// The package, and the versions whose data has the form that `prices.py` reads.
const PACKAGE: &str = "genai-prices>=0.2.3,<0.3";
/// Whose models are taken: those that Lacon has a client for, the clouds that resell them, and the larger hosts.
const PROVIDERS: [&str; 19] = [
    "anthropic",
    "aws",
    "azure",
    "cerebras",
    "cohere",
    "deepseek",
    "fireworks",
    "google",
    "groq",
    "meta",
    "minimax",
    "mistral",
    "moonshotai",
    "openai",
    "perplexity",
    "together",
    "voyageai",
    "x-ai",
    "zhipuai",
];

/// Writes the table anew, and says what changed in number.
pub fn run() -> Result<()> {
    let Some(python) = interpreter() else { bail!("there is no Python 3.10 or later with venv here") };
    let folder = target()?.join("prices");
    let inside = folder.join("venv").join(if cfg!(windows) { "Scripts" } else { "bin" }).join("python");
    if !inside.exists() {
        let made = bounded(&python, "120", &[&python, "-m", "venv", &text(&folder.join("venv"))])?;
        if !made.status.success() {
            bail!("no environment could be made: {}", last_line(&made));
        }
    }
    let inside = text(&inside);
    let install =
        ["-m", "pip", "install", "--quiet", "--upgrade", "--timeout", "15", "--retries", "1", PACKAGE];
    let installed = bounded(&inside, "300", &[&[&*inside], &install[..]].concat())?;
    if !installed.status.success() {
        bail!("{PACKAGE} cannot be had: {}", last_line(&installed));
    }
    let script = text(&root().join("xtask/src/prices.py"));
    let written = bounded(&inside, "120", &[&[&*inside, &script], &PROVIDERS[..]].concat())?;
    if !written.status.success() {
        bail!("prices.py failed: {}", last_line(&written));
    }
    let models = |json: &[u8]| -> Result<usize> {
        let table: Value = serde_json::from_slice(json).context("the table is no JSON")?;
        let providers = table["providers"].as_array().context("the table lists no providers")?;
        Ok(providers.iter().map(|p| p["models"].as_array().map_or(0, Vec::len)).sum())
    };
    let path = root().join("crates/lacon-monitor/data/prices.json");
    let before = fs::read(&path).ok().and_then(|json| models(&json).ok()).unwrap_or(0);
    let after = models(&written.stdout)?;
    fs::write(&path, &written.stdout).with_context(|| format!("{} cannot be written", path.display()))?;
    say(&format!("== prices: {after} models of {} providers, {before} before", PROVIDERS.len()));
    Ok(())
}
