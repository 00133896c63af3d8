//! The shapes of Alpha Vantage, Finnhub, FRED and SimFin.

use std::{
    fmt::Write as _,
    io::{Cursor, Write as _},
};

use jiff::{Span, civil::Date};
use serde_json::{Map, Value, json};

use super::{KeyIs, Question, Reply, key, last_days, yahoo::years};
use crate::world::{Company, Draws, Quarter, Status, World};

fn unknown(company: &Company) -> bool {
    matches!(company.status, Status::Unknown | Status::Delisted)
}

pub(super) fn alpha_vantage(world: &World, ask: &Question) -> Reply {
    let message = |field: &str, text: &str| Reply::json(200, &json!({field: text}));
    match key(ask.get("apikey")) {
        KeyIs::Good => {}
        KeyIs::Missing => {
            return message(
                "Information",
                "the parameter apikey is invalid or missing. Please claim your free API key.",
            );
        }
        KeyIs::Bad => {
            return message(
                "Information",
                "The apikey that was given is invalid. Please claim your free API key.",
            );
        }
    }
    let function = ask.get("function");
    let company = world.company(ask.get("symbol"));
    let bad = || message("Error Message", &format!("Invalid API call. Please retry for {function}."));
    match function {
        "TIME_SERIES_DAILY_ADJUSTED" if unknown(&company) => bad(),
        "TIME_SERIES_DAILY_ADJUSTED" => {
            let adjusted = company.adjusted_closes();
            let keep = if ask.get("outputsize") == "full" { usize::MAX } else { 100 };
            let mut text =
                "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient\r\n"
                    .to_owned();
            for (bar, adjusted) in company.bars.iter().zip(adjusted).rev().take(keep) {
                let on = |list: &[(Date, f64)]| list.iter().find(|(d, _)| *d == bar.date).map(|(_, v)| *v);
                let _ = write!(
                    text,
                    "{},{:.4},{:.4},{:.4},{:.4},{adjusted:.6},{},{:.4},{:.1}\r\n",
                    bar.date,
                    bar.open,
                    bar.high,
                    bar.low,
                    bar.close,
                    bar.volume,
                    on(&company.dividends).unwrap_or(0.0),
                    on(&company.splits).unwrap_or(1.0)
                );
            }
            Reply::text("application/x-download", text)
        }
        "OVERVIEW" if unknown(&company) => Reply::json(200, &json!({})),
        "OVERVIEW" => {
            let last = company.bars.last().map_or(0.0, |b| b.close);
            let year: i64 = company.quarters.iter().rev().take(4).map(|q| q.net_income).sum();
            Reply::json(
                200,
                &json!({
                    "Symbol": company.symbol, "AssetType": "Common Stock", "Name": company.name,
                    "Exchange": company.exchange, "Currency": "USD", "Sector": company.sector, "Industry": company.industry,
                    "MarketCapitalization": format!("{:.0}", last * company.shares as f64),
                    "EPS": format!("{:.2}", year as f64 / company.shares as f64), "PEGRatio": "None",
                    "SharesOutstanding": company.shares.to_string(),
                }),
            )
        }
        "BALANCE_SHEET" | "CASH_FLOW" | "INCOME_STATEMENT" if unknown(&company) => {
            Reply::json(200, &json!({}))
        }
        "BALANCE_SHEET" | "CASH_FLOW" | "INCOME_STATEMENT" => {
            let report = |q: &Quarter| av_report(function, q);
            let years: Vec<Value> = years(&company).iter().rev().map(report).collect();
            let quarters: Vec<Value> = company.quarters.iter().rev().take(20).map(report).collect();
            Reply::json(
                200,
                &json!({"symbol": company.symbol, "annualReports": years, "quarterlyReports": quarters}),
            )
        }
        "NEWS_SENTIMENT" => {
            let day = |name: &str| {
                let t = ask.get(name);
                (t.len() >= 8 && t.is_ascii())
                    .then(|| format!("{}-{}-{}", &t[..4], &t[4..6], &t[6..8]))?
                    .parse()
                    .ok()
            };
            let (start, end) = last_days(world, 7);
            let (start, end) = (day("time_from").unwrap_or(start), day("time_to").unwrap_or(end));
            let ticker = ask.get("tickers");
            let news = if ticker.is_empty() {
                world.market_news(start, end)
            } else {
                world.news(&world.company(ticker), start, end)
            };
            let feed: Vec<Value> = news
                .iter()
                .rev()
                .take(50)
                .map(|n| {
                    json!({
                        "title": n.title, "url": "https://example.com/",
                        "time_published": n.at.strftime("%Y%m%dT%H%M%S").to_string(), "summary": n.text, "source": n.source,
                        "overall_sentiment_score": 0.12, "overall_sentiment_label": "Neutral",
                        "ticker_sentiment": [{"ticker": ticker, "relevance_score": "0.9",
                            "ticker_sentiment_score": "0.121", "ticker_sentiment_label": "Neutral"}],
                    })
                })
                .collect();
            Reply::json(200, &json!({"items": feed.len().to_string(), "feed": feed}))
        }
        "INSIDER_TRANSACTIONS" => {
            let data: Vec<Value> = insiders(world, &company)
                .iter()
                .map(|t| {
                    json!({
                        "transaction_date": t.day.to_string(), "ticker": company.symbol, "executive": t.name,
                        "executive_title": "Director", "security_type": "Common Stock",
                        "acquisition_or_disposal": if t.change > 0 { "A" } else { "D" },
                        "shares": t.change.abs().to_string(), "share_price": t.price.to_string(),
                    })
                })
                .collect();
            Reply::json(200, &json!({"data": data}))
        }
        "SMA" | "EMA" | "RSI" if !unknown(&company) => {
            let period: usize = ask.get("time_period").parse().unwrap_or(10).clamp(1, 500);
            let mut text = format!("time,{function}\r\n");
            let closes: Vec<(Date, f64)> = company
                .bars
                .iter()
                .map(|b| (b.date, b.close / company.split_ratio(b.date, world.today())))
                .collect();
            for window in closes.windows(period).rev().take(500) {
                let mean = window.iter().map(|(_, c)| c).sum::<f64>() / period as f64;
                let _ = write!(text, "{},{mean:.4}\r\n", window[period - 1].0);
            }
            Reply::text("application/x-download", text)
        }
        _ => bad(),
    }
}

