//! How long an answer may be: the line that says so, the limit that enforces it, and what to expect.

/// A role's limits, as the original system had them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleLimit {
    /// The role's name on the wire.
    pub role: &'static str,
    /// Other names it is known by.
    pub aliases: &'static [&'static str],
    /// Most words of the answer.
    pub words: usize,
    /// Tokens that the role's prompt is meant to need.
    pub prompt_tokens: usize,
    /// Tokens that the role's answer is meant to need.
    pub response_tokens: usize,
    /// How the answer must end, in words for the model.
    pub ending: Option<&'static str>,
    /// Topics that the answer must cover; each is a list of words of which one must occur in it.
    pub sections: &'static [&'static [&'static str]],
}

const DECISION: &str = "BUY, SELL or HOLD";

const fn limit(
    role: &'static str,
    aliases: &'static [&'static str],
    words: usize,
    prompt_tokens: usize,
    response_tokens: usize,
    ending: Option<&'static str>,
    sections: &'static [&'static [&'static str]],
) -> RoleLimit {
    RoleLimit { role, aliases, words, prompt_tokens, response_tokens, ending, sections }
}

/// The limits of every role; the last one is for roles that are not listed.
pub const ROLE_LIMITS: [RoleLimit; 15] = [
    limit(
        "market",
        &["market_analyst"],
        300,
        1500,
        400,
        None,
        &[
            &["trend", "momentum"],
            &["rsi", "macd", "sma", "indicator"],
            &["support", "resistance", "entry", "stop"],
            &["risk"],
            &["buy", "sell", "hold"],
        ],
    ),
    limit(
        "social",
        &["social_media_analyst", "social_analyst"],
        200,
        1000,
        300,
        None,
        &[&["sentiment"], &["reddit", "twitter", "stocktwits", "source"], &["buy", "sell", "hold", "signal"]],
    ),
    limit(
        "news",
        &["news_analyst"],
        250,
        1200,
        350,
        None,
        &[
            &["news", "headline", "event"],
            &["catalyst", "impact"],
            &["risk"],
            &["buy", "sell", "hold", "signal"],
        ],
    ),
    limit(
        "fundamentals",
        &["fundamentals_analyst"],
        350,
        1800,
        500,
        None,
        &[
            &["valuation", "p/e"],
            &["growth", "revenue", "earnings"],
            &["debt", "cash", "balance"],
            &["risk"],
            &["buy", "sell", "hold", "signal"],
        ],
    ),
    limit("bull", &["bull_researcher"], 300, 1500, 400, None, &[]),
    limit("bear", &["bear_researcher"], 300, 1500, 400, None, &[]),
    limit("judge", &["research_judge"], 400, 2000, 600, None, &[]),
    limit("plan", &["research_manager"], 400, 2000, 600, None, &[&["buy", "sell", "hold"], &["risk"]]),
    limit("risky", &["aggressive_debator"], 200, 1000, 300, None, &[]),
    limit("safe", &["conservative_debator"], 200, 1000, 300, None, &[]),
    limit("neutral", &["neutral_debator"], 200, 1000, 300, None, &[]),
    limit("risk_manager", &[], 250, 1200, 350, Some(DECISION), &[&["buy", "sell", "hold"], &["risk"]]),
    limit("trader", &[], 150, 800, 200, Some(DECISION), &[&["buy", "sell", "hold"]]),
    limit("signal", &["signal_processor"], 1, 800, 16, None, &[&["buy", "sell", "hold"]]),
    limit("default", &[], 250, 1200, 400, None, &[]),
];

/// The limits of a role by any of its names; the default's for a name that is not known.
///
/// ```
/// use lacon_prompt::response::role_limit;
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
/// use lacon_prompt::response::{role_limit, word_limit_line};
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

/// Tokens a word, in hundredths: 95 of 100 reports of the recorded runs (o200k_base) stay below it.
const TOKENS_PER_100_WORDS: usize = 215;
/// Room for a last sentence and a closing table row.
const MARGIN: usize = 48;

/// The request's `max_tokens` for an answer of so many words: enough that a limit kept in words is never cut in tokens.
///
/// Reasoning tokens are not in it; a caller that uses a reasoning model adds its allowance.
#[must_use]
pub fn max_tokens_for(words: usize) -> usize {
    (words * TOKENS_PER_100_WORDS).div_ceil(100) + MARGIN
}

