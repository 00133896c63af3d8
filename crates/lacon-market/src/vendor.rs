//! Data vendors: one client per file, all over one [`Wire`] that retries, waits, shares and caches.
//!
//! A client returns typed data with its [`Source`], or a [`VendorError`] that names the vendor and one of seven kinds
//! of failure. Clients know no routing and no run: [`crate::routing`] decides the order, and [`crate::live`] turns data
//! into the answers of tools.

pub mod alpha_vantage;
pub mod body;
pub mod disk;
pub mod fetch;
pub mod finnhub;
pub mod fred;
pub mod google_news;
#[cfg(feature = "http")]
pub mod http;
pub mod polymarket;
pub mod reddit;
pub mod serper;
pub mod simfin;
pub mod stocktwits;
pub mod web_search;
pub mod wire;
pub mod yahoo;

use std::{fmt, str::FromStr, time::Duration};

use jiff::{Timestamp, civil::Date};
use serde::Serialize;

pub use fetch::{Fetch, FetchError, HttpAnswer, HttpRequest, Method};
pub use wire::{Ask, Elsewhere, Made, Wire, WireOptions};

/// A vendor. The list is the index of the family: who exists, by the name that settings use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vendor {
    /// Yahoo Finance: prices, figures, statements, news.
    Yahoo,
    /// Alpha Vantage: prices, figures, statements, news, insiders.
    AlphaVantage,
    /// Finnhub: news, insiders, figures.
    Finnhub,
    /// FRED: macro series with their vintages.
    Fred,
    /// Reddit: posts.
    Reddit,
    /// StockTwits: messages.
    StockTwits,
    /// Google News: headlines.
    GoogleNews,
    /// Serper: headlines.
    Serper,
    /// Polymarket: prediction markets.
    Polymarket,
    /// SimFin: statements with publish dates, as CSV.
    SimFin,
    /// The web search tool of a Responses endpoint.
    WebSearch,
}

impl Vendor {
    /// All of them, in the order in which they are listed to a user.
    pub const ALL: [Self; 11] = [
        Self::Yahoo,
        Self::AlphaVantage,
        Self::Finnhub,
        Self::Fred,
        Self::Reddit,
        Self::StockTwits,
        Self::GoogleNews,
        Self::Serper,
        Self::Polymarket,
        Self::SimFin,
        Self::WebSearch,
    ];

    /// The name in settings, reports and paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yahoo => "yahoo",
            Self::AlphaVantage => "alpha_vantage",
            Self::Finnhub => "finnhub",
            Self::Fred => "fred",
            Self::Reddit => "reddit",
            Self::StockTwits => "stocktwits",
            Self::GoogleNews => "google_news",
            Self::Serper => "serper",
            Self::Polymarket => "polymarket",
            Self::SimFin => "simfin",
            Self::WebSearch => "web_search",
        }
    }

    /// Where it is reached by default; empty where it has no address of its own.
    pub fn default_url(self) -> &'static str {
        match self {
            Self::Yahoo => "https://query2.finance.yahoo.com",
            Self::AlphaVantage => "https://www.alphavantage.co",
            Self::Finnhub => "https://finnhub.io/api/v1",
            Self::Fred => "https://api.stlouisfed.org/fred",
            Self::Reddit => "https://www.reddit.com",
            Self::StockTwits => "https://api.stocktwits.com/api/2",
            Self::GoogleNews => "https://news.google.com",
            Self::Serper => "https://google.serper.dev",
            Self::Polymarket => "https://gamma-api.polymarket.com",
            Self::SimFin => "https://prod.simfin.com/api/bulk-download/s3",
            Self::WebSearch => "https://api.openai.com/v1",
        }
    }

    /// The shortest time between two requests that the vendor's terms and habits bear.
    pub fn min_gap(self) -> Duration {
        Duration::from_millis(match self {
            Self::AlphaVantage => 1200,
            Self::Reddit | Self::GoogleNews => 1000,
            Self::Finnhub => 250,
            Self::StockTwits => 500,
            _ => 50,
        })
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Vendor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|v| v.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|v| v.name()).collect();
            let near = crate::symbol::nearest(text, names.iter().copied());
            let hint = match near.first() {
                Some(near) => format!("did you mean {near}?"),
                None => format!("one of {}", names.join(", ")),
            };
            format!("unknown vendor {text:?}\nhint: {hint}")
        })
    }
}