fn av_report(function: &str, q: &Quarter) -> Value {
    let mut map = Map::new();
    map.insert("fiscalDateEnding".into(), q.end.to_string().into());
    map.insert("reportedCurrency".into(), "USD".into());
    let rows: &[(&str, i64)] = match function {
        "BALANCE_SHEET" => &[
            ("totalAssets", q.cash + q.other_assets),
            ("cashAndShortTermInvestments", q.cash),
            ("totalLiabilities", q.liabilities),
            ("totalShareholderEquity", q.equity),
        ],
        "CASH_FLOW" => &[
            ("operatingCashflow", q.operating_cash),
            ("cashflowFromInvestment", q.investing_cash),
            ("cashflowFromFinancing", q.financing_cash),
            ("dividendPayout", q.dividends),
            ("netIncome", q.net_income),
        ],
        _ => &[
            ("totalRevenue", q.revenue),
            ("costOfRevenue", q.cost),
            ("grossProfit", q.revenue - q.cost),
            ("operatingExpenses", q.operating_expenses),
            ("incomeTaxExpense", q.tax),
            ("netIncome", q.net_income),
        ],
    };
    rows.iter().for_each(|(n, v)| {
        map.insert((*n).into(), v.to_string().into());
    });
    map.insert("goodwill".into(), "None".into());
    map.into()
}

/// A transaction of an insider.
struct Insider {
    day: Date,
    filed: Date,
    name: String,
    change: i64,
    price: f64,
}

