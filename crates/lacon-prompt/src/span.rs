//! A text as typed spans that cover every byte, so that printing them restores the text.
//!
//! This module decides nothing about changes; a span only says what its bytes look like. In doubt a span is prose,
//! which no lossless pass touches.

use crate::codec::{blobs, columns, diffs, hits, progress};
use crate::json;
use std::ops::Range;

/// What the bytes of a span look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpanKind {
    /// A line that tells the model what to do or not to do.
    Instruction,
    /// Running text, headings and lists.
    Prose,
    /// A markdown table.
    Table,
    /// One JSON object or array.
    Json,
    /// JSON objects, one a line.
    JsonLines,
    /// Comma-, tab- or semicolon-separated rows.
    Csv,
    /// Log lines, with the stack traces between them; also runs of passing tests and of a build's progress.
    Log,
    /// Lines of a search or a compiler: `path:line:text`.
    Hits,
    /// What `git diff` prints for files that were edited, added or deleted.
    Diff,
    /// A fenced code block, fences included.
    Code,
    /// Quoted lines (`> …`).
    Quote,
    /// A web address.
    Url,
    /// A template's placeholder such as `{name}`.
    Placeholder,
    /// Base64, hex or another opaque run.
    Blob,
}

impl SpanKind {
    /// The kind's name in receipts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SpanKind::Instruction => "instruction",
            SpanKind::Prose => "prose",
            SpanKind::Table => "table",
            SpanKind::Json => "json",
            SpanKind::JsonLines => "jsonl",
            SpanKind::Csv => "csv",
            SpanKind::Log => "log",
            SpanKind::Hits => "hits",
            SpanKind::Diff => "diff",
            SpanKind::Code => "code",
            SpanKind::Quote => "quote",
            SpanKind::Url => "url",
            SpanKind::Placeholder => "placeholder",
            SpanKind::Blob => "blob",
        }
    }
}

/// A typed range of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it looks like.
    pub kind: SpanKind,
    /// Where it is.
    pub range: Range<usize>,
}

/// Splits a text into spans that are in order, not empty, and cover it.
///
/// ```
/// use lacon_prompt::span::{parse, print, SpanKind};
/// let text = "Analyze {name}.\n{\"price\": 1.5}\n";
/// let spans = parse(text);
/// assert!(spans.iter().any(|span| span.kind == SpanKind::Json));
/// assert_eq!(print(text, &spans), text);
/// ```
#[must_use]
pub fn parse(text: &str) -> Vec<Span> {
    let mut out = Vec::new();
    for block in blocks(text) {
        match block.kind {
            SpanKind::Prose => inline(text, block.range, &mut out),
            _ => out.push(block),
        }
    }
    out
}

/// Puts spans together again; the identity on what [`parse`] gave for the same text.
#[must_use]
pub fn print(text: &str, spans: &[Span]) -> String {
    spans.iter().map(|span| &text[span.range.clone()]).collect()
}

/// Splits a text into whole-line spans; prose is not split further.
pub(crate) fn blocks(text: &str) -> Vec<Span> {
    let mut parser =
        Blocks { text, out: Vec::new(), prose: 0, unclosed: Vec::new(), left: JSON_READ * text.len() };
    parser.run();
    parser.out
}

struct Blocks<'a> {
    text: &'a str,
    out: Vec<Span>,
    /// Start of the prose that has not been pushed yet.
    prose: usize,
    /// Numbers of ticks for which no closing fence follows any more.
    unclosed: Vec<usize>,
    /// Bytes that may still be read in search of JSON. Nested brackets that never close would be read once a level.
    left: usize,
}

/// How often a text is read in search of JSON. Real texts need two: once to the fault of a cut document, once for the parts behind it.
const JSON_READ: usize = 8;

