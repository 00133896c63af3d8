//! The report as one HTML file without requests or scripts, light and dark, for screen and paper.
//!
//! Graphics are SVG, stretched by the browser. Text around them is HTML, so that it stays legible at any width and can
//! be selected. Every figure that a check may compare carries a `data-total`.

mod parts;
mod picture;
mod style;
mod waterfall;

use std::fmt::Write as _;

pub use picture::svg;

use crate::{analyze::thousands, record::Action, report::RunReport, visible::visible};

/// What a page may load: nothing. Its own style is in it, with widths of bars on their elements; nothing runs.
pub const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A text that is safe between tags and in quoted attributes, with what would act in it made visible.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The page.
pub fn html(r: &RunReport) -> String {
    let run = &r.run;
    let mut page = String::with_capacity(64 << 10);
    let title = format!("{} {}: run report", escape(&run.ticker), escape(&run.date));
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"lacon {}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>{}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the report</a>\n",
        escape(&run.environment.version),
        style::CSS
    );
    header(r, &mut page);
    let sections: [(&str, &str, &str, String); 10] = [
        ("advice", "Advice", "What to change first", parts::advice(r)),
        ("waterfall", "Waterfall", "Waterfall", waterfall::section(r)),
        ("books", "Time", "Where the time went", parts::books(r)),
        ("tokens", "Tokens", "Token ledger", parts::tokens(r)),
        ("matrix", "Models", "Agents and models", parts::matrix(r)),
        ("tools", "Tools", "Tools", parts::tools(r)),
        ("waste", "Waste", "Waste", parts::waste(r)),
        ("rewrites", "Rewrites", "Rewritten prompts", parts::rewrites(r)),
        ("grade", "Grade", "Grade", parts::grade(r)),
        ("environment", "Environment", "Environment", parts::environment(r)),
    ];
    page.push_str("<nav aria-label=\"Sections\"><ul>");
    for (id, short, ..) in sections.iter().filter(|s| !s.3.is_empty()) {
        let _ = write!(page, "<li><a href=\"#{id}\">{short}</a></li>");
    }
    page.push_str("</ul></nav>\n<main id=\"main\">\n");
    for (id, _, title, body) in sections.iter().filter(|s| !s.3.is_empty()) {
        let _ = write!(
            page,
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\"><h2 id=\"{id}-title\">{title}</h2>\n{body}</section>\n"
        );
    }
    let _ = write!(
        page,
        "</main>\n<footer>Made by lacon {} from run.json, trace.jsonl and receipts.jsonl of run <code>{}</code>. This file asks nothing of the network.</footer>\n</body>\n</html>\n",
        escape(&run.environment.version),
        escape(&run.run_id)
    );
    page
}

fn header(r: &RunReport, page: &mut String) {
    let run = &r.run;
    let (action, class) = (run.decision.word(), run.decision.action.map_or("none", Action::class));
    let mut unreal = Vec::new();
    if run.llm.simulated {
        unreal.push("the language model is simulated");
    }
    if run.data.simulated {
        unreal.push("the data is an offline pack");
    }
    let _ = write!(
        page,
        "<header>\n<p class=\"kicker\">Run report · {} · profile {}</p>\n<h1>{} <span class=\"date\">{}</span> <span class=\"action {class}\">{action}</span></h1>\n",
        escape(&run.run_id),
        escape(&run.profile),
        escape(&run.ticker),
        escape(&run.date)
    );
    if !unreal.is_empty() {
        let _ = writeln!(page, "<p class=\"banner\" role=\"note\">Not advice: {}.</p>", unreal.join(" and "));
    }
    if run.status != "done" {
        let _ = writeln!(
            page,
            "<p class=\"banner bad\" role=\"note\">The run ended as <b>{}</b>: what is here is partial.</p>",
            escape(&run.status)
        );
    }
    if let Some(reason) = run.decision.reasons.first() {
        let _ = writeln!(page, "<p class=\"lede\">{}</p>", escape(reason));
    }
    let t = &run.tokens;
    let share = |part: f64, whole: f64| {
        if whole > 0.0 { format!("{:.0} %", 100.0 * part / whole) } else { "–".into() }
    };
    let simulated = run.environment.time_scale > 0.0 && run.environment.time_scale < 1.0;
    let at_speed = if simulated {
        format!("{:.1} s at recorded speed", run.model_s / run.environment.time_scale + run.own_ms / 1e3)
    } else {
        format!("{} in model and tools", share(run.model_s, run.wall_s))
    };
    let grade_class = if run.grade.content_points >= crate::grade::points::PASS { "good" } else { "bad" };
    page.push_str("<dl class=\"figures\">");
    let mut figure = |name: &str, value: String, note: String, class: &str| {
        let _ = write!(
            page,
            "<div class=\"{class}\"><dt>{name}</dt><dd>{value}</dd><dd class=\"note\">{note}</dd></div>"
        );
    };
    figure("Time", format!("<b data-total=\"wall_s\">{:.2}</b> s", run.wall_s), at_speed, "");
    figure(
        "Overhead",
        format!("<b data-total=\"own_ms\">{:.1}</b> ms", run.own_ms),
        share(run.own_ms / 1e3, run.wall_s) + " of the time",
        "",
    );
    figure(
        "Tokens",
        format!("<b data-total=\"tokens.total\">{}</b>", thousands(t.total)),
        format!("in {} calls", run.calls.len()),
        "",
    );
    figure(
        "Cached",
        t.cached.map_or_else(|| "–".into(), |c| format!("<b>{}</b>", share(c as f64, t.prompt as f64))),
        t.cached.map_or_else(
            || "not reported".into(),
            |c| format!("{} of {} prompt tokens", thousands(c), thousands(t.prompt)),
        ),
        "",
    );
    figure(
        "Cost",
        run.cost_usd
            .as_ref()
            .map_or_else(|| "–".into(), |c| format!("<b data-total=\"cost_usd\">{}</b>", escape(c))),
        if run.llm.simulated { "US dollars at list price".into() } else { "US dollars".into() },
        "",
    );
    figure(
        "Grade",
        format!("<b data-total=\"grade.content\">{}</b>", escape(&run.grade.content)),
        format!("{:.0} of 100; {} by run status alone", run.grade.content_points, escape(&run.grade.origin)),
        grade_class,
    );
    page.push_str("</dl>\n</header>\n");
}
