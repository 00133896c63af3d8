//! What an agent reads: texts of others and inputs under headings, whole or as digests.

use std::collections::{BTreeMap, BTreeSet};

use lacon_llm::Cut;
use lacon_monitor::facts;
use lacon_prompt::shorten::{Policy, ShortenOptions, shorten};
use lacon_tokens::Encoding;
use serde_json::Value;

use super::{SEPARATOR, SHARED, join, room};
use crate::{
    Optimization, answer,
    context::Context,
    digest::digest,
    room::{given, hands_on},
    stages::Kind,
    state::{Said, TeamState, Text},
    team::{Agent, Output, Read},
};

/// What an agent reads, made once however many of its calls hold it.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// What other calls begin with too.
    pub shared: String,
    /// What this agent alone reads.
    pub own: String,
    /// Where in the shared text prompts of other calls part from this one.
    pub(crate) cuts: Vec<Cut>,
    /// The same texts by whose they are, for an agent that a tool answers.
    pub(crate) reads: BTreeMap<String, String>,
    /// The figures that the agent hands on, each once.
    pub(crate) figures: BTreeSet<String>,
    /// Tokens that an optimization kept out of it.
    pub(crate) savings: Vec<(Optimization, i64)>,
}

/// One text under its heading.
struct Block<'a> {
    read: Read<'a>,
    text: String,
    /// How many agents read it in this form.
    readers: usize,
    /// Whether prompts of other calls begin with it too.
    shared: bool,
    /// Its place in the order that all prompts keep.
    rank: usize,
}

/// Builds what an agent reads from what was said so far.
pub(crate) fn material(context: &Context, agent: &Agent, state: &TeamState) -> Material {
    let mut material = Material::default();
    if !agent.by.is_empty() {
        let said = |read: Read<'_>| match read {
            Read::Input(name) => Some((name.to_owned(), context.inputs.text(name)?.to_owned())),
            Read::Whole(name) | Read::Digest(name) => Some((name.to_owned(), state.text_of(name).ok()?)),
        };
        material.reads = agent.read().filter_map(said).collect();
        return material;
    }
    let mut blocks: Vec<Block<'_>> = agent
        .read()
        // What is said in rounds of one's own is heard there.
        .filter(|read| !context.speaks_with(agent, *read))
        // Of whom a condition passed over there is nothing to say.
        .filter(|read| !read.agent().is_some_and(|name| state.passed_over(name)))
        .filter_map(|read| {
            let text = match read {
                Read::Input(name) => format!("## {name}\n{}", context.inputs.text(name)?.trim()),
                Read::Whole(name) => block(context, agent, name, false, state, &mut material.savings),
                Read::Digest(name) => block(context, agent, name, true, state, &mut material.savings),
            };
            let shared = is_shared(context, agent, read);
            Some(Block { read, text, readers: readers(context, read), shared, rank: rank(context, read) })
        })
        .collect();
    if room::counts(context, agent) {
        material.figures = given(&context.team, &context.inputs, agent);
        let said = blocks.iter().filter(|block| block.read.agent().is_some());
        let handed_on = said.filter(|block| hands_on(&context.team, agent, block.read));
        let figures = handed_on.flat_map(|block| facts::numerals(&block.text));
        material.figures.extend(figures.map(str::to_owned));
    }
    if !context.has(Optimization::PrefixLayout) {
        let texts: Vec<&str> = blocks.iter().map(|block| block.text.as_str()).collect();
        material.own = join(&texts);
        return material;
    }
    // The most read first: prompts then part as late as they can.
    blocks.sort_by_key(|block| (std::cmp::Reverse(block.readers), block.rank));
    let (shared, own): (Vec<&Block<'_>>, Vec<&Block<'_>>) = blocks.iter().partition(|block| block.shared);
    material.cuts = cuts(context, agent, state, &shared);
    let texts = |blocks: Vec<&Block<'_>>| {
        let texts: Vec<&str> = blocks.iter().map(|block| block.text.as_str()).collect();
        join(&texts)
    };
    (material.shared, material.own) = (texts(shared), texts(own));
    material
}

/// Where the shared text of an agent ends to be that of another call that is made before or after this one.
fn cuts(context: &Context, agent: &Agent, state: &TeamState, shared: &[&Block<'_>]) -> Vec<Cut> {
    let own: Vec<Read<'_>> = shared.iter().map(|block| block.read).collect();
    let agents = &context.team.agents;
    let stage = |name: &str| {
        agents.iter().position(|agent| agent.name == name).map(|position| context.stages.of(position))
    };
    let mine = stage(&agent.name);
    // Calls that are made at once find nothing of each other.
    let apart = |other: &&Agent| match (mine, stage(&other.name)) {
        (Some(mine), Some(theirs)) if other.name == agent.name || mine.name == theirs.name => {
            !agent.each.is_empty() || mine.kind != Kind::Single
        }
        (Some(mine), Some(theirs)) => mine.level != theirs.level,
        _ => false,
    };
    let others = agents.iter().filter(apart).map(|other| beginning(context, other, state));
    let parts = lacon_runtime::reuse::parts(&own, others);
    let place = |n: usize| {
        let byte = shared[..n].iter().map(|block| block.text.len() + SEPARATOR.len()).sum();
        if n == shared.len() { Cut::end_of(SHARED) } else { Cut { message: SHARED, byte } }
    };
    parts.into_iter().map(place).collect()
}

/// What an agent's prompt begins with, in its order.
fn beginning<'c>(context: &'c Context, agent: &'c Agent, state: &TeamState) -> Vec<Read<'c>> {
    let there = |read: &Read<'_>| {
        let is_given = !matches!(read, Read::Input(name) if context.inputs.text(name).is_none());
        is_given
            && !context.speaks_with(agent, *read)
            && !read.agent().is_some_and(|name| state.passed_over(name))
            && is_shared(context, agent, *read)
    };
    let mut reads: Vec<Read<'_>> = agent.read().filter(there).collect();
    reads.sort_by_key(|read| (std::cmp::Reverse(readers(context, *read)), rank(context, *read)));
    reads
}

