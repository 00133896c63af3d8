//! `lacon trace analyze`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use lacon_monitor::{
    analyze::{Analysis, analyze, groups},
    render,
};

use lacon_trading::traces::SCORERS;

use super::traces;
use crate::{
    args::trace::AnalyzeArgs,
    failure::{self, Failure},
    text,
};

/// Of more runs only the slowest of each shape is shown.
const MOST_SHOWN: usize = 25;

/// More files that were not read are counted.
const MOST_LISTED: usize = 30;

/// A file that gave nothing.
#[derive(serde::Serialize)]
struct Unread {
    file: String,
    why: String,
}

/// Analyzes each trace of each file. Of several files the readable ones are analyzed and the others listed.
pub fn run(args: &AnalyzeArgs) -> Result<ExitCode, Failure> {
    let mut files = Vec::new();
    for path in &args.files {
        files.extend(super::files(path)?);
    }
    if let Some(page) = &args.html {
        return html(page, &files);
    }
    let (mut found, mut unread): (Vec<Analysis>, Vec<Unread>) = (Vec::new(), Vec::new());
    for file in &files {
        match traces(file) {
            Ok(traces) => found.extend(traces.iter().map(|trace| analyze(trace, SCORERS))),
            Err(failure) if files.len() == 1 => return Err(failure),
            Err(failure) => unread.push(Unread { file: file.display().to_string(), why: failure.message }),
        }
    }
    if found.is_empty() {
        let first = unread.first().map(|u| format!("; the first: {}", u.why)).unwrap_or_default();
        return Err(Failure::input(format!("none of {} files holds a trace{first}", files.len())));
    }
    if args.json {
        let json = match (found.as_slice(), unread.is_empty()) {
            ([one], true) => serde_json::to_string_pretty(one),
            (many, _) => serde_json::to_string_pretty(
                &serde_json::json!({"schema_version": 1, "groups": groups(many), "traces": many, "unread": unread}),
            ),
        };
        text::out(&json.map_err(|e| Failure::input(format!("cannot write the analysis: {e}")))?);
    } else {
        let shapes = groups(&found);
        // Of many runs the slowest of each shape says what the others would say.
        let shown: Vec<&Analysis> = if found.len() > MOST_SHOWN {
            shapes.iter().take(MOST_SHOWN).filter_map(|g| found.get(*g.slowest.first()?)).collect()
        } else {
            found.iter().collect()
        };
        if found.len() > 2 {
            text::out(&render::groups(&shapes, &found));
        }
        for (i, analysis) in shown.into_iter().enumerate() {
            if i > 0 {
                text::out("\n────────\n");
            }
            text::out(&render::analysis(analysis));
        }
        if !unread.is_empty() {
            text::out(&format!("\nNOT READ: {} of {} files", unread.len(), files.len()));
            for u in unread.iter().take(MOST_LISTED) {
                // What is known is said once, and not of each file.
                let why = u.why.split("\nhint: known are").next().unwrap_or(&u.why);
                text::out(&format!("  {}", why.replace('\n', "; ")));
            }
            if unread.len() > MOST_LISTED {
                text::out(&format!("  and {} more (--json lists them all)", unread.len() - MOST_LISTED));
            }
        }
    }
    let failed = args.gate && found.iter().any(|a| a.content.verdict == Some(false));
    Ok(if failed { ExitCode::from(failure::GATE) } else { ExitCode::SUCCESS })
}

/// Writes the page of one trace; of several in a file the longest.
fn html(page: &Path, files: &[PathBuf]) -> Result<ExitCode, Failure> {
    let [file] = files else {
        return Err(Failure::input(format!(
            "--html writes one page, and {} files were given\nhint: lacon ui DIR shows many",
            files.len()
        )));
    };
    let found = traces(file)?;
    let longest = found.iter().max_by(|a, b| a.wall_s.total_cmp(&b.wall_s));
    let trace = longest.ok_or_else(|| Failure::input(format!("{}: holds no trace", file.display())))?;
    lacon_files::write(
        page,
        lacon_ui::page(trace, SCORERS).as_bytes(),
        [file.as_path()],
        lacon_files::Flush::Later,
    )?;
    text::note(&format!("{} shows {}", page.display(), trace.title()));
    Ok(ExitCode::SUCCESS)
}
