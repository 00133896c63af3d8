//! Judges traces of the trading graph: reports, tools, debate and one decision from the plan to the trader.

use std::collections::{BTreeSet, HashMap};

use lacon_monitor::{
    analyze::{
        Scorer, Sheet,
        flow::{Flow, family},
        reading,
    },
    grade::{Answers, points},
    trace::{Form, Kind, Span, Trace},
};
use serde_json::Value;

use crate::signal;

/// Judges runs of the trading graph, by Lacon or by the original Python system.
#[derive(Clone, Copy, Debug, Default)]
pub struct TradingTraces;

/// The scorers of the applications that Lacon comes with.
pub const SCORERS: &[&dyn Scorer] = &[&TradingTraces];

impl Scorer for TradingTraces {
    fn name(&self) -> &'static str {
        "trading"
    }

    fn knows(&self, trace: &Trace) -> bool {
        let is_own =
            trace.form == Form::Lacon && trace.attributes.keys().any(|key| key.starts_with("lacon."));
        let asked =
            trace.inputs.contains_key("company_of_interest") && trace.inputs.contains_key("trade_date");
        let state =
            trace.flags.contains_key("aggregation_ready") || trace.flags.contains_key("report_readiness");
        let named = |words: &[&str]| {
            words
                .iter()
                .filter(|w| trace.spans.iter().any(|s| s.is_unit() && s.name.starts_with(**w)))
                .count()
        };
        let roles = named(&["market_", "social_", "news_", "fundamentals_"]) >= 2
            && named(&["bull_", "bear_", "research_manager", "trader", "risk_"]) >= 2;
        is_own || trace.form == Form::Analyzer || asked || state || roles
    }

    fn judge(&self, trace: &Trace, flow: &Flow, sheet: &mut Sheet) {
        let has_texts = !trace.texts.is_empty() || trace.spans.iter().any(|s| !s.wrote.is_empty());
        if has_texts {
            texts(trace, flow, sheet);
            decision(trace, flow, sheet);
        } else {
            sheet.not_judged.push("reports, debate and decision: the trace holds no text".into());
        }
        tools(trace, flow, sheet);
        numbers(trace, sheet);
        state_flags(trace, sheet);
        let failed: Vec<&Span> = trace
            .spans
            .iter()
            .filter(|s| s.error.is_some() && !matches!(s.kind, Kind::Attempt | Kind::Own))
            .collect();
        for span in failed.iter().take(4) {
            sheet.lose(
                "span_failed",
                points::SPAN_FAILED,
                format!("{}: {}", span.label(), span.error.as_deref().unwrap_or_default()),
            );
        }
        if !matches!(trace.status.as_str(), "success" | "done" | "ok") {
            sheet.lose("not_finished", points::NOT_FINISHED, format!("the run ended as {:?}", trace.status));
        }
        let cut = |s: &&Span| {
            s.attributes
                .get("gen_ai.response.finish_reasons")
                .is_some_and(|f| f.to_string().contains("length"))
        };
        for span in trace.spans.iter().filter(cut).take(4) {
            sheet.lose("answer_cut", points::ANSWER_CUT, format!("{}: cut by the token limit", span.name));
        }
    }
}

/// Reports that are there and say something.
fn texts(trace: &Trace, flow: &Flow, sheet: &mut Sheet) {
    let mut empty: BTreeSet<String> = BTreeSet::new();
    for text in
        trace.texts.iter().filter(|t| t.key.ends_with("_report") && !t.key.contains('.') && t.chars < 50)
    {
        empty.insert(text.key.clone());
    }
    for (name, of_family) in reading::by_family(trace, flow) {
        let asks_models = of_family
            .iter()
            .any(|i| trace.spans[*i].hidden_calls > 0 || flow.models_in(trace, *i).next().is_some());
        let wrote = of_family.iter().any(|i| {
            trace.spans[*i]
                .wrote
                .iter()
                .chain(flow.models_in(trace, *i).flat_map(|m| &trace.spans[m].wrote))
                .any(|t| t.chars >= 50)
        });
        // A key that begins like this family sorts behind it.
        let known = empty.range(name.to_owned()..).next().is_some_and(|key| key.starts_with(name));
        if asks_models && !wrote && !known {
            empty.insert(format!("{name}: its report"));
        }
    }
    let called = |s: &Span| s.hidden_calls > 0 || s.tokens.sum().is_some_and(|t| t > 0);
    let last_calls: HashMap<&str, usize> = flow
        .units
        .iter()
        .filter(|i| called(&trace.spans[**i]))
        .map(|i| (family(&trace.spans[*i].name), *i))
        .collect();
    for key in empty {
        let stem = family(&key).to_owned();
        let last = last_calls.get(stem.as_str()).map(|i| &trace.spans[*i]);
        let how = match last {
            Some(span) if span.asks_tools > 0 => {
                format!("; {} asked for {} tools instead and the run went on", span.label(), span.asks_tools)
            }
            Some(span) => format!(
                "; {} took {} tokens and {:.1} s, left no text, and the run went on",
                span.label(),
                span.tokens.sum().unwrap_or(0),
                span.seconds()
            ),
            None => String::new(),
        };
        sheet.lose("report_empty", points::REPORT_EMPTY, format!("{key} is empty{how}"));
    }
}

