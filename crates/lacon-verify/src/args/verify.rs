//! Flags of `lacon verify`.

use clap::Args;

/// Flags of `lacon verify`. Each check runs alone with its flag; with none, all of them run in phases.
#[derive(Debug, Args, Default)]
pub struct VerifyArgs {
    /// Async counts equal sync counts, block nothing, and stop when canceled
    #[arg(long)]
    pub test_async_tokens: bool,
    /// Time sync, async, batch, cached and naive counting
    #[arg(long)]
    pub compare_token_performance: bool,
    /// One load per encoding under contention; unknown models fall back with a warning
    #[arg(long)]
    pub test_tokenizer_cache: bool,
    /// Print every load of an encoding: time, duration, caller, bytes
    #[arg(long)]
    pub trace_tokenizer_init: bool,
    /// Parallel prompts equal serial ones; a failing prompt fails alone
    #[arg(long)]
    pub test_parallel_prompts: bool,
    /// Run the graph with the prompt plan; compare what was sent with the plan
    #[arg(long)]
    pub enable_batch_processing: bool,
    /// Run with spans; the time breakdown must add up
    #[arg(long)]
    pub trace_performance: bool,
    /// Run and print the performance report
    #[arg(long)]
    pub performance_report: bool,
    /// Print hits, misses, evictions and bytes of each cache; no collisions
    #[arg(long)]
    pub trace_cache_stats: bool,
    /// Peak memory of one run and of 100 at once
    #[arg(long)]
    pub profile_memory: bool,
    /// Repeat the run without async loading
    #[arg(long)]
    pub disable_async: bool,
    /// Repeat the run without caches
    #[arg(long)]
    pub disable_cache: bool,
    /// Repeat the run with one node at a time
    #[arg(long)]
    pub disable_parallel: bool,
    /// Switch every optimization off, one by one and all together, on one tape
    #[arg(long)]
    pub test_rollback: bool,
    /// Inject every fault at every stage of a run
    #[arg(long)]
    pub test_faults: bool,
    /// Kill runs at random moments and resume them
    #[arg(long)]
    pub test_kill: bool,
    /// Plant a key and search all output for it
    #[arg(long)]
    pub test_secrets: bool,
    /// Many runs in sequence; memory and open files must not grow
    #[arg(long)]
    pub test_soak: bool,
    /// Check the success metrics for both profiles on the same random draws
    #[arg(long)]
    pub gate: bool,
    /// Only checks whose name contains this; repeatable
    #[arg(long, value_name = "NAME")]
    pub test_specific: Vec<String>,
    /// The quick checks, under half a minute together
    #[arg(long, alias = "quick")]
    pub quick_test: bool,
    /// All checks, at full length
    #[arg(long, alias = "full", conflicts_with = "quick_test")]
    pub full_test: bool,
    /// Runs of each profile in the gate
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 10)]
    pub runs: usize,
    /// Runs of the soak test [default: 200, or 2,000 with --full-test]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub soak_runs: Option<usize>,
    /// Runs to kill [default: 10, or 40 with --full-test]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub kills: Option<usize>,
    /// Ticker of the runs
    #[arg(long, value_name = "TICKER", default_value = "CRCL")]
    pub ticker: String,
    /// Date of the runs [default: the bundled pack's]
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,
    /// Endpoint for --gate [default: the simulator]
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Tool endpoint for --gate
    #[arg(long, value_name = "URL")]
    pub tools_url: Option<String>,
    /// Wall seconds per simulated second for --gate
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub time_scale: Option<f64>,
    /// Folder for log, results and report
    #[arg(long, value_name = "DIR", default_value = "debug_logs")]
    pub logs: std::path::PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
