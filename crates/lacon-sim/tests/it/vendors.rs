//! Every vendor client over loopback against its double: what it reads, and what it makes of every fault.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::civil::{Date, date};
use lacon_market::{
    dataset::StatementKind,
    vendor::{
        Account, Elsewhere, Key, Made, Problem, Vendor, VendorError, Wire, WireOptions,
        alpha_vantage::AlphaVantage, disk::DiskCache, fetch::BoxFuture, finnhub::Finnhub, fred::Fred,
        google_news::GoogleNews, http::HttpFetch, polymarket::Polymarket, reddit::Reddit, serper::Serper,
        simfin::SimFin, stocktwits::StockTwits, web_search::WebSearch, yahoo::Yahoo,
    },
};
use lacon_sim::{
    FaultPlan, SimOptions, World,
    server::{Background, ServeOptions},
};

pub const TODAY: Date = date(2025, 7, 30);
const WEEK_AGO: Date = date(2025, 7, 23);

pub fn start(faults: &str) -> Background {
    let sim = SimOptions { seed: 1, time_scale: 0.0, ..SimOptions::default() };
    let world = Arc::new(World::new(1, TODAY));
    Background::start(ServeOptions { world, sim, faults: FaultPlan::parse(faults).unwrap() }).unwrap()
}

pub fn wire(timeout: Duration, cache: Option<DiskCache>) -> Arc<Wire> {
    let fetch = HttpFetch::new(Duration::from_secs(2)).unwrap();
    let options = WireOptions {
        timeout,
        wait: Duration::from_millis(1),
        cache,
        breaker: None,
        ..WireOptions::default()
    };
    Arc::new(Wire::new(Arc::new(fetch), options))
}

pub fn account(base: &str, vendor: Vendor, key: &str) -> Account {
    Account { base_url: format!("{base}/{vendor}"), key: Key::new(key), secret: Key::default() }
}

