//! The lengths of all answers and the forms of all texts together, under limits of tokens, money and time.
//!
//! Costs are differences of whole estimates, so they hold what an answer costs its readers too. A shorter answer leaves less
//! for a short form to save, and the other way round. Each choice is therefore taken twice: beside the usual choices of all
//! others, and beside their least. The mean of both counts. It meets the least of all exactly and promises nothing that does
//! not hold. What it gives up too much is taken back by whole estimates.

use std::{cmp::Reverse, collections::BTreeMap};

use lacon_prompt::{
    budget::MicroUsd,
    plan::{self as solver, Call, Cost, Prices},
};

use super::{
    AgentPlan, Expected, Limits,
    choices::{self, Asked, Chosen, Form, LENGTHS, Shown, shown},
};
use crate::{
    Optimization, Optimizations,
    stages::{Kind, Stages},
    team::{Agent, Read, Speaking, Team},
};

/// Forms of texts by reader and source, where they are not the usual ones.
pub(super) type Forms = BTreeMap<(usize, usize), Form>;

/// What is open before a run: the word limit of each agent, and forms other than the usual.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    pub words: Vec<u32>,
    pub forms: Forms,
}

impl Open {
    /// As the team says.
    pub fn usual(team: &Team) -> Self {
        Self { words: team.agents.iter().map(|agent| agent.words).collect(), forms: Forms::new() }
    }

    fn words(&self, i: usize, words: u32) -> Self {
        let mut open = self.clone();
        open.words[i] = words;
        open
    }

    fn form(&self, text: &Shown, form: Form) -> Self {
        let mut open = self.clone();
        open.forms.extend(text.readers.iter().map(|reader| ((*reader, text.source), form)));
        open
    }
}

/// What a run takes with these choices.
type Estimating<'e> = dyn Fn(&Open) -> (Expected, Vec<AgentPlan>) + 'e;

/// Whether an answer may be held to fewer words than the team says.
pub(super) fn may_shrink(agent: &Agent) -> bool {
    agent.words > 0 && !agent.strict && agent.output.is_none() && agent.by.is_empty()
}

/// The texts that readers may get in a shorter form, with those forms, the usual one first.
fn texts(team: &Team, stages: &Stages, on: &Optimizations) -> Vec<(Shown, Vec<Form>)> {
    let reads: Vec<Vec<(usize, bool)>> = team
        .agents
        .iter()
        .enumerate()
        .map(|(i, agent)| {
            let read = |read: Read<'_>| {
                let source = team.place(read.agent()?)?;
                let of = &team.agents[source];
                // Members of a group or loop read each other in its rounds. A tool gets whole texts, and half a JSON is no JSON.
                let is_text =
                    of.output.is_none() && agent.by.is_empty() && !stages.speaks_with(team, i, read);
                is_text.then_some((source, matches!(read, Read::Whole(_))))
            };
            agent.read().filter_map(read).collect()
        })
        .collect();
    let alike = |i: usize| {
        let named = team.alike(&team.agents[i].name);
        if named.is_empty() {
            (0..team.agents.len()).filter(|j| team.alike(&team.agents[*j].name).is_empty()).collect()
        } else {
            named.iter().filter_map(|name| team.place(name)).collect::<Vec<_>>()
        }
    };
    // A text may shrink to its title where another one that its reader has was written with it in view.
    let taken_up =
        |text: &Shown| text.readers.iter().all(|reader| taken_up_by(team, *reader, text.source).is_some());
    let forms = |text: Shown| {
        let may = text.readers.iter().all(|reader| on.may_shorten(team.model(&team.agents[*reader])));
        let open = Form::open(text.whole, on.has(Optimization::Digests), true);
        let mut forms = if may { open.to_vec() } else { vec![Form::Full] };
        forms.retain(|form| *form != Form::Pointer || taken_up(&text));
        (text, forms)
    };
    shown(&reads, alike).into_iter().map(forms).collect()
}

/// Who reads a text and is read by a reader of it.
pub(crate) fn taken_up_by(team: &Team, reader: usize, source: usize) -> Option<&Agent> {
    let source = team.agents[source].name.as_str();
    let reads = |agent: &Agent| agent.read().any(|read| read.agent() == Some(source));
    team.agents[reader].read().filter_map(|read| team.agent(read.agent()?)).find(|by| reads(by))
}