/// A key that must not reach a log, an error or a file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Wraps a key; surrounding white space is dropped.
    pub fn new(value: &str) -> Self {
        Self(value.trim().to_owned())
    }

    /// The value; call it only where it goes on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text without the key: a vendor that echoes it cannot leak it.
    pub fn redact(&self, text: &str) -> String {
        if self.0.len() < 6 { text.to_owned() } else { text.replace(&self.0, "[redacted]") }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Key(unset)" } else { "Key(set)" })
    }
}

/// Where a vendor is reached and with what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Base URL; empty for the vendor's own.
    pub base_url: String,
    /// Key, or the id of an application.
    pub key: Key,
    /// Second half of the key where there is one.
    pub secret: Key,
}

impl Account {
    /// The base without a slash at its end.
    pub fn base(&self, vendor: Vendor) -> String {
        let base = if self.base_url.is_empty() { vendor.default_url() } else { self.base_url.as_str() };
        base.trim().trim_end_matches('/').to_owned()
    }
}

/// The ways in which a vendor fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No key or address is set; nothing was sent.
    NotConfigured,
    /// The key or the plan was refused.
    Unauthorised,
    /// Too many requests.
    RateLimited,
    /// The vendor works and has nothing.
    NoData,
    /// The request makes no sense to the vendor.
    BadRequest,
    /// No answer, or one that says that the vendor is broken.
    UpstreamDown,
    /// An answer that cannot be understood.
    Malformed,
}

impl Problem {
    /// The words in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConfigured => "not configured",
            Self::Unauthorised => "unauthorised",
            Self::RateLimited => "rate limited",
            Self::NoData => "no data",
            Self::BadRequest => "bad request",
            Self::UpstreamDown => "upstream down",
            Self::Malformed => "malformed",
        }
    }
}

/// Why a vendor gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{vendor}: {}: {message}", problem.as_str())]
pub struct VendorError {
    /// Who.
    pub vendor: Vendor,
    /// In which way.
    pub problem: Problem,
    /// What happened, without any key.
    pub message: String,
    /// How long the vendor asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl VendorError {
    /// An error of a vendor.
    pub fn new(vendor: Vendor, problem: Problem, message: impl Into<String>) -> Self {
        Self { vendor, problem, message: message.into(), retry_after: None }
    }

    /// The vendor has no key; `variable` is the environment variable that sets it.
    pub fn no_key(vendor: Vendor, variable: &str) -> Self {
        Self::new(vendor, Problem::NotConfigured, format!("no key\nhint: set {variable}"))
    }

    /// Whether the same request may do better in a moment.
    pub fn is_retryable(&self) -> bool {
        matches!(self.problem, Problem::RateLimited | Problem::UpstreamDown)
    }

    /// The first line of the message, for a model.
    pub fn line(&self) -> String {
        let message = self.message.lines().next().unwrap_or_default();
        format!("{}: {}: {message}", self.vendor, self.problem.as_str())
    }
}

/// Where a piece of data comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The vendor's name.
    pub vendor: String,
    /// The address asked, without keys.
    pub url: String,
    /// The first day that was asked for.
    pub from: Option<Date>,
    /// The last day that was asked for, inclusive.
    pub until: Option<Date>,
    /// When the vendor sent it.
    pub retrieved_at: Timestamp,
    /// Whether it came from the cache on disk.
    pub cached: bool,
}

/// Data with its source.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched<T> {
    /// The data.
    pub value: T,
    /// Where it comes from; several when several requests were needed.
    pub sources: Vec<Source>,
}

impl<T> Fetched<T> {
    /// The same sources with the data made into something else.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Fetched<U> {
        Fetched { value: make(self.value), sources: self.sources }
    }
}

/// A text that may be without a date: kept live, dropped in a back-test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// When it was published.
    pub date: Option<Date>,
    /// Who published it.
    pub source: String,
    /// Its headline.
    pub title: String,
    /// Its text.
    pub text: String,
}

impl Story {
    /// The story as a dated item: undated ones count as seen on `undated`, or are dropped without it.
    pub fn dated(self, undated: Option<Date>) -> Option<crate::Item> {
        let date = self.date.or(undated)?;
        let mark = if self.date.is_none() { " (no date given)" } else { "" };
        Some(crate::Item {
            date,
            source: self.source,
            title: format!("{}{mark}", self.title),
            text: self.text,
        })
    }
}
