//! Which vendors are asked for what, and in which order.
//!
//! A category has a chain of vendors, and a tool can have its own. No vendor outside the chain is asked. A vendor
//! without a key is skipped. One that has nothing, or fails, hands over to the next. The answer lists the skipped
//! vendors. If nobody answered, "no data" wins over "failed": a vendor that works and has no data is believed.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::vendor::{Fetched, Problem, Vendor, VendorError, fetch::BoxFuture};

/// A kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Daily bars, and all that is computed from them.
    Prices,
    /// Key figures of a company.
    Fundamentals,
    /// Balance sheet, cash flow, income.
    Statements,
    /// News of a company.
    CompanyNews,
    /// Headlines of a query.
    Headlines,
    /// Market-wide news.
    GlobalNews,
    /// Posts on a company or on the market.
    Posts,
    /// Messages on a symbol with their mood.
    Messages,
    /// Mentions on a network without an interface of its own here.
    Mentions,
    /// Insider sentiment and transactions.
    Insiders,
    /// Macro series.
    Macro,
    /// Prediction markets.
    Predictions,
    /// Name, sector, exchange.
    Identity,
}

impl Category {
    /// All of them, in the order in which they are listed to a user.
    pub const ALL: [Self; 13] = [
        Self::Prices,
        Self::Fundamentals,
        Self::Statements,
        Self::CompanyNews,
        Self::Headlines,
        Self::GlobalNews,
        Self::Posts,
        Self::Messages,
        Self::Mentions,
        Self::Insiders,
        Self::Macro,
        Self::Predictions,
        Self::Identity,
    ];

    /// The name in settings and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prices => "prices",
            Self::Fundamentals => "fundamentals",
            Self::Statements => "statements",
            Self::CompanyNews => "company_news",
            Self::Headlines => "headlines",
            Self::GlobalNews => "global_news",
            Self::Posts => "posts",
            Self::Messages => "messages",
            Self::Mentions => "mentions",
            Self::Insiders => "insiders",
            Self::Macro => "macro",
            Self::Predictions => "predictions",
            Self::Identity => "identity",
        }
    }

    /// Whether an analyst cannot do its work without it: a failure is then the analyst's failure, not a gap in its data.
    pub fn is_core(self) -> bool {
        matches!(self, Self::Prices | Self::Fundamentals | Self::Statements)
    }

    /// Who can give it; the order is the default chain. Those that cannot be held to a date, or cost money per question,
    /// are able but stand in no default chain unless nobody else is.
    pub fn able(self) -> &'static [Vendor] {
        use Vendor::{
            AlphaVantage, Finnhub, Fred, GoogleNews, Polymarket, Reddit, Serper, SimFin, StockTwits,
            WebSearch, Yahoo,
        };
        match self {
            Self::Prices => &[Yahoo, AlphaVantage],
            Self::Fundamentals => &[Yahoo, Finnhub, AlphaVantage, WebSearch],
            Self::Statements => &[SimFin, Yahoo, AlphaVantage],
            Self::CompanyNews => &[Finnhub, Yahoo, AlphaVantage, GoogleNews, WebSearch],
            Self::Headlines => &[Serper, GoogleNews],
            Self::GlobalNews => &[AlphaVantage, Finnhub, GoogleNews, WebSearch],
            Self::Posts => &[Reddit],
            Self::Messages => &[StockTwits],
            Self::Mentions => &[WebSearch],
            Self::Insiders => &[Finnhub, AlphaVantage],
            Self::Macro => &[Fred],
            Self::Predictions => &[Polymarket],
            Self::Identity => &[Yahoo, Finnhub],
        }
    }

    fn default_chain(self) -> Vec<Vendor> {
        let able = self.able();
        let listed: Vec<Vendor> = able.iter().copied().filter(|v| *v != Vendor::WebSearch).collect();
        if listed.is_empty() { able.to_vec() } else { listed }
    }

    /// The category of a tool.
    pub fn of_tool(tool: &str) -> Option<Self> {
        Some(match tool {
            "get_YFin_data_online"
            | "get_YFin_data"
            | "get_stockstats_indicators_report_online"
            | "get_stockstats_indicators_report"
            | "get_volume_analysis"
            | "get_support_resistance" => Self::Prices,
            "get_stock_news_openai" | "get_finnhub_news" => Self::CompanyNews,
            "get_google_news" => Self::Headlines,
            "get_global_news_openai" => Self::GlobalNews,
            "get_reddit_stock_info" | "get_reddit_news" => Self::Posts,
            "get_stocktwits_sentiment" => Self::Messages,
            "get_twitter_mentions" => Self::Mentions,
            "get_fundamentals_openai" => Self::Fundamentals,
            "get_finnhub_company_insider_sentiment" | "get_finnhub_company_insider_transactions" => {
                Self::Insiders
            }
            "get_simfin_balance_sheet" | "get_simfin_cashflow" | "get_simfin_income_stmt" => Self::Statements,
            "get_macro_series" => Self::Macro,
            "get_prediction_markets" => Self::Predictions,
            _ => return None,
        })
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Category {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|c| c.name() == text).ok_or(())
    }
}

