//! Flags of the prompt commands: compress, expand, retrieve, trim, layout, batch.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

/// Where offloaded content is kept.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// File for offloaded content
    #[arg(long, value_name = "FILE", default_value = ".lacon/offload.db")]
    pub store: PathBuf,
    /// Session of the store; a marker works only in its own session
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub session: String,
}

/// How far compression may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Exact forms only; `lacon expand` needs no store
    Lossless,
    /// Also moves blobs to the store, for a reader that can retrieve them
    Safe,
    /// An extract that answers the question; marks what it leaves out
    Lossy,
}

impl From<Policy> for lacon_prompt::shorten::Policy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Lossless => Self::Lossless,
            Policy::Safe => Self::Safe,
            Policy::Lossy => Self::Lossy,
        }
    }
}

/// Flags of `lacon compress`.
#[derive(Debug, Args)]
pub struct CompressArgs {
    /// Input file; `-` or none reads stdin
    pub file: Option<PathBuf>,
    /// How far compression may go
    #[arg(long, value_enum, ignore_case = true, default_value_t = Policy::Lossless)]
    pub policy: Policy,
    /// Append one line that limits this role's answer
    #[arg(long, value_name = "ROLE")]
    pub agent: Option<String>,
    /// With --policy lossy: share of the tokens to save
    #[arg(long, value_name = "SHARE", conflicts_with = "ratio")]
    pub target: Option<f64>,
    /// With --policy lossy: share of the tokens to keep [default: 0.5]
    #[arg(long, value_name = "SHARE")]
    pub ratio: Option<f64>,
    /// With --policy lossy: the question [default: $COMPRESS_QUERY]
    #[arg(long, value_name = "TEXT")]
    pub query: Option<String>,
    /// Passes to switch off, separated by commas
    #[arg(long, value_name = "PASS,...")]
    pub disable: Option<String>,
    /// Passes that run only on request, separated by commas: outline
    #[arg(long, value_name = "PASS,...")]
    pub enable: Option<String>,
    /// Which forms may be used
    #[command(flatten)]
    pub forms: super::eval::FormsArgs,
    /// Encoding to count with [default: that of --for-model, else o200k_base]
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,
    /// Report the savings and print the input unchanged
    #[arg(long)]
    pub audit: bool,
    /// Leave text that is already compressed as it is
    #[arg(long)]
    pub once: bool,
    /// Restore every byte: leave hand-formatted JSON as it is
    #[arg(long)]
    pub exact: bool,
    /// Leave this share of texts uncompressed, as a control group
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub holdout: f64,
    /// Print a diff instead of the result
    #[arg(long, conflicts_with = "json")]
    pub diff: bool,
    /// Print what each pass did to stderr
    #[arg(long)]
    pub explain: bool,
    /// Append a receipt per pass to this file, as JSON Lines
    #[arg(long, value_name = "FILE")]
    pub receipts: Option<PathBuf>,
    /// Print one JSON object with the text and the reports
    #[arg(long)]
    pub json: bool,
    /// Where offloaded content is kept
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Flags of `lacon expand`.
#[derive(Debug, Args)]
pub struct ExpandArgs {
    /// Input file; `-` or none reads stdin
    pub file: Option<PathBuf>,
    /// Most bytes of output, for trusted text [default: 16 times the input and 64 KiB]
    #[arg(long, value_name = "BYTES")]
    pub max_size: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Where offloaded content is kept
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Flags of `lacon retrieve`.
#[derive(Debug, Args)]
pub struct RetrieveArgs {
    /// The handle (hex digits after ref=), or the whole marker, which is then checked
    pub handle: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Where offloaded content is kept
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Flags of `lacon trim`.
#[derive(Debug, Args)]
pub struct TrimArgs {
    /// Input file; `-` or none reads stdin
    pub file: Option<PathBuf>,
    /// Token budget
    #[arg(short = 't', long = "tokens", value_name = "N", allow_negative_numbers = true)]
    pub tokens: usize,
    /// Positions of messages to keep, counted from 0, separated by commas
    #[arg(long, value_name = "I,...", value_delimiter = ',')]
    pub pin: Vec<usize>,
    /// Move removed parts of tool results to the store, for a model that can retrieve them
    #[arg(long)]
    pub offload: bool,
    /// Drop the oldest groups, N at a time, so that cached prefixes survive
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 0)]
    pub stride: usize,
    /// Allow dropping the first user turn if a later one can start the conversation
    #[arg(long)]
    pub drop_first: bool,
    /// Encoding to count with
    #[arg(long, value_name = "NAME", default_value = "o200k_base")]
    pub encoding: String,
    /// Print a diff instead of the result
    #[arg(long, conflicts_with = "json")]
    pub diff: bool,
    /// Print what was removed to stderr
    #[arg(long)]
    pub explain: bool,
    /// Print one JSON object with the result and what was removed
    #[arg(long)]
    pub json: bool,
    /// Where offloaded content is kept
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Flags of `lacon layout`.
#[derive(Debug, Args)]
pub struct LayoutArgs {
    /// Requests in sending order: JSON with messages and tools; one per line in .jsonl and from `-`; or a tape
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Cache rule: auto (the model's), openai, openai-5.5, openai-5.6, anthropic or gemini
    #[arg(long, value_name = "RULE", default_value = "auto")]
    pub provider: String,
    /// Move system lines that are a date, a time or an id to the end of the request
    #[arg(long)]
    pub volatile_last: bool,
    /// Positions of requests whose agents can retrieve: repeated uncached text becomes a marker
    #[arg(long, value_name = "I,...", value_delimiter = ',')]
    pub refer: Vec<usize>,
    /// Write the rearranged requests to this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Encoding to count with
    #[arg(long, value_name = "NAME", default_value = "o200k_base")]
    pub encoding: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Where the texts behind --refer are kept
    #[command(flatten)]
    pub store: StoreArgs,
}

/// What a batch does to each text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BatchOp {
    /// Count its tokens
    Count,
    /// Write its exact short form
    Compress,
}

impl BatchOp {
    /// Names of the counts it adds to a row.
    pub fn counts(self) -> &'static [&'static str] {
        match self {
            BatchOp::Count => &["tokens"],
            BatchOp::Compress => &["tokens_before", "tokens_after"],
        }
    }
}

/// Flags of `lacon batch`.
#[derive(Clone, Debug, Args)]
pub struct BatchArgs {
    /// JSON Lines (strings, or objects with a text field) or Parquet
    pub input: PathBuf,
    /// Output in input order: Parquet if the name ends in .parquet, else JSON Lines
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// What to do
    #[arg(long, value_enum, ignore_case = true, default_value_t = BatchOp::Count)]
    pub op: BatchOp,
    /// Threads [default: one per processor]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub jobs: Option<usize>,
    /// Field or column that holds the text
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub field: String,
    /// Encoding to count with
    #[arg(long, value_name = "NAME", default_value = "o200k_base")]
    pub encoding: String,
    /// Continue an interrupted batch with the same output
    #[arg(long)]
    pub resume: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    /// Where the input was fetched from
    #[arg(skip)]
    pub fetched_from: Option<PathBuf>,
}

impl BatchArgs {
    /// The input as the user named it.
    pub fn named(&self) -> &Path {
        self.fetched_from.as_deref().unwrap_or(&self.input)
    }
}
