//! The synthetic market: companies with prices, dividends, splits, statements and news that agree with each other.
//!
//! Everything follows from the seed and the symbol: the same world gives the same figures in any order of questions. Prices
//! are a random walk on the trading days since 2015; statements balance; news tell the closes and figures that the other
//! vendors tell. Five symbols are special, see [`Status`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{
    Span, Timestamp,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use lacon_market::{Asset, Bar, Dataset, Item, Symbol};

/// The first day of every series.
const EPOCH: Date = jiff::civil::date(2015, 1, 2);
/// Companies that are remembered.
const KEPT: usize = 500;

/// What is special about a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing.
    Listed,
    /// `NEWCO` lists on the world's last day: there is no bar yet, and the first one is of the day after.
    New,
    /// `GONE` was delisted a year before the world's last day: vendors do not know it.
    Delisted,
    /// `STALE` has no bar in the last forty days although it is listed.
    Stale,
    /// Symbols that begin with `ZZ`, and words that are none: nobody has heard of them.
    Unknown,
}

/// A quarter's figures in US dollars. Assets are liabilities and equity; the cash flows add up to the change of cash.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarter {
    /// Its last day.
    pub end: Date,
    /// When it was published.
    pub published: Date,
    /// Revenue.
    pub revenue: i64,
    /// Cost of revenue.
    pub cost: i64,
    /// Operating expenses.
    pub operating_expenses: i64,
    /// Income tax.
    pub tax: i64,
    /// Net income.
    pub net_income: i64,
    /// Cash at the end.
    pub cash: i64,
    /// Assets other than cash.
    pub other_assets: i64,
    /// Liabilities.
    pub liabilities: i64,
    /// Equity.
    pub equity: i64,
    /// Depreciation.
    pub depreciation: i64,
    /// Cash from operations.
    pub operating_cash: i64,
    /// Cash from investing.
    pub investing_cash: i64,
    /// Cash from financing: dividends and debt.
    pub financing_cash: i64,
    /// Dividends paid, not negative.
    pub dividends: i64,
}

/// A news item of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// When it appeared.
    pub at: Timestamp,
    /// The day.
    pub date: Date,
    /// The headline.
    pub title: String,
    /// Its text.
    pub text: String,
    /// Who wrote it.
    pub source: &'static str,
}

/// A company.
#[derive(Clone, Debug)]
pub struct Company {
    /// Its symbol.
    pub symbol: String,
    /// Its name.
    pub name: String,
    /// Its sector.
    pub sector: &'static str,
    /// Its industry.
    pub industry: &'static str,
    /// Its exchange.
    pub exchange: &'static str,
    /// What it is.
    pub asset: Asset,
    /// What is special about it.
    pub status: Status,
    /// The first day of trading.
    pub listed: Date,
    /// Shares today.
    pub shares: i64,
    /// Bars as they were traded.
    pub bars: Vec<Bar>,
    /// Days of splits and how many shares one became.
    pub splits: Vec<(Date, f64)>,
    /// Ex-dates and amounts as they were paid.
    pub dividends: Vec<(Date, f64)>,
    /// Quarters, oldest first.
    pub quarters: Vec<Quarter>,
}

/// Draws that follow from a key.
pub struct Draws(u64);

impl Draws {
    /// Begins a series of draws.
    pub fn new(seed: u64, key: &str) -> Self {
        let hash = blake3::hash(format!("{seed}/{key}").as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_le_bytes(bytes))
    }

    /// The next draw in (0, 1): SplitMix64.
    pub fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// About normal: the sum of twelve draws less six.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.draw()).sum::<f64>() - 6.0
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[((self.draw() * from.len() as f64) as usize).min(from.len() - 1)]
    }
}

/// Whether an exchange is open.
pub fn is_trading_day(day: Date) -> bool {
    let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    !weekend && !matches!((day.month(), day.day()), (1, 1) | (7, 4) | (12, 25))
}

/// Whether an asset has a price on a day: coins on every day, currencies on all but weekends.
pub fn trades(asset: Asset, day: Date) -> bool {
    match asset {
        Asset::Crypto => true,
        Asset::Forex => !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday),
        _ => is_trading_day(day),
    }
}

/// The world.
#[derive(Debug)]
pub struct World {
    seed: u64,
    today: Date,
    companies: Mutex<BTreeMap<String, Arc<Company>>>,
}

