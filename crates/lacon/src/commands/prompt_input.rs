//! Shared parts of the prompt commands: reading texts, naming encodings, opening the store, printing diffs.

use std::{
    fs::File,
    io::{IsTerminal, Read, Write},
    path::Path,
};

use lacon_prompt::offload::sqlite::LazyStore;
use lacon_tokens::{Encoding, EncodingName};

use crate::{args::prompt::StoreArgs, failure::Failure, text};

/// Largest input that is worked on; anything larger passes through.
pub const MAX_INPUT: u64 = 256 << 20;
/// All sessions of a store together.
pub const STORE_LIMIT: u64 = 512 << 20;

/// An input as it was found.
pub enum Input {
    /// Text.
    Text(String),
    /// Bytes that are no UTF-8, or more than [`MAX_INPUT`]; the reader holds what was not read yet.
    Other {
        /// What was read.
        head: Vec<u8>,
        /// What follows it.
        rest: Option<Box<dyn Read>>,
        /// Why it is not worked on.
        why: String,
    },
}

/// Reads a file, or stdin for `-` and nothing.
pub fn read(file: Option<&Path>) -> Result<Input, Failure> {
    let mut source: Box<dyn Read> = match file {
        Some(path) if path != Path::new("-") => Box::new(
            File::open(path).map_err(|e| Failure::input(format!("cannot read {}: {e}", path.display())))?,
        ),
        _ => {
            if std::io::stdin().is_terminal() {
                return Err(Failure::input("no input\nhint: name a file or pipe text into the command"));
            }
            Box::new(std::io::stdin())
        }
    };
    let mut head = Vec::new();
    let read = source.by_ref().take(MAX_INPUT + 1).read_to_end(&mut head);
    read.map_err(|e| Failure::input(format!("cannot read the input: {e}")))?;
    if head.len() as u64 > MAX_INPUT {
        let why = format!("input is larger than {MAX_INPUT} bytes");
        return Ok(Input::Other { head, rest: Some(source), why });
    }
    match String::from_utf8(head) {
        Ok(text) => Ok(Input::Text(text)),
        Err(error) => {
            let why = format!("input is not UTF-8 from byte {} on", error.utf8_error().valid_up_to());
            Ok(Input::Other { head: error.into_bytes(), rest: None, why })
        }
    }
}

/// Reads text; anything else is an error.
pub fn read_text(file: Option<&Path>) -> Result<String, Failure> {
    match read(file)? {
        Input::Text(text) => Ok(text),
        Input::Other { why, .. } => Err(Failure::input(format!("{why}\nhint: pass text in UTF-8"))),
    }
}

/// Writes bytes to stdout as they are. A closed pipe ends the output quietly.
pub fn write_raw(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::input(format!("cannot write the output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Passes an input on that is not worked on, and says so.
pub fn pass_through(head: &[u8], rest: Option<Box<dyn Read>>, why: &str) -> Result<(), Failure> {
    text::warn(&format!("{why}; it passes through unchanged"));
    write_raw(head)?;
    if let Some(mut rest) = rest {
        match std::io::copy(&mut rest, &mut std::io::stdout().lock()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(Failure::input(format!("cannot copy the input: {e}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The encoding of a name.
pub fn encoding(name: &str) -> Result<&'static Encoding, Failure> {
    let name: EncodingName = name.parse().map_err(Failure::input)?;
    Ok(lacon_tokens::encoding(name))
}

/// The store of the flags, which is made by the first thing put into it.
pub fn store(args: &StoreArgs) -> LazyStore {
    LazyStore::new(&args.store, &args.session, STORE_LIMIT)
}

/// The lines that differ, `-` before and `+` after, in color on a terminal.
pub fn diff(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let color = std::io::stdout().is_terminal();
    let mut out = String::new();
    let context = |line: &str| format!("  {line}\n");
    for line in &old[head.saturating_sub(2)..head] {
        out.push_str(&context(line));
    }
    for line in &old[head..old.len() - tail] {
        out.push_str(&text::paint(&format!("- {line}"), "31", color));
        out.push('\n');
    }
    for line in &new[head..new.len() - tail] {
        out.push_str(&text::paint(&format!("+ {line}"), "32", color));
        out.push('\n');
    }
    for line in old[old.len() - tail..].iter().take(2) {
        out.push_str(&context(line));
    }
    out
}
