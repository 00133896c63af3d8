//! Finnhub: company and market news, insiders, profile, metrics, quote, recommendations, earnings. Needs a key.

use std::{sync::Arc, time::Duration};

use jiff::civil::Date;
use serde_json::Value;

use super::{Account, Ask, Fetched, Key, Problem, Story, Vendor, VendorError, Wire, body, yahoo::Match};
use crate::dataset::Entry;

const ME: Vendor = Vendor::Finnhub;

/// The client.
#[derive(Debug)]
pub struct Finnhub {
    wire: Arc<Wire>,
    base: String,
    key: Key,
}

fn check(status: u16, answer: &[u8]) -> Option<(Problem, String)> {
    if status != 200 || answer.len() > 1_024 {
        return None;
    }
    let value: Value = serde_json::from_slice(answer).ok()?;
    let text = value.get("error")?.as_str()?;
    let lower = text.to_lowercase();
    let problem = if lower.contains("limit") {
        Problem::RateLimited
    } else if lower.contains("key") || lower.contains("access") {
        Problem::Unauthorised
    } else {
        Problem::BadRequest
    };
    Some((problem, body::clean(text)))
}

impl Finnhub {
    /// Makes a client.
    pub fn new(wire: Arc<Wire>, account: &Account) -> Self {
        Self { wire, base: account.base(ME), key: account.key.clone() }
    }

    async fn get(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        window: Option<(Date, Date)>,
    ) -> Result<super::wire::Got, VendorError> {
        if self.key.is_empty() {
            return Err(VendorError::no_key(ME, "FINNHUB_API_KEY"));
        }
        let mut ask = Ask::get(ME, format!("{}{path}", self.base));
        for (name, value) in pairs {
            ask = ask.query(name, value);
        }
        if let Some((start, end)) = window {
            ask = ask
                .query("from", &start.to_string())
                .query("to", &end.to_string())
                .window(Some(start), Some(end));
        }
        let fresh =
            Duration::from_secs(if path.contains("insider") || path.contains("metric") { 1800 } else { 300 });
        self.wire.send(&ask.key_header("x-finnhub-token", "", &self.key).fresh_for(fresh).check(check)).await
    }

    /// News of a company between two days, both inclusive.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn company_news(
        &self,
        symbol: &str,
        start: Date,
        end: Date,
    ) -> Result<Fetched<Vec<Story>>, VendorError> {
        let got = self.get("/company-news", &[("symbol", symbol)], Some((start, end))).await?;
        Ok(Fetched { value: parse_news(&got.body)?, sources: vec![got.source] })
    }

    /// Market-wide news, the latest only.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn market_news(&self) -> Result<Fetched<Vec<Story>>, VendorError> {
        let got = self.get("/news", &[("category", "general")], None).await?;
        Ok(Fetched { value: parse_news(&got.body)?, sources: vec![got.source] })
    }

    /// Monthly insider sentiment. A month is filed under its last day: earlier it was not whole.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn insider_sentiment(
        &self,
        symbol: &str,
        start: Date,
        end: Date,
    ) -> Result<Fetched<Vec<Entry>>, VendorError> {
        let got = self.get("/stock/insider-sentiment", &[("symbol", symbol)], Some((start, end))).await?;
        Ok(Fetched { value: parse_sentiment(&got.body)?, sources: vec![got.source] })
    }

    /// Insider transactions by the day of their filing, which is when they became public.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn insider_transactions(
        &self,
        symbol: &str,
        start: Date,
        end: Date,
    ) -> Result<Fetched<Vec<Entry>>, VendorError> {
        let got = self.get("/stock/insider-transactions", &[("symbol", symbol)], Some((start, end))).await?;
        Ok(Fetched { value: parse_transactions(&got.body)?, sources: vec![got.source] })
    }

    /// Who a symbol belongs to.
    ///
    /// # Errors
    /// What the vendor says; [`Problem::NoData`] for an unknown symbol, which the vendor answers with `{}`.
    pub async fn profile(&self, symbol: &str) -> Result<Fetched<Match>, VendorError> {
        let got = self.get("/stock/profile2", &[("symbol", symbol)], None).await?;
        let value = body::json(ME, &got.body)?;
        let name = body::field(&value, "name");
        if name.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no profile of {symbol}")));
        }
        let found = Match {
            symbol: body::field(&value, "ticker"),
            name,
            sector: body::field(&value, "finnhubIndustry"),
            exchange: body::field(&value, "exchange"),
            kind: "EQUITY".into(),
        };
        Ok(Fetched { value: found, sources: vec![got.source] })
    }

    /// Figures of today: metrics, last quote, recommendations, next earnings.
    ///
    /// # Errors
    /// What the vendor says of the metrics; the other three are left out where they fail.
    pub async fn figures(
        &self,
        symbol: &str,
        today: Date,
    ) -> Result<Fetched<Vec<(String, String)>>, VendorError> {
        let got = self.get("/stock/metric", &[("symbol", symbol), ("metric", "all")], None).await?;
        let mut facts = parse_metrics(&got.body)?;
        let mut sources = vec![got.source];
        let ahead = today.checked_add(jiff::Span::new().days(90)).unwrap_or(today);
        let more = [
            self.get("/quote", &[("symbol", symbol)], None).await,
            self.get("/stock/recommendation", &[("symbol", symbol)], None).await,
            self.get("/calendar/earnings", &[("symbol", symbol)], Some((today, ahead))).await,
        ];
        let readers: [Reader; 3] = [quote_fact, recommendation_fact, earnings_fact];
        for (got, read) in more.into_iter().zip(readers) {
            let Ok(got) = got else { continue };
            if let Some(fact) = body::json(ME, &got.body).ok().and_then(|v| read(&v)) {
                facts.push(fact);
                sources.push(got.source);
            }
        }
        if facts.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no figures of {symbol}")));
        }
        Ok(Fetched { value: facts, sources })
    }
}

