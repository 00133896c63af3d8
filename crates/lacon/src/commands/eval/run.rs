//! `lacon eval run TEAM`: both arms of a team on the same cases, compared pair by pair.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{Either, select};
use jiff::Timestamp;
use lacon_agents::{Inputs, Optimization, Optimizations, Settings, Team, Tools, run::Approval};
use lacon_eval::runs::{Comparison, Mean, Outcome, Pair, compare, holds, is_decided, judge};
use lacon_llm::Client;
use lacon_runtime::Config;
use serde_json::{Value, json};

use crate::{
    args::eval::EvalRunArgs,
    commands::{Common, block_on, read_text, team},
    failure::{self, Failure},
    signals,
    text::{self, thousands},
    world,
};

/// One case: what the team is given, and what its result has to hold.
struct Case {
    name: String,
    inputs: BTreeMap<String, Value>,
    facts: Vec<String>,
}

/// One of the two arms.
struct Arm {
    name: String,
    optimizations: Optimizations,
}

/// What both arms share.
struct Test<'a> {
    args: &'a EvalRunArgs,
    config: &'a Config,
    team: Team,
    arms: [Arm; 2],
    client: Arc<dyn Client>,
    tools: Tools,
}

/// Runs the subcommand.
pub fn run(common: &Common, args: &EvalRunArgs) -> Result<ExitCode, Failure> {
    let config = common.settings(&[
        ("llm.provider", args.llm.as_ref()),
        ("llm.base_url", args.base_url.as_ref()),
        ("run.out", args.out.as_ref()),
        ("sim.seed", args.seed.as_ref()),
        ("sim.time_scale", args.time_scale.as_ref()),
    ])?;
    let mut loaded = team::load(&args.team)?;
    let on = team::profile(&mut loaded, None)?;
    team::set_models(&mut loaded, args.quick_model.as_deref(), args.deep_model.as_deref());
    let arms = arms(args, &on)?;
    let cases = cases(&args.cases)?;
    let client = world::team_client(&config, None)?;
    let who = client.describe();
    let tools = if who.simulated { team::run::simulated(&loaded, &config) } else { Tools::new() };
    let model = if who.simulated {
        "SIMULATED language model".to_owned()
    } else {
        format!("{} at {}", who.provider, who.base_url)
    };
    let say = |line: &str| if args.json { text::note(line) } else { text::out(line) };
    say(&format!(
        "run test of team {}: {model}, {} cases, {} beside {}",
        loaded.name,
        cases.len(),
        arms[0].name,
        arms[1].name
    ));
    let folder =
        Path::new(config.text("run.out")).join("eval").join(format!("run-{}", super::slug(&loaded.name)));
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::input(format!("cannot make {}: {error}", folder.display())))?;
    let path = folder.join("pairs.jsonl");
    let test = Test { args, config: &config, team: loaded, arms, client, tools };
    let known = known(&path);
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| Failure::input(format!("cannot write {}: {error}", path.display())))?;
    let mut pairs = Vec::new();
    let mut stopped_early = false;
    let asked = async {
        for case in &cases {
            let key = test.key(case);
            if let Some(pair) = known.get(&key) {
                pairs.push(pair.clone());
            } else {
                let pair = test.pair(case).await?;
                writeln!(file, "{}", json!({"key": key, "pair": pair}))
                    .map_err(|error| Failure::input(format!("cannot write {}: {error}", path.display())))?;
                pairs.push(pair);
            }
            if is_decided(&pairs, cases.len(), args.least_agreement) {
                stopped_early = true;
                break;
            }
        }
        Ok(())
    };
    let ended = block_on(async {
        match select(Box::pin(asked), std::pin::pin!(signals::stop())).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(Failure {
                message: "interrupted: finished cases are kept\nhint: the same command goes on from there"
                    .into(),
                code: failure::INTERRUPTED,
            }),
        }
    })?;
    let comparison = compare(&pairs);
    if args.json {
        let value = json!({
            "schema_version": 1, "team": test.team.name, "arms": [test.arms[0].name, test.arms[1].name], "simulated": who.simulated,
            "stopped_early": stopped_early, "comparison": comparison, "pairs": pairs,
        });
        text::out(&value.to_string());
    } else {
        print(&comparison, &test.arms);
    }
    if stopped_early {
        text::note(&format!("decided after {} of {} cases", pairs.len(), cases.len()));
    }
    text::note(&format!("pairs     {}", path.display()));
    ended.map(|()| ExitCode::SUCCESS)
}

