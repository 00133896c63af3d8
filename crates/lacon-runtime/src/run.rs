//! The shared state of one run, and running a graph with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    thread::ThreadId,
    time::Duration,
};

use futures_util::future::{self, Either};
use lacon_graph::{EventKind, Graph, Options, Outcome, Record, State};
use lacon_llm::Client;
use lacon_monitor::{Ledger, NodeFact, ledger::Facts};
use lacon_tokens::{ModelEncoding, for_model};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{Restored, RunJournal, SharedCache, Stagger, ToolCache, ToolSource};

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
        /// What it says; empty for a call that failed, or that asks for tools alone.
        text: String,
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
    /// What the run is of, by name; requests carry it.
    pub labels: BTreeMap<String, String>,
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
    /// Millionths of a US dollar that the run may use; 0 for no limit. Only calls of models with a known price count.
    pub budget_micro_usd: u64,
    /// Counts prompts before they are sent.
    pub counter: Arc<Counter>,
    /// Shows progress.
    pub on_progress: OnProgress,
    /// Whether our own work is timed.
    pub monitor: bool,
    /// Where finished calls and nodes are kept for a later process.
    pub journal: Option<RunJournal>,
    /// What an earlier process has left of this run.
    pub restored: Restored,
    /// When the work for this run began; what was prepared before [`Run::new`] is our own time too.
    pub began: Instant,
}

impl RunOptions {
    /// A run without limits, journal and progress, that begins now.
    pub fn new(
        run_id: impl Into<String>,
        client: Arc<dyn Client>,
        tools: Arc<dyn ToolSource>,
        counter: Arc<Counter>,
    ) -> Self {
        Self {
            run_id: run_id.into(),
            labels: BTreeMap::new(),
            client,
            tools,
            cache: Arc::new(ToolCache::new(0)),
            shared: None,
            tool_timeout: Duration::from_secs(60),
            budget_tokens: 0,
            budget_micro_usd: 0,
            counter,
            on_progress: Arc::new(|_| {}),
            monitor: true,
            journal: None,
            restored: Restored::default(),
            began: Instant::now(),
        }
    }
}

/// The encoding of a model, loaded beside the first requests instead of before them.
pub struct Counter {
    model: String,
    loaded: OnceLock<ModelEncoding>,
    /// Closed once the thread that loads it has ended; absent where no thread does.
    loading: Option<watch::Receiver<()>>,
    /// Where it was made.
    thread: ThreadId,
}

/// The counters of runs under way: runs that begin together load together.
static COUNTERS: Mutex<Vec<Weak<Counter>>> = Mutex::new(Vec::new());

impl Counter {
    /// Starts to load the encoding of a model on a thread of its own, unless another run has.
    pub fn new(model: impl Into<String>) -> Arc<Self> {
        let model: String = model.into();
        let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|counter| counter.strong_count() > 0);
        // Another thread may have another event loop, whose clock does not stand still for the loading that is waited for.
        let thread = std::thread::current().id();
        let serves = |known: &Arc<Self>| {
            known.model == model && (known.thread == thread || known.loaded.get().is_some())
        };
        if let Some(known) = counters.iter().filter_map(Weak::upgrade).find(serves) {
            return known;
        }
        let (told, loading) = watch::channel(());
        let counter =
            Arc::new(Self { model: model.clone(), loaded: OnceLock::new(), loading: Some(loading), thread });
        let loader = Arc::clone(&counter);
        let load = move || {
            loader.get();
            drop(told);
        };
        // A paused clock stands still as long as a blocking task of its event loop runs.
        let spawned = match tokio::runtime::Handle::try_current() {
            Ok(event_loop) => {
                drop(event_loop.spawn_blocking(load));
                true
            }
            Err(_) => std::thread::Builder::new().name("vocabulary".into()).spawn(load).is_ok(),
        };
        // Without a thread to spare the first use loads it.
        if !spawned {
            return Arc::new(Self { model, loaded: OnceLock::new(), loading: None, thread });
        }
        counters.push(Arc::downgrade(&counter));
        counter
    }

    /// Loads the encoding of a model here and at once.
    pub fn loaded(model: impl Into<String>) -> Arc<Self> {
        let thread = std::thread::current().id();
        let counter = Arc::new(Self { model: model.into(), loaded: OnceLock::new(), loading: None, thread });
        counter.get();
        counter
    }

    /// The encoding, without holding up the event loop while it is loaded.
    pub async fn ready(&self) -> &ModelEncoding {
        if let (None, Some(loading)) = (self.loaded.get(), &self.loading) {
            // Nothing is ever sent: the wait ends when the loader does, also when it never ran.
            let _ = loading.clone().changed().await;
        }
        self.get()
    }

    /// The encoding; blocks until it is loaded.
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
    began: Instant,
    restored: Mutex<Vec<Record<Value>>>,
    /// Roles whose answer has begun or ended, and who waits for one.
    began_to_answer: Mutex<BTreeSet<String>>,
    hearing: Notify,
}

