//! Alpha Vantage: prices, overview, statements, news, insiders, indicators. Needs a key.
//!
//! Errors come as a 200 with JSON, also for CSV requests. A bad key and a rate limit use the same field, and only the
//! words differ. Statements have no publish date.

use std::{sync::Arc, time::Duration};

use jiff::{Span, civil::Date};
use serde_json::Value;

use super::{Account, Ask, Fetched, Key, Problem, Story, Vendor, VendorError, Wire, body, yahoo};
use crate::{
    Bar,
    dataset::{Entry, Statement, StatementKind},
};

const ME: Vendor = Vendor::AlphaVantage;

/// The client.
#[derive(Debug)]
pub struct AlphaVantage {
    wire: Arc<Wire>,
    base: String,
    key: Key,
}

fn check(status: u16, answer: &[u8]) -> Option<(Problem, String)> {
    if status != 200 || answer.len() > 8_192 {
        return None;
    }
    let value: Value = serde_json::from_slice(answer).ok()?;
    let (field, text) = ["Error Message", "Information", "Note"]
        .iter()
        .find_map(|field| Some((*field, value.get(field)?.as_str()?)))?;
    let lower = text.to_lowercase();
    let problem = if ["rate limit", "requests per", "request per", "call frequency"]
        .iter()
        .any(|w| lower.contains(w))
    {
        Problem::RateLimited
    } else if lower.contains("apikey") || lower.contains("api key") || lower.contains("premium") {
        Problem::Unauthorised
    } else if field == "Error Message" {
        Problem::BadRequest
    } else {
        Problem::UpstreamDown
    };
    Some((problem, body::clean(text).chars().take(200).collect()))
}

impl AlphaVantage {
    /// Makes a client.
    pub fn new(wire: Arc<Wire>, account: &Account) -> Self {
        Self { wire, base: account.base(ME), key: account.key.clone() }
    }

    fn ask(&self, function: &str) -> Result<Ask, VendorError> {
        if self.key.is_empty() {
            return Err(VendorError::no_key(ME, "ALPHA_VANTAGE_API_KEY"));
        }
        let ask = Ask::get(ME, format!("{}/query", self.base)).query("function", function);
        Ok(ask.key("apikey", &self.key).check(check))
    }

    /// Daily bars from `start` to `end`, both inclusive, adjusted for splits up to `end`:
    /// prices as they were seen on that day.
    ///
    /// # Errors
    /// What the vendor says; [`Problem::NoData`] when no bar lies in the window.
    pub async fn daily(
        &self,
        symbol: &str,
        start: Date,
        end: Date,
        today: Date,
    ) -> Result<Fetched<Vec<Bar>>, VendorError> {
        // The compact answer holds the last 100 rows: about 140 days.
        let far = today.checked_sub(Span::new().days(130)).is_ok_and(|edge| start < edge);
        let ask = self
            .ask("TIME_SERIES_DAILY_ADJUSTED")?
            .query("symbol", symbol)
            .query("outputsize", if far { "full" } else { "compact" })
            .query("datatype", "csv")
            .window(Some(start), Some(end));
        let got = self.wire.send(&ask).await?;
        let mut bars = parse_daily(&got.body, &got.content_type, end)?;
        bars.retain(|b| b.date >= start);
        if bars.is_empty() {
            let what = format!("no trading day of {symbol} from {start} to {end}");
            return Err(VendorError::new(ME, Problem::NoData, what));
        }
        Ok(Fetched { value: bars, sources: vec![got.source] })
    }

