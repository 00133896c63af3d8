//! What a trace tells about its run: the original system's figures, and what they could not see.

mod content;
pub mod flow;
mod general;
mod groups;
mod origin;
pub mod reading;
mod summary;
mod walk;

use serde::Serialize;

pub use content::{ContentGrade, GENERAL, Scorer, Scorers, Sheet};
pub use flow::{Flow, Parts};
pub use groups::{Group, Part, groups};
pub use origin::{Origin, origin, thousands};
pub use reading::{Reader, Repeated, gathered_at, gatherers, readers, reports};
pub(crate) use summary::at_list_price;
pub use summary::{Summary, calls};

use crate::trace::{Form, Kind, Problem, Span, Trace};

/// Everything that is found out about one trace.
#[derive(Clone, Debug, Serialize)]
pub struct Analysis {
    /// Version of this shape.
    pub schema_version: u32,
    /// The run: identifier, name, what was asked.
    pub title: String,
    /// The form of the file.
    pub form: crate::trace::Form,
    /// What was wrong with the file.
    pub problems: Vec<Problem>,
    /// Calls, tools, tokens and cost.
    pub summary: Summary,
    /// The original Python system's figures and grade, of a run of its graph.
    #[serde(skip_serializing_if = "Origin::is_foreign")]
    pub origin: Origin,
    /// The content-aware grade.
    pub content: ContentGrade,
    /// Seconds.
    pub wall_s: f64,
    /// Models in order of their first call.
    pub models: Vec<String>,
    /// Whether the order of nodes was written in the trace; otherwise it follows from their times.
    pub edges_known: bool,
    /// The chain of nodes that decided the time.
    pub critical_path: Vec<PathStep>,
    /// Where the time on that chain went.
    pub parts: Parts,
    /// Each node.
    pub nodes: Vec<NodeRow>,
    /// Each model call with a span of its own, or a node that stands for one.
    pub calls: Vec<CallRow>,
    /// Waiting for others of the same step that were no inputs.
    pub barrier: Barrier,
    /// How well the run used what could run at once.
    pub parallel: Parallel,
    /// Nodes that make model calls one after the other.
    pub serial: Vec<Serial>,
    /// Times in which nothing ran.
    pub gaps: Vec<Gap>,
    /// Texts that several prompts hold.
    pub repeated: Vec<Repeated>,
    /// Advice, most seconds first.
    pub advice: Vec<Advice>,
}

/// One step of the critical path.
#[derive(Clone, Debug, Serialize)]
pub struct PathStep {
    /// The node with its visit.
    pub node: String,
    /// Start in seconds.
    pub start_s: f64,
    /// End in seconds.
    pub end_s: f64,
    /// Seconds between the end of the step before and this start.
    pub gap_s: f64,
    /// Share of the run's time.
    pub share: f64,
}

/// One node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeRow {
    /// The node with its visit.
    pub node: String,
    /// Start in seconds.
    pub start_s: f64,
    /// Seconds.
    pub seconds: f64,
    /// How much longer it could have taken without a later end of the run.
    pub slack_s: f64,
    /// Seconds that it waited for nodes that are none of its inputs.
    pub barrier_s: f64,
    /// Whether it is on the critical path.
    pub critical: bool,
    /// Where its time went.
    pub parts: Parts,
    /// Tokens of the prompt; an estimate where `estimated`.
    pub prompt: Option<u64>,
    /// Tokens of the answers.
    pub completion: Option<u64>,
    /// All tokens.
    pub total: Option<u64>,
    /// Whether prompt and completion are derived.
    pub estimated: bool,
    /// Model calls.
    pub n_calls: usize,
    /// Cost at list prices in US dollars, of the calls that have one.
    pub cost_usd: Option<f64>,
    /// What went wrong.
    pub error: Option<String>,
}

