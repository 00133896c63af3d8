//! The work of each node: what the role reads, what it is asked, and what becomes of its answer.

use std::sync::{Arc, OnceLock};

use jiff::civil::Date;
use lacon_graph::{Context, Output, Step, StepError, step};
use lacon_llm::{
    Capabilities, Effort, Enough, Error, ErrorKind, Finish, Message, Request, ToolSpec, whole_sentences,
};
use lacon_monitor::{
    Action,
    signal::{self, Tagged},
};
use lacon_runtime::{Answer, Ask, Run, ToolError, agent, facts};

use crate::{
    Cast, Levers, Role,
    forms::AnswerForm,
    ladder::Ladder,
    material::{Shorts, Stated},
    merged,
    plan::Plan,
    prompts::{self, RoleFile},
    recall::{self, Embedder, Recall},
    requests::{self, Built},
    stagger::Stagger,
    state::{How, Text, ToolResult, TradeState, TradeUpdate, Verdict, data_update, talk_update, text_update},
};

/// What all steps of a run share.
pub struct Desk {
    /// The run.
    pub run: Arc<Run>,
    /// Which levers are on.
    pub levers: Levers,
    /// The ticker.
    pub ticker: String,
    /// The company's name, or the ticker.
    pub company: String,
    /// Sector and exchange as whole sentences; empty where they are not known.
    pub listing: String,
    /// The run's date.
    pub date: Date,
    /// Who it is about, once it was put together.
    pub identity: OnceLock<String>,
    /// The model of the analysts.
    pub quick_model: String,
    /// The model of all other roles.
    pub deep_model: String,
    /// Reasoning effort by role.
    pub effort: Vec<(Role, Effort)>,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Rounds of tool calls that an analyst may ask for.
    pub tool_rounds: u32,
    /// Who takes part and who reads whom.
    pub cast: Arc<Cast>,
    /// Models of single roles; they go before the other two.
    pub models: Vec<(Role, String)>,
    /// What every prompt holds.
    pub plan: Arc<Plan>,
    /// What is given up when the deadline nears.
    pub ladder: Ladder,
    /// What earlier decisions teach.
    pub recall: Option<Recall>,
    /// Who turns the situation into a vector; without one its words are compared.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Who waits for a sibling's first token.
    pub stagger: Stagger,
    /// Whether receipts hold the texts before and after a rewrite.
    pub keep_text: bool,
    /// The texts that prompts hold in a shorter form.
    pub shorts: Shorts,
    /// What the reports state.
    pub stated: Stated,
    /// What the tags of decision lines are drawn from; no text from outside may hold it.
    pub nonce: String,
}

impl Desk {
    /// Who it is about.
    pub fn identity(&self) -> &str {
        self.identity.get_or_init(|| {
            let name =
                if self.company == self.ticker { String::new() } else { format!(" ({})", self.company) };
            let listing = if self.listing.is_empty() { String::new() } else { format!(" {}", self.listing) };
            format!("{}: {}{name}.{listing} Date: {}.", self.cast.label(), self.ticker, self.date)
        })
    }

    /// The tag of a role's decision line: it stands in that role's instruction alone.
    pub fn tag(&self, role: Role) -> String {
        blake3::hash(format!("{}/{role}", self.nonce).as_bytes()).to_hex()[..6].to_owned()
    }

    /// The model that a role is asked with.
    pub fn model(&self, file: &RoleFile) -> &str {
        let own =
            self.models.iter().find(|(role, _)| role.name() == file.role).map(|(_, model)| model.as_str());
        let quick = file.model == "quick" || self.ladder.is_quick(&file.role);
        own.unwrap_or(if quick { &self.quick_model } else { &self.deep_model })
    }