fn insiders(world: &World, company: &Company) -> Vec<Insider> {
    let mut draws = Draws::new(world.seed(), &format!("insiders/{}", company.symbol));
    let mut luck = Draws::new(world.seed(), &format!("filings/{}", company.symbol));
    let mut all: Vec<Insider> = company
        .bars
        .iter()
        .rev()
        .take(400)
        .filter(|_| luck.draw() < 0.12)
        .map(|bar| Insider {
            day: bar.date,
            filed: bar.date.checked_add(Span::new().days(2)).unwrap_or(bar.date),
            name: draws.pick(&["A. Director", "B. Officer", "C. Founder"]).to_owned(),
            change: ((draws.draw() - 0.6) * 40_000.0) as i64,
            price: bar.close,
        })
        .collect();
    all.retain(|t| t.filed <= world.today() && t.change != 0);
    all
}

pub(super) fn finnhub(world: &World, ask: &Question) -> Reply {
    let token = if ask.header("x-finnhub-token").is_empty() {
        ask.get("token")
    } else {
        ask.header("x-finnhub-token")
    };
    match key(token) {
        KeyIs::Good => {}
        KeyIs::Missing => return Reply::json(401, &json!({"error": "Please use an API key."})),
        KeyIs::Bad => return Reply::json(401, &json!({"error": "Invalid API key"})),
    }
    let company = world.company(ask.get("symbol"));
    let known = !unknown(&company);
    let (week_ago, today) = last_days(world, 7);
    let (start, end) = (ask.day("from").unwrap_or(week_ago), ask.day("to").unwrap_or(today));
    let news = |all: Vec<crate::world::News>| -> Value {
        all.iter()
            .rev()
            .enumerate()
            .map(|(i, n)| {
                json!({"category": "company", "datetime": n.at.as_second(), "headline": n.title, "id": i + 1,
                    "image": "", "related": company.symbol, "source": n.source, "summary": n.text, "url": "https://example.com/"})
            })
            .collect()
    };
    let value = match ask.path.as_str() {
        "/company-news" => news(if known { world.news(&company, start, end) } else { Vec::new() }),
        "/news" => news(world.market_news(week_ago, today)),
        "/stock/insider-sentiment" => {
            let mut data = Vec::new();
            let mut month = start.first_of_month();
            while known && month <= end {
                let mut draws = Draws::new(world.seed(), &format!("mspr/{}/{month}", company.symbol));
                let change = ((draws.draw() - 0.5) * 60_000.0) as i64;
                let mspr = ((draws.draw() - 0.5) * 20_000.0).round() / 100.0;
                data.push(json!({"symbol": company.symbol, "year": month.year(), "month": month.month(), "change": change, "mspr": mspr}));
                let Ok(next) = month.checked_add(Span::new().months(1)) else { break };
                month = next;
            }
            json!({"data": data, "symbol": company.symbol})
        }
        "/stock/insider-transactions" => {
            let data: Vec<Value> = insiders(world, &company)
                .iter()
                .filter(|t| known && t.filed >= start && t.filed <= end)
                .map(|t| {
                    json!({"name": t.name, "share": 100_000 + t.change, "change": t.change, "filingDate": t.filed.to_string(),
                        "transactionDate": t.day.to_string(), "transactionPrice": t.price, "transactionCode": if t.change > 0 { "P" } else { "S" },
                        "isDerivative": false, "id": "", "source": "sec", "currency": "", "symbol": company.symbol})
                })
                .collect();
            json!({"data": data, "symbol": company.symbol})
        }
        "/stock/profile2" if known => json!({
            "name": company.name, "ticker": company.symbol, "exchange": company.exchange, "currency": "USD",
            "finnhubIndustry": company.sector, "ipo": company.listed.to_string(),
            "shareOutstanding": company.shares / 1_000_000,
        }),
        "/stock/profile2" => json!({}),
        "/stock/metric" => {
            let mut metric = Map::new();
            if let Some(bar) = company.bars.last().filter(|_| known) {
                let year: i64 = company.quarters.iter().rev().take(4).map(|q| q.net_income).sum();
                metric.insert(
                    "marketCapitalization".into(),
                    json!((bar.close * company.shares as f64 / 1e6).round()),
                );
                metric.insert(
                    "epsTTM".into(),
                    json!((year as f64 / company.shares as f64 * 100.0).round() / 100.0),
                );
                metric.insert("beta".into(), json!(1.1));
                metric.insert("absent".into(), Value::Null);
            }
            json!({"metric": metric, "metricType": "all", "symbol": company.symbol, "series": {}})
        }
        "/quote" => {
            let last = company.bars.last().filter(|_| known);
            let close = last.map_or(0.0, |b| b.close);
            json!({"c": close, "d": 0.5, "dp": 0.25, "h": last.map_or(0.0, |b| b.high), "l": last.map_or(0.0, |b| b.low), "o": close, "pc": close, "t": 0})
        }
        "/stock/recommendation" => {
            json!([{"buy": 12, "hold": 9, "period": today.first_of_month().to_string(), "sell": 2, "strongBuy": 5, "strongSell": 1, "symbol": company.symbol}])
        }
        "/calendar/earnings" => {
            let next = company
                .quarters
                .last()
                .map(|q| q.published.checked_add(Span::new().days(91)).unwrap_or(q.published));
            json!({"earningsCalendar": next.iter().map(|d| json!({"date": d.to_string(), "symbol": company.symbol})).collect::<Vec<_>>()})
        }
        other => return Reply::not_found(other),
    };
    Reply::json(200, &value)
}

