//! The roles: names on the wire and in files, where their texts go.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

/// What a file of own agents says of one of them, kept for the life of the process so that a [`Role`] stays a word.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnRole {
    name: String,
    title: String,
}

/// Own roles by name. Each file adds at most [`crate::agents::MOST_AGENTS`], and a name is kept once.
static OWN: Mutex<BTreeMap<String, &'static OwnRole>> = Mutex::new(BTreeMap::new());

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
    /// Reads one word out of the decision; a model call in the baseline alone.
    Signal,
    /// An analyst from a file of own agents.
    Own(&'static OwnRole),
}

impl Role {
    /// The built-in roles that answer, in the order of the report tree; which of them a run has its [`crate::Cast`] knows.
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
            Self::Own(own) => &own.name,
        }
    }

    /// The title in reports and in the prompts of others.
    pub fn title(self) -> &'static str {
        match self {
            Self::Own(own) => &own.title,
            built_in => crate::team::agent(built_in).title(),
        }
    }

    /// The role of an own analyst. The same name and title give the same role.
    pub fn own(name: &str, title: &str) -> Self {
        let mut known = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = known.get(name).filter(|own| own.title == title) {
            return Self::Own(own);
        }
        let own: &'static OwnRole =
            Box::leak(Box::new(OwnRole { name: name.to_owned(), title: title.to_owned() }));
        known.insert(name.to_owned(), own);
        Self::Own(own)
    }

    /// Whether the role is an analyst: it reads tools' answers, no texts of others.
    pub fn is_analyst(self) -> bool {
        Self::ANALYSTS.contains(&self) || matches!(self, Self::Own(_))
    }

    /// The report's file within a run's folder.
    pub fn path(self) -> String {
        let folder = match self {
            Self::Market | Self::Social | Self::News | Self::Fundamentals | Self::Own(_) => "1_analysts",
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
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(own) = OWN.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(Self::Own(own));
        }
        let all = || Self::ANSWERING.into_iter().chain([Self::Signal]);
        all().find(|r| r.name() == text).ok_or_else(|| {
            let nearest = lacon_runtime::config::nearest(text, all().map(Self::name));
            let hint = nearest.map(|n| format!("\nhint: did you mean {n}?")).unwrap_or_default();
            format!("unknown role {text:?}{hint}")
        })
    }
}
