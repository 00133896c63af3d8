//! The offline packs inside the binary: real prices and figures, headlines written for the pack.

use serde::Deserialize;

use crate::{DataError, Dataset, Indicator, Item, Symbol, bars, symbol};

struct Pack {
    ticker: &'static str,
    about: &'static str,
    prices: &'static str,
    indicators: &'static str,
}

/// All bundled packs. Alphabetical, since users see the list.
const PACKS: &[Pack] = &[
    Pack {
        ticker: "AAPL",
        about: include_str!("../packs/AAPL/pack.toml"),
        prices: include_str!("../packs/AAPL/prices.csv"),
        indicators: include_str!("../packs/AAPL/indicators.csv"),
    },
    Pack {
        ticker: "CRCL",
        about: include_str!("../packs/CRCL/pack.toml"),
        prices: include_str!("../packs/CRCL/prices.csv"),
        indicators: "",
    },
    Pack {
        ticker: "FIG",
        about: include_str!("../packs/FIG/pack.toml"),
        prices: include_str!("../packs/FIG/prices.csv"),
        indicators: "",
    },
    Pack {
        ticker: "NVDA",
        about: include_str!("../packs/NVDA/pack.toml"),
        prices: include_str!("../packs/NVDA/prices.csv"),
        indicators: "",
    },
];

const GLOBAL: &str = include_str!("../packs/market.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    ticker: String,
    name: String,
    sector: String,
    exchange: String,
    date: jiff::civil::Date,
    listed: Option<jiff::civil::Date>,
    #[serde(default)]
    fundamental: Vec<Item>,
    #[serde(default)]
    company_news: Vec<Item>,
    #[serde(default)]
    social: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Global {
    global_news: Vec<Item>,
}

/// The tickers of the bundled packs.
pub fn tickers() -> impl Iterator<Item = &'static str> {
    PACKS.iter().map(|pack| pack.ticker)
}

/// Loads the bundled pack of a ticker.
///
/// # Errors
/// [`DataError::UnknownTicker`] with the nearest tickers when there is none.
pub fn load(ticker: &Symbol) -> Result<Dataset, DataError> {
    let Some(pack) = PACKS.iter().find(|pack| pack.ticker == ticker.as_str()) else {
        return Err(DataError::UnknownTicker {
            ticker: ticker.clone(),
            origin: "the bundled offline packs".into(),
            nearest: symbol::nearest(ticker.as_str(), tickers()).into_iter().map(Into::into).collect(),
            known: tickers().map(Into::into).collect(),
        });
    };
    let file = |name: &str| format!("packs/{}/{name}", pack.ticker);
    let parsed = |name: String, error: toml::de::Error| {
        let line = error.span().map_or(1, |s| pack.about[..s.start.min(pack.about.len())].lines().count());
        DataError::Malformed { name, line, problem: error.message().into() }
    };
    let about: About = toml::from_str(pack.about).map_err(|e| parsed(file("pack.toml"), e))?;
    let global: Global = toml::from_str(GLOBAL).map_err(|e| parsed("packs/market.toml".into(), e))?;
    Ok(Dataset {
        ticker: about.ticker,
        name: Some(about.name),
        sector: Some(about.sector),
        exchange: Some(about.exchange),
        listed: about.listed,
        date: Some(about.date),
        origin: format!("bundled pack {}", pack.ticker),
        bars: bars::parse_csv(&file("prices.csv"), pack.prices)?,
        recorded: parse_recorded(&file("indicators.csv"), pack.indicators)?,
        company_news: about.company_news,
        global_news: global.global_news,
        social: about.social,
        fundamentals: about.fundamental,
        ..Dataset::default()
    })
}

fn parse_recorded(name: &str, text: &str) -> Result<Vec<(Indicator, jiff::civil::Date, f64)>, DataError> {
    let mut values = Vec::new();
    for (index, line) in text.lines().enumerate().skip(1).filter(|(_, l)| !l.is_empty()) {
        let mut cells = line.split(',');
        let row = (|| {
            let indicator = cells.next()?.parse().ok()?;
            Some((indicator, bars::parse_date(cells.next()?)?, cells.next()?.parse().ok()?))
        })();
        values.push(row.ok_or_else(|| DataError::Malformed {
            name: name.into(),
            line: index + 1,
            problem: format!("{line:?} is no indicator, date and value"),
        })?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pack_loads() {
        for ticker in tickers() {
            let data = load(&Symbol::parse(ticker).unwrap()).unwrap();
            assert_eq!(data.ticker, ticker);
            assert!(data.date.is_some() && !data.company_news.is_empty() && !data.global_news.is_empty());
        }
    }

    #[test]
    fn an_unknown_ticker_names_the_nearest() {
        let error = load(&Symbol::parse("CRCK").unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no data for ticker CRCK in the bundled offline packs\nhint: did you mean CRCL?"
        );
    }
}
