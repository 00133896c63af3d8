//! Journals of runs, of the trading graph and of teams: one line a finished call, tool or node, behind its checksum. A run
//! that still goes on has a journal and no trace yet.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Answer, Kind, Problem, Shown, SpanTokens, attributes,
    batch::{Batch, Outer},
    json,
    settle::Raw,
};

/// Hexadecimal digits of a line's checksum, before a blank.
const CHECKSUM: usize = 8;

/// The JSON of a line, where it is one of a journal.
fn body(line: &str) -> Option<&str> {
    let (sum, rest) = line.split_at_checked(CHECKSUM)?;
    let rest = rest.strip_prefix(' ').filter(|rest| rest.starts_with('{'))?;
    sum.bytes().all(|b| b.is_ascii_hexdigit()).then_some(rest)
}

/// Whether a text is a journal.
pub fn is_journal(text: &str) -> bool {
    let first = text.lines().next().and_then(body);
    let first = first.and_then(|first| serde_json::from_str::<Value>(first).ok());
    first.is_some_and(|first| json::get(&first, "kind").and_then(Value::as_str) == Some("run"))
}

/// Reads the lines of a journal. A last line that is cut off is one that was not written in full.
pub fn read(text: &str, problems: &mut Vec<Problem>) -> Batch {
    let mut journal = Journal::default();
    for line in text.lines() {
        match body(line).map(serde_json::from_str::<Value>) {
            Some(Ok(value)) => journal.line(&value),
            _ => super::note(problems, "broken_line", line.chars().take(60).collect::<String>()),
        }
    }
    journal.batch()
}

#[derive(Default)]
struct Journal {
    name: String,
    inputs: BTreeMap<String, String>,
    nodes: Vec<Raw>,
    work: Vec<Raw>,
}

fn text(value: &Value, key: &str) -> Option<String> {
    json::get(value, key).and_then(json::text).filter(|text| !text.is_empty())
}

fn times(fact: &Value, raw: &mut Raw) {
    let seconds =
        |key: &str| json::get(fact, key).and_then(Value::as_f64).filter(|s| s.is_finite() && *s >= 0.0);
    raw.start = seconds("start_s");
    raw.end = seconds("end_s");
    raw.first_token = seconds("first_token_s");
}

impl Journal {
    fn line(&mut self, line: &Value) {
        let mut raw = Raw::default();
        let span = &mut raw.span;
        span.scope = Some("lacon".into());
        span.ended = true;
        match json::get(line, "kind").and_then(Value::as_str) {
            Some("run") => {
                let Some(about) = json::get(line, "about") else { return };
                self.name =
                    text(about, "team").or_else(|| text(about, "ticker")).unwrap_or_else(|| "run".into());
                for (from, key) in [(about, "ticker"), (about, "date")] {
                    self.inputs.extend(text(from, key).map(|value| (key.to_owned(), value)));
                }
                let given = json::get(about, "inputs").and_then(Value::as_object);
                for (key, value) in given.into_iter().flatten() {
                    self.inputs.extend(json::text(value).map(|value| (key.clone(), value)));
                }
            }
            Some("call") => {
                let Some(fact) = json::first(line, &["fact.call"]) else { return };
                span.kind = Kind::Model;
                span.role = text(fact, "role");
                span.name = span.role.clone().unwrap_or_else(|| "call".into());
                span.model = text(fact, "model");
                let count = |key: &str| json::get(fact, key).and_then(json::count);
                span.tokens = SpanTokens {
                    prompt: count("prompt"),
                    cached: count("cached"),
                    cache_write: count("cache_write"),
                    cache_write_1h: count("cache_write_1h"),
                    completion: count("completion"),
                    reasoning: count("reasoning"),
                    ..SpanTokens::default()
                };
                if span.tokens.sum().is_none() {
                    let counted =
                        |key: &str| json::first(line, &[key]).and_then(json::count).filter(|n| *n > 0);
                    span.tokens.prompt = counted("fact.tokens.prompt");
                    span.tokens.completion = counted("fact.tokens.completion");
                    span.tokens.estimated = span.tokens.sum().is_some();
                }
                if text(fact, "status").is_some_and(|status| status != "ok") {
                    span.error = text(fact, "status");
                }
                if let Some(answer) = json::first(line, &["answer.text"]).and_then(json::text) {
                    span.answer = if answer.trim().is_empty() { Answer::Empty } else { Answer::Text };
                    span.shown.push(Shown::new("answer", &answer, true));
                }
                if let Some(micro) = json::first(line, &["fact.micro_usd"]).and_then(json::count) {
                    span.cost_usd = Some(micro as f64 / 1e6);
                }
                times(fact, &mut raw);
                self.work.push(raw);
            }
            Some("tool") => {
                let Some(fact) = json::first(line, &["fact.tool"]) else { return };
                span.kind = Kind::Tool;
                span.role = text(fact, "role");
                span.name = text(fact, "name").unwrap_or_else(|| "tool".into());
                if let Some(args) = json::get(fact, "args") {
                    span.shown.push(Shown::new("arguments", &args.to_string(), false));
                }
                if let Some(result) = json::get(line, "text") {
                    span.attributes.insert("result_bytes".into(), attributes::size(result).into());
                    span.shown.push(Shown::new("result", result.as_str().unwrap_or_default(), true));
                }
                if text(fact, "status").is_some_and(|status| status != "ok") {
                    span.error = text(fact, "status");
                }
                times(fact, &mut raw);
                self.work.push(raw);
            }
            Some("node") => {
                let Some(fact) = json::get(line, "fact") else { return };
                span.kind = Kind::Node;
                span.name = text(fact, "node").unwrap_or_else(|| "node".into());
                span.error = text(fact, "error");
                let inputs = json::get(fact, "inputs").and_then(Value::as_array);
                span.inputs = inputs.map(|list| list.iter().filter_map(json::text).collect());
                times(fact, &mut raw);
                self.nodes.push(raw);
            }
            _ => {}
        }
    }

