//! The team as data: `teams/trading/team.toml`, and what its profiles make of it.

use std::sync::OnceLock;

use lacon_agents::{Agent, Team, file};
use lacon_runtime::config::nearest;

use crate::Role;

/// The team's file.
pub const FILE: &str = include_str!("../../../teams/trading/team.toml");

/// The team of the file, and what each profile makes of it.
struct Variants {
    whole: Team,
    lacon: Team,
    baseline: Team,
    upstream: Team,
}

/// All variants.
///
/// # Panics
/// For a file with faults, which a test tells before.
fn variants() -> &'static Variants {
    static MADE: OnceLock<Variants> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut whole = file::trusted(FILE).unwrap_or_else(|fault| panic!("{fault}"));
        for tool in &mut whole.tools {
            let known = lacon_market::catalog::find(&tool.name);
            tool.about = known.map_or("", |known| known.description).to_owned();
            tool.schema = known.map(lacon_market::catalog::Tool::schema);
        }
        let varied = |name: &str| {
            let profile = whole.profiles.get(name).ok_or_else(|| ("profile".to_owned(), name.to_owned()));
            profile.and_then(|profile| whole.varied(profile)).unwrap_or_else(|why| panic!("{why:?}"))
        };
        Variants { lacon: varied("lacon"), baseline: varied("baseline"), upstream: varied("upstream"), whole }
    })
}

/// The team of the file, with its profiles.
pub fn whole() -> &'static Team {
    &variants().whole
}

/// The team as a profile has it: `baseline` and `upstream` change it, every other one takes it as it is.
pub fn of_profile(profile: &str) -> &'static Team {
    match profile {
        "baseline" | "seed" => &variants().baseline,
        "upstream" => &variants().upstream,
        _ => &variants().lacon,
    }
}

/// A built-in role's agent, as the team has it, or the baseline, which alone asks a model to read the decision.
///
/// # Panics
/// For an own role: its agent is in the [`crate::Cast`] that it was made for.
pub fn agent(role: Role) -> &'static Agent {
    let Variants { lacon, baseline, .. } = variants();
    let found = lacon.agent(role.name()).or_else(|| baseline.agent(role.name()));
    found.unwrap_or_else(|| panic!("{role} is no built-in role"))
}

/// What the original Python system called its roles.
const OLD_NAMES: [(&str, &str); 12] = [
    ("market_analyst", "market"),
    ("social_media_analyst", "social"),
    ("social_analyst", "social"),
    ("news_analyst", "news"),
    ("fundamentals_analyst", "fundamentals"),
    ("bull_researcher", "bull"),
    ("bear_researcher", "bear"),
    ("research_judge", "judge"),
    ("research_manager", "plan"),
    ("aggressive_debator", "risky"),
    ("conservative_debator", "safe"),
    ("neutral_debator", "neutral"),
];

/// One line that states an agent's word limit as the team's file has it, and the ending of whoever states a decision; at
/// most 25 tokens, to be placed after material that requests share.
///
/// # Errors
/// For a name that is no agent with a limit, with the nearest one.
///
/// ```
/// use lacon_trading::team::limit_line;
/// assert_eq!(limit_line("trader").unwrap(), "Answer in at most 150 words; end with BUY, SELL or HOLD.");
/// assert_eq!(limit_line("market_analyst").unwrap(), "Answer in at most 300 words.");
/// assert!(limit_line("tradr").unwrap_err().contains("did you mean trader?"));
/// ```
pub fn limit_line(name: &str) -> Result<String, String> {
    let team = of_profile("lacon");
    let old = OLD_NAMES.iter().find(|(old, _)| *old == name);
    let known = team.agent(old.map_or(name, |(_, name)| name)).filter(|agent| agent.words > 0);
    let Some(agent) = known else {
        let limited = team.agents.iter().filter(|agent| agent.words > 0).map(|agent| agent.name.as_str());
        let names: Vec<&str> = limited.collect();
        let hint = nearest(name, names.iter().copied()).map_or_else(
            || format!("choose among {}", names.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        return Err(format!("{name:?} is no agent with a word limit\nhint: {hint}"));
    };
    // "at most N words" is the form that models obey best.
    let limit = format!("Answer in at most {} words", agent.words);
    let values = team.decision.as_ref().map(|decision| decision.values.as_slice()).unwrap_or_default();
    Ok(match values.split_last().filter(|_| !agent.states.is_empty()) {
        Some((last, others)) => format!("{limit}; end with {} or {last}.", others.join(", ")),
        None => format!("{limit}."),
    })
}

/// What the built-in roles are told, whose numbers are no figures of an answer.
pub fn wordings() -> impl Iterator<Item = String> {
    let Variants { lacon, baseline, upstream, .. } = variants();
    let agents = [lacon, baseline, upstream].into_iter().flat_map(|team| &team.agents);
    agents.map(|agent| format!("{} {}", agent.words, agent.prompt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_no_fault() {
        let checked =
            file::parse("teams/trading/team.toml", FILE).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(checked.profiles.keys().collect::<Vec<_>>(), ["baseline", "lacon", "upstream"]);
    }

    #[test]
    fn every_role_has_its_agent_and_every_tool_is_known() {
        for role in Role::ANSWERING.into_iter().chain([Role::Signal]) {
            let agent = agent(role);
            assert!(
                agent.tools.iter().chain(&agent.more).all(|tool| lacon_market::catalog::find(tool).is_some())
            );
        }
        for agent in &of_profile("upstream").agents {
            assert_eq!(
                agent.output.is_some(),
                crate::forms::AnswerForm::of(agent).is_some(),
                "{}",
                agent.name
            );
        }
        assert_eq!(of_profile("upstream").decision.as_ref().unwrap().values, crate::forms::RATINGS);
    }

    #[test]
    fn every_limit_line_has_at_most_25_tokens() {
        let encoding = lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
        for role in Role::ANSWERING {
            let line = limit_line(role.name()).unwrap();
            assert!(encoding.count(&line) <= 25 && line.contains(&agent(role).words.to_string()), "{line}");
        }
        for (old, name) in OLD_NAMES {
            assert_eq!(limit_line(old), limit_line(name));
        }
        assert!(limit_line("signal").is_err(), "its prompt asks for one word");
    }

    /// The original Python system keyed limits by "market_analyst" and asked for "market": the default applied.
    #[test]
    fn defect_12_every_role_has_its_own_word_limit() {
        use Role::{Bull, Fundamentals, Market, News, RiskManager, Social, Trader};
        let words =
            [Market, News, Social, Fundamentals, Bull, RiskManager, Trader].map(|role| agent(role).words);
        assert_eq!(words, [300, 250, 200, 350, 300, 250, 150]);
    }
}
