//! Writes a data set into a folder in the original system's layout.
//!
//! Data without a place in that layout (name, sector, exchange, key figures, market news, messages) goes to
//! `lacon/{T}.json`, which only Lacon reads. Files that several tickers share are merged. Every file is written beside
//! its place and renamed. The list of digests comes last, so [`super::verify()`] detects an unfinished pack.

use std::{collections::BTreeMap, fs, path::Path};

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{KEPT, manifest, read, statement_path};
use crate::{
    DataError, Dataset, Item, Symbol,
    dataset::{Entry, Statement, StatementKind},
};

/// Writes what is known of a ticker; gives the files that were written, relative to `root`.
///
/// # Errors
/// The first file that cannot be written, or a shared file that is there and cannot be understood.
pub fn write(root: &Path, ticker: &Symbol, data: &Dataset) -> Result<Vec<String>, DataError> {
    let mut written = Vec::new();
    let mut put = |path: String, text: String| -> Result<(), DataError> {
        put_whole(&root.join(&path), text.as_bytes())?;
        written.push(path);
        Ok(())
    };
    prices(root, ticker, data, &mut put)?;
    let news: Vec<(jiff::civil::Date, Value)> = data
        .company_news
        .iter()
        .map(|n| (n.date, json!({"headline": n.title, "summary": n.text, "source": n.source})))
        .collect();
    let entries =
        |all: &[Entry]| all.iter().map(|e| (e.date, Value::Object(e.fields.clone()))).collect::<Vec<_>>();
    for (kind, list) in [
        ("news_data", news),
        ("insider_senti", entries(&data.insider_sentiment)),
        ("insider_trans", entries(&data.insider_transactions)),
    ] {
        if !list.is_empty() {
            let mut days: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            list.into_iter().for_each(|(day, entry)| days.entry(day.to_string()).or_default().push(entry));
            put(format!("finnhub_data/{kind}/{ticker}_data_formatted.json"), pretty(&json!(days)))?;
        }
    }
    posts(root, ticker, &data.social, &mut put)?;
    for kind in StatementKind::ALL {
        for frequency in ["annual", "quarterly"] {
            let own: Vec<&Statement> =
                data.statements.iter().filter(|s| s.kind == kind && s.frequency == frequency).collect();
            if !own.is_empty() {
                let path = statement_path(kind, frequency);
                let merged = merge_statements(root, &path, ticker.as_str(), &own)?;
                put(path, merged)?;
            }
        }
    }
    let kept = json!({
        "ticker": ticker.as_str(), "name": data.name, "sector": data.sector, "exchange": data.exchange,
        "listed": data.listed, "date": data.date, "fundamentals": items(&data.fundamentals),
        "global_news": items(&data.global_news), "messages": items(&data.messages),
    });
    put(format!("{KEPT}/{ticker}.json"), pretty(&kept))?;
    manifest::update(root, &written)?;
    Ok(written)
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

fn items(all: &[Item]) -> Value {
    all.iter()
        .map(|i| json!({"date": i.date, "source": i.source, "title": i.title, "text": i.text}))
        .collect()
}

type Put<'a> = &'a mut dyn FnMut(String, String) -> Result<(), DataError>;

fn prices(root: &Path, ticker: &Symbol, data: &Dataset, put: Put<'_>) -> Result<(), DataError> {
    let (Some(first), Some(last)) = (data.bars.first(), data.bars.last()) else { return Ok(()) };
    let mut text = String::from("Date,Open,High,Low,Close,Volume\n");
    for b in &data.bars {
        text.push_str(&format!("{},{},{},{},{},{}\n", b.date, b.open, b.high, b.low, b.close, b.volume));
    }
    let folder = "market_data/price_data";
    let name = format!("{ticker}-YFin-data-{}-{}.csv", first.date, last.date);
    // Prices are in the shares of the pack's day: those of an earlier pull may be in others and must not be mixed in.
    let prefix = format!("{ticker}-YFin-data-");
    for path in super::sorted_files(&root.join(folder), |n| n.starts_with(&prefix) && n != name) {
        fs::remove_file(&path)
            .map_err(|source| DataError::Io { name: path.display().to_string(), source })?;
    }
    put(format!("{folder}/{name}"), text)
}

/// One file a forum; lines of other tickers stay, the ticker's own are replaced.
fn posts(root: &Path, ticker: &Symbol, posts: &[Item], put: Put<'_>) -> Result<(), DataError> {
    let mut forums: BTreeMap<String, Vec<&Item>> = BTreeMap::new();
    for post in posts {
        let forum = post.source.strip_prefix("r/").and_then(|s| s.split(',').next()).unwrap_or("posts");
        let safe: String =
            forum.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
        forums.entry(if safe.is_empty() { "posts".into() } else { safe }).or_default().push(post);
    }
    for (forum, posts) in forums {
        let path = format!("reddit_data/company_news/{forum}.jsonl");
        let mut lines: Vec<String> = match root.join(&path).exists() {
            true => read(&root.join(&path))?
                .lines()
                .filter(|l| !is_of(l, ticker.as_str()))
                .map(Into::into)
                .collect(),
            false => Vec::new(),
        };
        for post in posts {
            let at = post.date.to_zoned_datetime(TimeZone::UTC).map_or(0, |z| z.timestamp().as_second());
            let line = json!({"created_utc": at, "title": post.title, "selftext": post.text, "tickers": [ticker.as_str()]});
            lines.push(line.to_string());
        }
        put(path, lines.join("\n") + "\n")?;
    }
    Ok(())
}

fn is_of(line: &str, ticker: &str) -> bool {
    let post: Map<String, Value> = serde_json::from_str(line).unwrap_or_default();
    post.get("tickers").and_then(Value::as_array).is_some_and(|t| t.len() == 1 && t[0] == ticker)
}

/// A file of all companies with this ticker's rows replaced; columns that are new come at the end.
fn merge_statements(root: &Path, path: &str, ticker: &str, own: &[&Statement]) -> Result<String, DataError> {
    let safe = |text: &str| text.replace([';', '\n', '\r'], ",");
    let mut header: Vec<String> = ["Ticker", "Report Date", "Publish Date"].map(Into::into).to_vec();
    let mut rows: Vec<BTreeMap<String, String>> = Vec::new();
    if root.join(path).exists() {
        let text = read(&root.join(path))?;
        let mut lines = text.lines();
        if let Some(first) = lines.next() {
            header = first.split(';').map(|c| c.trim().to_owned()).collect();
        }
        for line in lines {
            let cells = line.split(';').map(|c| c.trim().to_owned());
            let row: BTreeMap<String, String> = header.iter().cloned().zip(cells).collect();
            if row.get("Ticker").is_some_and(|t| t != ticker) {
                rows.push(row);
            }
        }
    }
    for statement in own {
        let mut row: BTreeMap<String, String> =
            statement.rows.iter().map(|(k, v)| (safe(k), safe(v))).collect();
        row.insert("Ticker".into(), ticker.into());
        row.insert("Report Date".into(), statement.report_date.to_string());
        row.insert("Publish Date".into(), statement.publish_date.to_string());
        for (column, _) in &statement.rows {
            let column = safe(column);
            if !header.contains(&column) {
                header.push(column);
            }
        }
        rows.push(row);
    }
    let mut text = header.join(";") + "\n";
    for row in rows {
        let cells: Vec<&str> = header.iter().map(|c| row.get(c).map_or("", String::as_str)).collect();
        text.push_str(&cells.join(";"));
        text.push('\n');
    }
    Ok(text)
}

/// Writes a file so that a reader sees the old one or the whole new one.
pub(super) fn put_whole(path: &Path, content: &[u8]) -> Result<(), DataError> {
    lacon_files::write(path, content, [], lacon_files::Flush::Later)
        .map_err(|refusal| DataError::Io { name: path.display().to_string(), source: refusal.into_io() })
}
