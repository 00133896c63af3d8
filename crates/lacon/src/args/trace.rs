//! Flags of `lacon trace` and `lacon report`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
    /// Report where a run's time and tokens went, and grade its answers
    Analyze(AnalyzeArgs),
    /// Report what changed between two runs, or two sets of runs
    Compare(CompareArgs),
    /// Replay a run with edits and report the time and tokens it would take
    WhatIf(WhatIfArgs),
    /// Fetch traces from LangSmith, Langfuse, Phoenix, Jaeger or a collector's files, one file each
    Pull(PullArgs),
}

/// Where traces are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PullSource {
    /// LangSmith; key in LANGSMITH_API_KEY
    Langsmith,
    /// Langfuse; keys in LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY
    Langfuse,
    /// Phoenix; key, if it wants one, in PHOENIX_API_KEY
    Phoenix,
    /// Jaeger's query service
    Jaeger,
    /// OTLP JSON that a collector writes to a file, named by --url
    OtlpFile,
}

impl PullSource {
    /// Its name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Langsmith => "langsmith",
            Self::Langfuse => "langfuse",
            Self::Phoenix => "phoenix",
            Self::Jaeger => "jaeger",
            Self::OtlpFile => "otlp-file",
        }
    }
}

/// Flags of `lacon trace pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Where the traces are
    #[arg(value_enum, ignore_case = true)]
    pub source: PullSource,
    /// The project; of Jaeger and of a collector's files the service
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// How many traces, the latest ones
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub last: usize,
    /// Only traces that began within this time: 90s, 15m, 24h, 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// The server's address, or a collector's file or folder [default: the server's usual variable or address]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Folder for the files
    #[arg(short, long, value_name = "DIR", default_value = "traces")]
    pub output: PathBuf,
    /// Fetch traces again that lie in the folder
    #[arg(long)]
    pub again: bool,
}

/// Flags of `lacon trace analyze`.
#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Traces of any form that is read, packed or not; a run's folder, or a folder of files; `-` reads stdin
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Write one trace as an HTML page of its own, with waterfall and recorded texts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Exit with 1 if a content grade fails
    #[arg(long)]
    pub gate: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon trace compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Traces of side A, separated by commas, or a folder of them; then those of side B
    #[arg(num_args = 2, value_names = ["A", "B"], required = true)]
    pub sides: Vec<String>,
    /// More traces of side A; repeatable
    #[arg(long = "more-a", value_name = "FILE")]
    pub more_a: Vec<PathBuf>,
    /// More traces of side B; repeatable
    #[arg(long = "more-b", value_name = "FILE")]
    pub more_b: Vec<PathBuf>,
    /// Exit with 1 if the pair is confounded
    #[arg(long)]
    pub gate: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon trace what-if`.
#[derive(Debug, Args)]
#[command(
    after_help = "Edits: barrier=off  prefetch=on  merge=A+B  parallel=A+B  remove=A  answer=0.5x  answer.ROLE=300  speed=2x  \
speed.ROLE=2x  model=PROFILE  price=MODEL  keep=HOURS  tool=0.5x  tool.NAME=2s  slots=N  hedge=0.9"
)]
pub struct WhatIfArgs {
    /// The trace; further ones are used by --fit
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// An edit, KEY=VALUE; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Latency model: auto, fast, typical or slow
    #[arg(long, value_name = "PROFILE", default_value = "auto")]
    pub profile: String,
    /// Fit speeds and residuals from the given traces; of runs of other tools this is the default
    #[arg(long)]
    pub fit: bool,
    /// Monte Carlo draws
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 2000)]
    pub draws: usize,
    /// Random seed of the draws
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A run's folder, its name, or latest
    #[arg(default_value = "latest")]
    pub run: String,
    /// Folder for results
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Write one HTML file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the waterfall as one SVG file, light and dark
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write the complete report with a chart and the source of every figure, as .html or .md
    /// [default: complete.html in the run's folder]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub complete: Option<Option<PathBuf>>,
    /// Write the trace or the metrics in this format instead
    #[arg(long, value_enum, ignore_case = true, value_name = "FORMAT")]
    pub trace_format: Option<TraceFormat>,
    /// File for --trace-format [default: stdout]
    #[arg(short, long, value_name = "FILE", requires = "trace_format")]
    pub output: Option<PathBuf>,
    /// Send the trace to an OTLP/HTTP endpoint
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Forms of a trace that others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// OTLP JSON
    Otlp,
    /// Chrome trace JSON, for Perfetto
    Chrome,
    /// LangSmith runs
    Langsmith,
    /// Prometheus text of counters and histograms
    Prometheus,
}

impl TraceFormat {
    /// The file's name in a run's folder.
    pub fn file(self) -> &'static str {
        match self {
            Self::Otlp => "trace.otlp.json",
            Self::Chrome => "trace.chrome.json",
            Self::Langsmith => "trace.langsmith.json",
            Self::Prometheus => "metrics.prom",
        }
    }
}
