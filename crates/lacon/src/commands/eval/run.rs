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
use lacon_agents::{Inputs, Optimization, Optimizations, RunError, Settings, Team, Tools, run::Approval};
use lacon_eval::runs::{Comparison, Judged, Mean, Outcome, Pair, compare, holds, is_decided, judge};
use lacon_llm::{Client, ErrorKind, TapeMode, Usage};
use lacon_monitor::prices;
use lacon_runtime::Config;
use serde_json::{Value, json};

use super::{purse::Purse, trading};
use crate::{
    args::eval::EvalRunArgs,
    commands::{Common, block_on, micro_usd, read_text, team},
    failure::{self, Failure},
    signals,
    text::{self, thousands},
    world,
};

/// One case: what the team is given, and what its result has to hold.
pub struct Case {
    pub name: String,
    pub inputs: BTreeMap<String, Value>,
    facts: Vec<String>,
}

/// Who runs the cases, with what tells its arms apart.
enum Runner {
    Team { team: Box<Team>, arms: [Optimizations; 2], tools: Tools },
    Trading { arms: [Vec<String>; 2] },
}

/// What both arms share.
struct Test<'a> {
    common: &'a Common,
    args: &'a EvalRunArgs,
    config: &'a Config,
    runner: Runner,
    names: [String; 2],
    purse: Arc<Purse>,
    nonce: String,
    folder: PathBuf,
}

/// Why the test ends before its last case.
enum Stop {
    /// Nothing is left of the budget.
    Budget,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Cases without a choice after which a judge that never chose is not asked again.
const MOST_NONSENSE: usize = 5;

/// Runs the subcommand.
pub fn run(common: &Common, args: &EvalRunArgs) -> Result<ExitCode, Failure> {
    let config = common.settings(&[
        ("llm.provider", args.llm.as_ref()),
        ("llm.base_url", args.base_url.as_ref()),
        ("run.tape", args.tape.as_ref()),
        ("run.tape_mode", super::tape_mode(args.tape.as_deref(), args.record).as_ref()),
        ("run.out", args.out.as_ref()),
        ("sim.seed", args.seed.as_ref()),
        ("sim.time_scale", args.time_scale.as_ref()),
    ])?;
    let names = arms(args)?;
    let cases = cases(&args.cases)?;
    let is_trading = args.team == trading::NAME;
    let tape = world::tape(&config)?;
    let nonce = tape.as_ref().map_or_else(|| world::nonce(&config), |tape| tape.nonce());
    let is_replay = tape.as_ref().is_some_and(|tape| tape.mode() == TapeMode::Strict);
    let client = match is_trading {
        true => world::client(&config, false, tape)?.0,
        false => world::team_client(&config, tape)?,
    };
    let who = client.describe();
    let runner = match is_trading {
        true => Runner::Trading { arms: names.each_ref().map(|name| trading::arm(args, name)) },
        false => team_runner(args, &config, &names, who.simulated)?,
    };
    let name = match &runner {
        Runner::Team { team, .. } => team.name.clone(),
        Runner::Trading { .. } => trading::NAME.to_owned(),
    };
    if args.budget_usd.is_some() && !is_replay {
        runner.priced(args, &config)?;
    }
    let model = if who.simulated {
        "SIMULATED language model".to_owned()
    } else {
        format!("{} at {}", who.provider, who.base_url)
    };
    let say = |line: &str| if args.json { text::note(line) } else { text::out(line) };
    say(&format!(
        "run test of team {name}: {model}, {} cases, {} beside {}",
        cases.len(),
        names[0],
        names[1]
    ));
    let folder = Path::new(config.text("run.out")).join("eval").join(format!("run-{}", super::slug(&name)));
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::input(format!("cannot make {}: {error}", folder.display())))?;
    let path = folder.join("pairs.jsonl");
    // What is played from a tape costs nothing.
    let (usd, tokens) = if is_replay { (None, None) } else { (args.budget_usd, args.budget_tokens) };
    let purse = Arc::new(Purse::new(client, usd, tokens));
    let test = Test { common, args, config: &config, runner, names, purse, nonce, folder };
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
                let pair = test.pair(case, &pairs).await?;
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
            Either::Right(_) => Err(Stop::Failed(Failure {
                message: "interrupted: finished cases are kept\nhint: the same command goes on from there"
                    .into(),
                code: failure::INTERRUPTED,
            })),
        }
    })?;
    let comparison = compare(&pairs);
    if args.json {
        let value = json!({
            "schema_version": 1, "team": name, "arms": test.names, "simulated": who.simulated,
            "stopped_early": stopped_early, "budget_used_up": matches!(ended, Err(Stop::Budget)), "comparison": comparison, "pairs": pairs,
        });
        text::out(&value.to_string());
    } else {
        print(&comparison, &test.names);
    }
    if stopped_early {
        text::note(&format!("decided after {} of {} cases", pairs.len(), cases.len()));
    }
    text::note(&format!("pairs     {}", path.display()));
    match ended {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Stop::Budget) => {
            let (micro_usd, tokens) = test.purse.spent();
            text::warn(&format!(
                "the budget is used up after {} of {} cases: {:.6} USD at known prices, {} tokens; the same command goes on where this one stopped",
                pairs.len(),
                cases.len(),
                micro_usd as f64 / 1e6,
                thousands(tokens)
            ));
            Ok(ExitCode::SUCCESS)
        }
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// A team with the optimizations of both arms.
fn team_runner(
    args: &EvalRunArgs,
    config: &Config,
    names: &[String; 2],
    simulated: bool,
) -> Result<Runner, Failure> {
    let mut team = team::load(&args.team)?;
    let on = team::profile(&mut team, None)?;
    team::set_models(&mut team, args.quick_model.as_deref(), args.deep_model.as_deref());
    team::set_tools(&mut team, &args.tool)?;
    let (on, _) = team::proven(config, &team, on)?;
    let without = match &args.ablate {
        Some(name) => on.without(name.parse::<Optimization>().map_err(Failure::input)?),
        None => Optimizations::none(),
    };
    let arms = names.each_ref().map(|name| if name == "lacon" { on.clone() } else { without.clone() });
    let tools = if simulated { team::run::simulated(&team, config) } else { Tools::new() };
    Ok(Runner::Team { team: Box::new(team), arms, tools })
}

