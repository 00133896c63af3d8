//! The simulated model as a client: reads the prompt, waits as long as a provider would, answers, meters.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use lacon_llm::{
    Attempt, BoxFuture, Client, ClientInfo, Error, ErrorKind, Finish, Malformed, Outcome, Request, Response,
    Role, StreamEvent, Timeout, ToolCall, ToolChoice, Usage, count_prompt,
};
use lacon_models::{CacheKind, CacheRow, cache_of, cache_rule, plain_name};
use lacon_prompt::{
    layout::{self, Cache, Sent},
    prompt::{self, Prompt, Segment},
};
use lacon_tokens::{Encoding, ModelEncoding, for_model};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    analyst, generic,
    latency::{self, Profile},
};

/// The share of calls that go wrong, by kind; the next try of the same call draws anew.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Answered with 429.
    pub rate_limited: f64,
    /// Answered with 500.
    pub server_error: f64,
    /// Cut half way.
    pub dropped: f64,
    /// Silent half way; the client's idle time-out ends it after this many simulated seconds.
    pub stalled: f64,
    /// Not JSON.
    pub malformed: f64,
}

/// How the world is simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimOptions {
    /// Seed of every draw.
    pub seed: u64,
    /// Whose speed.
    pub profile: Profile,
    /// Wall seconds per simulated second; 0 answers at once.
    pub time_scale: f64,
    /// Whether durations scatter as recorded; otherwise every call takes its median.
    pub noise: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// The rule of the prompt cache; without one, that of the model.
    pub cache_rule: Option<&'static CacheRow>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            profile: Profile::Typical,
            time_scale: 0.02,
            noise: true,
            faults: Faults::default(),
            cache_rule: cache_rule("openai-5.5"),
        }
    }
}

/// How long a stalled call stays silent before the simulated idle time-out ends it, in simulated seconds.
const STALL_S: f64 = 30.0;

/// Calls that are numbered before counting begins anew.
const CALLS: usize = 100_000;

/// A simulated model; clones share what was said and cached.
#[derive(Clone)]
pub struct SimClient {
    options: SimOptions,
    /// Whether it answers any prompt by its form, instead of as the analysts of the trading graph.
    generic: bool,
    model: Arc<OnceLock<ModelEncoding>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Calls so far by (run, role, has tool results): the number of a call is part of its draw.
    calls: HashMap<(String, String, bool), u64>,
    cache: Cache,
    /// When the cache was first asked.
    since: Option<Instant>,
}

impl SimClient {
    /// Makes a simulated model. Its tokens are those of `o200k_base`.
    pub fn new(options: SimOptions) -> Self {
        Self { options, generic: false, model: Arc::default(), state: Arc::default() }
    }

    /// Makes a simulated model for any team: it keeps the form that a prompt asks for and fills it from the material
    /// ([`crate::generic`]).
    pub fn generic(options: SimOptions) -> Self {
        Self { generic: true, ..Self::new(options) }
    }

    /// A draw in (0, 1) that depends on the seed and the key alone.
    fn draw(&self, key: &str) -> f64 {
        draw(self.options.seed, key)
    }

    /// Loaded at the first call, so that making a client costs nothing.
    fn model(&self) -> &ModelEncoding {
        self.model.get_or_init(|| for_model("gpt-4o"))
    }

