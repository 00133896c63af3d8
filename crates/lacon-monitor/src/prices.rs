//! Prices per model, in micro-dollars per million tokens. No other place knows a price.
//!
//! They are list prices of the providers' public pages, November 2025 and before; a contract may differ. An unknown
//! model has no cost instead of a guessed one.

use lacon_llm::Usage;

/// Micro-dollars per million tokens.
struct Price {
    /// Matches models that begin with this.
    prefix: &'static str,
    input: u64,
    cached: u64,
    output: u64,
}

const fn price(prefix: &'static str, input: u64, cached: u64, output: u64) -> Price {
    Price { prefix, input, cached, output }
}

/// Longest prefix wins; the order is by family.
const PRICES: &[Price] = &[
    price("gpt-4o-mini", 150_000, 75_000, 600_000),
    price("gpt-4o", 2_500_000, 1_250_000, 10_000_000),
    price("gpt-4.1-nano", 100_000, 25_000, 400_000),
    price("gpt-4.1-mini", 400_000, 100_000, 1_600_000),
    price("gpt-4.1", 2_000_000, 500_000, 8_000_000),
    price("gpt-5-nano", 50_000, 5_000, 400_000),
    price("gpt-5-mini", 250_000, 25_000, 2_000_000),
    price("gpt-5", 1_250_000, 125_000, 10_000_000),
    price("o1", 15_000_000, 7_500_000, 60_000_000),
    price("o3-mini", 1_100_000, 550_000, 4_400_000),
    price("o3", 2_000_000, 500_000, 8_000_000),
    price("o4-mini", 1_100_000, 275_000, 4_400_000),
];

/// The cost of one attempt in micro-dollars, rounded up; absent for a model without a known price.
pub fn cost(model: &str, usage: &Usage) -> Option<u64> {
    let price = PRICES.iter().filter(|p| model.starts_with(p.prefix)).max_by_key(|p| p.prefix.len())?;
    let part = |tokens: Option<u64>, rate: u64| tokens.unwrap_or(0) * rate;
    let micro = part(usage.input, price.input)
        + part(usage.cache_write, price.input)
        + part(usage.cached, price.cached)
        + part(usage.output, price.output)
        + part(usage.reasoning, price.output);
    Some(micro.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_unknown_models_have_no_price() {
        let usage = Usage::from_totals(Some(1_000_000), Some(400_000), Some(100_000), None);
        assert_eq!(cost("gpt-4o-mini-2024-07-18", &usage), Some(90_000 + 30_000 + 60_000));
        assert_eq!(cost("gpt-4o-2024-08-06", &usage), Some(1_500_000 + 500_000 + 1_000_000));
        assert_eq!(cost("simulated", &usage), None);
    }
}
