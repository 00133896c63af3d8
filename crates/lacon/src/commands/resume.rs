//! `lacon run --resume`: finds the run, reuses its settings, and forks it on request.

use std::{collections::BTreeMap, path::Path};

use lacon_runtime::JOURNAL;
use lacon_runtime::{
    Config, Origin, RunJournal,
    settings::{Kind, SETTINGS},
};
use serde_json::{Value, json};

use super::runs::{self, Needs};
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
    let folder = runs::find(out, name, args.ticker.as_deref(), Needs::Journal)?;
    let path = folder.join(JOURNAL);
    let about =
        RunJournal::about(&path).map_err(|e| Failure::input(crate::world::chain(&e)))?.ok_or_else(|| {
            Failure::input(format!(
                "{} has no settings of its run\nhint: the run stopped before it began; start it again",
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
        if target.join(JOURNAL).exists() || target.join("run.json").exists() {
            return Err(Failure::input(format!(
                "run {fork} exists: {}\nhint: name the new run with --run-id",
                target.display()
            )));
        }
        std::fs::create_dir_all(&target)
            .map_err(|e| Failure::input(format!("cannot make {}: {e}", target.display())))?;
        RunJournal::fork(&path, &target.join(JOURNAL), node)
            .map_err(|e| Failure::input(crate::world::chain(&e)))?;
        resumed.run_id = fork;
    } else {
        refuse_finished(&folder)?;
    }
    Ok(Some(resumed))
}

/// There is nothing to go on with in a finished run.
pub fn refuse_finished(folder: &Path) -> Result<(), Failure> {
    let record = std::fs::read(folder.join("run.json")).ok();
    let record: Option<Value> = record.and_then(|text| serde_json::from_slice(&text).ok());
    if record.is_none_or(|record| record["status"] != "done") {
        return Ok(());
    }
    let name = folder.file_name().unwrap_or_default().display();
    Err(Failure::input(format!(
        "run {name} is finished: {}\nhint: add --from NODE to repeat it from that node on as a new run",
        folder.display()
    )))
}
