//! Writes the shorter notation: minified JSON in which strings may stand unescaped and arrays of records become tables.
//!
//! ```text
//! value  = literal | "string" | !"verbatim lexeme" | """block""" | $STYLE value (a string that holds JSON)
//!        | {"name":value,…} | [value,…] | [#ROWS columns⏎ row⏎ …] | {#ROWS columns⏎ key|row⏎ …}
//! column = name | name$ (strings only) | name=value (constant) | name~value (default, an empty cell)
//!        | name{columns} (an object in every row) | name[columns] (a list of records, written (a|b)(c|d))
//! ```
//!
//! An empty cell is an absent member. The writer is linear in its input: whether an array becomes a table is decided
//! from its shape, never by printing it both ways.

use super::table::{Column, Kind, Schema};
use super::{Layout, Node, Style, escape_into, has_control, parse, unescape};
use std::borrow::Cow;

/// Turns one tree into the notation. `tables` off gives minified JSON with unescaped strings.
pub(crate) struct Writer {
    out: String,
    ascii: bool,
    tables: bool,
    depth: usize,
}

/// Strings inside strings are opened up this deep.
pub(super) const MAX_NESTED: usize = 4;

/// Writes one value in the notation, behind what is in `out`.
pub(crate) fn write_value(out: String, node: &Node<'_>, style: Style, tables: bool) -> String {
    let mut writer = Writer { out, ascii: style.ascii, tables, depth: 0 };
    writer.value(node);
    writer.out
}

