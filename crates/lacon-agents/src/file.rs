//! The team file: TOML in, a checked team out, every fault with its line.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use crate::{
    check::{self, Fault, Faults, MAX_FILE_BYTES},
    team::{Agent, Decision, Input, Profile, Rounds, Team, Tool},
};

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    team: Head,
    agent: Vec<Agent>,
    tool: Vec<Tool>,
    group: BTreeMap<String, Rounds>,
    #[serde(rename = "loop")]
    loops: BTreeMap<String, Rounds>,
    profile: BTreeMap<String, Profile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Head {
    name: String,
    about: String,
    inputs: BTreeMap<String, Input>,
    result: String,
    attach: Vec<String>,
    models: BTreeMap<String, String>,
    decision: Option<Decision>,
    rules: String,
    prefixes: Vec<Vec<String>>,
}

const AGENT: &[&str] = &[
    "name",
    "title",
    "prompt",
    "model",
    "by",
    "effort",
    "reads",
    "each",
    "in_flight",
    "tools",
    "prefetch",
    "more",
    "tool_rounds",
    "words",
    "strict",
    "sections",
    "covers",
    "states",
    "output",
    "when",
    "approve",
    "optional",
];
const OUTPUT: &[&str] = &["list", "most", "json"];
const SAYS: &[&str] = &["agent", "says"];
const ROUNDS: &[&str] = &["agents", "at", "rounds", "until"];
const DECISION: &[&str] = &["agent", "values", "stand_ins"];

/// The keys of each table; `*` stands for a name that the user chooses.
const KEYS: &[(&str, &[&str])] = &[
    ("", &["team", "agent", "tool", "group", "loop", "profile"]),
    ("team", &["name", "about", "inputs", "result", "attach", "models", "decision", "rules", "prefixes"]),
    ("team.inputs.*", &["kind", "default", "about"]),
    ("team.decision", DECISION),
    ("agent.*", AGENT),
    ("agent.*.output", OUTPUT),
    ("agent.*.when", SAYS),
    (
        "tool.*",
        &[
            "name",
            "about",
            "arguments",
            "http",
            "mcp",
            "folder",
            "simulated",
            "code",
            "timeout_s",
            "max_kb",
            "keep_s",
            "approve",
        ],
    ),
    ("tool.*.mcp", &["command", "url", "tool", "env"]),
    ("group.*", ROUNDS),
    ("group.*.until", SAYS),
    ("loop.*", ROUNDS),
    ("loop.*.until", SAYS),
    ("profile.*", &["optimizations", "models", "agents", "agent", "group", "decision", "result"]),
    ("profile.*.agent.*", AGENT),
    ("profile.*.agent.*.output", OUTPUT),
    ("profile.*.agent.*.when", SAYS),
    ("profile.*.group.*", ROUNDS),
    ("profile.*.group.*.until", SAYS),
    ("profile.*.decision", DECISION),
];

/// Reads and checks a team; `name` is the file's name in messages.
///
/// # Errors
/// Every fault at once, each with the line where it stands and a hint. Where the text is no TOML, or a value has another
/// type than its key needs, nothing behind it can be checked.
pub fn parse(name: &str, text: &str) -> Result<Team, Faults> {
    let one = |line: Option<usize>, problem: String, hint: &str| {
        Faults(vec![Fault { file: name.into(), line, path: String::new(), problem, hint: hint.into() }])
    };
    if text.len() > MAX_FILE_BYTES {
        let problem = format!("the file has {} bytes, at most {MAX_FILE_BYTES} are read", text.len());
        return Err(one(None, problem, "give long texts as inputs: --input NAME=@FILE"));
    }
    let syntax = |error: &toml::de::Error| {
        let line = error.span().map(|span| line_of(text, span.start));
        let problem = error.message().trim().replace('\n', ", ");
        one(line, problem, "the file is TOML; docs/teams.md shows one of each part")
    };
    let table = DeTable::parse(text).map_err(|error| syntax(&error))?;
    let ends = text.bytes().enumerate().filter_map(|(at, byte)| (byte == b'\n').then_some(at)).collect();
    let mut places = Places { ends, lines: BTreeMap::new(), faults: Vec::new(), file: name };
    places.table(table.get_ref(), "", "");
    let Places { lines, mut faults, .. } = places;
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            faults.extend(syntax(&error).0);
            return Err(Faults(faults));
        }
    };
    let team = team_of(file);
    faults.extend(check::check(&team).into_iter().map(|fault| Fault {
        file: name.into(),
        line: line_at(&lines, &fault.path),
        ..fault
    }));
    if faults.is_empty() {
        return Ok(team);
    }
    faults.sort_by_key(|fault| fault.line);
    Err(Faults(faults))
}

