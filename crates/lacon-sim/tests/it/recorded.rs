//! The shapes of the vendors as files, `testdata/vendors/<name>/`: the doubles answer with them byte for byte, the clients read them.
//!
//! `cargo test -p lacon-sim -- --ignored writes_the_recorded_shapes` writes them anew. They come from the synthetic world of
//! 30 July 2025, seed 1: shapes are the vendors', figures are nobody's.

use std::path::PathBuf;

use jiff::{Timestamp, civil::date};
use lacon_market::{
    dataset::StatementKind,
    vendor::{
        Vendor, alpha_vantage, finnhub, fred, google_news, polymarket, reddit, serper, simfin, stocktwits,
        web_search, yahoo,
    },
};
use lacon_sim::{
    World,
    vendors::{Question, Reply, read_query, reply},
};

use crate::vendors::TODAY;

/// Vendor, file, path with query, headers, body.
type Case = (Vendor, &'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

const CASES: &[Case] = &[
    (
        Vendor::Yahoo,
        "chart.json",
        "/v8/finance/chart/MSFT?period1=1752537600&period2=1753401600&interval=1d",
        &[],
        "",
    ),
    (
        Vendor::Yahoo,
        "chart_split.json",
        "/v8/finance/chart/MSFT?period1=1630022400&period2=1630627200&interval=1d",
        &[],
        "",
    ),
    (Vendor::Yahoo, "chart_unknown.json", "/v8/finance/chart/ZZTOP?period1=0&period2=1", &[], ""),
    (
        Vendor::Yahoo,
        "chart_listing_day.json",
        "/v8/finance/chart/NEWCO?period1=1752537600&period2=1753920000",
        &[],
        "",
    ),
    (Vendor::Yahoo, "quote_summary.json", "/v10/finance/quoteSummary/MSFT?crumb=synthetic.crumb", &[], ""),
    (Vendor::Yahoo, "bad_crumb.json", "/v10/finance/quoteSummary/MSFT?crumb=old", &[], ""),
    (
        Vendor::Yahoo,
        "timeseries.json",
        "/ws/fundamentals-timeseries/v1/finance/timeseries/MSFT?type=quarterlyTotalRevenue,annualNetIncome,quarterlyTotalAssets&period1=1600000000&period2=1753920000",
        &[],
        "",
    ),
    (Vendor::Yahoo, "search.json", "/v1/finance/search?q=MSFT", &[], ""),
    (
        Vendor::Yahoo,
        "news.json",
        "/xhr/ncp?queryRef=latestNews",
        &[],
        r#"{"serviceConfig": {"snippetCount": 20, "s": ["MSFT"]}}"#,
    ),
    (Vendor::AlphaVantage, "overview.json", "/query?function=OVERVIEW&symbol=MSFT&apikey=k", &[], ""),
    (
        Vendor::AlphaVantage,
        "news.json",
        "/query?function=NEWS_SENTIMENT&tickers=MSFT&time_from=20250728T0000&apikey=k",
        &[],
        "",
    ),
    (
        Vendor::AlphaVantage,
        "bad_key.json",
        "/query?function=OVERVIEW&symbol=MSFT&apikey=refused-key",
        &[],
        "",
    ),
    (Vendor::AlphaVantage, "bad_call.json", "/query?function=NOTHING&apikey=k", &[], ""),
    (
        Vendor::AlphaVantage,
        "daily.csv",
        "/query?function=TIME_SERIES_DAILY_ADJUSTED&symbol=MSFT&apikey=k",
        &[],
        "",
    ),
    (
        Vendor::Finnhub,
        "company_news.json",
        "/company-news?symbol=MSFT&from=2025-07-25&to=2025-07-30",
        &[("x-finnhub-token", "k")],
        "",
    ),
    (
        Vendor::Finnhub,
        "insider_sentiment.json",
        "/stock/insider-sentiment?symbol=MSFT&from=2025-04-01&to=2025-07-30",
        &[("x-finnhub-token", "k")],
        "",
    ),
    (
        Vendor::Finnhub,
        "insider_transactions.json",
        "/stock/insider-transactions?symbol=MSFT&from=2025-05-01&to=2025-07-30",
        &[("x-finnhub-token", "k")],
        "",
    ),
    (Vendor::Finnhub, "metric.json", "/stock/metric?symbol=MSFT", &[("x-finnhub-token", "k")], ""),
    (Vendor::Fred, "series.json", "/series?series_id=CPIAUCSL&api_key=k", &[], ""),
    (
        Vendor::Fred,
        "observations.json",
        "/series/observations?series_id=CPIAUCSL&api_key=k&observation_start=2024-07-01&realtime_end=2025-03-15",
        &[],
        "",
    ),
    (Vendor::Fred, "unknown.json", "/series?series_id=ZZ&api_key=k", &[], ""),
    (Vendor::Reddit, "search.json", "/r/stocks/search.json?q=MSFT", &[], ""),
    (Vendor::Reddit, "search.rss", "/r/stocks/search.rss?q=MSFT", &[], ""),
    (Vendor::StockTwits, "stream.json", "/streams/symbol/MSFT.json", &[], ""),
    (Vendor::StockTwits, "unknown.json", "/streams/symbol/ZZTOP.json", &[], ""),
    (Vendor::GoogleNews, "search.rss", "/rss/search?q=MSFT+after:2025-07-22+before:2025-07-27", &[], ""),
    (Vendor::Serper, "news.json", "/news", &[("x-api-key", "k")], r#"{"q": "MSFT"}"#),
    (Vendor::Polymarket, "search.json", "/public-search?q=MSFT", &[], ""),
    (Vendor::SimFin, "us-income-annual.csv", "/us-income-annual.csv", &[], ""),
    (
        Vendor::WebSearch,
        "responses.json",
        "/responses",
        &[("authorization", "Bearer k")],
        r#"{"model": "m", "input": [{"content": [{"text": "News on the company listed as MSFT"}]}]}"#,
    ),
];

fn path(vendor: Vendor, file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vendors").join(vendor.name()).join(file)
}

fn answer(world: &World, case: &Case) -> Reply {
    let (vendor, _, address, headers, body) = case;
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let ask = Question {
        post: !body.is_empty(),
        path: path.into(),
        query: read_query(query),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        body: body.as_bytes().to_vec(),
    };
    reply(world, *vendor, &ask)
}

#[test]
fn doubles_answer_as_recorded() {
    let world = World::new(1, TODAY);
    for case in CASES {
        let file = path(case.0, case.1);
        let recorded = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(answer(&world, case).body == recorded, "{} is not what the double answers", file.display());
    }
}

#[test]
#[ignore = "writes testdata/vendors"]
fn writes_the_recorded_shapes() {
    let world = World::new(1, TODAY);
    for case in CASES {
        let file = path(case.0, case.1);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, answer(&world, case).body).unwrap();
    }
}

/// What the clients make of the files: the same facts, whatever happens to the doubles.
#[test]
fn clients_read_the_recorded_shapes() {
    let read = |vendor: Vendor, file: &str| std::fs::read(path(vendor, file)).unwrap();
    let chart = yahoo::parse_chart(&read(Vendor::Yahoo, "chart.json")).unwrap();
    assert_eq!(
        (chart.symbol.as_str(), chart.currency.as_str(), chart.kind.as_str()),
        ("MSFT", "USD", "EQUITY")
    );
    assert_eq!(chart.bars.first().unwrap().date, date(2025, 7, 15));
    // The running day was appended beyond the end, and rows without prices are gone.
    assert_eq!(chart.bars.last().unwrap().date, TODAY);
    assert!(chart.bars.iter().all(|b| b.low <= b.high));
    let split = yahoo::parse_chart(&read(Vendor::Yahoo, "chart_split.json")).unwrap();
    assert_eq!(split.splits, [(date(2021, 8, 31), 4.0)]);
    let unknown = yahoo::parse_chart(&read(Vendor::Yahoo, "chart_unknown.json")).unwrap_err();
    assert_eq!(unknown.to_string(), "yahoo: no data: No data found, symbol may be delisted");
    let listing = yahoo::parse_chart(&read(Vendor::Yahoo, "chart_listing_day.json")).unwrap();
    assert_eq!((listing.bars.len(), listing.listed), (0, Some(TODAY)));
    let summary = yahoo::parse_summary(&read(Vendor::Yahoo, "quote_summary.json")).unwrap();
    assert!(
        summary.facts.iter().any(|(l, _)| l == "Price to earnings, trailing")
            && !summary.identity.sector.is_empty()
    );
    let statements = yahoo::parse_timeseries(&read(Vendor::Yahoo, "timeseries.json")).unwrap();
    let quarter =
        statements.iter().find(|s| s.kind == StatementKind::Income && s.frequency == "quarterly").unwrap();
    assert_eq!((quarter.publish_date - quarter.report_date).get_days(), 45);
    let (matches, stories) = yahoo::parse_search(&read(Vendor::Yahoo, "search.json")).unwrap();
    assert!(matches[0].symbol == "MSFT" && stories.iter().all(|s| s.date.is_some()));
    assert!(
        yahoo::parse_news(&read(Vendor::Yahoo, "news.json")).unwrap().iter().all(|s| !s.text.contains('<'))
    );

    let overview = alpha_vantage::parse_overview(&read(Vendor::AlphaVantage, "overview.json")).unwrap();
    assert!(overview.iter().any(|(n, _)| n == "EPS") && overview.iter().all(|(_, v)| v != "None"));
    let news = alpha_vantage::parse_news(&read(Vendor::AlphaVantage, "news.json"), Some("MSFT")).unwrap();
    assert!(news[0].text.ends_with("Sentiment 0.121 (Neutral)."), "{}", news[0].text);
    let daily =
        alpha_vantage::parse_daily(&read(Vendor::AlphaVantage, "daily.csv"), "", date(2025, 7, 25)).unwrap();
    assert_eq!(daily.last().unwrap().date, date(2025, 7, 25));
    let insiders = finnhub::parse_transactions(&read(Vendor::Finnhub, "insider_transactions.json")).unwrap();
    assert!(insiders.iter().all(|e| e.fields["filingDate"] == e.date.to_string()));
    let sentiment = finnhub::parse_sentiment(&read(Vendor::Finnhub, "insider_sentiment.json")).unwrap();
    assert_eq!(sentiment.last().unwrap().date, date(2025, 7, 31), "a month is whole on its last day");
    assert!(!finnhub::parse_news(&read(Vendor::Finnhub, "company_news.json")).unwrap().is_empty());
    assert_eq!(finnhub::parse_metrics(&read(Vendor::Finnhub, "metric.json")).unwrap().len(), 3);
    assert_eq!(fred::parse_series(&read(Vendor::Fred, "series.json")).unwrap().units, "Index");
    let values = fred::parse_observations(&read(Vendor::Fred, "observations.json")).unwrap();
    assert!(values.len() >= 5 && values.last().unwrap().0 <= date(2025, 2, 1), "{values:?}");
    let (posts, feed) = (
        reddit::parse_posts(&read(Vendor::Reddit, "search.json")).unwrap(),
        reddit::parse_feed(&read(Vendor::Reddit, "search.rss"), "").unwrap(),
    );
    assert_eq!(posts.len(), feed.len());
    assert!(
        posts.iter().zip(&feed).all(|(a, b)| a.title == b.title && a.date == b.date && b.counts.is_none())
    );
    let messages = stocktwits::parse_messages(&read(Vendor::StockTwits, "stream.json")).unwrap();
    assert!(messages.iter().all(|m| m.mood.as_deref().is_none_or(|m| matches!(m, "Bullish" | "Bearish"))));
    assert!(stocktwits::parse_messages(&read(Vendor::StockTwits, "unknown.json")).is_err());
    let headlines = google_news::parse_rss(&read(Vendor::GoogleNews, "search.rss"), "").unwrap();
    assert!(
        headlines.iter().any(|s| s.date.is_none()) && headlines.iter().all(|s| !s.title.ends_with(&s.source))
    );
    let fetched: Timestamp = "2025-07-30T01:00:00Z".parse().unwrap();
    let news = serper::parse_news(&read(Vendor::Serper, "news.json"), fetched).unwrap();
    assert_eq!(news[0].date, Some(date(2025, 7, 29)), "three hours before one in the night");
    let markets = polymarket::parse_markets(&read(Vendor::Polymarket, "search.json"), TODAY).unwrap();
    assert_eq!(markets.len(), 2, "closed and past markets are left out");
    assert!(
        markets[0].volume > markets[1].volume
            && markets[0].week_change.is_none()
            && markets[1].week_change.is_some()
    );
    let text = polymarket::render("MSFT", &markets, TODAY);
    assert!(
        text.contains("+4.2 points in a week") && text.contains("volume 9004 USD")
            || text.contains("volume 9005 USD"),
        "{text}"
    );
    let csv = read(Vendor::SimFin, "us-income-annual.csv");
    let years = simfin::parse_statements(&csv, "text/csv", "MSFT", StatementKind::Income, "annual").unwrap();
    assert!(years.len() >= 6 && years.iter().all(|s| s.publish_date > s.report_date));
    let found = web_search::parse_answer(&read(Vendor::WebSearch, "responses.json")).unwrap();
    assert!(found.text.starts_with("What the search found:") && found.links == ["https://example.com/"]);
}
