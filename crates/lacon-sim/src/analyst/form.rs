//! Answers in a form: each field gets what its name asks for.

use lacon_llm::Message;
use serde_json::Value;

use super::{
    Data,
    decide::{Action, Heard},
    draft, name_of, roles, text_of,
    wish::{Wish, read_wish},
    write::{Draft, count_words},
};

/// Deepest nesting of a form.
const MOST_DEPTH: usize = 8;

/// Writes the answer of a role in a form: the decision in its field, reasons, orders and prices in theirs.
pub fn write_form(role: &str, messages: &[Message], schema: &Value) -> Value {
    let text = text_of(messages);
    let role = name_of(role, messages);
    let wish = Wish { sections: Vec::new(), opening: None, ending: None, ..read_wish(messages) };
    let heard = Heard::read(&text);
    let action = if role == "trader" { heard.stated.unwrap_or(heard.action()) } else { heard.action() };
    let Draft { parts, tail, .. } = draft(&role, &text, &wish);
    let orders = roles::orders(&heard, action);
    let mut reasons: Vec<String> =
        parts.into_iter().flat_map(|(_, all)| all).filter(|s| !orders.contains(s)).collect();
    // What is handed on always stands; of the rest as much as the words allow.
    let fixed: usize = tail.iter().chain(&orders).map(|s| count_words(s)).sum();
    let mut left = wish.max_words.unwrap_or(usize::MAX).saturating_sub(fixed);
    reasons.retain(|s| {
        let words = count_words(s);
        let fits = words <= left;
        left = if fits { left - words } else { 0 };
        fits
    });
    let close = heard.levels.as_ref().map(|l| l.close).or_else(|| last_close(&text));
    // Lines of their own, so that who reads on finds them.
    let reasons = [reasons, tail].concat().join("\n");
    fill(schema, "", &Material { reasons, orders: orders.join(" "), heard: &heard, close, action }, 0)
}

struct Material<'a> {
    reasons: String,
    orders: String,
    heard: &'a Heard,
    close: Option<f64>,
    action: Action,
}

fn last_close(text: &str) -> Option<f64> {
    let data = Data::read(text);
    let told = data.last_close.and_then(|(close, _)| close.parse().ok());
    data.days.last().map(|day| day.close).or(told)
}

fn fill(schema: &Value, name: &str, material: &Material<'_>, depth: usize) -> Value {
    if depth > MOST_DEPTH {
        return Value::Null;
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return choose(words, material);
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let nullable = types.contains(&"null");
    match types.first().copied() {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let fields = properties.into_iter().flatten();
            Value::Object(
                fields.map(|(name, of)| (name.clone(), fill(of, name, material, depth + 1))).collect(),
            )
        }
        Some("array") => {
            let items = schema.get("items").cloned().unwrap_or_default();
            Value::Array(vec![fill(&items, name, material, depth + 1)])
        }
        Some("number" | "integer") => match price(name, material) {
            Some(price) if types[0] == "integer" => (price.round() as i64).into(),
            Some(price) => price.into(),
            None if nullable => Value::Null,
            None => 0.into(),
        },
        Some("boolean") => (material.action == Action::Buy).into(),
        Some("null") => Value::Null,
        _ => words(name, material).map_or_else(
            || if nullable { Value::Null } else { "The material says nothing on this.".into() },
            Value::from,
        ),
    }
}

/// The number that a field's name asks for.
fn price(name: &str, material: &Material<'_>) -> Option<f64> {
    if name.contains("confidence") {
        return Some(f64::from(material.heard.confidence()));
    }
    let levels = material.heard.levels.as_ref();
    match (name, material.action) {
        (name, Action::Hold) if ["stop", "target", "entry"].iter().any(|w| name.contains(w)) => None,
        (name, action) if name.contains("stop") => levels.map(|l| l.stop(action).0),
        (name, action) if name.contains("target") => levels?.target(action).map(|(price, _)| price),
        _ => material.close,
    }
}

/// The text that a field's name asks for.
fn words(name: &str, material: &Material<'_>) -> Option<String> {
    let is = |names: &[&str]| names.iter().any(|w| name.contains(w));
    let starting = |head: &str| {
        let at = material.orders.find(head)? + head.len();
        let rest = &material.orders[at..];
        Some(rest[..rest.find(". ").map_or(rest.len(), |end| end + 1)].trim().to_owned())
    };
    let text = if is(&["sizing", "size"]) {
        starting("Size:")?
    } else if is(&["horizon"]) {
        starting("Horizon:")?
    } else if is(&["action", "summary", "strateg", "order"]) {
        material.orders.clone()
    } else {
        material.reasons.clone()
    };
    (!text.is_empty()).then_some(text)
}

/// The word of a list that the evidence leans to.
fn choose(words: &[Value], material: &Material<'_>) -> Value {
    let rating = material.heard.rating();
    let of_total = material.heard.action() == material.action;
    let wanted: [&str; 2] = match material.action {
        _ if of_total => [rating, material.action.word()],
        action => [action.word(), "neutral"],
    };
    let named =
        |wanted: &&str| words.iter().find(|w| w.as_str().is_some_and(|w| w.eq_ignore_ascii_case(wanted)));
    wanted.iter().find_map(named).or(words.first()).cloned().unwrap_or_default()
}
