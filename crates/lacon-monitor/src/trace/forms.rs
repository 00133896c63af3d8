//! The file formats that are read, recognized by their content.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::{
    Problem, Trace, agents,
    batch::{Batch, by_id, join},
    claude, codex, flat, jaeger, journal, json, langfuse, langsmith, otlp, own, parts, protobuf, receipts,
    settle::settle,
    swe, unread,
};

/// The form of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Our own `trace.jsonl`.
    #[default]
    Lacon,
    /// A file of the original system's analyzer.
    Analyzer,
    /// LangSmith runs.
    Langsmith,
    /// OTLP JSON.
    Otlp,
    /// Langfuse.
    Langfuse,
    /// Spans with attributes as objects: Phoenix, the console exporter of OpenTelemetry, MLflow and others.
    Spans,
    /// Jaeger's JSON.
    Jaeger,
    /// Zipkin's JSON.
    Zipkin,
    /// The OpenAI Agents SDK.
    Agents,
    /// A session of Claude Code.
    ClaudeCode,
    /// A session of Codex.
    Codex,
    /// A trajectory of SWE-agent.
    SweAgent,
    /// The journal of a run.
    Journal,
    /// Receipts of a proxy.
    Receipts,
}

impl Form {
    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Lacon => "own trace",
            Self::Analyzer => "analyzer file of LangSmith runs",
            Self::Langsmith => "LangSmith runs",
            Self::Otlp => "OTLP JSON",
            Self::Langfuse => "Langfuse export",
            Self::Spans => "spans with object attributes",
            Self::Jaeger => "Jaeger JSON",
            Self::Zipkin => "Zipkin JSON",
            Self::Agents => "OpenAI Agents SDK spans",
            Self::ClaudeCode => "Claude Code session",
            Self::Codex => "Codex session",
            Self::SweAgent => "SWE-agent trajectory",
            Self::Journal => "journal of a run",
            Self::Receipts => "receipts of a proxy",
        }
    }
}

/// A file that holds no trace at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    message: String,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

/// Smaller files are read value by value: threads would cost more than they gain.
const LARGE: usize = 1 << 18;

/// Reads all traces of a file. What could not be used is listed in each trace's problems.
///
/// # Errors
/// When nothing in it is a span or a run.
pub fn read(bytes: &[u8]) -> Result<Vec<Trace>, ReadError> {
    let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // A few parts for each thread, so that none is left with nothing to do.
    read_in_parts(bytes, if bytes.len() < LARGE { 1 } else { 4 * n_threads })
}

/// Reads as [`read`] does, in about so many parts; one part is one value after the other, whatever the file is like.
///
/// # Errors
/// As [`read`].
pub fn read_in_parts(bytes: &[u8], n_parts: usize) -> Result<Vec<Trace>, ReadError> {
    let mut problems = Vec::new();
    if let Some(documents) = protobuf::documents(bytes) {
        let mut batch = Batch::default();
        documents.iter().for_each(|document| otlp::add(document, &mut batch));
        return some(Form::Otlp.settle(batch, problems));
    }
    if let Some(message) = unread::by_bytes(bytes) {
        return Err(ReadError { message });
    }
    // Checking takes a fraction of the time of looking for what must be replaced.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            super::note(&mut problems, "not_utf8", "bytes that are no UTF-8 were replaced");
            String::from_utf8_lossy(bytes)
        }
    };
    if journal::is_journal(&text) {
        let batch = journal::read(&text, &mut problems);
        return some(Form::Journal.settle(batch, problems));
    }
    let in_parts = if n_parts > 1 { parts::read(&text, n_parts) } else { None };
    let traces = match in_parts {
        Some((form, found)) => {
            join(&mut problems, found.problems);
            form.settle(found.batch, problems)
        }
        None => one_by_one(&text, problems)?,
    };
    some(traces)
}

