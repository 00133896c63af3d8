//! Flags of the commands that are about several runs, or about one that is done.

use clap::Args;

/// Flags of `lacon batch-run`.
#[derive(Debug, Args)]
pub struct BatchRunArgs {
    /// Tickers, or @FILE with one a line
    #[arg(required = true)]
    pub tickers: Vec<String>,
    /// Runs at once
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub jobs: usize,
    /// Tokens that all runs together may use; runs that would not fit are left out and named
    #[arg(long, value_name = "N")]
    pub budget_tokens: Option<u64>,
    /// Folder for results
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Flags of `lacon run` for every run, after --
    #[arg(last = true, value_name = "RUN FLAGS")]
    pub run_flags: Vec<String>,
}

/// Flags of `lacon backtest`.
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// Tickers
    #[arg(required = true)]
    pub tickers: Vec<String>,
    /// First day, yyyy-mm-dd
    #[arg(long, value_name = "DATE")]
    pub from: String,
    /// Last day
    #[arg(long, value_name = "DATE")]
    pub to: String,
    /// Decide every so many trading days
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub every: usize,
    /// Costs of a trade in hundredths of a percent
    #[arg(long, value_name = "BPS", default_value_t = 10.0)]
    pub cost_bps: f64,
    /// Cash at the beginning, for each ticker
    #[arg(long, value_name = "USD", default_value_t = 100_000.0)]
    pub cash: f64,
    /// Folder for results; decisions that are there already are not made again
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Flags of `lacon run` for every decision, after --
    #[arg(last = true, value_name = "RUN FLAGS")]
    pub run_flags: Vec<String>,
}

/// Flags of `lacon explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The run: its name or its folder
    pub run: String,
    /// Folder for results
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon memory`.
#[derive(Debug, Args)]
pub struct MemoryArgs {
    /// Tickers; all when none is given
    pub tickers: Vec<String>,
    /// Have the quick model look back at judged decisions that have no reflection yet; later runs read it
    #[arg(long)]
    pub reflect: bool,
    /// Most reflections to ask for
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub most: usize,
    /// Who answers: auto, openai, sim and others
    #[arg(long, value_name = "PROVIDER")]
    pub llm: Option<String>,
    /// The endpoint
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The model that looks back
    #[arg(long, value_name = "MODEL")]
    pub quick_model: Option<String>,
    /// Folder for results
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
