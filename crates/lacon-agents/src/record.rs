//! The record of a run, as it is written to `run.json`: who said what, what it took, and what each optimization saved.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use lacon_monitor::{
    critical,
    ledger::{self, CallFact},
    record::{Call, Degraded, LlmInfo, PathNode, Tokens, ToolCall},
};
use lacon_runtime::run::peak_rss_mb;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Finished, Optimization, RunError, Settings,
    choice::Chosen,
    plan::Expected,
    run::{Context, execute::Executed},
    state::{Said, TeamState},
    team::{Agent, Team},
};

/// Version of the record's shape; 1 is the shape of the trading application.
pub const SCHEMA_VERSION: u32 = 2;

/// What a run of a team leaves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TeamRecord {
    /// Version of this shape.
    pub schema_version: u32,
    /// The team's name.
    pub team: String,
    /// The run's name.
    pub run_id: String,
    /// When it began, as the caller said.
    pub started_at: String,
    /// How it ended: `done`, `interrupted`, `deadline`, `needs_approval` or `failed`.
    pub status: String,
    /// Why it did not come to its end.
    pub failure: Option<String>,
    /// Who answered; `quick_model` and `deep_model` are those classes of the team.
    pub llm: LlmInfo,
    /// What it was given.
    pub inputs: Value,
    /// The text that the team names as its result.
    pub result: Option<Outcome>,
    /// What was decided, in teams that decide.
    pub decision: Option<Decided>,
    /// Every agent with its texts, in the order of the team.
    pub agents: Vec<AgentRecord>,
    /// Wall time in seconds.
    pub wall_s: f64,
    /// Tokens of all calls and attempts.
    pub tokens: Tokens,
    /// Cost in US dollars as a decimal string; absent where a model has no known price.
    pub cost_usd: Option<String>,
    /// What was expected before the first call.
    pub expected: Expected,
    /// What was given up near the deadline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
    /// Every optimization: whether it was on, and what it kept out of prompts.
    pub optimizations: BTreeMap<String, Saved>,
    /// Every model call.
    pub calls: Vec<Call>,
    /// Every tool call.
    pub tools: Vec<ToolCall>,
    /// The chain of stages that decided the wall time.
    pub critical_path: Vec<PathNode>,
    /// What a user should know.
    pub warnings: Vec<String>,
    /// Highest resident memory of the process in MB, where the system tells.
    pub peak_rss_mb: Option<f64>,
}

/// A result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Who wrote it.
    pub agent: String,
    /// The text.
    pub text: String,
}

/// A decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// Who decided.
    pub agent: String,
    /// What, and how it was read.
    #[serde(flatten)]
    pub chosen: Chosen,
}

/// One agent's part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Its name.
    pub name: String,
    /// The model that it was asked with.
    pub model: String,
    /// Model calls.
    pub calls: u64,
    /// Tokens of these calls.
    pub tokens: u64,
    /// Seconds of its calls, one after another.
    pub seconds: f64,
    /// What it said, in the order of its rounds.
    pub said: Vec<Said>,
}

/// What an optimization did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Whether it was on.
    pub on: bool,
    /// Tokens that it kept out of prompts, where that can be counted.
    pub saved_tokens: Option<i64>,
    /// How often it acted, where that can be counted.
    pub times: Option<u64>,
}

/// What is known of a run before it begins.
pub(crate) struct Head {
    record: TeamRecord,
    began: tokio::time::Instant,
}

impl Head {
    pub fn of(settings: &Settings) -> Self {
        let describe = settings.client.describe();
        let class = |class: &str| settings.team.models.get(class).cloned().unwrap_or_default();
        let record = TeamRecord {
            schema_version: SCHEMA_VERSION,
            team: settings.team.name.clone(),
            run_id: settings.run_id.clone(),
            started_at: settings.started_at.clone(),
            inputs: settings.inputs.to_json(),
            llm: LlmInfo {
                provider: describe.provider,
                base_url: describe.base_url,
                quick_model: class("quick"),
                deep_model: class("deep"),
                simulated: describe.simulated,
            },
            ..TeamRecord::default()
        };
        Self { record, began: tokio::time::Instant::now() }
    }
}

/// The agent whose text is the result: the one that the team names, else the last.
pub fn result_agent(team: &Team) -> Option<&Agent> {
    if team.result.is_empty() { team.agents.last() } else { team.agent(&team.result) }
}

/// The last text of an agent, or why there is none.
pub(crate) fn text_of(state: &TeamState, agent: &str) -> Result<String, String> {
    let Some(said) = state.last(agent) else { return Err("it was never asked".into()) };
    let there: Vec<&str> =
        said.texts.iter().filter(|text| text.is_there()).map(|text| text.text.trim()).collect();
    if there.is_empty() {
        return Err(said.texts.iter().find_map(|text| text.failure.clone()).unwrap_or_default());
    }
    Ok(there.join("\n\n"))
}

/// The record of a run that was refused before anything was sent.
pub(crate) fn refused(head: Head, error: RunError) -> Finished {
    let record =
        TeamRecord { status: error.status().into(), failure: Some(error.to_string()), ..head.record };
    Finished { record, state: Arc::default(), failure: Some(error), write_error: None }
}