/// One model call.
#[derive(Clone, Debug, Serialize)]
pub struct CallRow {
    /// The node with its visit.
    pub node: String,
    /// The model, where it is written.
    pub model: Option<String>,
    /// Seconds.
    pub seconds: f64,
    /// Seconds to the first token.
    pub first_token_s: Option<f64>,
    /// Tokens of prompt and answer.
    pub total: Option<u64>,
    /// Cost at list prices in US dollars, where its model has one.
    pub cost_usd: Option<f64>,
    /// What went wrong.
    pub error: Option<String>,
    /// Tokens of the answer.
    pub completion: Option<u64>,
    /// Tokens of the answer a second: after the first token where that is known, else over the whole call.
    pub tokens_per_s: Option<f64>,
    /// Whether the tokens are derived from texts.
    pub estimated: bool,
    /// Hidden reasoning tokens, where reported.
    pub reasoning: Option<u64>,
    /// Calls that this row stands for.
    pub n_calls: u32,
}

/// What barriers cost.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Barrier {
    /// Node seconds spent waiting for nodes that are no inputs.
    pub waiting_s: f64,
    /// Seconds that the run would be shorter without.
    pub worth_s: f64,
    /// Nodes that waited.
    pub nodes: Vec<String>,
}

/// Parallelism.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Parallel {
    /// Seconds of work in all nodes.
    pub work_s: f64,
    /// Work by wall time.
    pub average: f64,
    /// Most nodes at once.
    pub peak: usize,
    /// Average by peak.
    pub efficiency: f64,
}

/// A node with model calls in a row.
#[derive(Clone, Debug, Serialize)]
pub struct Serial {
    /// The node with its visit.
    pub node: String,
    /// How many.
    pub n_calls: usize,
    /// Seconds of the node.
    pub seconds: f64,
    /// How it is known.
    pub evidence: String,
}

/// A time in which nothing ran.
#[derive(Clone, Debug, Serialize)]
pub struct Gap {
    /// Start in seconds.
    pub start_s: f64,
    /// Seconds.
    pub seconds: f64,
    /// The node before.
    pub after: String,
    /// What went on all the same: the run's own span, a user who thought, or nothing.
    pub beside: &'static str,
}

/// A change worth making.
#[derive(Clone, Debug, Serialize)]
pub struct Advice {
    /// What.
    pub what: String,
    /// Seconds that it would save.
    pub seconds: Option<f64>,
    /// Tokens that it would save.
    pub tokens: Option<u64>,
    /// The optimization of Lacon that does it: a run that has it on needs no such advice.
    pub optimization: Option<&'static str>,
}

/// Between the turns of a session.
const USER: &str = "the session waited for its user";
/// Shorter gaps are the executor's own.
const GAP_S: f64 = 0.05;

/// Analyzes one trace; the first of the scorers that knows such a run grades it.
pub fn analyze(trace: &Trace, scorers: Scorers<'_>) -> Analysis {
    let flow = Flow::of(trace);
    let content = content::grade(trace, &flow, scorers);
    let is_known = content.scorer != GENERAL;
    let path = flow.path(trace);
    let slack = flow.slack(trace);
    let names = trace.title();
    let mut on_path = vec![false; flow.units.len()];
    for step in &path {
        let unit = flow.unit_of(trace, step.span);
        if let Some(u) = unit.and_then(|i| flow.units.binary_search(&i).ok()) {
            on_path[u] = true;
        }
    }
    let unit_parts: Vec<Parts> = flow.units.iter().map(|i| flow.parts(trace, *i)).collect();
    let nodes: Vec<NodeRow> = flow
        .units
        .iter()
        .enumerate()
        .map(|(u, i)| node_row(trace, &flow, u, *i, slack[u], on_path[u], &unit_parts[u]))
        .collect();
    let mut steps = Vec::new();
    let mut parts = Parts::default();
    let mut last = 0.0;
    for step in &path {
        parts.gap_s += step.gap_s;
        parts.add(&flow.parts_of(trace, step));
        steps.push(PathStep {
            node: flow.label(trace, step.span),
            start_s: step.from,
            end_s: step.to,
            gap_s: step.gap_s,
            share: if trace.wall_s > 0.0 { (step.to - step.from) / trace.wall_s } else { 0.0 },
        });
        last = step.to;
    }
    parts.gap_s += (trace.wall_s - last).max(0.0);
    let calls = call_rows(trace, &flow);
    let barrier = barrier(trace, &flow);
    let serial = serial(trace, &flow, is_known);
    let repeated = reading::repeated(trace, &flow);
    let mut analysis = Analysis {
        schema_version: 1,
        title: names,
        form: trace.form,
        problems: trace.problems.clone(),
        summary: summary::summary(trace),
        origin: origin(trace, is_known),
        content,
        wall_s: trace.wall_s,
        models: trace.models(),
        edges_known: flow.known,
        critical_path: steps,
        parts,
        nodes,
        calls,
        barrier,
        parallel: parallel(trace, &flow),
        serial,
        gaps: gaps(trace, &flow),
        repeated,
        advice: Vec::new(),
    };
    analysis.advice = advice(&analysis);
    analysis
}

