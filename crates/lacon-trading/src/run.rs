//! One whole run: graph, record, report tree.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use jiff::{Timestamp, civil::Date};
use lacon_agents::RunError;
use lacon_llm::{Client, Effort};
use lacon_market::{Bar, Kind, catalog};
use lacon_monitor::{
    RunRecord, books,
    record::{DataInfo, LlmInfo},
};
use lacon_prompt::{
    budget::MicroUsd,
    plan::{Call, Limits},
};
pub use lacon_runtime::JOURNAL;
use lacon_runtime::{
    Counter, DurationsFile, Ladder, Restored, Run, RunJournal, RunOptions, SharedCache, Stagger, ToolCache,
    ToolSource, ladder,
    run::{ExecuteOptions, OnProgress, Stop, execute, peak_rss_mb},
};

use crate::{
    Action, Cast, Optimizations, Role, closing,
    context::RunContext,
    graph,
    material::{ShortForms, StatedActions},
    memory::{self, Memory},
    outcome::{self, About},
    plan::{self, Plan, PlanOptions},
    recall::{self, Embedder, Recall, RecallOptions},
    report::{self, WriteError},
    state::TradeState,
};

/// Everything that a run needs; put together by the front.
pub struct Settings {
    /// The run's name; letters, digits, `.`, `_`, `-`.
    pub run_id: String,
    /// The ticker, safe in paths.
    pub ticker: String,
    /// The company's name, or the ticker.
    pub company: String,
    /// Sector and exchange as whole sentences for the head of each prompt; empty where they are not known.
    pub listing: String,
    /// The date to decide for.
    pub date: Date,
    /// The profile's name.
    pub profile: String,
    /// Which optimizations are on.
    pub optimizations: Optimizations,
    /// The model client with its layers.
    pub client: Arc<dyn Client>,
    /// Where tool answers come from.
    pub tools: Arc<dyn ToolSource>,
    /// The tool cache, shared with other runs of the process.
    pub cache: Arc<ToolCache>,
    /// The model of the analysts.
    pub quick_model: String,
    /// The model of all other roles.
    pub deep_model: String,
    /// Reasoning effort by role.
    pub effort: Vec<(Role, Effort)>,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Rounds of tool calls that an analyst may ask for.
    pub tool_rounds: u32,
    /// Who takes part.
    pub cast: Arc<Cast>,
    /// Longest time of one tool call.
    pub tool_timeout: Duration,
    /// Longest time of the whole run.
    pub deadline: Option<Duration>,
    /// Stops the run and keeps what is finished.
    pub stop: Option<Stop>,
    /// Tokens that the run may use; 0 for no limit.
    pub budget_tokens: u64,
    /// Millionths of a US dollar that the run may use; 0 for no limit.
    pub budget_micro_usd: u64,
    /// Models of single roles.
    pub models: Vec<(Role, String)>,
    /// The folder under which `TICKER/DATE/RUN` is made.
    pub out: PathBuf,
    /// When the process began.
    pub process_start: Instant,
    /// Seed of every random source.
    pub seed: u64,
    /// Wall seconds per simulated second; 1 when nothing is simulated.
    pub time_scale: f64,
    /// Version of the program.
    pub version: String,
    /// Shows progress.
    pub on_progress: OnProgress,
    /// The file of what came of earlier decisions.
    pub memory: Option<PathBuf>,
    /// Who turns situations into vectors; without one their words are compared.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Daily bars of the ticker, to judge earlier decisions by.
    pub bars: Vec<Bar>,
    /// A benchmark's name and bars.
    pub benchmark: Option<(String, Vec<Bar>)>,
    /// Whether our own work is timed.
    pub monitor: bool,
    /// Whether receipts hold the texts before and after a rewrite.
    pub keep_text: bool,
    /// Whether nodes may run beside each other.
    pub parallel: bool,
    /// Whether the vocabulary is loaded beside the first requests.
    pub async_loading: bool,
    /// Whether finished calls and nodes are kept for a later process.
    pub journal: bool,
    /// Whether a run of this name is gone on with instead of begun.
    pub resume: bool,
    /// What the tags of decision lines are drawn from. A run that is gone on with, or replayed, needs the one it began with.
    pub nonce: String,
    /// Why the data does not fit the date, where it does not.
    pub data_gap: Option<String>,
    /// What the run was started with, for who goes on with it; no secret may stand in it.
    pub about: serde_json::Value,
}

