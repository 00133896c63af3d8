//! The sections of tables.

use std::fmt::Write as _;

use super::{escape, waterfall::duration};
use crate::{analyze::thousands, render::usd, report::RunReport};

/// A table: head, rows of cells that are HTML already, foot. The first `left` columns are aligned to the left.
pub fn table(head: &[&str], rows: &[Vec<String>], foot: Option<Vec<String>>, left: usize) -> String {
    let mut out = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table\"><table><thead><tr>",
    );
    let class = |i: usize| if i < left { " class=\"l\"" } else { "" };
    for (i, cell) in head.iter().enumerate() {
        let _ = write!(out, "<th scope=\"col\"{}>{cell}</th>", class(i));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let _ = write!(out, "<td{}>{cell}</td>", class(i));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>");
    if let Some(foot) = foot {
        out.push_str("<tfoot><tr>");
        for (i, cell) in foot.iter().enumerate() {
            let _ = write!(out, "<td{}>{cell}</td>", class(i));
        }
        out.push_str("</tr></tfoot>");
    }
    out.push_str("</table></div>\n");
    out
}

/// A bar of parts, in the order given; `(class, value, title)`.
fn stack(class: &str, parts: &[(&str, f64, String)], whole: f64) -> String {
    let mut x = 0.0;
    let mut out = format!(
        "<svg class=\"{class}\" viewBox=\"0 0 1000 20\" preserveAspectRatio=\"none\" role=\"img\"><rect class=\"k-node\" width=\"1000\" height=\"20\"/>"
    );
    for (kind, value, title) in parts.iter().filter(|p| p.1 > 0.0) {
        let width = value / whole.max(1e-12) * 1000.0;
        let _ = write!(
            out,
            "<rect class=\"k-{kind}\" x=\"{x:.2}\" width=\"{width:.2}\" height=\"20\"><title>{}</title></rect>",
            escape(title)
        );
        x += width;
    }
    out.push_str("</svg>");
    out
}

/// What to change first.
pub fn advice(r: &RunReport) -> String {
    if r.advice.is_empty() {
        return "<p class=\"soft\">Nothing stands out.</p>\n".into();
    }
    let mut out = String::from("<ol class=\"advice\">");
    for a in r.advice.iter().take(8) {
        let worth = match (a.seconds, a.tokens) {
            (Some(s), _) => duration(s),
            (None, Some(t)) => format!("{} tokens", thousands(t)),
            (None, None) => String::new(),
        };
        let _ = write!(out, "<li><span class=\"worth\">{worth}</span>: {}</li>", escape(&a.what));
    }
    out.push_str("</ol>\n");
    out
}

/// The books, and waiting by cause.
pub fn books(r: &RunReport) -> String {
    let books = &r.run.books;
    if books.rows.is_empty() {
        return String::new();
    }
    let class = |kind: &str| match kind {
        "model" => "model",
        "tools" => "tool",
        "queue" | "retries" => "queue",
        "unattributed" => "free",
        _ => "own",
    };
    let parts: Vec<(&str, f64, String)> = books
        .rows
        .iter()
        .map(|row| (class(&row.kind), row.seconds, format!("{}: {}", row.kind, duration(row.seconds))))
        .collect();
    let mut out = stack("stack", &parts, books.wall_s);
    let rows: Vec<Vec<String>> = books
        .rows
        .iter()
        .map(|row| {
            let share = if books.wall_s > 0.0 { 100.0 * row.seconds / books.wall_s } else { 0.0 };
            vec![
                format!("<i class=\"dot k-{}\"></i>{}", class(&row.kind), escape(&row.kind)),
                duration(row.seconds),
                format!("{share:.2} %"),
            ]
        })
        .collect();
    out.push_str(&table(
        &["on the critical path", "time", "share"],
        &rows,
        Some(vec!["wall time".into(), duration(books.wall_s), "100 %".into()]),
        1,
    ));
    let (b, p) = (&r.analysis.barrier, &r.analysis.parallel);
    let _ = writeln!(
        out,
        "<p class=\"soft\">Barriers: nodes waited {} for nodes that are none of their inputs; without them the run would be {} shorter. \
         Parallel efficiency {:.0} %: {:.2} nodes at once on average, {} at most.</p>",
        duration(b.waiting_s),
        duration(b.worth_s),
        p.efficiency * 100.0,
        p.average,
        p.peak
    );
    out
}

