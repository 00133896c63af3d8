//! The plan of a run: who runs beside whom, what it will take, and what each optimization does for this team.
//!
//! Figures are expected ones: lengths follow from word limits, lists and inputs; speeds are those of recorded runs. What
//! an optimization does is the difference between the plan with it and the plan without it.

pub mod caching;
pub mod choices;
mod estimate;
mod lengths;

use std::{collections::BTreeMap, time::Duration};

use lacon_tokens::Encoding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use choices::Form;
use lengths::Open;
pub(crate) use lengths::taken_up_by;

use crate::{
    Inputs, Optimization, Optimizations, layout,
    stages::Stages,
    team::{Agent, Read, Team},
};

/// What a run is expected to take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expected {
    /// Model calls.
    pub calls: u64,
    /// Prompt tokens.
    pub prompt: u64,
    /// Of these, tokens that a provider's cache should hold.
    pub cached: u64,
    /// Of the prompt tokens, those that are written to a cache and billed for it.
    #[serde(default)]
    pub written: u64,
    /// Tokens of answers.
    pub completion: u64,
    /// Millionths of a US dollar; absent where a model has no known price.
    pub micro_usd: Option<u64>,
    /// Seconds from the beginning to the end.
    pub seconds: f64,
}

impl Expected {
    /// Prompt and completion tokens.
    pub fn tokens(&self) -> u64 {
        self.prompt + self.completion
    }
}

/// What one agent is expected to take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentPlan {
    /// The agent.
    pub name: String,
    /// The model.
    pub model: String,
    /// How many stages end before it starts, one after another.
    pub level: usize,
    /// Model calls.
    pub calls: u64,
    /// Prompt tokens of one call.
    pub prompt: u64,
    /// Of these, tokens that a provider's cache should hold.
    #[serde(default)]
    pub cached: u64,
    /// Of these, tokens that are written to a cache and billed for it.
    #[serde(default)]
    pub written: u64,
    /// The cache rule of the model; absent where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_rule: Option<String>,
    /// Tokens of one answer.
    pub answer: u64,
    /// The most words of its answer under the limits of the run; 0 for none.
    #[serde(default)]
    pub words: u32,
    /// Texts that it reads in another form than the team says, under the limits of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forms: BTreeMap<String, Form>,
    /// Seconds of all its calls, those at once counted once.
    pub seconds: f64,
    /// Seconds from its start to the end of the run.
    #[serde(default)]
    pub to_end: f64,
}

/// What an optimization does for a team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Its name.
    pub optimization: String,
    /// Whether it is on.
    pub on: bool,
    /// The agents on which it acts; empty where there is nothing for it to do.
    pub acts_on: Vec<String>,
    /// Tokens that it saves.
    pub tokens: i64,
    /// Seconds that it saves.
    pub seconds: f64,
    /// Millionths of a US dollar that it saves.
    pub micro_usd: i64,
}

/// The plan of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Every agent, in the order of the team.
    pub agents: Vec<AgentPlan>,
    /// The whole run.
    pub expected: Expected,
    /// Every optimization.
    pub effects: Vec<Effect>,
    /// Why a limit of the run cannot be held by shorter answers and texts, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// What a user may want to change.
    pub notes: Vec<String>,
}

/// How long the first token of a large model usually takes.
pub(crate) fn first_token() -> Duration {
    Duration::from_secs_f64(estimate::FIRST_TOKEN_S.1)
}

/// What a run may use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Tokens of all calls.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub micro_usd: Option<u64>,
    /// Time of the run, at the speed of real endpoints.
    pub time: Option<Duration>,
}

impl Plan {
    /// The word limit of an agent's answer; 0 for none.
    pub fn words(&self, agent: &Agent) -> u32 {
        self.agents.iter().find(|plan| plan.name == agent.name).map_or(agent.words, |plan| plan.words)
    }

