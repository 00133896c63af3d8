//! Flags of `lacon ui`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

/// Flags of `lacon ui`.
#[derive(Debug, Args)]
pub struct UiArgs {
    /// Folder with runs and traces, or one trace [default: the results folder]
    pub dir: Option<PathBuf>,
    /// Port on the loopback address; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8790)]
    pub port: u16,
    /// A `lacon serve` whose requests, savings and errors are shown live
    #[arg(long, value_name = "ADDRESS")]
    pub proxy: Option<SocketAddr>,
    /// The token of that proxy, if it has one
    #[arg(long, value_name = "TOKEN", requires = "proxy")]
    pub proxy_token: Option<String>,
}
