//! `lacon run TEAM`: runs a team, prints its result, leaves its record.

mod shared;

use std::{
    io::{BufRead, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use lacon_agents::{
    Finished, Inputs, RunError, Settings, Team, Tools,
    run::{self as agents, Approval},
};
use lacon_llm::{BoxFuture, TapeMode};
use lacon_runtime::{Config, Progress, run::OnProgress};
use lacon_sim::{client::draw, generic::passages, tool_seconds};
use serde_json::{Value, json};

use super::{given, load, profile, proven, set_models, set_tools};
use crate::{
    args::{RunArgs, eval::Forms},
    commands::{Common, block_on, micro_usd, run::run_id},
    failure::{self, Failure},
    forms,
    journal::{Claimed, Held},
    lock::RunLock,
    logging, mcp_tools, shared as shared_tools, signals,
    text::{self, thousands},
    world,
};

/// Runs a team.
pub fn run(common: &Common, args: &RunArgs) -> Result<ExitCode, Failure> {
    refuse_foreign(args)?;
    let config = config(common, args)?;
    let Some(name) = shared::name(&config, args)? else {
        return conclude(&work(&config, args, None)?, &config);
    };
    // Held until the record is written: one folder has one writer.
    let _lock = RunLock::take(&name.folder)?;
    let held = match shared::claim(&config, args, &name)? {
        Claimed::Ended(record) => return shared::tell(&record, args),
        Claimed::Ours(held) => held,
    };
    let worked = shared::flags(args, &name, &held).and_then(|args| work(&config, &args, Some(&held)));
    let ended = worked.as_ref().ok().filter(|finished| has_ended(finished));
    let record = ended.and_then(|finished| serde_json::to_value(&finished.record).ok());
    let kept = held.end(record.as_ref());
    let finished = worked?;
    kept?;
    conclude(&finished, &config)
}

/// Whether a run is over: what was refused or stopped can be gone on with.
fn has_ended(finished: &Finished) -> bool {
    use RunError::{Faults, Interrupted, NeedsApproval, Setup};
    !matches!(&finished.failure, Some(Faults(_) | Setup(_) | NeedsApproval(_) | Interrupted))
}

/// Runs a team and prints what it gives.
fn work(config: &Config, args: &RunArgs, held: Option<&Held>) -> Result<Finished, Failure> {
    let (mut settings, heading) = settings(config, args)?;
    settings.keep = held.map(Held::keep);
    let locked = settings.folder.as_deref().filter(|_| held.is_none());
    let _lock = locked.map(RunLock::take).transpose()?;
    if args.json || args.events {
        text::note(&heading)
    } else {
        text::out(&heading)
    }
    logging::open(config)?;
    let folder = settings.folder.clone().unwrap_or_default();
    let allowed = mcp_tools::Allowed { names: &args.given.allow_mcp, servers: &config.list("run.allow_mcp") };
    let lost = held.map(Held::lost);
    let finished = block_on(async {
        let mut stop = Box::pin(async {
            let Some(lost) = lost else { return signals::stop().await };
            tokio::select! {
                () = signals::stop() => {}
                () = lost => {}
            }
        });
        let settings = tokio::select! {
            settings = mcp_tools::connect(settings, &allowed) => settings?,
            () = &mut stop => return Err(Failure { message: "interrupted".into(), code: failure::INTERRUPTED }),
        };
        Ok(lacon_agents::run(Settings { stop: Some(stop), ..settings }).await)
    })??;
    super::super::models::keep(config);
    if let Some(file) = &args.html {
        let page = lacon_agents::report::html(&finished.record);
        super::super::report::write(file, page.as_bytes(), &folder)?;
    }
    if args.json {
        let json = serde_json::to_string_pretty(&finished.record)
            .map_err(|error| Failure::input(format!("cannot write run.json: {error}")))?;
        text::out(&json);
    } else if args.events {
        text::out(&json!({"event": "record", "record": finished.record}).to_string());
    } else {
        print(&finished, world::time_scale(config));
    }
    Ok(finished)
}

/// Flags of the trading graph mean nothing for a team.
fn refuse_foreign(args: &RunArgs) -> Result<(), Failure> {
    let foreign = [
        ("--date", args.date.is_some()),
        ("--data", args.data.is_some()),
        ("--vendors-url", args.vendors_url.is_some()),
        ("--tools-url", args.tools_url.is_some()),
        ("--analysts", args.cast.analysts.is_some()),
        ("--agents", args.cast.agents.is_some()),
        ("--language", args.cast.language.is_some()),
        ("--research-rounds", args.cast.research_rounds.is_some()),
        ("--risk-rounds", args.cast.risk_rounds.is_some()),
        ("--from", args.from.is_some()),
        ("--performance-report", args.performance_report),
        ("--complete", args.complete.is_some()),
        ("--otlp", args.otlp.is_some()),
        ("--trace-format", !args.trace_format.is_empty()),
        ("--replay", args.replay),
        ("--repeat", args.repeat.is_some()),
    ];
    match foreign.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => Err(Failure::input(format!(
            "{flag} does nothing for a team\nhint: a team takes --input, --tool, --approve, --profile, --disable, budgets and models"
        ))),
    }
}

fn config(common: &Common, args: &RunArgs) -> Result<Config, Failure> {
    common.settings(&[
        ("llm.provider", args.llm.as_ref()),
        ("llm.base_url", args.base_url.as_ref()),
        ("run.disable", args.disable.as_ref()),
        ("run.enable", args.enable.as_ref()),
        ("models.forms", args.forms.map(Forms::word).as_ref()),
        ("run.budget_tokens", args.budget_tokens.as_ref()),
        ("run.budget_usd", args.budget_usd.as_ref()),
        ("run.deadline_s", args.deadline.as_ref()),
        ("run.tape", args.tape.as_ref()),
        ("run.tape_mode", args.record.then(|| "record".to_owned()).as_ref()),
        ("run.out", args.out.as_ref()),
        ("run.journal_at", args.journal.as_ref()),
        ("sim.seed", args.seed.as_ref()),
        ("sim.time_scale", args.time_scale.as_ref()),
    ])
}

fn settings(config: &Config, args: &RunArgs) -> Result<(Settings, String), Failure> {
    let name = args.ticker.as_deref().unwrap_or_default();
    let mut team = load(name)?;
    let on = profile(&mut team, args.cast.profile.as_deref())?;
    let on = on.switched(&config.list("run.disable"), &config.list("run.enable")).map_err(Failure::input)?;
    set_models(&mut team, args.quick_model.as_deref(), args.deep_model.as_deref());
    set_tools(&mut team, &args.given.tool)?;
    set_agents(&mut team, args)?;
    let (on, unproven) = proven(config, &team, on)?;
    let runs = runs(config, &team);
    let (folder, begun) = folder(&runs, args)?;
    let mut values = given(&args.given.input)?;
    let mut nonce = world::nonce(config);
    if let Some(begun) = &begun {
        // What the run was begun with, unless it is given again.
        for (name, value) in begun["inputs"].as_object().into_iter().flatten() {
            values.entry(name.clone()).or_insert_with(|| value.clone());
        }
        nonce = begun["nonce"].as_str().unwrap_or(&nonce).to_owned();
    }
    let tape = world::tape(config)?;
    if tape.as_ref().is_some_and(|tape| tape.mode() != TapeMode::Record) {
        return Err(Failure::input("a team's calls can be recorded on a tape, not played from one"));
    }
    if let Some(tape) = &tape {
        nonce = tape.nonce();
    }
    let client = world::team_client(config, tape)?;
    let describe = client.describe();
    let who = if describe.simulated {
        let scale = config.number("sim.time_scale");
        let speed = if scale > 0.0 { format!("time x{:.0}", 1.0 / scale) } else { "no waiting".into() };
        format!("SIMULATED language model ({speed}, seed {})", config.text("sim.seed"))
    } else {
        format!("{} at {}", describe.provider, describe.base_url)
    };
    forms::say(config, describe.simulated, || Ok(unproven))?;
    let tools = if describe.simulated { simulated(&team, config) } else { Tools::new() };
    let made_up: Vec<&str> = team.tools.iter().filter(|t| t.simulated).map(|t| t.name.as_str()).collect();
    let made_up = if describe.simulated && !made_up.is_empty() {
        format!(", SIMULATED tools: {}", made_up.join(", "))
    } else {
        String::new()
    };
    let heading = format!("team {}: {who}{made_up}", team.name);
    let inputs = Inputs::new(&team, &values).map_err(Failure::input)?;
    let deadline = config.number("run.deadline_s");
    let run_id = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let elsewhere = shared_tools::of_team(config, &team)?;
    let settings = Settings {
        elsewhere,
        inputs,
        tools,
        optimizations: on,
        run_id,
        started_at: Timestamp::now().to_string(),
        folder: config.flag("run.journal").then_some(folder),
        resume: begun.is_some(),
        budget_tokens: config.integer("run.budget_tokens") as u64,
        budget_micro_usd: micro_usd(config.number("run.budget_usd")),
        deadline: (deadline > 0.0).then(|| Duration::from_secs_f64(deadline)),
        speed: world::time_scale(config),
        on_progress: if args.events { Arc::new(event) } else { progress(config) },
        approval: approval(args),
        nonce,
        history: Some(Path::new(config.text("run.out")).join(".cache/durations.json")),
        ..Settings::new(team, client)
    };
    Ok((settings, heading))
}

/// Where the folders of a team's runs are.
fn runs(config: &Config, team: &Team) -> PathBuf {
    Path::new(config.text("run.out")).join("teams").join(&team.name).join("runs")
}

/// Models and efforts of single agents.
fn set_agents(team: &mut Team, args: &RunArgs) -> Result<(), Failure> {
    let names: Vec<String> = team.agents.iter().map(|agent| agent.name.clone()).collect();
    let agent = |flag: &str, what: &str| -> Result<(usize, String), Failure> {
        let (name, value) = flag.split_once('=').filter(|(_, value)| !value.is_empty()).ok_or_else(|| {
            Failure::input(format!("{what} {flag:?} has no value\nhint: write AGENT=VALUE"))
        })?;
        let at = names.iter().position(|known| known == name).ok_or_else(|| {
            Failure::input(format!("{what}: {name:?} is no agent\nhint: there are: {}", names.join(", ")))
        })?;
        Ok((at, value.to_owned()))
    };
    for flag in &args.model {
        let (at, model) = agent(flag, "--model")?;
        team.agents[at].model = model;
    }
    for flag in &args.effort {
        let (at, level) = agent(flag, "--effort")?;
        let level = serde_json::from_value(Value::from(level.as_str()));
        team.agents[at].effort = Some(level.map_err(|_| {
            Failure::input(format!("--effort {flag:?}\nhint: AGENT=low, AGENT=medium or AGENT=high"))
        })?);
    }
    Ok(())
}

/// The run's folder, and what it was begun with if it is gone on with.
fn folder(runs: &Path, args: &RunArgs) -> Result<(PathBuf, Option<Value>), Failure> {
    let Some(name) = &args.resume else {
        let name = run_id(args.run_id.as_deref())?;
        let folder = runs.join(&name);
        if folder.exists() && !args.force {
            return Err(Failure::input(format!(
                "run {name} exists: {}\nhint: choose another --run-id, go on with it by --resume {name}, or overwrite it with --force",
                folder.display()
            )));
        }
        return Ok((folder, None));
    };
    let folder = match name.as_str() {
        "latest" => latest(runs),
        name => Some(runs.join(run_id(Some(name))?)),
    };
    let none = || Failure::input(format!("no run {name:?} under {}", runs.display()));
    let folder = folder.ok_or_else(none)?;
    let begun = agents::about(&folder).map_err(Failure::input)?.ok_or_else(none)?;
    Ok((folder, Some(begun)))
}

fn latest(runs: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(runs).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    folders
        .filter(|f| f.join(agents::JOURNAL).exists())
        .max_by_key(|f| f.metadata().and_then(|m| m.modified()).ok())
}

/// Made-up answers of the tools that the team says are simulated, as late as a server would give them.
pub(in crate::commands) fn simulated(team: &Team, config: &Config) -> Tools {
    let (seed, scale) = (config.integer("sim.seed") as u64, config.number("sim.time_scale"));
    let noise = config.flag("sim.noise");
    team.tools.iter().filter(|tool| tool.simulated).fold(Tools::new(), |tools, tool| {
        let name = tool.name.clone();
        tools.with(&tool.name, move |arguments| {
            let text = passages(seed, &name, &arguments);
            let u = if noise { draw(seed, &text) } else { 0.5 };
            let wait = Duration::from_secs_f64(tool_seconds(&name, u) * scale);
            async move {
                tokio::time::sleep(wait).await;
                Ok(text)
            }
        })
    })
}

/// One line of JSON for whatever a program that started the run may want to know.
fn event(progress: Progress) {
    let line = match progress {
        Progress::NodeStarted(node) => json!({"event": "started", "node": node}),
        Progress::NodeFinished { node, error } => json!({"event": "finished", "node": node, "error": error}),
        Progress::Calling { role, turn } => json!({"event": "calling", "agent": role, "turn": turn}),
        Progress::Retrying { role, reason } => json!({"event": "retrying", "agent": role, "reason": reason}),
        Progress::Answered { role, total_tokens, text } => {
            json!({"event": "answered", "agent": role, "text": text, "tokens": total_tokens})
        }
        Progress::ToolCalled { role, tool } => json!({"event": "tool", "agent": role, "tool": tool}),
        _ => return,
    };
    text::out(&line.to_string());
}

/// One line an agent that is done, where somebody watches.
fn progress(config: &Config) -> OnProgress {
    if config.text("log.level") == "error" || !std::io::stderr().is_terminal() {
        return Arc::new(|_| {});
    }
    Arc::new(|progress| {
        if let Progress::NodeFinished { node, error } = progress {
            match error {
                None => text::note(&format!("  {node} is done")),
                Some(error) => text::note(&format!("  {node} failed: {error}")),
            }
        }
    })
}

/// On a terminal a person is asked; elsewhere those agents may run that were named.
fn approval(args: &RunArgs) -> Approval {
    if !args.approve.is_empty() || !std::io::stdin().is_terminal() {
        return Approval::Named(args.approve.clone());
    }
    let ask = |question: String| -> BoxFuture<'static, bool> {
        Box::pin(async move {
            text::note(&format!("{question} [y/N]"));
            // The thread ends with the answer; until then nothing of the run stands still.
            let answer = tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                std::io::stdin().lock().read_line(&mut line).map(|_| line)
            });
            matches!(answer.await, Ok(Ok(line)) if line.trim().eq_ignore_ascii_case("y"))
        })
    };
    Approval::Ask(Arc::new(ask))
}

