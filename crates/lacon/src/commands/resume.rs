//! `lacon run --resume`: finds the run, takes its settings over, forks it where that is asked for.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lacon_runtime::{
    Config, Origin, RunJournal,
    settings::{Kind, SETTINGS},
};
use lacon_trading::run::JOURNAL;
use serde_json::{Value, json};

use crate::{args::RunArgs, failure::Failure};

/// A run that is gone on with.
pub struct Resumed {
    /// Its ticker.
    pub ticker: String,
    /// Its date.
    pub date: String,
    /// Its name, or that of the fork.
    pub run_id: String,
    /// What the tags of its decision lines are drawn from.
    pub nonce: String,
    /// Its settings, where they were no defaults.
    pub settings: Vec<(&'static str, String)>,
}

/// What a journal says of how its run was started: every setting that is no default, secrets left out.
pub fn about(config: &Config, ticker: &str, date: &str, nonce: &str) -> Value {
    let settings: BTreeMap<&str, &str> = SETTINGS
        .iter()
        .filter(|s| {
            s.kind != Kind::Secret && !s.key.starts_with("log.") && *config.origin(s.key) != Origin::Default
        })
        .map(|s| (s.key, config.text(s.key)))
        .collect();
    json!({ "ticker": ticker, "date": date, "nonce": nonce, "settings": settings })
}

/// Finds the run that `--resume` names, and with `--from` copies it up to that node under the name in `--run-id`.
pub fn find(out: &Path, args: &RunArgs) -> Result<Option<Resumed>, Failure> {
    let Some(name) = &args.resume else { return Ok(None) };
    let folder = folder(out, name, args.ticker.as_deref())?;
    let path = folder.join(JOURNAL);
    let about = RunJournal::about(&path)
        .map_err(|e| Failure::input(crate::world::chain(&e)))?
        .ok_or_else(|| {
            Failure::input(format!(
                "{} does not say how its run was started\nhint: it was stopped before it began; start it again",
                path.display()
            ))
        })?;
    let text = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
    let settings = about["settings"].as_object().into_iter().flatten().filter_map(|(key, value)| {
        let setting = SETTINGS.iter().find(|s| s.key == key)?;
        Some((setting.key, value.as_str()?.to_owned()))
    });
    let file_name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut resumed = Resumed {
        ticker: text("ticker"),
        date: text("date"),
        run_id: file_name,
        nonce: text("nonce"),
        settings: settings.collect(),
    };
    // Results may have been moved since: they go on where they are.
    if let Some(root) = folder.ancestors().nth(3) {
        resumed.settings.retain(|(key, _)| *key != "run.out");
        resumed.settings.push(("run.out", root.display().to_string()));
    }
    if let Some(ticker) = args.ticker.as_ref().filter(|t| !t.eq_ignore_ascii_case(&resumed.ticker)) {
        return Err(Failure::input(format!("run {name} is about {}, not {ticker}", resumed.ticker)));
    }
    if let Some(node) = &args.from {
        let fork = super::run::run_id(args.run_id.as_deref())?;
        let target = folder.with_file_name(&fork);
        std::fs::create_dir_all(&target)
            .map_err(|e| Failure::input(format!("cannot make {}: {e}", target.display())))?;
        RunJournal::fork(&path, &target.join(JOURNAL), node)
            .map_err(|e| Failure::input(crate::world::chain(&e)))?;
        resumed.run_id = fork;
    } else if folder.join("run.json").exists() && finished(&folder.join("run.json")) {
        return Err(Failure::input(format!(
            "run {name} is finished: {}\nhint: add --from NODE to go on from before that node as a run of its own",
            folder.display()
        )));
    }
    Ok(Some(resumed))
}

fn finished(record: &Path) -> bool {
    let record: Option<Value> =
        std::fs::read(record).ok().and_then(|text| serde_json::from_slice(&text).ok());
    record.is_some_and(|record| record["status"] == "done")
}

/// The folder of a run: a path to it, or `OUT/TICKER/DATE/NAME`.
pub fn folder(out: &Path, name: &str, ticker: Option<&str>) -> Result<PathBuf, Failure> {
    let given = Path::new(name);
    if given.join(JOURNAL).is_file() {
        return given.canonicalize().map_err(|e| Failure::input(format!("{name}: {e}")));
    }
    let entries = |path: &Path| {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut known = Vec::new();
    let mut found = Vec::new();
    for of_ticker in entries(out).into_iter().filter(|p| {
        let file_name = p.file_name().unwrap_or_default().to_string_lossy();
        ticker.is_none_or(|t| t.eq_ignore_ascii_case(&file_name))
    }) {
        for run in entries(&of_ticker).iter().flat_map(|date| entries(date)) {
            if run.join(JOURNAL).is_file() {
                let file_name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if file_name == name {
                    found.push(run);
                } else {
                    known.push(file_name);
                }
            }
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            known.sort();
            let nearest = lacon_runtime::config::nearest(name, known.iter().map(String::as_str));
            let hint = match nearest {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("{} runs under {} can be resumed", known.len(), out.display()),
            };
            Err(Failure::input(format!(
                "no run {name:?} with a journal under {}\nhint: {hint}",
                out.display()
            )))
        }
        several => Err(Failure::input(format!(
            "{} runs are named {name:?}\nhint: give the folder: {}",
            several.len(),
            several.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" or ")
        ))),
    }
}
