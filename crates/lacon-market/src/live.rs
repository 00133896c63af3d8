//! Tools answered by vendors: the chain of vendors, one day's data, the same texts as from a pack.
//!
//! A vendor's data becomes a [`Dataset`] of one part and goes through [`answer()`](crate::answer()), so the rules for
//! packs hold here too, and nothing dated after the run's date passes. In addition, undated texts are dropped unless
//! the run's date is today, prices with an old last bar are refused, and figures that a vendor states for the present
//! count only today.

mod gather;
mod parts;

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Span, civil::Date};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use crate::{
    Answer, Asset, BadArgument, Dataset, Semantics, Symbol, SymbolError, answer,
    dataset::StatementKind,
    provenance::{Origin, Provenance},
    routing::{Category, Routes, Walked, walk},
    vendor::{
        Account, Source, Vendor, VendorError, Wire,
        alpha_vantage::AlphaVantage,
        finnhub::Finnhub,
        fred::Fred,
        google_news::GoogleNews,
        polymarket::Polymarket,
        reddit::Reddit,
        serper::Serper,
        simfin::SimFin,
        stocktwits::StockTwits,
        web_search::WebSearch,
        yahoo::{Match, Yahoo},
    },
};

pub use gather::Gathered;

/// A last bar that is older than this many days on the run's date is no price of that date: weekends and the longest holidays
/// of any exchange are shorter.
pub const STALE_DAYS: i64 = 10;

/// How far back bars are fetched: enough for the longest window and for exponential means to forget their start.
const HISTORY_YEARS: i64 = 5;

/// One client of each vendor, with the chains. Shared by all runs of a process.
#[derive(Debug)]
pub struct Vendors {
    routes: Routes,
    yahoo: Yahoo,
    alpha_vantage: AlphaVantage,
    finnhub: Finnhub,
    fred: Fred,
    reddit: Reddit,
    stocktwits: StockTwits,
    google_news: GoogleNews,
    serper: Serper,
    polymarket: Polymarket,
    simfin: SimFin,
    web_search: WebSearch,
}

impl Vendors {
    /// Makes the clients; connects nowhere yet. A vendor without an account is asked at its own address without a key.
    pub fn new(
        wire: Arc<Wire>,
        accounts: &BTreeMap<Vendor, Account>,
        search_model: &str,
        routes: Routes,
    ) -> Self {
        let none = Account::default();
        let account = |vendor: Vendor| accounts.get(&vendor).unwrap_or(&none);
        let wire = || Arc::clone(&wire);
        Self {
            yahoo: Yahoo::new(wire(), account(Vendor::Yahoo)),
            alpha_vantage: AlphaVantage::new(wire(), account(Vendor::AlphaVantage)),
            finnhub: Finnhub::new(wire(), account(Vendor::Finnhub)),
            fred: Fred::new(wire(), account(Vendor::Fred)),
            reddit: Reddit::new(wire(), account(Vendor::Reddit)),
            stocktwits: StockTwits::new(wire(), account(Vendor::StockTwits)),
            google_news: GoogleNews::new(wire(), account(Vendor::GoogleNews)),
            serper: Serper::new(wire(), account(Vendor::Serper)),
            polymarket: Polymarket::new(wire(), account(Vendor::Polymarket)),
            simfin: SimFin::new(wire(), account(Vendor::SimFin)),
            web_search: WebSearch::new(wire(), account(Vendor::WebSearch), search_model),
            routes,
        }
    }
}

/// Who the run is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The company's name.
    pub name: Option<String>,
    /// Its sector and industry.
    pub sector: Option<String>,
    /// Where it is listed.
    pub exchange: Option<String>,
}

impl Identity {
    /// Sector and exchange for the head of a prompt; empty where neither is known.
    pub fn listing(&self) -> String {
        let part = |label: &str, value: &Option<String>| value.as_ref().map(|v| format!("{label}: {v}."));
        let parts = [part("Sector", &self.sector), part("Exchange", &self.exchange)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// Why a tool could not be answered at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The call makes no sense; telling the model lets it ask again.
    #[error(transparent)]
    Argument(#[from] BadArgument),
    /// The symbol cannot be one.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// Everyone who could give core data failed.
    #[error(
        "{category} of {symbol}: {said}\nhint: check keys and network, or set another chain with vendors.routes"
    )]
    Unavailable {
        /// What was asked for.
        category: Category,
        /// Of what.
        symbol: String,
        /// What each vendor said.
        said: String,
    },
}

/// Answers tools for one ticker and one day.
pub struct Live {
    vendors: Arc<Vendors>,
    ticker: Symbol,
    as_of: Date,
    today: Date,
    semantics: Semantics,
    provenance: Arc<Provenance>,
    identity: OnceCell<Identity>,
}

/// What is asked of a vendor.
#[derive(Clone, Debug)]
struct Need {
    category: Category,
    symbol: Symbol,
    asset: Asset,
    words: String,
    start: Date,
    end: Date,
    transactions: bool,
    statement: Option<(StatementKind, String)>,
    look_back: i64,
}

impl Live {
    /// Prepares answers for a ticker on a day; `today` is the day on which the vendors are asked.
    pub fn new(
        vendors: Arc<Vendors>,
        ticker: &Symbol,
        as_of: Date,
        today: Date,
        semantics: Semantics,
    ) -> Self {
        Self {
            vendors,
            ticker: ticker.clone(),
            as_of,
            today,
            semantics,
            provenance: Arc::default(),
            identity: OnceCell::new(),
        }
    }

