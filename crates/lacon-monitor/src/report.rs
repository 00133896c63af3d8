//! The report of a finished run: one value with every table, for text and HTML.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{
    analyze::{Advice, Analysis, Scorers, analyze},
    prices,
    record::{Call, RunRecord},
    trace::Trace,
};

/// The report of one run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The run as it was written.
    pub run: RunRecord,
    /// What its trace says.
    pub analysis: Analysis,
    /// The spans, for the waterfall.
    pub rows: Vec<Row>,
    /// Each node.
    pub nodes: Vec<NodeUse>,
    /// Tools by name.
    pub tools: Vec<ToolHealth>,
    /// Roles by model.
    pub matrix: Vec<Cell>,
    /// Tokens and seconds that bought nothing.
    pub waste: Vec<Waste>,
    /// Rewrites of prompts.
    pub rewrites: Vec<Rewrite>,
    /// Advice, most seconds first, then most tokens.
    pub advice: Vec<Advice>,
}

/// One row of the waterfall.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The node with its visit.
    pub node: String,
    /// Whether it is on the critical path.
    pub critical: bool,
    /// Start and end in seconds.
    pub span: (f64, f64),
    /// Calls inside.
    pub parts: Vec<Part>,
    /// What went wrong.
    pub error: Option<String>,
}

/// One call in a row.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// `model` or `tool`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Start and end in seconds.
    pub span: (f64, f64),
    /// When its first token came.
    pub first_token_s: Option<f64>,
    /// Figures for a reader who points at it.
    pub note: String,
}

/// What a node used.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeUse {
    /// The node.
    pub node: String,
    /// Model calls.
    pub calls: usize,
    /// Prompt tokens.
    pub prompt: u64,
    /// Of these, cached.
    pub cached: u64,
    /// Answer tokens.
    pub completion: u64,
    /// Of these, reasoning.
    pub reasoning: u64,
    /// Mean seconds to the first token.
    pub first_token_s: Option<f64>,
    /// Seconds of the node.
    pub seconds: f64,
    /// Share of the critical path.
    pub path_share: f64,
    /// Seconds that it could have taken longer.
    pub slack_s: f64,
    /// Tries after the first.
    pub retries: u64,
    /// Millionths of a US dollar, where the price is known.
    pub micro_usd: Option<u64>,
}

/// One tool.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ToolHealth {
    /// The tool.
    pub tool: String,
    /// Calls.
    pub calls: usize,
    /// Percent that gave data.
    pub ok_percent: f64,
    /// Answered from the cache.
    pub hits: usize,
    /// Median seconds.
    pub p50_s: f64,
    /// 95th percentile.
    pub p95_s: f64,
    /// 99th percentile.
    pub p99_s: f64,
    /// Tokens of its answers.
    pub tokens: u64,
    /// Calls that took more than two deviations longer than the mean.
    pub anomalies: Vec<String>,
}

/// A role's use of a model.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cell {
    /// The role.
    pub role: String,
    /// The model.
    pub model: String,
    /// Calls.
    pub calls: usize,
    /// All tokens.
    pub tokens: u64,
    /// Seconds of the calls.
    pub seconds: f64,
    /// Millionths of a US dollar.
    pub micro_usd: Option<u64>,
}

/// Something that bought nothing.
#[derive(Clone, Debug, Serialize)]
pub struct Waste {
    /// `sent again`, `not cached`, `large tool answer`, `failed tries`, `cut answer`.
    pub kind: &'static str,
    /// What.
    pub what: String,
    /// Tokens.
    pub tokens: u64,
}

/// A rewrite of a prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Rewrite {
    /// The node whose prompt it was.
    pub node: String,
    /// The pass.
    pub pass: String,
    /// Tokens before.
    pub before: u64,
    /// Tokens after.
    pub after: u64,
    /// What was left out, as the receipt has it.
    pub left_out: Value,
    /// The texts before and after, where the run was asked to keep them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<(String, String)>,
}

/// Tool answers above this are worth a look.
const LARGE_TOOL_TOKENS: u64 = 1500;
/// Tokens from which on the provider of a model caches; those of a model without a rule, as most do.
fn cached_from(model: &str) -> u64 {
    lacon_models::cache_of(&lacon_models::plain_name(model)).map_or(1_024, |rule| rule.least)
}

