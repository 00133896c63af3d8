//! The command line: every flag, once. Flags that are settings carry the key they set.

pub mod cast;
pub mod data;
pub mod eval;
pub mod many;
#[cfg(feature = "mcp")]
pub mod mcp;
pub mod prompt;
pub mod serve;
pub mod team;
pub mod trace;
pub mod ui;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs multi-agent LLM graphs faster and with fewer tokens, and measures what that changes.
#[derive(Debug, Parser)]
#[command(name = "lacon", version, arg_required_else_help = true, after_help = AFTER)]
pub struct Cli {
    /// Settings file [default: lacon.toml in the working folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log level on stderr: error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// File with models of your own: encodings, context lengths and prices
    #[arg(long, global = true, value_name = "FILE")]
    pub models_file: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "Results go to stdout, everything else to stderr. A flag wins over an environment variable, that over lacon.toml, \
that over the default. `lacon config show --origin` lists all settings.";

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
    /// Show each model's encoding and how exact its counts are
    Models(ModelsArgs),
    /// Measure Lacon on this machine: a program of its own beside this one
    #[command(hide = true, disable_help_flag = true)]
    Bench(PassedOn),
    /// Show the graph of a team or of a profile
    Graph(team::GraphArgs),
    /// Show the prompt plan of a run without sending anything
    Plan(Box<RunArgs>),
    /// Compress a text so that `lacon expand` can restore it
    Compress(prompt::CompressArgs),
    /// Restore a compressed text byte for byte
    Expand(prompt::ExpandArgs),
    /// Print the content behind a marker
    Retrieve(prompt::RetrieveArgs),
    /// Trim a request, messages or a text to a token budget
    Trim(prompt::TrimArgs),
    /// Compare requests and predict what a provider's prompt cache will reuse
    Layout(prompt::LayoutArgs),
    /// Count or compress the rows of a JSON Lines or Parquet file in parallel
    Batch(prompt::BatchArgs),
    /// Ask a model about your own texts in each form, and say what a form costs
    Eval(Box<eval::EvalArgs>),
    /// Report where a run's time, tokens and money went
    Report(trace::ReportArgs),
    /// Download and check offline data packs
    Data(data::DataArgs),
    /// Serve a synthetic market and simulated models
    Sim(data::SimArgs),
    /// Analyze, compare and replay traces of Lacon and other tools
    Trace(trace::TraceArgs),
    /// Show runs and traces in the browser
    Ui(ui::UiArgs),
    /// Show settings and where they come from
    Config(ConfigArgs),
    /// Check key, endpoint, data, disk and clock, and say how to fix each
    Doctor(DoctorArgs),
    /// Run many tickers with shared news, shared caches and one budget
    BatchRun(many::BatchRunArgs),
    /// Run past dates and test the decisions with a paper portfolio
    Backtest(many::BacktestArgs),
    /// Serve tools, runs and compression to MCP clients over stdin and stdout
    #[cfg(feature = "mcp")]
    Mcp(mcp::McpArgs),
    /// Serve MCP clients: not in this build
    #[cfg(not(feature = "mcp"))]
    #[command(hide = true, disable_help_flag = true)]
    Mcp(PassedOn),
    /// Run a proxy that compresses requests on their way to a provider
    Serve(serve::ServeArgs),
    /// List past decisions with their outcomes; --reflect asks a model to review them
    Memory(many::MemoryArgs),
    /// List runs with decision, grade and cost; `prune` deletes old ones
    Runs(many::RunsArgs),
    /// Explain a run's decision and what would change it
    Explain(many::ExplainArgs),
    /// Check every documented promise: a program of its own beside this one
    #[command(hide = true, disable_help_flag = true)]
    Verify(PassedOn),
    /// Show or clear the caches on disk
    Cache(CacheArgs),
    /// Print the JSON Schema of an output file
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// Arguments that another program reads.
#[derive(Debug, Args)]
pub struct PassedOn {
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<std::ffi::OsString>,
}

/// Flags of `lacon run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The ticker, such as CRCL; or a team: its file, or research, review, triage, extract, debate or trading
    #[arg(required_unless_present = "resume")]
    pub ticker: Option<String>,
    /// What the team trading decides on: its ticker
    pub subject: Option<String>,
    /// Inputs and tools of a team
    #[command(flatten)]
    pub given: team::GivenArgs,
    /// Approve an agent of a team; may be given again
    #[arg(long, value_name = "AGENT")]
    pub approve: Vec<String>,
    /// The date to decide for, yyyy-mm-dd [default: the pack's date, or today]
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,
    /// Team and profile
    #[command(flatten)]
    pub cast: cast::CastArgs,
    /// Provider: auto, sim, openai, openai-responses, anthropic, gemini or ollama
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
    /// Reasoning effort of one role: ROLE=low|medium|high; repeatable
    #[arg(long, value_name = "ROLE=LEVEL")]
    pub effort: Vec<String>,
    /// Data source: auto or offline (bundled packs), vendors (live vendors), or a folder
    #[arg(long, value_name = "SOURCE")]
    pub data: Option<String>,
    /// Send requests for every vendor to URL/VENDOR
    #[arg(long, value_name = "URL")]
    pub vendors_url: Option<String>,
    /// Send tool calls to URL/TOOL instead
    #[arg(long, value_name = "URL")]
    pub tools_url: Option<String>,
    /// Optimizations to switch off, separated by commas, or all
    #[arg(long, value_name = "NAME,...")]
    pub disable: Option<String>,
    /// Optimizations to switch on, separated by commas
    #[arg(long, value_name = "NAME,...")]
    pub enable: Option<String>,
    /// Which forms models are given: all, or those that `lacon eval` has proven for them
    #[arg(long, value_enum, ignore_case = true)]
    pub forms: Option<eval::Forms>,
    /// Token budget of the run
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub budget_tokens: Option<String>,
    /// Money budget of the run in US dollars
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub budget_usd: Option<String>,
    /// Model of one role: ROLE=MODEL; repeatable
    #[arg(long, value_name = "ROLE=MODEL")]
    pub model: Vec<String>,
    /// Time limit of the run in seconds; 0 for none
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub deadline: Option<String>,
    /// Folder for results
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Name of the run [default: made from the time]
    #[arg(long, value_name = "NAME")]
    pub run_id: Option<String>,
    /// Overwrite a run of the same name
    #[arg(long, conflicts_with = "resume")]
    pub force: bool,
    /// Resume an interrupted run: its name, its folder, or latest
    #[arg(long, value_name = "RUN", conflicts_with = "date")]
    pub resume: Option<String>,
    /// Journal of a team's runs for many machines: postgres://HOST/DATABASE, or a folder in s3://, gs:// or az://
    #[arg(long, value_name = "URL", conflicts_with_all = ["force", "from"])]
    pub journal: Option<String>,
    /// With --resume: repeat from this node on, as a new run
    #[arg(long, value_name = "NODE", requires = "resume")]
    pub from: Option<String>,
    /// Run N times with consecutive seeds and count the decisions
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with_all = ["resume", "tape", "html", "complete", "otlp", "performance_report", "trace_format"])]
    pub repeat: Option<u32>,
    /// Random seed of the simulator
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<String>,
    /// Wall seconds per simulated second
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub time_scale: Option<String>,
    /// Tape for model and tool calls; with --record or --replay
    #[arg(long, value_name = "FILE")]
    pub tape: Option<String>,
    /// Make all calls and record them on the tape
    #[arg(long, requires = "tape", conflicts_with = "replay")]
    pub record: bool,
    /// Answer all calls from the tape, without a network
    #[arg(long, requires = "tape")]
    pub replay: bool,
    /// Print `lacon report` after the decision
    #[arg(long)]
    pub performance_report: bool,
    /// Write the report as one HTML file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the complete report with a chart and the source of every figure, as .html or .md
    /// [default: complete.html in the run's folder]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub complete: Option<Option<PathBuf>>,
    /// Send the trace to an OTLP/HTTP endpoint
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Also write the trace in this format into the run's folder; repeatable
    #[arg(long, value_enum, ignore_case = true, value_name = "FORMAT")]
    pub trace_format: Vec<trace::TraceFormat>,
    /// Print run.json
    #[arg(long)]
    pub json: bool,
    /// Print what goes on in a team's run as lines of JSON, its record last
    #[arg(long, conflicts_with = "json")]
    pub events: bool,
}

