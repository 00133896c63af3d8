//! The journal of a run: every finished call and every finished node, so that a killed run goes on where it stopped.
//!
//! A finished node is not started again; a finished call of a node that was cut off is answered from here. Facts travel
//! with what they are about, so the books of a run that was killed ten times balance like those of one that never was.
//! A line is in the file before anything is built on it; one that was torn by a kill is cut off at the next opening. Making
//! the folders of a run takes up to milliseconds, which its first calls need not wait for: they begin beside it and end
//! after it. A run that is killed by then has not begun.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use lacon_graph::{JournalError, Log, Record, checkpoint::line};
use lacon_llm::{Finish, Response, ToolCall};
use lacon_monitor::{CallFact, Ledger, NodeFact, ToolFact, ledger::Saving};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

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
    /// The file is being opened: whole lines wait for it.
    Opening(String),
    Open(Log),
    /// The disk took no more.
    Ended,
}

/// The file of a journal, shared with the thread that opens it.
#[derive(Debug)]
struct Shared {
    place: Mutex<Place>,
    problem: Mutex<Option<String>>,
}

impl Shared {
    fn write(&self, lines: &str) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *place {
            Place::Opening(waiting) => waiting.push_str(lines),
            Place::Open(log) => {
                if let Err(error) = log.append_lines(lines) {
                    self.end(&mut place, &error);
                }
            }
            Place::Ended => {}
        }
    }

    /// A disk that takes no more lines ends the journal, not the run; [`RunJournal::problem`] tells.
    fn end(&self, place: &mut Place, error: &dyn std::error::Error) {
        *place = Place::Ended;
        let source = error.source().map(|s| format!(": {s}")).unwrap_or_default();
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{error}{source}"));
    }

    /// Makes the file, and its folder, in place of one that is there, and writes what has waited.
    fn open(&self, path: &Path) {
        let io = |source| JournalError::Io { path: path.into(), source };
        let removed = || match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let opened = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| removed())
            .map_err(io)
            .and_then(|()| Log::open::<serde::de::IgnoredAny>(path));
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let Place::Opening(waiting) = &mut *place else { return };
        let waiting = std::mem::take(waiting);
        match opened.and_then(|(mut log, _)| log.append_lines(&waiting).map(|()| log)) {
            Ok(log) => *place = Place::Open(log),
            Err(error) => self.end(&mut place, &error),
        }
    }
}

/// Whether a journal of this process is being opened on another thread.
static OPENING: AtomicBool = AtomicBool::new(false);

/// Lets the next one be opened so when it is dropped, also by an event loop that ends before it comes to it.
struct Next;

impl Drop for Next {
    fn drop(&mut self) {
        OPENING.store(false, Ordering::Release);
    }
}

/// An open journal of a run.
#[derive(Debug)]
pub struct RunJournal {
    shared: Arc<Shared>,
    /// Closed once the thread that opens the file has ended; absent where none does.
    opening: Option<watch::Receiver<()>>,
    waiting: Mutex<Waiting>,
}

impl RunJournal {
    /// Begins the journal of a run in place of one that is there. The file and its folder are made on a thread for blocking
    /// work while lines wait in memory; here and at once outside of an event loop, and while another journal of the process
    /// is being begun: of many runs the processor is what they wait for. What fails is told by [`RunJournal::problem`].
    pub fn begin(path: PathBuf, about: &Value) -> Self {
        let place = Mutex::new(Place::Opening(String::new()));
        let shared = Arc::new(Shared { place, problem: Mutex::default() });
        let mut journal = Self { shared, opening: None, waiting: Mutex::default() };
        journal.write::<Value>("run", &Line::Run { about: Cow::Borrowed(about) });
        let shared = Arc::clone(&journal.shared);
        match tokio::runtime::Handle::try_current() {
            Ok(event_loop) if !OPENING.swap(true, Ordering::Acquire) => {
                let (told, opening) = watch::channel(());
                journal.opening = Some(opening);
                // Nobody waits for its result: whoever has to know waits for `told` to go.
                let next = Next;
                drop(event_loop.spawn_blocking(move || {
                    shared.open(&path);
                    drop((next, told));
                }));
            }
            _ => shared.open(&path),
        }
        journal
    }

    /// Waits until the file is open, or cannot be: what is written from then on is in it at once.
    ///
    /// Dropping the future ends the wait and nothing else.
    pub async fn opened(&self) {
        if let Some(opening) = &self.opening {
            // Nothing is ever sent: the wait ends when the opener does, also when it never ran.
            let _ = opening.clone().changed().await;
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
        let shared = Shared { place: Mutex::new(Place::Open(log)), problem: Mutex::default() };
        let journal = Self { shared: Arc::new(shared), opening: None, waiting: Mutex::new(waiting) };
        if restored.about.is_none() {
            journal.write::<Value>("run", &Line::Run { about: Cow::Borrowed(about) });
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

    fn write<U: Serialize>(&self, about: &str, value: &Line<'_, U>) {
        match line(about, value) {
            Ok(line) => self.shared.write(&line),
            Err(error) => {
                let mut place = self.shared.place.lock().unwrap_or_else(PoisonError::into_inner);
                self.shared.end(&mut place, &error);
            }
        }
    }

    /// Why the journal ended before its run.
    pub fn problem(&self) -> Option<String> {
        self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        self.write::<Value>("call", &Line::Call { key: key.into(), answer, fact: Cow::Borrowed(fact) });
    }

    pub(crate) fn tool(&self, key: &str, text: Option<&ToolText>, fact: &ToolFact) {
        let line = Line::Tool {
            key: key.into(),
            text: text.map(|t| (&t.text).into()),
            no_data: text.is_some_and(|t| t.no_data),
            fact: Cow::Borrowed(fact),
        };
        self.write::<Value>("tool", &line);
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
        self.write("node", &line);
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

    #[tokio::test]
    async fn what_is_written_while_the_file_is_made_is_in_it_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/journal.jsonl");
        let journal = RunJournal::begin(path.clone(), &json!({"ticker": "CRCL"}));
        asked(&journal);
        journal.opened().await;
        asked(&journal);
        assert_eq!(journal.problem(), None);
        drop(journal);
        let (journal, restored) = RunJournal::open(&path, &json!(null)).expect("a journal");
        assert_eq!(restored.about, Some(json!({"ticker": "CRCL"})));
        assert_eq!(restored.calls.len(), 2);
        for _ in 0..2 {
            assert_eq!(journal.answer("bull/1/x").map(|r| r.text), Some("answer".into()));
        }
        assert!(journal.answer("bull/1/x").is_none());
    }

    #[test]
    fn outside_of_an_event_loop_the_file_is_there_at_once_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        fs::write(&path, "of another run").expect("a file");
        drop(RunJournal::begin(path.clone(), &json!(1)));
        assert_eq!(RunJournal::about(&path).expect("a journal"), Some(json!(1)));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_made_is_told_and_ends_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("a file");
        let journal = RunJournal::begin(file.join("journal.jsonl"), &json!(1));
        journal.opened().await;
        asked(&journal);
        assert!(
            journal.problem().is_some_and(|p| p.contains("cannot use journal")),
            "{:?}",
            journal.problem()
        );
    }
}
