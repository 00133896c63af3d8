//! `lacon trace analyze` as text.

use std::fmt::Write as _;

use super::{Table, bar, count, seconds};
use crate::analyze::{Analysis, thousands};

/// Both halves: what the original system's analyzer printed, and what it could not see.
pub fn analysis(a: &Analysis) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}, {} ({:.2} s)\n", a.title, a.form.title(), a.wall_s);
    if !a.problems.is_empty() {
        let _ = writeln!(out, "PROBLEMS OF THE FILE (the analysis is partial)");
        for p in &a.problems {
            let _ = writeln!(out, "  {} ×{}: {}", p.code, p.count, p.example);
        }
        out.push('\n');
    }
    if a.origin.applies {
        origin(a, &mut out);
    }
    summary(a, &mut out);
    let c = &a.content;
    let verdict = if c.verdict == Some(false) { ": FAILED" } else { "" };
    let _ = match c.points {
        Some(points) => writeln!(out, "CONTENT-AWARE GRADE  {} ({points:.0} of 100){verdict}", c.letter),
        None => writeln!(out, "CONTENT-AWARE GRADE  not judged"),
    };
    for reason in &c.reasons {
        let _ = writeln!(out, "  -{:<3} {}: {}", reason.points, reason.code, reason.evidence);
    }
    for what in &c.not_judged {
        let _ = writeln!(out, "  not judged: {what}");
    }
    out.push('\n');
    path(a, &mut out);
    nodes(a, &mut out);
    waits(a, &mut out);
    calls(a, &mut out);
    if !a.repeated.is_empty() {
        let _ = writeln!(out, "TEXTS THAT SEVERAL PROMPTS HOLD");
        let mut table = Table::new(&["text", "tokens", "prompts", "wasted", "known by"], 1);
        for r in a.repeated.iter().take(10) {
            table.row(vec![
                r.text.clone(),
                thousands(r.tokens),
                r.times.to_string(),
                thousands(r.wasted),
                r.how.into(),
            ]);
        }
        let _ = writeln!(out, "{table}");
    }
    if !a.advice.is_empty() {
        let _ = writeln!(out, "ADVICE, MOST SECONDS FIRST");
        for advice in &a.advice {
            let worth = match (advice.seconds, advice.tokens) {
                (Some(s), _) => format!("{s:6.1} s"),
                (None, Some(t)) => format!("{:>6} tokens", thousands(t)),
                (None, None) => String::new(),
            };
            let _ = writeln!(out, "  {worth}  {}", advice.what);
        }
    }
    out.trim_end().to_owned()
}

fn summary(a: &Analysis, out: &mut String) {
    let s = &a.summary;
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let _ = writeln!(out, "THE RUN");
    let calls = if s.n_calls == 0 { "no model call recorded".into() } else { many(s.n_calls, "model call") };
    // Tools that were asked for and have no span ran all the same.
    let tools = match (s.n_tool_calls, s.n_tools_asked) {
        (0, asked) if asked > 0 => format!("tool calls not recorded ({asked} asked for)"),
        (n, _) => many(n, "tool call"),
    };
    let _ = writeln!(out, "  status {}, {calls}, {tools}, {}", s.status, many(s.n_errors, "error"));
    let known = |t: Option<u64>| t.map_or_else(|| "not recorded".into(), thousands);
    let t = &s.tokens;
    if t.sum().is_none() {
        let _ = writeln!(out, "  tokens not recorded");
    } else {
        let _ = writeln!(
            out,
            "  tokens {} (prompt {}, of it cached {}; answers {}, of it reasoning {})",
            known(t.sum()),
            known(t.prompt),
            known(t.cached),
            known(t.completion),
            known(t.reasoning)
        );
        if s.n_calls_with_tokens < s.n_calls && s.n_calls_with_tokens > 0 {
            let _ = writeln!(out, "  {} of {} calls say their tokens", s.n_calls_with_tokens, s.n_calls);
        }
        if s.tokens.estimated {
            let _ = writeln!(
                out,
                "  some of these tokens are estimates: their calls report none, or only a total"
            );
        }
    }
    if s.cost_source_usd.is_some() || s.cost_list_usd.is_some() {
        let usd = |c: Option<f64>| c.map_or_else(|| "not recorded".into(), |c| format!("{c:.6} USD"));
        let list = match s.cost_list_usd {
            Some(cost) => {
                format!("{cost:.6} USD at list prices ({} of {} calls)", s.n_calls_priced, s.n_calls)
            }
            None => "no list price for these models".into(),
        };
        let _ = writeln!(out, "  cost {} by the source, {list}", usd(s.cost_source_usd));
    }
    if s.n_folded > 0 {
        let spans = many(s.n_folded as usize, "further span");
        let _ = writeln!(out, "  {spans} told of the same requests, folded");
    }
    if s.n_retold > 0 {
        let spans = many(s.n_retold as usize, "further span");
        let _ = writeln!(out, "  {spans} of nodes told of the same requests, left out");
    }
    out.push('\n');
}

