//! How a JSON text is laid out, so that it can be printed again as it was.

use super::Node;

/// White space between the tokens of a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `{"a":1,"b":2}`.
    Minified,
    /// `{"a": 1, "b": 2}`, Python's default.
    Spaced,
    /// One member a line, this many spaces a level.
    Indented(u8),
    /// One member a line, a tab a level.
    Tabbed,
}

/// A layout and whether strings are kept in ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) layout: Layout,
    pub(crate) ascii: bool,
}

impl Style {
    /// Guesses the style from the first line and the escapes of a text that parses as JSON.
    pub(crate) fn of(text: &str) -> Style {
        let bytes = text.as_bytes();
        let layout = match bytes.get(1) {
            Some(b'\n') => match bytes.get(2) {
                Some(b'\t') => Layout::Tabbed,
                _ => {
                    let n = bytes[2..].iter().take_while(|b| **b == b' ').count();
                    Layout::Indented(n.min(8) as u8)
                }
            },
            _ if first_gap_is_spaced(bytes) => Layout::Spaced,
            _ => Layout::Minified,
        };
        let ascii = text.is_ascii() && has_high_escape(text);
        Style { layout, ascii }
    }

    /// The one or two characters that name the style in a frame.
    pub(crate) fn code(self) -> String {
        let c = match self.layout {
            Layout::Minified => 'm',
            Layout::Spaced => 'p',
            Layout::Tabbed => 't',
            Layout::Indented(n) => char::from(b'0' + n.min(8)),
        };
        if self.ascii { format!("{c}a") } else { c.to_string() }
    }

    /// Reads a code back and says how many bytes it took.
    pub(crate) fn from_code(code: &str) -> Option<(Style, usize)> {
        let layout = match *code.as_bytes().first()? {
            b'm' => Layout::Minified,
            b'p' => Layout::Spaced,
            b't' => Layout::Tabbed,
            n @ b'0'..=b'8' => Layout::Indented(n - b'0'),
            _ => return None,
        };
        let ascii = code.as_bytes().get(1) == Some(&b'a');
        Some((Style { layout, ascii }, 1 + usize::from(ascii)))
    }

    /// Prints a tree; its lexemes are taken as they are.
    pub(crate) fn print(self, node: &Node<'_>, out: &mut String) {
        self.print_at(node, 0, out);
    }

    fn print_at(self, node: &Node<'_>, depth: usize, out: &mut String) {
        match node {
            Node::Literal(s) => out.push_str(s),
            Node::String(s) => {
                out.push('"');
                out.push_str(s);
                out.push('"');
            }
            Node::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    self.before_item(i, depth + 1, out);
                    self.print_at(item, depth + 1, out);
                }
                self.before_close(items.is_empty(), depth, out);
                out.push(']');
            }
            Node::Object(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    self.before_item(i, depth + 1, out);
                    out.push('"');
                    out.push_str(name);
                    out.push_str(self.after_name());
                    self.print_at(value, depth + 1, out);
                }
                self.before_close(members.is_empty(), depth, out);
                out.push('}');
            }
        }
    }

    pub(crate) fn after_name(self) -> &'static str {
        if self.layout == Layout::Minified { "\":" } else { "\": " }
    }

    pub(crate) fn before_item(self, index: usize, depth: usize, out: &mut String) {
        if index > 0 {
            out.push(',');
        }
        match self.layout {
            Layout::Minified => {}
            Layout::Spaced if index > 0 => out.push(' '),
            Layout::Spaced => {}
            Layout::Indented(_) | Layout::Tabbed => self.line(depth, out),
        }
    }

    pub(crate) fn before_close(self, empty: bool, depth: usize, out: &mut String) {
        if !empty && matches!(self.layout, Layout::Indented(_) | Layout::Tabbed) {
            self.line(depth, out);
        }
    }

    fn line(self, depth: usize, out: &mut String) {
        out.push('\n');
        let (c, n) = match self.layout {
            Layout::Indented(n) => (' ', usize::from(n) * depth),
            _ => ('\t', depth),
        };
        out.extend(std::iter::repeat_n(c, n));
    }
}

/// Whether the first `,` or `:` outside of a string is followed by a space.
fn first_gap_is_spaced(bytes: &[u8]) -> bool {
    let mut inside = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => inside = !inside,
            b'\\' if inside => at += 1,
            b',' | b':' if !inside => return bytes.get(at + 1) == Some(&b' '),
            _ => {}
        }
        at += 1;
    }
    false
}

/// Whether a `\u` escape stands for something that a readable printer would have left alone.
fn has_high_escape(text: &str) -> bool {
    let mut rest = text;
    while let Some(i) = rest.find("\\u") {
        let hex = rest.get(i + 2..i + 6).and_then(|h| u32::from_str_radix(h, 16).ok());
        if hex.is_some_and(|h| h > 0x7e) {
            return true;
        }
        rest = &rest[i + 2..];
    }
    false
}