/// Tokens by node.
pub fn tokens(r: &RunReport) -> String {
    let t = &r.run.tokens;
    let whole = t.total as f64;
    let cached = t.cached.unwrap_or(0);
    let reasoning = t.reasoning.unwrap_or(0);
    let parts = [
        (
            "model",
            (t.prompt - cached.min(t.prompt)) as f64,
            format!("prompt, not cached: {}", thousands(t.prompt - cached.min(t.prompt))),
        ),
        ("cached", cached as f64, format!("prompt, cached: {}", thousands(cached))),
        (
            "answer",
            (t.completion - reasoning.min(t.completion)) as f64,
            format!("answers: {}", thousands(t.completion - reasoning.min(t.completion))),
        ),
        ("reason", reasoning as f64, format!("reasoning: {}", thousands(reasoning))),
    ];
    let mut out = stack("stack", &parts, whole);
    out.push_str("<ul class=\"legend\">");
    for (class, _, title) in parts.iter().filter(|p| p.1 > 0.0) {
        let _ = write!(out, "<li><i class=\"k-{class}\"></i>{title}</li>");
    }
    out.push_str("</ul>\n");
    let most = r.nodes.iter().map(|n| n.prompt + n.completion).max().unwrap_or(1) as f64;
    let rows: Vec<Vec<String>> = r
        .nodes
        .iter()
        .filter(|n| n.calls > 0)
        .map(|n| {
            let mark = if n.path_share > 0.0 { "dot path" } else { "dot" };
            let bar = stack(
                "mini",
                &[
                    ("model", (n.prompt - n.cached.min(n.prompt)) as f64, String::new()),
                    ("cached", n.cached as f64, String::new()),
                    ("answer", n.completion as f64, String::new()),
                ],
                most,
            );
            vec![
                format!("<i class=\"{mark}\"></i>{}", escape(&n.node)),
                bar,
                n.calls.to_string(),
                thousands(n.prompt),
                thousands(n.cached),
                thousands(n.completion),
                n.first_token_s.map_or_else(|| "–".into(), duration),
                duration(n.seconds),
                if n.path_share > 0.0 { format!("{:.1} %", n.path_share * 100.0) } else { "–".into() },
                if n.slack_s > 0.0005 { duration(n.slack_s) } else { "–".into() },
                if n.retries > 0 { n.retries.to_string() } else { "–".into() },
                usd(n.micro_usd),
            ]
        })
        .collect();
    let calls = r.run.calls.len();
    let foot = vec![
        "all calls and tries".into(),
        String::new(),
        calls.to_string(),
        format!("<span data-total=\"tokens.prompt\">{}</span>", thousands(t.prompt)),
        thousands(cached),
        format!("<span data-total=\"tokens.completion\">{}</span>", thousands(t.completion)),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        r.run.cost_usd.clone().unwrap_or_else(|| "–".into()),
    ];
    out.push_str(&table(
        &[
            "node",
            "",
            "calls",
            "prompt",
            "cached",
            "answer",
            "first token",
            "time",
            "path",
            "slack",
            "retries",
            "USD",
        ],
        &rows,
        Some(foot),
        2,
    ));
    let estimated = t.estimated;
    if estimated > 0 {
        let _ = writeln!(
            out,
            "<p class=\"soft\">{} of these tokens are estimates: failed and canceled attempts report no usage.</p>",
            thousands(estimated)
        );
    }
    out
}

