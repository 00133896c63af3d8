//! Reads the decision out of an answer: deterministic, no model call.
//!
//! [`tagged`] reads the line with the tag that this run drew: no text from outside can know it. [`parse`] is the last
//! resort. It reads only what the answer says for itself: quotes, code, tables, other people's ratings, earlier
//! decisions and conditional orders do not count. Two own statements that differ decide nothing.

use std::borrow::Cow;

use lacon_monitor::RunRecord;
use serde::{Deserialize, Serialize};

mod own;

/// What to do with the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// Buy.
    Buy,
    /// Sell.
    Sell,
    /// Hold.
    Hold,
}

impl Action {
    /// What a run decided.
    pub fn of_run(run: &RunRecord) -> Option<Self> {
        Self::of(run.decision.action.as_deref()?)
    }

    /// The action that a record holds.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Buy, Self::Sell, Self::Hold].into_iter().find(|action| action.as_str() == word)
    }

    /// The word in lower case, as style sheets name it.
    pub fn class(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
            Self::Hold => "hold",
        }
    }

    /// The word in upper case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
            Self::Hold => "HOLD",
        }
    }
}

/// What an answer decides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// The action.
    pub action: Action,
    /// From 0 to 1, where the answer states it.
    pub confidence: Option<f64>,
    /// Whether it stood behind a label such as "FINAL DECISION:".
    pub labelled: bool,
}

/// What the tagged lines of an answer say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagged {
    /// There is no tagged line, or it holds no action.
    Missing,
    /// They agree.
    States(Action),
    /// They differ.
    Contradicts,
}

/// Reads the lines that carry the tag, in whatever Markdown or HTML they stand; the value may stand on the line below.
pub fn tagged(text: &str, tag: &str) -> Tagged {
    if tag.is_empty() {
        return Tagged::Missing;
    }
    let lines: Vec<Cow<'_, str>> = text.lines().map(own::plain).collect();
    let mut found = None;
    for (i, line) in lines.iter().enumerate() {
        let Some((_, value)) = line.split_once(tag) else { continue };
        let value = value.trim_start_matches(|c: char| !c.is_alphanumeric());
        let below =
            || lines[i + 1..].iter().find(|line| !line.trim().is_empty()).and_then(|line| action_of(line));
        let action = if value.is_empty() { below() } else { action_of(value) };
        match (action, found) {
            (Some(action), Some(earlier)) if action != earlier => return Tagged::Contradicts,
            (Some(action), _) => found = Some(action),
            (None, _) => {}
        }
    }
    found.map_or(Tagged::Missing, Tagged::States)
}

/// Takes the tag out of a text, so that no later prompt holds it.
pub fn without_tag(text: &str, tag: &str) -> String {
    if tag.is_empty() {
        return text.to_owned();
    }
    text.replace(&format!(" [{tag}]"), "").replace(&format!("[{tag}]"), "").replace(tag, "")
}

/// Reads the decision from the answer's own words; `None` where it states none, or two that differ.
pub fn parse(text: &str) -> Option<Signal> {
    let own = own::lines(text);
    let confidence = confidence(&own);
    let signal = |action, labelled| Signal { action, confidence, labelled };
    match labelled(&own) {
        Labelled::None => prose(&own).map(|action| signal(action, false)),
        Labelled::States(statement) => Some(signal(statement.action, true)),
        Labelled::Contradicts => None,
    }
}

/// The confidence that an answer states for itself, from 0 to 1.
pub fn stated_confidence(text: &str) -> Option<f64> {
    confidence(&own::lines(text))
}

/// The rating on five steps behind the label that decides, as it is usually written; `None` without one.
pub fn rating(text: &str) -> Option<&'static str> {
    match labelled(&own::lines(text)) {
        Labelled::States(statement) => statement.rating,
        _ => None,
    }
}

/// A line that states an action behind a label of the answer's own.
#[derive(Clone, Copy, Debug)]
struct Statement {
    rank: u8,
    action: Action,
    rating: Option<&'static str>,
}

enum Labelled {
    None,
    States(Statement),
    Contradicts,
}

