//! Who decides sums the scores of the reports. The thresholds stand here and in the answers.

use super::{
    measures::Finding,
    read::Day,
    words::{beside, percent, signed},
};

/// From this total on it is BUY; from its negative down SELL.
pub const DECIDES: i32 = 3;
/// From this total on a rating of five steps is the strong one.
pub const STRONG: i32 = 6;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Buy,
    Sell,
    Hold,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
            Self::Hold => "HOLD",
        }
    }

    /// Of a total of all reports.
    pub fn of(total: i32) -> Self {
        match total {
            t if t >= DECIDES => Self::Buy,
            t if t <= -DECIDES => Self::Sell,
            _ => Self::Hold,
        }
    }

    /// Of one report: a third of what is possible decides.
    pub fn of_report(score: i32, of: i32) -> Self {
        match score {
            s if of > 0 && 3 * s >= of => Self::Buy,
            s if of > 0 && -3 * s >= of => Self::Sell,
            _ => Self::Hold,
        }
    }

    fn read(value: &str) -> Option<Self> {
        let word = value.split(|c: char| !c.is_alphanumeric()).find(|w| !w.is_empty())?;
        match word.to_uppercase().as_str() {
            "BUY" | "OVERWEIGHT" => Some(Self::Buy),
            "SELL" | "UNDERWEIGHT" => Some(Self::Sell),
            "HOLD" => Some(Self::Hold),
            _ => None,
        }
    }
}

/// What one report counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    pub name: String,
    pub score: i32,
    pub of: i32,
}

/// The prices that an order needs, all read from a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    pub close: f64,
    pub date: String,
    pub range: Option<f64>,
    pub low: f64,
    pub high: f64,
}

impl Levels {
    pub fn of(days: &[Day], range: Option<f64>) -> Option<Self> {
        let last = days.last()?;
        let low = days.iter().map(|d| d.low).fold(f64::INFINITY, f64::min);
        let high = days.iter().map(|d| d.high).fold(f64::NEG_INFINITY, f64::max);
        Some(Self { close: last.close, date: last.date.clone(), range, low, high })
    }

    /// The line in which reports hand them on.
    pub fn line(&self) -> String {
        let range = self.range.map_or_else(|| "unknown".to_owned(), |r| r.to_string());
        format!(
            "Levels: close {} on {}, average true range {range}, lowest low {}, highest high {}.",
            self.close, self.date, self.low, self.high
        )
    }

    fn read(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("Levels: close ")?.trim_end_matches('.');
        let (close, rest) = rest.split_once(" on ")?;
        let (date, rest) = rest.split_once(", average true range ")?;
        let (range, rest) = rest.split_once(", lowest low ")?;
        let (low, high) = rest.split_once(", highest high ")?;
        Some(Self {
            close: close.parse().ok()?,
            date: date.to_owned(),
            range: range.parse().ok(),
            low: low.parse().ok()?,
            high: high.parse().ok()?,
        })
    }

    /// Where an order is wrong, with how it was computed: two average true ranges from the close, else the edge of the
    /// sessions shown.
    pub fn stop(&self, action: Action) -> (f64, String) {
        let up = action == Action::Sell;
        match self.range {
            Some(range) => {
                let stop = self.close + if up { 2.0 } else { -2.0 } * range;
                let side = if up { "above" } else { "below" };
                (cents(stop), format!("two average true ranges of {range} {side} the close"))
            }
            None if up => (self.high, "the highest high of the sessions shown".into()),
            None => (self.low, "the lowest low of the sessions shown".into()),
        }
    }

    /// How far it may go, with how it was computed: the edge of the sessions shown where it is a per cent away, else three
    /// average true ranges.
    pub fn target(&self, action: Action) -> Option<(f64, String)> {
        let up = action != Action::Sell;
        let (edge, name) = if up { (self.high, "highest high") } else { (self.low, "lowest low") };
        if percent(edge, self.close).abs() >= 1.0 {
            return Some((edge, format!("the {name} of the sessions shown")));
        }
        let range = self.range?;
        let target = self.close + if up { 3.0 } else { -3.0 } * range;
        let side = if up { "above" } else { "below" };
        Some((cents(target), format!("three average true ranges of {range} {side} the close")))
    }

    /// The share of the capital, in per cent, that may be held so that the stop costs `risk` per cent of it.
    pub fn size(&self, risk: f64) -> Option<f64> {
        let distance = percent(self.stop(Action::Buy).0, self.close);
        (distance < 0.0).then(|| (risk / -distance * 100.0).min(100.0))
    }

