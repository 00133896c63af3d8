//! One attempt: send, wait within limits, read, and report exactly how it ended.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use tokio::time::{Instant, timeout_at};

use super::manners::Manner;
use super::{Fault, Form, Framing, Outgoing, Protocol, Provider, ProviderOptions, Reader};
use crate::capabilities::Capabilities;
use crate::client::StreamEvent;
use crate::enough::Watcher;
use crate::error::{Error, ErrorKind, Malformed, Timeout};
use crate::loops::{Ended, Loops};
use crate::refusal;
use crate::request::Request;
use crate::response::{Attempt, Finish, Outcome, Response, Usage};
use crate::sse::{Event, Framer};
use crate::traffic::Ticket;
use crate::transport::deepest;
use crate::watch::estimate;

/// Most bytes that are read of a refusal's body.
const MAX_REFUSAL: usize = 64 * 1024;
/// Most bytes that a request can have had whose size is not known.
const MOST_SENT: u64 = 1_000_000_000;
/// A call behind others at a server waits for its first token for this many times the limit at most.
const MOST_TURNS: u32 = 10;
/// How long the end of a body is waited for after the answer's own end, so that its connection can be used again.
const DRAIN: Duration = Duration::from_millis(2);

/// What is known of an attempt while it goes on.
struct Progress<'r> {
    begin: Instant,
    connected: Option<Duration>,
    first: Option<Duration>,
    status: Option<u16>,
    reader: Box<dyn Reader>,
    /// Watches for the end of an answer with a word limit.
    watcher: Option<Watcher<'r>>,
    /// Whether the stream was closed because the answer is long enough.
    is_enough: bool,
    loops: Loops,
    /// Why the stream of an answer without an end was closed.
    ended: Option<Ended>,
    ticket: Ticket<'r>,
}

impl Provider {
    /// Makes one attempt of a call.
    pub(super) async fn attempt(
        &self,
        request: &Request,
        manner: Manner,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        let begin = Instant::now();
        let capabilities = manner.capabilities(Capabilities::of(&request.model));
        let written = manner.request(request);
        let request = &*written;
        let wire = self.protocol.wire();
        let form = Form {
            stream: self.options.stream,
            stream_usage: self.options.stream_usage && manner.stream_usage(),
            context: self.facts.get().and_then(|facts| facts.context(&request.model)),
        };
        let mut outgoing = wire.encode(request, &capabilities, form)?;
        let mut warnings = std::mem::take(&mut outgoing.warnings);
        if !capabilities.is_known() {
            warnings.insert(
                0,
                format!(
                    "model {:?} is not in the capability table, plain rules are used",
                    quote(&request.model)
                ),
            );
        }
        warnings.iter().for_each(|warning| on_event(StreamEvent::Warning(warning)));
        let sent = outgoing.body.len() as u64;
        let message = self.message(request, outgoing)?;
        let reader = wire.reader(request, &capabilities);
        let enough = request.enough.as_ref().filter(|_| self.options.stream);
        let schema = request.response_format.as_ref().map(|format| &format.schema);
        let watcher = enough.map(|enough| Watcher::new(enough, schema));
        let mut progress = Progress {
            begin,
            connected: None,
            first: None,
            status: None,
            reader,
            watcher,
            is_enough: false,
            loops: Loops::new(request.max_tokens.is_some() || capabilities.is_known()),
            ended: None,
            ticket: self.traffic.send(),
        };
        on_event(StreamEvent::Sent { attempt: 1 });
        let result = self.exchange(message, &mut progress, on_event).await;
        let Progress { connected, first, status, reader, watcher, is_enough, loops, ended, ticket, .. } =
            progress;
        match &result {
            Ok(()) => ticket.answered(),
            Err(_) => drop(ticket),
        }
        let received = reader.received();
        let usage = reader.usage();
        let fault = usage.and_then(|usage| usage.fault(sent, received));
        let usage = usage.filter(|_| fault.is_none());
        // What was reported before an answer broke off is not the whole bill; what a whole but unusable one reports is.
        let is_final = result.is_ok() && !is_enough && ended.is_none();
        let closed = |finish, text| Ok(Response { finish, ..Response::new(String::new(), text) });
        let result = match (result, ended) {
            (Ok(()), Some(Ended::Loop(times))) => {
                warnings.push(format!("answer repeats its last part {times} times and was closed"));
                closed(Finish::Other("loop".to_owned()), loops.into_text())
            }
            (Ok(()), Some(Ended::TooLong)) => closed(Finish::Length, loops.into_text()),
            (Ok(()), None) if is_enough => {
                closed(Finish::WordLimit, watcher.map(Watcher::into_text).unwrap_or_default())
            }
            (Ok(()), None) => reader.finish(),
            (Err(error), _) => Err(error),
        };
        let end = begin.elapsed();
        let mut attempt = Attempt {
            start: Duration::ZERO,
            connected,
            first_token: first,
            end,
            status,
            outcome: Outcome::Answered,
            error: None,
            usage: usage.filter(|_| is_final),
            usage_estimate: None,
            received,
            hedge: false,
        };
        match result {
            Ok(mut response) => {
                if let Some(fault) = &fault {
                    response.usage = None;
                    warnings.push(format!("{} reports {fault}; that is ignored", self.name));
                    on_event(StreamEvent::Warning(warnings.last().map_or("", String::as_str)));
                }
                attempt.usage = response.usage;
                if is_enough || ended.is_some() || fault.is_some() {
                    // The usage comes with an answer's own end, which was not waited for.
                    let (known, guess) = (usage.unwrap_or_default(), estimate(received));
                    attempt.usage_estimate = Some(Usage { output: known.output.max(guess.output), ..known });
                }
                response.attempts = vec![attempt];
                response.first_token = first;
                response.elapsed = end;
                response.warnings.splice(0..0, warnings);
                if response.model.is_empty() {
                    response.model.clone_from(&request.model);
                }
                Ok(response)
            }
            Err(error) => {
                let error = self.cleaned(error);
                attempt.outcome = Outcome::Failed(error.kind());
                attempt.error = Some(error.message().to_owned());
                // Only an answer that had begun is billed; a refusal is not.
                let began = first.is_some() || status == Some(200);
                attempt.usage_estimate = (began && attempt.usage.is_none()).then(|| {
                    let (known, guess) = (usage.unwrap_or_default(), estimate(received));
                    Usage { output: known.output.max(guess.output), ..known }
                });
                Err(error.with_attempts(vec![attempt]))
            }
        }
    }

