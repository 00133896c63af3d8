//! Receipts of the proxy by arm: what compression changes in production.

use std::collections::HashMap;

use lacon_llm::Usage;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use crate::stats::{Z_95, newcombe, wilson};

/// What one arm came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Arm {
    /// Requests.
    pub requests: u32,
    /// Requests that were answered with an error of the client's side, 400 to 499 but 429.
    pub refused: u32,
    /// Requests that a client is to send again: 429, and 500 and above.
    pub retried: u32,
    /// Tokens of the texts that may change, as they came.
    pub tokens_before: u64,
    /// The same as they were sent on.
    pub tokens_after: u64,
    /// Answers that say what they took.
    pub billed: u32,
    /// Of these, prompt tokens, cached ones included.
    pub prompt: u64,
    /// Of the prompt tokens, read from the provider's cache.
    pub cached: u64,
    /// Of the prompt tokens, written to it.
    pub cache_write: u64,
    /// Answer tokens.
    pub completion: u64,
    /// US dollars at list prices, as the receipts say; absent where a billed answer has no price.
    pub cost_usd: Option<f64>,
    /// Requests whose outcome the user told.
    pub told: u32,
    /// Good ones among them.
    pub good: u32,
}

/// A share in both arms, and their difference, treated minus control, with intervals of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shares {
    /// In the control arm.
    pub control: (f64, f64),
    /// In the treated arm.
    pub treated: (f64, f64),
    /// Difference, lower and upper end.
    pub difference: (f64, f64, f64),
}

/// Both arms.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Receipts {
    /// Requests that passed as they came.
    pub control: Arm,
    /// Requests that were compressed.
    pub treated: Arm,
    /// Lines without an arm, and lines that are none.
    pub left_out: u32,
    /// Refused requests.
    pub refused: Shares,
    /// Requests to send again.
    pub retried: Shares,
    /// Good outcomes, where any were told.
    pub good: Option<Shares>,
}

/// Reads the outcomes that a user tells, a JSON object a line: `{"id": "a7", "good": true}`. The last word counts.
pub fn outcomes(text: &str) -> HashMap<String, bool> {
    let read = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        Some((value["id"].as_str()?.to_owned(), value["good"].as_bool()?))
    };
    text.lines().filter_map(read).collect()
}

/// Compares the arms of a file of receipts.
pub fn compare(text: &str, outcomes: &HashMap<String, bool>) -> Receipts {
    let free = Arm { cost_usd: Some(0.0), ..Arm::default() };
    let (mut control, mut treated, mut left_out) = (free.clone(), free, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        let arm = match value["arm"].as_str() {
            Some("control") => &mut control,
            Some("treated") => &mut treated,
            _ => {
                left_out += 1;
                continue;
            }
        };
        let status = value["status"].as_u64().unwrap_or(0);
        arm.requests += 1;
        arm.retried += u32::from(status == 429 || status >= 500);
        arm.refused += u32::from((400..500).contains(&status) && status != 429);
        arm.tokens_before += value["tokens_before"].as_u64().unwrap_or(0);
        arm.tokens_after += value["tokens_after"].as_u64().unwrap_or(0);
        if let Ok(usage) = Usage::deserialize(&value["usage"]) {
            let add = |sum: &mut u64, more: Option<u64>| *sum = sum.saturating_add(more.unwrap_or(0));
            arm.billed += 1;
            add(&mut arm.prompt, usage.prompt_total());
            add(&mut arm.cached, usage.cached);
            add(&mut arm.cache_write, usage.written());
            add(&mut arm.completion, usage.completion_total());
            arm.cost_usd = arm.cost_usd.zip(value["cost_usd"].as_f64()).map(|(sum, more)| sum + more);
        }
        if let Some(good) = value["outcome"].as_str().and_then(|id| outcomes.get(id)) {
            arm.told += 1;
            arm.good += u32::from(*good);
        }
    }
    for arm in [&mut control, &mut treated].into_iter().filter(|arm| arm.billed == 0) {
        arm.cost_usd = None;
    }
    let shares = |count: fn(&Arm) -> (u32, u32)| {
        let (c, t) = (count(&control), count(&treated));
        Shares {
            control: wilson(c.0, c.1, Z_95),
            treated: wilson(t.0, t.1, Z_95),
            difference: newcombe(t, c, Z_95),
        }
    };
    let told = control.told + treated.told > 0;
    Receipts {
        refused: shares(|arm| (arm.refused, arm.requests)),
        retried: shares(|arm| (arm.retried, arm.requests)),
        good: told.then(|| shares(|arm| (arm.good, arm.told))),
        control,
        treated,
        left_out,
    }
}