    pub fn beside_close(&self, price: f64) -> String {
        format!("{} the close of {} on {}", beside(percent(price, self.close)), self.close, self.date)
    }
}

fn cents(price: f64) -> f64 {
    (price * 100.0).round() / 100.0
}

/// Titles of roles that are no analysts; what they say of scores is only passed on.
const READERS: [&str; 10] = [
    "Bull researcher",
    "Bear researcher",
    "Debate judge",
    "Research manager",
    "Aggressive risk analyst",
    "Conservative risk analyst",
    "Neutral risk analyst",
    "Risk manager",
    "Portfolio manager",
    "Trader",
];

/// What others have said, as far as a prompt holds it.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub scores: Vec<Score>,
    /// Findings that count, each with the report that holds it.
    pub findings: Vec<(String, Finding)>,
    pub levels: Option<Levels>,
    /// Why data is missing.
    pub missing: Vec<String>,
    /// The last decision that a role stated.
    pub stated: Option<Action>,
    /// What each role that is no analyst said.
    pub said: Vec<(String, String)>,
}

impl Heard {
    pub fn read(text: &str) -> Self {
        let mut heard = Self::default();
        let mut title = "report".to_owned();
        let (mut is_reader, mut passed_on, mut is_final) = (false, Vec::new(), false);
        for line in text.lines().map(str::trim) {
            if let Some(heading) = line.strip_prefix("## ") {
                let heading = heading.trim_end_matches(", digest").trim_end_matches(", figures");
                is_reader = READERS.contains(&heading);
                title = heading.trim_end_matches(" analyst").to_owned();
                continue;
            }
            if let Some((action, last)) = stated(line)
                && (last || !is_final)
            {
                (heard.stated, is_final) = (Some(action), last);
            }
            if let Some(scores) = line.strip_prefix("Evidence: total score ").and_then(read_scores) {
                passed_on = scores;
            }
            heard.levels = Levels::read(line).or(heard.levels);
            if is_reader {
                match heard.said.iter_mut().find(|(of, _)| *of == title) {
                    Some((_, said)) => said.push_str(&format!("\n{line}")),
                    None => heard.said.push((title.clone(), line.to_owned())),
                }
                continue;
            }
            heard.missing.extend(line.strip_prefix("Missing: ").map(|m| m.trim_end_matches('.').to_owned()));
            if let Some(score) = line.strip_prefix("Signal: ").and_then(|rest| read_signal(&title, rest)) {
                heard.scores.retain(|of| of.name != score.name);
                heard.scores.push(score);
            }
            for sentence in line.split_inclusive(". ") {
                if let Some(finding) = Finding::read(sentence) {
                    let found = (title.clone(), finding);
                    if !heard.findings.contains(&found) {
                        heard.findings.push(found);
                    }
                }
            }
        }
        if heard.scores.is_empty() {
            heard.scores = passed_on;
        }
        heard
    }

    pub fn total(&self) -> i32 {
        self.scores.iter().map(|s| s.score).sum()
    }

    pub fn of(&self) -> i32 {
        self.scores.iter().map(|s| s.of).sum()
    }

    /// What the scores decide; without any what was stated.
    pub fn action(&self) -> Action {
        match self.stated {
            Some(stated) if self.scores.is_empty() => stated,
            _ => Action::of(self.total()),
        }
    }

    /// On five steps.
    pub fn rating(&self) -> &'static str {
        let strong = self.total().abs() >= STRONG;
        match self.action() {
            Action::Buy if strong => "Buy",
            Action::Buy => "Overweight",
            Action::Sell if strong => "Sell",
            Action::Sell => "Underweight",
            Action::Hold => "Hold",
        }
    }

    /// Half, and half of the share that the total has of what is possible; a HOLD stays at half.
    pub fn confidence(&self) -> i32 {
        match self.action() {
            Action::Hold => 50,
            _ => 50 + 50 * self.total().abs() / self.of().max(1),
        }
    }

    /// The line by which the scores are passed on; empty without any.
    pub fn evidence(&self) -> Option<String> {
        let all: Vec<String> = self
            .scores
            .iter()
            .map(|s| format!("{} {} of {}", s.name.to_lowercase(), signed(s.score), s.of))
            .collect();
        (!all.is_empty()).then(|| {
            format!("Evidence: total score {} of {} ({}).", signed(self.total()), self.of(), all.join(", "))
        })
    }

    /// The findings of one side.
    pub fn side(&self, score: i32) -> Vec<&(String, Finding)> {
        self.findings.iter().filter(|(_, f)| f.score == Some(score)).collect()
    }

    /// What a role said.
    pub fn by(&self, title: &str) -> Option<&str> {
        self.said.iter().find(|(of, _)| of == title).map(|(_, said)| said.as_str())
    }
}

