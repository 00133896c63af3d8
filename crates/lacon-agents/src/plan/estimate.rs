//! The arithmetic behind a plan.

use std::collections::BTreeMap;

use lacon_llm::Usage;
use lacon_models::{CacheKind, CacheRow, cache_of, plain_name};
use lacon_monitor::prices;
use lacon_tokens::Encoding;

use super::{AgentPlan, Expected};
use crate::{
    Inputs, Optimization, Optimizations, answer, room,
    stages::{Kind, Stage, Stages},
    team::{Agent, Output, Read, Speaking, Team},
    template::{self, Part},
};

/// Tokens a word, in English prose.
const TOKENS_PER_WORD: f64 = 1.35;
/// So many words of an input say how dense it is; a table of figures has more tokens a word than what is said of it.
const ENOUGH_WORDS: f64 = 100.0;
const DENSEST: f64 = 2.5;
/// Words of an answer without a limit: the median of recorded reports.
const FREE_WORDS: f64 = 320.0;
/// Tokens of a list's line, and of a JSON answer.
const LINE_TOKENS: f64 = 14.0;
const JSON_TOKENS: f64 = 60.0;
/// Tokens of a tool's answer, of a tool's declaration, and of a model's request for a call.
const TOOL_TOKENS: f64 = 180.0;
const SPEC_TOKENS: f64 = 70.0;
const CALL_TOKENS: f64 = 30.0;
/// The share that a digest keeps, and the share that JSON keeps in fewer tokens.
const DIGEST_SHARE: f64 = 0.7;
const LOSSLESS_SHARE: f64 = 0.7;
/// Tokens of a schema in the prompt.
const SCHEMA_TOKENS: f64 = 120.0;
/// Tokens of what stands around a prompt: the rules of form in the instruction, headings.
const FRAME_TOKENS: f64 = 40.0;
/// Seconds to the first token of small and of large models, seconds per thousand prompt tokens, tokens a second, seconds of
/// a tool call: medians of recorded runs.
pub(crate) const FIRST_TOKEN_S: (f64, f64) = (1.011, 1.757);
const PROMPT_S_PER_1K: f64 = 0.0264;
const TOKENS_PER_S: f64 = 45.0;
const TOOL_S: f64 = 0.6;

pub(super) struct Estimate<'e> {
    pub team: &'e Team,
    pub stages: &'e Stages,
    pub inputs: &'e Inputs,
    pub on: &'e Optimizations,
    pub encoding: &'e Encoding,
    /// Figures of inputs that each agent hands on.
    pub figures: &'e [usize],
    /// Agents that one call may answer for.
    pub groups: &'e [Vec<usize>],
    /// The word limit of each agent.
    pub words: &'e [u32],
    /// The size of each input, counted once.
    pub given: &'e BTreeMap<String, Given>,
}

/// The size of an input.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    pub tokens: f64,
    pub words: f64,
}

impl Given {
    pub fn of(text: &str, encoding: &Encoding) -> Self {
        let words = text.split_whitespace().count() as f64;
        Self { tokens: encoding.count(text) as f64, words }
    }
}

/// What one agent takes.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    calls: f64,
    prompt: f64,
    cached: f64,
    written: f64,
    answer: f64,
    /// Seconds of one time that it speaks, its whole fan-out included.
    seconds: f64,
}

