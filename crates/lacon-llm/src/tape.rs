//! Records model and tool calls to a file and replays them byte for byte, without a network.
//!
//! A call is found by the digest of its request, so a tape survives any change of order and timing. A request that was
//! made several times is answered in the order of the recording. Recording never costs an answer: if the file cannot be
//! written, the answer is returned with a warning, and [`Tape::trouble`] tells the run.

mod diff;
mod line;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

pub use diff::Miss;
use line::{Answer, Line, LlmLine, ToolLine, digest_of_tool};

use crate::client::{BoxFuture, Client, ClientInfo, StreamEvent};
use crate::error::{Error, ErrorKind};
use crate::request::Request;
use crate::response::{Attempt, Outcome, Response};
use crate::secret::Secret;

/// Longest line of a tape.
const MAX_LINE: u64 = 64 << 20;

/// What a tape does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TapeMode {
    /// Makes each call and writes it down.
    Record,
    /// Answers from the tape; a call that is not on it is an error.
    Strict,
    /// Answers from the tape; a call that is not on it is made, but not written down.
    Lenient,
    /// Answers from the tape; a call that is not on it is made and added.
    Patch,
}

/// Steers a [`Tape`].
#[derive(Debug, Clone, Default)]
pub struct TapeOptions {
    /// Values that must not reach the file; each is replaced wherever it occurs.
    pub secrets: Vec<Secret>,
    /// Let a recording replace a file that is not empty.
    pub overwrite: bool,
    /// What the requests of a recording are tagged with; [`Tape::nonce`] gives it back when the tape is played.
    pub nonce: String,
    /// Share of the recorded time that playing back takes; 0 answers at once, 1 at the recorded speed.
    pub pace: f64,
}

/// An open tape, shared by the clients and tools of a run.
#[derive(Debug)]
pub struct Tape {
    path: PathBuf,
    mode: TapeMode,
    options: TapeOptions,
    opened: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    info: Option<ClientInfo>,
    nonce: String,
    llm: HashMap<String, VecDeque<LlmLine>>,
    tools: HashMap<String, VecDeque<ToolLine>>,
    /// Requests that were played, kept for the diff of later misses.
    asked: Vec<Arc<Request>>,
    /// Digests that were on the tape at the start.
    known: HashSet<String>,
    trouble: Option<String>,
    warnings: Vec<String>,
}

impl Tape {
    /// Opens a tape; records to a new file, or reads an old one whole.
    pub fn open(path: &Path, mode: TapeMode, options: TapeOptions) -> Result<Self, Error> {
        let mut state = State::default();
        let failed = |what: &str, error: &std::io::Error| {
            Error::new(ErrorKind::Io, format!("tape {} cannot be {what}: {error}", path.display()))
        };
        if mode == TapeMode::Record {
            let old = std::fs::metadata(path).map_or(0, |meta| meta.len());
            if old > 0 && !options.overwrite {
                let message = format!("tape {} holds {old} bytes already", path.display());
                return Err(Error::new(ErrorKind::Io, message)
                    .with_hint("name another file, delete this one, or replay it"));
            }
            state.file = Some(File::create(path).map_err(|error| failed("written", &error))?);
        } else {
            let file = File::open(path).map_err(|error| {
                let error = failed("read", &error);
                error.with_hint("record one first")
            })?;
            let end = read(&mut state, BufReader::new(file), path)?;
            if mode == TapeMode::Patch {
                let mut file =
                    OpenOptions::new().append(true).open(path).map_err(|error| failed("written", &error))?;
                // A line that was cut would hide behind the next one.
                file.set_len(end.bytes).map_err(|error| failed("written", &error))?;
                if !end.newline {
                    file.write_all(b"\n").map_err(|error| failed("written", &error))?;
                }
                state.file = Some(file);
            }
        }
        Ok(Self { path: path.to_owned(), mode, options, opened: Instant::now(), state: Mutex::new(state) })
    }

