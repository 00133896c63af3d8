//! Receipts of `lacon serve --receipts`: one line for each request, with when its answer began and ended, and what it took.

use lacon_llm::Usage;
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    Kind, SpanTokens,
    batch::{Batch, Outer},
    json,
    settle::Raw,
    when,
};

/// All lines of a file are one trace: the proxy does not know which requests belong together.
const TRACE: &str = "receipts";

/// Whether a value is a receipt.
pub fn is_receipt(value: &Value) -> bool {
    let number = |key: &str| json::get(value, key).is_some_and(Value::is_number);
    number("overhead_us") && number("status") && json::get(value, "route").is_some_and(Value::is_string)
}

/// Reads a receipt.
pub fn add(value: &Value, batch: &mut Batch) {
    let text = |key: &str| json::get(value, key).and_then(json::text).filter(|text| !text.is_empty());
    let seconds = |key: &str| json::get(value, key).and_then(Value::as_f64).map(|us| us / 1e6);
    let end = json::get(value, "at").and_then(when::unix);
    let (overhead, waited) = (seconds("overhead_us").unwrap_or(0.0), seconds("waited_us"));
    // Receipts of older proxies were written when the answer began.
    let took = seconds("took_us").or(waited).unwrap_or(0.0);
    let start = end.map(|end| end - overhead - took);
    let mut raw = Raw {
        trace: Some(TRACE.to_owned()),
        start,
        end,
        first_token: start.zip(waited).map(|(start, waited)| start + overhead + waited),
        ..Raw::default()
    };
    let span = &mut raw.span;
    span.name = text("route").unwrap_or_else(|| "request".to_owned());
    span.model = text("model");
    if let Some(Ok(usage)) = json::get(value, "usage").map(Usage::deserialize) {
        span.tokens = SpanTokens {
            prompt: usage.prompt_total(),
            cached: usage.cached,
            cache_write: usage.cache_write,
            cache_write_1h: usage.cache_write_1h,
            completion: usage.completion_total(),
            reasoning: usage.reasoning,
            ..SpanTokens::default()
        };
    }
    // Requests that are no call of a model name none.
    span.kind = if span.model.is_some() { Kind::Model } else { Kind::Other };
    if let Some(status) = json::get(value, "status").and_then(Value::as_u64).filter(|status| *status >= 400) {
        span.error = Some(format!("status {status}"));
    }
    batch.raws.push(raw);
}

/// Numbers the requests of the whole file, whose parts were read apart, and says once how many answers report no usage.
pub fn numbered(batch: &mut Batch) {
    for (n, raw) in batch.raws.iter_mut().enumerate() {
        raw.span.id = format!("request {}", n + 1);
    }
    batch.outer.push(Outer { id: TRACE.to_owned(), name: "proxy".to_owned(), ..Outer::default() });
    let calls = batch.raws.iter().filter(|raw| raw.span.kind == Kind::Model && raw.span.error.is_none());
    let silent = calls.clone().filter(|raw| raw.span.tokens.sum().is_none()).count();
    if silent > 0 {
        let what = format!("{silent} of {} answers did not say what they took", calls.count());
        super::note(&mut batch.problems, "no_usage", what);
    }
}
