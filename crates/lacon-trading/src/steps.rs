//! The work of each node: what the role reads, what it is asked, and what becomes of its answer.

use std::sync::Arc;

use lacon_agents::{Agent, answer::uncovered};
use lacon_graph::{Context, Output, Step, StepError, step};
use lacon_llm::{Error, Finish, Message, Request, whole_sentences};
use lacon_runtime::{Answer, Ask, ToolError, agent, facts};

use crate::{
    Action, Role,
    context::RunContext,
    forms::AnswerForm,
    recall, requests,
    signal::{self, Tagged},
    state::{Chosen, How, Text, ToolResult, TradeState, TradeUpdate},
};

/// What an error of a role means for the run.
///
/// A wrong key or model fails every call alike: the run stops at once. Anything else costs this role's answer alone,
/// unless nothing can stand in for it.
pub(crate) fn settle(role: Role, error: Error) -> Result<Text, StepError> {
    if agent::is_fatal(&error) || !role.may_fail() {
        return Err(StepError::with_source(format!("{role}: {error}"), error));
    }
    Ok(Text::failed(error.message()))
}

/// Checks an answer against what was asked: asks once more when most of it is missing, and for the decision alone when
/// the role that decides states none.
pub(crate) async fn finish(
    context: &RunContext,
    role: Role,
    request: &Request,
    answer: Answer,
    turn: u32,
) -> Result<Text, Error> {
    let file = context.cast.file(role);
    let mut turn = turn;
    let form = context.form(role);
    let mut written = Written::new(file, form, &answer.text, answer.finish == Finish::Length);
    let most_missing = written.missing.len() * 2 > file.covers.len();
    if context.optimizations.has("repair") && most_missing {
        let (asked, lacks) = ((request, &answer), &written.missing);
        let second = agent::again(&context.run, role.name(), turn, asked, lacks, context.words(role)).await;
        let second =
            second.map(|second| Written::new(file, form, &second.text, second.finish == Finish::Length));
        if let Some(second) = second.filter(|second| second.missing.len() < written.missing.len()) {
            written = second;
        }
        turn += 1;
    }
    let Written { text, cut, mut missing, field } = written;
    let chosen = match field {
        Some(action) => Some((action, How::Field)),
        None => decided(context, role, &text, request, turn).await,
    };
    let chosen = chosen.map(|(action, how)| Chosen { value: action.as_str().into(), how });
    let text = signal::without_tag(&text, &context.tag(role));
    if !file.states.is_empty() && chosen.is_none() {
        missing.push("decision".into());
    }
    Ok(Text { cut, missing, chosen, text, ..Text::default() })
}

/// An answer as others read it, with what it lacks.
struct Written {
    text: String,
    cut: bool,
    missing: Vec<String>,
    /// The action of a form's field.
    field: Option<Action>,
}

impl Written {
    fn new(file: &Agent, form: Option<AnswerForm>, answer: &str, cut: bool) -> Self {
        let whole = form.filter(|_| cut).and_then(|form| form.whole(answer));
        let answer = whole.as_deref().unwrap_or(answer);
        let rendered = form.and_then(|form| form.render(answer));
        let field = form.and_then(|form| form.action(answer));
        // Half a figure is a wrong figure.
        let text = rendered.unwrap_or_else(|| if cut { whole_sentences(answer) } else { answer }.to_owned());
        Self { missing: uncovered(&text, &file.covers), text, cut, field }
    }
}

/// What a role's text decides: its tagged line, else for the role that decides the answer to one question, else its own words.
async fn decided(
    context: &RunContext,
    role: Role,
    text: &str,
    request: &Request,
    turn: u32,
) -> Option<(Action, How)> {
    let file = context.cast.file(role);
    if role == Role::Signal {
        return Some((signal::action_of(text.trim())?, How::Asked));
    }
    if file.states.is_empty() {
        return None;
    }
    let tag = context.tag(role);
    if let Tagged::States(action) = signal::tagged(text, &tag) {
        return Some((action, How::Line));
    }
    if role == Role::RiskManager && !text.trim().is_empty() {
        let mut question = requests::decision(context, role, text, request);
        // A failed question leaves the words of the text.
        if let Ok(answer) = agent::call(&context.run, role.name(), turn, &mut question).await {
            let own_line =
                || signal::parse(&answer.text).filter(|_| answer.text.lines().count() <= 2).map(|s| s.action);
            let said = match signal::tagged(&answer.text, &tag) {
                Tagged::States(action) => Some(action),
                Tagged::Missing => own_line(),
                Tagged::Contradicts => None,
            };
            if let Some(action) = said {
                return Some((action, How::Asked));
            }
        }
    }
    signal::parse(text).map(|found| (found.action, How::Prose))
}

