//! Which texts stand in which prompts.
//!
//! There are three sources, best first: prompts in the trace (equal paragraphs), Lacon's own records, and the size of a
//! prompt beside the texts that existed when it was sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::flow::{Flow, family, is_tool_node};
use crate::trace::{Kind, Trace, json_count};

/// A text that stands in more than one prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Repeated {
    /// What it is: its field, or how it begins.
    pub text: String,
    /// Its tokens.
    pub tokens: u64,
    /// Prompts that hold it.
    pub times: u64,
    /// Tokens that a single copy would have saved.
    pub wasted: u64,
    /// How it is known: `prompts`, `recorded`, `sizes`.
    pub how: &'static str,
}

/// How often a node's calls read the reports.
#[derive(Clone, Debug, Serialize)]
pub struct Reader {
    /// Index of the span.
    pub span: usize,
    /// Calls that read them.
    pub times: u64,
}

/// Families of nodes that gather data: those with tools.
pub fn gatherers<'a>(trace: &'a Trace, flow: &Flow) -> BTreeSet<&'a str> {
    flow.units
        .iter()
        .filter(|i| {
            let span = &trace.spans[**i];
            is_tool_node(span) || span.asks_tools > 0 || flow.tools_in(trace, **i).next().is_some()
        })
        .map(|i| family(&trace.spans[*i].name))
        .collect()
}

/// The units of each gathering family, by start.
pub fn by_family<'a>(trace: &'a Trace, flow: &Flow) -> BTreeMap<&'a str, Vec<usize>> {
    let mut found: BTreeMap<&str, Vec<usize>> =
        gatherers(trace, flow).into_iter().map(|name| (name, Vec::new())).collect();
    for i in &flow.units {
        if let Some(units) = found.get_mut(family(&trace.spans[*i].name)) {
            units.push(*i);
        }
    }
    found
}

/// When the last gathering node ended: what begins later decides.
pub fn gathered_at(trace: &Trace, flow: &Flow) -> f64 {
    let families = gatherers(trace, flow);
    flow.units
        .iter()
        .map(|i| &trace.spans[*i])
        .filter(|s| families.contains(family(&s.name)))
        .map(|s| s.end_s)
        .fold(0.0, f64::max)
}

/// The reports: the last text of each gathering family, by field, with its tokens.
pub fn reports(trace: &Trace, flow: &Flow) -> BTreeMap<String, u64> {
    let families = gatherers(trace, flow);
    let mut by_family: BTreeMap<&str, (String, u64)> = BTreeMap::new();
    for i in &flow.units {
        let span = &trace.spans[*i];
        let family = family(&span.name);
        if !families.contains(family) {
            continue;
        }
        let texts = span.wrote.iter().chain(flow.models_in(trace, *i).flat_map(|m| &trace.spans[m].wrote));
        if let Some(text) = texts.filter(|t| t.chars > 200).max_by_key(|t| t.chars) {
            by_family.insert(family, (text.key.clone(), text.tokens));
        }
    }
    by_family
        .into_iter()
        .map(|(family, (key, tokens))| {
            (if key.is_empty() || key == "answer" { family.to_owned() } else { key }, tokens)
        })
        .collect()
}

/// Nodes whose prompts are large enough to hold all reports, with how many of their calls do.
pub fn readers(trace: &Trace, flow: &Flow) -> Vec<Reader> {
    let size: u64 = reports(trace, flow).values().sum();
    let since = gathered_at(trace, flow);
    if size < 200 {
        return Vec::new();
    }
    flow.units
        .iter()
        .filter_map(|i| {
            let span = &trace.spans[*i];
            if span.start_s + 1e-3 < since {
                return None;
            }
            let inside: Vec<usize> = flow.models_in(trace, *i).collect();
            let times = if inside.is_empty() {
                let prompt = span.tokens.prompt?;
                (0..=u64::from(span.hidden_calls)).rev().find(|k| prompt as f64 >= 0.8 * (size * k) as f64)?
            } else {
                inside
                    .iter()
                    .filter(|m| trace.spans[**m].tokens.prompt.is_some_and(|p| p as f64 >= 0.8 * size as f64))
                    .count() as u64
            };
            (times > 0).then_some(Reader { span: *i, times })
        })
        .collect()
}

/// Texts that several prompts hold, most waste first.
pub fn repeated(trace: &Trace, flow: &Flow) -> Vec<Repeated> {
    let mut found = by_prompts(trace);
    if found.is_empty() {
        found = recorded(trace);
    }
    if found.is_empty() {
        let times: u64 = readers(trace, flow).iter().map(|r| r.times).sum();
        if times > 1 {
            found = reports(trace, flow)
                .into_iter()
                .map(|(text, tokens)| Repeated {
                    text,
                    tokens,
                    times,
                    wasted: tokens * (times - 1),
                    how: "sizes",
                })
                .collect();
        }
    }
    found.sort_by(|a, b| b.wasted.cmp(&a.wasted).then(a.text.cmp(&b.text)));
    found.truncate(20);
    found
}

fn by_prompts(trace: &Trace) -> Vec<Repeated> {
    let mut blocks: HashMap<u64, (u64, u64, &str)> = HashMap::new();
    for span in trace.spans.iter().filter(|s| s.kind == Kind::Model) {
        let mut seen = BTreeSet::new();
        for block in span.attributes.get("blocks").and_then(Value::as_array).into_iter().flatten() {
            let (Some(hash), Some(tokens), Some(start)) = (
                block.get(0).and_then(Value::as_u64),
                block.get(1).and_then(Value::as_u64),
                block.get(2).and_then(Value::as_str),
            ) else {
                continue;
            };
            if seen.insert(hash) {
                let entry = blocks.entry(hash).or_insert((0, tokens, start));
                entry.0 += 1;
            }
        }
    }
    blocks
        .into_values()
        .filter(|(times, ..)| *times > 1)
        .map(|(times, tokens, start)| Repeated {
            text: format!("{start:?}"),
            tokens,
            times,
            wasted: tokens * (times - 1),
            how: "prompts",
        })
        .collect()
}

fn recorded(trace: &Trace) -> Vec<Repeated> {
    let mut texts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for read in trace.flags.get("lacon.reads").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(text), Some(tokens)) =
            (read.get("text").and_then(Value::as_str), read.get("tokens").and_then(json_count))
        {
            let entry = texts.entry(text).or_insert((0, tokens));
            entry.0 += 1;
        }
    }
    texts
        .into_iter()
        .filter(|(_, (times, _))| *times > 1)
        .map(|(text, (times, tokens))| Repeated {
            text: text.to_owned(),
            tokens,
            times,
            wasted: tokens * (times - 1),
            how: "recorded",
        })
        .collect()
}