/// Indexes of the required topics that an answer does not mention.
///
/// ```
/// use lacon_prompt::response::{missing_sections, role_limit};
/// let missing = missing_sections("Risk is high. SELL", role_limit("plan").sections);
/// assert!(missing.is_empty());
/// assert_eq!(missing_sections("Risk is high.", role_limit("plan").sections), ["buy|sell|hold"]);
/// ```
#[must_use]
pub fn missing_sections(text: &str, required: &[&[&str]]) -> Vec<String> {
    let lower = text.to_lowercase();
    required
        .iter()
        .filter(|words| !words.iter().any(|word| has_word(&lower, word)))
        .map(|words| words.join("|"))
        .collect()
}

/// Whether a word occurs at a word's start, so that `hold` is not found in `threshold`.
fn has_word(lower: &str, word: &str) -> bool {
    lower.match_indices(word).any(|(i, _)| !lower[..i].chars().next_back().is_some_and(char::is_alphanumeric))
}

/// What an answer is expected to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Tokens of the answer.
    pub tokens: usize,
    /// Observations behind it; 0 where it is only the role's limit.
    pub samples: usize,
}

/// Observations that are looked at; older ones say little about a prompt of today.
const WINDOW: usize = 50;

/// The 90th percentile of the latest answers' lengths, or the role's limit while there are fewer than five.
///
/// A percentile, because a reservation that the mean would give is too small every other time.
#[must_use]
pub fn expected_tokens(history: &[usize], limit: &RoleLimit) -> Expected {
    let recent = &history[history.len().saturating_sub(WINDOW)..];
    if recent.len() < 5 {
        return Expected { tokens: limit.response_tokens.max(max_tokens_for(limit.words)), samples: 0 };
    }
    let mut sorted = recent.to_vec();
    sorted.sort_unstable();
    // Nearest rank: the smallest value that nine in ten observations do not exceed.
    let rank = (sorted.len() * 9).div_ceil(10);
    Expected { tokens: sorted[rank - 1], samples: sorted.len() }
}

/// An answer cut to its word limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut<'a> {
    /// What is left; the whole answer where it was short enough.
    pub text: &'a str,
    /// Words that were cut off.
    pub words_over: usize,
}

/// Cuts an answer at the last sentence or line that ends within `words` words.
///
/// The answer is left whole where no sentence ends in its second half, or where the part cut off would hold the only
/// decision (BUY, SELL, HOLD): a cut must never change what was decided.
#[must_use]
pub fn cut_at_sentence(text: &str, words: usize) -> Cut<'_> {
    let total = text.split_whitespace().count();
    if total <= words {
        return Cut { text, words_over: 0 };
    }
    let mut end = None;
    let mut seen = 0;
    let mut inside = false;
    for (i, c) in text.char_indices() {
        if c.is_whitespace() {
            inside = false;
        } else if !inside {
            inside = true;
            seen += 1;
            if seen > words {
                break;
            }
        }
        let after = i + c.len_utf8();
        let closes = c == '\n'
            || (matches!(c, '.' | '!' | '?') && text[after..].chars().next().is_none_or(char::is_whitespace));
        if closes && seen * 2 >= words {
            end = Some(after);
        }
    }
    let decides = |part: &str| ["BUY", "SELL", "HOLD"].iter().any(|word| part.contains(word));
    match end {
        Some(end) if !decides(&text[end..]) || decides_the_same(&text[..end], &text[end..]) => {
            Cut { text: text[..end].trim_end(), words_over: total - text[..end].split_whitespace().count() }
        }
        _ => Cut { text, words_over: 0 },
    }
}

/// Whether the last decision word of the kept part is the last one of the part cut off.
fn decides_the_same(kept: &str, cut: &str) -> bool {
    let last = |part: &str| {
        ["BUY", "SELL", "HOLD"].into_iter().filter_map(|word| part.rfind(word).map(|i| (i, word))).max()
    };
    match (last(kept), last(cut)) {
        (Some((_, a)), Some((_, b))) => a == b,
        _ => false,
    }
}
