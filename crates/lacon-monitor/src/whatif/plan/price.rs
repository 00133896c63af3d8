//! What a run costs at list prices.

use std::{collections::BTreeMap, time::SystemTime};

use lacon_llm::Usage;

use super::{Call, Plan};
use crate::prices;

impl Call {
    /// Micro-dollars for the prompt and for the answer; the answer's price follows the length of the prompt.
    pub(super) fn priced(&self, cost: impl Fn(&Usage) -> Option<u64>) -> Option<(f64, f64)> {
        let prompt = Usage { output: None, reasoning: None, ..self.usage };
        let (all, prompt) = (cost(&self.usage)?, cost(&prompt)?);
        Some((prompt as f64 * self.share, all.saturating_sub(prompt) as f64 * self.share))
    }
}

impl Plan {
    /// US dollars at list prices, and how many model calls have a price and how many there are.
    pub fn list_price(&self) -> (f64, usize, usize) {
        let kept = self.kept().into_iter().filter_map(|(model, tokens)| {
            prices::Price::of(model, SystemTime::now())?.keeping(tokens, self.kept_h)
        });
        let start = (kept.sum::<f64>() / 1e6, 0, 0);
        self.model_calls().fold(start, |(usd, priced, n), call| match call.price {
            Some((prompt, answer)) => (usd + (prompt + answer) / 1e6, priced + 1, n + 1),
            None => (usd, priced, n + 1),
        })
    }

    fn model_calls(&self) -> impl Iterator<Item = &Call> {
        self.nodes
            .iter()
            .flat_map(|node| &node.rounds)
            .flat_map(|round| &round.1)
            .filter(|call| call.is_model)
    }

    /// The cached tokens of each model that bills their storage: those of its largest call, for all read the same contents.
    pub(super) fn kept(&self) -> BTreeMap<&str, u64> {
        let mut kept = BTreeMap::new();
        for call in self.model_calls() {
            let Some(model) = call.asked.as_deref() else { continue };
            let tokens = call.usage.cached.unwrap_or(0);
            let most: &mut u64 = kept.entry(model).or_default();
            *most = tokens.max(*most);
        }
        let is_billed = |model: &str| {
            prices::Price::of(model, SystemTime::now()).and_then(|price| price.keeping(1, 1.0)).is_some()
        };
        kept.retain(|model, tokens| *tokens > 0 && is_billed(model));
        kept
    }
}
