//! What all steps of a run share, frozen before the first of them.

use std::{collections::BTreeMap, sync::Arc};

use lacon_graph::StepError;
use lacon_llm::{BoxFuture, ErrorKind};
use lacon_runtime::{Ladder, Run, Stagger};
use tokio::sync::OnceCell;

use crate::{
    Inputs, Optimization, Optimizations, choice,
    own::OwnOptimization,
    plan::Plan,
    scorer::Scorer,
    stages::Stages,
    state::Text,
    team::{Agent, Read, Team},
};

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

/// The call of one group in a run, made by whichever member comes first.
pub(crate) struct Merge {
    pub members: Vec<usize>,
    pub parts: OnceCell<Result<BTreeMap<String, Text>, (ErrorKind, String)>>,
}

impl Merge {
    pub fn new(members: Vec<usize>) -> Self {
        Self { members, parts: OnceCell::new() }
    }
}

/// What all steps of a run share; frozen before the first of them.
pub(crate) struct Context {
    pub team: Arc<Team>,
    pub stages: Stages,
    pub inputs: Inputs,
    pub run: Arc<Run>,
    pub plan: Plan,
    pub optimizations: Optimizations,
    /// What the caller added to them.
    pub own: Vec<Arc<dyn OwnOptimization>>,
    pub nonce: String,
    /// What each agent that chooses may choose.
    pub choices: BTreeMap<String, Vec<String>>,
    pub approval: Approval,
    /// Who waits for a sibling's first token.
    pub stagger: Stagger,
    /// What is given up near the deadline.
    pub ladder: Ladder,
    /// Calls that answer for several agents.
    pub merges: Vec<Merge>,
    /// Who judges the finished run.
    pub scorers: Vec<Arc<dyn Scorer>>,
}

impl Context {
    pub fn has(&self, optimization: Optimization) -> bool {
        self.optimizations.has(optimization)
    }

    pub fn tag(&self, agent: &str) -> String {
        choice::tag(&self.nonce, agent)
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
        self.team.place(&agent.name).is_some_and(|own| self.stages.speaks_with(&self.team, own, read))
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