impl Run {
    /// Starts the clock, where an earlier process stopped if there was one.
    pub fn new(mut options: RunOptions) -> Self {
        let earlier = std::mem::take(&mut options.restored);
        let now = options.began;
        let began = now.checked_sub(Duration::from_secs_f64(earlier.end_s())).unwrap_or(now);
        let ledger = Ledger::starting_at(began.into_std(), options.monitor);
        ledger.restore(Facts {
            calls: earlier.calls,
            tools: earlier.tools,
            nodes: earlier.node_facts,
            savings: earlier.savings,
            warnings: earlier.warnings,
            receipts: earlier.receipts,
        });
        ledger.ops.since("prepare", options.began.into_std());
        Self {
            options,
            ledger,
            began,
            restored: Mutex::new(earlier.nodes),
            began_to_answer: Mutex::default(),
            hearing: Notify::new(),
        }
    }

    /// Time since the run began.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Notes that a role's answer has begun, or that its call is over.
    pub(crate) fn hear(&self, role: &str) {
        let first =
            self.began_to_answer.lock().unwrap_or_else(PoisonError::into_inner).insert(role.to_owned());
        if first {
            self.hearing.notify_waiters();
        }
    }

    /// Waits until a role's answer has begun or its call is over, but no longer than `most`.
    ///
    /// Dropping the future stops the wait and nothing else.
    pub async fn first_token_of(&self, role: &str, most: Duration) {
        let wait = async {
            loop {
                let next = self.hearing.notified();
                if self.began_to_answer.lock().unwrap_or_else(PoisonError::into_inner).contains(role) {
                    return;
                }
                next.await;
            }
        };
        // Whoever is late is not waited for: the wait only makes a cached prefix likely.
        let _ = tokio::time::timeout(most, wait).await;
    }

    /// Waits for the first token of the sibling whose cached prefix an agent is to read.
    pub async fn staggered(&self, stagger: &Stagger, agent: &str) {
        if let Some((first, most)) = stagger.of(agent) {
            self.ledger.ops.wrap("wait for sibling", self.first_token_of(first, most)).await;
        }
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
    /// Whether nodes may run beside each other.
    pub one_at_a_time: bool,
    /// How long nodes took in earlier runs.
    pub expected: Vec<(String, Duration)>,
}

/// Runs a graph; each node becomes a fact of the ledger, and a line of the run's journal where there is one.
///
/// Dropping the future stops every agent and tool of the run.
///
/// # Errors
/// When the journal holds an output that is none of this graph's. A failing node is part of the outcome.
pub async fn execute<S>(
    run: &Arc<Run>,
    graph: &Graph<S>,
    state: S,
    options: ExecuteOptions,
) -> Result<Outcome<S>, serde_json::Error>
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
            EventKind::Failed { error, .. } => {
                // No line follows that its calls could wait for.
                if let Some(journal) = &observer.options.journal {
                    journal.settle();
                }
                ended(Some(error));
            }
            _ => {}
        }
    };
    let restored = std::mem::take(&mut *run.restored.lock().unwrap_or_else(PoisonError::into_inner));
    let restored = restored.into_iter().map(typed).collect::<Result<Vec<_>, _>>()?;
    let writer = Arc::clone(run);
    let on_output = move |record: &Record<&S::Update>| {
        let Some(journal) = &writer.options.journal else { return Ok(()) };
        let (node, route) = (record.node.clone(), record.route.clone());
        let update = record.update.clone();
        let line = Record { node, visit: record.visit, item: record.item, route, update };
        journal.node(line, &writer.ledger);
        Ok(())
    };
    let options = Options {
        deadline: options.deadline,
        cancel: options.stop.map(|stop| stop as Pin<Box<dyn Future<Output = ()> + Send>>),
        on_event: Some(Box::new(on_event)),
        on_output: Some(Box::new(on_output)),
        restored,
        expected: options.expected,
        max_running: usize::from(options.one_at_a_time),
        ..Options::default()
    };
    let running = lacon_graph::run(graph, state, options);
    let Some(journal) = &run.options.journal else { return Ok(running.await) };
    // The graph first: a line is written behind the requests that follow from what it tells.
    match future::select(pin!(running), pin!(journal.keep(&run.ledger.ops))).await {
        Either::Left((outcome, _)) => Ok(outcome),
        Either::Right((never, _)) => match never {},
    }
}

fn typed<U: DeserializeOwned>(record: Record<Value>) -> Result<Record<U>, serde_json::Error> {
    let update = serde_json::from_value(record.update)?;
    Ok(Record { node: record.node, visit: record.visit, item: record.item, route: record.route, update })
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
