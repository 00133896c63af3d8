//! Flags that choose the team and the profile of a run.

use clap::Args;

/// Flags of every command that builds the graph.
#[derive(Clone, Debug, Default, Args)]
pub struct CastArgs {
    /// Profile: lacon, baseline (the original system's order and calls) or upstream (debates in turns, five ratings)
    #[arg(long)]
    pub profile: Option<String>,
    /// Analysts that write reports, separated by commas
    #[arg(long, value_name = "ANALYST,...")]
    pub analysts: Option<String>,
    /// TOML file with your own analysts and tools, and changes to roles
    #[arg(long, value_name = "FILE")]
    pub agents: Option<String>,
    /// Language of the answers, such as German
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,
    /// Rounds of the debate between bull and bear
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub research_rounds: Option<String>,
    /// Rounds of the risk debate, in profile upstream
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub risk_rounds: Option<String>,
}

impl CastArgs {
    /// The flags as settings.
    pub fn flags(&self) -> [(&'static str, Option<&String>); 6] {
        [
            ("run.profile", self.profile.as_ref()),
            ("trading.analysts", self.analysts.as_ref()),
            ("trading.agents", self.agents.as_ref()),
            ("trading.language", self.language.as_ref()),
            ("run.research_rounds", self.research_rounds.as_ref()),
            ("run.risk_rounds", self.risk_rounds.as_ref()),
        ]
    }
}
