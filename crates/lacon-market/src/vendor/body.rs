//! Reads vendor answers: JSON, XML, CSV and HTML that may be damaged.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::Value;

use super::{Problem, Vendor, VendorError};
use crate::dataset::is_unseen;

/// The longest text of one item that is kept, in characters.
pub const MAX_TEXT: usize = 4_000;

/// Percent-encodes everything but letters, digits and `-._~`.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The beginning of a refused answer for its error, behind a colon; nothing of a web page.
pub fn excerpt(body: &[u8]) -> String {
    if is_html(body) {
        return " with a web page".into();
    }
    let head = String::from_utf8_lossy(&body[..body.len().min(600)]);
    let line = clean(&head).split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(160).collect();
    if short.is_empty() { String::new() } else { format!(": {short}") }
}

/// Whether a body is a web page.
pub fn is_html(body: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&body[..body.len().min(512)]).trim_start().to_lowercase();
    head.starts_with("<!doctype html") || head.starts_with("<html") || head.contains("<html")
}

/// A malformed answer.
pub fn malformed(vendor: Vendor, what: impl std::fmt::Display) -> VendorError {
    VendorError::new(vendor, Problem::Malformed, what.to_string())
}

/// Reads JSON; a web page and a cut text are told apart.
///
/// # Errors
/// [`Problem::Malformed`] with what is there instead.
pub fn json(vendor: Vendor, body: &[u8]) -> Result<Value, VendorError> {
    if is_html(body) {
        return Err(malformed(vendor, "a web page stands where JSON should"));
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(body).map_err(|error| {
        let size = body.len();
        malformed(vendor, format!("{size} bytes are no JSON: {error}"))
    })
}

/// Reads text: UTF-8, UTF-16 with its mark, or Latin-1 where the server says so.
///
/// # Errors
/// [`Problem::Malformed`] for any other bytes: guessing would show a model letters that nobody wrote.
pub fn text(vendor: Vendor, body: &[u8], content_type: &str) -> Result<String, VendorError> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|c| unit([c[0], c[1]])).collect();
        String::from_utf16(&units).map_err(|_| malformed(vendor, "the text is no UTF-16"))
    };
    match body {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => {}
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let kind = content_type.to_lowercase();
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) if kind.contains("8859-1") || kind.contains("windows-1252") => {
            Ok(body.iter().map(|b| char::from(*b)).collect())
        }
        Err(error) => Err(malformed(vendor, format!("byte {} is not UTF-8", error.valid_up_to()))),
    }
}

/// A text for a model: no control characters but line ends, no runs of blank lines, a bounded length.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_TEXT));
    let mut ends = 0;
    for (n, c) in text.chars().filter(|c| !is_unseen(*c)).enumerate() {
        if n == MAX_TEXT {
            out.push_str(" …");
            break;
        }
        ends = if c == '\n' { ends + 1 } else { 0 };
        if ends <= 2 {
            out.push(c);
        }
    }
    out.trim().to_owned()
}

/// HTML as plain text: tags dropped, the usual entities read.
pub fn plain(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(inside) = rest.strip_prefix('<') {
            let Some(end) = inside.find('>') else {
                rest = "";
                break;
            };
            let tag = inside[..end].trim_start_matches('/').to_lowercase();
            if ["br", "p", "div", "li", "tr"].iter().any(|t| tag.split([' ', '/']).next() == Some(t)) {
                out.push('\n');
            }
            rest = &inside[end + 1..];
        } else {
            let end = rest.char_indices().take(12).find(|(_, c)| *c == ';').map(|(i, _)| i);
            match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
                Some((c, end)) => {
                    out.push(c);
                    rest = &rest[end + 1..];
                }
                None => {
                    out.push('&');
                    rest = &rest[1..];
                }
            }
        }
    }
    out.push_str(rest);
    clean(&out)
}

/// What an entity of XML stands for; an unknown one stays as it is written: entities that a document defines itself can
/// grow without bound.
pub(super) fn plain_entity(name: &str) -> String {
    entity(name).map_or_else(|| format!("&{name};"), String::from)
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "rsquo" => '’',
        "lsquo" => '‘',
        "ldquo" => '“',
        "rdquo" => '”',
        _ => {
            let code = name.strip_prefix('#')?;
            let code = match code.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => code.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

/// The text of a field, cleaned; empty where there is none.
pub fn field(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).map(clean).unwrap_or_default()
}

/// A finite number that stands as a number or as text.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|n: &f64| n.is_finite())
}

/// The day of a time in seconds since 1970, shifted to an exchange's clock.
pub fn day_of(seconds: i64, offset: i64) -> Option<Date> {
    let shifted = seconds.checked_add(offset)?;
    Timestamp::from_second(shifted).ok().map(|t| t.to_zoned_datetime(TimeZone::UTC).date())
}

/// The day at the beginning of a text: ISO, the compact form `20250730T1200`, or RFC 2822.
pub fn day_in(text: &str) -> Option<Date> {
    let text = text.trim();
    if let Some(day) = text.get(..10).and_then(|t| t.parse().ok()) {
        return Some(day);
    }
    if let Some(compact) = text.get(..8).filter(|t| t.bytes().all(|b| b.is_ascii_digit())) {
        return format!("{}-{}-{}", &compact[..4], &compact[4..6], &compact[6..]).parse().ok();
    }
    jiff::fmt::rfc2822::parse(text).ok().map(|z| z.with_time_zone(TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read() {
        let day = Some(jiff::civil::date(2025, 7, 30));
        for text in ["2025-07-30", "2025-07-30T10:00:00Z", "20250730T101500", "Wed, 30 Jul 2025 10:00:00 GMT"]
        {
            assert_eq!(day_in(text), day, "{text}");
        }
        for text in ["", "soon", "2025-13-40", "99999999", "ü025-07-30"] {
            assert_eq!(day_in(text), None, "{text}");
        }
        assert_eq!(day_of(1_753_882_200, -14_400), day);
        assert_eq!(day_of(i64::MAX, 1), None);
    }

    #[test]
    fn html_becomes_text() {
        assert_eq!(
            plain("<p>A &amp; B</p><br/>C&#39;s &lt;b&gt; &unknown; 5<6"),
            "A & B\n\nC's <b> &unknown; 5"
        );
        assert_eq!(plain("AT&T up &#x25; &"), "AT&T up % &");
    }

    #[test]
    fn wrong_encodings_are_told_or_refused() {
        let vendor = Vendor::SimFin;
        assert_eq!(text(vendor, b"\xff\xfeA\0B\0", "").unwrap(), "AB");
        assert_eq!(text(vendor, b"\xef\xbb\xbfAB", "").unwrap(), "AB");
        assert_eq!(text(vendor, b"Caf\xe9", "text/csv; charset=ISO-8859-1").unwrap(), "Café");
        assert_eq!(text(vendor, b"Caf\xe9", "text/csv").unwrap_err().problem, Problem::Malformed);
    }

    #[test]
    fn unseen_characters_leave() {
        assert_eq!(clean("a\0b\u{202e}c\u{200b}d\r\n\n\n\n\ne"), "abcd\n\ne");
        assert_eq!(clean(&"x".repeat(9_000)).chars().count(), MAX_TEXT + 2);
    }
}