    /// Takes secrets out of an error's text.
    fn cleaned(&self, error: Error) -> Error {
        let message = self.redact(error.message());
        error.with_message(message)
    }

    fn message(&self, request: &Request, outgoing: Outgoing) -> Result<hyper::Request<Full<Bytes>>, Error> {
        let uri = self.endpoint.join(&outgoing.path, outgoing.query)?;
        let mut message =
            hyper::Request::post(uri).body(Full::new(Bytes::from(outgoing.body))).map_err(|error| {
                Error::new(ErrorKind::InvalidRequest, format!("request cannot be written: {error}"))
            })?;
        let headers = message.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept =
            if self.options.stream { "text/event-stream, application/json" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("lacon/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in outgoing.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if self.options.send_tags {
            let tags = &request.tags;
            for (name, value) in [("x-lacon-run", &tags.run), ("x-lacon-role", &tags.role)] {
                if !value.is_empty() {
                    headers.insert(HeaderName::from_static(name), tag_value(value));
                }
            }
            for (name, value) in &tags.labels {
                // A label whose name is no header's is not sent.
                if let Ok(name) = HeaderName::try_from(format!("x-lacon-{name}")) {
                    headers.insert(name, tag_value(value));
                }
            }
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        Ok(message)
    }

    async fn exchange(
        &self,
        message: hyper::Request<Full<Bytes>>,
        progress: &mut Progress<'_>,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<(), Error> {
        let begin = progress.begin;
        let sent = self.transport.send(message, &mut progress.connected);
        let answer = match self.first_part(begin, &progress.ticket, sent).await {
            Some(answer) => answer?,
            None => return Err(self.too_slow(Timeout::FirstToken, progress)),
        };
        let (head, mut body) = answer.into_parts();
        let shared = head.version == hyper::Version::HTTP_2;
        let status = head.status.as_u16();
        progress.status = Some(status);
        if head.status.is_redirection() {
            let to = head
                .headers
                .get("location")
                .and_then(|value| value.to_str().ok())
                .unwrap_or("an unknown address");
            let message = format!("{} answered {status}, a redirect to {}", self.name, refusal::quote(to));
            return Err(Error::new(ErrorKind::NotFound, message)
                .with_status(status)
                .with_hint("redirects are not followed, they could carry the key elsewhere; set the base url to the right address"));
        }
        if !head.status.is_success() {
            let bytes = self.read_refusal(&mut body, begin + self.options.first_token).await;
            return Err(self.refused(status, &head.headers, &bytes));
        }
        let mut input =
            Input::new(self.protocol.wire().framing(), self.options.max_event, self.options.max_answer);
        loop {
            let frame = match progress.first {
                Some(_) => tokio::time::timeout(self.options.idle, body.frame()).await.ok(),
                None => self.first_part(begin, &progress.ticket, body.frame()).await,
            };
            let Some(frame) = frame else {
                let which = if progress.first.is_some() { Timeout::Idle } else { Timeout::FirstToken };
                return Err(self.too_slow(which, progress));
            };
            let bytes = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => bytes,
                    Err(_trailers) => continue,
                },
                Some(Err(_)) if progress.reader.is_complete() => return Ok(()),
                Some(Err(error)) => {
                    return Err(self.cut(progress, &format!(": {}", deepest(&error))).with_source(error));
                }
                None => {
                    let rest = input.end(&head.headers)?;
                    self.take(rest, status, &head.headers, progress, on_event)?;
                    return if progress.reader.is_complete() { Ok(()) } else { Err(self.cut(progress, "")) };
                }
            };
            let items = input.push(&bytes, status)?;
            self.take(items, status, &head.headers, progress, on_event)?;
            if progress.is_enough || progress.ended.is_some() {
                return Ok(());
            }
            if progress.reader.is_done() {
                // HTTP/1.1: the body's end mostly lies in the same packet; without it the connection would be closed.
                if !shared {
                    let drain = async { while let Some(Ok(_)) = body.frame().await {} };
                    let _ = tokio::time::timeout(DRAIN, drain).await;
                }
                return Ok(());
            }
        }
    }

