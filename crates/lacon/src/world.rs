//! Wiring: builds the model client with its layers, and the source of tool answers, from the settings.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::civil::Date;
use lacon_llm::{
    BreakerOptions, Client, Effort, Error, ErrorKind, Hedge, HedgeOptions, LimitOptions, Protocol, Provider,
    ProviderOptions, RetryOptions, Sample, Secret, Stack, StackOptions, StructuredOptions, Tape, TapeMode,
    TapeOptions, Taped, TransportOptions,
};
use lacon_market::{Asset, DataError, Dataset, Symbol, folder, pack};
use lacon_runtime::{
    Config, ToolRequest, ToolSource,
    http_tools::{HttpLimits, HttpTools},
    tape_tools::TapedTools,
    tools::ToolsByName,
};
use lacon_sim::{Faults, SimClient, SimOptions, client::draw, tool_seconds};
use lacon_trading::{
    Cast, CastOptions, Optimizations, Role,
    agents::{self, Agents},
    source::{DatasetSource, VendorSource},
};

use crate::{commands, failure::Failure, forms, vendors};

/// Whether the settings ask for the simulator.
pub fn is_simulated(config: &Config) -> bool {
    match config.text("llm.provider") {
        "sim" => true,
        "auto" => config.text("llm.base_url").is_empty() && config.text("llm.api_key").is_empty(),
        _ => false,
    }
}

/// The simulator's options.
pub fn sim_options(config: &Config) -> Result<SimOptions, Failure> {
    Ok(SimOptions {
        seed: config.integer("sim.seed") as u64,
        profile: config.text("sim.profile").parse().map_err(Failure::input)?,
        time_scale: config.number("sim.time_scale"),
        noise: config.flag("sim.noise"),
        faults: faults(&config.list("sim.faults"))?,
        cache_rule: lacon_models::cache_rule(config.text("sim.cache_rule")),
    })
}

fn faults(list: &[&str]) -> Result<Faults, Failure> {
    let mut faults = Faults::default();
    for part in list {
        let share = part.split_once('=').and_then(|(name, share)| {
            Some((name, share.parse::<f64>().ok().filter(|s| (0.0..=1.0).contains(s))?))
        });
        match share {
            Some(("429", s)) => faults.rate_limited = s,
            Some(("500", s)) => faults.server_error = s,
            Some(("drop", s)) => faults.dropped = s,
            Some(("stall", s)) => faults.stalled = s,
            Some(("badjson", s)) => faults.malformed = s,
            _ => {
                return Err(Failure::input(format!(
                    "sim.faults holds {part:?}\nhint: 429=, 500=, drop=, stall= or badjson= with a share from 0 to 1"
                )));
            }
        }
    }
    Ok(faults)
}

/// How much faster than a wall clock the endpoint's time runs: the simulator's or a replay server's scale.
pub fn time_scale(config: &Config) -> f64 {
    if is_simulated(config) { config.number("sim.time_scale") } else { config.number("llm.time_scale") }
}

