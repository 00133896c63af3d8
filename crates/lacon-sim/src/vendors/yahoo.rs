//! Yahoo Finance's shapes.

use jiff::civil::Date;
use lacon_market::Asset;
use serde_json::{Map, Value, json};

use super::{Question, Reply, last_days, midnight};
use crate::world::{Company, Quarter, Status, World};

/// The session's cookie and crumb.
const COOKIE: &str = "A3=synthetic";
const CRUMB: &str = "synthetic.crumb";

pub(super) fn reply(world: &World, ask: &Question) -> Reply {
    let path = ask.path.as_str();
    if let Some(symbol) = path.strip_prefix("/v8/finance/chart/") {
        return chart(world, ask, symbol);
    }
    if let Some(symbol) = path.strip_prefix("/v10/finance/quoteSummary/") {
        return summary(world, ask, symbol);
    }
    if let Some(symbol) = path.strip_prefix("/ws/fundamentals-timeseries/v1/finance/timeseries/") {
        return timeseries(world, ask, symbol);
    }
    match path {
        "/cookie" => Reply {
            status: 404,
            content_type: "text/html",
            headers: vec![("set-cookie", format!("{COOKIE}; Path=/; Secure"))],
            body: Vec::new(),
        },
        "/consent" => moved(&format!("/yahoo/v2/collectConsent?sessionId={CONSENT}"), "GUCS=asked"),
        "/v2/collectConsent" if ask.post => agreed(ask),
        "/v2/collectConsent" => Reply::text("text/html", consent_page()),
        "/copyConsent" if ask.get("sessionId") == CONSENT && ask.header("cookie").contains("GUC=agreed") => {
            moved("/yahoo/", COOKIE)
        }
        "/v1/test/getcrumb" if ask.header("cookie").contains(COOKIE) => {
            Reply::text("text/plain", CRUMB.to_owned())
        }
        "/v1/test/getcrumb" => Reply { status: 401, ..Reply::text("text/plain", "Unauthorized".into()) },
        "/v1/finance/search" => search(world, ask),
        "/xhr/ncp" => news(world, ask),
        other => Reply::not_found(other),
    }
}

/// The session of the consent page, and its form's token.
const CONSENT: &str = "3_cc-session_synthetic";
const TOKEN: &str = "token-of-the-form";

fn moved(to: &str, cookie: &str) -> Reply {
    Reply {
        status: 302,
        content_type: "text/html",
        headers: vec![("location", to.to_owned()), ("set-cookie", format!("{cookie}; Path=/; Secure"))],
        body: Vec::new(),
    }
}

/// What stands where a cookie is asked for and the law wants consent first.
pub(super) fn asks_for_consent() -> Reply {
    Reply { headers: vec![("location", "/yahoo/consent".into())], ..moved("", "") }
}

fn consent_page() -> String {
    format!(
        "<!doctype html><html><body><form method=\"post\"><input type=\"hidden\" name=\"csrfToken\" value=\"{TOKEN}\">\
         <input type=\"hidden\" name=\"sessionId\" value=\"{CONSENT}\"><button name=\"agree\" value=\"agree\">Accept</button></form></body></html>"
    )
}

fn agreed(ask: &Question) -> Reply {
    let form = super::read_query(&String::from_utf8_lossy(&ask.body));
    let field = |name: &str| form.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
    let sound = field("csrfToken") == TOKEN
        && field("sessionId") == CONSENT
        && ask.get("sessionId") == CONSENT
        && field("agree") == "agree"
        && ask.header("cookie").contains("GUCS=asked");
    if sound {
        moved(&format!("/yahoo/copyConsent?sessionId={CONSENT}"), "GUC=agreed")
    } else {
        error(400, "finance", "Bad Request", "the form of consent is not whole")
    }
}

/// The exchange's clock: New York in summer; a bar stands at its opening.
const OFFSET: i64 = -14_400;
const OPENING: i64 = 13 * 3600 + 1800;

fn error(status: u16, outer: &str, code: &str, description: &str) -> Reply {
    Reply::json(
        status,
        &json!({outer: {"result": null, "error": {"code": code, "description": description}}}),
    )
}

fn unknown(company: &Company) -> bool {
    matches!(company.status, Status::Unknown | Status::Delisted)
}

