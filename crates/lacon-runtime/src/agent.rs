//! The agent step: one place where an agent's call is made, with its tool rounds.

use std::{sync::OnceLock, time::Duration};

use lacon_llm::{
    Attempt, Cut, Error, ErrorKind, Finish, Malformed, Message, Outcome, Request, Response, Reuse,
    StreamEvent, Tags, ToolCall, ToolChoice, Usage, count_prompt,
};
use lacon_monitor::{
    CallFact, ToolFact, prices,
    record::{self},
};
use lacon_tokens::{EncodingName, ModelEncoding};
use serde_json::{Map, Value};

use crate::{
    Progress, Run, journal,
    tools::{Lookup, ToolCache, ToolError, ToolRequest, time_to_live},
};

/// What an agent is asked.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The role on the wire.
    pub role: String,
    /// The request; its tags are filled in.
    pub request: Request,
    /// How many rounds of tool calls are answered; the last call may not ask for tools.
    pub tool_rounds: u32,
    /// The turn that the first call counts as, from 1.
    pub first_turn: u32,
}

/// What an agent gave.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The last text.
    pub text: String,
    /// Whether the model stopped by itself.
    pub finish: Finish,
    /// The conversation with all tool calls and answers, the last answer not included.
    pub messages: Vec<Message>,
    /// Calls that the model asked for and nobody has answered: only with `tool_rounds` 0.
    pub open_calls: Vec<ToolCall>,
}

/// Asks a model until it answers in text, making the tool calls that it asks for.
///
/// An answer that asks for more tools is never taken for a report: the tools are called and the model is asked
/// again, up to `tool_rounds` times; the last time it may not call tools. Dropping the future cancels the call
/// under way.
///
/// # Errors
/// What the client says, and [`ErrorKind::Malformed`] when there is no text after the last round.
pub async fn ask(run: &Run, ask: Ask) -> Result<Answer, Error> {
    let mut request = ask.request;
    // Messages of the call before.
    let mut sent = 0_usize;
    for round in 0..=ask.tool_rounds {
        let last = round == ask.tool_rounds;
        if last && ask.tool_rounds > 0 {
            request.tool_choice = ToolChoice::None;
            if let (Reuse::Grows(_), Some(end)) = (&request.reuse, sent.checked_sub(1)) {
                // Nobody reads the end of the last call: it reads what the one before has left, and writes no more.
                request.reuse = Reuse::Siblings(vec![Cut::end_of(end)]);
            }
        }
        let response = call(run, &ask.role, ask.first_turn + round, &mut request).await?;
        sent = request.messages.len();
        if response.tool_calls.is_empty() || last {
            if response.text.trim().is_empty() && (response.tool_calls.is_empty() || ask.tool_rounds > 0) {
                return Err(Error::new(
                    ErrorKind::Malformed(lacon_llm::Malformed::Empty),
                    format!("{} gave no text in {} calls", ask.role, round + 1),
                ));
            }
            return Ok(Answer {
                text: response.text,
                finish: response.finish,
                messages: request.messages,
                open_calls: response.tool_calls,
            });
        }
        request.messages.push(response.message());
        let answers = answer_calls(run, &ask.role, &response.tool_calls).await;
        request.messages.extend(answers);
    }
    unreachable!("the last round returns")
}

/// Asks once more for what an answer lacks, in at most so many words where that is not 0; none where that fails, so that the
/// first answer stays. Tools go along: a conversation with tool calls is refused without them.
pub async fn again(
    run: &Run,
    role: &str,
    turn: u32,
    (request, answer): (&Request, &Answer),
    lacks: &[String],
    words: u32,
) -> Option<Response> {
    let mut again = Request { messages: answer.messages.clone(), ..request.clone() };
    again.messages.push(Message::assistant(answer.text.clone()));
    let limit = if words > 0 { format!(" in at most {words} words") } else { String::new() };
    let lacks = lacks.join(", ");
    again
        .messages
        .push(Message::user(format!("The answer lacks: {lacks}. Write it again with these parts{limit}.")));
    call(run, role, turn, &mut again).await.ok().filter(|second| !second.text.trim().is_empty())
}

