//! Flags of `lacon mcp`.

use clap::Args;

use super::prompt::StoreArgs;

/// Flags of `lacon mcp`.
#[derive(Debug, Args)]
pub struct McpArgs {
    /// Where offloaded content is kept
    #[command(flatten)]
    pub store: StoreArgs,
    /// Flags of `lacon run` for every call, after --
    #[arg(last = true, value_name = "RUN FLAGS")]
    pub run_flags: Vec<String>,
}