/// Makes one call of each vendor's clients; gives how many things were read.
async fn call(what: &str, wire: &Arc<Wire>, base: &str, key: &str) -> Result<usize, VendorError> {
    let (vendor, call) = what.split_once('.').unwrap();
    let vendor: Vendor = vendor.parse().unwrap();
    let account = account(base, vendor, key);
    let wire = Arc::clone(wire);
    Ok(match (vendor, call) {
        (Vendor::Yahoo, "chart") => {
            Yahoo::new(wire, &account).chart("AAPL", WEEK_AGO, TODAY).await?.value.bars.len()
        }
        (Vendor::Yahoo, "summary") => {
            Yahoo::new(wire, &account).quote_summary("AAPL").await?.value.facts.len()
        }
        (Vendor::Yahoo, "statements") => {
            Yahoo::new(wire, &account).statements("AAPL", TODAY).await?.value.len()
        }
        (Vendor::Yahoo, "search") => Yahoo::new(wire, &account).search("AAPL").await?.value.0.len(),
        (Vendor::Yahoo, "news") => Yahoo::new(wire, &account).news("AAPL").await?.value.len(),
        (Vendor::AlphaVantage, "daily") => {
            AlphaVantage::new(wire, &account).daily("AAPL", WEEK_AGO, TODAY, TODAY).await?.value.len()
        }
        (Vendor::AlphaVantage, "overview") => {
            AlphaVantage::new(wire, &account).overview("AAPL").await?.value.len()
        }
        (Vendor::AlphaVantage, "statements") => {
            AlphaVantage::new(wire, &account).statements("AAPL").await?.value.len()
        }
        (Vendor::AlphaVantage, "news") => {
            AlphaVantage::new(wire, &account).news(Some("AAPL"), WEEK_AGO, TODAY).await?.value.len()
        }
        (Vendor::AlphaVantage, "insiders") => {
            AlphaVantage::new(wire, &account).insiders("AAPL").await?.value.len()
        }
        (Vendor::AlphaVantage, "indicator") => {
            AlphaVantage::new(wire, &account).indicator("SMA", "AAPL", 10).await?.value.len()
        }
        (Vendor::Finnhub, "company_news") => {
            Finnhub::new(wire, &account).company_news("AAPL", WEEK_AGO, TODAY).await?.value.len()
        }
        (Vendor::Finnhub, "market_news") => Finnhub::new(wire, &account).market_news().await?.value.len(),
        (Vendor::Finnhub, "sentiment") => {
            Finnhub::new(wire, &account).insider_sentiment("AAPL", date(2025, 5, 1), TODAY).await?.value.len()
        }
        (Vendor::Finnhub, "transactions") => Finnhub::new(wire, &account)
            .insider_transactions("AAPL", date(2025, 1, 1), TODAY)
            .await?
            .value
            .len(),
        (Vendor::Finnhub, "profile") => Finnhub::new(wire, &account).profile("AAPL").await?.value.name.len(),
        (Vendor::Finnhub, "figures") => {
            Finnhub::new(wire, &account).figures("AAPL", TODAY).await?.value.len()
        }
        (Vendor::Fred, _) => Fred::new(wire, &account).series("cpi", TODAY, 365).await?.value.values.len(),
        (Vendor::Reddit, "anonymous") => {
            let account = Account { key: Key::default(), ..account };
            Reddit::new(wire, &account).search("AAPL").await?.value.len()
        }
        (Vendor::Reddit, _) => {
            let account = Account { secret: Key::new("secret-of-app"), ..account };
            Reddit::new(wire, &account).search("AAPL").await?.value.len()
        }
        (Vendor::StockTwits, _) => StockTwits::new(wire, &account).messages("AAPL").await?.value.len(),
        (Vendor::GoogleNews, _) => {
            GoogleNews::new(wire, &account).search("AAPL", WEEK_AGO, TODAY).await?.value.len()
        }
        (Vendor::Serper, _) => Serper::new(wire, &account).news("AAPL", WEEK_AGO, TODAY).await?.value.len(),
        (Vendor::Polymarket, _) => {
            Polymarket::new(wire, &account).search("AAPL", TODAY, 10).await?.value.len()
        }
        (Vendor::SimFin, "archive") => {
            let account = Account { base_url: format!("{}/s3", account.base_url), ..account };
            let client = SimFin::new(wire, &account);
            client.statements("AAPL", StatementKind::Income, "quarterly").await?.value.len()
        }
        (Vendor::SimFin, _) => {
            let client = SimFin::new(wire, &account);
            client.statements("AAPL", StatementKind::Income, "quarterly").await?.value.len()
        }
        (Vendor::WebSearch, _) => {
            let client = WebSearch::new(wire, &account, "search-model");
            client.ask("News about the company listed as AAPL", WEEK_AGO, TODAY).await?.value.text.len()
        }
        _ => panic!("{what}"),
    })
}

const CALLS: &[&str] = &[
    "yahoo.chart",
    "yahoo.summary",
    "yahoo.statements",
    "yahoo.search",
    "yahoo.news",
    "alpha_vantage.daily",
    "alpha_vantage.overview",
    "alpha_vantage.statements",
    "alpha_vantage.news",
    "alpha_vantage.insiders",
    "alpha_vantage.indicator",
    "finnhub.company_news",
    "finnhub.market_news",
    "finnhub.sentiment",
    "finnhub.transactions",
    "finnhub.profile",
    "finnhub.figures",
    "fred.series",
    "reddit.anonymous",
    "reddit.oauth",
    "stocktwits.messages",
    "google_news.search",
    "serper.news",
    "polymarket.search",
    "simfin.statements",
    "simfin.archive",
    "web_search.ask",
];

#[tokio::test]
async fn every_client_reads_its_vendor() {
    let server = start("");
    let wire = wire(Duration::from_secs(20), None);
    for what in CALLS {
        let n =
            call(what, &wire, &server.url(), "good-key-1").await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(n > 0, "{what}");
    }
}

