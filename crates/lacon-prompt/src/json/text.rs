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
    let bytes = text.as_bytes();
    let marked = if ascii { &NOT_ASCII } else { &NOT_PLAIN };
    let mut from = 0;
    let mut at = 0;
    while let Some(step) = bytes[at..].iter().position(|b| marked[usize::from(*b)]) {
        at += step;
        out.push_str(&text[from..at]);
        match bytes[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            8 => out.push_str("\\b"),
            12 => out.push_str("\\f"),
            // What is left of ASCII, and with `ascii` the first byte of any other character.
            _ => {
                let c = text[at..].chars().next().expect("a marked byte begins a character");
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}").expect("writing to a String cannot fail");
                }
                at += c.len_utf8() - 1;
            }
        }
        at += 1;
        from = at;
    }
    out.push_str(&text[from..]);
}

/// Bytes that a readable printer escapes.
const NOT_PLAIN: [bool; 256] = marked(0xff);
/// Bytes that a printer of ASCII escapes, or that begin a character it does.
const NOT_ASCII: [bool; 256] = marked(0x7e);

const fn marked(last: u8) -> [bool; 256] {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = b < 0x20 || b == b'"' as usize || b == b'\\' as usize || b > last as usize;
        b += 1;
    }
    table
}

/// Whether a text has a control character other than the allowed ones; also those of two bytes, U+0080 to U+009F.
pub(crate) fn has_control(text: &str, allowed: &[u8]) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(i, b)| match b {
        0..0x20 | 0x7f => !allowed.contains(b),
        0xc2 => bytes[i + 1] < 0xa0,
        _ => false,
    })
}
