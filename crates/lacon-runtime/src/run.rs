//! What all agents of one run share, and how a graph is run with it.

use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use lacon_graph::{EventKind, Graph, Journal, Options, Outcome, Record, State, StepError};
use lacon_llm::Client;
use lacon_monitor::{Ledger, NodeFact};
use lacon_tokens::{ModelEncoding, for_model};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use crate::{SharedCache, ToolCache, ToolSource};

/// What a front may show while a run goes on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// A node runs.
    NodeStarted(String),
    /// A node is done.
    NodeFinished {
        /// The node.
        node: String,
        /// Why it failed, if it did.
        error: Option<String>,
    },
    /// A role's call went out.
    Calling {
        /// The role.
        role: String,
        /// The turn within the role.
        turn: u32,
    },
    /// A role's answer grows.
    Streaming {
        /// The role.
        role: String,
        /// Bytes of text so far.
        bytes: usize,
    },
    /// A call failed and is tried again.
    Retrying {
        /// The role.
        role: String,
        /// Why.
        reason: &'static str,
    },
    /// A role's call is done.
    Answered {
        /// The role.
        role: String,
        /// Tokens of the whole run so far.
        total_tokens: u64,
    },
    /// A tool is called.
    ToolCalled {
        /// The role that asks.
        role: String,
        /// The tool.
        tool: String,
    },
}

/// Shows progress; must return quickly.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// What a run is made with.
pub struct RunOptions {
    /// The run's name.
    pub run_id: String,
    /// The ticker, for the requests' tags.
    pub ticker: String,
    /// The model client.
    pub client: Arc<dyn Client>,
    /// Where tool answers come from.
    pub tools: Arc<dyn ToolSource>,
    /// Shared with other runs of the process.
    pub cache: Arc<ToolCache>,
    /// Answers on disk that runs share.
    pub shared: Option<SharedCache>,
    /// Longest time of one tool call.
    pub tool_timeout: Duration,
    /// Tokens that the run may use; 0 for no limit.
    pub budget_tokens: u64,
    /// Counts prompts before they are sent.
    pub counter: Arc<Counter>,
    /// Shows progress.
    pub on_progress: OnProgress,
}

/// The encoding of a model, loaded beside the first requests instead of before them.
pub struct Counter {
    model: String,
    loaded: OnceLock<ModelEncoding>,
}

impl Counter {
    /// Starts to load the encoding of a model on a thread of its own.
    pub fn new(model: impl Into<String>) -> Arc<Self> {
        let counter = Arc::new(Self { model: model.into(), loaded: OnceLock::new() });
        let loader = Arc::clone(&counter);
        // Loading is milliseconds of computing; without a thread to spare the first use loads it.
        let _ = std::thread::Builder::new().name("vocabulary".into()).spawn(move || {
            loader.get();
        });
        counter
    }

    /// The encoding; waits for the loading when that has not ended.
    pub fn get(&self) -> &ModelEncoding {
        self.loaded.get_or_init(|| for_model(&self.model))
    }
}

/// What all agents of one run share.
pub struct Run {
    /// What it was made with.
    pub options: RunOptions,
    /// What happened.
    pub ledger: Ledger,
    began: Mutex<Instant>,
}

impl Run {
    /// Starts the clock.
    pub fn new(options: RunOptions) -> Self {
        Self { options, ledger: Ledger::default(), began: Mutex::new(Instant::now()) }
    }

    /// Time since the run began.
    pub fn now(&self) -> Duration {
        self.began.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Tells the front.
    pub fn progress(&self, progress: Progress) {
        (self.options.on_progress)(progress);
    }
}

/// Resolves when the run shall stop.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a graph is run.
#[derive(Default)]
pub struct ExecuteOptions {
    /// Longest time of the whole run.
    pub deadline: Option<Duration>,
    /// Stops the run and keeps what is finished.
    pub stop: Option<Stop>,
    /// Every finished node is written here, and what it already holds is not done again.
    pub journal: Option<PathBuf>,
}

/// Runs a graph; each node becomes a fact of the ledger.
///
/// Dropping the future stops every agent and tool of the run.
///
/// # Errors
/// When the journal cannot be used. A failing node is part of the outcome.
pub async fn execute<S>(
    run: &Arc<Run>,
    graph: &Graph<S>,
    state: S,
    options: ExecuteOptions,
) -> Result<Outcome<S>, lacon_graph::JournalError>
where
    S: State,
    S::Update: Serialize + DeserializeOwned,
{
    let names: Vec<String> = graph.names().map(Into::into).collect();
    let inputs: Vec<Vec<String>> = names
        .iter()
        .map(|name| graph.find(name).map(|id| graph.inputs(id).map(Into::into).collect()).unwrap_or_default())
        .collect();
    let offset = run.now();
    let mut started = vec![Duration::ZERO; names.len()];
    let observer = Arc::clone(run);
    let on_event = move |event: lacon_graph::Event| {
        let i = event.node.index();
        let at = offset + event.at;
        let ended = |error: Option<String>| {
            observer.ledger.node(NodeFact {
                node: names[i].clone(),
                visit: event.visit,
                start_s: started[i].as_secs_f64(),
                end_s: at.as_secs_f64(),
                inputs: inputs[i].clone(),
                error: error.clone(),
            });
            observer.progress(Progress::NodeFinished { node: names[i].clone(), error });
        };
        match event.kind {
            EventKind::Started => {
                started[i] = at;
                observer.progress(Progress::NodeStarted(names[i].clone()));
            }
            EventKind::Finished => ended(None),
            EventKind::Failed { error, .. } => ended(Some(error)),
            _ => {}
        }
    };
    let (journal, restored) = match &options.journal {
        Some(path) => {
            let (journal, restored) = Journal::open::<S::Update>(path)?;
            (Some(journal), restored)
        }
        None => (None, Vec::new()),
    };
    let mut journal = journal;
    let on_output = move |record: &Record<&S::Update>| match &mut journal {
        Some(journal) => {
            journal.append(record).map_err(|e| StepError::with_source("cannot write the journal", e))
        }
        None => Ok(()),
    };
    let options = Options {
        deadline: options.deadline,
        cancel: options.stop.map(|stop| stop as Pin<Box<dyn Future<Output = ()> + Send>>),
        on_event: Some(Box::new(on_event)),
        on_output: Some(Box::new(on_output)),
        restored,
        ..Options::default()
    };
    Ok(lacon_graph::run(graph, state, options).await)
}

/// One digest of many, for a record.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

/// Highest resident memory of this process in MB, where the system tells (Linux).
pub fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kb / 1024.0 * 10.0).round() / 10.0)
}
