//! The state of a run: one field per text, each with its reducer.

use crate::Action;
use lacon_graph::{Append, LastWins};
use lacon_llm::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Role;

/// One role's text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// The answer, as the model wrote it; empty when the role failed.
    pub text: String,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether the model was cut by the token limit; the text ends with its last whole sentence.
    #[serde(default)]
    pub cut: bool,
    /// What it decides, of roles that decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Required parts that are missing.
    #[serde(default)]
    pub missing: Vec<String>,
    /// For each text that the role must read: the share of its numbers that stood in the prompt.
    #[serde(default)]
    pub read: Vec<(String, f64)>,
}

/// What a role's answer decides, and how that was read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The action.
    pub action: Action,
    /// From 0 to 1, where the same answer states it.
    pub confidence: Option<f64>,
    /// How it was read.
    pub how: How,
}

/// How a decision was read, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// From a field of a structured answer.
    Field,
    /// From the line with the tag of this run.
    Line,
    /// From the answer to one further question about the text.
    Asked,
    /// From the words of the text.
    Prose,
}

impl How {
    /// Its name in `run.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Line => "line",
            Self::Asked => "asked",
            Self::Prose => "prose",
        }
    }
}

/// One tool's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// The text, or why there is none.
    pub text: String,
    /// Whether data that the analyst cannot work without could not be had: its report then fails with the text.
    pub unavailable: bool,
}

/// A role's part of a field that all own analysts share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Owned<T> {
    /// The role's name.
    pub role: String,
    /// Its part.
    pub part: T,
}

lacon_graph::state! {
    /// What the agents of a run have given so far.
    pub struct TradeState, update TradeUpdate, field TradeField {
        /// The market analyst's conversation up to its tool calls.
        market_talk: LastWins<Vec<Message>>,
        /// The social analyst's conversation up to its tool calls.
        social_talk: LastWins<Vec<Message>>,
        /// The news analyst's conversation up to its tool calls.
        news_talk: LastWins<Vec<Message>>,
        /// The fundamentals analyst's conversation up to its tool calls.
        fundamentals_talk: LastWins<Vec<Message>>,
        /// What the market analyst's tools gave.
        market_data: LastWins<Vec<ToolResult>>,
        /// What the social analyst's tools gave.
        social_data: LastWins<Vec<ToolResult>>,
        /// What the news analyst's tools gave.
        news_data: LastWins<Vec<ToolResult>>,
        /// What the fundamentals analyst's tools gave.
        fundamentals_data: LastWins<Vec<ToolResult>>,
        /// The market report.
        market: LastWins<Text>,
        /// The social report.
        social: LastWins<Text>,
        /// The news report.
        news: LastWins<Text>,
        /// The fundamentals report.
        fundamentals: LastWins<Text>,
        /// The bull's arguments, one a round.
        bull: Append<Text>,
        /// The bear's arguments, one a round.
        bear: Append<Text>,
        /// The judge's verdicts, one a round.
        judge: Append<Text>,
        /// The investment plan.
        plan: LastWins<Text>,
        /// The aggressive views, one a round.
        risky: Append<Text>,
        /// The conservative views, one a round.
        safe: Append<Text>,
        /// The neutral views, one a round.
        neutral: Append<Text>,
        /// The risk manager's decision.
        risk_manager: LastWins<Text>,
        /// The trader's order.
        trader: LastWins<Text>,
        /// The word that the signal call read, in the baseline.
        signal: LastWins<Text>,
        /// The conversations of own analysts up to their tool calls.
        own_talk: Append<Owned<Vec<Message>>>,
        /// What the tools of own analysts gave.
        own_data: Append<Owned<Vec<ToolResult>>>,
        /// The reports of own analysts.
        own: Append<Owned<Text>>,
    }
}

/// The last part that a role wrote.
fn of<T>(field: &Append<Owned<T>>, role: Role) -> Option<&T> {
    field.iter().rev().find(|owned| owned.role == role.name()).map(|owned| &owned.part)
}

impl TradeState {
    /// A role's text: of those who speak in rounds the last one.
    pub fn text(&self, role: Role) -> Option<&Text> {
        match role {
            Role::Market => self.market.get(),
            Role::Social => self.social.get(),
            Role::News => self.news.get(),
            Role::Fundamentals => self.fundamentals.get(),
            Role::Bull => self.bull.iter().next_back(),
            Role::Bear => self.bear.iter().next_back(),
            Role::Judge => self.judge.iter().next_back(),
            Role::Plan => self.plan.get(),
            Role::Risky => self.risky.iter().next_back(),
            Role::Safe => self.safe.iter().next_back(),
            Role::Neutral => self.neutral.iter().next_back(),
            Role::RiskManager => self.risk_manager.get(),
            Role::Trader => self.trader.get(),
            Role::Signal => self.signal.get(),
            Role::Own(_) => of(&self.own, role),
        }
    }