fn arms(args: &EvalRunArgs, on: &Optimizations) -> Result<[Arm; 2], Failure> {
    if let Some(name) = &args.ablate {
        let one: Optimization = name.parse().map_err(Failure::input)?;
        return Ok([
            Arm { name: format!("lacon without {name}"), optimizations: on.without(one) },
            Arm { name: "lacon".to_owned(), optimizations: on.clone() },
        ]);
    }
    let arm = |name: &str| match name {
        "baseline" => Ok(Arm { name: name.to_owned(), optimizations: Optimizations::none() }),
        "lacon" => Ok(Arm { name: name.to_owned(), optimizations: on.clone() }),
        _ => Err(Failure::input(format!(
            "unknown arm {name:?}\nhint: baseline or lacon, or --ablate OPTIMIZATION"
        ))),
    };
    match args.compare.split_once(',') {
        Some((first, second)) if first != second => Ok([arm(first.trim())?, arm(second.trim())?]),
        _ => Err(Failure::input(format!(
            "--compare {:?} names no two arms\nhint: --compare baseline,lacon",
            args.compare
        ))),
    }
}

fn cases(folder: &Path) -> Result<Vec<Case>, Failure> {
    let listed = std::fs::read_dir(folder)
        .map_err(|error| Failure::input(format!("cannot read {}: {error}", folder.display())))?;
    let mut files: Vec<PathBuf> = listed.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "json"));
    files.sort();
    if files.is_empty() {
        return Err(Failure::input(format!(
            "{} has no case\nhint: one JSON file a case, with \"inputs\" and \"facts\"",
            folder.display()
        )));
    }
    files.iter().map(|path| case(path)).collect()
}

fn case(path: &Path) -> Result<Case, Failure> {
    let bad = |what: String| {
        Failure::input(format!(
            "{}: {what}\nhint: {{\"inputs\": {{…}}, \"facts\": [\"3.5 %\"]}}",
            path.display()
        ))
    };
    let value: Value = serde_json::from_str(&read_text(path)?).map_err(|error| bad(error.to_string()))?;
    let inputs = value
        .get("inputs")
        .unwrap_or(&value)
        .as_object()
        .ok_or_else(|| bad("inputs are no object".into()))?;
    let facts = match value.get("facts") {
        None => Vec::new(),
        Some(facts) => {
            serde_json::from_value(facts.clone()).map_err(|_| bad("facts are no list of texts".into()))?
        }
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Case { name, inputs: inputs.clone().into_iter().collect(), facts })
}

/// Pairs of earlier tests; a line that was cut is left out.
fn known(path: &Path) -> BTreeMap<String, Pair> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let read = |line: &str| {
        let mut value: Value = serde_json::from_str(line).ok()?;
        let pair = serde_json::from_value(value.get_mut("pair")?.take()).ok()?;
        Some((value["key"].as_str()?.to_owned(), pair))
    };
    text.lines().filter_map(read).collect()
}

