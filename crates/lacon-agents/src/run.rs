//! A run of a team: check, plan, execute, finish.

mod execute;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lacon_llm::Client;
use lacon_monitor::record::LlmInfo;
pub use lacon_runtime::JOURNAL;
use lacon_runtime::{
    Counter, DurationsFile, Keep, Ladder, Restored, Run, RunJournal, RunOptions, Stagger, ToolCache,
    run::{OnProgress, Stop},
};
use serde_json::{Value, json};

use crate::{
    Inputs, Optimization, Optimizations, TeamRecord, Tools,
    check::{self, Faults},
    context::{Context, Merge},
    finish::{self, Head},
    own::{self, OwnOptimization},
    plan,
    record::SCHEMA_VERSION,
    scorer::{self, Scorer},
    stages::{self, Stages},
    team::Team,
};
pub use crate::{
    context::Approval,
    finish::{Finished, RunError},
};

/// Bytes of tool answers that a run keeps for equal calls.
const TOOL_CACHE_BYTES: usize = 64 << 20;

/// Everything that a run needs.
pub struct Settings {
    /// The team; checked when the run begins.
    pub team: Arc<Team>,
    /// What it is given.
    pub inputs: Inputs,
    /// The model client with its layers.
    pub client: Arc<dyn Client>,
    /// Who answers its tools.
    pub tools: Tools,
    /// Which optimizations are on.
    pub optimizations: Optimizations,
    /// Optimizations of the caller's own; all of them are on.
    pub own_optimizations: Vec<Arc<dyn OwnOptimization>>,
    /// The run's name; letters, digits, `.`, `_`, `-`.
    pub run_id: String,
    /// When the run began, as it is to stand in the record.
    pub started_at: String,
    /// The run's folder; nothing is written without one.
    pub folder: Option<PathBuf>,
    /// Whether a run of this folder is gone on with.
    pub resume: bool,
    /// Where the journal's lines go beside the folder.
    pub keep: Option<Arc<dyn Keep>>,
    /// Tokens that the run may use; 0 for no limit.
    pub budget_tokens: u64,
    /// Millionths of a US dollar that the run may use; 0 for no limit.
    pub budget_micro_usd: u64,
    /// Longest time of the run.
    pub deadline: Option<Duration>,
    /// Wall time as a share of real time: below 1 where a simulated model answers faster than recorded ones did.
    pub speed: f64,
    /// Stops the run when it resolves; what is finished is kept.
    pub stop: Option<Stop>,
    /// Shows progress; must return quickly.
    pub on_progress: OnProgress,
    /// How a person is asked.
    pub approval: Approval,
    /// What the tags of choices are drawn from; random for models that read texts of strangers.
    pub nonce: String,
    /// The file in which durations of agents are kept from run to run. Nobody waits for a sibling without it.
    pub history: Option<PathBuf>,
    /// What the run is of, by name: stands in the record, and in a header of each request where the client sends tags.
    pub labels: BTreeMap<String, String>,
    /// Who judges the finished run.
    pub scorers: Vec<Arc<dyn Scorer>>,
}

impl Settings {
    /// A run of a team by a client, with everything else at its default: no inputs, no tools, no folder, no limits.
    pub fn new(team: Team, client: Arc<dyn Client>) -> Self {
        Self {
            team: Arc::new(team),
            inputs: Inputs::default(),
            client,
            tools: Tools::new(),
            optimizations: Optimizations::all(),
            own_optimizations: Vec::new(),
            run_id: "run".into(),
            started_at: String::new(),
            folder: None,
            resume: false,
            keep: None,
            budget_tokens: 0,
            budget_micro_usd: 0,
            deadline: None,
            speed: 1.0,
            stop: None,
            on_progress: Arc::new(|_| {}),
            approval: Approval::Stop,
            nonce: "1".into(),
            history: None,
            labels: BTreeMap::new(),
            scorers: scorer::usual(),
        }
    }
}

