//! Counters and latency histograms, updated without a lock, and their Prometheus text.
//!
//! Names and buckets are those of the OpenTelemetry GenAI conventions in Prometheus spelling. No run, user or
//! key is ever a label.

pub mod proxy;

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    ledger::{CallFact, ToolFact},
    names::{self, Conventions},
};

/// A histogram with fixed buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    /// The sum in millionths.
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Adds a value.
    pub fn observe(&self, value: f64) {
        let i = self.bounds.partition_point(|b| *b < value);
        self.counts[i].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value.max(0.0) * 1e6) as u64, Ordering::Relaxed);
    }

    /// How many values it has seen.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }

    /// The sum of the values, without fractions.
    pub fn total(&self) -> u64 {
        self.sum.load(Ordering::Relaxed) / 1_000_000
    }

    /// The upper bound of the bucket that holds the share `q` of the values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let all = self.count();
        let mut seen = 0;
        self.counts.iter().zip(self.bounds).find_map(|(count, bound)| {
            seen += count.load(Ordering::Relaxed);
            (all > 0 && seen as f64 >= q * all as f64).then_some(*bound)
        })
    }

    fn text(&self, name: &str, labels: &str, out: &mut String) {
        let mut sum = 0;
        let comma = if labels.is_empty() { "" } else { "," };
        for (i, count) in self.counts.iter().enumerate() {
            sum += count.load(Ordering::Relaxed);
            let bound = self.bounds.get(i).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {sum}");
        }
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", self.sum.load(Ordering::Relaxed) as f64 / 1e6);
        let _ = writeln!(out, "{name}_count{{{labels}}} {sum}");
    }
}

const SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Counters and histograms of one run, or of a process.
#[derive(Debug)]
pub struct Metrics {
    /// Seconds of model calls.
    pub call_seconds: Histogram,
    /// Seconds to the first token.
    pub first_token_seconds: Histogram,
    /// Prompt tokens per call.
    pub input_tokens: Histogram,
    /// Answer tokens per call.
    pub output_tokens: Histogram,
    /// Seconds of tool calls.
    pub tool_seconds: Histogram,
    counters: [AtomicU64; COUNTERS.len()],
}

/// Name and meaning of each counter.
const COUNTERS: [(&str, &str); 10] = [
    ("lacon_calls_failed_total", "model calls that gave no answer"),
    ("lacon_retries_total", "tries of model calls after the first one"),
    ("lacon_hedges_total", "second requests beside slow ones"),
    ("lacon_cached_tokens_total", "prompt tokens read from the provider's cache"),
    ("lacon_reasoning_tokens_total", "hidden reasoning tokens"),
    ("lacon_tools_failed_total", "tool calls that failed"),
    ("lacon_tools_without_data_total", "tool calls that had no data"),
    ("lacon_tool_cache_hits_total", "tool calls answered from the cache"),
    ("lacon_cost_micro_usd_total", "cost in millionths of a US dollar, where prices are known"),
    ("lacon_cache_write_tokens_total", "prompt tokens written to the provider's cache"),
];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            call_seconds: Histogram::new(SECONDS),
            first_token_seconds: Histogram::new(SECONDS),
            input_tokens: Histogram::new(TOKENS),
            output_tokens: Histogram::new(TOKENS),
            tool_seconds: Histogram::new(SECONDS),
            counters: [const { AtomicU64::new(0) }; COUNTERS.len()],
        }
    }
}

impl Metrics {
    fn add(&self, i: usize, n: u64) {
        self.counters[i].fetch_add(n, Ordering::Relaxed);
    }

    /// A counter by name.
    pub fn counter(&self, name: &str) -> Option<u64> {
        let i = COUNTERS.iter().position(|(n, _)| *n == name)?;
        Some(self.counters[i].load(Ordering::Relaxed))
    }

    /// Takes a model call in.
    pub fn call(&self, fact: &CallFact) {
        let c = &fact.call;
        self.call_seconds.observe(c.end_s - c.start_s);
        if let Some(first) = c.first_token_s {
            self.first_token_seconds.observe(first - c.start_s);
        }
        if let Some(tokens) = c.prompt {
            self.input_tokens.observe(tokens as f64);
        }
        if let Some(tokens) = c.completion {
            self.output_tokens.observe(tokens as f64);
        }
        self.add(0, u64::from(c.status != "ok"));
        self.add(1, u64::from(c.attempts.saturating_sub(1)));
        self.add(2, u64::from(c.hedged));
        self.add(3, c.cached.unwrap_or(0));
        self.add(4, c.reasoning.unwrap_or(0));
        self.add(8, fact.micro_usd.unwrap_or(0));
        self.add(9, c.usage().written().unwrap_or(0));
    }

