//! What the data says for and against buying, by stated thresholds, each point as a sentence with its figures.

use super::read::{Data, Day, Item};

/// Whom a point speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    For,
    Against,
    Neither,
}

/// One point: a whole sentence without its period.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub side: Side,
    pub text: String,
}

impl Point {
    fn new(side: Side, text: String) -> Self {
        Self { side, text }
    }

    /// As an item of a list, its side in brackets.
    pub fn line(&self) -> String {
        match self.side {
            Side::For => format!("- {} (for).", self.text),
            Side::Against => format!("- {} (against).", self.text),
            Side::Neither => format!("- {}.", self.text),
        }
    }

    /// Reads an item that [`Point::line`] wrote.
    pub fn read(line: &str) -> Option<Self> {
        let text = line.trim().strip_prefix("- ")?;
        let of = |mark: &str, side| text.strip_suffix(mark).map(|text| Self::new(side, text.to_owned()));
        of(" (for).", Side::For).or_else(|| of(" (against).", Side::Against))
    }
}

/// The points of an analyst in groups, one for each part of its report.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub groups: Vec<(&'static str, Vec<Point>)>,
    /// Further sentences, true but of less weight; they fill a report that no limit shortens.
    pub more: Vec<String>,
}

impl Findings {
    /// Points for, and points against.
    pub fn balance(&self) -> (i32, i32) {
        let count = |side| {
            self.groups.iter().flat_map(|(_, points)| points).filter(|p| p.side == side).count() as i32
        };
        (count(Side::For), count(Side::Against))
    }
}

fn side(is_for: bool, is_against: bool) -> Side {
    match (is_for, is_against) {
        (true, false) => Side::For,
        (false, true) => Side::Against,
        _ => Side::Neither,
    }
}

fn percent(now: f64, then: f64) -> f64 {
    (now / then - 1.0) * 100.0
}

/// "up 3.2 %" or "down 3.2 %".
fn moved(change: f64) -> String {
    format!("{} {:.1} %", if change < 0.0 { "down" } else { "up" }, change.abs())
}

/// Prices and indicators.
pub fn market(data: &Data) -> Findings {
    let (mut trend, mut indicators, mut risk, mut outlook) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut more = Vec::new();
    if let (Some(first), Some(last)) = (data.days.first(), data.days.last()) {
        let window = &data.days[data.days.len().saturating_sub(20)..];
        let top = window.iter().max_by(|a, b| a.high.total_cmp(&b.high)).unwrap_or(last);
        let bottom = window.iter().min_by(|a, b| a.low.total_cmp(&b.low)).unwrap_or(last);
        if data.days.len() > 5 {
            let then = &data.days[data.days.len() - 6];
            let change = percent(last.close, then.close);
            trend.push(Point::new(
                side(change > 2.0, change < -2.0),
                format!(
                    "Over five sessions the close went from {} on {} to {} on {}, {}",
                    then.written[2],
                    then.date,
                    last.written[2],
                    last.date,
                    moved(change)
                ),
            ));
        }
        let fall = percent(last.close, top.high);
        trend.push(Point::new(
            side(fall > -3.0, fall < -15.0),
            format!(
                "The close of {} on {} stands {:.1} % below the high of {} on {}",
                last.written[2], last.date, -fall, top.written[0], top.date
            ),
        ));
        if data.days.len() > 6 {
            let change = percent(last.close, first.close);
            trend.push(Point::new(
                Side::Neither,
                format!(
                    "Since {} the close is {}, from {} to {}",
                    first.date,
                    moved(change),
                    first.written[2],
                    last.written[2]
                ),
            ));
        }
        for (name, label) in
            [("boll", "20-day mean"), ("close_50_sma", "50-day mean"), ("close_200_sma", "200-day mean")]
        {
            if let Some((mean, date, written)) = data.latest(name) {
                let gap = percent(last.close, mean);
                indicators.push(Point::new(
                    side(gap > 1.0, gap < -1.0),
                    format!(
                        "The close of {} is {:.1} % {} the {label} of {written} on {date}",
                        last.written[2],
                        gap.abs(),
                        if gap < 0.0 { "below" } else { "above" }
                    ),
                ));
            }
        }
        if data.days.len() > 5 {
            let others = &data.days[..data.days.len() - 1];
            let mean = others.iter().map(|d| d.volume).sum::<f64>() / others.len() as f64;
            if mean > 0.0 && last.volume > 0.0 {
                risk.push(Point::new(
                    Side::Neither,
                    format!(
                        "Volume on {} was {}, {:.2} times the mean of the {} sessions before",
                        last.date,
                        thousands(last.volume),
                        last.volume / mean,
                        others.len()
                    ),
                ));
            }
        }
        let (up, down) = (percent(top.high, last.close), -percent(bottom.low, last.close));
        risk.push(Point::new(
            side(down > 0.0 && up > 2.0 * down, up > 0.0 && down > 2.0 * up),
            format!("Support lies at {} ({}), {down:.1} % below the close, resistance at {} ({}), {up:.1} % above", bottom.written[1], bottom.date, top.written[0], top.date),
        ));
        if let Some((range, date, written)) = data.latest("atr") {
            let stop = last.close - 2.0 * range;
            risk.push(Point::new(
                Side::Neither,
                format!("The average true range is {written} on {date}; a stop two ranges below the close lies at {stop:.2}"),
            ));
        }
        outlook.push(Point::new(
            Side::Neither,
            format!(
                "A close above {} would break the resistance, one below {} the support",
                top.written[0], bottom.written[1]
            ),
        ));
        more.extend(data.days.windows(2).rev().map(|pair| daily(&pair[0], &pair[1])));
    }
    if let Some((rsi, date, written)) = data.latest("rsi") {
        let what = match rsi {
            r if r > 70.0 => "above 70, which counts as overbought",
            r if r < 30.0 => "below 30, which counts as oversold",
            _ => "between 30 and 70, which decides nothing",
        };
        indicators.push(Point::new(
            side(rsi < 30.0, rsi > 70.0),
            format!("The RSI is {written} on {date}, {what}"),
        ));
    }
    if let Some((macd, date, written)) = data.latest("macd") {
        let what = if macd < 0.0 {
            "the short average is below the long one"
        } else {
            "the short average is above the long one"
        };
        indicators.push(Point::new(
            side(macd > 0.0, macd < 0.0),
            format!("The MACD is {written} on {date}: {what}"),
        ));
    }
    Findings {
        groups: vec![("trend", trend), ("indicators", indicators), ("risk", risk), ("outlook", outlook)],
        more,
    }
}