    /// Everything that a role said, in the order of its rounds.
    pub fn texts(&self, role: Role) -> Vec<&Text> {
        match role {
            Role::Bull => self.bull.iter().collect(),
            Role::Bear => self.bear.iter().collect(),
            Role::Judge => self.judge.iter().collect(),
            Role::Risky => self.risky.iter().collect(),
            Role::Safe => self.safe.iter().collect(),
            Role::Neutral => self.neutral.iter().collect(),
            other => self.text(other).into_iter().collect(),
        }
    }

    /// An analyst's conversation up to its tool calls.
    pub fn talk(&self, role: Role) -> Option<&Vec<Message>> {
        match role {
            Role::Market => self.market_talk.get(),
            Role::Social => self.social_talk.get(),
            Role::News => self.news_talk.get(),
            Role::Fundamentals => self.fundamentals_talk.get(),
            Role::Own(_) => of(&self.own_talk, role),
            _ => None,
        }
    }

    /// What an analyst's tools gave.
    pub fn data(&self, role: Role) -> Option<&Vec<ToolResult>> {
        match role {
            Role::Market => self.market_data.get(),
            Role::Social => self.social_data.get(),
            Role::News => self.news_data.get(),
            Role::Fundamentals => self.fundamentals_data.get(),
            Role::Own(_) => of(&self.own_data, role),
            _ => None,
        }
    }
}

/// The update that sets a role's text.
pub fn text_update(role: Role, text: Text) -> TradeUpdate {
    let mut update = TradeUpdate::default();
    let slot = match role {
        Role::Market => &mut update.market,
        Role::Social => &mut update.social,
        Role::News => &mut update.news,
        Role::Fundamentals => &mut update.fundamentals,
        Role::Bull => &mut update.bull,
        Role::Bear => &mut update.bear,
        Role::Judge => &mut update.judge,
        Role::Plan => &mut update.plan,
        Role::Risky => &mut update.risky,
        Role::Safe => &mut update.safe,
        Role::Neutral => &mut update.neutral,
        Role::RiskManager => &mut update.risk_manager,
        Role::Trader => &mut update.trader,
        Role::Signal => &mut update.signal,
        Role::Own(_) => {
            update.own = Some(Owned { role: role.name().into(), part: text });
            return update;
        }
    };
    *slot = Some(text);
    update
}

/// The update that sets an analyst's conversation.
pub fn talk_update(role: Role, talk: Vec<Message>) -> TradeUpdate {
    if let Role::Own(_) = role {
        let owned = Owned { role: role.name().into(), part: talk };
        return TradeUpdate { own_talk: Some(owned), ..TradeUpdate::default() };
    }
    let talk = Some(talk);
    match role {
        Role::Market => TradeUpdate { market_talk: talk, ..TradeUpdate::default() },
        Role::Social => TradeUpdate { social_talk: talk, ..TradeUpdate::default() },
        Role::News => TradeUpdate { news_talk: talk, ..TradeUpdate::default() },
        _ => TradeUpdate { fundamentals_talk: talk, ..TradeUpdate::default() },
    }
}

/// The update that sets what an analyst's tools gave.
pub fn data_update(role: Role, data: Vec<ToolResult>) -> TradeUpdate {
    if let Role::Own(_) = role {
        let owned = Owned { role: role.name().into(), part: data };
        return TradeUpdate { own_data: Some(owned), ..TradeUpdate::default() };
    }
    let data = Some(data);
    match role {
        Role::Market => TradeUpdate { market_data: data, ..TradeUpdate::default() },
        Role::Social => TradeUpdate { social_data: data, ..TradeUpdate::default() },
        Role::News => TradeUpdate { news_data: data, ..TradeUpdate::default() },
        _ => TradeUpdate { fundamentals_data: data, ..TradeUpdate::default() },
    }
}

/// The field of a role's text.
pub fn text_field(role: Role) -> TradeField {
    match role {
        Role::Market => TradeField::market,
        Role::Social => TradeField::social,
        Role::News => TradeField::news,
        Role::Fundamentals => TradeField::fundamentals,
        Role::Bull => TradeField::bull,
        Role::Bear => TradeField::bear,
        Role::Judge => TradeField::judge,
        Role::Plan => TradeField::plan,
        Role::Risky => TradeField::risky,
        Role::Safe => TradeField::safe,
        Role::Neutral => TradeField::neutral,
        Role::RiskManager => TradeField::risk_manager,
        Role::Trader => TradeField::trader,
        Role::Signal => TradeField::signal,
        Role::Own(_) => TradeField::own,
    }
}

/// The field of an analyst's conversation.
pub fn talk_field(role: Role) -> TradeField {
    match role {
        Role::Market => TradeField::market_talk,
        Role::Social => TradeField::social_talk,
        Role::News => TradeField::news_talk,
        Role::Own(_) => TradeField::own_talk,
        _ => TradeField::fundamentals_talk,
    }
}

/// The field of what an analyst's tools gave.
pub fn data_field(role: Role) -> TradeField {
    match role {
        Role::Market => TradeField::market_data,
        Role::Social => TradeField::social_data,
        Role::News => TradeField::news_data,
        Role::Own(_) => TradeField::own_data,
        _ => TradeField::fundamentals_data,
    }
}