    /// The form of the role's answer: that of its file, else a field for its decision where the endpoint binds answers
    /// to a schema.
    pub(crate) fn form(&self, role: Role) -> Option<AnswerForm> {
        let file = self.cast.file(role);
        let of_file = file.form.as_deref().and_then(AnswerForm::find);
        // Two answers in one call keep their headings.
        let is_merged = role == Role::Plan && self.cast.judge_in_plan(&self.levers);
        let takes_field = || {
            file.decides.is_some()
                && !is_merged
                && Capabilities::enforces_schema(&self.run.options.client.describe(), self.model(file))
        };
        of_file.or_else(|| takes_field().then_some(AnswerForm::Verdict))
    }

    /// The role's word limit; 0 for none.
    pub fn words(&self, role: Role) -> u32 {
        self.words_as(role, role)
    }

    /// The role's word limit in a call that is made `by` a role, whose nearness to the deadline counts.
    pub(crate) fn words_as(&self, role: Role, by: Role) -> u32 {
        if self.levers.has("word_limits") { self.ladder.words(by, self.plan.words(role)) } else { 0 }
    }

    /// Fills in what follows from the role: model limits, effort, temperature.
    pub(crate) fn prepare(&self, role: Role, request: &mut Request) {
        let file = self.cast.file(role);
        request.model = self.model(file).to_owned();
        request.temperature = self.temperature;
        request.effort = self.effort.iter().find(|(r, _)| *r == role).map(|(_, e)| *e);
        let words = self.words(role);
        if words > 0 {
            // The names of a form's fields and its quotes are no words of the answer.
            let frame = if self.form(role).is_some() { FORM_TOKENS } else { 0 };
            request.max_tokens = Some(prompts::max_tokens(words) + frame + reasoning_room(&request.model));
            let needs = file.sections.iter().map(|s| s.split('|').map(str::to_owned).collect()).collect();
            request.enough = Some(Enough { words, needs });
        }
    }

    pub(crate) fn tool_specs(&self, names: &[String]) -> Vec<ToolSpec> {
        names.iter().filter_map(|name| self.cast.agents().spec(name)).collect()
    }

    /// Enters in the ledger what was saved in a role's prompt, and hands the prompt on.
    pub(crate) fn booked(&self, role: Role, built: Built) -> Request {
        for (lever, tokens) in built.savings {
            self.run.ledger.saving(role.name(), lever, tokens);
        }
        built.receipts.into_iter().for_each(|receipt| self.run.ledger.receipt(receipt));
        built.request
    }
}

/// Room for hidden reasoning, which counts against an answer's bound.
pub(crate) fn reasoning_room(model: &str) -> u32 {
    if Capabilities::of(model).reasons() { 8_192 } else { 0 }
}

/// Tokens of a form's own signs in an answer.
const FORM_TOKENS: u32 = 80;

/// What an error of a role means for the run.
///
/// A wrong key or model fails every call alike: the run stops at once. Anything else costs this role's answer alone,
/// unless nothing can stand in for it.
pub(crate) fn settle(role: Role, error: Error) -> Result<Text, StepError> {
    let fatal = matches!(
        error.kind(),
        ErrorKind::Auth
            | ErrorKind::Quota
            | ErrorKind::NotFound
            | ErrorKind::Malformed(lacon_llm::Malformed::Html)
    );
    if fatal || !role.may_fail() {
        return Err(StepError::with_source(format!("{role}: {error}"), error));
    }
    Ok(Text { failure: Some(error.message().to_owned()), ..Text::default() })
}