    /// Where each figure comes from.
    pub fn provenance(&self) -> &Arc<Provenance> {
        &self.provenance
    }

    /// Whether the run's date is in the past: what a vendor says of the present is then no answer.
    pub fn is_backtest(&self) -> bool {
        self.as_of < self.today
    }

    /// Who the ticker belongs to, asked once. Fails open: a run goes on with the ticker alone.
    pub async fn identity(&self) -> Identity {
        let (symbol, _) = self.ticker.canonical();
        let find = || async move {
            for vendor in self.vendors.routes.chain("", Category::Identity) {
                let found = match vendor {
                    Vendor::Yahoo => self.vendors.yahoo.search(symbol.as_str()).await.map(|f| {
                        f.value.0.into_iter().find(|m| m.symbol.eq_ignore_ascii_case(symbol.as_str()))
                    }),
                    Vendor::Finnhub => {
                        self.vendors.finnhub.profile(symbol.as_str()).await.map(|f| Some(f.value))
                    }
                    _ => Ok(None),
                };
                if let Ok(Some(found)) = found
                    && let Some(identity) = identity(found)
                {
                    return identity;
                }
            }
            Identity::default()
        };
        self.identity.get_or_init(find).await.clone()
    }

    /// Answers one tool call. Dropping the future gives up the request under way.
    ///
    /// # Errors
    /// For a call that makes no sense, and when everyone in the chain of a core category failed. An optional category that
    /// failed is an answer that says what is missing.
    pub async fn answer(&self, tool: &str, given: &Map<String, Value>) -> Result<Answer, LiveError> {
        let mut data = self.empty();
        // Arguments are checked before anyone is asked.
        answer(&data, tool, given, self.as_of, self.semantics)?;
        let Some(category) = Category::of_tool(tool) else {
            return Ok(Answer::NoData(format!("no data: tool {tool} has no vendor")));
        };
        let need = self.need(tool, category, given)?;
        let symbol = need.symbol.to_string();
        data.ticker.clone_from(&symbol);
        let what = format!("{category} of {symbol}");
        if let Some(why) = not_for(need.asset, category) {
            return Ok(self.kept(tool, given, Answer::NoData(format!("no data: {what}: {why}")), &[], &[]));
        }
        let chain = self.vendors.routes.chain(tool, category);
        let ask = |vendor: Vendor| -> crate::vendor::fetch::BoxFuture<'_, _> {
            let need = need.clone();
            Box::pin(async move { self.part(vendor, &need).await })
        };
        let (found, passed) = match walk(chain, ask).await {
            Walked::Found(found, passed) => (found, passed),
            Walked::Nothing(said) => {
                let text = format!("no data: {what}: {}", said_lines(&said));
                return Ok(self.kept(tool, given, Answer::NoData(text), &[], &said));
            }
            Walked::Failed(said) if category.is_core() => {
                let lines = said_lines(&said);
                self.keep(tool, given, "failed", &[], &said, "");
                return Err(LiveError::Unavailable { category, symbol, said: lines });
            }
            Walked::Failed(said) => {
                let text = format!(
                    "no data: {what} is unavailable: {}. Say that it is missing; do not make it up.",
                    said_lines(&said)
                );
                return Ok(self.kept(tool, given, Answer::NoData(text), &[], &said));
            }
        };
        let mut sources = found.sources;
        data.origin = sources.first().map(|s| s.vendor.clone()).unwrap_or_default();
        let mut passed = passed;
        let answered = match found.value {
            parts::Part::Text(text) => Answer::Text(text),
            part => {
                part.put(&mut data);
                if tool == "get_stock_news_openai" {
                    // What the crowd wrote belongs to what was said; without it the news stand alone.
                    let posts = Need { category: Category::Posts, ..need.clone() };
                    for vendor in self.vendors.routes.chain("", Category::Posts) {
                        match self.part(*vendor, &posts).await {
                            Ok(found) => {
                                found.value.put(&mut data);
                                sources.extend(found.sources);
                                break;
                            }
                            Err(error) => passed.push(error),
                        }
                    }
                }
                answer(&data, tool, given, self.as_of, self.semantics)?
            }
        };
        Ok(self.kept(tool, given, answered, &sources, &passed))
    }

