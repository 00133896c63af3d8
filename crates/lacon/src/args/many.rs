//! Flags of the commands for several runs, or for a finished one.

use clap::Args;

/// Flags of `lacon batch-run`.
#[derive(Debug, Args)]
pub struct BatchRunArgs {
    /// Tickers, or @FILE with one per line
    #[arg(required = true)]
    pub tickers: Vec<String>,
    /// Runs at once
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 4)]
    pub jobs: usize,
    /// Token budget of all runs together; runs that do not fit are skipped and named
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub budget_tokens: Option<u64>,
    /// Folder for results
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Flags of `lacon run`, after --
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
    /// Decide every N trading days
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 5)]
    pub every: usize,
    /// Cost of a trade in basis points
    #[arg(long, value_name = "BPS", allow_negative_numbers = true, default_value_t = 10.0)]
    pub cost_bps: f64,
    /// Starting cash per ticker
    #[arg(long, value_name = "USD", allow_negative_numbers = true, default_value_t = 100_000.0)]
    pub cash: f64,
    /// Folder for results; existing decisions are reused
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Flags of `lacon run`, after --
    #[arg(last = true, value_name = "RUN FLAGS")]
    pub run_flags: Vec<String>,
}

/// Flags of `lacon runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// What to do; the runs are listed when nothing is named
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
    /// Folder for results
    #[arg(long, value_name = "DIR", global = true)]
    pub out: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Subcommands of `lacon runs`.
#[derive(Debug, clap::Subcommand)]
pub enum RunsCommand {
    /// Delete the folders of old runs
    Prune {
        /// Minimum age, such as 30d, 12h or 45m
        #[arg(long, value_name = "AGE")]
        older_than: String,
        /// Only list what would be deleted
        #[arg(long)]
        dry_run: bool,
    },
}

/// Flags of `lacon explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The run: its name, its folder, or latest
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
    /// Tickers [default: all]
    pub tickers: Vec<String>,
    /// Ask the quick model to review judged decisions; later runs read the reviews
    #[arg(long)]
    pub reflect: bool,
    /// Most reviews to ask for
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 20)]
    pub most: usize,
    /// Provider: auto, openai, sim and others
    #[arg(long, value_name = "PROVIDER")]
    pub llm: Option<String>,
    /// The endpoint
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Model that writes the reviews
    #[arg(long, value_name = "MODEL")]
    pub quick_model: Option<String>,
    /// Folder for results
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
