//! The report as one HTML file, by the page that reports of other runs have.

use std::fmt::Write;

use lacon_monitor::{
    analyze::thousands,
    html::{Section, duration, escape, page, table, waterfall},
    report::{Part, Row},
};

use super::{
    LEDGER, OPTIMIZATIONS, SOURCES, calls, given, ledger, optimizations, sources, texts, totals, used,
};
use crate::TeamRecord;

/// Most calls of one agent that the waterfall draws, and texts of one agent that the page shows.
const MAX_PARTS: usize = 200;
const MAX_TEXTS: usize = 200;

/// The page.
pub fn html(run: &TeamRecord) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let section = |id, short, title, body| Section { id, short, title, body };
    let sections = [
        section("result", "Result", "Result", result(run)),
        section("agents", "Agents", "What the agents said", agents(run)),
        section("waterfall", "Waterfall", "Waterfall", waterfall(&rows(run), run.wall_s)),
        section("sources", "Sources", "Sources", cells(&SOURCES, sources(run), 6)),
        section("ledger", "Ledger", "Ledger", cells(&LEDGER, ledger(run), 2)),
        section(
            "optimizations",
            "Optimizations",
            "Optimizations",
            cells(&OPTIMIZATIONS, optimizations(run), 2),
        ),
        section("inputs", "Inputs", "What was given", inputs(run)),
        section("notes", "Notes", "Notes", notes(run)),
    ];
    let foot = format!(
        "Made by lacon {version} from run.json of run <code>{}</code>. This file asks nothing of the network.",
        escape(&run.run_id)
    );
    page(&format!("{}: run report", run.team), version, &header(run), &sections, &foot)
}

fn header(run: &TeamRecord) -> String {
    let decision = run
        .decision
        .as_ref()
        .map(|decision| format!(" <span class=\"action\">{}</span>", escape(&decision.chosen.value)));
    let mut head = format!(
        "<header>\n<p class=\"kicker\">Run report · {}</p>\n<h1>{}{}</h1>\n",
        escape(&run.run_id),
        escape(&run.team),
        decision.unwrap_or_default()
    );
    if run.llm.simulated {
        head.push_str("<p class=\"banner\" role=\"note\">The language model is simulated.</p>\n");
    }
    if let Some(failure) = &run.failure {
        let _ = writeln!(
            head,
            "<p class=\"banner bad\" role=\"note\">The run ended as <b>{}</b>: {}</p>",
            escape(&run.status),
            escape(failure)
        );
    }
    head.push_str("<dl class=\"figures\">");
    let mut figure = |name: &str, value: String, note: String| {
        let _ = write!(head, "<div><dt>{name}</dt><dd>{value}</dd><dd class=\"note\">{note}</dd></div>");
    };
    let speed = if run.llm.simulated { ", at recorded speed" } else { "" };
    let expected = format!("{:.1} s expected{speed}", run.expected.seconds);
    figure("Time", format!("<b data-total=\"wall_s\">{:.2}</b> s", run.wall_s), expected);
    let tokens = format!("<b data-total=\"tokens.total\">{}</b>", thousands(run.tokens.total));
    figure("Tokens", tokens, format!("in {}", calls(run.calls.len() as u64)));
    let cached = run.tokens.cached.map_or_else(|| "–".into(), thousands);
    figure(
        "Cached",
        format!("<b>{cached}</b>"),
        format!("of {} prompt tokens", thousands(run.tokens.prompt)),
    );
    let list = if run.llm.simulated { "US dollars at list price" } else { "US dollars" };
    let cost = run.cost_usd.as_ref().map_or_else(|| "–".into(), |cost| escape(cost));
    figure("Cost", format!("<b data-total=\"cost_usd\">{cost}</b>"), list.into());
    head.push_str("</dl>\n</header>\n");
    head
}

fn result(run: &TeamRecord) -> String {
    let Some(result) = &run.result else { return String::new() };
    format!("<p class=\"soft\">By {}.</p><pre>{}</pre>\n", escape(&result.agent), escape(&result.text))
}

fn agents(run: &TeamRecord) -> String {
    let mut out = String::new();
    for agent in &run.agents {
        let _ =
            writeln!(out, "<h3>{}</h3><p class=\"soft\">{}</p>", escape(&agent.name), escape(&used(agent)));
        let texts = texts(agent);
        for (title, text) in texts.iter().take(MAX_TEXTS) {
            let _ = writeln!(
                out,
                "<details><summary>{}</summary><pre>{}</pre></details>",
                escape(title),
                escape(text)
            );
        }
        if texts.len() > MAX_TEXTS {
            let more = texts.len() - MAX_TEXTS;
            let _ = writeln!(out, "<p class=\"soft\">{more} more texts are in run.json.</p>");
        }
    }
    out
}

/// One row an agent: from its first call to its last.
fn rows(run: &TeamRecord) -> Vec<Row> {
    let row = |agent: &crate::record::AgentRecord| {
        let is_of = |role: &str, agent: &crate::record::AgentRecord| {
            role.split(crate::record::AND).any(|name| name == agent.name)
        };
        let calls = run.calls.iter().filter(|call| is_of(&call.role, agent)).map(|call| Part {
            kind: "model",
            name: call.model.clone(),
            span: (call.start_s, call.end_s),
            first_token_s: call.first_token_s,
            note: format!(
                "{} prompt, {} completion",
                thousands(call.prompt.unwrap_or(0)),
                thousands(call.completion.unwrap_or(0))
            ),
        });
        let tools = run.tools.iter().filter(|call| call.role == agent.name).map(|call| Part {
            kind: "tool",
            name: call.name.clone(),
            span: (call.start_s, call.end_s),
            first_token_s: None,
            note: call.status.clone(),
        });
        let parts: Vec<Part> = tools.chain(calls).collect();
        let begin = parts.iter().map(|part| part.span.0).reduce(f64::min)?;
        let end = parts.iter().map(|part| part.span.1).fold(begin, f64::max);
        // Of a group or loop the path names the whole.
        let is_agent = |name: &str| run.agents.iter().any(|agent| agent.name == name);
        let holds = |node: &lacon_monitor::record::PathNode| {
            node.node == agent.name || !is_agent(&node.node) && node.start_s <= begin && end <= node.end_s
        };
        let critical = run.critical_path.iter().any(holds);
        let failure = agent.said.iter().flat_map(|said| &said.texts).find_map(|text| text.failure.clone());
        let parts = parts.into_iter().take(MAX_PARTS).collect();
        Some(Row { node: agent.name.clone(), critical, span: (begin, end), parts, error: failure })
    };
    run.agents.iter().filter_map(row).collect()
}

fn cells(head: &[&str], rows: Vec<Vec<String>>, left: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| escape(cell)).collect()).collect();
    table(head, &rows, None, left)
}

fn inputs(run: &TeamRecord) -> String {
    let given = run
        .inputs
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("<h3>{}</h3><pre>{}</pre>\n", escape(name), escape(&given(value))));
    given.collect()
}

fn notes(run: &TeamRecord) -> String {
    let mut out: String =
        run.warnings.iter().map(|warning| format!("<p>{}</p>\n", escape(warning))).collect();
    if !run.critical_path.is_empty() {
        let path: Vec<String> = run
            .critical_path
            .iter()
            .map(|node| format!("{} {}", escape(&node.node), duration(node.end_s - node.start_s)))
            .collect();
        let _ = writeln!(
            out,
            "<p class=\"soft\">Critical path: {}. {}.</p>",
            path.join(" &rarr; "),
            escape(&totals(run))
        );
    }
    out
}