/// Checks an answer against what was asked: asks once more when most of it is missing, and for the decision alone when
/// the role that decides states none.
pub(crate) async fn finish(
    desk: &Desk,
    role: Role,
    request: &Request,
    answer: Answer,
    turn: u32,
    read: Vec<(String, f64)>,
) -> Result<Text, Error> {
    let file = desk.cast.file(role);
    let mut turn = turn;
    let form = desk.form(role);
    let mut written = Written::new(file, form, &answer.text, answer.finish == Finish::Length);
    let most_missing = written.missing.len() * 2 > file.sections.len();
    if desk.levers.has("repair") && most_missing {
        let mut again = Request { messages: answer.messages.clone(), ..request.clone() };
        again.messages.push(Message::assistant(answer.text.clone()));
        let words = desk.words(role);
        let limit = if words > 0 { format!(" in at most {words} words") } else { String::new() };
        again.messages.push(Message::user(format!(
            "The answer lacks: {}. Write it again with these parts{limit}.",
            written.missing.join(", ")
        )));
        // A failed repair leaves the first answer in place.
        if let Ok(second) = agent::call(&desk.run, role.name(), turn, &mut again).await {
            let second = Written::new(file, form, &second.text, second.finish == Finish::Length);
            if second.missing.len() < written.missing.len() && !second.text.trim().is_empty() {
                written = second;
            }
        }
        turn += 1;
    }
    let Written { text, cut, mut missing, field } = written;
    let verdict = match field {
        Some(action) => {
            Some(Verdict { action, confidence: signal::stated_confidence(&text), how: How::Field })
        }
        None => verdict(desk, role, &text, request, turn).await,
    };
    let text = signal::without_tag(&text, &desk.tag(role));
    if (file.decides.is_some() || file.form.is_some()) && verdict.is_none() {
        missing.push("decision".into());
    }
    Ok(Text { failure: None, cut, missing, read, verdict, text })
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
    fn new(file: &RoleFile, form: Option<AnswerForm>, answer: &str, cut: bool) -> Self {
        let whole = form.filter(|_| cut).and_then(|form| form.whole(answer));
        let answer = whole.as_deref().unwrap_or(answer);
        let rendered = form.and_then(|form| form.render(answer));
        let field = form.and_then(|form| form.action(answer));
        // Half a figure is a wrong figure.
        let text = rendered.unwrap_or_else(|| if cut { whole_sentences(answer) } else { answer }.to_owned());
        Self { missing: prompts::missing_sections(file, &text), text, cut, field }
    }
}

/// What a role's text decides: its tagged line, else for the role that decides the answer to one question, else its own words.
async fn verdict(desk: &Desk, role: Role, text: &str, request: &Request, turn: u32) -> Option<Verdict> {
    let file = desk.cast.file(role);
    if role == Role::Signal {
        let action = signal::action_of(text.trim())?;
        return Some(Verdict { action, confidence: None, how: How::Asked });
    }
    if file.decides.is_none() && file.form.is_none() {
        return None;
    }
    let tag = desk.tag(role);
    let confidence = signal::stated_confidence(text);
    if let Tagged::States(action) = signal::tagged(text, &tag) {
        return Some(Verdict { action, confidence, how: How::Line });
    }
    if role == Role::RiskManager && !text.trim().is_empty() {
        let mut question = requests::decision(desk, role, text, request);
        // A failed question leaves the words of the text.
        if let Ok(answer) = agent::call(&desk.run, role.name(), turn, &mut question).await {
            let own_line =
                || signal::parse(&answer.text).filter(|_| answer.text.lines().count() <= 2).map(|s| s.action);
            let said = match signal::tagged(&answer.text, &tag) {
                Tagged::States(action) => Some(action),
                Tagged::Missing => own_line(),
                Tagged::Contradicts => None,
            };
            if let Some(action) = said {
                return Some(Verdict { action, confidence, how: How::Asked });
            }
        }
    }
    signal::parse(text).map(|found| Verdict { action: found.action, confidence, how: How::Prose })
}

/// How much of what a role reads stands in its prompt: each text's share of its numbers.
fn shares_read(desk: &Desk, role: Role, state: &TradeState, request: &Request) -> Vec<(String, f64)> {
    let prompts: Vec<&str> = request.messages.iter().map(|m| m.content.as_str()).collect();
    let said = |of: Role| state.text(of).filter(|text| text.failure.is_none());
    let reads = desk.cast.reads(role, &desk.levers).into_iter();
    reads
        .filter_map(|of| Some((of.name().to_owned(), facts::share_held(&said(of)?.text, &prompts))))
        .collect()
}