fn cost_usd(trace: &Trace, call: &Span) -> Option<f64> {
    Some(summary::at_list_price(trace, call)? as f64 / 1e6)
}

fn node_row(
    trace: &Trace,
    flow: &Flow,
    u: usize,
    i: usize,
    slack_s: f64,
    critical: bool,
    parts: &Parts,
) -> NodeRow {
    let span = &trace.spans[i];
    let inside: Vec<&Span> = flow.models_in(trace, i).map(|m| &trace.spans[m]).collect();
    let sum = |get: fn(&Span) -> Option<u64>| {
        let own = get(span);
        if inside.is_empty() {
            own
        } else {
            inside.iter().filter_map(|s| get(s)).reduce(|a, b| a + b).or(own)
        }
    };
    NodeRow {
        node: span.label(),
        start_s: span.start_s,
        seconds: span.seconds(),
        slack_s,
        barrier_s: flow.barrier_wait(trace, u),
        critical,
        parts: parts.clone(),
        prompt: sum(|s| s.tokens.prompt),
        completion: sum(|s| s.tokens.completion),
        total: sum(|s| s.tokens.sum()),
        estimated: span.tokens.estimated || inside.iter().any(|s| s.tokens.estimated),
        n_calls: if inside.is_empty() { span.hidden_calls as usize } else { inside.len() },
        cost_usd: match inside.as_slice() {
            [] => cost_usd(trace, span),
            many => many.iter().filter_map(|call| cost_usd(trace, call)).reduce(|a, b| a + b),
        },
        error: span.error.clone(),
    }
}

fn call_rows(trace: &Trace, flow: &Flow) -> Vec<CallRow> {
    let mut rows = Vec::new();
    for i in &flow.units {
        let node = &trace.spans[*i];
        let inside: Vec<usize> = flow.models_in(trace, *i).collect();
        let each = if inside.is_empty() && node.hidden_calls > 0 { vec![*i] } else { inside };
        for m in each {
            let call = &trace.spans[m];
            let first = call.first_token_s.map(|f| f - call.start_s);
            let streaming = call.seconds() - first.unwrap_or(0.0);
            rows.push(CallRow {
                node: node.label(),
                model: call.model.clone(),
                seconds: call.seconds(),
                first_token_s: first,
                total: call.tokens.sum(),
                cost_usd: cost_usd(trace, call),
                error: call.error.clone(),
                completion: call.tokens.completion,
                tokens_per_s: call
                    .tokens
                    .completion
                    .filter(|c| *c > 0 && streaming > 1e-6)
                    .map(|c| c as f64 / streaming),
                estimated: call.tokens.estimated,
                reasoning: call.tokens.reasoning,
                n_calls: call.hidden_calls.max(1),
            });
        }
    }
    rows
}

