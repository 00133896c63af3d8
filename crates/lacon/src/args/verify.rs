//! Flags of `lacon verify` and `lacon cache`.

use clap::{Args, Subcommand};

/// Flags of `lacon verify`. Each check runs alone with its flag; with none, all of them run in phases.
#[derive(Debug, Args, Default)]
pub struct VerifyArgs {
    /// Asynchronous counts equal synchronous ones, delay nothing, stop when cancelled
    #[arg(long)]
    pub test_async_tokens: bool,
    /// Time synchronous, asynchronous, batch, cached and naive counting
    #[arg(long)]
    pub compare_token_performance: bool,
    /// One load per encoding under contention; unknown models fall back with a warning
    #[arg(long)]
    pub test_tokenizer_cache: bool,
    /// Print every load of an encoding: when, how long, who, bytes
    #[arg(long)]
    pub trace_tokenizer_init: bool,
    /// Prompts in parallel equal prompts one by one; one that fails fails alone
    #[arg(long)]
    pub test_parallel_prompts: bool,
    /// The whole graph with the prompt plan: what is sent is what was planned
    #[arg(long)]
    pub enable_batch_processing: bool,
    /// A run with spans whose books balance
    #[arg(long)]
    pub trace_performance: bool,
    /// A run and its performance report
    #[arg(long)]
    pub performance_report: bool,
    /// Hits, misses, evictions and bytes of each cache; no collisions
    #[arg(long)]
    pub trace_cache_stats: bool,
    /// Peak memory of one run and of many at once
    #[arg(long)]
    pub profile_memory: bool,
    /// The same run without asynchronous loading
    #[arg(long)]
    pub disable_async: bool,
    /// The same run without caches
    #[arg(long)]
    pub disable_cache: bool,
    /// The same run with one node at a time
    #[arg(long)]
    pub disable_parallel: bool,
    /// Every switch off, one by one and all together, on one tape
    #[arg(long)]
    pub test_rollback: bool,
    /// Every fault at every stage of a run
    #[arg(long)]
    pub test_faults: bool,
    /// Runs killed at random instants and resumed
    #[arg(long)]
    pub test_kill: bool,
    /// A planted key is found nowhere
    #[arg(long)]
    pub test_secrets: bool,
    /// Many runs one after the other: memory, descriptors
    #[arg(long)]
    pub test_soak: bool,
    /// The success metrics as a gate, both profiles with the same draws
    #[arg(long)]
    pub gate: bool,
    /// Only the checks whose name holds this; may be given again
    #[arg(long, value_name = "NAME")]
    pub test_specific: Vec<String>,
    /// The checks that take less than half a minute together
    #[arg(long, alias = "quick")]
    pub quick_test: bool,
    /// All checks, at full length
    #[arg(long, alias = "full", conflicts_with = "quick_test")]
    pub full_test: bool,
    /// Runs of each profile in the gate
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 10)]
    pub runs: usize,
    /// Runs of the soak; 200 when not given, 2,000 with --full-test
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub soak_runs: Option<usize>,
    /// Runs to kill; 10 when not given, 40 with --full-test
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub kills: Option<usize>,
    /// The ticker of the runs
    #[arg(long, value_name = "TICKER", default_value = "CRCL")]
    pub ticker: String,
    /// Their date; the bundled pack's when not given
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,
    /// Endpoint of the gate's runs; the simulator when not given
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Tool endpoint of the gate's runs
    #[arg(long, value_name = "URL")]
    pub tools_url: Option<String>,
    /// Wall seconds per simulated second of the gate's runs
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub time_scale: Option<f64>,
    /// Folder of the session's log, results and report
    #[arg(long, value_name = "DIR", default_value = "debug_logs")]
    pub logs: std::path::PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// What to do
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// Subcommands of `lacon cache`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Show what is kept on disk between runs
    Stats {
        /// Folder for results
        #[arg(long, value_name = "DIR")]
        out: Option<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Remove what is kept on disk between runs; results stay
    Clear {
        /// Folder for results
        #[arg(long, value_name = "DIR")]
        out: Option<String>,
    },
}
