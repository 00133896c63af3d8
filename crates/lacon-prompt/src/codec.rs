//! The compressed text: ordinary text in which some runs of lines are replaced by frames that say the same in fewer
//! tokens.
//!
//! A frame is a control line (`@json 2`, `@log 40 …`) and a body that ends by its own grammar. A line of the input that
//! looks like a control line gets one more `@`, so any input has exactly one reading; [`decode`] is the identity on a
//! text without control lines. Four layers are undone in order: `repeats`, `edits`, frames, offloaded blobs.

pub(crate) mod blobs;
pub(crate) mod columns;
pub(crate) mod diffs;
pub(crate) mod edits;
pub(crate) mod grid;
pub(crate) mod hits;
pub(crate) mod logs;
pub(crate) mod outline;
pub(crate) mod progress;
pub(crate) mod repeats;
mod twice;

use crate::error::Error;
use crate::json;
use crate::work::Meter;

/// Words that begin a control line, after its `@`.
const WORDS: [&str; 11] =
    ["json ", "jsonl ", "csv ", "hits ", "log ", "grid ", "diff ", "ref ", "same ", "edit ", "legend "];

/// An encoded text that cannot be decoded: what is wrong, and in which byte of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: &'static str,
    pub(crate) at: usize,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Damaged { at: fault.at, what: fault.what }
    }
}

/// Whether a line reads as a control line or as one that was stuffed.
fn control_word(line: &str) -> Option<(usize, &'static str)> {
    if !line.starts_with('@') {
        return None;
    }
    let n = line.bytes().take_while(|b| *b == b'@').count();
    let rest = &line[n..];
    WORDS.iter().find(|word| rest.starts_with(**word)).map(|word| (n, *word))
}

/// Appends lines of the input that stay as they are, stuffing those that look like control lines.
pub(crate) fn push_literal(out: &mut String, text: &str) {
    if !text.contains('@') {
        out.push_str(text);
        return;
    }
    for line in text.split_inclusive('\n') {
        if control_word(line).is_some() {
            out.push('@');
        }
        out.push_str(line);
    }
}

/// Whether [`push_literal`] would change the text.
pub(crate) fn needs_stuffing(text: &str) -> bool {
    text.contains('@') && text.split('\n').any(|line| control_word(line).is_some())
}

/// Undoes the frames of a text.
pub(crate) fn decode(text: &str, meter: &Meter<'_>) -> Result<String, Fault> {
    if !needs_stuffing(text) {
        return Ok(text.to_owned());
    }
    let over = |at| move |what| Fault { what, at };
    let mut out = String::with_capacity(text.len() * 2);
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |i| at + i + 1);
        let line = &text[at..end];
        match control_word(line) {
            None => meter.push(&mut out, line).map_err(over(at))?,
            Some((n, _)) if n > 1 => meter.push(&mut out, &line[1..]).map_err(over(at))?,
            Some((_, word)) => {
                let args = line[1 + word.len()..].trim_end_matches('\n');
                let (body, next) = frame(text, word, args, end, meter)?;
                meter.push(&mut out, &body).map_err(over(at))?;
                at = match text.as_bytes().get(next) {
                    None => next,
                    Some(b'\n') => {
                        out.push('\n');
                        next + 1
                    }
                    Some(_) => {
                        return Err(Fault {
                            what: "frame is followed by more text on its last line",
                            at: next,
                        });
                    }
                };
                continue;
            }
        }
        at = end;
    }
    Ok(out)
}

fn frame(text: &str, word: &str, args: &str, at: usize, meter: &Meter<'_>) -> Result<(String, usize), Fault> {
    let fail = |what| Fault { what, at };
    match word {
        "json " => {
            let (style, used) = json::Style::from_code(args).ok_or(fail("unknown JSON style"))?;
            if used != args.len() {
                return Err(fail("unknown JSON style"));
            }
            json::read_value(text, at, style, meter).map_err(fail)
        }
        "jsonl " => {
            let (style, used) = json::Style::from_code(args).ok_or(fail("unknown JSON style"))?;
            if used != args.len() || !style.layout.is_one_line() {
                return Err(fail("unknown JSON lines style"));
            }
            json::read_lines(text, at, style, meter).map_err(fail)
        }
        "log " => logs::decode(text, args, at, meter).map_err(fail),
        "csv " => columns::decode(text, args, at, meter).map_err(fail),
        "hits " => hits::decode(text, args, at, meter).map_err(fail),
        "diff " => diffs::decode(text, args, at, meter).map_err(fail),
        "grid " => grid::decode(text, args, at, meter).map_err(fail),
        _ => Err(fail("@ref, @edit, @same and @legend stand only at the start of a text")),
    }
}
