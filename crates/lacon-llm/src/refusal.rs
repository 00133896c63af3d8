//! Reads the error bodies of providers: the kind of refusal, its text, and how long to wait.

use std::time::Duration;

use hyper::HeaderMap;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Malformed};

/// Longest text of a provider that is passed on.
const MAX_QUOTE: usize = 300;

/// Turns a refusal into an error. `status` is the HTTP status, also when the refusal came inside of a success.
pub(crate) fn refusal(provider: &str, status: u16, headers: &HeaderMap, body: &[u8]) -> Error {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let found = value.as_ref().map(words).unwrap_or_default();
    let quote = if found.message.is_empty() { page_title(body) } else { quote(&found.message) };
    let inside = status < 400;
    let kind = kind_of(status, &found, inside);
    let mut message = match (inside, quote.is_empty()) {
        (true, _) => format!("{provider} answered {status} with an error inside"),
        (false, _) => format!("{provider} answered {status}"),
    };
    if !quote.is_empty() {
        message.push_str(": ");
        message.push_str(&quote);
    }
    let error =
        Error::new(kind, message).with_status(status).with_retry_after(retry_after(headers, value.as_ref()));
    match hint(kind) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn hint(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Auth => "check the api key and what it is allowed to do",
        ErrorKind::Quota => "the account has no credit left; top it up or use another key",
        ErrorKind::ContextTooLong => {
            "shorten the prompt, lower max_tokens or use a model with a longer context"
        }
        ErrorKind::NotFound => "check the model's name and the path of the base url",
        ErrorKind::RateLimited => "lower the number of calls at once or the rate limit in the settings",
        _ => return None,
    })
}

#[derive(Default)]
struct Words {
    message: String,
    /// Type and code in lower case, joined by a space.
    code: String,
    /// A status that the body itself states.
    status: Option<u16>,
}

/// Finds message, type and code in the shapes that providers use.
fn words(value: &Value) -> Words {
    // Gemini wraps a stream's error in an array.
    let value = value.as_array().and_then(|items| items.first()).unwrap_or(value);
    let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let message = match error {
        Value::String(text) => text.clone(),
        _ => ["message", "detail", "msg", "error"]
            .iter()
            .filter_map(|key| error.get(key).or_else(|| value.get(key)))
            .map(|found| if found.is_array() || found.is_object() { found.to_string() } else { text(found) })
            .find(|text| !text.is_empty())
            .unwrap_or_default(),
    };
    let code =
        ["type", "code", "status"].iter().filter_map(|key| error.get(key)).map(text).collect::<Vec<_>>();
    let status = ["code", "status", "http_status"]
        .iter()
        .filter_map(|key| error.get(key))
        .filter_map(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
        .find(|code| (400..600).contains(code))
        .map(|code| code as u16);
    Words { message, code: code.join(" ").to_lowercase(), status }
}

fn kind_of(status: u16, found: &Words, inside: bool) -> ErrorKind {
    let message = found.message.to_lowercase();
    let code = found.code.as_str();
    let says = |words: &[&str]| words.iter().any(|word| code.contains(word));
    let told = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["context_length", "string_above_max_length", "context_window", "model_context"])
        || told(&[
            "maximum context length",
            "context length exceeded",
            "context window",
            "prompt is too long",
            "input is too long",
            "exceeds the maximum number of tokens",
            "input token count",
            "too many input tokens",
            "exceeds the available context size",
        ])
    {
        return ErrorKind::ContextTooLong;
    }
    if says(&["insufficient_quota", "billing", "credit"])
        || told(&["credit balance is too low", "insufficient balance"])
    {
        return ErrorKind::Quota;
    }
    let status = if inside { found.status.unwrap_or(status) } else { status };
    match status {
        401 | 403 => ErrorKind::Auth,
        402 => ErrorKind::Quota,
        404 | 405 => ErrorKind::NotFound,
        429 => ErrorKind::RateLimited,
        // Gemini reports a bad key as 400.
        400 if told(&["api key not valid", "invalid api key", "api_key_invalid"]) => ErrorKind::Auth,
        400 | 413 | 422 => ErrorKind::InvalidRequest,
        400.. => ErrorKind::Status(status),
        _ if says(&["rate_limit", "too_many_requests", "resource_exhausted"]) => ErrorKind::RateLimited,
        _ if says(&["overloaded", "unavailable"]) => ErrorKind::Status(503),
        _ if says(&["authentication", "permission", "invalid_api_key"]) => ErrorKind::Auth,
        _ if says(&["invalid_request", "invalid_argument"]) => ErrorKind::InvalidRequest,
        _ if says(&["not_found"]) => ErrorKind::NotFound,
        _ => ErrorKind::Malformed(Malformed::ErrorInBody),
    }
}

