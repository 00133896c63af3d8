//! Flags of the commands that work on prompts: compress, expand, retrieve, trim, layout, batch.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Where offloaded content is kept.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// File for offloaded content
    #[arg(long, value_name = "FILE", default_value = ".lacon/offload.db")]
    pub store: PathBuf,
    /// Session of the store; a marker is only followed in its own session
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub session: String,
}

/// How far compression may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Exact forms only; `lacon expand` needs nothing but the text
    Lossless,
    /// Exact forms, and opaque runs moved to the store
    Safe,
    /// An extract for the question; what is left out is marked
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
    /// File to read; - or nothing for stdin
    pub file: Option<PathBuf>,
    /// How far to go; safe is for a reader that can retrieve
    #[arg(long, value_enum, ignore_case = true, default_value_t = Policy::Lossless)]
    pub policy: Policy,
    /// Append the one line that limits this role's answer
    #[arg(long, value_name = "ROLE")]
    pub agent: Option<String>,
    /// With --policy lossy: share of the tokens to save
    #[arg(long, value_name = "SHARE", conflicts_with = "ratio")]
    pub target: Option<f64>,
    /// With --policy lossy: share of the tokens to keep, 0.5 when not given
    #[arg(long, value_name = "SHARE")]
    pub ratio: Option<f64>,
    /// With --policy lossy: the question; COMPRESS_QUERY when not given
    #[arg(long, value_name = "TEXT")]
    pub query: Option<String>,
    /// Passes to switch off, divided by commas
    #[arg(long, value_name = "PASS,...")]
    pub disable: Option<String>,
    /// Passes to switch on that only run where asked for, divided by commas: outline
    #[arg(long, value_name = "PASS,...")]
    pub enable: Option<String>,
    /// Encoding to count with
    #[arg(long, value_name = "NAME", default_value = "o200k_base")]
    pub encoding: String,
    /// Only report what would be saved; print the input
    #[arg(long)]
    pub audit: bool,
    /// Leave a text that this command made as it is, so that twice is once; expand then gives what it was made from
    #[arg(long)]
    pub once: bool,
    /// Give every byte back: JSON laid out by hand stays as it is
    #[arg(long)]
    pub exact: bool,
    /// Leave this share of texts alone, always the same ones, for an honest comparison
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub holdout: f64,
    /// Print what changed instead of the result
    #[arg(long, conflicts_with = "json")]
    pub diff: bool,
    /// Say on stderr what each pass did
    #[arg(long)]
    pub explain: bool,
    /// Append each pass's report to a file as JSON lines
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
    /// File to read; - or nothing for stdin
    pub file: Option<PathBuf>,
    /// Most bytes of the result, for a text that you trust; otherwise 16 times the input and 64 KiB
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
    /// The handle, the hex digits after ref= in a marker; or the whole marker, so that what it says is checked
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
    /// File to read; - or nothing for stdin
    pub file: Option<PathBuf>,
    /// Tokens to fit into
    #[arg(short = 't', long = "tokens", value_name = "N", allow_negative_numbers = true)]
    pub tokens: usize,
    /// Messages that must stay as they are, by position from 0, divided by commas
    #[arg(long, value_name = "I,...", value_delimiter = ',')]
    pub pin: Vec<usize>,
    /// Keep what is left out of tool results in the store, for a model that can retrieve it
    #[arg(long)]
    pub offload: bool,
    /// Leave out the oldest messages, so many groups at a time, so that cached prefixes stay
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 0)]
    pub stride: usize,
    /// Leave out the first user turn too, rather than refuse, where a later one can begin the conversation
    #[arg(long)]
    pub drop_first: bool,
    /// Encoding to count with
    #[arg(long, value_name = "NAME", default_value = "o200k_base")]
    pub encoding: String,
    /// Print what changed instead of the result
    #[arg(long, conflicts_with = "json")]
    pub diff: bool,
    /// Say on stderr what was left out
    #[arg(long)]
    pub explain: bool,
    /// Print one JSON object with the result and what was left out
    #[arg(long)]
    pub json: bool,
    /// Where offloaded content is kept
    #[command(flatten)]
    pub store: StoreArgs,
}

/// A provider's cache rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CacheRules {
    /// 1,024 tokens and more in steps of 128, reads at a tenth
    Openai,
    /// 1,024 tokens and more, reads at a tenth, writes at five quarters
    Anthropic,
}

/// Flags of `lacon layout`.
#[derive(Debug, Args)]
pub struct LayoutArgs {
    /// Requests in the order they are sent: JSON with messages and tools; - for stdin with one a line
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Whose cache to predict
    #[arg(long, value_enum, ignore_case = true, default_value_t = CacheRules::Openai)]
    pub provider: CacheRules,
    /// Move lines of system messages that are a date, a time or an id to the end of the request
    #[arg(long)]
    pub volatile_last: bool,
    /// Requests, by position from 0, whose agents can retrieve: what an earlier one holds and no cache gives back becomes a marker
    #[arg(long, value_name = "I,...", value_delimiter = ',')]
    pub refer: Vec<usize>,
    /// Write the requests as they are laid out to this folder
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
    /// Write its shorter exact form
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
#[derive(Debug, Args)]
pub struct BatchArgs {
    /// JSON lines (strings, or objects with the text in a field) or Parquet
    pub input: PathBuf,
    /// File for the results in the order of the input: Parquet where its name ends so, else one a line
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// What to do
    #[arg(long, value_enum, ignore_case = true, default_value_t = BatchOp::Count)]
    pub op: BatchOp,
    /// Threads; one per processor when not given
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub jobs: Option<usize>,
    /// Field or column that holds the text
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub field: String,
    /// Encoding to count with
    #[arg(long, value_name = "NAME", default_value = "o200k_base")]
    pub encoding: String,
    /// Go on where an earlier batch to the same file ended
    #[arg(long)]
    pub resume: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}
