//! `lacon runs`: the runs under a results folder, and the one way in which every command finds a run.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use lacon_monitor::RunRecord;
use lacon_runtime::JOURNAL;
use serde_json::{Value, json};

use super::Common;
use crate::{
    args::many::{RunsArgs, RunsCommand},
    failure::Failure,
    text,
};

/// What a command needs of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Its record: it came to an end.
    Record,
    /// Its journal: it can be gone on with.
    Journal,
}

impl Needs {
    fn file(self) -> &'static str {
        match self {
            Self::Record => "run.json",
            Self::Journal => JOURNAL,
        }
    }
}

/// The folders of runs under `out`, the latest first.
fn folders(out: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        // Results are ours: a link in them is not followed.
        entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect()
    };
    let days = below(out).into_iter().flat_map(|ticker| below(&ticker));
    let mut runs: Vec<PathBuf> = days
        .flat_map(|day| below(&day))
        .filter(|run| [Needs::Record, Needs::Journal].iter().any(|needs| run.join(needs.file()).is_file()))
        .collect();
    runs.sort_by_cached_key(|run| std::cmp::Reverse(changed(run)));
    runs
}

/// When a run's record or journal was last written.
fn changed(run: &Path) -> SystemTime {
    let time = |name| std::fs::metadata(run.join(name)).and_then(|meta| meta.modified()).ok();
    time("run.json").max(time(JOURNAL)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The folder of a run: a path to it or to its `run.json`, its name, or `latest`.
///
/// # Errors
/// When there is none of that name, with the nearest one, and when there are several.
pub fn find(out: &Path, wanted: &str, ticker: Option<&str>, needs: Needs) -> Result<PathBuf, Failure> {
    let path = Path::new(wanted);
    let given = if path.file_name().is_some_and(|name| name == "run.json") {
        path.parent().unwrap_or(path)
    } else {
        path
    };
    if given.join(needs.file()).is_file() {
        return given.canonicalize().map_err(|e| Failure::input(format!("{wanted}: {e}")));
    }
    let is_about = |run: &Path, ticker: &str| {
        let of = run.parent().and_then(Path::parent).and_then(Path::file_name).unwrap_or_default();
        of.to_string_lossy().eq_ignore_ascii_case(ticker)
    };
    let mut runs = folders(out);
    runs.retain(|run| run.join(needs.file()).is_file() && ticker.is_none_or(|ticker| is_about(run, ticker)));
    let of_what = if needs == Needs::Record { "" } else { " with a journal" };
    if wanted == "latest" {
        return runs
            .into_iter()
            .next()
            .ok_or_else(|| Failure::input(format!("no run{of_what} under {}", out.display())));
    }
    let name = |run: &PathBuf| run.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let found: Vec<&PathBuf> = runs.iter().filter(|run| name(run) == wanted).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let names: Vec<String> = runs.iter().map(name).collect();
            let nearest = lacon_runtime::config::nearest(wanted, names.iter().map(String::as_str));
            let hint = nearest.map_or_else(
                || format!("existing runs: {}; lacon runs lists all, latest is the last one", runs.len()),
                |nearest| format!("did you mean {nearest}?"),
            );
            Err(Failure::input(format!("no run {wanted:?}{of_what} under {}\nhint: {hint}", out.display())))
        }
        several => Err(Failure::input(format!(
            "{} runs are named {wanted:?}\nhint: give the folder: {}",
            several.len(),
            several.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" or ")
        ))),
    }
}

/// A run as the list shows it.
struct Row {
    folder: PathBuf,
    record: Option<RunRecord>,
}

impl Row {
    fn read(folder: PathBuf) -> Self {
        let record = std::fs::read(folder.join("run.json")).ok();
        let record = record.and_then(|text| serde_json::from_slice(&text).ok());
        Self { folder, record }
    }

    fn part(&self, nth: usize) -> String {
        let part = self.folder.ancestors().nth(nth).and_then(Path::file_name).unwrap_or_default();
        part.to_string_lossy().into_owned()
    }

    fn json(&self) -> Value {
        let r = self.record.as_ref();
        json!({
            "run_id": self.part(0), "date": self.part(1), "ticker": self.part(2), "folder": self.folder,
            "state": r.map_or("cut off", |r| &r.status), "action": r.and_then(|r| r.decision.action.clone()),
            "grade": r.map(|r| &r.grade.content), "cost_usd": r.and_then(|r| r.cost_usd.as_ref()), "tokens": r.map(|r| r.tokens.total),
        })
    }
}

/// Lists runs, or deletes old ones.
pub fn run(common: &Common, args: &RunsArgs) -> Result<ExitCode, Failure> {
    let config = common.settings(&[("run.out", args.out.as_ref())])?;
    let out = Path::new(config.text("run.out"));
    match &args.command {
        None => list(out, args.json),
        Some(RunsCommand::Prune { older_than, dry_run }) => prune(out, older_than, *dry_run),
    }
}

fn list(out: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let rows: Vec<Row> = folders(out).into_iter().map(Row::read).collect();
    if as_json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        text::out(&format!("{:#}", json!({ "schema_version": 1, "runs": rows })));
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        text::out(&format!("no runs under {}", out.display()));
        return Ok(ExitCode::SUCCESS);
    }
    text::out(&format!(
        "{:<28} {:<8} {:<10} {:<11} {:<6} {:>10}  state",
        "run", "ticker", "date", "decision", "grade", "cost USD"
    ));
    for row in &rows {
        let r = row.record.as_ref();
        text::out(&format!(
            "{:<28} {:<8} {:<10} {:<11} {:<6} {:>10}  {}",
            row.part(0),
            row.part(2),
            row.part(1),
            r.map_or("–", |r| r.decision.word()),
            r.map_or("–", |r| &r.grade.content),
            r.and_then(|r| r.cost_usd.as_deref()).unwrap_or("–"),
            r.map_or("interrupted, can be resumed", |r| &r.status),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn prune(out: &Path, older_than: &str, dry_run: bool) -> Result<ExitCode, Failure> {
    let age = age(older_than)?;
    let old =
        folders(out).into_iter().filter(|run| changed(run).elapsed().is_ok_and(|elapsed| elapsed > age));
    let (mut removed, mut failed) = (0, 0);
    for run in old {
        if dry_run {
            text::out(&format!("would delete {}", run.display()));
        } else if let Err(error) = std::fs::remove_dir_all(&run) {
            text::warn(&format!("{} cannot be deleted: {error}", run.display()));
            failed += 1;
            continue;
        } else {
            text::out(&format!("deleted {}", run.display()));
            // The folders of a day and a ticker without runs go too; one that is not empty stays.
            for folder in run.ancestors().skip(1).take(2) {
                let _ = std::fs::remove_dir(folder);
            }
        }
        removed += 1;
    }
    text::out(&format!("{removed} runs {}older than {older_than}", if dry_run { "" } else { "deleted, " }));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(crate::failure::GATE) })
}

/// "30d", "12h", "45m".
fn age(text: &str) -> Result<Duration, Failure> {
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        _ => 0,
    };
    match number.parse::<u64>().ok().and_then(|n| n.checked_mul(seconds)).filter(|_| seconds > 0) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err(Failure::input(format!(
            "--older-than is {text:?}, a number with d, h or m is needed\nhint: 30d is thirty days"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        assert_eq!(age("30d").unwrap(), Duration::from_secs(30 * 86_400));
        assert_eq!(age("12h").unwrap(), Duration::from_secs(43_200));
        for bad in ["", "d", "30", "-1d", "1w", "99999999999999999999d", "3é"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }
}
