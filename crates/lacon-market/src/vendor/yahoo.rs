//! Yahoo Finance: chart, quote summary (cookie and crumb, see `session`), fundamentals time series, search, ticker
//! news. No key.
//!
//! Days are those of the exchange: a bar's time plus the exchange's offset. Rows without a price are days without
//! trading. The vendor appends the current day even past the requested end, so bars are cut again here.

mod session;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{Span, civil::Date, tz::TimeZone};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Account, Ask, Fetched, Problem, Story, Vendor, VendorError, Wire, body};
use crate::{
    Bar,
    dataset::{Statement, StatementKind},
};

const ME: Vendor = Vendor::Yahoo;

/// The client.
#[derive(Debug)]
pub struct Yahoo {
    wire: Arc<Wire>,
    base: String,
    cookie_url: String,
    consent_url: String,
    collect_url: String,
    news_url: String,
    session: Mutex<Option<(String, String)>>,
}

/// Prices and what happened to the share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// The symbol as the vendor writes it.
    pub symbol: String,
    /// The currency of the prices.
    pub currency: String,
    /// The exchange's name.
    pub exchange: String,
    /// Share, fund, index, currency, coin, future.
    pub kind: String,
    /// The company's name, where it is given.
    pub name: String,
    /// The first day of trading, where it is given.
    pub listed: Option<Date>,
    /// Daily bars, oldest first, adjusted for splits only.
    pub bars: Vec<Bar>,
    /// Ex-dates and amounts.
    pub dividends: Vec<(Date, f64)>,
    /// Days of splits and how many shares one became.
    pub splits: Vec<(Date, f64)>,
}

/// Who a symbol belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// The symbol.
    pub symbol: String,
    /// The name.
    pub name: String,
    /// Its sector.
    pub sector: String,
    /// Its exchange.
    pub exchange: String,
    /// Share, fund, index, currency, coin, future.
    pub kind: String,
}

fn check(status: u16, answer: &[u8]) -> Option<(Problem, String)> {
    let text = String::from_utf8_lossy(&answer[..answer.len().min(4096)]);
    if text.to_lowercase().contains("will be right back") {
        return Some((Problem::UpstreamDown, "the vendor's page says that it will be right back".into()));
    }
    if text.trim_start().starts_with("Too Many Requests") {
        return Some((Problem::RateLimited, "too many requests".into()));
    }
    if status == 401 || text.contains("Invalid Crumb") {
        return Some((Problem::Unauthorised, "the crumb was refused".into()));
    }
    if !matches!(status, 200 | 400 | 404 | 422) {
        return None;
    }
    // Only small answers are errors; parsing a whole chart twice would be waste.
    if status == 200 && !text[..text.len().min(300)].contains("\"result\":null") {
        return None;
    }
    let value: Value = serde_json::from_slice(answer).ok()?;
    let error = value.as_object()?.values().find_map(|v| v.get("error").filter(|e| !e.is_null()))?;
    let code = body::field(error, "code");
    let description = body::field(error, "description");
    let problem = match (status, code.as_str()) {
        (404, _) | (_, "Not Found") => Problem::NoData,
        (400 | 422, _) | (_, "Bad Request" | "Unprocessable Entity") => Problem::BadRequest,
        _ => Problem::UpstreamDown,
    };
    Some((problem, format!("{code}: {description}")))
}

impl Yahoo {
    /// Makes a client; `account.base_url` replaces all of the vendor's hosts.
    pub fn new(wire: Arc<Wire>, account: &Account) -> Self {
        let base = account.base(ME);
        let own = account.base_url.is_empty();
        let pick = |default: &str| if own { default.to_owned() } else { base.clone() };
        Self {
            wire,
            cookie_url: pick("https://fc.yahoo.com"),
            consent_url: pick("https://guce.yahoo.com"),
            collect_url: pick("https://consent.yahoo.com"),
            news_url: pick("https://finance.yahoo.com"),
            base,
            session: Mutex::new(None),
        }
    }

    fn get(&self, path: &str) -> Ask {
        Ask::get(ME, format!("{}{path}", self.base)).check(check)
    }