    /// The form of a text in an agent's prompt, where a limit asks for another one than the team does.
    pub fn form(&self, agent: &Agent, source: &str) -> Option<Form> {
        self.agents.iter().find(|plan| plan.name == agent.name)?.forms.get(source).copied()
    }
}

/// Plans a checked team that nothing limits. Nothing is sent.
pub fn plan(
    team: &Team,
    stages: &Stages,
    inputs: &Inputs,
    optimizations: &Optimizations,
    encoding: &Encoding,
) -> Plan {
    within(team, stages, inputs, optimizations, encoding, Limits::default())
}

/// Plans a checked team under limits: where the usual lengths exceed one, answers get shorter and texts are read in short,
/// those first that are worth least. A limit that the shortest answers exceed is named in `over`. Nothing is sent.
pub fn within(
    team: &Team,
    stages: &Stages,
    inputs: &Inputs,
    optimizations: &Optimizations,
    encoding: &Encoding,
    limits: Limits,
) -> Plan {
    let figures: Vec<usize> =
        team.agents.iter().map(|agent| crate::room::given(team, inputs, agent).len()).collect();
    let groups = stages.groups(team);
    let sized = team.inputs.keys().filter_map(|name| Some((name, inputs.text(name)?)));
    let given: BTreeMap<String, estimate::Given> =
        sized.map(|(name, text)| (name.clone(), estimate::Given::of(text, encoding))).collect();
    let rules = encoding.count(team.rules()) as f64;
    let prompt = |agent| estimate::prompt(agent, inputs, &given, encoding);
    let prompts: Vec<f64> = team.agents.iter().map(prompt).collect();
    let beginnings: Vec<Vec<Read<'_>>> =
        (0..team.agents.len()).map(|i| layout::beginning(team, stages, i)).collect();
    let places: BTreeMap<&str, usize> =
        team.agents.iter().enumerate().rev().map(|(i, agent)| (agent.name.as_str(), i)).collect();
    let at = |on: &Optimizations, open: &Open| {
        let (figures, groups, given) = (&figures, &groups, &given);
        let (prompts, beginnings, places) = (&prompts, &beginnings, &places);
        let (words, forms) = (&open.words, &open.forms);
        let estimate = estimate::Estimate {
            team,
            stages,
            inputs,
            on,
            rules,
            prompts,
            beginnings,
            places,
            figures,
            groups,
            words,
            forms,
            given,
        };
        estimate.whole()
    };
    let usual = Open::usual(team);
    let (chosen, over) =
        lengths::choose(team, stages, optimizations, limits, &|open| at(optimizations, open));
    let estimate = |on: &Optimizations| at(on, &chosen);
    let (expected, agents) = estimate(optimizations);
    let effect = |optimization: Optimization| {
        let mut acts_on = acts_on(team, stages, inputs, optimization);
        let on = optimizations.has(optimization);
        let shown = optimizations.with(optimization);
        acts_on.retain(|name| team.agent(name).is_none_or(|a| shown.reaches(optimization, team.model(a))));
        if acts_on.is_empty() {
            return Effect {
                optimization: optimization.name().into(),
                on,
                acts_on,
                tokens: 0,
                seconds: 0.0,
                micro_usd: 0,
            };
        }
        let with = estimate(&optimizations.with(optimization)).0;
        let without = match optimization {
            Optimization::PromptPlan => at(optimizations, &usual).0,
            other => estimate(&optimizations.without(other)).0,
        };
        Effect {
            optimization: optimization.name().into(),
            on,
            acts_on,
            tokens: without.tokens() as i64 - with.tokens() as i64,
            seconds: without.seconds - with.seconds,
            micro_usd: without.micro_usd.zip(with.micro_usd).map_or(0, |(a, b)| a as i64 - b as i64),
        }
    };
    let effects = Optimization::ALL.into_iter().map(effect).collect();
    Plan { agents, expected, effects, over, notes: notes(team) }
}

