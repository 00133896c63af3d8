//! A run of a team: check, plan, execute, finish.

pub(crate) mod execute;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lacon_graph::{Status, StepError};
use lacon_llm::{BoxFuture, Client, ErrorKind};
use lacon_runtime::{
    Counter, Restored, Run, RunJournal, RunOptions, ToolCache,
    run::{OnProgress, Stop},
};
use serde_json::{Value, json};

use crate::{
    Inputs, Optimization, Optimizations, TeamRecord, Tools,
    check::{self, Faults},
    plan::{self, Plan},
    record,
    stages::{self, Kind, Stages},
    state::TeamState,
    team::{Agent, Read, Team},
};

/// The journal's file in a run's folder.
pub const JOURNAL: &str = "journal.jsonl";
/// Bytes of tool answers that a run keeps for equal calls.
const TOOL_CACHE_BYTES: usize = 64 << 20;

/// How a person is asked before an agent runs that needs leave.
#[derive(Clone, Default)]
pub enum Approval {
    /// Nobody can be asked: the run stops before the agent and can be gone on with.
    #[default]
    Stop,
    /// These agents may run; before others the run stops.
    Named(Vec<String>),
    /// Asks, and waits for the answer; true lets the agent run, false ends the run.
    Ask(Arc<dyn Fn(String) -> BoxFuture<'static, bool> + Send + Sync>),
}

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
    /// The run's name; letters, digits, `.`, `_`, `-`.
    pub run_id: String,
    /// When the run began, as it is to stand in the record.
    pub started_at: String,
    /// The run's folder; nothing is written without one.
    pub folder: Option<PathBuf>,
    /// Whether a run of this folder is gone on with.
    pub resume: bool,
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
            run_id: "run".into(),
            started_at: String::new(),
            folder: None,
            resume: false,
            budget_tokens: 0,
            budget_micro_usd: 0,
            deadline: None,
            speed: 1.0,
            stop: None,
            on_progress: Arc::new(|_| {}),
            approval: Approval::Stop,
            nonce: "1".into(),
        }
    }
}

/// Why a run gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The team has faults; nothing was sent.
    #[error("{0}")]
    Faults(Faults),
    /// A tool or a journal cannot be used; nothing was sent.
    #[error("{0}")]
    Setup(String),
    /// A model call failed in a way that stops the run.
    #[error("{message}")]
    Model {
        /// What failed, with its hint.
        message: String,
        /// The kind of failure.
        kind: ErrorKind,
    },
    /// An agent failed.
    #[error("{0}")]
    Agent(String),
    /// A person has to agree before the run can go on.
    #[error("{}\nhint: go on with --resume and --approve NAME", .0.join("; "))]
    NeedsApproval(Vec<String>),
    /// The agent that decides stated none of the values, also when asked again.
    #[error(
        "no decision: {agent} states none of {values}\nhint: read its text; a model that keeps no instruction may need another one"
    )]
    NoDecision {
        /// Who should have decided.
        agent: String,
        /// What could be decided.
        values: String,
    },
    /// The agent whose text is the result wrote none.
    #[error(
        "no result: {agent} wrote no text: {reason}\nhint: read what it waits for; a condition may have passed it over"
    )]
    NoResult {
        /// The agent.
        agent: String,
        /// Why.
        reason: String,
    },
    /// The run was stopped.
    #[error("interrupted: finished work was saved")]
    Interrupted,
    /// The run took longer than it may.
    #[error(
        "the run took longer than its deadline of {0:.1} s: finished work was saved\nhint: raise the deadline, or go on with --resume"
    )]
    Deadline(f64),
}

impl RunError {
    /// The status in the record.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Deadline(_) => "deadline",
            Self::NeedsApproval(_) => "needs_approval",
            _ => "failed",
        }
    }
}

/// What a run leaves.
#[derive(Debug)]
pub struct Finished {
    /// Texts, tokens, cost and times; also of a run that gave no result.
    pub record: TeamRecord,
    /// What every agent said.
    pub state: Arc<TeamState>,
    /// Why there is no result.
    pub failure: Option<RunError>,
    /// The first file that could not be written.
    pub write_error: Option<String>,
}

impl Finished {
    /// The last text of an agent; of a fan-out all of them, with an empty line between. `None` when it wrote none.
    pub fn text(&self, agent: &str) -> Option<String> {
        record::text_of(&self.state, agent).ok()
    }

    /// The text of the agent that the team names as its result.
    pub fn result(&self) -> Option<&str> {
        self.record.result.as_ref().map(|result| result.text.as_str())
    }
}

/// What all steps of a run share; frozen before the first of them.
pub(crate) struct Context {
    pub team: Arc<Team>,
    pub stages: Stages,
    pub inputs: Inputs,
    pub run: Arc<Run>,
    pub plan: Plan,
    optimizations: Optimizations,
    nonce: String,
    /// What each agent that chooses may choose.
    choices: BTreeMap<String, Vec<String>>,
    approval: Approval,
    /// What is given up near the deadline.
    pub ladder: crate::ladder::Ladder,
    /// Calls that answer for several agents.
    pub merges: Vec<crate::merged::Merge>,
}

impl Context {
    pub fn has(&self, optimization: Optimization) -> bool {
        self.optimizations.has(optimization)
    }

