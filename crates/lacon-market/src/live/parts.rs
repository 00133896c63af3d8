//! One question to one vendor, and the part of its answer that is valid on the run's date.

use jiff::{Span, civil::Date};

use super::{Live, Need, STALE_DAYS};
use crate::{
    Asset, Bar, Dataset, Item,
    dataset::{Entry, Statement, StatementKind},
    routing::Category,
    vendor::{Fetched, Problem, Story, Vendor, VendorError, polymarket, yahoo},
};

/// A part of a data set.
pub(super) enum Part {
    /// Daily bars.
    Bars(Vec<Bar>),
    /// News of a company, or headlines.
    CompanyNews(Vec<Item>),
    /// Market-wide news.
    GlobalNews(Vec<Item>),
    /// Posts; filed for the company and for the market, the tools read one of them.
    Posts(Vec<Item>),
    /// Messages with a mood.
    Messages(Vec<Item>),
    /// Dated facts.
    Facts(Vec<Item>),
    /// Statements.
    Statements(Vec<Statement>),
    /// Insider sentiment, or transactions.
    Insiders(Vec<Entry>, bool),
    /// A text that is the answer.
    Text(String),
}

impl Part {
    pub(super) fn put(self, data: &mut Dataset) {
        match self {
            Self::Bars(bars) => data.bars = bars,
            Self::CompanyNews(items) => data.company_news = items,
            Self::GlobalNews(items) => data.global_news = items,
            Self::Posts(items) => {
                data.global_social.clone_from(&items);
                data.social = items;
            }
            Self::Messages(items) => data.messages = items,
            Self::Facts(items) => data.fundamentals = items,
            Self::Statements(all) => data.statements.extend(all),
            Self::Insiders(entries, true) => data.insider_transactions = entries,
            Self::Insiders(entries, false) => data.insider_sentiment = entries,
            Self::Text(_) => {}
        }
    }
}

fn nothing(vendor: Vendor, why: impl Into<String>) -> VendorError {
    VendorError::new(vendor, Problem::NoData, why)
}

impl Live {
    /// Asks one vendor; what is not known on the run's date is no data.
    pub(super) async fn part(&self, vendor: Vendor, need: &Need) -> Result<Fetched<Part>, VendorError> {
        if self.is_backtest() && matches!(vendor, Vendor::WebSearch | Vendor::Polymarket) {
            return Err(nothing(vendor, format!("it tells the present only, not {}", self.as_of)));
        }
        let v = &*self.vendors;
        let symbol = need.symbol.as_str();
        let (start, end) = (need.start, need.end);
        match (need.category, vendor) {
            (Category::Prices, _) => self.bars(vendor, symbol, start, end).await,
            (Category::CompanyNews | Category::GlobalNews | Category::Headlines | Category::Posts, _) => {
                let found = self.stories(vendor, need).await?;
                self.dated(vendor, found, need)
            }
            (Category::Messages, _) => {
                let found = v.stocktwits.messages(&stocktwits_name(symbol, need.asset)).await?;
                let stories = found.map(|messages| {
                    let story = |m: crate::vendor::stocktwits::Message| Story {
                        date: m.date,
                        source: m.user,
                        title: m.mood.unwrap_or_default(),
                        text: m.text,
                    };
                    messages.into_iter().map(story).collect()
                });
                self.dated(vendor, stories, need)
            }
            (Category::Fundamentals, Vendor::WebSearch) | (Category::Mentions, _) => {
                let found = self.searched(need).await?;
                Ok(found.map(Part::Text))
            }
            (Category::Fundamentals, _) => self.figures(vendor, need).await,
            (Category::Statements, _) => {
                let all = self.statements(vendor, need).await?;
                let (kind, frequency) =
                    need.statement.clone().unwrap_or((StatementKind::Income, "quarterly".into()));
                let known = |s: &Statement| {
                    s.kind == kind && s.frequency == frequency && s.publish_date <= self.as_of
                };
                if !all.value.iter().any(known) {
                    return Err(nothing(
                        vendor,
                        format!("no {frequency} statement published until {}", self.as_of),
                    ));
                }
                Ok(all.map(Part::Statements))
            }
            (Category::Insiders, Vendor::Finnhub) => {
                let found = if need.transactions {
                    v.finnhub.insider_transactions(symbol, start, end).await?
                } else {
                    // A month is filed under its last day, so the month before is asked for too.
                    let earlier = start.checked_sub(Span::new().days(31)).unwrap_or(start);
                    v.finnhub.insider_sentiment(symbol, earlier, end).await?
                };
                entries(vendor, found, need)
            }
            (Category::Insiders, Vendor::AlphaVantage) if need.transactions => {
                entries(vendor, v.alpha_vantage.insiders(symbol).await?, need)
            }
            (Category::Macro, _) => {
                let found = v.fred.series(&need.words, end, need.look_back).await?;
                Ok(found.map(|series| Part::Text(series.render(end))))
            }
            (Category::Predictions, _) => {
                let found = v.polymarket.search(&need.words, self.today, 10).await?;
                Ok(found.map(|markets| Part::Text(polymarket::render(&need.words, &markets, self.today))))
            }
            (category, vendor) => Err(nothing(vendor, format!("it gives no {category} of this kind"))),
        }
    }

