//! What runs before what: the stages of a team and the graph that they form.
//!
//! A stage is one agent, with all calls of its fan-out, or a group or loop with all its rounds. A stage waits for the
//! stages whose texts, lists or choices its members need; what neither waits for the other may run at once.

use std::collections::BTreeMap;

use crate::team::{Agent, Read, Rounds, Speaking, Team};

/// How the members of a stage speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One agent, once or once for each item.
    Single,
    /// A discussion: readers get everything that was said.
    Group,
    /// A repetition: readers get the last text.
    Loop,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The agent's name, or the group's.
    pub name: String,
    /// How its members speak.
    pub kind: Kind,
    /// Positions of its agents in the team, in the order of speaking.
    pub members: Vec<usize>,
    /// Positions of the stages that it waits for.
    pub after: Vec<usize>,
    /// How many stages must end before it may start, one after another.
    pub level: usize,
}

/// The stages of a team, each after those that it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// In an order in which they could run one by one.
    pub list: Vec<Stage>,
    /// The stage of each agent.
    of: Vec<usize>,
}

impl Stages {
    /// The stage of an agent, by its position in the team.
    pub fn of(&self, agent: usize) -> &Stage {
        &self.list[self.of[agent]]
    }

    /// Whether an agent and whom it reads speak in the same rounds.
    pub(crate) fn speaks_with(&self, team: &Team, agent: usize, read: Read<'_>) -> bool {
        let stage = self.of(agent);
        let is_member = |name: &str| stage.members.iter().any(|member| team.agents[*member].name == name);
        stage.kind != Kind::Single && read.agent().is_some_and(is_member)
    }

    /// A stage's members in the order in which they may speak: who may end a round that is spoken at once comes second.
    pub(crate) fn waves(team: &Team, stage: &Stage) -> [Vec<usize>; 2] {
        let rounds = Self::rounds(team, stage);
        let is_last = |i: &usize| rounds.is_some_and(|rounds| rounds.speaks_last(&team.agents[*i].name));
        let (last, first) = stage.members.iter().partition(|i| is_last(i));
        [first, last]
    }

    /// The rounds that a stage's members speak, where it has any.
    pub fn rounds<'t>(team: &'t Team, stage: &Stage) -> Option<&'t Rounds> {
        match stage.kind {
            Kind::Single => None,
            Kind::Group => team.groups.get(&stage.name),
            Kind::Loop => team.loops.get(&stage.name),
        }
    }
}

/// The agents that an agent waits for, by name.
pub fn needs<'t>(team: &'t Team, agent: &'t Agent) -> Vec<&'t str> {
    let reads = agent.read().filter_map(Read::agent);
    let list = Some(agent.each.as_str()).filter(|list| !list.is_empty());
    let lister = list.and_then(|list| team.lister(list)).map(|lister| lister.name.as_str());
    let chooser = agent.when.as_ref().map(|when| when.agent.as_str());
    reads.chain(lister).chain(chooser).collect()
}

/// Puts the stages of a team in order. Names that are unknown are passed over: the check tells of them.
///
/// # Errors
/// The names of the stages of a cycle, the first one again at the end.
pub fn stages(team: &Team) -> Result<Stages, Vec<String>> {
    let mut list: Vec<Stage> = Vec::new();
    let mut of: Vec<Option<usize>> = vec![None; team.agents.len()];
    let position: BTreeMap<&str, usize> =
        team.agents.iter().enumerate().rev().map(|(i, agent)| (agent.name.as_str(), i)).collect();
    let rounds = team.groups.iter().map(|(name, rounds)| (name, rounds, Kind::Group));
    let rounds = rounds.chain(team.loops.iter().map(|(name, rounds)| (name, rounds, Kind::Loop)));
    for (name, rounds, kind) in rounds {
        let known = rounds.agents.iter().filter_map(|agent| position.get(agent.as_str()).copied());
        let members: Vec<usize> = known.filter(|member| of[*member].is_none()).collect();
        members.iter().for_each(|member| of[*member] = Some(list.len()));
        list.push(Stage { name: name.clone(), kind, members, after: Vec::new(), level: 0 });
    }
    for (i, agent) in team.agents.iter().enumerate() {
        if of[i].is_none() {
            of[i] = Some(list.len());
            list.push(Stage {
                name: agent.name.clone(),
                kind: Kind::Single,
                members: vec![i],
                after: Vec::new(),
                level: 0,
            });
        }
    }
    let of: Vec<usize> = of.into_iter().map(Option::unwrap_or_default).collect();
    for (i, stage) in list.iter_mut().enumerate() {
        let members = stage.members.iter();
        let needed = members.flat_map(|member| needs(team, &team.agents[*member]));
        let mut after: Vec<usize> = needed.filter_map(|name| position.get(name)).map(|at| of[*at]).collect();
        // A member may read another member; an agent that reads itself is a cycle of its own.
        after.retain(|at| *at != i || stage.kind == Kind::Single);
        after.sort_unstable();
        after.dedup();
        stage.after = after;
    }
    order(list, of)
}