/// How much of what a role reads stands in its prompt: each text's share of its numbers.
fn shares_read(
    context: &RunContext,
    role: Role,
    state: &TradeState,
    request: &Request,
) -> Vec<(String, f64)> {
    let prompts: Vec<&str> = request.messages.iter().map(|m| m.content.as_str()).collect();
    let said = |of: Role| state.text(of).filter(|text| text.failure.is_none());
    let reads = context.cast.reads(role, &context.optimizations).into_iter();
    reads
        .filter_map(|of| Some((of.name().to_owned(), facts::share_held(&said(of)?.text, &prompts))))
        .collect()
}

/// What a role said, as the output of its node.
fn says(role: Role, round: u32, text: Text) -> Output<TradeState> {
    Output::update(TradeUpdate::default().says(role, round, text))
}

/// Asks the analyst which tools to call; the calls stay open.
pub fn analyst_call(context: &Arc<RunContext>, role: Role) -> Arc<dyn Step<TradeState>> {
    let context = Arc::clone(context);
    step(move |_: Context<TradeState>| {
        let context = Arc::clone(&context);
        async move {
            let request = requests::analyst_call(&context, role);
            let ask = Ask { role: role.name().into(), request, tool_rounds: 0, first_turn: 1 };
            match agent::ask(&context.run, ask).await {
                Ok(answer) => {
                    let mut talk = answer.messages;
                    talk.push(Message::assistant_calls(answer.text, answer.open_calls));
                    Ok(Output::update(TradeUpdate::talked(role, talk)))
                }
                Err(error) => {
                    let text = settle(role, error)?;
                    Ok(Output::update(failed_talk(role, text)))
                }
            }
        }
    })
}

/// A failed first call is remembered as an empty conversation; the report step then fails with the same reason.
fn failed_talk(role: Role, text: Text) -> TradeUpdate {
    let reason = text.failure.unwrap_or_default();
    TradeUpdate::talked(role, vec![Message::user(format!("{FAILED}{reason}"))])
}

/// Marks a conversation whose first call failed; begins with a character that no prompt begins with.
const FAILED: &str = "\u{1}failed: ";

/// A tool's name with its arguments, or what is wrong with them.
type OpenCall = (String, Result<serde_json::Map<String, serde_json::Value>, String>);

/// Makes the analyst's open tool calls, or with `prefetch` the usual ones.
pub fn analyst_tools(context: &Arc<RunContext>, role: Role, prefetch: bool) -> Arc<dyn Step<TradeState>> {
    let context = Arc::clone(context);
    step(move |node: Context<TradeState>| {
        let context = Arc::clone(&context);
        async move {
            let calls: Vec<OpenCall> = if prefetch {
                context
                    .cast
                    .calls(role, &context.ticker, &context.company, context.date)
                    .into_iter()
                    .map(|(name, arguments)| (name, Ok(arguments)))
                    .collect()
            } else {
                node.state
                    .talk(role)
                    .and_then(|talk| talk.last())
                    .map(|m| m.tool_calls.as_slice())
                    .unwrap_or_default()
                    .iter()
                    .map(|c| {
                        let arguments = serde_json::from_str(&c.arguments)
                            .map_err(|e| format!("arguments of {} are no JSON object: {e}", c.name));
                        (c.name.clone(), arguments)
                    })
                    .collect()
            };
            let run = &context.run;
            let pending = calls.into_iter().map(|(name, arguments)| async move {
                let fetched = match &arguments {
                    Ok(arguments) => agent::fetch(run, role.name(), &name, arguments.clone(), prefetch).await,
                    Err(problem) => Err(ToolError::BadRequest(problem.clone())),
                };
                let unavailable = matches!(fetched, Err(ToolError::Unavailable(_)));
                let text = match fetched {
                    Ok(text) => text,
                    Err(error) if unavailable => error.to_string(),
                    Err(error) => format!("no data: {error}"),
                };
                ToolResult { name, arguments: arguments.unwrap_or_default(), text, unavailable }
            });
            let results = futures_util::future::join_all(pending).await;
            Ok(Output::update(TradeUpdate::fetched(role, results)))
        }
    })
}

