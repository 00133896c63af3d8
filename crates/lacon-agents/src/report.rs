//! The report of a run: every text, every tool call, the ledger and the waterfall, as Markdown and as one HTML file.

mod page;

use std::fmt::Write;

use lacon_monitor::analyze::thousands;
pub use page::html;

use crate::{
    TeamRecord, answer,
    record::AgentRecord,
    state::{Said, Text},
};

/// Most bytes of an input that a report shows; `run.json` has it whole.
const MAX_INPUT: usize = 4_096;

/// The report as Markdown. Texts of agents stand in it as they are.
pub fn markdown(run: &TeamRecord) -> String {
    let mut out = format!("# {}: run {}\n\n", run.team, run.run_id);
    if run.llm.simulated {
        out.push_str("The language model is simulated.\n\n");
    }
    if let Some(failure) = &run.failure {
        let _ = writeln!(out, "The run ended as {}: {failure}\n", run.status);
    }
    if let Some(decision) = &run.decision {
        let _ = writeln!(out, "**{}**, decided by {}.\n", decision.chosen.value, decision.agent);
    }
    for (name, score) in &run.scores {
        let reasons = score.reasons.iter().map(|r| format!("; -{} {}", r.points, r.evidence));
        let reasons: String = reasons.collect();
        let _ = writeln!(out, "Score {name}: {:.0} of 100 points{reasons}\n", score.points);
    }
    if let Some(result) = &run.result {
        let _ = writeln!(out, "## Result\n\n{}\n", result.text.trim());
    }
    out.push_str("## What was given\n\n");
    for (name, value) in run.inputs.as_object().into_iter().flatten() {
        let _ = writeln!(out, "### {name}\n\n{}\n", given(value));
    }
    out.push_str("## What the agents said\n\n");
    for agent in &run.agents {
        let _ = writeln!(out, "### {}\n\n{}\n", agent.name, used(agent));
        for (title, text) in texts(agent) {
            let _ = writeln!(out, "#### {title}\n\n{text}\n");
        }
    }
    if !run.tools.is_empty() {
        out.push_str("## Sources\n\n");
        rows(&mut out, &SOURCES, sources(run));
    }
    out.push_str("## Ledger\n\n");
    rows(&mut out, &LEDGER, ledger(run));
    let _ = writeln!(out, "{}\n", totals(run));
    out.push_str("## Optimizations\n\n");
    rows(&mut out, &OPTIMIZATIONS, optimizations(run));
    let path: Vec<String> = run
        .critical_path
        .iter()
        .map(|node| format!("{} ({:.2} s to {:.2} s)", node.node, node.start_s, node.end_s))
        .collect();
    let _ = writeln!(out, "## Critical path\n\n{}\n", path.join(", then "));
    for warning in &run.warnings {
        let _ = writeln!(out, "- {warning}");
    }
    out
}

const SOURCES: [&str; 7] = ["tool", "asked by", "arguments", "answered by", "cache", "status", "tokens"];
const LEDGER: [&str; 5] = ["agent", "model", "calls", "tokens", "seconds"];
const OPTIMIZATIONS: [&str; 4] = ["optimization", "on", "tokens saved", "times"];

fn rows<const N: usize>(out: &mut String, head: &[&str; N], rows: Vec<Vec<String>>) {
    let cell = |text: &String| text.replace('|', "\\|").replace(['\n', '\r'], " ");
    let _ = writeln!(out, "| {} |\n|{}", head.join(" | "), "---|".repeat(N));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    out.push('\n');
}

fn given(value: &serde_json::Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = answer::bounded(&text, MAX_INPUT);
    if shown.len() < text.len() {
        format!("{shown}\n\n({} bytes; run.json has them all)", text.len())
    } else {
        shown.to_owned()
    }
}

fn used(agent: &AgentRecord) -> String {
    format!(
        "{}, {}, {} tokens, {:.2} s",
        agent.model,
        calls(agent.calls),
        thousands(agent.tokens),
        agent.seconds
    )
}

fn calls(n: u64) -> String {
    if n == 1 { "1 call".into() } else { format!("{} calls", thousands(n)) }
}

/// Every text of an agent with what it is about: the round, the item.
fn texts(agent: &AgentRecord) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for said in &agent.said {
        for (i, text) in said.texts.iter().enumerate() {
            all.push((title(said, i), shown(text)));
        }
    }
    all
}

fn title(said: &Said, i: usize) -> String {
    match said.items.get(i) {
        Some(item) => {
            let line = item.lines().next().unwrap_or_default();
            format!("{}: {}", i + 1, answer::bounded(line, 120))
        }
        None => format!("round {}", said.round),
    }
}

fn shown(text: &Text) -> String {
    if let Some(reason) = &text.failure {
        return format!("(no text: {reason})");
    }
    let chosen =
        text.chosen.as_ref().map(|chosen| format!("Chose {}.\n\n", chosen.value)).unwrap_or_default();
    let cut = if text.cut { "\n\n(cut by the token limit)" } else { "" };
    let missing = match text.missing.as_slice() {
        [] => String::new(),
        missing => format!("\n\n(missing: {})", missing.join(", ")),
    };
    format!("{chosen}{}{cut}{missing}", text.text.trim())
}

fn sources(run: &TeamRecord) -> Vec<Vec<String>> {
    let row = |call: &lacon_monitor::record::ToolCall| {
        vec![
            call.name.clone(),
            call.role.clone(),
            answer::bounded(&call.args.to_string(), 200).to_owned(),
            call.source.clone(),
            call.cache.clone(),
            call.status.clone(),
            call.tokens.map(thousands).unwrap_or_default(),
        ]
    };
    run.tools.iter().map(row).collect()
}

fn ledger(run: &TeamRecord) -> Vec<Vec<String>> {
    let row = |agent: &AgentRecord| {
        let seconds = format!("{:.2}", agent.seconds);
        vec![
            agent.name.clone(),
            agent.model.clone(),
            agent.calls.to_string(),
            thousands(agent.tokens),
            seconds,
        ]
    };
    run.agents.iter().map(row).collect()
}

fn totals(run: &TeamRecord) -> String {
    let cost = run.cost_usd.as_ref().map(|cost| format!(", {cost} US dollars")).unwrap_or_default();
    let list = if run.llm.simulated && run.cost_usd.is_some() { " at list price" } else { "" };
    format!(
        "{} tokens in {}{cost}{list}, {} of tools, {:.2} s",
        thousands(run.tokens.total),
        calls(run.calls.len() as u64),
        calls(run.tools.len() as u64),
        run.wall_s
    )
}

fn optimizations(run: &TeamRecord) -> Vec<Vec<String>> {
    let row = |(name, saved): (&String, &crate::record::Saved)| {
        let on = if saved.on { "yes" } else { "no" };
        let tokens = saved.saved_tokens.map(|n| n.to_string()).unwrap_or_default();
        let times = saved.times.map(|n| n.to_string()).unwrap_or_default();
        vec![name.clone(), on.into(), tokens, times]
    };
    run.optimizations.iter().map(row).collect()
}
