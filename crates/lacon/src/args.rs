//! The command line: every flag, once. Flags that are settings carry the key they set.

pub mod cast;
pub mod data;
pub mod many;
#[cfg(feature = "mcp")]
pub mod mcp;
pub mod prompt;
pub mod serve;
pub mod team;
pub mod trace;
pub mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs multi-agent LLM graphs in the least time and the fewest tokens that still give the same answer.
#[derive(Debug, Parser)]
#[command(name = "lacon", version, arg_required_else_help = true, after_help = AFTER)]
pub struct Cli {
    /// Settings file; lacon.toml of the working folder when not given
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is printed besides the result: error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "Data goes to stdout, everything else to stderr. Settings: flag, then environment, then lacon.toml, \
then default; `lacon config show --origin` lists them.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a team of agents, or decide on a stock with the whole agent graph
    Run(Box<RunArgs>),
    /// List a team's faults, what each optimization will do for it, and what it will take
    Check(team::CheckArgs),
    /// Begin a team of your own from a shipped one
    New(team::NewArgs),
    /// Count tokens of files, folders or standard input
    Count(CountArgs),
    /// Turn text into token ids
    Encode(EncodeArgs),
    /// Turn token ids into text
    Decode(DecodeArgs),
    /// Show which encoding counts for which model, and what the count is worth
    Models(ModelsArgs),
    /// Measure this machine
    Bench(BenchArgs),
    /// Show the graph of a team or of a profile
    Graph(team::GraphArgs),
    /// Show the whole-run prompt plan, before anything is sent
    Plan(Box<RunArgs>),
    /// Write a text in fewer tokens, so that it can be restored
    Compress(prompt::CompressArgs),
    /// Restore what compress was given
    Expand(prompt::ExpandArgs),
    /// Print the content behind a marker
    Retrieve(prompt::RetrieveArgs),
    /// Fit messages or a text into a number of tokens
    Trim(prompt::TrimArgs),
    /// Show where requests part and what a cache makes of them
    Layout(prompt::LayoutArgs),
    /// Count or compress JSON lines in threads
    Batch(prompt::BatchArgs),
    /// Show where a finished run's time, tokens and money went
    Report(trace::ReportArgs),
    /// Pull and check offline packs
    Data(data::DataArgs),
    /// Serve a synthetic world
    Sim(data::SimArgs),
    /// Analyse and compare traces of runs, ours and others'
    Trace(trace::TraceArgs),
    /// Show settings and where they come from
    Config(ConfigArgs),
    /// Check key, endpoint, data, disk and clock, and say how to mend each
    Doctor(DoctorArgs),
    /// Decide on many tickers with shared news, caches and one budget
    BatchRun(many::BatchRunArgs),
    /// Decide on past dates and play the decisions on what followed
    Backtest(many::BacktestArgs),
    /// Serve the market tools and `run` to other programs over standard input and output (MCP)
    #[cfg(feature = "mcp")]
    Mcp(mcp::McpArgs),
    /// Shorten requests on their way to a provider, as an OpenAI-compatible server
    Serve(serve::ServeArgs),
    /// List decisions with what came of them, and have a model look back at them
    Memory(many::MemoryArgs),
    /// List runs with their decision, grade and cost, and delete old ones
    Runs(many::RunsArgs),
    /// Say why a run decided as it did, and what would turn it
    Explain(many::ExplainArgs),
    /// Check every promise and say what was measured
    Verify(Box<verify::VerifyArgs>),
    /// Show or clear what is kept on disk between runs
    Cache(verify::CacheArgs),
    /// Print the JSON Schema of what the program writes
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// Flags of `lacon run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The ticker, such as CRCL; or a team: its file, or research, review, triage, extract or debate
    #[arg(required_unless_present = "resume")]
    pub ticker: Option<String>,
    /// What a team is given
    #[command(flatten)]
    pub given: team::GivenArgs,
    /// Agent of a team that may run although it needs leave; may be given again
    #[arg(long, value_name = "AGENT")]
    pub approve: Vec<String>,
    /// The date to decide for, yyyy-mm-dd; the pack's own date or today when not given
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,
    /// Who takes part
    #[command(flatten)]
    pub cast: cast::CastArgs,
    /// Who answers: auto, sim, openai, openai-responses, anthropic, gemini or ollama
    #[arg(long, value_name = "PROVIDER")]
    pub llm: Option<String>,
    /// OpenAI-compatible endpoint
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Model of the four analysts
    #[arg(long, value_name = "MODEL")]
    pub quick_model: Option<String>,
    /// Model of all other roles
    #[arg(long, value_name = "MODEL")]
    pub deep_model: Option<String>,
    /// Reasoning effort of a role: ROLE=low|medium|high; may be given again
    #[arg(long, value_name = "ROLE=LEVEL")]
    pub effort: Vec<String>,
    /// auto or offline for the bundled packs, vendors for live vendors, or a folder in the origin's layout
    #[arg(long, value_name = "SOURCE")]
    pub data: Option<String>,
    /// Reach every vendor at URL/VENDOR
    #[arg(long, value_name = "URL")]
    pub vendors_url: Option<String>,
    /// Send tool calls to URL/TOOL instead
    #[arg(long, value_name = "URL")]
    pub tools_url: Option<String>,
    /// Levers to switch off, divided by commas, or all
    #[arg(long, value_name = "LEVER,...")]
    pub disable: Option<String>,
    /// Levers to switch on that are off by themselves, divided by commas
    #[arg(long, value_name = "LEVER,...")]
    pub enable: Option<String>,
    /// Tokens that the run may use
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub budget_tokens: Option<String>,
    /// US dollars that the run may use
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub budget_usd: Option<String>,
    /// Model of one role: ROLE=MODEL; may be given again
    #[arg(long, value_name = "ROLE=MODEL")]
    pub model: Vec<String>,
    /// Longest time of the run in seconds; 0 for none
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub deadline: Option<String>,
    /// Folder for results
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Name of the run; made from the time when not given
    #[arg(long, value_name = "NAME")]
    pub run_id: Option<String>,
    /// Overwrite a run of the same name
    #[arg(long, conflicts_with = "resume")]
    pub force: bool,
    /// Go on with a run that was cut off: its name, its folder, or latest
    #[arg(long, value_name = "RUN", conflicts_with = "date")]
    pub resume: Option<String>,
    /// Go on from before this node, as a run of its own; the first one stays as it was
    #[arg(long, value_name = "NODE", requires = "resume")]
    pub from: Option<String>,
    /// Seed of the simulator
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<String>,
    /// Wall seconds per simulated second
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub time_scale: Option<String>,
    /// Tape for model and tool calls; with --record or --replay
    #[arg(long, value_name = "FILE")]
    pub tape: Option<String>,
    /// Make all calls and write them to the tape
    #[arg(long, requires = "tape", conflicts_with = "replay")]
    pub record: bool,
    /// Answer all calls from the tape, without network
    #[arg(long, requires = "tape")]
    pub replay: bool,
    /// Print the tables of `lacon report` after the decision
    #[arg(long)]
    pub performance_report: bool,
    /// Write the report as one HTML file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the complete report with chart and the source of every figure: .html or .md; complete.html beside
    /// complete.md when no file is named
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub complete: Option<Option<PathBuf>>,
    /// Send the trace to an OTLP/HTTP endpoint
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Write the trace in this form too, into the run's folder; may be given again
    #[arg(long, value_enum, ignore_case = true, value_name = "FORMAT")]
    pub trace_format: Vec<trace::TraceFormat>,
    /// Print run.json
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon count`.
#[derive(Debug, Args)]
pub struct CountArgs {
    /// Files and folders; standard input for `-` or when there are none
    pub files: Vec<PathBuf>,
    /// Count a request as a provider meters it: messages, tools, schemas, pictures; may be given again
    #[arg(long, value_name = "FILE")]
    pub request: Vec<PathBuf>,
    /// Count for this model; may be given again
    #[arg(long, value_name = "MODEL")]
    pub model: Vec<String>,
    /// Count with this encoding, o200k_base when neither is given; may be given again
    #[arg(long, value_name = "ENCODING")]
    pub encoding: Vec<String>,
    /// List each file
    #[arg(long, value_enum, ignore_case = true)]
    pub by: Option<CountBy>,
    /// Exit with 1 when a total is above N
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub fail_over: Option<usize>,
    /// A file of lines PREFIX = ENCODING: models of your own
    #[arg(long, value_name = "FILE")]
    pub models_file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How counts are listed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CountBy {
    /// One line a file
    File,
}

/// Flags of `lacon encode`.
#[derive(Debug, Args)]
pub struct EncodeArgs {
    /// A file; standard input for `-` or when not given
    pub file: Option<PathBuf>,
    /// The encoding
    #[arg(long, value_name = "ENCODING", default_value = "o200k_base")]
    pub encoding: String,
    /// Literals of special tokens stand for the tokens; plain text otherwise
    #[arg(long)]
    pub special: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon decode`.
#[derive(Debug, Args)]
pub struct DecodeArgs {
    /// A file of ids; standard input for `-` or when not given
    pub file: Option<PathBuf>,
    /// The encoding
    #[arg(long, value_name = "ENCODING", default_value = "o200k_base")]
    pub encoding: String,
    /// Mark bytes that are not UTF-8 instead of refusing them
    #[arg(long)]
    pub lossy: bool,
}

/// Flags of `lacon models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Models to look up; all families when there are none
    pub models: Vec<String>,
    /// A file of lines PREFIX = ENCODING: models of your own
    #[arg(long, value_name = "FILE")]
    pub models_file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

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
    /// Count and encode texts of four kinds, beside the rivals that are there
    Tokens(BenchTokensArgs),
    /// Shorten texts of several kinds without loss, and plan the prompts of a run
    Prompts(BenchPromptsArgs),
    /// Run the executor beside a bare tokio JoinSet
    Graph(BenchGraphArgs),
    /// Compute the thirteen indicators over a long series
    Indicators(BenchIndicatorsArgs),
    /// Run many simulated runs at once: our own time and memory
    Run(BenchRunArgs),
    /// Read and analyse large traces of every form
    Trace(trace::BenchTraceArgs),
}