/// The chains of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    categories: BTreeMap<Category, Vec<Vendor>>,
    tools: BTreeMap<&'static str, Vec<Vendor>>,
}

impl Default for Routes {
    fn default() -> Self {
        let categories = Category::ALL.into_iter().map(|c| (c, c.default_chain())).collect();
        Self { categories, tools: BTreeMap::new() }
    }
}

impl Routes {
    /// Reads entries such as `prices=yahoo|alpha_vantage` or `get_google_news=serper`: the left side is a category or a
    /// tool, the right side its whole chain.
    ///
    /// # Errors
    /// An entry of another form, an unknown name, a vendor that does not give that kind of data, with what would do.
    pub fn parse(entries: &[&str]) -> Result<Self, String> {
        let mut routes = Self::default();
        for entry in entries {
            let (left, right) = entry.split_once('=').ok_or_else(|| {
                format!("route {entry:?} has no \"=\"\nhint: write CATEGORY=VENDOR|VENDOR, such as prices=yahoo|alpha_vantage")
            })?;
            let (left, right) = (left.trim(), right.trim());
            let tool = crate::catalog::find(left);
            let category = left.parse().ok().or_else(|| Category::of_tool(tool?.name)).ok_or_else(|| {
                let names: Vec<&str> = Category::ALL.iter().map(|c| c.name()).collect();
                let hint = match crate::symbol::nearest(left, names.iter().copied()).first() {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("a tool, or one of {}", names.join(", ")),
                };
                format!("route {entry:?}: {left:?} is no category and no tool\nhint: {hint}")
            })?;
            let mut chain = Vec::new();
            for name in right.split('|').map(str::trim) {
                let vendor: Vendor = name.parse().map_err(|e| format!("route {entry:?}: {e}"))?;
                if !category.able().contains(&vendor) {
                    let able: Vec<&str> = category.able().iter().map(|v| v.name()).collect();
                    return Err(format!(
                        "route {entry:?}: {vendor} gives no {category}\nhint: one or more of {}",
                        able.join(", ")
                    ));
                }
                if !chain.contains(&vendor) {
                    chain.push(vendor);
                }
            }
            match tool {
                Some(tool) => {
                    routes.tools.insert(tool.name, chain);
                }
                None => {
                    routes.categories.insert(category, chain);
                }
            }
        }
        Ok(routes)
    }