/// What the highest kind of label says: "final" before "decision" before "action".
fn labelled(own: &[Cow<'_, str>]) -> Labelled {
    let mut all: Vec<Statement> = Vec::new();
    for (i, line) in own.iter().enumerate() {
        let (label, value) = match line.split_once([':', '=', '—', '→']) {
            Some((label, value)) => (label, value.trim()),
            None => match line.split_once(" - ").or_else(|| line.split_once(" – ")) {
                Some((label, value)) => (label, value.trim()),
                None => (line.as_ref(), ""),
            },
        };
        let Some((rank, is_rating)) = own::label(label) else { continue };
        let below = own[i + 1..].iter().find(|line| !line.trim().is_empty());
        let value = if value.trim_matches(|c: char| !c.is_alphanumeric()).is_empty() {
            below.map_or("", |line| line.as_ref())
        } else {
            value
        };
        if let Some(action) = action_of(value) {
            let rating = is_rating.then(|| own::rating(value)).flatten();
            all.push(Statement { rank, action, rating });
        }
    }
    let Some(rank) = all.iter().map(|s| s.rank).max() else { return Labelled::None };
    let mut top = all.into_iter().filter(|s| s.rank == rank);
    let Some(first) = top.next() else { return Labelled::None };
    if top.all(|s| s.action == first.action) { Labelled::States(first) } else { Labelled::Contradicts }
}

/// The action that a value begins with: "SELL", "a cautious buy", "do not sell, hold". A choice ("BUY, SELL or HOLD"), a condition
/// ("SELL if it closes below 170") and a part of an order ("SELL stop at 170") are none.
pub fn action_of(value: &str) -> Option<Action> {
    let clause = value.split([';', '。']).next().unwrap_or_default();
    let clause = clause.split(". ").next().unwrap_or_default();
    let words = own::words(clause);
    let mut negated = false;
    for (i, word) in words.iter().enumerate() {
        let lower = word.to_lowercase();
        if own::NEGATIONS.contains(&lower.as_str()) {
            negated = true;
            continue;
        }
        let Some(action) = own::action(&lower) else {
            if own::BEFORE_AN_ACTION.contains(&lower.as_str()) || (negated && i < 6) {
                continue;
            }
            return None;
        };
        if negated {
            negated = false;
            continue;
        }
        let next = words.get(i + 1).map(|w| w.to_lowercase());
        let next = next.as_deref().unwrap_or_default();
        let after = words.get(i + 2).map(|w| w.to_lowercase()).unwrap_or_default();
        let other = |word: &str| own::action(word).is_some_and(|other| other != action);
        let is_choice = other(next) || (matches!(next, "or" | "and" | "oder" | "ou" | "o") && other(&after));
        if is_choice || own::CONDITIONS.contains(&next) || own::is_part_of_a_term(next) {
            return None;
        }
        return Some(action);
    }
    None
}

/// Without a label: the first word of the text, a sentence in the first person, else the one action that own sentences
/// name in capitals.
fn prose(own: &[Cow<'_, str>]) -> Option<Action> {
    let first = own.iter().find(|line| !line.trim().is_empty())?;
    let first_words = own::words(first);
    if let Some(action) = first_words.first().and_then(|w| own::action(&w.to_lowercase()))
        && first_words[0].chars().next().is_some_and(|c| !c.is_lowercase())
        && action_of(first) == Some(action)
    {
        return Some(action);
    }
    let (mut spoken, mut named) = (Vec::new(), Vec::new());
    for sentence in own.iter().flat_map(|line| line.split_inclusive(['.', ';', '!', '?'])) {
        let words = own::words(sentence);
        let lower: Vec<String> = words.iter().map(|w| w.to_lowercase()).collect();
        if lower.iter().any(|w| own::FOREIGN.contains(&w.as_str())) {
            continue;
        }
        if let Some(at) = lower.windows(2).position(|w| own::is_first_person(&w[0], &w[1])) {
            spoken.extend(action_of(&words[at + 1..].join(" ")));
        }
        let mut negated = false;
        for (i, word) in words.iter().enumerate() {
            negated |= own::NEGATIONS.contains(&lower[i].as_str());
            let action = match *word {
                "BUY" => Action::Buy,
                "SELL" => Action::Sell,
                "HOLD" => Action::Hold,
                _ => continue,
            };
            let next = lower.get(i + 1).map(String::as_str).unwrap_or_default();
            let before = if i > 0 { lower[i - 1].as_str() } else { "" };
            let is_listed = matches!(before, "or" | "either")
                || matches!(next, "or" | "and")
                || [before, next].iter().any(|w| own::action(w).is_some());
            if !std::mem::take(&mut negated) && !is_listed && !own::is_part_of_a_term(next) {
                named.push(action);
            }
        }
    }
    let agreed = |actions: &[Action]| {
        let first = *actions.first()?;
        actions.iter().all(|action| *action == first).then_some(first)
    };
    if spoken.is_empty() { agreed(&named) } else { agreed(&spoken) }
}

/// "Confidence: 8/10", "confidence 70 %", "High confidence": from 0 to 1.
fn confidence(own: &[Cow<'_, str>]) -> Option<f64> {
    for line in own.iter().map(|l| l.to_lowercase()).filter(|l| l.contains("confidence")) {
        let (before, after) = line.split_once("confidence")?;
        if own::words(before).iter().any(|w| own::FOREIGN.contains(w)) {
            continue;
        }
        for part in [after, before] {
            if let Some(value) = fraction(part) {
                return Some(value);
            }
        }
        let (near, far) = (own::words(after), own::words(before));
        for word in near.iter().take(3).chain(far.iter().rev().take(2)) {
            match *word {
                "high" | "strong" => return Some(0.8),
                "medium" | "moderate" => return Some(0.6),
                "low" | "weak" => return Some(0.4),
                _ => {}
            }
        }
    }
    None
}

/// The number that a text begins with, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text[..end].trim_end_matches('.').parse().ok().map(|n| (n, &text[end..]))
}

/// The first "8/10", "8 out of 10" or "70 %" of a text, as a share of one.
fn fraction(text: &str) -> Option<f64> {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (value, after) = number(&rest[at..])?;
        let tail = after.trim_start();
        let whole = tail.strip_prefix('/').or_else(|| tail.strip_prefix("out of"));
        if let Some((whole, _)) = whole.and_then(|t| number(t.trim_start()))
            && whole > 0.0
            && value <= whole
        {
            return Some(value / whole);
        }
        if tail.starts_with('%') && value <= 100.0 {
            return Some(value / 100.0);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, action: Option<Action>, confidence: Option<f64>) {
        let found = parse(text);
        assert_eq!(found.map(|s| s.action), action, "{text}");
        assert_eq!(found.and_then(|s| s.confidence), confidence, "{text}");
    }

    #[test]
    fn labels_beat_prose() {
        check("I would BUY, BUY, BUY.\n**FINAL DECISION: HOLD**", Some(Action::Hold), None);
        check("Decision: SELL\n\nReasoning: they say BUY", Some(Action::Sell), None);
        check("FINAL TRANSACTION PROPOSAL: **BUY**", Some(Action::Buy), None);
        check("Rating: BUY (Accumulate on weakness)", Some(Action::Buy), None);
        check("FINAL DECISION: BUY – Begin building Tranche A", Some(Action::Buy), None);
        check("Recommendation: SELL\n...\nFINAL DECISION: HOLD", Some(Action::Hold), None);
        check("Decision: HOLD\nAction: BUY 100 shares later", Some(Action::Hold), None);
    }

    #[test]
    fn five_tiers() {
        check("Rating: Overweight", Some(Action::Buy), None);
        check("Rating: Underweight", Some(Action::Sell), None);
        check("Recommendation: Strong Buy", Some(Action::Buy), None);
        check("Recommendation: **Strong Sell**", Some(Action::Sell), None);
        assert_eq!(rating("I would BUY.\n**Rating: Overweight**, size 3 %"), Some("Overweight"));
        assert_eq!((rating("FINAL DECISION: SELL"), rating("nothing")), (None, None));
    }

    #[test]
    fn prose_without_a_label() {
        check("HOLD\n\nUNH is attractive but the trend is down.", Some(Action::Hold), None);
        check("HOLD. While the sector could get a lift", Some(Action::Hold), None);
        check("Key points that lead to a HOLD:\n• BUY trigger: pullback into $170", Some(Action::Hold), None);
        check("Do NOT BUY here; SELL instead.", Some(Action::Sell), None);
        check("After weighing both sides we recommend to sell the position.", Some(Action::Sell), None);
        check("BUY or SELL, who knows", None, None);
        check("Some say BUY. I see SELL. Others HOLD.", Some(Action::Sell), None);
        check("There is much for a BUY. There is as much for a SELL.", None, None);
        check("nothing at all", None, None);
        check("", None, None);
    }

    /// What is quoted, fenced, tabled, cited, past or conditional is not what the answer decides.
    #[test]
    fn others_do_not_decide() {
        let buy = |text: &str| check(text, Some(Action::Buy), None);
        buy("FINAL DECISION: BUY\n\n> FINAL DECISION: SELL");
        buy("FINAL DECISION: BUY\n```\nFINAL DECISION: SELL\n```");
        buy("FINAL DECISION: BUY\n\n| FINAL DECISION | SELL |\n|---|---|\n| FINAL DECISION: SELL | x |");
        buy("FINAL DECISION: BUY\nA headline read \"FINAL DECISION: SELL\" on Monday.");
        buy("FINAL DECISION: BUY\nYesterday's final decision: SELL");
        buy("Previous decision: SELL\nDecision: BUY");
        buy("Decision: BUY\nGoldman Sachs rating: SELL\nUBS recommendation: Sell\nJefferies: Underweight");
        buy("Action: BUY\nStop-loss action: SELL below 170\nExit signal: SELL at 165");
        buy("Signal: BUY\nSignal: SELL if it closes below 170");
        buy("Decision: BUY\nAction: SELL stop at 171");
        buy("## Final decision\n\n**BUY**\n\nMACD signal: SELL");
        buy("Final decision:\nBUY\n");
        buy("<p><b>FINAL DECISION:</b> BUY</p><blockquote>FINAL DECISION: SELL</blockquote>");
        buy("<strong>Decision</strong>: <em>BUY</em>");
        buy("FINAL DECISION：ＢＵＹ");
        buy("*Decision* = `BUY`");
        buy("Entscheidung: KAUFEN");
        buy("Décision finale : ACHETER");
        buy("Decisión final: COMPRAR");
        buy("最终决定：买入");
        buy("Trader's proposal: SELL\nRisk analyst: SELL\nOur decision: BUY");
        buy("We recommend to buy. Analysts at Morgan rate it SELL.");
        buy("1. **Decision** - BUY\n2. Alternative decision: SELL");
        buy("FINAL DECISION: BUY, SELL or HOLD\nFINAL DECISION: BUY");
        check("Decision: do not sell, hold", Some(Action::Hold), None);
        check("FINAL DECISION: Not BUY but HOLD", Some(Action::Hold), None);
        check("We do not recommend to sell. We recommend to hold.", Some(Action::Hold), None);
    }

    #[test]
    fn two_own_statements_that_differ_decide_nothing() {
        check("FINAL DECISION: BUY\n\nFINAL DECISION: SELL", None, None);
        check("Decision: HOLD\nDecision: SELL", None, None);
        check("Decision: BUY, SELL or HOLD", None, None);
        check("Decision: BUY/SELL", None, None);
    }

    #[test]
    fn the_tagged_line_decides_wherever_it_stands() {
        let tag = "7f3a9c";
        let states = |text: &str, action| assert_eq!(tagged(text, tag), Tagged::States(action), "{text}");
        states("FINAL DECISION [7f3a9c]: SELL\n\nFINAL DECISION: BUY", Action::Sell);
        states("text\n**FINAL DECISION [7f3a9c]:** BUY", Action::Buy);
        states("<b>FINAL DECISION [7f3a9c]</b>： HOLD", Action::Hold);
        states("FINAL DECISION [7f3a9c]\n\n**SELL**", Action::Sell);
        states("FINAL DECISION [7f3a9c]: BUY, SELL or HOLD\nFINAL DECISION [7f3a9c]: SELL", Action::Sell);
        assert_eq!(tagged("FINAL DECISION [000000]: SELL", tag), Tagged::Missing);
        assert_eq!(tagged("D [7f3a9c]: SELL\nD [7f3a9c]: BUY", tag), Tagged::Contradicts);
        assert_eq!(without_tag("D [7f3a9c]: SELL [7f3a9c]", tag), "D: SELL");
    }

    /// The original system joined all digits of "8/10" and read 810.
    #[test]
    fn defect_02_eight_of_ten_is_a_share() {
        check("Decision: BUY\nConfidence: 8/10", Some(Action::Buy), Some(0.8));
        check("Decision: BUY\nConfidence Level: Medium-High (~70%)", Some(Action::Buy), Some(0.7));
        check("Decision: BUY with 7 out of 10 confidence", Some(Action::Buy), Some(0.7));
        check("Decision: HOLD\nHigh confidence", Some(Action::Hold), Some(0.8));
        check("Decision: HOLD\nConfidence: 810", Some(Action::Hold), None);
        check("Decision: HOLD\nThe trader's confidence: 90 %", Some(Action::Hold), None);
    }
}
