//! StockTwits: the latest messages on a symbol, with the mood chosen by their writers. No key.

use std::{sync::Arc, time::Duration};

use jiff::civil::Date;
use serde_json::Value;

use super::{Account, Ask, Fetched, Problem, Vendor, VendorError, Wire, body};

const ME: Vendor = Vendor::StockTwits;

/// The client.
#[derive(Debug)]
pub struct StockTwits {
    wire: Arc<Wire>,
    base: String,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it was written.
    pub date: Option<Date>,
    /// Who wrote it.
    pub user: String,
    /// What.
    pub text: String,
    /// `Bullish` or `Bearish`, where the writer chose one.
    pub mood: Option<String>,
}

impl StockTwits {
    /// Makes a client.
    pub fn new(wire: Arc<Wire>, account: &Account) -> Self {
        Self { wire, base: account.base(ME) }
    }

    /// The latest messages.
    ///
    /// # Errors
    /// What the vendor says; [`Problem::NoData`] when there is none.
    pub async fn messages(&self, symbol: &str) -> Result<Fetched<Vec<Message>>, VendorError> {
        let ask = Ask::get(ME, format!("{}/streams/symbol/{}.json", self.base, body::encode(symbol)))
            .query("limit", "30")
            .fresh_for(Duration::from_secs(120));
        let got = self.wire.send(&ask).await?;
        let messages = parse_messages(&got.body)?;
        if messages.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no message on {symbol}")));
        }
        Ok(Fetched { value: messages, sources: vec![got.source] })
    }
}

/// Reads a stream.
///
/// # Errors
/// The status inside of the answer, or [`Problem::Malformed`].
pub fn parse_messages(answer: &[u8]) -> Result<Vec<Message>, VendorError> {
    let value = body::json(ME, answer)?;
    match value.pointer("/response/status").and_then(Value::as_u64) {
        None | Some(200) => {}
        Some(404) => return Err(VendorError::new(ME, Problem::NoData, "the symbol is unknown")),
        Some(429) => return Err(VendorError::new(ME, Problem::RateLimited, "too many requests")),
        Some(other) => {
            return Err(VendorError::new(ME, Problem::UpstreamDown, format!("status {other} inside")));
        }
    }
    let list = value.get("messages").and_then(Value::as_array);
    let list = list.ok_or_else(|| body::malformed(ME, "the answer holds no messages"))?;
    Ok(list
        .iter()
        .map(|m| Message {
            date: m.get("created_at").and_then(Value::as_str).and_then(body::day_in),
            user: m.pointer("/user/username").and_then(Value::as_str).map(body::clean).unwrap_or_default(),
            text: body::plain(&body::field(m, "body")),
            mood: m.pointer("/entities/sentiment/basic").and_then(Value::as_str).map(body::clean),
        })
        .filter(|m| !m.text.is_empty())
        .collect())
}