fn barrier(trace: &Trace, flow: &Flow) -> Barrier {
    let waits: Vec<f64> = (0..flow.units.len()).map(|u| flow.barrier_wait(trace, u)).collect();
    let names = |u: usize| trace.spans[flow.units[u]].label();
    let end = flow.ends(trace, &flow.waits);
    let without = flow.ends(trace, &flow.inputs);
    let latest = |ends: &[f64]| ends.iter().copied().fold(0.0, f64::max);
    Barrier {
        waiting_s: waits.iter().sum(),
        worth_s: (latest(&end) - latest(&without)).max(0.0),
        nodes: (0..waits.len()).filter(|u| waits[*u] > GAP_S).map(names).collect(),
    }
}

fn parallel(trace: &Trace, flow: &Flow) -> Parallel {
    let mut events: Vec<(f64, i32)> = Vec::with_capacity(flow.units.len() * 2);
    let mut work_s = 0.0;
    // What takes no time beside the run is the executor's own; a run without waits is made of short nodes.
    let least = GAP_S.min(trace.wall_s / 1000.0);
    for span in flow.units.iter().map(|i| &trace.spans[*i]).filter(|span| span.seconds() > least) {
        events.extend([(span.start_s, 1), (span.end_s, -1)]);
        work_s += span.seconds();
    }
    events.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut now, mut peak) = (0, 0);
    for (_, change) in events {
        now += change;
        peak = peak.max(now);
    }
    let average = if trace.wall_s > 0.0 { work_s / trace.wall_s } else { 0.0 };
    Parallel {
        work_s,
        average,
        peak: peak as usize,
        efficiency: if peak > 0 { (average / f64::from(peak)).min(1.0) } else { 0.0 },
    }
}

fn serial(trace: &Trace, flow: &Flow, is_known: bool) -> Vec<Serial> {
    let rates = rates(trace, flow);
    flow.units
        .iter()
        .filter_map(|i| {
            let span = &trace.spans[*i];
            let chain = in_a_row(trace, &flow.chain(trace, *i), is_known);
            if chain >= 2 {
                return Some(Serial {
                    node: span.label(),
                    n_calls: chain,
                    seconds: span.seconds(),
                    evidence: format!("{chain} call spans, each begins after the one before ended"),
                });
            }
            let hidden = span.hidden_calls as usize;
            if hidden < 2 || is_parallel(span, &rates) {
                return None;
            }
            let keys: Vec<&str> =
                span.wrote.iter().map(|t| t.key.rsplit('.').next().unwrap_or(&t.key)).collect();
            Some(Serial {
                node: span.label(),
                n_calls: hidden,
                seconds: span.seconds(),
                evidence: format!(
                    "it wrote {} texts ({}) no faster than single calls write one",
                    keys.len(),
                    keys.join(", ")
                ),
            })
        })
        .collect()
}

/// How many calls of a chain follow each other. In an agent's loop a call needs what the tools before it gave: only calls
/// without a tool between them could be one. A graph that is known can call its tools before any model asks for them.
fn in_a_row(trace: &Trace, chain: &[usize], is_known: bool) -> usize {
    let (mut most, mut row) = (0, 0);
    for m in chain {
        let span = &trace.spans[*m];
        match span.kind {
            Kind::Model => row += 1,
            Kind::Echo => {}
            _ if !is_known => row = 0,
            _ => {}
        }
        most = most.max(row);
        if span.kind == Kind::Model && span.asks_tools > 0 && !is_known {
            row = 0;
        }
    }
    most
}

/// Tokens a second of nodes that write one text.
pub(crate) fn rates(trace: &Trace, flow: &Flow) -> Vec<f64> {
    let mut rates: Vec<f64> = flow
        .units
        .iter()
        .map(|i| &trace.spans[*i])
        .filter(|s| s.hidden_calls == 1 && s.seconds() > 1.0)
        .filter_map(|s| Some(s.tokens.completion? as f64 / s.seconds()))
        .collect();
    rates.sort_by(f64::total_cmp);
    rates
}