/// Agent by model.
pub fn matrix(r: &RunReport) -> String {
    let mut models: Vec<&str> = Vec::new();
    for cell in &r.matrix {
        if !models.contains(&cell.model.as_str()) {
            models.push(&cell.model);
        }
    }
    if models.is_empty() {
        return String::new();
    }
    let mut roles: Vec<&str> = Vec::new();
    for cell in &r.matrix {
        if !roles.contains(&cell.role.as_str()) {
            roles.push(&cell.role);
        }
    }
    let mut head = vec!["agent"];
    let names: Vec<String> = models.iter().map(|m| escape(m)).collect();
    head.extend(names.iter().map(String::as_str));
    let text = |cell: &crate::report::Cell| {
        let calls = if cell.calls == 1 { "call" } else { "calls" };
        format!(
            "{} <span class=\"soft\">tokens · {} {calls} · {}</span>",
            thousands(cell.tokens),
            cell.calls,
            duration(cell.seconds)
        )
    };
    let rows: Vec<Vec<String>> = roles
        .iter()
        .map(|role| {
            let mut row = vec![escape(role)];
            row.extend(models.iter().map(|model| {
                r.matrix
                    .iter()
                    .find(|c| c.role == *role && c.model == *model)
                    .map_or_else(|| "–".into(), text)
            }));
            row
        })
        .collect();
    let mut foot = vec!["all".to_owned()];
    foot.extend(models.iter().map(|model| {
        let of = || r.matrix.iter().filter(|c| c.model == *model);
        format!(
            "{} tokens, {} USD",
            thousands(of().map(|c| c.tokens).sum()),
            usd(of().map(|c| c.micro_usd).sum())
        )
    }));
    table(&head, &rows, Some(foot), 1)
}

/// Tool health.
pub fn tools(r: &RunReport) -> String {
    if r.tools.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = r
        .tools
        .iter()
        .map(|t| {
            vec![
                escape(&t.tool),
                t.calls.to_string(),
                format!("{:.0} %", t.ok_percent),
                t.hits.to_string(),
                duration(t.p50_s),
                duration(t.p95_s),
                duration(t.p99_s),
                thousands(t.tokens),
            ]
        })
        .collect();
    let mut out =
        table(&["tool", "calls", "with data", "cache hits", "p50", "p95", "p99", "tokens"], &rows, None, 1);
    let anomalies: Vec<String> = r
        .tools
        .iter()
        .flat_map(|t| t.anomalies.iter().map(|a| format!("<li>{}: {}</li>", escape(&t.tool), escape(a))))
        .collect();
    if !anomalies.is_empty() {
        let _ = writeln!(out, "<h3>Slower than usual</h3><ul>{}</ul>", anomalies.concat());
    }
    out
}

/// What bought nothing.
pub fn waste(r: &RunReport) -> String {
    if r.waste.is_empty() {
        return "<p class=\"soft\">Nothing was sent for nothing.</p>\n".into();
    }
    let rows: Vec<Vec<String>> = r
        .waste
        .iter()
        .map(|w| vec![escape(w.kind), format!("<span>{}</span>", escape(&w.what)), thousands(w.tokens)])
        .collect();
    table(&["kind", "what", "tokens"], &rows, None, 2)
}

/// Before and after.
pub fn rewrites(r: &RunReport) -> String {
    if r.rewrites.is_empty() {
        return String::new();
    }
    let most = r.rewrites.iter().map(|w| w.before).max().unwrap_or(1) as f64;
    let rows: Vec<Vec<String>> = r
        .rewrites
        .iter()
        .map(|w| {
            let saved = 100.0 * (w.before as f64 - w.after as f64) / w.before.max(1) as f64;
            let bar = stack(
                "mini",
                &[
                    ("model", w.after as f64, format!("after: {}", w.after)),
                    (
                        "free",
                        w.before.saturating_sub(w.after) as f64,
                        format!("left out: {}", w.before.saturating_sub(w.after)),
                    ),
                ],
                most,
            );
            vec![
                escape(&w.node),
                escape(&w.pass),
                bar,
                thousands(w.before),
                thousands(w.after),
                format!("{saved:.0} %"),
            ]
        })
        .collect();
    let before: u64 = r.rewrites.iter().map(|w| w.before).sum();
    let after: u64 = r.rewrites.iter().map(|w| w.after).sum();
    let saved = 100.0 * (before as f64 - after as f64) / before.max(1) as f64;
    let foot = vec![
        "all".into(),
        String::new(),
        String::new(),
        thousands(before),
        thousands(after),
        format!("{saved:.0} %"),
    ];
    let mut out = table(&["prompt of", "pass", "", "before", "after", "saved"], &rows, Some(foot), 3);
    for w in r.rewrites.iter().filter(|w| !w.left_out.is_null()) {
        let text = shortened(serde_json::to_string_pretty(&w.left_out).unwrap_or_default(), 6000);
        let _ = writeln!(
            out,
            "<details><summary>What {} left out of the prompt of {}</summary><pre tabindex=\"0\">{}</pre></details>",
            escape(&w.pass),
            escape(&w.node),
            escape(&text)
        );
    }
    for w in &r.rewrites {
        let Some((before, after)) = &w.texts else { continue };
        let [before, after] = [before, after].map(|text| escape(&shortened(text.clone(), 20_000)));
        let _ = writeln!(
            out,
            "<details><summary>The prompt of {} before and after {}</summary><div class=\"pair\"><pre tabindex=\"0\" aria-label=\"before\">{before}</pre><pre tabindex=\"0\" aria-label=\"after\">{after}</pre></div></details>",
            escape(&w.node),
            escape(&w.pass)
        );
    }
    out
}