fn chart(world: &World, ask: &Question, symbol: &str) -> Reply {
    let company = world.company(symbol);
    if unknown(&company) {
        return error(404, "chart", "Not Found", "No data found, symbol may be delisted");
    }
    let second = |name: &str| ask.get(name).parse::<i64>().unwrap_or(0);
    let (from, to) = (second("period1"), second("period2"));
    let adjusted = company.adjusted_closes();
    let coarse = ask.get("interval") == "3mo";
    let within = |day: Date| {
        let at = midnight(day) + OPENING;
        at >= from && at < to
    };
    let today = world.today();
    let (mut times, mut columns, mut adjusted_column) = (Vec::new(), [const { Vec::new() }; 5], Vec::new());
    for (i, bar) in company.bars.iter().enumerate().filter(|(_, b)| within(b.date)) {
        if coarse && i % 63 != 0 {
            continue;
        }
        let ratio = company.split_ratio(bar.date, today);
        times.push(json!(midnight(bar.date) + OPENING));
        // Single precision, as the vendor sends it.
        let price = |p: f64| json!(f64::from((p / ratio) as f32));
        columns[0].push(price(bar.open));
        columns[1].push(price(bar.high));
        columns[2].push(price(bar.low));
        columns[3].push(price(bar.close));
        columns[4].push(json!((bar.volume * ratio).round() as i64));
        adjusted_column.push(json!(f64::from(adjusted[i] as f32)));
        // A row without prices, such as the vendor sends for a halted day.
        if i % 97 == 0 {
            times.push(json!(midnight(bar.date) + OPENING + 60));
            columns.iter_mut().for_each(|c| c.push(Value::Null));
            adjusted_column.push(Value::Null);
        }
    }
    // The running day is appended even where the end that was asked for lies before it.
    if let Some(bar) =
        company.bars.last().filter(|b| b.date == today && !coarse && !times.is_empty() && !within(b.date))
    {
        times.push(json!(midnight(bar.date) + OPENING + 3600));
        for (column, price) in columns.iter_mut().zip([bar.open, bar.high, bar.low, bar.close, bar.volume]) {
            column.push(json!(price));
        }
        adjusted_column.push(json!(bar.close));
    }
    let mut events = Map::new();
    let dividends: Map<String, Value> = company
        .dividends
        .iter()
        .filter(|(d, _)| within(*d))
        .map(|(d, amount)| {
            let at = midnight(*d) + OPENING;
            (at.to_string(), json!({"amount": amount / company.split_ratio(*d, today), "date": at}))
        })
        .collect();
    let splits: Map<String, Value> = company
        .splits
        .iter()
        .filter(|(d, _)| within(*d))
        .map(|(d, ratio)| {
            let at = midnight(*d) + OPENING;
            (at.to_string(), json!({"date": at, "numerator": ratio, "denominator": 1.0, "splitRatio": format!("{ratio}:1")}))
        })
        .collect();
    if !dividends.is_empty() {
        events.insert("dividends".into(), dividends.into());
    }
    if !splits.is_empty() {
        events.insert("splits".into(), splits.into());
    }
    let mut result = json!({
        "meta": {
            "currency": "USD", "symbol": company.symbol, "exchangeName": "NYQ",
            "fullExchangeName": company.exchange, "instrumentType": "EQUITY",
            "firstTradeDate": midnight(company.listed) + OPENING, "gmtoffset": OFFSET, "timezone": "EDT",
            "exchangeTimezoneName": "America/New_York",
            "regularMarketPrice": company.bars.last().map(|b| b.close),
            "longName": company.name, "shortName": company.name, "dataGranularity": "1d",
            "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
        },
        "indicators": {"quote": [{}], "adjclose": [{}]},
    });
    if !times.is_empty() {
        let [open, high, low, close, volume] = columns;
        result["timestamp"] = times.into();
        result["indicators"] = json!({
            "quote": [{"open": open, "high": high, "low": low, "close": close, "volume": volume}],
            "adjclose": [{"adjclose": adjusted_column}],
        });
    }
    if !events.is_empty() {
        result["events"] = events.into();
    }
    Reply::json(200, &json!({"chart": {"result": [result], "error": null}}))
}