impl World {
    /// A world whose last day is `today`.
    pub fn new(seed: u64, today: Date) -> Self {
        Self { seed, today, companies: Mutex::default() }
    }

    /// Its last day: nothing in it is later, apart from what is announced.
    pub fn today(&self) -> Date {
        self.today
    }

    /// Its seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The company of a symbol; every plausible symbol has one.
    pub fn company(&self, symbol: &str) -> Arc<Company> {
        let symbol: String = symbol.to_ascii_uppercase().chars().take(32).collect();
        let mut companies = self.companies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = companies.get(&symbol) {
            return Arc::clone(known);
        }
        if companies.len() >= KEPT {
            companies.clear();
        }
        let made = Arc::new(self.make(&symbol));
        companies.insert(symbol, Arc::clone(&made));
        made
    }

    fn make(&self, symbol: &str) -> Company {
        let mut draws = Draws::new(self.seed, &format!("company/{symbol}"));
        let plausible = !symbol.is_empty()
            && symbol.len() <= 12
            && symbol.chars().all(|c| c.is_ascii_alphanumeric() || ".-^=".contains(c));
        let status = match symbol {
            "NEWCO" => Status::New,
            "GONE" => Status::Delisted,
            "STALE" => Status::Stale,
            s if s.starts_with("ZZ") || !plausible => Status::Unknown,
            _ => Status::Listed,
        };
        let (sector, industry) = draws.pick(&[
            ("Technology", "Software"),
            ("Healthcare", "Medical Devices"),
            ("Industrials", "Machinery"),
            ("Energy", "Oil & Gas"),
            ("Financial Services", "Banks"),
            ("Consumer Cyclical", "Retail"),
        ]);
        let ending = draws.pick(&["Works", "Holdings", "Systems", "Industries", "Group", "Labs"]);
        let exchange = draws.pick(&["NYSE", "NasdaqGS"]);
        let days = |n: i64| self.today.checked_sub(Span::new().days(n)).unwrap_or(EPOCH);
        let (listed, last) = match status {
            Status::New => (self.today, EPOCH),
            Status::Delisted => (EPOCH, days(365)),
            Status::Stale => (EPOCH, days(40)),
            _ => (EPOCH, self.today),
        };
        let asset = Symbol::parse(symbol).map_or(Asset::Equity, |s| s.canonical().1);
        let (name, sector, industry, exchange) = match asset {
            Asset::Equity => (format!("{} {ending} Inc.", title_case(symbol)), sector, industry, exchange),
            Asset::Crypto => (symbol.replace("-USD", " USD"), "Crypto assets", "Coins", "CCC"),
            Asset::Forex => {
                let pair: String = symbol.chars().filter(char::is_ascii_alphabetic).take(6).collect();
                let (base, quote) = pair.split_at(pair.len().min(3));
                (format!("{base}/{quote}"), "Currencies", "Currency pairs", "CCY")
            }
            Asset::Index => (format!("{} Index", title_case(symbol)), "Indices", "Stock indices", "SNP"),
            Asset::Future => (format!("{} Future", title_case(symbol)), "Commodities", "Futures", "NYM"),
        };
        let mut company = Company {
            symbol: symbol.to_owned(),
            name,
            sector,
            industry,
            exchange,
            asset,
            status,
            listed,
            shares: (50.0 + draws.draw() * 950.0) as i64 * 1_000_000,
            bars: Vec::new(),
            splits: Vec::new(),
            dividends: Vec::new(),
            quarters: Vec::new(),
        };
        if matches!(status, Status::New | Status::Unknown) {
            return company;
        }
        self.trade(&mut company, last, &mut draws);
        // Nobody else publishes statements.
        if asset == Asset::Equity {
            report(&mut company, last, &mut draws);
        }
        company
    }

