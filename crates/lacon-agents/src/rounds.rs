//! Groups and loops: the same agents speak several times and hear each other.

use futures_util::future::try_join_all;
use lacon_graph::StepError;

use crate::{
    context::Context,
    prompt::{Turn, join, material},
    stages::{Stage, Stages},
    state::{Said, TeamState, Text},
    step::speak,
    team::{Agent, Rounds, Speaking},
};

/// Has the members of a stage speak in rounds until they end it or the rounds are spent.
///
/// # Errors
/// As [`speak`].
pub(crate) async fn rounds(
    context: &Context,
    stage: &Stage,
    state: &TeamState,
) -> Result<Vec<Said>, StepError> {
    let Some(rounds) = Stages::rounds(&context.team, stage) else { return Ok(Vec::new()) };
    let members: Vec<&Agent> = stage.members.iter().map(|member| &context.team.agents[*member]).collect();
    let mut said: Vec<Said> = Vec::new();
    for round in 1..=rounds.most() {
        match rounds.at {
            Speaking::Once => {
                for wave in Stages::waves(&context.team, stage) {
                    let (heard, agents) = (&said, &context.team.agents);
                    let all = wave.into_iter().map(|i| one(context, &agents[i], state, heard, round));
                    let all = try_join_all(all).await?;
                    said.extend(all);
                }
            }
            Speaking::Turns => {
                for agent in &members {
                    let spoken = one(context, agent, state, &said, round).await?;
                    said.push(spoken);
                    if ends(rounds, &said, members.len()) {
                        return Ok(said);
                    }
                }
            }
        }
        if ends(rounds, &said, members.len()) {
            break;
        }
    }
    Ok(said)
}

async fn one(
    context: &Context,
    agent: &Agent,
    state: &TeamState,
    heard: &[Said],
    round: u32,
) -> Result<Said, StepError> {
    context.approved(agent).await?;
    if round == 1 {
        context.run.staggered(&context.stagger, &agent.name).await;
    }
    let mut material = material(context, agent, state);
    material.own = join(&[&material.own, &last_words(context, agent, heard)]);
    let text = speak(context, agent, &material, Turn { item: None, round }).await?;
    Ok(Said { agent: agent.name.clone(), round, items: Vec::new(), texts: vec![text] })
}

/// What every other member said last, and what one said oneself.
fn last_words(context: &Context, agent: &Agent, heard: &[Said]) -> String {
    let mut names: Vec<&str> = Vec::new();
    heard.iter().for_each(|said| {
        if !names.contains(&said.agent.as_str()) {
            names.push(&said.agent);
        }
    });
    let blocks = names.iter().filter_map(|name| {
        let said = heard.iter().rev().find(|said| said.agent == *name)?;
        let text = said.texts.first().filter(|text| text.is_there())?;
        let title = || context.team.agent(name).map_or(*name, Agent::title);
        let whose = if *name == agent.name { "what you wrote yourself" } else { title() };
        Some(format!("## {whose}, round {}\n{}", said.round, text.text.trim()))
    });
    blocks.collect::<Vec<_>>().join("\n\n")
}

/// Whether the last word of who may end it ends it; not before everybody has spoken.
fn ends(rounds: &Rounds, said: &[Said], members: usize) -> bool {
    let Some(until) = &rounds.until else { return false };
    let chosen = |text: &Text| text.chosen.as_ref().map(|chosen| chosen.value.clone());
    let last = said.iter().rev().find(|said| said.agent == until.agent);
    let value = last.and_then(|said| chosen(said.texts.first()?));
    said.len() >= members
        && value.is_some_and(|value| until.says.iter().any(|says| says.eq_ignore_ascii_case(&value)))
}