/// Flags of `lacon count`.
#[derive(Debug, Args)]
pub struct CountArgs {
    /// Files and folders; `-` or none reads stdin
    pub files: Vec<PathBuf>,
    /// Count a whole request with messages, tools, schemas and images, for the model that it names; repeatable
    #[arg(long, value_name = "FILE")]
    pub request: Vec<PathBuf>,
    /// Count for this model; repeatable
    #[arg(long, value_name = "MODEL")]
    pub model: Vec<String>,
    /// Count with this encoding [default: o200k_base]; repeatable
    #[arg(long, value_name = "ENCODING")]
    pub encoding: Vec<String>,
    /// Count with a vocabulary from a file: tokenizer.json with byte-level merges, or GGUF
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "encoding", "request"])]
    pub tokenizer: Option<PathBuf>,
    /// List each file
    #[arg(long, value_enum, ignore_case = true)]
    pub by: Option<CountBy>,
    /// Exit with 1 if a total is above N
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub fail_over: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How counts are listed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CountBy {
    /// One line per file
    File,
}

/// Flags of `lacon encode`.
#[derive(Debug, Args)]
pub struct EncodeArgs {
    /// Input file; `-` or none reads stdin
    pub file: Option<PathBuf>,
    /// The encoding
    #[arg(long, value_name = "ENCODING", default_value = "o200k_base")]
    pub encoding: String,
    /// Encode literals such as <|endoftext|> as special tokens, not as text
    #[arg(long)]
    pub special: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon decode`.
#[derive(Debug, Args)]
pub struct DecodeArgs {
    /// File of token ids; `-` or none reads stdin
    pub file: Option<PathBuf>,
    /// The encoding
    #[arg(long, value_name = "ENCODING", default_value = "o200k_base")]
    pub encoding: String,
    /// Replace invalid UTF-8 instead of failing
    #[arg(long)]
    pub lossy: bool,
}

/// Flags of `lacon models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Models to look up [default: all families]
    pub models: Vec<String>,
    /// Show prices in US dollars for a million tokens
    #[arg(long)]
    pub prices: bool,
    /// Forget what was learned from the counts that providers billed
    #[arg(long)]
    pub forget: bool,
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
        /// Show where each value comes from
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
    /// Show the caches on disk
    Stats {
        /// Folder for results
        #[arg(long, value_name = "DIR")]
        out: Option<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Clear the caches on disk; results stay
    Clear {
        /// Folder for results
        #[arg(long, value_name = "DIR")]
        out: Option<String>,
    },
}

/// Flags of `lacon schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// What: run or team
    #[arg(value_enum, ignore_case = true)]
    pub what: SchemaOf,
}

/// What has a published schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SchemaOf {
    /// run.json of a ticker
    Run,
    /// run.json of a team
    Team,
}

/// Flags of `lacon completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, ignore_case = true)]
    pub shell: clap_complete::Shell,
}
