//! What the agents of a run have said so far.

use lacon_graph::Append;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choice::Chosen;

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Text {
    /// The text as others read it; empty when there is none.
    pub text: String,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether the agent was passed over because of a condition.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// Whether a token limit cut the answer; the text ends with its last whole sentence.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Sections that are missing after the repair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What it chooses, of agents that choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
}

impl Text {
    /// A text that is not there, with the reason.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { failure: Some(reason.into()), ..Self::default() }
    }

    /// A text that is not there because a condition does not hold.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self { skipped: true, ..Self::failed(reason) }
    }

    /// Whether there is a text.
    pub fn is_there(&self) -> bool {
        self.failure.is_none()
    }
}

/// What an agent said at once: one text, or in a fan-out one text per item, in the order of the items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// The agent.
    pub agent: String,
    /// The round, from 1.
    pub round: u32,
    /// The items of a fan-out; empty for an agent that is asked once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// Its texts.
    pub texts: Vec<Text>,
}

lacon_graph::state! {
    /// What the agents of a run have said so far.
    pub struct TeamState, update TeamUpdate, field TeamField {
        /// What each stage said.
        said: Append<Vec<Said>>,
    }
}

impl TeamState {
    /// Everything that an agent said, in the order of its rounds.
    pub fn of<'s>(&'s self, agent: &'s str) -> impl DoubleEndedIterator<Item = &'s Said> {
        self.said.iter().flatten().filter(move |said| said.agent == agent)
    }

    /// What an agent said last.
    pub fn last<'s>(&'s self, agent: &'s str) -> Option<&'s Said> {
        self.of(agent).next_back()
    }

    /// Whether an agent was passed over because of a condition.
    pub fn passed_over(&self, agent: &str) -> bool {
        self.last(agent).is_some_and(|said| said.texts.iter().all(|text| text.skipped))
    }

    /// What an agent chose last.
    pub fn chosen<'s>(&'s self, agent: &'s str) -> Option<&'s str> {
        self.last(agent)?.texts.first()?.chosen.as_ref().map(|chosen| chosen.value.as_str())
    }

    /// The last text of an agent, or why there is none.
    pub(crate) fn text_of(&self, agent: &str) -> Result<String, String> {
        let Some(said) = self.last(agent) else { return Err("it was never asked".into()) };
        let there: Vec<&str> =
            said.texts.iter().filter(|text| text.is_there()).map(|text| text.text.trim()).collect();
        if there.is_empty() {
            return Err(said.texts.iter().find_map(|text| text.failure.clone()).unwrap_or_default());
        }
        Ok(there.join("\n\n"))
    }
}
