//! Flags of `lacon bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Flags of `lacon bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// Subcommands of `lacon bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Count and encode four kinds of text, beside other tokenizers
    Tokens(BenchTokensArgs),
    /// Compress several kinds of text and solve the prompt plan of a run
    Prompts(BenchPromptsArgs),
    /// Run the executor beside a bare tokio JoinSet
    Graph(BenchGraphArgs),
    /// Compute the thirteen indicators over a long series
    Indicators(BenchIndicatorsArgs),
    /// Run many simulated runs at once; print overhead and memory
    Run(BenchRunArgs),
    /// Read and analyze large traces of every format
    Trace(BenchTraceArgs),
}

/// Flags of `lacon bench prompts`.
#[derive(Debug, Args)]
pub struct BenchPromptsArgs {
    /// Texts to compress [default: generated]
    pub files: Vec<PathBuf>,
    /// Rounds; the median is printed
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 30)]
    pub rounds: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon bench graph`.
#[derive(Debug, Args)]
pub struct BenchGraphArgs {
    /// Nodes of each graph
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 10_000)]
    pub nodes: usize,
    /// Rounds; the median is printed
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 7)]
    pub rounds: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon bench indicators`.
#[derive(Debug, Args)]
pub struct BenchIndicatorsArgs {
    /// Bars of the series
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 100_000)]
    pub bars: usize,
    /// Rounds; the median is printed
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 9)]
    pub rounds: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon bench run`.
#[derive(Debug, Args)]
pub struct BenchRunArgs {
    /// Runs at once
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 100)]
    pub runs: usize,
    /// Wall seconds per simulated second
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value = "0.05")]
    pub time_scale: String,
    /// Profile: lacon or baseline
    #[arg(long, default_value = "lacon")]
    pub profile: String,
    /// Compare runs with and without timing of Lacon's own work
    #[arg(long)]
    pub monitor_cost: bool,
    /// Rounds of --monitor-cost
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 5)]
    pub rounds: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon bench tokens`.
#[derive(Debug, Args)]
pub struct BenchTokensArgs {
    /// Text to measure, NAME=FILE; repeatable [default: made from this machine's files]
    #[arg(long, value_name = "NAME=FILE")]
    pub corpus: Vec<String>,
    /// The encoding
    #[arg(long, value_name = "ENCODING", default_value = "o200k_base")]
    pub encoding: String,
    /// A program of benchmarks/rivals to measure in the same rounds; repeatable
    #[arg(long, value_name = "PROGRAM")]
    pub rivals: Vec<PathBuf>,
    /// Rounds; the median is printed
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 5)]
    pub rounds: usize,
    /// Largest size of a text in MB
    #[arg(long, value_name = "MB", allow_negative_numbers = true, default_value_t = 4)]
    pub megabytes: usize,
    /// Measure growth, event-loop delay, cancellation and the count cache instead of speed
    #[arg(long)]
    pub checks: bool,
    /// Measure only the gain of a second thread
    #[arg(long, conflicts_with = "checks")]
    pub threads: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon bench trace`.
#[derive(Debug, Args)]
pub struct BenchTraceArgs {
    /// A trace to measure [default: generated ones of every format]
    pub file: Option<PathBuf>,
    /// Spans of each generated trace
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 100_000)]
    pub spans: usize,
    /// Rounds; the median is printed
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 5)]
    pub rounds: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
