//! Texts that stand under the result as their agents wrote them. No model writes them again, so none of their figures is
//! lost, and they cost nothing.

use crate::{
    answer,
    record::Outcome,
    state::{Said, TeamState, Text},
    team::{Output, Team},
};

/// The result with the texts of the agents that the team attaches, each under its heading.
pub(crate) fn under(team: &Team, state: &TeamState, mut result: Outcome) -> Outcome {
    for agent in team.attach.iter().filter_map(|name| team.agent(name)) {
        let json = matches!(agent.output, Some(Output::Json { .. }));
        let said = state.of(&agent.name).filter(|said| said.texts.iter().any(Text::is_there));
        for said in said {
            let body = if json { records(said) } else { texts(said) };
            let round = if said.round > 1 { format!(", round {}", said.round) } else { String::new() };
            result.text.push_str(&format!("\n\n## {}{round}\n{body}", agent.name));
        }
    }
    result
}

/// JSON answers, one a line; of a fan-out in the order of its items.
fn records(said: &Said) -> String {
    let row = |text: &Text| match (&text.failure, answer::json(&text.text)) {
        (Some(reason), _) => serde_json::Value::from(format!("(no text: {reason})")).to_string(),
        (None, Some(value)) => value.to_string(),
        (None, None) => serde_json::Value::from(text.text.clone()).to_string(),
    };
    let rows: Vec<String> = said.texts.iter().map(row).collect();
    let array = if said.items.is_empty() { rows.join("\n") } else { format!("[\n{}\n]", rows.join(",\n")) };
    format!("```json\n{array}\n```")
}

fn texts(said: &Said) -> String {
    let title = |i: usize| {
        let line = said.items.get(i)?.lines().next()?;
        Some(format!("### {}\n", answer::bounded(line, 120)))
    };
    let text = |(i, text): (usize, &Text)| {
        let body = match &text.failure {
            Some(reason) => format!("(no text: {reason})"),
            None => text.text.trim().to_owned(),
        };
        format!("{}{body}", title(i).unwrap_or_default())
    };
    said.texts.iter().enumerate().map(text).collect::<Vec<_>>().join("\n\n")
}