fn some(traces: Vec<Trace>) -> Result<Vec<Trace>, ReadError> {
    if traces.iter().all(|t| t.spans.is_empty() && t.wall_s == 0.0 && t.name.is_empty()) {
        return Err(ReadError { message: "no span in this file has a name and a time".into() });
    }
    Ok(traces)
}

fn one_by_one(text: &str, mut problems: Vec<Problem>) -> Result<Vec<Trace>, ReadError> {
    let mut values = json::values(text, &mut problems);
    // A list is its items; a page of an API holds them under `data`, `runs` or `items`.
    if let [only] = values.as_mut_slice() {
        if let Value::Array(items) = only {
            values = std::mem::take(items);
        } else if let Some(key) =
            ["data", "runs", "items"].iter().find(|k| only.get(**k).is_some_and(Value::is_array))
        {
            values = match only.get_mut(*key).map(Value::take) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            };
        } else if only.get("data").is_some_and(|d| otlp::is_document(d) || langfuse::is_ours(d)) {
            values = only.get_mut("data").map(Value::take).into_iter().collect();
        }
    }
    let mut tally = Tally::default();
    values.iter().for_each(|value| tally.add(value));
    if tally.form().is_none() && values.iter().any(unread::is_record) {
        return Err(ReadError {
            message: "this is the record of a run, which holds no spans\nhint: give the run's folder: the journal or trace beside run.json is read".into(),
        });
    }
    for _ in 0..3 {
        if tally.form().is_some() {
            break;
        }
        values = unwrapped(values);
        tally = Tally::default();
        values.iter().for_each(|value| tally.add(value));
    }
    let Some(form) = tally.form() else {
        if let Some(message) = unread::by_values(text, &values) {
            return Err(ReadError { message });
        }
        let seen = problems.first().map(|p| format!(": {}", p.example)).unwrap_or_default();
        return Err(ReadError {
            message: format!(
                "no trace in {} bytes{seen}\nhint: known are our trace.jsonl, journal.jsonl and receipts of a proxy, LangSmith runs (list, lines, tree, ingest batch, analyzer file), OTLP (JSON, protobuf), Langfuse exports, Phoenix and MLflow spans, OpenTelemetry console spans, Jaeger and Zipkin JSON, OpenAI Agents SDK spans, sessions of Claude Code and Codex, SWE-agent trajectories",
                text.len()
            ),
        });
    };
    if form == Form::Analyzer {
        // Each file is a run of its own.
        let files = values.iter().filter_map(|value| value.get("trace_data"));
        return Ok(files
            .flat_map(|run| {
                let mut batch = Batch::default();
                langsmith::add(run, None, &mut batch);
                form.settle(batch, problems.clone())
            })
            .collect());
    }
    let mut batch = Batch::default();
    values.into_iter().for_each(|value| form.add(value, &mut batch));
    Ok(form.settle(batch, problems))
}

/// What lists and pages hold, where they are no values themselves.
fn unwrapped(values: Vec<Value>) -> Vec<Value> {
    const PAGES: [&str; 17] = [
        "data", "runs", "items", "traces", "trace", "spans", "results", "result", "records", "rows",
        "values", "events", "body", "response", "batch", "hits", "_source",
    ];
    let mut found = Vec::new();
    for mut value in values {
        let page = PAGES.iter().find(|key| value.get(**key).is_some_and(|v| v.is_array() || v.is_object()));
        match (&mut value, page) {
            (Value::Array(items), _) => found.append(items),
            (Value::Object(map), Some(key)) => found.extend(map.remove(*key)),
            _ => found.push(value),
        }
    }
    if let [Value::Array(items)] = found.as_mut_slice() {
        return std::mem::take(items);
    }
    found
}

/// How many values of a file look like each form.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Values.
    pub n_values: usize,
    n_analyzer: usize,
    n_of: [usize; N_FORMS],
}

/// Whether a value is one of a form.
type Test = fn(&Value) -> bool;