/// "SELL, score -3 of 4."
fn read_signal(title: &str, rest: &str) -> Option<Score> {
    let (_, rest) = rest.split_once(", score ")?;
    score(&format!("{title} {}", rest.trim_end_matches('.')))
}

/// "-5 of 11 (market -3 of 4, news +1 of 2)."
fn read_scores(rest: &str) -> Option<Vec<Score>> {
    let (_, list) = rest.split_once('(')?;
    list.trim_end_matches('.').trim_end_matches(')').split(", ").map(score).collect()
}

/// "social media -2 of 2"
fn score(text: &str) -> Option<Score> {
    let (head, of) = text.rsplit_once(" of ")?;
    let (name, score) = head.rsplit_once(' ')?;
    let (score, of) = (score.parse::<i32>().ok()?, of.parse::<i32>().ok()?);
    (score.abs() <= of && of < 100).then(|| Score { name: name.trim().to_owned(), score, of })
}

/// The decision of a line such as `FINAL DECISION [7f3a9c]: SELL`, and whether it is the last word.
fn stated(line: &str) -> Option<(Action, bool)> {
    let (label, value) = line.trim_matches(['*', '#', ' ']).split_once(':')?;
    let label = label.split('[').next().unwrap_or_default().trim().to_lowercase();
    let last = label.rsplit(' ').next().unwrap_or_default();
    let is_label = ["decision", "proposal", "recommendation", "rating", "action"].contains(&last)
        && label.split_whitespace().count() <= 4;
    if !is_label || value.contains("BUY, SELL or HOLD") {
        return None;
    }
    Some((Action::read(value)?, label.contains("final") || last == "rating"))
}

/// The decision of a role's own text.
pub fn decision_of(text: &str) -> Action {
    let heard = Heard::read(text);
    let named = || {
        text.split(|c: char| !c.is_alphanumeric())
            .rev()
            .find(|w| ["BUY", "SELL", "HOLD"].contains(w))
            .and_then(Action::read)
    };
    match heard.stated {
        Some(stated) => stated,
        None if heard.scores.is_empty() => named().unwrap_or(Action::Hold),
        None => heard.action(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_summed_and_passed_on() {
        let heard = Heard::read(
            "## Market analyst, digest\nThe close of 9 is low (-1). It fell (-1).\nSignal: SELL, score -3 of 4.\n\
             ## Social media analyst\nSignal: SELL, score -2 of 2.\n## News analyst\nSignal: BUY, score +2 of 2.",
        );
        let line = "Evidence: total score -3 of 8 (market -3 of 4, social media -2 of 2, news +2 of 2).";
        assert_eq!(heard.evidence().as_deref(), Some(line));
        assert_eq!((heard.action(), heard.rating(), heard.confidence()), (Action::Sell, "Underweight", 68));
        assert_eq!(heard.side(-1).len(), 2);
        let again = Heard::read(&format!("## Bear researcher\n{line}"));
        assert_eq!(again.evidence().as_deref(), Some(line));
    }

    #[test]
    fn the_last_word_counts_and_a_choice_is_none() {
        let of = |text: &str| decision_of(text).word();
        assert_eq!(of("RECOMMENDATION [ab12cd]: BUY\nFINAL DECISION [7f3a9c]: SELL\nAction: Buy"), "SELL");
        assert_eq!(of("FINAL DECISION: BUY, SELL or HOLD"), "HOLD");
        assert_eq!(of("Rating: Underweight\n\nThe target is 3."), "SELL");
        assert_eq!(of("We BUY now."), "BUY");
        assert_eq!(of("nothing"), "HOLD");
    }

    #[test]
    fn levels_are_handed_on_and_computed() {
        let line = "Levels: close 181.64 on 2025-07-29, average true range 18.4556, lowest low 171.5, highest high 262.97.";
        let levels = Levels::read(line).unwrap();
        assert_eq!(levels.line(), line);
        assert_eq!(levels.stop(Action::Buy).0, 144.73);
        assert_eq!(levels.stop(Action::Sell).0, 218.55);
        assert_eq!(levels.target(Action::Sell).unwrap().0, 171.5);
        // 1 % of the capital is lost where 4.92 % of it lose 20.3 %.
        assert!((levels.size(1.0).unwrap() - 4.92).abs() < 0.01);
    }
}