/// Makes the record, and writes it where the run has a folder.
pub(crate) fn finish(context: &Context, head: Head, folder: Option<&Path>, executed: Executed) -> Finished {
    let Executed { state, failure } = executed;
    let result = result_agent(&context.team).map(|agent| (agent, text_of(&state, &agent.name)));
    let decision = decided(context, &state);
    let failure = failure.or_else(|| no_decision(context, &decision)).or_else(|| match &result {
        Some((agent, Err(reason))) => {
            Some(RunError::NoResult { agent: agent.name.clone(), reason: reason.clone() })
        }
        _ => None,
    });
    let facts = context.run.ledger.facts();
    let mut warnings = facts.warnings.clone();
    warnings.extend(journal_problem(context));
    let record = TeamRecord {
        status: failure.as_ref().map_or("done", RunError::status).into(),
        failure: failure.as_ref().map(RunError::to_string),
        result: result
            .and_then(|(agent, text)| Some(Outcome { agent: agent.name.clone(), text: text.ok()? }))
            .map(|outcome| crate::attach::under(&context.team, &state, outcome)),
        decision,
        agents: agents(context, &state, &facts.calls),
        wall_s: head.began.elapsed().as_secs_f64(),
        tokens: ledger::total(&facts.calls),
        cost_usd: ledger::cost_usd(&facts.calls),
        expected: context.plan.expected.clone(),
        degraded: context.ladder.given_up(),
        optimizations: saved(context, &facts),
        critical_path: critical::path(&facts.nodes),
        calls: facts.calls.into_iter().map(|fact| fact.call).collect(),
        tools: facts.tools.into_iter().map(|fact| fact.tool).collect(),
        warnings,
        peak_rss_mb: peak_rss_mb(),
        ..head.record
    };
    let write_error = folder.and_then(|folder| write(folder, &record).err());
    Finished { record, state, failure, write_error }
}

fn journal_problem(context: &Context) -> Option<String> {
    let problem = context.run.options.journal.as_ref()?.problem()?;
    Some(format!("the run cannot be gone on with: {problem}"))
}

fn decided(context: &Context, state: &TeamState) -> Option<Decided> {
    let decision = context.team.decision.as_ref()?;
    let chosen = state.last(&decision.agent)?.texts.first()?.chosen.clone()?;
    Some(Decided { agent: decision.agent.clone(), chosen })
}

fn no_decision(context: &Context, decided: &Option<Decided>) -> Option<RunError> {
    let decision = context.team.decision.as_ref().filter(|_| decided.is_none())?;
    Some(RunError::NoDecision { agent: decision.agent.clone(), values: decision.values.join(", ") })
}

fn agents(context: &Context, state: &TeamState, calls: &[CallFact]) -> Vec<AgentRecord> {
    let of = |agent: &Agent| {
        let calls = calls.iter().filter(|fact| billed_to(&fact.call.role) == agent.name);
        let mut record = AgentRecord {
            name: agent.name.clone(),
            model: if agent.by.is_empty() { context.model(agent).to_owned() } else { String::new() },
            said: state.of(&agent.name).cloned().collect(),
            ..AgentRecord::default()
        };
        for fact in calls {
            record.calls += 1;
            record.tokens += fact.tokens.total;
            record.seconds += fact.call.end_s - fact.call.start_s;
        }
        record
    };
    context.team.agents.iter().map(of).collect()
}

/// Whose row of the ledger has a call: of one that answers for several the first.
pub(crate) fn billed_to(role: &str) -> &str {
    role.split(crate::merged::AND).next().unwrap_or(role)
}

/// One row an optimization.
fn saved(context: &Context, facts: &ledger::Facts) -> BTreeMap<String, Saved> {
    let row = |optimization: Optimization| {
        let rows = facts.savings.iter().filter(|saving| saving.lever == optimization.name());
        let counted =
            matches!(optimization, Optimization::Digests | Optimization::Lossless | Optimization::Merged);
        let tools = |cache: &str| facts.tools.iter().filter(|fact| fact.tool.cache == cache).count() as u64;
        let stopped = || {
            let closed = |fact: &&CallFact| fact.call.finish_reason.as_deref() == Some("word_limit");
            facts.calls.iter().filter(closed).count() as u64
        };
        let times = match optimization {
            Optimization::Prefetch => Some(tools("prefetch")),
            Optimization::ToolCache => Some(tools("hit")),
            Optimization::DeadlineLadder => Some(context.ladder.given_up().len() as u64),
            Optimization::WordLimits => Some(stopped()),
            Optimization::PrefixLayout => {
                Some(facts.calls.iter().filter(|fact| fact.call.cached.unwrap_or(0) > 0).count() as u64)
            }
            _ if counted => Some(rows.clone().count() as u64),
            _ => None,
        };
        let saved_tokens = counted.then(|| rows.map(|saving| saving.tokens).sum());
        (optimization.name().to_owned(), Saved { on: context.has(optimization), saved_tokens, times })
    };
    Optimization::ALL.into_iter().map(row).collect()
}

/// Writes the result and the complete report, then `run.json` whole.
fn write(folder: &Path, record: &TeamRecord) -> Result<(), String> {
    let text = serde_json::to_string_pretty(record).map_err(|error| error.to_string())?;
    if let Some(result) = &record.result {
        write_whole(&folder.join("result.md"), &result.text)?;
    }
    write_whole(&folder.join("complete.md"), &crate::report::markdown(record))?;
    write_whole(&folder.join("run.json"), &text)
}

fn write_whole(path: &Path, text: &str) -> Result<(), String> {
    lacon_files::write(path, text.as_bytes(), [], lacon_files::Flush::Later)
        .map_err(|refusal| refusal.to_string())
}