/// Whether prompts of other calls begin with a text too: of the agents that the team names, else of any that read it.
fn is_shared(context: &Context, agent: &Agent, read: Read<'_>) -> bool {
    let alike = context.team.alike(&agent.name);
    let reads = |name: &String| context.team.agent(name).is_none_or(|other| other.read().any(|r| r == read));
    match alike {
        [] => !agent.each.is_empty() || readers(context, read) > 1,
        _ => !agent.each.is_empty() || alike.iter().all(reads),
    }
}

/// How many agents read a text in this form.
fn readers(context: &Context, read: Read<'_>) -> usize {
    let reads = |agent: &&Agent| agent.read().any(|other| other == read);
    context.team.agents.iter().filter(reads).count()
}

/// Inputs first, then agents in the order of the team, the whole form before the short one.
fn rank(context: &Context, read: Read<'_>) -> usize {
    let n = context.team.inputs.len();
    let of = |name: &str| context.team.agents.iter().position(|agent| agent.name == name).unwrap_or(0);
    match read {
        Read::Input(name) => context.team.inputs.keys().position(|input| input == name).unwrap_or(0),
        Read::Whole(name) => n + of(name) * 2,
        Read::Digest(name) => n + of(name) * 2 + 1,
    }
}

/// What an agent said, under its name. Readers of a discussion get all of it, others what was said last.
fn block(
    context: &Context,
    reader: &Agent,
    name: &str,
    short: bool,
    state: &TeamState,
    savings: &mut Vec<(Optimization, i64)>,
) -> String {
    let position = context.team.agents.iter().position(|agent| agent.name == name).unwrap_or(0);
    let agent = &context.team.agents[position];
    let all: Vec<&Said> = match context.stages.of(position).kind {
        Kind::Group => state.of(name).collect(),
        _ => state.last(name).into_iter().collect(),
    };
    let encoding = context.run.options.counter.get().encoding;
    let short = short && context.optimizations.reaches(Optimization::Digests, context.model(reader));
    let mut texts: Vec<String> = Vec::new();
    for said in &all {
        let mut text = whole(context, (reader, agent), said, encoding, savings);
        if short {
            let digest = digest(&text, encoding);
            let saved = encoding.count(&text) as i64 - encoding.count(&digest) as i64;
            if saved > 0 {
                savings.push((Optimization::Digests, saved));
            }
            text = digest;
        }
        texts.push(if all.len() > 1 { format!("(round {})\n{text}", said.round) } else { text });
    }
    if texts.is_empty() {
        texts.push("(no text)".into());
    }
    format!("## {}{}\n{}", agent.title(), if short { ", in short" } else { "" }, texts.join("\n\n"))
}

/// All texts of one time that an agent spoke, for a reader.
fn whole(
    context: &Context,
    (reader, agent): (&Agent, &Agent),
    said: &Said,
    encoding: &Encoding,
    savings: &mut Vec<(Optimization, i64)>,
) -> String {
    if matches!(agent.output, Some(Output::Json { .. })) {
        return as_json(context, reader, said, encoding, savings);
    }
    if said.items.is_empty() {
        return said.texts.iter().map(shown).collect::<Vec<_>>().join("\n\n");
    }
    let titled = said.items.iter().zip(&said.texts).map(|(item, text)| {
        let title: String = item.lines().next().unwrap_or_default().chars().take(100).collect();
        format!("### {title}\n{}", shown(text))
    });
    titled.collect::<Vec<_>>().join("\n\n")
}

fn shown(text: &Text) -> String {
    match (&text.failure, &text.chosen) {
        (Some(reason), _) => format!("(no text: {reason})"),
        (None, Some(chosen)) => format!("({})\n{}", chosen.value, text.text.trim()),
        (None, None) => text.text.trim().to_owned(),
    }
}

/// JSON answers as one value: of a fan-out an array in the order of the items. What is no JSON stands in it as text.
fn as_json(
    context: &Context,
    reader: &Agent,
    said: &Said,
    encoding: &Encoding,
    savings: &mut Vec<(Optimization, i64)>,
) -> String {
    let value = |text: &Text| match &text.failure {
        Some(reason) => Value::from(format!("(no text: {reason})")),
        None => answer::json(&text.text).unwrap_or_else(|| Value::from(text.text.clone())),
    };
    let text = match said.texts.as_slice() {
        [one] if said.items.is_empty() => value(one).to_string(),
        texts => {
            let rows: Vec<String> = texts.iter().map(|text| value(text).to_string()).collect();
            format!("[{}]", rows.join(",\n"))
        }
    };
    lossless(context, reader, &text, encoding, savings)
}

/// The same text in fewer tokens, where it can be had back exactly and its reader's model may be given the form.
pub(crate) fn lossless(
    context: &Context,
    reader: &Agent,
    text: &str,
    encoding: &Encoding,
    savings: &mut Vec<(Optimization, i64)>,
) -> String {
    if !context.has(Optimization::Lossless) {
        return text.to_owned();
    }
    let mut options = ShortenOptions::new(Policy::Lossless);
    options.exact.passes = context.optimizations.passes(context.model(reader));
    let shortened = shorten(text, &options, None, encoding);
    match shortened {
        Ok(short) if short.tokens_after < short.tokens_before => {
            savings.push((Optimization::Lossless, (short.tokens_before - short.tokens_after) as i64));
            short.text
        }
        _ => text.to_owned(),
    }
}