/// Has the analyst write its report from its data; it may ask for more.
pub fn analyst_report(context: &Arc<RunContext>, role: Role, prefetch: bool) -> Arc<dyn Step<TradeState>> {
    let context = Arc::clone(context);
    step(move |node: Context<TradeState>| {
        let context = Arc::clone(&context);
        async move {
            let state = &node.state;
            let core = state.data(role).into_iter().flatten().find(|r| r.unavailable);
            if let Some(core) = core {
                return Ok(says(role, 1, Text::failed(&core.text)));
            }
            context.ladder.step(role.name(), context.run.now());
            let built = if prefetch {
                context.run.ledger.ops.time("render prompt", || requests::analyst(&context, role, state))
            } else {
                let talk = state.talk(role).cloned().unwrap_or_default();
                if let Some(reason) = talk.first().and_then(|m| m.content.strip_prefix(FAILED)) {
                    return Ok(says(role, 1, Text::failed(reason)));
                }
                let results = state.data(role).map(Vec::as_slice).unwrap_or_default();
                requests::analyst_continued(&context, role, talk, results)
            };
            let request = built.booked(&context, role);
            let first_turn = if prefetch { 1 } else { 2 };
            let ask = Ask {
                role: role.name().into(),
                request: request.clone(),
                tool_rounds: context.tool_rounds,
                first_turn,
            };
            let text = match agent::ask(&context.run, ask).await {
                Ok(answer) => {
                    let turn = first_turn + context.tool_rounds + 1;
                    match finish(&context, role, &request, answer, turn).await {
                        Ok(text) => text,
                        Err(error) => settle(role, error)?,
                    }
                }
                Err(error) => settle(role, error)?,
            };
            Ok(says(role, 1, text))
        }
    })
}

/// The join of the analysts: stops the run when none of them has anything.
pub fn aggregator(context: &Arc<RunContext>) -> Arc<dyn Step<TradeState>> {
    let context = Arc::clone(context);
    step(move |node: Context<TradeState>| {
        let context = Arc::clone(&context);
        async move {
            let cast = &context.cast;
            let failures: Vec<String> = cast
                .analysts()
                .iter()
                .filter_map(|r| {
                    node.state.text(*r).and_then(|t| t.failure.clone()).map(|f| format!("{r}: {f}"))
                })
                .collect();
            if failures.len() == cast.analysts().len() {
                return Err(StepError::new(format!("no analyst gave a report: {}", failures.join("; "))));
            }
            let asked = context.run.ledger.facts().tools;
            if !asked.is_empty() && !asked.iter().any(|tool| tool.tool.status == "ok") {
                return Err(StepError::new(format!(
                    "no report rests on data: none of {} tool calls gave any\nhint: see the tools in run.json; --data names another source",
                    asked.len()
                )));
            }
            Ok(Output::update(TradeUpdate::default()))
        }
    })
}

/// Turns the reports into a vector for the memory, beside the debate; the plan is the first to read lessons.
pub fn situation(context: &Arc<RunContext>) -> Arc<dyn Step<TradeState>> {
    let context = Arc::clone(context);
    step(move |node: Context<TradeState>| {
        let context = Arc::clone(&context);
        async move {
            if let (Some(recall), Some(embedder)) = (&context.recall, &context.embedder) {
                match embedder.embed(&recall::situation(&node.state)).await {
                    Ok(embedding) => recall.know(embedding),
                    Err(why) => {
                        context.run.ledger.warn(format!("situations are compared by their words: {why}"));
                    }
                }
            }
            Ok(Output::update(TradeUpdate::default()))
        }
    })
}

/// A role that reads other roles' texts and answers in one call.
pub fn reader(context: &Arc<RunContext>, role: Role) -> Arc<dyn Step<TradeState>> {
    let context = Arc::clone(context);
    step(move |node: Context<TradeState>| {
        let context = Arc::clone(&context);
        async move {
            let state = &node.state;
            context.run.staggered(&context.stagger, role.name()).await;
            context.ladder.step(role.name(), context.run.now());
            let ops = &context.run.ledger.ops;
            let built = ops.time("render prompt", || requests::reader(&context, role, state, node.visit));
            let request = built.booked(&context, role);
            let ask = Ask {
                role: role.name().into(),
                request: request.clone(),
                tool_rounds: 0,
                first_turn: node.visit,
            };
            // Polled after the call, whose request is under way by then.
            let meanwhile = async {
                // Behind the siblings' requests too.
                tokio::task::yield_now().await;
                ops.time("prompts ahead", || requests::ahead(&context, state));
                ops.time("trace numbers", || shares_read(&context, role, state, &request))
            };
            let (answer, read) = futures_util::future::join(agent::ask(&context.run, ask), meanwhile).await;
            let text = match answer {
                Ok(answer) => match finish(&context, role, &request, answer, node.visit + 1).await {
                    Ok(text) => text,
                    Err(error) => settle(role, error)?,
                },
                Err(error) => settle(role, error)?,
            };
            let agreed = role == Role::Judge && text.text.to_lowercase().contains("consensus: yes");
            let update = TradeUpdate::default().says(role, node.visit, text).read(role, read);
            if let Some(rounds) = context.cast.ends_round(role).filter(|rounds| *rounds > 1) {
                // A judge may end the debate before its last round; where nobody judges all rounds are spoken.
                let route = if agreed || node.visit >= rounds { "enough" } else { "again" };
                return Ok(Output::route(update, route));
            }
            Ok(Output::update(update))
        }
    })
}
