//! How long a role's answer may be, and the line that says so.

/// A role's limits, as the original Python system had them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleLimit {
    /// The role's name on the wire.
    pub role: &'static str,
    /// Other names it is known by.
    pub aliases: &'static [&'static str],
    /// Most words of the answer.
    pub words: usize,
    /// How the answer must end, in words for the model.
    pub ending: Option<&'static str>,
}

const DECISION: &str = "BUY, SELL or HOLD";

const fn limit(
    role: &'static str,
    aliases: &'static [&'static str],
    words: usize,
    ending: Option<&'static str>,
) -> RoleLimit {
    RoleLimit { role, aliases, words, ending }
}

/// The limits of every role; the last one is for roles that are not listed.
const ROLE_LIMITS: [RoleLimit; 15] = [
    limit("market", &["market_analyst"], 300, None),
    limit("social", &["social_media_analyst", "social_analyst"], 200, None),
    limit("news", &["news_analyst"], 250, None),
    limit("fundamentals", &["fundamentals_analyst"], 350, None),
    limit("bull", &["bull_researcher"], 300, None),
    limit("bear", &["bear_researcher"], 300, None),
    limit("judge", &["research_judge"], 400, None),
    limit("plan", &["research_manager"], 400, None),
    limit("risky", &["aggressive_debator"], 200, None),
    limit("safe", &["conservative_debator"], 200, None),
    limit("neutral", &["neutral_debator"], 200, None),
    limit("risk_manager", &[], 250, Some(DECISION)),
    limit("trader", &[], 150, Some(DECISION)),
    limit("signal", &["signal_processor"], 1, None),
    limit("default", &[], 250, None),
];

/// The limits of a role by any of its names; the default's for a name that is not known.
///
/// ```
/// use lacon_trading::limits::role_limit;
/// assert_eq!(role_limit("market_analyst").words, 300);
/// assert_eq!(role_limit("someone_else").role, "default");
/// ```
#[must_use]
pub fn role_limit(role: &str) -> &'static RoleLimit {
    ROLE_LIMITS
        .iter()
        .find(|limit| limit.role == role || limit.aliases.contains(&role))
        .unwrap_or(&ROLE_LIMITS[ROLE_LIMITS.len() - 1])
}

/// The one line that states a role's limit; at most 25 tokens, to be placed after material that requests share.
///
/// ```
/// use lacon_trading::limits::{role_limit, word_limit_line};
/// assert_eq!(word_limit_line(role_limit("trader")), "Answer in at most 150 words; end with BUY, SELL or HOLD.");
/// ```
#[must_use]
pub fn word_limit_line(limit: &RoleLimit) -> String {
    // "at most N words" is the form that models obey best.
    match (limit.words, limit.ending) {
        (1, _) => "Answer in one word.".to_owned(),
        (words, Some(ending)) => format!("Answer in at most {words} words; end with {ending}."),
        (words, None) => format!("Answer in at most {words} words."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_line_has_at_most_25_tokens() {
        let encoding = lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
        for limit in &ROLE_LIMITS {
            let line = word_limit_line(limit);
            assert!(encoding.count(&line) <= 25, "{line}");
        }
    }
}