/// Puts the report together.
pub fn report(run: &RunRecord, trace: &Trace, receipts: &[Value], scorers: Scorers<'_>) -> RunReport {
    let analysis = analyze(trace, scorers);
    let rows = rows(trace, &analysis);
    let mut report = RunReport {
        nodes: nodes(run, trace, &analysis),
        tools: tools(run),
        matrix: matrix(run),
        waste: waste(run, &analysis),
        rewrites: receipts.iter().filter_map(rewrite).collect(),
        advice: analysis.advice.clone(),
        run: run.clone(),
        analysis,
        rows,
    };
    if let Some(not_cached) = report.waste.iter().find(|w| w.kind == "not cached") {
        report.advice.push(Advice {
            what: format!("{}: put what prompts share first, byte for byte", not_cached.what),
            seconds: None,
            tokens: Some(not_cached.tokens),
            optimization: Some("prefix_layout"),
        });
    }
    report.advice.retain(|advice| {
        let on = |name: &str| report.run.optimizations.get(name).is_some_and(|row| row.on);
        !advice.optimization.is_some_and(on)
    });
    report.advice.sort_by(|a, b| {
        b.seconds.unwrap_or(0.0).total_cmp(&a.seconds.unwrap_or(0.0)).then(b.tokens.cmp(&a.tokens))
    });
    report
}

fn rows(trace: &Trace, analysis: &Analysis) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut place: BTreeMap<usize, usize> = BTreeMap::new();
    for (i, span) in trace.spans.iter().enumerate().filter(|(_, s)| s.is_unit()) {
        let label = span.label();
        if span.seconds() < 1e-4 && span.error.is_none() {
            continue;
        }
        let critical = analysis.critical_path.iter().any(|s| s.node == label);
        place.insert(i, rows.len());
        rows.push(Row {
            node: label,
            critical,
            span: (span.start_s, span.end_s),
            parts: Vec::new(),
            error: span.error.clone(),
        });
    }
    for (i, span) in trace.spans.iter().enumerate() {
        let kind = match span.kind {
            crate::trace::Kind::Model => "model",
            crate::trace::Kind::Tool => "tool",
            _ => continue,
        };
        let Some(row) = trace.node_of(i).or(span.parent).and_then(|n| place.get(&n)) else { continue };
        let t = &span.tokens;
        let note = match (kind, t.prompt, t.completion) {
            ("model", Some(p), Some(c)) => format!("prompt {p} tokens, answer {c} tokens"),
            _ => span.attributes.get("lacon.cache").and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        let name = if kind == "model" { span.model.clone().unwrap_or_default() } else { span.name.clone() };
        rows[*row].parts.push(Part {
            kind,
            name,
            span: (span.start_s, span.end_s),
            first_token_s: span.first_token_s,
            note,
        });
    }
    rows
}

/// The cost of a call, where its model has a price.
fn cost(call: &Call) -> Option<u64> {
    prices::cost(&call.model, &call.usage())
}

fn nodes(run: &RunRecord, trace: &Trace, analysis: &Analysis) -> Vec<NodeUse> {
    analysis
        .nodes
        .iter()
        .filter(|n| n.seconds > 1e-4)
        .map(|n| {
            let end = n.start_s + n.seconds;
            let calls: Vec<&Call> = run
                .calls
                .iter()
                .filter(|c| c.start_s >= n.start_s - 1e-6 && c.end_s <= end + 1e-3)
                .filter(|c| {
                    let name = n.node.split('#').next().unwrap_or(&n.node);
                    name == c.role || name.strip_prefix(&c.role).is_some_and(|rest| rest.starts_with('_'))
                })
                .collect();
            let sum = |get: fn(&Call) -> Option<u64>| calls.iter().filter_map(|c| get(c)).sum::<u64>();
            let firsts: Vec<f64> = calls.iter().filter_map(|c| Some(c.first_token_s? - c.start_s)).collect();
            NodeUse {
                node: n.node.clone(),
                calls: calls.len(),
                prompt: sum(|c| c.prompt),
                cached: sum(|c| c.cached),
                completion: sum(|c| c.completion),
                reasoning: sum(|c| c.reasoning),
                first_token_s: (!firsts.is_empty()).then(|| firsts.iter().sum::<f64>() / firsts.len() as f64),
                seconds: n.seconds,
                path_share: if n.critical && trace.wall_s > 0.0 { n.seconds / trace.wall_s } else { 0.0 },
                slack_s: n.slack_s,
                retries: calls.iter().map(|c| u64::from(c.attempts.saturating_sub(1))).sum(),
                micro_usd: calls.iter().map(|c| cost(c)).sum(),
            }
        })
        .collect()
}