    /// Daily bars from `start` to `end`, both inclusive.
    ///
    /// # Errors
    /// [`Problem::NoData`] when the symbol is unknown or has no bar in the window.
    pub async fn chart(&self, symbol: &str, start: Date, end: Date) -> Result<Fetched<Chart>, VendorError> {
        let got = self.wire.send(&self.chart_ask(symbol, start, end, "1d")).await?;
        let mut chart = parse_chart(&got.body)?;
        chart.bars.retain(|b| b.date >= start && b.date <= end);
        if chart.bars.is_empty() {
            let listed = chart.listed.map(|d| format!("; first day of trading {d}")).unwrap_or_default();
            let what = format!("no trading day of {symbol} from {start} to {end}{listed}");
            return Err(VendorError::new(ME, Problem::NoData, what));
        }
        Ok(Fetched { value: chart, sources: vec![got.source] })
    }

    /// Splits after a day: prices of that day as they were seen then are the adjusted ones times the ratio.
    ///
    /// # Errors
    /// As [`Yahoo::chart`]; no split is no error.
    pub async fn splits_after(&self, symbol: &str, day: Date, today: Date) -> Result<f64, VendorError> {
        if day >= today {
            return Ok(1.0);
        }
        let got = match self.wire.send(&self.chart_ask(symbol, day, today, "3mo")).await {
            Ok(got) => got,
            Err(error) if error.problem == Problem::NoData => return Ok(1.0),
            Err(error) => return Err(error),
        };
        Ok(parse_chart(&got.body)?.splits.iter().filter(|(d, _)| *d > day).map(|(_, r)| r).product())
    }

    fn chart_ask(&self, symbol: &str, start: Date, end: Date, interval: &str) -> Ask {
        // The vendor's end is exclusive: the day after is asked for, so that `end` itself is there.
        let next = end.checked_add(Span::new().days(1)).unwrap_or(end);
        self.get(&format!("/v8/finance/chart/{}", body::encode(symbol)))
            .query("period1", &seconds(start).to_string())
            .query("period2", &seconds(next).to_string())
            .query("interval", interval)
            .query("includePrePost", "false")
            .query("events", "div,splits,capitalGains")
            .window(Some(start), Some(end))
    }

    /// Figures of today: name, sector, ratios. They are of the moment of asking, never of an earlier day.
    ///
    /// # Errors
    /// What the vendor says; a refused crumb is fetched anew once.
    pub async fn quote_summary(&self, symbol: &str) -> Result<Fetched<Summary>, VendorError> {
        for fresh in [false, true] {
            let (cookie, crumb) = self.session(fresh).await?;
            let ask = self
                .get(&format!("/v10/finance/quoteSummary/{}", body::encode(symbol)))
                .query(
                    "modules",
                    "assetProfile,summaryDetail,defaultKeyStatistics,financialData,quoteType,price",
                )
                .query("formatted", "false")
                .key("crumb", &super::Key::new(&crumb))
                .header("cookie", &cookie)
                .fresh_for(Duration::from_secs(1800));
            match self.wire.send(&ask).await {
                Err(error) if error.problem == Problem::Unauthorised && !fresh => {}
                other => {
                    let got = other?;
                    return Ok(Fetched { value: parse_summary(&got.body)?, sources: vec![got.source] });
                }
            }
        }
        Err(VendorError::new(ME, Problem::Unauthorised, "two crumbs were refused"))
    }

    /// Cookie and crumb, kept until one is refused.
    async fn session(&self, fresh: bool) -> Result<(String, String), VendorError> {
        let mut session = self.session.lock().await;
        if let Some(known) = session.as_ref().filter(|_| !fresh) {
            return Ok(known.clone());
        }
        let opened = self.open().await?;
        *session = Some(opened.clone());
        Ok(opened)
    }