    /// Hands messages to the reader and passes on what it tells.
    fn take(
        &self,
        items: Vec<Item>,
        status: u16,
        headers: &HeaderMap,
        progress: &mut Progress<'_>,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<(), Error> {
        for item in items {
            let begin = progress.begin;
            let first = &mut progress.first;
            let (watcher, is_enough) = (&mut progress.watcher, &mut progress.is_enough);
            let (loops, ended, ticket) = (&mut progress.loops, &mut progress.ended, &progress.ticket);
            let seen = AtomicBool::new(first.is_some());
            let mut sink = |event: StreamEvent<'_>| {
                if !seen.swap(true, Ordering::Relaxed) {
                    *first = Some(begin.elapsed());
                    ticket.first();
                    on_event(StreamEvent::FirstToken);
                }
                on_event(event);
                if let StreamEvent::Delta(text) = event
                    && !*is_enough
                    && ended.is_none()
                {
                    *is_enough = watcher.as_mut().is_some_and(|watcher| watcher.push(text));
                    *ended = loops.push(text).filter(|_| !*is_enough);
                }
            };
            let result = match &item {
                Item::Message(event) => progress.reader.event(&event.name, &event.data, &mut sink),
                Item::Whole(body) => progress.reader.whole(body, &mut sink),
            };
            match result {
                Ok(()) => {}
                Err(Fault::Error(error)) => return Err(error.with_status(status)),
                Err(Fault::Refusal(body)) => return Err(self.refused(status, headers, &body)),
            }
            if progress.reader.is_done() || progress.is_enough || progress.ended.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Waits for what comes before the first part of the answer; `None` when that takes too long.
    ///
    /// The time counts from when the server was free for the call, and never for more than [`MOST_TURNS`] times its
    /// limit.
    async fn first_part<T>(
        &self,
        begin: Instant,
        ticket: &Ticket<'_>,
        part: impl Future<Output = T>,
    ) -> Option<T> {
        let wait = self.options.first_token;
        let last = begin + wait.saturating_mul(MOST_TURNS);
        let mut part = pin!(part);
        let mut limit = begin + wait;
        loop {
            if let Ok(part) = timeout_at(limit, part.as_mut()).await {
                return Some(part);
            }
            let now = Instant::now();
            let free = ticket.worked_on_since().unwrap_or(now);
            limit = (free + wait).min(last);
            if limit <= now {
                return None;
            }
        }
    }

    async fn read_refusal(&self, body: &mut Incoming, first_limit: Instant) -> Vec<u8> {
        let limit = first_limit.min(Instant::now() + self.options.idle);
        let mut bytes = Vec::new();
        while let Ok(Some(Ok(frame))) = timeout_at(limit, body.frame()).await {
            if let Some(data) = frame.data_ref() {
                let room = MAX_REFUSAL - bytes.len();
                bytes.extend_from_slice(&data[..data.len().min(room)]);
            }
            if bytes.len() == MAX_REFUSAL {
                break;
            }
        }
        bytes
    }

    fn refused(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Error {
        let error = refusal::refusal(&self.name, status, headers, body);
        if error.kind() == ErrorKind::Auth && !self.has_key() {
            return error.with_hint("no api key is set");
        }
        if error.kind() == ErrorKind::InvalidRequest && error.message().contains("stream_options") {
            return error
                .with_hint("this endpoint refuses to report the usage of a stream; turn stream_usage off");
        }
        error
    }

    fn cut(&self, progress: &Progress<'_>, cause: &str) -> Error {
        let bytes = progress.reader.received();
        let message = format!("{}'s answer was cut after {bytes} bytes of text{cause}", self.name);
        with_status(Error::new(ErrorKind::Malformed(Malformed::CutStream), message), progress.status)
    }

    fn too_slow(&self, which: Timeout, progress: &Progress<'_>) -> Error {
        let message = match which {
            Timeout::Idle => format!(
                "{}'s answer stood still for {} s after {} bytes of text",
                self.name,
                self.options.idle.as_secs_f64(),
                progress.reader.received()
            ),
            _ => format!("{} sent no answer within {} s", self.name, self.options.first_token.as_secs_f64()),
        };
        let hint = match which {
            Timeout::Idle => "raise llm.idle_timeout_s if the model is slow",
            _ => "raise llm.first_token_timeout_s if the model is slow, or lower llm.max_concurrent",
        };
        with_status(Error::new(ErrorKind::Timeout(which), message).with_hint(hint), progress.status)
    }
}

impl Protocol {
    /// Reads a recorded body of an answer with status 200, in the parts in which it came; needs no endpoint and no runtime.
    pub fn read<'b>(
        self,
        request: &Request,
        parts: impl IntoIterator<Item = &'b [u8]>,
        on_event: &dyn Fn(StreamEvent<'_>),
    ) -> Result<Response, Error> {
        let wire = self.wire();
        let options = ProviderOptions::default();
        let mut reader = wire.reader(request, &Capabilities::of(&request.model));
        let mut input = Input::new(wire.framing(), options.max_event, options.max_answer);
        let take = |reader: &mut Box<dyn Reader>, items: Vec<Item>| {
            for item in items {
                if reader.is_done() {
                    break;
                }
                let mut sink = |event: StreamEvent<'_>| on_event(event);
                let result = match &item {
                    Item::Message(event) => reader.event(&event.name, &event.data, &mut sink),
                    Item::Whole(body) => reader.whole(body, &mut sink),
                };
                result.map_err(|fault| match fault {
                    Fault::Error(error) => error,
                    Fault::Refusal(body) => refusal::refusal(self.name(), 200, &HeaderMap::new(), &body),
                })?;
            }
            Ok::<_, Error>(())
        };
        for part in parts {
            let items = input.push(part, 200)?;
            take(&mut reader, items)?;
        }
        if !reader.is_done() {
            let items = input.end(&HeaderMap::new())?;
            take(&mut reader, items)?;
        }
        if !reader.is_complete() {
            let message = format!("answer was cut after {} bytes of text", reader.received());
            return Err(Error::new(ErrorKind::Malformed(Malformed::CutStream), message));
        }
        let received = reader.received();
        let mut response = reader.finish()?;
        // What was sent is not known here.
        if let Some(fault) = response.usage.and_then(|usage| usage.fault(MOST_SENT, received)) {
            response.usage = None;
            response.warnings.push(format!("{} reports {fault}; that is ignored", self.name()));
        }
        Ok(response)
    }
}

fn with_status(error: Error, status: Option<u16>) -> Error {
    match status {
        Some(status) => error.with_status(status),
        None => error,
    }
}

/// A tag may hold anything; what a header cannot carry becomes `?`.
fn tag_value(value: &str) -> HeaderValue {
    let safe: String =
        value.chars().take(200).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    HeaderValue::from_str(safe.trim()).unwrap_or(HeaderValue::from_static("?"))
}

fn quote(model: &str) -> String {
    model.chars().take(80).collect()
}

/// A message for the reader.
enum Item {
    Message(Event),
    Whole(Vec<u8>),
}

/// Cuts a body into messages; finds out by its first byte whether it is a stream at all.
struct Input {
    framing: Framing,
    framer: Framer,
    max_event: usize,
    max_answer: usize,
    total: usize,
    kind: Option<BodyKind>,
    /// The start of the body, or the whole of one that is no stream, or the line that has begun.
    held: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyKind {
    Events,
    Lines,
    Whole,
}

impl Input {
    fn new(framing: Framing, max_event: usize, max_answer: usize) -> Self {
        let framer = Framer::new(max_event);
        Self { framing, framer, max_event, max_answer, total: 0, kind: None, held: Vec::new() }
    }

    fn push(&mut self, bytes: &[u8], status: u16) -> Result<Vec<Item>, Error> {
        self.total += bytes.len();
        if self.total > self.max_answer {
            return Err(too_large("answer", self.max_answer));
        }
        let kind = match self.kind {
            Some(kind) => kind,
            None => {
                self.held.extend_from_slice(bytes);
                let start = self.held.trim_ascii_start();
                const MARK: &[u8] = b"\xef\xbb\xbf";
                if start.len() < MARK.len() && MARK.starts_with(start) {
                    return Ok(Vec::new());
                }
                let start = start.strip_prefix(MARK).unwrap_or(start);
                let kind = match (start.first(), self.framing) {
                    (None, _) => return Ok(Vec::new()),
                    (Some(b'<'), _) => return Err(page(&self.held, status)),
                    (Some(_), Framing::Lines) => BodyKind::Lines,
                    (Some(b'{' | b'['), Framing::Sse) => BodyKind::Whole,
                    (Some(_), Framing::Sse) => BodyKind::Events,
                };
                self.kind = Some(kind);
                let held = std::mem::take(&mut self.held);
                return self.feed(kind, &held);
            }
        };
        self.feed(kind, bytes)
    }

    fn feed(&mut self, kind: BodyKind, bytes: &[u8]) -> Result<Vec<Item>, Error> {
        match kind {
            BodyKind::Whole => {
                self.held.extend_from_slice(bytes);
                Ok(Vec::new())
            }
            BodyKind::Events => {
                self.framer.push(bytes).map_err(|error| too_large("event", error.limit))?;
                Ok(std::iter::from_fn(|| self.framer.next_event()).map(Item::Message).collect())
            }
            BodyKind::Lines => {
                let mut items = Vec::new();
                for part in bytes.split_inclusive(|&byte| byte == b'\n') {
                    if self.held.len() + part.len() > self.max_event {
                        return Err(too_large("event", self.max_event));
                    }
                    self.held.extend_from_slice(part);
                    if part.ends_with(b"\n") {
                        items.extend(line(&std::mem::take(&mut self.held)));
                    }
                }
                Ok(items)
            }
        }
    }

    /// Returns what the end of the body completes. An event of a stream that no blank line ended is not taken: it may be cut.
    fn end(&mut self, headers: &HeaderMap) -> Result<Vec<Item>, Error> {
        let held = std::mem::take(&mut self.held);
        match self.kind {
            Some(BodyKind::Whole) => Ok(vec![Item::Whole(held)]),
            Some(BodyKind::Lines) => Ok(line(&held).into_iter().collect()),
            Some(BodyKind::Events) => Ok(Vec::new()),
            None => {
                let kind = headers
                    .get(CONTENT_TYPE)
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or("no content type");
                Err(Error::new(
                    ErrorKind::Malformed(Malformed::Empty),
                    format!("answer has no body ({})", quote(kind)),
                ))
            }
        }
    }
}

fn line(bytes: &[u8]) -> Option<Item> {
    let bytes = bytes.trim_ascii();
    (!bytes.is_empty()).then(|| Item::Message(Event { name: Vec::new(), data: bytes.to_vec() }))
}

fn too_large(what: &str, limit: usize) -> Error {
    Error::new(ErrorKind::Malformed(Malformed::TooLarge), format!("{what} is larger than {limit} bytes"))
}

fn page(body: &[u8], status: u16) -> Error {
    let title = refusal::page_title(body);
    let title = if title.is_empty() { String::new() } else { format!(" titled {title:?}") };
    Error::new(
        ErrorKind::Malformed(Malformed::Html),
        format!("endpoint answered {status} with a web page{title}"),
    )
    .with_status(status)
    .with_hint("check the base url: it should end in the api's path, such as /v1")
}