/// Makes one model call and enters it in the ledger, whatever comes of it.
///
/// # Errors
/// What the client says; [`ErrorKind::Cancelled`] when the run's token budget is used up.
pub async fn call(run: &Run, role: &str, turn: u32, request: &mut Request) -> Result<Response, Error> {
    let options = &run.options;
    request.tags =
        Tags { run: options.run_id.clone(), role: role.to_owned(), labels: options.labels.clone() };
    let ops = &run.ledger.ops;
    let request = &*request;
    let digested = OnceLock::new();
    let digest = || digested.get_or_init(|| ops.time("digest", || request.digest())).clone();
    let key = || journal::call_key(role, turn, &digest());
    // Who goes on with nothing need not know what the call is named before it is made.
    if let Some(journal) = options.journal.as_ref().filter(|journal| journal.has_answers())
        && let Some(answered) = journal.answer(&key())
    {
        return Ok(answered);
    }
    let count = async {
        digest();
        let encoding = ops.wrap("vocabulary", options.counter.ready()).await;
        ops.time("count prompt", || count_prompt(request, encoding))
    };
    // Only a limit has to know the count before the call; else it is taken while the call is under way.
    let limited = options.budget_tokens > 0 || options.budget_micro_usd > 0;
    let (before, count) = if limited { (Some(count.await), None) } else { (None, Some(count)) };
    let counted = before.unwrap_or(0);
    let used = run.ledger.total_tokens();
    if options.budget_tokens > 0 && used + counted as u64 > options.budget_tokens {
        return Err(Error::new(
            ErrorKind::Cancelled,
            format!(
                "{role} needs {counted} prompt tokens, {used} of the run's budget of {} are used",
                options.budget_tokens
            ),
        )
        .with_hint("raise --budget-tokens"));
    }
    if options.budget_micro_usd > 0 {
        let spent = run.ledger.spent_micro_usd();
        let prompt = Usage { input: Some(counted as u64), ..Usage::default() };
        let needed = prices::cost(&request.model, &prompt).unwrap_or(0);
        if spent + needed > options.budget_micro_usd {
            let usd = |micro: u64| format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
            return Err(Error::new(
                ErrorKind::Cancelled,
                format!(
                    "{role}'s prompt costs {} USD, {} of the run's budget of {} USD are used",
                    usd(needed),
                    usd(spent),
                    usd(options.budget_micro_usd)
                ),
            )
            .with_hint("raise --budget-usd"));
        }
    }
    let start = run.now();
    run.progress(Progress::Calling { role: role.into(), turn });
    let streamed = std::sync::atomic::AtomicUsize::new(0);
    let first = OnceLock::new();
    let sent = OnceLock::new();
    let mut under_way = UnderWay {
        run,
        role,
        turn,
        request,
        start,
        counted: before,
        sent: &sent,
        first: &first,
        streamed: &streamed,
        is_over: false,
    };
    let on_event = |event: StreamEvent<'_>| match event {
        StreamEvent::Sent { .. } => drop(sent.set(run.now())),
        StreamEvent::FirstToken => drop(first.set(run.now())),
        StreamEvent::Delta(text) => {
            run.hear(role);
            let before = streamed.fetch_add(text.len(), std::sync::atomic::Ordering::Relaxed);
            run.progress(Progress::Streaming { role: role.into(), bytes: before + text.len() });
        }
        StreamEvent::Retrying { kind, .. } => {
            streamed.store(0, std::sync::atomic::Ordering::Relaxed);
            run.progress(Progress::Retrying { role: role.into(), reason: kind.as_str() });
        }
        StreamEvent::Restarted => streamed.store(0, std::sync::atomic::Ordering::Relaxed),
        _ => {}
    };
    let calling = async {
        let result = options.client.complete(request, &on_event).await;
        (result, run.now())
    };
    let ((result, end), counted) = match count {
        None => (calling.await, counted),
        // The call is polled first: its request is on its way when counting begins.
        Some(count) => futures_util::future::join(calling, count).await,
    };
    under_way.is_over = true;
    drop(under_way);
    run.hear(role);
    let mut result = result;
    if let Ok(response) = &mut result
        && response.usage.is_none()
        && (response.finish == Finish::WordLimit
            || response.attempts.iter().any(|a| a.outcome == Outcome::Answered && a.usage_estimate.is_some()))
    {
        // A stream that was closed has no usage from the provider, and one that cannot be true was ignored: our counts
        // stand in, marked as estimates.
        let encoding = options.counter.ready().await.encoding;
        let output = ops.time("count answer", || encoding.count(&response.text) as u64);
        if let Some(attempt) = response.attempts.iter_mut().rfind(|a| a.outcome == Outcome::Answered) {
            let known = attempt.usage_estimate.unwrap_or_default();
            let input = known.input.or(Some(counted as u64));
            attempt.usage_estimate = Some(Usage { input, output: known.output.max(Some(output)), ..known });
        }
    }
    match &result {
        Ok(response) => {
            learn(request, response, counted, options.counter.ready().await);
            response.warnings.iter().for_each(|w| run.ledger.warn(w.clone()));
            let mut fact = CallFact::answered(role, turn, start, digest(), Some(counted as u64), response);
            // The clock of the run is the one that the books are kept by.
            fact.call.end_s = end.as_secs_f64();
            if let Some(journal) = &options.journal {
                journal.call(key(), Some(response), &fact);
            }
            run.ledger.call(fact);
        }
        Err(error) => {
            let fact = CallFact::failed(role, turn, &request.model, (start, end), digest(), error);
            if let Some(journal) = &options.journal {
                journal.call(key(), None, &fact);
            }
            run.ledger.call(fact);
        }
    }
    let text = result.as_ref().map(|response| response.text.clone()).unwrap_or_default();
    run.progress(Progress::Answered { role: role.into(), total_tokens: run.ledger.total_tokens(), text });
    result
}