/// Sorts by what waits for what; among those that could be next the one that was declared first.
fn order(list: Vec<Stage>, of: Vec<usize>) -> Result<Stages, Vec<String>> {
    let first = |stage: &Stage| stage.members.iter().min().copied().unwrap_or(usize::MAX);
    let mut placed: Vec<Option<usize>> = vec![None; list.len()];
    let mut sorted: Vec<Stage> = Vec::new();
    while sorted.len() < list.len() {
        let ready = (0..list.len())
            .filter(|i| placed[*i].is_none() && list[*i].after.iter().all(|a| placed[*a].is_some()));
        let Some(next) = ready.min_by_key(|i| first(&list[*i])) else { return Err(cycle(&list, &placed)) };
        let mut stage = list[next].clone();
        stage.after = stage.after.iter().filter_map(|after| placed[*after]).collect();
        stage.level = stage.after.iter().map(|after| sorted[*after].level + 1).max().unwrap_or(0);
        placed[next] = Some(sorted.len());
        sorted.push(stage);
    }
    let of = of.into_iter().map(|stage| placed.get(stage).copied().flatten().unwrap_or_default()).collect();
    Ok(Stages { list: sorted, of })
}

/// Follows what waits for what among the stages that cannot be placed until one comes again.
fn cycle(list: &[Stage], placed: &[Option<usize>]) -> Vec<String> {
    let stuck = |i: usize| list[i].after.iter().copied().find(|after| placed[*after].is_none());
    let mut seen: Vec<usize> = Vec::new();
    let mut at = (0..list.len()).find(|i| placed[*i].is_none());
    while let Some(i) = at {
        if let Some(begin) = seen.iter().position(|other| *other == i) {
            seen.drain(..begin);
            seen.push(i);
            break;
        }
        seen.push(i);
        at = stuck(i);
    }
    seen.reverse();
    seen.into_iter().map(|i| list[i].name.clone()).collect()
}

/// Most agents that one call answers for: a long answer is written in one piece, one word after another.
const MAX_MEMBERS: usize = 4;

impl Stages {
    /// Agents that one call may answer for, by their positions.
    pub(crate) fn groups(&self, team: &Team) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (i, agent) in team.agents.iter().enumerate().filter(|(i, agent)| is_plain(team, self, *i, agent))
        {
            let same = |group: &&mut Vec<usize>| {
                let other = &team.agents[group[0]];
                let reads = |read: &String| other.reads.contains(read);
                group.len() < MAX_MEMBERS
                    && team.model(other) == team.model(agent)
                    && (other.effort, other.optional) == (agent.effort, agent.optional)
                    && other.reads.len() == agent.reads.len()
                    && agent.reads.iter().all(reads)
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(i),
                None => groups.push(vec![i]),
            }
        }
        groups.retain(|group| group.len() > 1);
        groups
    }
}

impl Stages {
    /// Agents that start together, ask the same model and read something in common, by their positions: on their own, or in
    /// a group whose members speak at once.
    pub fn siblings(&self, team: &Team) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (i, agent) in team.agents.iter().enumerate() {
            let stage = self.of(i);
            let at_once = Self::rounds(team, stage)
                .is_none_or(|rounds| rounds.at == Speaking::Once && !rounds.speaks_last(&agent.name));
            let is_plain = at_once
                && stage.kind != Kind::Loop
                && agent.each.is_empty()
                && agent.by.is_empty()
                && agent.when.is_none()
                && !agent.approve
                && !agent.reads.is_empty();
            let same = |group: &&mut Vec<usize>| {
                let other = &team.agents[group[0]];
                self.of(group[0]).after == stage.after
                    && team.model(other) == team.model(agent)
                    && agent.reads.iter().any(|read| other.reads.contains(read))
            };
            match groups.iter_mut().find(same).filter(|_| is_plain) {
                Some(group) => group.push(i),
                None if is_plain => groups.push(vec![i]),
                None => {}
            }
        }
        groups.retain(|group| group.len() > 1);
        groups
    }
}

/// Whether an agent writes one text from what it reads, and nothing else depends on how it is asked.
fn is_plain(team: &Team, stages: &Stages, i: usize, agent: &Agent) -> bool {
    !agent.reads.is_empty()
        && agent.each.is_empty()
        && agent.tools.is_empty()
        && agent.by.is_empty()
        && agent.output.is_none()
        && agent.when.is_none()
        && !agent.approve
        && stages.of(i).kind == Kind::Single
        && team.choices(&agent.name).is_empty()
}