/// Runs a team: checks it, plans it, executes the plan, and makes the record.
///
/// A run always gives a record, also when it fails. Dropping the future stops every call and leaves the journal of what
/// was finished; a caller who wants the record of what there is resolves [`Settings::stop`] instead.
pub async fn run(mut settings: Settings) -> Finished {
    let head = head(&settings);
    let limits = execute::Limits { deadline: settings.deadline, stop: settings.stop.take() };
    let folder = settings.folder.clone();
    let durations = history(&settings);
    match prepare(settings, durations.as_ref()) {
        Err(error) => finish::refused(head, error),
        Ok(context) => {
            let context = Arc::new(context);
            let executed = execute::execute(&context, limits).await;
            if let (Some(durations), None) = (durations, &executed.failure) {
                durations.write(&context.run.ledger.facts());
            }
            finish::finish(&context, head, folder.as_deref(), executed.state, executed.failure)
        }
    }
}

/// What a run's folder says of how the run was begun; nothing where there is no run.
///
/// # Errors
/// When the journal is damaged before its last line.
pub fn about(folder: &Path) -> Result<Option<Value>, String> {
    let path = folder.join(JOURNAL);
    if !path.exists() {
        return Ok(None);
    }
    RunJournal::about(&path).map_err(|error| error.to_string())
}

/// What is known of a run before it begins.
fn head(settings: &Settings) -> Head {
    let describe = settings.client.describe();
    let class = |class: &str| settings.team.models.get(class).cloned().unwrap_or_default();
    let record = TeamRecord {
        schema_version: SCHEMA_VERSION,
        team: settings.team.name.clone(),
        run_id: settings.run_id.clone(),
        started_at: settings.started_at.clone(),
        inputs: settings.inputs.to_json(),
        labels: settings.labels.clone(),
        llm: LlmInfo {
            provider: describe.provider,
            base_url: describe.base_url,
            quick_model: class("quick"),
            deep_model: class("deep"),
            simulated: describe.simulated,
        },
        ..TeamRecord::default()
    };
    Head { record, began: tokio::time::Instant::now() }
}

