//! Checks a value against the part of JSON Schema that models' answers use, and makes harmless changes of type.
//!
//! It understands `type` (also several), `properties`, `required`, `additionalProperties: false`, `items`, `enum`,
//! `const`, `anyOf` and `oneOf`, `allOf`, `$ref` into `$defs` or `definitions`, and limits of numbers, lengths and
//! counts. Other keywords are ignored. Harmless changes are: a number or boolean in quotes, a word of an `enum` in
//! another case, `N/A` where null is allowed, and `null` for an optional property.

use std::fmt;

use serde_json::{Map, Value};

/// Deepest nesting of schemas and references.
const MAX_DEPTH: usize = 64;

/// One way in which a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, such as `reasons[2].text`; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.what) } else { write!(f, "{} {}", self.path, self.what) }
    }
}

/// Returns the value as it fits, and what was changed.
pub(super) fn fit(schema: &Value, value: Value) -> Result<(Value, Vec<String>), Vec<Problem>> {
    let mut check = Check { root: schema, problems: Vec::new(), changes: Vec::new() };
    let value = check.value(schema, value, "", 0);
    if check.problems.is_empty() { Ok((value, check.changes)) } else { Err(check.problems) }
}

struct Check<'a> {
    root: &'a Value,
    problems: Vec<Problem>,
    changes: Vec<String>,
}

impl<'a> Check<'a> {
    fn problem(&mut self, path: &str, what: impl Into<String>) {
        self.problems.push(Problem { path: path.to_owned(), what: what.into() });
    }

    fn change(&mut self, path: &str, what: impl fmt::Display) {
        let place = if path.is_empty() { "the top" } else { path };
        self.changes.push(format!("{what} at {place}"));
    }