impl Settings {
    /// What the run's prompt plan is made for.
    pub fn plan_options(&self) -> PlanOptions {
        // Limits that a run keeps anyway need not be planned for.
        let limited = self.optimizations.has("prompt_plan");
        PlanOptions {
            optimizations: self.optimizations.clone(),
            cast: Arc::clone(&self.cast),
            quick_model: self.quick_model.clone(),
            deep_model: self.deep_model.clone(),
            limits: Limits {
                tokens: (limited && self.budget_tokens > 0).then_some(self.budget_tokens),
                micro_usd: (limited && self.budget_micro_usd > 0).then_some(MicroUsd(self.budget_micro_usd)),
                millis: None,
            },
            time_scale: self.time_scale,
        }
    }
}

/// The way from each role to the end of the run; what a role takes is as in earlier runs, else as the plan expects.
fn ways(plan: &Plan, durations: &DurationsFile) -> BTreeMap<String, Duration> {
    let calls = lacon_prompt::plan::by_call(&plan.problem, &plan.solution);
    let own = calls.iter().map(|(call, pieces)| {
        let own: u64 = pieces.iter().map(|(_, choice)| choice.cost.millis).sum();
        let planned = Duration::from_millis(call.fixed.millis + own);
        durations.durations.expected(&call.name).unwrap_or(planned).as_secs_f64()
    });
    let ways = ladder::ways(calls.iter().map(|(call, _)| call.after.as_slice()), &own.collect::<Vec<_>>());
    let name = |((call, _), way): (&(&Call, _), f64)| {
        (call.name.clone(), Duration::try_from_secs_f64(way).unwrap_or(Duration::MAX))
    };
    calls.iter().zip(ways).map(name).collect()
}

/// What a run leaves.
#[derive(Debug)]
pub struct Decided {
    /// The record, also of a run that did not come to its end.
    pub record: RunRecord,
    /// The run's folder.
    pub folder: PathBuf,
    /// Why the run did not come to its end.
    pub failure: Option<RunError>,
    /// The first file that could not be written.
    pub write_error: Option<WriteError>,
}

