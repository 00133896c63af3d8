//! The state of a run: what the agents said, as in any team, and what the analysts asked their tools.

pub use lacon_agents::{
    choice::{Chosen, How},
    state::{Said, Text},
};
use lacon_graph::Append;
use lacon_llm::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Action, Role, signal};

/// What a role's answer decides, and how that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The action.
    pub action: Action,
    /// From 0 to 1, where the same answer states it.
    pub confidence: Option<f64>,
    /// How it was read.
    pub how: How,
}

impl Verdict {
    /// What a text decides.
    pub fn of(text: &Text) -> Option<Self> {
        let chosen = text.chosen.as_ref()?;
        let action = signal::action_of(&chosen.value)?;
        Some(Self { action, confidence: signal::stated_confidence(&text.text), how: chosen.how })
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

/// A role's part of a field that all roles share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Owned<T> {
    /// The role's name.
    pub role: String,
    /// Its part.
    pub part: T,
}

/// How much of each text that a role must read stood in its prompt: whose, and the share of its numbers.
pub type Shares = Vec<(String, f64)>;

lacon_graph::state! {
    /// What the agents of a run have given so far.
    pub struct TradeState, update TradeUpdate, field TradeField {
        /// The conversations of analysts up to their tool calls.
        talk: Append<Owned<Vec<Message>>>,
        /// What the tools of analysts gave.
        data: Append<Owned<Vec<ToolResult>>>,
        /// What each role said, one a round.
        said: Append<Vec<Said>>,
        /// What stood in the prompt of each role.
        read: Append<Vec<Owned<Shares>>>,
    }
}

impl<T> Owned<T> {
    fn by(role: Role, part: T) -> Self {
        Self { role: role.name().into(), part }
    }
}

/// The last part that a role wrote.
fn last<'s, T>(parts: impl DoubleEndedIterator<Item = &'s Owned<T>>, role: Role) -> Option<&'s T> {
    parts.rev().find(|owned| owned.role == role.name()).map(|owned| &owned.part)
}

impl TradeState {
    /// A role's text: of those who speak in rounds the last one.
    pub fn text(&self, role: Role) -> Option<&Text> {
        let said =
            self.said.iter().rev().find_map(|said| said.iter().rfind(|said| said.agent == role.name()));
        said?.texts.first()
    }

    /// Everything that a role said, in the order of its rounds.
    pub fn texts(&self, role: Role) -> Vec<&Text> {
        let said = self.said.iter().flatten().filter(|said| said.agent == role.name());
        said.filter_map(|said| said.texts.first()).collect()
    }

    /// An analyst's conversation up to its tool calls.
    pub fn talk(&self, role: Role) -> Option<&Vec<Message>> {
        last(self.talk.iter(), role)
    }

    /// What an analyst's tools gave.
    pub fn data(&self, role: Role) -> Option<&Vec<ToolResult>> {
        last(self.data.iter(), role)
    }

    /// What stood in the prompt of a role's last text.
    pub fn shares_read(&self, role: Role) -> &[(String, f64)] {
        let is_there = self.text(role).is_some_and(Text::is_there);
        last(self.read.iter().flatten(), role).filter(|_| is_there).map_or(&[], Vec::as_slice)
    }
}

impl TradeUpdate {
    /// Adds what a role said in a round.
    #[must_use]
    pub fn says(mut self, role: Role, round: u32, text: Text) -> Self {
        let said = Said { agent: role.name().into(), round, items: Vec::new(), texts: vec![text] };
        self.said.get_or_insert_default().push(said);
        self
    }

    /// Sets what stood in a role's prompt.
    #[must_use]
    pub fn read(mut self, role: Role, shares: Shares) -> Self {
        self.read.get_or_insert_default().push(Owned::by(role, shares));
        self
    }

    /// Sets an analyst's conversation.
    pub fn talked(role: Role, talk: Vec<Message>) -> Self {
        Self { talk: Some(Owned::by(role, talk)), ..Self::default() }
    }

    /// Sets what an analyst's tools gave.
    pub fn fetched(role: Role, data: Vec<ToolResult>) -> Self {
        Self { data: Some(Owned::by(role, data)), ..Self::default() }
    }
}