    /// Statements of the last years and quarters. The vendor gives no publish date: [`assumed_publish`] stands in.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn statements(
        &self,
        symbol: &str,
        until: Date,
    ) -> Result<Fetched<Vec<Statement>>, VendorError> {
        let start = until.checked_sub(Span::new().years(5)).unwrap_or(until);
        let names: Vec<String> = ["annual", "quarterly"]
            .iter()
            .flat_map(|f| FIELDS.iter().map(move |(_, name, _)| format!("{f}{name}")))
            .collect();
        let ask = self
            .get(&format!("/ws/fundamentals-timeseries/v1/finance/timeseries/{}", body::encode(symbol)))
            .query("symbol", symbol)
            .query("type", &names.join(","))
            .query("period1", &seconds(start).to_string())
            .query("period2", &seconds(until.tomorrow().unwrap_or(until)).to_string())
            .window(Some(start), Some(until))
            .fresh_for(Duration::from_secs(3600));
        let got = self.wire.send(&ask).await?;
        let statements = parse_timeseries(&got.body)?;
        if statements.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no statement of {symbol}")));
        }
        Ok(Fetched { value: statements, sources: vec![got.source] })
    }

    /// Symbols and headlines that match words.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn search(&self, words: &str) -> Result<Fetched<(Vec<Match>, Vec<Story>)>, VendorError> {
        let ask = self
            .get("/v1/finance/search")
            .query("q", words)
            .query("newsCount", "20")
            .query("quotesCount", "6")
            .query("enableFuzzyQuery", "false");
        let got = self.wire.send(&ask).await?;
        Ok(Fetched { value: parse_search(&got.body)?, sources: vec![got.source] })
    }

    /// The latest news of a symbol.
    ///
    /// # Errors
    /// What the vendor says.
    pub async fn news(&self, symbol: &str) -> Result<Fetched<Vec<Story>>, VendorError> {
        let request = json!({"serviceConfig": {"snippetCount": 20, "s": [symbol]}});
        let url = format!("{}/xhr/ncp?queryRef=latestNews&serviceKey=ncp_fin", self.news_url);
        let ask = Ask::post(ME, url, "application/json", request.to_string().into_bytes()).check(check);
        let got = self.wire.send(&ask).await?;
        let stories = parse_news(&got.body)?;
        if stories.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no news of {symbol}")));
        }
        Ok(Fetched { value: stories, sources: vec![got.source] })
    }
}

fn seconds(day: Date) -> i64 {
    day.to_zoned_datetime(TimeZone::UTC).map_or(0, |z| z.timestamp().as_second())
}

/// Reads a chart.
///
/// # Errors
/// [`Problem::NoData`] when the answer holds no result, [`Problem::Malformed`] when arrays do not fit together.
pub fn parse_chart(answer: &[u8]) -> Result<Chart, VendorError> {
    let value = body::json(ME, answer)?;
    let Some(result) = value.pointer("/chart/result/0") else {
        let why = value.pointer("/chart/error").map(|e| body::field(e, "description")).unwrap_or_default();
        return Err(match why.is_empty() {
            true => body::malformed(ME, "the answer holds no chart"),
            false => VendorError::new(ME, Problem::NoData, why),
        });
    };
    let meta = result.get("meta").unwrap_or(&Value::Null);
    let offset = meta.get("gmtoffset").and_then(Value::as_i64).unwrap_or(0);
    let empty = Vec::new();
    let times = result.get("timestamp").and_then(Value::as_array).unwrap_or(&empty);
    let quote = result.pointer("/indicators/quote/0").unwrap_or(&Value::Null);
    let column = |name: &str| quote.get(name).and_then(Value::as_array).unwrap_or(&empty);
    let columns = ["open", "high", "low", "close", "volume"].map(column);
    if columns.iter().any(|c| !c.is_empty() && c.len() != times.len()) {
        return Err(body::malformed(ME, "the chart's columns have different lengths"));
    }
    let mut bars = Vec::with_capacity(times.len());
    for (i, time) in times.iter().enumerate() {
        let day = time.as_i64().and_then(|t| body::day_of(t, offset));
        let [open, high, low, close, volume] = columns.map(|c| c.get(i).and_then(body::number));
        if let (Some(date), Some(open), Some(high), Some(low), Some(close)) = (day, open, high, low, close) {
            let volume = volume.unwrap_or(0.0);
            bars.push(Bar { date, open, high, low, close, volume });
        }
    }
    // Of two rows of a day the later one counts: the running one follows the closed one.
    bars.reverse();
    bars.sort_by_key(|b| b.date);
    bars.dedup_by_key(|b| b.date);
    let events = |kind: &str, read: fn(&Value) -> Option<f64>| -> Vec<(Date, f64)> {
        let map = result.pointer(&format!("/events/{kind}")).and_then(Value::as_object);
        let mut all: Vec<(Date, f64)> = map
            .into_iter()
            .flat_map(|m| m.values())
            .filter_map(|e| Some((body::day_of(e.get("date")?.as_i64()?, offset)?, read(e)?)))
            .collect();
        all.sort_by_key(|(day, _)| *day);
        all
    };
    Ok(Chart {
        symbol: body::field(meta, "symbol"),
        currency: body::field(meta, "currency"),
        exchange: first(meta, &["fullExchangeName", "exchangeName"]),
        kind: body::field(meta, "instrumentType"),
        name: first(meta, &["longName", "shortName"]),
        listed: meta.get("firstTradeDate").and_then(Value::as_i64).and_then(|t| body::day_of(t, offset)),
        dividends: events("dividends", |e| body::number(e.get("amount")?)),
        splits: events("splits", |e| {
            let (n, d) = (body::number(e.get("numerator")?)?, body::number(e.get("denominator")?)?);
            (n > 0.0 && d > 0.0).then(|| n / d)
        }),
        bars,
    })
}