fn summary(world: &World, ask: &Question, symbol: &str) -> Reply {
    if ask.get("crumb") != CRUMB {
        return error(401, "finance", "Unauthorized", "Invalid Crumb");
    }
    let company = world.company(symbol);
    if unknown(&company) {
        let what = format!("Quote not found for symbol: {symbol}");
        return error(404, "quoteSummary", "Not Found", &what);
    }
    let close = company.bars.last().map_or(25.0, |b| b.close);
    let year: i64 = company.quarters.iter().rev().take(4).map(|q| q.net_income).sum();
    let revenue: i64 = company.quarters.iter().rev().take(4).map(|q| q.revenue).sum();
    let value = close * company.shares as f64;
    let per_share = year as f64 / company.shares as f64;
    let recent = &company.bars[company.bars.len().saturating_sub(252)..];
    let high = recent.iter().map(|b| b.high).fold(0.0, f64::max);
    let low = recent.iter().map(|b| b.low).fold(f64::INFINITY, f64::min);
    let mut detail = json!({"beta": 1.1, "fiftyTwoWeekHigh": high, "fiftyTwoWeekLow": if low.is_finite() { low } else { close }});
    if year > 0 {
        detail["trailingPE"] = json!(round2(value / year as f64));
        detail["priceToSalesTrailing12Months"] = json!(round2(value / revenue.max(1) as f64));
    }
    Reply::json(
        200,
        &json!({"quoteSummary": {"result": [{
            "assetProfile": {"sector": company.sector, "industry": company.industry, "country": "United States"},
            "summaryDetail": detail,
            "defaultKeyStatistics": {"trailingEps": round2(per_share), "sharesOutstanding": company.shares},
            "financialData": {
                "totalRevenue": revenue,
                "profitMargins": round2(year as f64 / revenue.max(1) as f64),
                "totalCash": company.quarters.last().map(|q| q.cash),
                "recommendationKey": "hold",
            },
            "quoteType": {"symbol": company.symbol, "longName": company.name, "shortName": company.name, "quoteType": kind(company.asset)},
            "price": {"marketCap": value.round() as i64, "exchangeName": company.exchange},
        }], "error": null}}),
    )
}

/// The vendor's word for what a symbol is.
fn kind(asset: Asset) -> &'static str {
    match asset {
        Asset::Equity => "EQUITY",
        Asset::Crypto => "CRYPTOCURRENCY",
        Asset::Forex => "CURRENCY",
        Asset::Index => "INDEX",
        Asset::Future => "FUTURE",
    }
}

fn round2(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}