/// The first bytes of a text; the whole of it is beside the run.
fn shortened(mut text: String, most: usize) -> String {
    if text.len() > most {
        let mut end = most;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("\n… (all of it is in receipts.jsonl)");
    }
    text
}

/// Both grades and the evidence.
pub fn grade(r: &RunReport) -> String {
    let g = &r.run.grade;
    let mut out = format!(
        "<p><b>{}</b> by content, {:.0} of 100 points; <b>{}</b> by the original system's formula, which sees only the status of nodes.</p>\n",
        escape(&g.content),
        g.content_points,
        escape(&g.origin)
    );
    if g.reasons.is_empty() {
        out.push_str("<p class=\"soft\">No point was lost.</p>\n");
    } else {
        out.push_str("<ul class=\"reasons\">");
        for reason in &g.reasons {
            let _ = write!(
                out,
                "<li><span class=\"points\">−{}</span> <code>{}</code> {}</li>",
                reason.points,
                escape(&reason.code),
                escape(&reason.evidence)
            );
        }
        out.push_str("</ul>\n");
    }
    if !r.run.warnings.is_empty() {
        out.push_str("<h3>Warnings</h3><ul>");
        r.run.warnings.iter().for_each(|w| {
            let _ = write!(out, "<li>{}</li>", escape(w));
        });
        out.push_str("</ul>\n");
    }
    out
}

/// The machine, the build, the settings that matter.
pub fn environment(r: &RunReport) -> String {
    let run = &r.run;
    let e = &run.environment;
    let on: Vec<&str> = run.optimizations.iter().filter(|(_, l)| l.on).map(|(n, _)| n.as_str()).collect();
    let off: Vec<&str> = run.optimizations.iter().filter(|(_, l)| !l.on).map(|(n, _)| n.as_str()).collect();
    let rows = [
        ("lacon", e.version.clone()),
        ("started", run.started_at.clone()),
        (
            "language model",
            format!(
                "{} at {}{}",
                run.llm.provider,
                run.llm.base_url,
                if run.llm.simulated { " (simulated)" } else { "" }
            ),
        ),
        ("models", format!("{} (quick), {} (deep)", run.llm.quick_model, run.llm.deep_model)),
        (
            "data",
            format!("{}{}", run.data.source, if run.data.simulated { " (not the live market)" } else { "" }),
        ),
        ("optimizations on", on.join(", ")),
        ("optimizations off", off.join(", ")),
        ("processors", e.host_cpus.to_string()),
        ("peak memory", run.peak_rss_mb.map_or_else(|| "–".into(), |m| format!("{m:.1} MB"))),
        ("seed, time scale", format!("{}, {}", e.seed, e.time_scale)),
        ("prompt plan", run.plan.digest.clone()),
    ];
    let mut out = String::from("<dl class=\"env\">");
    for (name, value) in rows.iter().filter(|(_, v)| !v.is_empty()) {
        let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", escape(value));
    }
    out.push_str("</dl>\n");
    out
}
