//! Prices per model. No other place knows a price.
//!
//! They are list prices; a contract may differ, and the user's file of models comes first. An unknown model has no cost
//! instead of a guessed one.

mod storage;
mod table;

use std::time::SystemTime;

use lacon_llm::Usage;
use lacon_models::{Source, user_row};
use serde_json::{Value, json};

use table::Rates;

/// The price of a model at a time.
pub struct Price {
    /// The table's name of the model.
    pub model: String,
    /// Who offers it.
    pub provider: String,
    /// Page of the provider's prices.
    pub url: Option<String>,
    /// Most tokens of a prompt.
    pub context: Option<u64>,
    /// Where the price comes from.
    pub source: Source,
    rates: Rates,
    batch: Option<Rates>,
    /// USD for keeping a million cached tokens an hour, and where that comes from.
    storage: Option<(f64, Source)>,
}

impl Price {
    /// Finds the price of a model at a time: the user's, else the table's.
    pub fn of(model: &str, at: SystemTime) -> Option<Self> {
        if let Some(row) = user_row(model, |row| !row.price.is_empty()) {
            let rates = Rates::read(&row.price)?;
            let provider = "the user's file".to_owned();
            let (model, context, source) = (row.name, row.context, row.source);
            let storage = rates.get("storage").map(|rate| (rate.at(0) as f64 / 1e9, source.clone()));
            return Some(Self { model, provider, url: None, context, source, rates, batch: None, storage });
        }
        let found = table::find(model)?;
        Some(Self {
            model: found.model.id.clone(),
            provider: found.provider.name.clone(),
            url: found.provider.url.clone(),
            context: found.model.context,
            source: table::source().clone(),
            rates: found.model.rates(at).clone(),
            batch: found.model.batch(at),
            storage: storage::usd(&found.provider.id, &found.model.id, at)
                .map(|usd| (usd, storage::source().clone())),
        })
    }

    /// Micro-dollars for keeping so many cached tokens for so many hours; absent where the provider lists no such price.
    pub fn keeping(&self, tokens: u64, hours: f64) -> Option<f64> {
        self.storage.as_ref().map(|(usd, _)| usd * tokens as f64 * hours)
    }

    /// Price of `input`, `cached`, `cache_write`, `cache_write_5m`, `cache_write_1h`, `output` or `reasoning` for a
    /// prompt of so many tokens, in USD for a million tokens; absent where the provider lists none.
    pub fn usd(&self, kind: &str, prompt: u64) -> Option<f64> {
        self.rates.get(kind).map(|rate| rate.at(prompt) as f64 / 1e9)
    }

    /// The price as JSON: USD for a million tokens by kind, `tiers` by length of the prompt, `batch`, source and date.
    pub fn to_json(&self) -> Value {
        let mut value = rates_json(&self.rates, 0);
        let tiers = self.rates.starts().into_iter().map(|start| {
            let mut tier = rates_json(&self.rates, start.saturating_add(1));
            tier["above_tokens"] = json!(start);
            tier
        });
        value["tiers"] = tiers.collect();
        value["batch"] = self.batch.as_ref().map_or(Value::Null, |batch| rates_json(batch, 0));
        value["model"] = json!(self.model);
        value["provider"] = json!(self.provider);
        value["url"] = json!(self.url);
        value["source"] = json!(self.source.name);
        value["date"] = json!(self.source.checked.map(|day| day.to_string()));
        if let Some((usd, source)) = &self.storage {
            value["storage"] = json!(usd);
            value["storage_source"] = json!(source.name);
            value["storage_date"] = json!(source.checked.map(|day| day.to_string()));
        }
        value
    }
}

fn rates_json(rates: &Rates, prompt: u64) -> Value {
    let usd = |kind: &str| rates.get(kind).map(|rate| rate.at(prompt) as f64 / 1e9);
    let mut value = json!({});
    for kind in ["input", "output", "cached", "cache_write", "cache_write_1h", "reasoning"] {
        value[kind] = json!(usd(kind));
    }
    // Some providers price the short write alone.
    if value["cache_write"].is_null() {
        value["cache_write"] = json!(usd("cache_write_5m"));
    }
    value
}

/// Where the prices come from.
pub fn sources() -> [&'static Source; 2] {
    [table::source(), storage::source()]
}

/// The cost of one attempt at today's prices in micro-dollars, rounded up; absent for a model without a known price.
pub fn cost(model: &str, usage: &Usage) -> Option<u64> {
    cost_at(model, usage, SystemTime::now())
}

/// The cost of one attempt at the prices of a time.
pub fn cost_at(model: &str, usage: &Usage, at: SystemTime) -> Option<u64> {
    if let Some(row) = user_row(model, |row| !row.price.is_empty()) {
        return Some(bill(&Rates::read(&row.price)?, usage));
    }
    table::find(model).map(|found| bill(found.model.rates(at), usage))
}

