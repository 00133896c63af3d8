//! Flags of `lacon serve`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};

/// How far requests may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServePolicy {
    /// Pass everything through
    Off,
    /// Exact forms only
    Lossless,
    /// Also moves blobs to the store if the request declares a way to retrieve them
    Safe,
}

/// Whether prompts get marks for the provider's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CacheMarks {
    /// For conversations that the proxy recognizes, by the cache rule of their model
    Auto,
    /// None: no byte is changed for a cache
    Off,
}

/// Flags of `lacon serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    pub listen: SocketAddr,
    /// The provider's address
    #[arg(long, value_name = "URL", default_value = "https://api.openai.com/v1")]
    pub upstream: String,
    /// How far compression may go
    #[arg(long, value_enum, ignore_case = true, default_value_t = ServePolicy::Lossless)]
    pub policy: ServePolicy,
    /// Passes to switch off, separated by commas
    #[arg(long, value_name = "PASS,...")]
    pub disable: Option<String>,
    /// Passes that run only on request, separated by commas: outline
    #[arg(long, value_name = "PASS,...")]
    pub enable: Option<String>,
    /// Which forms may be used
    #[command(flatten)]
    pub forms: super::eval::FormsArgs,
    /// Texts to leave alone, separated by commas: user, tool, or the name of a tool
    #[arg(long, value_name = "WHO,...", value_delimiter = ',')]
    pub protect: Vec<String>,
    /// Compress user messages too, not only tool results
    #[arg(long)]
    pub shorten_user: bool,
    /// Compress tool results that a later edit may have to quote exactly
    #[arg(long)]
    pub shorten_quotable: bool,
    /// Put one line above a request's first compressed text that tells the model how to read it
    #[arg(long)]
    pub legend: bool,
    /// Share of conversations whose requests pass as they came; the answer says so in x-lacon-arm
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub holdout: f64,
    /// Mark what a provider's prompt cache should keep; never beside marks of the client
    #[arg(long, value_enum, ignore_case = true, default_value_t = CacheMarks::Off)]
    pub cache_marks: CacheMarks,
    /// Names and addresses under which the server may be called, beside localhost and the address that it listens on
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub allow_host: Vec<String>,
    /// Browser origins that may call, such as http://localhost:3000 [default: none]
    #[arg(long, value_name = "ORIGIN,...", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// Token for /v1/compress, /v1/retrieve and /metrics, as x-lacon-token or a Bearer token
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Store for offloaded content: a file, or memory
    #[arg(long, value_name = "FILE|memory", default_value = "memory")]
    pub store: String,
    /// Redis or Valkey that several proxies share: limits, budgets, and offloaded content in place of --store
    #[arg(long, value_name = "URL")]
    pub shared: Option<String>,
    /// Most requests a minute of one provider key, over all proxies
    #[arg(long, value_name = "N", requires = "shared", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit_requests: Option<u64>,
    /// Most tokens a minute of one provider key, prompts and answers, over all proxies
    #[arg(long, value_name = "N", requires = "shared", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit_tokens: Option<u64>,
    /// USD a day by team, over all proxies; x-lacon-team names the team, else it is "default"
    #[arg(long, value_name = "TEAM=USD,...", value_delimiter = ',', requires = "shared")]
    pub team_budget: Vec<String>,
    /// Seconds that shared content is kept after it was last used
    #[arg(long, value_name = "S", default_value_t = 86_400.0)]
    pub keep: f64,
    /// Session of the store; a marker works only in its own session
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub session: String,
    /// Append the savings of each request to this file, as JSON Lines
    #[arg(long, value_name = "FILE")]
    pub receipts: Option<PathBuf>,
    /// Largest request in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    pub max_body: usize,
    /// Most connections at once; others wait
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1024)]
    pub max_connections: usize,
    /// Seconds to wait for a request's head
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 30.0)]
    pub header_timeout: f64,
    /// Seconds to wait for a request's body
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 60.0)]
    pub body_timeout: f64,
    /// Seconds to compress a request; after that it is passed on unchanged
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub work_timeout: f64,
    /// Seconds to wait for the first byte of an answer
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 600.0)]
    pub answer_timeout: f64,
    /// Seconds that open answers may take after a stop signal
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 30.0)]
    pub drain: f64,
    /// Seconds after a stop signal in which /readyz refuses and requests are still served, so that a balancer sees it
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 0.0)]
    pub notice: f64,
}
