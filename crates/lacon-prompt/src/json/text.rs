//! Escaping and unescaping of JSON strings in the two habits that programs have: everything readable, or ASCII only.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Turns the inside of a JSON string into the text it stands for; `None` for lone surrogates, which no `str` can hold.
pub(crate) fn unescape(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('\\') {
        return Some(Cow::Borrowed(raw));
    }
    let bytes = raw.as_bytes();
    let mut out = String::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let Some(step) = raw[at..].find('\\') else {
            out.push_str(&raw[at..]);
            break;
        };
        out.push_str(&raw[at..at + step]);
        at += step;
        let (c, len) = match *bytes.get(at + 1)? {
            b'n' => ('\n', 2),
            b't' => ('\t', 2),
            b'r' => ('\r', 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'"' => ('"', 2),
            b'\\' => ('\\', 2),
            b'/' => ('/', 2),
            b'u' => {
                let high = hex4(raw, at + 2)?;
                if (0xd800..0xdc00).contains(&high) {
                    if raw.get(at + 6..at + 8) != Some("\\u") {
                        return None;
                    }
                    let low = hex4(raw, at + 8)?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return None;
                    }
                    (char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12)
                } else {
                    (char::from_u32(high)?, 6)
                }
            }
            _ => return None,
        };
        out.push(c);
        at += len;
    }
    Some(Cow::Owned(out))
}

fn hex4(raw: &str, at: usize) -> Option<u32> {
    u32::from_str_radix(raw.get(at..at + 4)?, 16).ok()
}

/// Appends `text` escaped as Python's and JavaScript's printers do; with `ascii` nothing above 0x7e stays readable.
pub(crate) fn escape_into(out: &mut String, text: &str, ascii: bool) {
    let mut from = 0;
    for (i, c) in text.char_indices() {
        let plain = match c {
            '"' | '\\' => false,
            c if c < ' ' => false,
            c if ascii && c > '\u{7e}' => false,
            _ => true,
        };
        if plain {
            continue;
        }
        out.push_str(&text[from..i]);
        from = i + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            _ => {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}").expect("writing to a String cannot fail");
                }
            }
        }
    }
    out.push_str(&text[from..]);
}
