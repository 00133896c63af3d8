//! Reads the notation back and prints the JSON it came from.

use super::encode::{MAX_NESTED, looks_literal};
use super::{MAX_DEPTH, Style, escape_into, unescape};
use crate::work::Meter;

/// What is wrong with an encoded text: where, and what was expected there.
pub(crate) type Fault = &'static str;

/// Reads values of the notation from a text.
pub(crate) struct Reader<'a> {
    text: &'a str,
    pub(crate) at: usize,
    meter: &'a Meter<'a>,
    nested: usize,
}

/// Reads one value that starts at `at`, prints it in `style` and says where it ended.
pub(crate) fn read_value(
    text: &str,
    at: usize,
    style: Style,
    meter: &Meter<'_>,
) -> Result<(String, usize), Fault> {
    let mut reader = Reader::new(text, at, meter);
    // Growing step by step would copy a long value several times.
    let mut out = String::with_capacity((text.len() - at).saturating_mul(2).min(256 << 10));
    reader.value(style, 0, &mut out)?;
    Ok((out, reader.at))
}

/// Reads one table and prints each of its records on a line of its own.
pub(crate) fn read_lines(
    text: &str,
    at: usize,
    style: Style,
    meter: &Meter<'_>,
) -> Result<(String, usize), Fault> {
    let mut reader = Reader::new(text, at, meter);
    if !reader.rest().starts_with("[#") {
        return Err("expected a table of records");
    }
    let mut out = String::new();
    reader.table(style, 0, &mut out, Wrap::Lines)?;
    Ok((out, reader.at))
}

/// What stands around the records of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrap {
    Array,
    Map,
    Lines,
}

struct Columns<'a> {
    columns: Vec<Column<'a>>,
}

