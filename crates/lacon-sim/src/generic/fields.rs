//! Values for a JSON Schema, taken from a text.

use serde_json::{Map, Value};

/// Deepest nesting that is filled.
const MAX_DEPTH: usize = 8;

/// Fills a schema from a text: fields that the text names get what it says, numbers the first figure; a field that may be
/// null and is not found is null.
pub fn fill(schema: &Value, text: &str) -> Value {
    let text = text.rsplit_once("Document:").map_or(text, |(_, document)| document);
    value("", schema, text, 0)
}

fn value(key: &str, schema: &Value, text: &str, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|values| values.first()) {
        return first.clone();
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => vec![if schema.get("properties").is_some() { "object" } else { "string" }],
    };
    let nullable = types.contains(&"null");
    match types.iter().find(|name| **name != "null").copied().unwrap_or("null") {
        "object" => {
            let empty = Map::new();
            let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
            let filled = properties.iter().take(100);
            Value::Object(
                filled.map(|(key, inner)| (key.clone(), value(key, inner, text, depth + 1))).collect(),
            )
        }
        "array" => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            Value::Array(vec![value(key, items, text, depth + 1)])
        }
        "number" => figure(key, text).map_or(or(nullable, 0.into()), Value::from),
        "integer" => figure(key, text).map_or(or(nullable, 0.into()), |n| Value::from(n as i64)),
        "boolean" => Value::Bool(text.to_lowercase().contains(&key.to_lowercase())),
        "null" => Value::Null,
        _ => words(key, text).map_or(or(nullable, "not stated".into()), Value::from),
    }
}

fn or(nullable: bool, value: Value) -> Value {
    if nullable { Value::Null } else { value }
}

/// What stands behind the key and a colon, or a date for a key that asks for one.
fn words(key: &str, text: &str) -> Option<String> {
    if let Some(found) = labeled(key, text) {
        return Some(found.to_owned());
    }
    let is_date = |word: &&str| {
        word.len() == 10
            && word
                .bytes()
                .enumerate()
                .all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() })
    };
    let mut words = text.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    if key.contains("date") {
        return words.find(is_date).map(Into::into);
    }
    None
}

/// The rest of the line, or up to the next comma or semicolon, behind "key:".
fn labeled<'t>(key: &str, text: &'t str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        line.split([';', ',']).find_map(|part| {
            let (label, found) = part.split_once(':')?;
            let found = found.trim();
            (label.trim().eq_ignore_ascii_case(key) && !found.is_empty()).then_some(found)
        })
    })
}

/// The figure that the text gives for a key, else its first one.
fn figure(key: &str, text: &str) -> Option<f64> {
    let number = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_digit());
        bare.replace(',', "").parse::<f64>().ok().filter(|n| n.is_finite())
    };
    let first = |text: &str| text.split_whitespace().filter(|word| !word.contains('-')).find_map(number);
    labeled(key, text).and_then(first).or_else(|| first(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_come_from_the_document() {
        let schema = json!({"type": "object", "properties": {
            "name": {"type": ["string", "null"]}, "date": {"type": "string"},
            "amount": {"type": "number"}, "subject": {"type": ["string", "null"]}}});
        let text = "Document:\nName: Ada Lane; Amount: 12.50\nSent on 2025-03-04.";
        let expected = json!({"name": "Ada Lane", "date": "2025-03-04", "amount": 12.5, "subject": null});
        assert_eq!(fill(&schema, text), expected);
    }
}
