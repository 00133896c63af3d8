//! Answers in a given form: checked against the schema, repaired without a call if that is safe, else asked for once
//! more.
//!
//! Each step runs only if the one before failed: the answer as it is; the JSON in it, read tolerantly and with harmless
//! changes of type; one more call that shows the model the error; the answer as free text, with a warning. An endpoint
//! that refuses the schema parameter is asked again with the schema in the prompt. Every change is listed in the
//! answer's warnings.

use std::time::Duration;

use tokio::time::Instant;

pub use crate::form::{Fitted, Problem, closed, fit, whole_sentences};

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
