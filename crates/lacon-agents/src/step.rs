//! One time that an agent speaks: its tool calls, its prompt, its answer, and what the answer has to hold.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use lacon_graph::StepError;
use lacon_llm::{Error, ErrorKind, Finish, Malformed, Request, whole_sentences};
use lacon_runtime::{Answer, Ask, agent as runtime};
use serde_json::{Map, Value};

use crate::{
    Optimization,
    answer::{self, MAX_ANSWER_BYTES, bounded},
    choice::{self, Chosen, How},
    context::Context,
    prompt::{self, Material, Turn},
    state::{TeamState, Text},
    team::{Agent, Output},
};

/// Why an agent does not run, where a condition does not hold: its own, or that of everybody whom it reads.
pub(crate) fn passed_over(context: &Context, agent: &Agent, state: &TeamState) -> Option<String> {
    if let Some(when) = &agent.when {
        let chosen = state.chosen(&when.agent);
        let holds = chosen.is_some_and(|value| when.says.iter().any(|says| says.eq_ignore_ascii_case(value)));
        if !holds {
            let said = chosen.map_or("chose nothing".to_owned(), |value| format!("chose {value:?}"));
            return Some(format!("{} {said}", when.agent));
        }
    }
    let read = agent.read().filter(|read| !context.speaks_with(agent, *read)).filter_map(|read| read.agent());
    let mut names = read.peekable();
    names.peek()?;
    names.all(|name| state.passed_over(name)).then(|| "nobody whom it reads has run".to_owned())
}

/// Has an agent speak once. An optional agent that fails leaves the reason in place of its text.
///
/// # Errors
/// When the run cannot go on without the text: a wrong key, a spent budget, or an agent that is not optional.
pub(crate) async fn speak(
    context: &Context,
    agent: &Agent,
    material: &Material,
    turn: Turn<'_>,
) -> Result<Text, StepError> {
    match spoken(context, agent, material, turn).await {
        Ok(text) => Ok(text),
        Err(error) if is_fatal(&error) || !(agent.optional || turn.item.is_some()) => {
            Err(StepError::with_source(format!("{}: {error}", agent.name), error))
        }
        Err(error) => {
            context.run.ledger.warn(format!("{} failed: {}", agent.name, error.message()));
            Ok(Text::failed(error.message()))
        }
    }
}

/// A spent budget refuses all further calls too.
fn is_fatal(error: &Error) -> bool {
    runtime::is_fatal(error) || error.kind() == ErrorKind::Cancelled
}

async fn spoken(
    context: &Context,
    agent: &Agent,
    material: &Material,
    turn: Turn<'_>,
) -> Result<Text, Error> {
    context.ladder.step(&agent.name, context.run.now());
    if !agent.by.is_empty() {
        return by_tool(context, agent, material, turn).await;
    }
    if let Some(text) = crate::merged::part(context, agent, material).await? {
        return Ok(text);
    }
    let tool_texts = prefetched(context, agent, turn).await;
    let mut request = prompt::request(context, agent, material, &tool_texts, turn);
    crate::own::apply(context, &[agent], &agent.name, &mut request).await;
    material.savings.iter().for_each(|(optimization, tokens)| {
        context.run.ledger.saving(&agent.name, optimization.name(), *tokens);
    });
    let tool_rounds = if request.tools.is_empty() { 0 } else { agent.rounds_of_tools() };
    let first_turn = turn.round.max(1);
    let ask = Ask { role: agent.name.clone(), request: request.clone(), tool_rounds, first_turn };
    let mut answer = runtime::ask(&context.run, ask).await?;
    if answer.text.trim().is_empty() {
        let message = match answer.open_calls.first() {
            Some(call) => format!("{} called tool {:?}, which it was not offered", agent.name, call.name),
            None => format!("{} gave no text", agent.name),
        };
        return Err(Error::new(ErrorKind::Malformed(Malformed::Empty), message));
    }
    if answer.text.len() > MAX_ANSWER_BYTES {
        answer.text.truncate(bounded(&answer.text, MAX_ANSWER_BYTES).len());
        context.run.ledger.warn(format!("an answer of {} was cut at {MAX_ANSWER_BYTES} bytes", agent.name));
    }
    finish(context, agent, &request, answer, first_turn + tool_rounds + 1).await
}

/// The answer of an agent that a tool gives in place of a model: the instruction and what it reads are its arguments.
async fn by_tool(
    context: &Context,
    agent: &Agent,
    material: &Material,
    turn: Turn<'_>,
) -> Result<Text, Error> {
    let prompt = prompt::filled(context, agent, turn);
    let mut arguments = Map::from_iter([
        ("agent".to_owned(), Value::from(agent.name.as_str())),
        ("prompt".to_owned(), Value::from(prompt)),
        ("reads".to_owned(), serde_json::to_value(&material.reads).unwrap_or_default()),
        ("round".to_owned(), Value::from(turn.round.max(1))),
    ]);
    if let Some(item) = turn.item {
        arguments.insert("item".into(), item.into());
    }
    let failed = |message: String| Error::new(ErrorKind::InvalidRequest, message);
    let text = runtime::fetch(&context.run, &agent.name, &agent.by, arguments, false)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let lacks = lacking(agent, &text);
    if text.trim().is_empty() || !lacks.is_empty() {
        let lacks = if lacks.is_empty() { "any text".into() } else { lacks.join(", ") };
        return Err(failed(format!("the answer of tool {:?} has not {lacks}", agent.by)));
    }
    let Some(values) = context.choices(&agent.name) else { return Ok(Text { text, ..Text::default() }) };
    // Nobody else writes into its first line, so it carries no tag.
    let line = text.lines().next().unwrap_or_default().trim();
    let value = values.iter().find(|value| value.trim().eq_ignore_ascii_case(line)).ok_or_else(|| {
        let values = values.join(", ");
        failed(format!(
            "the answer of tool {:?} begins with {line:?}\nhint: its first line is one of: {values}",
            agent.by
        ))
    })?;
    let chosen = Some(Chosen { value: value.clone(), how: How::Line });
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest).trim_start().to_owned();
    Ok(Text { text: rest, chosen, ..Text::default() })
}