pub(super) fn fred(world: &World, ask: &Question) -> Reply {
    let refuse = |text: &str| Reply::json(400, &json!({"error_code": 400, "error_message": text}));
    match key(ask.get("api_key")) {
        KeyIs::Good => {}
        KeyIs::Missing => {
            return refuse("Bad Request.  The variable api_key is not set.  Read the documentation.");
        }
        KeyIs::Bad => return refuse("Bad Request.  The value for variable api_key is not registered."),
    }
    let id = ask.get("series_id");
    if id.starts_with("ZZ") || id.is_empty() {
        return refuse("Bad Request.  The series does not exist.");
    }
    let known_on = ask.day("realtime_end").unwrap_or(world.today()).min(world.today());
    match ask.path.as_str() {
        "/series" => Reply::json(
            200,
            &json!({"seriess": [{"id": id, "title": format!("Synthetic series {id}"), "units_short": "Index", "frequency": "Monthly",
                "seasonal_adjustment_short": "SA", "last_updated": known_on.to_string()}]}),
        ),
        "/series/observations" => {
            let start = ask.day("observation_start").unwrap_or(Date::new(2015, 1, 1).unwrap_or(Date::MIN));
            let end = ask.day("observation_end").unwrap_or(known_on).min(known_on);
            let mut rows = Vec::new();
            let mut month = start.first_of_month();
            while month <= end && rows.len() < 1_000 {
                // A month is published on the tenth of the next one and revised two months later.
                let after = |days: i64| month.checked_add(Span::new().days(days)).unwrap_or(Date::MAX);
                if month >= start && after(40) <= known_on {
                    let value = world.macro_value(id, month, after(100) <= known_on);
                    let missing = Draws::new(world.seed(), &format!("gap/{id}/{month}")).draw() < 0.05;
                    let value = if missing { ".".to_owned() } else { value.to_string() };
                    rows.push(json!({"realtime_start": known_on.to_string(), "realtime_end": known_on.to_string(), "date": month.to_string(), "value": value}));
                }
                let Ok(next) = month.checked_add(Span::new().months(1)) else { break };
                month = next;
            }
            Reply::json(200, &json!({"count": rows.len(), "observations": rows}))
        }
        other => Reply::not_found(other),
    }
}

