//! The web search tool of a Responses endpoint: a model searches and summarizes. Needs a key and costs tokens.
//!
//! It cannot be limited to a date, so the routing never asks it in a backtest.

use std::{sync::Arc, time::Duration};

use jiff::civil::Date;
use serde_json::{Value, json};

use super::{Account, Ask, Fetched, Key, Problem, Vendor, VendorError, Wire, body};

const ME: Vendor = Vendor::WebSearch;

/// The client.
#[derive(Debug)]
pub struct WebSearch {
    wire: Arc<Wire>,
    base: String,
    key: Key,
    model: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The text.
    pub text: String,
    /// The pages that it names.
    pub links: Vec<String>,
    /// Prompt and completion tokens that were billed, where they are stated.
    pub tokens: Option<(u64, u64)>,
}

impl WebSearch {
    /// Makes a client; `model` does the searching.
    pub fn new(wire: Arc<Wire>, account: &Account, model: &str) -> Self {
        Self { wire, base: account.base(ME), key: account.key.clone(), model: model.to_owned() }
    }

    /// Has a question looked up.
    ///
    /// # Errors
    /// What the endpoint says; [`Problem::NoData`] when the answer has no text.
    pub async fn ask(&self, question: &str, start: Date, end: Date) -> Result<Fetched<Found>, VendorError> {
        if self.key.is_empty() || self.model.is_empty() {
            let what = "no key or no model\nhint: set OPENAI_API_KEY and vendors.web_search_model";
            return Err(VendorError::new(ME, Problem::NotConfigured, what));
        }
        let request = json!({
            "model": self.model,
            "input": [{"role": "user", "content": [{"type": "input_text", "text": question}]}],
            "tools": [{"type": "web_search"}],
            "max_output_tokens": 4096,
            "store": false,
        });
        let url = format!("{}/responses", self.base);
        let ask = Ask::post(ME, url, "application/json", request.to_string().into_bytes())
            .key_header("authorization", "Bearer ", &self.key)
            .fresh_for(Duration::from_secs(300))
            .window(Some(start), Some(end))
            .once();
        let got = self.wire.send(&ask).await?;
        Ok(Fetched { value: parse_answer(&got.body)?, sources: vec![got.source] })
    }
}

/// Reads an answer: the text parts of the message items, wherever they stand.
///
/// # Errors
/// The error that the answer states, [`Problem::NoData`] without text, [`Problem::Malformed`] otherwise.
pub fn parse_answer(answer: &[u8]) -> Result<Found, VendorError> {
    let value = body::json(ME, answer)?;
    if let Some(error) = value.get("error").filter(|e| !e.is_null()) {
        return Err(VendorError::new(ME, Problem::UpstreamDown, body::field(error, "message")));
    }
    let output = value.get("output").and_then(Value::as_array);
    let output = output.ok_or_else(|| body::malformed(ME, "the answer holds no output"))?;
    let mut found = Found::default();
    let is = |v: &Value, kind: &str| v.get("type").and_then(Value::as_str) == Some(kind);
    for item in output.iter().filter(|i| is(i, "message")) {
        for part in item.get("content").and_then(Value::as_array).into_iter().flatten() {
            if !is(part, "output_text") {
                continue;
            }
            found.text.push_str(part.get("text").and_then(Value::as_str).unwrap_or_default());
            let notes = part.get("annotations").and_then(Value::as_array);
            found
                .links
                .extend(notes.into_iter().flatten().map(|n| body::field(n, "url")).filter(|u| !u.is_empty()));
        }
    }
    found.text =
        found.text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).take(20_000).collect();
    found.links.dedup();
    let count = |name: &str| value.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
    found.tokens = count("input_tokens").zip(count("output_tokens"));
    if found.text.trim().is_empty() {
        return Err(VendorError::new(ME, Problem::NoData, "the search gave no text"));
    }
    Ok(found)
}