    /// Takes a tool call in.
    pub fn tool(&self, fact: &ToolFact) {
        let t = &fact.tool;
        self.tool_seconds.observe(t.end_s - t.start_s);
        self.add(5, u64::from(t.status != "ok" && t.status != "no_data"));
        self.add(6, u64::from(t.status == "no_data"));
        self.add(7, u64::from(t.cache == "hit"));
    }

    /// Prometheus text (exposition format 0.0.4).
    pub fn prometheus(&self, provider: &str, names: Conventions) -> String {
        let mut out = String::new();
        let label =
            |name: &str, value: &str| format!("{}=\"{}\"", prom(name), value.replace(['"', '\\', '\n'], "_"));
        let of = |operation: &str| {
            format!("{},{}", label(names::OPERATION, operation), label(names::PROVIDER, provider))
        };
        let base = of("chat");
        let duration = head(&mut out, names.call_duration(), "_seconds", "Seconds of an operation.");
        self.call_seconds.text(&duration, &base, &mut out);
        let tools = if names.tool_duration() == names.call_duration() {
            duration
        } else {
            head(&mut out, names.tool_duration(), "_seconds", "Seconds of a tool call.")
        };
        self.tool_seconds.text(&tools, &of("execute_tool"), &mut out);
        let first =
            head(&mut out, names.first_chunk(), "_seconds", "Seconds to the first chunk of an answer.");
        self.first_token_seconds.text(&first, &base, &mut out);
        let (input, output) = names.tokens();
        let usage = head(&mut out, input, "", "Tokens of a call.");
        if input == output {
            let kind = |kind: &str| format!("{base},{}", label(names::TOKEN_TYPE, kind));
            self.input_tokens.text(&usage, &kind("input"), &mut out);
            self.output_tokens.text(&usage, &kind("output"), &mut out);
        } else {
            self.input_tokens.text(&usage, &base, &mut out);
            let usage = head(&mut out, output, "", "Tokens of an answer.");
            self.output_tokens.text(&usage, &base, &mut out);
        }
        if let Some(counters) = names.token_counters() {
            let [cached, written, reasoning] = [
                "lacon_cached_tokens_total",
                "lacon_cache_write_tokens_total",
                "lacon_reasoning_tokens_total",
            ]
            .map(|n| self.counter(n).unwrap_or(0));
            let values = [self.input_tokens.total(), self.output_tokens.total(), cached, written, reasoning];
            let labels = format!("{base},{}", label(names::TOKEN_MODALITY, "unknown"));
            for (name, value) in counters.into_iter().zip(values) {
                let name = format!("{}_total", prom(name));
                let _ =
                    writeln!(out, "# HELP {name} Tokens.\n# TYPE {name} counter\n{name}{{{labels}}} {value}");
            }
        }
        for ((name, help), value) in COUNTERS.iter().zip(&self.counters) {
            let _ = writeln!(
                out,
                "# HELP {name} {help}\n# TYPE {name} counter\n{name} {}",
                value.load(Ordering::Relaxed)
            );
        }
        out
    }
}

fn prom(name: &str) -> String {
    name.replace('.', "_")
}

/// Writes a histogram's head; gives its Prometheus name.
fn head(out: &mut String, name: &str, unit: &str, help: &str) -> String {
    let name = format!("{}{unit}", prom(name));
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_count_in_the_right_buckets() {
        let histogram = Histogram::new(SECONDS);
        [0.01, 0.011, 3.0, 100.0].into_iter().for_each(|v| histogram.observe(v));
        assert_eq!((histogram.count(), histogram.quantile(0.5)), (4, Some(0.02)));
        let mut text = String::new();
        histogram.text("x", "a=\"b\"", &mut text);
        assert!(
            text.contains("x_bucket{a=\"b\",le=\"0.01\"} 1\n")
                && text.contains("x_bucket{a=\"b\",le=\"+Inf\"} 4\n")
        );
        assert!(text.ends_with("x_sum{a=\"b\"} 103.021\nx_count{a=\"b\"} 4\n"));
    }
}
