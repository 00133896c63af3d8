//! The report tree: one Markdown file per role, the decision, one complete report, and the record beside them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use lacon_monitor::{
    OpFact, RunRecord, evidence::Counted, ledger::Facts, spans::trace_lines, visible::visible,
};
use serde::Serialize;

use crate::{Role, sources::Sources, state::TradeState};

/// A file of the report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}\nhint: {}", path.display(), hint(source))]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "free space, or choose another folder with --out"
        }
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            "choose a folder that you may write to with --out"
        }
        _ => "choose another folder with --out",
    }
}

/// Writes a file so that a reader sees the old one or the whole new one.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    lacon_files::write(path, content, [], lacon_files::Flush::Later)
        .map_err(|refusal| WriteError { path: path.to_owned(), source: refusal.into_io() })
}

/// Writes everything but `run.json`, which the caller writes last and whole: it holds how long all of this took, and
/// a folder without it is one whose writing was cut short. `books` are those of the tools, where they keep some.
///
/// # Errors
/// The first file that could not be written; the earlier ones stay.
pub fn write_tree(
    folder: &Path,
    run: &RunRecord,
    state: &TradeState,
    facts: &Facts,
    ops: &[OpFact],
    sources: &Sources,
    books: Option<String>,
) -> Result<(), WriteError> {
    let mut text = String::new();
    for role in roles(run) {
        text.clear();
        role_report(&mut text, run, state, role);
        if !text.is_empty() {
            put(folder, &role.path(), &text)?;
        }
    }
    let receipts = facts.receipts.iter().map(ToString::to_string).collect();
    put(folder, "reports/5_decision.md", &decision(run, &mut str::to_owned))?;
    put(folder, "reports/complete.md", &complete(run, state, sources))?;
    put(folder, "trace.jsonl", &trace_lines(run, facts, ops))?;
    put(folder, "events.jsonl", &lines(events(facts)))?;
    put(folder, "receipts.jsonl", &lines(receipts))?;
    books.map_or(Ok(()), |books| put(folder, "provenance.json", &books))
}

fn put(folder: &Path, name: &str, text: &str) -> Result<(), WriteError> {
    let path = folder.join(name);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
    written.map_err(|source| WriteError { path, source })
}

/// The roles that gave a text, or failed to, in the order of the report.
fn roles(run: &RunRecord) -> impl Iterator<Item = Role> {
    run.reports.iter().filter_map(|report| report.role.parse().ok())
}

fn lines(lines: Vec<String>) -> String {
    lines.into_iter().map(|l| l + "\n").collect()
}

/// A line of `events.jsonl`.
#[derive(Serialize)]
struct Event<'a> {
    at_s: f64,
    node: &'a str,
    visit: u32,
    event: &'a str,
    error: Option<&'a str>,
}

fn events(facts: &Facts) -> Vec<String> {
    let mut events = Vec::with_capacity(2 * facts.nodes.len());
    for fact in &facts.nodes {
        let (node, visit, error) = (fact.node.as_str(), fact.visit, fact.error.as_deref());
        events.push(Event { at_s: fact.start_s, node, visit, event: "started", error: None });
        let event = if error.is_some() { "failed" } else { "finished" };
        events.push(Event { at_s: fact.end_s, node, visit, event, error });
    }
    events.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    // A value of JSON types cannot fail to be written.
    events.iter().map(|event| serde_json::to_string(event).unwrap_or_default()).collect()
}

/// Says in the first line of every file what is not real.
fn push_banner(out: &mut String, run: &RunRecord) {
    let what = match (run.llm.simulated, run.data.simulated) {
        (false, false) => return,
        (true, false) => "the language model is simulated",
        (false, true) => "the data is an offline pack",
        (true, true) => "the language model is simulated and the data is an offline pack",
    };
    let _ = write!(out, "> Not advice: {what}.\n\n");
}

fn role_report(text: &mut String, run: &RunRecord, state: &TradeState, role: Role) {
    let texts = state.texts(role);
    if texts.is_empty() {
        return;
    }
    let _ = write!(text, "# {}: {}, {}\n\n", role.title(), run.label("ticker"), run.date());
    push_banner(text, run);
    for (i, part) in texts.iter().enumerate() {
        if texts.len() > 1 {
            let _ = writeln!(text, "## Round {}\n", i + 1);
        }
        push_body(text, part);
    }
}

fn push_body(out: &mut String, text: &crate::state::Text) {
    let _ = match &text.failure {
        Some(failure) => write!(out, "*No answer: {failure}*\n\n"),
        None => write!(out, "{}\n\n", visible(text.text.trim())),
    };
}

fn decision(run: &RunRecord, marked: &mut dyn FnMut(&str) -> String) -> String {
    let d = &run.decision;
    let mut text = format!("# Decision: {}, {}\n\n", run.label("ticker"), run.date());
    push_banner(&mut text, run);
    let _ = writeln!(text, "**{}**\n", d.word());
    if let Some(missing) = &d.stands_in_for {
        let _ = writeln!(text, "{missing} stated no decision. What follows is a stand-in.\n");
    }
    if let Some(confidence) = d.confidence {
        let _ = writeln!(text, "Confidence: {:.0} %\n", confidence * 100.0);
    }
    if let Some(source) = &d.source {
        let _ = writeln!(text, "Decided by: {source}\n");
    }
    if !d.reasons.is_empty() {
        text.push_str("Reasons, as they stand in that answer:\n\n");
        d.reasons.iter().for_each(|r| {
            let _ = writeln!(text, "- {}", visible(&marked(r)));
        });
        text.push('\n');
    }
    if run.status != "done" {
        let _ = writeln!(text, "The run ended as **{}**: what is here is partial.\n", run.status);
    }
    let _ = writeln!(
        text,
        "Grade: {}; {} by the original system's formula.\n",
        run.grade_label(),
        run.grade.origin
    );
    for reason in &run.grade.reasons {
        let _ = writeln!(text, "- −{} {}: {}", reason.points, reason.code, reason.evidence);
    }
    for warning in &run.warnings {
        let _ = writeln!(text, "- warning: {warning}");
    }
    text
}

/// The whole report: each figure of a role's text is followed by the number of its source, and the sources stand at the end.
fn complete(run: &RunRecord, state: &TradeState, sources: &Sources) -> String {
    let decider = run.decision.source.clone().unwrap_or_default();
    let mut text = decision(run, &mut |reason| sources.marked(&decider, reason).0);
    let mut all = Counted::default();
    for role in roles(run) {
        let texts = state.texts(role);
        if texts.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n# {}\n", role.title());
        for part in texts {
            let mut body = String::new();
            push_body(&mut body, part);
            let (marked, counted) = sources.marked(role.name(), &body);
            text.push_str(&marked);
            all = all.and(counted);
        }
    }
    text.push_str(&sources.section_markdown(all));
    let _ = writeln!(
        text,
        "\n---\nRun {}: {} calls, {} tokens, {:.1} s wall time.",
        run.run_id,
        run.calls.len(),
        run.tokens.total,
        run.wall_s
    );
    text
}
