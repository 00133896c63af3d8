//! The text of each tool, rendered from a [`Dataset`] and never from anything dated after the run's date.

use std::fmt::Write;

use jiff::{Span, civil::Date};
use serde_json::{Map, Value};

use crate::{
    Asset, Bar, Dataset, Indicator, Item, Kind, Semantics, Tool, catalog,
    dataset::{Entry, Statement, StatementKind},
    indicators, levels,
};

/// What a tool gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Data.
    Text(String),
    /// There is none; the text says what is missing and is shown to the model as such.
    NoData(String),
}

impl Answer {
    /// The text for the model.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::NoData(text) => text,
        }
    }
}

/// Arguments that a tool cannot work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadArgument {
    /// No tool of that name.
    #[error("unknown tool {name:?}{}", did_you_mean(nearest))]
    UnknownTool {
        /// The name.
        name: String,
        /// The nearest names.
        nearest: Vec<&'static str>,
    },
    /// A required argument is not there.
    #[error("tool {tool} needs argument {argument:?}")]
    Missing {
        /// The tool.
        tool: &'static str,
        /// The argument.
        argument: &'static str,
    },
    /// A value of the wrong kind.
    #[error("tool {tool}: argument {argument:?} is {value}, {expected} is needed")]
    Value {
        /// The tool.
        tool: &'static str,
        /// The argument.
        argument: &'static str,
        /// The value.
        value: String,
        /// What it should be.
        expected: String,
    },
}

fn did_you_mean(nearest: &[&str]) -> String {
    if nearest.is_empty() { String::new() } else { format!("\nhint: did you mean {}?", nearest.join(", ")) }
}

/// Arguments checked against the catalog.
struct Arguments<'a> {
    tool: &'static Tool,
    given: &'a Map<String, Value>,
}

impl Arguments<'_> {
    fn text(&self, name: &'static str) -> Result<String, BadArgument> {
        let argument =
            self.tool.arguments.iter().find(|a| a.name == name).expect("the catalogue declares it");
        let value = match (self.given.get(name), argument.default) {
            (Some(Value::String(text)), _) => text.trim().to_owned(),
            (Some(Value::Number(number)), _) => number.to_string(),
            (None | Some(Value::Null), Some(default)) => default.to_owned(),
            (None | Some(Value::Null), None) => {
                return Err(BadArgument::Missing { tool: self.tool.name, argument: name });
            }
            (Some(other), _) => return Err(self.bad(name, &other.to_string(), "a text")),
        };
        match argument.kind {
            Kind::Choice(values) if !values.contains(&value.as_str()) => {
                Err(self.bad(name, &format!("{value:?}"), &format!("one of {}", values.join(", "))))
            }
            _ => Ok(value),
        }
    }

    fn date(&self, name: &'static str) -> Result<Date, BadArgument> {
        let text = self.text(name)?;
        text.parse().map_err(|_| self.bad(name, &format!("{text:?}"), "a day as yyyy-mm-dd"))
    }

    fn days(&self, name: &'static str) -> Result<i64, BadArgument> {
        let text = self.text(name)?;
        let days: Option<i64> = text.parse().ok().filter(|d| (1..=3660).contains(d));
        days.ok_or_else(|| self.bad(name, &format!("{text:?}"), "a whole number from 1 to 3660"))
    }

    fn bad(&self, argument: &'static str, value: &str, expected: &str) -> BadArgument {
        BadArgument::Value { tool: self.tool.name, argument, value: value.into(), expected: expected.into() }
    }
}

