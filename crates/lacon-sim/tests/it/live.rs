//! The tools answered by vendors: all of them, on a day in the past, when vendors fail.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::civil::{Date, date};
use lacon_market::{
    Answer, Semantics, Symbol, catalog,
    live::{Live, LiveError, Vendors},
    routing::Routes,
    vendor::{Account, Fetch, Vendor, Wire, WireOptions},
};
use lacon_sim::{World, vendors::InProcess};
use serde_json::{Map, Value, json};

use crate::vendors::{TODAY, account, start, wire};

fn accounts(base: &str, key: &str) -> BTreeMap<Vendor, Account> {
    Vendor::ALL.into_iter().map(|v| (v, account(base, v, key))).collect()
}

fn live_with(
    base: &str,
    fetch: Option<Arc<dyn Fetch>>,
    key: &str,
    ticker: &str,
    as_of: Date,
    routes: &[&str],
) -> Live {
    let wire = match fetch {
        Some(fetch) => {
            Arc::new(Wire::new(fetch, WireOptions { wait: Duration::ZERO, ..WireOptions::default() }))
        }
        None => wire(Duration::from_secs(20), None),
    };
    let routes = Routes::parse(routes).unwrap();
    let vendors = Arc::new(Vendors::new(wire, &accounts(base, key), "search-model", routes));
    Live::new(vendors, &Symbol::parse(ticker).unwrap(), as_of, TODAY, Semantics::Standard)
}

/// The world without a socket.
fn live(ticker: &str, as_of: Date, routes: &[&str]) -> Live {
    let world: Arc<dyn Fetch> = Arc::new(InProcess(Arc::new(World::new(1, TODAY))));
    // An address on this machine, so that no courtesy is waited for.
    live_with("http://127.0.0.1", Some(world), "good-key-1", ticker, as_of, routes)
}

fn args(tool: &catalog::Tool, ticker: &str, day: Date) -> Map<String, Value> {
    tool.arguments
        .iter()
        .map(|a| {
            let value = match a.name {
                "indicator" => "rsi".into(),
                "freq" => "quarterly".into(),
                "look_back_days" => json!("60"),
                "series" => "cpi".into(),
                "start_date" => "2025-06-01".into(),
                name if name.ends_with("date") => day.to_string().into(),
                _ => json!(ticker),
            };
            (a.name.to_owned(), value)
        })
        .collect()
}

#[tokio::test]
async fn every_tool_is_answered_by_a_real_client() {
    let live = live("MSFT", TODAY, &[]);
    for tool in catalog::TOOLS {
        let answer = live.answer(tool.name, &args(tool, "MSFT", TODAY)).await.unwrap();
        assert!(matches!(answer, Answer::Text(_)), "{}: {}", tool.name, answer.text());
    }
    let records = live.provenance().records();
    assert_eq!(records.len(), catalog::TOOLS.len());
    assert!(records.iter().all(|r| r.status == "ok" && !r.origins.is_empty()));
    assert!(records.iter().all(|r| r.origins.iter().all(|o| !o.url.contains("good-key-1"))));
    let json = live.provenance().json().to_string();
    assert!(!json.contains("good-key-1"));
}

#[tokio::test]
async fn over_loopback_the_answers_are_the_same() {
    let server = start("");
    let socket = live_with(&server.url(), None, "good-key-1", "MSFT", TODAY, &[]);
    let direct = live("MSFT", TODAY, &[]);
    for name in ["get_YFin_data", "get_stocktwits_sentiment", "get_simfin_income_stmt", "get_volume_analysis"]
    {
        let tool = catalog::find(name).unwrap();
        let (a, b) = (
            socket.answer(name, &args(tool, "MSFT", TODAY)).await.unwrap(),
            direct.answer(name, &args(tool, "MSFT", TODAY)).await.unwrap(),
        );
        assert_eq!(a, b, "{name}");
    }
}

