//! A trace in one shape, whoever wrote it: spans with times, tokens, models and texts, and a list of problems in the
//! file.
//!
//! A reader of a format fills this in and never rejects a whole file for a part of it: unusable parts are counted in
//! [`Trace::problems`]. Times are seconds since the start of the first span.

mod agents;
mod answer;
mod attributes;
mod batch;
mod claude;
mod codex;
mod flat;
mod fold;
mod forms;
mod jaeger;
mod journal;
mod json;
mod langfuse;
mod langsmith;
mod otlp;
mod own;
mod parts;
mod protobuf;
mod receipts;
mod retold;
mod settle;
mod skeleton;
mod state;
mod swe;
mod tree;
mod unread;
mod usage;
mod when;

use std::collections::BTreeMap;

use lacon_llm::Usage;
use serde::Serialize;
use serde_json::{Map, Value};

pub use answer::Answer;
pub use forms::{Form, ReadError, read, read_in_parts};
pub(crate) use json::count as json_count;
pub use usage::of as usage;

/// What a span is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The whole run.
    Run,
    /// A node of the graph or an agent.
    Node,
    /// A model call.
    Model,
    /// A phase or a try of a model call.
    Attempt,
    /// Our own work.
    Own,
    /// A tool call.
    Tool,
    /// A call of another span, seen once more by a second instrumentation.
    Echo,
    /// A tool call of another span, seen once more.
    EchoTool,
    /// Anything else: a chain, a parser.
    #[default]
    Other,
}

/// Tokens as they were reported; absent is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SpanTokens {
    /// Prompt, cached part included.
    pub prompt: Option<u64>,
    /// Of the prompt, read from the provider's cache.
    pub cached: Option<u64>,
    /// Of the prompt, written to the provider's cache for its usual time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// The same for an hour, which some bill higher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
    /// Completion, reasoning included.
    pub completion: Option<u64>,
    /// Of the completion, hidden reasoning.
    pub reasoning: Option<u64>,
    /// All of them.
    pub total: Option<u64>,
    /// Whether prompt and completion were derived from texts because only the total was reported.
    pub estimated: bool,
}

impl SpanTokens {
    /// Joins each figure of two with the same rule.
    fn zip(self, other: Self, rule: impl Fn(Option<u64>, Option<u64>) -> Option<u64>) -> Self {
        Self {
            prompt: rule(self.prompt, other.prompt),
            cached: rule(self.cached, other.cached),
            cache_write: rule(self.cache_write, other.cache_write),
            cache_write_1h: rule(self.cache_write_1h, other.cache_write_1h),
            completion: rule(self.completion, other.completion),
            reasoning: rule(self.reasoning, other.reasoning),
            total: rule(self.total, other.total),
            estimated: self.estimated || other.estimated,
        }
    }

    /// Adds up; what neither knows stays absent.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
        })
    }

    /// The larger of each figure: messages of one stream repeat and grow.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        self.zip(other, Option::max)
    }

    /// Fills in what is not known yet.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self { estimated: self.estimated, ..self.zip(*other, Option::or) }
    }

    /// What is billed, in buckets that do not overlap.
    pub fn usage(&self) -> Usage {
        Usage::from_totals(self.prompt, self.cached, self.completion, self.reasoning)
            .with_written(self.cache_write, self.cache_write_1h)
    }

    /// The total as reported, else the sum of its parts.
    pub fn sum(&self) -> Option<u64> {
        self.total.or(match (self.prompt, self.completion) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
        })
    }
}

/// A text that a trace holds, whole or in part. The text itself is kept to its first 600 bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Text {
    /// Its name in the trace: a state field, a message.
    pub key: String,
    /// Characters of the whole text.
    pub chars: u64,
    /// Tokens of the whole text; extrapolated where only a part is there.
    pub tokens: u64,
    /// Whether the trace holds all of it.
    pub whole: bool,
    /// Its beginning.
    #[serde(skip)]
    pub start: String,
}