/// Writes the records of JSON lines as one table; `None` when they do not share a shape.
pub(crate) fn write_lines(items: &[Node<'_>], style: Style) -> Option<String> {
    let mut writer = Writer { out: String::new(), ascii: style.ascii, tables: true, depth: 0 };
    writer.array_table(items).then_some(writer.out)
}

/// A string as it can be written: what it says, and whether the style gives its lexeme back.
enum Lexeme<'a> {
    Text(Cow<'a, str>),
    Verbatim,
}

impl Writer {
    fn value(&mut self, node: &Node<'_>) {
        match node {
            Node::Literal(s) => self.out.push_str(s),
            Node::String(raw) => self.string(raw),
            Node::Array(items) => {
                if self.tables && self.array_table(items) {
                    return;
                }
                self.out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.out.push(',');
                    }
                    self.value(item);
                }
                self.out.push(']');
            }
            Node::Object(members) => {
                if self.tables && self.map_table(members) {
                    return;
                }
                self.out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        self.out.push(',');
                    }
                    self.quoted(name);
                    self.out.push(':');
                    self.value(value);
                }
                self.out.push('}');
            }
        }
    }

    fn lexeme<'a>(&self, raw: &'a str) -> Lexeme<'a> {
        let Some(text) = unescape(raw) else { return Lexeme::Verbatim };
        if matches!(text, Cow::Borrowed(_)) {
            // Without a backslash only what ASCII cannot say, and the delete character, would be escaped again.
            let again = self.ascii && raw.bytes().any(|b| b > 0x7e);
            return if again { Lexeme::Verbatim } else { Lexeme::Text(text) };
        }
        let mut again = String::with_capacity(raw.len());
        escape_into(&mut again, &text, self.ascii);
        if again == raw { Lexeme::Text(text) } else { Lexeme::Verbatim }
    }

    fn verbatim(&mut self, raw: &str) {
        self.out.push_str("!\"");
        self.out.push_str(raw);
        self.out.push('"');
    }

    fn quoted(&mut self, raw: &str) {
        match self.lexeme(raw) {
            Lexeme::Verbatim => self.verbatim(raw),
            Lexeme::Text(text) => self.quoted_text(&text),
        }
    }

    fn quoted_text(&mut self, text: &str) {
        self.out.push('"');
        escape_into(&mut self.out, text, false);
        self.out.push('"');
    }

    fn string(&mut self, raw: &str) {
        match self.lexeme(raw) {
            Lexeme::Verbatim => self.verbatim(raw),
            Lexeme::Text(text) => self.text(&text),
        }
    }

    fn text(&mut self, text: &str) {
        if self.nested_json(text) {
            return;
        }
        let escapes = text.bytes().filter(|b| matches!(b, b'"' | b'\\' | b'\n' | b'\t')).count();
        if escapes >= 3 && block_can_hold(text) {
            self.out.push_str("\"\"\"");
            self.out.push_str(text);
            self.out.push_str("\"\"\"");
        } else {
            self.quoted_text(text);
        }
    }

    fn nested_json(&mut self, text: &str) -> bool {
        if self.depth >= MAX_NESTED || text.len() < 8 || !text.starts_with(['{', '[']) {
            return false;
        }
        let Some(node) = parse(text) else { return false };
        let style = Style::of(text);
        let mut again = String::with_capacity(text.len());
        style.print(&node, &mut again);
        if again != text {
            return false;
        }
        let mut inner =
            Writer { out: String::new(), ascii: style.ascii, tables: self.tables, depth: self.depth + 1 };
        inner.value(&node);
        self.out.push('$');
        self.out.push_str(&style.code());
        self.out.push_str(&inner.out);
        true
    }

    fn array_table(&mut self, items: &[Node<'_>]) -> bool {
        let rows: Option<Vec<_>> = items.iter().map(record).collect();
        let Some(rows) = rows else { return false };
        let Some(schema) = Schema::of(&rows, false) else { return false };
        self.out.push_str("[#");
        self.out.push_str(&rows.len().to_string());
        self.out.push(' ');
        self.columns(&schema);
        self.out.push('\n');
        for row in rows {
            let mut first = true;
            self.row(&schema, row, &mut first, false);
            self.out.push('\n');
        }
        self.out.push(']');
        true
    }

    fn map_table(&mut self, members: &[(&str, Node<'_>)]) -> bool {
        let rows: Option<Vec<_>> = members.iter().map(|(_, value)| record(value)).collect();
        let Some(rows) = rows else { return false };
        let Some(schema) = Schema::of(&rows, true) else { return false };
        self.out.push_str("{#");
        self.out.push_str(&rows.len().to_string());
        self.out.push(' ');
        self.columns(&schema);
        self.out.push('\n');
        for ((key, _), row) in members.iter().zip(rows) {
            self.string_cell(key, true, false);
            let mut first = false;
            self.row(&schema, row, &mut first, false);
            self.out.push('\n');
        }
        self.out.push('}');
        true
    }

    fn columns(&mut self, schema: &Schema<'_, '_>) {
        for (i, column) in schema.columns.iter().enumerate() {
            if i > 0 {
                self.out.push('|');
            }
            self.name(column.name);
            match &column.kind {
                Kind::Leaf { strings } => self.out.push_str(if *strings { "$" } else { "" }),
                Kind::Constant(value) => {
                    self.out.push('=');
                    self.value(value);
                }
                Kind::Default { value, strings } => {
                    self.out.push_str(if *strings { "$~" } else { "~" });
                    self.value(value);
                }
                Kind::Group(schema) => {
                    self.out.push('{');
                    self.columns(schema);
                    self.out.push('}');
                }
                Kind::List(schema) => {
                    self.out.push('[');
                    self.columns(schema);
                    self.out.push(']');
                }
            }
        }
    }

    fn name(&mut self, raw: &str) {
        match self.lexeme(raw) {
            Lexeme::Text(text) if name_is_bare(&text) => self.out.push_str(&text),
            Lexeme::Text(text) => self.quoted_text(&text),
            Lexeme::Verbatim => self.verbatim(raw),
        }
    }

    fn row(&mut self, schema: &Schema<'_, '_>, row: &[(&str, Node<'_>)], first: &mut bool, inner: bool) {
        // Members come in the schema's order by construction, so one pass over the row finds them all.
        let mut members = row.iter().peekable();
        for column in &schema.columns {
            let value = members.next_if(|(name, _)| *name == column.name).map(|(_, value)| value);
            if !matches!(column.kind, Kind::Constant(_) | Kind::Group(_)) && !std::mem::take(first) {
                self.out.push('|');
            }
            self.cell(column, value, first, inner);
        }
    }

    fn cell(&mut self, column: &Column<'_, '_>, value: Option<&Node<'_>>, first: &mut bool, inner: bool) {
        match (&column.kind, value) {
            (Kind::Constant(_), _) => {}
            (Kind::Group(schema), Some(Node::Object(members))) => self.row(schema, members, first, inner),
            (Kind::List(schema), Some(Node::Array(items))) => {
                if items.is_empty() {
                    self.out.push_str("[]");
                }
                for item in items {
                    self.out.push('(');
                    let mut first = true;
                    self.row(schema, record(item).unwrap_or_default(), &mut first, true);
                    self.out.push(')');
                }
            }
            (Kind::Default { value, .. }, Some(cell)) if cell == *value => {}
            (Kind::Leaf { strings } | Kind::Default { strings, .. }, Some(Node::String(raw))) => {
                self.string_cell(raw, *strings, inner);
            }
            (_, Some(cell)) => self.value(cell),
            (_, None) => {}
        }
    }

    fn string_cell(&mut self, raw: &str, strings: bool, inner: bool) {
        match self.lexeme(raw) {
            Lexeme::Text(text) if cell_is_bare(&text, strings, inner) => self.out.push_str(&text),
            Lexeme::Text(text) => self.text(&text),
            Lexeme::Verbatim => self.verbatim(raw),
        }
    }
}

fn record<'n, 'a>(node: &'n Node<'a>) -> Option<&'n [(&'a str, Node<'a>)]> {
    match node {
        Node::Object(members) => Some(members),
        _ => None,
    }
}

/// Whether a text can stand between triple quotes: it must not end or hide the block, and no reader or terminal may
/// rewrite its control characters.
fn block_can_hold(text: &str) -> bool {
    !text.ends_with('"') && !text.contains("\"\"\"") && !has_control(text, b"\n\t")
}

fn name_is_bare(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('!')
        && !text.chars().any(|c| {
            matches!(c, '|' | '{' | '}' | '[' | ']' | '(' | ')' | '=' | '~' | '$' | '"') || c.is_control()
        })
}

fn cell_is_bare(text: &str, strings: bool, inner: bool) -> bool {
    if text.is_empty()
        || text.starts_with(['"', '{', '[', '$', '!', '('])
        || text.bytes().any(|b| b == b'|' || (inner && b == b')'))
        || has_control(text, b"")
    {
        return false;
    }
    strings || !looks_literal(text)
}

/// Whether a bare cell would be read as `null`, a truth value or a number.
pub(super) fn looks_literal(text: &str) -> bool {
    matches!(text, "null" | "true" | "false") || super::parse::number_len(text.as_bytes()) == Some(text.len())
}

impl Layout {
    /// Whether records of JSON lines can be printed in this layout.
    pub(crate) fn is_one_line(self) -> bool {
        matches!(self, Layout::Minified | Layout::Spaced)
    }
}
