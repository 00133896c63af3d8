//! A run whose journal many machines see: claimed, gone on with from its lines, or told where it has ended.

use std::{fs, path::PathBuf, process::ExitCode};

use lacon_agents::{Inputs, Team, run as agents};
use lacon_runtime::Config;
use serde_json::Value;

use super::{
    super::{given, load},
    runs,
};
use crate::{
    args::RunArgs,
    commands::run::run_id,
    failure::{Failure, GATE},
    journal::{self, Claimed, Held},
    text,
};

/// A run that a shared journal has, or will have.
pub struct Name {
    team: Team,
    id: String,
    pub folder: PathBuf,
}

/// The run that the flags name; nothing without a shared journal.
pub fn name(config: &Config, args: &RunArgs) -> Result<Option<Name>, Failure> {
    if config.text("run.journal_at").is_empty() {
        return Ok(None);
    }
    let named = args.resume.as_deref().or(args.run_id.as_deref()).filter(|name| *name != "latest");
    let named = named.ok_or_else(|| {
        Failure::input("--journal needs a name of the run\nhint: --run-id NAME, the same on every machine")
    })?;
    let (team, id) = (load(args.ticker.as_deref().unwrap_or_default())?, run_id(Some(named))?);
    let folder = runs(config, &team).join(&id);
    Ok(Some(Name { team, id, folder }))
}

/// Claims the run.
pub fn claim(config: &Config, args: &RunArgs, name: &Name) -> Result<Claimed, Failure> {
    let claimed = journal::claim(config, &format!("{}/{}", name.team.name, name.id), args.resume.is_some())?;
    claimed.ok_or_else(|| Failure::input("--journal names no journal"))
}

/// The flags with which a run begins, or goes on from the lines that its journal has.
pub fn flags(args: &RunArgs, name: &Name, held: &Held) -> Result<RunArgs, Failure> {
    let Name { team, id, folder } = name;
    let begin = RunArgs { run_id: Some(id.clone()), resume: None, force: true, ..args.clone() };
    if held.lines.is_empty() {
        return match &args.resume {
            Some(_) => Err(Failure::input(format!("no run {id:?} of team {} in the journal", team.name))),
            None => Ok(begin),
        };
    }
    let path = folder.join(agents::JOURNAL);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, &held.lines));
    written.map_err(|error| Failure::input(format!("cannot write {}: {error}", path.display())))?;
    let begun = agents::about(folder).map_err(Failure::input)?.unwrap_or_default();
    let mut values = given(&args.given.input)?;
    for (name, value) in begun["inputs"].as_object().into_iter().flatten() {
        values.entry(name.clone()).or_insert_with(|| value.clone());
    }
    if Inputs::new(team, &values).map_err(Failure::input)?.to_json() != begun["inputs"] {
        return Err(Failure::input(format!(
            "run {id} in the journal has other inputs\nhint: choose another --run-id, or leave out --input"
        )));
    }
    Ok(RunArgs { run_id: None, resume: Some(id.clone()), force: false, ..begin })
}

/// Prints the record of a run that has ended, figure for figure as it was written.
pub fn tell(record: &str, args: &RunArgs) -> Result<ExitCode, Failure> {
    let read: Value = serde_json::from_str(record).map_err(Failure::input)?;
    text::note("the journal has this run, and it has ended");
    if args.json {
        text::out(record);
    } else if args.events {
        text::out(&format!("{{\"event\":\"record\",\"record\":{record}}}"));
    } else if let Some(result) = read["result"]["text"].as_str() {
        text::out(result);
    }
    match read["failure"].as_str() {
        None => Ok(ExitCode::SUCCESS),
        Some(why) => Err(Failure { message: why.to_owned(), code: GATE }),
    }
}