/// A call whose answer is waited for. A run that ends meanwhile, at its deadline or by Ctrl-C, drops it: its time is
/// model time, and what the provider has sent is billed.
struct UnderWay<'r> {
    run: &'r Run,
    role: &'r str,
    turn: u32,
    request: &'r Request,
    start: Duration,
    counted: Option<usize>,
    sent: &'r OnceLock<Duration>,
    first: &'r OnceLock<Duration>,
    streamed: &'r std::sync::atomic::AtomicUsize,
    is_over: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // A call that still waited for its turn has reached no model.
        let Some(sent) = self.sent.get().filter(|_| !self.is_over) else { return };
        let end = self.run.now();
        let received = self.streamed.load(std::sync::atomic::Ordering::Relaxed) as u64;
        let message = "the run ended before the answer";
        let attempt = Attempt {
            start: sent.saturating_sub(self.start),
            connected: None,
            first_token: self.first.get().map(|first| first.saturating_sub(self.start)),
            end: end.saturating_sub(self.start),
            status: self.first.get().map(|_| 200),
            outcome: Outcome::Failed(ErrorKind::Cancelled),
            error: Some(message.to_owned()),
            usage: None,
            usage_estimate: Some(Usage {
                input: self.counted.map(|n| n as u64),
                output: Some(received.div_ceil(4)),
                ..Usage::default()
            }),
            received,
            hedge: false,
        };
        let error = Error::new(ErrorKind::Cancelled, message).with_attempts(vec![attempt]);
        let (model, digest) = (&self.request.model, self.request.digest());
        self.run.ledger.call(CallFact::failed(
            self.role,
            self.turn,
            model,
            (self.start, end),
            digest,
            &error,
        ));
    }
}