/// Reads a file that a test has checked, in a fraction of the time: nothing is checked, and a fault has no line.
///
/// # Errors
/// Where the text is no TOML, or a value has another type than its key needs.
pub fn trusted(text: &str) -> Result<Team, String> {
    toml::from_str(text).map(team_of).map_err(|error| error.to_string())
}

fn team_of(file: File) -> Team {
    let Head { name, about, inputs, result, attach, models, decision, rules, prefixes } = file.team;
    Team {
        name,
        about,
        inputs,
        result,
        attach,
        models,
        decision,
        rules,
        prefixes,
        agents: file.agent,
        tools: file.tool,
        groups: file.group,
        loops: file.loops,
        profiles: file.profile,
    }
}

/// Where every value of the file stands.
struct Places<'t> {
    /// Where the lines of the text end.
    ends: Vec<usize>,
    file: &'t str,
    lines: BTreeMap<String, usize>,
    faults: Vec<Fault>,
}

impl Places<'_> {
    /// The line of a byte, from 1.
    fn line_of(&self, at: usize) -> usize {
        self.ends.partition_point(|end| *end < at) + 1
    }

    /// Notes the lines of a table and of all in it; `shape` is its path with `*` for what the user names.
    fn table(&mut self, table: &DeTable<'_>, path: &str, shape: &str) {
        let known = KEYS.iter().find(|(of, _)| *of == shape).map(|(_, keys)| *keys);
        for (key, value) in table {
            let key_text: &str = key.get_ref();
            let line = self.line_of(key.span().start);
            let inner = join(path, key_text);
            self.lines.insert(inner.clone(), line);
            let named = match known {
                Some(keys) if !keys.contains(&key_text) => {
                    self.unknown(line, path, key_text, keys);
                    continue;
                }
                Some(_) => key_text,
                None => "*",
            };
            self.value(value.get_ref(), &inner, &join(shape, named));
        }
    }

    fn value(&mut self, value: &DeValue<'_>, path: &str, shape: &str) {
        match value {
            DeValue::Table(table) => self.table(table, path, shape),
            DeValue::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let inner = format!("{path}.{i}");
                    self.lines.insert(inner.clone(), self.line_of(item.span().start));
                    self.value(item.get_ref(), &inner, &format!("{shape}.*"));
                }
            }
            _ => {}
        }
    }

    fn unknown(&mut self, line: usize, path: &str, key: &str, keys: &[&str]) {
        let at = if path.is_empty() { String::new() } else { format!(" of {path}") };
        self.faults.push(Fault {
            file: self.file.into(),
            line: Some(line),
            path: join(path, key),
            problem: format!("key {key:?}{at} is unknown"),
            hint: match lacon_runtime::config::nearest(key, keys.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("known keys: {}", keys.join(", ")),
            },
        });
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

/// The line of a byte, from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// The line of a path, or of the nearest table around it.
fn line_at(lines: &BTreeMap<String, usize>, path: &str) -> Option<usize> {
    let mut path = path;
    loop {
        if let Some(line) = lines.get(path) {
            return Some(*line);
        }
        path = path.rsplit_once('.')?.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_line() {
        let text = "[team]\nname = \"t\"\nresult = \"b\"\ncolour = 1\n\n[[agent]]\nname = \"a\"\n\
                    prompt = \"x {topik}\"\nreads = [\"c\",\n \"input:nothing\"]\nwordz = 3\n";
        let faults = parse("t.toml", text).unwrap_err();
        let lines: Vec<_> = faults.0.iter().filter_map(|f| f.line).collect();
        assert_eq!(lines.len(), faults.0.len(), "{faults}");
        for (line, what) in
            [(4, "colour"), (11, "wordz"), (3, "\"b\""), (8, "topik"), (9, "\"c\""), (10, "nothing")]
        {
            assert!(
                faults.0.iter().any(|f| f.line == Some(line) && f.problem.contains(what)),
                "{line} {what}: {faults}"
            );
        }
    }

    #[test]
    fn what_is_no_team_is_an_error_with_a_line() {
        for text in ["[team\n", "agent = 3\n", "[team]\nname = \"x\"\nname = \"y\"\n", "\u{0}"] {
            let faults = parse("t.toml", text).unwrap_err();
            assert!(faults.0[0].line.is_some(), "{text:?}: {faults}");
        }
        assert!(parse("t.toml", "").is_err());
    }
}