impl Blocks<'_> {
    fn run(&mut self) {
        let mut at = 0;
        while at < self.text.len() {
            at = match self.special(at) {
                Some((kind, end)) => {
                    self.flush(at);
                    self.out.push(Span { kind, range: at..end });
                    self.prose = end;
                    end
                }
                None => line_end(self.text, at),
            };
        }
        self.flush(self.text.len());
    }

    fn special(&mut self, at: usize) -> Option<(SpanKind, usize)> {
        let text = self.text;
        match text.as_bytes()[at] {
            b'{' | b'[' => self.json_block(at),
            b'|' => table_block(text, at).map(|end| (SpanKind::Table, end)),
            b'>' => {
                let mut end = at;
                while text.as_bytes().get(end) == Some(&b'>') {
                    end = line_end(text, end);
                }
                Some((SpanKind::Quote, end))
            }
            b'`' if text[at..].starts_with("```") => self.fence(at),
            b'd' if text[at..].starts_with("diff --git ") => {
                diffs::block(text, at).map(|end| (SpanKind::Diff, end))
            }
            _ => None,
        }
    }

    /// A fenced block; a fence around JSON is code up to its first line, so that the JSON is a span of its own.
    fn fence(&mut self, at: usize) -> Option<(SpanKind, usize)> {
        let text = self.text;
        let ticks = text[at..].bytes().take_while(|b| *b == b'`').count();
        let fence = &text[at..at + ticks];
        let body = line_end(text, at);
        if matches!(text.as_bytes().get(body), Some(b'{' | b'['))
            && let Some((_, end)) = self.json_block(body)
            && text[end..].starts_with(fence)
        {
            return Some((SpanKind::Code, body));
        }
        let mut line = if self.unclosed.contains(&ticks) { text.len() } else { body };
        while line < text.len() {
            let end = line_end(text, line);
            if text[line..end].trim_end() == fence {
                return Some((SpanKind::Code, end));
            }
            line = end;
        }
        self.unclosed.push(ticks);
        // A lone closing fence, or one that is never closed: its line is code, the rest is read as usual.
        Some((SpanKind::Code, body))
    }

    /// A JSON value that begins a line and ends one, and the JSON lines after it.
    fn json_block(&mut self, at: usize) -> Option<(SpanKind, usize)> {
        let text = self.text;
        let end = self.json_value(at)?;
        let one_line = |from: usize, to: usize| !text[from..to].trim_end_matches('\n').contains('\n');
        let mut last = end;
        let mut n = 1;
        if text.as_bytes()[at] == b'{' && one_line(at, end) {
            while text.as_bytes().get(last) == Some(&b'{')
                && let Some(next) = self.json_value(last)
                && one_line(last, next)
            {
                last = next;
                n += 1;
            }
        }
        Some((if n > 1 { SpanKind::JsonLines } else { SpanKind::Json }, last))
    }

    fn json_value(&mut self, at: usize) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        let (node, len) = json::parse_prefix(&self.text[at..]);
        self.left = self.left.saturating_sub(len);
        node?;
        let end = line_end(self.text, at + len);
        self.text[at + len..end].trim_end_matches(['\n', '\r']).is_empty().then_some(end)
    }

    fn flush(&mut self, end: usize) {
        if self.prose < end {
            split_lines(self.text, self.prose..end, &mut self.out);
        }
    }
}

fn line_end(text: &str, at: usize) -> usize {
    memchr::memchr(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |i| at + i + 1)
}

fn table_block(text: &str, at: usize) -> Option<usize> {
    let head = line_end(text, at);
    let ruler = line_end(text, head);
    let line = text[head..ruler].trim_end();
    if !line.starts_with('|') || !line.contains('-') || !line.bytes().all(|b| b"|-: ".contains(&b)) {
        return None;
    }
    let mut end = ruler;
    while text.as_bytes().get(end) == Some(&b'|') {
        end = line_end(text, end);
    }
    Some(end)
}

/// Most lines without a timestamp (a stack trace) that a log may hold in a row.
const MAX_TRACE: usize = 60;
/// Fewest log lines that make a log.
const MIN_LOG: usize = 4;

