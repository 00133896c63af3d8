//! JSON of a model's text, read by a schema; nothing here calls a model.

mod json;
mod schema;

use serde_json::Value;

pub use schema::Problem;

use crate::enough;

/// JSON that fits a schema, and what was changed to make it fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The value.
    pub value: Value,
    /// Each change, such as `read "12.5" as a number at confidence`; empty when the text fits as it is.
    pub changes: Vec<String>,
}

/// Reads JSON that fits `schema` from a model's text, mending what can be mended without guessing.
pub fn fit(schema: &Value, text: &str) -> Result<Fitted, Vec<Problem>> {
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && !is_echo(schema, &value)
    {
        return schema::fit(schema, value).map(|(value, changes)| Fitted { value, changes });
    }
    let mut problems = None;
    for (mut value, mut notes) in json::candidates(text) {
        let is_echo = is_echo(schema, &value);
        if is_echo {
            // Some models fill in the schema instead of writing what it describes.
            value = value.get_mut("properties").map(Value::take).unwrap_or_default();
            notes.push("read the values inside the repeated schema".to_owned());
        }
        match schema::fit(schema, value) {
            Ok((value, changes)) => {
                notes.extend(changes);
                return Ok(Fitted { value, changes: notes });
            }
            Err(_) if is_echo => {
                let what = "the answer repeats the schema".to_owned();
                problems = problems.or(Some(vec![Problem { path: String::new(), what }]));
            }
            Err(found) => problems = problems.or(Some(found)),
        }
    }
    Err(problems
        .unwrap_or_else(|| vec![Problem { path: String::new(), what: "no json object found".to_owned() }]))
}

/// Whether an answer is the schema itself, with or without values in it.
fn is_echo(schema: &Value, answer: &Value) -> bool {
    let own = |key: &str| schema.pointer("/properties").and_then(|all| all.get(key)).is_some();
    !own("properties") && !own("type") && answer.get("properties").is_some_and(Value::is_object)
}

/// Closes a JSON text that was cut inside a string; `None` where what is there does not fit the schema.
pub fn closed(schema: &Value, cut: &str) -> Option<String> {
    let mut open = Vec::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in cut.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => drop(open.pop()),
            _ => {}
        }
    }
    if !in_string || escaped {
        return None;
    }
    let closed = format!("{}\"{}", cut.trim_end(), open.iter().rev().collect::<String>());
    let value = serde_json::from_str::<Value>(&closed).ok()?;
    schema::fit(schema, value).is_ok_and(|(_, changes)| changes.is_empty()).then_some(closed)
}

/// Closes an answer in a form that a token limit cut, behind the last whole sentence of the text it was cut in.
pub fn whole_sentences(schema: &Value, cut: &str) -> Option<String> {
    let begin = cut.char_indices().rev().filter(|(_, c)| *c == '"').find_map(|(at, _)| {
        let slashes = cut[..at].bytes().rev().take_while(|b| *b == b'\\').count();
        (slashes % 2 == 0).then_some(at + 1)
    })?;
    let mut readable = String::new();
    enough::read_escapes(&cut[begin..], &mut readable);
    let end = begin + enough::whole_sentences(&readable).len();
    closed(schema, cut.get(..end)?)
}
