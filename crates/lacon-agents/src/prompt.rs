//! An agent's prompt: rules, what it reads, its instruction.
//!
//! With [`Optimization::PrefixLayout`] what several calls read comes first and in one order, and the instruction last, so
//! that a provider's prompt cache finds the common beginning. Without it the instruction comes first, and what is read
//! follows in the order in which the agent names it.

mod material;
pub(crate) mod room;

use lacon_llm::{Capabilities, Enough, JsonSchema, Message, Request, Reuse};
pub use material::Material;
pub(crate) use material::{lossless as lossless_text, material};

use crate::{
    Optimization, choice,
    context::Context,
    team::{Agent, Output},
    template, tools,
};

/// Between two texts of a message.
const SEPARATOR: &str = "\n\n";
/// The message that holds what calls share.
const SHARED: usize = 1;

/// Tokens that a word of an answer may take. Words of code and rows of figures take nearly three; a lower bound would cut
/// such an answer before its stream is closed at the end of a sentence.
const TOKENS_PER_WORD: u32 = 3;
/// Tokens beside the words: headings, signs.
const FRAME_TOKENS: u32 = 96;

/// One time that an agent is asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn<'a> {
    /// The item of a fan-out.
    pub item: Option<&'a str>,
    /// The round of a group or loop, from 1.
    pub round: u32,
}

/// An agent's own instruction with its placeholders filled.
pub(crate) fn filled(context: &Context, agent: &Agent, turn: Turn<'_>) -> String {
    template::fill(&agent.prompt, |name| match name {
        crate::check::ITEM if turn.item.is_some() => turn.item,
        name => context.inputs.text(name),
    })
}

/// The instruction of an agent with everything that its answer has to keep.
pub(crate) fn instruction(context: &Context, agent: &Agent, turn: Turn<'_>, words: u32) -> String {
    let filled = filled(context, agent, turn);
    let mut lines = vec![format!("You are {}.", agent.title()), filled.trim().to_owned()];
    if turn.round > 1 {
        lines.push(format!("This is round {}: take up what was said, keep what holds.", turn.round));
    }
    match &agent.output {
        Some(Output::List { .. }) => {
            let most = agent.list().map_or(0, |(_, most)| most);
            lines.push(format!("Write one item a line, at most {most} lines, and nothing else."));
        }
        Some(Output::Json { .. }) => {
            lines.push("Answer with one JSON object.".into());
            if !context.has(Optimization::SchemaOnce)
                && let Some(schema) = agent.schema()
            {
                lines.push(format!("It has to fit this schema:\n{schema:#}"));
            }
        }
        None => {}
    }
    if !agent.sections.is_empty() {
        lines.push(format!("Write these sections, each under its heading: {}.", agent.sections.join("; ")));
    }
    if !agent.covers.is_empty() {
        let first: Vec<&str> = agent.covers.iter().map(|words| crate::answer::first(words)).collect();
        lines.push(format!("Cover: {}.", first.join("; ")));
    }
    if agent.words > 0 && context.has(Optimization::WordLimits) {
        lines.push(format!("Write at most {words} words."));
    }
    let is_result = context.team.result_agent().is_some_and(|result| result.name == agent.name);
    if is_result && !context.team.attach.is_empty() {
        let whose = context.team.attach.join(", ");
        lines.push(format!("What stands under {whose} is put below your answer as it is: do not repeat it."));
    }
    let choices = context.team.choices(&agent.name);
    if !choices.is_empty() && agent.output.is_none() {
        lines.push(choice::rule(agent, &context.tag(&agent.name), &choices));
    }
    lines.join("\n")
}

/// What an agent is sent.
pub(crate) fn request(
    context: &Context,
    agent: &Agent,
    material: &Material,
    tool_texts: &str,
    turn: Turn<'_>,
) -> Request {
    let words = room::limit(context, agent, material, tool_texts, turn.item.unwrap_or_default());
    let instruction = instruction(context, agent, turn, words);
    let mut request = assembled(context, material, tool_texts, &instruction);
    limit(context, agent, words, &mut request);
    settle(&mut request);
    request
}

/// What is read and the instruction, in the order that the layout gives them.
pub(crate) fn assembled(
    context: &Context,
    material: &Material,
    tool_texts: &str,
    instruction: &str,
) -> Request {
    let layout = context.has(Optimization::PrefixLayout);
    let own = join(&[&material.own, tool_texts]);
    let messages = laid_out(context.team.rules(), &material.shared, &own, instruction, layout);
    let reuse = if layout { Reuse::Siblings(material.cuts.clone()) } else { Reuse::default() };
    Request { messages, reuse, ..Request::default() }
}

/// The messages of a prompt: with the layout what others read too comes first and the instruction last, so that prompts of
/// siblings share their beginning byte for byte; without it the instruction stands before what is read.
pub fn laid_out(rules: &str, shared: &str, own: &str, instruction: &str, layout: bool) -> Vec<Message> {
    if layout {
        let shared = Some(shared).filter(|shared| !shared.is_empty()).map(Message::user);
        let own = Message::user(join(&[own, instruction]));
        return std::iter::once(Message::system(rules)).chain(shared).chain([own]).collect();
    }
    match join(&[shared, own]) {
        body if body.is_empty() => vec![Message::system(rules), Message::user(instruction)],
        body => vec![Message::system(join(&[rules, instruction])), Message::user(body)],
    }
}

/// Says what of a request a cache may find again, once its tools are known.
pub(crate) fn settle(request: &mut Request) {
    let reuse = std::mem::take(&mut request.reuse);
    request.reuse = match reuse {
        Reuse::Siblings(cuts) => match (request.tools.is_empty(), cuts.is_empty()) {
            (false, _) => Reuse::Grows(cuts),
            (true, false) => Reuse::Siblings(cuts),
            (true, true) => Reuse::Alone,
        },
        other => other,
    };
}

/// Model, effort, schema, tools and the length at which the stream is closed.
pub(crate) fn limit(context: &Context, agent: &Agent, words: u32, request: &mut Request) {
    request.model = context.model(agent).to_owned();
    request.effort = agent.effort;
    // Providers name schemas in ASCII.
    let named =
        |schema| JsonSchema { name: format!("answer_{}", context.tag(&agent.name)), schema, strict: false };
    request.response_format = agent.schema().map(named);
    if agent.words > 0 && context.has(Optimization::WordLimits) {
        let tokens = words.saturating_mul(TOKENS_PER_WORD).saturating_add(FRAME_TOKENS);
        request.max_tokens = Some(tokens.saturating_add(Capabilities::reasoning_room(&request.model)));
        // Half a JSON is none, and a list ends by itself.
        if agent.output.is_none() {
            request.enough = Some(Enough { words, needs: agent.needs() });
        }
    }
    let prefetched = context.has(Optimization::Prefetch);
    // In the order of the team, so that agents with the same tools send the same bytes.
    let offered = context.team.tools.iter().filter(|tool| match (prefetched, agent.more.is_empty()) {
        (false, _) => agent.tools.contains(&tool.name),
        (true, true) => agent.tools.contains(&tool.name) && !agent.prefetch.contains_key(&tool.name),
        (true, false) => agent.more.contains(&tool.name),
    });
    request.tools = offered.map(tools::spec).collect();
}

pub(crate) fn join(parts: &[&str]) -> String {
    let there: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    there.join(SEPARATOR)
}
