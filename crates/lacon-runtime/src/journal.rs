//! The journal of a run: every finished call and node, so that a killed run resumes where it stopped.
//!
//! A finished node is not started again, and a finished call of an interrupted node is answered from here. Facts are
//! stored with their subject, so the ledger of a run that was killed ten times adds up like that of an uninterrupted
//! one.
//!
//! Nobody waits for a line. It is written after the requests that depend on it have gone out, which is one event-loop
//! tick later (`RunJournal::keep`), together with all other pending lines. Lines are in the order of their events, so
//! the file never holds a result without its inputs. The next opening cuts off a torn line. Calls that ended within the
//! last tick before a kill, some tenths of a millisecond, are repeated like those in flight. Creating a run's folders
//! takes up to milliseconds, so the first write does it. A run killed before that has not begun.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    convert::Infallible,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lacon_graph::{JournalError, Log, Record, checkpoint::line};
use lacon_llm::{Finish, Response, ToolCall};
use lacon_monitor::{CallFact, Ledger, NodeFact, OpLog, ToolFact, ledger::Saving};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;
use tokio::sync::Notify;

use crate::ToolText;

/// The journal's file in a run's folder.
pub const JOURNAL: &str = "journal.jsonl";

/// A place that more than this machine sees. It gets what the file gets, so that a run can be gone on with elsewhere.
pub trait Keep: Send + Sync + std::fmt::Debug {
    /// Takes whole lines in the order of their events. Nobody waits until they are there.
    fn take(&self, lines: &str);
}

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

/// One line of the file. `U` is what a node added to the state.
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

/// A line that is still to be made.
struct Due(Box<dyn FnOnce() -> Result<String, JournalError> + Send>);

impl std::fmt::Debug for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Due")
    }
}

/// The file and the lines that wait for it.
#[derive(Debug)]
struct Lines {
    place: Place,
    due: Vec<Due>,
    /// Whether one of those that wait is of a call: it was paid for.
    paid: bool,
    problem: Option<String>,
    beside: Option<Arc<dyn Keep>>,
}

impl Lines {
    /// Writes what waits. A disk that takes no more lines ends the journal, not the run.
    fn flush(&mut self) {
        self.paid = false;
        if let Err(error) = self.write() {
            self.end(&error);
        }
    }

    fn write(&mut self) -> Result<(), JournalError> {
        let due = std::mem::take(&mut self.due);
        if let Place::Begun(path) = &self.place {
            self.place = Place::Open(Place::make(path)?);
        }
        let Place::Open(log) = &mut self.place else { return Ok(()) };
        if due.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        let made = due.into_iter().try_for_each(|due| due.0().map(|line| lines.push_str(&line)));
        if let Some(beside) = &self.beside {
            beside.take(&lines);
        }
        log.append_lines(&lines).and(made)
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
    /// Told of every line that waits.
    added: Notify,
}

impl RunJournal {
    /// Begins the journal of a run in place of one that is there. The file and its folder are made when the run's first calls
    /// are under way; what fails then is told by [`RunJournal::problem`].
    pub fn begin(path: PathBuf, about: &Value) -> Self {
        let journal = Self::at(Place::Begun(path), Waiting::default());
        journal.add_run(about);
        journal
    }

    fn at(place: Place, waiting: Waiting) -> Self {
        let lines = Lines { place, due: Vec::new(), paid: false, problem: None, beside: None };
        Self { lines: Mutex::new(lines), waiting: Mutex::new(waiting), added: Notify::new() }
    }