/// The vendors know everything up to 30 July; a run of the 14th must see none of it.
#[tokio::test]
async fn nothing_later_than_the_run_is_shown_by_any_vendor() {
    let as_of = date(2025, 7, 14);
    let world = World::new(1, TODAY);
    let company = world.company("MSFT");
    let late: Vec<String> = company
        .bars
        .iter()
        .filter(|b| b.date > as_of)
        .flat_map(|b| [format!("{:.2}", b.close), b.volume.to_string()])
        .collect();
    let early: Vec<String> =
        company.bars.iter().filter(|b| b.date <= as_of).map(|b| format!("{:.2}", b.close)).collect();
    for routes in [
        &[][..],
        &[
            "prices=alpha_vantage",
            "fundamentals=alpha_vantage",
            "statements=yahoo",
            "company_news=alpha_vantage",
            "insiders=alpha_vantage",
            "global_news=finnhub",
            "headlines=serper",
        ],
        &[
            "company_news=yahoo",
            "statements=alpha_vantage",
            "fundamentals=finnhub",
            "headlines=google_news",
            "global_news=google_news",
        ],
        &["company_news=google_news|web_search", "fundamentals=web_search", "global_news=web_search"],
    ] {
        let live = live("MSFT", as_of, routes);
        for tool in catalog::TOOLS {
            // The arguments ask for more than there may be.
            let Ok(answer) = live.answer(tool.name, &args(tool, "MSFT", date(2025, 12, 31))).await else {
                continue;
            };
            let text = answer.text();
            for day in 15..=31 {
                assert!(!text.contains(&format!("2025-07-{day}")), "{} {routes:?}: {text}", tool.name);
            }
            // What is computed from bars may meet a later close by chance.
            if tool.name.contains("support") || tool.name.contains("indicators") {
                continue;
            }
            for figure in late.iter().filter(|f| !early.contains(f) && f.len() > 4) {
                assert!(!text.contains(figure.as_str()), "{} {routes:?}: {figure} in {text}", tool.name);
            }
        }
    }
}

#[tokio::test]
async fn news_without_a_day_are_kept_live_and_dropped_in_a_back_test() {
    let tool = catalog::find("get_google_news").unwrap();
    let routes = ["headlines=google_news"];
    let today = live("MSFT", TODAY, &routes).answer(tool.name, &args(tool, "MSFT", TODAY)).await.unwrap();
    assert!(today.text().contains("An item without a day (no date given)"), "{}", today.text());
    let then = date(2025, 7, 14);
    let past = live("MSFT", then, &routes).answer(tool.name, &args(tool, "MSFT", then)).await.unwrap();
    assert!(matches!(past, Answer::Text(_)) && !past.text().contains("without a day"), "{}", past.text());
}

