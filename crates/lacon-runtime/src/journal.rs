//! The journal of a run: every finished call and every finished node, so that a killed run goes on where it stopped.
//!
//! A finished node is not started again; a finished call of a node that was cut off is answered from here. Facts travel
//! with what they are about, so the books of a run that was killed ten times balance like those of one that never was.
//! A line is in the file before anything is built on it; one that was torn by a kill is cut off at the next opening. The
//! line of a model call waits for its node's, which mostly follows at once, so that both are one write; whatever is asked
//! before that writes it first. Making the folders of a run takes up to milliseconds, which its first calls need not wait
//! for: they are made while those are under way, at the latest when one ends. A run that is killed by then has not begun.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use lacon_graph::{JournalError, Log, Record, checkpoint::line};
use lacon_llm::{Finish, Response, ToolCall};
use lacon_monitor::{CallFact, Ledger, NodeFact, ToolFact, ledger::Saving};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use crate::ToolText;

/// What a later process needs of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer<'a> {
    text: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    tool_calls: Cow<'a, [ToolCall]>,
    finish: Cow<'a, Finish>,
    model: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_state: Option<Cow<'a, Value>>,
}

/// One line of the file, borrowed where it is written. `U` is what a node added to the state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one lives at a time, and is borrowed where it is written")]
enum Line<'a, U> {
    /// What the run was started with.
    Run { about: Cow<'a, Value> },
    /// A model call. Without an answer it failed; its cost stays in the books.
    Call {
        key: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Answer<'a>>,
        fact: Cow<'a, CallFact>,
    },
    /// A tool call.
    Tool {
        key: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Cow<'a, str>>,
        #[serde(default)]
        no_data: bool,
        fact: Cow<'a, ToolFact>,
    },
    /// A finished node with what it added to the state.
    Node {
        record: Record<U>,
        fact: Option<Cow<'a, NodeFact>>,
        savings: Vec<Cow<'a, Saving>>,
        receipts: Vec<Cow<'a, Value>>,
        warnings: Vec<Cow<'a, str>>,
    },
}

/// A line of a file that was read.
type Read = Line<'static, Value>;

/// What an earlier process has left; given out piece by piece.
#[derive(Debug, Default)]
pub struct Restored {
    /// What the run was started with.
    pub about: Option<Value>,
    /// Finished nodes in their order.
    pub nodes: Vec<Record<Value>>,
    /// Model calls.
    pub calls: Vec<CallFact>,
    /// Tool calls.
    pub tools: Vec<ToolFact>,
    /// Nodes.
    pub node_facts: Vec<NodeFact>,
    /// Savings of finished nodes.
    pub savings: Vec<Saving>,
    /// Receipts of finished nodes.
    pub receipts: Vec<Value>,
    /// Warnings.
    pub warnings: Vec<String>,
}

impl Restored {
    /// When the last of it ended, in seconds of the run.
    pub fn end_s(&self) -> f64 {
        let calls = self.calls.iter().map(|c| c.call.end_s);
        let tools = self.tools.iter().map(|t| t.tool.end_s);
        let nodes = self.node_facts.iter().map(|n| n.end_s);
        calls.chain(tools).chain(nodes).fold(0.0, f64::max)
    }
}

#[derive(Debug, Default)]
struct Waiting {
    answers: HashMap<String, VecDeque<Answer<'static>>>,
    texts: HashMap<String, VecDeque<ToolText>>,
}

/// Where lines go.
#[derive(Debug)]
enum Place {
    /// To a file that is not made yet.
    Begun(PathBuf),
    Open(Log),
    /// The disk took no more.
    Ended,
}

impl Place {
    /// Makes the file, and its folder, in place of one that is there.
    fn make(path: &Path) -> Result<Log, JournalError> {
        let removed = || match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| removed());
        made.map_err(|source| JournalError::Io { path: path.into(), source })?;
        Ok(Log::open::<IgnoredAny>(path)?.0)
    }
}

/// The file and the lines that wait for it.
#[derive(Debug)]
struct Lines {
    place: Place,
    held: String,
    /// Whether one of those that wait is of a call: it was paid for.
    paid: bool,
    problem: Option<String>,
}

impl Lines {
    /// Writes what waits. A disk that takes no more lines ends the journal, not the run.
    fn flush(&mut self) {
        let written = match &mut self.place {
            Place::Begun(path) => Place::make(path).and_then(|mut log| {
                log.append_lines(&self.held)?;
                self.place = Place::Open(log);
                Ok(())
            }),
            Place::Open(log) if !self.held.is_empty() => log.append_lines(&self.held),
            Place::Open(_) | Place::Ended => Ok(()),
        };
        self.held.clear();
        self.paid = false;
        if let Err(error) = written {
            self.end(&error);
        }
    }

    fn end(&mut self, error: &dyn std::error::Error) {
        self.place = Place::Ended;
        let source = error.source().map(|s| format!(": {s}")).unwrap_or_default();
        self.problem = Some(format!("{error}{source}"));
    }
}

