//! The complete report of a finished run with the source of every figure, as one HTML page or as Markdown.
//!
//! Made on demand from the run's folder, never while a run is under way: a run's end is on its critical path. Texts of
//! models and tools are data: whatever stands in them, no tag, script or picture of theirs reaches the page, and the page
//! asks nothing of the network.

mod chart;

use std::{fmt::Write as _, ops::Range, path::Path};

use lacon_monitor::{
    RunRecord,
    analyze::thousands,
    evidence::{Counted, Found},
    html::escape,
    visible::visible,
};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

use crate::{
    Action, Role,
    sources::{self, Mark, Shown, Sources, read_bounded},
};

/// What a page is made of.
pub struct Material {
    run: RunRecord,
    /// Role, title and text.
    texts: Vec<(String, String, String)>,
    shown: Vec<Shown>,
    sources: Sources,
}

impl Material {
    /// Reads a finished run's folder.
    ///
    /// # Errors
    /// When `run.json` is missing or damaged. Without reports, books or journal the page has less, and says so.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let run: RunRecord = serde_json::from_str(&read_bounded(folder, "run.json")?)
            .map_err(|e| format!("{}: {e}", folder.join("run.json").display()))?;
        let title = |name: &str| {
            name.parse::<Role>().map_or_else(|_| name.to_owned(), |role| role.title().to_owned())
        };
        let inside = |path: &str| {
            let parts = Path::new(path).components();
            parts.clone().all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        let texts = run.reports.iter().filter(|report| inside(&report.path)).filter_map(|report| {
            let text = read_bounded(folder, &report.path).ok()?;
            // The file's own title and banner stand at the head of the page.
            let body: Vec<&str> = text
                .lines()
                .skip_while(|l| l.starts_with("# ") || l.starts_with("> ") || l.is_empty())
                .collect();
            let own = text
                .lines()
                .next()
                .and_then(|l| l.strip_prefix("# ")?.split_once(": "))
                .map(|(t, _)| t.to_owned());
            Some((report.role.clone(), own.unwrap_or_else(|| title(&report.role)), body.join("\n")))
        });
        let texts = texts.collect();
        let (sources, shown) = sources::of_run(folder, &run);
        Ok(Self { run, texts, shown, sources })
    }
}

/// What of the run is not real, as one sentence; empty when all of it is.
fn unreal(run: &RunRecord) -> String {
    let parts = [
        (run.llm.simulated, "the language model is simulated"),
        (run.data.simulated, "the data is an offline pack"),
    ];
    let parts: Vec<&str> = parts.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
    if parts.is_empty() { String::new() } else { format!("Not advice: {}.", parts.join(" and ")) }
}

fn decision_word(run: &RunRecord) -> String {
    match &run.decision.rating {
        Some(rating) => format!("{} ({rating})", run.decision.word()),
        None => run.decision.word().to_owned(),
    }
}

