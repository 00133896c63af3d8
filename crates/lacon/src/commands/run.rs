//! `lacon run`: decide on a stock with the whole agent graph.

use std::{
    io::IsTerminal,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use lacon_market::{Dataset, Symbol};
use lacon_monitor::RunRecord;
use lacon_runtime::{Config, ToolCache};
use lacon_trading::Action;
use lacon_trading::{Decided, Settings, decide, run::JOURNAL, source::introduce};

use super::{
    Common, block_on, micro_usd, report,
    resume::{self, Resumed},
    team,
};
use crate::{
    args::{RunArgs, eval::Forms},
    failure::{self, Failure},
    forms,
    live::Live,
    lock::{RunLock, folder},
    logging, shared, signals,
    text::{self, paint, thousands},
    vendors,
    world::{self, SharedHedge},
};

/// The flags of a run that names the team: `lacon run trading CRCL` is `lacon run CRCL`.
pub fn of_trading(mut args: RunArgs) -> Result<RunArgs, Failure> {
    match (args.ticker.as_deref(), args.subject.take()) {
        (Some(team::TRADING), None) if args.resume.is_some() => args.ticker = None,
        (Some(team::TRADING), None) => {
            return Err(Failure::input(
                "the team trading decides on a ticker, and none is given\nhint: lacon run trading CRCL",
            ));
        }
        (Some(team::TRADING), subject) => args.ticker = subject,
        (_, None) => {}
        (_, Some(subject)) => {
            return Err(Failure::input(format!(
                "{subject:?} is one argument too many\nhint: a team is given --input NAME=VALUE; lacon batch-run takes several tickers"
            )));
        }
    }
    Ok(args)
}

/// Runs the graph, prints the decision, leaves the report tree.
pub fn run(common: &Common, args: &RunArgs, started: Instant) -> Result<ExitCode, Failure> {
    if let Some(times) = args.repeat {
        return super::repeat::run(common, args, times, started);
    }
    if args.journal.is_some() {
        return Err(Failure::input(
            "--journal is for teams\nhint: a run of a stock keeps its journal in its folder",
        ));
    }
    let (config, resumed) = config(common, args)?;
    let (settings, hedge) = settings_and_hedge(&config, args, resumed.as_ref(), started)?;
    let lock = RunLock::of(&settings)?;
    if resumed.is_some() {
        // The run may have ended between the look at it and the lock.
        resume::refuse_finished(&folder(&settings))?;
    } else if !args.force {
        refuse_existing(&settings)?;
    }
    hedge.iter().for_each(|hedge| world::teach(&config, hedge));
    forms::say(&config, world::is_simulated(&config), || world::unproven(&config))?;
    if !args.json {
        text::out(&heading(&config, &settings));
    } else if world::is_simulated(&config) && config.text("log.level") != "error" {
        text::note(&heading(&config, &settings));
    }
    logging::open(&config)?;
    let quiet = config.text("log.level") == "error" || logging::is_chatty(&config);
    let live = Live::new(quiet, &settings.cast.roles());
    let on_progress = live.on_progress();
    let on_progress = if logging::is_chatty(&config) { logging::logged(on_progress) } else { on_progress };
    let settings = Settings { on_progress, ..settings };
    let decided = block_on(async {
        let settings = introduced(&config, settings).await;
        decide(Settings { stop: Some(Box::pin(signals::stop())), ..settings }).await
    })?;
    live.close();
    hedge.iter().for_each(|hedge| world::keep(&config, hedge));
    super::models::keep(&config);
    if args.json {
        let json = serde_json::to_string_pretty(&decided.record)
            .map_err(|e| Failure::input(format!("cannot write run.json: {e}")))?;
        text::out(&json);
    } else {
        print(&decided);
    }
    after(&decided, &config, args)?;
    drop(lock);
    conclude(&decided, &config)
}

/// Reports and exports; a sink that cannot be reached is a warning, the decision stands.
fn after(decided: &Decided, config: &Config, args: &RunArgs) -> Result<(), Failure> {
    let asked = args.performance_report
        || args.html.is_some()
        || args.complete.is_some()
        || args.otlp.is_some()
        || !args.trace_format.is_empty();
    if !asked || decided.write_error.is_some() {
        return Ok(());
    }
    let loaded = report::load(&decided.folder)?;
    if args.performance_report {
        let tables = lacon_monitor::render::report(&report::of(&loaded));
        if args.json { text::note(&tables) } else { text::out(&format!("\n{tables}")) }
    }
    if let Some(file) = &args.html {
        let page = lacon_monitor::html::html(&report::of(&loaded));
        report::write(file, page.as_bytes(), &decided.folder)?;
    }
    if let Some(file) = &args.complete {
        report::complete(&decided.folder, file.as_deref())?;
    }
    for format in &args.trace_format {
        report::write(
            &decided.folder.join(format.file()),
            report::formatted(*format, &loaded, config)?.as_bytes(),
            &decided.folder,
        )?;
    }
    if let Some(url) = &args.otlp
        && let Err(error) = block_on(crate::otlp::send(
            url,
            config.text("log.otlp_headers"),
            &loaded.trace,
            report::conventions(config),
        ))?
    {
        logging::warn(config, &format!("the trace was not sent: {error}"));
    }
    Ok(())
}

/// The settings with the company's name as the vendors have it, where they are asked.
pub(in crate::commands) async fn introduced(config: &Config, mut settings: Settings) -> Settings {
    if vendors::are_asked(config) {
        let found = introduce(&*settings.tools).await;
        settings.company = found.company.unwrap_or(settings.company);
        settings.listing = found.listing;
    }
    settings
}

/// A run of the same name is not overwritten by accident.
pub(in crate::commands) fn refuse_existing(settings: &Settings) -> Result<(), Failure> {
    let folder = folder(settings);
    if !["run.json", JOURNAL].iter().any(|file| folder.join(file).exists()) {
        return Ok(());
    }
    let name = &settings.run_id;
    Err(Failure::input(format!(
        "run {name} exists: {}\nhint: choose another --run-id, continue with --resume {name}, or overwrite with --force",
        folder.display()
    )))
}

/// The settings of a run: its flags, over those of the run that it goes on with.
pub fn config(common: &Common, args: &RunArgs) -> Result<(Config, Option<Resumed>), Failure> {
    let efforts = args.effort.join(",");
    let forms = args.forms.map(Forms::word);
    let models = args.model.join(",");
    let tape_mode = match (args.record, args.replay) {
        (true, _) => Some("record".to_owned()),
        (_, true) => Some("replay".to_owned()),
        _ => None,
    };
    let flags = [
        ("llm.provider", args.llm.as_ref()),
        ("llm.base_url", args.base_url.as_ref()),
        ("llm.quick_model", args.quick_model.as_ref()),
        ("llm.deep_model", args.deep_model.as_ref()),
        ("llm.effort", (!args.effort.is_empty()).then_some(&efforts)),
        ("data.source", args.data.as_ref()),
        ("data.tools_url", args.tools_url.as_ref()),
        ("vendors.base_url", args.vendors_url.as_ref()),
        ("run.disable", args.disable.as_ref()),
        ("run.enable", args.enable.as_ref()),
        ("models.forms", forms.as_ref()),
        ("run.budget_tokens", args.budget_tokens.as_ref()),
        ("run.budget_usd", args.budget_usd.as_ref()),
        ("llm.models", (!args.model.is_empty()).then_some(&models)),
        ("run.deadline_s", args.deadline.as_ref()),
        ("run.out", args.out.as_ref()),
        ("run.tape", args.tape.as_ref()),
        ("run.tape_mode", tape_mode.as_ref()),
        ("sim.seed", args.seed.as_ref()),
        ("sim.time_scale", args.time_scale.as_ref()),
    ];
    let flags: Vec<_> = flags.into_iter().chain(args.cast.flags()).collect();
    let mut config = common.settings(&flags)?;
    let resumed = resume::find(Path::new(config.text("run.out")), args)?;
    if let Some(resumed) = &resumed {
        config = common.settings_over(resumed.settings.clone(), &flags)?;
    }
    Ok((config, resumed))
}

/// Everything that a run needs, from settings and flags.
pub fn settings(
    config: &Config,
    args: &RunArgs,
    resumed: Option<&Resumed>,
    started: Instant,
) -> Result<Settings, Failure> {
    settings_and_hedge(config, args, resumed, started).map(|(settings, _)| settings)
}

fn settings_and_hedge(
    config: &Config,
    args: &RunArgs,
    resumed: Option<&Resumed>,
    started: Instant,
) -> Result<(Settings, Option<SharedHedge>), Failure> {
    let ticker = args.ticker.as_deref().or(resumed.map(|r| r.ticker.as_str())).unwrap_or_default();
    let (ticker, asset) = Symbol::parse(ticker).map_err(Failure::input)?.canonical();
    // Own agents first: efforts and models may name them.
    let cast = Arc::new(world::cast(config, asset)?);
    let optimizations = world::optimizations(config)?;
    let data = world::dataset(config, &ticker)?;
    let asked = args.date.as_deref().or(resumed.map(|r| r.date.as_str()));
    let date = date(asked, data.as_ref().and_then(|d| d.date))?;
    let data_gap = match data.as_ref().filter(|_| config.text("data.tools_url").is_empty()) {
        Some(data) => gap(data, &ticker, date)?,
        None => None,
    };
    let run_id = match resumed {
        Some(resumed) => resumed.run_id.clone(),
        None => run_id(args.run_id.as_deref())?,
    };
    let company = data.as_ref().and_then(|d| d.name.clone()).unwrap_or_else(|| ticker.to_string());
    let temperature = match config.text("llm.temperature") {
        "" => None,
        text => Some(text.parse::<f32>().ok().filter(|t| (0.0..=2.0).contains(t)).ok_or_else(|| {
            Failure::input(format!("llm.temperature is {text:?}, a number from 0 to 2 is needed"))
        })?),
    };
    let bars = data.as_ref().map(|d| d.bars.clone()).unwrap_or_default();
    let deadline = config.number("run.deadline_s");
    let cache_mb = if optimizations.has("tool_cache") { config.integer("data.cache_mb") } else { 0 };
    let tape = world::tape(config)?;
    let (client, hedge) = world::client(config, optimizations.has("hedge"), tape.clone())?;
    let begun = resumed.map(|resumed| resumed.nonce.clone()).filter(|nonce| !nonce.is_empty());
    let nonce =
        begun.unwrap_or_else(|| tape.as_ref().map_or_else(|| world::nonce(config), |tape| tape.nonce()));
    let is_taped = tape.is_some();
    let tools = world::tools(config, data, &run_id, &ticker, date, cast.agents(), tape)?;
    let own = cast.agents().tools.iter().map(|tool| tool.name.clone()).collect();
    // A tape holds what its own run got.
    let elsewhere = if is_taped { None } else { shared::of_source(config, &*tools, own)? };
    let settings = Settings {
        client,
        tools,
        cache: Arc::new(ToolCache::new((cache_mb as usize) << 20).sharing(elsewhere)),
        run_id,
        listing: String::new(),
        ticker: ticker.as_str().into(),
        company,
        date,
        profile: config.text("run.profile").into(),
        optimizations,
        quick_model: config.text("llm.quick_model").into(),
        deep_model: config.text("llm.deep_model").into(),
        effort: world::efforts(&config.list("llm.effort"))?,
        temperature,
        tool_rounds: config.integer("run.tool_rounds") as u32,
        cast,
        tool_timeout: Duration::from_secs_f64(config.number("data.timeout_s")),
        deadline: (deadline > 0.0).then(|| Duration::from_secs_f64(deadline)),
        stop: None,
        budget_tokens: config.integer("run.budget_tokens") as u64,
        budget_micro_usd: micro_usd(config.number("run.budget_usd")),
        models: world::models(&config.list("llm.models"))?,
        out: Path::new(config.text("run.out")).to_owned(),
        process_start: started,
        seed: config.integer("sim.seed") as u64,
        time_scale: world::time_scale(config),
        version: env!("CARGO_PKG_VERSION").into(),
        on_progress: Arc::new(|_| {}),
        memory: Some(Path::new(config.text("run.out")).join("memory.db")),
        embedder: crate::embeddings::embedder(config)?,
        benchmark: world::benchmark(config, &ticker),
        bars,
        monitor: config.flag("run.monitor"),
        keep_text: config.flag("log.prompt_text"),
        parallel: config.flag("run.parallel"),
        async_loading: config.flag("tokens.async"),
        journal: config.flag("run.journal"),
        resume: resumed.is_some(),
        about: resume::about(config, ticker.as_str(), &date.to_string(), &nonce),
        nonce,
        data_gap,
    };
    Ok((settings, hedge))
}

/// What a data set lacks for a date: nothing of it is known before its first bar, and what it knows may be old.
fn gap(data: &Dataset, ticker: &Symbol, date: Date) -> Result<Option<String>, Failure> {
    let (Some(first), Some(last)) = (data.bars.first(), data.bars.last()) else { return Ok(None) };
    let covers = format!("the prices of {ticker} go from {} to {}", first.date, last.date);
    if date < first.date {
        return Err(Failure::input(format!(
            "date {date} is before the data: {covers}\nhint: choose a day in between, or --data vendors"
        )));
    }
    let days = last.date.until(date).map_or(0, |span| span.get_days());
    // A week without a bar is a holiday at most.
    Ok((days > 7).then(|| format!("date {date} is outside of the data: {covers}")))
}

/// The date asked for, else the pack's, else today; a day that is still to come anywhere on earth is an error.
fn date(asked: Option<&str>, of_data: Option<Date>) -> Result<Date, Failure> {
    let today = Timestamp::now().to_zoned_datetime(TimeZone::UTC).date();
    let Some(text) = asked else { return Ok(of_data.unwrap_or(today)) };
    let date: Date = text.parse().map_err(|_| {
        Failure::input(format!(
            "date {text:?} is not a day\nhint: write it as yyyy-mm-dd, such as 2025-07-30"
        ))
    })?;
    let latest = today.tomorrow().unwrap_or(today);
    if date > latest {
        return Err(Failure::input(format!(
            "date {date} is in the future, today is {today}\nhint: choose a day up to today"
        )));
    }
    Ok(date)
}

/// The name given, checked to be safe in a path, else one made of the time and the process.
pub(in crate::commands) fn run_id(asked: Option<&str>) -> Result<String, Failure> {
    match asked {
        None => {
            let now = Timestamp::now();
            Ok(format!("{}-{:x}", now.strftime("%Y%m%dT%H%M%S%3f"), std::process::id()))
        }
        Some(name) => {
            let fits = (1..=64).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
                && !name.bytes().all(|b| b == b'.');
            if fits {
                Ok(name.to_owned())
            } else {
                Err(Failure::input(format!(
                    "run id {name:?} cannot name a folder\nhint: 1 to 64 letters, digits, '.', '_' or '-'"
                )))
            }
        }
    }
}

/// The first line: what is decided on, and what of it is not real.
pub(in crate::commands) fn heading(config: &Config, settings: &Settings) -> String {
    let describe = settings.client.describe();
    let model = if describe.simulated {
        let scale = config.number("sim.time_scale");
        let speed = if scale > 0.0 { format!("time x{:.0}", 1.0 / scale) } else { "no waiting".into() };
        format!("SIMULATED language model ({speed}, seed {})", settings.seed)
    } else {
        format!("{} at {}", describe.provider, describe.base_url)
    };
    let data = settings.tools.describe();
    let data = if settings.tools.simulated() {
        format!("offline data ({data})")
    } else {
        format!("tools at {data}")
    };
    format!("{} on {}, profile {}: {model}, {data}", settings.ticker, settings.date, settings.profile)
}

fn print(decided: &Decided) {
    let run = &decided.record;
    let terminal = std::io::stdout().is_terminal();
    text::out(&format!("\n{}", headline(run, terminal)));
    for reason in &run.decision.reasons {
        text::out(&format!("  - {reason}"));
    }
    text::out("");
    figures(run, terminal);
    text::out(&format!("report    {}", decided.folder.join("reports/complete.md").display()));
}

/// The decision, who made it, and what is wrong with that.
pub(in crate::commands) fn headline(run: &RunRecord, terminal: bool) -> String {
    let decision = &run.decision;
    let Some(action) = Action::of_run(run) else {
        return format!("{}: the run ended as {}", paint("no decision", "31;1", terminal), run.status);
    };
    let color = match action {
        Action::Buy => "32;1",
        Action::Sell => "31;1",
        Action::Hold => "33;1",
    };
    let mut line = paint(action.as_str(), color, terminal);
    decision.rating.iter().for_each(|rating| line.push_str(&format!(" ({rating})")));
    decision.source.iter().for_each(|source| line.push_str(&format!(" by {source}")));
    if let Some(missing) = &decision.stands_in_for {
        line.push_str(&format!(", standing in for {missing}, which stated no decision"));
    }
    if let Some(confidence) = decision.confidence {
        line.push_str(&format!(", confidence {:.0} %", confidence * 100.0));
    }
    if decision.how.as_deref() == Some("prose") {
        line.push_str(", read from its prose");
    }
    line
}

fn figures(run: &RunRecord, terminal: bool) {
    let t = &run.tokens;
    let cached = t.cached.map(|c| format!(", {} of it cached", thousands(c))).unwrap_or_default();
    let reasoning =
        t.reasoning.filter(|r| *r > 0).map(|r| format!(", {} reasoning", thousands(r))).unwrap_or_default();
    let cost = run
        .cost_usd
        .as_ref()
        .map(|c| format!(", {c} USD{}", if run.llm.simulated { " at list price" } else { "" }));
    let cost = cost.unwrap_or_default();
    text::out(&format!(
        "tokens    {} in {} calls: prompt {}{cached}, completion {}{reasoning}{cost}",
        thousands(t.total),
        run.calls.len(),
        thousands(t.prompt),
        thousands(t.completion)
    ));
    let scale = run.environment.time_scale;
    let simulated = if scale > 0.0 && scale < 1.0 {
        format!(" ({:.1} s at recorded speed)", run.model_s / scale + run.own_ms / 1e3)
    } else {
        String::new()
    };
    let memory = run.peak_rss_mb.map(|m| format!(", peak memory {m:.0} MB")).unwrap_or_default();
    let first = run.first_request_ms.map(|f| format!(", first request after {f:.1} ms")).unwrap_or_default();
    text::out(&format!(
        "time      {:.2} s{simulated}: model and tools {:.2} s, overhead {:.1} ms{first}{memory}",
        run.wall_s, run.model_s, run.own_ms
    ));
    let path: Vec<&str> = run
        .critical_path
        .iter()
        .map(|n| n.node.as_str())
        .filter(|n| !matches!(*n, "dispatcher" | "aggregator"))
        .collect();
    text::out(&format!("critical  {}", path.join(" > ")));
    text::out(&format!(
        "grade     {}, {} by the original system's formula",
        paint(&run.grade_label(), "1", terminal),
        run.grade.origin
    ));
    for reason in &run.grade.reasons {
        text::out(&format!("  -{} {}: {}", reason.points, reason.code, reason.evidence));
    }
}

/// Warnings to stderr, then the exit code.
fn conclude(decided: &Decided, config: &Config) -> Result<ExitCode, Failure> {
    if config.text("log.level") != "error" {
        decided.record.warnings.iter().for_each(|w| logging::warn(config, w));
    }
    if let Some(error) = &decided.write_error {
        return Err(Failure::input(format!("{error}; the decision above stands")));
    }
    let Some(error) = &decided.failure else { return Ok(ExitCode::SUCCESS) };
    let mut message = world::chain(error);
    if decided.record.reports.iter().any(|r| r.words > 0) {
        let kept = format!("\npartial results: {}", decided.folder.display());
        message.push_str(&kept);
    }
    Err(Failure { message, code: failure::code_of_run(error) })
}
