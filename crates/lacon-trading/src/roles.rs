//! The roles: names on the wire and in files, where their texts go.

use std::{fmt, str::FromStr};

/// A role of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Prices and indicators.
    Market,
    /// What the crowd says.
    Social,
    /// What happened.
    News,
    /// What the company is worth.
    Fundamentals,
    /// The case for buying.
    Bull,
    /// The case against.
    Bear,
    /// Weighs the debate.
    Judge,
    /// The research manager's plan.
    Plan,
    /// Seeks return.
    Risky,
    /// Protects capital.
    Safe,
    /// Sees both sides.
    Neutral,
    /// Decides.
    RiskManager,
    /// Turns the decision into an order.
    Trader,
    /// Reads one word out of the decision; a model call in the seed profile alone.
    Signal,
}

impl Role {
    /// The roles that answer in every run, in the order of the report tree.
    pub const ANSWERING: [Self; 13] = [
        Self::Market,
        Self::Social,
        Self::News,
        Self::Fundamentals,
        Self::Bull,
        Self::Bear,
        Self::Judge,
        Self::Plan,
        Self::Risky,
        Self::Safe,
        Self::Neutral,
        Self::RiskManager,
        Self::Trader,
    ];

    /// The four analysts.
    pub const ANALYSTS: [Self; 4] = [Self::Market, Self::Social, Self::News, Self::Fundamentals];

    /// The three risk analysts.
    pub const RISK: [Self; 3] = [Self::Risky, Self::Safe, Self::Neutral];

    /// The name on the wire and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Social => "social",
            Self::News => "news",
            Self::Fundamentals => "fundamentals",
            Self::Bull => "bull",
            Self::Bear => "bear",
            Self::Judge => "judge",
            Self::Plan => "plan",
            Self::Risky => "risky",
            Self::Safe => "safe",
            Self::Neutral => "neutral",
            Self::RiskManager => "risk_manager",
            Self::Trader => "trader",
            Self::Signal => "signal",
        }
    }

    /// The report's file within a run's folder.
    pub fn path(self) -> String {
        let folder = match self {
            Self::Market | Self::Social | Self::News | Self::Fundamentals => "1_analysts",
            Self::Bull | Self::Bear | Self::Judge | Self::Plan => "2_research",
            Self::Risky | Self::Safe | Self::Neutral | Self::RiskManager => "3_risk",
            Self::Trader | Self::Signal => "4_trader",
        };
        format!("reports/{folder}/{}.md", self.name())
    }

    /// Whether the run goes on without this role's answer.
    pub fn may_fail(self) -> bool {
        !matches!(self, Self::Plan | Self::RiskManager)
    }

    /// The texts of other roles that the role must read, in the order of the prompt.
    pub fn reads(self) -> &'static [Self] {
        match self {
            Self::Market | Self::Social | Self::News | Self::Fundamentals | Self::Signal => &[],
            Self::Bull | Self::Bear => &Self::ANALYSTS,
            Self::Judge => &[Self::Bull, Self::Bear],
            Self::Plan => {
                &[Self::Market, Self::Social, Self::News, Self::Fundamentals, Self::Bull, Self::Bear]
            }
            Self::Risky | Self::Safe | Self::Neutral => &[Self::Plan],
            Self::RiskManager => &[Self::Plan, Self::Risky, Self::Safe, Self::Neutral],
            Self::Trader => &[Self::Plan, Self::RiskManager],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = || Self::ANSWERING.into_iter().chain([Self::Signal]);
        all().find(|r| r.name() == text).ok_or_else(|| {
            let nearest = lacon_runtime::config::nearest(text, all().map(Self::name));
            let hint = nearest.map(|n| format!("\nhint: did you mean {n}?")).unwrap_or_default();
            format!("unknown role {text:?}{hint}")
        })
    }
}