    fn encoding(&self) -> &'static Encoding {
        self.model().encoding
    }

    /// Usage of a prompt by the rule of the cache: what is read, and what is written and billed for it.
    fn metered(&self, request: &Request, prompt: usize, completion: usize, first_s: f64) -> Usage {
        let plain = cache_of(&plain_name(&request.model));
        let Some(rule) = self.options.cache_rule.or(plain) else {
            return Usage::from_totals(Some(prompt as u64), None, Some(completion as u64), None);
        };
        let marks = request.cache_marks(rule).unwrap_or_default();
        let as_sent = as_prompt(request);
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let since = *state.since.get_or_insert(now);
        // Without a scale nothing takes time, and what was sent before can be read.
        let (scale, first_s) = match self.options.time_scale {
            scale if scale > 0.0 => (scale, first_s),
            _ => (1.0, 0.0),
        };
        let at_s = now.saturating_duration_since(since).as_secs_f64() / scale;
        let sent = Sent {
            prompt: &as_sent,
            marks: layout::CacheMarks {
                after: marks.cuts.iter().map(|cut| (cut.message, cut.byte)).collect(),
                only: marks.only,
            },
            scope: &request.model,
            at_s,
            ready_s: at_s + first_s,
        };
        let predicted = state.cache.send(&sent, rule, self.encoding());
        let cached = Some(predicted.cached.min(prompt) as u64);
        let usage = Usage::from_totals(Some(prompt as u64), cached, Some(completion as u64), None);
        match rule.kind {
            CacheKind::Automatic => usage,
            _ => usage.with_written(Some(predicted.written as u64), None),
        }
    }

    fn scaled(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64((seconds * self.options.time_scale).max(0.0))
    }

    async fn answer(
        &self,
        request: &Request,
        on_event: &(dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> Result<Response, Error> {
        let began = Instant::now();
        on_event(StreamEvent::Sent { attempt: 1 });
        let tags = &request.tags;
        // A prompt of somebody else than the trading graph names none of its roles.
        let generic = self.generic || tags.role.is_empty() && !analyst::is_addressed(&request.messages);
        let follow_up = request
            .messages
            .iter()
            .any(|m| m.role == Role::Tool || (m.role == Role::User && m.content.starts_with("Tool result:")));
        let n = {
            let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if state.calls.len() > CALLS {
                state.calls.clear();
            }
            let n = state.calls.entry((tags.run.clone(), tags.role.clone(), follow_up)).or_default();
            *n += 1;
            *n
        };
        // The run's name is no part of the key: the same seed gives the same run under any name.
        let key =
            format!("{}/{}/{follow_up}/{n}", tags.labels.get("ticker").map_or("", String::as_str), tags.role);
        let wants_tools = !request.tools.is_empty() && request.tool_choice != ToolChoice::None && !follow_up;
        let (text, tool_calls) = if wants_tools {
            (String::new(), if generic { generic_calls(request, &key) } else { calls_for(request, &key) })
        } else if generic {
            (generic::write(request), Vec::new())
        } else {
            let text = match &request.response_format {
                Some(form) => analyst::write_form(&tags.role, &request.messages, &form.schema).to_string(),
                None => analyst::write(&tags.role, &request.messages),
            };
            (text, Vec::new())
        };
        let encoding = self.encoding();
        let prompt = count_prompt(request, self.model());
        let mut text = text;
        let mut finish = if tool_calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
        let schema = request.response_format.as_ref().map(|format| &format.schema);
        if let Some(closed) = request.enough.as_ref().and_then(|enough| enough.close(&text, schema)) {
            (text, finish) = (closed, Finish::WordLimit);
        }
        let mut completion = if tool_calls.is_empty() {
            encoding.count(&text)
        } else {
            tool_calls.iter().map(|c| encoding.count(&c.name) + encoding.count(&c.arguments)).sum::<usize>()
                + if tool_calls.len() == 1 { 2 } else { 24 }
        };
        if let Some(limit) = request.max_tokens.map(|m| m as usize)
            && completion > limit
            && tool_calls.is_empty()
        {
            text = encoding.truncate(&text, limit, lacon_tokens::Side::Back).into_owned();
            completion = limit;
            finish = Finish::Length;
        }
        let quick = if generic {
            ["mini", "nano", "flash", "haiku", "small", "lite"]
                .iter()
                .any(|word| request.model.contains(word))
        } else {
            matches!(tags.role.as_str(), "market" | "social" | "news" | "fundamentals" | "signal")
        };
        let u = if self.options.noise { self.draw(&format!("latency/{key}")) } else { 0.5 };
        let (first_s, total_s) = latency::call_seconds(self.options.profile, quick, prompt, completion, u);
        let usage = self.metered(request, prompt, completion, first_s);
        let attempt = |end: Duration, outcome: Outcome, error: Option<&str>, usage| Attempt {
            start: Duration::ZERO,
            connected: None,
            first_token: None,
            end,
            status: None,
            outcome,
            error: error.map(Into::into),
            usage,
            usage_estimate: None,
            received: 0,
            hedge: false,
        };
        if let Some((kind, message, share)) = self.fault(&key) {
            let wait = match kind {
                ErrorKind::RateLimited => 0.0,
                ErrorKind::Status(_) => first_s.min(1.0),
                ErrorKind::Timeout(_) => first_s + (total_s - first_s) / 2.0 + STALL_S,
                _ => first_s + (total_s - first_s) * share,
            };
            sleep(self.scaled(wait)).await;
            let spent = (share > 0.0).then(|| {
                Usage::from_totals(Some(prompt as u64), None, Some((completion as f64 * share) as u64), None)
            });
            let failed = attempt(began.elapsed(), Outcome::Failed(kind), Some(message), spent);
            return Err(Error::new(kind, message)
                .with_retry_after((kind == ErrorKind::RateLimited).then(|| self.scaled(2.0)))
                .with_attempts(vec![failed]));
        }
        sleep(self.scaled(first_s)).await;
        on_event(StreamEvent::FirstToken);
        let first_token = began.elapsed();
        // Twenty parts are enough for a live view and cost nothing beside the waiting.
        let parts = pieces(&text, 20);
        for (i, part) in parts.iter().enumerate() {
            let due = first_s + (total_s - first_s) * (i + 1) as f64 / parts.len() as f64;
            tokio::time::sleep_until(began + self.scaled(due)).await;
            on_event(StreamEvent::Delta(part));
        }
        tokio::time::sleep_until(began + self.scaled(total_s)).await;
        tool_calls.iter().for_each(|call| on_event(StreamEvent::ToolCall(&call.name)));
        let mut done = attempt(began.elapsed(), Outcome::Answered, None, Some(usage));
        done.first_token = Some(first_token);
        done.received = text.len() as u64;
        Ok(Response {
            tool_calls,
            finish,
            usage: Some(usage),
            attempts: vec![done],
            first_token: Some(first_token),
            elapsed: began.elapsed(),
            ..Response::new(request.model.clone(), text)
        })
    }

    fn fault(&self, key: &str) -> Option<(ErrorKind, &'static str, f64)> {
        let f = &self.options.faults;
        let mut u = self.draw(&format!("fault/{key}"));
        for (rate, fault) in [
            (f.rate_limited, (ErrorKind::RateLimited, "simulated: rate limit reached", 0.0)),
            (f.server_error, (ErrorKind::Status(500), "simulated: the server had an error", 0.0)),
            (f.dropped, (ErrorKind::Malformed(Malformed::CutStream), "simulated: the stream was cut", 0.5)),
            (f.stalled, (ErrorKind::Timeout(Timeout::Idle), "simulated: the stream stalled", 0.5)),
            (f.malformed, (ErrorKind::Malformed(Malformed::Json), "simulated: the answer is not JSON", 1.0)),
        ] {
            if u < rate {
                return Some(fault);
            }
            u -= rate;
        }
        None
    }
}

/// A draw in (0, 1) from a seed and a key.
pub fn draw(seed: u64, key: &str) -> f64 {
    let hash = blake3::hash(format!("{seed}/{key}").as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    ((u64::from_le_bytes(bytes) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// Cuts a text into at most `n` parts at character borders.
fn pieces(text: &str, n: usize) -> Vec<&str> {
    let size = text.len().div_ceil(n).max(1);
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let cut =
            (size.min(rest.len())..=rest.len()).find(|i| rest.is_char_boundary(*i)).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(cut);
        parts.push(part);
        rest = tail;
    }
    parts
}

/// One call of each declared tool; of an indicator tool one per usual indicator.
fn calls_for(request: &Request, key: &str) -> Vec<ToolCall> {
    let text: String = request.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n");
    let date = find_date(&text).unwrap_or_else(|| "2025-07-30".into());
    let mut calls = Vec::new();
    for tool in &request.tools {
        let empty = Map::new();
        let properties = tool.parameters.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<&str> = tool
            .parameters
            .get("required")
            .and_then(Value::as_array)
            .map(|r| r.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let indicators: &[&str] = if properties.contains_key("indicator") {
            &["rsi", "macd", "boll", "atr", "close_50_sma", "close_200_sma"]
        } else {
            &[""]
        };
        for indicator in indicators {
            let mut arguments = Map::new();
            for name in properties.keys().filter(|k| required.contains(&k.as_str())) {
                let value = match name.as_str() {
                    "indicator" => (*indicator).to_owned(),
                    "freq" => "quarterly".to_owned(),
                    "start_date" => month_before(&date),
                    name if name.ends_with("date") => date.clone(),
                    _ => request.tags.labels.get("ticker").cloned().unwrap_or_default(),
                };
                arguments.insert(name.clone(), value.into());
            }
            let hash = blake3::hash(format!("{key}/{}/{}", tool.name, calls.len()).as_bytes()).to_hex();
            calls.push(ToolCall {
                id: format!("call_{}", &hash[..20]),
                name: tool.name.clone(),
                arguments: Value::Object(arguments).to_string(),
            });
        }
    }
    calls
}

/// One call of each declared tool.
fn generic_calls(request: &Request, key: &str) -> Vec<ToolCall> {
    let call = |tool: &lacon_llm::ToolSpec| {
        let hash = blake3::hash(format!("{key}/{}", tool.name).as_bytes()).to_hex();
        ToolCall {
            id: format!("call_{}", &hash[..20]),
            name: tool.name.clone(),
            arguments: Value::Object(generic::arguments(request, tool)).to_string(),
        }
    };
    request.tools.iter().map(call).collect()
}

/// The day 30 days before, as the calls of the trading team count: both ways of asking show the same prices.
fn month_before(date: &str) -> String {
    let day: Option<jiff::civil::Date> = date.parse().ok();
    let before = day.and_then(|day| day.checked_sub(jiff::Span::new().days(30)).ok());
    before.map_or_else(|| date.to_owned(), |day| day.to_string())
}

/// The first `yyyy-mm-dd` of a text.
fn find_date(text: &str) -> Option<String> {
    text.as_bytes().windows(10).find_map(|w| {
        let fits =
            w.iter().enumerate().all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() });
        fits.then(|| String::from_utf8_lossy(w).into_owned())
    })
}

impl Client for SimClient {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(self.answer(request, on_event))
    }

    fn describe(&self) -> ClientInfo {
        ClientInfo { provider: "simulator".into(), base_url: String::new(), simulated: true }
    }
}

/// The request as the cache sees it.
fn as_prompt(request: &Request) -> Prompt {
    let message = |message: &lacon_llm::Message| {
        let role = match message.role {
            Role::System => prompt::Role::System,
            Role::User => prompt::Role::User,
            Role::Assistant => prompt::Role::Assistant,
            Role::Tool => prompt::Role::Tool,
        };
        let call = |call: &ToolCall| prompt::ToolCall {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        };
        prompt::Message {
            tool_calls: message.tool_calls.iter().map(call).collect(),
            ..prompt::Message::new(role, vec![Segment::data("", message.content.clone())])
        }
    };
    let tool = |tool: &lacon_llm::ToolSpec| json!({"name": tool.name, "description": tool.description, "parameters": tool.parameters});
    Prompt {
        messages: request.messages.iter().map(message).collect(),
        tools: request.tools.iter().map(tool).collect(),
    }
}
