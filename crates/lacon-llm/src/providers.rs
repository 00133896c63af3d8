//! The providers: one file each, one list, and the attempt that all of them share.
//!
//! A [`Provider`] makes one attempt per call; a request that is refused as it is written is written in a plainer way
//! (`manners.rs`). It sends the request, reads the answer as a stream, and returns
//! it only when the protocol says that it is whole.
//!
//! A new provider is a file here with its [`Wire`] and [`Reader`], its JSON in `wire/`, a variant of [`Protocol`], and
//! three transcripts in `testdata/transcripts/<name>/`. The tests then check it like the others.

mod anthropic;
mod attempt;
mod calls;
mod gemini;
mod local;
mod manners;
mod marks;
mod ollama;
mod openai;
mod responses;

use std::fmt;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::capabilities::Capabilities;
use crate::client::{BoxFuture, Client, ClientInfo, StreamEvent};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Malformed};
use crate::message::ToolCall;
use crate::request::{Effort, Request};
use crate::response::{Finish, Response, Usage};
use crate::secret::Secret;
use crate::traffic::Traffic;
use crate::transport::{Transport, TransportOptions};

use local::Facts;
use manners::Manners;

/// The protocols, in the order in which help texts name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Chat Completions: OpenAI and nearly everything that calls itself compatible.
    Chat,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
    /// Google's Gemini.
    Gemini,
    /// Ollama's own chat, which knows the size of its context.
    Ollama,
}

impl Protocol {
    /// All protocols.
    pub const ALL: &[Self] = &[Self::Chat, Self::Responses, Self::Messages, Self::Gemini, Self::Ollama];

    /// Returns the provider's name as settings spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "openai",
            Self::Responses => "openai-responses",
            Self::Messages => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// Finds a protocol by the name of its provider.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|protocol| protocol.name() == name)
    }

    /// Returns the base URL used when none is given.
    pub fn default_base_url(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses => "https://api.openai.com/v1",
            Self::Messages => "https://api.anthropic.com/v1",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }

    fn wire(self) -> &'static dyn Wire {
        match self {
            Self::Chat => &openai::Chat,
            Self::Responses => &responses::Responses,
            Self::Messages => &anthropic::Messages,
            Self::Gemini => &gemini::Gemini,
            Self::Ollama => &ollama::Ollama,
        }
    }
}

/// Steers a [`Provider`].
#[derive(Debug, Clone)]
pub struct ProviderOptions {
    /// Name for reports; the protocol's own name when empty.
    pub name: String,
    /// Where the API is; the protocol's own address when empty.
    pub base_url: String,
    /// The API key; no key is sent when empty.
    pub key: Secret,
    /// More headers, such as an organization; their values are treated as secrets.
    pub headers: Vec<(String, Secret)>,
    /// Send `X-Lacon-Run`, `X-Lacon-Role` and a header for each label of the run.
    pub send_tags: bool,
    /// Ask for the answer as a stream.
    pub stream: bool,
    /// Ask for the usage at the end of a stream; off only for endpoints that refuse to be asked.
    pub stream_usage: bool,
    /// Ask a server nearby once, before the first call, how many calls it works on at once and how long a context is.
    pub ask_server: bool,
    /// Longest wait from sending the request to the first part of the answer.
    pub first_token: Duration,
    /// Longest wait between two parts of the answer.
    pub idle: Duration,
    /// Most bytes of an answer's body.
    pub max_answer: usize,
    /// Most bytes of one event of a stream.
    pub max_event: usize,
    /// Connections.
    pub transport: TransportOptions,
}

impl Default for ProviderOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            base_url: String::new(),
            key: Secret::default(),
            headers: Vec::new(),
            send_tags: true,
            stream: true,
            stream_usage: true,
            ask_server: false,
            first_token: Duration::from_secs(120),
            idle: Duration::from_secs(45),
            max_answer: 32 << 20,
            max_event: 4 << 20,
            transport: TransportOptions::default(),
        }
    }
}

