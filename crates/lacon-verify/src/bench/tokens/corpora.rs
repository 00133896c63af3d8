//! The texts of `lacon bench tokens`, as `benchmarks/definitions/tokens.toml` defines them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::args::bench::BenchTokensArgs;
use lacon::{failure::Failure, text};

/// What is measured and what must be reached.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Texts in the order of the table.
    pub text: Vec<Source>,
    /// Gates that are not a text's own.
    pub gates: Gates,
}

/// What a text is made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    name: String,
    #[serde(default)]
    folders: Vec<String>,
    #[serde(default)]
    endings: Vec<String>,
    #[serde(default)]
    made: bool,
    gate: f64,
    target: f64,
}

/// Ratios to the best rival, and limits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    other: f64,
    /// First pass.
    pub first: f64,
    /// Encoding.
    pub encode: f64,
    /// One kilobyte.
    pub short_prompt_ns: f64,
    /// Two threads to one.
    pub two_threads: f64,
    /// Loading an encoding.
    pub load_ms: f64,
    /// Tables of an encoding.
    pub resident_mb: f64,
    /// Twice the input to once the input.
    pub growth: f64,
    /// From canceling to the end of the work.
    pub cancel_ms: f64,
    /// What counting does to the event loop.
    pub loop_delay_ms: f64,
}

impl Definition {
    /// The definition that the binary was built with.
    pub fn built_in() -> Result<Self, Failure> {
        toml::from_str(include_str!("../../../../../benchmarks/definitions/tokens.toml"))
            .map_err(|e| Failure::input(format!("benchmarks/definitions/tokens.toml: {e}")))
    }
}

/// A text.
pub struct Corpus {
    /// Its name in the table.
    pub name: String,
    /// Ratio to the fastest rival that a count must reach.
    pub gate: f64,
    /// Ratio that it should reach.
    pub target: f64,
    /// Where the rivals read it.
    pub path: PathBuf,
    /// The same text.
    pub text: String,
}

/// A folder for the made texts, gone with the value.
pub struct TextFolder(pub PathBuf);

impl TextFolder {
    /// Makes it.
    pub fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("lacon-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .map_err(|e| Failure::input(format!("{}: cannot be made: {e}", folder.display())))?;
        Ok(Self(folder))
    }
}

impl Drop for TextFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The texts given with `--corpus`, or those of the definition.
pub fn corpora(
    args: &BenchTokensArgs,
    definition: &Definition,
    folder: &Path,
) -> Result<Vec<Corpus>, Failure> {
    let limit = args.megabytes.clamp(1, 1024) * 1_000_000;
    if !args.corpus.is_empty() {
        return args
            .corpus
            .iter()
            .map(|given| {
                let (name, path) = given
                    .split_once('=')
                    .ok_or_else(|| Failure::input(format!("--corpus is {given:?}, NAME=FILE is needed")))?;
                let mut text = lacon::commands::read_text(Path::new(path))?;
                text.truncate(text.floor_char_boundary(limit));
                let known = definition.text.iter().find(|source| source.name == name);
                let other = definition.gates.other;
                let (gate, target) = known.map_or((other, other), |source| (source.gate, source.target));
                // The rivals read the same bytes.
                let path = folder.join(format!("corpus-{name}"));
                std::fs::write(&path, &text)
                    .map_err(|e| Failure::input(format!("{}: cannot be written: {e}", path.display())))?;
                Ok(Corpus { name: name.to_owned(), gate, target, path, text })
            })
            .collect();
    }
    let mut corpora = Vec::new();
    for source in &definition.text {
        let mut text = String::new();
        if source.made {
            text = tables(limit);
        }
        for folder in &source.folders {
            // Each folder gives its share, so that one kind of file does not fill the text.
            let share = text.len() + limit / source.folders.len();
            gather(Path::new(folder), &source.endings, share.min(limit), &mut text);
        }
        if text.len() < 10_000 {
            text::warn(&format!("no files for the text {:?} on this machine: left out", source.name));
            continue;
        }
        let path = folder.join(&source.name);
        std::fs::write(&path, &text)
            .map_err(|e| Failure::input(format!("{}: cannot be written: {e}", path.display())))?;
        corpora.push(Corpus {
            name: source.name.clone(),
            gate: source.gate,
            target: source.target,
            path,
            text,
        });
    }
    Ok(corpora)
}

/// Appends the text files below `folder` in order of their names, until there are `limit` bytes.
fn gather(folder: &Path, endings: &[String], limit: usize, text: &mut String) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if text.len() >= limit || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            gather(&path, endings, limit, text);
        } else if path.extension().is_some_and(|e| endings.iter().any(|ending| e == ending.as_str()))
            && let Ok(more) = std::fs::read_to_string(&path)
        {
            text.push_str(&more[..more.floor_char_boundary(60_000.min(limit - text.len()))]);
        }
    }
}

/// Daily prices and ratios as CSV and Markdown, the same on every machine.
fn tables(limit: usize) -> String {
    use std::fmt::Write as _;
    let mut state = 7_u64;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut text = String::from("Date,Open,High,Low,Close,Volume\n");
    while text.len() < limit {
        let (cents, volume) = (next(90_000) + 500, next(90_000_000));
        let _ = writeln!(
            text,
            "2025-{:02}-{:02},{}.{:02},{}.{:02},{}.{:02},{}.{:04},{volume}",
            next(12) + 1,
            next(28) + 1,
            cents / 100,
            cents % 100,
            (cents + 90) / 100,
            next(100),
            (cents - 90) / 100,
            next(100),
            cents / 100,
            next(10_000),
        );
        if next(4) == 0 {
            let (a, b, c) = (next(1000), next(1_000_000), next(400));
            let _ =
                writeln!(text, "| EBITDA | {a} | {},{:03} | {}.{}% |", b / 1000, b % 1000, c / 10, c % 10);
        }
    }
    text
}