/// Each fault at each client: the right kind of error, no panic, no hang, and no key in any message.
#[tokio::test]
async fn every_client_meets_every_fault() {
    use Problem::{BadRequest, Malformed, NoData, RateLimited, Unauthorised, UpstreamDown};
    let server = start("");
    // Only a stalled answer waits for the limit; all others come at once.
    let (patient, hasty) = (wire(Duration::from_secs(20), None), wire(Duration::from_millis(150), None));
    let any_error = [BadRequest, Malformed, NoData, RateLimited, Unauthorised, UpstreamDown];
    for (fault, expected) in [
        ("429:0", &[RateLimited][..]),
        ("401", &[Unauthorised]),
        ("403", &[Unauthorised]),
        ("404", &[NoData]),
        // Yahoo's, FRED's and Alpha Vantage's own errors have no such shape, so the status speaks.
        ("400", &[BadRequest]),
        ("500", &[UpstreamDown]),
        ("503", &[UpstreamDown]),
        ("cut", &[UpstreamDown]),
        ("drop", &[UpstreamDown]),
        ("stall", &[UpstreamDown]),
        ("badjson", &[Malformed]),
        ("html", &[Malformed]),
        ("error", &any_error),
        ("length", &any_error),
        ("endless", &[Malformed]),
        ("latin1", &any_error),
    ] {
        for what in CALLS {
            let base = format!("{}/fault/{fault}", server.url());
            let wire = if fault == "stall" { &hasty } else { &patient };
            let done =
                tokio::time::timeout(Duration::from_secs(30), call(what, wire, &base, "good-key-1")).await;
            let done = done.unwrap_or_else(|_| panic!("{what} hangs with {fault}"));
            match done {
                // Half of a CSV, and a crooked letter in a text that allows any, cannot be told from a whole one; the archive lies at an
                // address that knows of no fault.
                Ok(_) if matches!(fault, "length" | "latin1") => {}
                Ok(_) if *what == "simfin.archive" && ["cut", "stall", "badjson"].contains(&fault) => {}
                // The cookie's 404 is what the real host answers too.
                Ok(n) => panic!("{what} read {n} things with {fault}"),
                Err(error) => {
                    // A crumb that is a web page or half of JSON is no crumb; the first of three calls decides. Without a cookie and
                    // without a page of consent there is no session, whatever the symbol.
                    let sessionless =
                        (what, fault) == (&"yahoo.summary", "404") && error.problem == Unauthorised;
                    assert!(expected.contains(&error.problem) || sessionless, "{what} with {fault}: {error}");
                    assert!(!error.to_string().contains("good-key-1"), "{what} with {fault}: {error}");
                    assert!(!error.message.is_empty() && !error.message.contains("<html"), "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_slow_vendor_is_waited_for_and_nul_bytes_are_dropped() {
    let server = start("");
    let wire = wire(Duration::from_secs(20), None);
    for what in CALLS {
        let slow = format!("{}/fault/slow:1", server.url());
        assert!(call(what, &wire, &slow, "good-key-1").await.unwrap() > 0, "{what}");
    }
    let base = format!("{}/fault/nul", server.url());
    let yahoo = Yahoo::new(Arc::clone(&wire), &account(&base, Vendor::Yahoo, ""));
    let news = yahoo.news("AAPL").await.unwrap().value;
    assert!(!news.is_empty() && news.iter().all(|n| !n.title.contains('\0') && !n.text.contains('\0')));
}

#[tokio::test]
async fn keys_missing_and_refused_are_told_apart() {
    let server = start("");
    let wire = wire(Duration::from_secs(20), None);
    for what in ["alpha_vantage.daily", "finnhub.profile", "fred.series", "serper.news", "web_search.ask"] {
        let missing = call(what, &wire, &server.url(), "").await.unwrap_err();
        assert_eq!(missing.problem, Problem::NotConfigured, "{what}: {missing}");
        assert!(missing.to_string().contains("hint: set "), "{missing}");
        let refused = call(what, &wire, &server.url(), "refused-key").await.unwrap_err();
        assert_eq!(refused.problem, Problem::Unauthorised, "{what}: {refused}");
        assert!(!refused.to_string().contains("refused-key"), "{refused}");
    }
    let folder = SimFin::new(wire, &Account::default());
    let error = folder.statements("AAPL", StatementKind::Income, "annual").await.unwrap_err();
    assert_eq!(error.problem, Problem::NotConfigured);
}

/// Where the law wants it no cookie is set before a form is answered; a page without a form is an error that says so.
#[tokio::test]
async fn consent_is_given_where_the_vendor_asks_for_it() {
    let server = start("consent@yahoo");
    let wire = wire(Duration::from_secs(20), None);
    let yahoo = Yahoo::new(Arc::clone(&wire), &account(&server.url(), Vendor::Yahoo, ""));
    assert!(!yahoo.quote_summary("AAPL").await.unwrap().value.facts.is_empty());
    let formless = start("html@yahoo");
    let yahoo = Yahoo::new(wire, &account(&formless.url(), Vendor::Yahoo, ""));
    let error = yahoo.quote_summary("AAPL").await.unwrap_err();
    assert!(error.message.contains("its consent page cannot be used: the page holds no form"), "{error}");
}

/// SimFin's own address gives the same rows as a folder of its files, and its key goes to nobody else.
#[tokio::test]
async fn an_archive_holds_what_the_folder_holds() {
    let server = start("");
    let cache = tempfile::tempdir().unwrap();
    let wire = wire(Duration::from_secs(20), Some(DiskCache::new(cache.path(), 64 << 20)));
    let folder = SimFin::new(Arc::clone(&wire), &account(&server.url(), Vendor::SimFin, "good-key-1"));
    let own = Account {
        base_url: format!("{}/simfin/s3", server.url()),
        ..account(&server.url(), Vendor::SimFin, "good-key-1")
    };
    let archive = SimFin::new(Arc::clone(&wire), &own);
    for kind in StatementKind::ALL {
        let plain = folder.statements("AAPL", kind, "annual").await.unwrap().value;
        let packed = archive.statements("AAPL", kind, "annual").await.unwrap();
        assert_eq!(plain, packed.value);
        assert!(!packed.sources[0].url.contains("good-key-1") && !packed.sources[0].cached);
        assert!(archive.statements("AAPL", kind, "annual").await.unwrap().sources[0].cached);
    }
    let keyless = SimFin::new(wire, &Account { key: Key::default(), ..own });
    let error = keyless.statements("AAPL", StatementKind::Income, "annual").await.unwrap_err();
    assert_eq!(error.problem, Problem::NotConfigured);
}

#[tokio::test]
async fn symbols_that_nobody_knows_are_no_data() {
    let server = start("");
    let wire = wire(Duration::from_secs(20), None);
    let base = server.url();
    let yahoo = Yahoo::new(Arc::clone(&wire), &account(&base, Vendor::Yahoo, ""));
    for symbol in ["GONE", "ZZTOP"] {
        assert_eq!(yahoo.chart(symbol, WEEK_AGO, TODAY).await.unwrap_err().problem, Problem::NoData);
        assert_eq!(yahoo.quote_summary(symbol).await.unwrap_err().problem, Problem::NoData);
        assert_eq!(yahoo.statements(symbol, TODAY).await.unwrap_err().problem, Problem::NoData);
    }
    let listing = yahoo.chart("NEWCO", WEEK_AGO, TODAY).await.unwrap_err();
    assert!(listing.message.ends_with("first day of trading 2025-07-30"), "{listing}");
    let twits = StockTwits::new(Arc::clone(&wire), &account(&base, Vendor::StockTwits, ""));
    assert_eq!(twits.messages("ZZTOP").await.unwrap_err().problem, Problem::NoData);
    let fred = Fred::new(Arc::clone(&wire), &account(&base, Vendor::Fred, "good-key-1"));
    assert_eq!(fred.series("ZZNONE", TODAY, 30).await.unwrap_err().problem, Problem::NoData);
    let phrase = fred.series("the price of bread", TODAY, 30).await.unwrap_err();
    assert!(
        phrase.problem == Problem::BadRequest && phrase.to_string().contains("hint: a series id"),
        "{phrase}"
    );
    assert_eq!(fred.series("cpi", date(2025, 7, 5), 3).await.unwrap_err().problem, Problem::NoData);
    let market = Polymarket::new(wire, &account(&base, Vendor::Polymarket, ""));
    assert_eq!(market.search("ZZ", TODAY, 5).await.unwrap_err().problem, Problem::NoData);
}

/// The end that was asked for is there, the running row beyond it is not, rows without prices are dropped.
#[tokio::test]
async fn date_boundaries_the_end_is_inclusive() {
    let server = start("");
    let yahoo = Yahoo::new(wire(Duration::from_secs(20), None), &account(&server.url(), Vendor::Yahoo, ""));
    let chart = yahoo.chart("MSFT", date(2025, 7, 1), date(2025, 7, 18)).await.unwrap().value;
    let days: Vec<Date> = chart.bars.iter().map(|b| b.date).collect();
    assert_eq!((days[0], *days.last().unwrap()), (date(2025, 7, 1), date(2025, 7, 18)));
    assert!(days.windows(2).all(|w| w[0] < w[1]));
    let world = World::new(1, TODAY);
    let truth = world.company("MSFT");
    let bar = truth.bars.iter().find(|b| b.date == date(2025, 7, 18)).unwrap();
    assert!((chart.bars.last().unwrap().close - bar.close).abs() < 1e-4 * bar.close);
}

#[tokio::test]
async fn alpha_vantage_agrees_with_yahoo_across_the_split() {
    let server = start("");
    let wire = wire(Duration::from_secs(20), None);
    let world = World::new(1, TODAY);
    let symbol = ["AAPL", "MSFT", "NVDA", "XOM", "TSLA", "JPM"]
        .into_iter()
        .find(|s| !world.company(s).splits.is_empty())
        .expect("some company of the world splits");
    let (start_day, end) = (date(2021, 8, 20), date(2021, 9, 10));
    let yahoo = Yahoo::new(Arc::clone(&wire), &account(&server.url(), Vendor::Yahoo, ""));
    let vantage = AlphaVantage::new(wire, &account(&server.url(), Vendor::AlphaVantage, "good-key-1"));
    let a = yahoo.chart(symbol, start_day, end).await.unwrap().value.bars;
    let b = vantage.daily(symbol, start_day, end, TODAY).await.unwrap().value;
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(a.date, b.date);
        assert!((a.close - b.close).abs() <= 1e-3 * a.close, "{a:?} {b:?}");
    }
    // Before the split, as seen before the split: the prices that were traded then.
    let then = date(2021, 8, 27);
    let ratio = yahoo.splits_after(symbol, then, TODAY).await.unwrap();
    assert_eq!(ratio, 4.0);
    let traded = world.company(symbol).bars.iter().find(|x| x.date == then).unwrap().close;
    let seen = vantage.daily(symbol, start_day, then, TODAY).await.unwrap().value.last().unwrap().close;
    assert!((seen - traded).abs() < 1e-3 * traded && (a[5].close * ratio - traded).abs() < 1e-3 * traded);
}

/// A series of a past day is the vintage of that day: later revisions are not in it.
#[tokio::test]
async fn fred_vintages_are_those_of_the_day() {
    let server = start("");
    let fred =
        Fred::new(wire(Duration::from_secs(20), None), &account(&server.url(), Vendor::Fred, "good-key-1"));
    let then = fred.series("cpi", date(2025, 3, 15), 120).await.unwrap().value.values;
    let now = fred.series("cpi", TODAY, 400).await.unwrap().value.values;
    let world = World::new(1, TODAY);
    let (day, seen) = *then.last().unwrap();
    assert!(day < date(2025, 3, 1));
    assert_eq!(seen, world.macro_value("CPIAUCSL", day, false));
    let (_, revised) = *now.iter().find(|(d, _)| *d == day).unwrap();
    assert!(revised > seen, "{revised} {seen}");
}

#[tokio::test]
async fn reddit_403_falls_back_to_the_feed_without_counts() {
    let server = start("");
    let wire = wire(Duration::from_secs(20), None);
    let reddit = Reddit::new(wire, &account(&server.url(), Vendor::Reddit, ""));
    let found = reddit.search("AAPL").await.unwrap();
    let of = |forum: &str| found.value.iter().filter(|s| s.source.starts_with(forum)).collect::<Vec<_>>();
    assert!(
        of("r/investing")
            .iter()
            .all(|s| s.source.ends_with("feed without counts") && !s.title.contains("votes"))
    );
    assert!(!of("r/stocks").is_empty() && of("r/stocks").iter().all(|s| s.title.contains(" votes, ")));
    assert!(found.sources.iter().any(|s| s.url.contains("search.rss")));
}

/// Equal asks at the same moment are one request; a fresh answer needs none; a stale one is asked for by its name.
#[tokio::test]
async fn answers_are_shared_kept_and_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = start("");
    let cache = || Some(DiskCache::new(folder.path(), 1 << 20));
    let base = server.url();
    let yahoo = Yahoo::new(wire(Duration::from_secs(20), cache()), &account(&base, Vendor::Yahoo, ""));
    let ask = || yahoo.chart("AAPL", WEEK_AGO, TODAY);
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert_eq!((&a.sources, &b.sources), (&b.sources, &c.sources), "one request answers all three");
    assert!(!a.sources[0].cached);
    // Another process finds it on disk, also when the vendor is gone.
    drop(server);
    let later = Yahoo::new(wire(Duration::from_secs(1), cache()), &account(&base, Vendor::Yahoo, ""));
    let again = later.chart("AAPL", WEEK_AGO, TODAY).await.unwrap();
    assert!(again.sources[0].cached && again.value == a.value);
    assert_eq!(again.sources[0].retrieved_at, a.sources[0].retrieved_at);
    // Errors are never kept.
    let none = later.chart("MSFT", WEEK_AGO, TODAY).await.unwrap_err();
    assert_eq!(none.problem, Problem::UpstreamDown);
}

/// What processes share, in memory.
#[derive(Default)]
struct Memory(tokio::sync::Mutex<BTreeMap<String, String>>);

impl Elsewhere for Memory {
    fn answer<'a>(
        &'a self,
        name: &'a str,
        make: BoxFuture<'a, Made>,
    ) -> BoxFuture<'a, Result<String, VendorError>> {
        Box::pin(async move {
            // Held over the call: one flight.
            let mut kept = self.0.lock().await;
            if let Some(text) = kept.get(name) {
                return Ok(text.clone());
            }
            let (text, keep) = make.await?;
            if keep.is_some() {
                kept.insert(name.to_owned(), text.clone());
            }
            Ok(text)
        })
    }
}

/// One of several processes asks a vendor, and the others have its answer with its time. A damaged one is asked for.
#[tokio::test]
async fn another_process_has_the_answer_of_a_vendor() {
    let server = start("");
    let base = server.url();
    let shared = Arc::new(Memory::default());
    let folder = tempfile::tempdir().unwrap();
    let process = |cache: Option<DiskCache>| {
        let fetch = HttpFetch::new(Duration::from_secs(2)).unwrap();
        let elsewhere = Some(Arc::clone(&shared) as Arc<dyn Elsewhere>);
        let options = WireOptions { wait: Duration::ZERO, cache, elsewhere, ..WireOptions::default() };
        Yahoo::new(Arc::new(Wire::new(Arc::new(fetch), options)), &account(&base, Vendor::Yahoo, ""))
    };
    let cache = || Some(DiskCache::new(folder.path(), 1 << 20));
    let (one, two, kept) = (process(None), process(None), process(cache()));
    let (a, b) = tokio::join!(one.chart("AAPL", WEEK_AGO, TODAY), two.chart("AAPL", WEEK_AGO, TODAY));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!([a.sources[0].cached, b.sources[0].cached].iter().filter(|cached| **cached).count(), 1);
    assert_eq!((&a.value, a.sources[0].retrieved_at), (&b.value, b.sources[0].retrieved_at));
    kept.chart("AAPL", WEEK_AGO, TODAY).await.unwrap();
    drop(server);
    // What came from another process is on disk too.
    shared.0.lock().await.values_mut().for_each(|text| text.push('0'));
    let later = process(cache());
    assert_eq!(later.chart("AAPL", WEEK_AGO, TODAY).await.unwrap().value, a.value);
    let damaged = one.chart("AAPL", WEEK_AGO, TODAY).await.unwrap_err();
    assert_eq!(damaged.problem, Problem::UpstreamDown);
}

#[tokio::test]
async fn a_vendor_that_asks_for_patience_is_asked_once_more() {
    let plan = "429:0=1";
    let server = start(plan);
    let yahoo = Yahoo::new(wire(Duration::from_secs(20), None), &account(&server.url(), Vendor::Yahoo, ""));
    assert_eq!(yahoo.search("AAPL").await.unwrap_err().problem, Problem::RateLimited);
    drop(server);
    // A wait that is longer than anyone waits fails at once.
    let server = start("429:3600=1");
    let yahoo = Yahoo::new(wire(Duration::from_secs(20), None), &account(&server.url(), Vendor::Yahoo, ""));
    let began = std::time::Instant::now();
    let error = yahoo.search("AAPL").await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
    assert!(began.elapsed() < Duration::from_secs(20));
    drop(server);
    // One of three answers fails: three tries are enough for almost all.
    let server = start("500=0.3");
    let yahoo = Yahoo::new(wire(Duration::from_secs(20), None), &account(&server.url(), Vendor::Yahoo, ""));
    let mut good = 0;
    for symbol in ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"] {
        good += usize::from(yahoo.search(symbol).await.is_ok());
    }
    assert!(good >= 7, "{good}");
}

