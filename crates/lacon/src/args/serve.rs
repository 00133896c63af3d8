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
    /// Exact forms, and opaque runs moved to the store where the request declares that they can be had from there
    Safe,
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
    /// How far to go
    #[arg(long, value_enum, ignore_case = true, default_value_t = ServePolicy::Lossless)]
    pub policy: ServePolicy,
    /// Passes to switch off, divided by commas
    #[arg(long, value_name = "PASS,...")]
    pub disable: Option<String>,
    /// Passes to switch on that only run where asked for, divided by commas: outline
    #[arg(long, value_name = "PASS,...")]
    pub enable: Option<String>,
    /// Whose texts stay as they are, divided by commas: user, tool, or the name of a tool
    #[arg(long, value_name = "WHO,...", value_delimiter = ',')]
    pub protect: Vec<String>,
    /// Shorten what users say too, not only results of tools
    #[arg(long)]
    pub shorten_user: bool,
    /// Shorten results too that a later exact edit may have to quote: those of tools that read files, and all where the request has a tool that edits
    #[arg(long)]
    pub shorten_quotable: bool,
    /// Names and addresses under which the server may be called, beside localhost and the address that it listens on
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub allow_host: Vec<String>,
    /// Origins whose pages may ask, such as http://localhost:3000; none by default
    #[arg(long, value_name = "ORIGIN,...", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// What /v1/compress, /v1/retrieve and /metrics must be shown, as x-lacon-token or authorization: Bearer
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Where offloaded content is kept: a file, or memory until the server ends
    #[arg(long, value_name = "FILE|memory", default_value = "memory")]
    pub store: String,
    /// Session of the store; a marker is only followed in its own session
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub session: String,
    /// Append what each request saved to a file as JSON lines
    #[arg(long, value_name = "FILE")]
    pub receipts: Option<PathBuf>,
    /// Most bytes of a request
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    pub max_body: usize,
    /// Most connections at once; more wait
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1024)]
    pub max_connections: usize,
    /// Seconds to wait for a request's head
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 30.0)]
    pub header_timeout: f64,
    /// Seconds to wait for a request's body
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 60.0)]
    pub body_timeout: f64,
    /// Seconds that shortening a request may take; after them it goes on as it came
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub work_timeout: f64,
    /// Seconds to wait for the beginning of an answer
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 600.0)]
    pub answer_timeout: f64,
    /// Seconds that answers under way may take once the server is to stop
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 30.0)]
    pub drain: f64,
}
