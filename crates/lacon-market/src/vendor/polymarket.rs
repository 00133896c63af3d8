//! Polymarket: probabilities of prediction markets. No key. Prices are those of the moment of the request.

use std::{fmt::Write as _, sync::Arc};

use jiff::civil::Date;
use serde_json::Value;

use super::{Account, Ask, Fetched, Problem, Vendor, VendorError, Wire, body};

const ME: Vendor = Vendor::Polymarket;

/// The client.
#[derive(Debug)]
pub struct Polymarket {
    wire: Arc<Wire>,
    base: String,
}

/// An open market.
#[derive(Clone, Debug, PartialEq)]
pub struct Market {
    /// What is asked.
    pub question: String,
    /// Outcome and its probability.
    pub outcomes: Vec<(String, f64)>,
    /// Money that changed hands, in USD.
    pub volume: f64,
    /// When it ends.
    pub ends: Date,
    /// Change of the first outcome over a week, where it is given.
    pub week_change: Option<f64>,
}

impl Polymarket {
    /// Makes a client.
    pub fn new(wire: Arc<Wire>, account: &Account) -> Self {
        Self { wire, base: account.base(ME) }
    }

    /// Open markets on words, the most traded first, at most `limit`.
    ///
    /// # Errors
    /// What the vendor says; [`Problem::NoData`] when none is open.
    pub async fn search(
        &self,
        words: &str,
        today: Date,
        limit: usize,
    ) -> Result<Fetched<Vec<Market>>, VendorError> {
        let ask = Ask::get(ME, format!("{}/public-search", self.base))
            .query("q", words)
            .query("limit_per_type", "20");
        let got = self.wire.send(&ask).await?;
        let mut markets = parse_markets(&got.body, today)?;
        markets.truncate(limit);
        if markets.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no open market on {words:?}")));
        }
        Ok(Fetched { value: markets, sources: vec![got.source] })
    }
}

/// Reads a search: closed and past markets left out, the most traded first.
///
/// # Errors
/// [`Problem::Malformed`] when there are no events.
pub fn parse_markets(answer: &[u8], today: Date) -> Result<Vec<Market>, VendorError> {
    let value = body::json(ME, answer)?;
    let events = value.get("events").and_then(Value::as_array);
    let events = events.ok_or_else(|| body::malformed(ME, "the answer holds no events"))?;
    let mut all: Vec<Market> = events
        .iter()
        .flat_map(|e| e.get("markets").and_then(Value::as_array).into_iter().flatten())
        .filter(|m| m.get("closed").and_then(Value::as_bool) != Some(true))
        .filter_map(|m| {
            let ends = m.get("endDate").and_then(Value::as_str).and_then(body::day_in)?;
            let names: Vec<String> = serde_json::from_str(m.get("outcomes")?.as_str()?).ok()?;
            let prices: Vec<Value> = serde_json::from_str(m.get("outcomePrices")?.as_str()?).ok()?;
            let outcomes: Vec<(String, f64)> = names
                .iter()
                .zip(&prices)
                .filter_map(|(n, p)| {
                    Some((body::clean(n), body::number(p).filter(|p| (0.0..=1.0).contains(p))?))
                })
                .collect();
            (ends >= today && !outcomes.is_empty()).then(|| Market {
                question: body::field(m, "question"),
                outcomes,
                volume: m.get("volumeNum").and_then(body::number).unwrap_or(0.0),
                ends,
                week_change: m.get("oneWeekPriceChange").and_then(body::number),
            })
        })
        .collect();
    all.sort_by(|a, b| b.volume.total_cmp(&a.volume).then_with(|| a.question.cmp(&b.question)));
    Ok(all)
}

/// The markets for a model.
pub fn render(topic: &str, markets: &[Market], asked_on: Date) -> String {
    let mut text = format!("## Prediction markets on {topic}, prices of {asked_on}\n");
    for m in markets {
        let chances: Vec<String> =
            m.outcomes.iter().map(|(name, p)| format!("{name} {:.1} %", p * 100.0)).collect();
        let change =
            m.week_change.map(|c| format!("; {:+.1} points in a week", c * 100.0)).unwrap_or_default();
        let _ = write!(
            text,
            "\n### {}\n{}{change}; volume {:.0} USD; ends {}\n",
            m.question,
            chances.join(", "),
            m.volume,
            m.ends
        );
    }
    text
}