/// Splits lines into logs, separated rows, instructions and prose.
fn split_lines(text: &str, range: Range<usize>, out: &mut Vec<Span>) {
    let mut lines: Vec<(usize, bool)> = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let end = line_end(text, at).min(range.end);
        lines.push((at, is_log_line(&text[at..end])));
        at = end;
    }
    let end_of = |i: usize| lines.get(i).map_or(range.end, |(start, _)| *start);
    let mut i = 0;
    while i < lines.len() {
        let found = hit_lines(text, &lines[i..], range.end);
        if found > 0 {
            out.push(Span { kind: SpanKind::Hits, range: lines[i].0..end_of(i + found) });
            i += found;
            continue;
        }
        let steps = progress::leading((i..lines.len()).map(|i| &text[lines[i].0..end_of(i + 1)]));
        if steps > 0 {
            out.push(Span { kind: SpanKind::Log, range: lines[i].0..end_of(i + steps) });
            i += steps;
            continue;
        }
        if !lines[i].1 {
            let separated = separated_rows(text, &lines[i..], range.end);
            if separated > 0 {
                out.push(Span { kind: SpanKind::Csv, range: lines[i].0..end_of(i + separated) });
                i += separated;
            } else {
                prose_lines(text, &lines[i..=i], end_of(i + 1), out);
                i += 1;
            }
            continue;
        }
        let (mut last, mut n_log) = (i, 1);
        let mut j = i + 1;
        while j < lines.len() && j - last <= MAX_TRACE {
            if lines[j].1 {
                (last, n_log) = (j, n_log + 1);
            }
            j += 1;
            // Too thin to be a log; looking further from every line would take quadratic time.
            if j - i > 200 && n_log * 3 < j - i {
                break;
            }
        }
        let n = last + 1 - i;
        if n_log >= MIN_LOG && n_log * 3 >= n {
            out.push(Span { kind: SpanKind::Log, range: lines[i].0..end_of(last + 1) });
            i = last + 1;
        } else {
            prose_lines(text, &lines[i..=i], end_of(i + 1), out);
            i += 1;
        }
    }
}

/// Pushes prose line by line, joining neighbors of one kind.
fn prose_lines(text: &str, lines: &[(usize, bool)], end: usize, out: &mut Vec<Span>) {
    for (i, (start, _)) in lines.iter().enumerate() {
        let end = lines.get(i + 1).map_or(end, |(next, _)| *next);
        let kind = if is_instruction(&text[*start..end]) { SpanKind::Instruction } else { SpanKind::Prose };
        match out.last_mut() {
            Some(last) if last.kind == kind && last.range.end == *start => last.range.end = end,
            _ => out.push(Span { kind, range: *start..end }),
        }
    }
}

/// How many of the lines are hits of a search; 0 below four.
fn hit_lines(text: &str, lines: &[(usize, bool)], end: usize) -> usize {
    let line = |i: usize| {
        let to = lines.get(i + 1).map_or(end, |(next, _)| *next);
        text[lines[i].0..to].trim_end_matches('\n')
    };
    let n = (0..lines.len()).take_while(|i| hits::split(line(*i)).is_some()).count();
    if n >= 4 { n } else { 0 }
}

/// Whether a line's commas are those of a sentence.
fn is_prose_row(line: &str) -> bool {
    line.contains(", ") || line.contains("; ")
}

/// How many of the lines are rows with the same number (two or more) of commas, tabs or semicolons; 0 below four.
fn separated_rows(text: &str, lines: &[(usize, bool)], end: usize) -> usize {
    let line = |i: usize| {
        let to = lines.get(i + 1).map_or(end, |(next, _)| *next);
        &text[lines[i].0..to]
    };
    let first = line(0);
    for separator in [',', '\t', ';'] {
        let count = |line: &str| {
            if line.contains('"') {
                columns::cells(line, separator).map_or(0, |cells| cells.len() - 1)
            } else {
                line.bytes().filter(|b| *b == separator as u8).count()
            }
        };
        let n = count(first);
        if n < 2 || (separator != '\t' && is_prose_row(first)) {
            continue;
        }
        let rows = (0..lines.len()).take_while(|i| count(line(*i)) == n).count();
        if rows >= 4 {
            return rows;
        }
    }
    0
}

/// Whether a line has a time, a long number or a level near its start, as log lines have.
pub(crate) fn is_log_line(line: &str) -> bool {
    let bytes = line.as_bytes();
    let head = &bytes[..bytes.len().min(64)];
    if head.first().is_none_or(|b| {
        matches!(b, b'#' | b'|' | b'-' | b'*' | b'>') && head.get(1) == Some(&b' ') && !is_log_dash(head)
    }) {
        return false;
    }
    let mut digits = 0;
    let mut i = 0;
    while i < head.len() {
        if head[i].is_ascii_digit() {
            digits += 1;
            // 12:34 with digits on both sides, or six digits in a row.
            if digits >= 6 {
                return true;
            }
            if digits >= 1
                && head.get(i + 1) == Some(&b':')
                && head.get(i + 2).is_some_and(u8::is_ascii_digit)
                && head.get(i + 3).is_some_and(u8::is_ascii_digit)
                && i < 48
            {
                return true;
            }
        } else {
            digits = 0;
        }
        i += 1;
    }
    const LEVELS: [&[u8]; 8] =
        [b"INFO", b"WARN", b"ERROR", b"DEBUG", b"FATAL", b"TRACE", b"error ", b"warning "];
    head.iter().enumerate().any(|(i, b)| {
        matches!(b, b'I' | b'W' | b'E' | b'D' | b'F' | b'T' | b'e' | b'w')
            && LEVELS.iter().any(|level| head[i..].starts_with(level))
    })
}