struct Column<'a> {
    /// Printed name, escaped.
    name: String,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Leaf { strings: bool },
    Constant(&'a str),
    Default { value: &'a str, strings: bool },
    Group(Columns<'a>),
    List(Columns<'a>),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str, at: usize, meter: &'a Meter<'a>) -> Self {
        Reader { text, at, meter, nested: 0 }
    }

    /// A reader of a header's value, which each row prints again.
    fn again(&self, value: &'a str) -> Result<Self, Fault> {
        self.meter.spend(value.len())?;
        Ok(Reader { text: value, at: 0, meter: self.meter, nested: self.nested })
    }

    /// Prints the inside of a string.
    fn escaped(&self, text: &str, style: Style, out: &mut String) -> Result<(), Fault> {
        self.meter.fits(out.len() + text.len())?;
        escape_into(out, text, style.ascii);
        self.meter.fits(out.len())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str, fault: Fault) -> Result<(), Fault> {
        if self.eat(token) { Ok(()) } else { Err(fault) }
    }

    fn number(&mut self) -> Result<usize, Fault> {
        let len = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let n = self.rest()[..len].parse().map_err(|_| "expected a row count")?;
        self.at += len;
        Ok(n)
    }

    /// Reads one value and prints it as it stood at this depth.
    pub(crate) fn value(&mut self, style: Style, depth: usize, out: &mut String) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err("nested too deep");
        }
        self.meter.fits(out.len())?;
        match self.peek().ok_or("expected a value")? {
            b'"' | b'!' | b'$' => self.string(style, out),
            b'[' if self.rest().starts_with("[#") => self.table(style, depth, out, Wrap::Array),
            b'{' if self.rest().starts_with("{#") => self.table(style, depth, out, Wrap::Map),
            b'[' => self.array(style, depth, out),
            b'{' => self.object(style, depth, out),
            _ => {
                let len = self
                    .rest()
                    .bytes()
                    .take_while(|b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'+' | b'.'))
                    .count();
                let word = &self.rest()[..len];
                if !looks_literal(word) {
                    return Err("expected a literal");
                }
                self.meter.push(out, word)?;
                self.at += len;
                Ok(())
            }
        }
    }

    fn array(&mut self, style: Style, depth: usize, out: &mut String) -> Result<(), Fault> {
        self.at += 1;
        out.push('[');
        let mut n = 0;
        while !self.eat("]") {
            if n > 0 {
                self.expect(",", "expected , or ] in a list")?;
            }
            style.before_item(n, depth + 1, out);
            self.value(style, depth + 1, out)?;
            n += 1;
        }
        style.before_close(n == 0, depth, out);
        out.push(']');
        Ok(())
    }

    fn object(&mut self, style: Style, depth: usize, out: &mut String) -> Result<(), Fault> {
        self.at += 1;
        out.push('{');
        let mut n = 0;
        while !self.eat("}") {
            if n > 0 {
                self.expect(",", "expected , or } in an object")?;
            }
            style.before_item(n, depth + 1, out);
            out.push('"');
            self.lexeme(style, out)?;
            self.expect(":", "expected : after a name")?;
            out.push_str(style.after_name());
            self.value(style, depth + 1, out)?;
            n += 1;
        }
        style.before_close(n == 0, depth, out);
        out.push('}');
        Ok(())
    }

    /// Reads `"…"` or `!"…"` and prints the escaped inside as the original had it.
    fn lexeme(&mut self, style: Style, out: &mut String) -> Result<(), Fault> {
        let verbatim = self.eat("!");
        self.expect("\"", "expected a quoted string")?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start;
        loop {
            match bytes.get(at) {
                None => return Err("string without an end"),
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
            }
        }
        let raw = self.text.get(start..at).ok_or("string without an end")?;
        self.at = at + 1;
        if verbatim {
            return self.meter.push(out, raw);
        }
        let text = unescape(raw).ok_or("string with a wrong escape")?;
        self.escaped(&text, style, out)
    }

    fn string(&mut self, style: Style, out: &mut String) -> Result<(), Fault> {
        out.push('"');
        if self.eat("$") {
            let (inner, used) = Style::from_code(self.rest()).ok_or("expected a style after $")?;
            self.at += used;
            self.nested += 1;
            if self.nested > MAX_NESTED + 1 {
                return Err("too many strings inside strings");
            }
            let mut text = String::new();
            // The inner text starts at depth 0 of its own layout.
            self.value(inner, 0, &mut text)?;
            self.nested -= 1;
            self.escaped(&text, style, out)?;
        } else if self.eat("\"\"\"") {
            let len = self.rest().find("\"\"\"").ok_or("block without an end")?;
            self.escaped(&self.rest()[..len], style, out)?;
            self.at += len + 3;
        } else {
            self.lexeme(style, out)?;
        }
        out.push('"');
        Ok(())
    }

    fn columns(&mut self, close: &str, level: usize, style: Style) -> Result<Columns<'a>, Fault> {
        if level > MAX_DEPTH {
            return Err("columns nested too deep");
        }
        let mut columns = Vec::new();
        loop {
            let name = self.name(style)?;
            let kind = if self.eat("{") {
                Kind::Group(self.columns("}", level + 1, style)?)
            } else if self.eat("[") {
                Kind::List(self.columns("]", level + 1, style)?)
            } else if self.eat("=") {
                Kind::Constant(self.slice(style)?)
            } else {
                let strings = self.eat("$");
                if self.eat("~") {
                    Kind::Default { value: self.slice(style)?, strings }
                } else {
                    Kind::Leaf { strings }
                }
            };
            columns.push(Column { name, kind });
            if self.eat(close) {
                return Ok(Columns { columns });
            }
            self.expect("|", "expected | between columns")?;
        }
    }

    /// The text of one value, which is read only to find its end.
    fn slice(&mut self, style: Style) -> Result<&'a str, Fault> {
        let start = self.at;
        let mut scratch = String::new();
        self.value(style, 0, &mut scratch)?;
        self.meter.spend(scratch.len())?;
        Ok(&self.text[start..self.at])
    }

    fn name(&mut self, style: Style) -> Result<String, Fault> {
        let mut out = String::new();
        if matches!(self.peek(), Some(b'"' | b'!')) {
            self.lexeme(style, &mut out)?;
            return Ok(out);
        }
        let len = self
            .rest()
            .find(|c: char| {
                matches!(c, '|' | '{' | '}' | '[' | ']' | '(' | ')' | '=' | '~' | '$' | '"') || c.is_control()
            })
            .ok_or("column name without an end")?;
        if len == 0 {
            return Err("expected a column name");
        }
        self.escaped(&self.rest()[..len], style, &mut out)?;
        self.at += len;
        Ok(out)
    }

    fn table(&mut self, style: Style, depth: usize, out: &mut String, wrap: Wrap) -> Result<(), Fault> {
        self.at += 2;
        let rows = self.number()?;
        self.expect(" ", "expected a space after the row count")?;
        let columns = self.columns("\n", 0, style)?;
        let (open, close) = match wrap {
            Wrap::Array => ("[", "]"),
            Wrap::Map => ("{", "}"),
            Wrap::Lines => ("", ""),
        };
        out.push_str(open);
        for i in 0..rows {
            self.meter.fits(out.len())?;
            let mut first = true;
            match wrap {
                Wrap::Lines if i > 0 => out.push('\n'),
                Wrap::Lines => {}
                Wrap::Array | Wrap::Map => style.before_item(i, depth + 1, out),
            }
            if wrap == Wrap::Map {
                if !self.cell(style, true, false, depth, out)? {
                    return Err("row without a key");
                }
                if out.pop() != Some('"') {
                    return Err("key that is no string");
                }
                out.push_str(style.after_name());
                first = false;
            }
            self.record(&columns, style, depth + 1, &mut first, false, out)?;
            self.expect("\n", "expected the end of a row")?;
        }
        self.expect(if wrap == Wrap::Map { "}" } else { "]" }, "table has more rows than it declares")?;
        if wrap != Wrap::Lines {
            style.before_close(rows == 0, depth, out);
        }
        out.push_str(close);
        Ok(())
    }

    fn record(
        &mut self,
        columns: &Columns<'a>,
        style: Style,
        depth: usize,
        first: &mut bool,
        inner: bool,
        out: &mut String,
    ) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err("nested too deep");
        }
        out.push('{');
        let mut n = 0;
        for column in &columns.columns {
            let own_cell = !matches!(column.kind, Kind::Constant(_) | Kind::Group(_));
            if own_cell && !std::mem::take(first) {
                self.expect("|", "expected | before a cell")?;
            }
            let mark = out.len();
            style.before_item(n, depth + 1, out);
            out.push('"');
            self.meter.push(out, &column.name)?;
            out.push_str(style.after_name());
            let present = match &column.kind {
                Kind::Constant(value) => {
                    self.again(value)?.value(style, depth + 1, out)?;
                    true
                }
                Kind::Group(columns) => {
                    self.record(columns, style, depth + 1, first, inner, out)?;
                    true
                }
                Kind::List(columns) => self.list(columns, style, depth + 1, out)?,
                Kind::Leaf { strings } => self.cell(style, *strings, inner, depth + 1, out)?,
                Kind::Default { value, strings } => {
                    if !self.cell(style, *strings, inner, depth + 1, out)? {
                        self.again(value)?.value(style, depth + 1, out)?;
                    }
                    true
                }
            };
            if present {
                n += 1;
            } else {
                self.meter.spend(out.len() - mark)?;
                out.truncate(mark);
            }
        }
        style.before_close(n == 0, depth, out);
        out.push('}');
        Ok(())
    }

    fn list(
        &mut self,
        columns: &Columns<'a>,
        style: Style,
        depth: usize,
        out: &mut String,
    ) -> Result<bool, Fault> {
        if self.eat("[]") {
            out.push_str("[]");
            return Ok(true);
        }
        let mut n = 0;
        while self.eat("(") {
            if n == 0 {
                out.push('[');
            }
            style.before_item(n, depth + 1, out);
            let mut first = true;
            self.record(columns, style, depth + 1, &mut first, true, out)?;
            self.expect(")", "expected ) after a record")?;
            n += 1;
        }
        if n > 0 {
            style.before_close(false, depth, out);
            out.push(']');
        }
        Ok(n > 0)
    }

    /// Prints one cell as JSON; false where it is empty.
    fn cell(
        &mut self,
        style: Style,
        strings: bool,
        inner: bool,
        depth: usize,
        out: &mut String,
    ) -> Result<bool, Fault> {
        if let Some(b'"' | b'{' | b'[' | b'$' | b'!') = self.peek() {
            self.value(style, depth, out)?;
            return Ok(true);
        }
        let end = |b: u8| b == b'|' || b == b'\n' || (inner && b == b')');
        let rest = self.rest();
        let len = rest.bytes().position(end).ok_or("row without an end")?;
        let text = &rest[..len];
        self.at += len;
        if text.is_empty() {
            return Ok(false);
        }
        if !strings && looks_literal(text) {
            self.meter.push(out, text)?;
        } else {
            out.push('"');
            self.escaped(text, style, out)?;
            out.push('"');
        }
        Ok(true)
    }
}