    /// Returns what the tape does with calls.
    pub fn mode(&self) -> TapeMode {
        self.mode
    }

    /// Returns what the requests on the tape are tagged with: drawn for a recording, read from a tape that is played.
    pub fn nonce(&self) -> String {
        if self.mode == TapeMode::Record { self.options.nonce.clone() } else { self.lock().nonce.clone() }
    }

    /// Returns what reading the tape warned of, such as a last line that was cut.
    pub fn warnings(&self) -> Vec<String> {
        self.lock().warnings.clone()
    }

    /// Returns why the tape could not be written, if that happened.
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// Returns how many recorded model and tool calls were not asked for yet.
    pub fn left(&self) -> usize {
        let state = self.lock();
        state.llm.values().map(VecDeque::len).sum::<usize>()
            + state.tools.values().map(VecDeque::len).sum::<usize>()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Plays or makes a tool call. `call` is only run when the tape has no answer and the mode allows it.
    ///
    /// Dropping the future drops `call`; nothing is written then.
    pub async fn tool<F, E>(&self, name: &str, arguments: &Value, call: F) -> Result<Result<String, E>, Error>
    where
        F: Future<Output = Result<String, E>>,
        E: std::fmt::Display + From<String>,
    {
        let arguments: Value = self.redacted(arguments);
        let digest = digest_of_tool(name, &arguments);
        if self.mode != TapeMode::Record {
            let found = self.lock().tools.get_mut(&digest).and_then(VecDeque::pop_front);
            if let Some(line) = found {
                self.pace(line.elapsed_ms).await;
                return Ok(match (line.result, line.error) {
                    (Some(text), _) => Ok(text),
                    (None, error) => Err(E::from(error.unwrap_or_default())),
                });
            }
            if self.mode == TapeMode::Strict {
                let message =
                    format!("tape {} has no answer of tool {name} to {arguments}", self.path.display());
                return Err(
                    Error::new(ErrorKind::TapeMiss, message).with_hint("record the tape anew, or patch it")
                );
            }
        }
        let begin = Instant::now();
        let result = call.await;
        if self.mode != TapeMode::Lenient {
            let (text, error) = match &result {
                Ok(text) => (Some(text.clone()), None),
                Err(error) => (None, Some(error.to_string())),
            };
            self.write(&Line::Tool(ToolLine {
                digest,
                name: name.to_owned(),
                arguments,
                result: text,
                error,
                elapsed_ms: millis(begin.elapsed()),
            }));
        }
        Ok(result)
    }

    /// Finds the recorded answer to a request.
    fn play(&self, request: &Request, digest: &str) -> Result<LlmLine, Option<Miss>> {
        let mut state = self.lock();
        let found = state.llm.get_mut(digest).and_then(VecDeque::pop_front);
        if let Some(line) = found {
            state.asked.push(Arc::clone(&line.request));
            return Ok(line);
        }
        if state.known.contains(digest) {
            return Err(None);
        }
        let left = state.llm.values().flatten().map(|line| &*line.request);
        let candidates = left.chain(state.asked.iter().map(|request| &**request));
        Err(diff::nearest(request, candidates))
    }

    fn missed(&self, request: &Request, miss: Option<Miss>) -> Error {
        let role =
            if request.tags.role.is_empty() { String::new() } else { format!(" by {}", request.tags.role) };
        let path = self.path.display();
        let message = match miss {
            None => format!("call{role} is on tape {path}, but was recorded fewer times than it is asked"),
            Some(miss) => format!("call{role} is not on tape {path}; {miss}"),
        };
        Error::new(ErrorKind::TapeMiss, message).with_hint("record the tape anew, or patch it")
    }

    fn write(&self, line: &Line) {
        let text = match serde_json::to_string(line) {
            Ok(text) => self.redact(text),
            Err(error) => return self.lock().note(format!("call cannot be written as json: {error}")),
        };
        let mut state = self.lock();
        if state.trouble.is_some() {
            return;
        }
        let Some(file) = &mut state.file else { return };
        if let Err(error) = file.write_all(format!("{text}\n").as_bytes()) {
            let note =
                format!("tape {} cannot be written, the recording stops: {error}", self.path.display());
            state.note(note);
        }
    }

    fn redact(&self, text: String) -> String {
        self.options.secrets.iter().filter(|secret| !secret.is_empty()).fold(text, |text, secret| {
            let escaped = Value::from(secret.expose()).to_string();
            let escaped = Secret::new(escaped.trim_matches('"'));
            secret.redact(&escaped.redact(&text))
        })
    }

    /// Returns a value without secrets. Digests are made of it, so that a tape replays under another key.
    fn redacted<T: Clone + serde::Serialize + serde::de::DeserializeOwned>(&self, value: &T) -> T {
        if self.options.secrets.is_empty() {
            return value.clone();
        }
        let Ok(text) = serde_json::to_string(value) else { return value.clone() };
        let clean = self.redact(text.clone());
        if clean == text {
            value.clone()
        } else {
            serde_json::from_str(&clean).unwrap_or_else(|_| value.clone())
        }
    }

    async fn pace(&self, recorded_ms: u64) {
        if self.options.pace > 0.0 {
            tokio::time::sleep(Duration::from_millis(recorded_ms).mul_f64(self.options.pace.min(1e3))).await;
        }
    }
}

impl State {
    fn note(&mut self, trouble: String) {
        self.trouble.get_or_insert(trouble);
    }
}

/// Where the readable part of a tape ends.
struct End {
    bytes: u64,
    newline: bool,
}

/// Reads all lines.
fn read(state: &mut State, mut reader: impl BufRead, path: &Path) -> Result<End, Error> {
    let mut n = 0u64;
    let mut end = End { bytes: 0, newline: true };
    loop {
        n += 1;
        let mut bytes = Vec::new();
        let size =
            std::io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut bytes).map_err(|error| {
                Error::new(ErrorKind::Io, format!("tape {} cannot be read: {error}", path.display()))
            })?;
        if size == 0 {
            return Ok(end);
        }
        let whole = bytes.ends_with(b"\n");
        let after = End { bytes: end.bytes + size as u64, newline: whole };
        if bytes.trim_ascii().is_empty() {
            end = after;
            continue;
        }
        match serde_json::from_slice(&bytes) {
            Ok(Line::Tape { version, provider, base_url, simulated, nonce }) => {
                state.nonce = nonce;
                if version != line::VERSION {
                    let message =
                        format!("tape {} has version {version}, this is {}", path.display(), line::VERSION);
                    return Err(Error::new(ErrorKind::Io, message).with_hint("record it anew"));
                }
                state.info = Some(ClientInfo { provider, base_url, simulated });
            }
            Ok(Line::Llm(llm)) => {
                state.known.insert(llm.digest.clone());
                state.llm.entry(llm.digest.clone()).or_default().push_back(*llm);
            }
            Ok(Line::Tool(tool)) => state.tools.entry(tool.digest.clone()).or_default().push_back(tool),
            Err(error) if whole => {
                let message = format!("tape {} line {n} is not a recorded call: {error}", path.display());
                return Err(
                    Error::new(ErrorKind::Io, message).with_hint("delete the line, or record the tape anew")
                );
            }
            Err(_) => {
                state
                    .warnings
                    .push(format!("tape {} ends in line {n} that was cut and is left out", path.display()));
                return Ok(end);
            }
        }
        end = after;
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A client behind a tape.
#[derive(Debug)]
pub struct Taped<C> {
    inner: Option<C>,
    tape: Arc<Tape>,
}

impl<C: Client> Taped<C> {
    /// Records the calls of `inner`, or plays the tape and makes only the calls that its mode allows.
    pub fn new(inner: C, tape: Arc<Tape>) -> Self {
        let info = inner.describe();
        if tape.mode == TapeMode::Record && tape.lock().info.replace(info.clone()).is_none() {
            tape.write(&Line::Tape {
                version: line::VERSION,
                provider: info.provider,
                base_url: info.base_url,
                simulated: info.simulated,
                nonce: tape.nonce(),
            });
        }
        Self { inner: Some(inner), tape }
    }

    async fn run(
        &self,
        request: &Request,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        let clean = self.tape.redacted(request);
        let digest = clean.digest();
        let mut missed = None;
        if self.tape.mode != TapeMode::Record {
            match self.tape.play(&clean, &digest) {
                Ok(line) => return self.replay(line, on_event).await,
                Err(miss) => {
                    let error = self.tape.missed(request, miss);
                    if self.tape.mode == TapeMode::Strict {
                        return Err(error);
                    }
                    on_event(StreamEvent::Warning(error.message()));
                    missed = Some(error);
                }
            }
        }
        let Some(inner) = &self.inner else {
            return Err(missed.unwrap_or_else(|| {
                Error::new(ErrorKind::TapeMiss, "a tape cannot record without a client")
            }));
        };
        let at_ms = Some(millis(self.tape.opened.elapsed()));
        let mut result = inner.complete(request, on_event).await;
        if self.tape.mode != TapeMode::Lenient {
            let answer = Answer::of(&result);
            self.tape.write(&Line::Llm(Box::new(LlmLine {
                digest,
                at_ms,
                request: Arc::new(clean),
                answer,
            })));
            if let (Ok(response), Some(trouble)) = (&mut result, self.tape.trouble()) {
                response.warnings.push(trouble);
            }
        }
        result
    }

    async fn replay(
        &self,
        line: LlmLine,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        let begin = Instant::now();
        on_event(StreamEvent::Sent { attempt: 1 });
        let first_ms =
            line.answer.first_token_ms.unwrap_or(line.answer.elapsed_ms).min(line.answer.elapsed_ms);
        self.tape.pace(first_ms).await;
        let first = begin.elapsed();
        let mut result = line.answer.into_result();
        if let Ok(response) = &result {
            on_event(StreamEvent::FirstToken);
            for call in &response.tool_calls {
                on_event(StreamEvent::ToolCall(&call.name));
            }
            if !response.text.is_empty() {
                on_event(StreamEvent::Delta(&response.text));
            }
        }
        self.tape.pace(line_rest(&result, first_ms)).await;
        let end = begin.elapsed();
        let mut attempt = Attempt {
            start: Duration::ZERO,
            connected: None,
            first_token: None,
            end,
            status: None,
            outcome: Outcome::Answered,
            error: None,
            usage: None,
            usage_estimate: None,
            received: 0,
            hedge: false,
        };
        match &mut result {
            Ok(response) => {
                attempt.first_token = Some(first);
                attempt.usage = response.usage;
                attempt.received = response.text.len() as u64;
                response.first_token = Some(first);
                response.elapsed = end;
                response.attempts = vec![attempt];
            }
            Err(error) => {
                attempt.outcome = Outcome::Failed(error.kind());
                attempt.error = Some(error.message().to_owned());
                error.set_attempts(vec![attempt]);
            }
        }
        result
    }
}

fn line_rest(result: &Result<Response, Error>, first_ms: u64) -> u64 {
    result.as_ref().map_or(0, |response| millis(response.elapsed).saturating_sub(first_ms))
}

impl Taped<Arc<dyn Client>> {
    /// Plays a tape with no client behind it: what is not on the tape is an error in every mode.
    pub fn replay_only(tape: Arc<Tape>) -> Self {
        Self { inner: None, tape }
    }
}

impl<C: Client> Client for Taped<C> {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(self.run(request, on_event))
    }

    /// Says who answered when the tape was recorded; while recording, who answers.
    fn describe(&self) -> ClientInfo {
        let recorded = self.tape.lock().info.clone();
        recorded.or_else(|| self.inner.as_ref().map(Client::describe)).unwrap_or_else(|| ClientInfo {
            provider: "tape".to_owned(),
            base_url: String::new(),
            simulated: false,
        })
    }
}