    fn resolve(&self, mut schema: &'a Value) -> Option<&'a Value> {
        for _ in 0..MAX_DEPTH {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { return Some(schema) };
            schema = self.root.pointer(reference.strip_prefix('#')?)?;
        }
        None
    }

    fn value(&mut self, schema: &'a Value, value: Value, path: &str, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            self.problem(path, "is nested too deep");
            return value;
        }
        let Some(schema) = self.resolve(schema) else {
            // A schema that points nowhere cannot refuse anything.
            return value;
        };
        let mut value = self.typed(schema, value, path);
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            value = self.value(part, value, path, depth + 1);
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(options) = schema.get(word).and_then(Value::as_array) {
                value = self.any(options, value, path, depth);
            }
        }
        value = self.listed(schema, value, path);
        match value {
            Value::Object(map) => Value::Object(self.object(schema, map, path, depth)),
            Value::Array(items) => Value::Array(self.array(schema, items, path, depth)),
            Value::String(text) => {
                self.limit(schema, "minLength", "maxLength", text.chars().count() as f64, path, "characters");
                Value::String(text)
            }
            Value::Number(number) => {
                self.limit(schema, "minimum", "maximum", number.as_f64().unwrap_or(0.0), path, "");
                Value::Number(number)
            }
            other => other,
        }
    }

    fn any(&mut self, options: &'a [Value], value: Value, path: &str, depth: usize) -> Value {
        let mut first: Option<Vec<Problem>> = None;
        let mut best: Option<(Value, Vec<String>)> = None;
        for option in options {
            let mut trial = Check { root: self.root, problems: Vec::new(), changes: Vec::new() };
            let fitted = trial.value(option, value.clone(), path, depth + 1);
            if trial.problems.is_empty() {
                if trial.changes.is_empty() {
                    return fitted;
                }
                best = best.or(Some((fitted, trial.changes)));
            } else {
                first = first.or(Some(trial.problems));
            }
        }
        match (best, first) {
            (Some((fitted, changes)), _) => {
                self.changes.extend(changes);
                fitted
            }
            (None, Some(problems)) => {
                self.problems.extend(problems);
                value
            }
            (None, None) => value,
        }
    }

    /// Checks the type; changes it where nothing is lost.
    fn typed(&mut self, schema: &Value, value: Value, path: &str) -> Value {
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return value,
        };
        if types.iter().any(|name| has_type(&value, name)) {
            return value;
        }
        let text = value.as_str().map(|text| text.trim().to_owned());
        for name in &types {
            let changed = match (*name, text.as_deref()) {
                ("number" | "integer", Some(text)) => number(text).filter(|number| has_type(number, name)),
                ("boolean", Some(text)) => match text.to_lowercase().as_str() {
                    "true" | "yes" => Some(true.into()),
                    "false" | "no" => Some(false.into()),
                    _ => None,
                },
                ("null", Some(text)) if nullish(text) => Some(Value::Null),
                ("string", None) if value.is_number() || value.is_boolean() => Some(value.to_string().into()),
                _ => None,
            };
            if let Some(changed) = changed {
                self.change(path, format!("read {value} as {name}"));
                return changed;
            }
        }
        self.problem(path, format!("is {}, not {}", kind(&value), types.join(" or ")));
        value
    }

    fn listed(&mut self, schema: &Value, value: Value, path: &str) -> Value {
        let one = schema.get("const").map(std::slice::from_ref);
        let Some(allowed) = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice).or(one) else {
            return value;
        };
        if allowed.contains(&value) {
            return value;
        }
        if let Some(text) = value.as_str() {
            let plain = |text: &str| text.trim().trim_matches(['*', '"', '\'', '.']).to_lowercase();
            let mut same =
                allowed.iter().filter(|word| word.as_str().is_some_and(|word| plain(word) == plain(text)));
            if let (Some(word), None) = (same.next(), same.next()) {
                self.change(path, format!("read {value} as {word}"));
                return word.clone();
            }
        }
        let words: Vec<String> = allowed.iter().take(12).map(Value::to_string).collect();
        self.problem(path, format!("is {}, not one of {}", shorten(&value), words.join(", ")));
        value
    }

    fn object(
        &mut self,
        schema: &'a Value,
        map: Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Map<String, Value> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for name in &required {
            if !map.contains_key(*name) {
                self.problem(&join(path, name), "is missing");
            }
        }
        let Some(properties) = properties else { return map };
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        let mut out = Map::new();
        for (name, value) in map {
            let place = join(path, &name);
            match properties.get(&name) {
                None if closed => self.change(&place, "left out a property that is not asked for"),
                None => {
                    out.insert(name, value);
                }
                Some(inner) => {
                    if value.is_null() && !required.contains(&name.as_str()) && !self.allows_null(inner) {
                        self.change(&place, "left out a null");
                        continue;
                    }
                    let fitted = self.value(inner, value, &place, depth + 1);
                    out.insert(name, fitted);
                }
            }
        }
        out
    }

    fn allows_null(&self, schema: &'a Value) -> bool {
        let mut trial = Check { root: self.root, problems: Vec::new(), changes: Vec::new() };
        trial.value(schema, Value::Null, "", 0);
        trial.problems.is_empty()
    }

    fn array(&mut self, schema: &'a Value, items: Vec<Value>, path: &str, depth: usize) -> Vec<Value> {
        self.limit(schema, "minItems", "maxItems", items.len() as f64, path, "items");
        let Some(inner) = schema.get("items").filter(|inner| inner.is_object()) else { return items };
        let fit = |(n, item)| self.value(inner, item, &format!("{path}[{n}]"), depth + 1);
        items.into_iter().enumerate().map(fit).collect()
    }

    fn limit(&mut self, schema: &Value, least: &str, most: &str, n: f64, path: &str, unit: &str) {
        let get = |word: &str| schema.get(word).and_then(Value::as_f64);
        let has = if unit.is_empty() { format!("is {n}") } else { format!("has {n} {unit}") };
        if let Some(least) = get(least).filter(|least| n < *least) {
            self.problem(path, format!("{has}, least is {least}"));
        }
        if let Some(most) = get(most).filter(|most| n > *most) {
            self.problem(path, format!("{has}, most is {most}"));
        }
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "an object",
        Value::Array(_) => "an array",
        Value::String(_) => "a string",
        Value::Number(_) => "a number",
        Value::Bool(_) => "a truth value",
        Value::Null => "null",
    }
}