impl Runner {
    /// Refuses a budget in dollars where a model has no price.
    fn priced(&self, args: &EvalRunArgs, config: &Config) -> Result<(), Failure> {
        let mut models: Vec<&str> = match self {
            Self::Team { team, .. } => team.agents.iter().map(|agent| team.model(agent)).collect(),
            Self::Trading { .. } => {
                let of =
                    |given: &'_ Option<String>, key| given.clone().unwrap_or(config.text(key).to_owned());
                return self.all_priced(
                    [of(&args.quick_model, "llm.quick_model"), of(&args.deep_model, "llm.deep_model")]
                        .iter()
                        .map(String::as_str)
                        .chain(args.judge.as_deref()),
                );
            }
        };
        models.extend(args.judge.as_deref());
        self.all_priced(models.into_iter())
    }

    fn all_priced<'m>(&self, mut models: impl Iterator<Item = &'m str>) -> Result<(), Failure> {
        match models.find(|model| prices::cost(model, &Usage::default()).is_none()) {
            None => Ok(()),
            Some(model) => Err(Failure::input(format!(
                "{model:?} has no known price, so --budget-usd cannot be kept\nhint: give --budget-tokens, or its price by --models-file"
            ))),
        }
    }
}

/// The names of both arms; the one without optimizations, or without one of them, is not called lacon.
fn arms(args: &EvalRunArgs) -> Result<[String; 2], Failure> {
    if let Some(name) = &args.ablate {
        return Ok([format!("lacon without {name}"), "lacon".to_owned()]);
    }
    let arm = |name: &str| match name {
        "baseline" | "lacon" => Ok(name.to_owned()),
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

/// Millionths of a decimal string of US dollars.
pub fn usd(text: &str) -> Option<u64> {
    text.parse().ok().map(micro_usd)
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
        let who = self.purse.describe();
        let runner = match &self.runner {
            Runner::Team { team, .. } => json!(lacon_agents::run::digest(team)),
            Runner::Trading { arms } => json!([arms, self.args.quick_model, self.args.deep_model]),
        };
        let what = json!([
            runner,
            self.names[0],
            self.names[1],
            case.inputs,
            case.facts,
            who.provider,
            who.base_url,
            self.args.judge,
            self.config.text("sim.seed"),
        ]);
        lacon_llm::Request::new(what.to_string()).digest()[..24].to_owned()
    }

    async fn pair(&self, case: &Case, before: &[Pair]) -> Result<Pair, Stop> {
        let first = self.outcome(case, 0).await?;
        let second = self.outcome(case, 1).await?;
        let facts =
            case.facts.iter().map(|fact| (fact.clone(), holds(&first.text, fact), holds(&second.text, fact)));
        let mut pair = Pair { case: case.name.clone(), facts: facts.collect(), first, second, judged: None };
        let finished = pair.first.failure.is_none() && pair.second.failure.is_none();
        if let Some(model) = self.args.judge.as_ref().filter(|_| finished && !is_useless(before)) {
            let task = serde_json::to_string_pretty(&case.inputs).unwrap_or_default();
            let judged = judge(&*self.purse, model, &task, &pair).await;
            pair.judged =
                Some(judged.map_err(|error| self.stop("the judge", error.kind(), &error.to_string()))?);
            if !is_useless(before) && is_useless(&[before, std::slice::from_ref(&pair)].concat()) {
                text::warn(&format!(
                    "{model} gave no choice in {MOST_NONSENSE} cases and is not asked again\nhint: --judge takes a model that answers with one word"
                ));
            }
        }
        Ok(pair)
    }

    /// Runs a case in an arm. What ends every run alike, such as a dead endpoint, ends the test and is no arm's failure.
    async fn outcome(&self, case: &Case, arm: usize) -> Result<Outcome, Stop> {
        let run_id = format!("{}-{arm}", super::slug(&case.name));
        let client: Arc<dyn Client> = Arc::clone(&self.purse) as _;
        let outcome = match &self.runner {
            Runner::Team { team, arms, tools } => {
                let inputs = Inputs::new(team, &case.inputs)
                    .map_err(|error| Failure::input(format!("case {:?}: {error}", case.name)))?;
                let deadline = self.config.number("run.deadline_s");
                let finished = lacon_agents::run(Settings {
                    inputs,
                    tools: tools.clone(),
                    optimizations: arms[arm].clone(),
                    run_id,
                    started_at: Timestamp::now().to_string(),
                    deadline: (deadline > 0.0).then(|| Duration::from_secs_f64(deadline)),
                    approval: Approval::Stop,
                    nonce: self.nonce.clone(),
                    ..Settings::new(Team::clone(team), client)
                })
                .await;
                if let Some(error @ (RunError::Setup(_) | RunError::Faults(_))) = &finished.failure {
                    return Err(Failure::input(error).into());
                }
                let record = &finished.record;
                Outcome {
                    decision: record.decision.as_ref().map(|decision| decision.chosen.value.clone()),
                    text: finished.result().unwrap_or_default().to_owned(),
                    failure: finished.failure.as_ref().map(ToString::to_string),
                    tokens: record.tokens.total,
                    micro_usd: record.cost_usd.as_deref().and_then(usd),
                    seconds: record.wall_s,
                }
            }
            Runner::Trading { arms } => {
                let (out, arm) = (self.folder.join("runs"), &arms[arm]);
                let test = (self.common, self.args);
                trading::outcome(test, &client, &self.nonce, &out, case, arm, &run_id).await?
            }
        };
        // A run may go on without the answer of a call that was refused.
        if self.purse.is_empty() {
            return Err(Stop::Budget);
        }
        match self.purse.trouble().filter(|_| outcome.failure.is_some()) {
            Some((kind, error)) => Err(self.stop(&self.names[arm], kind, &error)),
            None => Ok(outcome),
        }
    }

    fn stop(&self, who: &str, kind: ErrorKind, error: &str) -> Stop {
        if self.purse.is_empty() {
            return Stop::Budget;
        }
        let hint = "hint: finished cases are kept; the same command goes on from there";
        Stop::Failed(Failure::model(format!("{who}: {error}\n{hint}"), kind))
    }
}

/// Whether a judge was asked often enough and never chose.
fn is_useless(pairs: &[Pair]) -> bool {
    // Equal texts are a tie that nobody was asked about.
    let asked = |pair: &&Pair| pair.first.text != pair.second.text && pair.judged.is_some();
    let asked: Vec<_> = pairs.iter().filter(asked).filter_map(|pair| pair.judged).collect();
    asked.len() >= MOST_NONSENSE && asked.iter().all(|judged| *judged == Judged::Nonsense)
}

fn print(found: &Comparison, arms: &[String; 2]) {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    text::out("");
    text::out(&format!(
        "cases      {} finished by both, {} failed in {}, {} in {}",
        found.cases, found.failed.0, arms[0], found.failed.1, arms[1]
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
            arms[0],
            found.facts.2,
            arms[1],
            d * 100.0,
            low * 100.0,
            high * 100.0
        ));
    }
    let (first, second, tie, nonsense) = found.judged;
    if first + second + tie + nonsense > 0 {
        let (low, high) = found.preference;
        // Without a single choice the interval is all there is, and says nothing.
        let share = match first + second {
            0 => "it shows no preference".to_owned(),
            _ => format!("{} to {} for {}", percent(low), percent(high), arms[1]),
        };
        text::out(&format!(
            "judge      {first} for {}, {second} for {}, {tie} ties, {nonsense} without a choice: {share}",
            arms[0], arms[1],
        ));
    }
    let share = |name: &str, mean: Option<Mean>| {
        if let Some(mean) = mean {
            let (low, high) = (percent(mean.low), percent(mean.high));
            text::out(&format!("{name:<10} {} of {}: {low} to {high}", percent(mean.mean), arms[0]));
        }
    };
    share("tokens", found.tokens);
    share("money", found.money);
    share("time", found.seconds);
    share("length", found.length);
    text::out(&format!("           intervals of 95 % over {} cases", thousands(u64::from(found.cases))));
}
