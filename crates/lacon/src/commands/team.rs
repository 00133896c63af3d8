//! Teams: which are meant, how they are loaded, and what the flags change.

pub mod run;

use std::{collections::BTreeMap, path::Path};

use lacon_agents::{Optimizations, Team, file, shipped, team::Tool};
use lacon_runtime::Config;
use serde_json::Value;

use super::read_text;
use crate::{failure::Failure, forms};

/// Whether a positional argument means a team: a shipped name, a TOML file, or a folder that holds a team.
pub fn is_meant(name: Option<&str>) -> bool {
    name.is_some_and(|name| {
        shipped::find(name).is_some()
            || name.ends_with(".toml")
            || Path::new(name).join("team.toml").is_file()
    })
}

/// The team that decides on a ticker; its runs have commands and reports of their own.
pub const TRADING: &str = "trading";

/// Loads a team by its file, its folder, or its shipped name.
pub fn load(name: &str) -> Result<Team, Failure> {
    if name == TRADING {
        return Ok(lacon_trading::team::whole().clone());
    }
    if let Some(shipped) = shipped::find(name) {
        return shipped.team().map_err(Failure::input);
    }
    let path = Path::new(name);
    let path = if path.is_dir() { path.join("team.toml") } else { path.to_owned() };
    if !path.exists() {
        let known: Vec<&str> = shipped::SHIPPED.iter().map(|shipped| shipped.name).collect();
        return Err(Failure::input(format!(
            "team {name:?} is not there\nhint: a file such as my/team.toml, or one of {}, {TRADING}; lacon new makes one",
            known.join(", ")
        )));
    }
    let text = read_text(&path)?;
    file::parse(&path.display().to_string(), &text).map_err(Failure::input)
}

/// What is given by `--input`: `NAME=VALUE`, `NAME=@FILE`, or `@FILE` with a JSON object.
pub fn given(flags: &[String]) -> Result<BTreeMap<String, Value>, Failure> {
    let mut given = BTreeMap::new();
    for flag in flags {
        if let Some(path) = flag.strip_prefix('@') {
            let text = read_text(Path::new(path))?;
            let values: serde_json::Map<String, Value> = serde_json::from_str(&text).map_err(|error| {
                Failure::input(format!(
                    "{path}: no JSON object of inputs: {error}\nhint: {{\"NAME\": \"VALUE\"}}"
                ))
            })?;
            given.extend(values);
            continue;
        }
        let (name, value) = flag.split_once('=').ok_or_else(|| {
            Failure::input(format!(
                "input {flag:?} has no value\nhint: write NAME=VALUE, NAME=@FILE or @FILE.json"
            ))
        })?;
        let value = match value.strip_prefix('@') {
            Some(path) => read_text(Path::new(path))?,
            None => value.to_owned(),
        };
        given.insert(name.to_owned(), Value::from(value));
    }
    Ok(given)
}

/// Makes a team what a profile makes of it, and gives its optimizations.
pub fn profile(team: &mut Team, name: Option<&str>) -> Result<Optimizations, Failure> {
    let Some(name) = name else { return Ok(Optimizations::all()) };
    let Some(profile) = team.profiles.get(name).cloned() else {
        let known: Vec<&str> = team.profiles.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "the team has none".into() } else { known.join(", ") };
        return Err(Failure::input(format!("profile {name:?} is unknown\nhint: {known}")));
    };
    *team = team
        .varied(&profile)
        .map_err(|(at, why)| Failure::input(format!("profile {name:?}, {at}: {why}")))?;
    match profile.optimizations {
        None => Ok(Optimizations::all()),
        Some(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            Optimizations::none().switched(&[], &names).map_err(Failure::input)
        }
    }
}

/// Limits what the models of a team are given to proven forms, where that is set. Also says which forms are not proven.
pub fn proven(
    config: &Config,
    team: &Team,
    on: Optimizations,
) -> Result<(Optimizations, Vec<String>), Failure> {
    let asked = team.agents.iter().filter(|agent| agent.by.is_empty());
    let mut models: Vec<&str> = asked.map(|agent| team.model(agent)).collect();
    // Near the deadline it answers for others.
    models.extend(team.models.get("quick").map(String::as_str));
    let reading = forms::of_models(config, models)?;
    let on = reading.by_model.map_or_else(|| on.clone(), |forms| on.proven(forms));
    Ok((on, reading.notes))
}

/// Puts models that were named by flags into a team.
pub fn set_models(team: &mut Team, quick: Option<&str>, deep: Option<&str>) {
    for (class, model) in [("quick", quick), ("deep", deep)] {
        if let Some(model) = model {
            team.models.insert(class.into(), model.into());
        }
    }
}

/// Puts servers that were named by `--tool` into a team.
///
/// A URL that holds a secret stands in a file: everybody on the machine can read what a process was started with.
pub fn set_tools(team: &mut Team, flags: &[String]) -> Result<(), Failure> {
    let mut servers: Vec<(String, String)> = Vec::new();
    for flag in flags {
        if let Some(path) = flag.strip_prefix('@') {
            let urls: BTreeMap<String, String> =
                serde_json::from_str(&read_text(Path::new(path))?).map_err(|error| {
                    Failure::input(format!(
                        "{path}: no JSON object of URLs: {error}\nhint: {{\"NAME\": \"http://…\"}}"
                    ))
                })?;
            servers.extend(urls);
            continue;
        }
        let (name, url) = flag.split_once('=').ok_or_else(|| {
            Failure::input(format!(
                "tool {flag:?} has no URL\nhint: write NAME=http://HOST:PORT/PATH or @FILE.json"
            ))
        })?;
        servers.push((name.to_owned(), url.to_owned()));
    }
    for (name, url) in &servers {
        if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(Failure::input(format!(
                "tool {name:?}: {url:?} is no URL\nhint: http://HOST:PORT/PATH"
            )));
        }
        let known: Vec<String> = team.tools.iter().map(|tool| tool.name.clone()).collect();
        let tool = team.tools.iter_mut().find(|tool| tool.name == *name).ok_or_else(|| {
            Failure::input(format!("the team has no tool {name:?}\nhint: there are: {}", known.join(", ")))
        })?;
        *tool = Tool {
            http: url.clone(),
            mcp: None,
            folder: String::new(),
            simulated: false,
            code: false,
            ..tool.clone()
        };
    }
    Ok(())
}