    /// Gives every line from here on to another place too.
    #[must_use]
    pub fn beside(self, place: Option<Arc<dyn Keep>>) -> Self {
        self.lines().beside = place;
        self
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines as they come, each time behind what is ready to run when they do; `ops` is told how long that takes.
    ///
    /// It never ends. Polled behind what adds the lines, it leaves the event loop to the requests that follow from them
    /// first. Dropping the future loses nothing: what waits by then is written with the next line, by
    /// [`RunJournal::problem`], or when the journal is dropped.
    pub(crate) async fn keep(&self, ops: &OpLog) -> Infallible {
        loop {
            tokio::task::yield_now().await;
            ops.time("journal", || self.lines().flush());
            self.added.notified().await;
        }
    }

    /// Writes what waits, unless nothing of it was paid for and there is no file yet.
    pub(crate) fn settle(&self) {
        let mut lines = self.lines();
        if lines.paid || matches!(lines.place, Place::Open(_)) {
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
            journal.add_run(about);
            journal.settle();
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

    /// Adds a line that `make` makes once nobody waits for it.
    fn add(&self, paid: bool, make: impl FnOnce() -> Result<String, JournalError> + Send + 'static) {
        let mut lines = self.lines();
        if matches!(lines.place, Place::Ended) {
            return;
        }
        lines.due.push(Due(Box::new(make)));
        lines.paid |= paid;
        drop(lines);
        self.added.notify_one();
    }

    fn add_run(&self, about: &Value) {
        let about = about.clone();
        self.add(false, move || line::<Line<'_, Value>>("run", &Line::Run { about: Cow::Owned(about) }));
    }

    /// Why the journal ended before its run.
    pub fn problem(&self) -> Option<String> {
        self.settle();
        self.lines().problem.clone()
    }

    /// Whether answers of an earlier process are left.
    pub(crate) fn has_answers(&self) -> bool {
        !self.waiting.lock().unwrap_or_else(PoisonError::into_inner).answers.is_empty()
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

    pub(crate) fn call(&self, key: String, response: Option<&Response>, fact: &CallFact) {
        let answer = response.map(|r| Answer {
            text: r.text.clone().into(),
            tool_calls: r.tool_calls.clone().into(),
            finish: Cow::Owned(r.finish.clone()),
            model: r.model.clone().into(),
            provider_state: r.provider_state.clone().map(Cow::Owned),
        });
        let fact = Cow::Owned(fact.clone());
        self.add(true, move || {
            line::<Line<'_, Value>>("call", &Line::Call { key: key.into(), answer, fact })
        });
    }

    pub(crate) fn tool(&self, key: String, text: Option<&ToolText>, fact: &ToolFact) {
        let (no_data, text) = (text.is_some_and(|t| t.no_data), text.map(|t| t.text.clone()));
        let fact = Cow::Owned(fact.clone());
        self.add(true, move || {
            let (key, text) = (key.into(), text.map(Cow::Owned));
            line::<Line<'_, Value>>("tool", &Line::Tool { key, text, no_data, fact })
        });
    }

    pub(crate) fn node<U: Serialize + Send + 'static>(&self, record: Record<U>, ledger: &Ledger) {
        let of = |node: &str| node == record.node;
        let (fact, receipts, savings, warnings) = ledger.look(|facts| {
            let fact = facts.nodes.iter().rfind(|n| of(&n.node) && n.visit == record.visit);
            let receipts = facts.receipts.iter().filter(|r| r["node"].as_str().is_some_and(of));
            let savings = facts.savings.iter().filter(|s| of(&s.node));
            (
                fact.cloned().map(Cow::Owned),
                receipts.cloned().map(Cow::Owned).collect(),
                savings.cloned().map(Cow::Owned).collect(),
                facts.warnings.iter().cloned().map(Cow::Owned).collect(),
            )
        });
        self.add(false, move || {
            let about = record.node.clone();
            line(&about, &Line::Node { record, fact, savings, receipts, warnings })
        });
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
        journal.call("bull/1/x".into(), Some(&response), &fact);
    }

    #[test]
    fn the_first_line_makes_the_file_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/journal.jsonl");
        for _ in 0..2 {
            let journal = RunJournal::begin(path.clone(), &json!({"ticker": "CRCL"}));
            asked(&journal);
            journal.settle();
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

    #[tokio::test]
    async fn lines_are_written_behind_what_is_ready_and_in_their_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        let journal = RunJournal::begin(path.clone(), &json!(1));
        let kinds = || -> Vec<String> {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let kind =
                |line: &str| serde_json::from_str::<Value>(&line[9..]).expect("JSON")["kind"].to_string();
            text.lines().map(kind).collect()
        };
        let node = || {
            let (node, update) = ("bull".to_owned(), json!({}));
            journal.node(Record { node, visit: 1, item: None, route: None, update }, &Ledger::default());
        };
        node();
        journal.settle();
        assert!(!path.exists(), "nobody was called");
        let work = async {
            asked(&journal);
            node();
            assert_eq!(kinds().len(), 0, "the graph goes before its journal");
            // What was ready goes first, then the journal.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            assert_eq!(kinds(), [r#""run""#, r#""node""#, r#""call""#, r#""node""#]);
            asked(&journal);
        };
        let ops = OpLog::default();
        tokio::select! {
            biased;
            () = work => {}
            never = journal.keep(&ops) => match never {},
        }
        assert_eq!(kinds().len(), 4);
        drop(journal);
        assert_eq!(kinds().len(), 5);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_told_and_ends_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("a file");
        let journal = RunJournal::begin(file.join("journal.jsonl"), &json!(1));
        journal.settle();
        asked(&journal);
        let problem = journal.problem();
        assert!(problem.as_ref().is_some_and(|p| p.contains("cannot use journal")), "{problem:?}");
    }
}