    /// Figures of today, label and value.
    ///
    /// # Errors
    /// What the vendor says; [`Problem::NoData`] when the symbol is unknown.
    pub async fn overview(&self, symbol: &str) -> Result<Fetched<Vec<(String, String)>>, VendorError> {
        let ask = self.ask("OVERVIEW")?.query("symbol", symbol).fresh_for(Duration::from_secs(1800));
        let got = self.wire.send(&ask).await?;
        let facts = parse_overview(&got.body)?;
        if facts.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no overview of {symbol}")));
        }
        Ok(Fetched { value: facts, sources: vec![got.source] })
    }

    /// All statements, with assumed publish dates.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn statements(&self, symbol: &str) -> Result<Fetched<Vec<Statement>>, VendorError> {
        let mut all = Fetched { value: Vec::new(), sources: Vec::new() };
        for (function, kind) in [
            ("BALANCE_SHEET", StatementKind::Balance),
            ("CASH_FLOW", StatementKind::CashFlow),
            ("INCOME_STATEMENT", StatementKind::Income),
        ] {
            let ask = self.ask(function)?.query("symbol", symbol).fresh_for(Duration::from_secs(3600));
            let got = self.wire.send(&ask).await?;
            all.value.extend(parse_statements(&got.body, kind)?);
            all.sources.push(got.source);
        }
        if all.value.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no statement of {symbol}")));
        }
        Ok(all)
    }

    /// News with the vendor's sentiment, of a ticker or of topics.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn news(
        &self,
        ticker: Option<&str>,
        start: Date,
        end: Date,
    ) -> Result<Fetched<Vec<Story>>, VendorError> {
        let compact = |day: Date| day.strftime("%Y%m%d").to_string();
        let ask = self.ask("NEWS_SENTIMENT")?;
        let ask = match ticker {
            Some(ticker) => ask.query("tickers", ticker),
            None => ask.query("topics", "economy_macro,financial_markets"),
        };
        let ask = ask
            .query("time_from", &format!("{}T0000", compact(start)))
            .query("time_to", &format!("{}T2359", compact(end)))
            .query("limit", "50")
            .query("sort", "LATEST")
            .window(Some(start), Some(end));
        let got = self.wire.send(&ask).await?;
        Ok(Fetched { value: parse_news(&got.body, ticker)?, sources: vec![got.source] })
    }

    /// Insider transactions, newest first.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn insiders(&self, symbol: &str) -> Result<Fetched<Vec<Entry>>, VendorError> {
        let ask =
            self.ask("INSIDER_TRANSACTIONS")?.query("symbol", symbol).fresh_for(Duration::from_secs(1800));
        let got = self.wire.send(&ask).await?;
        Ok(Fetched { value: parse_insiders(&got.body)?, sources: vec![got.source] })
    }

    /// One indicator as the vendor computes it: day and the columns in the file's order.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn indicator(
        &self,
        function: &str,
        symbol: &str,
        period: u32,
    ) -> Result<Fetched<Vec<(Date, Vec<f64>)>>, VendorError> {
        let ask = self
            .ask(function)?
            .query("symbol", symbol)
            .query("interval", "daily")
            .query("time_period", &period.to_string())
            .query("series_type", "close")
            .query("datatype", "csv");
        let got = self.wire.send(&ask).await?;
        Ok(Fetched { value: parse_indicator(&got.body, &got.content_type)?, sources: vec![got.source] })
    }
}

/// The rows of a CSV as cells, the header first; a body that is JSON is no CSV.
fn rows(answer: &[u8], content_type: &str) -> Result<Vec<Vec<String>>, VendorError> {
    if body::is_html(answer) || answer.trim_ascii_start().starts_with(b"{") {
        return Err(body::malformed(ME, "the answer is no CSV"));
    }
    let text = body::text(ME, answer, content_type)?;
    let cells = |l: &str| l.split(',').map(|c| c.trim().to_owned()).collect();
    Ok(text.lines().filter(|l| !l.trim().is_empty()).map(cells).collect())
}

/// Reads daily prices up to a day; they are brought to that day's shares by the split factors of later rows.
///
/// # Errors
/// [`Problem::Malformed`] for a missing column or a row that is no row.
pub fn parse_daily(answer: &[u8], content_type: &str, until: Date) -> Result<Vec<Bar>, VendorError> {
    let rows = rows(answer, content_type)?;
    let Some((header, rows)) = rows.split_first() else {
        return Err(body::malformed(ME, "the CSV is empty"));
    };
    let column = |name: &str| {
        let found = header.iter().position(|c| c == name);
        found.ok_or_else(|| body::malformed(ME, format!("column {name:?} is missing")))
    };
    let day = column("timestamp")?;
    let columns = [column("open")?, column("high")?, column("low")?, column("close")?, column("volume")?];
    let split = header.iter().position(|c| c == "split_coefficient");
    let mut read: Vec<(Bar, f64)> = Vec::with_capacity(rows.len());
    for (n, row) in rows.iter().enumerate() {
        let line = || body::malformed(ME, format!("row {} is no price row", n + 2));
        let date = row.get(day).and_then(|c| c.parse().ok()).ok_or_else(line)?;
        let mut values = [0.0; 5];
        for (value, i) in values.iter_mut().zip(columns) {
            let parsed = row.get(i).and_then(|c| c.parse().ok()).filter(|v: &f64| v.is_finite());
            *value = parsed.ok_or_else(line)?;
        }
        let factor: f64 = split.and_then(|i| row.get(i)?.parse().ok()).unwrap_or(1.0);
        let [open, high, low, close, volume] = values;
        read.push((Bar { date, open, high, low, close, volume }, factor));
    }
    read.retain(|(bar, _)| bar.date <= until);
    read.sort_by_key(|(bar, _)| bar.date);
    let mut later = 1.0;
    for (bar, factor) in read.iter_mut().rev() {
        for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
            *price /= later;
        }
        bar.volume *= later;
        if *factor > 0.0 {
            later *= *factor;
        }
    }
    Ok(read.into_iter().map(|(bar, _)| bar).collect())
}

/// Reads an overview: label and value, "None" left out.
///
/// # Errors
/// [`Problem::Malformed`] when it is no JSON object.
pub fn parse_overview(answer: &[u8]) -> Result<Vec<(String, String)>, VendorError> {
    let value = body::json(ME, answer)?;
    let map = value.as_object().ok_or_else(|| body::malformed(ME, "the overview is no object"))?;
    Ok(map
        .iter()
        .filter_map(|(name, value)| {
            let text = body::clean(value.as_str()?);
            (!matches!(text.as_str(), "" | "None" | "-")).then(|| (body::clean(name), text))
        })
        .take(80)
        .collect())
}