/// What the tags of a new run's decision lines are drawn from: the seed where the model is simulated, so that equal seeds give
/// equal prompts, else random bytes that no text from outside can know.
pub fn nonce(config: &Config) -> String {
    if is_simulated(config) {
        return config.text("sim.seed").to_owned();
    }
    let mut bytes = [0; 16];
    // Without a source of random bytes the time and the process have to do.
    if getrandom::fill(&mut bytes).is_err() {
        return format!("{:?}/{}", std::time::Instant::now(), std::process::id());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Opens the tape that the settings ask for.
pub fn tape(config: &Config) -> Result<Option<Arc<Tape>>, Failure> {
    let mode = match config.text("run.tape_mode") {
        "record" => TapeMode::Record,
        "replay" => TapeMode::Strict,
        "lenient" => TapeMode::Lenient,
        "patch" => TapeMode::Patch,
        _ => return Ok(None),
    };
    let path = config.text("run.tape");
    if path.is_empty() {
        return Err(Failure::input("run.tape_mode is set, run.tape names no file\nhint: add --tape FILE"));
    }
    let options = TapeOptions {
        secrets: vec![Secret::new(config.text("llm.api_key"))],
        nonce: nonce(config),
        ..TapeOptions::default()
    };
    let tape = Tape::open(std::path::Path::new(path), mode, options);
    Ok(Some(Arc::new(tape.map_err(|e| Failure::model(&e, e.kind()))?)))
}

/// The hedge of a client, to teach it and to keep what it learned.
pub type SharedHedge = Arc<Hedge<Arc<dyn Client>>>;

/// The model client with its layers: tape, retry, hedge, limit, circuit breaker, provider or simulator.
pub fn client(
    config: &Config,
    hedge: bool,
    tape: Option<Arc<Tape>>,
) -> Result<(Arc<dyn Client>, Option<SharedHedge>), Failure> {
    layered(config, hedge, tape, || bare_client(config))
}

/// The client of a team: as [`client`], with a simulator that answers any prompt.
pub fn team_client(config: &Config, tape: Option<Arc<Tape>>) -> Result<Arc<dyn Client>, Failure> {
    let bare = || match is_simulated(config) {
        true => Ok(Arc::new(SimClient::generic(sim_options(config)?)) as Arc<dyn Client>),
        false => bare_client(config),
    };
    layered(config, false, tape, bare).map(|(client, _)| client)
}

fn layered(
    config: &Config,
    hedge: bool,
    tape: Option<Arc<Tape>>,
    bare: impl FnOnce() -> Result<Arc<dyn Client>, Failure>,
) -> Result<(Arc<dyn Client>, Option<SharedHedge>), Failure> {
    if let Some(tape) = tape.as_ref().filter(|t| t.mode() == TapeMode::Strict) {
        return Ok((Arc::new(Taped::replay_only(Arc::clone(tape))), None));
    }
    let scale = time_scale(config);
    let scaled = |seconds: f64| Duration::from_secs_f64(seconds * scale);
    let retry = RetryOptions {
        max_attempts: config.integer("llm.max_attempts") as u32,
        base: scaled(0.5),
        cap: scaled(8.0),
        seed: config.integer("sim.seed") as u64,
        ..RetryOptions::default()
    };
    let hedge = HedgeOptions {
        first_token: Some(scaled(config.number("llm.hedge_first_token_s"))),
        gap: Some(scaled(config.number("llm.hedge_gap_s"))),
        min_wait: scaled(0.25),
        max_hedges: if hedge { HedgeOptions::default().max_hedges } else { 0 },
        ..HedgeOptions::default()
    };
    let layers = StackOptions {
        // A simulator is no endpoint that could be left alone.
        breaker: (!is_simulated(config)).then(BreakerOptions::default),
        limit: Some(LimitOptions {
            max_concurrent: config.integer("llm.max_concurrent") as usize,
            ..LimitOptions::default()
        }),
        // Where nothing takes time nothing is slow.
        hedge: (hedge.max_hedges > 0 && scale > 0.0).then_some(hedge),
        retry: Some(retry),
        structured: Some(StructuredOptions::default()),
        tape,
    };
    let stack = Stack::new(bare()?, layers);
    Ok((stack.client, stack.hedge))
}

/// The file of how long earlier calls took, beside the results; endpoints and speeds are told apart by its keys.
fn hedge_file(config: &Config) -> (std::path::PathBuf, String) {
    let endpoint = match config.text("llm.base_url") {
        "" if is_simulated(config) => "sim",
        "" => config.text("llm.provider"),
        url => url,
    };
    let path = std::path::Path::new(config.text("run.out")).join(".cache/latency.json");
    (path, format!("{endpoint}/{}", time_scale(config)))
}

/// Latencies by endpoint: model, role, samples.
type Latencies = BTreeMap<String, Vec<(String, String, Vec<Sample>)>>;

/// Teaches a hedge what calls of earlier runs took; a missing or damaged file teaches nothing.
pub fn teach(config: &Config, hedge: &SharedHedge) {
    let (path, key) = hedge_file(config);
    let known: Option<Latencies> =
        std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    for (model, role, samples) in known.unwrap_or_default().remove(&key).unwrap_or_default() {
        // The row without a role is made of those with one.
        for sample in samples.into_iter().filter(|_| !role.is_empty()) {
            hedge.learn(&model, &role, sample);
        }
    }
}

/// Keeps what a hedge has learned for the next run. A file that cannot be written is no loss to the run.
pub fn keep(config: &Config, hedge: &SharedHedge) {
    let (path, key) = hedge_file(config);
    let known: Option<Latencies> =
        std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let mut known = known.unwrap_or_default();
    known.insert(key, hedge.history());
    if let Ok(text) = serde_json::to_vec(&known) {
        let _ = lacon_files::write(&path, &text, [], lacon_files::Flush::Later);
    }
}

/// The variable that a provider's own tools read its key from.
pub fn key_name(provider: &str) -> &'static str {
    let own = lacon_runtime::config::PROVIDER_KEYS.iter().find(|(name, _)| *name == provider);
    own.map_or("OPENAI_API_KEY", |(_, key)| key)
}

/// The provider or the simulator, without layers.
fn bare_client(config: &Config) -> Result<Arc<dyn Client>, Failure> {
    if is_simulated(config) {
        return Ok(Arc::new(SimClient::new(sim_options(config)?)));
    }
    let scale = time_scale(config);
    let seconds = |key: &str| Duration::from_secs_f64(config.number(key));
    let protocol = match config.text("llm.provider") {
        "auto" => Protocol::Chat,
        name => Protocol::from_name(name)
            .ok_or_else(|| Failure::input(format!("unknown llm.provider {name:?}")))?,
    };
    let key = config.text("llm.api_key");
    let options = ProviderOptions {
        base_url: config.text("llm.base_url").into(),
        key: Secret::new(key),
        send_tags: config.flag("llm.headers"),
        stream: config.flag("llm.stream"),
        ask_server: true,
        first_token: seconds("llm.first_token_timeout_s").mul_f64(scale),
        idle: seconds("llm.idle_timeout_s").mul_f64(scale),
        transport: TransportOptions {
            connect: seconds("llm.connect_timeout_s"),
            ..TransportOptions::default()
        },
        ..ProviderOptions::default()
    };
    if key.is_empty() && options.base_url.is_empty() && protocol != Protocol::Ollama {
        return Err(Failure::model(
            format!(
                "no key for the provider's own endpoint\nhint: set {}, name an endpoint with --base-url, or leave out --llm to use the simulator",
                key_name(config.text("llm.provider"))
            ),
            ErrorKind::Auth,
        ));
    }
    let provider = Provider::new(protocol, options).map_err(|e: Error| Failure::model(&e, e.kind()))?;
    Ok(Arc::new(provider))
}

/// Loads what the settings' data source knows of a ticker; `None` when tools are reached by URL and it knows nothing.
pub fn dataset(config: &Config, ticker: &Symbol) -> Result<Option<Dataset>, Failure> {
    let loaded = match config.text("data.source") {
        "vendors" => return Ok(None),
        "auto" | "offline" => pack::load(ticker),
        path => folder::load(std::path::Path::new(path), ticker),
    };
    match loaded {
        Ok(data) => Ok(Some(data)),
        Err(DataError::UnknownTicker { .. }) if !config.text("data.tools_url").is_empty() => Ok(None),
        Err(error @ DataError::UnknownTicker { .. }) => Err(Failure::input(format!(
            "{}\nhint: --data vendors asks live vendors for any ticker, --data DIR reads your folder",
            chain(&error)
        ))),
        Err(error) => Err(Failure::input(chain(&error))),
    }
}

/// The benchmark's bars, where the data folder holds them; a ticker is no benchmark of itself.
pub fn benchmark(config: &Config, ticker: &Symbol) -> Option<(String, Vec<lacon_market::Bar>)> {
    const BENCHMARK: &str = "SPY";
    let folder = config.text("data.source");
    if matches!(folder, "auto" | "offline") || ticker.as_str() == BENCHMARK {
        return None;
    }
    let data = folder::load(std::path::Path::new(folder), &Symbol::parse(BENCHMARK).ok()?).ok()?;
    (!data.bars.is_empty()).then(|| (BENCHMARK.to_owned(), data.bars))
}

/// Who takes part, as the settings say.
pub fn cast(config: &Config, asset: Asset) -> Result<Cast, Failure> {
    let path = config.text("trading.agents");
    let agents = match path {
        "" => Agents::default(),
        path => {
            let text = commands::read_text(std::path::Path::new(path))?;
            agents::parse(&text).map_err(|e| Failure::input(format!("{path}: {e}")))?
        }
    };
    let language = config.text("trading.language");
    lacon_trading::cast::check_language(language).map_err(Failure::input)?;
    Cast::new(CastOptions {
        profile: config.text("run.profile").into(),
        analysts: config.list("trading.analysts").into_iter().map(Into::into).collect(),
        agents,
        language: language.into(),
        asset: Some(asset),
        research_rounds: config.integer("run.research_rounds") as u32,
        risk_rounds: config.integer("run.risk_rounds") as u32,
    })
    .map_err(Failure::input)
}

/// The optimizations of a run.
pub fn optimizations(config: &Config) -> Result<Optimizations, Failure> {
    let (profile, mut disabled) = (config.text("run.profile"), config.list("run.disable"));
    if forms::is_strict(config) {
        disabled.extend(forms::of_trading(config, trading_models(config))?.0);
    }
    Optimizations::new(profile, &disabled, &config.list("run.enable")).map_err(Failure::input)
}

/// Which forms are not proven for the models of the trading team.
pub fn unproven(config: &Config) -> Result<Vec<String>, Failure> {
    Ok(forms::of_trading(config, trading_models(config))?.1)
}

fn trading_models(config: &Config) -> impl Iterator<Item = &str> {
    let of_roles = config.list("llm.models").into_iter().filter_map(|pair| Some(pair.split_once('=')?.1));
    ["llm.quick_model", "llm.deep_model"].into_iter().map(|key| config.text(key)).chain(of_roles)
}

/// Puts own tools before a source.
fn with_own_tools(
    config: &Config,
    agents: &Agents,
    run_id: &str,
    ticker: &Symbol,
    rest: Arc<dyn ToolSource>,
) -> Result<Arc<dyn ToolSource>, Failure> {
    if agents.tools.is_empty() {
        return Ok(rest);
    }
    let mut own: BTreeMap<String, Arc<dyn ToolSource>> = BTreeMap::new();
    for tool in &agents.tools {
        let of_team = tool.of_team();
        let limits = HttpLimits {
            connect: Duration::from_secs_f64(config.number("llm.connect_timeout_s")),
            whole: Duration::from_secs_f64(of_team.limit_s()),
            max_body: of_team.max_bytes(),
        };
        let source = HttpTools::new(
            &tool.url,
            run_id,
            &[("Ticker", ticker.as_str())],
            config.flag("llm.headers"),
            limits,
        );
        let source = source.map_err(|e| Failure::input(format!("tool {:?}: {e}", tool.name)))?;
        own.insert(tool.name.clone(), Arc::new(source));
    }
    Ok(Arc::new(ToolsByName::new(own, rest)))
}

/// The source of tool answers.
pub fn tools(
    config: &Config,
    data: Option<Dataset>,
    run_id: &str,
    ticker: &Symbol,
    date: Date,
    agents: &Agents,
    tape: Option<Arc<Tape>>,
) -> Result<Arc<dyn ToolSource>, Failure> {
    let source = bare_tools(config, data, run_id, ticker, date)?;
    let source = with_own_tools(config, agents, run_id, ticker, source)?;
    Ok(match tape {
        Some(tape) => Arc::new(TapedTools::new(source, tape)),
        None => source,
    })
}

fn bare_tools(
    config: &Config,
    data: Option<Dataset>,
    run_id: &str,
    ticker: &Symbol,
    date: Date,
) -> Result<Arc<dyn ToolSource>, Failure> {
    let url = config.text("data.tools_url");
    if !url.is_empty() {
        let connect = Duration::from_secs_f64(config.number("llm.connect_timeout_s"));
        let limits = HttpLimits { connect, ..HttpLimits::default() };
        let tools =
            HttpTools::new(url, run_id, &[("Ticker", ticker.as_str())], config.flag("llm.headers"), limits);
        return Ok(Arc::new(tools.map_err(|e| Failure::model(&e, e.kind()))?));
    }
    if vendors::are_asked(config) {
        let live = vendors::live(config, ticker, date)?;
        return Ok(Arc::new(VendorSource::new(live, vendors::describe(config))));
    }
    let data = data.unwrap_or_default();
    let semantics = vendors::semantics(config);
    // With a simulated model the tools take as long as a vendor would; with a real one a pack answers at once.
    let delay = is_simulated(config).then(|| {
        let (seed, scale) = (config.integer("sim.seed") as u64, config.number("sim.time_scale"));
        let noise = config.flag("sim.noise");
        let delay = move |request: &ToolRequest| {
            let u = if noise {
                draw(seed, &format!("tool/{}", lacon_runtime::ToolCache::key(request)))
            } else {
                0.5
            };
            Duration::from_secs_f64(tool_seconds(&request.name, u) * scale)
        };
        Arc::new(delay) as lacon_trading::source::Delay
    });
    Ok(Arc::new(DatasetSource::new(Arc::new(data), date, semantics, delay)))
}

/// Reads `ROLE=low|medium|high` entries.
pub fn efforts(list: &[&str]) -> Result<Vec<(Role, Effort)>, Failure> {
    list.iter()
        .map(|entry| {
            let (role, level) = entry.split_once('=').ok_or_else(|| {
                Failure::input(format!("effort {entry:?} has no level\nhint: write ROLE=low|medium|high"))
            })?;
            let level = match level {
                "low" => Effort::Low,
                "medium" => Effort::Medium,
                "high" => Effort::High,
                other => {
                    return Err(Failure::input(format!(
                        "effort {other:?} of {role}\nhint: low, medium or high"
                    )));
                }
            };
            Ok((role.parse().map_err(Failure::input)?, level))
        })
        .collect()
}

/// Reads `ROLE=MODEL` entries.
pub fn models(list: &[&str]) -> Result<Vec<(Role, String)>, Failure> {
    list.iter()
        .map(|entry| match entry.split_once('=').filter(|(_, model)| !model.is_empty()) {
            Some((role, model)) => Ok((role.parse().map_err(Failure::input)?, model.to_owned())),
            None => Err(Failure::input(format!("model {entry:?} names no model\nhint: write ROLE=MODEL"))),
        })
        .collect()
}

/// An error with the reasons behind it, on one line before its hint.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let reason = inner.to_string();
        if !text.contains(&reason) {
            text = match text.split_once('\n') {
                Some((head, rest)) => format!("{head}: {reason}\n{rest}"),
                None => format!("{text}: {reason}"),
            };
        }
        source = inner.source();
    }
    text
}
