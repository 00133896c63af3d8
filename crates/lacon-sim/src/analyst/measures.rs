//! What is computed from the data: findings for and against buying, each by a stated threshold and with its figures.

use super::{
    decide::Levels,
    read::{Data, Day, Item},
    words::{beside, many, moved, percent, polarity, quotable, signed},
};

/// A finding: a sentence without its period, and what it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// 1 for buying, -1 against, 0 neither; none for what only informs.
    pub score: Option<i32>,
    pub text: String,
}

impl Finding {
    /// As a sentence; what it counts stands in brackets.
    pub fn sentence(&self) -> String {
        match self.score {
            Some(1) => format!("{} (+1).", self.text),
            Some(-1) => format!("{} (-1).", self.text),
            Some(_) => format!("{} (0).", self.text),
            None => format!("{}.", self.text),
        }
    }

    /// Reads a sentence that counts.
    pub fn read(sentence: &str) -> Option<Self> {
        let sentence = sentence.trim().trim_end_matches('.');
        [(" (+1)", 1), (" (-1)", -1)].into_iter().find_map(|(mark, score)| {
            let text = sentence.strip_suffix(mark)?.to_owned();
            Some(Self { score: Some(score), text })
        })
    }
}

/// What an analyst found, by the part of its report: the most important of each part first.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub parts: Vec<(&'static str, Vec<Finding>)>,
    /// The sum of all that counts, and the most that it could be.
    pub score: i32,
    pub of: i32,
    pub levels: Option<Levels>,
    /// What else the data says, for reports without a limit.
    pub more: Vec<String>,
}