/// Checks and plans; nothing is sent.
fn prepare(settings: Settings, durations: Option<&DurationsFile>) -> Result<Context, RunError> {
    let team = settings.team;
    let faults = check::check(&team);
    if !faults.is_empty() {
        return Err(RunError::Faults(Faults(faults)));
    }
    if let Some(problem) = own::refused(&settings.own_optimizations) {
        return Err(RunError::Setup(problem));
    }
    let missing = team.inputs.keys().find(|name| settings.inputs.text(name).is_none());
    if let Some(name) = missing {
        return Err(RunError::Setup(format!("input {name:?} is missing\nhint: make inputs by Inputs::new")));
    }
    let stages = stages::stages(&team).map_err(|cycle| RunError::Setup(cycle.join(" -> ")))?;
    let tools = settings.tools.connect(&team, &settings.run_id).map_err(RunError::Setup)?.bounded(&team);
    let about = json!({
        "kind": "team", "team": team.name, "digest": digest(&team), "nonce": settings.nonce,
        "inputs": settings.inputs.to_json(),
    });
    let (journal, restored) = journal(settings.folder.as_deref(), settings.resume, settings.keep, &about)?;
    // Prompts of one run are counted by one vocabulary: that of the agent whose text is the result.
    let model = team.result_agent().map_or(crate::team::DEFAULT_MODEL, |agent| team.model(agent));
    let counter = Counter::loaded(model);
    let limits = plan::Limits {
        tokens: (settings.budget_tokens > 0).then_some(settings.budget_tokens),
        micro_usd: (settings.budget_micro_usd > 0).then_some(settings.budget_micro_usd),
        time: settings
            .deadline
            .filter(|_| settings.speed > 0.0)
            .and_then(|deadline| Duration::try_from_secs_f64(deadline.as_secs_f64() / settings.speed).ok()),
    };
    let encoding = counter.get().encoding;
    let plan = plan::within(&team, &stages, &settings.inputs, &settings.optimizations, encoding, limits);
    let stagger = stagger(&team, &stages, &settings.optimizations, settings.speed, durations);
    let cached = settings.optimizations.has(Optimization::ToolCache);
    let longest = team.tools.iter().map(|tool| tool.limit_s()).fold(30.0, f64::max);
    let run = Run::new(RunOptions {
        cache: Arc::new(ToolCache::new(if cached { TOOL_CACHE_BYTES } else { 0 })),
        tool_timeout: Duration::from_secs_f64(longest + 1.0),
        budget_tokens: settings.budget_tokens,
        budget_micro_usd: settings.budget_micro_usd,
        on_progress: settings.on_progress,
        journal,
        restored,
        labels: settings.labels,
        ..RunOptions::new(settings.run_id, settings.client, tools, counter)
    });
    let choices = team.agents.iter().map(|agent| (agent.name.clone(), team.choices(&agent.name)));
    let merges = stages.groups(&team).into_iter().map(Merge::new).collect();
    let near = settings.deadline.filter(|_| settings.optimizations.has(Optimization::DeadlineLadder));
    let way = plan.agents.iter().map(|agent| {
        let seconds = agent.to_end * settings.speed;
        (agent.name.clone(), Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    });
    let ladder = Ladder::new(near, way.collect(), Vec::new());
    Ok(Context {
        merges,
        stagger,
        scorers: settings.scorers,
        ladder,
        choices: choices.filter(|(_, choices)| !choices.is_empty()).collect(),
        team,
        stages,
        inputs: settings.inputs,
        run: Arc::new(run),
        plan,
        optimizations: settings.optimizations,
        own: settings.own_optimizations,
        nonce: settings.nonce,
        approval: settings.approval,
    })
}

/// What earlier runs of the same team took at the same speed.
fn history(settings: &Settings) -> Option<DurationsFile> {
    let merged = if settings.optimizations.has(Optimization::Merged) { "+merged" } else { "" };
    let kind = format!("team {}{merged}/{}", digest(&settings.team), settings.speed);
    Some(DurationsFile::read(settings.history.clone()?, kind))
}

/// Who waits for a sibling's first token; nobody without a common prefix, or where one call answers for both.
fn stagger(
    team: &Team,
    stages: &Stages,
    optimizations: &Optimizations,
    speed: f64,
    durations: Option<&DurationsFile>,
) -> Stagger {
    let on = |optimization| optimizations.has(optimization);
    let Some(durations) = durations.filter(|_| on(Optimization::Stagger) && on(Optimization::PrefixLayout))
    else {
        return Stagger::default();
    };
    let merged = if on(Optimization::Merged) { stages.groups(team) } else { Vec::new() };
    let alone = |agent: &usize| !merged.iter().any(|group| group.contains(agent));
    let names = |group: Vec<usize>| {
        let members = group.into_iter().filter(alone);
        members.map(|agent| team.agents[agent].name.as_str()).collect::<Vec<_>>()
    };
    let groups = stages.siblings(team).into_iter().map(names);
    Stagger::new(groups, &durations.durations, plan::first_token().mul_f64(speed))
}

/// What names a team in a journal: everything that decides what is asked.
///
/// Where a tool's server listens decides nothing: a run that is gone on with may have it elsewhere.
pub fn digest(team: &Team) -> String {
    let mut asked = team.clone();
    asked.tools.iter_mut().for_each(|tool| tool.http.clear());
    let text = serde_json::to_string(&asked).unwrap_or_default();
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

fn journal(
    folder: Option<&Path>,
    resume: bool,
    keep: Option<Arc<dyn Keep>>,
    about: &Value,
) -> Result<(Option<RunJournal>, Restored), RunError> {
    let Some(folder) = folder else { return Ok((None, Restored::default())) };
    let path = folder.join(JOURNAL);
    if !resume {
        return Ok((Some(RunJournal::begin(path, about).beside(keep)), Restored::default()));
    }
    let (journal, restored) =
        RunJournal::open(&path, about).map_err(|error| RunError::Setup(error.to_string()))?;
    let begun = restored.about.as_ref().map_or(&about["digest"], |begun| &begun["digest"]);
    if *begun != about["digest"] {
        return Err(RunError::Setup(format!(
            "the run was begun with another team: digest {begun}, not {}\nhint: begin a new run, or restore the file",
            about["digest"]
        )));
    }
    Ok((Some(journal.beside(keep)), restored))
}