/// Flags of `lacon bench prompts`.
#[derive(Debug, Args)]
pub struct BenchPromptsArgs {
    /// Texts to shorten; made ones when there are none
    pub files: Vec<PathBuf>,
    /// Rounds of which the median counts
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
    /// Rounds of which the median counts
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
    /// Rounds of which the median counts
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
    /// Graph profile: lacon or seed
    #[arg(long, default_value = "lacon")]
    pub profile: String,
    /// Run each set with our own work timed and not, in turns, and compare
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
    /// Texts to measure: NAME=FILE, may be given again; made from this machine's files when there are none
    #[arg(long, value_name = "NAME=FILE")]
    pub corpus: Vec<String>,
    /// The encoding
    #[arg(long, value_name = "ENCODING", default_value = "o200k_base")]
    pub encoding: String,
    /// A program of benchmarks/rivals, to measure its rivals in the same rounds; may be given again
    #[arg(long, value_name = "PROGRAM")]
    pub rivals: Vec<PathBuf>,
    /// Rounds of which the median counts
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 5)]
    pub rounds: usize,
    /// Largest size of a text in MB
    #[arg(long, value_name = "MB", allow_negative_numbers = true, default_value_t = 4)]
    pub megabytes: usize,
    /// Measure growth, the event loop, cancelling and the count cache instead of speed
    #[arg(long)]
    pub checks: bool,
    /// Measure only what a second thread brings
    #[arg(long, conflicts_with = "checks")]
    pub threads: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// Subcommands of `lacon config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// List every setting with its value
    Show {
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the reference page of all settings
    Reference,
}

/// Flags of `lacon doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// OpenAI-compatible endpoint
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Tool endpoint
    #[arg(long, value_name = "URL")]
    pub tools_url: Option<String>,
    /// Folder for results
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Data source
    #[arg(long, value_name = "SOURCE")]
    pub data: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// What: run
    #[arg(value_enum, ignore_case = true)]
    pub what: SchemaOf,
}

/// What has a published schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SchemaOf {
    /// run.json
    Run,
}

/// Flags of `lacon completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, ignore_case = true)]
    pub shell: clap_complete::Shell,
}
