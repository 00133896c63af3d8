//! The role files `prompts/*.md`: a header in TOML between `+++` lines, then the instruction.

use std::{collections::BTreeMap, sync::OnceLock};

use serde::Deserialize;

use crate::Role;

/// A role's file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleFile {
    /// The role's name.
    pub role: String,
    /// Its title in reports.
    pub title: String,
    /// `quick` or `deep`.
    pub model: String,
    /// The most words that the answer should have; 0 for no limit.
    pub words: u32,
    /// What an answer must speak of: words of which one must occur, divided by `|`.
    #[serde(default)]
    pub sections: Vec<String>,
    /// The label of the required first line `LABEL [TAG]: BUY, SELL or HOLD`, in capitals.
    #[serde(default)]
    pub decides: Option<String>,
    /// The form of the answer, where it is to be JSON; a name of [`crate::forms::AnswerForm`].
    #[serde(default)]
    pub form: Option<String>,
    /// Tools that the role is given.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Tools that it may still ask for when the usual ones were called for it.
    #[serde(default)]
    pub more: Vec<String>,
    /// The instruction, from below the header.
    #[serde(skip)]
    pub instruction: String,
}

/// The files of the bundled roles, whose numbers are no figures of an answer.
pub fn wordings() -> impl Iterator<Item = &'static str> {
    FILES.iter().chain(UPSTREAM).map(|(_, file)| *file)
}

const FILES: &[(Role, &str)] = &[
    (Role::Market, include_str!("../prompts/market.md")),
    (Role::Social, include_str!("../prompts/social.md")),
    (Role::News, include_str!("../prompts/news.md")),
    (Role::Fundamentals, include_str!("../prompts/fundamentals.md")),
    (Role::Bull, include_str!("../prompts/bull.md")),
    (Role::Bear, include_str!("../prompts/bear.md")),
    (Role::Judge, include_str!("../prompts/judge.md")),
    (Role::Plan, include_str!("../prompts/plan.md")),
    (Role::Risky, include_str!("../prompts/risky.md")),
    (Role::Safe, include_str!("../prompts/safe.md")),
    (Role::Neutral, include_str!("../prompts/neutral.md")),
    (Role::RiskManager, include_str!("../prompts/risk_manager.md")),
    (Role::Trader, include_str!("../prompts/trader.md")),
    (Role::Signal, include_str!("../prompts/signal.md")),
];

/// Roles that profile `upstream` asks otherwise.
const UPSTREAM: &[(Role, &str)] = &[
    (Role::Bull, include_str!("../prompts/upstream/bull.md")),
    (Role::Bear, include_str!("../prompts/upstream/bear.md")),
    (Role::Plan, include_str!("../prompts/upstream/plan.md")),
    (Role::Trader, include_str!("../prompts/upstream/trader.md")),
    (Role::Risky, include_str!("../prompts/upstream/risky.md")),
    (Role::Safe, include_str!("../prompts/upstream/safe.md")),
    (Role::Neutral, include_str!("../prompts/upstream/neutral.md")),
    (Role::RiskManager, include_str!("../prompts/upstream/risk_manager.md")),
];

const SHARED: &str = include_str!("../prompts/shared.md");

/// The instruction that all roles share.
pub fn shared() -> &'static str {
    SHARED.trim_end()
}

type Files = BTreeMap<Role, RoleFile>;

fn read_all(files: &[(Role, &str)]) -> Files {
    let parse = |(role, text): &(Role, &str)| {
        (*role, parse(text).unwrap_or_else(|e| panic!("built-in prompt {role}: {e}")))
    };
    files.iter().map(parse).collect()
}

/// A built-in role's file.
///
/// # Panics
/// For an own role: its file is in the [`crate::Cast`] that it was made for.
pub fn role_file(role: Role) -> &'static RoleFile {
    static PARSED: OnceLock<Files> = OnceLock::new();
    &PARSED.get_or_init(|| read_all(FILES))[&role]
}

/// A built-in role's file in profile `upstream`.
///
/// # Panics
/// As [`role_file`].
pub fn upstream_file(role: Role) -> &'static RoleFile {
    static PARSED: OnceLock<Files> = OnceLock::new();
    PARSED.get_or_init(|| read_all(UPSTREAM)).get(&role).unwrap_or_else(|| role_file(role))
}

/// Reads a role file.
///
/// # Errors
/// When the header is missing or holds an unknown key or a value of the wrong kind.
pub fn parse(text: &str) -> Result<RoleFile, String> {
    let rest = text.strip_prefix("+++\n").ok_or("the file does not begin with a header between +++ lines")?;
    let (header, body) = rest.split_once("\n+++\n").ok_or("the header is not closed by a +++ line")?;
    let mut file: RoleFile = toml::from_str(header).map_err(|e| e.message().to_owned())?;
    file.instruction = body.trim().to_owned();
    Ok(file)
}

/// The far bound of an answer in tokens. The stream is closed long before it, at the end of a sentence behind the word limit
/// ([`lacon_llm::Enough`]): this bounds a model that ends no sentence.
///
/// Recorded answers had 1.2 to 2.0 tokens a word (o200k_base); a row of figures has up to 30.
pub fn max_tokens(words: u32) -> u32 {
    words.saturating_mul(4).saturating_add(128)
}

/// The names of a role's required parts.
pub fn section_names(file: &RoleFile) -> Vec<&str> {
    file.sections.iter().map(|words| words.split('|').next().unwrap_or(words)).collect()
}

/// The parts of an answer that are missing: the first name of each required part none of whose words occurs.
pub fn missing_sections(file: &RoleFile, answer: &str) -> Vec<String> {
    let lower = answer.to_lowercase();
    let found = |words: &str| words.split('|').any(|w| lower.contains(&w.to_lowercase()));
    file.sections
        .iter()
        .filter(|words| !found(words))
        .map(|words| words.split('|').next().unwrap_or(words).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_its_file() {
        for role in Role::ANSWERING.into_iter().chain([Role::Signal]) {
            let file = role_file(role);
            assert_eq!(file.role, role.name());
            assert!(!file.instruction.is_empty() && matches!(file.model.as_str(), "quick" | "deep"));
            for tool in file.tools.iter().chain(&file.more) {
                assert!(lacon_market::catalog::find(tool).is_some(), "{tool}");
            }
            let upstream = upstream_file(role);
            assert_eq!(upstream.role, role.name());
            let known = |form: &String| crate::forms::AnswerForm::find(form).is_some();
            assert!(upstream.form.as_ref().is_none_or(known));
        }
    }

    /// The origin keyed limits by "market_analyst" and asked for "market": the default applied.
    #[test]
    fn defect_12_every_role_has_its_own_word_limit() {
        let words = |role: Role| role_file(role).words;
        assert_eq!(
            [
                Role::Market,
                Role::News,
                Role::Social,
                Role::Fundamentals,
                Role::Bull,
                Role::RiskManager,
                Role::Trader
            ]
            .map(words),
            [300, 250, 200, 350, 300, 250, 150]
        );
    }

    #[test]
    fn faults_in_a_file_are_named() {
        assert!(parse("no header").unwrap_err().contains("+++"));
        assert!(parse("+++\nrole = 1\n+++\nx").unwrap_err().contains("string"));
        assert!(parse("+++\nrol = 'x'\n+++\nx").unwrap_err().contains("rol"));
    }
}