/// Reads one kind of statement.
///
/// # Errors
/// [`Problem::Malformed`] when it is no JSON object.
pub fn parse_statements(answer: &[u8], kind: StatementKind) -> Result<Vec<Statement>, VendorError> {
    let value = body::json(ME, answer)?;
    if !value.is_object() {
        return Err(body::malformed(ME, "the statements are no object"));
    }
    let mut all = Vec::new();
    for (list, frequency) in [("annualReports", "annual"), ("quarterlyReports", "quarterly")] {
        for report in value.get(list).and_then(Value::as_array).into_iter().flatten() {
            let Some(day) = report.get("fiscalDateEnding").and_then(Value::as_str).and_then(body::day_in)
            else {
                continue;
            };
            let mut rows: Vec<(String, String)> = report
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| name.as_str() != "fiscalDateEnding")
                .filter_map(|(name, value)| Some((body::clean(name), body::clean(value.as_str()?))))
                .filter(|(_, value)| !matches!(value.as_str(), "" | "None"))
                .collect();
            rows.push((yahoo::ASSUMED.into(), if frequency == "annual" { "90".into() } else { "45".into() }));
            all.push(Statement {
                kind,
                frequency: frequency.into(),
                report_date: day,
                publish_date: yahoo::assumed_publish(frequency, day),
                rows,
            });
        }
    }
    Ok(all)
}

/// Reads news; the sentiment of `ticker` is added where it is given.
///
/// # Errors
/// [`Problem::Malformed`] when there is no feed.
pub fn parse_news(answer: &[u8], ticker: Option<&str>) -> Result<Vec<Story>, VendorError> {
    let value = body::json(ME, answer)?;
    let feed = value.get("feed").and_then(Value::as_array);
    let feed = feed.ok_or_else(|| body::malformed(ME, "the answer holds no feed"))?;
    Ok(feed
        .iter()
        .map(|n| {
            let own = n.get("ticker_sentiment").and_then(Value::as_array).into_iter().flatten();
            let own = own.filter(|t| ticker.is_some() && t.get("ticker").and_then(Value::as_str) == ticker);
            let mark = own
                .map(|t| {
                    format!(
                        " Sentiment {} ({}).",
                        body::field(t, "ticker_sentiment_score"),
                        body::field(t, "ticker_sentiment_label")
                    )
                })
                .next();
            Story {
                date: n.get("time_published").and_then(Value::as_str).and_then(body::day_in),
                source: body::field(n, "source"),
                title: body::field(n, "title"),
                text: body::field(n, "summary") + &mark.unwrap_or_default(),
            }
        })
        .filter(|s| !s.title.is_empty())
        .collect())
}

/// Reads insider transactions.
///
/// # Errors
/// [`Problem::Malformed`] when there is no list.
pub fn parse_insiders(answer: &[u8]) -> Result<Vec<Entry>, VendorError> {
    let value = body::json(ME, answer)?;
    let data = value.get("data").and_then(Value::as_array);
    let data = data.ok_or_else(|| body::malformed(ME, "the answer holds no transactions"))?;
    Ok(super::finnhub::entries(data, &["transaction_date"]))
}

/// Reads an indicator.
///
/// # Errors
/// [`Problem::Malformed`] for a row that is no row.
pub fn parse_indicator(answer: &[u8], content_type: &str) -> Result<Vec<(Date, Vec<f64>)>, VendorError> {
    let rows = rows(answer, content_type)?;
    let mut all = Vec::new();
    for (n, row) in rows.iter().enumerate().skip(1) {
        let read = || {
            let day = row.first()?.parse().ok()?;
            let values: Option<Vec<f64>> =
                row[1..].iter().map(|c| c.parse().ok().filter(|v: &f64| v.is_finite())).collect();
            Some((day, values?))
        };
        all.push(read().ok_or_else(|| body::malformed(ME, format!("row {} is no indicator row", n + 1)))?);
    }
    all.sort_by_key(|(day, _)| *day);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bad key and a rate limit come in the same field; taking one for the other would wait for ever, or never.
    #[test]
    fn a_bad_key_is_not_taken_for_a_rate_limit() {
        for (text, problem) in [
            (
                "Our standard API rate limit is 25 requests per day. Please subscribe to a premium plan.",
                Problem::RateLimited,
            ),
            (
                "Please consider spreading out your free API requests more sparingly (1 request per second).",
                Problem::RateLimited,
            ),
            ("the parameter apikey is invalid or missing.", Problem::Unauthorised),
            (
                "This is a premium endpoint. You may subscribe to any of the premium plans.",
                Problem::Unauthorised,
            ),
        ] {
            let body = serde_json::json!({"Information": text}).to_string();
            assert_eq!(check(200, body.as_bytes()).unwrap().0, problem, "{text}");
        }
        let call = br#"{"Error Message": "Invalid API call. Please retry or visit the documentation."}"#;
        assert_eq!(check(200, call).unwrap().0, Problem::BadRequest);
        assert!(check(200, b"timestamp,open\n").is_none() && check(200, b"{}").is_none());
    }
}