fn daily(before: &Day, day: &Day) -> String {
    let change = percent(day.close, before.close);
    format!(
        "On {} the close was {}, {} on the day, between {} and {}.",
        day.date,
        day.written[2],
        moved(change),
        day.written[1],
        day.written[0]
    )
}

fn thousands(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Words that make a headline good or bad for holders. Short and public: the reader can check each verdict.
const GOOD: [&str; 44] = [
    "accepted",
    "accelerates",
    "adds",
    "approval",
    "approved",
    "awarded",
    "beat",
    "beats",
    "boost",
    "brings",
    "dividend",
    "ease",
    "eases",
    "easing",
    "exempt",
    "exemption",
    "expands",
    "gain",
    "gains",
    "grows",
    "growth",
    "jump",
    "partnership",
    "profit",
    "profits",
    "raised",
    "raises",
    "rally",
    "rebound",
    "record",
    "recovery",
    "relief",
    "rise",
    "rises",
    "rose",
    "secures",
    "spares",
    "strong",
    "surge",
    "upgrade",
    "upgraded",
    "welcome",
    "wins",
    "won",
];
const BAD: [&str; 46] = [
    "bans",
    "bankruptcy",
    "cautious",
    "charged",
    "concern",
    "concerns",
    "cut",
    "cuts",
    "decline",
    "declines",
    "delay",
    "delayed",
    "downgrade",
    "downgraded",
    "drop",
    "drops",
    "fall",
    "falls",
    "fell",
    "fine",
    "fined",
    "fraud",
    "halts",
    "investigation",
    "lawsuit",
    "layoffs",
    "litigation",
    "loss",
    "losses",
    "lower",
    "miss",
    "misses",
    "plunge",
    "probe",
    "question",
    "questions",
    "recall",
    "sceptics",
    "shortage",
    "slump",
    "suit",
    "trim",
    "unsafe",
    "warning",
    "warns",
    "weak",
];

/// Good words less bad words of an item; its title counts twice. What moves a whole market is judged by its title alone.
fn polarity(item: &Item) -> i32 {
    let count = |text: &str| -> i32 {
        let words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
        words.map(|w| i32::from(GOOD.contains(&&*w)) - i32::from(BAD.contains(&&*w))).sum()
    };
    2 * count(&item.title) + if item.is_market_wide { 0 } else { count(&item.body) }
}

fn told(item: &Item) -> Point {
    let score = polarity(item);
    // Quotes keep what others wrote apart from what is concluded.
    let title = item.title.replace(['"', '“', '”'], "'");
    Point::new(
        side(score > 0, score < 0),
        format!("On {} ({}) it was reported: \"{title}\"", item.date, item.source),
    )
}

/// Items of news or talk.
pub fn told_items(data: &Data, names: [&'static str; 4]) -> Findings {
    let (company, wide): (Vec<&Item>, Vec<&Item>) = data.items.iter().partition(|item| !item.is_market_wide);
    let points = |items: &[&Item]| items.iter().map(|item| told(item)).collect::<Vec<_>>();
    let bad = data.items.iter().filter(|item| polarity(item) < 0).count();
    let good = data.items.iter().filter(|item| polarity(item) > 0).count();
    let risk = vec![Point::new(
        Side::Neither,
        format!(
            "Of {} items {good} use more good than bad words of finance, {bad} the other way round",
            data.items.len()
        ),
    )];
    let latest = data.items.iter().map(|item| item.date.as_str()).max();
    let outlook = latest.map(|date| {
        Point::new(Side::Neither, format!("The latest item is of {date}; nothing later is known"))
    });
    let more = data.items.iter().filter(|item| !item.body.is_empty()).map(|item| {
        let body = item.body.replace(['"', '“', '”'], "'");
        format!("To the item of {} the source adds: \"{}\".", item.date, body.trim_end_matches('.'))
    });
    let [first, second, third, fourth] = names;
    let second_points = if wide.is_empty() { Vec::new() } else { points(&wide) };
    Findings {
        groups: vec![
            (first, points(&company)),
            (second, second_points),
            (third, risk),
            (fourth, outlook.into_iter().collect()),
        ],
        more: more.collect(),
    }
}

/// Ratings, targets and figures of a company.
pub fn fundamentals(data: &Data) -> Findings {
    let (mut valuation, mut health, mut growth, mut outlook) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut more = Vec::new();
    let close = data
        .last_close
        .as_ref()
        .and_then(|(written, date)| Some((written.parse::<f64>().ok()?, written, date)));
    let mut targets = Vec::new();
    for (date, fact) in &data.facts {
        if let Some(target) = after_number(fact, "price target ") {
            targets.push(target);
        }
        let lower = fact.to_lowercase();
        if lower.contains("net loss") {
            health.push(Point::new(Side::Against, format!("As of {date}: {fact}")));
        } else if lower.contains("net income") || lower.contains("cash flow") {
            health.push(Point::new(Side::For, format!("As of {date}: {fact}")));
        } else if lower.contains("revenue") || lower.contains("growth") || lower.contains("in use") {
            growth.push(Point::new(Side::Neither, format!("As of {date}: {fact}")));
        } else {
            more.push(format!("As of {date}: {fact}."));
        }
    }
    if let (Some((close, written, date)), false) = (close, targets.is_empty()) {
        let above = targets.iter().filter(|t| **t > close).count();
        targets.sort_by(f64::total_cmp);
        let n = targets.len();
        let middle = (targets[(n - 1) / 2] + targets[n / 2]) / 2.0;
        let gap = percent(middle, close);
        valuation.push(Point::new(
            side(gap > 5.0, gap < -5.0),
            format!(
                "The middle of {n} price targets is {middle}, {:.1} % {} the close of {written} on {date}",
                gap.abs(),
                if gap < 0.0 { "below" } else { "above" }
            ),
        ));
        outlook.push(Point::new(
            Side::Neither,
            format!("{above} of {n} price targets lie above the close of {written}"),
        ));
    } else if let Some((_, written, date)) = close {
        valuation.push(Point::new(
            Side::Neither,
            format!("The last close is {written} USD on {date}; no price target is given"),
        ));
    }
    let ratings = |words: &[&str]| {
        data.facts
            .iter()
            .filter(|(_, fact)| fact.contains(": ") && words.iter().any(|w| fact.contains(w)))
            .count()
    };
    let (buys, sells) =
        (ratings(&[": Buy", "Outperform", "Overweight"]), ratings(&[": Sell", "Strong Sell", "Underweight"]));
    let counted = data.facts.iter().find_map(|(date, fact)| {
        let before =
            |word: &str| fact.split(word).next()?.trim_end().rsplit([' ', ',']).next()?.parse::<u32>().ok();
        fact.contains(" Buy, ").then(|| Some((date, before(" Buy")?, before(" Sell")?)))?
    });
    if let Some((date, buys, sells)) = counted {
        outlook.push(Point::new(
            side(buys > 2 * sells, sells > 2 * buys),
            format!("As of {date} {buys} analysts say Buy and {sells} Sell"),
        ));
    } else if buys + sells > 0 {
        outlook.push(Point::new(
            side(buys > sells, sells > buys),
            format!("Of the named ratings {buys} are on the side of buying and {sells} on that of selling"),
        ));
    }
    Findings {
        groups: vec![("valuation", valuation), ("health", health), ("growth", growth), ("outlook", outlook)],
        more,
    }
}

/// The number behind a phrase.
fn after_number(text: &str, phrase: &str) -> Option<f64> {
    let rest = text.split_once(phrase)?.1;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().ok()
}
