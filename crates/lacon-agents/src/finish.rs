//! The end of a run: its record, and the files that keep it.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use lacon_graph::{Status, StepError};
use lacon_llm::ErrorKind;
use lacon_monitor::{
    critical,
    ledger::{self, CallFact},
};
use lacon_runtime::run::peak_rss_mb;

use crate::{
    Optimization, attach,
    check::Faults,
    context::Context,
    plan::AgentPlan,
    record::{AgentRecord, Decided, Outcome, Saved, TeamRecord, billed_to},
    report, scorer,
    state::TeamState,
    team::Agent,
};

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
        "no decision: {agent} states none of {values}, also when asked again, and nobody stands in\nhint: read its text; a model that keeps no instruction may need another one"
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
    /// What an ended graph means for its run; nothing where the graph came to its end.
    pub fn of(status: &Status, deadline: Option<Duration>) -> Option<Self> {
        match status {
            Status::Done => None,
            Status::Cancelled => Some(Self::Interrupted),
            Status::DeadlineExceeded => {
                Some(Self::Deadline(deadline.map_or(0.0, |deadline| deadline.as_secs_f64())))
            }
            Status::Interrupted(questions) => {
                Some(Self::NeedsApproval(questions.iter().map(|(_, question)| question.clone()).collect()))
            }
            Status::Failed { error, .. } => Some(Self::failed(error)),
        }
    }

    /// A failed step with the model error behind it, where there is one.
    fn failed(error: &StepError) -> Self {
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            if let Some(model) = inner.downcast_ref::<lacon_llm::Error>() {
                return Self::Model { message: error.to_string(), kind: model.kind() };
            }
            source = inner.source();
        }
        Self::Agent(error.to_string())
    }

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
        self.state.text_of(agent).ok()
    }

    /// The text of the agent that the team names as its result.
    pub fn result(&self) -> Option<&str> {
        self.record.result.as_ref().map(|result| result.text.as_str())
    }
}

/// What is known of a run before it begins.
pub(crate) struct Head {
    pub record: TeamRecord,
    pub began: tokio::time::Instant,
}

/// The record of a run that was refused before anything was sent.
pub(crate) fn refused(head: Head, error: RunError) -> Finished {
    let record =
        TeamRecord { status: error.status().into(), failure: Some(error.to_string()), ..head.record };
    Finished { record, state: Arc::default(), failure: Some(error), write_error: None }
}

/// Makes the record, and writes it where the run has a folder.
pub(crate) fn finish(
    context: &Context,
    head: Head,
    folder: Option<&Path>,
    state: Arc<TeamState>,
    failure: Option<RunError>,
) -> Finished {
    let result = context.team.result_agent().map(|agent| (agent, state.text_of(&agent.name)));
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
    warnings.extend(context.plan.over.clone());
    let mut record = TeamRecord {
        status: failure.as_ref().map_or("done", RunError::status).into(),
        failure: failure.as_ref().map(RunError::to_string),
        result: result
            .and_then(|(agent, text)| Some(Outcome { agent: agent.name.clone(), text: text.ok()? }))
            .map(|outcome| attach::under(&context.team, &state, outcome)),
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
    record.scores = scorer::scores(&context.scorers, &context.team, &record);
    let write_error = folder.and_then(|folder| write(folder, &record).err());
    Finished { record, state, failure, write_error }
}

fn journal_problem(context: &Context) -> Option<String> {
    let problem = context.run.options.journal.as_ref()?.problem()?;
    Some(format!("the run cannot be gone on with: {problem}"))
}

fn decided(context: &Context, state: &TeamState) -> Option<Decided> {
    let decision = context.team.decision.as_ref()?;
    let stated = |agent: &String| {
        let chosen = state.last(agent)?.texts.first()?.chosen.clone()?;
        Some(Decided { agent: agent.clone(), chosen })
    };
    std::iter::once(&decision.agent).chain(&decision.stand_ins).find_map(stated)
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

/// One row an optimization.
fn saved(context: &Context, facts: &ledger::Facts) -> BTreeMap<String, Saved> {
    let row = |optimization: Optimization| {
        let rows = facts.savings.iter().filter(|saving| saving.optimization == optimization.name());
        let counted = match optimization {
            Optimization::Digests | Optimization::Lossless | Optimization::Merged => true,
            // What shorter answers save is not known; what short forms save is.
            Optimization::PromptPlan => rows.clone().next().is_some(),
            _ => false,
        };
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
            Optimization::Stagger => Some(context.stagger.len() as u64),
            Optimization::PromptPlan => {
                let shorter = |plan: &&AgentPlan| {
                    let usual = context.team.agent(&plan.name).map_or(0, |agent| agent.words);
                    plan.words < usual || !plan.forms.is_empty()
                };
                Some(context.plan.agents.iter().filter(shorter).count() as u64)
            }
            Optimization::PrefixLayout => {
                Some(facts.calls.iter().filter(|fact| fact.call.cached.unwrap_or(0) > 0).count() as u64)
            }
            _ if counted => Some(rows.clone().count() as u64),
            _ => None,
        };
        let saved_tokens = counted.then(|| rows.map(|saving| saving.tokens).sum());
        (optimization.name().to_owned(), Saved { on: context.has(optimization), saved_tokens, times })
    };
    let own = context.own.iter().map(|own| {
        let rows = facts.savings.iter().filter(|saving| saving.optimization == own.name());
        let times = Some(rows.clone().count() as u64);
        let saved_tokens = Some(rows.map(|saving| saving.tokens).sum());
        (own.name().to_owned(), Saved { on: true, saved_tokens, times })
    });
    Optimization::ALL.into_iter().map(row).chain(own).collect()
}

/// Writes the result and the complete report, then `run.json` whole.
fn write(folder: &Path, record: &TeamRecord) -> Result<(), String> {
    let text = serde_json::to_string_pretty(record).map_err(|error| error.to_string())?;
    if let Some(result) = &record.result {
        write_whole(&folder.join("result.md"), &result.text)?;
    }
    write_whole(&folder.join("complete.md"), &report::markdown(record))?;
    write_whole(&folder.join("run.json"), &text)
}

fn write_whole(path: &Path, text: &str) -> Result<(), String> {
    lacon_files::write(path, text.as_bytes(), [], lacon_files::Flush::Later)
        .map_err(|refusal| refusal.to_string())
}