fn first(value: &Value, names: &[&str]) -> String {
    names.iter().map(|n| body::field(value, n)).find(|t| !t.is_empty()).unwrap_or_default()
}

/// What a quote summary holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Who it is.
    pub identity: Match,
    /// Label and value.
    pub facts: Vec<(String, String)>,
}

/// The figures that are shown, by module, field and label.
const FIGURES: &[(&str, &str, &str)] = &[
    ("price", "marketCap", "Market value"),
    ("summaryDetail", "trailingPE", "Price to earnings, trailing"),
    ("summaryDetail", "forwardPE", "Price to earnings, forward"),
    ("summaryDetail", "priceToSalesTrailing12Months", "Price to sales"),
    ("defaultKeyStatistics", "priceToBook", "Price to book"),
    ("defaultKeyStatistics", "enterpriseToEbitda", "Enterprise value to EBITDA"),
    ("defaultKeyStatistics", "trailingEps", "Earnings per share, trailing"),
    ("summaryDetail", "dividendYield", "Dividend yield"),
    ("summaryDetail", "beta", "Beta"),
    ("summaryDetail", "fiftyTwoWeekHigh", "52-week high"),
    ("summaryDetail", "fiftyTwoWeekLow", "52-week low"),
    ("financialData", "totalRevenue", "Revenue, trailing"),
    ("financialData", "revenueGrowth", "Revenue growth"),
    ("financialData", "grossMargins", "Gross margin"),
    ("financialData", "operatingMargins", "Operating margin"),
    ("financialData", "profitMargins", "Profit margin"),
    ("financialData", "returnOnEquity", "Return on equity"),
    ("financialData", "totalCash", "Cash"),
    ("financialData", "totalDebt", "Debt"),
    ("financialData", "freeCashflow", "Free cash flow"),
    ("financialData", "targetMeanPrice", "Mean price target"),
    ("financialData", "recommendationKey", "Analysts' mean recommendation"),
];

/// Reads a quote summary.
///
/// # Errors
/// [`Problem::NoData`] with the vendor's words, [`Problem::Malformed`] otherwise.
pub fn parse_summary(answer: &[u8]) -> Result<Summary, VendorError> {
    let value = body::json(ME, answer)?;
    let Some(result) = value.pointer("/quoteSummary/result/0") else {
        let error = value.pointer("/quoteSummary/error").map(|e| body::field(e, "description"));
        return Err(match error.filter(|e| !e.is_empty()) {
            Some(why) => VendorError::new(ME, Problem::NoData, why),
            None => body::malformed(ME, "the answer holds no quote summary"),
        });
    };
    let module = |name: &str| result.get(name).unwrap_or(&Value::Null);
    let facts = FIGURES
        .iter()
        .filter_map(|(m, name, label)| {
            let value = module(m).get(name)?;
            let value = value.get("raw").unwrap_or(value);
            let text = match value {
                Value::String(text) => body::clean(text),
                other => body::number(other)?.to_string(),
            };
            Some(((*label).to_owned(), text))
        })
        .collect();
    let profile = module("assetProfile");
    let sector = body::field(profile, "sector");
    let industry = body::field(profile, "industry");
    Ok(Summary {
        identity: Match {
            symbol: body::field(module("quoteType"), "symbol"),
            name: first(module("quoteType"), &["longName", "shortName"]),
            sector: [sector, industry].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", "),
            exchange: first(module("price"), &["exchangeName"]),
            kind: body::field(module("quoteType"), "quoteType"),
        },
        facts,
    })
}

