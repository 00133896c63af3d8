//! The findings of a reader in a part of a file: loose spans, problems, and what only the outermost value says.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{Problem, settle::Raw};

/// What only a run's outermost value says.
#[derive(Clone, Debug, Default)]
pub struct Outer {
    /// The trace or the run that it is about.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Short inputs, where it has any.
    pub inputs: Option<BTreeMap<String, String>>,
    /// Short outputs, where it has any.
    pub flags: Option<BTreeMap<String, Value>>,
}

/// A part of a file, read. Parts are joined in the order of the file.
#[derive(Debug, Default)]
pub struct Batch {
    /// Spans.
    pub raws: Vec<Raw>,
    /// What was wrong with values that are JSON.
    pub problems: Vec<Problem>,
    /// Outermost values.
    pub outer: Vec<Outer>,
    /// Lines whose meaning depends on the lines before them.
    pub lines: Vec<Value>,
}

impl Batch {
    /// Takes in the part that comes after this one.
    pub fn append(&mut self, mut next: Self) {
        self.raws.append(&mut next.raws);
        self.outer.append(&mut next.outer);
        self.lines.append(&mut next.lines);
        join(&mut self.problems, next.problems);
    }
}

/// Joins two lists of problems: counts are added, the earlier example stays.
pub fn join(problems: &mut Vec<Problem>, next: Vec<Problem>) {
    for problem in next {
        match problems.iter_mut().find(|p| p.code == problem.code) {
            Some(known) => known.count += problem.count,
            None => problems.push(problem),
        }
    }
}

/// Outermost values by identifier; of equal ones the first.
pub fn by_id(outer: &[Outer]) -> HashMap<&str, &Outer> {
    let mut found = HashMap::with_capacity(outer.len());
    for one in outer {
        found.entry(one.id.as_str()).or_insert(one);
    }
    found
}

/// How a value begins, for a list of problems.
pub fn beginning(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}
