//! Reads as much as possible of JSON that is cut off, concatenated or damaged in the middle.

use serde_json::{Map, Value};

use super::{Problem, note};

/// Every value of a text: one document, one a line, or several run together. Problems are noted.
pub fn values(text: &str, problems: &mut Vec<Problem>) -> Vec<Value> {
    let text = trimmed(text);
    if text.is_empty() {
        return Vec::new();
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) => return vec![value],
        Err(error) if error.is_eof() && text.lines().nth(1).is_none() => return mended(text, problems),
        Err(_) => {}
    }
    // One object a line is what all writers of lines give; a document over several lines has a first line that is
    // no whole value.
    let first = text.lines().next().unwrap_or_default();
    let second = text.lines().nth(1).unwrap_or_default();
    if is_by_line(first) || (!first.trim_start().starts_with(['[']) && second.trim_start().starts_with("{\""))
    {
        return lines(text, problems);
    }
    let mut found = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let at = stream.byte_offset();
        match stream.next() {
            Some(Ok(value)) => found.push(value),
            Some(Err(_)) => {
                found.extend(mended(text.get(at..).unwrap_or_default(), problems));
                return found;
            }
            None => return found,
        }
    }
}

/// A text without the mark of its encoding and the space around it.
pub fn trimmed(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// Whether the first line of a text is one that writers of lines write: whole objects.
pub fn is_by_line(first: &str) -> bool {
    serde_json::Deserializer::from_str(first).into_iter::<Value>().all(|v| v.is_ok_and(|v| v.is_object()))
}

fn lines(text: &str, problems: &mut Vec<Problem>) -> Vec<Value> {
    let mut found = Vec::new();
    for (i, text) in text.lines().enumerate() {
        line(text.trim(), i + 1, &mut found, problems);
    }
    found
}

/// The values of one line, whose number is for its problems.
pub fn line(line: &str, number: usize, found: &mut Vec<Value>, problems: &mut Vec<Problem>) {
    let mut stream = serde_json::Deserializer::from_str(line).into_iter::<Value>();
    let mut n_values = 0;
    loop {
        let at = stream.byte_offset();
        match stream.next() {
            None => break,
            Some(Ok(value)) => {
                n_values += 1;
                found.push(value);
            }
            Some(Err(error)) => {
                // A writer that was interrupted by another: the rest of the line may hold whole values.
                let rest = line.get(at..).unwrap_or_default();
                let rescued = inner_objects(rest);
                let what = if error.is_eof() { "is cut off" } else { "is broken" };
                note(problems, "line_unreadable", format!("line {number}: {what} after byte {at}"));
                found.extend(rescued);
                break;
            }
        }
    }
    if n_values > 1 {
        note(problems, "lines_run_together", format!("line {number}: {n_values} values"));
    }
}

/// Whole objects with a span's fields inside a broken text.
fn inner_objects(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut at = 1;
    while let Some(next) = text.get(at..).and_then(|rest| rest.find("{\"")).map(|i| at + i) {
        let mut stream = serde_json::Deserializer::from_str(&text[next..]).into_iter::<Value>();
        match stream.next() {
            Some(Ok(value)) => {
                at = next + stream.byte_offset();
                if ["span_id", "spanId", "id", "resourceSpans"].iter().any(|k| value.get(k).is_some()) {
                    found.push(value);
                }
            }
            _ => at = next + 1,
        }
    }
    found
}

/// A document whose end is missing: cut back to its last whole value and closed.
fn mended(text: &str, problems: &mut Vec<Problem>) -> Vec<Value> {
    let mut stack = Vec::new();
    let mut in_string = false;
    let mut escaped = false;
    // The length of what may be kept, and how many brackets were open there.
    let mut safe: Option<(usize, Vec<u8>)> = None;
    for (i, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' => stack.push(b'}'),
            b'[' => stack.push(b']'),
            b'}' | b']' => {
                if stack.pop() != Some(byte) {
                    break;
                }
                safe = Some((i + 1, stack.clone()));
            }
            b',' => safe = Some((i, stack.clone())),
            _ => {}
        }
    }
    if let Some((end, open)) = safe {
        let mut closed = text[..end].to_owned();
        closed.extend(open.iter().rev().map(|b| char::from(*b)));
        if let Ok(value) = serde_json::from_str(&closed) {
            note(problems, "file_cut_off", format!("{} of {} bytes could be used", end, text.len()));
            return vec![value];
        }
    }
    note(problems, "not_json", format!("{} bytes are no JSON", text.len()));
    Vec::new()
}

/// A text of a value, whatever its kind.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A count, also where it is written as a string or with a fraction.
pub fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Number(n) => n.as_u64().or_else(|| n.as_f64().filter(|f| *f >= 0.0).map(|f| f as u64)),
        Value::String(text) => {
            let text = text.trim();
            let fraction =
                || text.parse::<f64>().ok().filter(|f| f.is_finite() && *f >= 0.0).map(|f| f as u64);
            text.parse().ok().or_else(fraction)
        }
        _ => None,
    }
}

/// An amount of money in US dollars, also where it is written as a string.
pub fn money(value: &Value) -> Option<f64> {
    let amount = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (amount.is_finite() && amount >= 0.0).then_some(amount)
}

/// A member of an object. Readers ask for dozens of names of which a span has few: below a size, comparing the names
/// that are there takes a quarter of the time of hashing the one that is asked for.
pub fn member<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    if map.len() > 24 {
        return map.get(key);
    }
    map.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// A member of a value that may be an object.
pub fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    member(value.as_object()?, key)
}

/// The first of these paths (`a.b.c`) that holds something.
pub fn first<'a>(value: &'a Value, paths: &[&str]) -> Option<&'a Value> {
    paths.iter().find_map(|path| {
        path.split('.').try_fold(value, |value, key| get(value, key)).filter(|v| !v.is_null())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_can_be_read_is_read() {
        let check = |text: &str, expected: Value, codes: &[&str]| {
            let mut problems = Vec::new();
            assert_eq!(Value::from(values(text, &mut problems)), expected, "{text}");
            assert_eq!(problems.iter().map(|p| p.code).collect::<Vec<_>>(), codes, "{text}");
        };
        check("{\"id\": 1}", json!([{"id": 1}]), &[]);
        check("{\"id\":1}\n{\"id\":2}\n", json!([{"id":1},{"id":2}]), &[]);
        check(
            "{\"id\":1}\n{\"id\":2}{\"id\":3}\n",
            json!([{"id":1},{"id":2},{"id":3}]),
            &["lines_run_together"],
        );
        check("{\"id\":1}\n{\"id\":2,\"na", json!([{"id":1}]), &["line_unreadable"]);
        check(
            "{\"id\":1}\n{\"id\":2,\"na{\"id\":3}\n{\"id\":4}",
            json!([{"id":1},{"id":3},{"id":4}]),
            &["line_unreadable"],
        );
        check("[{\"id\":1},{\"id\":2},{\"i", json!([[{"id":1},{"id":2}]]), &["file_cut_off"]);
        check("[\n {\"id\":1},\n {\"id\":2, \"x\": \"}", json!([[{"id":1},{"id":2}]]), &["file_cut_off"]);
        check("<html>", json!([]), &["not_json"]);
        check("", json!([]), &[]);
    }
}