fn print(finished: &Finished, scale: f64) {
    let run = &finished.record;
    if let Some(decision) = &run.decision {
        text::out(&format!("\n{} by {}", decision.chosen.value, decision.agent));
    }
    if let Some(result) = &run.result {
        text::out(&format!("\n{}\n", result.text));
    }
    let t = &run.tokens;
    let cached = t.cached.map(|c| format!(", {} of it cached", thousands(c))).unwrap_or_default();
    let cost = run
        .cost_usd
        .as_ref()
        .map(|c| format!(", {c} USD{}", if run.llm.simulated { " at list price" } else { "" }));
    text::out(&format!(
        "tokens    {} in {} calls: prompt {}{cached}, completion {}{}",
        thousands(t.total),
        run.calls.len(),
        thousands(t.prompt),
        thousands(t.completion),
        cost.unwrap_or_default()
    ));
    let at_speed = if scale > 0.0 && scale < 1.0 {
        format!(" ({:.1} s at recorded speed, {:.1} s expected)", run.wall_s / scale, run.expected.seconds)
    } else {
        String::new()
    };
    text::out(&format!("time      {:.2} s{at_speed}, {} tool calls", run.wall_s, run.tools.len()));
    let path: Vec<&str> = run.critical_path.iter().map(|node| node.node.as_str()).collect();
    text::out(&format!("critical  {}", path.join(" > ")));
    let saved = run.optimizations.iter().filter_map(|(name, saved)| {
        let tokens = saved.saved_tokens.filter(|tokens| *tokens != 0)?;
        Some(format!("{name} {tokens} tokens"))
    });
    let saved: Vec<String> = saved.collect();
    if !saved.is_empty() {
        text::out(&format!("saved     {}", saved.join(", ")));
    }
}

/// Warnings to stderr, then the exit code.
fn conclude(finished: &Finished, config: &Config) -> Result<ExitCode, Failure> {
    if config.text("log.level") != "error" {
        finished.record.warnings.iter().for_each(|warning| logging::warn(config, warning));
    }
    if let Some(error) = &finished.write_error {
        return Err(Failure::input(format!("{error}; the result above stands")));
    }
    let Some(error) = &finished.failure else { return Ok(ExitCode::SUCCESS) };
    let mut message = error.to_string();
    if matches!(error, RunError::NeedsApproval(_)) {
        message.push_str(&format!(", RUN is {}", finished.record.run_id));
    }
    Err(Failure { message, code: failure::code_of_run(error) })
}