/// Whether the calls hidden in a node ran beside each other: it wrote faster than single calls did.
pub(crate) fn is_parallel(span: &Span, rates: &[f64]) -> bool {
    let Some(completion) = span.tokens.completion else { return false };
    let rate = completion as f64 / span.seconds().max(1e-9);
    match rates.get(rates.len() / 2) {
        Some(median) => rate > 1.6 * median,
        None => span.name.contains("parallel"),
    }
}

fn gaps(trace: &Trace, flow: &Flow) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let beside = match trace.form {
        Form::ClaudeCode | Form::Codex => USER,
        _ if trace.has_root => "nothing but the run itself ran",
        _ => "nothing ran",
    };
    let (mut end, mut after) = (0.0_f64, "the start".to_owned());
    // Whatever ran, ran: also what a node left to do after its end. Spans are in order of start.
    for (i, span) in trace.spans.iter().enumerate().filter(|(_, s)| s.is_work()) {
        if span.start_s - end > GAP_S {
            gaps.push(Gap { start_s: end, seconds: span.start_s - end, after: after.clone(), beside });
        }
        if span.end_s > end {
            end = span.end_s;
            after = flow.label(trace, flow.unit_of(trace, i).unwrap_or(i));
        }
    }
    if trace.wall_s - end > GAP_S {
        gaps.push(Gap { start_s: end, seconds: trace.wall_s - end, after, beside });
    }
    gaps
}

fn advice(a: &Analysis) -> Vec<Advice> {
    let mut advice = Vec::new();
    let mut add =
        |optimization: Option<&'static str>, what: String, seconds: Option<f64>, tokens: Option<u64>| {
            advice.push(Advice { what, seconds, tokens, optimization })
        };
    for serial in &a.serial {
        let worth = serial.seconds * (serial.n_calls - 1) as f64 / serial.n_calls as f64;
        add(
            Some("prefetch"),
            format!(
                "{}: {} model calls in a row; one call, or calls beside each other",
                serial.node, serial.n_calls
            ),
            Some(worth),
            None,
        );
    }
    if a.barrier.worth_s > GAP_S {
        add(
            Some("no_barrier"),
            format!(
                "start each node when its own inputs are ready: {} wait for others",
                a.barrier.nodes.join(", ")
            ),
            Some(a.barrier.worth_s),
            None,
        );
    }
    for gap in a.gaps.iter().filter(|g| g.seconds > 1.0 && g.beside != USER) {
        add(
            None,
            format!(
                "{} for {:.1} s after {}: look at the process, not at the model",
                gap.beside, gap.seconds, gap.after
            ),
            Some(gap.seconds),
            None,
        );
    }
    for call in &a.calls {
        let each = call.completion.unwrap_or(0) / u64::from(call.n_calls);
        let streaming = call.seconds - call.first_token_s.unwrap_or(0.0);
        if each >= 800 && a.nodes.iter().any(|n| n.node == call.node && n.critical) {
            add(
                Some("word_limits"),
                format!(
                    "{}: answers of {each} tokens on the critical path; worth it if half as long would do",
                    call.node
                ),
                Some(streaming / 2.0),
                call.completion.map(|c| c / 2),
            );
        }
    }
    for text in a.repeated.iter().filter(|r| r.wasted > 200) {
        add(
            Some("digests"),
            format!(
                "{} ({} tokens) stands in {} prompts: send it once, or a digest of it",
                text.text, text.tokens, text.times
            ),
            None,
            Some(text.wasted),
        );
    }
    advice.sort_by(|a, b| {
        b.seconds.unwrap_or(0.0).total_cmp(&a.seconds.unwrap_or(0.0)).then(b.tokens.cmp(&a.tokens))
    });
    advice.truncate(12);
    advice
}
