//! Reads a data folder in the original system's layout.
//!
//! ```text
//! market_data/price_data/{T}-YFin-data-*.csv                   Date,Open,High,Low,Close,Volume
//! finnhub_data/{news_data,insider_senti,insider_trans}/{T}_data_formatted.json   date -> entries
//! reddit_data/{global_news,company_news}/*.jsonl               one post a line
//! fundamental_data/simfin_data_all/{balance_sheet,cash_flow,income_statements}/companies/us/us-*-{annual,quarterly}.csv
//! lacon/{T}.json                                               name, sector, figures, messages: only in packs of Lacon
//! ```
//! Every file is optional; a file that is there and damaged is an error that names its line.

#[cfg(feature = "vendors")]
mod manifest;
#[cfg(feature = "vendors")]
mod write;

use std::{fs, path::Path};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Map, Value};

#[cfg(feature = "vendors")]
pub use manifest::{Checked, verify};
#[cfg(feature = "vendors")]
pub use write::write;

use crate::{
    DataError, Dataset, Item, Symbol, bars,
    dataset::{Entry, Statement, StatementKind, is_unseen},
    symbol,
};

/// The largest file that is read.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// The folder of what the original system's layout has no place for.
const KEPT: &str = "lacon";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    ticker: String,
    name: Option<String>,
    sector: Option<String>,
    exchange: Option<String>,
    listed: Option<Date>,
    date: Option<Date>,
    #[serde(default)]
    fundamentals: Vec<Item>,
    #[serde(default)]
    global_news: Vec<Item>,
    #[serde(default)]
    messages: Vec<Item>,
}

/// The tickers that the folder has prices or news of.
pub fn tickers(root: &Path) -> Vec<String> {
    let names = |folder: &str, end: &str| -> Vec<String> {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        entries.filter_map(|e| Some(e.file_name().to_str()?.split_once(end)?.0.to_owned())).collect()
    };
    let mut all = names("market_data/price_data", "-YFin-data");
    all.extend(names("finnhub_data/news_data", "_data_formatted"));
    all.extend(names(KEPT, ".json").into_iter().filter(|n| n != "manifest"));
    all.sort();
    all.dedup();
    all
}

/// Loads what the folder holds about a ticker.
///
/// # Errors
/// When the folder holds nothing about the ticker, or one of its files is unreadable or malformed.
pub fn load(root: &Path, ticker: &Symbol) -> Result<Dataset, DataError> {
    let known = tickers(root);
    if !known.iter().any(|t| t == ticker.as_str()) {
        return Err(DataError::UnknownTicker {
            ticker: ticker.clone(),
            origin: format!("folder {}", root.display()),
            nearest: symbol::nearest(ticker.as_str(), known.iter().map(String::as_str))
                .into_iter()
                .map(Into::into)
                .collect(),
            known,
        });
    }
    let mut data = Dataset {
        ticker: ticker.as_str().into(),
        origin: format!("folder {}", root.display()),
        ..Dataset::default()
    };
    let prefix = format!("{ticker}-YFin-data");
    for path in
        sorted_files(&root.join("market_data/price_data"), |n| n.starts_with(&prefix) && n.ends_with(".csv"))
    {
        data.bars.extend(bars::parse_csv(&path.display().to_string(), &read(&path)?)?);
    }
    data.bars.sort_by_key(|b| b.date);
    data.bars.dedup_by_key(|b| b.date);
    let kept = root.join(format!("{KEPT}/{ticker}.json"));
    if kept.exists() {
        let name = kept.display().to_string();
        let kept: Kept = serde_json::from_str(&read(&kept)?).map_err(|e| DataError::Malformed {
            name: name.clone(),
            line: e.line(),
            problem: e.to_string(),
        })?;
        if kept.ticker != ticker.as_str() {
            let problem = format!("it is of ticker {:?}", kept.ticker);
            return Err(DataError::Malformed { name, line: 1, problem });
        }
        (data.name, data.sector, data.exchange) = (kept.name, kept.sector, kept.exchange);
        (data.listed, data.date) = (kept.listed, kept.date);
        (data.fundamentals, data.global_news, data.messages) =
            (kept.fundamentals, kept.global_news, kept.messages);
    }

    let finnhub = |kind: &str| dated(&root.join(format!("finnhub_data/{kind}/{ticker}_data_formatted.json")));
    data.company_news = finnhub("news_data")?
        .into_iter()
        .map(|entry| Item {
            date: entry.date,
            source: text(&entry.fields, "source"),
            title: text(&entry.fields, "headline"),
            text: text(&entry.fields, "summary"),
        })
        .collect();
    data.insider_sentiment = finnhub("insider_senti")?;
    data.insider_transactions = finnhub("insider_trans")?;
    data.global_social = posts(&root.join("reddit_data/global_news"), None)?;
    data.social = posts(&root.join("reddit_data/company_news"), Some(ticker.as_str()))?;

    for kind in StatementKind::ALL {
        for frequency in ["annual", "quarterly"] {
            let path = root.join(statement_path(kind, frequency));
            if path.exists() {
                let text = read(&path)?;
                let name = path.display().to_string();
                parse_statements(&name, &text, ticker.as_str(), kind, frequency, &mut data.statements)?;
            }
        }
    }
    Ok(data)
}

fn read(path: &Path) -> Result<String, DataError> {
    let name = path.display().to_string();
    let io = |source| DataError::Io { name: name.clone(), source };
    let bytes = fs::metadata(path).map_err(io)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(DataError::TooLarge { name, bytes, limit: MAX_FILE_BYTES });
    }
    let bytes = fs::read(path).map_err(io)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|b| **b == b'\n').count() + 1;
        DataError::Malformed { name: path.display().to_string(), line, problem: "not UTF-8 text".into() }
    })
}