impl Estimate<'_> {
    pub fn whole(&self) -> (Expected, Vec<AgentPlan>) {
        let parts: Vec<Share> = (0..self.team.agents.len()).map(|i| self.agent(i)).collect();
        let mut expected = Expected { micro_usd: Some(0), ..Expected::default() };
        let mut agents = Vec::new();
        let ways = self.ways(&parts);
        for (i, (agent, part)) in self.team.agents.iter().zip(&parts).enumerate() {
            let (prompt, cached) = (part.calls * part.prompt, part.calls * part.cached);
            let (answer, written) = (part.calls * part.answer, part.calls * part.written);
            expected.calls += part.calls.round() as u64;
            expected.prompt += prompt.round() as u64;
            expected.cached += cached.round() as u64;
            expected.written += written.round() as u64;
            expected.completion += answer.round() as u64;
            let usage = Usage {
                input: Some((prompt - cached - written).max(0.0) as u64),
                cached: Some(cached as u64),
                cache_write: Some(written as u64),
                output: Some(answer as u64),
                ..Usage::default()
            };
            let cost =
                if agent.by.is_empty() { prices::cost(self.team.model(agent), &usage) } else { Some(0) };
            expected.micro_usd = expected.micro_usd.zip(cost).map(|(sum, cost)| sum + cost);
            agents.push(AgentPlan {
                name: agent.name.clone(),
                model: if agent.by.is_empty() { self.team.model(agent).to_owned() } else { String::new() },
                level: self.stages.of(i).level,
                calls: part.calls.round() as u64,
                prompt: part.prompt.round() as u64,
                cached: part.cached.round() as u64,
                written: part.written.round() as u64,
                cache_rule: self.rule(agent).map(|rule| rule.rule.clone()),
                answer: part.answer.round() as u64,
                words: self.words[i],
                seconds: part.seconds,
                to_end: ways[i],
            });
        }
        expected.seconds = self.seconds(&parts);
        (expected, agents)
    }

    /// Seconds of a stage with all its rounds.
    fn stage_s(&self, stage: &Stage, parts: &[Share]) -> f64 {
        let members = stage.members.iter().map(|member| parts[*member].seconds);
        let Some(rounds) = Stages::rounds(self.team, stage) else { return members.sum() };
        let one = match rounds.at {
            Speaking::Turns => members.sum::<f64>(),
            Speaking::Once => members.fold(0.0, f64::max),
        };
        one * self.rounds(stage)
    }

    /// The longest way through the stages; with barriers the sum of the slowest of each level.
    fn seconds(&self, parts: &[Share]) -> f64 {
        let of = |stage: &Stage| self.stage_s(stage, parts);
        let list = &self.stages.list;
        if !self.on.has(Optimization::NoBarrier) {
            let levels = list.iter().map(|stage| stage.level + 1).max().unwrap_or(0);
            let slowest = |level| list.iter().filter(|s| s.level == level).map(of).fold(0.0, f64::max);
            return (0..levels).map(slowest).sum();
        }
        let mut ends: Vec<f64> = Vec::new();
        for stage in list {
            let begin = stage.after.iter().map(|after| ends[*after]).fold(0.0, f64::max);
            ends.push(begin + of(stage));
        }
        ends.into_iter().fold(0.0, f64::max)
    }

    /// Seconds from each agent's start to the end of the run.
    fn ways(&self, parts: &[Share]) -> Vec<f64> {
        let list = &self.stages.list;
        let mut ways: Vec<f64> = list.iter().map(|stage| self.stage_s(stage, parts)).collect();
        // Stages stand after those that they wait for.
        for i in (0..list.len()).rev() {
            let own = ways[i];
            for after in &list[i].after {
                let longest = self.stage_s(&list[*after], parts) + own;
                ways[*after] = ways[*after].max(longest);
            }
        }
        let of =
            |i: usize| list.iter().position(|stage| stage.members.contains(&i)).map_or(0.0, |at| ways[at]);
        (0..parts.len()).map(of).collect()
    }

    fn count(&self, text: &str) -> f64 {
        self.encoding.count(text) as f64
    }

    /// Rounds that a stage is expected to take: one that may end early takes half of them.
    fn rounds(&self, stage: &Stage) -> f64 {
        Stages::rounds(self.team, stage).map_or(1.0, |rounds| {
            let most = f64::from(rounds.most());
            if rounds.until.is_some() { (1.0 + most) / 2.0 } else { most }
        })
    }

    /// Lines of a list: the number that the prompt names, else a few.
    fn lines(&self, agent: &Agent, most: usize) -> f64 {
        let filled = template::fill(&agent.prompt, |name| self.inputs.text(name));
        let head = answer::bounded(&filled, 4_096);
        let numbers = head.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<usize>().ok());
        let named = numbers.into_iter().find(|n| (1..=most).contains(n));
        named.unwrap_or(most.min(5)) as f64
    }

    fn items(&self, agent: &Agent) -> f64 {
        if agent.each.is_empty() {
            return 1.0;
        }
        if let Some(items) = self.inputs.list(&agent.each) {
            return items.len() as f64;
        }
        let lister = self.team.lister(&agent.each).and_then(|lister| Some((lister, lister.list()?.1)));
        lister.map_or(0.0, |(lister, most)| self.lines(lister, most))
    }

    fn answer(&self, agent: &Agent) -> f64 {
        match &agent.output {
            Some(Output::List { .. }) => {
                agent.list().map_or(0.0, |(_, most)| self.lines(agent, most)) * LINE_TOKENS
            }
            Some(Output::Json { .. }) => JSON_TOKENS,
            None if agent.words > 0 && self.on.has(Optimization::WordLimits) => {
                let i = self.team.agents.iter().position(|other| other.name == agent.name).unwrap_or(0);
                let words = room::words(agent, self.words[i], self.figures[i]);
                f64::from(words).min(FREE_WORDS) * self.tokens_per_word(agent)
            }
            None => FREE_WORDS * TOKENS_PER_WORD,
        }
    }

    fn given(&self, name: &str) -> Given {
        self.given.get(name).copied().unwrap_or_default()
    }

    /// Tokens a word of an answer: those of prose, or of what it is about where that is denser, such as code.
    fn tokens_per_word(&self, agent: &Agent) -> f64 {
        let inputs = agent.read().filter_map(|read| match read {
            Read::Input(name) => Some(self.given(name)),
            _ => None,
        });
        let all = inputs.fold(Given::default(), |all, one| Given {
            tokens: all.tokens + one.tokens,
            words: all.words + one.words,
        });
        if all.words < ENOUGH_WORDS {
            TOKENS_PER_WORD
        } else {
            (all.tokens / all.words).clamp(TOKENS_PER_WORD, DENSEST)
        }
    }

    /// Tokens of one thing that is read.
    fn read(&self, reader: &Agent, read: Read<'_>) -> f64 {
        let (name, short) = match read {
            Read::Input(name) => return self.given(name).tokens,
            Read::Whole(name) => (name, false),
            Read::Digest(name) => (name, true),
        };
        let Some(i) = self.team.agents.iter().position(|agent| agent.name == name) else { return 0.0 };
        let agent = &self.team.agents[i];
        let stage = self.stages.of(i);
        let times = if stage.kind == Kind::Group { self.rounds(stage) } else { 1.0 };
        let mut tokens = (self.answer(agent) + 8.0) * self.items(agent) * times;
        let reaches = |optimization| self.on.reaches(optimization, self.team.model(reader));
        if short && reaches(Optimization::Digests) {
            tokens *= DIGEST_SHARE;
        }
        let json = matches!(agent.output, Some(Output::Json { .. }));
        if json && !agent.each.is_empty() && reaches(Optimization::Lossless) {
            tokens *= LOSSLESS_SHARE;
        }
        tokens
    }

    fn instruction(&self, agent: &Agent) -> f64 {
        let mut tokens = self.count(self.team.rules()) + FRAME_TOKENS;
        for part in template::parse(&agent.prompt).unwrap_or_default() {
            tokens += match part {
                Part::Text(text) => self.count(&text),
                Part::Name(name) if name == crate::check::ITEM => self.item(agent),
                Part::Name(name) => self.given(&name).tokens,
            };
        }
        let json = matches!(agent.output, Some(Output::Json { .. }));
        if json && !self.on.has(Optimization::SchemaOnce) { tokens + SCHEMA_TOKENS } else { tokens }
    }

    /// Tokens of an item: of a list that is given their mean.
    fn item(&self, agent: &Agent) -> f64 {
        let given = self.inputs.list(&agent.each).filter(|items| !items.is_empty());
        let text = given.map(<[_]>::len);
        text.map_or(LINE_TOKENS, |n| self.given(&agent.each).tokens / n as f64)
    }

    fn agent(&self, i: usize) -> Share {
        let group = self.groups.iter().find(|group| group.contains(&i));
        match group.filter(|_| self.on.has(Optimization::Merged)) {
            // The first of them makes the call, and all have their answers when it ends.
            Some(group) if group[0] != i => {
                Share { seconds: self.agent(group[0]).seconds, ..Share::default() }
            }
            Some(group) => self.asked(i, &group[1..]),
            None => self.asked(i, &[]),
        }
    }

    /// An agent's calls, which answer for others too.
    fn asked(&self, i: usize, others: &[usize]) -> Share {
        let agent = &self.team.agents[i];
        let stage = self.stages.of(i);
        let (items, rounds) = (self.items(agent), self.rounds(stage));
        let waves = if agent.each.is_empty() { 1.0 } else { (items / agent.at_once() as f64).ceil() };
        if !agent.by.is_empty() {
            return Share { seconds: waves * TOOL_S, ..Share::default() };
        }
        let speaks_with = |read: &Read<'_>| {
            let other = read.agent().and_then(|name| self.team.agents.iter().position(|a| a.name == name));
            stage.kind != Kind::Single && other.is_some_and(|other| stage.members.contains(&other))
        };
        let read: f64 =
            agent.read().filter(|read| !speaks_with(read)).map(|read| self.read(agent, read)).sum();
        let heard = if stage.kind == Kind::Single {
            0.0
        } else {
            // In the first round about half of the others have spoken, later all.
            let all: f64 = stage.members.iter().map(|m| self.answer(&self.team.agents[*m])).sum();
            all * (1.0 - 0.5 / rounds)
        };
        let others = || others.iter().map(|other| &self.team.agents[*other]);
        let instructions: f64 = others().map(|other| self.instruction(other)).sum();
        let prompt = self.instruction(agent) + instructions + read + heard;
        let answer = self.answer(agent) + others().map(|other| self.answer(other)).sum::<f64>();
        let share = agent
            .when
            .as_ref()
            .map_or(1.0, |when| when.says.len() as f64 / self.team.choices(&when.agent).len().max(1) as f64);
        let mut part = Share { calls: items * rounds * share, prompt, answer, ..Share::default() };
        (part.cached, part.written) = self.reused(agent, i, items, prompt);
        let call_s = self.call_s(agent, prompt, answer);
        let (extra_calls, extra_s) = self.with_tools(agent, i, &mut part);
        part.calls *= 1.0 + extra_calls;
        part.seconds = waves * (call_s + extra_s);
        part
    }

    /// Adds what tools put into prompts; gives the further calls for each call, and their seconds.
    fn with_tools(&self, agent: &Agent, i: usize, part: &mut Share) -> (f64, f64) {
        if agent.tools.is_empty() {
            return (0.0, 0.0);
        }
        let n = agent.tools.len() as f64;
        let prefetches = self.on.has(Optimization::Prefetch) && !agent.prefetch.is_empty();
        let known =
            if prefetches { agent.prefetch.values().map(Vec::len).sum::<usize>() as f64 } else { 0.0 };
        part.prompt += known * TOOL_TOKENS;
        let early = agent.each.is_empty() && self.stages.of(i).level > 0 && agent.when.is_none();
        let wait = if prefetches && !early { TOOL_S } else { 0.0 };
        if known >= n {
            return (0.0, wait);
        }
        // The first call asks for the tools, the second answers with what they gave.
        let (asks, answers) = (part.prompt + n * SPEC_TOKENS, part.prompt + n * (SPEC_TOKENS + TOOL_TOKENS));
        let seconds = self.call_s(agent, asks, CALL_TOKENS) + TOOL_S + wait;
        part.prompt = (asks + answers) / 2.0;
        part.answer = (CALL_TOKENS + part.answer) / 2.0;
        (1.0, seconds)
    }

    fn call_s(&self, agent: &Agent, prompt: f64, answer: f64) -> f64 {
        let quick = is_small(self.team.model(agent));
        let first = if quick { FIRST_TOKEN_S.0 } else { FIRST_TOKEN_S.1 };
        first + prompt / 1_000.0 * PROMPT_S_PER_1K + answer / TOKENS_PER_S
    }

    /// The cache rule of an agent's model.
    fn rule(&self, agent: &Agent) -> Option<&'static CacheRow> {
        cache_of(&plain_name(self.team.model(agent)))
    }

    /// Tokens of a call that an earlier one has sent as its beginning, and tokens that it pays to leave for later ones.
    fn reused(&self, agent: &Agent, i: usize, items: f64, prompt: f64) -> (f64, f64) {
        let Some(rule) = self.rule(agent).filter(|_| self.on.has(Optimization::PrefixLayout)) else {
            return (0.0, 0.0);
        };
        let level = self.stages.of(i).level;
        let read_at = |read: Read<'_>, apart: &dyn Fn(usize) -> bool| {
            let reads = |(j, other): (usize, &Agent)| {
                apart(self.stages.of(j).level) && other.read().any(|r| r == read)
            };
            self.team.agents.iter().enumerate().any(reads)
        };
        let fans_out = !agent.each.is_empty();
        let beginning = |apart: &dyn Fn(usize) -> bool| {
            let shared: f64 = agent
                .read()
                .filter(|read| fans_out || read_at(*read, apart))
                .map(|read| self.read(agent, read))
                .sum();
            let tokens = shared + self.count(self.team.rules());
            if shared > 0.0 && tokens >= rule.least as f64 { tokens.min(prompt) } else { 0.0 }
        };
        let hits = if fans_out { (1.0 - agent.at_once() as f64 / items.max(1.0)).max(0.0) } else { 1.0 };
        let cached = beginning(&|other| other < level) * hits;
        // What is not read is written where somebody reads it later; a provider whose writes are free reports none.
        let later =
            if fans_out && hits > 0.0 { 1.0 - hits } else { f64::from(u8::from(!fans_out && cached == 0.0)) };
        let paid = f64::from(u8::from(rule.kind != CacheKind::Automatic));
        (cached, beginning(&|other| other > level) * later * paid)
    }
}

/// Whether a model is one of the small ones of its family.
fn is_small(model: &str) -> bool {
    ["mini", "nano", "flash", "haiku", "small", "lite"].iter().any(|word| model.contains(word))
}
