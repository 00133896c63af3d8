//! The report as one HTML file without requests or scripts, light and dark, for screen and paper.
//!
//! Graphics are SVG, stretched by the browser. Text around them is HTML, so that it stays legible at any width and can
//! be selected. Every figure that a check may compare carries a `data-total`.

mod parts;
mod picture;
mod style;
mod waterfall;

use std::fmt::Write as _;

pub use parts::table;
pub use picture::svg;
pub use waterfall::duration;

use crate::{
    analyze::thousands,
    report::{Row, RunReport},
    visible::visible,
};

/// What a page may load: nothing. Its own style is in it, with widths of bars on their elements; nothing runs.
pub const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A text that is safe between tags and in quoted attributes, with what would act in it made visible.
pub fn escape(text: &str) -> String {
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

/// One section of a page; without a body it is left out.
pub struct Section {
    /// Where links lead.
    pub id: &'static str,
    /// Its name in the navigation.
    pub short: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// HTML.
    pub body: String,
}

/// A whole page of a title, a head that is HTML already, sections, and one line at its end.
pub fn page(title: &str, version: &str, head: &str, sections: &[Section], foot: &str) -> String {
    let mut page = String::with_capacity(64 << 10);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"lacon {}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the report</a>\n{head}",
        escape(version),
        escape(title),
        style::CSS
    );
    page.push_str("<nav aria-label=\"Sections\"><ul>");
    for Section { id, short, .. } in sections.iter().filter(|s| !s.body.is_empty()) {
        let _ = write!(page, "<li><a href=\"#{id}\">{short}</a></li>");
    }
    page.push_str("</ul></nav>\n<main id=\"main\">\n");
    for Section { id, title, body, .. } in sections.iter().filter(|s| !s.body.is_empty()) {
        let _ = write!(
            page,
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\"><h2 id=\"{id}-title\">{title}</h2>\n{body}</section>\n"
        );
    }
    let _ = write!(page, "</main>\n<footer>{foot}</footer>\n</body>\n</html>\n");
    page
}

/// A waterfall of rows over so many seconds.
pub fn waterfall(rows: &[Row], wall_s: f64) -> String {
    waterfall::section(rows, waterfall::wall(rows, wall_s))
}

/// The page of a run's report.
pub fn html(r: &RunReport) -> String {
    let run = &r.run;
    let mut head = String::new();
    header(r, &mut head);
    let section = |id, short, title, body| Section { id, short, title, body };
    let sections = [
        section("advice", "Advice", "What to change first", parts::advice(r)),
        section("waterfall", "Waterfall", "Waterfall", waterfall(&r.rows, run.wall_s)),
        section("books", "Time", "Where the time went", parts::books(r)),
        section("tokens", "Tokens", "Token ledger", parts::tokens(r)),
        section("matrix", "Models", "Agents and models", parts::matrix(r)),
        section("tools", "Tools", "Tools", parts::tools(r)),
        section("waste", "Waste", "Waste", parts::waste(r)),
        section("rewrites", "Rewrites", "Rewritten prompts", parts::rewrites(r)),
        section("grade", "Grade", "Grade", parts::grade(r)),
        section("environment", "Environment", "Environment", parts::environment(r)),
    ];
    let version = &run.environment.version;
    let foot = format!(
        "Made by lacon {} from run.json, trace.jsonl and receipts.jsonl of run <code>{}</code>. This file asks nothing of the network.",
        escape(version),
        escape(&run.run_id)
    );
    page(&format!("{}: run report", run.title()), version, &head, &sections, &foot)
}

fn header(r: &RunReport, page: &mut String) {
    let run = &r.run;
    let (action, class) = (escape(run.decision.word()), run.decision.class());
    let mut unreal = Vec::new();
    if run.llm.simulated {
        unreal.push("the language model is simulated");
    }
    if run.data.simulated {
        unreal.push("the data is an offline pack");
    }
    let profile =
        if run.profile.is_empty() { String::new() } else { format!(" · profile {}", escape(&run.profile)) };
    // Most teams decide nothing, and have no word for it.
    let decides = run.decision.action.is_some() || !run.grade.origin.is_empty();
    let action =
        if decides { format!("<span class=\"action {class}\">{action}</span>") } else { String::new() };
    let _ = write!(
        page,
        "<header>\n<p class=\"kicker\">Run report · {}{profile}</p>\n<h1>{} <span class=\"date\">{}</span> {action}</h1>\n",
        escape(&run.run_id),
        escape(&run.subject()),
        escape(run.date())
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
        match escape(&run.grade.origin) {
            origin if origin.is_empty() => format!("{:.0} of 100", run.grade.content_points),
            origin => format!("{:.0} of 100; {origin} by run status alone", run.grade.content_points),
        },
        grade_class,
    );
    page.push_str("</dl>\n</header>\n");
}
