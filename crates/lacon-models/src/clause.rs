//! A condition on a model's name, as the data writes it.

use serde_json::Value;

use crate::regex::Regex;

/// The longest name that is looked at: nothing longer is a model, and expressions backtrack.
const LONGEST: usize = 256;

/// A condition on a name in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// The name, or the name and what follows a separator.
    Family(String),
    Equals(String),
    Starts(String),
    Ends(String),
    Contains(String),
    Regex(Regex),
    Any(Vec<Kind>),
    All(Vec<Kind>),
}

impl Clause {
    /// Reads a clause: `"=x"` equals, `"^x"` starts with, `"$x"` ends with, `"*x"` contains, `"~x"` a regular
    /// expression, `"x"` the family `x`. A list is "or", `{"and": […]}` is "and". Absent where it is none of these.
    pub fn read(value: &Value) -> Option<Self> {
        kind(value).map(Self)
    }

    /// Returns the clause of the family `name`: the name itself, or what goes on behind a separator.
    pub fn family(name: &str) -> Self {
        Self(Kind::Family(name.to_owned()))
    }

    /// Returns whether the clause holds for `name`, which is in lower case.
    pub fn matches(&self, name: &str) -> bool {
        name.len() <= LONGEST && holds(&self.0, name)
    }
}

fn kind(value: &Value) -> Option<Kind> {
    let list = |values: &Vec<Value>| values.iter().map(kind).collect::<Option<Vec<_>>>();
    match value {
        Value::Array(values) => list(values).map(Kind::Any),
        Value::Object(map) => list(map.get("and")?.as_array()?).map(Kind::All),
        Value::String(text) => {
            let rest = || text[1..].to_owned();
            Some(match text.as_bytes().first()? {
                b'=' => Kind::Equals(rest()),
                b'^' => Kind::Starts(rest()),
                b'$' => Kind::Ends(rest()),
                b'*' => Kind::Contains(rest()),
                b'~' => Kind::Regex(Regex::new(&text[1..])?),
                _ => Kind::Family(text.clone()),
            })
        }
        _ => None,
    }
}

fn holds(kind: &Kind, name: &str) -> bool {
    match kind {
        Kind::Family(text) => name.strip_prefix(text.as_str()).is_some_and(|rest| {
            // A version that goes on is another family: `gpt-5` is not `gpt-5.6`.
            rest.is_empty() || rest.starts_with(['-', ':', '@', '_', '/'])
        }),
        Kind::Equals(text) => name == text,
        Kind::Starts(text) => {
            name.strip_prefix(text.as_str()).is_some_and(|rest| !another_version(text, rest))
        }
        Kind::Ends(text) => name.ends_with(text.as_str()),
        Kind::Contains(text) => {
            name.match_indices(text.as_str()).any(|(at, _)| !another_version(text, &name[at + text.len()..]))
        }
        Kind::Regex(regex) => regex.is_match(name),
        Kind::Any(kinds) => kinds.iter().any(|kind| holds(kind, name)),
        Kind::All(kinds) => kinds.iter().all(|kind| holds(kind, name)),
    }
}

/// Returns whether a name that goes on with `rest` has another version than `text` ends with: `claude-opus-4-1` is not
/// `claude-opus-4-12`. A number that `text` cuts short (`claude-sonnet-4-2025`, `flash-0`) is no version.
fn another_version(text: &str, rest: &str) -> bool {
    let number = &text[text.trim_end_matches(|c: char| c.is_ascii_digit()).len()..];
    (1..=2).contains(&number.len()) && number != "0" && rest.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(clause: Value, yes: &[&str], no: &[&str]) {
        let read = Clause::read(&clause).expect("a clause");
        for name in yes {
            assert!(read.matches(name), "{clause} must match {name:?}");
        }
        for name in no {
            assert!(!read.matches(name), "{clause} must not match {name:?}");
        }
    }

    #[test]
    fn each_kind() {
        check(json!("=gpt-4"), &["gpt-4"], &["gpt-4o", "a/gpt-4"]);
        check(
            json!("^claude-opus-4-1"),
            &["claude-opus-4-1", "claude-opus-4-1-20250805"],
            &["claude-opus-4-12"],
        );
        check(json!("^claude-sonnet-4-2025"), &["claude-sonnet-4-20250514"], &["claude-sonnet-4-2026"]);
        check(json!("*opus-4-5"), &["us.claude-opus-4-5-v1", "opus-4-5"], &["opus-4-50"]);
        check(json!("$-latest"), &["x-latest"], &["x-latest-1"]);
        check(json!(["=a", "=b"]), &["a", "b"], &["c"]);
        check(json!({"and": ["^a", "$b"]}), &["ab", "axb"], &["a", "b"]);
    }

    #[test]
    fn a_family_ends_at_a_separator() {
        check(json!("ada"), &["ada", "ada-2", "ada:ft"], &["adagio-7b", "ada2", "xada"]);
        check(json!("gpt-5"), &["gpt-5", "gpt-5-mini"], &["gpt-5.6-sol", "gpt-50"]);
    }

    #[test]
    fn what_is_no_clause_and_what_is_no_name() {
        for bad in [json!(1), json!(""), json!({"or": []}), json!("~(")] {
            assert_eq!(Clause::read(&bad), None, "{bad}");
        }
        check(json!("^a"), &[&"a".repeat(256)], &[&"a".repeat(257), ""]);
    }
}