/// SimFin's files hold a few companies besides the one that a run is about: those of the path `/T/…`, or a fixed few.
pub(super) fn simfin(world: &World, ask: &Question) -> Reply {
    if key(ask.header("authorization")) == KeyIs::Bad {
        return Reply::json(401, &json!({"error": "invalid api key"}));
    }
    // The address of the vendor itself: it sends to where the archive lies.
    if ask.path == "/s3" {
        if key(ask.header("authorization")) == KeyIs::Missing {
            return Reply::json(401, &json!({"error": "api key missing"}));
        }
        let to = format!("/simfin/us-{}-{}.zip", ask.get("dataset"), ask.get("variant"));
        return Reply {
            status: 302,
            headers: vec![("location", to)],
            ..Reply::text("text/plain", String::new())
        };
    }
    let name = ask.path.rsplit('/').next().unwrap_or_default();
    let (stem, packed) = match name.strip_suffix(".zip") {
        Some(stem) => (stem, true),
        None => (name.strip_suffix(".csv").unwrap_or_default(), false),
    };
    let Some((kind, frequency)) =
        stem.strip_prefix("us-").and_then(|n| n.split_once('-')).filter(|(k, f)| {
            matches!(*k, "balance" | "cashflow" | "income") && matches!(*f, "annual" | "quarterly")
        })
    else {
        return Reply::not_found(name);
    };
    let mut text = format!("{HEAD};{}\n", columns(kind).join(";"));
    for symbol in ["AAPL", "CRCL", "MSFT", "NVDA", "TSLA", "XOM"] {
        let company = world.company(symbol);
        let periods = if frequency == "annual" { years(&company) } else { company.quarters.clone() };
        for (i, q) in periods.iter().enumerate().filter(|(_, q)| q.published <= world.today()) {
            let period = if frequency == "annual" { "FY".to_owned() } else { format!("Q{}", i % 4 + 1) };
            let _ = write!(
                text,
                "{symbol};{};USD;{};{period};{};{};{};{};{}",
                1000 + symbol.len(),
                q.end.year(),
                q.end,
                q.published,
                q.published,
                company.shares,
                company.shares
            );
            for value in values(kind, q) {
                let _ = match value {
                    Some(value) => write!(text, ";{value}"),
                    None => write!(text, ";"),
                };
            }
            text.push('\n');
        }
    }
    if packed {
        return Reply {
            content_type: "application/zip",
            body: zipped(&format!("{stem}.csv"), &text),
            ..Reply::text("", String::new())
        };
    }
    Reply::text("text/csv", text)
}

/// An archive of one file.
fn zipped(name: &str, text: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    let written = archive
        .start_file(name, options)
        .and_then(|()| archive.write_all(text.as_bytes()).map_err(Into::into))
        .and_then(|()| archive.finish());
    // A writer in memory meets no error; an empty archive would be told by the reader.
    written.map(Cursor::into_inner).unwrap_or_default()
}

const HEAD: &str = "Ticker;SimFinId;Currency;Fiscal Year;Fiscal Period;Report Date;Publish Date;Restated Date;Shares (Basic);Shares (Diluted)";

fn columns(kind: &str) -> &'static [&'static str] {
    match kind {
        "balance" => &[
            "Cash, Cash Equivalents & Short Term Investments",
            "Inventories",
            "Total Assets",
            "Total Liabilities",
            "Total Equity",
            "Total Liabilities & Equity",
        ],
        "cashflow" => &[
            "Net Income/Starting Line",
            "Depreciation & Amortization",
            "Net Cash from Operating Activities",
            "Net Cash from Investing Activities",
            "Dividends Paid",
            "Net Cash from Financing Activities",
            "Net Change in Cash",
        ],
        _ => &[
            "Revenue",
            "Cost of Revenue",
            "Gross Profit",
            "Operating Expenses",
            "Pretax Income (Loss)",
            "Income Tax (Expense) Benefit, Net",
            "Net Income",
        ],
    }
}

fn values(kind: &str, q: &Quarter) -> Vec<Option<i64>> {
    match kind {
        "balance" => vec![
            Some(q.cash),
            None,
            Some(q.cash + q.other_assets),
            Some(q.liabilities),
            Some(q.equity),
            Some(q.liabilities + q.equity),
        ],
        "cashflow" => vec![
            Some(q.net_income),
            Some(q.depreciation),
            Some(q.operating_cash),
            Some(q.investing_cash),
            Some(-q.dividends),
            Some(q.financing_cash),
            Some(q.operating_cash + q.investing_cash + q.financing_cash),
        ],
        _ => vec![
            Some(q.revenue),
            Some(-q.cost),
            Some(q.revenue - q.cost),
            Some(-q.operating_expenses),
            Some(q.net_income + q.tax),
            Some(-q.tax),
            Some(q.net_income),
        ],
    }
}