impl Findings {
    pub(super) fn new(parts: Vec<(&'static str, Vec<Finding>)>) -> Self {
        let counted = || parts.iter().flat_map(|(_, all)| all).filter_map(|f| f.score);
        let (score, of) = (counted().sum(), counted().count() as i32);
        Self { parts, score, of, ..Self::default() }
    }
}

pub fn counts(score: i32, text: String) -> Finding {
    Finding { score: Some(score), text }
}

pub fn tells(text: String) -> Finding {
    Finding { score: None, text }
}

/// 1 above a bound, -1 below another one.
pub fn beyond(value: f64, low: f64, high: f64) -> i32 {
    i32::from(value > high) - i32::from(value < low)
}

/// Sessions that the trend looks back.
pub const WINDOW: usize = 20;

/// Prices and indicators.
pub fn market(data: &Data) -> Findings {
    let (mut trend, mut indicators, mut risk, mut outlook) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let days = &data.days[data.days.len().saturating_sub(WINDOW)..];
    let last = days.last();
    if let (Some(first), Some(last), true) = (days.first(), last, days.len() > 1) {
        let change = percent(last.close, first.close);
        trend.push(counts(
            beyond(change, -3.0, 3.0),
            format!(
                "Over the last {} sessions the close {}, from {} on {} to {} on {}",
                days.len(),
                moved(change),
                first.close,
                first.date,
                last.close,
                last.date
            ),
        ));
        let top = days.iter().max_by(|a, b| a.close.total_cmp(&b.close)).unwrap_or(last);
        let gap = percent(last.close, top.close);
        let what = if top.date == last.date {
            format!("The last close, {} on {}, is the highest of these sessions", last.close, last.date)
        } else {
            format!(
                "The last close, {}, stands {:.1} % below the highest one, {} on {}",
                last.close, -gap, top.close, top.date
            )
        };
        trend.push(counts(i32::from(gap >= -3.0) - i32::from(gap < -10.0), what));
        let steps: Vec<f64> =
            days.windows(2).rev().take(5).map(|p| percent(p[1].close, p[0].close)).collect();
        let up = steps.iter().filter(|s| **s > 0.0).count();
        trend.push(tells(format!(
            "The close rose on {up} of the last {}",
            many(steps.len(), "session", "sessions")
        )));
        risk.extend(largest_move(days));
        risk.extend(volume(days));
        let low = days.iter().min_by(|a, b| a.low.total_cmp(&b.low)).unwrap_or(last);
        let high = days.iter().max_by(|a, b| a.high.total_cmp(&b.high)).unwrap_or(last);
        outlook.push(tells(format!(
            "Support is the lowest low, {} on {}; resistance is the highest high, {} on {}",
            low.low, low.date, high.high, high.date
        )));
    } else {
        trend.push(tells("No price table is in the material, so no trend can be computed".into()));
        risk.push(tells("Without prices neither a stop nor a size can be computed".into()));
    }
    for (name, label) in
        [("boll", "20-day mean"), ("close_50_sma", "50-day mean"), ("close_200_sma", "200-day mean")]
    {
        if let (Some((mean, date, _)), Some(last)) = (data.latest(name), last) {
            let gap = percent(last.close, mean);
            indicators.push(counts(
                beyond(gap, -1.0, 1.0),
                format!("The close of {} is {} the {label} of {mean} on {date}", last.close, beside(gap)),
            ));
        }
    }
    if let Some((rsi, date, _)) = data.latest("rsi") {
        let (score, what) = match rsi {
            r if r > 70.0 => (0, "above 70, the range called overbought, and counts for neither side"),
            r if r >= 55.0 => (1, "between 55 and 70, which is rising momentum"),
            r if r > 45.0 => (0, "between 45 and 55, which is no clear momentum"),
            r if r >= 30.0 => (-1, "between 30 and 45, which is falling momentum"),
            _ => (0, "below 30, the range called oversold, and counts for neither side"),
        };
        indicators.push(counts(score, format!("The RSI of {rsi} on {date} is {what}")));
    }
    if let Some((macd, date, _)) = data.latest("macd") {
        let score = beyond(macd, 0.0, 0.0);
        let side = ["below", "level with", "above"][(score + 1) as usize];
        indicators.push(counts(
            score,
            format!("The MACD of {macd} on {date} puts the short average {side} the long one"),
        ));
    }
    if indicators.is_empty() {
        indicators.push(tells("No indicator is in the material".into()));
    }
    if let (Some((range, date, _)), Some(last)) = (data.latest("atr"), last) {
        risk.insert(
            0,
            tells(format!(
                "A usual day moves the price by {range}, the average true range of {date}, which is {:.1} % of the close",
                range / last.close * 100.0
            )),
        );
    }
    let mut findings = Findings::new(vec![
        ("trend", trend),
        ("indicators", indicators),
        ("risk", risk),
        ("outlook", outlook),
    ]);
    findings.levels = Levels::of(days, data.latest("atr").map(|(range, _, _)| range));
    findings.more = days.windows(2).rev().map(|pair| daily(&pair[0], &pair[1])).collect();
    findings
}

fn daily(before: &Day, day: &Day) -> String {
    let change = percent(day.close, before.close);
    format!(
        "On {} the close {} to {}, within a range from {} to {}.",
        day.date,
        moved(change),
        day.close,
        day.low,
        day.high
    )
}

fn largest_move(days: &[Day]) -> Option<Finding> {
    let step = |p: &[Day]| percent(p[1].close, p[0].close);
    let pair = days.windows(2).max_by(|a, b| step(a).abs().total_cmp(&step(b).abs()))?;
    let change = step(pair);
    Some(tells(format!("On the wildest day, {}, the close {}", pair[1].date, moved(change))))
}

fn volume(days: &[Day]) -> Option<Finding> {
    let (last, before) = days.split_last()?;
    let mean = before.iter().map(|d| d.volume).sum::<f64>() / before.len() as f64;
    (mean > 0.0 && last.volume > 0.0).then(|| {
        tells(format!(
            "Volume on {} was {} shares, {:.2} times the mean of the {} before",
            last.date,
            last.volume,
            last.volume / mean,
            many(before.len(), "session", "sessions")
        ))
    })
}

fn told(item: &Item) -> Finding {
    let source = quotable(&item.source).unwrap_or_else(|| "a source".into());
    match (quotable(&item.title), quotable(&item.body)) {
        (Some(title), Some(_)) => {
            counts(polarity(item), format!("The item of {} ({source}) says: \"{title}\"", item.date))
        }
        _ => counts(
            0,
            format!(
                "The item of {} ({source}) reads like an order to the reader and is not repeated",
                item.date
            ),
        ),
    }
}

fn bodies<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<String> {
    let all = items.filter(|item| !item.body.is_empty() && quotable(&item.title).is_some());
    all.filter_map(|item| Some(format!("The item of {} adds: \"{}\".", item.date, quotable(&item.body)?)))
        .collect()
}

/// How a list of items leans, as words.
fn leaning(scores: &[i32]) -> String {
    let count = |of: i32| scores.iter().filter(|s| **s == of).count();
    format!("{} positive, {} negative and {} neutral", count(1), count(-1), count(0))
}

/// Most that the headlines of a report count.
const MOST_ITEMS: i32 = 3;

/// The score of a list of items is bounded, so that a busy week does not outweigh the prices.
fn bound(findings: &mut Findings) {
    findings.score = findings.score.clamp(-MOST_ITEMS, MOST_ITEMS);
    findings.of = findings.of.min(MOST_ITEMS);
}

/// Headlines on the company and on the market.
pub fn news(data: &Data) -> Findings {
    let (wide, own): (Vec<&Item>, Vec<&Item>) = data.items.iter().partition(|item| item.is_market_wide);
    let company: Vec<Finding> = own.iter().map(|item| told(item)).collect();
    let scores: Vec<i32> = wide.iter().map(|item| polarity(item)).collect();
    let mut market = Vec::new();
    if !wide.is_empty() {
        market.push(tells(format!(
            "The market-wide items, judged by their words, are {}; they move every stock and are not counted",
            leaning(&scores)
        )));
        market.extend(wide.iter().rev().map(|item| tells(told(item).text)));
    }
    let bad: Vec<&Finding> = company.iter().filter(|f| f.score == Some(-1)).collect();
    let risk = vec![match bad.first() {
        Some(first) => tells(format!(
            "{} on the company {} negative, the first of them {}",
            many(bad.len(), "headline", "headlines"),
            if bad.len() == 1 { "is" } else { "are" },
            first.text.replacen("The item", "the item", 1).split(" says: ").next().unwrap_or_default()
        )),
        None => tells("No headline on the company is negative by its words".into()),
    }];
    let latest = data.items.iter().map(|item| item.date.as_str()).max();
    let outlook = vec![match latest {
        Some(date) => {
            tells(format!("The latest item is of {date}; how long its effect lasts is not in the material"))
        }
        None => tells("No dated item is in the material".into()),
    }];
    let more = bodies(own.iter().chain(&wide).copied());
    let parts = vec![("company", company), ("market", market), ("risk", risk), ("outlook", outlook)];
    let mut findings = Findings { more, ..Findings::new(parts) };
    bound(&mut findings);
    findings
}

/// What the crowd says. Company news among the posts is left to the news analyst.
pub fn social(data: &Data) -> Findings {
    let talks = |item: &&Item| {
        let source = item.source.to_lowercase();
        ["forum", "reddit", "r/", "stocktwits", "twitter", "post", "social"]
            .iter()
            .any(|s| source.contains(s))
    };
    let mut posts: Vec<&Item> = data.items.iter().filter(talks).collect();
    if posts.is_empty() {
        posts = data.items.iter().collect();
    }
    let themes: Vec<Finding> = posts.iter().map(|item| told(item)).collect();
    let scores: Vec<i32> = themes.iter().filter_map(|f| f.score).collect();
    let mut sentiment = Vec::new();
    if posts.is_empty() {
        sentiment.push(tells("No post is in the material, so no mood can be computed".into()));
    } else {
        let mood = 100 * scores.iter().sum::<i32>() / scores.len() as i32;
        sentiment.push(tells(format!(
            "The mood is {} on a scale from -100 to +100: {} {} positive and {} negative",
            signed(mood),
            many(posts.len(), "post or summary was read, of which", "posts or summaries were read, of which"),
            scores.iter().filter(|s| **s == 1).count(),
            scores.iter().filter(|s| **s == -1).count(),
        )));
    }
    if let Some((bullish, bearish)) = data.marks {
        sentiment.push(counts(
            beyond(f64::from(bullish), f64::from(bearish), f64::from(bearish)),
            format!("{bullish} messages are marked bullish and {bearish} bearish by their writers"),
        ));
    }
    let odd =
        posts.iter().filter(|item| quotable(&item.title).is_none() || quotable(&item.body).is_none()).count();
    let risk = vec![if odd > 0 {
        tells(format!(
            "{} like an attempt to steer the reader, a sign of manipulation",
            many(odd, "item reads", "items read")
        ))
    } else {
        tells("Nothing in the posts reads like an attempt to steer the reader".into())
    }];
    let mut sources: Vec<&str> = posts.iter().map(|item| item.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    let outlook = vec![tells(format!(
        "The mood rests on {} only, so its weight is small",
        many(sources.len(), "source", "sources")
    ))];
    let more = bodies(posts.iter().copied());
    let parts = vec![("sentiment", sentiment), ("themes", themes), ("risk", risk), ("outlook", outlook)];
    let mut findings = Findings { more, ..Findings::new(parts) };
    bound(&mut findings);
    findings
}