/// The word limits and forms under limits, and why a limit of the run cannot be held where that is so.
pub(super) fn choose(
    team: &Team,
    stages: &Stages,
    on: &Optimizations,
    limits: Limits,
    estimate: &Estimating<'_>,
) -> (Open, Option<String>) {
    let usual = Open::usual(team);
    let acts = [Optimization::PromptPlan, Optimization::WordLimits].iter().all(|o| on.has(*o));
    if limits == Limits::default() || !acts {
        return (usual, None);
    }
    let texts = texts(team, stages, on);
    let shares = |i: usize| if may_shrink(&team.agents[i]) { &LENGTHS[..] } else { &LENGTHS[..1] };
    let words = |i: usize, share: u32| usual.words[i] * share / 100;
    let open = texts.iter().filter(|(_, forms)| forms.len() > 1);
    let least = open.fold(usual.clone(), |open, (text, forms)| open.form(text, forms[forms.len() - 1]));
    let least = (0..team.agents.len())
        .fold(least, |open, i| open.words(i, shares(i).last().map_or(usual.words[i], |(s, _)| words(i, *s))));
    let whole = estimate(&usual);
    let cost = |expected: &Expected| (expected.tokens(), expected.micro_usd.unwrap_or(0));
    // A choice beside the usual ones of all others, and beside their least.
    let beside = |choice: &dyn Fn(&Open) -> Open| (choice(&usual), choice(&least));
    // What each of some choices costs more than the last of them, and the seconds of one agent beside the usual choices.
    let more = |choices: &[(Open, Open)], agent: usize| -> Vec<(Cost, f64)> {
        if choices.len() == 1 {
            return vec![(Cost::default(), whole.1[agent].seconds)];
        }
        let all = choices.iter().map(|(usual, least)| {
            let (expected, agents) = estimate(usual);
            ([cost(&expected), cost(&estimate(least).0)], agents[agent].seconds)
        });
        let all: Vec<_> = all.collect();
        let last = all[all.len() - 1].0;
        let mean = |(one, seconds): ([(u64, u64); 2], f64)| {
            let tokens = (0..2).map(|i| one[i].0.saturating_sub(last[i].0)).sum::<u64>() / 2;
            let micro_usd = (0..2).map(|i| one[i].1.saturating_sub(last[i].1)).sum::<u64>() / 2;
            (Cost { tokens, micro_usd: MicroUsd(micro_usd), millis: 0 }, seconds)
        };
        all.into_iter().map(mean).collect()
    };
    let millis = |seconds: f64| (seconds * 1e3) as u64;
    let places = calls(team, stages, on);
    let answer = |(i, after, times): &(usize, Vec<usize>, f64)| {
        let shares = shares(*i);
        let choices: Vec<(Open, Open)> =
            shares.iter().map(|(share, _)| beside(&|open| open.words(*i, words(*i, *share)))).collect();
        let costs = more(&choices, *i);
        let shortest_s = costs.last().map_or(0.0, |(_, seconds)| *seconds);
        // A result that is cut short is seen by everybody.
        let is_result = team.result_agent().is_some_and(|result| result.name == team.agents[*i].name);
        let weight = if is_result { 2 } else { 1 };
        let lengths = shares.iter().zip(costs).map(|((share, worth), (cost, seconds))| {
            let millis = millis((seconds - shortest_s).max(0.0) * times);
            (words(*i, *share), worth * weight, Cost { millis, ..cost })
        });
        let fixed = Cost { millis: millis(shortest_s * times), ..Cost::default() };
        let call = Call { name: team.agents[*i].name.clone(), after: after.clone(), fixed };
        Asked { call, lengths: lengths.collect(), limited: true }
    };
    let mut asked: Vec<Asked> = places.iter().map(answer).collect();
    let call_of = |i: usize| places.iter().position(|(agent, ..)| *agent == i).unwrap_or(0);
    let shown: Vec<(Shown, Vec<(Form, Cost)>)> = texts
        .iter()
        .map(|(text, forms)| {
            let choices: Vec<(Open, Open)> =
                forms.iter().map(|form| beside(&|open| open.form(text, *form))).collect();
            let readers = text.readers.iter().map(|reader| call_of(*reader)).collect();
            let text = Shown { readers, source: call_of(text.source), whole: text.whole };
            let costs = more(&choices, 0).into_iter().map(|(cost, _)| cost);
            (text, forms.iter().copied().zip(costs).collect())
        })
        .collect();
    let (mut tokens, mut micro_usd) = cost(&whole.0);
    let first = asked.iter().map(|asked| asked.lengths[0].2).chain(shown.iter().map(|(_, forms)| forms[0].1));
    for usual in first {
        tokens = tokens.saturating_sub(usual.tokens);
        micro_usd = micro_usd.saturating_sub(usual.micro_usd.0);
    }
    if let Some(first) = asked.first_mut() {
        first.call.fixed.tokens = tokens;
        first.call.fixed.micro_usd = MicroUsd(micro_usd);
    }
    // Without a price of every model nobody knows what a length costs.
    let limits = Limits { micro_usd: limits.micro_usd.filter(|_| whole.0.micro_usd.is_some()), ..limits };
    let solvable = solver::Limits {
        tokens: limits.tokens,
        micro_usd: limits.micro_usd.map(MicroUsd),
        millis: limits.time.map(|time| time.as_millis().try_into().unwrap_or(u64::MAX)),
    };
    let open = |chosen: &[usize]| {
        let (lengths, forms) = chosen.split_at(places.len());
        let mut open = usual.clone();
        for (((i, ..), asked), chosen) in places.iter().zip(&asked).zip(lengths) {
            open.words[*i] = asked.lengths[*chosen].0;
        }
        // The first form is the usual one.
        let other = texts.iter().zip(forms).filter(|(_, chosen)| **chosen > 0);
        other.fold(open, |open, ((text, forms), chosen)| open.form(text, forms[*chosen]))
    };
    match choices::choose(&asked, &shown, solvable, Prices { per_1k_tokens: 0, per_second: 0 }) {
        Ok(chosen) => (open(&regained(&chosen, limits, |chosen| estimate(&open(chosen)).0)), None),
        Err(error) => (least, Some(format!("the shortest answers exceed a limit: {error}"))),
    }
}

