//! Answers in a given form: checked against the schema, repaired without a call if that is safe, else asked for once
//! more.
//!
//! Each step runs only if the one before failed: the answer as it is; the JSON in it, read tolerantly and with harmless
//! changes of type; one more call that shows the model the error; the answer as free text, with a warning. An endpoint
//! that refuses the schema parameter is asked again with the schema in the prompt. Every change is listed in the
//! answer's warnings.

mod json;
mod schema;

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

pub use schema::Problem;

use crate::client::{BoxFuture, Client, ClientInfo, StreamEvent};
use crate::error::{Error, ErrorKind, Malformed};
use crate::message::{Message, Role};
use crate::request::{JsonSchema, Request};
use crate::response::{Attempt, Outcome, Response};
use crate::traffic::Traffic;

/// Steers [`Structured`].
#[derive(Debug, Clone)]
pub struct StructuredOptions {
    /// Ask the model once more when its answer does not fit.
    pub repair: bool,
    /// Return an answer that still does not fit as free text; without it that is an error.
    pub free_text: bool,
}

impl Default for StructuredOptions {
    fn default() -> Self {
        Self { repair: true, free_text: true }
    }
}

/// JSON that fits a schema, and what was changed to make it fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The value.
    pub value: Value,
    /// Each change, such as `read "12.5" as a number at confidence`; empty when the text fits as it is.
    pub changes: Vec<String>,
}

/// Reads JSON that fits `schema` from a model's text, mending what can be mended without guessing.
pub fn fit(schema: &Value, text: &str) -> Result<Fitted, Vec<Problem>> {
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && !is_echo(schema, &value)
    {
        return schema::fit(schema, value).map(|(value, changes)| Fitted { value, changes });
    }
    let mut problems = None;
    for (mut value, mut notes) in json::candidates(text) {
        let is_echo = is_echo(schema, &value);
        if is_echo {
            // Some models fill in the schema instead of writing what it describes.
            value = value.get_mut("properties").map(Value::take).unwrap_or_default();
            notes.push("read the values inside the repeated schema".to_owned());
        }
        match schema::fit(schema, value) {
            Ok((value, changes)) => {
                notes.extend(changes);
                return Ok(Fitted { value, changes: notes });
            }
            Err(_) if is_echo => {
                let what = "the answer repeats the schema".to_owned();
                problems = problems.or(Some(vec![Problem { path: String::new(), what }]));
            }
            Err(found) => problems = problems.or(Some(found)),
        }
    }
    Err(problems
        .unwrap_or_else(|| vec![Problem { path: String::new(), what: "no json object found".to_owned() }]))
}

/// Whether an answer is the schema itself, with or without values in it.
fn is_echo(schema: &Value, answer: &Value) -> bool {
    let own = |key: &str| schema.pointer("/properties").and_then(|all| all.get(key)).is_some();
    !own("properties") && !own("type") && answer.get("properties").is_some_and(Value::is_object)
}

/// Closes a JSON text that was cut inside a string; `None` where what is there does not fit the schema.
pub fn closed(schema: &Value, cut: &str) -> Option<String> {
    let mut open = Vec::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in cut.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => drop(open.pop()),
            _ => {}
        }
    }
    if !in_string || escaped {
        return None;
    }
    let closed = format!("{}\"{}", cut.trim_end(), open.iter().rev().collect::<String>());
    let value = serde_json::from_str::<Value>(&closed).ok()?;
    schema::fit(schema, value).is_ok_and(|(_, changes)| changes.is_empty()).then_some(closed)
}

/// Closes an answer in a form that a token limit cut, behind the last whole sentence of the text it was cut in.
pub fn whole_sentences(schema: &Value, cut: &str) -> Option<String> {
    let begin = cut.char_indices().rev().filter(|(_, c)| *c == '"').find_map(|(at, _)| {
        let slashes = cut[..at].bytes().rev().take_while(|b| *b == b'\\').count();
        (slashes % 2 == 0).then_some(at + 1)
    })?;
    let mut readable = String::new();
    crate::enough::read_escapes(&cut[begin..], &mut readable);
    let end = begin + crate::whole_sentences(&readable).len();
    closed(schema, cut.get(..end)?)
}

/// Returns the words that ask for an answer in a form, for models that know no parameter for it.
pub fn instruction(format: &JsonSchema) -> String {
    format!(
        "Answer with one JSON object that fits this JSON Schema, and with nothing else:\n{}",
        format.schema
    )
}

/// Puts the instruction at the end of the last message of the user, where it does not disturb a shared start of prompts.
pub(crate) fn instruct(messages: &mut Vec<Message>, format: &JsonSchema) {
    match messages.iter_mut().rfind(|message| message.role == Role::User) {
        Some(message) => message.content = format!("{}\n\n{}", message.content, instruction(format)),
        None => messages.push(Message::user(instruction(format))),
    }
}

/// Checks the answers of the client it wraps when the request has a form; other requests pass untouched.
#[derive(Debug)]
pub struct Structured<C> {
    inner: C,
    options: StructuredOptions,
}

impl<C: Client> Structured<C> {
    /// Wraps a client.
    pub fn new(inner: C, options: StructuredOptions) -> Self {
        Self { inner, options }
    }