impl Material {
    /// The page.
    pub fn html(&self) -> String {
        let run = &self.run;
        let class = run.decision.class();
        let (ticker, date) = (escape(run.label("ticker")), escape(run.date()));
        let mut page = String::with_capacity(128 << 10);
        let _ = write!(
            page,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{ticker} {date}: {}</title>\n<style>{}</style>\n</head>\n<body>\n\
             <header>\n<p class=\"kicker\">{} · profile {}</p>\n<h1>{ticker} <span class=\"date\">{date}</span> <span class=\"action {class}\">{}</span></h1>\n",
            escape(run.decision.word()),
            include_str!("page/style.css"),
            escape(&run.run_id),
            escape(&run.profile),
            escape(&decision_word(run)),
        );
        let unreal = unreal(run);
        if !unreal.is_empty() {
            let _ = writeln!(page, "<p class=\"banner\" role=\"note\">{unreal}</p>");
        }
        if run.status != "done" {
            let _ = writeln!(
                page,
                "<p class=\"banner bad\" role=\"note\">The run ended as <b>{}</b>: what is here is partial.</p>",
                escape(&run.status)
            );
        }
        self.facts(&mut page);
        page.push_str("</header>\n<main>\n");
        self.chart_section(&mut page);
        if !run.decision.reasons.is_empty() {
            page.push_str("<section id=\"why\"><h2>What carried it</h2>\n<ul class=\"reasons\">");
            for reason in &run.decision.reasons {
                let marks = self.sources.marks(run.decision.source.as_deref().unwrap_or_default(), reason);
                let _ = write!(page, "<li>{}</li>", self.marked(reason, 0, &marks));
            }
            page.push_str("</ul></section>\n");
        }
        self.views(&mut page);
        page.push_str("<section id=\"reports\"><h2>Reports</h2>\n");
        for (role, title, text) in &self.texts {
            let open = if run.decision.source.as_deref() == Some(role) { " open" } else { "" };
            let _ = write!(
                page,
                "<details{open}><summary>{}</summary>\n<div class=\"text\">{}</div></details>\n",
                escape(title),
                self.text_html(role, text)
            );
        }
        page.push_str("</section>\n");
        self.source_table(&mut page);
        self.notes(&mut page);
        let _ = write!(
            page,
            "</main>\n<footer>Made by lacon {} from the folder of run <code>{}</code>. This page has no script and asks nothing of the network.</footer>\n</body>\n</html>\n",
            escape(&run.environment.version),
            escape(&run.run_id)
        );
        page
    }

    /// What the roles that state an action state, beside each other.
    fn views(&self, page: &mut String) {
        if self.run.views.is_empty() {
            return;
        }
        page.push_str("<section id=\"views\"><h2>Who says what</h2>\n<div class=\"scroll\"><table><thead><tr><th>role</th><th>action</th><th>confidence</th><th>read from</th></tr></thead><tbody>\n");
        for view in &self.run.views {
            let title = view.role.parse::<Role>().map_or(view.role.as_str(), |role| role.title());
            let decides = self.run.decision.source.as_deref() == Some(&*view.role);
            let _ = writeln!(
                page,
                "<tr><td>{}{}</td><td><span class=\"action {}\">{}</span></td><td>{}</td><td>{}</td></tr>",
                escape(title),
                if decides { " (decides)" } else { "" },
                Action::of(&view.action).map_or("none", Action::class),
                view.action.as_str(),
                view.confidence.map_or_else(|| "–".to_owned(), |c| format!("{:.0} %", c * 100.0)),
                match view.how.as_str() {
                    "field" => "a field of its answer",
                    "line" => "its decision line",
                    "asked" => "its answer to one question",
                    _ => "its prose",
                }
            );
        }
        page.push_str("</tbody></table></div></section>\n");
    }

    fn facts(&self, page: &mut String) {
        page.push_str("<dl class=\"facts\">");
        for (name, value, note) in fact_rows(&self.run, &self.sources) {
            let (value, note) = (escape(&value), escape(&note));
            let _ = write!(page, "<div><dt>{name}</dt><dd>{value}</dd><dd class=\"note\">{note}</dd></div>");
        }
        page.push_str("</dl>\n");
    }

    fn chart_section(&self, page: &mut String) {
        page.push_str("<section id=\"chart\"><h2>Price and indicators, as the analysts read them</h2>\n");
        match chart::Series::read(&self.shown) {
            None => page.push_str("<p class=\"soft\">No chart: the run keeps no prices (it had none, or its journal was switched off).</p>\n"),
            Some(series) => {
                page.push_str(&series.svg(self.run.label("ticker"), self.run.decision.word()));
                let from = self.sources.of_tools(&series.tools);
                let _ = writeln!(page, "<p class=\"soft\">Sources: {}</p>", escape(&from.join("; ")));
                page.push_str(&series.table());
            }
        }
        page.push_str("</section>\n");
    }

