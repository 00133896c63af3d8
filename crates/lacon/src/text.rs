//! Printing: the one place that writes to the terminal. What comes from models, tools and files cannot act there.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
    io::{ErrorKind, IsTerminal, Write},
    sync::OnceLock,
};

pub use lacon_monitor::analyze::thousands;

use lacon_monitor::visible::visible;

/// The first error of writing to standard output.
static LOST: OnceLock<(ErrorKind, String)> = OnceLock::new();

/// Writes a line to stdout; on a terminal, in lines that fit it.
pub fn out(line: &str) {
    let mut out = std::io::stdout().lock();
    let written = if out.is_terminal() {
        let width = console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns));
        writeln!(out, "{}", shown(&wrapped(line, width)))
    } else {
        writeln!(out, "{}", shown(line))
    };
    keep(written);
}

/// Writes bytes to stdout as they are; on a terminal, as text that cannot act there.
pub fn raw(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let written = if out.is_terminal() {
        out.write_all(shown(&String::from_utf8_lossy(bytes)).as_bytes())
    } else {
        out.write_all(bytes)
    };
    keep(written.and_then(|()| out.flush()));
}

/// A text as the terminal gets it: its only escapes are our own colors.
fn shown(text: &str) -> Cow<'_, str> {
    match visible(text) {
        text if text.contains(COLOR) => Cow::Owned(text.replace(mark(), "\x1b[")),
        text => text,
    }
}

/// Begins the mark of a color. No text has this character; the rest of the mark is drawn, for one that has it.
const COLOR: char = '\u{fdd0}';

/// What stands for the begin of a color's escape until a line is written, so that no other text can bring one along.
fn mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| format!("{COLOR}{:016x}", RandomState::new().hash_one(COLOR)))
}

fn keep(written: std::io::Result<()>) {
    if let Err(error) = written {
        // The first one tells the reason.
        let _ = LOST.set((error.kind(), error.to_string()));
    }
}

/// Why data did not reach standard output. A closed pipe is no reason: readers like `head` end before their input does.
pub fn lost() -> Option<String> {
    keep(std::io::stdout().lock().flush());
    LOST.get().filter(|(kind, _)| *kind != ErrorKind::BrokenPipe).map(|(_, why)| why.clone())
}

/// Breaks lines at blanks so that they fit a terminal of `width` columns. The rest of a line is indented by two more.
/// Lines of JSON stay whole, because a line end inside a string would change it.
fn wrapped(text: &str, width: usize) -> String {
    let is_json = |line: &str| line.trim_start().starts_with(['{', '[', ']', '}', '"']);
    let lines = text.split('\n').map(|line| match is_json(line) {
        true => line.to_owned(),
        false => wrap(line, width),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn wrap(line: &str, width: usize) -> String {
    let start = line.len() - line.trim_start().len();
    let indent = start + 2;
    if columns(line) <= width || width < indent + 20 {
        return line.to_owned();
    }
    let mut out = line[..start].to_owned();
    let mut column = start;
    for (i, word) in line[start..].split(' ').enumerate() {
        let length = columns(word);
        if i > 0 && column + 1 + length > width {
            out.truncate(out.trim_end().len());
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if i > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// The characters of a line without the marks of its colors.
fn columns(text: &str) -> usize {
    let mut parts = text.split(mark());
    let plain = parts.next().map_or(0, |part| part.chars().count());
    let colored = parts.map(|part| part.split_once('m').map_or(0, |(_, rest)| rest.chars().count()));
    plain + colored.sum::<usize>()
}

/// Writes a line to stderr.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(line));
}

/// Writes an error and its hint to stderr.
pub fn error(message: &str) {
    let (head, rest) = message.split_once('\n').map_or((message, None), |(head, rest)| (head, Some(rest)));
    note(&format!("{} {head}", paint("error:", "31;1", std::io::stderr().is_terminal())));
    if let Some(rest) = rest {
        note(rest);
    }
}

/// Writes a warning to stderr.
pub fn warn(message: &str) {
    note(&format!("{} {message}", paint("warning:", "33;1", std::io::stderr().is_terminal())));
}

/// Colors a text when the stream is a terminal and `NO_COLOR` is not set.
pub fn paint(text: &str, code: &str, terminal: bool) -> String {
    if terminal && color_wanted() { format!("{0}{code}m{text}{0}0m", mark()) } else { text.to_owned() }
}

#[expect(
    clippy::disallowed_methods,
    reason = "NO_COLOR and TERM are conventions of the terminal, not settings"
)]
fn color_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_colors_reach_a_terminal() {
        let painted = format!("{}1mgood{}0m", mark(), mark());
        assert_eq!(shown(&painted), "\x1b[1mgood\x1b[0m");
        assert_eq!(shown("\x1b[1mevil\x1b[0m"), "\\u001b[1mevil\\u001b[0m");
        assert_eq!(shown("\u{fdd0}0000000000000000"), "\u{fdd0}0000000000000000");
        assert_eq!(shown(&paint("a\x1bb", "1", false)), "a\\u001bb");
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrapped("  - one two three four five", 14), "  - one two three four five");
        let red = format!("{0}31;1mone{0}0m", mark());
        assert_eq!(
            wrapped(&format!("  - {red} two three four five six\nshort"), 24),
            format!("  - {red} two three four\n    five six\nshort")
        );
        let json = "{\"text\": \"one two three four five six seven eight\"}";
        assert_eq!(wrapped(json, 24), json);
    }
}
