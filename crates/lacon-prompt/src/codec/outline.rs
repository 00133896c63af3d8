//! Source code as its outline: the bodies of functions go to the store, what declares them stays.
//!
//! A body is found by its indentation, not by a grammar: the lines after a head that are blank or stand further in, up to
//! the closing brace under the head, or in Python to the end of the block. A wrong guess costs nothing but a marker in an
//! odd place, because the store gives back the bytes that were taken.

use super::blobs::Run;
use super::marker::{Lines, What};

/// Fewest lines of a body that is taken out.
const MIN_LINES: usize = 4;
/// Fewest bytes of one; a marker costs about thirty tokens.
const MIN_BYTES: usize = 240;

/// Words before a brace that open no function.
const NO_FUNCTION: [&str; 16] = [
    "if", "else", "for", "while", "loop", "switch", "match", "catch", "try", "do", "return", "with", "class",
    "impl", "struct", "enum",
];

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    Brace,
    Colon,
}

/// Whether a line ends the head of a function.
fn head(line: &str) -> Option<Head> {
    let line = line.trim();
    if let Some(front) = line.strip_suffix('{') {
        let first = front.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
        // `) -> Result<()> {` closes a head of several lines; `} else {` and `|x| {` open no function.
        let opens =
            front.starts_with(')') || (front.contains('(') && front.contains(')') && !first.is_empty());
        let arrow = front.trim_end().ends_with("=>") && front.contains('(');
        let bound = front.contains(" = ") && !arrow;
        let chained = front.contains(").") || front.trim_end().ends_with(['|', '(', ',']);
        return (opens && !bound && !chained && !NO_FUNCTION.contains(&first)).then_some(Head::Brace);
    }
    let def = line.starts_with("def ") || line.starts_with("async def ");
    let closes = line.starts_with(')') && line.ends_with(':');
    (line.ends_with(':') && (def || closes)).then_some(Head::Colon)
}

/// The bodies of a text that are worth an entry in the store.
pub(crate) fn find(text: &str) -> Vec<Run> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        starts.push(at);
        at += line.len();
    }
    let line = |i: usize| {
        let end = starts.get(i + 1).copied().unwrap_or(text.len());
        text[starts[i]..end].trim_end_matches(['\n', '\r'])
    };
    let mut runs = Vec::new();
    let mut i = 0;
    // A head whose body never ends is looked through once; what follows it is not looked through again from inside.
    let mut barren = 0;
    while i < starts.len() {
        let found = head(line(i)).filter(|_| i >= barren);
        let Some(kind) = found else {
            i += 1;
            continue;
        };
        let outer = indent(line(i));
        let inside = |l: &str| {
            l.trim().is_empty()
                || (l.len() > outer.len() && l.starts_with(outer) && {
                    l[outer.len()..].starts_with([' ', '\t'])
                })
        };
        let first = i + 1;
        let end = (first..starts.len()).find(|j| !inside(line(*j))).unwrap_or(starts.len());
        let closed = match kind {
            Head::Brace => {
                end < starts.len() && line(end)[..].strip_prefix(outer).is_some_and(|l| l.starts_with('}'))
            }
            Head::Colon => true,
        };
        let last = (first..end).rev().find(|j| !line(*j).trim().is_empty());
        match last {
            Some(last) if closed && last + 1 - first >= MIN_LINES && !line(first).trim().is_empty() => {
                let start = starts[first] + indent(line(first)).len();
                let stop = starts[last] + line(last).len();
                if stop - start >= MIN_BYTES {
                    let label = Lines::of(What::Body, &text[start..stop]).to_string();
                    runs.push(Run { start, end: stop, label });
                }
                i = end;
            }
            _ => {
                if !closed {
                    barren = end;
                }
                i += 1;
            }
        }
    }
    runs
}