    /// The chain for a tool: its own, else its category's.
    pub fn chain(&self, tool: &str, category: Category) -> &[Vendor] {
        self.tools.get(tool).or_else(|| self.categories.get(&category)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every vendor that stands in a chain.
    pub fn vendors(&self) -> Vec<Vendor> {
        let mut all: Vec<Vendor> =
            self.categories.values().chain(self.tools.values()).flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What a chain gave.
#[derive(Debug)]
pub enum Walked<T> {
    /// Data, and who was passed over before.
    Found(Fetched<T>, Vec<VendorError>),
    /// Somebody works and has nothing; everything that was said.
    Nothing(Vec<VendorError>),
    /// Nobody worked; everything that was said.
    Failed(Vec<VendorError>),
}

impl<T> Walked<T> {
    /// What the vendors that gave nothing said, one line each.
    pub fn lines(errors: &[VendorError]) -> String {
        errors.iter().map(VendorError::line).collect::<Vec<_>>().join("; ")
    }
}

/// Asks the vendors of a chain one after another until one has data.
pub async fn walk<'a, T>(
    chain: &[Vendor],
    ask: impl Fn(Vendor) -> BoxFuture<'a, Result<Fetched<T>, VendorError>>,
) -> Walked<T> {
    let mut said = Vec::new();
    for vendor in chain {
        match ask(*vendor).await {
            Ok(found) => return Walked::Found(found, said),
            Err(error) => said.push(error),
        }
    }
    if said.iter().any(|e| e.problem == Problem::NoData) {
        Walked::Nothing(said)
    } else {
        Walked::Failed(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(chain: &[Vendor], answers: &[(Vendor, Result<u8, Problem>)]) -> (Walked<u8>, usize) {
        let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let ask = |vendor: Vendor| -> BoxFuture<'static, Result<Fetched<u8>, VendorError>> {
            let answer = answers.iter().find(|(v, _)| *v == vendor).map(|(_, a)| *a);
            let count = std::sync::Arc::clone(&count);
            Box::pin(async move {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                match answer.unwrap_or(Err(Problem::NotConfigured)) {
                    Ok(value) => Ok(Fetched { value, sources: Vec::new() }),
                    Err(problem) => Err(VendorError::new(vendor, problem, "x")),
                }
            })
        };
        let walked = walk(chain, ask).await;
        (walked, count.load(std::sync::atomic::Ordering::SeqCst))
    }

    use Vendor::{AlphaVantage, Finnhub, Yahoo};

    #[tokio::test]
    async fn explicit_single_vendor_does_not_fall_back() {
        let (walked, asked) =
            asked(&[Yahoo], &[(Yahoo, Err(Problem::RateLimited)), (AlphaVantage, Ok(1))]).await;
        assert!(
            matches!(walked, Walked::Failed(ref e) if e[0].problem == Problem::RateLimited),
            "{walked:?}"
        );
        assert_eq!(asked, 1);
    }

    #[tokio::test]
    async fn explicit_multi_vendor_falls_back_within_chain_and_keeps_the_primary_error() {
        let (walked, _) =
            asked(&[Yahoo, AlphaVantage], &[(Yahoo, Err(Problem::UpstreamDown)), (AlphaVantage, Ok(2))])
                .await;
        let Walked::Found(found, passed) = walked else { panic!() };
        assert_eq!((found.value, passed[0].vendor, passed[0].problem), (2, Yahoo, Problem::UpstreamDown));
    }

    #[tokio::test]
    async fn not_configured_falls_through_to_the_next_vendor() {
        let (walked, _) = asked(&[Finnhub, Yahoo], &[(Yahoo, Ok(3))]).await;
        assert!(matches!(walked, Walked::Found(ref f, _) if f.value == 3));
    }

    #[tokio::test]
    async fn sole_unconfigured_vendor_surfaces_the_error() {
        let (walked, _) = asked(&[Finnhub], &[]).await;
        assert!(matches!(walked, Walked::Failed(ref e) if e[0].problem == Problem::NotConfigured));
    }

    #[tokio::test]
    async fn unconfigured_fallback_does_not_mask_no_data() {
        let (walked, _) = asked(&[Yahoo, AlphaVantage], &[(Yahoo, Err(Problem::NoData))]).await;
        assert!(matches!(walked, Walked::Nothing(_)));
    }

    #[test]
    fn routes_are_read_and_refused() {
        let routes =
            Routes::parse(&["prices=alpha_vantage", "get_google_news = serper | google_news"]).unwrap();
        assert_eq!(routes.chain("get_YFin_data", Category::Prices), [AlphaVantage]);
        assert_eq!(
            routes.chain("get_google_news", Category::Headlines),
            [Vendor::Serper, Vendor::GoogleNews]
        );
        for (entry, message) in [
            ("prices", "has no \"=\""),
            ("price=yahoo", "did you mean prices?"),
            ("prices=yahooo", "unknown vendor \"yahooo\"\nhint: did you mean yahoo?"),
            ("prices=fred", "fred gives no prices\nhint: one or more of yahoo, alpha_vantage"),
        ] {
            let error = Routes::parse(&[entry]).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn every_tool_has_a_category_and_every_category_a_vendor() {
        for tool in crate::catalog::TOOLS {
            assert!(Category::of_tool(tool.name).is_some(), "{}", tool.name);
        }
        let routes = Routes::default();
        for category in Category::ALL {
            assert!(!routes.chain("", category).is_empty(), "{category}");
        }
        assert_eq!(routes.vendors().len(), Vendor::ALL.len());
    }
}