/// An open journal of a run.
#[derive(Debug)]
pub struct RunJournal {
    lines: Mutex<Lines>,
    waiting: Mutex<Waiting>,
}

impl RunJournal {
    /// Begins the journal of a run in place of one that is there. The file and its folder are made by
    /// [`RunJournal::make`], or by the first call that ends; what fails then is told by [`RunJournal::problem`].
    pub fn begin(path: PathBuf, about: &Value) -> Self {
        let journal = Self::at(Place::Begun(path), Waiting::default());
        drop(journal.hold::<Value>("run", &Line::Run { about: Cow::Borrowed(about) }));
        journal
    }

    fn at(place: Place, waiting: Waiting) -> Self {
        let lines = Lines { place, held: String::new(), paid: false, problem: None };
        Self { lines: Mutex::new(lines), waiting: Mutex::new(waiting) }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the file, and its folder, of a journal that was begun. Does nothing the second time.
    pub fn make(&self) {
        self.lines().flush();
    }

    /// Writes the calls that wait for their node's line.
    pub(crate) fn settle(&self) {
        let mut lines = self.lines();
        if lines.paid {
            lines.flush();
        }
    }

    /// Opens the journal of a run that was begun by an earlier process.
    ///
    /// # Errors
    /// When the file cannot be used or is damaged before its last line.
    pub fn open(path: &Path, about: &Value) -> Result<(Self, Restored), JournalError> {
        let (log, lines) = Log::open::<Read>(path)?;
        let mut restored = Restored::default();
        let mut waiting = Waiting::default();
        for line in lines {
            match line {
                Line::Run { about } => restored.about = Some(about.into_owned()),
                Line::Call { key, answer, fact } => {
                    restored.calls.push(fact.into_owned());
                    if let Some(answer) = answer {
                        waiting.answers.entry(key.into_owned()).or_default().push_back(answer);
                    }
                }
                Line::Tool { key, text, no_data, fact } => {
                    restored.tools.push(fact.into_owned());
                    if let Some(text) = text {
                        let text = ToolText { text: text.into_owned(), no_data };
                        waiting.texts.entry(key.into_owned()).or_default().push_back(text);
                    }
                }
                Line::Node { record, fact, savings, receipts, warnings } => {
                    restored.nodes.push(record);
                    restored.node_facts.extend(fact.map(Cow::into_owned));
                    restored.savings.extend(savings.into_iter().map(Cow::into_owned));
                    restored.receipts.extend(receipts.into_iter().map(Cow::into_owned));
                    restored.warnings.extend(warnings.into_iter().map(Cow::into_owned));
                }
            }
        }
        let journal = Self::at(Place::Open(log), waiting);
        if restored.about.is_none() {
            journal.hold::<Value>("run", &Line::Run { about: Cow::Borrowed(about) }).flush();
        }
        Ok((journal, restored))
    }

    /// Reads what a journal says of how its run was started.
    ///
    /// # Errors
    /// As [`RunJournal::open`].
    pub fn about(path: &Path) -> Result<Option<Value>, JournalError> {
        let (_, lines) = Log::open::<Read>(path)?;
        Ok(lines.into_iter().find_map(|line| match line {
            Line::Run { about } => Some(about.into_owned()),
            _ => None,
        }))
    }

    /// Copies a journal up to the first line that is about a node, to a path that must not exist yet: a run that goes
    /// on from there does that node, and what came after, anew.
    ///
    /// # Errors
    /// As [`RunJournal::open`]; when the journal holds nothing about the node, or the new file exists.
    pub fn fork(from: &Path, to: &Path, node: &str) -> Result<(), JournalError> {
        let (_, lines) = Log::open::<Read>(from)?;
        let about = |line: &Read| match line {
            Line::Run { .. } => false,
            Line::Call { fact, .. } => fact.call.role == node,
            Line::Tool { fact, .. } => fact.tool.role == node || format!("{}_tools", fact.tool.role) == node,
            Line::Node { record, .. } => record.node == node,
        };
        let Some(at) = lines.iter().position(about) else {
            let reason = format!("nothing in it is about node {node:?}");
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, reason);
            return Err(JournalError::Io { path: from.into(), source });
        };
        lacon_graph::fork(from, to, at)
    }

    fn hold<U: Serialize>(&self, about: &str, value: &Line<'_, U>) -> MutexGuard<'_, Lines> {
        let line = line(about, value);
        let mut lines = self.lines();
        match line {
            Ok(line) => lines.held.push_str(&line),
            Err(error) => lines.end(&error),
        }
        lines
    }

    /// Why the journal ended before its run.
    pub fn problem(&self) -> Option<String> {
        self.settle();
        self.lines().problem.clone()
    }

    /// The answer that an earlier process got to the same call.
    pub(crate) fn answer(&self, key: &str) -> Option<Response> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = waiting.answers.get_mut(key)?.pop_front()?;
        let mut response = Response::new(answer.model.into_owned(), answer.text.into_owned());
        response.tool_calls = answer.tool_calls.into_owned();
        response.finish = answer.finish.into_owned();
        response.provider_state = answer.provider_state.map(Cow::into_owned);
        Some(response)
    }

