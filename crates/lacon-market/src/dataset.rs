//! The data of one ticker, from any source.

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Bar, Indicator};

/// A dated text: a headline, a post, a fact.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// When it was published.
    pub date: Date,
    /// Who published it.
    #[serde(default)]
    pub source: String,
    /// Its headline.
    #[serde(default)]
    pub title: String,
    /// Its text.
    pub text: String,
}

/// A financial statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Balance sheet, cash flow or income.
    pub kind: StatementKind,
    /// `annual` or `quarterly`.
    pub frequency: String,
    /// End of the period.
    pub report_date: Date,
    /// When it became public; what counts in a back-test.
    pub publish_date: Date,
    /// Label and value, in the file's order; empty values left out.
    pub rows: Vec<(String, String)>,
}

/// The kinds of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// Balance sheet.
    Balance,
    /// Cash flow.
    CashFlow,
    /// Income statement.
    Income,
}

impl StatementKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Balance, Self::CashFlow, Self::Income];
}

/// An entry of a dated JSON file, kept as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The day under which it is filed.
    pub date: Date,
    /// Its fields.
    pub fields: Map<String, Value>,
}

/// Everything known about one ticker.
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    /// The ticker.
    pub ticker: String,
    /// The company's name.
    pub name: Option<String>,
    /// What it does.
    pub sector: Option<String>,
    /// Where it is listed.
    pub exchange: Option<String>,
    /// The first day of trading.
    pub listed: Option<Date>,
    /// The date that the data was gathered for; a run's default date.
    pub date: Option<Date>,
    /// Where it all comes from, as shown to a user.
    pub origin: String,
    /// Daily bars, oldest first.
    pub bars: Vec<Bar>,
    /// Indicator values taken over from a vendor where the bars alone are too few to compute them.
    pub recorded: Vec<(Indicator, Date, f64)>,
    /// Company news.
    pub company_news: Vec<Item>,
    /// Market-wide news.
    pub global_news: Vec<Item>,
    /// Posts about the company.
    pub social: Vec<Item>,
    /// Posts about the market.
    pub global_social: Vec<Item>,
    /// Messages on the symbol: the writer as source, the mood that it chose as title.
    pub messages: Vec<Item>,
    /// Dated facts on the company's value.
    pub fundamentals: Vec<Item>,
    /// Monthly insider sentiment.
    pub insider_sentiment: Vec<Entry>,
    /// Insider transactions.
    pub insider_transactions: Vec<Entry>,
    /// Statements.
    pub statements: Vec<Statement>,
}

/// Controls but line ends and tabs, and the marks that turn or hide text: a model would read what a person does not see.
pub(crate) fn is_unseen(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// What no sound data looks like: bars whose high is below their low, doubled days, statements published before their
/// period ended, anything dated after the pack's own day.
pub fn oddities(data: &Dataset) -> Vec<String> {
    let mut found = Vec::new();
    for b in &data.bars {
        let sound = b.low <= b.high && b.low > 0.0 && b.volume >= 0.0;
        if !sound {
            found.push(format!("bar of {}: high {}, low {}, volume {}", b.date, b.high, b.low, b.volume));
        }
    }
    found.extend(
        data.bars
            .windows(2)
            .filter(|w| w[0].date >= w[1].date)
            .map(|w| format!("bar of {} comes twice", w[1].date)),
    );
    for s in data.statements.iter().filter(|s| s.publish_date < s.report_date) {
        found.push(format!("statement of {} published on {}", s.report_date, s.publish_date));
    }
    if let Some(day) = data.date {
        let texts = [&data.company_news, &data.global_news, &data.social, &data.fundamentals, &data.messages];
        let mut late: Vec<Date> = texts.iter().flat_map(|l| l.iter()).map(|i| i.date).collect();
        late.extend(data.bars.iter().map(|b| b.date));
        late.extend(data.statements.iter().map(|s| s.publish_date));
        late.extend(data.insider_sentiment.iter().chain(&data.insider_transactions).map(|e| e.date));
        let n = late.iter().filter(|d| **d > day).count();
        if n > 0 {
            found.push(format!("{n} entries are dated after the pack's day {day}"));
        }
    }
    found.truncate(20);
    found
}
