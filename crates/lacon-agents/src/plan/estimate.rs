//! The arithmetic behind a plan.

use std::{cmp::Ordering, collections::BTreeMap};

use lacon_llm::Usage;
use lacon_models::{CacheKind, CacheRow, cache_of, plain_name};
use lacon_monitor::prices;
use lacon_tokens::Encoding;

use super::{
    AgentPlan, Expected,
    caching::{Beginning, caching},
    choices::Form,
    lengths::Forms,
};
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
/// The shares that a digest and the figures of a text keep, and the share that JSON keeps in fewer tokens.
const DIGEST_SHARE: f64 = 0.7;
const FIGURES_SHARE: f64 = 0.55;
const LOSSLESS_SHARE: f64 = 0.7;
/// Tokens of a text's title and of the name of the agent whose text refers to it.
const POINTER_TOKENS: f64 = 16.0;
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
    /// Tokens of the rules, and of each agent's own prompt with what is filled in and its frame.
    pub rules: f64,
    pub prompts: &'e [f64],
    /// The place of each agent in the team, by its name.
    pub places: &'e BTreeMap<&'e str, usize>,
    /// What each agent's prompt begins with.
    pub beginnings: &'e [Vec<Read<'e>>],
    /// Figures of inputs that each agent hands on.
    pub figures: &'e [usize],
    /// Agents that one call may answer for.
    pub groups: &'e [Vec<usize>],
    /// The word limit of each agent.
    pub words: &'e [u32],
    /// The forms of texts by reader and source, where a limit asks for another one than the usual.
    pub forms: &'e Forms,
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

/// Tokens of an agent's own prompt with what is filled in and its frame.
pub(super) fn prompt(
    agent: &Agent,
    inputs: &Inputs,
    given: &BTreeMap<String, Given>,
    encoding: &Encoding,
) -> f64 {
    let of = |name: &str| given.get(name).copied().unwrap_or_default().tokens;
    // An item of a list that is given has the mean length.
    let items = inputs.list(&agent.each).map(<[_]>::len).filter(|items| *items > 0);
    let part = |part: Part| match part {
        Part::Text(text) => encoding.count(&text) as f64,
        Part::Name(name) if name == crate::check::ITEM => {
            items.map_or(LINE_TOKENS, |n| of(&agent.each) / n as f64)
        }
        Part::Name(name) => of(&name),
    };
    let parts = template::parse(&agent.prompt).unwrap_or_default();
    parts.into_iter().map(part).sum::<f64>() + FRAME_TOKENS
}

/// A text at the beginning of a prompt, with its form where that is not the usual one.
type Piece<'e> = (Read<'e>, Option<Form>);

/// What an estimate knows of all agents before it looks at one.
struct Known<'e> {
    /// Tokens of one answer of each.
    answers: Vec<f64>,
    /// What the prompt of each begins with.
    begins: Vec<Beginning<'e, Piece<'e>>>,
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

impl<'e> Estimate<'e> {
    pub fn whole(&self) -> (Expected, Vec<AgentPlan>) {
        let place = |read: Read<'_>| self.places.get(read.agent()?).copied();
        let begin = |(i, reads): (usize, &Vec<Read<'e>>)| {
            let form = |read: Read<'_>| self.forms.get(&(i, place(read)?)).copied();
            let pieces = reads.iter().map(|read| (*read, form(*read))).collect();
            Beginning { model: self.team.model(&self.team.agents[i]), pieces }
        };
        let known = Known {
            answers: (0..self.team.agents.len()).map(|i| self.answer(i)).collect(),
            begins: self.beginnings.iter().enumerate().map(begin).collect(),
        };
        let parts: Vec<Share> = (0..self.team.agents.len()).map(|i| self.agent(i, &known)).collect();
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
                forms: self.forms_of(i),
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
            Speaking::Once => {
                let slowest = |wave: Vec<usize>| wave.iter().map(|i| parts[*i].seconds).fold(0.0, f64::max);
                Stages::waves(self.team, stage).map(slowest).iter().sum()
            }
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
        let own: Vec<f64> = list.iter().map(|stage| self.stage_s(stage, parts)).collect();
        let ways = lacon_runtime::ladder::ways(list.iter().map(|stage| stage.after.as_slice()), &own);
        let of =
            |i: usize| list.iter().position(|stage| stage.members.contains(&i)).map_or(0.0, |at| ways[at]);
        (0..parts.len()).map(of).collect()
    }