/// Bills a kind of token at its own price where it has one, else as what it is a kind of.
fn bill(rates: &Rates, usage: &Usage) -> u64 {
    let prompt = usage.prompt_total().unwrap_or(0);
    let rate = |kind: &str| rates.get(kind).map(|rate| u128::from(rate.at(prompt)));
    let (input, output) = (rate("input").unwrap_or(0), rate("output").unwrap_or(0));
    let write = rate("cache_write").unwrap_or(input);
    let parts = [
        (usage.input, input),
        (usage.cached, rate("cached").unwrap_or(input)),
        (usage.cache_write, rate("cache_write_5m").unwrap_or(write)),
        (usage.cache_write_1h, rate("cache_write_1h").unwrap_or(write)),
        (usage.output, output),
        (usage.reasoning, rate("reasoning").unwrap_or(output)),
    ];
    let sum = parts.iter().fold(0_u128, |sum, (tokens, rate)| {
        sum.saturating_add(u128::from(tokens.unwrap_or(0)).saturating_mul(*rate))
    });
    // Billionths of a USD for a million tokens, to millionths of a USD.
    u64::try_from(sum.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// 2026-11-30, noon.
    fn noon() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(20_787 * 86_400 + 43_200)
    }

    #[track_caller]
    fn check(model: &str, input: Option<f64>) {
        let price = Price::of(model, noon());
        assert_eq!(price.and_then(|price| price.usd("input", 0)), input, "{model}");
    }

    #[test]
    fn models_are_found_in_all_spellings() {
        check("gpt-4o-mini-2024-07-18", Some(0.15));
        check("openai/gpt-4o-2024-08-06", Some(2.5));
        check("gpt-5.6-sol", Some(4.0));
        check("GPT-6-Sol", Some(2.0));
        check("azure/gpt-4o", Some(2.5));
        check("claude-opus-4-7@20260101", Some(5.0));
        check("anthropic/claude-opus-4-7", Some(5.0));
        check("us.anthropic.claude-opus-4-7-20260101-v1:0", Some(5.5));
        check("bedrock/us.anthropic.claude-opus-4-7-20260101-v1:0", Some(5.5));
        check("global.anthropic.claude-opus-4-7", Some(5.0));
        check("vertex_ai/claude-opus-4-7@default", Some(5.0));
        check("publishers/anthropic/models/claude-opus-4-7", Some(5.0));
        check("models/gemini-2.5-pro", Some(1.25));
        check("gpt-5.2-20251211", Price::of("gpt-5.2-2025-12-11", noon()).and_then(|p| p.usd("input", 0)));
    }

    #[test]
    fn what_is_not_known_has_no_price() {
        for model in [
            "",
            "/",
            "simulated",
            "gpt-7",
            "gpt-5.9",
            "gpt-50",
            "gpt-6.3-sol",
            "claude-opus-6",
            "claude-opus-4-70",
            "gemini-9-pro",
            "acme/gpt-4o",
            "o9",
            "openai/",
            "é",
            "a.b",
            "openai/claude-opus-4-7",
        ] {
            check(model, None);
        }
        assert_eq!(cost(&"claude-".repeat(100_000), &Usage::default()), None);
    }

    #[test]
    fn prices_depend_on_day_hour_and_length() {
        let usage = Usage::from_totals(Some(100_000), None, None, None);
        let day = |number: u64| UNIX_EPOCH + Duration::from_secs(number * 86_400);
        assert_eq!(cost_at("gpt-5.6-sol", &usage, day(20_600)), Some(500_000));
        assert_eq!(cost_at("gpt-5.6-sol", &usage, noon()), Some(400_000));
        assert_eq!(cost_at("deepseek-v4-pro", &usage, noon()), Some(66_000));
        assert_eq!(cost_at("deepseek-v4-pro", &usage, noon() - Duration::from_secs(3 * 3600)), Some(132_000));
        let long = Usage::from_totals(Some(300_000), None, None, None);
        assert_eq!(cost_at("gpt-5.6-sol", &long, noon()), Some(2_400_000));
    }

    #[test]
    fn keeping_cached_contents_has_a_price_by_day() {
        let keeping = |model: &str, at| Price::of(model, at).and_then(|price| price.keeping(2_000_000, 3.0));
        let later = noon() + Duration::from_secs(60 * 86_400);
        assert_eq!(keeping("gemini-2.5-pro", noon()), Some(27_000_000.0));
        assert_eq!(keeping("models/gemini-3.8-flash", noon()), Some(3_000_000.0));
        assert_eq!(keeping("models/gemini-3.8-flash", later), Some(6_000_000.0));
        for model in ["gemini-2.5-flash-lite", "gpt-5.6-sol", "claude-opus-4-7", "gemini-9-pro"] {
            assert_eq!(keeping(model, noon()), None, "{model}");
        }
        let file = "[test-keeps]\ninput = 1\noutput = 1\nstorage = 0.25\n";
        lacon_models::add_rows(lacon_models::read_rows(file).expect("a good file"));
        assert_eq!(keeping("test-keeps", noon()), Some(1_500_000.0));
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let million = Some(1_000);
        let usage = Usage {
            input: million,
            cached: million,
            cache_write: million,
            cache_write_1h: million,
            output: million,
            reasoning: million,
        };
        // 5 + 0.5 + 6.25 + 10 + 25 + 25 USD for a million of each.
        assert_eq!(cost_at("claude-opus-4-7", &usage, noon()), Some(71_750));
        assert_eq!(cost_at("claude-opus-4-7", &Usage::default(), noon()), Some(0));
        let huge = Usage { input: Some(u64::MAX), output: Some(u64::MAX), ..Usage::default() };
        assert_eq!(cost_at("claude-opus-4-7", &huge, noon()), Some(u64::MAX));
    }

    #[test]
    fn prices_of_the_user_come_first() {
        let file = "[test-private]\ninput = 1.5\noutput = 6\n";
        lacon_models::add_rows(lacon_models::read_rows(file).expect("a good file"));
        let usage = Usage::from_totals(Some(1_000_000), Some(1_000_000), Some(1_000_000), None);
        assert_eq!(cost("gate/test-private-2", &usage), Some(7_500_000));
        check("test-private", Some(1.5));
    }
}
