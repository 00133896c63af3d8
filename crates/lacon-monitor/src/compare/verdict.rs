//! What changed, whether the pair can tell, and the words for it.

use serde::Serialize;

use super::{Comparison, TimeCause, TimeSplit, TokenCause, TokenSplit};
use crate::{analyze::thousands, trace::Trace};

/// What can change between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// Another model is written in the trace, or every call has another speed.
    Model,
    /// Another question, or a report that is missing.
    Input,
    /// The text around the question.
    PromptTemplate,
    /// Longer or shorter answers.
    OutputLength,
    /// Tools.
    Tools,
    /// Waiting for a place, failed tries.
    Queue,
    /// Waiting for a whole step.
    Barrier,
    /// Our own work.
    LocalCpu,
    /// Times in which nothing ran.
    Gaps,
    /// Nodes or calls added or removed.
    Structure,
    /// What tools gave.
    ToolResults,
    /// Conversation and tool results.
    History,
}

impl CauseKind {
    /// The word in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Input => "input",
            Self::PromptTemplate => "prompt template",
            Self::OutputLength => "length of answers",
            Self::Tools => "tools",
            Self::Queue => "queue and retries",
            Self::Barrier => "barriers",
            Self::LocalCpu => "local code",
            Self::Gaps => "gaps",
            Self::Structure => "structure of the graph",
            Self::ToolResults => "a tool's result",
            Self::History => "history and tool results",
        }
    }
}

/// One change with its evidence.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    /// What changed.
    pub kind: CauseKind,
    /// What shows it.
    pub evidence: String,
    /// Seconds that it adds.
    pub seconds: Option<f64>,
    /// Tokens that it adds.
    pub tokens: Option<i64>,
}

/// A share of A's time, or a second, whichever is more, is worth a word.
const TIME_SHARE: f64 = 0.03;
/// A median change of speed by this factor is no scatter between calls.
const SPEED: f64 = 1.2;

