//! Builds the vendor clients from the settings: addresses, keys, chains, the cache on disk.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use lacon_market::{
    Semantics, Symbol,
    live::{Live, Vendors},
    routing::Routes,
    vendor::{Account, Key, Vendor, Wire, WireOptions, disk::DiskCache, http::HttpFetch},
};
use lacon_runtime::Config;

use crate::failure::Failure;

/// Whether the settings ask for vendors.
pub fn are_asked(config: &Config) -> bool {
    config.text("data.source") == "vendors" && config.text("data.tools_url").is_empty()
}

/// Where each vendor is reached, and with what.
pub fn accounts(config: &Config) -> BTreeMap<Vendor, Account> {
    let key = |text: &str| Key::new(text);
    let none = Key::default;
    let all = [
        (Vendor::Yahoo, config.text("vendors.yahoo_url"), none(), none()),
        (
            Vendor::AlphaVantage,
            config.text("vendors.alpha_vantage_url"),
            key(config.text("vendors.alpha_vantage_key")),
            none(),
        ),
        (
            Vendor::Finnhub,
            config.text("vendors.finnhub_url"),
            key(config.text("vendors.finnhub_key")),
            none(),
        ),
        (Vendor::Fred, config.text("vendors.fred_url"), key(config.text("vendors.fred_key")), none()),
        (
            Vendor::Reddit,
            config.text("vendors.reddit_url"),
            key(config.text("vendors.reddit_id")),
            key(config.text("vendors.reddit_secret")),
        ),
        (Vendor::StockTwits, config.text("vendors.stocktwits_url"), none(), none()),
        (Vendor::GoogleNews, config.text("vendors.google_news_url"), none(), none()),
        (Vendor::Serper, config.text("vendors.serper_url"), key(config.text("vendors.serper_key")), none()),
        (Vendor::Polymarket, config.text("vendors.polymarket_url"), none(), none()),
        (Vendor::SimFin, config.text("vendors.simfin_url"), key(config.text("vendors.simfin_key")), none()),
        (Vendor::WebSearch, config.text("vendors.web_search_url"), key(config.text("llm.api_key")), none()),
    ];
    let shared = config.text("vendors.base_url").trim_end_matches('/');
    all.into_iter()
        .map(|(vendor, own, key, secret)| {
            let base_url = match (own, shared) {
                ("", "") => String::new(),
                ("", shared) => format!("{shared}/{vendor}"),
                (own, _) => own.to_owned(),
            };
            (vendor, Account { base_url, key, secret })
        })
        .collect()
}

/// The clients, with their limits and the cache.
pub fn clients(config: &Config) -> Result<Arc<Vendors>, Failure> {
    let routes = Routes::parse(&config.list("vendors.routes")).map_err(Failure::input)?;
    let accounts = accounts(config);
    for (vendor, account) in &accounts {
        let url = &account.base_url;
        if !(url.is_empty() || url.starts_with("http://") || url.starts_with("https://")) {
            return Err(Failure::input(format!(
                "address of {vendor} is {url:?}, which is not an http address\nhint: write it as https://host/path"
            )));
        }
    }
    let connect = Duration::from_secs_f64(config.number("llm.connect_timeout_s"));
    let fetch = HttpFetch::new(connect).map_err(Failure::input)?;
    let megabytes = config.integer("vendors.cache_mb") as u64;
    let folder = Path::new(config.text("run.out")).join(".cache/vendors");
    let options = WireOptions {
        timeout: Duration::from_secs_f64(config.number("vendors.timeout_s")),
        cache: (megabytes > 0).then(|| DiskCache::new(folder, megabytes << 20)),
        elsewhere: crate::shared::of_vendors(config)?,
        ..WireOptions::default()
    };
    let wire = Arc::new(Wire::new(Arc::new(fetch), options));
    Ok(Arc::new(Vendors::new(wire, &accounts, config.text("vendors.web_search_model"), routes)))
}

/// Answers for a ticker on a day.
pub fn live(config: &Config, ticker: &Symbol, date: Date) -> Result<Live, Failure> {
    let today = Timestamp::now().to_zoned_datetime(TimeZone::UTC).date();
    Ok(Live::new(clients(config)?, ticker, date, today, semantics(config)))
}

/// How the source is named to a user.
pub fn describe(config: &Config) -> String {
    match config.text("vendors.base_url") {
        "" => "live vendors".into(),
        url => format!("vendors at {url}"),
    }
}

/// Whose indicators.
pub fn semantics(config: &Config) -> Semantics {
    match config.text("data.semantics") {
        "compat" => Semantics::Compat,
        _ => Semantics::Standard,
    }
}