/// The agents for which an optimization has something to do.
pub fn acts_on(team: &Team, stages: &Stages, inputs: &Inputs, optimization: Optimization) -> Vec<String> {
    let acts = |(i, agent): (usize, &Agent)| match optimization {
        _ if !agent.by.is_empty() && optimization != Optimization::NoBarrier => false,
        Optimization::Prefetch => !agent.prefetch.is_empty(),
        Optimization::NoBarrier => {
            let stage = stages.of(i);
            // It may start before the whole level before it is done.
            let before = stages.list.iter().enumerate().filter(|(_, other)| other.level + 1 == stage.level);
            stage.level > 0 && before.map(|(at, _)| at).any(|at| !stage.after.contains(&at))
        }
        Optimization::WordLimits => agent.words > 0,
        Optimization::Digests => agent.read().any(|read| matches!(read, Read::Digest(_))),
        Optimization::PrefixLayout => agent.read().any(|read| {
            let shared = |other: &Agent| other.name != agent.name && other.read().any(|r| r == read);
            !agent.each.is_empty() || team.agents.iter().any(shared)
        }),
        Optimization::Lossless => {
            let json = |read: Read<'_>| {
                let of = read.agent().and_then(|name| team.agent(name));
                of.is_some_and(|of| matches!(of.output, Some(crate::team::Output::Json { .. })))
            };
            !agent.prefetch.is_empty() || agent.read().any(json)
        }
        Optimization::DeadlineLadder => {
            let quick = team.models.get("quick");
            agent.words > 0 || quick.is_some_and(|quick| quick != team.model(agent))
        }
        Optimization::Stagger => stages.siblings(team).iter().any(|group| group.contains(&i)),
        Optimization::PromptPlan => lengths::may_shrink(agent),
        Optimization::Merged => stages.groups(team).iter().any(|group| group.contains(&i)),
        Optimization::SchemaOnce => matches!(agent.output, Some(crate::team::Output::Json { .. })),
        Optimization::ToolCache => {
            // Equal calls come from equal arguments, which two agents, or two rounds, may have.
            let user =
                |tool: &String| team.agents.iter().filter(|other| other.tools.contains(tool)).count() > 1;
            let speaks_again = Stages::rounds(team, stages.of(i)).is_some_and(|rounds| rounds.most() > 1);
            !agent.tools.is_empty() && (agent.tools.iter().any(user) || speaks_again)
        }
    };
    // A fan-out over nothing has nothing to save.
    let empty = |agent: &Agent| inputs.list(&agent.each).is_some_and(<[_]>::is_empty);
    let agents = team.agents.iter().enumerate().filter(|(_, agent)| !empty(agent));
    agents.filter(|(i, agent)| acts((*i, agent))).map(|(_, agent)| agent.name.clone()).collect()
}

/// What is no fault and still looks like a slip.
fn notes(team: &Team) -> Vec<String> {
    let result = team.result_agent().map(|agent| agent.name.as_str());
    let heard = |name: &str| {
        let of_rounds = |rounds: &crate::team::Rounds| rounds.agents.iter().any(|member| member == name);
        Some(name) == result
            || team.attach.iter().any(|attached| attached == name)
            || team
                .decision
                .as_ref()
                .is_some_and(|d| d.agent == name || d.stand_ins.iter().any(|by| by == name))
            || team.agents.iter().any(|agent| crate::stages::needs(team, agent).contains(&name))
            || team.loops.values().chain(team.groups.values()).any(of_rounds)
    };
    let unread = team.agents.iter().filter(|agent| !heard(&agent.name));
    let unread =
        unread.map(|agent| format!("nobody reads agent {:?}: its calls cost and change nothing", agent.name));
    let is_free = |agent: &&Agent| agent.words == 0 && agent.output.is_none() && agent.by.is_empty();
    let free = team.agents.iter().filter(is_free);
    let free = free.map(|agent| {
        format!(
            "agent {:?} has no word limit: words = 200 would bound its answer and those who read it",
            agent.name
        )
    });
    unread.chain(free).collect()
}