/// All changes, the most seconds first.
pub fn causes(a: &Trace, b: &Trace, time: &TimeSplit, tokens: &TokenSplit, by_call: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let worth = (a.wall_s * TIME_SHARE).max(0.5f64.min(a.wall_s * 0.1));
    model(a, b, time, worth, &mut causes);
    input(a, b, tokens, &mut causes);
    let template = tokens.of(TokenCause::PromptTemplate);
    if template.abs() as f64 > 0.03 * tokens.template_a as f64 && template.abs() >= 20 {
        causes.push(Cause {
            kind: CauseKind::PromptTemplate,
            evidence: format!(
                "the first prompts hold {} tokens {} of {}",
                thousands(template.unsigned_abs()),
                more(template),
                thousands(tokens.template_a.unsigned_abs())
            ),
            seconds: None,
            tokens: Some(template),
        });
    }
    tool_results(a, tokens, &mut causes);
    let output = tokens.of(TokenCause::Output);
    let length = time.of(TimeCause::OutputLength);
    let answers = a.tokens.completion.unwrap_or(0) as f64;
    if length.abs() > worth || output.abs() as f64 > 0.1 * answers.max(1.0) && output.abs() > 50 {
        causes.push(Cause {
            kind: CauseKind::OutputLength,
            evidence: format!(
                "answers hold {} tokens {} at equal nodes",
                thousands(output.unsigned_abs()),
                more(output)
            ),
            seconds: Some(length),
            tokens: Some(output),
        });
    }
    for (kind, cause) in [
        (CauseKind::Tools, TimeCause::Tools),
        (CauseKind::Queue, TimeCause::Queue),
        (CauseKind::Barrier, TimeCause::Barrier),
        (CauseKind::LocalCpu, TimeCause::LocalCpu),
        (CauseKind::Gaps, TimeCause::Gaps),
    ] {
        let seconds = time.of(cause);
        // The same barriers cost more when what they wait for is slower: that is no cause of its own.
        let (before, after) = time.barrier_shares;
        let grown = kind == CauseKind::Barrier && (after - before).abs() <= TIME_SHARE;
        if seconds.abs() > worth && !grown {
            causes.push(Cause { kind, evidence: String::new(), seconds: Some(seconds), tokens: None });
        }
    }
    let structure = (time.of(TimeCause::Structure), tokens.of(TokenCause::Structure));
    if structure.0.abs() > worth || structure.1.abs() > 50 {
        let has = |trace: &Trace, node: &str| trace.spans.iter().any(|s| s.is_unit() && s.label() == node);
        let (both, one): (Vec<&str>, Vec<&str>) = time
            .nodes
            .iter()
            .filter(|n| n.a_s.is_none() || n.b_s.is_none())
            .flat_map(|n| n.node.split(" → "))
            .partition(|node| has(a, node) && has(b, node));
        let listed = |what: &str, nodes: &[&str]| {
            (!nodes.is_empty()).then(|| format!("{what}: {}", nodes[..nodes.len().min(4)].join(", ")))
        };
        let said = [
            listed("nodes that only one side has", &one),
            listed("on the critical path of one side alone", &both),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        causes.push(Cause {
            kind: CauseKind::Structure,
            evidence: if said.is_empty() { "calls beside the critical path".into() } else { said.join("; ") },
            seconds: Some(structure.0),
            tokens: Some(structure.1),
        });
    }
    let history = tokens.of(TokenCause::History);
    let total_a = a.tokens.sum().unwrap_or(0) as f64;
    if history.abs() as f64 > 0.03 * total_a && history.abs() > 100 {
        causes.push(Cause {
            kind: CauseKind::History,
            evidence: format!(
                "later prompts{} hold {} tokens {}",
                if !by_call { " of gathering nodes" } else { "" },
                thousands(history.unsigned_abs()),
                more(history)
            ),
            seconds: None,
            tokens: Some(history),
        });
    }
    let weight = |c: &Cause| c.seconds.unwrap_or(0.0).abs() + c.tokens.unwrap_or(0).abs() as f64 / 1000.0;
    causes.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    causes
}

/// Results of tools that grew or shrank: as many tokens as the prompts hold more or fewer of them.
fn tool_results(a: &Trace, tokens: &TokenSplit, causes: &mut Vec<Cause>) {
    let changed = tokens.of(TokenCause::ToolResults);
    let least = (0.01 * a.tokens.sum().unwrap_or(0) as f64).max(20.0);
    if (changed.abs() as f64) < least {
        return;
    }
    let said: Vec<String> = tokens
        .tools
        .iter()
        .filter(|t| (t.tokens < 0) == (changed < 0))
        .take(3)
        .map(|t| {
            let tools = if t.tools.is_empty() { "a tool".to_owned() } else { t.tools.join(" or ") };
            format!(
                "{tools} before {}: {} tokens {}",
                t.call,
                thousands(t.tokens.unsigned_abs()),
                more(t.tokens)
            )
        })
        .collect();
    causes.push(Cause {
        kind: CauseKind::ToolResults,
        evidence: said.join("; "),
        seconds: None,
        tokens: Some(changed),
    });
}

fn model(a: &Trace, b: &Trace, time: &TimeSplit, worth: f64, causes: &mut Vec<Cause>) {
    let seconds = time.of(TimeCause::ModelSpeed);
    let (of_a, of_b) = (a.models(), b.models());
    let same = |x: &String, y: &String| {
        x == y
            || x.starts_with(y.as_str()) && y.contains('-') && x[y.len()..].starts_with("-20")
            || y.starts_with(x.as_str()) && x.contains('-') && y[x.len()..].starts_with("-20")
    };
    let differ = !of_a.is_empty()
        && !of_b.is_empty()
        && (of_a.iter().any(|x| !of_b.iter().any(|y| same(x, y)))
            || of_b.iter().any(|y| !of_a.iter().any(|x| same(x, y))));
    let slower = time
        .speed_ratio
        .filter(|r| !(1.0 / SPEED..=SPEED).contains(r) && time.n_speeds >= 2 && seconds.abs() > worth);
    if !differ && slower.is_none() {
        return;
    }
    let mut evidence = Vec::new();
    if differ {
        evidence.push(format!("{} → {}", of_a.join(", "), of_b.join(", ")));
    }
    let unnamed = |t: &Trace| t.spans.iter().any(|s| s.hidden_calls > 0 && s.model.is_none());
    if let Some(ratio) = slower {
        evidence.push(format!(
            "a token takes {ratio:.2} times as long at equal nodes (median of {})",
            time.n_speeds
        ));
    }
    if unnamed(a) && unnamed(b) {
        let deciding: Vec<f64> = time
            .nodes
            .iter()
            .filter(|n| n.decides)
            .filter_map(|n| Some(n.b_s? / n.b_completion? as f64 / (n.a_s? / n.a_completion? as f64)))
            .collect();
        let mean = deciding.iter().sum::<f64>() / deciding.len().max(1) as f64;
        if !deciding.is_empty() && !(1.0 / SPEED..=SPEED).contains(&mean) {
            evidence.push(format!(
                "the deciding nodes do not say their model; a token of theirs takes {mean:.1} times as long: another model, or hidden reasoning"
            ));
        }
    }
    causes.push(Cause {
        kind: CauseKind::Model,
        evidence: evidence.join("; "),
        seconds: Some(seconds),
        tokens: None,
    });
}

fn input(a: &Trace, b: &Trace, tokens: &TokenSplit, causes: &mut Vec<Cause>) {
    let mut changed: Vec<String> = Vec::new();
    for (key, value) in &a.inputs {
        if !["run_id", "profile", "id"].contains(&key.as_str())
            && let Some(other) = b.inputs.get(key).filter(|o| *o != value)
        {
            changed.push(format!("{key} {value} → {other}"));
        }
    }
    changed.extend(tokens.vanished.iter().map(|v| {
        format!("{} is empty in {} ({} characters in the other)", v.text, v.missing_in, thousands(v.chars))
    }));
    if !changed.is_empty() {
        let explains = tokens.of(TokenCause::VanishedInput);
        causes.push(Cause {
            kind: CauseKind::Input,
            evidence: changed.join("; "),
            seconds: None,
            tokens: (explains != 0).then_some(explains),
        });
    }
}

/// Why the causes cannot be told apart: things that act on the same calls changed together.
pub fn confounded(causes: &[Cause]) -> Vec<String> {
    let acting: Vec<&Cause> = causes
        .iter()
        .filter(|c| {
            matches!(
                c.kind,
                CauseKind::Model | CauseKind::Input | CauseKind::PromptTemplate | CauseKind::Structure
            )
        })
        .filter(|c| c.kind != CauseKind::PromptTemplate || c.tokens.unwrap_or(0).abs() >= 20)
        .collect();
    if acting.len() < 2 {
        return Vec::new();
    }
    acting.iter().map(|c| format!("{}: {}", c.kind.title(), c.evidence)).collect()
}

fn more(delta: i64) -> &'static str {
    if delta < 0 { "fewer" } else { "more" }
}