#[tokio::test]
async fn a_weekend_sees_the_last_trading_day() {
    let sunday = date(2025, 7, 13);
    let answer = live("MSFT", sunday, &[])
        .answer("get_YFin_data", &args(catalog::find("get_YFin_data").unwrap(), "MSFT", sunday))
        .await
        .unwrap();
    assert!(
        answer.text().contains("\n2025-07-11,") && !answer.text().contains("\n2025-07-1[2-9]"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn stale_prices_are_refused_with_their_age() {
    let tool = catalog::find("get_YFin_data").unwrap();
    let answer = live("STALE", TODAY, &[]).answer(tool.name, &args(tool, "STALE", TODAY)).await.unwrap();
    assert!(matches!(answer, Answer::NoData(_)));
    assert!(
        answer.text().contains("2025-06-20") && answer.text().contains("40 days before"),
        "{}",
        answer.text()
    );
    // A long weekend is within the limit.
    let answer = live("STALE", date(2025, 6, 29), &[])
        .answer(tool.name, &args(tool, "STALE", date(2025, 6, 29)))
        .await;
    assert!(matches!(answer, Ok(Answer::Text(_))), "{answer:?}");
}

#[tokio::test]
async fn core_data_that_nobody_gives_fails_and_the_rest_says_what_is_missing() {
    let server = start("500=1");
    let live = live_with(&server.url(), None, "good-key-1", "MSFT", TODAY, &[]);
    let of = |name: &str| args(catalog::find(name).unwrap(), "MSFT", TODAY);
    for name in
        ["get_YFin_data_online", "get_volume_analysis", "get_fundamentals_openai", "get_simfin_cashflow"]
    {
        let error = live.answer(name, &of(name)).await.unwrap_err();
        assert!(matches!(error, LiveError::Unavailable { .. }), "{name}: {error}");
        assert!(error.to_string().contains("yahoo: upstream down: answered 500"), "{error}");
    }
    for name in
        ["get_stock_news_openai", "get_stocktwits_sentiment", "get_macro_series", "get_prediction_markets"]
    {
        let answer = live.answer(name, &of(name)).await.unwrap();
        assert!(matches!(answer, Answer::NoData(_)));
        assert!(
            answer.text().contains("is unavailable") && answer.text().contains("do not make it up"),
            "{}",
            answer.text()
        );
    }
    assert!(live.provenance().records().iter().any(|r| r.status == "failed" && !r.passed.is_empty()));
}

#[tokio::test]
async fn a_chain_is_all_there_is() {
    let routes = ["prices=alpha_vantage"];
    let live = live_with(
        "http://127.0.0.1",
        Some(Arc::new(InProcess(Arc::new(World::new(1, TODAY))))),
        "",
        "MSFT",
        TODAY,
        &routes,
    );
    let tool = catalog::find("get_YFin_data").unwrap();
    let error = live.answer(tool.name, &args(tool, "MSFT", TODAY)).await.unwrap_err();
    assert!(
        error.to_string().contains("alpha_vantage: not configured") && !error.to_string().contains("yahoo"),
        "{error}"
    );
}

#[tokio::test]
async fn identity_is_resolved_once_and_fails_open() {
    let known = live("MSFT", TODAY, &[]).identity().await;
    assert_eq!(known.name.as_deref(), World::new(1, TODAY).company("MSFT").name.as_str().into());
    assert!(
        known.listing().starts_with("Sector: ") && known.listing().contains("Exchange: "),
        "{}",
        known.listing()
    );
    assert_eq!(live("ZZTOP", TODAY, &[]).identity().await.name, None);
    let server = start("500=1");
    let broken = live_with(&server.url(), None, "good-key-1", "MSFT", TODAY, &[]);
    assert_eq!(broken.identity().await.listing(), "");
}

#[tokio::test]
async fn names_of_traders_reach_the_vendor_in_its_own_form() {
    let tool = catalog::find("get_YFin_data").unwrap();
    let coin = live("BTCUSD", TODAY, &[]);
    coin.answer(tool.name, &args(tool, "btcusd", TODAY)).await.unwrap();
    assert!(coin.provenance().records()[0].origins[0].url.contains("/chart/BTC-USD?"));
    let answer = coin
        .answer(
            "get_fundamentals_openai",
            &args(catalog::find("get_fundamentals_openai").unwrap(), "BTCUSD", TODAY),
        )
        .await;
    assert!(answer.unwrap().text().ends_with("a coin has no company behind it"));
    let hostile = json!({"symbol": "../../etc/passwd", "start_date": "2025-07-01", "end_date": "2025-07-30"});
    let error = coin.answer(tool.name, hostile.as_object().unwrap()).await.unwrap_err();
    assert!(matches!(error, LiveError::Symbol(_)), "{error}");
}

#[tokio::test]
async fn an_answer_names_vendor_window_and_time() {
    let live = live("MSFT", TODAY, &[]);
    let tool = catalog::find("get_YFin_data").unwrap();
    live.answer(tool.name, &args(tool, "MSFT", TODAY)).await.unwrap();
    let close = World::new(1, TODAY).company("MSFT").bars.last().unwrap().close;
    let records = live.provenance().records();
    let shown = records.iter().find(|record| record.text.contains(&close.to_string())).unwrap();
    let origin = &shown.origins[0];
    assert_eq!((origin.vendor.as_str(), origin.window[1]), ("yahoo", Some(TODAY)));
    assert!(origin.url.contains("/v8/finance/chart/MSFT"));
}

/// What is pulled is what a run on the pack reads, and nothing in it is later than its day.
#[tokio::test]
async fn a_pulled_pack_is_read_back_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let day = date(2025, 7, 14);
    for ticker in ["AAPL", "MSFT"] {
        let symbol = Symbol::parse(ticker).unwrap();
        let got = live(ticker, day, &[]).gather().await;
        assert!(got.data.bars.len() > 2_000 && !got.data.statements.is_empty(), "{:?}", got.gaps);
        assert_eq!(got.data.bars.last().unwrap().date, day);
        lacon_market::folder::write(folder.path(), &symbol, &got.data).unwrap();
        let back = lacon_market::folder::load(folder.path(), &symbol).unwrap();
        assert_eq!((&back.bars, &back.name, back.date), (&got.data.bars, &got.data.name, Some(day)));
        assert_eq!(back.company_news.len(), got.data.company_news.len());
        assert_eq!(
            (back.social.len(), back.messages.len()),
            (got.data.social.len(), got.data.messages.len())
        );
        assert_eq!(back.statements.len(), got.data.statements.len());
        assert_eq!(back.insider_transactions.len(), got.data.insider_transactions.len());
    }
    // The second ticker has not pushed the first out of the files that they share.
    let first = lacon_market::folder::load(folder.path(), &Symbol::parse("AAPL").unwrap()).unwrap();
    assert!(!first.statements.is_empty());
    let checked = lacon_market::folder::verify(folder.path());
    assert_eq!((checked.problems.as_slice(), checked.tickers.len()), (&[][..], 2));
    // One changed digit is found.
    let prices = std::fs::read_dir(folder.path().join("market_data/price_data"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = std::fs::read_to_string(&prices).unwrap().replacen('1', "2", 40);
    std::fs::write(&prices, text).unwrap();
    let checked = lacon_market::folder::verify(folder.path());
    assert!(checked.problems.iter().any(|p| p.contains("with digest")), "{:?}", checked.problems);
}