/// The beginning of a text that a span read or wrote, for people to look at.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shown {
    /// Who says it: a role, or the name of the field.
    pub who: String,
    /// Its first 2,000 bytes.
    pub text: String,
    /// Characters of the whole text.
    pub chars: u64,
    /// Whether the span wrote it.
    pub wrote: bool,
}

impl Shown {
    /// Bytes of a text that are kept.
    const KEPT: usize = 2000;

    pub(crate) fn new(who: &str, text: &str, wrote: bool) -> Self {
        let start = &text[..text.floor_char_boundary(Self::KEPT)];
        Self { who: who.to_owned(), text: start.to_owned(), chars: text.chars().count() as u64, wrote }
    }
}

/// One span.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Span {
    /// Its identifier in the file.
    pub id: String,
    /// Index of its parent; absent for a root.
    pub parent: Option<usize>,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How often a node of this name had begun, from 1.
    pub visit: u32,
    /// Start in seconds.
    pub start_s: f64,
    /// End in seconds; of a span that never ended the last moment that the trace knows.
    pub end_s: f64,
    /// When the first token came.
    pub first_token_s: Option<f64>,
    /// Whether the trace says that it ended.
    pub ended: bool,
    /// What went wrong.
    pub error: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Tokens.
    pub tokens: SpanTokens,
    /// The role or agent that it works for.
    pub role: Option<String>,
    /// The nodes that it waits for, where the trace says so.
    pub inputs: Option<Vec<String>>,
    /// What it wrote.
    pub wrote: Vec<Text>,
    /// Tool calls that its answer asks for.
    pub asks_tools: u32,
    /// Tool answers that hold no data: what they say instead.
    pub no_data: Vec<String>,
    /// Model calls inside that have no span of their own.
    pub hidden_calls: u32,
    /// The share of its answer's numbers that stand in what it read, where the trace holds both.
    pub traceable: Option<f64>,
    /// What it answered, of a call.
    pub answer: Answer,
    /// What it cost by the source's own figures, in US dollars.
    pub cost_usd: Option<f64>,
    /// How many further spans told of this same request.
    pub folded: u32,
    /// How its texts begin: of what it read the first and the last ones, and what it wrote.
    #[serde(skip)]
    pub shown: Vec<Shown>,
    /// Everything else that is worth keeping, by attribute name.
    #[serde(skip)]
    pub attributes: Map<String, Value>,
    /// The process or service that recorded it.
    #[serde(skip)]
    pub service: Option<String>,
    /// The instrumentation that recorded it.
    #[serde(skip)]
    pub(crate) scope: Option<String>,
    /// The provider's or framework's identifier of the request or tool call.
    #[serde(skip)]
    pub(crate) request: Option<String>,
    /// Of an echo, the identifier of the span that stands for it.
    #[serde(skip)]
    pub(crate) same_as: Option<String>,
    /// Whether it answers a request of another service while that waits.
    #[serde(skip)]
    pub(crate) is_server: bool,
    /// A digest of all that it read, where that is recorded.
    #[serde(skip)]
    pub prompt_key: Option<u64>,
    /// Texts of its outputs that its recorded inputs hold too.
    #[serde(skip)]
    pub(crate) handed: Vec<Text>,
    /// Digests of the texts of its recorded inputs.
    #[serde(skip)]
    pub(crate) read_keys: Vec<u64>,
}

impl Span {
    /// How long it took in seconds.
    pub fn seconds(&self) -> f64 {
        (self.end_s - self.start_s).max(0.0)
    }

    /// Whether it stands directly under the run and is work of the graph, not our own.
    pub fn is_unit(&self) -> bool {
        self.parent.is_none() && self.is_work()
    }

    /// Whether its time is the graph's: not our own work, no phase of a call, no second sight of one.
    pub fn is_work(&self) -> bool {
        !self.is_echo() && !matches!(self.kind, Kind::Own | Kind::Attempt)
    }

    /// Whether it tells of a call or tool that another span stands for: its time is theirs, and nothing counts it.
    pub fn is_echo(&self) -> bool {
        matches!(self.kind, Kind::Echo | Kind::EchoTool)
    }

    /// Whether it is a call, or tells of one.
    pub fn is_call(&self) -> bool {
        matches!(self.kind, Kind::Model | Kind::Echo)
    }