    fn empty(&self) -> Dataset {
        Dataset { ticker: self.ticker.to_string(), origin: "the vendors".into(), ..Dataset::default() }
    }

    fn need(&self, tool: &str, category: Category, given: &Map<String, Value>) -> Result<Need, LiveError> {
        let text = |name: &str| given.get(name).and_then(Value::as_str).map(str::trim);
        let day = |name: &str| text(name).and_then(|t| t.parse::<Date>().ok());
        let asked = match text("symbol").or(text("ticker")) {
            Some(symbol) => Symbol::parse(symbol)?,
            None => self.ticker.clone(),
        };
        let (symbol, asset) = asked.canonical();
        let end = day("end_date").or(day("curr_date")).unwrap_or(self.as_of).min(self.as_of);
        let back = |days: i64| end.checked_sub(Span::new().days(days)).unwrap_or(Date::MIN);
        let start = match category {
            Category::Prices => {
                // One window for all tools, so that they share one request.
                let usual = self.as_of.checked_sub(Span::new().years(HISTORY_YEARS)).unwrap_or(Date::MIN);
                day("start_date").map_or(usual, |asked| asked.min(usual))
            }
            Category::Insiders => back(30),
            _ => day("start_date").unwrap_or_else(|| back(7)),
        };
        let words = match tool {
            "get_google_news" => text("query").unwrap_or_default().to_owned(),
            "get_prediction_markets" => text("topic").unwrap_or_default().to_owned(),
            "get_macro_series" => text("series").unwrap_or_default().to_owned(),
            "get_reddit_news" => "stock market".to_owned(),
            "get_global_news_openai" => "stock market economy".to_owned(),
            _ => symbol.to_string(),
        };
        let kind = match tool {
            "get_simfin_balance_sheet" => Some(StatementKind::Balance),
            "get_simfin_cashflow" => Some(StatementKind::CashFlow),
            "get_simfin_income_stmt" => Some(StatementKind::Income),
            _ => None,
        };
        let look_back = match given.get("look_back_days") {
            Some(Value::Number(n)) => n.as_i64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        Ok(Need {
            category,
            symbol,
            asset,
            words,
            start,
            // Bars up to the run's date serve every tool; each cuts its own window.
            end: if category == Category::Prices { self.as_of } else { end },
            transactions: tool == "get_finnhub_company_insider_transactions",
            statement: kind.map(|k| (k, text("freq").unwrap_or("quarterly").to_owned())),
            look_back: look_back.unwrap_or(365),
        })
    }

    fn kept(
        &self,
        tool: &str,
        given: &Map<String, Value>,
        answer: Answer,
        sources: &[Source],
        passed: &[VendorError],
    ) -> Answer {
        let status = if matches!(answer, Answer::Text(_)) { "ok" } else { "no_data" };
        self.keep(tool, given, status, sources, passed, answer.text());
        answer
    }

    fn keep(
        &self,
        tool: &str,
        given: &Map<String, Value>,
        status: &'static str,
        sources: &[Source],
        passed: &[VendorError],
        text: &str,
    ) {
        let origins = sources
            .iter()
            .map(|s| Origin {
                vendor: s.vendor.clone(),
                url: s.url.clone(),
                window: [s.from, s.until],
                retrieved_at: s.retrieved_at,
                cached: s.cached,
            })
            .collect();
        let passed = passed.iter().map(VendorError::line).collect();
        self.provenance.keep(tool, given, status, origins, passed, text);
    }
}

fn said_lines(said: &[VendorError]) -> String {
    Walked::<()>::lines(said)
}

/// What a kind of asset never has, so that nobody needs to be asked.
fn not_for(asset: Asset, category: Category) -> Option<&'static str> {
    let company = matches!(category, Category::Fundamentals | Category::Statements | Category::Insiders);
    match asset {
        Asset::Equity => None,
        _ if !company => None,
        Asset::Crypto => Some("a coin has no company behind it"),
        Asset::Forex => Some("a pair of currencies has no company behind it"),
        Asset::Index => Some("an index has no company behind it"),
        Asset::Future => Some("a future has no company behind it"),
    }
}

/// Placeholders that vendors send for "unknown" are no names.
fn identity(found: Match) -> Option<Identity> {
    let real = |text: String| {
        let lower = text.to_lowercase();
        (!matches!(lower.as_str(), "" | "n/a" | "none" | "null" | "unknown" | "-")).then_some(text)
    };
    let name = real(found.name)?;
    Some(Identity { name: Some(name), sector: real(found.sector), exchange: real(found.exchange) })
}