    /// The texts that an agent reads in another form than the usual, by whose they are.
    fn forms_of(&self, reader: usize) -> BTreeMap<String, Form> {
        let own = self.forms.range((reader, 0)..(reader + 1, 0));
        own.map(|((_, source), form)| (self.team.agents[*source].name.clone(), *form)).collect()
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

    fn answer(&self, i: usize) -> f64 {
        let agent = &self.team.agents[i];
        match &agent.output {
            Some(Output::List { .. }) => {
                agent.list().map_or(0.0, |(_, most)| self.lines(agent, most)) * LINE_TOKENS
            }
            Some(Output::Json { .. }) => JSON_TOKENS,
            None if agent.words > 0 && self.on.has(Optimization::WordLimits) => {
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

    /// Tokens of one thing that an agent reads.
    fn read(&self, reader: usize, read: Read<'_>, known: &Known<'_>) -> f64 {
        let reaches =
            |optimization| self.on.reaches(optimization, self.team.model(&self.team.agents[reader]));
        let (name, usual) = match read {
            Read::Input(name) => return self.given(name).tokens,
            Read::Digest(name) if reaches(Optimization::Digests) => (name, Form::Digest),
            Read::Whole(name) | Read::Digest(name) => (name, Form::Full),
        };
        let Some(i) = self.places.get(name).copied() else { return 0.0 };
        let agent = &self.team.agents[i];
        let stage = self.stages.of(i);
        let times = if stage.kind == Kind::Group { self.rounds(stage) } else { 1.0 };
        let mut tokens = (known.answers[i] + 8.0) * self.items(agent) * times;
        match self.forms.get(&(reader, i)).copied().unwrap_or(usual) {
            Form::Full => {}
            Form::Digest => tokens *= DIGEST_SHARE,
            Form::Figures => tokens *= FIGURES_SHARE,
            Form::Pointer => tokens = POINTER_TOKENS,
        }
        let json = matches!(agent.output, Some(Output::Json { .. }));
        if json && !agent.each.is_empty() && reaches(Optimization::Lossless) {
            tokens *= LOSSLESS_SHARE;
        }
        tokens
    }

    fn instruction(&self, i: usize) -> f64 {
        let json = matches!(self.team.agents[i].output, Some(Output::Json { .. }));
        let schema = if json && !self.on.has(Optimization::SchemaOnce) { SCHEMA_TOKENS } else { 0.0 };
        self.rules + self.prompts[i] + schema
    }

    fn agent(&self, i: usize, known: &Known<'_>) -> Share {
        let group = self.groups.iter().find(|group| group.contains(&i));
        match group.filter(|_| self.on.has(Optimization::Merged)) {
            // The first of them makes the call, and all have their answers when it ends.
            Some(group) if group[0] != i => {
                Share { seconds: self.agent(group[0], known).seconds, ..Share::default() }
            }
            Some(group) => self.asked(i, &group[1..], known),
            None => self.asked(i, &[], known),
        }
    }

    /// An agent's calls, which answer for others too.
    fn asked(&self, i: usize, others: &[usize], known: &Known<'_>) -> Share {
        let agent = &self.team.agents[i];
        let stage = self.stages.of(i);
        let (items, rounds) = (self.items(agent), self.rounds(stage));
        let waves = if agent.each.is_empty() { 1.0 } else { (items / agent.at_once() as f64).ceil() };
        if !agent.by.is_empty() {
            return Share { seconds: waves * TOOL_S, ..Share::default() };
        }
        let apart = |read: &Read<'_>| !self.stages.speaks_with(self.team, i, *read);
        let read: f64 = agent.read().filter(apart).map(|read| self.read(i, read, known)).sum();
        let heard = if stage.kind == Kind::Single {
            0.0
        } else {
            // In the first round about half of the others have spoken, later all.
            let all: f64 = stage.members.iter().map(|m| known.answers[*m]).sum();
            all * (1.0 - 0.5 / rounds)
        };
        let instructions: f64 = others.iter().map(|other| self.instruction(*other)).sum();
        let prompt = self.instruction(i) + instructions + read + heard;
        let answer = known.answers[i] + others.iter().map(|other| known.answers[*other]).sum::<f64>();
        let share = agent
            .when
            .as_ref()
            .map_or(1.0, |when| when.says.len() as f64 / self.team.choices(&when.agent).len().max(1) as f64);
        let mut part = Share { calls: items * rounds * share, prompt, answer, ..Share::default() };
        (part.cached, part.written) = self.reused(i, known, items, prompt);
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
    fn reused(&self, i: usize, known: &Known<'_>, items: f64, prompt: f64) -> (f64, f64) {
        let agent = &self.team.agents[i];
        if !self.on.has(Optimization::PrefixLayout) || self.beginnings[i].is_empty() {
            return (0.0, 0.0);
        }
        let own = &known.begins[i];
        let tokens = |pieces: &[Piece<'_>]| {
            let texts: f64 = pieces.iter().map(|(read, _)| self.read(i, *read, known)).sum();
            (self.rules + texts).min(prompt) as u64
        };
        if !agent.each.is_empty() {
            // All calls of a fan-out begin alike; those that are made at once find nothing of each other.
            let hits = (1.0 - agent.at_once() as f64 / items.max(1.0)).max(0.0);
            let Some(found) = caching(own, [own], [], tokens) else {
                return (0.0, 0.0);
            };
            let (all, pays) = (found.cached as f64, hits > 0.0 && found.rule.kind != CacheKind::Automatic);
            return (all * hits, if pays { all * (1.0 - hits) } else { 0.0 });
        }
        let level = |i: usize| self.stages.of(i).level;
        let at = |order: Ordering| {
            let apart = move |(j, begin)| (level(j).cmp(&level(i)) == order).then_some(begin);
            known.begins.iter().enumerate().filter_map(apart)
        };
        let found = caching(own, at(Ordering::Less), at(Ordering::Greater), tokens);
        found.map_or((0.0, 0.0), |found| (found.cached as f64, found.written as f64))
    }
}

/// Whether a model is one of the small ones of its family.
fn is_small(model: &str) -> bool {
    ["mini", "nano", "flash", "haiku", "small", "lite"].iter().any(|word| model.contains(word))
}
