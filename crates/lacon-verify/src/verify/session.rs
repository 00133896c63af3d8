//! The files of a `lacon verify` session: a log, the results as JSON, a report in Markdown.

use std::{fmt::Write as _, path::Path, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Row;
use crate::args::verify::VerifyArgs;
use lacon::failure::Failure;

/// The checks as data.
pub fn rows(rows: &[Row]) -> Vec<Value> {
    let row = |r: &Row| {
        json!({ "phase": r.phase, "name": r.name, "passed": r.outcome.failures.is_empty(), "seconds": r.seconds,
            "failures": r.outcome.failures, "measured": r.outcome.data })
    };
    rows.iter().map(row).collect()
}

/// Writes the three files and returns their paths.
pub fn write(args: &VerifyArgs, rows: &[Row], took: Duration) -> Result<Vec<String>, Failure> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S%3f").to_string();
    let failed = rows.iter().filter(|r| !r.outcome.failures.is_empty()).count();
    let mut log = String::new();
    for row in rows {
        let word = if row.outcome.failures.is_empty() { "ok" } else { "FAILED" };
        let _ = writeln!(log, "{} {} {word} {:.3} s", row.phase, row.name, row.seconds);
        row.outcome.lines.iter().for_each(|line| {
            let _ = writeln!(log, "    {line}");
        });
        row.outcome.failures.iter().for_each(|line| {
            let _ = writeln!(log, "    FAILED {line}");
        });
    }
    let results = json!({
        "schema_version": 1, "ticker": args.ticker, "execution_time": took.as_secs_f64(), "timestamp": stamp,
        "passed": rows.len() - failed, "failed": failed, "checks": self::rows(rows),
    });
    let mut report = format!(
        "# Verification of {stamp}\n\n{} passed, {failed} failed, {:.1} s.\n\n| phase | check | result | s |\n|---|---|---|--:|\n",
        rows.len() - failed,
        took.as_secs_f64()
    );
    for row in rows {
        let word = if row.outcome.failures.is_empty() { "held" } else { "**failed**" };
        let _ = writeln!(report, "| {} | {} | {word} | {:.2} |", row.phase, row.name, row.seconds);
    }
    for row in rows.iter().filter(|r| !r.outcome.lines.is_empty() || !r.outcome.failures.is_empty()) {
        let _ = writeln!(report, "\n## {}\n\n```", row.name);
        row.outcome.lines.iter().chain(&row.outcome.failures).for_each(|line| {
            let _ = writeln!(report, "{line}");
        });
        report.push_str("```\n");
    }
    let files = [
        (format!("debug_session_{stamp}.log"), log.into_bytes()),
        (format!("results_{}_{stamp}.json", args.ticker), format!("{results:#}\n").into_bytes()),
        (format!("execution_report_{}_{stamp}.md", args.ticker), report.into_bytes()),
    ];
    files.into_iter().map(|(name, content)| file(&args.logs, &name, &content)).collect()
}

fn file(folder: &Path, name: &str, content: &[u8]) -> Result<String, Failure> {
    let path = folder.join(name);
    lacon_files::write(&path, content, [], lacon_files::Flush::Now)?;
    Ok(path.display().to_string())
}
