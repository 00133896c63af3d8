//! The forms of files that are read, told apart by what they hold.

use serde::Serialize;
use serde_json::Value;

use super::{Trace, json, langfuse, langsmith, otlp, own};

/// The form of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Our own `trace.jsonl`.
    #[default]
    Lacon,
    /// A file of the origin's analyzer.
    Analyzer,
    /// LangSmith runs.
    Langsmith,
    /// OTLP JSON.
    Otlp,
    /// Langfuse.
    Langfuse,
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

/// Reads all traces of a file. What could not be used is listed in each trace's problems.
///
/// # Errors
/// When nothing in it is a span or a run.
pub fn read(bytes: &[u8]) -> Result<Vec<Trace>, ReadError> {
    let text = String::from_utf8_lossy(bytes);
    let mut problems = Vec::new();
    if matches!(text, std::borrow::Cow::Owned(_)) {
        super::note(&mut problems, "not_utf8", "bytes that are no UTF-8 were replaced");
    }
    let mut values = json::values(&text, &mut problems);
    drop(text);
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
    let count = |test: fn(&Value) -> bool| values.iter().filter(|v| test(v)).count();
    let traces = if count(langsmith::is_analyzer) > 0 {
        values.iter().flat_map(|v| langsmith::analyzer(v, problems.clone())).collect()
    } else {
        let forms: [(usize, Form); 4] = [
            (count(own::is_line), Form::Lacon),
            (count(otlp::is_document), Form::Otlp),
            (count(langfuse::is_ours), Form::Langfuse),
            (count(langsmith::is_run), Form::Langsmith),
        ];
        let (n, form) = forms.into_iter().max_by_key(|(n, _)| *n).unwrap_or_default();
        if n == 0 {
            let seen = problems.first().map(|p| format!(": {}", p.example)).unwrap_or_default();
            return Err(ReadError {
                message: format!(
                    "no trace in {} bytes{seen}\nhint: known are our trace.jsonl, LangSmith runs (list, lines, tree, analyzer file), OTLP JSON, Langfuse exports",
                    bytes.len()
                ),
            });
        }
        match form {
            Form::Lacon => own::lines(values, problems),
            Form::Otlp => otlp::documents(&values, problems),
            Form::Langfuse => langfuse::traces(&values, problems),
            Form::Langsmith | Form::Analyzer => langsmith::runs(&values, Form::Langsmith, problems),
        }
    };
    let traces: Vec<Trace> = traces;
    if traces.iter().all(|t| t.spans.is_empty() && t.wall_s == 0.0 && t.name.is_empty()) {
        return Err(ReadError { message: "no span in this file has a name and a time".into() });
    }
    Ok(traces)
}
