//! Flags of `lacon mcp`.

use clap::Args;

use super::prompt::StoreArgs;

/// Flags of `lacon mcp`.
#[derive(Debug, Args)]
pub struct McpArgs {
    /// Where offloaded content is kept
    #[command(flatten)]
    pub store: StoreArgs,
    /// Tools to offer, separated by commas: names, market for all market tools, prompt for compress, expand, retrieve and count [default: all]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub tools: Vec<String>,
    /// Flags of `lacon run` for every call, after --
    #[arg(last = true, value_name = "RUN FLAGS")]
    pub run_flags: Vec<String>,
}