    /// A model's Markdown as HTML: its tags as text, its pictures as their words, links to web addresses alone, every figure with its
    /// source.
    fn text_html(&self, role: &str, text: &str) -> String {
        let mut options = Options::empty();
        options.insert(Options::ENABLE_TABLES);
        options.insert(Options::ENABLE_STRIKETHROUGH);
        let web = |url: &str| url.starts_with("https://") || url.starts_with("http://");
        let mut dropped = Vec::new();
        // A figure is traced with the words of its sentence and the columns of its table, so in the text as a whole.
        let marks = self.sources.marks(role, text);
        let shown = |part: &str, at: Range<usize>| {
            // What stands in the text as it is written; an escaped letter makes a part that does not.
            let whole = text.get(at.clone()) == Some(part);
            let html = match whole {
                true => self.marked(part, at.start, &marks),
                false => self.marked(part, 0, &self.sources.marks(role, part)),
            };
            Event::Html(CowStr::from(html))
        };
        let marked =
            Parser::new_ext(text, options).into_offset_iter().filter_map(|(event, at)| match event {
                Event::Text(part) | Event::Html(part) | Event::InlineHtml(part) => Some(shown(&part, at)),
                Event::Start(Tag::Link { ref dest_url, .. }) => {
                    dropped.push(!web(dest_url));
                    web(dest_url).then_some(event)
                }
                Event::End(TagEnd::Link) => (!dropped.pop().unwrap_or(true)).then_some(event),
                Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
                // Models end lines where they mean it.
                Event::SoftBreak => Some(Event::HardBreak),
                // The page has its own headings above these.
                Event::Start(Tag::Heading { .. }) => Some(Event::Html(CowStr::Borrowed("<h4>"))),
                Event::End(TagEnd::Heading(_)) => Some(Event::Html(CowStr::Borrowed("</h4>\n"))),
                other => Some(other),
            });
        let mut out = String::with_capacity(text.len() * 2);
        pulldown_cmark::html::push_html(&mut out, marked);
        out
    }

    fn source_table(&self, page: &mut String) {
        page.push_str("<section id=\"sources\"><h2>Sources of the figures</h2>\n");
        let Counted { shown, computed, nowhere, unchecked } = self.counted();
        let _ = write!(
            page,
            "<p>{shown} figures of the reports stand in an answer of a tool, or round one of its values, and link to it. {computed} are the \
             <span class=\"computed\">change</span> between two such figures beside them, or a share. {nowhere} are neither and are \
             <span class=\"bare\">marked</span>: a model computed, remembered or invented them. {unchecked} more were not checked: whole \
             numbers below 100, years, and numbers of the instruction.</p>\n\
             <div class=\"scroll\"><table><thead><tr><th>#</th><th>tool</th><th>asked for</th><th>vendor</th><th>window</th><th>retrieved</th></tr></thead><tbody>\n"
        );
        for row in &self.sources.rows {
            let _ = writeln!(
                page,
                "<tr id=\"s{}\"><td>{}</td><td><code>{}</code></td><td class=\"wrap\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                row.number,
                row.number,
                escape(&row.tool),
                escape(&row.asked),
                escape(&row.vendor),
                escape(&row.window),
                escape(&row.retrieved)
            );
        }
        page.push_str("</tbody></table></div></section>\n");
    }

    fn notes(&self, page: &mut String) {
        let run = &self.run;
        if run.grade.reasons.is_empty() && run.warnings.is_empty() {
            return;
        }
        page.push_str("<section id=\"notes\"><h2>What to know of this run</h2>\n<ul>");
        for reason in &run.grade.reasons {
            let _ = write!(
                page,
                "<li>−{} {}: {}</li>",
                reason.points,
                escape(&reason.code),
                escape(&reason.evidence)
            );
        }
        for warning in &run.warnings {
            let _ = write!(page, "<li>{}</li>", escape(warning));
        }
        page.push_str("</ul></section>\n");
    }

    /// How many figures of the texts come from where.
    fn counted(&self) -> Counted {
        let all = self.texts.iter().map(|(role, _, text)| self.sources.counted(role, text));
        all.fold(Counted::default(), Counted::and)
    }