impl Test<'_> {
    /// What names a pair: all that decides what is asked and by whom it is judged.
    fn key(&self, case: &Case) -> String {
        let who = self.client.describe();
        let what = json!([
            lacon_agents::run::digest(&self.team),
            self.arms[0].name,
            self.arms[1].name,
            case.inputs,
            case.facts,
            who.provider,
            who.base_url,
            self.args.judge,
            self.config.text("sim.seed"),
        ]);
        lacon_llm::Request::new(what.to_string()).digest()[..24].to_owned()
    }

    async fn pair(&self, case: &Case) -> Result<Pair, Failure> {
        let inputs = Inputs::new(&self.team, &case.inputs)
            .map_err(|error| Failure::input(format!("case {:?}: {error}", case.name)))?;
        let first = self.outcome(case, inputs.clone(), 0).await;
        let second = self.outcome(case, inputs, 1).await;
        let facts =
            case.facts.iter().map(|fact| (fact.clone(), holds(&first.text, fact), holds(&second.text, fact)));
        let mut pair = Pair { case: case.name.clone(), facts: facts.collect(), first, second, judged: None };
        if let Some(model) =
            self.args.judge.as_ref().filter(|_| pair.first.failure.is_none() && pair.second.failure.is_none())
        {
            let task = serde_json::to_string_pretty(&case.inputs).unwrap_or_default();
            let judged = judge(&*self.client, model, &task, &pair).await;
            pair.judged =
                Some(judged.map_err(|error| Failure::model(format!("the judge: {error}"), error.kind()))?);
        }
        Ok(pair)
    }

    async fn outcome(&self, case: &Case, inputs: Inputs, arm: usize) -> Outcome {
        let deadline = self.config.number("run.deadline_s");
        let finished = lacon_agents::run(Settings {
            inputs,
            tools: self.tools.clone(),
            optimizations: self.arms[arm].optimizations.clone(),
            run_id: format!("{}-{arm}", super::slug(&case.name)),
            started_at: Timestamp::now().to_string(),
            deadline: (deadline > 0.0).then(|| Duration::from_secs_f64(deadline)),
            approval: Approval::Stop,
            nonce: world::nonce(self.config),
            ..Settings::new(self.team.clone(), Arc::clone(&self.client))
        })
        .await;
        let record = &finished.record;
        let usd: Option<f64> = record.cost_usd.as_ref().and_then(|usd| usd.parse().ok());
        Outcome {
            decision: record.decision.as_ref().map(|decision| decision.chosen.value.clone()),
            text: finished.result().unwrap_or_default().to_owned(),
            failure: finished.failure.as_ref().map(ToString::to_string),
            tokens: record.tokens.total,
            micro_usd: usd.map(|usd| (usd * 1e6).round() as u64),
            seconds: record.wall_s,
        }
    }
}

fn print(found: &Comparison, arms: &[Arm; 2]) {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    text::out("");
    text::out(&format!(
        "cases      {} finished by both, {} failed in {}, {} in {}",
        found.cases, found.failed.0, arms[0].name, found.failed.1, arms[1].name
    ));
    if found.agreed.1 > 0 {
        let (low, high) = found.agreement;
        text::out(&format!(
            "decision   the same in {} of {}: {} to {}",
            found.agreed.0,
            found.agreed.1,
            percent(low),
            percent(high)
        ));
    }
    if found.facts.0 > 0 {
        let (d, low, high) = found.facts_difference;
        text::out(&format!(
            "facts      {} of {} kept by {}, {} by {}: {:+.1} points ({:+.1} to {:+.1})",
            found.facts.1,
            found.facts.0,
            arms[0].name,
            found.facts.2,
            arms[1].name,
            d * 100.0,
            low * 100.0,
            high * 100.0
        ));
    }
    let (first, second, tie, nonsense) = found.judged;
    if first + second + tie + nonsense > 0 {
        let (low, high) = found.preference;
        text::out(&format!(
            "judge      {first} for {}, {second} for {}, {tie} ties, {nonsense} without a choice: {} to {} for {}",
            arms[0].name,
            arms[1].name,
            percent(low),
            percent(high),
            arms[1].name
        ));
    }
    let share = |name: &str, mean: Option<Mean>| {
        if let Some(mean) = mean {
            let (low, high) = (percent(mean.low), percent(mean.high));
            text::out(&format!("{name:<10} {} of {}: {low} to {high}", percent(mean.mean), arms[0].name));
        }
    };
    share("tokens", found.tokens);
    share("money", found.money);
    share("time", found.seconds);
    share("length", found.length);
    text::out(&format!("           intervals of 95 % over {} cases", thousands(u64::from(found.cases))));
}