/// Makes the tool calls whose arguments are known, and writes down what they gave.
async fn prefetched(context: &Context, agent: &Agent, turn: Turn<'_>) -> String {
    if !context.has(Optimization::Prefetch) {
        return String::new();
    }
    let calls = known_calls(context, agent, turn.item);
    let run = &context.run;
    let pending = calls.into_iter().map(|(name, arguments)| async move {
        let title = title(&name, &arguments);
        let text = match runtime::fetch(run, &agent.name, &name, arguments, true).await {
            Ok(text) => text,
            Err(error) => format!("no data: {error}"),
        };
        (title, text)
    });
    let encoding = run.options.counter.ready().await.encoding;
    let mut texts = Vec::new();
    for (title, text) in join_all(pending).await {
        let mut savings = Vec::new();
        let text = prompt::lossless_text(context, agent, &text, encoding, &mut savings);
        savings.iter().for_each(|(o, tokens)| run.ledger.saving(&agent.name, o.name(), *tokens));
        texts.push(format!("## {title}\n{}", text.trim()));
    }
    texts.join("\n\n")
}

/// The tool calls of an agent whose arguments follow from inputs and item.
pub(crate) fn known_calls(
    context: &Context,
    agent: &Agent,
    item: Option<&str>,
) -> Vec<(String, Map<String, Value>)> {
    let fill = |template: &str| {
        crate::template::fill(template, |name| match name {
            crate::check::ITEM if item.is_some() => item,
            name => context.inputs.text(name),
        })
    };
    let filled = |arguments: &BTreeMap<String, String>| {
        arguments.iter().map(|(name, template)| (name.clone(), Value::from(fill(template)))).collect()
    };
    let all = agent.prefetch.iter().flat_map(|(tool, calls)| calls.iter().map(move |call| (tool, call)));
    all.map(|(tool, arguments)| (tool.clone(), filled(arguments))).collect()
}

fn title(name: &str, arguments: &Map<String, Value>) -> String {
    let shown = arguments.values().map(|value| match value {
        Value::String(text) => text.lines().next().unwrap_or_default().chars().take(80).collect(),
        other => other.to_string(),
    });
    format!("{name}: {}", shown.collect::<Vec<String>>().join(", "))
}

/// Checks an answer: asks once more for what it lacks, and for the choice alone where it states none.
async fn finish(
    context: &Context,
    agent: &Agent,
    request: &Request,
    answer: Answer,
    turn: u32,
) -> Result<Text, Error> {
    let cut = answer.finish == Finish::Length;
    let mut text = if cut { whole_sentences(&answer.text).to_owned() } else { answer.text.clone() };
    let mut lacks = lacking(agent, &text);
    let (run, words) = (&context.run, request.enough.as_ref().map_or(0, |enough| enough.words));
    if !lacks.is_empty()
        && let Some(second) = runtime::again(run, &agent.name, turn, (request, &answer), &lacks, words).await
    {
        let second = bounded(&second.text, MAX_ANSWER_BYTES).to_owned();
        let still = lacking(agent, &second);
        if still.len() < lacks.len() {
            (text, lacks) = (second, still);
        }
    }
    let Some(values) = context.choices(&agent.name) else {
        return Ok(Text { text, cut, missing: lacks, ..Text::default() });
    };
    if matches!(agent.output, Some(Output::Json { .. })) {
        let chosen = in_field(agent, &text, values);
        return Ok(Text { text, cut, missing: lacks, chosen, ..Text::default() });
    }
    let tag = context.tag(&agent.name);
    let chosen = match choice::read(&text, &tag, values) {
        Some(value) => Some(Chosen { value: value.into(), how: How::Line }),
        None => asked(context, agent, request, &text, &tag, turn + 1).await,
    };
    Ok(Text { text: choice::without_line(&text, &tag), cut, missing: lacks, chosen, ..Text::default() })
}

/// The value that a JSON answer states in its field.
fn in_field(agent: &Agent, text: &str, values: &[String]) -> Option<Chosen> {
    let answer = answer::json(text)?;
    let stated = answer.get(&agent.states)?.as_str()?.trim();
    let value = values.iter().find(|value| value.trim().eq_ignore_ascii_case(stated))?;
    Some(Chosen { value: value.clone(), how: How::Field })
}

/// What an answer has to hold and does not.
fn lacking(agent: &Agent, text: &str) -> Vec<String> {
    match &agent.output {
        Some(Output::Json { .. }) if answer::json(text).is_none() => vec!["JSON".into()],
        Some(Output::List { .. }) if answer::items(text, 1).is_empty() => vec!["one item a line".into()],
        _ => answer::missing(text, agent),
    }
}

/// What an agent answers to the question for its choice alone.
async fn asked(
    context: &Context,
    agent: &Agent,
    request: &Request,
    text: &str,
    tag: &str,
    turn: u32,
) -> Option<Chosen> {
    let values = context.choices(&agent.name)?;
    let mut question = choice::question(request, agent, text, tag, values);
    let answer = runtime::call(&context.run, &agent.name, turn, &mut question).await.ok()?;
    let value = choice::read_alone(&answer.text, tag, values)?;
    Some(Chosen { value: value.into(), how: How::Asked })
}