    async fn run(
        &self,
        request: &Request,
        format: &JsonSchema,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        let begin = Instant::now();
        let mut before = Vec::new();
        let mut warnings = Vec::new();
        let response = match self.inner.complete(request, on_event).await {
            Ok(response) => response,
            // A provider that has tried plainer ways by itself has made several attempts.
            Err(mut error) if error.kind() == ErrorKind::InvalidRequest && error.attempts().len() < 2 => {
                before.append(&mut error.take_attempts());
                warnings.push(format!(
                    "endpoint refused the answer's form, the prompt asks for it: {}",
                    error.message()
                ));
                on_event(StreamEvent::Restarted);
                let mut plain = rest(request, begin)?;
                plain.response_format = None;
                instruct(&mut plain.messages, format);
                match self.again(&plain, begin, on_event).await {
                    Ok(response) => response,
                    Err(error) => return Err(after(before, error)),
                }
            }
            Err(error) => return Err(error),
        };
        // Calls of tools come before the answer; a cut or filtered answer has a reason of its own.
        if !response.tool_calls.is_empty() || !matches!(response.finish, crate::Finish::Stop) {
            return Ok(done(response, before, warnings, begin));
        }
        let problems = match fit(&format.schema, &response.text) {
            Ok(fitted) => return Ok(done(mended(response, fitted), before, warnings, begin)),
            Err(problems) => problems,
        };
        let list = list(&problems);
        if !self.options.repair {
            return self.as_text(response, before, warnings, list, begin);
        }
        let mut ask = rest(request, begin)?;
        ask.messages.push(response.message());
        // The schema stands where it stood: in the request's parameter or, by the provider, behind this message.
        ask.messages.push(Message::user(format!(
            "Your answer does not fit the required form: {list}. Answer again, with the JSON object and nothing else."
        )));
        on_event(StreamEvent::Restarted);
        let kept = [before.clone(), failed(&response)].concat();
        match self.again(&ask, begin, on_event).await {
            Ok(second) => {
                warnings.push(format!("answer was asked for once more: {list}"));
                match fit(&format.schema, &second.text) {
                    Ok(fitted) => Ok(done(mended(second, fitted), kept, warnings, begin)),
                    Err(problems) => self.as_text(second, kept, warnings, self::list(&problems), begin),
                }
            }
            Err(error) if self.options.free_text => {
                warnings.push(format!("asking once more failed: {}", error.message()));
                let attempts = [before, error.attempts().to_vec()].concat();
                self.as_text(response, attempts, warnings, list, begin)
            }
            Err(error) => Err(after(kept, error)),
        }
    }

    /// Makes another call on the clock of the whole.
    async fn again(
        &self,
        request: &Request,
        begin: Instant,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        let offset = begin.elapsed();
        match self.inner.complete(request, on_event).await {
            Ok(mut response) => {
                response.attempts.iter_mut().for_each(|attempt| attempt.shift(offset));
                response.first_token = response.first_token.map(|first| first + offset);
                Ok(response)
            }
            Err(mut error) => {
                error.shift_attempts(offset);
                Err(error)
            }
        }
    }

    fn as_text(
        &self,
        response: Response,
        before: Vec<Attempt>,
        mut warnings: Vec<String>,
        list: String,
        begin: Instant,
    ) -> Result<Response, Error> {
        if self.options.free_text {
            warnings.push(format!("answer does not fit the required form and is free text: {list}"));
            return Ok(done(response, before, warnings, begin));
        }
        let kind = ErrorKind::Malformed(Malformed::Schema);
        let attempts = [before, failed(&response)].concat();
        Err(Error::new(kind, format!("answer does not fit the required form: {list}"))
            .with_attempts(attempts))
    }
}

/// Returns the request with the time that is left of its limit.
fn rest(request: &Request, begin: Instant) -> Result<Request, Error> {
    let mut request = request.clone();
    if let Some(timeout) = request.timeout {
        let left = timeout.saturating_sub(begin.elapsed());
        if left == Duration::ZERO {
            let message = format!("call took longer than its limit of {} s", timeout.as_secs_f64());
            return Err(Error::new(ErrorKind::Timeout(crate::Timeout::Total), message));
        }
        request.timeout = Some(left);
    }
    Ok(request)
}

/// The attempts of an answer that was not used; what they were billed stays.
fn failed(response: &Response) -> Vec<Attempt> {
    let mut attempts = response.attempts.clone();
    for attempt in attempts.iter_mut().filter(|attempt| attempt.outcome == Outcome::Answered) {
        attempt.outcome = Outcome::Failed(ErrorKind::Malformed(Malformed::Schema));
        attempt.error = Some("answer does not fit the required form".to_owned());
    }
    attempts
}

/// Puts earlier attempts before those of an error.
fn after(mut before: Vec<Attempt>, mut error: Error) -> Error {
    before.extend(error.take_attempts());
    error.with_attempts(before)
}

fn mended(mut response: Response, fitted: Fitted) -> Response {
    if !fitted.changes.is_empty() {
        response.text = fitted.value.to_string();
        response.warnings.push(format!("answer was mended: {}", fitted.changes.join("; ")));
    }
    response
}

fn done(mut response: Response, before: Vec<Attempt>, warnings: Vec<String>, begin: Instant) -> Response {
    response.attempts.extend(before);
    response.attempts.sort_by_key(|attempt| attempt.start);
    response.warnings.splice(0..0, warnings);
    response.elapsed = begin.elapsed();
    response
}

fn list(problems: &[Problem]) -> String {
    problems.iter().take(5).map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

impl<C: Client> Client for Structured<C> {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        match &request.response_format {
            Some(format) => Box::pin(self.run(request, format, on_event)),
            None => self.inner.complete(request, on_event),
        }
    }

    fn describe(&self) -> ClientInfo {
        self.inner.describe()
    }

    fn traffic(&self) -> Option<&Traffic> {
        self.inner.traffic()
    }
}