    /// The text that an earlier process got from the same tool call.
    pub(crate) fn text(&self, key: &str) -> Option<ToolText> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.texts.get_mut(key)?.pop_front()
    }

    pub(crate) fn call(&self, key: &str, response: Option<&Response>, fact: &CallFact) {
        let answer = response.map(|r| Answer {
            text: (&r.text).into(),
            tool_calls: (&r.tool_calls).into(),
            finish: Cow::Borrowed(&r.finish),
            model: (&r.model).into(),
            provider_state: r.provider_state.as_ref().map(Cow::Borrowed),
        });
        let line = Line::Call::<Value> { key: key.into(), answer, fact: Cow::Borrowed(fact) };
        self.hold("call", &line).paid = true;
    }

    pub(crate) fn tool(&self, key: &str, text: Option<&ToolText>, fact: &ToolFact) {
        let line = Line::Tool {
            key: key.into(),
            text: text.map(|t| (&t.text).into()),
            no_data: text.is_some_and(|t| t.no_data),
            fact: Cow::Borrowed(fact),
        };
        self.hold::<Value>("tool", &line).flush();
    }

    pub(crate) fn node<U: Serialize>(&self, record: Record<U>, ledger: &Ledger) {
        let name = record.node.clone();
        let of = |node: &str| node == name;
        let fact = ledger.nodes().filter(|n| of(&n.node) && n.visit == record.visit).last();
        let receipts = ledger.receipts().filter(|r| r["node"].as_str().is_some_and(of));
        let line = Line::Node {
            fact: fact.map(Cow::Borrowed),
            savings: ledger.savings().filter(|s| of(&s.node)).map(Cow::Borrowed).collect(),
            receipts: receipts.map(Cow::Borrowed).collect(),
            warnings: ledger.warnings().map(|w| w.as_str().into()).collect(),
            record,
        };
        let mut lines = self.hold("node", &line);
        // What a node gave that called nobody need not be kept before the first call.
        if lines.paid || !matches!(lines.place, Place::Begun(_)) {
            lines.flush();
        }
    }
}

impl Drop for RunJournal {
    fn drop(&mut self) {
        self.settle();
    }
}

/// The name of a model call: who asks, which turn, what.
pub(crate) fn call_key(role: &str, turn: u32, digest: &str) -> String {
    format!("{role}/{turn}/{digest}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn asked(journal: &RunJournal) {
        let response = Response::new("model", "answer");
        let fact = CallFact::answered("bull", 1, Duration::ZERO, "x".into(), Some(7), &response);
        journal.call("bull/1/x", Some(&response), &fact);
    }

    #[test]
    fn the_first_line_makes_the_file_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/journal.jsonl");
        for _ in 0..2 {
            let journal = RunJournal::begin(path.clone(), &json!({"ticker": "CRCL"}));
            asked(&journal);
            journal.make();
            asked(&journal);
            assert_eq!(journal.problem(), None);
        }
        let (journal, restored) = RunJournal::open(&path, &json!(null)).expect("a journal");
        assert_eq!(restored.about, Some(json!({"ticker": "CRCL"})));
        assert_eq!(restored.calls.len(), 2);
        for _ in 0..2 {
            assert_eq!(journal.answer("bull/1/x").map(|r| r.text), Some("answer".into()));
        }
        assert!(journal.answer("bull/1/x").is_none());
    }

    #[test]
    fn a_call_is_written_with_its_node_or_before_the_next_request() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        let journal = RunJournal::begin(path.clone(), &json!(1));
        let written = || fs::read_to_string(&path).map_or(0, |text| text.lines().count());
        let node = || {
            let (node, update) = ("bull".to_owned(), json!({}));
            journal.node(Record { node, visit: 1, item: None, route: None, update }, &Ledger::default());
        };
        node();
        assert!(!path.exists(), "nobody was called");
        asked(&journal);
        assert!(!path.exists());
        node();
        assert_eq!(written(), 4);
        asked(&journal);
        assert_eq!(written(), 4);
        journal.settle();
        assert_eq!(written(), 5);
        asked(&journal);
        drop(journal);
        assert_eq!(fs::read_to_string(&path).map_or(0, |text| text.lines().count()), 6);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_told_and_ends_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("a file");
        let journal = RunJournal::begin(file.join("journal.jsonl"), &json!(1));
        journal.make();
        asked(&journal);
        let problem = journal.problem();
        assert!(problem.as_ref().is_some_and(|p| p.contains("cannot use journal")), "{problem:?}");
    }
}
