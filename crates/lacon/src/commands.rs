//! One file per subcommand; this list is their index, in the order of the help text.

mod backtest;
mod batch;
mod batch_run;
mod cache;
mod check;
mod completions;
mod compress;
mod config;
mod count;
mod data;
mod decode;
mod doctor;
mod encode;
mod eval;
mod expand;
mod explain;
mod graph;
mod layout;
#[cfg(feature = "mcp")]
mod mcp;
mod memory;
mod models;
mod new;
mod plan;
mod prompt_input;
mod repeat;
mod report;
pub mod resume;
mod retrieve;
pub mod run;
mod runs;
mod schema;
mod serve;
mod sim;
mod suite;
mod team;
mod trace;
mod trim;
mod ui;

use std::{io::Read, path::Path, process::ExitCode, time::Instant};

use lacon_runtime::Config;

use crate::{
    args::{Cli, Command},
    failure::Failure,
};

/// Runs the subcommand.
pub fn run(cli: Cli, started: Instant) -> Result<ExitCode, Failure> {
    let common = Common { config: cli.config, log_level: cli.log_level };
    match &cli.models_file {
        Some(file) => models::add(file)?,
        // Without a settings file of their own, these commands count and price by the user's models all the same.
        None if matches!(
            cli.command,
            Command::Count(_)
                | Command::Serve(_)
                | Command::Trace(_)
                | Command::Ui(_)
                | Command::Layout(_)
                | Command::Check(_)
        ) =>
        {
            common.settings(&[])?;
        }
        None => {}
    }
    match cli.command {
        Command::Run(args) => {
            let args = run::of_trading(*args)?;
            if team::is_meant(args.ticker.as_deref()) {
                return team::run::run(&common, &args);
            }
            run::run(&common, &args, started)
        }
        Command::Check(args) => check::run(&args),
        Command::New(args) => new::run(&args),
        Command::Count(args) => count::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Decode(args) => decode::run(&args),
        Command::Models(args) => models::run(&common, &args),
        Command::Bench(_) | Command::Verify(_) => suite::run(),
        Command::Graph(args) => graph::run(&common, &args),
        Command::Plan(args) => plan::run(&common, &args, started),
        Command::Compress(args) => compress::run(&args),
        Command::Expand(args) => expand::run(&args),
        Command::Retrieve(args) => retrieve::run(&args),
        Command::Trim(args) => trim::run(&args),
        Command::Layout(args) => layout::run(&args),
        Command::Batch(args) => batch::run(&args),
        Command::Eval(args) => eval::run(&common, &args),
        Command::Report(args) => report::run(&common, &args),
        Command::Data(args) => data::run(&common, &args),
        Command::Sim(args) => sim::run(&common, &args),
        Command::Trace(args) => trace::run(&args),
        Command::Ui(args) => ui::run(&common, &args),
        Command::Config(args) => config::run(&common, &args),
        Command::Doctor(args) => doctor::run(&common, &args),
        Command::BatchRun(args) => batch_run::run(&common, &args, started),
        Command::Backtest(args) => backtest::run(&common, &args, started),
        #[cfg(feature = "mcp")]
        Command::Mcp(args) => mcp::run(common, &args, started),
        #[cfg(not(feature = "mcp"))]
        Command::Mcp(_) => {
            Err(Failure::input("this build of lacon has no MCP server\nhint: build it with --features mcp"))
        }
        Command::Serve(args) => serve::run(&common, &args),
        Command::Memory(args) => memory::run(&common, &args),
        Command::Runs(args) => runs::run(&common, &args),
        Command::Explain(args) => explain::run(&common, &args),
        Command::Cache(args) => cache::run(&common, &args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

/// What every subcommand is given.
#[derive(Default)]
pub struct Common {
    /// The settings file, where one is named.
    pub config: Option<std::path::PathBuf>,
    /// The log level, where one is named.
    pub log_level: Option<String>,
}

impl Common {
    /// With this settings file.
    pub fn with_file(config: std::path::PathBuf) -> Self {
        Self { config: Some(config), log_level: None }
    }
}

impl Common {
    /// As [`Common::settings`], with settings of an earlier run below the flags.
    pub fn settings_over(
        &self,
        earlier: Vec<(&'static str, String)>,
        flags: &[(&'static str, Option<&String>)],
    ) -> Result<Config, Failure> {
        let mut given = earlier;
        given.extend(flags.iter().filter_map(|(key, value)| Some((*key, (*value)?.clone()))));
        given.extend(self.log_level.iter().map(|level| ("log.level", level.clone())));
        let config = Config::resolve(self.config.as_deref(), &given).map_err(Failure::input)?;
        models::load(&config)?;
        if config.text("log.level") != "error" {
            config.warnings().iter().for_each(|warning| crate::text::warn(warning));
        }
        Ok(config)
    }

    /// Resolves the settings; `flags` are key and value of the flags that were given.
    pub fn settings(&self, flags: &[(&'static str, Option<&String>)]) -> Result<Config, Failure> {
        self.settings_over(Vec::new(), flags)
    }
}

/// Millionths of US dollars, the unit of budgets and costs.
pub fn micro_usd(usd: f64) -> u64 {
    (usd * 1e6).round() as u64
}

/// A runtime on this thread: the work is waiting, and one thread starts faster than several.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::input(format!("cannot start the event loop: {e}")))?;
    Ok(runtime.block_on(future))
}

/// Text of a file, or of standard input for `-`.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let (name, read) = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes);
        ("standard input".to_owned(), read)
    } else {
        (path.display().to_string(), std::fs::read(path))
    };
    let bytes = read.map_err(|e| Failure::input(format!("{name}: cannot be read: {e}")))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::input(format!(
            "{name}: byte {at} is not UTF-8\nhint: tokens are counted in UTF-8 text; convert the file first"
        ))
    })
}