    /// Whether it is a tool call, or tells of one.
    pub fn is_tool(&self) -> bool {
        matches!(self.kind, Kind::Tool | Kind::EchoTool)
    }

    /// Node and visit as a reader sees them.
    pub fn label(&self) -> String {
        if self.visit > 1 { format!("{}#{}", self.name, self.visit) } else { self.name.clone() }
    }
}

/// Something that a reader met and could not use, or had to mend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// A fixed code.
    pub code: &'static str,
    /// How often.
    pub count: usize,
    /// The first case.
    pub example: String,
}

/// One run as a trace tells it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trace {
    /// The form of the file.
    pub form: Form,
    /// The trace's identifier.
    pub id: String,
    /// The run's name.
    pub name: String,
    /// Its status in the trace's own word.
    pub status: String,
    /// Its error.
    pub error: Option<String>,
    /// When it began, in seconds since 1970.
    pub began_unix_s: Option<f64>,
    /// How long it took in seconds.
    pub wall_s: f64,
    /// Tokens of the whole run.
    pub tokens: SpanTokens,
    /// What was asked: short inputs such as ticker and date.
    pub inputs: BTreeMap<String, String>,
    /// All spans but the run itself, by start.
    pub spans: Vec<Span>,
    /// The texts that the run left, by field.
    pub texts: Vec<Text>,
    /// Short values that the run left, such as `aggregation_ready`.
    pub flags: BTreeMap<String, Value>,
    /// Attributes of the run itself.
    #[serde(skip)]
    pub attributes: Map<String, Value>,
    /// Whether the file holds a span of the run itself.
    #[serde(skip)]
    pub has_root: bool,
    /// What is known of the run's own answer.
    pub answer: Answer,
    /// Spans that told of a request that another span tells of.
    pub n_folded: u32,
    /// Nodes of a second instrumentation that told of the same requests once more, and were taken out.
    pub n_retold: u32,
    /// What the run cost by the source's own figures, in US dollars.
    pub cost_usd: Option<f64>,
    /// What was wrong with the file.
    pub problems: Vec<Problem>,
}

impl Trace {
    /// Notes a problem; equal codes are counted.
    pub(crate) fn problem(&mut self, code: &'static str, example: impl Into<String>) {
        note(&mut self.problems, code, example);
    }

    /// The nodes: spans directly under the run that are no calls themselves.
    pub fn nodes(&self) -> impl Iterator<Item = (usize, &Span)> {
        self.spans.iter().enumerate().filter(|(_, s)| s.kind == Kind::Node)
    }

    /// The node that a span belongs to: itself or the nearest one above it.
    pub fn node_of(&self, index: usize) -> Option<usize> {
        let mut at = Some(index);
        for _ in 0..64 {
            let i = at?;
            if self.spans[i].kind == Kind::Node {
                return Some(i);
            }
            at = self.spans[i].parent;
        }
        None
    }

    /// Model names in order of their first call.
    pub fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = Vec::new();
        for model in self.spans.iter().filter_map(|s| s.model.as_ref()) {
            if !models.contains(model) {
                models.push(model.clone());
            }
        }
        models
    }

    /// One line that names the run.
    pub fn title(&self) -> String {
        let asked: Vec<&str> = ["company_of_interest", "ticker", "trade_date", "date"]
            .iter()
            .filter_map(|k| self.inputs.get(*k).map(String::as_str))
            .collect();
        let short = self.id.get(..8).unwrap_or(&self.id);
        if asked.is_empty() && self.id == self.name {
            self.name.clone()
        } else if asked.is_empty() {
            format!("{} {short}", self.name)
        } else {
            format!("{} {short}", asked.join(" "))
        }
    }
}

/// Notes a problem in a list; equal codes are counted.
pub(crate) fn note(problems: &mut Vec<Problem>, code: &'static str, example: impl Into<String>) {
    match problems.iter_mut().find(|p| p.code == code) {
        Some(problem) => problem.count += 1,
        None => problems.push(Problem { code, count: 1, example: example.into() }),
    }
}