/// A figure out of an answer.
type Reader = fn(&Value) -> Option<(String, String)>;

fn quote_fact(value: &Value) -> Option<(String, String)> {
    let price = body::number(value.get("c")?).filter(|p| *p > 0.0)?;
    let change = value.get("dp").and_then(body::number).map(|d| format!(" ({d} % on the day)"));
    Some(("Last quote".into(), format!("{price}{}", change.unwrap_or_default())))
}

fn recommendation_fact(value: &Value) -> Option<(String, String)> {
    let latest = value.as_array()?.first()?;
    let n = |name: &str| latest.get(name).and_then(Value::as_u64).unwrap_or(0);
    let text = format!(
        "strong buy {}, buy {}, hold {}, sell {}, strong sell {} ({})",
        n("strongBuy"),
        n("buy"),
        n("hold"),
        n("sell"),
        n("strongSell"),
        body::field(latest, "period")
    );
    Some(("Analysts' recommendations".into(), text))
}

fn earnings_fact(value: &Value) -> Option<(String, String)> {
    let next = value.get("earningsCalendar")?.as_array()?.iter().map(|e| body::field(e, "date")).min()?;
    Some(("Next earnings".into(), next))
}

/// Reads news.
///
/// # Errors
/// [`Problem::Malformed`] when it is no list.
pub fn parse_news(answer: &[u8]) -> Result<Vec<Story>, VendorError> {
    let value = body::json(ME, answer)?;
    let list = value.as_array().ok_or_else(|| body::malformed(ME, "the news are no list"))?;
    Ok(list
        .iter()
        .map(|n| Story {
            date: n
                .get("datetime")
                .and_then(Value::as_i64)
                .filter(|t| *t > 0)
                .and_then(|t| body::day_of(t, 0)),
            source: body::field(n, "source"),
            title: body::field(n, "headline"),
            text: body::plain(&body::field(n, "summary")),
        })
        .filter(|s| !s.title.is_empty())
        .collect())
}

/// Reads monthly insider sentiment.
///
/// # Errors
/// [`Problem::Malformed`] when there is no list.
pub fn parse_sentiment(answer: &[u8]) -> Result<Vec<Entry>, VendorError> {
    let mut all = Vec::new();
    for entry in list(answer)? {
        let part = |name: &str| entry.get(name).and_then(Value::as_i64);
        let month = part("year")
            .zip(part("month"))
            .and_then(|(y, m)| Date::new(i16::try_from(y).ok()?, i8::try_from(m).ok()?, 1).ok());
        if let (Some(month), Some(fields)) = (month, entry.as_object()) {
            all.push(Entry { date: month.last_of_month(), fields: fields.clone() });
        }
    }
    all.sort_by_key(|e| e.date);
    Ok(all)
}

/// Reads insider transactions.
///
/// # Errors
/// [`Problem::Malformed`] when there is no list.
pub fn parse_transactions(answer: &[u8]) -> Result<Vec<Entry>, VendorError> {
    Ok(entries(&list(answer)?, &["filingDate", "transactionDate"]))
}

fn list(answer: &[u8]) -> Result<Vec<Value>, VendorError> {
    let value = body::json(ME, answer)?;
    let data = value.get("data").and_then(Value::as_array).cloned();
    data.ok_or_else(|| body::malformed(ME, "the answer holds no data"))
}

/// Objects filed under the first of their fields that holds a day; those without a day are dropped.
pub(super) fn entries(list: &[Value], days: &[&str]) -> Vec<Entry> {
    let mut all: Vec<Entry> = list
        .iter()
        .filter_map(|entry| {
            let date = days.iter().find_map(|d| entry.get(*d)?.as_str().and_then(body::day_in))?;
            let fields = entry
                .as_object()?
                .iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| {
                    (body::clean(k), v.as_str().map_or_else(|| v.clone(), |t| body::clean(t).into()))
                })
                .collect();
            Some(Entry { date, fields })
        })
        .collect();
    all.sort_by_key(|e| e.date);
    all
}

/// The metrics that are shown, by the vendor's name and ours.
const METRICS: &[(&str, &str)] = &[
    ("marketCapitalization", "Market value in millions"),
    ("peTTM", "Price to earnings, trailing"),
    ("psTTM", "Price to sales, trailing"),
    ("pb", "Price to book"),
    ("epsTTM", "Earnings per share, trailing"),
    ("grossMarginTTM", "Gross margin in %"),
    ("operatingMarginTTM", "Operating margin in %"),
    ("netProfitMarginTTM", "Net margin in %"),
    ("roeTTM", "Return on equity in %"),
    ("revenueGrowthTTMYoy", "Revenue growth in %"),
    ("currentRatioQuarterly", "Current ratio"),
    ("totalDebt/totalEquityQuarterly", "Debt to equity"),
    ("beta", "Beta"),
    ("52WeekHigh", "52-week high"),
    ("52WeekLow", "52-week low"),
];

/// Reads the metric map.
///
/// # Errors
/// [`Problem::Malformed`] when there is none.
pub fn parse_metrics(answer: &[u8]) -> Result<Vec<(String, String)>, VendorError> {
    let value = body::json(ME, answer)?;
    let map = value.get("metric").and_then(Value::as_object);
    let map = map.ok_or_else(|| body::malformed(ME, "the answer holds no metrics"))?;
    Ok(METRICS
        .iter()
        .filter_map(|(name, label)| Some(((*label).to_owned(), body::number(map.get(*name)?)?.to_string())))
        .collect())
}