/// Makes a provider's text fit for one line of ours.
pub(crate) fn quote(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if line.len() + word.len() > MAX_QUOTE {
            let room = MAX_QUOTE.saturating_sub(line.len());
            if line.is_empty() {
                line.extend(word.chars().take(room / 4));
            }
            line.push('…');
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.trim_end_matches('.').to_owned()
}

/// Returns the title of a web page, or the start of a plain text.
pub(crate) fn page_title(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(16 * 1024)]);
    let lower = text.to_ascii_lowercase();
    if let Some(start) = lower.find("<title>") {
        let rest = &text[start + 7..];
        let end = lower[start + 7..].find("</title>").unwrap_or(rest.len());
        return quote(&rest[..end]);
    }
    if looks_like_page(body) { String::new() } else { quote(&text) }
}

/// Says whether bytes are the start of a web page.
pub(crate) fn looks_like_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// Reads how long the provider wants to be left alone.
pub(crate) fn retry_after(headers: &HeaderMap, body: Option<&Value>) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(ms) = header("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return seconds(ms / 1000.0);
    }
    if let Some(text) = header("retry-after") {
        if let Ok(number) = text.parse::<f64>() {
            return seconds(number);
        }
        // A date is measured against the server's own clock, which the answer carries.
        if let (Some(then), Some(now)) = (http_date(text), header("date").and_then(http_date)) {
            return Some(Duration::from_secs(then.saturating_sub(now)));
        }
    }
    // Gemini: {"error":{"details":[{"@type":"…RetryInfo","retryDelay":"12s"}]}}
    let details = body?.get("error")?.get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    seconds(delay.strip_suffix('s')?.parse().ok()?)
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

/// Reads an HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`) as seconds since 1970.
fn http_date(text: &str) -> Option<u64> {
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(str::parse::<u64>);
    let (h, m, s) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    if !(1970..10_000).contains(&year) || !(1..=31).contains(&day) || h > 23 || m > 59 || s > 60 {
        return None;
    }
    // Days from the civil calendar, with March as the first month of a year.
    let (y, mp) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * mp + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + h * 3600 + m * 60 + s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, kind: ErrorKind) -> Error {
        let error = refusal("openai", status, &HeaderMap::new(), body.as_bytes());
        assert_eq!(error.kind(), kind, "{status} {body}");
        error
    }

    #[test]
    fn kinds_of_refusals() {
        check(401, "", ErrorKind::Auth);
        check(403, "<html><title>Forbidden</title>", ErrorKind::Auth);
        check(
            429,
            r#"{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}"#,
            ErrorKind::RateLimited,
        );
        check(429, r#"{"error":{"code":"insufficient_quota"}}"#, ErrorKind::Quota);
        check(400, r#"{"error":{"code":"context_length_exceeded"}}"#, ErrorKind::ContextTooLong);
        check(
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens"}}"#,
            ErrorKind::ContextTooLong,
        );
        check(400, r#"{"error":{"message":"Unknown parameter"}}"#, ErrorKind::InvalidRequest);
        check(
            400,
            r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]"#,
            ErrorKind::Auth,
        );
        check(404, r#"{"detail":"Not Found"}"#, ErrorKind::NotFound);
        check(500, r#"{"error":"boom"}"#, ErrorKind::Status(500));
        check(529, r#"{"type":"error","error":{"type":"overloaded_error"}}"#, ErrorKind::Status(529));
        check(200, r#"{"error":{"type":"overloaded_error","message":"Overloaded"}}"#, ErrorKind::Status(503));
        check(200, r#"{"error":{"code":429,"message":"slow down"}}"#, ErrorKind::RateLimited);
        check(
            200,
            r#"{"error":{"message":"provider failed"}}"#,
            ErrorKind::Malformed(Malformed::ErrorInBody),
        );
    }

    #[test]
    fn texts() {
        let error = check(502, "<html>\n<head><title>502 Bad\nGateway</title>", ErrorKind::Status(502));
        assert_eq!(error.to_string(), "openai answered 502: 502 Bad Gateway");
        let error =
            check(500, r#"{"error":{"message":"The server\nhad an error."}}"#, ErrorKind::Status(500));
        assert_eq!(error.to_string(), "openai answered 500: The server had an error");
        assert!(check(500, &"x".repeat(100_000), ErrorKind::Status(500)).to_string().len() < 400);
        assert!(check(500, &"é ".repeat(100_000), ErrorKind::Status(500)).to_string().len() < 400);
    }

    #[test]
    fn waits() {
        let check = |pairs: &[(&'static str, &str)], expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(retry_after(&headers, None), expected.map(Duration::from_millis), "{pairs:?}");
        };
        check(&[], None);
        check(&[("retry-after", "2")], Some(2000));
        check(&[("retry-after", "0.5")], Some(500));
        check(&[("retry-after-ms", "40"), ("retry-after", "1")], Some(40));
        check(&[("retry-after", "-1")], None);
        check(&[("retry-after", "soon")], None);
        check(
            &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")],
            Some(30_000),
        );
        check(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], None);
        let body = serde_json::json!({"error": {"details": [{"@type": "x"}, {"retryDelay": "12.5s"}]}});
        assert_eq!(retry_after(&HeaderMap::new(), Some(&body)), Some(Duration::from_millis(12_500)));
    }

    #[test]
    fn dates() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(http_date("Thu, 99 Foo"), None);
    }
}
