//! One run as the page gets it: spans as columns, what was found out, and the texts of a span when it is asked for.

use std::{collections::HashMap, fs::File, io::Read, path::Path};

use lacon_monitor::{
    analyze::Analysis,
    trace::{Kind, Span, Trace},
};
use serde_json::{Value, json};

/// Nodes of the analysis that are sent. The spans hold all of them.
const MOST_NODES: usize = 2_000;
/// Bytes of a run's rewrites that are read.
const MOST_REWRITES: u64 = 4 << 20;

/// Numbers names, so that a name of a thousand spans is sent once.
#[derive(Default)]
struct Names<'a> {
    list: Vec<&'a str>,
    known: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    fn number(&mut self, name: &'a str) -> usize {
        *self.known.entry(name).or_insert_with(|| {
            self.list.push(name);
            self.list.len() - 1
        })
    }
}

fn kind(span: &Span) -> u8 {
    match span.kind {
        Kind::Run => 0,
        Kind::Node => 1,
        Kind::Model => 2,
        Kind::Attempt => 3,
        Kind::Own => 4,
        Kind::Tool => 5,
        Kind::Echo | Kind::EchoTool => 6,
        Kind::Other => 7,
    }
}

/// Seconds to the microsecond: more digits tell nothing and are a third of the answer's size.
fn micros(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// A run's figures, as the list shows them. Its place and whether it goes on are the library's to add.
pub fn row(trace: &Trace, analysis: &Analysis) -> Value {
    let sum = &analysis.summary;
    json!({
        "id": "run",
        "file": "",
        "title": analysis.title,
        "form": trace.form.title(),
        "began": trace.began_unix_s,
        "wall_s": analysis.wall_s,
        "prompt": sum.tokens.prompt,
        "cached": sum.tokens.cached,
        "completion": sum.tokens.completion,
        "tokens": sum.tokens.sum(),
        "cost": sum.cost_source_usd.or(sum.cost_list_usd),
        "cost_is_list_price": sum.cost_source_usd.is_none(),
        "tokens_estimated": sum.tokens.estimated,
        "calls": sum.n_calls,
        "calls_with_tokens": sum.n_calls_with_tokens,
        "tools": sum.n_tool_calls,
        "errors": sum.n_errors,
        "status": sum.status,
        "grade": analysis.content.letter,
        "passed": analysis.content.verdict,
        "models": analysis.models,
        "simulated": trace.flags.get("lacon.simulated").and_then(Value::as_bool) == Some(true),
        "live": false,
    })
}

/// The whole run but for its texts.
pub fn run(row: &Value, trace: &Trace, analysis: &Analysis, rewrites: &[Value]) -> Value {
    let mut names = Names::default();
    let n = trace.spans.len();
    let mut columns: [Vec<Value>; 9] = std::array::from_fn(|_| Vec::with_capacity(n));
    for span in &trace.spans {
        let values = [
            json!(names.number(&span.name)),
            json!(kind(span)),
            json!(span.parent),
            json!(micros(span.start_s)),
            json!(micros(span.end_s)),
            json!(span.first_token_s.map(micros)),
            json!(span.model.as_deref().map(|model| names.number(model))),
            json!(span.tokens.sum()),
            json!(if span.error.is_some() { 2 } else { u8::from(!span.ended) }),
        ];
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    let [name, kinds, parent, start, end, first, model, tokens, state] = columns;
    let nodes = &analysis.nodes[..analysis.nodes.len().min(MOST_NODES)];
    json!({
        "row": row,
        "spans": {"names": names.list, "name": name, "kind": kinds, "parent": parent, "start": start, "end": end,
            "first": first, "model": model, "tokens": tokens, "state": state},
        "inputs": trace.inputs,
        "path": analysis.critical_path,
        "parts": analysis.parts,
        "nodes": nodes,
        "n_nodes": analysis.nodes.len(),
        "barrier": analysis.barrier,
        "parallel": analysis.parallel,
        "gaps": analysis.gaps,
        "repeated": analysis.repeated,
        "advice": analysis.advice,
        "content": analysis.content,
        "summary": analysis.summary,
        "problems": analysis.problems,
        "rewrites": rewrites,
    })
}

/// What is recorded of a span beside its times.
pub fn span(span: &Span) -> Value {
    json!({
        "id": span.id,
        "label": span.label(),
        "error": span.error,
        "role": span.role,
        "model": span.model,
        "tokens": span.tokens,
        "cost": span.cost_usd,
        "folded": span.folded,
        "inputs": span.inputs,
        "answer": span.answer,
        "shown": span.shown,
        "attributes": span.attributes,
    })
}

/// The rewrites of a run of Lacon: its receipts lie beside its trace.
pub fn rewrites(trace_file: &Path) -> Vec<Value> {
    let mut text = String::new();
    let Ok(file) = File::open(trace_file.with_file_name("receipts.jsonl")) else { return Vec::new() };
    // A line that is cut off at the bound is no JSON and is left out.
    let _ = file.take(MOST_REWRITES).read_to_string(&mut text);
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