/// A client that speaks one protocol to one endpoint and tries each call once.
pub struct Provider {
    protocol: Protocol,
    name: String,
    endpoint: Endpoint,
    key: Secret,
    headers: Vec<(HeaderName, HeaderValue)>,
    secrets: Vec<Secret>,
    transport: Transport,
    traffic: Traffic,
    manners: Manners,
    facts: OnceCell<Facts>,
    options: ProviderOptions,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("protocol", &self.protocol)
            .field("base_url", &self.endpoint.base_url())
            .finish_non_exhaustive()
    }
}

impl Provider {
    /// Checks the options and prepares a pool of connections; connects nowhere yet.
    pub fn new(protocol: Protocol, options: ProviderOptions) -> Result<Self, Error> {
        let url = if options.base_url.is_empty() { protocol.default_base_url() } else { &options.base_url };
        let endpoint = Endpoint::parse(url)?;
        let mut headers = Vec::new();
        let mut secrets = Vec::new();
        let key = options.key.clone();
        if !key.is_empty() {
            let (name, value) = protocol.wire().authorization(key.expose());
            headers.push((HeaderName::from_static(name), secret_value(name, &value)?));
            secrets.push(key.clone());
        }
        for (name, value) in &options.headers {
            let parsed = HeaderName::try_from(name.as_str()).map_err(|_| {
                Error::new(ErrorKind::InvalidRequest, format!("header name {name:?} is not valid"))
            })?;
            headers.push((parsed, secret_value(name, value.expose())?));
            secrets.push(value.clone());
        }
        let name = if options.name.is_empty() { protocol.name().to_owned() } else { options.name.clone() };
        let transport = Transport::new(&options.transport)?;
        let (traffic, manners, facts) = Default::default();
        Ok(Self {
            protocol,
            name,
            endpoint,
            key,
            headers,
            secrets,
            transport,
            traffic,
            manners,
            facts,
            options,
        })
    }

    /// Makes the attempt of a call, in plainer ways where the request is refused as it is.
    async fn ask(
        &self,
        request: &Request,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        if self.is_to_ask() {
            self.meet().await;
        }
        let begin = Instant::now();
        let mut manner = self.manners.of(&request.model);
        let mut attempts = Vec::new();
        let mut notes = Vec::new();
        loop {
            let offset = begin.elapsed();
            match self.attempt(request, manner, on_event).await {
                Ok(mut response) => {
                    if !notes.is_empty() {
                        self.manners.keep(&request.model, manner);
                        response.attempts.iter_mut().for_each(|attempt| attempt.shift(offset));
                        response.attempts.splice(0..0, attempts);
                        response.first_token = response.first_token.map(|first| first + offset);
                        response.elapsed += offset;
                        response.warnings.splice(0..0, notes);
                    }
                    return Ok(response);
                }
                Err(mut error) => {
                    error.shift_attempts(offset);
                    attempts.extend(error.take_attempts());
                    let plainer = (self.protocol == Protocol::Chat).then(|| manner.plainer(request, &error));
                    let Some((next, what)) = plainer.flatten() else {
                        let context = self.facts.get().and_then(|facts| facts.context(&request.model));
                        if let Some(context) = context.filter(|_| error.kind() == ErrorKind::ContextTooLong) {
                            error = error.with_hint(format!(
                                "the server holds {context} tokens of prompt and answer; start it with a larger context"
                            ));
                        }
                        return Err(error.with_attempts(attempts));
                    };
                    notes.push(format!("{what}: {}", error.message()));
                    manner = next;
                }
            }
        }
    }

    /// Removes the key and all header values from a text.
    fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(&text))
    }

    /// Says whether a key is set.
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
    }
}

fn secret_value(name: &str, value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Error::new(
            ErrorKind::InvalidRequest,
            format!("value of header {name} holds characters that cannot be sent"),
        )
        .with_hint("check the api key for line breaks and quotes")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl Client for Provider {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(self.ask(request, on_event))
    }

    fn describe(&self) -> ClientInfo {
        ClientInfo { provider: self.name.clone(), base_url: self.endpoint.base_url(), simulated: false }
    }

    fn traffic(&self) -> Option<&Traffic> {
        Some(&self.traffic)
    }

    fn prepare(&self) -> Option<BoxFuture<'_, ()>> {
        self.is_to_ask().then(|| Box::pin(self.meet()) as BoxFuture<'_, ()>)
    }
}