/// Takes back what need not be given up, what is worth most first. Where lengths and forms meet, the problem's costs are above
/// those of the estimate. Each question is tried once for each of its choices at most.
fn regained(chosen: &Chosen, limits: Limits, estimate: impl Fn(&[usize]) -> Expected) -> Vec<usize> {
    let fits = |chosen: &[usize]| {
        let expected = estimate(chosen);
        limits.tokens.is_none_or(|most| expected.tokens() <= most)
            && limits.micro_usd.is_none_or(|most| expected.micro_usd.is_some_and(|usd| usd <= most))
            && limits.time.is_none_or(|most| expected.seconds <= most.as_secs_f64())
    };
    let groups = &chosen.problem.groups;
    let mut best = chosen.solution.chosen.clone();
    let most = groups.iter().map(|group| group.choices.len()).max().unwrap_or(0);
    for _ in 1..most {
        let gain = |i: usize| {
            let worth = |choice: usize| groups[i].choices[choice].worth;
            worth(best[i] - 1).saturating_sub(worth(best[i]))
        };
        let mut steps: Vec<(u32, usize)> =
            (0..groups.len()).filter(|i| best[*i] > 0).map(|i| (gain(i), i)).collect();
        steps.sort_by_key(|(gain, i)| (Reverse(*gain), *i));
        for (_, i) in steps {
            best[i] -= 1;
            if !fits(&best) {
                best[i] += 1;
            }
        }
    }
    best
}

/// One call an agent, in an order in which they could be made: the agent, the calls that it waits for, and how often it
/// speaks.
fn calls(team: &Team, stages: &Stages, on: &Optimizations) -> Vec<(usize, Vec<usize>, f64)> {
    let mut calls: Vec<(usize, Vec<usize>, f64)> = Vec::new();
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
        let [first, last] = Stages::waves(team, stage);
        let members = first.into_iter().map(|i| (i, false)).chain(last.into_iter().map(|i| (i, true)));
        for (member, is_last) in members {
            let mut after = waits.clone();
            after.extend(calls_of[at].last().filter(|_| in_turns && stage.kind != Kind::Single));
            if is_last {
                after.extend(&calls_of[at]);
            }
            calls_of[at].push(calls.len());
            calls.push((member, after, times));
        }
    }
    calls
}
