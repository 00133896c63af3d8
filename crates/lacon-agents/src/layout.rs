//! The order of what agents read: prompts that hold the same texts begin with them, in one order.

use std::cmp::Reverse;

use crate::{
    stages::Stages,
    team::{Agent, Read, Team},
};

/// What an agent's prompt begins with, the most read first: prompts then part as late as they can.
pub(crate) fn beginning<'t>(team: &'t Team, stages: &Stages, i: usize) -> Vec<Read<'t>> {
    let agent = &team.agents[i];
    let there = |read: &Read<'_>| !stages.speaks_with(team, i, *read) && is_shared(team, agent, *read);
    let mut reads: Vec<Read<'_>> = agent.read().filter(there).collect();
    reads.sort_by_key(|read| (Reverse(readers(team, *read)), rank(team, *read)));
    reads
}

/// Whether prompts of other calls begin with a text too: of the agents that the team names, else of any that read it.
pub(crate) fn is_shared(team: &Team, agent: &Agent, read: Read<'_>) -> bool {
    let alike = team.alike(&agent.name);
    let reads = |name: &String| team.agent(name).is_none_or(|other| other.read().any(|r| r == read));
    match alike {
        _ if !agent.by.is_empty() => false,
        [] => !agent.each.is_empty() || readers(team, read) > 1,
        _ => !agent.each.is_empty() || alike.iter().all(reads),
    }
}

/// How many agents read a text in this form.
pub(crate) fn readers(team: &Team, read: Read<'_>) -> usize {
    let reads = |agent: &&Agent| agent.read().any(|other| other == read);
    team.agents.iter().filter(reads).count()
}

/// Inputs first, then agents in the order of the team, the whole form before the short one.
pub(crate) fn rank(team: &Team, read: Read<'_>) -> usize {
    let n = team.inputs.len();
    let of = |name: &str| team.place(name).unwrap_or(0);
    match read {
        Read::Input(name) => team.inputs.keys().position(|input| input == name).unwrap_or(0),
        Read::Whole(name) => n + of(name) * 2,
        Read::Digest(name) => n + of(name) * 2 + 1,
    }
}