/// Statement, the vendor's field, our label.
const FIELDS: &[(StatementKind, &str, &str)] = &[
    (StatementKind::Income, "TotalRevenue", "Revenue"),
    (StatementKind::Income, "CostOfRevenue", "Cost of Revenue"),
    (StatementKind::Income, "GrossProfit", "Gross Profit"),
    (StatementKind::Income, "OperatingExpense", "Operating Expenses"),
    (StatementKind::Income, "SellingGeneralAndAdministration", "Selling, General & Administrative"),
    (StatementKind::Income, "ResearchAndDevelopment", "Research & Development"),
    (StatementKind::Income, "OperatingIncome", "Operating Income (Loss)"),
    (StatementKind::Income, "InterestExpense", "Interest Expense, Net"),
    (StatementKind::Income, "PretaxIncome", "Pretax Income (Loss)"),
    (StatementKind::Income, "TaxProvision", "Income Tax"),
    (StatementKind::Income, "NetIncome", "Net Income"),
    (StatementKind::Income, "DilutedAverageShares", "Shares (Diluted)"),
    (
        StatementKind::Balance,
        "CashCashEquivalentsAndShortTermInvestments",
        "Cash, Cash Equivalents & Short Term Investments",
    ),
    (StatementKind::Balance, "AccountsReceivable", "Accounts & Notes Receivable"),
    (StatementKind::Balance, "Inventory", "Inventories"),
    (StatementKind::Balance, "CurrentAssets", "Total Current Assets"),
    (StatementKind::Balance, "TotalAssets", "Total Assets"),
    (StatementKind::Balance, "CurrentLiabilities", "Total Current Liabilities"),
    (StatementKind::Balance, "LongTermDebt", "Long Term Debt"),
    (StatementKind::Balance, "TotalLiabilitiesNetMinorityInterest", "Total Liabilities"),
    (StatementKind::Balance, "RetainedEarnings", "Retained Earnings"),
    (StatementKind::Balance, "StockholdersEquity", "Total Equity"),
    (StatementKind::CashFlow, "DepreciationAndAmortization", "Depreciation & Amortization"),
    (StatementKind::CashFlow, "ChangeInWorkingCapital", "Change in Working Capital"),
    (StatementKind::CashFlow, "OperatingCashFlow", "Net Cash from Operating Activities"),
    (StatementKind::CashFlow, "CapitalExpenditure", "Change in Fixed Assets & Intangibles"),
    (StatementKind::CashFlow, "InvestingCashFlow", "Net Cash from Investing Activities"),
    (StatementKind::CashFlow, "CashDividendsPaid", "Dividends Paid"),
    (StatementKind::CashFlow, "RepurchaseOfCapitalStock", "Repurchase of Equity"),
    (StatementKind::CashFlow, "FinancingCashFlow", "Net Cash from Financing Activities"),
    (StatementKind::CashFlow, "FreeCashFlow", "Free Cash Flow"),
];

/// When a statement without a publish date counts as public: the latest day that the SEC allows the slowest filer, so that
/// a back-test sees it late rather than early.
pub fn assumed_publish(frequency: &str, report: Date) -> Date {
    let days = if frequency == "annual" { 90 } else { 45 };
    report.checked_add(Span::new().days(days)).unwrap_or(report)
}

/// The row that says that a publish date is assumed.
pub const ASSUMED: &str = "Publish date assumed (days after the period)";

/// Row number, label and value.
type Rows = BTreeMap<usize, (String, String)>;