/// Answers one tool call. `as_of` is the run's date: nothing later is ever shown, whatever the arguments ask for.
///
/// # Errors
/// For an unknown tool and for arguments that are missing or of the wrong kind.
pub fn answer(
    data: &Dataset,
    name: &str,
    given: &Map<String, Value>,
    as_of: Date,
    semantics: Semantics,
) -> Result<Answer, BadArgument> {
    let Some(tool) = catalog::find(name) else {
        let mut nearest: Vec<_> =
            catalog::TOOLS.iter().map(|t| (strsim::levenshtein(t.name, name), t.name)).collect();
        nearest.sort_unstable();
        let nearest = nearest.into_iter().take(2).filter(|(d, _)| *d <= 8).map(|(_, n)| n).collect();
        return Err(BadArgument::UnknownTool { name: name.into(), nearest });
    };
    let arguments = Arguments { tool, given };
    let day = |name| arguments.date(name).map(|d| d.min(as_of));
    Ok(match name {
        "get_YFin_data_online" | "get_YFin_data" => {
            let symbol = arguments.text("symbol")?;
            prices(data, &symbol, arguments.date("start_date")?, day("end_date")?)
        }
        "get_stockstats_indicators_report_online" | "get_stockstats_indicators_report" => {
            arguments.text("symbol")?;
            let indicator = arguments
                .text("indicator")?
                .parse()
                .expect("the catalogue's choices are the indicators' names");
            indicator_window(data, indicator, day("curr_date")?, arguments.days("look_back_days")?, semantics)
        }
        "get_volume_analysis" => volume(data, as_of),
        "get_support_resistance" => support_resistance(data, as_of),
        "get_stock_news_openai" => {
            let end = day("curr_date")?;
            let mut items = within(&data.company_news, week_before(end), end);
            items.extend(within(&data.social, week_before(end), end));
            listing(&format!("What was said about {}", data.ticker), &items, week_before(end), end)
        }
        "get_reddit_stock_info" => {
            let end = day("curr_date")?;
            listing(
                "Posts on the company",
                &per_day(&data.social, week_before(end), end),
                week_before(end),
                end,
            )
        }
        "get_reddit_news" => {
            let end = day("curr_date")?;
            let items = per_day(&data.global_social, week_before(end), end);
            listing("Posts on the market", &items, week_before(end), end)
        }
        "get_stocktwits_sentiment" => messages(data, as_of),
        "get_twitter_mentions" => no_vendor(data, "Twitter mentions"),
        "get_global_news_openai" => {
            let end = day("curr_date")?;
            let items = within(&data.global_news, week_before(end), end);
            listing("Market-wide news", &items, week_before(end), end)
        }
        "get_google_news" => {
            let query = arguments.text("query")?;
            let end = day("curr_date")?;
            let items = within(&data.company_news, week_before(end), end);
            listing(&format!("Headlines for {query}"), &items, week_before(end), end)
        }
        "get_finnhub_news" => {
            let (start, end) = (arguments.date("start_date")?, day("end_date")?);
            listing("Company news", &within(&data.company_news, start, end), start, end)
        }
        "get_fundamentals_openai" => {
            let end = day("curr_date")?;
            let items: Vec<&Item> = data.fundamentals.iter().filter(|i| i.date <= end).collect();
            fundamentals(data, &items, end)
        }
        "get_finnhub_company_insider_sentiment" => {
            entries("Insider sentiment", &data.insider_sentiment, day("curr_date")?)
        }
        "get_finnhub_company_insider_transactions" => {
            entries("Insider transactions", &data.insider_transactions, day("curr_date")?)
        }
        "get_simfin_balance_sheet" | "get_simfin_cashflow" | "get_simfin_income_stmt" => {
            let kind = match name {
                "get_simfin_balance_sheet" => StatementKind::Balance,
                "get_simfin_cashflow" => StatementKind::CashFlow,
                _ => StatementKind::Income,
            };
            statement(data, kind, &arguments.text("freq")?, day("curr_date")?)
        }
        "get_macro_series" => {
            let series = arguments.text("series")?;
            day("curr_date")?;
            arguments.days("look_back_days")?;
            no_vendor(data, &format!("macro series {series:?}"))
        }
        "get_prediction_markets" => {
            let topic = arguments.text("topic")?;
            day("curr_date")?;
            no_vendor(data, &format!("prediction markets on {topic:?}"))
        }
        _ => unreachable_tool(tool),
    })
}

/// Every tool of the catalog has an arm above (a test calls each); one without says so instead of failing.
fn unreachable_tool(tool: &Tool) -> Answer {
    Answer::NoData(format!("no data: tool {} has no source here", tool.name))
}

fn days_before(end: Date, days: i64) -> Date {
    end.checked_sub(Span::new().days(days)).unwrap_or(Date::MIN)
}

fn week_before(end: Date) -> Date {
    days_before(end, 7)
}

fn no_data(what: &str, why: &str) -> Answer {
    Answer::NoData(format!("no data: {what}: {why}"))
}

fn no_vendor(data: &Dataset, what: &str) -> Answer {
    no_data(what, &format!("{} holds none and no vendor is configured", data.origin))
}

fn bars_until(data: &Dataset, end: Date) -> &[Bar] {
    &data.bars[..data.bars.partition_point(|b| b.date <= end)]
}

fn prices(data: &Dataset, symbol: &str, start: Date, end: Date) -> Answer {
    let bars: Vec<&Bar> = bars_until(data, end).iter().filter(|b| b.date >= start).collect();
    if bars.is_empty() {
        let listed = data.listed.map(|d| format!("; first day of trading {d}")).unwrap_or_default();
        return no_data(
            &format!("prices of {symbol} from {start} to {end}"),
            &format!("no trading day{listed}"),
        );
    }
    let mut text = format!("# {symbol} from {start} to {end}\n# {} trading days\n\n", bars.len());
    text.push_str("Date,Open,High,Low,Close,Volume\n");
    for bar in bars {
        let _ =
            writeln!(text, "{},{},{},{},{},{}", bar.date, bar.open, bar.high, bar.low, bar.close, bar.volume);
    }
    Answer::Text(text)
}

