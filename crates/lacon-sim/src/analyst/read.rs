//! The data in a prompt: prices, indicators, dated items, facts. Only what stands there is read; nothing is remembered.

use std::collections::BTreeMap;

/// A day of a price table, figures as they stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    pub date: String,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
    /// High, low and close as they are written.
    pub written: [String; 3],
}

/// A dated item of news or talk.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub date: String,
    pub title: String,
    pub source: String,
    pub body: String,
    /// Whether it stands under a heading of market-wide news.
    pub is_market_wide: bool,
}

/// What the text of a prompt holds.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// By date, oldest first.
    pub days: Vec<Day>,
    /// The latest value of each indicator, with its date, as written.
    pub indicators: BTreeMap<String, (String, String)>,
    pub items: Vec<Item>,
    /// Lines of a table of dated facts.
    pub facts: Vec<(String, String)>,
    /// Messages that their writers marked bullish, and bearish.
    pub marks: Option<(u32, u32)>,
    /// The last close that a list of key figures names, as written, with its date.
    pub last_close: Option<(String, String)>,
    /// Why data is missing, in the tools' own words.
    pub missing: Vec<String>,
}

const INDICATORS: [&str; 6] = ["rsi", "macd", "boll", "atr", "close_50_sma", "close_200_sma"];

/// Whether a text begins like 2025-07-30.
pub fn is_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() })
}

impl Data {
    /// Reads the data of a text.
    pub fn read(text: &str) -> Self {
        let mut data = Self::default();
        let mut header: Vec<String> = Vec::new();
        let mut block = String::new();
        let mut days: BTreeMap<String, Day> = BTreeMap::new();
        let mut is_market_wide = false;
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let line = line.trim();
            if let Some(missing) = line.strip_prefix("no data: ") {
                data.missing.push(missing.to_owned());
            } else if let Some(title) = line.strip_prefix("### ") {
                if let Some(item) = item(title, lines.peek().copied(), is_market_wide) {
                    data.items.push(item);
                }
            } else if let Some(title) = line.strip_prefix("## ") {
                block = title.split_whitespace().next().unwrap_or_default().to_owned();
                is_market_wide = title.starts_with("Market-wide");
            } else if line.starts_with("Date,") {
                header = line.split(',').map(str::to_owned).collect();
            } else if let Some((date, rest)) = line.split_once(',').filter(|(date, _)| is_date(date)) {
                data.row(date, rest, &header, &mut days);
            } else if let Some((date, value)) = line.split_once(": ").filter(|(date, _)| is_date(date)) {
                if INDICATORS.contains(&block.as_str()) {
                    data.indicator(&block, date, value);
                }
            } else if let Some(rest) = line.strip_prefix("| ") {
                let cells: Vec<&str> = rest.trim_end_matches('|').splitn(2, " | ").map(str::trim).collect();
                if let [date, fact] = cells[..]
                    && is_date(date)
                {
                    data.facts.push((date.to_owned(), fact.trim_end_matches('.').to_owned()));
                }
            } else if let Some((_, rest)) = line.split_once(" messages: ").filter(|_| block == "StockTwits") {
                let number = |text: &str| text.split_whitespace().next()?.parse().ok();
                let bearish = rest.split_once("bullish, ").and_then(|(_, rest)| number(rest));
                data.marks = number(rest).zip(bearish);
            } else if let Some(rest) = line.strip_prefix("- Last close: ")
                && let Some((close, date)) = rest.split_once(" USD on ")
            {
                data.last_close = Some((close.to_owned(), date.to_owned()));
            }
        }
        data.days = days.into_values().collect();
        data
    }

    fn row(&mut self, date: &str, rest: &str, header: &[String], days: &mut BTreeMap<String, Day>) {
        let cells: Vec<&str> = rest.split(',').map(str::trim).collect();
        let cell = |name: &str| {
            let at = header.iter().position(|h| h == name)?.checked_sub(1)?;
            cells.get(at).copied().filter(|c| !c.is_empty())
        };
        for name in INDICATORS {
            if let Some(value) = cell(name) {
                self.indicator(name, date, value);
            }
        }
        let number = |name: &str| cell(name)?.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
        if let (Some(high), Some(low), Some(close)) = (number("High"), number("Low"), number("Close")) {
            let written = ["High", "Low", "Close"].map(|name| cell(name).unwrap_or_default().to_owned());
            let volume = number("Volume").unwrap_or(0.0);
            days.insert(date.to_owned(), Day { date: date.to_owned(), high, low, close, volume, written });
        }
    }

    fn indicator(&mut self, name: &str, date: &str, value: &str) {
        if value.parse::<f64>().is_ok_and(f64::is_finite) {
            let known = self.indicators.entry(name.to_owned()).or_default();
            if known.0.as_str() < date {
                *known = (date.to_owned(), value.to_owned());
            }
        }
    }

    /// The latest value of an indicator with its date and as written.
    pub fn latest(&self, name: &str) -> Option<(f64, &str, &str)> {
        let (date, written) = self.indicators.get(name)?;
        Some((written.parse().ok()?, date, written))
    }
}

/// "Title (source: x), 2025-07-29" and the line below it.
fn item(title: &str, body: Option<&str>, is_market_wide: bool) -> Option<Item> {
    let (head, date) = title.rsplit_once(", ")?;
    if !is_date(date) {
        return None;
    }
    let (head, source) = match head.rsplit_once(" (source: ") {
        Some((head, source)) => (head, source.trim_end_matches(')')),
        None => (head, "no source named"),
    };
    let body = body.map(str::trim).filter(|b| !b.starts_with('#')).unwrap_or_default();
    Some(Item {
        date: date.to_owned(),
        title: head.trim().to_owned(),
        source: source.to_owned(),
        body: body.to_owned(),
        is_market_wide,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_blocks_items_and_facts_are_read() {
        let data = Data::read(
            "Date,Open,High,Low,Close,Volume,rsi\n2025-07-01,1,3,1,2,100,\n2025-07-02,,,,,,55.1\n\n## macd from a to b\n2025-07-02: -0.5\n\
             ## Market-wide news, x\n### ECB meets (source: central bank), 2025-07-24\nNo cut.\n| 2025-07-08 | Mizuho: Sell, price target 85 USD. |\n\
             - Last close: 181.64 USD on 2025-07-29\nno data: macd of X\n",
        );
        assert_eq!((data.days.len(), data.days[0].close), (1, 2.0));
        assert_eq!(data.latest("rsi"), Some((55.1, "2025-07-02", "55.1")));
        assert_eq!(data.latest("macd"), Some((-0.5, "2025-07-02", "-0.5")));
        assert!(data.items[0].is_market_wide && data.items[0].body == "No cut.");
        assert_eq!(data.facts, [("2025-07-08".to_owned(), "Mizuho: Sell, price target 85 USD".to_owned())]);
        assert_eq!(data.last_close.unwrap().0, "181.64");
        assert_eq!(data.missing, ["macd of X"]);
    }
}