fn sorted_files(folder: &Path, keep: impl Fn(&str) -> bool) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> =
        entries.filter(|e| e.file_name().to_str().is_some_and(&keep)).map(|e| e.path()).collect();
    paths.sort();
    paths
}

fn text(fields: &Map<String, Value>, key: &str) -> String {
    let text = fields.get(key).and_then(Value::as_str).unwrap_or_default();
    text.chars().filter(|c| !is_unseen(*c)).collect()
}

/// An object of date → list of entries; no file is no entries.
fn dated(path: &Path) -> Result<Vec<Entry>, DataError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let name = path.display().to_string();
    let malformed = |line: usize, problem: String| DataError::Malformed { name: name.clone(), line, problem };
    let days: Map<String, Value> =
        serde_json::from_str(&read(path)?).map_err(|e| malformed(e.line(), e.to_string()))?;
    let mut entries = Vec::new();
    for (day, list) in days {
        let date = bars::parse_date(&day).ok_or_else(|| malformed(1, format!("key {day:?} is no date")))?;
        let list = match list {
            Value::Array(list) => list,
            other => vec![other],
        };
        entries.extend(list.into_iter().filter_map(|entry| match entry {
            Value::Object(fields) => Some(Entry { date, fields }),
            _ => None,
        }));
    }
    entries.sort_by_key(|e| e.date);
    Ok(entries)
}

/// Posts of all `.jsonl` files of a folder, most voted first within a day; with a ticker only those that name it.
fn posts(folder: &Path, ticker: Option<&str>) -> Result<Vec<Item>, DataError> {
    let mut posts = Vec::new();
    for path in sorted_files(folder, |n| n.ends_with(".jsonl")) {
        let source = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        for (index, line) in read(&path)?.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let malformed = |problem: String| DataError::Malformed {
                name: path.display().to_string(),
                line: index + 1,
                problem,
            };
            let post: Map<String, Value> =
                serde_json::from_str(line).map_err(|e| malformed(e.to_string()))?;
            let seconds = post.get("created_utc").and_then(Value::as_f64).unwrap_or(f64::NAN);
            let date = Timestamp::from_second(seconds as i64)
                .ok()
                .filter(|_| seconds.is_finite())
                .map(|t| t.to_zoned_datetime(TimeZone::UTC).date())
                .ok_or_else(|| malformed("created_utc is no time".into()))?;
            let (title, body) = (text(&post, "title"), text(&post, "selftext"));
            let names = |t: &str| {
                let is_word = |c: char| c.is_ascii_alphanumeric();
                [&title, &body].iter().any(|hay| hay.split(|c| !is_word(c)).any(|word| word == t))
            };
            // A pack says whom a post was found for; the original system's files only name it in the text.
            let tagged = post.get("tickers").and_then(Value::as_array);
            let of = |t: &str| tagged.is_some_and(|all| all.iter().any(|v| v == t)) || names(t);
            if ticker.is_none_or(of) {
                let ups = post.get("ups").and_then(Value::as_f64).unwrap_or(0.0);
                posts.push((date, ups, Item { date, source: format!("r/{source}"), title, text: body }));
            }
        }
    }
    posts.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    Ok(posts.into_iter().map(|(_, _, item)| item).collect())
}

/// The word for a kind of statement in SimFin's file names.
pub fn statement_file(kind: StatementKind) -> &'static str {
    match kind {
        StatementKind::Balance => "balance",
        StatementKind::CashFlow => "cashflow",
        StatementKind::Income => "income",
    }
}

/// Where a folder keeps a kind of statement.
pub fn statement_path(kind: StatementKind, frequency: &str) -> String {
    let folder = match kind {
        StatementKind::Balance => "balance_sheet",
        StatementKind::CashFlow => "cash_flow",
        StatementKind::Income => "income_statements",
    };
    let file = statement_file(kind);
    format!("fundamental_data/simfin_data_all/{folder}/companies/us/us-{file}-{frequency}.csv")
}

/// Reads the rows of one ticker from SimFin's CSV.
///
/// # Errors
/// A missing column, or a date that is none, with its line.
pub fn parse_statements(
    name: &str,
    text: &str,
    ticker: &str,
    kind: StatementKind,
    frequency: &str,
    into: &mut Vec<Statement>,
) -> Result<(), DataError> {
    let malformed = |line: usize, problem: String| DataError::Malformed { name: name.into(), line, problem };
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    let header: Vec<&str> =
        lines.next().map(|(_, l)| l.split(';').map(str::trim).collect()).unwrap_or_default();
    let column = |wanted: &str| {
        header
            .iter()
            .position(|c| *c == wanted)
            .ok_or_else(|| malformed(1, format!("column {wanted:?} is missing")))
    };
    let (ticker_column, report, publish) =
        (column("Ticker")?, column("Report Date")?, column("Publish Date")?);
    for (index, line) in lines {
        let cells: Vec<&str> = line.split(';').map(str::trim).collect();
        if cells.get(ticker_column) != Some(&ticker) {
            continue;
        }
        let date = |i: usize| -> Result<Date, DataError> {
            let cell = cells.get(i).copied().unwrap_or("");
            bars::parse_date(cell).ok_or_else(|| malformed(index + 1, format!("{cell:?} is no date")))
        };
        let rows = header.iter().zip(&cells).filter(|(_, v)| !v.is_empty());
        into.push(Statement {
            kind,
            frequency: frequency.into(),
            report_date: date(report)?,
            publish_date: date(publish)?,
            rows: rows.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        });
    }
    Ok(())
}
