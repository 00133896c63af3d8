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
    digest::{digest, figures},
    layout,
    plan::{choices::Form, taken_up_by},
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
                Read::Whole(name) | Read::Digest(name) => {
                    block(context, agent, name, form(context, agent, read), state, &mut material.savings)
                }
            };
            let team = &context.team;
            let shared = layout::is_shared(team, agent, read);
            let (readers, rank) = (layout::readers(team, read), layout::rank(team, read));
            Some(Block { read, text, readers, shared, rank })
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
    let own: Vec<_> = shared.iter().map(|block| (block.read, form(context, agent, block.read))).collect();
    let agents = &context.team.agents;
    let position = context.team.place(&agent.name).unwrap_or(0);
    let mine = context.stages.of(position);
    // Calls that are made at once find nothing of each other.
    let apart = |other: &usize| {
        let theirs = context.stages.of(*other);
        if *other == position || mine.name == theirs.name {
            !agent.each.is_empty() || mine.kind != Kind::Single
        } else {
            mine.level != theirs.level
        }
    };
    let others = (0..agents.len()).filter(apart).map(|other| beginning(context, other, state));
    let parts = lacon_runtime::reuse::parts(&own, others);
    let place = |n: usize| {
        let byte = shared[..n].iter().map(|block| block.text.len() + SEPARATOR.len()).sum();
        if n == shared.len() { Cut::end_of(SHARED) } else { Cut { message: SHARED, byte } }
    };
    parts.into_iter().map(place).collect()
}

/// What an agent's prompt begins with, in its order, as far as it is there.
fn beginning<'c>(context: &'c Context, i: usize, state: &TeamState) -> Vec<(Read<'c>, Form)> {
    let agent = &context.team.agents[i];
    let there = |read: &Read<'_>| {
        let is_given = !matches!(read, Read::Input(name) if context.inputs.text(name).is_none());
        is_given && !read.agent().is_some_and(|name| state.passed_over(name))
    };
    let reads = layout::beginning(&context.team, &context.stages, i).into_iter().filter(there);
    reads.map(|read| (read, form(context, agent, read))).collect()
}

/// The form in which an agent reads something: as the team says, or shorter where a limit of the run asks for it.
fn form(context: &Context, agent: &Agent, read: Read<'_>) -> Form {
    let planned = read.agent().and_then(|source| context.plan.form(agent, source));
    planned.unwrap_or(match read {
        Read::Digest(_) if context.optimizations.reaches(Optimization::Digests, context.model(agent)) => {
            Form::Digest
        }
        _ => Form::Full,
    })
}

/// What an agent said, under its name, as a reader gets it. Readers of a discussion get all of it, others what was said last.
fn block(
    context: &Context,
    reader: &Agent,
    name: &str,
    form: Form,
    state: &TeamState,
    savings: &mut Vec<(Optimization, i64)>,
) -> String {
    let place = |name: &str| context.team.place(name).unwrap_or(0);
    let position = place(name);
    let agent = &context.team.agents[position];
    let all: Vec<&Said> = match context.stages.of(position).kind {
        Kind::Group => state.of(name).collect(),
        _ => state.last(name).into_iter().collect(),
    };
    let encoding = context.run.options.counter.get().encoding;
    let taken_up = || {
        let by = taken_up_by(&context.team, place(&reader.name), position);
        format!("(taken up by {})", by.map_or("another", Agent::title))
    };
    // What the team allows and what a limit forces are told apart.
    let allowed = reader.read().any(|read| read == Read::Digest(name)) && form == Form::Digest;
    let whose = if allowed { Optimization::Digests } else { Optimization::PromptPlan };
    let mut texts: Vec<String> = Vec::new();
    for said in &all {
        let mut text = whole(context, (reader, agent), said, encoding, savings);
        let short = match form {
            Form::Full => None,
            Form::Digest => Some(digest(&text, encoding)),
            Form::Figures => Some(figures(&text)),
            Form::Pointer => Some(taken_up()),
        };
        if let Some(short) = short {
            let saved = encoding.count(&text) as i64 - encoding.count(&short) as i64;
            if saved > 0 {
                savings.push((whose, saved));
            }
            text = short;
        }
        texts.push(if all.len() > 1 { format!("(round {})\n{text}", said.round) } else { text });
    }
    if texts.is_empty() {
        texts.push("(no text)".into());
    }
    let mark = match form {
        Form::Full => "",
        Form::Digest => ", in short",
        Form::Figures => ", figures",
        Form::Pointer => ", pointer",
    };
    format!("## {}{mark}\n{}", agent.title(), texts.join("\n\n"))
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