    /// Prices, the split, the dividends.
    fn trade(&self, company: &mut Company, last: Date, draws: &mut Draws) {
        let mut price = 20.0 + draws.draw() * 300.0;
        let drift = (draws.draw() - 0.4) * 0.0008;
        let spread = 0.008 + draws.draw() * 0.02;
        let shares_a_day = 5e5 + draws.draw() * 2e7;
        let split_day = jiff::civil::date(2021, 8, 31);
        let pays = draws.draw() < 0.7;
        let asset = company.asset;
        let equity = asset == Asset::Equity;
        // Currencies move little, and what they move stands in the fourth place.
        let (ticks, spread) = if asset == Asset::Forex { (1e5, spread / 4.0) } else { (100.0, spread) };
        let round = |x: f64| (x * ticks).round().max(1.0) / ticks;
        let (lowest, shares_a_day) = match asset {
            Asset::Forex => {
                price /= 200.0;
                (0.05, 0.0)
            }
            _ => (0.5, shares_a_day),
        };
        let mut day = EPOCH;
        while day <= last {
            if trades(asset, day) {
                if equity && day == split_day && price > 40.0 {
                    company.splits.push((day, 4.0));
                    price /= 4.0;
                }
                let open = round(price * (1.0 + draws.normal() * spread * 0.3));
                price = (price * (1.0 + drift + draws.normal() * spread)).clamp(lowest, 90_000.0);
                let close = round(price);
                let high = round(open.max(close) * (1.0 + draws.draw() * spread));
                let low = round(open.min(close) * (1.0 - draws.draw() * spread)).min(open.min(close));
                let volume = (shares_a_day * (0.5 + draws.draw() + draws.normal().abs() * 0.2)).round();
                company.bars.push(Bar { date: day, open, high, low, close, volume });
                let pay_month = matches!(day.month(), 2 | 5 | 8 | 11);
                if equity
                    && pays
                    && pay_month
                    && (10..=16).contains(&day.day())
                    && day.weekday() == Weekday::Thursday
                {
                    company.dividends.push((day, round(close * 0.004)));
                }
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
    }

    /// News of a company between two days, both inclusive, oldest first.
    pub fn news(&self, company: &Company, start: Date, end: Date) -> Vec<News> {
        let mut all = Vec::new();
        let from = company.bars.partition_point(|b| b.date < start);
        for i in from.max(1)..company.bars.len() {
            let (before, bar) = (&company.bars[i - 1], &company.bars[i]);
            if bar.date > end {
                break;
            }
            let mut draws = Draws::new(self.seed, &format!("news/{}/{}", company.symbol, bar.date));
            if draws.draw() < 0.55 {
                let change = (bar.close / before.close - 1.0) * 100.0;
                let word = if change >= 0.0 { "rises" } else { "falls" };
                let source = draws.pick(&["Synthetic Wire", "Market Note", "The Ledger"]);
                all.push(story(
                    bar.date,
                    source,
                    format!("{} {word} {:.1} % to {:.2}", company.name, change.abs(), bar.close),
                    format!(
                        "{} shares changed hands; the day before closed at {:.2}.",
                        bar.volume, before.close
                    ),
                ));
            }
        }
        for q in company.quarters.iter().filter(|q| q.published >= start && q.published <= end) {
            all.push(story(
                q.published,
                "Synthetic Wire",
                format!(
                    "{} reports revenue of {} million USD for the quarter to {}",
                    company.name,
                    q.revenue / 1_000_000,
                    q.end
                ),
                format!("Net income was {} million USD.", q.net_income / 1_000_000),
            ));
        }
        all.sort_by_key(|n| n.at);
        all
    }

    /// Market-wide news between two days, both inclusive, oldest first.
    pub fn market_news(&self, start: Date, end: Date) -> Vec<News> {
        let mut all = Vec::new();
        let mut day = start;
        while day <= end && day <= self.today {
            if is_trading_day(day) {
                let mut draws = Draws::new(self.seed, &format!("market/{day}"));
                let (yield_, oil) = (3.5 + draws.draw() * 1.5, 60.0 + draws.draw() * 30.0);
                all.push(story(
                    day,
                    "Synthetic Wire",
                    format!("Ten-year yield at {yield_:.2} %, oil at {oil:.2} USD"),
                    format!("Stocks were mixed on {day}."),
                ));
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        all
    }

    /// What the world knows of a symbol, as a data set.
    pub fn dataset(&self, symbol: &str) -> Dataset {
        let company = self.company(symbol);
        let week_ago = self.today.checked_sub(Span::new().days(30)).unwrap_or(EPOCH);
        let item = |n: &News| Item {
            date: n.date,
            source: n.source.into(),
            title: n.title.clone(),
            text: n.text.clone(),
        };
        Dataset {
            ticker: company.symbol.clone(),
            name: Some(company.name.clone()),
            sector: Some(format!("{}, {}", company.sector, company.industry)),
            exchange: Some(company.exchange.into()),
            listed: Some(company.listed),
            date: Some(self.today),
            origin: format!("synthetic world, seed {}", self.seed),
            bars: company.bars_in_todays_shares(self.today),
            company_news: self.news(&company, week_ago, self.today).iter().map(item).collect(),
            global_news: self.market_news(week_ago, self.today).iter().map(item).collect(),
            fundamentals: company
                .quarters
                .iter()
                .rev()
                .take(8)
                .map(|q| Item {
                    date: q.published,
                    source: String::new(),
                    title: String::new(),
                    text: format!(
                        "Quarter to {}: revenue {}, net income {}, cash {}, equity {} USD",
                        q.end, q.revenue, q.net_income, q.cash, q.equity
                    ),
                })
                .collect(),
            ..Dataset::default()
        }
    }

    /// The value of a macro series for a month, as first published and as revised two months later.
    pub fn macro_value(&self, id: &str, month: Date, revised: bool) -> f64 {
        let mut draws = Draws::new(self.seed, &format!("macro/{id}/{}", month.strftime("%Y-%m")));
        let base = 100.0 + f64::from(month.year() as i32 - 2015) * 3.0 + f64::from(month.month()) * 0.2;
        let value = base + draws.normal();
        let value = if revised { value + 0.3 + draws.draw() } else { value };
        (value * 1000.0).round() / 1000.0
    }
}

fn story(date: Date, source: &'static str, title: String, text: String) -> News {
    let at = date
        .at(20, 30, 0, 0)
        .to_zoned_datetime(TimeZone::UTC)
        .map_or(Timestamp::UNIX_EPOCH, |z| z.timestamp());
    News { at, date, title, text, source }
}

fn title_case(symbol: &str) -> String {
    let letters: String = symbol.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut chars = letters.chars();
    chars.next().map(|c| c.to_string() + &chars.as_str().to_lowercase()).unwrap_or_default()
}

impl Company {
    /// Bars in the shares of a day.
    pub fn bars_in_todays_shares(&self, today: Date) -> Vec<Bar> {
        let in_shares = |bar: &Bar| {
            let ratio = self.split_ratio(bar.date, today);
            Bar {
                date: bar.date,
                open: bar.open / ratio,
                high: bar.high / ratio,
                low: bar.low / ratio,
                close: bar.close / ratio,
                volume: bar.volume * ratio,
            }
        };
        self.bars.iter().map(in_shares).collect()
    }

    /// How many shares one of that day became until `until`.
    pub fn split_ratio(&self, day: Date, until: Date) -> f64 {
        self.splits.iter().filter(|(d, _)| *d > day && *d <= until).map(|(_, r)| r).product()
    }

    /// The close of a day in today's shares with later dividends taken off, as vendors write an adjusted close.
    pub fn adjusted_closes(&self) -> Vec<f64> {
        let mut factor = 1.0;
        let mut out = vec![0.0; self.bars.len()];
        for i in (0..self.bars.len()).rev() {
            out[i] = self.bars[i].close * factor;
            if i == 0 {
                break;
            }
            let (day, before) = (self.bars[i].date, self.bars[i - 1].close);
            for (_, amount) in self.dividends.iter().filter(|(d, _)| *d == day) {
                factor *= 1.0 - amount / before;
            }
            for (_, ratio) in self.splits.iter().filter(|(d, _)| *d == day) {
                factor /= ratio;
            }
        }
        out
    }
}

/// Statements that balance: equity grows by what is earned and not paid out, cash by the three cash flows.
fn report(company: &mut Company, last: Date, draws: &mut Draws) {
    let mut revenue = (2e8 + draws.draw() * 5e9) as i64;
    let growth = 0.99 + draws.draw() * 0.05;
    let margin = 0.05 + draws.draw() * 0.25;
    let (mut cash, mut equity) = (revenue, revenue * 3);
    let mut liabilities = revenue * 2;
    let pays = !company.dividends.is_empty();
    let mut end = jiff::civil::date(2018, 3, 31);
    while end < last {
        let published = end.checked_add(Span::new().days(30 + (draws.draw() * 12.0) as i64)).unwrap_or(end);
        let cost = (revenue as f64 * (0.3 + draws.draw() * 0.2)) as i64;
        let profit = (revenue as f64 * margin * (0.7 + draws.draw() * 0.6)) as i64;
        let tax = profit / 4;
        let operating_expenses = revenue - cost - profit;
        let net_income = profit - tax;
        let depreciation = revenue / 20;
        let dividends = if pays { net_income / 3 } else { 0 };
        let debt = (revenue as f64 * (draws.draw() - 0.5) * 0.1) as i64;
        let operating_cash = net_income + depreciation;
        let investing_cash = -(depreciation + revenue / 50);
        let financing_cash = debt - dividends;
        cash += operating_cash + investing_cash + financing_cash;
        equity += net_income - dividends;
        liabilities += debt;
        company.quarters.push(Quarter {
            end,
            published,
            revenue,
            cost,
            operating_expenses,
            tax,
            net_income,
            cash,
            other_assets: liabilities + equity - cash,
            liabilities,
            equity,
            depreciation,
            operating_cash,
            investing_cash,
            financing_cash,
            dividends,
        });
        revenue = (revenue as f64 * growth * (0.97 + draws.draw() * 0.06)) as i64;
        end = end.checked_add(Span::new().days(1).months(3)).unwrap_or(Date::MAX);
        end = end.yesterday().unwrap_or(end).last_of_month();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World::new(7, jiff::civil::date(2025, 7, 31))
    }

    #[test]
    fn the_same_seed_is_the_same_world() {
        let (a, b) = (world(), world());
        assert_eq!(a.company("MSFT").bars, b.company("MSFT").bars);
        assert_ne!(a.company("MSFT").bars, World::new(8, a.today()).company("MSFT").bars);
    }

    #[test]
    fn bars_are_sound_and_statements_balance() {
        for symbol in ["AAPL", "MSFT", "NVDA", "XOM", "STALE", "GONE"] {
            let company = world().company(symbol);
            assert!(company.bars.len() > 2_000, "{symbol}");
            for b in &company.bars {
                assert!(
                    b.low <= b.open.min(b.close) && b.high >= b.open.max(b.close) && b.volume > 0.0,
                    "{b:?}"
                );
                assert!(is_trading_day(b.date));
            }
            for pair in company.quarters.windows(2) {
                let q = &pair[1];
                assert_eq!(q.cash + q.other_assets, q.liabilities + q.equity);
                assert_eq!(q.revenue - q.cost - q.operating_expenses - q.tax, q.net_income);
                assert_eq!(q.cash - pair[0].cash, q.operating_cash + q.investing_cash + q.financing_cash);
                assert!(q.published > q.end && pair[0].end < q.end);
            }
        }
    }

    #[test]
    fn special_symbols() {
        let world = world();
        assert_eq!(world.company("NEWCO").bars.len(), 0);
        assert_eq!(world.company("STALE").bars.last().unwrap().date, jiff::civil::date(2025, 6, 20));
        assert_eq!(world.company("GONE").status, Status::Delisted);
        assert_eq!(world.company("ZZTOP").status, Status::Unknown);
        assert_eq!(world.company("MSFT").bars.last().unwrap().date, world.today());
    }

    #[test]
    fn coins_trade_every_day_and_currencies_have_no_volume() {
        let world = world();
        let (coin, pair) = (world.company("BTC-USD"), world.company("EURUSD=X"));
        let days = |c: &Company| c.bars.iter().rev().take(7).map(|b| b.date.weekday()).collect::<Vec<_>>();
        assert!(days(&coin).contains(&Weekday::Sunday) && !days(&pair).contains(&Weekday::Sunday));
        assert!(pair.bars.iter().all(|b| b.volume == 0.0 && b.low > 0.0 && b.high >= b.low));
        for asset in [&coin, &pair] {
            assert!(asset.quarters.is_empty() && asset.dividends.is_empty() && asset.splits.is_empty());
        }
        assert_eq!((coin.name.as_str(), pair.name.as_str()), ("BTC USD", "EUR/USD"));
    }

    #[test]
    fn news_tell_the_closes() {
        let world = world();
        let company = world.company("MSFT");
        let news = world.news(&company, jiff::civil::date(2025, 7, 1), world.today());
        assert!(news.len() > 5);
        for n in news.iter().filter(|n| n.title.contains(" to ") && n.title.contains('%')) {
            let bar = company.bars.iter().find(|b| b.date == n.date).unwrap();
            assert!(n.title.ends_with(&format!("{:.2}", bar.close)), "{}", n.title);
        }
    }
}