fn indicator_window(
    data: &Dataset,
    indicator: Indicator,
    end: Date,
    look_back: i64,
    semantics: Semantics,
) -> Answer {
    let start = days_before(end, look_back);
    let bars = bars_until(data, end);
    let column = Indicator::ALL.iter().position(|i| *i == indicator).expect("ALL holds every indicator");
    let mut values: Vec<(Date, f64)> = bars
        .iter()
        .zip(indicators::compute(bars, semantics))
        .filter_map(|(bar, row)| Some((bar.date, row.get(column)?)))
        .collect();
    // Recorded values were computed by a vendor from a longer history than these bars.
    for (_, date, value) in data.recorded.iter().filter(|(i, d, _)| *i == indicator && *d <= end) {
        match values.binary_search_by_key(date, |(d, _)| *d) {
            Ok(at) => values[at].1 = *value,
            Err(at) => values.insert(at, (*date, *value)),
        }
    }
    values.retain(|(date, _)| *date >= start);
    let name = indicator.name();
    if values.is_empty() {
        let why = format!("{} trading days are known, {} are needed", bars.len(), indicator.bars_needed());
        return no_data(&format!("{name} of {} from {start} to {end}", data.ticker), &why);
    }
    let mut text = format!("## {name} from {start} to {end}, trading days only\n\n");
    for (date, value) in values.iter().rev() {
        let _ = writeln!(text, "{date}: {}", round(*value));
    }
    let _ = write!(text, "\n{name}: {}", indicator.description(semantics));
    Answer::Text(text)
}

/// Four decimals are below a tick of any price here; more are noise of the computation.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn volume(data: &Dataset, as_of: Date) -> Answer {
    let bars = bars_until(data, as_of);
    // Currencies are traded everywhere and counted nowhere.
    if bars.len() > 1 && bars.iter().all(|bar| bar.volume == 0.0) {
        return no_data(&format!("volume of {}", data.ticker), "no volume is reported for it");
    }
    let Some(v) = levels::volume_analysis(bars) else {
        return no_data(&format!("volume of {}", data.ticker), "at least two trading days are needed");
    };
    let z = v.z_score.map_or_else(|| "not defined".into(), |z| format!("{z:.2}"));
    Answer::Text(format!(
        "Volume of {} on its last trading day: {} shares; mean of the {} days before: {:.0}; ratio {:.2}; \
         z-score {z}; on-balance volume {:.0}; accumulation and distribution {:.0}.",
        data.ticker, v.last, v.window, v.mean, v.ratio, v.on_balance, v.accumulation
    ))
}

fn support_resistance(data: &Dataset, as_of: Date) -> Answer {
    let Some(l) = levels::levels(bars_until(data, as_of)) else {
        return no_data(&format!("levels of {}", data.ticker), "no trading day is known");
    };
    // What a price below ten moves stands behind the second place.
    let places = if l.close.abs() < 10.0 { 4 } else { 2 };
    let list = |levels: &[levels::Level]| {
        let all: Vec<String> =
            levels.iter().map(|l| format!("{:.places$} ({} touches)", l.price, l.touches)).collect();
        if all.is_empty() { "none".into() } else { all.join(", ") }
    };
    Answer::Text(format!(
        "Levels of {} around its close of {}: pivot {:.places$}; pivot resistance {:.places$} and {:.places$}; pivot support {:.places$} \
         and {:.places$}; swing resistance {}; swing support {}; range of {} days {} to {}.",
        data.ticker,
        l.close,
        l.pivot,
        l.pivot_resistance[0],
        l.pivot_resistance[1],
        l.pivot_support[0],
        l.pivot_support[1],
        list(&l.resistance),
        list(&l.support),
        l.range_bars,
        l.range.0,
        l.range.1
    ))
}

fn within(items: &[Item], start: Date, end: Date) -> Vec<&Item> {
    items.iter().filter(|i| i.date >= start && i.date <= end).collect()
}

/// The messages of the last week with a count of moods; the writers' own marks, nothing is guessed from words.
fn messages(data: &Dataset, end: Date) -> Answer {
    if data.messages.is_empty() {
        return no_vendor(data, "StockTwits messages");
    }
    let start = week_before(end);
    let items = within(&data.messages, start, end);
    if items.is_empty() {
        return no_data(&format!("StockTwits messages from {start} to {end}"), "no dated message");
    }
    let count = |mood: &str| items.iter().filter(|m| m.title == mood).count();
    let (bullish, bearish) = (count("Bullish"), count("Bearish"));
    let mut text = format!(
        "## StockTwits messages on {}, from {start} to {end}\n\n{} messages: {bullish} marked bullish, {bearish} marked \
         bearish, {} without a mark.\n",
        data.ticker,
        items.len(),
        items.len() - bullish - bearish
    );
    for item in items.iter().take(15) {
        let mood = if item.title.is_empty() { "no mark" } else { item.title.as_str() };
        let _ = write!(text, "\n### {mood}, {}\n{}\n", item.date, item.text);
    }
    Answer::Text(text)
}