/// The vendor's fields of a quarter.
fn fields(q: &Quarter) -> [(&'static str, i64); 22] {
    [
        ("TotalRevenue", q.revenue),
        ("CostOfRevenue", q.cost),
        ("GrossProfit", q.revenue - q.cost),
        ("OperatingExpense", q.operating_expenses),
        ("OperatingIncome", q.revenue - q.cost - q.operating_expenses),
        ("PretaxIncome", q.net_income + q.tax),
        ("TaxProvision", q.tax),
        ("NetIncome", q.net_income),
        ("CashCashEquivalentsAndShortTermInvestments", q.cash),
        ("CurrentAssets", q.cash + q.other_assets / 4),
        ("TotalAssets", q.cash + q.other_assets),
        ("CurrentLiabilities", q.liabilities / 3),
        ("LongTermDebt", q.liabilities / 2),
        ("TotalLiabilitiesNetMinorityInterest", q.liabilities),
        ("StockholdersEquity", q.equity),
        ("DepreciationAndAmortization", q.depreciation),
        ("OperatingCashFlow", q.operating_cash),
        ("CapitalExpenditure", q.investing_cash),
        ("InvestingCashFlow", q.investing_cash),
        ("CashDividendsPaid", -q.dividends),
        ("FinancingCashFlow", q.financing_cash),
        ("FreeCashFlow", q.operating_cash + q.investing_cash),
    ]
}

/// The four quarters of a year as one: flows are summed, stocks are those of the last.
pub(super) fn years(company: &Company) -> Vec<Quarter> {
    company
        .quarters
        .chunk_by(|a, b| a.end.year() == b.end.year())
        .filter(|year| year.len() == 4)
        .map(|year| {
            let sum = |part: fn(&Quarter) -> i64| year.iter().map(part).sum();
            let last = year[3].clone();
            Quarter {
                revenue: sum(|q| q.revenue),
                cost: sum(|q| q.cost),
                operating_expenses: sum(|q| q.operating_expenses),
                tax: sum(|q| q.tax),
                net_income: sum(|q| q.net_income),
                depreciation: sum(|q| q.depreciation),
                operating_cash: sum(|q| q.operating_cash),
                investing_cash: sum(|q| q.investing_cash),
                financing_cash: sum(|q| q.financing_cash),
                dividends: sum(|q| q.dividends),
                ..last
            }
        })
        .collect()
}

fn timeseries(world: &World, ask: &Question, symbol: &str) -> Reply {
    let company = world.company(symbol);
    let second = |name: &str| ask.get(name).parse::<i64>().unwrap_or(0);
    let (from, to) = (second("period1"), second("period2"));
    let years = years(&company);
    let mut result = Vec::new();
    for name in ask.get("type").split(',').filter(|t| !t.is_empty() && !unknown(&company)) {
        let (periods, field, kind, keep) = match (name.strip_prefix("annual"), name.strip_prefix("quarterly"))
        {
            (Some(field), _) => (&years, field, "12M", 4),
            (_, Some(field)) => (&company.quarters, field, "3M", 5),
            _ => continue,
        };
        let known: Vec<&Quarter> = periods
            .iter()
            // The vendor knows a period when it was published, and lists it under the period's end.
            .filter(|q| midnight(q.end) >= from && midnight(q.end) < to && q.published <= world.today())
            .collect();
        let known = &known[known.len().saturating_sub(keep)..];
        let mut entry = json!({"meta": {"symbol": [company.symbol], "type": [name]}});
        let rows: Vec<(i64, Value)> = known
            .iter()
            .filter_map(|q| {
                let (_, value) = fields(q).into_iter().find(|(n, _)| *n == field)?;
                Some((
                    midnight(q.end),
                    json!({"asOfDate": q.end.to_string(), "periodType": kind, "currencyCode": "USD",
                        "reportedValue": {"raw": value, "fmt": format!("{:.2}B", value as f64 / 1e9)}}),
                ))
            })
            .collect();
        if !rows.is_empty() {
            entry["timestamp"] = rows.iter().map(|(t, _)| json!(t)).collect();
            entry[name] = rows.into_iter().map(|(_, v)| v).collect();
        }
        result.push(entry);
    }
    Reply::json(200, &json!({"timeseries": {"result": result, "error": null}}))
}

fn search(world: &World, ask: &Question) -> Reply {
    let company = world.company(ask.get("q"));
    if unknown(&company) {
        return Reply::json(200, &json!({"count": 0, "quotes": [], "news": []}));
    }
    let (start, end) = last_days(world, 10);
    let news: Vec<Value> = world
        .news(&company, start, end)
        .iter()
        .rev()
        .map(|n| json!({"title": n.title, "publisher": n.source, "link": "https://example.com/", "providerPublishTime": n.at.as_second(), "type": "STORY"}))
        .collect();
    let quote = json!({
        "symbol": company.symbol, "shortname": company.name, "longname": company.name, "quoteType": "EQUITY",
        "exchange": "NYQ", "exchDisp": company.exchange, "sector": company.sector, "sectorDisp": company.sector,
        "industry": company.industry, "industryDisp": company.industry, "isYahooFinance": true,
    });
    Reply::json(200, &json!({"count": 1, "quotes": [quote], "news": news}))
}

fn news(world: &World, ask: &Question) -> Reply {
    let body = ask.json();
    let symbol = body.pointer("/serviceConfig/s/0").and_then(Value::as_str).unwrap_or_default();
    let company = world.company(symbol);
    let (start, end) = last_days(world, 12);
    let stream: Vec<Value> = world
        .news(&company, start, end)
        .iter()
        .rev()
        .map(|n| {
            json!({"id": n.title, "content": {
                "title": n.title, "summary": format!("<p>{}</p>", n.text), "pubDate": n.at.to_string(),
                "provider": {"displayName": n.source}, "canonicalUrl": {"url": "https://example.com/"},
            }})
        })
        .collect();
    Reply::json(200, &json!({"data": {"tickerStream": {"stream": stream}}}))
}