/// Asks the analyst which tools to call; the calls stay open.
pub fn analyst_call(desk: &Arc<Desk>, role: Role) -> Arc<dyn Step<TradeState>> {
    let desk = Arc::clone(desk);
    step(move |_: Context<TradeState>| {
        let desk = Arc::clone(&desk);
        async move {
            let request = requests::analyst_call(&desk, role);
            let ask = Ask { role: role.name().into(), request, tool_rounds: 0, first_turn: 1 };
            match agent::ask(&desk.run, ask).await {
                Ok(answer) => {
                    let mut talk = answer.messages;
                    talk.push(Message::assistant_calls(answer.text, answer.open_calls));
                    Ok(Output::update(talk_update(role, talk)))
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
    talk_update(role, vec![Message::user(format!("{FAILED}{reason}"))])
}

/// Marks a conversation whose first call failed; begins with a character that no prompt begins with.
const FAILED: &str = "\u{1}failed: ";

/// A tool's name with its arguments, or what is wrong with them.
type OpenCall = (String, Result<serde_json::Map<String, serde_json::Value>, String>);

/// Makes the analyst's open tool calls, or with `prefetch` the usual ones.
pub fn analyst_tools(desk: &Arc<Desk>, role: Role, prefetch: bool) -> Arc<dyn Step<TradeState>> {
    let desk = Arc::clone(desk);
    step(move |context: Context<TradeState>| {
        let desk = Arc::clone(&desk);
        async move {
            let calls: Vec<OpenCall> = if prefetch {
                desk.cast
                    .calls(role, &desk.ticker, &desk.company, desk.date)
                    .into_iter()
                    .map(|(name, arguments)| (name, Ok(arguments)))
                    .collect()
            } else {
                context
                    .state
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
            let run = &desk.run;
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
            Ok(Output::update(data_update(role, results)))
        }
    })
}

/// Has the analyst write its report from its data; it may ask for more.
pub fn analyst_report(desk: &Arc<Desk>, role: Role, prefetch: bool) -> Arc<dyn Step<TradeState>> {
    let desk = Arc::clone(desk);
    step(move |context: Context<TradeState>| {
        let desk = Arc::clone(&desk);
        async move {
            let state = &context.state;
            let core = state.data(role).into_iter().flatten().find(|r| r.unavailable);
            if let Some(core) = core {
                let text = Text { failure: Some(core.text.clone()), ..Text::default() };
                return Ok(Output::update(text_update(role, text)));
            }
            desk.ladder.step(&desk, role);
            let built = if prefetch {
                desk.run.ledger.ops.time("render prompt", || requests::analyst(&desk, role, state))
            } else {
                let talk = state.talk(role).cloned().unwrap_or_default();
                if let Some(reason) = talk.first().and_then(|m| m.content.strip_prefix(FAILED)) {
                    let text = Text { failure: Some(reason.to_owned()), ..Text::default() };
                    return Ok(Output::update(text_update(role, text)));
                }
                let results = state.data(role).map(Vec::as_slice).unwrap_or_default();
                requests::analyst_continued(&desk, role, talk, results)
            };
            let request = desk.booked(role, built);
            let first_turn = if prefetch { 1 } else { 2 };
            let ask = Ask {
                role: role.name().into(),
                request: request.clone(),
                tool_rounds: desk.tool_rounds,
                first_turn,
            };
            let text = match agent::ask(&desk.run, ask).await {
                Ok(answer) => {
                    match finish(&desk, role, &request, answer, first_turn + desk.tool_rounds + 1, vec![])
                        .await
                    {
                        Ok(text) => text,
                        Err(error) => settle(role, error)?,
                    }
                }
                Err(error) => settle(role, error)?,
            };
            Ok(Output::update(text_update(role, text)))
        }
    })
}

/// The join of the analysts: stops the run when none of them has anything.
pub fn aggregator(desk: &Arc<Desk>) -> Arc<dyn Step<TradeState>> {
    let desk = Arc::clone(desk);
    step(move |context: Context<TradeState>| {
        let desk = Arc::clone(&desk);
        async move {
            let cast = &desk.cast;
            let failures: Vec<String> = cast
                .analysts()
                .iter()
                .filter_map(|r| {
                    context.state.text(*r).and_then(|t| t.failure.clone()).map(|f| format!("{r}: {f}"))
                })
                .collect();
            if failures.len() == cast.analysts().len() {
                return Err(StepError::new(format!("no analyst gave a report: {}", failures.join("; "))));
            }
            let asked = desk.run.ledger.facts().tools;
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
pub fn situation(desk: &Arc<Desk>) -> Arc<dyn Step<TradeState>> {
    let desk = Arc::clone(desk);
    step(move |context: Context<TradeState>| {
        let desk = Arc::clone(&desk);
        async move {
            if let (Some(recall), Some(embedder)) = (&desk.recall, &desk.embedder) {
                match embedder.embed(&recall::situation(&context.state)).await {
                    Ok(embedding) => recall.know(embedding),
                    Err(why) => {
                        desk.run.ledger.warn(format!("situations are compared by their words: {why}"));
                    }
                }
            }
            Ok(Output::update(TradeUpdate::default()))
        }
    })
}

/// A role that reads other roles' texts and answers in one call.
pub fn reader(desk: &Arc<Desk>, role: Role) -> Arc<dyn Step<TradeState>> {
    let desk = Arc::clone(desk);
    step(move |context: Context<TradeState>| {
        let desk = Arc::clone(&desk);
        async move {
            let state = &context.state;
            let merged = role == Role::Plan && desk.cast.judge_in_plan(&desk.levers);
            if role == Role::Judge && desk.cast.research_rounds() == 1 && state.text(role).is_some() {
                // The plan's answer had its words.
                return Ok(Output::update(TradeUpdate::default()));
            }
            if let Some((first, most)) = desk.stagger.of(role) {
                desk.run.ledger.ops.wrap("wait for sibling", desk.run.heard(first.name(), most)).await;
            }
            desk.ladder.step(&desk, role);
            let ops = &desk.run.ledger.ops;
            let request = desk.booked(
                role,
                ops.time("render prompt", || requests::reader(&desk, role, state, context.visit)),
            );
            let ask = Ask {
                role: role.name().into(),
                request: request.clone(),
                tool_rounds: 0,
                first_turn: context.visit,
            };
            // Polled after the call, whose request is under way by then.
            let meanwhile = async {
                // Behind the siblings' requests too.
                tokio::task::yield_now().await;
                ops.time("prompts ahead", || requests::ahead(&desk, state));
                let sizes = merged.then(|| {
                    ops.time("count parts", || merged::sizes(&desk, state, context.visit, &request))
                });
                (ops.time("trace numbers", || shares_read(&desk, role, state, &request)), sizes)
            };
            let (answer, (read, sizes)) =
                futures_util::future::join(agent::ask(&desk.run, ask), meanwhile).await;
            if let Some(sizes) = sizes {
                let update = merged::both(&desk, state, context.visit, answer, read, sizes).await?;
                return Ok(Output::update(update));
            }
            let text = match answer {
                Ok(answer) => match finish(&desk, role, &request, answer, context.visit + 1, read).await {
                    Ok(text) => text,
                    Err(error) => settle(role, error)?,
                },
                Err(error) => settle(role, error)?,
            };
            let update = text_update(role, text.clone());
            if let Some(rounds) = desk.cast.ends_round(role).filter(|rounds| *rounds > 1) {
                // A judge may end the debate before its last round; where nobody judges all rounds are spoken.
                let agreed = role == Role::Judge && text.text.to_lowercase().contains("consensus: yes");
                let route = if agreed || context.visit >= rounds { "enough" } else { "again" };
                return Ok(Output::route(update, route));
            }
            Ok(Output::update(update))
        }
    })
}