/// Tools that gave data.
fn tools(trace: &Trace, flow: &Flow, sheet: &mut Sheet) {
    let mut seen = 0_usize;
    for (name, of_family) in reading::by_family(trace, flow) {
        let mut answers = Answers::default();
        for i in &of_family {
            let inside = flow.tools_in(trace, *i).collect::<Vec<_>>();
            for span in inside.iter().map(|m| &trace.spans[*m]) {
                match (span.no_data.first(), &span.error) {
                    (Some(says), _) => answers.without.push(format!("{}: {says}", span.name)),
                    (None, Some(error)) => answers.lost.push(format!("{}: {error}", span.name)),
                    (None, None) => answers.with_data += 1,
                }
            }
            if inside.is_empty() {
                answers.without.extend(trace.spans[*i].no_data.iter().cloned());
                let with = trace.spans[*i].attributes.get("n_with_data").and_then(Value::as_u64);
                answers.with_data += with.unwrap_or(0) as usize;
            }
        }
        seen += answers.len();
        answers.grade(name, &mut |code, points, evidence| sheet.lose(code, points, evidence));
    }
    if seen == 0 {
        sheet.not_judged.push("tools: the trace holds none of their answers".into());
    }
}

/// Numbers of an answer that stand in what it was written from.
fn numbers(trace: &Trace, sheet: &mut Sheet) {
    let mut judged = 0;
    for (i, span) in trace.spans.iter().enumerate() {
        let Some(share) = span.traceable else { continue };
        judged += 1;
        if let Some(points) = points::of_figures(share) {
            let node = trace.node_of(i).map_or(span.name.as_str(), |n| trace.spans[n].name.as_str());
            let evidence =
                format!("{node}: {:.0} % of the figures of its answer stand in what it read", share * 100.0);
            sheet.lose("figures_without_source", points, evidence);
        }
    }
    if judged == 0 {
        sheet.not_judged.push("numbers: the trace holds no whole prompt beside its answer".into());
    }
}

/// What the run's own state says about itself: readiness, and how much of the debate the judge was given.
fn state_flags(trace: &Trace, sheet: &mut Sheet) {
    if trace.flags.get("aggregation_ready") == Some(&Value::Bool(false)) {
        let not_ready: Vec<&str> = trace
            .flags
            .get("report_readiness")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(_, r)| r.get("ready") == Some(&Value::Bool(false)))
            .map(|(name, _)| name.as_str())
            .collect();
        sheet.lose(
            "not_ready",
            points::NOT_READY,
            format!("aggregation_ready is false ({}) and the run went on", not_ready.join(", ")),
        );
    }
    let rounds = trace.flags.get("research_debate_state").and_then(|s| s.get("debate_history"));
    let rounds = rounds.and_then(|h| h.get("sample").or(Some(h))).and_then(Value::as_array);
    let mut judged = false;
    for round in rounds.into_iter().flatten() {
        for side in ["bull", "bear"] {
            let given = match round.get(side) {
                Some(Value::String(text)) => text.chars().count() as u64,
                Some(other) => other.get("full_length").and_then(Value::as_u64).unwrap_or(0),
                None => continue,
            };
            let spoken = trace
                .spans
                .iter()
                .filter(|s| s.name.starts_with(side))
                .flat_map(|s| &s.wrote)
                .map(|t| t.chars)
                .max()
                .unwrap_or(0);
            judged |= spoken > 0;
            if spoken > 0 && (given as f64) < 0.9 * spoken as f64 {
                let evidence = format!(
                    "the judge was given {given} of the {spoken} characters of {side} ({:.0} %)",
                    100.0 * given as f64 / spoken as f64
                );
                sheet.lose("not_read", points::NOT_READ, evidence);
            }
        }
    }
    if !judged {
        sheet.not_judged.push("debate: the trace does not hold what its reader was given".into());
    }
}

/// One decision from the plan to the trader.
fn decision(trace: &Trace, flow: &Flow, sheet: &mut Sheet) {
    let since = reading::gathered_at(trace, flow);
    let deciding =
        |name: &str| ["plan", "manager", "trader", "decision", "judge"].iter().any(|w| name.contains(w));
    let mut stated: Vec<(String, &'static str)> = Vec::new();
    let mut last: Option<(String, bool)> = None;
    for i in &flow.units {
        let span = &trace.spans[*i];
        let texts = span
            .wrote
            .iter()
            .chain(flow.models_in(trace, *i).filter(|m| *m != *i).flat_map(|m| &trace.spans[m].wrote));
        if span.start_s + 1e-3 < since || !deciding(&span.name) {
            continue;
        }
        for text in texts.filter(|t| !t.start.is_empty() && !t.key.ends_with("judge_feedback")) {
            match signal::parse(&text.start) {
                // The end of a text that is kept in part may say otherwise: prose in its beginning is no decision.
                Some(found) if found.labelled || text.whole => {
                    stated.push((span.label(), found.action.as_str()));
                    last = Some((span.label(), true));
                }
                _ if text.whole => last = Some((span.label(), false)),
                _ => {}
            }
        }
    }
    if let Some((node, false)) = &last
        && stated.is_empty()
    {
        sheet.lose(
            "decision_unparsed",
            points::DECISION_UNPARSED,
            format!("{node} states neither BUY, SELL nor HOLD"),
        );
    }
    if stated.is_empty() && last.is_none() {
        sheet.not_judged.push("decision: no deciding text is whole enough to be read".into());
    }
    if let Some((first, rest)) = stated.split_first()
        && let Some((node, action)) = rest.iter().find(|(_, a)| *a != first.1)
    {
        sheet.lose(
            "decision_changes",
            points::DECISION_CHANGES,
            format!("{} says {}, {node} says {action}", first.0, first.1),
        );
    }
}