fn signed_s(seconds: f64) -> String {
    format!("{seconds:+.1} s")
}

fn signed_n(n: i64) -> String {
    format!("{}{}", if n < 0 { "−" } else { "+" }, thousands(n.unsigned_abs()))
}

/// The findings in sentences, the most important first.
pub fn findings(c: &Comparison) -> Vec<String> {
    let mut list = Vec::new();
    let percent = |part: f64, whole: f64| if whole.abs() > 1e-9 { 100.0 * part / whole } else { 0.0 };
    let tokens = match (c.delta_tokens, c.a.tokens) {
        (Some(delta), Some(a)) => {
            format!(" and {} tokens ({:+.1} %)", signed_n(delta), percent(delta as f64, a as f64))
        }
        _ => "; tokens are not recorded on both sides".to_owned(),
    };
    list.push(format!("B takes {} ({:+.0} %){tokens}", signed_s(c.delta_s), percent(c.delta_s, c.a.wall_s)));
    let word = if c.delta_s < 0.0 { "saved" } else { "added" };
    let says_time = c.delta_s.abs() > 0.02 * c.a.wall_s;
    if says_time {
        let model = c.time.of(TimeCause::ModelSpeed)
            + c.time.of(TimeCause::OutputLength)
            + c.time.of(TimeCause::ModelUnsplit);
        let deciding = c.time.deciding_model_s;
        if !c.by_call && percent(deciding, c.delta_s) >= 50.0 {
            list.push(format!(
                "{:.1} % of the {word} time ({}) lies in the model calls after the data was gathered",
                percent(deciding, c.delta_s),
                signed_s(deciding)
            ));
        } else if percent(model, c.delta_s) >= 50.0 {
            list.push(format!(
                "{:.1} % of the {word} time ({}) lies in model calls",
                percent(model, c.delta_s),
                signed_s(model)
            ));
        }
        if let Some(top) = c.time.nodes.first().filter(|n| percent(n.delta_s, c.delta_s) >= 15.0) {
            list.push(format!(
                "{} alone adds {} ({:.0} %)",
                top.node,
                signed_s(top.delta_s),
                percent(top.delta_s, c.delta_s)
            ));
        }
    }
    for cause in &c.causes {
        let seconds = cause
            .seconds
            .filter(|s| s.abs() >= 0.05)
            .map(|s| format!(", {}", signed_s(s)))
            .unwrap_or_default();
        let tokens = cause.tokens.map(|t| format!(", {} tokens", signed_n(t))).unwrap_or_default();
        let evidence =
            if cause.evidence.is_empty() { String::new() } else { format!(": {}", cause.evidence) };
        let verb = match (cause.kind, cause.tokens) {
            (CauseKind::ToolResults, Some(t)) if t < 0 => "shrank",
            (CauseKind::ToolResults, _) => "grew",
            _ => "changed",
        };
        list.push(format!("{} {verb}{evidence}{seconds}{tokens}", cause.kind.title()));
    }
    for v in &c.tokens.vanished {
        let delta = c.delta_tokens.unwrap_or(0);
        let missing =
            if (v.explains < 0) == (delta < 0) { percent(v.explains as f64, delta as f64) } else { 0.0 };
        list.push(format!(
            "{} ({} tokens) stood in {} prompts: its absence in {} explains {} tokens, {missing:.0} % of the difference",
            v.text,
            thousands(v.tokens),
            v.prompts,
            v.missing_in,
            signed_n(v.explains)
        ));
    }
    if says_time {
        let local = c.time.of(TimeCause::LocalCpu) + c.time.of(TimeCause::Gaps);
        list.push(format!(
            "local code and gaps explain {:.1} % of the {word} time ({})",
            percent(local, c.delta_s),
            format_args!("{local:+.2} s")
        ));
    }
    if c.confounded {
        list.push(format!(
            "confounded: {} changed together; this pair cannot say which of them did it",
            joined(c)
        ));
    }
    match &c.interval_s {
        Some(s) => {
            let verdict = match (s.low > 0.0, s.high < 0.0) {
                (true, _) => "B is slower",
                (_, true) => "B is faster",
                _ => "no difference in time is shown",
            };
            let tokens = c.interval_tokens.as_ref();
            let tokens = tokens.map(|t| format!(" and between {:+.0} and {:+.0} tokens", t.low, t.high));
            list.push(format!(
                "{verdict}: over {} and {} traces the difference of means lies between {:+.1} and {:+.1} s{} ({})",
                c.a.n,
                c.b.n,
                s.low,
                s.high,
                tokens.unwrap_or_default(),
                s.method
            ));
        }
        None => list.push("one trace a side: repeat each at least three times on the same input before claiming anything about the code".into()),
    }
    list
}

fn joined(c: &Comparison) -> String {
    let mut kinds: Vec<&str> = c
        .causes
        .iter()
        .filter(|x| c.confounded_by.iter().any(|w| w.starts_with(x.kind.title())))
        .map(|x| x.kind.title())
        .collect();
    kinds.dedup();
    match kinds.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => kinds.join(""),
    }
}
