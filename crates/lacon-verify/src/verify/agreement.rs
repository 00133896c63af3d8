//! Whether the `lacon` profile decides as the baseline does, ticker by ticker.

use lacon_eval::stats::{Z_95, wilson};
use serde_json::{Value, json};

use super::Outcome;

/// The decisions of both profiles on one ticker, run by run with the same draws.
pub struct Pair {
    pub ticker: String,
    pub baseline: Vec<&'static str>,
    pub ours: Vec<&'static str>,
}

impl Pair {
    fn same(&self) -> usize {
        self.baseline.iter().zip(&self.ours).filter(|(a, b)| a == b && **a != "none").count()
    }

    fn runs(&self) -> usize {
        self.baseline.len().max(self.ours.len())
    }

    /// Whether the baseline gives one decision: where it gives several the model is noise, and none can be equal to it.
    fn is_steady(&self) -> bool {
        self.baseline.windows(2).all(|pair| pair[0] == pair[1])
    }
}

/// Each decision once, in the order of their first runs.
fn distinct(words: &[&'static str]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    words.iter().for_each(|word| {
        if !seen.contains(word) {
            seen.push(word)
        }
    });
    seen.join("/")
}

/// Adds a line for each ticker and the rate over all, and a failure for each ticker whose baseline is steady and is not met.
pub fn report(outcome: &mut Outcome, pairs: &[Pair]) -> Value {
    for pair in pairs {
        let (same, runs) = (pair.same(), pair.runs());
        let (baseline, ours) = (distinct(&pair.baseline), distinct(&pair.ours));
        outcome.line(format!(
            "{:<8} baseline {baseline}, lacon {ours}: the same decision in {same} of {runs} runs",
            pair.ticker
        ));
        outcome.require(same == runs || !pair.is_steady(), || {
            format!(
                "agreement: {} of {runs} runs on {} decide {baseline} as the baseline does",
                same, pair.ticker
            )
        });
    }
    let (same, runs): (usize, usize) =
        (pairs.iter().map(Pair::same).sum(), pairs.iter().map(Pair::runs).sum());
    let (low, high) = wilson(same as u32, runs as u32, Z_95);
    outcome.line(format!(
        "agreement of decisions {same} of {runs}, {:.0} % (95 % interval {:.0} to {:.0} %)",
        100.0 * same as f64 / runs.max(1) as f64,
        100.0 * low,
        100.0 * high
    ));
    let rows: Vec<Value> = pairs
        .iter()
        .map(|p| json!({ "ticker": p.ticker, "baseline": p.baseline, "lacon": p.ours, "same": p.same() }))
        .collect();
    json!({ "same": same, "runs": runs, "low": low, "high": high, "tickers": rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(baseline: &[&'static str], ours: &[&'static str]) -> usize {
        let mut outcome = Outcome::default();
        let pair = Pair { ticker: "T".into(), baseline: baseline.to_vec(), ours: ours.to_vec() };
        report(&mut outcome, &[pair]);
        outcome.failures.len()
    }

    #[test]
    fn a_steady_baseline_must_be_met_in_every_run() {
        assert_eq!(failures(&["BUY", "BUY"], &["BUY", "BUY"]), 0);
        assert_eq!(failures(&["BUY", "BUY"], &["BUY", "HOLD"]), 1);
        assert_eq!(failures(&["BUY", "BUY"], &["BUY"]), 1);
        assert_eq!(failures(&["none", "none"], &["none", "none"]), 1);
        assert_eq!(failures(&["BUY", "SELL"], &["BUY", "HOLD"]), 0);
    }
}