    async fn bars(
        &self,
        vendor: Vendor,
        symbol: &str,
        start: Date,
        end: Date,
    ) -> Result<Fetched<Part>, VendorError> {
        let found = match vendor {
            Vendor::Yahoo => {
                let mut found = self.vendors.yahoo.chart(symbol, start, end).await?;
                found.value.bars.iter_mut().for_each(tidy);
                // Prices of the day as they stood then: later splits are taken back.
                let ratio = self.vendors.yahoo.splits_after(symbol, end, self.today).await?;
                if ratio != 1.0 {
                    for bar in &mut found.value.bars {
                        for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
                            *price *= ratio;
                        }
                        bar.volume /= ratio;
                    }
                }
                found.map(|chart| chart.bars)
            }
            _ => self.vendors.alpha_vantage.daily(symbol, start, end, self.today).await?,
        };
        let last = found.value.last().map(|b| b.date);
        let oldest = end.checked_sub(Span::new().days(STALE_DAYS)).unwrap_or(Date::MIN);
        if let Some(last) = last.filter(|d| *d < oldest) {
            let age = end.since(last).map(|s| s.get_days()).unwrap_or_default();
            let why = format!(
                "the last bar of {symbol} is of {last}, {age} days before {end}; more than {STALE_DAYS} days are stale"
            );
            return Err(nothing(vendor, why));
        }
        Ok(found.map(|mut bars| {
            bars.iter_mut().for_each(tidy);
            Part::Bars(bars)
        }))
    }

    async fn stories(&self, vendor: Vendor, need: &Need) -> Result<Fetched<Vec<Story>>, VendorError> {
        let v = &*self.vendors;
        let symbol = need.symbol.as_str();
        let (start, end) = (need.start, need.end);
        let company = need.category == Category::CompanyNews;
        match vendor {
            Vendor::Yahoo => match v.yahoo.news(symbol).await {
                Ok(found) => Ok(found),
                // The search has other headlines of the same vendor.
                Err(first) => match v.yahoo.search(symbol).await {
                    Ok(found) if !found.value.1.is_empty() => Ok(found.map(|(_, stories)| stories)),
                    _ => Err(first),
                },
            },
            Vendor::Finnhub if company => v.finnhub.company_news(symbol, start, end).await,
            Vendor::Finnhub => v.finnhub.market_news().await,
            Vendor::AlphaVantage => v.alpha_vantage.news(company.then_some(symbol), start, end).await,
            Vendor::GoogleNews => {
                let words = if company { self.words(need).await } else { need.words.clone() };
                v.google_news.search(&words, start, end).await
            }
            Vendor::Serper => v.serper.news(&need.words, start, end).await,
            Vendor::Reddit => v.reddit.search(&need.words).await,
            Vendor::WebSearch => {
                let found = self.searched(need).await?;
                Ok(found.map(|text| {
                    let title = "Found by web search".to_owned();
                    vec![Story { date: Some(self.today), source: "web search".into(), title, text }]
                }))
            }
            _ => Err(nothing(vendor, format!("it gives no {}", need.category))),
        }
    }

    /// What to search headlines for: a ticker alone is often a word of its own.
    async fn words(&self, need: &Need) -> String {
        let name = if need.symbol == self.ticker.canonical().0 { self.identity().await.name } else { None };
        match name {
            Some(name) => format!("\"{name}\" OR \"{} stock\"", need.symbol),
            None => format!("{} stock", need.symbol),
        }
    }

    async fn searched(&self, need: &Need) -> Result<Fetched<String>, VendorError> {
        let (symbol, start, end) = (&need.symbol, need.start, need.end);
        let question = match need.category {
            Category::Fundamentals => format!(
                "Key figures of the company listed as {symbol} published until {end}: revenue, earnings, price to \
                 earnings, price to sales, cash flow, debt. A table with the date and source of each figure."
            ),
            Category::GlobalNews => format!(
                "Macro and market news from {start} to {end} that matter to stock traders, each with its date and source."
            ),
            Category::Mentions => format!(
                "What was posted on X (Twitter) about the ticker {symbol} from {start} to {end}: themes, tone, who posted; \
                 only what you found, each with its date."
            ),
            _ => format!(
                "News and posts about the company listed as {symbol} from {start} to {end}, each with its date and source."
            ),
        };
        let found = self.vendors.web_search.ask(&question, start, end).await?;
        Ok(found.map(|f| {
            let links: Vec<String> = f.links.iter().take(20).map(|l| format!("- {l}")).collect();
            format!(
                "Found by web search on {}; the search cannot be held to dates.\n\n{}\n\nPages:\n{}",
                self.today,
                f.text.trim(),
                links.join("\n")
            )
        }))
    }

    /// Keeps what is dated within the window; undated texts only when the run's date is today.
    fn dated(
        &self,
        vendor: Vendor,
        found: Fetched<Vec<Story>>,
        need: &Need,
    ) -> Result<Fetched<Part>, VendorError> {
        let n = found.value.len();
        let undated = (!self.is_backtest()).then_some(need.end);
        let mut items: Vec<Item> = found
            .value
            .into_iter()
            .filter_map(|story| story.dated(undated))
            .filter(|item| item.date >= need.start && item.date <= need.end)
            .collect();
        if items.is_empty() {
            let why = format!("none of {n} items is dated from {} to {}", need.start, need.end);
            return Err(nothing(vendor, why));
        }
        items.sort_by_key(|i| std::cmp::Reverse(i.date));
        items.truncate(match need.category {
            Category::Headlines | Category::GlobalNews => 15,
            Category::CompanyNews => 20,
            _ => 40,
        });
        let value = match need.category {
            Category::GlobalNews => Part::GlobalNews(items),
            Category::Posts => Part::Posts(items),
            Category::Messages => Part::Messages(items),
            _ => Part::CompanyNews(items),
        };
        Ok(Fetched { value, sources: found.sources })
    }

    /// Key figures: those that a vendor states for the present count for today, the rest comes from statements that
    /// were public.
    async fn figures(&self, vendor: Vendor, need: &Need) -> Result<Fetched<Part>, VendorError> {
        let v = &*self.vendors;
        let symbol = need.symbol.as_str();
        let mut items: Vec<Item> = Vec::new();
        let mut sources = Vec::new();
        let mut failure = None;
        if !self.is_backtest() {
            let facts = match vendor {
                Vendor::Yahoo => v.yahoo.quote_summary(symbol).await.map(|f| f.map(|s| s.facts)),
                Vendor::Finnhub => v.finnhub.figures(symbol, self.today).await,
                _ => v.alpha_vantage.overview(symbol).await,
            };
            match facts {
                Ok(found) => {
                    sources.extend(found.sources);
                    items.extend(found.value.into_iter().map(|(label, value)| Item {
                        date: need.end,
                        source: vendor.name().into(),
                        title: String::new(),
                        text: format!("{label}: {value}"),
                    }));
                }
                Err(error) => failure = Some(error),
            }
        }
        if vendor != Vendor::Finnhub {
            match self.statements(vendor, need).await {
                Ok(found) => {
                    sources.extend(found.sources);
                    items.extend(statement_facts(&found.value, need.end));
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match (items.is_empty(), failure) {
            (false, _) => Ok(Fetched { value: Part::Facts(items), sources }),
            (true, Some(error)) => Err(error),
            (true, None) => Err(nothing(vendor, format!("no figure was public on {}", need.end))),
        }
    }

    pub(super) async fn statements(
        &self,
        vendor: Vendor,
        need: &Need,
    ) -> Result<Fetched<Vec<Statement>>, VendorError> {
        let symbol = need.symbol.as_str();
        match vendor {
            Vendor::Yahoo => self.vendors.yahoo.statements(symbol, self.as_of).await,
            Vendor::AlphaVantage => self.vendors.alpha_vantage.statements(symbol).await,
            Vendor::SimFin => {
                let (kind, frequency) =
                    need.statement.clone().unwrap_or((StatementKind::Income, "quarterly".into()));
                self.vendors.simfin.statements(symbol, kind, &frequency).await
            }
            other => Err(nothing(other, "it gives no statements")),
        }
    }
}

/// Prices sent as floats of single precision are read as the shortest decimal that they stand for: 34.139999 is 34.14.
fn tidy(bar: &mut Bar) {
    for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
        let single = *price as f32;
        *price = match f64::from(single) == *price {
            true => single.to_string().parse().unwrap_or(*price),
            false => (*price * 1e6).round() / 1e6,
        };
    }
    bar.volume = bar.volume.round();
}

fn stocktwits_name(symbol: &str, asset: Asset) -> String {
    match (asset, symbol.strip_suffix("-USD")) {
        (Asset::Crypto, Some(coin)) => format!("{coin}.X"),
        _ => symbol.to_owned(),
    }
}

fn entries(vendor: Vendor, found: Fetched<Vec<Entry>>, need: &Need) -> Result<Fetched<Part>, VendorError> {
    let mut found = found;
    // What is filed under a later day, such as the running month, was not whole on this one.
    found.value.retain(|e| e.date <= need.end);
    if !found.value.iter().any(|e| e.date >= need.start) {
        return Err(nothing(vendor, format!("no filing from {} to {}", need.start, need.end)));
    }
    Ok(found.map(|entries| Part::Insiders(entries, need.transactions)))
}

/// The newest statements that were public, as dated facts: four quarters and two years of each kind.
fn statement_facts(all: &[Statement], until: Date) -> Vec<Item> {
    let mut facts = Vec::new();
    for kind in StatementKind::ALL {
        for (frequency, n) in [("quarterly", 4), ("annual", 2)] {
            let mut known: Vec<&Statement> = all
                .iter()
                .filter(|s| s.kind == kind && s.frequency == frequency && s.publish_date <= until)
                .collect();
            known.sort_by_key(|s| std::cmp::Reverse(s.report_date));
            facts.extend(known.into_iter().take(n).map(|s| {
                let label = match kind {
                    StatementKind::Balance => "Balance sheet",
                    StatementKind::CashFlow => "Cash flow",
                    StatementKind::Income => "Income",
                };
                let assumed = s.rows.iter().any(|(name, _)| name == yahoo::ASSUMED);
                let rows: Vec<String> = s
                    .rows
                    .iter()
                    .filter(|(name, _)| name != yahoo::ASSUMED)
                    .take(14)
                    .map(|(name, value)| format!("{name} {value}"))
                    .collect();
                let mark = if assumed { ", day of publication assumed" } else { "" };
                Item {
                    date: s.publish_date,
                    source: String::new(),
                    title: String::new(),
                    text: format!(
                        "{label}, {frequency}, period to {}{mark}: {}",
                        s.report_date,
                        rows.join("; ")
                    ),
                }
            }));
        }
    }
    facts
}