/// Reads a plain number. Signs of money, percent and words are left alone: what they mean is not ours to decide.
fn number(text: &str) -> Option<Value> {
    serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number)
}

fn nullish(text: &str) -> bool {
    matches!(text.to_lowercase().as_str(), "" | "null" | "none" | "n/a" | "na" | "nan" | "-" | "unknown")
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(59).chain(['…']).collect() }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "action": {"enum": ["BUY", "SELL", "HOLD"]},
                "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                "target": {"type": ["number", "null"]},
                "note": {"type": "string", "maxLength": 5},
                "reasons": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/reason"}},
            },
            "required": ["action", "confidence"],
            "additionalProperties": false,
            "$defs": {"reason": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}},
        })
    }

    fn fits(value: Value, expected: Value, n_changes: usize) {
        let (found, changes) = fit(&schema(), value).unwrap();
        assert_eq!((&found, changes.len()), (&expected, n_changes), "{changes:?}");
    }

    fn refuses(value: Value, expected: &[&str]) {
        let problems: Vec<String> =
            fit(&schema(), value).unwrap_err().iter().map(Problem::to_string).collect();
        assert_eq!(problems, expected);
    }

    #[test]
    fn what_fits_is_left_alone() {
        let value = json!({"action": "BUY", "confidence": 0.5, "target": null, "reasons": [{"text": "a", "more": 1}]});
        fits(value.clone(), value, 0);
    }

    #[test]
    fn harmless_changes() {
        fits(
            json!({"action": "**hold**", "confidence": "0.5"}),
            json!({"action": "HOLD", "confidence": 0.5}),
            2,
        );
        fits(
            json!({"action": "BUY", "confidence": 1, "target": "N/A", "note": null, "extra": 1}),
            json!({"action": "BUY", "confidence": 1, "target": null}),
            3,
        );
        fits(
            json!({"action": "BUY", "confidence": 1, "target": "212.50", "note": 12}),
            json!({"action": "BUY", "confidence": 1, "target": 212.50, "note": "12"}),
            2,
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        refuses(json!([]), &["is an array, not object"]);
        refuses(
            json!({"action": "MAYBE"}),
            &["confidence is missing", "action is \"MAYBE\", not one of \"BUY\", \"SELL\", \"HOLD\""],
        );
        refuses(json!({"action": "BUY", "confidence": 7}), &["confidence is 7, most is 1"]);
        refuses(json!({"action": "BUY", "confidence": "50%"}), &["confidence is a string, not number"]);
        refuses(
            json!({"action": "BUY", "confidence": 1, "note": "too long"}),
            &["note has 8 characters, most is 5"],
        );
        refuses(
            json!({"action": "BUY", "confidence": 1, "reasons": [{"text": "a"}, {}, "b"]}),
            &["reasons[1].text is missing", "reasons[2] is a string, not object"],
        );
        refuses(
            json!({"action": "BUY", "confidence": 1, "reasons": []}),
            &["reasons has 0 items, least is 1"],
        );
    }

    #[test]
    fn options_and_references() {
        let schema = json!({"anyOf": [{"type": "integer"}, {"type": "null"}]});
        assert_eq!(fit(&schema, json!("12")).unwrap().0, json!(12));
        assert_eq!(fit(&schema, json!(null)).unwrap().1.len(), 0);
        assert!(fit(&schema, json!("x")).is_err());
        let endless = json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}});
        assert!(fit(&endless, json!(1)).is_ok());
        let deep = json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}});
        assert!(fit(&deep, json!(1)).is_err());
    }
}
