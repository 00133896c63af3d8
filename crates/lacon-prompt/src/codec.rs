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
pub mod marker;
pub(crate) mod outline;
pub(crate) mod progress;
mod records;
pub(crate) mod repeats;
mod twice;

use crate::error::Error;
use crate::passes::Pass;
use crate::span::SpanKind;
use crate::work::{Meter, steps::Steps};

/// A run of lines that a form may stand for.
pub(crate) struct Passage<'a> {
    pub(crate) kind: SpanKind,
    pub(crate) body: &'a str,
    /// Whether white space of JSON may change, because nothing else stands in the text.
    pub(crate) any_layout: bool,
}

/// A search took more steps than it has.
pub(crate) struct GaveUp;

/// Makes the forms of a passage, control lines and all. They need not restore it or be shorter: the caller tries both.
type Make = fn(&Passage<'_>, &Steps<'_>) -> Result<Vec<String>, GaveUp>;

/// Reads the form whose body begins at a byte of the text, after a control line with these arguments. Gives what it stands
/// for and where it ends.
type Read = fn(&str, &str, usize, &Meter<'_>) -> Result<(String, usize), &'static str>;

/// A form of lines. A row here and the file with both functions are all that a new one needs.
pub(crate) struct Codec {
    pub(crate) pass: Pass,
    /// The word of its control line, with the space behind it.
    word: &'static str,
    /// What it may stand for. Of all forms of a passage the shortest one wins.
    pub(crate) of: &'static [SpanKind],
    pub(crate) make: Make,
    read: Read,
    /// Control lines above which the fuzzer tries any text.
    heads: &'static [&'static str],
}

/// All forms of lines, in the order in which equally short ones win.
#[rustfmt::skip]
pub(crate) const CODECS: [Codec; 7] = [
    Codec { pass: Pass::Json, word: "json ", of: &[SpanKind::Json],
        make: records::make_json, read: records::read_json, heads: &["@json 2\n", "@json pa\n"] },
    Codec { pass: Pass::JsonLines, word: "jsonl ", of: &[SpanKind::JsonLines],
        make: records::make_lines, read: records::read_lines, heads: &["@jsonl p\n"] },
    Codec { pass: Pass::Columns, word: "csv ", of: &[SpanKind::Csv],
        make: columns::make, read: columns::decode, heads: &["@csv , 3 rows\n", "@csv tab 2 rows tab crlf\n"] },
    Codec { pass: Pass::Hits, word: "hits ", of: &[SpanKind::Hits],
        make: hits::make, read: hits::decode, heads: &["@hits 3\n"] },
    Codec { pass: Pass::Diffs, word: "diff ", of: &[SpanKind::Diff],
        make: diffs::make, read: diffs::decode, heads: &["@diff 2 files\n"] },
    Codec { pass: Pass::Logs, word: "log ", of: &[SpanKind::Log, SpanKind::Csv, SpanKind::Hits, SpanKind::Prose],
        make: logs::make, read: logs::decode, heads: &["@log 3 rows 1 templates 1 aliases\n"] },
    Codec { pass: Pass::Grids, word: "grid ", of: &[SpanKind::Table],
        make: grid::make, read: grid::decode, heads: &["@grid 3 rows a\n"] },
];

/// Words of control lines that stand for a whole text, which [`crate::compress`] and [`crate::request`] read.
const WHOLE: [&str; 4] = ["ref ", "same ", "edit ", "legend "];

/// Words that begin a control line, after its `@`.
fn words() -> impl Iterator<Item = &'static str> {
    CODECS.iter().map(|codec| codec.word).chain(WHOLE)
}

/// Control lines of all forms, for the fuzzer.
pub(crate) fn heads() -> impl Iterator<Item = &'static str> {
    CODECS.iter().flat_map(|codec| codec.heads.iter().copied())
}

/// The form of a passage that has at most one.
fn one(form: Option<String>) -> Result<Vec<String>, GaveUp> {
    Ok(form.into_iter().collect())
}

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
    words().find(|word| rest.starts_with(word)).map(|word| (n, word))
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
    match CODECS.iter().find(|codec| codec.word == word) {
        Some(codec) => (codec.read)(text, args, at, meter).map_err(fail),
        None => Err(fail("@ref, @edit, @same and @legend stand only at the start of a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::compress::LEGEND;

    #[test]
    fn the_legend_names_every_control_word() {
        for word in words().map(str::trim).filter(|word| *word != "legend") {
            assert!(LEGEND.contains(&format!("@{word}")), "{word}");
        }
    }
}
