//! Moves lines that differ each time from the front of a request to its end.
//!
//! One date in a system message makes everything behind it uncached. Only whole lines of instructions move, and only
//! lines that name what they are (`Today's date: 2026-01-02`, `Session id = 7f3a…`). Data keeps its dates. Moved lines
//! are listed, and [`put_back`] undoes it.

use crate::prompt::{Message, Prompt, Role, Segment, SegmentKind};
use crate::span;

/// A line that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The message it stood in.
    pub message: usize,
    /// The segment of that message.
    pub segment: usize,
    /// Where in the segment's text it began.
    pub byte: usize,
    /// The line with its newline, as it was.
    pub line: String,
}

/// The segment's name at the end of a request.
const NAME: &str = "volatile";

/// Words of which one must be in a label.
const LABELS: [&str; 15] = [
    "date",
    "time",
    "now",
    "today",
    "timestamp",
    "session",
    "request",
    "trace",
    "run",
    "conversation",
    "id",
    "uuid",
    "nonce",
    "clock",
    "day",
];

/// Whether a line is a label and a value that is a date, a time or an id.
fn is_volatile(line: &str) -> bool {
    if span::is_instruction(line) {
        return false;
    }
    let line = line.trim().trim_start_matches(['-', '*', ' ']).trim_end_matches('.');
    let split = [": ", " = ", " is "]
        .into_iter()
        .filter_map(|by| line.split_once(by))
        .min_by_key(|(label, _)| label.len());
    let Some((label, value)) = split else { return false };
    let words: Vec<&str> =
        label.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let named = words.iter().any(|word| LABELS.iter().any(|known| word.eq_ignore_ascii_case(known)));
    let value = value.trim_matches(['*', '`', '"', ' ']);
    named && words.len() <= 5 && value.split(' ').count() <= 6 && (is_moment(value) || is_id(value))
}

/// `2026-01-02`, `2026-01-02T10:00:01Z`, `10:42`, `Friday, 2 January 2026`: digits of a year or a clock and little else.
fn is_moment(value: &str) -> bool {
    let bytes = value.as_bytes();
    let digits =
        |from: usize, n: usize| bytes.get(from..from + n).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
    let year =
        (0..bytes.len()).any(|i| digits(i, 4) && (i == 0 || !bytes[i - 1].is_ascii_digit()) && !digits(i, 5));
    let day = (0..bytes.len()).any(|i| digits(i, 4) && bytes.get(i + 4) == Some(&b'-') && digits(i + 5, 2));
    let clock = (0..bytes.len()).any(|i| digits(i, 2) && bytes.get(i + 2) == Some(&b':') && digits(i + 3, 2));
    let month = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let lower = value.to_ascii_lowercase();
    day || clock || (year && month.iter().any(|name| lower.contains(name)))
}

/// A word of eight and more that mixes digits and letters or has six digits: what no one would write by hand.
fn is_id(value: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    value.len() >= 8
        && value.chars().all(word)
        && digits >= 3
        && (digits >= 6 || value.bytes().any(|b| b.is_ascii_alphabetic()))
}

/// Moves volatile lines of instructions to the end of the request's last message; the last message itself, histories
/// with calls behind the instructions, and fenced code stay as they are.
#[must_use]
pub fn volatile_last(prompt: &Prompt) -> (Prompt, Vec<Moved>) {
    let mut moved = Vec::new();
    let mut out = prompt.clone();
    let Some(last) = out.messages.iter().rposition(|message| message.role == Role::User) else {
        return (out, moved);
    };
    if last + 1 != out.messages.len() {
        return (out, moved);
    }
    for (m, message) in
        out.messages.iter_mut().enumerate().filter(|(m, message)| *m < last || message.segments.len() > 1)
    {
        let n = if m == last { message.segments.len() - 1 } else { message.segments.len() };
        for (s, segment) in message.segments[..n].iter_mut().enumerate() {
            if segment.kind == SegmentKind::Instruction {
                segment.text = without_volatile(&segment.text, m, s, &mut moved);
            }
        }
    }
    if !moved.is_empty() {
        let message = &mut out.messages[last];
        message.segments.push(Segment::instruction(NAME, tail(&message.content(), &moved)));
    }
    (out, moved)
}

fn without_volatile(text: &str, message: usize, segment: usize, moved: &mut Vec<Moved>) -> String {
    let mut rest = String::with_capacity(text.len());
    let (mut byte, mut fenced) = (0, false);
    for line in text.split_inclusive('\n') {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced && is_volatile(line) {
            moved.push(Moved { message, segment, byte, line: line.to_owned() });
        } else {
            rest.push_str(line);
        }
        byte += line.len();
    }
    rest
}

fn tail(before: &str, moved: &[Moved]) -> String {
    let mut text = String::new();
    if !before.is_empty() && !before.ends_with('\n') {
        text.push('\n');
    }
    for entry in moved {
        text.push_str(entry.line.trim_end_matches(['\n', '\r']));
        text.push('\n');
    }
    text
}

/// Undoes [`volatile_last`].
#[must_use]
pub fn put_back(prompt: &Prompt, moved: &[Moved]) -> Prompt {
    let mut out = prompt.clone();
    if moved.is_empty() {
        return out;
    }
    let last = out.messages.last_mut();
    if let Some(segments) = last.map(|message: &mut Message| &mut message.segments)
        && segments.last().is_some_and(|segment| segment.name == NAME)
    {
        segments.pop();
    }
    // In order, so that each place is counted in a text that has all lines before it.
    for entry in moved {
        let segment =
            out.messages.get_mut(entry.message).and_then(|message| message.segments.get_mut(entry.segment));
        if let Some(segment) = segment.filter(|segment| segment.text.is_char_boundary(entry.byte)) {
            segment.text.insert_str(entry.byte, &entry.line);
        }
    }
    out
}
