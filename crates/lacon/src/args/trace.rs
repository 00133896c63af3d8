//! Flags of `lacon trace` and `lacon report`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Flags of `lacon trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// What to do
    #[command(subcommand)]
    pub command: TraceCommand,
}

/// Subcommands of `lacon trace`.
#[derive(Debug, Subcommand)]
pub enum TraceCommand {
    /// Say where a run's time and tokens went, and what its answers are worth
    Analyze(AnalyzeArgs),
    /// Say what changed between two runs, or two sets of runs
    Compare(CompareArgs),
}

/// Flags of `lacon trace analyze`.
#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Traces: our trace.jsonl or run folder, LangSmith runs, OTLP JSON, Langfuse exports; `-` for standard input
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Exit with 1 when a content-aware grade fails
    #[arg(long)]
    pub gate: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon trace compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Traces of side A, divided by commas; then those of side B
    #[arg(num_args = 2, value_names = ["A", "B"], required = true)]
    pub sides: Vec<String>,
    /// More traces of side A; may be given again
    #[arg(long = "more-a", value_name = "FILE")]
    pub more_a: Vec<PathBuf>,
    /// More traces of side B; may be given again
    #[arg(long = "more-b", value_name = "FILE")]
    pub more_b: Vec<PathBuf>,
    /// Exit with 1 when the pair is confounded
    #[arg(long)]
    pub gate: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
