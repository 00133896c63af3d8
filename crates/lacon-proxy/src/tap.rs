//! Listens to an answer as it passes, and says when it is over what it was billed.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use lacon_llm::Usage;
use lacon_monitor::{
    metrics::proxy::{ProxyMetrics, Route},
    prices, trace,
};
use serde_json::{Deserializer, Value};

use crate::{
    gate::Pass,
    lesson::Lesson,
    served::{OnServed, Served},
};

/// Bytes kept of the beginning of an answer, where Anthropic's stream says what the prompt took.
const HEAD: usize = 4 << 10;
/// Bytes kept of its end.
const TAIL: usize = 16 << 10;

/// What hears an answer until it is over, however it ends.
pub struct Tap {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Whether a model may have answered, so that usage is to be expected.
    pub listens: bool,
    /// What the gate let through, with its most.
    pub pass: Option<(Box<dyn Pass>, Usage)>,
    /// The request, where its answer's usage is to teach.
    pub lesson: Option<Lesson>,
    served: Served,
    sent: Instant,
    metrics: Arc<ProxyMetrics>,
    on_served: Option<OnServed>,
}

impl Tap {
    pub fn new(
        metrics: &Arc<ProxyMetrics>,
        on_served: Option<&OnServed>,
        served: Served,
        sent: Instant,
    ) -> Self {
        let (head, tail) = (Vec::new(), VecDeque::new());
        let (metrics, on_served) = (Arc::clone(metrics), on_served.cloned());
        Self { head, tail, listens: false, pass: None, lesson: None, served, sent, metrics, on_served }
    }

    /// Whether its route is one of models.
    pub fn is_metered(&self) -> bool {
        matches!(self.served.route, Route::Chat | Route::Responses | Route::Messages)
    }

    pub fn hear(&mut self, bytes: &[u8]) {
        if !self.listens {
            return;
        }
        let first = bytes.len().min(HEAD - self.head.len().min(HEAD));
        self.head.extend_from_slice(&bytes[..first]);
        let rest = &bytes[first..];
        self.tail.extend(&rest[rest.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.head.extend(&self.tail);
        let answer = String::from_utf8_lossy(&self.head);
        let usage = usage(&answer);
        if let Some((pass, most)) = self.pass.take() {
            pass.settle(&usage.unwrap_or(most));
        }
        if let (Some(lesson), Some(usage)) = (self.lesson.take(), &usage) {
            lesson.learn(usage);
        }
        let served = &mut self.served;
        served.took = self.sent.elapsed();
        if self.listens {
            served.model = served.model.take().or_else(|| model(&answer));
            served.usage = usage;
            let price = |usage| prices::cost(served.model.as_deref()?, &usage);
            served.micro_usd = usage.and_then(price);
            self.metrics.billed(usage.as_ref(), served.micro_usd);
        }
        if let Some(on_served) = &self.on_served {
            on_served(served);
        }
    }
}

/// The values of a member wherever it stands in JSON or a stream of it; a text that quotes JSON escapes the name.
fn members<'a>(answer: &'a str, name: &'a str) -> impl Iterator<Item = Value> + 'a {
    answer.match_indices(name).filter_map(move |(at, name)| {
        let value = answer[at + name.len()..].trim_start().strip_prefix(':')?;
        Deserializer::from_str(value).into_iter::<Value>().next()?.ok()
    })
}

/// The usage that an answer reports, JSON or stream; `None` where it does not report both sides.
fn usage(answer: &str) -> Option<Usage> {
    // A stream repeats its usage, and it grows.
    let said = members(answer, "\"usage\"").filter(Value::is_object);
    let tokens = said.map(|said| trace::usage(&said)).reduce(trace::SpanTokens::most)?;
    tokens.prompt.and(tokens.completion).map(|_| tokens.usage())
}

/// The model that an answer names.
fn model(answer: &str) -> Option<String> {
    members(answer, "\"model\"").find_map(|model| model.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_found_in_every_form_of_answer() {
        // Input, read from the cache, written to it, written for an hour, answer.
        for (answer, expected) in [
            (
                r#"{"choices":[],"usage": {"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}}}"#,
                Some([7, 2, 0, 0, 4]),
            ),
            (
                r#"{"usage":{"prompt_tokens":90,"completion_tokens":4,"total_tokens":94,"prompt_tokens_details":{"cached_tokens":20,"cache_write_tokens":60}}}"#,
                Some([10, 20, 60, 0, 4]),
            ),
            (
                "data: {\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: [DONE]",
                Some([3, 0, 0, 0, 1]),
            ),
            (
                r#"{"usage":{"input_tokens":70,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":60},"output_tokens":5,"total_tokens":75}}"#,
                Some([10, 0, 60, 0, 5]),
            ),
            (
                "data: {\"message\":{\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"cache_creation_input_tokens\":9,\
                 \"cache_creation\":{\"ephemeral_5m_input_tokens\":2,\"ephemeral_1h_input_tokens\":7},\"output_tokens\":1}}}\n\n\
                 data: {\"usage\":{\"output_tokens\":30}}",
                Some([10, 5, 2, 7, 30]),
            ),
            ("data: {\"message\":{\"usage\":{\"input_tokens\":10", None),
            (r#"{"usage":{"prompt_tokens":-4,"completion_tokens":4}}"#, None),
            (r#"{"text":"no \"usage\" here"}"#, None),
            (r#"{"usage":7}"#, None),
            ("", None),
        ] {
            let found = usage(answer).map(|u| {
                [u.input, u.cached, u.cache_write, u.cache_write_1h, u.output].map(|n| n.unwrap_or(0))
            });
            assert_eq!(found, expected, "{answer}");
        }
        let named = r#"{"id":"x","model": "gpt-5.6-sol","text":"the \"model\": \"other\""}"#;
        assert_eq!(model(named).as_deref(), Some("gpt-5.6-sol"));
    }
}
