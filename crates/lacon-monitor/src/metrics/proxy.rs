//! Metrics of `lacon serve`: requests by route, tokens before and after, overhead.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use lacon_llm::Usage;

use super::{Histogram, head};

/// The way a request takes through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/responses`.
    Responses,
    /// `/v1/messages`.
    Messages,
    /// `/v1/compress`.
    Compress,
    /// `/v1/retrieve/…`.
    Retrieve,
    /// Everything else, which is passed through.
    Other,
}

impl Route {
    /// All of them.
    pub const ALL: [Route; 6] =
        [Route::Chat, Route::Responses, Route::Messages, Route::Compress, Route::Retrieve, Route::Other];

    /// Its name in labels and receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Route::Chat => "chat",
            Route::Responses => "responses",
            Route::Messages => "messages",
            Route::Compress => "compress",
            Route::Retrieve => "retrieve",
            Route::Other => "other",
        }
    }
}

/// Upper bounds in seconds: from a body that is only passed on to one of megabytes.
const OVERHEAD: &[f64] = &[
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
];

/// Upper bounds in seconds: from a local server to a model that thinks for minutes.
const FIRST_BYTE: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 150.0, 600.0];

/// Counters and histograms of one proxy.
#[derive(Debug)]
pub struct ProxyMetrics {
    requests: [AtomicU64; Route::ALL.len()],
    tokens_before: AtomicU64,
    tokens_after: AtomicU64,
    unreachable: AtomicU64,
    cut: AtomicU64,
    failed: AtomicU64,
    billed: [AtomicU64; BILLED.len()],
    overhead: Histogram,
    first_byte: Histogram,
}

/// Counters of what answers say they took.
const BILLED: [(&str, &str); 7] = [
    ("lacon_proxy_prompt_tokens_total", "prompt tokens as answers report them, cached ones included"),
    ("lacon_proxy_cached_tokens_total", "of these, read from the provider's cache"),
    ("lacon_proxy_cache_write_tokens_total", "of these, written to the provider's cache"),
    ("lacon_proxy_answer_tokens_total", "answer tokens as answers report them, reasoning included"),
    ("lacon_proxy_cost_micro_usd_total", "cost of these at list prices in millionths of a US dollar"),
    ("lacon_proxy_without_usage_total", "answers of models without usage, which are in no sum"),
    ("lacon_proxy_without_price_total", "answers with usage of models without a price, which are in no cost"),
];

impl Default for ProxyMetrics {
    fn default() -> Self {
        Self {
            requests: [const { AtomicU64::new(0) }; Route::ALL.len()],
            tokens_before: AtomicU64::new(0),
            tokens_after: AtomicU64::new(0),
            unreachable: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            billed: [const { AtomicU64::new(0) }; BILLED.len()],
            overhead: Histogram::new(OVERHEAD),
            first_byte: Histogram::new(FIRST_BYTE),
        }
    }
}

impl ProxyMetrics {
    /// Takes a request in: its tokens where its texts were looked at, and our own time.
    pub fn served(&self, route: Route, tokens: Option<(usize, usize)>, overhead: Duration) {
        self.requests[route as usize].fetch_add(1, Ordering::Relaxed);
        if let Some((before, after)) = tokens {
            self.tokens_before.fetch_add(before as u64, Ordering::Relaxed);
            self.tokens_after.fetch_add(after as u64, Ordering::Relaxed);
        }
        self.overhead.observe(overhead.as_secs_f64());
    }

    /// Takes in an answer of the upstream: its status, and how long its first byte took.
    pub fn answered(&self, status: u16, waited: Duration) {
        self.failed.fetch_add(u64::from(status >= 400), Ordering::Relaxed);
        self.first_byte.observe(waited.as_secs_f64());
    }

    /// Takes in that the upstream gave no answer.
    pub fn unreachable(&self) {
        self.unreachable.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes in that an answer of the upstream broke off.
    pub fn cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes in what an answer of a model says it took, and its cost where the model has a price.
    pub fn billed(&self, usage: Option<&Usage>, micro_usd: Option<u64>) {
        let said = usage.map_or([None; 4], |usage| {
            [usage.prompt_total(), usage.cached, usage.written(), usage.completion_total()]
        });
        let [prompt, cached, written, answer] = said.map(|n| n.unwrap_or(0));
        let (unknown, unpriced) = (usage.is_none(), usage.is_some() && micro_usd.is_none());
        let more = [prompt, cached, written, answer, micro_usd.unwrap_or(0), unknown.into(), unpriced.into()];
        for (counter, more) in self.billed.iter().zip(more) {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Prometheus text (exposition format 0.0.4).
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        let mut counter = |name: &str, help: &str, values: &[(&str, &AtomicU64)]| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
            for (labels, value) in values {
                let _ = writeln!(out, "{name}{labels} {}", value.load(Ordering::Relaxed));
            }
        };
        let labels = Route::ALL.map(|route| format!("{{route=\"{}\"}}", route.as_str()));
        let requests: Vec<(&str, &AtomicU64)> =
            labels.iter().map(String::as_str).zip(&self.requests).collect();
        counter("lacon_proxy_requests_total", "requests by route", &requests);
        for (name, help, value) in [
            (
                "lacon_proxy_tokens_before_total",
                "tokens of texts that may change, as they came",
                &self.tokens_before,
            ),
            (
                "lacon_proxy_tokens_after_total",
                "tokens of the same texts as they were sent on",
                &self.tokens_after,
            ),
            (
                "lacon_proxy_unreachable_total",
                "calls to which the upstream gave no answer",
                &self.unreachable,
            ),
            ("lacon_proxy_cut_total", "answers of the upstream that broke off", &self.cut),
            ("lacon_proxy_failed_total", "answers of the upstream with a status from 400 on", &self.failed),
        ] {
            counter(name, help, &[("", value)]);
        }
        for ((name, help), value) in BILLED.iter().zip(&self.billed) {
            counter(name, help, &[("", value)]);
        }
        for (name, help, histogram) in [
            ("lacon_proxy_overhead", "Own seconds between a body's last byte and the call.", &self.overhead),
            (
                "lacon_proxy_first_byte",
                "Seconds between the call and its answer's first byte.",
                &self.first_byte,
            ),
        ] {
            let name = head(&mut out, name, "_seconds", help);
            histogram.text(&name, "", &mut out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_served_is_told() {
        let metrics = ProxyMetrics::default();
        metrics.served(Route::Chat, Some((100, 60)), Duration::from_micros(40));
        metrics.served(Route::Other, None, Duration::ZERO);
        metrics.cut();
        metrics.answered(200, Duration::from_millis(300));
        metrics.answered(529, Duration::from_millis(20));
        let text = metrics.prometheus();
        for line in [
            "lacon_proxy_requests_total{route=\"chat\"} 1",
            "lacon_proxy_requests_total{route=\"other\"} 1",
            "lacon_proxy_tokens_before_total 100",
            "lacon_proxy_tokens_after_total 60",
            "lacon_proxy_cut_total 1",
            "lacon_proxy_failed_total 1",
            "lacon_proxy_first_byte_seconds_bucket{le=\"0.05\"} 1",
            "lacon_proxy_first_byte_seconds_count{} 2",
            "lacon_proxy_overhead_seconds_bucket{le=\"0.000025\"} 1",
            "lacon_proxy_overhead_seconds_bucket{le=\"0.00005\"} 2",
            "lacon_proxy_overhead_seconds_count{} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
