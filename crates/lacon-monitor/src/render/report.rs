//! `lacon report` as text.

use std::fmt::Write as _;

use super::{Table, bar, count, seconds};
use crate::{analyze::thousands, report::RunReport};

/// Dollars of millionths.
pub fn usd(micro: Option<u64>) -> String {
    micro.map_or_else(|| "-".into(), |m| format!("{}.{:06}", m / 1_000_000, m % 1_000_000))
}

/// All tables.
pub fn report(r: &RunReport) -> String {
    let mut out = String::new();
    let run = &r.run;
    let day = if run.date().is_empty() { String::new() } else { format!(" on {}", run.date()) };
    let profile = if run.profile.is_empty() { String::new() } else { format!(", profile {}", run.profile) };
    let (subject, status) = (run.subject(), &run.status);
    // Most teams decide nothing, and have no word for it.
    let ended = match &run.decision.action {
        None if run.grade.origin.is_empty() => status.clone(),
        _ => format!("{} ({status})", run.decision.word()),
    };
    let _ = writeln!(out, "{subject}{day}: {ended}, run {}{profile}", run.run_id);
    let what: Vec<&str> =
        [(run.llm.simulated, "SIMULATED language model"), (run.data.simulated, "offline data")]
            .into_iter()
            .filter_map(|(on, what)| on.then_some(what))
            .collect();
    if !what.is_empty() {
        let _ = writeln!(out, "{}", what.join(", "));
    }
    let t = &run.tokens;
    let _ = writeln!(
        out,
        "{:.2} s, {} tokens in {} calls (prompt {}, cached {}, answer {}, reasoning {}), {} USD, grade {} by content{}\n",
        run.wall_s,
        thousands(t.total),
        run.calls.len(),
        thousands(t.prompt),
        count(t.cached),
        thousands(t.completion),
        count(t.reasoning),
        run.cost_usd.as_deref().unwrap_or("-"),
        run.grade.content,
        match run.grade.origin.as_str() {
            "" => String::new(),
            origin => format!(", {origin} by the original system's formula"),
        }
    );
    nodes(r, &mut out);
    waterfall(r, &mut out);
    books(r, &mut out);
    tools(r, &mut out);
    if r.matrix.iter().any(|c| c.calls > 0) {
        let _ = writeln!(out, "ROLE × MODEL");
        let mut table = Table::new(&["role", "model", "calls", "tokens", "seconds", "USD"], 2);
        for c in &r.matrix {
            table.row(vec![
                c.role.clone(),
                c.model.clone(),
                c.calls.to_string(),
                thousands(c.tokens),
                format!("{:.2}", c.seconds),
                usd(c.micro_usd),
            ]);
        }
        let _ = writeln!(out, "{table}");
    }
    if !r.waste.is_empty() {
        let _ = writeln!(out, "WASTE");
        for w in r.waste.iter().take(12) {
            let _ = writeln!(out, "  {:>7} tokens  {}: {}", thousands(w.tokens), w.kind, w.what);
        }
        out.push('\n');
    }
    if !r.rewrites.is_empty() {
        let _ = writeln!(out, "REWRITTEN PROMPTS");
        let mut table = Table::new(&["node", "pass", "before", "after", "saved"], 2);
        for w in &r.rewrites {
            let saved = 100.0 * (w.before as f64 - w.after as f64) / (w.before.max(1)) as f64;
            table.row(vec![
                w.node.clone(),
                w.pass.clone(),
                thousands(w.before),
                thousands(w.after),
                format!("{saved:.0} %"),
            ]);
        }
        let _ = writeln!(out, "{table}");
    }
    for reason in &run.grade.reasons {
        let _ = writeln!(out, "grade: -{} {}: {}", reason.points, reason.code, reason.evidence);
    }
    if !r.advice.is_empty() {
        let _ = writeln!(out, "ADVICE");
        for a in &r.advice {
            let worth = match (a.seconds, a.tokens) {
                (Some(s), _) => format!("{s:.2} s"),
                (None, Some(t)) => format!("{} tokens", thousands(t)),
                (None, None) => String::new(),
            };
            let _ = writeln!(out, "  {worth:>13}  {}", a.what);
        }
    }
    out.trim_end().to_owned()
}