    /// A part of a text that begins at `from`, safe between tags, each of the text's marked figures linked to its source.
    fn marked(&self, part: &str, from: usize, marks: &[Mark]) -> String {
        let mut out = String::with_capacity(part.len() + 64);
        let mut at = 0;
        let inside = marks.iter().filter(|mark| mark.start >= from && mark.end <= from + part.len());
        for mark in inside {
            let (start, end) = (mark.start - from, mark.end - from);
            let figure = &part[start..end];
            out.push_str(&escape(&part[at..start]));
            let _ = match mark.found {
                Found::Shown(i) => {
                    let row = &self.sources.rows[i];
                    let title = format!(
                        "{}: {}, window {}, retrieved {}",
                        row.vendor, row.tool, row.window, row.retrieved
                    );
                    let title = escape(&title);
                    write!(out, "<a class=\"fig\" href=\"#s{}\" title=\"{title}\">{figure}</a>", row.number)
                }
                Found::Computed => {
                    let title = "the change between two figures beside it, or a share";
                    write!(out, "<span class=\"computed\" title=\"{title}\">{figure}</span>")
                }
                Found::Nowhere => {
                    write!(out, "<span class=\"bare\" title=\"no tool showed this figure\">{figure}</span>")
                }
                Found::Unchecked => write!(out, "{figure}"),
            };
            at = end;
        }
        out.push_str(&escape(&part[at..]));
        out
    }

    /// The same as Markdown: a figure is followed by the number of its source, the sources stand at the end.
    pub fn markdown(&self) -> String {
        let run = &self.run;
        let mut out = format!("# {}: {}, {}\n\n", decision_word(run), run.label("ticker"), run.date());
        let unreal = unreal(run);
        if !unreal.is_empty() {
            let _ = writeln!(out, "> {unreal}\n");
        }
        for (name, value, note) in fact_rows(run, &self.sources) {
            let _ = writeln!(out, "- {name}: {value} ({note})");
        }
        if !run.decision.reasons.is_empty() {
            out.push_str("\nWhat carried it:\n\n");
            run.decision.reasons.iter().for_each(|reason| {
                let decider = run.decision.source.as_deref().unwrap_or_default();
                let _ = writeln!(out, "- {}", self.sources.marked(decider, reason).0);
            });
        }
        for (role, title, text) in &self.texts {
            let _ = write!(out, "\n# {title}\n\n{}\n", self.sources.marked(role, text).0);
        }
        out.push_str(&self.sources.section_markdown(self.counted()));
        visible(&out).into_owned()
    }
}

/// US dollars as people say them: cents below a dollar.
fn cost(usd: &str) -> String {
    match usd.parse::<f64>() {
        Ok(value) if value < 1.0 => format!("{:.1} cents", value * 100.0),
        Ok(value) => format!("{value:.2} USD"),
        Err(_) => format!("{usd} USD"),
    }
}

/// Name, value and note of the figures at the head.
fn fact_rows(run: &RunRecord, sources: &Sources) -> Vec<(&'static str, String, String)> {
    let confidence = run.decision.confidence.map(|c| format!("{:.0} %", c * 100.0));
    let by = run
        .decision
        .source
        .as_deref()
        .map_or("nobody", |role| role.parse::<Role>().map_or(role, |role| role.title()));
    let cost = run.cost_usd.as_deref().map_or_else(|| "–".to_owned(), cost);
    vec![
        (
            "Decision",
            decision_word(run),
            if run.decision.parsed { format!("by: {by}") } else { "no answer states one".into() },
        ),
        ("Confidence", confidence.unwrap_or_else(|| "–".into()), "as the answer states it".into()),
        (
            "Grade",
            if run.llm.simulated { "checks".into() } else { run.grade.content.clone() },
            run.grade_label(),
        ),
        ("Data", sources.vendors(), format!("{} answers of tools", sources.rows.len())),
        ("Model", run.llm.deep_model.clone(), format!("{} for the analysts", run.llm.quick_model)),
        ("Cost", cost, format!("{} tokens in {} calls", thousands(run.tokens.total), run.calls.len())),
    ]
}
