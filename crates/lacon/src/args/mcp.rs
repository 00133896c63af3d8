//! Flags of `lacon mcp`.

use clap::Args;

/// Flags of `lacon mcp`.
#[derive(Debug, Args)]
pub struct McpArgs {
    /// Flags of `lacon run` for every call, after --
    #[arg(last = true, value_name = "RUN FLAGS")]
    pub run_flags: Vec<String>,
}
