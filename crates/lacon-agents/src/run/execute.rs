//! The graph of a team, and its execution.

use std::{sync::Arc, time::Duration};

use lacon_graph::{Builder, Context as StepContext, Graph, Output, StepError, step};
use lacon_runtime::{
    agent as runtime,
    run::{ExecuteOptions, Stop, execute as run_graph},
};

use crate::{
    Optimization,
    context::Context,
    fan::fan_out,
    finish::RunError,
    prompt::{Turn, material},
    rounds::rounds,
    stages::{Kind, Stage},
    state::{Said, TeamField, TeamState, TeamUpdate, Text},
    step::{known_calls, passed_over, speak},
    team::Agent,
};

/// The node that makes tool calls at the run's beginning.
const PREFETCH: &str = "prefetch";

/// When a run ends before its work does.
pub(crate) struct Limits {
    pub deadline: Option<Duration>,
    pub stop: Option<Stop>,
}

/// What the graph left, and why it ended early if it did.
pub(crate) struct Executed {
    pub state: Arc<TeamState>,
    pub failure: Option<RunError>,
}

/// Runs the graph of a team.
pub(crate) async fn execute(context: &Arc<Context>, limits: Limits) -> Executed {
    let empty = |error: String| Executed { state: Arc::default(), failure: Some(RunError::Setup(error)) };
    let graph = match graph(context) {
        Ok(graph) => graph,
        Err(faults) => return empty(faults.to_string()),
    };
    let deadline = limits.deadline;
    let options = ExecuteOptions { deadline, stop: limits.stop, ..ExecuteOptions::default() };
    match run_graph(&context.run, &graph, TeamState::default(), options).await {
        Err(error) => empty(format!("the journal is of another team: {error}")),
        Ok(outcome) => Executed { failure: RunError::of(&outcome.status, deadline), state: outcome.state },
    }
}

/// One node a stage, and one for what can be fetched at once.
fn graph(context: &Arc<Context>) -> Result<Graph<TeamState>, lacon_graph::Faults> {
    let mut graph = Builder::new(&[TeamField::said]);
    let stages = &context.stages.list;
    for (i, stage) in stages.iter().enumerate() {
        let name = node(&stage.name);
        let context = Arc::clone(context);
        let work = step(move |step: StepContext<TeamState>| {
            let context = Arc::clone(&context);
            async move {
                let said = perform(&context, &context.stages.list[i], &step.state).await?;
                Ok(Output::update(TeamUpdate { said: Some(said) }))
            }
        });
        graph.node(name.clone(), work).reads(&[TeamField::said]).writes(&[TeamField::said]);
        if stage.level == 0 {
            graph.entry(&name);
        }
    }
    for stage in stages {
        let waits = |i: usize, other: &Stage| match context.has(Optimization::NoBarrier) {
            true => stage.after.contains(&i),
            // As in frameworks whose graphs go step by step: a step begins when the whole step before it is done.
            false => other.level + 1 == stage.level,
        };
        for (_, other) in stages.iter().enumerate().filter(|(i, other)| waits(*i, other)) {
            graph.edge(&node(&other.name), &node(&stage.name));
        }
    }
    // Without the cache nobody would find what was fetched early.
    let early = [Optimization::Prefetch, Optimization::ToolCache].iter().all(|o| context.has(*o));
    if early && !early_calls(context).is_empty() {
        let context = Arc::clone(context);
        let work = step(move |_: StepContext<TeamState>| {
            let context = Arc::clone(&context);
            async move {
                fetch_early(&context).await;
                Ok(Output::update(TeamUpdate::default()))
            }
        });
        graph.node(PREFETCH, work);
        graph.entry(PREFETCH);
    }
    graph.build()
}

/// A stage's node; a stage may have the name of the prefetching node.
fn node(stage: &str) -> String {
    if stage == PREFETCH { format!("{stage}_agent") } else { stage.to_owned() }
}

/// Agents whose tool calls are known at the beginning, and who will run whatever others say.
fn early_calls(context: &Context) -> Vec<&Agent> {
    let approves = |agent: &Agent| {
        let needs = |name: &String| context.team.tool(name).is_some_and(|tool| tool.approve);
        agent.approve || agent.tools.iter().any(needs)
    };
    let early = |agent: &&Agent| {
        let waits = !crate::stages::needs(&context.team, agent).is_empty();
        waits && agent.each.is_empty() && agent.when.is_none() && !approves(agent)
    };
    context.team.agents.iter().filter(|agent| !agent.prefetch.is_empty()).filter(early).collect()
}

/// Fills the tool cache; the agent's own call then finds the answer, or waits for the same call.
async fn fetch_early(context: &Context) {
    let calls = early_calls(context).into_iter().flat_map(|agent| {
        known_calls(context, agent, None).into_iter().map(move |(name, arguments)| (agent, name, arguments))
    });
    let calls = calls.map(|(agent, name, arguments)| async move {
        // A failure is told to the agent that asks again.
        let _ = runtime::fetch(&context.run, &agent.name, &name, arguments, true).await;
    });
    futures_util::future::join_all(calls).await;
}

/// The work of one stage.
async fn perform(context: &Context, stage: &Stage, state: &TeamState) -> Result<Vec<Said>, StepError> {
    if stage.kind != Kind::Single {
        return rounds(context, stage, state).await;
    }
    let Some(agent) = stage.members.first().and_then(|member| context.team.agents.get(*member)) else {
        return Ok(Vec::new());
    };
    let one = |text: Text| Said { agent: agent.name.clone(), round: 1, items: Vec::new(), texts: vec![text] };
    if let Some(reason) = passed_over(context, agent, state) {
        return Ok(vec![one(Text::skipped(reason))]);
    }
    context.approved(agent).await?;
    if !agent.each.is_empty() {
        return Ok(vec![fan_out(context, agent, state).await?]);
    }
    context.run.staggered(&context.stagger, &agent.name).await;
    let material = material(context, agent, state);
    let text = speak(context, agent, &material, Turn { item: None, round: 1 }).await?;
    Ok(vec![one(text)])
}
