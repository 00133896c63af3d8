//! The rule-based analyst behind the simulated model: it reads the prompt that a role gets, computes from the tables and
//! items in it, and writes short paragraphs. No language model, no randomness: the same data gives the same decision.
//!
//! An analyst turns data into findings that count +1, 0 or -1 by stated thresholds, and ends with a line such as
//! `Signal: SELL, score -3 of 4.` Debaters choose the findings of their side. Whoever decides sums the scores: a total of +3
//! or more is BUY, -3 or less is SELL, anything between is HOLD. The sum is passed on in a line `Evidence:`.

mod company;
mod decide;
mod form;
mod measures;
mod read;
mod roles;
mod wish;
mod words;
mod write;

use decide::{Action, Heard};
pub use form::write_form;
use lacon_llm::{Message, Role};
use measures::{Finding, Findings};
use read::Data;
use wish::{Wish, read_wish};
use write::Draft;

/// What is read as data: everything but the system's words and one's own.
fn text_of(messages: &[Message]) -> String {
    let read = messages.iter().filter(|m| matches!(m.role, Role::User | Role::Tool));
    read.map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n")
}

/// Titles of roles, with their names.
const NAMES: [(&str, &str); 14] = [
    ("market analyst", "market"),
    ("social media analyst", "social"),
    ("news analyst", "news"),
    ("fundamentals analyst", "fundamentals"),
    ("bull researcher", "bull"),
    ("bear researcher", "bear"),
    ("debate judge", "judge"),
    ("research manager", "plan"),
    ("aggressive risk analyst", "risky"),
    ("conservative risk analyst", "safe"),
    ("neutral risk analyst", "neutral"),
    ("risk manager", "risk_manager"),
    ("portfolio manager", "risk_manager"),
    ("trader", "trader"),
];

/// Whether an instruction addresses one of the roles.
pub fn is_addressed(messages: &[Message]) -> bool {
    wish::role_named(messages).is_some_and(|named| NAMES.iter().any(|(title, _)| *title == named))
}

/// Who answers: the role of the request, or where it has none the one that the instruction names.
fn name_of(role: &str, messages: &[Message]) -> String {
    let known = role == "signal" || NAMES.iter().any(|(_, name)| *name == role);
    let named = || {
        let named = wish::role_named(messages)?;
        NAMES.iter().find(|(title, _)| *title == named).map(|(_, name)| (*name).to_owned())
    };
    if known { role.to_owned() } else { named().unwrap_or_else(|| role.to_owned()) }
}

/// Writes the answer of a role.
pub fn write(role: &str, messages: &[Message]) -> String {
    let wish = read_wish(messages);
    let text = text_of(messages);
    if wish.line_alone {
        let own = text.split_once("<text>").map_or(&*text, |(_, rest)| rest);
        let own = own.rsplit_once("</text>").map_or(own, |(own, _)| own);
        let decision = decide::decision_of(own).word();
        return wish.opening.map(|label| format!("{label}: {decision}")).unwrap_or_default();
    }
    let role = name_of(role, messages);
    if role == "signal" {
        return decide::decision_of(&text).word().to_owned();
    }
    draft(&role, &text, &wish).compose(&wish)
}

/// What a role has to say of a text.
fn draft(role: &str, text: &str, wish: &Wish) -> Draft {
    let data = Data::read(text);
    match role {
        "market" => return report(measures::market(&data), &data),
        "social" => return report(measures::social(&data), &data),
        "news" => return report(measures::news(&data), &data),
        "fundamentals" => return report(company::fundamentals(&data), &data),
        _ => {}
    }
    let heard = Heard::read(text);
    let decision = if role == "trader" { heard.stated.unwrap_or(heard.action()) } else { heard.action() };
    // Whoever gets no report, such as an analyst of the user's own, says what the material states.
    let is_report = !heard.scores.is_empty() || !heard.findings.is_empty() || heard.stated.is_some();
    let mut draft = match role {
        _ if !is_report && heard.said.is_empty() => roles::other(text, &data),
        "bull" => roles::debater(&heard, 1),
        "bear" => roles::debater(&heard, -1),
        "judge" => roles::judge(&heard),
        "risky" | "safe" | "neutral" => roles::risk_view(&heard, role),
        "plan" => roles::plan(&heard),
        "trader" => roles::trader(&heard, decision),
        "risk_manager" => roles::risk_manager(&heard),
        _ if heard.scores.is_empty() && heard.findings.is_empty() => roles::other(text, &data),
        _ => roles::risk_manager(&heard),
    };
    let said: String = draft.parts.iter().flat_map(|(_, all)| all).map(String::as_str).collect();
    draft.more = roles::recap(&heard);
    draft.more.retain(|line| line.split_once(": ").is_none_or(|(_, finding)| !said.contains(finding)));
    let confidence = || {
        let states = ["plan", "risk_manager"].contains(&role) && !heard.scores.is_empty();
        states.then(|| format!("Confidence: {} %", heard.confidence()))
    };
    if let Some(label) = &wish.opening {
        let line = format!("{label}: {}", decision.word());
        draft.head.splice(0..0, std::iter::once(line).chain(confidence()));
    } else if let Some(label) = &wish.ending {
        draft.tail.extend(confidence());
        draft.tail.push(format!("{label}: {}", decision.word()));
    }
    draft
}

/// The report of an analyst.
fn report(findings: Findings, data: &Data) -> Draft {
    let Findings { parts, score, of, levels, more } = findings;
    let action = Action::of_report(score, of);
    let counted =
        |of: i32| parts.iter().flat_map(|(_, all)| all).filter(|f: &&Finding| f.score == Some(of)).count();
    let sum = match of {
        0 => "No check could be made, so this report counts 0.".to_owned(),
        _ => format!(
            "Of the checks made, {} for buying, {} against and {} for neither side.",
            words::many(counted(1), "speaks", "speak"),
            counted(-1),
            counted(0)
        ),
    };
    let mut draft = Draft { more, ..Draft::default() };
    for (name, findings) in &parts {
        let mut sentences: Vec<String> = findings.iter().map(Finding::sentence).collect();
        if *name == "outlook" {
            sentences.insert(0, sum.clone());
            sentences.extend(missing(data));
        }
        let mut letters = name.chars();
        let heading = letters.next().map(|c| c.to_uppercase().chain(letters).collect::<String>());
        draft.parts.push((heading.unwrap_or_default(), sentences));
    }
    draft.tail.extend(levels.map(|levels| levels.line()));
    draft.tail.push(format!("Signal: {}, score {} of {of}.", action.word(), words::signed(score)));
    draft
}

/// What the tools had no data for, in their words.
fn missing(data: &Data) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    for why in &data.missing {
        let name = why.split(" from ").next().unwrap_or(why).split(": ").next().unwrap_or(why);
        let reason = why.rsplit_once(": ").map(|(_, reason)| format!(" ({reason})")).unwrap_or_default();
        let line = format!("{name}{reason}").replace(". ", "; ");
        if !all.contains(&line) {
            all.push(line);
        }
    }
    (!all.is_empty()).then(|| format!("Without data: {}.", all.join(", ").trim_end_matches('.')))
}

#[cfg(test)]
mod tests;
