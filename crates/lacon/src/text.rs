//! Printing: the one place that writes to the terminal.

use std::io::{IsTerminal, Write};

/// Writes a line of data to stdout. A closed pipe ends the output quietly, as readers like `head` expect.
pub fn out(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes bytes to stdout as they are.
pub fn raw(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Writes a line to stderr.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
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
    if terminal && color_wanted() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[expect(
    clippy::disallowed_methods,
    reason = "NO_COLOR and TERM are conventions of the terminal, not settings"
)]
fn color_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// A whole number with thousands separators.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
