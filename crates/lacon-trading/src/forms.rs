//! Answers in a JSON form: the schema of a manager's answer, and its text for readers.
//!
//! People and roles read Markdown; the form is only how the answer arrives. An answer that does not fit stays free
//! text, and its decision is read like any other.

use std::fmt::Write as _;

use lacon_agents::Agent;
use lacon_llm::JsonSchema;
use serde_json::{Value, json};

use crate::{Action, signal, team};

/// The five ratings, best first.
pub const RATINGS: [&str; 5] = ["Buy", "Overweight", "Hold", "Underweight", "Sell"];

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// The research manager's plan.
    Plan,
    /// The trader's proposal.
    Order,
    /// The portfolio manager's decision.
    Decision,
    /// The decision and the text of any role that decides, where an endpoint binds answers to a schema.
    Verdict,
}

impl AnswerForm {
    /// The form of a role's answer, by the field in which it states its decision; none for free text.
    pub fn of(agent: &Agent) -> Option<Self> {
        agent.output.as_ref()?;
        [Self::Plan, Self::Order, Self::Decision].into_iter().find(|form| form.field() == agent.states)
    }

    /// The field that decides.
    fn field(self) -> &'static str {
        match self {
            Self::Plan => "recommendation",
            Self::Order => "action",
            Self::Decision => "rating",
            Self::Verdict => "decision",
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Order => "order",
            Self::Decision => "decision",
            Self::Verdict => "verdict",
        }
    }

    /// The schema that is sent. All fields are required and may be null instead, which strict endpoints ask for.
    pub fn schema(self) -> JsonSchema {
        let of = |agent: &Agent| Self::of(agent) == Some(self);
        let schema = match team::of_profile("upstream").agents.iter().find(|agent| of(agent)) {
            Some(agent) => agent.schema().unwrap_or_default(),
            // The decision goes first: no limit of length can cut it.
            None => json!({
                "type": "object",
                "properties": {
                    "decision": {"type": "string", "enum": ["BUY", "SELL", "HOLD"], "description": "the decision"},
                    "report": {"type": "string", "description": "the whole answer as Markdown"},
                },
                "required": ["decision", "report"],
                "additionalProperties": false,
            }),
        };
        JsonSchema { name: self.name().into(), schema, strict: true }
    }

    /// An answer that a token limit cut, closed behind its last whole sentence; `None` when fields are missing then.
    pub fn whole(self, cut: &str) -> Option<String> {
        lacon_llm::structured::whole_sentences(&self.schema().schema, cut)
    }

    /// The action in the field that decides; `None` when the answer does not fit the form.
    pub fn action(self, answer: &str) -> Option<Action> {
        let value = lacon_llm::structured::fit(&self.schema().schema, answer).ok()?.value;
        signal::action_of(value.get(self.field())?.as_str()?)
    }

    /// The answer as the text that others read; `None` when it does not fit the form.
    pub fn render(self, answer: &str) -> Option<String> {
        let value = lacon_llm::structured::fit(&self.schema().schema, answer).ok()?.value;
        let text = |name: &str| {
            value.get(name).and_then(Value::as_str).map(str::trim).filter(|t| !is_null(t)).unwrap_or_default()
        };
        let number = |name: &str| value.get(name).and_then(Value::as_f64);
        let mut out = String::new();
        let mut part = |title: &str, body: &str| {
            if !body.is_empty() {
                let _ = write!(out, "\n\n{title}: {body}");
            }
        };
        match self {
            Self::Plan => {
                part("Rationale", text("rationale"));
                part("Strategic actions", text("strategic_actions"));
                Some(format!("Recommendation: {}{out}", text("recommendation")))
            }
            Self::Order => {
                part("Reasoning", text("reasoning"));
                part("Entry price", &number("entry_price").map(|n| n.to_string()).unwrap_or_default());
                part("Stop loss", &number("stop_loss").map(|n| n.to_string()).unwrap_or_default());
                part("Position sizing", text("position_sizing"));
                let action = text("action");
                Some(format!(
                    "Action: {action}{out}\n\nFINAL TRANSACTION PROPOSAL: {}",
                    action.to_uppercase()
                ))
            }
            Self::Decision => {
                part("Executive summary", text("executive_summary"));
                part("Investment thesis", text("investment_thesis"));
                part("Price target", &number("price_target").map(|n| n.to_string()).unwrap_or_default());
                part("Time horizon", text("time_horizon"));
                Some(format!("Rating: {}{out}", text("rating")))
            }
            Self::Verdict => Some(format!("Decision: {}\n\n{}", text("decision"), text("report"))),
        }
    }
}

/// Words by which models say that there is nothing.
fn is_null(text: &str) -> bool {
    ["", "n/a", "na", "none", "null", "nil", "-", "unknown", "not applicable"]
        .contains(&text.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_five_ratings_render_and_are_read_again() {
        for (rating, action) in
            RATINGS.into_iter().zip([Action::Buy, Action::Buy, Action::Hold, Action::Sell, Action::Sell])
        {
            let answer = json!({"rating": rating, "executive_summary": "Sell nothing, buy nothing.",
                "investment_thesis": "Close 181.64.", "price_target": 190.5, "time_horizon": "3 months"});
            let text = AnswerForm::Decision.render(&answer.to_string()).unwrap();
            assert_eq!(signal::parse(&text).unwrap().action, action, "{text}");
            assert!(text.contains("Price target: 190.5") && text.contains("Time horizon: 3 months"));
        }
    }

    #[test]
    fn nullish_texts_are_left_out_and_numbers_in_quotes_are_read() {
        let answer = r#"{"action": "buy", "reasoning": "r", "entry_price": "12.5", "stop_loss": "N/A", "position_sizing": "None"}"#;
        let text = AnswerForm::Order.render(answer).unwrap();
        assert_eq!(
            text,
            "Action: Buy\n\nReasoning: r\n\nEntry price: 12.5\n\nFINAL TRANSACTION PROPOSAL: BUY"
        );
    }

    #[test]
    fn an_answer_that_a_token_limit_cut_keeps_its_decision_and_whole_sentences() {
        let cut = r#"{"decision": "SELL", "report": "It \"broke\" 181.64.\nThe stop is 1"#;
        let whole = AnswerForm::Verdict.whole(cut).unwrap();
        assert_eq!(AnswerForm::Verdict.action(&whole), Some(Action::Sell));
        assert_eq!(AnswerForm::Verdict.render(&whole).unwrap(), "Decision: SELL\n\nIt \"broke\" 181.64.");
        assert_eq!(AnswerForm::Verdict.whole(r#"{"decision": "SE"#), None);
        assert_eq!(AnswerForm::Order.whole(cut), None);
    }

    #[test]
    fn what_does_not_fit_stays_free_text() {
        assert_eq!(AnswerForm::Plan.render("Recommendation: BUY, because."), None);
        assert_eq!(AnswerForm::Plan.render(r#"{"recommendation": "Maybe"}"#), None);
    }
}