/// Runs the graph and writes the report tree.
///
/// Dropping the future stops every call and leaves no file; a caller who wants the partial results resolves
/// [`Settings::stop`] instead.
pub async fn decide(settings: Settings) -> Decided {
    let (began, clock) = (Instant::now(), tokio::time::Instant::now());
    let before_s = (began - settings.process_start).as_secs_f64();
    let started_at = Timestamp::now().to_string();
    let describe = settings.client.describe();
    let folder = settings.out.join(&settings.ticker).join(settings.date.to_string()).join(&settings.run_id);
    // What a simulated world says is no news for a later run.
    // A source that records where figures come from has a cache of its own, which its records know of.
    let has_provenance = settings.tools.provenance().is_some();
    let shared =
        (settings.optimizations.has("shared_news") && !settings.tools.simulated() && !has_provenance)
            .then(|| SharedCache::new(settings.out.join(".cache/tools"), SHARED_BYTES, is_market_wide));
    let plan_options = settings.plan_options();
    let (plan, plan_error) = match plan::compiled(&plan_options) {
        Ok(plan) => (plan, None),
        // The record of a run that was never begun still says what was asked.
        Err(error) => {
            let free = PlanOptions { limits: Limits::default(), ..plan_options };
            (plan::compiled(&free).expect("a plan without limits exists"), Some(error))
        }
    };
    let deadline = settings.deadline;
    let data = DataInfo { source: settings.tools.describe(), simulated: settings.tools.simulated() };
    let llm = LlmInfo {
        provider: describe.provider,
        base_url: describe.base_url,
        quick_model: settings.quick_model.clone(),
        deep_model: settings.deep_model.clone(),
        simulated: describe.simulated,
    };
    let (journal, restored, journal_problem) =
        open_journal(&folder, settings.journal, settings.resume, &settings.about);
    let durations = DurationsFile::read(
        settings.out.join(".cache/durations.json"),
        format!("{}/{}", settings.profile, settings.time_scale),
    );
    // Last, so that its thread does not take the processor from what the first request waits for.
    let counter = if settings.async_loading {
        Counter::new(settings.deep_model.clone())
    } else {
        Counter::loaded(settings.deep_model.clone())
    };
    let run = Arc::new(Run::new(RunOptions {
        run_id: settings.run_id.clone(),
        labels: [("ticker".to_owned(), settings.ticker.clone())].into(),
        client: settings.client,
        tools: settings.tools,
        cache: settings.cache,
        shared,
        tool_timeout: settings.tool_timeout,
        budget_tokens: settings.budget_tokens,
        budget_micro_usd: settings.budget_micro_usd,
        counter: Arc::clone(&counter),
        on_progress: settings.on_progress,
        monitor: settings.monitor,
        journal,
        restored,
        began: clock,
    }));
    let cast = Arc::clone(&settings.cast);
    let quick_judge =
        settings.optimizations.has("slack_models") && cast.judge_beside_plan(&settings.optimizations);
    let ladder = Ladder::new(
        settings.deadline.filter(|_| settings.optimizations.has("deadline_ladder")),
        ways(&plan, &durations),
        if quick_judge { vec![Role::Judge.name().to_owned()] } else { Vec::new() },
    );
    let memory_path = settings.memory.filter(|_| settings.optimizations.has("memory"));
    let recall = memory_path.clone().map(|path| {
        Recall::start(RecallOptions {
            path,
            ticker: settings.ticker.clone(),
            date: settings.date,
            simulated: llm.simulated || data.simulated,
            bars: settings.bars,
            benchmark: settings.benchmark,
        })
    });
    // Without the layout siblings have no common prefix; with several rounds a role's first token is waited for once only.
    let staggers =
        ["stagger", "prefix_layout"].iter().all(|optimization| settings.optimizations.has(optimization));
    let first_token = Duration::from_secs_f64(plan::FIRST_TOKEN_S * settings.time_scale);
    let about = About {
        run_id: settings.run_id,
        ticker: settings.ticker.clone(),
        date: settings.date.to_string(),
        profile: settings.profile,
        started_at,
        status: "done",
        llm,
        data,
        optimizations: settings.optimizations.clone(),
        cast: Arc::clone(&cast),
        began,
        before_s,
        version: settings.version,
        data_gap: settings.data_gap,
        seed: settings.seed,
        time_scale: settings.time_scale,
    };
    let at_once = cast.at_once() && cast.research_rounds() == 1;
    // Roles that start together with a common prefix.
    let siblings = cast.siblings();
    let stagger = if staggers && at_once {
        Stagger::new(siblings, &durations.durations, first_token)
    } else {
        Stagger::default()
    };
    let context = Arc::new(RunContext {
        run: Arc::clone(&run),
        short_forms: ShortForms::default(),
        stated_actions: StatedActions::default(),
        nonce: settings.nonce,
        keep_text: settings.keep_text,
        models: settings.models,
        plan,
        ladder,
        recall,
        embedder: settings.embedder,
        stagger,
        optimizations: settings.optimizations,
        ticker: settings.ticker,
        company: settings.company,
        listing: settings.listing,
        date: settings.date,
        identity: OnceLock::new(),
        quick_model: settings.quick_model,
        deep_model: settings.deep_model,
        effort: settings.effort,
        temperature: settings.temperature,
        tool_rounds: settings.tool_rounds,
        cast: Arc::clone(&cast),
    });
    let options = ExecuteOptions {
        deadline: settings.deadline,
        stop: settings.stop,
        one_at_a_time: !settings.parallel,
        expected: durations.durations.medians(),
    };
    let (state, failure) = match graph::build(&context) {
        _ if plan_error.is_some() => {
            let message = plan_error.map(|e| e.to_string()).unwrap_or_default();
            (Arc::new(TradeState::default()), Some(RunError::Setup(message)))
        }
        Err(faults) => (Arc::new(TradeState::default()), Some(RunError::Setup(faults.to_string()))),
        Ok(graph) => match execute(&run, &graph, TradeState::default(), options).await {
            Err(error) => (Arc::new(TradeState::default()), Some(RunError::Setup(error.to_string()))),
            Ok(outcome) => {
                let decides = !outcome::verdicts(&outcome.state).is_empty();
                let failure = RunError::of(&outcome.status, deadline)
                    .or_else(|| (!decides).then(|| outcome::nobody_decides(&cast)));
                (outcome.state, failure)
            }
        },
    };
    let status = failure.as_ref().map_or("done", RunError::status);
    let ops = &run.ledger.ops;
    let model_encoding = ops.time("vocabulary", || counter.get());
    if !about.llm.simulated
        && let Some(warning) = &model_encoding.warning
    {
        run.ledger.warn(warning.clone());
    }
    if let Some(problem) =
        journal_problem.or_else(|| run.options.journal.as_ref().and_then(RunJournal::problem))
    {
        run.ledger.warn(format!("the run cannot be resumed: {problem}"));
    }
    let facts = ops.time("collect facts", || run.ledger.facts());
    let about = About { status, ..about };
    let (mut record, mut write_error) = closing::close(&context, about, &state, &facts, ops, &folder);
    // Writing is our own time too: the record, written last, says what all of it took.
    record.wall_s = began.elapsed().as_secs_f64();
    record.own_ms = (record.wall_s - record.model_s).max(0.0) * 1e3;
    record.peak_rss_mb = peak_rss_mb();
    record.books = books(record.wall_s, &facts, &ops.facts());
    if write_error.is_none() {
        let json = serde_json::to_vec_pretty(&record).unwrap_or_default();
        write_error = report::write_whole(&folder.join("run.json"), &json).err();
    }
    if failure.is_none() {
        durations.write(&facts);
        let embedding = context.recall.as_ref().and_then(Recall::embedding).cloned();
        remember(memory_path, &mut record, &state, embedding).await;
    }
    Decided { record, folder, failure, write_error }
}