fn nodes(r: &RunReport, out: &mut String) {
    let _ = writeln!(out, "NODES");
    let mut table = Table::new(
        &[
            "node",
            "",
            "calls",
            "prompt",
            "cached",
            "answer",
            "reasoning",
            "first token",
            "seconds",
            "path",
            "slack",
            "retries",
            "USD",
        ],
        2,
    );
    for n in &r.nodes {
        let blank = n.calls == 0;
        let number = |v: u64| if blank { "-".into() } else { thousands(v) };
        table.row(vec![
            n.node.clone(),
            if n.path_share > 0.0 { "*".into() } else { String::new() },
            if blank { "-".into() } else { n.calls.to_string() },
            number(n.prompt),
            number(n.cached),
            number(n.completion),
            if n.reasoning == 0 { "-".into() } else { number(n.reasoning) },
            n.first_token_s.map_or_else(|| "-".into(), |f| format!("{f:.3}")),
            format!("{:.3}", n.seconds),
            if n.path_share > 0.0 { format!("{:.1} %", n.path_share * 100.0) } else { "-".into() },
            seconds(n.slack_s),
            if n.retries == 0 { "-".into() } else { n.retries.to_string() },
            if blank { "-".into() } else { usd(n.micro_usd) },
        ]);
    }
    let _ = writeln!(out, "{table}");
}

fn waterfall(r: &RunReport, out: &mut String) {
    const WIDTH: usize = 60;
    let wall = r.run.wall_s.max(1e-9);
    let _ = writeln!(out, "WATERFALL, {:.2} s (█ on the critical path, ▒ beside it)", r.run.wall_s);
    let name = r.rows.iter().map(|row| row.node.chars().count()).max().unwrap_or(0);
    for row in r.rows.iter().take(60) {
        let at = |s: f64| ((s / wall * WIDTH as f64).round() as usize).min(WIDTH);
        let (from, to) = (at(row.span.0), at(row.span.1));
        let mark = if row.critical { "█" } else { "▒" };
        let pad = " ".repeat(name - row.node.chars().count());
        let _ = writeln!(out, "  {}{pad}  {}{}", row.node, " ".repeat(from), mark.repeat((to - from).max(1)));
    }
    out.push('\n');
}

fn books(r: &RunReport, out: &mut String) {
    let books = &r.run.books;
    if books.rows.is_empty() {
        return;
    }
    let _ = writeln!(out, "TIME BREAKDOWN, {:.3} s on the critical path", books.wall_s);
    let mut table = Table::new(&["", "seconds", "share", ""], 1);
    for row in &books.rows {
        let share = if books.wall_s > 0.0 { row.seconds / books.wall_s } else { 0.0 };
        table.row(vec![
            row.kind.clone(),
            format!("{:.5}", row.seconds),
            format!("{:.2} %", share * 100.0),
            bar(share, 30),
        ]);
    }
    let _ = write!(out, "{table}");
    let b = &r.analysis.barrier;
    let _ = writeln!(
        out,
        "  waiting at barriers: {:.2} s of nodes, worth {:.2} s of the run\n",
        b.waiting_s, b.worth_s
    );
}

fn tools(r: &RunReport, out: &mut String) {
    if r.tools.is_empty() {
        return;
    }
    let _ = writeln!(out, "TOOLS");
    let mut table =
        Table::new(&["tool", "calls", "with data", "cache hits", "p50", "p95", "p99", "tokens"], 1);
    for t in &r.tools {
        table.row(vec![
            t.tool.clone(),
            t.calls.to_string(),
            format!("{:.0} %", t.ok_percent),
            t.hits.to_string(),
            format!("{:.3}", t.p50_s),
            format!("{:.3}", t.p95_s),
            format!("{:.3}", t.p99_s),
            thousands(t.tokens),
        ]);
    }
    let _ = write!(out, "{table}");
    for t in &r.tools {
        for a in &t.anomalies {
            let _ = writeln!(out, "  anomaly: {}: {a}", t.tool);
        }
    }
    out.push('\n');
}
