//! A scripted model and a run around it.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use lacon_llm::{
    BoxFuture, Client, ClientInfo, Error, Request, Response, StreamEvent, Structured, StructuredOptions,
    ToolCall, Usage,
};
use lacon_market::{Semantics, Symbol, pack};
use lacon_runtime::ToolCache;
use lacon_sim::{SimClient, SimOptions};
use lacon_trading::{Cast, CastOptions, Decided, Optimizations, Settings, decide, source::DatasetSource};

/// Decides what a role answers: role, number of its call from 1, the request.
pub type Script = dyn Fn(&str, usize, &Request) -> Result<Response, Error> + Send + Sync;

/// A model that answers from a script and remembers what it was asked.
pub struct Scripted {
    script: Box<Script>,
    pub asked: Mutex<Vec<Request>>,
    calls: AtomicUsize,
    delay: Duration,
}

impl Scripted {
    pub fn new(
        script: impl Fn(&str, usize, &Request) -> Result<Response, Error> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::with_delay(Duration::from_secs(1), script)
    }

    pub fn with_delay(
        delay: Duration,
        script: impl Fn(&str, usize, &Request) -> Result<Response, Error> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            asked: Mutex::default(),
            calls: AtomicUsize::new(0),
            delay,
        })
    }

    /// The requests of a role, in order.
    pub fn of(&self, role: &str) -> Vec<Request> {
        self.asked.lock().unwrap().iter().filter(|r| r.tags.role == role).cloned().collect()
    }

    pub fn count(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Client for Scripted {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        _: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            let n = {
                let mut asked = self.asked.lock().unwrap();
                asked.push(request.clone());
                asked.iter().filter(|r| r.tags.role == request.tags.role).count()
            };
            self.calls.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(self.delay).await;
            let mut response = (self.script)(&request.tags.role, n, request)?;
            // What [`says`] writes keeps the instruction on the first line.
            if let Some(label) = label(request).filter(|_| response.text.ends_with(PLAIN_END)) {
                response.text.insert_str(0, &format!("{label}: HOLD\n"));
            }
            Ok(response)
        })
    }

    fn describe(&self) -> ClientInfo {
        ClientInfo { provider: "scripted".into(), base_url: String::new(), simulated: true }
    }
}

/// The label with its tag that a prompt's own instruction asks for: the last one, whatever stands above it.
pub fn label(request: &Request) -> Option<String> {
    let text = prompt(request);
    let at = text.rfind(": BUY, SELL or HOLD")?;
    text[..at].rsplit('"').next().map(str::to_owned)
}

const PLAIN_END: &str = "Growth Recommendation: HOLD";

/// A plain answer that has every required part.
pub fn says(role: &str, text: &str) -> Response {
    let usage = Usage::from_totals(Some(100), None, Some(20), None);
    let all = "Trend Indicators Risk Outlook Sentiment Themes Company Market Valuation Health Growth Recommendation";
    Response { usage: Some(usage), ..Response::new("scripted", format!("{role} says {text}\n{all}: HOLD")) }
}

/// An answer that asks for one tool.
pub fn asks_for(tool: &str, arguments: &str) -> Response {
    let call = ToolCall { id: "call_1".into(), name: tool.into(), arguments: arguments.into() };
    Response { tool_calls: vec![call], finish: lacon_llm::Finish::ToolCalls, ..Response::new("scripted", "") }
}

pub fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("lacon-trading-{name}-{}", std::process::id()))
}

pub fn settings(name: &str, profile: &str, disabled: &[&str], client: Arc<dyn Client>) -> Settings {
    let settings = settings_for("CRCL", name, profile, client);
    Settings { optimizations: Optimizations::new(profile, disabled, &[]).unwrap(), ..settings }
}

/// Of any bundled pack, on its own date.
pub fn settings_for(ticker: &str, name: &str, profile: &str, client: Arc<dyn Client>) -> Settings {
    let data = pack::load(&Symbol::parse(ticker).unwrap()).unwrap();
    let day = data.date.unwrap();
    Settings {
        run_id: name.into(),
        ticker: ticker.into(),
        listing: String::new(),
        company: data.name.clone().unwrap(),
        date: day,
        profile: profile.into(),
        optimizations: Optimizations::new(profile, &[], &[]).unwrap(),
        client,
        tools: Arc::new(DatasetSource::new(Arc::new(data), day, Semantics::Standard, None)),
        cache: Arc::new(ToolCache::new(1 << 20)),
        quick_model: "gpt-4o-mini".into(),
        deep_model: "gpt-4o".into(),
        effort: Vec::new(),
        temperature: None,
        tool_rounds: 2,
        cast: cast(profile, |_| {}),
        tool_timeout: Duration::from_secs(10),
        deadline: Some(Duration::from_secs(600)),
        stop: None,
        budget_tokens: 0,
        budget_micro_usd: 0,
        models: Vec::new(),
        out: folder(name),
        process_start: Instant::now(),
        seed: 1,
        time_scale: 1.0,
        version: "test".into(),
        on_progress: Arc::new(|_| {}),
        memory: None,
        embedder: None,
        bars: Vec::new(),
        benchmark: None,
        monitor: true,
        keep_text: false,
        parallel: true,
        async_loading: true,
        journal: false,
        resume: false,
        nonce: "test".into(),
        data_gap: None,
        about: serde_json::Value::Null,
    }
}

/// A cast of a profile, with changes.
pub fn cast(profile: &str, change: impl FnOnce(&mut CastOptions)) -> Arc<Cast> {
    let mut options = CastOptions { profile: profile.into(), ..CastOptions::default() };
    change(&mut options);
    Arc::new(Cast::new(options).unwrap())
}

/// The rule-based model, on a clock that does not wait.
pub fn sim() -> Arc<dyn Client> {
    let options = SimOptions { noise: false, time_scale: 1.0, ..SimOptions::default() };
    Arc::new(Structured::new(SimClient::new(options), StructuredOptions::default()))
}

pub async fn run(settings: Settings) -> Decided {
    let out = settings.out.clone();
    let decided = decide(settings).await;
    let _ = std::fs::remove_dir_all(out);
    decided
}

/// All text of a request.
pub fn prompt(request: &Request) -> String {
    request.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n")
}