fn origin(a: &Analysis, out: &mut String) {
    let o = &a.origin;
    let _ = writeln!(out, "AS THE ORIGINAL SYSTEM'S ANALYZER SEES IT");
    let _ = writeln!(
        out,
        "  status {}, {} runs, {} errors, {:.2} s",
        o.status, o.total_runs, o.error_count, o.duration_seconds
    );
    let _ = writeln!(
        out,
        "  tokens {} (prompt {}, completion {}, efficiency {:.3}), {:.1} tokens/s",
        thousands(o.total_tokens),
        thousands(o.prompt_tokens),
        thousands(o.completion_tokens),
        o.token_efficiency,
        o.tokens_per_second
    );
    let _ = writeln!(
        out,
        "  run durations: mean {:.2} s, min {:.3} s, max {:.2} s, total {:.2} s",
        o.avg_run_duration, o.min_run_duration, o.max_run_duration, o.total_run_time
    );
    let _ = writeln!(
        out,
        "  tokens at {:.1} % of 40,000, runtime at {:.1} % of 120 s: efficiency {}",
        o.total_tokens_vs_target, o.runtime_vs_target, o.efficiency_rating
    );
    let _ = writeln!(
        out,
        "  success {:.1} %, errors {:.1} %, completeness {:.1} %: quality {:.1}, grade {}",
        o.success_rate, o.error_rate, o.completeness_rate, o.quality_score, o.quality_grade
    );
    for (category, n) in &o.error_categories {
        let _ = writeln!(out, "  errors: {category} {n}");
    }
    if !o.tool_calls.is_empty() {
        let n: usize = o.tool_calls.values().sum();
        let _ = writeln!(
            out,
            "  tools: {n} calls of {}, {:.1} % succeeded",
            o.tool_calls.len(),
            o.tool_success_rate
        );
    }
    for (kind, t) in &o.timing_by_type {
        let _ =
            writeln!(out, "  {kind}: {} runs, mean {:.2} s, max {:.2} s", t.count, t.avg_time, t.max_time);
    }
    for r in &o.recommendations {
        let _ = writeln!(out, "  [{}] {}: {} ({})", r.priority, r.issue, r.recommendation, r.details);
    }
    out.push('\n');
}

fn path(a: &Analysis, out: &mut String) {
    let how = if a.edges_known { "inputs are written in the trace" } else { "inputs follow from the times" };
    let _ = writeln!(out, "CRITICAL PATH ({how})");
    let mut table = Table::new(&["node", "start", "seconds", "share", ""], 1);
    for step in a.critical_path.iter().filter(|s| s.share >= 0.001) {
        table.row(vec![
            step.node.clone(),
            format!("{:.2}", step.start_s),
            format!("{:.2}", step.end_s - step.start_s),
            format!("{:.1} %", step.share * 100.0),
            bar(step.share, 30),
        ]);
    }
    let _ = write!(out, "{table}");
    let p = &a.parts;
    let percent = |s: f64| if a.wall_s > 0.0 { 100.0 * s / a.wall_s } else { 0.0 };
    let _ = writeln!(
        out,
        "  of {:.2} s: model {:.2} ({:.1} %), tools {:.2} ({:.1} %), queue {:.2}, retries {:.2}, local {:.2} ({:.1} %), gaps {:.2} ({:.1} %)\n",
        a.wall_s,
        p.model_s,
        percent(p.model_s),
        p.tool_s,
        percent(p.tool_s),
        p.queue_s,
        p.retry_s,
        p.local_s,
        percent(p.local_s),
        p.gap_s,
        percent(p.gap_s)
    );
}