/// One request as a protocol writes it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Path below the base URL, with a leading slash.
    pub(crate) path: String,
    /// Query, if the protocol needs one.
    pub(crate) query: Option<&'static str>,
    /// Fixed headers of the protocol.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// The JSON body.
    pub(crate) body: Vec<u8>,
    /// What was left out and why.
    pub(crate) warnings: Vec<String>,
}

/// In which form an answer is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    /// As a stream.
    pub(crate) stream: bool,
    /// With the usage at the end of the stream, where that has to be asked for.
    pub(crate) stream_usage: bool,
    /// Tokens of the context that the model is loaded with, where the server says it.
    pub(crate) context: Option<u64>,
}

/// How a stream is cut into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON text per line.
    Lines,
}

/// A protocol: how requests are written and answers are read.
pub(crate) trait Wire: Send + Sync {
    /// Returns name and value of the header that carries the key.
    fn authorization(&self, key: &str) -> (&'static str, String);

    /// Writes a request.
    fn encode(&self, request: &Request, capabilities: &Capabilities, form: Form) -> Result<Outgoing, Error>;

    /// Starts to read an answer.
    fn reader(&self, request: &Request, capabilities: &Capabilities) -> Box<dyn Reader>;

    /// Returns how streams are cut.
    fn framing(&self) -> Framing {
        Framing::Sse
    }
}

/// Something is wrong with an answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The provider sent an error object; its JSON.
    Refusal(Vec<u8>),
    /// The answer is not what the protocol says.
    Error(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Puts an answer together from its parts.
pub(crate) trait Reader: Send {
    /// Takes one message of a stream.
    fn event(&mut self, name: &[u8], data: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>))
    -> Result<(), Fault>;

    /// Takes an answer that came whole.
    fn whole(&mut self, body: &[u8], sink: &mut dyn FnMut(StreamEvent<'_>)) -> Result<(), Fault>;

    /// Says whether the answer has ended and nothing more needs to be read.
    fn is_done(&self) -> bool;

    /// Says whether the answer counts as whole when the connection ends here.
    fn is_complete(&self) -> bool;

    /// Bytes of text and arguments so far.
    fn received(&self) -> u64;

    /// Usage so far.
    fn usage(&self) -> Option<Usage>;

    /// Returns the answer.
    fn finish(self: Box<Self>) -> Result<Response, Error>;
}

/// Writes a body as JSON.
pub(crate) fn to_bytes(body: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("request cannot be written as json: {error}"))
    })
}

/// Returns the temperature if the model accepts one.
pub(crate) fn temperature(
    request: &Request,
    capabilities: &Capabilities,
    warnings: &mut Vec<String>,
) -> Option<f32> {
    if request.temperature.is_some() && !capabilities.temperature {
        warnings.push(format!("temperature left out: {} models refuse it", capabilities.family));
        return None;
    }
    request.temperature
}

/// Returns the effort if the model accepts one.
pub(crate) fn effort(
    request: &Request,
    capabilities: &Capabilities,
    warnings: &mut Vec<String>,
) -> Option<Effort> {
    if request.effort.is_some() && !capabilities.effort {
        warnings.push(format!("effort left out: {} models take none", capabilities.family));
        return None;
    }
    request.effort
}

/// Refuses an answer without text and calls, unless a limit or a filter explains it.
pub(crate) fn not_empty(text: &str, calls: &[ToolCall], finish: &Finish) -> Result<(), Error> {
    if text.is_empty()
        && calls.is_empty()
        && matches!(finish, Finish::Stop | Finish::ToolCalls | Finish::Other(_))
    {
        return Err(Error::new(
            ErrorKind::Malformed(Malformed::Empty),
            "answer has neither text nor tool calls",
        ));
    }
    Ok(())
}

/// Makes the error of JSON that cannot be read.
pub(crate) fn bad_json(what: &str, error: &serde_json::Error) -> Error {
    Error::new(
        ErrorKind::Malformed(Malformed::Json),
        format!("{what} of the answer is not valid json: {error}"),
    )
}
