//! The report tree: one Markdown file per role, the decision, one complete report; and the record beside them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use lacon_monitor::{OpFact, RunRecord, evidence::Counted, ledger::Facts, spans::TraceLines};
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
    let failed = |source| WriteError { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary).map_err(failed)?;
    let written = file.write_all(content).and_then(|()| file.flush());
    drop(file);
    written.and_then(|()| fs::rename(&temporary, path)).map_err(|source| {
        let _ = fs::remove_file(&temporary);
        failed(source)
    })
}

/// What of a report tree is on the disk already, and what was made for it.
#[derive(Debug, Default)]
pub struct Written {
    texts: BTreeMap<String, String>,
    folders: BTreeSet<PathBuf>,
    trace: TraceLines,
    /// A file that was made empty for a text that is still to come.
    reserved: Option<String>,
}

/// Where the figures of a run come from.
#[derive(Debug, Default)]
pub struct Figures {
    /// The books as they are to be written; nothing where the tools keep none, and once they are written.
    pub books: Option<String>,
    /// Who is asked where a figure stands.
    pub sources: Sources,
    /// Texts with their marks: most are done when the run's end is rehearsed.
    marked: HashMap<(String, String), (String, Counted)>,
}

impl Figures {
    /// From the books and what is known of the answers.
    pub fn new(books: Option<String>, sources: Sources) -> Self {
        Self { books, sources, marked: HashMap::new() }
    }

    /// A role's text with the number of its source behind each figure, and where its figures come from.
    fn marked(&mut self, role: &str, text: String) -> &(String, Counted) {
        let sources = &self.sources;
        self.marked
            .entry((role.to_owned(), text))
            .or_insert_with_key(|(role, text)| sources.marked(role, text))
    }
}

/// Writes everything but `run.json`, which the caller writes last and whole: it holds how long all of this took, and
/// a folder without it is one whose writing was cut short. Files that `written` knows to be the same are left alone.
///
/// # Errors
/// The first file that could not be written; the earlier ones stay.
pub fn write_tree(
    folder: &Path,
    run: &RunRecord,
    state: &TradeState,
    facts: &Facts,
    ops: &[OpFact],
    figures: &mut Figures,
    written: &mut Written,
) -> Result<(), WriteError> {
    let mut text = String::new();
    for role in roles(run) {
        text.clear();
        role_report(&mut text, run, state, role);
        if !text.is_empty() {
            written.write(folder, &role.path(), &text)?;
        }
    }
    let receipts = facts.receipts.iter().map(ToString::to_string).collect();
    written.write(folder, "reports/5_decision.md", &decision(run, &mut str::to_owned))?;
    written.write(folder, "reports/complete.md", &complete(run, state, figures))?;
    // It holds the times of the writing itself, so that it is never the one that is there.
    let trace = written.trace.write(run, facts, ops);
    put(folder, "trace.jsonl", trace)?;
    written.write(folder, "events.jsonl", &lines(events(facts)))?;
    written.write(folder, "receipts.jsonl", &lines(receipts))?;
    if let Some(books) = figures.books.take() {
        written.write(folder, "provenance.json", &books)?;
    }
    written.give_up_reserved(folder);
    Ok(())
}

impl Written {
    /// Makes the folders of all roles, also of those that have not answered yet.
    pub fn prepare(&mut self, folder: &Path, roles: &[Role]) {
        for role in roles {
            if let Some(parent) = folder.join(role.path()).parent() {
                // Writing the first file tries again, and tells.
                let _ = self.make(parent);
            }
        }
    }

    /// Makes the empty file of a text that is still to come: making a file takes longer than writing it. The tree that is
    /// written next fills it or takes it away.
    pub fn reserve(&mut self, folder: &Path, role: Role) {
        let name = role.path();
        // One that is there already is not ours to take away.
        if File::create_new(folder.join(&name)).is_ok() {
            self.reserved = Some(name);
        }
    }

    fn give_up_reserved(&mut self, folder: &Path) {
        if let Some(name) = self.reserved.take() {
            // An empty report that stays says nothing wrong.
            let _ = fs::remove_file(folder.join(name));
        }
    }

    /// Makes a folder, unless it was made already.
    fn make(&mut self, folder: &Path) -> std::io::Result<()> {
        if !self.folders.contains(folder) {
            fs::create_dir_all(folder)?;
            self.folders.insert(folder.to_owned());
        }
        Ok(())
    }

    /// Writes one file, unless it is there with this text.
    fn write(&mut self, folder: &Path, name: &str, text: &str) -> Result<(), WriteError> {
        if self.texts.get(name).is_some_and(|written| written == text) {
            return Ok(());
        }
        let path = folder.join(name);
        self.make(path.parent().unwrap_or(folder)).map_err(|source| WriteError { path, source })?;
        put(folder, name, text)?;
        self.reserved.take_if(|reserved| *reserved == name);
        self.texts.insert(name.to_owned(), text.to_owned());
        Ok(())
    }
}

fn put(folder: &Path, name: &str, text: &str) -> Result<(), WriteError> {
    let path = folder.join(name);
    overwrite(&path, text.as_bytes()).map_err(|source| WriteError { path, source })
}

/// Writes over what a rehearsal has left instead of emptying the file first, which has the system give back and find
/// blocks again.
fn overwrite(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    let before = file.metadata()?.len();
    file.write_all(content)?;
    if before > content.len() as u64 { file.set_len(content.len() as u64) } else { Ok(()) }
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
    let _ = write!(text, "# {}: {}, {}\n\n", role.title(), run.ticker, run.date);
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
        None => write!(out, "{}\n\n", text.text.trim()),
    };
}

fn decision(run: &RunRecord, marked: &mut dyn FnMut(&str) -> String) -> String {
    let d = &run.decision;
    let mut text = format!("# Decision: {}, {}\n\n", run.ticker, run.date);
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
            let _ = writeln!(text, "- {}", marked(r));
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
fn complete(run: &RunRecord, state: &TradeState, figures: &mut Figures) -> String {
    let decider = run.decision.source.clone().unwrap_or_default();
    let mut text = decision(run, &mut |reason| figures.marked(&decider, reason.to_owned()).0.clone());
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
            let (marked, counted) = figures.marked(role.name(), body);
            text.push_str(marked);
            all = all.and(*counted);
        }
    }
    text.push_str(&figures.sources.section_markdown(all));
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