/// A host that fails all the time is left alone, so that a run does not wait for it again and again.
#[tokio::test]
async fn a_host_that_is_down_is_left_alone() {
    let server = start("500=1");
    let fetch = HttpFetch::new(Duration::from_secs(2)).unwrap();
    let pause = Duration::from_millis(300);
    let options = WireOptions { wait: Duration::ZERO, breaker: Some((2, pause)), ..WireOptions::default() };
    let wire = Arc::new(Wire::new(Arc::new(fetch), options));
    let yahoo = Yahoo::new(Arc::clone(&wire), &account(&server.url(), Vendor::Yahoo, ""));
    for symbol in ["A", "B"] {
        assert!(yahoo.search(symbol).await.unwrap_err().message.starts_with("answered 500"));
    }
    let alone = yahoo.search("C").await.unwrap_err();
    assert!(alone.message.starts_with("not asked: 2 asks in a row failed"), "{alone}");
    // Other vendors are not touched, and after the pause one try is made.
    let twits = StockTwits::new(wire, &account(&server.url(), Vendor::StockTwits, ""));
    assert!(twits.messages("A").await.unwrap_err().message.starts_with("answered 500"));
    tokio::time::sleep(pause).await;
    assert!(yahoo.search("D").await.unwrap_err().message.starts_with("answered 500"));
}

#[test]
fn every_vendor_has_a_call_in_the_table() {
    let mut called: BTreeMap<&str, usize> = BTreeMap::new();
    CALLS.iter().for_each(|c| *called.entry(c.split('.').next().unwrap()).or_default() += 1);
    for vendor in Vendor::ALL {
        assert!(called.contains_key(vendor.name()), "{vendor}");
    }
}
