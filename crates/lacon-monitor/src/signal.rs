//! Reads the decision out of an answer: deterministic, no model call. A label beats prose; five tiers map to three
//! actions; "8/10" is 0.8.

use crate::Action;

/// What an answer decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// The action.
    pub action: Action,
    /// From 0 to 1, where the answer states it.
    pub confidence: Option<f64>,
    /// Whether it stood behind a label such as "FINAL DECISION:".
    pub labelled: bool,
}

/// Reads the decision; `None` when the answer states none.
pub fn parse(text: &str) -> Option<Signal> {
    let confidence = confidence(text);
    let signal = |action, labelled| Signal { action, confidence, labelled };
    let labels: Vec<(bool, Action)> = text.lines().filter_map(labelled).collect();
    let last_final = labels.iter().rev().find(|(is_final, _)| *is_final);
    if let Some((_, action)) = last_final.or(labels.last()) {
        return Some(signal(*action, true));
    }
    prose(text).map(|action| signal(action, false))
}

/// The rating on five steps behind the label that decides, as it is usually written; `None` without one.
pub fn rating(text: &str) -> Option<&'static str> {
    const RATINGS: [&str; 5] = ["Buy", "Overweight", "Hold", "Underweight", "Sell"];
    let lines: Vec<(bool, &str)> =
        text.lines().filter_map(|line| labelled(line).map(|(is_final, _)| (is_final, line))).collect();
    let last_final = lines.iter().rev().find(|(is_final, _)| *is_final);
    let (_, line) = last_final.or(lines.last())?;
    let (label, value) = line.split_once([':', '—', '='])?;
    if !words(label).last().is_some_and(|w| w.eq_ignore_ascii_case("rating")) {
        return None;
    }
    let value = words(value);
    RATINGS.into_iter().find(|rating| value.first().is_some_and(|w| w.eq_ignore_ascii_case(rating)))
}

/// Words, without the marks of Markdown around them.
fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '’')).filter(|w| !w.is_empty()).collect()
}

/// The action of a line such as `**FINAL DECISION: HOLD**`, and whether the label says that it is the last word.
fn labelled(line: &str) -> Option<(bool, Action)> {
    let (label, value) = line.split_once([':', '—', '='])?;
    let label_words: Vec<String> = words(label).into_iter().map(str::to_lowercase).collect();
    const LABELS: [&str; 9] =
        ["decision", "recommendation", "proposal", "rating", "action", "verdict", "signal", "call", "stance"];
    let last = label_words.last()?;
    if label_words.len() > 6 || !LABELS.contains(&last.as_str()) {
        return None;
    }
    let value_words = words(value);
    let action = tier(&value_words[..value_words.len().min(3)])?;
    Some((label_words.iter().any(|w| w == "final"), action))
}

/// The action that begins a list of words: one of five tiers, or of their usual other names.
fn tier(words: &[&str]) -> Option<Action> {
    let lower: Vec<String> = words.iter().map(|w| w.to_lowercase()).collect();
    let at = |i: usize| lower.get(i).map(String::as_str);
    let first = match at(0)? {
        "a" | "to" | "is" | "strong" | "strongly" | "moderate" | "moderately" | "cautious" | "cautiously" => {
            at(1)?
        }
        first => first,
    };
    match first {
        "buy" | "overweight" | "accumulate" | "outperform" | "long" => Some(Action::Buy),
        "sell" | "underweight" | "reduce" | "underperform" | "short" | "exit" => Some(Action::Sell),
        "hold" | "neutral" | "maintain" | "wait" => Some(Action::Hold),
        _ => None,
    }
}

/// Without a label: the first word of the text, else the capitalised action that is named most, unless two are
/// named equally often. "BUY trigger", "buy zone" and negated words do not count.
fn prose(text: &str) -> Option<Action> {
    let all = words(text);
    let plain = |w: &str| match w {
        "BUY" => Some(Action::Buy),
        "SELL" => Some(Action::Sell),
        "HOLD" => Some(Action::Hold),
        _ => None,
    };
    if let Some(action) = all.first().and_then(|w| plain(&w.to_uppercase()))
        && all.get(1).is_none_or(|next| !is_part_of_a_term(next))
    {
        return Some(action);
    }
    let mut counts = [(Action::Buy, 0), (Action::Sell, 0), (Action::Hold, 0)];
    // Clause by clause, so that a negation reaches no further than its own.
    for clause in text.split(['.', ';', '\n']) {
        let clause = words(clause);
        for (i, word) in clause.iter().enumerate() {
            let Some(action) = plain(word) else { continue };
            let negated = clause[i.saturating_sub(3)..i].iter().any(|w| {
                let w = w.to_lowercase();
                matches!(w.as_str(), "not" | "no" | "never" | "don't" | "don’t" | "avoid" | "neither")
            });
            // "BUY or SELL" names a choice, not the one that was made.
            let listed = i > 0 && matches!(clause[i - 1].to_lowercase().as_str(), "or" | "and" | "either");
            if !negated && !listed && clause.get(i + 1).is_none_or(|next| !is_part_of_a_term(next)) {
                counts.iter_mut().filter(|(a, _)| *a == action).for_each(|(_, n)| *n += 1);
            }
        }
    }
    let most = counts.iter().map(|(_, n)| *n).max().filter(|n| *n > 0)?;
    let mut best = counts.iter().filter(|(_, n)| *n == most);
    let action = best.next()?.0;
    best.next().is_none().then_some(action)
}

fn is_part_of_a_term(next: &str) -> bool {
    matches!(
        next.to_lowercase().as_str(),
        "trigger"
            | "triggers"
            | "zone"
            | "zones"
            | "limit"
            | "limits"
            | "side"
            | "stop"
            | "order"
            | "orders"
            | "signal"
            | "signals"
            | "rating"
            | "ratings"
            | "reduce"
            | "ratio"
            | "or"
            | "and"
            | "wall"
            | "pressure"
    )
}

/// "Confidence: 8/10", "confidence 70 %", "High confidence": from 0 to 1.
fn confidence(text: &str) -> Option<f64> {
    let lower = text.to_lowercase();
    for line in lower.lines().filter(|l| l.contains("confidence")) {
        let (before, after) = line.split_once("confidence")?;
        for part in [after, before] {
            if let Some(value) = fraction(part) {
                return Some(value);
            }
        }
        for part in [after, before] {
            let near: Vec<&str> = words(part);
            let near: Vec<&&str> = if std::ptr::eq(part, after) {
                near.iter().take(3).collect()
            } else {
                near.iter().rev().take(2).collect()
            };
            for word in near {
                match *word {
                    "high" | "strong" => return Some(0.8),
                    "medium" | "moderate" => return Some(0.6),
                    "low" | "weak" => return Some(0.4),
                    _ => {}
                }
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
        check("BUY or SELL, who knows", None, None);
        check("nothing at all", None, None);
        check("", None, None);
    }

    /// The origin joined all digits of "8/10" and read 810.
    #[test]
    fn defect_02_eight_of_ten_is_a_share() {
        check("Decision: BUY\nConfidence: 8/10", Some(Action::Buy), Some(0.8));
        check("Decision: BUY\nConfidence Level: Medium-High (~70%)", Some(Action::Buy), Some(0.7));
        check("Decision: BUY with 7 out of 10 confidence", Some(Action::Buy), Some(0.7));
        check("Decision: HOLD\nHigh confidence", Some(Action::Hold), Some(0.8));
        check("Decision: HOLD\nConfidence: 810", Some(Action::Hold), None);
    }
}