fn nodes(a: &Analysis, out: &mut String) {
    let _ = writeln!(out, "NODES");
    let mut table = Table::new(
        &[
            "node", "", "start", "seconds", "slack", "barrier", "model", "tool", "local", "calls", "prompt",
            "answer",
        ],
        2,
    );
    let shown = a.nodes.iter().filter(|n| n.seconds >= 0.05 || n.n_calls > 0 || n.error.is_some());
    let estimated = a.nodes.iter().any(|n| n.estimated);
    for n in shown.take(60) {
        let mark = match (n.critical, &n.error) {
            (_, Some(_)) => "!",
            (true, None) => "*",
            _ => "",
        };
        let about =
            |t: Option<u64>| if n.estimated && t.is_some() { format!("~{}", count(t)) } else { count(t) };
        table.row(vec![
            n.node.clone(),
            mark.into(),
            format!("{:.2}", n.start_s),
            format!("{:.2}", n.seconds),
            seconds(n.slack_s),
            seconds(n.barrier_s),
            seconds(n.parts.model_s),
            seconds(n.parts.tool_s),
            seconds(n.parts.local_s),
            if n.n_calls == 0 { "-".into() } else { n.n_calls.to_string() },
            about(n.prompt),
            about(n.completion),
        ]);
    }
    let _ = write!(out, "{table}");
    let more = a.nodes.iter().filter(|n| n.seconds >= 0.05 || n.n_calls > 0).count().saturating_sub(60);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more (--json has them all)");
    }
    let note = if estimated { "; ~ derived from texts and totals" } else { "" };
    let _ = writeln!(out, "  * on the critical path{note}\n");
}

fn waits(a: &Analysis, out: &mut String) {
    let p = &a.parallel;
    let _ = writeln!(out, "WAITING AND PARALLELISM");
    let _ = writeln!(
        out,
        "  barrier: nodes waited {:.1} s for nodes that are no inputs; without, the run would be {:.1} s shorter",
        a.barrier.waiting_s, a.barrier.worth_s
    );
    let _ = writeln!(
        out,
        "  parallel efficiency {:.0} %: {:.1} s of work, {:.2} nodes at once on average, {} at most",
        p.efficiency * 100.0,
        p.work_s,
        p.average,
        p.peak
    );
    for s in &a.serial {
        let _ = writeln!(
            out,
            "  serial calls: {} makes {} in a row in {:.1} s ({})",
            s.node, s.n_calls, s.seconds, s.evidence
        );
    }
    for g in a.gaps.iter().take(8) {
        let _ = writeln!(
            out,
            "  gap: {} for {:.2} s at {:.2} s, after {}",
            g.beside, g.seconds, g.start_s, g.after
        );
    }
    out.push('\n');
}

fn calls(a: &Analysis, out: &mut String) {
    if a.calls.is_empty() {
        return;
    }
    let _ = writeln!(out, "MODEL CALLS");
    let mut table =
        Table::new(&["node", "model", "seconds", "first token", "answer", "tokens/s", "reasoning"], 2);
    for c in a.calls.iter().take(60) {
        let mark = if c.estimated { "~" } else { "" };
        table.row(vec![
            c.node.clone(),
            c.model.clone().unwrap_or_else(|| "not written".into()),
            format!("{:.2}", c.seconds),
            c.first_token_s.map_or_else(|| "-".into(), |f| format!("{f:.2}")),
            c.completion.map_or_else(|| "-".into(), |t| format!("{mark}{}", thousands(t))),
            c.tokens_per_s.map_or_else(|| "-".into(), |r| format!("{mark}{r:.1}")),
            count(c.reasoning),
        ]);
    }
    let _ = writeln!(out, "{table}");
}