/// At most five posts a day, as they come (most voted first).
fn per_day(items: &[Item], start: Date, end: Date) -> Vec<&Item> {
    let mut kept: Vec<&Item> = Vec::new();
    for item in within(items, start, end) {
        if kept.iter().filter(|k| k.date == item.date).count() < 5 {
            kept.push(item);
        }
    }
    kept
}

fn listing(heading: &str, items: &[&Item], start: Date, end: Date) -> Answer {
    if items.is_empty() {
        return no_data(&format!("{} from {start} to {end}", lower_first(heading)), "no dated item");
    }
    let mut text = format!("## {heading}, from {start} to {end}\n");
    for item in items {
        let source =
            if item.source.is_empty() { String::new() } else { format!(" (source: {})", item.source) };
        let _ = write!(text, "\n### {}{source}, {}\n{}\n", item.title, item.date, item.text);
    }
    Answer::Text(text)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_lowercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

fn fundamentals(data: &Dataset, items: &[&Item], end: Date) -> Answer {
    if items.is_empty() {
        return no_data(&format!("key figures of {} until {end}", data.ticker), "no dated fact");
    }
    let mut text = format!("## Key figures and events of {}, until {end}\n\n", data.ticker);
    for (label, value) in [("Name", &data.name), ("Sector", &data.sector), ("Exchange", &data.exchange)] {
        if let Some(value) = value {
            let _ = writeln!(text, "- {label}: {value}");
        }
    }
    if let Some(bar) = bars_until(data, end).last() {
        let _ = writeln!(text, "- Last close: {} USD on {}", bar.close, bar.date);
    }
    text.push_str("\n| Date | Fact |\n|---|---|\n");
    for item in items {
        let _ = writeln!(text, "| {} | {} |", item.date, item.text);
    }
    Answer::Text(text)
}

fn entries(heading: &str, all: &[Entry], end: Date) -> Answer {
    let start = days_before(end, 30);
    let found: Vec<&Entry> = all.iter().filter(|e| e.date >= start && e.date <= end).collect();
    if found.is_empty() {
        return no_data(&format!("{} from {start} to {end}", lower_first(heading)), "no filing");
    }
    let mut text = format!("## {heading}, from {start} to {end}\n");
    for entry in found {
        let fields: Vec<String> = entry
            .fields
            .iter()
            .map(|(k, v)| format!("{k}: {}", v.as_str().map_or_else(|| v.to_string(), Into::into)))
            .collect();
        let _ = write!(text, "\n### {}\n{}\n", entry.date, fields.join("; "));
    }
    Answer::Text(text)
}

/// The newest statement that was public on the day; ties by the later period.
fn statement(data: &Dataset, kind: StatementKind, frequency: &str, end: Date) -> Answer {
    let label = match kind {
        StatementKind::Balance => "balance sheet",
        StatementKind::CashFlow => "cash flow statement",
        StatementKind::Income => "income statement",
    };
    let newest: Option<&Statement> = data
        .statements
        .iter()
        .filter(|s| s.kind == kind && s.frequency == frequency && s.publish_date <= end)
        .max_by_key(|s| (s.publish_date, s.report_date));
    let Some(statement) = newest else {
        return no_data(
            &format!("{frequency} {label} of {} published until {end}", data.ticker),
            "none is known",
        );
    };
    let mut text = format!(
        "## {frequency} {label} of {}, period to {}, published {}\n\n",
        data.ticker, statement.report_date, statement.publish_date
    );
    for (key, value) in &statement.rows {
        let _ = writeln!(text, "{key}: {value}");
    }
    Answer::Text(text)
}

/// The further calls of a news analyst whose asset is moved by rates, prices and risk rather than by a company.
pub fn macro_calls(asset: Asset, as_of: Date) -> Vec<(String, Map<String, Value>)> {
    let series: &[&str] = match asset {
        Asset::Equity => &[],
        Asset::Forex => &["fed funds", "10y", "dollar", "cpi"],
        Asset::Crypto => &["fed funds", "dollar", "vix"],
        Asset::Index => &["fed funds", "10y", "vix", "unemployment"],
        Asset::Future => &["dollar", "cpi", "production"],
    };
    let call = |series: &&str| {
        let arguments = [("series", (*series).to_owned()), ("curr_date", as_of.to_string())];
        let arguments = arguments.into_iter().map(|(k, v)| (k.to_owned(), Value::from(v))).collect();
        ("get_macro_series".to_owned(), arguments)
    };
    series.iter().map(call).collect()
}