/// Reads the fundamentals time series.
///
/// # Errors
/// [`Problem::Malformed`] when it is none.
pub fn parse_timeseries(answer: &[u8]) -> Result<Vec<Statement>, VendorError> {
    let value = body::json(ME, answer)?;
    let results = value
        .pointer("/timeseries/result")
        .and_then(Value::as_array)
        .ok_or_else(|| body::malformed(ME, "the answer holds no time series"))?;
    // (statement, annual or quarterly, period's end) -> row number -> value
    let mut found: BTreeMap<(u8, &str, Date), Rows> = BTreeMap::new();
    for result in results {
        let name = result.pointer("/meta/type/0").and_then(Value::as_str).unwrap_or_default();
        let (frequency, field) = match (name.strip_prefix("annual"), name.strip_prefix("quarterly")) {
            (Some(field), _) => ("annual", field),
            (_, Some(field)) => ("quarterly", field),
            _ => continue,
        };
        let Some(row) = FIELDS.iter().position(|(_, n, _)| *n == field) else { continue };
        let (kind, _, label) = FIELDS[row];
        for entry in result.get(name).and_then(Value::as_array).into_iter().flatten() {
            let day = entry.get("asOfDate").and_then(Value::as_str).and_then(body::day_in);
            let amount = entry.pointer("/reportedValue/raw").and_then(body::number);
            if let (Some(day), Some(amount)) = (day, amount) {
                let rows = found.entry((kind as u8, frequency, day)).or_default();
                rows.insert(0, ("Currency".into(), body::field(entry, "currencyCode")));
                rows.insert(row + 1, (label.into(), amount.to_string()));
            }
        }
    }
    Ok(found
        .into_iter()
        .map(|((kind, frequency, day), rows)| {
            let kind =
                [StatementKind::Balance, StatementKind::CashFlow, StatementKind::Income][kind as usize];
            let publish = assumed_publish(frequency, day);
            let mut rows: Vec<(String, String)> = rows.into_values().collect();
            rows.push((ASSUMED.into(), if frequency == "annual" { "90".into() } else { "45".into() }));
            Statement { kind, frequency: frequency.into(), report_date: day, publish_date: publish, rows }
        })
        .collect())
}

/// Reads a search answer.
///
/// # Errors
/// [`Problem::Malformed`] when it is no JSON object.
pub fn parse_search(answer: &[u8]) -> Result<(Vec<Match>, Vec<Story>), VendorError> {
    let value = body::json(ME, answer)?;
    let list = |name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    if !value.is_object() {
        return Err(body::malformed(ME, "the search answer is no object"));
    }
    let matches = list("quotes")
        .iter()
        .map(|q| Match {
            symbol: body::field(q, "symbol"),
            name: first(q, &["longname", "shortname"]),
            sector: [first(q, &["sectorDisp", "sector"]), first(q, &["industryDisp", "industry"])]
                .into_iter()
                .filter(|t| !t.is_empty())
                .collect::<Vec<_>>()
                .join(", "),
            exchange: first(q, &["exchDisp", "exchange"]),
            kind: body::field(q, "quoteType"),
        })
        .collect();
    let stories = list("news")
        .iter()
        .map(|n| Story {
            date: n.get("providerPublishTime").and_then(Value::as_i64).and_then(|t| body::day_of(t, 0)),
            source: body::field(n, "publisher"),
            title: body::field(n, "title"),
            text: body::field(n, "summary"),
        })
        .filter(|s| !s.title.is_empty())
        .collect();
    Ok((matches, stories))
}

/// Reads ticker news: nested under `content`, or flat with `providerPublishTime`, as the vendor has sent both.
///
/// # Errors
/// [`Problem::Malformed`] when the stream is not there.
pub fn parse_news(answer: &[u8]) -> Result<Vec<Story>, VendorError> {
    let value = body::json(ME, answer)?;
    let stream = value
        .pointer("/data/tickerStream/stream")
        .and_then(Value::as_array)
        .ok_or_else(|| body::malformed(ME, "the answer holds no news stream"))?;
    Ok(stream
        .iter()
        .map(|entry| {
            let content = entry.get("content").unwrap_or(entry);
            let written = ["pubDate", "displayTime"]
                .iter()
                .find_map(|n| content.get(*n).and_then(Value::as_str).and_then(body::day_in));
            let epoch = content.get("providerPublishTime").and_then(Value::as_i64);
            let provider = content.pointer("/provider/displayName").and_then(Value::as_str);
            Story {
                date: written.or_else(|| body::day_of(epoch?, 0)),
                source: provider.map_or_else(|| body::field(content, "publisher"), body::clean),
                title: body::field(content, "title"),
                text: body::plain(&body::field(content, "summary")),
            }
        })
        .filter(|s| !s.title.is_empty())
        .collect())
}
