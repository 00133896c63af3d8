//! Flags about teams of agents.

use clap::{Args, ValueEnum};

use super::{cast, eval::Forms};

/// Flags of every command that needs what a team is given.
#[derive(Clone, Debug, Default, Args)]
pub struct GivenArgs {
    /// What a team is given: NAME=VALUE, NAME=@FILE, or @FILE.json with all of it; may be given again
    #[arg(long, value_name = "NAME=VALUE")]
    pub input: Vec<String>,
    /// Server of a team's tool: NAME=URL, or @FILE.json with all of them; may be given again
    #[arg(long, value_name = "NAME=URL")]
    pub tool: Vec<String>,
    /// Let the MCP server of this tool be started or called; may be given again
    #[arg(long, value_name = "NAME")]
    pub allow_mcp: Vec<String>,
}

/// Flags of `lacon check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A team's file, or the name of a shipped team: research, review, triage, extract, debate or trading
    pub team: String,
    /// What it is given
    #[command(flatten)]
    pub given: GivenArgs,
    /// A profile of the team
    #[arg(long)]
    pub profile: Option<String>,
    /// Optimizations to switch off, divided by commas, or all
    #[arg(long, value_name = "NAME,...")]
    pub disable: Option<String>,
    /// Which forms models are given: all, or those that `lacon eval` has proven for them
    #[arg(long, value_enum, ignore_case = true)]
    pub forms: Option<Forms>,
    /// Model of the class quick
    #[arg(long, value_name = "MODEL")]
    pub quick_model: Option<String>,
    /// Model of the class deep
    #[arg(long, value_name = "MODEL")]
    pub deep_model: Option<String>,
    /// Most tokens of the run: answers are planned to fit
    #[arg(long, value_name = "N")]
    pub budget_tokens: Option<u64>,
    /// Most US dollars of the run
    #[arg(long, value_name = "USD")]
    pub budget_usd: Option<f64>,
    /// Most seconds of the run, at the speed of real endpoints
    #[arg(long, value_name = "SECONDS")]
    pub deadline: Option<f64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The team's name; a folder of that name is made
    pub name: String,
    /// The shipped team that it begins as: research, review, triage, extract or debate
    #[arg(long, value_name = "TEAM", default_value = "research")]
    pub template: String,
}

/// Flags of `lacon graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// A team's file or name; the trading graph with these settings when not given
    pub team: Option<String>,
    /// Team and profile
    #[command(flatten)]
    pub cast: cast::CastArgs,
    /// Optimizations to switch off, separated by commas, or all
    #[arg(long, value_name = "NAME,...")]
    pub disable: Option<String>,
    /// Optimizations to switch on, separated by commas
    #[arg(long, value_name = "NAME,...")]
    pub enable: Option<String>,
    /// Output format
    #[arg(long, value_enum, ignore_case = true, default_value_t = GraphFormat::Text)]
    pub format: GraphFormat,
}

/// How a graph is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum GraphFormat {
    /// Plain text: each node with what it waits for
    Text,
    /// A Mermaid flowchart
    Mermaid,
    /// Graphviz DOT
    Dot,
    /// A picture as SVG, of a team
    Svg,
}