/// BGL-style logs begin with `- 1117838570`.
fn is_log_dash(head: &[u8]) -> bool {
    head.starts_with(b"- ") && head[2..].iter().take_while(|b| b.is_ascii_digit()).count() >= 8
}

/// Words that make a line an instruction wherever they stand in it.
const DIRECTIVES: [&str; 16] = [
    "you are ",
    "you must",
    "must ",
    "never ",
    "always ",
    "do not ",
    "don't ",
    "only use",
    "your task",
    "your role",
    "ensure ",
    "respond ",
    "output only",
    "make sure",
    "should not",
    "at most ",
];

/// Whether a line tells its reader what to do.
pub(crate) fn is_instruction(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.windows(2).enumerate().any(|(i, pair)| {
        let [a, b] = [pair[0] | 0x20, pair[1] | 0x20];
        // Most pairs of letters begin none of them.
        OPENINGS[usize::from(a & 31)] & (1 << (b & 31)) != 0
            && DIRECTIVES.iter().any(|word| begins(&bytes[i..], word))
    })
}

/// For each first letter of [`DIRECTIVES`] the letters that follow it in one of them, as bits.
const OPENINGS: [u32; 32] = {
    let mut openings = [0; 32];
    let mut i = 0;
    while i < DIRECTIVES.len() {
        let word = DIRECTIVES[i].as_bytes();
        openings[(word[0] & 31) as usize] |= 1 << (word[1] & 31);
        i += 1;
    }
    openings
};

/// Whether a text begins with a word, in whatever case.
fn begins(text: &[u8], word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether a line speaks to the model (`You must …`), rather than about a subject (`… must be paid`).
pub(crate) fn is_order(line: &str) -> bool {
    let line = line.trim_start_matches(['-', '*', ' ', '#']).as_bytes();
    ["you are ", "you must", "do not ", "never ", "always ", "your task", "respond ", "answer ", "only use"]
        .iter()
        .any(|start| begins(line, start))
}

/// Splits prose into addresses, placeholders, blobs and the text between them.
fn inline(text: &str, range: Range<usize>, out: &mut Vec<Span>) {
    let part = &text[range.clone()];
    let mut found: Vec<Span> = blobs::find(part)
        .into_iter()
        .map(|run| Span { kind: SpanKind::Blob, range: run.start..run.end })
        .collect();
    let bytes = part.as_bytes();
    let mut at = 0;
    while let Some(step) = part[at..].find([':', '{']) {
        let i = at + step;
        at = i + 1;
        if bytes[i] == b'{' {
            let name = bytes[i + 1..]
                .iter()
                .take(60)
                .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_' || **b == b'.');
            let end = i + 1 + name.count();
            if end > i + 1 && bytes.get(end) == Some(&b'}') {
                found.push(Span { kind: SpanKind::Placeholder, range: i..end + 1 });
                at = end + 1;
            }
        } else if part[i..].starts_with("://") {
            let scheme = bytes[..i].iter().rev().take(10).take_while(|b| b.is_ascii_alphabetic()).count();
            let tail = part[i..].find(|c: char| c.is_whitespace() || "\"'<>)]}".contains(c));
            let end = tail.map_or(part.len(), |n| i + n);
            if scheme > 0 {
                found.push(Span { kind: SpanKind::Url, range: i - scheme..end });
                at = end;
            }
        }
    }
    found.sort_by_key(|span| (span.range.start, std::cmp::Reverse(span.range.end)));
    let mut done = 0;
    let shift = range.start;
    let mut push = |kind: SpanKind, a: usize, b: usize| {
        if a < b {
            out.push(Span { kind, range: shift + a..shift + b });
        }
    };
    for span in found {
        if span.range.start < done {
            continue;
        }
        push(SpanKind::Prose, done, span.range.start);
        push(span.kind, span.range.start, span.range.end);
        done = span.range.end;
    }
    push(SpanKind::Prose, done, part.len());
}
