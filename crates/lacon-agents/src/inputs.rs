//! What a run is given: values by name, checked against what the team asks for.

use std::collections::BTreeMap;

use lacon_runtime::config::nearest;
use serde_json::Value;

use crate::{
    check::MAX_ITEMS,
    team::{Input, InputKind, Team},
};

/// Most bytes of one input.
pub const MAX_INPUT_BYTES: usize = 8 << 20;

/// The values of a run, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    texts: BTreeMap<String, String>,
    lists: BTreeMap<String, Vec<String>>,
}

impl Inputs {
    /// Fits values to a team: texts are texts, whole numbers may be given as text, lists as a JSON array or as lines.
    ///
    /// # Errors
    /// Every value that is missing, unknown, too long or of another kind, with a hint.
    pub fn new(team: &Team, given: &BTreeMap<String, Value>) -> Result<Self, String> {
        let mut problems: Vec<String> = Vec::new();
        let mut inputs = Self::default();
        for name in given.keys().filter(|name| !team.inputs.contains_key(*name)) {
            let known: Vec<&str> = team.inputs.keys().map(String::as_str).collect();
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("the team takes: {}", known.join(", ")),
            };
            problems.push(format!("input {name:?} is unknown\nhint: {hint}"));
        }
        for (name, input) in &team.inputs {
            match given.get(name).or(input.default.as_ref()) {
                None => problems.push(format!(
                    "input {name:?} is missing{}\nhint: add --input {name}=… or --input {name}=@FILE",
                    if input.about.is_empty() { String::new() } else { format!(" ({})", input.about) }
                )),
                Some(value) => {
                    if let Err(problem) = inputs.put(name, input, value) {
                        problems.push(problem);
                    }
                }
            }
        }
        if problems.is_empty() { Ok(inputs) } else { Err(problems.join("\n")) }
    }

    fn put(&mut self, name: &str, input: &Input, value: &Value) -> Result<(), String> {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if text.len() > MAX_INPUT_BYTES {
            return Err(format!(
                "input {name:?} has {} bytes, at most {MAX_INPUT_BYTES} are possible\nhint: divide it",
                text.len()
            ));
        }
        match input.kind {
            InputKind::Text => drop(self.texts.insert(name.into(), text)),
            InputKind::Integer => {
                let number: i64 = text.trim().parse().map_err(|_| {
                    format!("input {name:?} is {:?}\nhint: a whole number is needed", short(&text))
                })?;
                self.texts.insert(name.into(), number.to_string());
            }
            InputKind::List => {
                let items = list(name, value)?;
                self.texts.insert(name.into(), items.join("\n"));
                self.lists.insert(name.into(), items);
            }
        }
        Ok(())
    }

    /// The text of an input; of a list its items, one a line.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// The items of a list.
    pub fn list(&self, name: &str) -> Option<&[String]> {
        self.lists.get(name).map(Vec::as_slice)
    }

    /// All values as JSON.
    pub fn to_json(&self) -> Value {
        let texts = self.texts.iter().map(|(name, text)| match self.lists.get(name) {
            Some(items) => (name.clone(), Value::from(items.clone())),
            None => (name.clone(), Value::from(text.clone())),
        });
        Value::Object(texts.collect())
    }
}

/// The items of a list: of an array its members, of a text its lines.
fn list(name: &str, value: &Value) -> Result<Vec<String>, String> {
    let of = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let items: Vec<String> = match value {
        Value::Array(items) => items.iter().map(of).collect(),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Array(items)) => items.iter().map(of).collect(),
            _ => text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect(),
        },
        other => {
            return Err(format!("input {name:?} is {}\nhint: a list is needed", short(&other.to_string())));
        }
    };
    if items.len() > MAX_ITEMS {
        return Err(format!(
            "input {name:?} has {} items, at most {MAX_ITEMS} are possible\nhint: divide it",
            items.len()
        ));
    }
    Ok(items)
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