fn tools(run: &RunRecord) -> Vec<ToolHealth> {
    let mut by_name: BTreeMap<&str, Vec<&crate::record::ToolCall>> = BTreeMap::new();
    run.tools.iter().for_each(|t| by_name.entry(&t.name).or_default().push(t));
    by_name
        .into_iter()
        .map(|(tool, calls)| {
            let mut seconds: Vec<f64> = calls.iter().map(|t| t.end_s - t.start_s).collect();
            let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
            let deviation = (seconds.iter().map(|s| (s - mean).powi(2)).sum::<f64>()
                / seconds.len().max(2) as f64)
                .sqrt();
            let anomalies = calls
                .iter()
                .map(|t| (t, t.end_s - t.start_s))
                .filter(|(_, s)| deviation > 1e-4 && (s - mean) / deviation > 2.0)
                .map(|(t, s)| {
                    format!(
                        "{} took {s:.2} s, {:.1} deviations above the mean",
                        t.role,
                        (s - mean) / deviation
                    )
                })
                .collect();
            seconds.sort_by(f64::total_cmp);
            let at =
                |q: f64| seconds[((seconds.len() as f64 * q).ceil() as usize).clamp(1, seconds.len()) - 1];
            ToolHealth {
                tool: tool.to_owned(),
                calls: calls.len(),
                ok_percent: 100.0 * calls.iter().filter(|t| t.status == "ok").count() as f64
                    / calls.len() as f64,
                hits: calls.iter().filter(|t| t.cache == "hit").count(),
                p50_s: at(0.5),
                p95_s: at(0.95),
                p99_s: at(0.99),
                tokens: calls.iter().filter_map(|t| t.tokens).sum(),
                anomalies,
            }
        })
        .collect()
}

fn matrix(run: &RunRecord) -> Vec<Cell> {
    let mut cells: BTreeMap<(&str, &str), Cell> = BTreeMap::new();
    for call in &run.calls {
        let cell = cells.entry((&call.role, &call.model)).or_insert_with(|| Cell {
            role: call.role.clone(),
            model: call.model.clone(),
            micro_usd: Some(0),
            ..Cell::default()
        });
        cell.calls += 1;
        cell.tokens += call.prompt.unwrap_or(0) + call.completion.unwrap_or(0);
        cell.seconds += call.end_s - call.start_s;
        cell.micro_usd = cell.micro_usd.zip(cost(call)).map(|(a, b)| a + b);
    }
    let mut cells: Vec<Cell> = cells.into_values().collect();
    let first = |role: &str| run.calls.iter().position(|c| c.role == role);
    cells.sort_by_key(|c| first(&c.role));
    cells
}

fn waste(run: &RunRecord, analysis: &Analysis) -> Vec<Waste> {
    let mut waste: Vec<Waste> = analysis
        .repeated
        .iter()
        .filter(|r| r.wasted > 0)
        .map(|r| Waste {
            kind: "sent again",
            what: format!("{} ({} tokens) stands in {} prompts", r.text, r.tokens, r.times),
            tokens: r.wasted,
        })
        .collect();
    let mut seen: Vec<&str> = Vec::new();
    for call in &run.calls {
        let model = call.model.as_str();
        let prompt = call.prompt.unwrap_or(0);
        // The first long prompt of a model cannot be cached.
        if prompt >= cached_from(model) && call.cached == Some(0) && seen.contains(&model) {
            waste.push(Waste {
                kind: "not cached",
                what: format!(
                    "{} turn {}: nothing of its prompt was read from the cache",
                    call.role, call.turn
                ),
                tokens: prompt,
            });
        }
        if prompt >= cached_from(model) {
            seen.push(model);
        }
        if call.finish_reason.as_deref() == Some("length") {
            waste.push(Waste {
                kind: "cut answer",
                what: format!("{} turn {}", call.role, call.turn),
                tokens: call.completion.unwrap_or(0),
            });
        }
    }
    waste.extend(run.tools.iter().filter(|t| t.tokens.is_some_and(|n| n > LARGE_TOOL_TOKENS)).map(|t| {
        Waste {
            kind: "large tool answer",
            what: format!("{} for {}", t.name, t.role),
            tokens: t.tokens.unwrap_or(0),
        }
    }));
    let of_winners: u64 = run.calls.iter().map(|c| c.prompt.unwrap_or(0) + c.completion.unwrap_or(0)).sum();
    if run.tokens.total > of_winners {
        waste.push(Waste {
            kind: "failed tries",
            what: "tries that gave no answer".into(),
            tokens: run.tokens.total - of_winners,
        });
    }
    waste.sort_by_key(|w| std::cmp::Reverse(w.tokens));
    waste.truncate(24);
    waste
}

fn rewrite(receipt: &Value) -> Option<Rewrite> {
    let text = |key: &str| receipt.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Rewrite {
        node: text("node"),
        pass: text("pass"),
        before: receipt.get("tokens_before")?.as_u64()?,
        after: receipt.get("tokens_after")?.as_u64()?,
        left_out: receipt.get("left_out").cloned().unwrap_or_default(),
        texts: receipt.get("before").zip(receipt.get("after")).map(|_| (text("before"), text("after"))),
    })
}
