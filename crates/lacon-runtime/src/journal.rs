//! The journal of a run: every finished call and every finished node, so that a killed run goes on where it stopped.
//!
//! A finished node is not started again; a finished call of a node that was cut off is answered from here. Facts travel
//! with what they are about, so the books of a run that was killed ten times balance like those of one that never was.
//! A line is in the file before anything is built on it; one that was torn by a kill is cut off at the next opening.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{Mutex, PoisonError},
};

use lacon_graph::{JournalError, Log, Record};
use lacon_llm::{Finish, Response, ToolCall};
use lacon_monitor::{CallFact, NodeFact, ToolFact, ledger::Saving};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ToolText;

/// What a later process needs of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
    finish: Finish,
    model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_state: Option<Value>,
}

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    /// What the run was started with.
    Run { about: Value },
    /// A model call. Without an answer it failed; its cost stays in the books.
    Call {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Answer>,
        fact: Box<CallFact>,
    },
    /// A tool call.
    Tool {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(default)]
        no_data: bool,
        fact: Box<ToolFact>,
    },
    /// A finished node with what it added to the state.
    Node {
        record: Record<Value>,
        fact: Option<NodeFact>,
        savings: Vec<Saving>,
        receipts: Vec<Value>,
        warnings: Vec<String>,
    },
}

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
    answers: HashMap<String, VecDeque<Answer>>,
    texts: HashMap<String, VecDeque<ToolText>>,
}

/// An open journal of a run.
#[derive(Debug)]
pub struct RunJournal {
    log: Mutex<Option<Log>>,
    waiting: Mutex<Waiting>,
    problem: Mutex<Option<String>>,
}

impl RunJournal {
    /// Opens the journal of a run folder, or begins one.
    ///
    /// # Errors
    /// When the file cannot be used or is damaged before its last line.
    pub fn open(path: &Path, about: Value) -> Result<(Self, Restored), JournalError> {
        let (log, lines) = Log::open::<Line>(path)?;
        let mut restored = Restored::default();
        let mut waiting = Waiting::default();
        for line in lines {
            match line {
                Line::Run { about } => restored.about = Some(about),
                Line::Call { key, answer, fact } => {
                    restored.calls.push(*fact);
                    if let Some(answer) = answer {
                        waiting.answers.entry(key).or_default().push_back(answer);
                    }
                }
                Line::Tool { key, text, no_data, fact } => {
                    restored.tools.push(*fact);
                    if let Some(text) = text {
                        waiting.texts.entry(key).or_default().push_back(ToolText { text, no_data });
                    }
                }
                Line::Node { record, fact, savings, receipts, warnings } => {
                    restored.nodes.push(record);
                    restored.node_facts.extend(fact);
                    restored.savings.extend(savings);
                    restored.receipts.extend(receipts);
                    restored.warnings.extend(warnings);
                }
            }
        }
        let journal =
            Self { log: Mutex::new(Some(log)), waiting: Mutex::new(waiting), problem: Mutex::new(None) };
        if restored.about.is_none() {
            journal.write("run", &Line::Run { about });
        }
        Ok((journal, restored))
    }

    /// Reads what a journal says of how its run was started.
    ///
    /// # Errors
    /// As [`RunJournal::open`].
    pub fn about(path: &Path) -> Result<Option<Value>, JournalError> {
        let (_, lines) = Log::open::<Line>(path)?;
        Ok(lines.into_iter().find_map(|line| match line {
            Line::Run { about } => Some(about),
            _ => None,
        }))
    }

    /// Copies a journal up to the first line that is about a node, to a path that must not exist yet: a run that goes
    /// on from there does that node, and what came after, anew.
    ///
    /// # Errors
    /// As [`RunJournal::open`]; when the journal holds nothing about the node, or the new file exists.
    pub fn fork(from: &Path, to: &Path, node: &str) -> Result<(), JournalError> {
        let (_, lines) = Log::open::<Line>(from)?;
        let about = |line: &Line| match line {
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

    /// A disk that takes no more lines ends the journal, not the run; [`RunJournal::problem`] tells.
    fn write(&self, about: &str, line: &Line) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = log.as_mut() else { return };
        if let Err(error) = open.append(about, line) {
            *log = None;
            let source = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
            *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{error}{source}"));
        }
    }

    /// Why the journal ended before its run.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer that an earlier process got to the same call.
    pub(crate) fn answer(&self, key: &str) -> Option<Response> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = waiting.answers.get_mut(key)?.pop_front()?;
        let mut response = Response::new(answer.model, answer.text);
        response.tool_calls = answer.tool_calls;
        response.finish = answer.finish;
        response.provider_state = answer.provider_state;
        Some(response)
    }

    /// The text that an earlier process got from the same tool call.
    pub(crate) fn text(&self, key: &str) -> Option<ToolText> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.texts.get_mut(key)?.pop_front()
    }

    pub(crate) fn call(&self, key: String, response: Option<&Response>, fact: &CallFact) {
        let answer = response.map(|r| Answer {
            text: r.text.clone(),
            tool_calls: r.tool_calls.clone(),
            finish: r.finish.clone(),
            model: r.model.clone(),
            provider_state: r.provider_state.clone(),
        });
        self.write("call", &Line::Call { key, answer, fact: Box::new(fact.clone()) });
    }

    pub(crate) fn tool(&self, key: String, text: Option<&ToolText>, fact: &ToolFact) {
        let line = Line::Tool {
            key,
            text: text.map(|t| t.text.clone()),
            no_data: text.is_some_and(|t| t.no_data),
            fact: Box::new(fact.clone()),
        };
        self.write("tool", &line);
    }

    pub(crate) fn node(
        &self,
        record: Record<Value>,
        fact: Option<NodeFact>,
        savings: Vec<Saving>,
        receipts: Vec<Value>,
        warnings: Vec<String>,
    ) {
        self.write("node", &Line::Node { record, fact, savings, receipts, warnings });
    }
}

/// The name of a model call: who asks, which turn, what.
pub(crate) fn call_key(role: &str, turn: u32, digest: &str) -> String {
    format!("{role}/{turn}/{digest}")
}
