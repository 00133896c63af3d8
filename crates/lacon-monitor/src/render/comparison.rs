//! `lacon trace compare` as text.

use std::fmt::Write as _;

use super::{Table, bar};
use crate::{
    analyze::thousands,
    compare::{Comparison, Interval},
};

/// Nodes over all traces that are shown.
const MOST_NODES: usize = 40;

/// Findings first, then the figures behind them.
pub fn comparison(c: &Comparison) -> String {
    let mut out = String::new();
    for (name, side) in [("A", &c.a), ("B", &c.b)] {
        let more = if side.n > 1 { format!(" (median of {})", side.n) } else { String::new() };
        let models =
            if side.models.is_empty() { "no model written".to_owned() } else { side.models.join(", ") };
        let tokens = side.tokens.map_or_else(
            || "tokens not recorded".to_owned(),
            |tokens| format!("{} tokens", thousands(tokens)),
        );
        let grade = match (side.grade, side.content.as_str()) {
            (Some(origin), content) => {
                format!("grade {origin} by the original system's formula, {content} by content")
            }
            (None, "-") => "content not judged".into(),
            (None, content) => format!("grade {content} by content"),
        };
        let _ =
            writeln!(out, "{name}  {}{more}: {:.2} s, {tokens}, {models}; {grade}", side.title, side.wall_s);
    }
    let _ = writeln!(out, "\nFINDINGS");
    for finding in &c.findings {
        let _ = writeln!(out, "  • {finding}");
    }
    let percent = |part: f64, whole: f64| {
        if whole.abs() > 1e-9 { format!("{:.1} %", 100.0 * part / whole) } else { "-".into() }
    };
    let _ = writeln!(out, "\nTIME, {:+.2} s", c.delta_s);
    let mut table = Table::new(&["cause", "seconds", "share", ""], 1);
    for (cause, seconds) in c.time.by_cause.iter().filter(|(_, s)| s.abs() >= 0.005) {
        table.row(vec![
            cause.title().into(),
            format!("{seconds:+.2}"),
            percent(*seconds, c.delta_s),
            bar((seconds / c.delta_s).abs(), 24),
        ]);
    }
    let _ = write!(out, "{table}");
    let _ = writeln!(out, "\nNODES ON THE CHAIN");
    let mut table =
        Table::new(&["node", "A s", "B s", "Δ s", "model", "speed", "length", "answer A", "answer B"], 1);
    let opt = |v: Option<f64>| v.map_or_else(|| "-".into(), |v| format!("{v:.2}"));
    let plus = |v: Option<f64>| v.map_or_else(|| "-".into(), |v| format!("{v:+.2}"));
    for n in c.time.nodes.iter().filter(|n| n.delta_s.abs() >= 0.02).take(40) {
        table.row(vec![
            n.node.clone(),
            opt(n.a_s),
            opt(n.b_s),
            format!("{:+.2}", n.delta_s),
            format!("{:+.2}", n.model_s),
            plus(n.speed_s),
            plus(n.length_s),
            super::count(n.a_completion),
            super::count(n.b_completion),
        ]);
    }
    let _ = write!(out, "{table}");
    let estimated = if c.tokens.estimated { " (prompts and answers told apart by estimate)" } else { "" };
    if !c.nodes.is_empty() {
        let _ = writeln!(out, "\nNODES OVER ALL TRACES (mean seconds; Welch's interval at 95 %)");
        let mut table = Table::new(&["node", "A", "n", "B", "n", "Δ s", "from", "to", ""], 1);
        for n in c.nodes.iter().take(MOST_NODES) {
            let delta = n.mean_b_s - n.mean_a_s;
            let end = |of: fn(&Interval) -> f64| {
                n.interval_s.as_ref().map_or_else(|| "-".into(), |i| format!("{:+.2}", of(i)))
            };
            let differs = n.interval_s.as_ref().is_some_and(|i| i.significant);
            table.row(vec![
                n.node.clone(),
                if n.n_a > 0 { format!("{:.2}", n.mean_a_s) } else { "-".into() },
                n.n_a.to_string(),
                if n.n_b > 0 { format!("{:.2}", n.mean_b_s) } else { "-".into() },
                n.n_b.to_string(),
                if n.n_a > 0 && n.n_b > 0 { format!("{delta:+.2}") } else { "-".into() },
                end(|i| i.low),
                end(|i| i.high),
                if differs { "differs".into() } else { String::new() },
            ]);
        }
        let _ = write!(out, "{table}");
        if c.nodes.len() > MOST_NODES {
            let _ = writeln!(out, "  and {} more (--json lists them all)", c.nodes.len() - MOST_NODES);
        }
    }
    let Some(delta_tokens) = c.delta_tokens else {
        let _ = writeln!(out, "\nTOKENS not recorded on both sides");
        return out;
    };
    let sign = if delta_tokens < 0 { "−" } else { "+" };
    let _ = writeln!(out, "\nTOKENS, {sign}{}{estimated}", thousands(delta_tokens.unsigned_abs()));
    let mut table = Table::new(&["cause", "tokens", "share", ""], 1);
    for (cause, tokens) in c.tokens.by_cause.iter().filter(|(_, t)| *t != 0) {
        table.row(vec![
            cause.title().into(),
            format!("{}{}", if *tokens < 0 { "−" } else { "+" }, thousands(tokens.unsigned_abs())),
            percent(*tokens as f64, delta_tokens as f64),
            bar((*tokens as f64 / delta_tokens as f64).abs(), 24),
        ]);
    }
    let _ = write!(out, "{table}");
    out.trim_end().to_owned()
}