    /// Puts calls and tools under the node of their role that ran then. Work whose node has not ended gets one that is
    /// still open.
    fn batch(mut self) -> Batch {
        for (i, node) in self.nodes.iter_mut().enumerate() {
            node.span.id = format!("node {i}");
        }
        let roles: BTreeSet<String> = self.work.iter().filter_map(|work| work.span.role.clone()).collect();
        let mut open: BTreeMap<String, Raw> = BTreeMap::new();
        for (i, work) in self.work.iter_mut().enumerate() {
            work.span.id = format!("work {i}");
            let role = work.span.role.clone().unwrap_or_else(|| work.span.name.clone());
            let (start, end) = (work.start.unwrap_or(0.0), work.end.unwrap_or(0.0));
            let over = |node: &&Raw| {
                node.start.is_some_and(|from| from <= start + SLACK)
                    && node.end.is_some_and(|to| to + SLACK >= end)
            };
            let own = self.nodes.iter().filter(over).find(|node| node.span.name == role);
            // A group or a loop is one node, and none of its agents has its name.
            let seconds = |node: &&Raw| node.end.unwrap_or(0.0) - node.start.unwrap_or(0.0);
            let shared = self.nodes.iter().filter(over).filter(|node| !roles.contains(&node.span.name));
            let shared = shared.min_by(|a, b| seconds(a).total_cmp(&seconds(b)));
            if let Some(node) = own.or(shared) {
                work.parent = Some(node.span.id.clone());
                continue;
            }
            let node = open.entry(role.clone()).or_insert_with(|| {
                let mut node = Raw { start: Some(start), ..Raw::default() };
                node.span.id = format!("open {role}");
                node.span.name = role;
                node.span.kind = Kind::Node;
                node
            });
            node.start = node.start.map(|from| from.min(start));
            work.parent = Some(node.span.id.clone());
        }
        let id = self.name.clone();
        let mut nodes: Vec<Raw> = self.nodes.into_iter().chain(open.into_values()).collect();
        let last = nodes.iter().chain(&self.work).filter_map(|raw| raw.end).reduce(f64::max);
        let mut root = Raw { start: Some(0.0), end: last, ..Raw::default() };
        (root.span.id, root.span.name, root.span.kind) = ("run".into(), id.clone(), Kind::Run);
        nodes.iter_mut().for_each(|node| node.parent = Some("run".into()));
        let mut raws: Vec<Raw> = [root].into_iter().chain(nodes).chain(self.work).collect();
        raws.iter_mut().for_each(|raw| raw.trace = Some(id.clone()));
        let outer = Outer { id, name: self.name, inputs: Some(self.inputs), flags: None };
        Batch { raws, outer: vec![outer], ..Batch::default() }
    }
}

/// A node and its call are timed by two clocks' readings.
const SLACK: f64 = 0.001;