    pub fn tag(&self, agent: &str) -> String {
        crate::choice::tag(&self.nonce, agent)
    }

    pub fn model<'c>(&'c self, agent: &'c Agent) -> &'c str {
        let quick = self.team.models.get("quick").filter(|_| self.ladder.is_quick(&agent.name));
        quick.map_or_else(|| self.team.model(agent), String::as_str)
    }

    pub fn choices(&self, agent: &str) -> Option<&[String]> {
        self.choices.get(agent).map(Vec::as_slice)
    }

    /// Whether an agent and whom it reads speak in the same rounds.
    pub fn speaks_with(&self, agent: &Agent, read: Read<'_>) -> bool {
        let at = |name: &str| self.team.agents.iter().position(|other| other.name == name);
        let Some((own, other)) = at(&agent.name).zip(read.agent().and_then(at)) else { return false };
        let stage = self.stages.of(own);
        stage.kind != Kind::Single && stage.members.contains(&other)
    }

    /// Waits for the leave that an agent, or one of its tools, needs.
    pub async fn approved(&self, agent: &Agent) -> Result<(), StepError> {
        let needs = |name: &String| self.team.tool(name).is_some_and(|tool| tool.approve);
        let tool = agent.tools.iter().find(|name| needs(name));
        let question = match (agent.approve, tool) {
            (true, _) => format!("may agent {:?} run?", agent.name),
            (false, Some(tool)) => format!("may agent {:?} call tool {tool:?}?", agent.name),
            (false, None) => return Ok(()),
        };
        match &self.approval {
            Approval::Named(names) if names.contains(&agent.name) => Ok(()),
            Approval::Stop | Approval::Named(_) => Err(StepError::interrupt(question)),
            Approval::Ask(ask) if ask(question).await => Ok(()),
            Approval::Ask(_) => Err(StepError::new(format!("{}: a person did not agree", agent.name))),
        }
    }
}

/// Runs a team: checks it, plans it, executes the plan, and makes the record.
///
/// A run always gives a record, also when it fails. Dropping the future stops every call and leaves the journal of what
/// was finished; a caller who wants the record of what there is resolves [`Settings::stop`] instead.
pub async fn run(mut settings: Settings) -> Finished {
    let head = record::Head::of(&settings);
    let limits = execute::Limits { deadline: settings.deadline, stop: settings.stop.take() };
    let folder = settings.folder.clone();
    match prepare(settings) {
        Err(error) => record::refused(head, error),
        Ok(context) => {
            let context = Arc::new(context);
            let executed = execute::execute(&context, limits).await;
            record::finish(&context, head, folder.as_deref(), executed)
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

/// Checks and plans; nothing is sent.
fn prepare(settings: Settings) -> Result<Context, RunError> {
    let team = settings.team;
    let faults = check::check(&team);
    if !faults.is_empty() {
        return Err(RunError::Faults(Faults(faults)));
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
    let (journal, restored) = journal(settings.folder.as_deref(), settings.resume, &about)?;
    // Prompts of one run are counted by one vocabulary: that of the agent whose text is the result.
    let model = record::result_agent(&team).map_or(crate::team::DEFAULT_MODEL, |agent| team.model(agent));
    let counter = Counter::loaded(model);
    let plan = plan::plan(&team, &stages, &settings.inputs, &settings.optimizations, counter.get().encoding);
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
        ..RunOptions::new(settings.run_id, settings.client, tools, counter)
    });
    let choices = team.agents.iter().map(|agent| (agent.name.clone(), team.choices(&agent.name)));
    let merges = crate::merged::merges(&team, &stages);
    let near = settings.deadline.filter(|_| settings.optimizations.has(Optimization::DeadlineLadder));
    let ladder = crate::ladder::Ladder::new(near, &plan, settings.speed);
    Ok(Context {
        merges,
        ladder,
        choices: choices.filter(|(_, choices)| !choices.is_empty()).collect(),
        team,
        stages,
        inputs: settings.inputs,
        run: Arc::new(run),
        plan,
        optimizations: settings.optimizations,
        nonce: settings.nonce,
        approval: settings.approval,
    })
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
    about: &Value,
) -> Result<(Option<RunJournal>, Restored), RunError> {
    let Some(folder) = folder else { return Ok((None, Restored::default())) };
    let path = folder.join(JOURNAL);
    if !resume {
        return Ok((Some(RunJournal::begin(path, about)), Restored::default()));
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
    Ok((Some(journal), restored))
}

/// What an ended graph means for the run.
fn failure(status: &Status, deadline: Option<Duration>) -> Option<RunError> {
    match status {
        Status::Done => None,
        Status::Cancelled => Some(RunError::Interrupted),
        Status::DeadlineExceeded => {
            Some(RunError::Deadline(deadline.map_or(0.0, |deadline| deadline.as_secs_f64())))
        }
        Status::Interrupted(questions) => {
            Some(RunError::NeedsApproval(questions.iter().map(|(_, question)| question.clone()).collect()))
        }
        Status::Failed { error, .. } => Some(failed(error)),
    }
}

fn failed(error: &StepError) -> RunError {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(model) = inner.downcast_ref::<lacon_llm::Error>() {
            return RunError::Model { message: error.to_string(), kind: model.kind() };
        }
        source = inner.source();
    }
    RunError::Agent(error.to_string())
}
