//! The lengths of all answers together, under limits of tokens, money and time.
//!
//! Costs are differences of whole estimates, so they hold what an answer costs its readers too.

use lacon_prompt::{
    budget::MicroUsd,
    plan::{self as solver, Call, Choice, Cost, Group, Prices, Problem},
};

use super::{AgentPlan, Expected, Limits};
use crate::{
    Optimization, Optimizations,
    stages::{Kind, Stages},
    team::{Agent, Speaking, Team},
};

/// Share of an agent's usual words, and what an answer of that length is worth.
const LENGTHS: [(u32, u32); 4] = [(100, 1000), (75, 900), (60, 780), (45, 600)];

/// What a run takes when agents have these word limits.
type Estimating<'e> = dyn Fn(&[u32]) -> (Expected, Vec<AgentPlan>) + 'e;

/// Whether an answer may be held to fewer words than the team says.
pub(super) fn may_shrink(agent: &Agent) -> bool {
    agent.words > 0 && !agent.strict && agent.output.is_none()
}

/// The word limit of each agent, and why a limit of the run cannot be held where that is so.
pub(super) fn choose(
    team: &Team,
    stages: &Stages,
    on: &Optimizations,
    limits: Limits,
    estimate: &Estimating<'_>,
) -> (Vec<u32>, Option<String>) {
    let usual: Vec<u32> = team.agents.iter().map(|agent| agent.words).collect();
    let acts = [Optimization::PromptPlan, Optimization::WordLimits].iter().all(|o| on.has(*o));
    if limits == Limits::default() || !acts {
        return (usual, None);
    }
    let shares = |agent: &Agent| if may_shrink(agent) { &LENGTHS[..] } else { &LENGTHS[..1] };
    let words = |i: usize, share: u32| usual[i] * share / 100;
    let whole = estimate(&usual);
    let lengths: Vec<Vec<(Expected, f64)>> = team
        .agents
        .iter()
        .enumerate()
        .map(|(i, agent)| {
            let at = shares(agent).iter().map(|(share, _)| {
                let mut given = usual.clone();
                given[i] = words(i, *share);
                let (expected, agents) = if *share == 100 { whole.clone() } else { estimate(&given) };
                (expected, agents[i].seconds)
            });
            at.collect()
        })
        .collect();
    let problem = problem(team, stages, on, limits, &whole.0, &lengths);
    match solver::solve(&problem) {
        Ok(solution) => {
            let chosen = solution.chosen.iter().zip(&problem.groups);
            let mut found = usual.clone();
            for (choice, group) in chosen {
                let i = agent_of(team, &group.segment);
                found[i] = words(i, LENGTHS[*choice].0);
            }
            (found, None)
        }
        Err(error) => {
            let shortest =
                |(i, agent): (usize, &Agent)| shares(agent).last().map_or(usual[i], |(s, _)| words(i, *s));
            let found = team.agents.iter().enumerate().map(shortest).collect();
            (found, Some(format!("the shortest answers exceed a limit: {error}")))
        }
    }
}

fn agent_of(team: &Team, name: &str) -> usize {
    team.agents.iter().position(|agent| agent.name == name).unwrap_or(0)
}

/// One call an agent, one question an agent whose answer may shrink.
fn problem(
    team: &Team,
    stages: &Stages,
    on: &Optimizations,
    limits: Limits,
    whole: &Expected,
    lengths: &[Vec<(Expected, f64)>],
) -> Problem {
    let millis = |seconds: f64| (seconds * 1e3) as u64;
    let cost = |expected: &Expected| (expected.tokens(), expected.micro_usd.unwrap_or(0));
    let mut problem = Problem {
        limits: solver::Limits {
            tokens: limits.tokens,
            // Without a price of every model nobody knows what a length costs.
            micro_usd: limits.micro_usd.filter(|_| whole.micro_usd.is_some()).map(MicroUsd),
            millis: limits.time.map(|time| time.as_millis().try_into().unwrap_or(u64::MAX)),
        },
        prices: Prices { per_1k_tokens: 0, per_second: 0 },
        ..Problem::default()
    };
    let (mut tokens, mut micro_usd) = cost(whole);
    let mut order: Vec<usize> = (0..stages.list.len()).collect();
    order.sort_by_key(|stage| stages.list[*stage].level);
    let mut calls_of: Vec<Vec<usize>> = vec![Vec::new(); stages.list.len()];
    for at in order {
        let stage = &stages.list[at];
        let rounds = Stages::rounds(team, stage);
        let times = rounds.map_or(1.0, |rounds| f64::from(rounds.most()));
        let in_turns = rounds.is_some_and(|rounds| rounds.at == Speaking::Turns);
        let before = |other: &usize| match on.has(Optimization::NoBarrier) {
            true => stage.after.contains(other),
            false => stages.list[*other].level < stage.level,
        };
        let waits: Vec<usize> =
            (0..stages.list.len()).filter(before).flat_map(|other| calls_of[other].clone()).collect();
        for member in &stage.members {
            let agent = &team.agents[*member];
            let call = problem.calls.len();
            let mut after = waits.clone();
            after.extend(calls_of[at].last().filter(|_| in_turns && stage.kind != Kind::Single));
            let choices = &lengths[*member];
            let shortest = &choices[choices.len() - 1];
            let least = cost(&shortest.0);
            // A result that is cut short is seen by everybody.
            let weight =
                if team.result_agent().is_some_and(|result| result.name == agent.name) { 2 } else { 1 };
            if choices.len() > 1 {
                let usual = cost(&choices[0].0);
                tokens = tokens.saturating_sub(usual.0.saturating_sub(least.0));
                micro_usd = micro_usd.saturating_sub(usual.1.saturating_sub(least.1));
                let choice = |((expected, seconds), (share, worth)): (&(Expected, f64), &(u32, u32))| {
                    let own = cost(expected);
                    Choice {
                        form: format!("{} words", agent.words * share / 100),
                        worth: worth * weight,
                        cost: Cost {
                            tokens: own.0.saturating_sub(least.0),
                            micro_usd: MicroUsd(own.1.saturating_sub(least.1)),
                            millis: millis((seconds - shortest.1).max(0.0) * times),
                        },
                    }
                };
                let choices = choices.iter().zip(&LENGTHS).map(choice).collect();
                problem.groups.push(Group { call, segment: agent.name.clone(), choices });
            }
            let fixed = Cost { millis: millis(shortest.1 * times), ..Cost::default() };
            problem.calls.push(Call { name: agent.name.clone(), after, fixed });
            calls_of[at].push(call);
        }
    }
    if let Some(first) = problem.calls.first_mut() {
        first.fixed.tokens = tokens;
        first.fixed.micro_usd = MicroUsd(micro_usd);
    }
    problem
}
