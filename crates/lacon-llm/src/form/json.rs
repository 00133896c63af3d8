//! Finds JSON objects in a model's text and reads them tolerantly.
//!
//! It tolerates words and fences around the object, trailing commas, comments, bare line breaks in strings, `True`,
//! `False` and `None`, and missing brackets at the very end. A string or number cut by the end of the text is refused,
//! because its rest is unknown.

use serde_json::{Map, Number, Value};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 64;
/// Most places at which an object is looked for.
const MAX_STARTS: usize = 64;

/// Returns the objects in a text, in order, each with what was tolerated to read it.
pub(super) fn candidates(text: &str) -> Vec<(Value, Vec<String>)> {
    let mut found = Vec::new();
    let mut at = 0;
    for _ in 0..MAX_STARTS {
        let Some(start) = text[at..].find('{').map(|n| n + at) else { break };
        let mut reader = Reader { text, at: start, notes: Vec::new() };
        match reader.value(0) {
            Some(value) => {
                if !text[..start].trim().is_empty() || !text[reader.at..].trim().is_empty() {
                    reader.note("left out the text around the object");
                }
                at = reader.at;
                found.push((value, reader.notes));
            }
            None => at = start + 1,
        }
    }
    found
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    notes: Vec<String>,
}

impl Reader<'_> {
    fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|known| known == note) {
            self.notes.push(note.to_owned());
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Skips white space and comments.
    fn space(&mut self) {
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            let end = if self.rest().starts_with("//") {
                self.rest().find('\n')
            } else if self.rest().starts_with("/*") {
                self.rest().find("*/").map(|n| n + 2)
            } else {
                return;
            };
            self.note("left out comments");
            self.at = end.map_or(self.text.len(), |n| self.at + n);
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        match self.peek()? {
            '{' => self.object(depth),
            '[' => self.array(depth),
            '"' => self.string().map(Value::String),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut map = Map::new();
        loop {
            if self.end_of('}') {
                return Some(Value::Object(map));
            }
            let key = self.string()?;
            self.space();
            if !self.take(":") {
                return None;
            }
            let value = self.value(depth + 1)?;
            map.insert(key, value);
            self.separator('}')?;
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            if self.end_of(']') {
                return Some(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.separator(']')?;
        }
    }

    /// Says whether the container ends here; the end of the text ends every container.
    fn end_of(&mut self, close: char) -> bool {
        self.space();
        match self.peek() {
            None => {
                self.note("added missing brackets at the end");
                true
            }
            Some(next) if next == close => {
                self.at += 1;
                true
            }
            Some(_) => false,
        }
    }

    fn separator(&mut self, close: char) -> Option<()> {
        self.space();
        match self.peek() {
            Some(',') => {
                self.at += 1;
                self.space();
                if self.peek() == Some(close) {
                    self.note("left out a trailing comma");
                }
                Some(())
            }
            None => Some(()),
            Some(next) if next == close => Some(()),
            Some(_) => None,
        }
    }

    fn string(&mut self) -> Option<String> {
        if self.peek() != Some('"') {
            return None;
        }
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + 1;
        let mut bare = false;
        // Quotes and backslashes are ASCII, so their bytes cannot be part of another character.
        loop {
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                byte => {
                    bare |= *byte < 0x20;
                    at += 1;
                }
            }
        }
        let raw = self.text.get(start..=at)?;
        self.at = at + 1;
        if !bare {
            return serde_json::from_str(raw).ok();
        }
        self.note("kept bare line breaks in a string");
        let escaped: String = raw
            .chars()
            .map(|c| if c < ' ' { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() })
            .collect();
        serde_json::from_str(&escaped).ok()
    }

    fn word(&mut self) -> Option<Value> {
        let length = self.rest().find(|c: char| ",]}".contains(c) || c.is_whitespace())?;
        let word = self.text.get(self.at..self.at + length)?.to_owned();
        self.at += length;
        match word.as_str() {
            "true" => Some(true.into()),
            "false" => Some(false.into()),
            "null" => Some(Value::Null),
            "True" | "False" | "None" => {
                self.note("read python words");
                Some(match word.as_str() {
                    "True" => true.into(),
                    "False" => false.into(),
                    _ => Value::Null,
                })
            }
            number => serde_json::from_str::<Number>(number).ok().map(Value::Number),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: Option<Value>) {
        assert_eq!(candidates(text).into_iter().next().map(|(value, _)| value), expected, "{text:?}");
    }

    #[test]
    fn objects_are_found_and_read() {
        check("Here:\n```json\n{\"a\": 1}\n```\nDone.", Some(json!({"a": 1})));
        check("{\"a\": [1, 2,], }", Some(json!({"a": [1, 2]})));
        check("{\"a\": True, \"b\": None}", Some(json!({"a": true, "b": null})));
        check("{\"a\": \"one\ntwo\"}", Some(json!({"a": "one\ntwo"})));
        check("{\"a\": 1, // why\n \"b\": 2}", Some(json!({"a": 1, "b": 2})));
        check("{\"a\": {\"b\": [\"x\"", Some(json!({"a": {"b": ["x"]}})));
        check("a set {x} and {\"a\": \"é€\\\"\"}", Some(json!({"a": "é€\""})));
    }

    #[test]
    fn what_is_cut_or_unclear_is_refused() {
        check("{\"a\": \"cut", None);
        check("{\"a\": 12", None);
        check("{\"a\": tru", None);
        check("{\"a\" 1}", None);
        check("{\"a\": 'x'}", None);
        check("{\"a\": 1 \"b\": 2}", None);
        check("no json", None);
        check(&"{\"a\":".repeat(100), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[{}\\[\\]\",:a1\\\\ \n/*é-]{0,80}") {
            candidates(&text);
        }

        #[test]
        fn valid_objects_are_read_as_they_are(keys in prop::collection::btree_map("\\PC{0,6}", "\\PC{0,8}", 0..6)) {
            let value = json!({"x": keys, "n": [1, 2.5, null, true]});
            let found = candidates(&value.to_string());
            prop_assert_eq!(found, vec![(value, Vec::new())]);
        }
    }
}