/// Makes the calls of one round side by side and gives one tool message each, in their order.
///
/// A failed call becomes a message that says so, so that every call has its answer, as the providers require.
pub async fn answer_calls(run: &Run, role: &str, calls: &[ToolCall]) -> Vec<Message> {
    let pending = calls.iter().map(|call| async move {
        let text = match serde_json::from_str::<Map<String, Value>>(&call.arguments) {
            Ok(arguments) => fetch(run, role, &call.name, arguments, false).await,
            Err(error) => {
                Err(ToolError::BadRequest(format!("arguments of {} are no JSON object: {error}", call.name)))
            }
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => format!("no data: {error}"),
        };
        Message::tool(call.id.clone(), call.name.clone(), text)
    });
    futures_util::future::join_all(pending).await
}

/// Makes one tool call through the cache and enters it in the ledger.
///
/// # Errors
/// What the source says, and a time-out.
pub async fn fetch(
    run: &Run,
    role: &str,
    name: &str,
    arguments: Map<String, Value>,
    prefetch: bool,
) -> Result<String, ToolError> {
    let options = &run.options;
    let ops = &run.ledger.ops;
    let request = ToolRequest { name: name.into(), arguments, role: role.into() };
    let journal_key = format!("{role}/{}", ToolCache::key(&request));
    if let Some(text) = options.journal.as_ref().and_then(|journal| journal.text(&journal_key)) {
        return Ok(text.text);
    }
    let start = run.now();
    run.progress(Progress::ToolCalled { role: role.into(), tool: name.into() });
    let shared = options.shared.as_ref().filter(|cache| cache.applies(name));
    let key = || format!("{}/{}", options.tools.describe(), ToolCache::key(&request));
    let known = shared.and_then(|cache| ops.time("cache look-up", || cache.get(&key(), time_to_live(name))));
    let limit = options.tool_timeout;
    let result = match known {
        Some(text) => Ok((text, Lookup::Hit)),
        None => match tokio::time::timeout(limit, options.cache.call(&*options.tools, &request)).await {
            Ok(result) => result,
            Err(_) => Err(ToolError::TimedOut { name: name.into(), limit_s: limit.as_secs_f64() }),
        },
    };
    if let (Some(cache), Ok((text, Lookup::Miss))) = (shared, &result)
        && !text.no_data
    {
        cache.put(&key(), text);
    }
    let end: Duration = run.now();
    let cache = match &result {
        Ok((_, Lookup::Hit)) => "hit",
        _ if prefetch => "prefetch",
        _ => "miss",
    };
    let status = match &result {
        Ok((text, _)) if text.no_data => "no_data",
        Ok(_) => "ok",
        Err(error) => error.code(),
    };
    let tokens = match &result {
        Ok((text, _)) => {
            let encoding = ops.wrap("vocabulary", options.counter.ready()).await.encoding;
            Some(ops.time("count tool answer", || encoding.count(&text.text) as u64))
        }
        Err(_) => None,
    };
    let fact = ToolFact {
        tool: record::ToolCall {
            name: name.into(),
            role: role.into(),
            args: Value::Object(request.arguments.clone()),
            source: options.tools.describe(),
            start_s: start.as_secs_f64(),
            end_s: end.as_secs_f64(),
            cache: cache.into(),
            status: status.into(),
            tokens,
        },
    };
    if let Some(journal) = &options.journal {
        journal.tool(journal_key, result.as_ref().ok().map(|(text, _)| text), &fact);
    }
    run.ledger.tool(fact);
    result.map(|(text, _)| text.text)
}

/// Compares the count of a prompt with what the provider billed for it. An answer of several attempts has several bills.
fn learn(request: &Request, response: &Response, counted: usize, with: &ModelEncoding) {
    if with.encoding.name() != EncodingName::O200kBase.as_str() || response.attempts.len() > 1 {
        return;
    }
    let Some(billed) = response.usage.and_then(|usage| usage.prompt_total()) else { return };
    let plain =
        with.estimator.as_ref().map_or(counted, |known| (counted as f64 / known.factor).round() as usize);
    lacon_tokens::learn(&request.model, plain, billed);
}

/// Whether every other call of a run would fail as this one did: a wrong key, model or address.
pub fn is_fatal(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Auth | ErrorKind::Quota | ErrorKind::NotFound | ErrorKind::Malformed(Malformed::Html)
    )
}