/// The forms that are told apart by most values; of equally many the later.
const BY_COUNT: [(Form, Test); N_FORMS] = [
    (Form::Spans, flat::is_span),
    (Form::Lacon, own::is_line),
    (Form::Otlp, otlp::is_document),
    (Form::Langfuse, langfuse::is_ours),
    (Form::Langsmith, langsmith::is_run),
    (Form::Jaeger, jaeger::is_jaeger),
    (Form::Zipkin, jaeger::is_zipkin),
    (Form::Agents, agents::is_item),
    (Form::ClaudeCode, claude::is_line),
    (Form::Codex, codex::is_line),
    (Form::SweAgent, swe::is_trajectory),
    (Form::Receipts, receipts::is_receipt),
];

const N_FORMS: usize = 12;

impl Tally {
    /// Of one value.
    pub fn of(value: &Value) -> Self {
        let mut tally = Self::default();
        tally.add(value);
        tally
    }

    /// Counts a value.
    pub fn add(&mut self, value: &Value) {
        self.n_values += 1;
        self.n_analyzer += usize::from(langsmith::is_analyzer(value));
        for (n, (_, test)) in self.n_of.iter_mut().zip(BY_COUNT) {
            *n += usize::from(test(value));
        }
    }

    /// Adds the values of another part.
    pub fn append(&mut self, other: Self) {
        self.n_values += other.n_values;
        self.n_analyzer += other.n_analyzer;
        self.n_of.iter_mut().zip(other.n_of).for_each(|(a, b)| *a += b);
    }

    /// The form of the file, where its values have one.
    pub fn form(&self) -> Option<Form> {
        if self.n_analyzer > 0 {
            return Some(Form::Analyzer);
        }
        let (n, (form, _)) = self.n_of.iter().zip(BY_COUNT).max_by_key(|(n, _)| **n)?;
        (*n > 0).then_some(form)
    }
}

impl Form {
    /// Reads one value of a file of this form.
    pub(super) fn add(self, value: Value, batch: &mut Batch) {
        match self {
            Self::Lacon => own::add(value, batch),
            Self::Otlp => otlp::add(&value, batch),
            Self::Langfuse => langfuse::add(&value, batch),
            Self::Langsmith | Self::Analyzer => langsmith::add(&value, None, batch),
            Self::Spans => flat::add(&value, batch),
            Self::Jaeger => jaeger::add(&value, batch),
            Self::Zipkin => jaeger::add_zipkin(&value, batch),
            Self::Agents => agents::add(&value, batch),
            Self::SweAgent => swe::add(&value, batch),
            Self::Receipts => receipts::add(&value, batch),
            // What a line means depends on those before it.
            Self::ClaudeCode | Self::Codex => batch.lines.push(value),
            // Its lines are no JSON values: the whole file is read at once.
            Self::Journal => {}
        }
    }

    /// Makes traces of what was read.
    fn settle(self, mut batch: Batch, mut problems: Vec<Problem>) -> Vec<Trace> {
        let lines = std::mem::take(&mut batch.lines);
        match self {
            Self::ClaudeCode => claude::session(&lines, &mut batch),
            Self::Codex => codex::session(&lines, &mut batch),
            Self::Langsmith => langsmith::batches(lines, &mut batch),
            Self::Receipts => receipts::numbered(&mut batch),
            _ => {}
        }
        join(&mut problems, batch.problems);
        let outer = by_id(&batch.outer);
        let only = if let [only] = batch.outer.as_slice() { Some(only) } else { None };
        settle(self, batch.raws, problems, |trace| match self {
            Self::Lacon => own::finish(trace),
            Self::Otlp | Self::Jaeger | Self::Zipkin => otlp::inputs_of_attributes(trace),
            Self::Langfuse
            | Self::Agents
            | Self::Spans
            | Self::ClaudeCode
            | Self::Codex
            | Self::SweAgent
            | Self::Journal
            | Self::Receipts => {
                langfuse::finish(trace, &outer);
            }
            Self::Langsmith | Self::Analyzer => langsmith::finish(trace, &outer, only),
        })
    }
}
