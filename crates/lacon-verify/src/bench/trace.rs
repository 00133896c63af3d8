//! `lacon bench trace`: reading and analyzing large traces of every format, each in its own process.

mod made;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use lacon_monitor::{analyze::analyze, render, trace::read};
use serde_json::{Value, json};

use super::quantile;
use crate::args::bench::BenchTraceArgs;
use lacon::{failure::Failure, text};

/// Times the given file in this process, or made files of every form each in one of its own.
pub fn run(args: &BenchTraceArgs) -> Result<ExitCode, Failure> {
    if let Some(file) = &args.file {
        print(args, &[("given", measure(file, args.rounds)?)]);
        return Ok(ExitCode::SUCCESS);
    }
    let folder = tempfile::tempdir().map_err(|e| Failure::input(format!("no temporary folder: {e}")))?;
    let program = std::env::current_exe()
        .map_err(|e| Failure::input(format!("this program cannot be started again: {e}")))?;
    let mut rows = Vec::new();
    for (name, make) in made::FORMS {
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, make(&made::spans(args.spans.clamp(8, 10_000_000))))
            .map_err(|e| Failure::input(format!("cannot write {}: {e}", path.display())))?;
        let ran = Command::new(&program)
            .args(["bench", "trace", "--json", "--rounds", &args.rounds.to_string()])
            .arg(&path)
            .output()
            .map_err(|e| Failure::input(format!("this program cannot be started again: {e}")))?;
        let row: Value = serde_json::from_slice(&ran.stdout).map_err(|_| {
            Failure::input(format!("{name}: {}", String::from_utf8_lossy(&ran.stderr).trim()))
        })?;
        rows.push((*name, row["rows"][0].clone()));
        let _ = std::fs::remove_file(&path);
    }
    print(args, &rows);
    Ok(ExitCode::SUCCESS)
}

/// Seconds of reading, analysing and rendering one file; the memory is that of the first round.
fn measure(file: &Path, rounds: usize) -> Result<Value, Failure> {
    let (mut reading, mut analysing, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let mut row = Value::Null;
    for round in 0..rounds.max(1) {
        let began = Instant::now();
        let bytes = std::fs::read(file)
            .map_err(|e| Failure::input(format!("{}: cannot be read: {e}", file.display())))?;
        let n_bytes = bytes.len();
        let traces = read(&bytes).map_err(|e| Failure::input(format!("{}: {e}", file.display())))?;
        drop(bytes);
        let read_s = began.elapsed().as_secs_f64();
        let n_spans: usize = traces.iter().map(|t| t.spans.len()).sum();
        let analyses: Vec<_> =
            traces.iter().map(|trace| analyze(trace, lacon_trading::traces::SCORERS)).collect();
        let analysed_s = began.elapsed().as_secs_f64();
        let n_chars: usize = analyses.iter().map(|a| render::analysis(a).len()).sum();
        drop((analyses, traces));
        reading.push(read_s);
        analysing.push(analysed_s - read_s);
        whole.push(began.elapsed().as_secs_f64());
        if round == 0 {
            row = json!({ "spans": n_spans, "bytes": n_bytes, "printed_bytes": n_chars,
                "peak_rss_mb": lacon_runtime::run::peak_rss_mb() });
        }
    }
    row["read_s"] = json!(quantile(&mut reading, 0.5));
    row["analyze_s"] = json!(quantile(&mut analysing, 0.5));
    row["whole_s"] = json!(quantile(&mut whole, 0.5));
    Ok(row)
}

fn print(args: &BenchTraceArgs, rows: &[(&str, Value)]) {
    if args.json {
        let rows: Vec<Value> = rows
            .iter()
            .map(|(name, row)| {
                let mut row = row.clone();
                row["form"] = json!(name);
                row
            })
            .collect();
        text::out(&format!("{:#}", json!({ "schema_version": 1, "rounds": args.rounds, "rows": rows })));
        return;
    }
    text::out(&format!(
        "{:<22} {:>8} {:>7} {:>8} {:>10} {:>8} {:>8}",
        "form", "spans", "MB", "read s", "analyse s", "whole s", "peak MB"
    ));
    for (name, row) in rows {
        let figure = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        text::out(&format!(
            "{name:<22} {:>8} {:>7.1} {:>8.2} {:>10.2} {:>8.2} {:>8.0}",
            figure("spans"),
            figure("bytes") / 1e6,
            figure("read_s"),
            figure("analyze_s"),
            figure("whole_s"),
            figure("peak_rss_mb")
        ));
    }
}