/// Keeps a decision for later runs. One that nobody stated teaches nothing. The disk is waited for on a thread of its own:
/// other runs of the process go on.
async fn remember(
    path: Option<PathBuf>,
    record: &mut RunRecord,
    state: &TradeState,
    embedding: Option<memory::Embedding>,
) {
    let (Some(path), Some(action)) = (path, Action::of_run(record)) else { return };
    let Ok(date) = record.date().parse() else { return };
    let decided = memory::Decided {
        ticker: record.label("ticker").to_owned(),
        date,
        action,
        run_id: record.run_id.clone(),
        situation: recall::situation(state),
        thesis: record.decision.reasons.iter().take(2).cloned().collect::<Vec<_>>().join(" "),
        embedding,
        simulated: record.llm.simulated || record.data.simulated,
    };
    let stored =
        tokio::task::spawn_blocking(move || Memory::open(&path).and_then(|memory| memory.store(&decided)));
    let problem = match stored.await {
        Ok(stored) => stored.err().map(|error| error.to_string()),
        Err(stopped) => Some(stopped.to_string()),
    };
    record.warnings.extend(problem.map(|problem| format!("the decision is not remembered: {problem}")));
}

/// Opens the journal; without one the run goes on, and the reason becomes a warning.
fn open_journal(
    folder: &Path,
    wanted: bool,
    resume: bool,
    about: &serde_json::Value,
) -> (Option<RunJournal>, Restored, Option<String>) {
    if !wanted {
        return (None, Restored::default(), None);
    }
    let path = folder.join(JOURNAL);
    let opened = if resume {
        let made = std::fs::create_dir_all(folder).map_err(|e| e.to_string());
        made.and_then(|()| RunJournal::open(&path, about).map_err(|e| e.to_string()))
    } else {
        // A run that is begun again under the same name is another run.
        Ok((RunJournal::begin(path, about), Restored::default()))
    };
    match opened {
        Ok((journal, restored)) => (Some(journal), restored, None),
        Err(problem) => (None, Restored::default(), Some(problem)),
    }
}

/// Room for market-wide answers on disk.
const SHARED_BYTES: u64 = 16 << 20;

/// Whether a tool's answer depends on the date alone.
fn is_market_wide(tool: &str) -> bool {
    catalog::find(tool).is_some_and(|t| t.arguments.iter().all(|a| a.kind == Kind::Date))
}
