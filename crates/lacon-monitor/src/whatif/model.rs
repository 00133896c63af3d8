//! Durations of calls: seconds = (first token + a × prompt/1000 + completion/rate) × factor, with the quantiles of the
//! factor. The model is passed in, or fitted from traces.

use std::collections::BTreeMap;

use crate::{
    analyze::{Flow, flow::family, gatherers},
    trace::{Span, Trace},
};

/// Where nine quantiles lie.
pub const AT: [f64; 9] = [0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99];

/// One class of calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallModel {
    /// Seconds to the first token of an empty prompt.
    pub first_token_s: f64,
    /// Seconds per 1,000 prompt tokens.
    pub prompt_s_per_1k: f64,
    /// Tokens a second.
    pub tokens_per_s: f64,
    /// Quantiles of the factor at the shares of `AT`.
    pub residuals: [f64; 9],
}

impl CallModel {
    /// Median seconds to the first token, and in all.
    pub fn seconds(&self, prompt: f64, completion: f64) -> (f64, f64) {
        let first = self.first_token_s + self.prompt_s_per_1k * prompt / 1000.0;
        (first, first + completion / self.tokens_per_s)
    }

    /// The factor of a draw in (0, 1): log-linear between the quantiles, flat beyond them.
    pub fn factor(&self, u: f64) -> f64 {
        between(u, &self.residuals)
    }
}

/// Log-linear between quantiles at [`AT`], flat beyond them.
pub fn between(u: f64, quantiles: &[f64; 9]) -> f64 {
    if u <= AT[0] {
        return quantiles[0];
    }
    for i in 1..AT.len() {
        if u <= AT[i] {
            let weight = (u - AT[i - 1]) / (AT[i] - AT[i - 1]);
            return quantiles[i - 1] * (quantiles[i] / quantiles[i - 1]).powf(weight);
        }
    }
    quantiles[AT.len() - 1]
}

/// Seconds of a tool by name for a draw in (0, 1); `None` for a tool that is not known.
pub type ToolSeconds = fn(&str, f64) -> Option<f64>;

/// Where the figures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Recorded runs of the trading graph.
    BuiltIn,
    /// These traces.
    Fitted {
        /// Calls behind the fit.
        n_calls: usize,
        /// Traces behind the fit.
        n_traces: usize,
        /// Whether the calls are enough to show their own spread; else it is the one fitted from recorded runs.
        own_spread: bool,
    },
}

/// The models of a run's calls.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Profiles by name, each with its model for gathering roles and for deciding roles.
    pub profiles: BTreeMap<String, (CallModel, CallModel)>,
    /// The profile that the trace is taken to be of.
    pub profile: String,
    /// Tools.
    pub tools: Option<ToolSeconds>,
    /// Where they come from.
    pub source: Source,
}

impl Latency {
    /// The model of a call.
    pub fn of(&self, gathers: bool) -> CallModel {
        self.profiles
            .get(&self.profile)
            .or_else(|| self.profiles.values().next())
            .map_or(PLAIN, |(quick, deep)| if gathers { *quick } else { *deep })
    }

    /// Whether each call's own duration is its median: too few calls tell how it compares to others.
    pub fn is_own_median(&self) -> bool {
        matches!(self.source, Source::Fitted { own_spread: false, .. })
    }

    /// In words.
    pub fn describe(&self) -> String {
        match self.source {
            Source::BuiltIn => {
                format!("built in (recorded runs of the trading graph, profile {})", self.profile)
            }
            Source::Fitted { n_calls: 0, .. } => {
                "this run's own durations; spread of recorded runs of the trading graph, because no call says its tokens".into()
            }
            Source::Fitted { n_calls, n_traces, own_spread: true } => {
                format!("fitted from {n_calls} calls of {n_traces} {}", if n_traces == 1 { "trace" } else { "traces" })
            }
            Source::Fitted { n_calls, .. } => format!(
                "speeds fitted from {n_calls} calls of the trace; spread of recorded runs of the trading graph, because a spread needs {ENOUGH} calls"
            ),
        }
    }
}

/// Without any knowledge a call takes what it took.
const PLAIN: CallModel =
    CallModel { first_token_s: 1.0, prompt_s_per_1k: 0.0264, tokens_per_s: 45.0, residuals: [1.0; 9] };

/// Fewer calls do not show a spread.
const ENOUGH: usize = 20;

/// Calls of a trace with known lengths: (gathers, prompt, completion, seconds).
fn calls(trace: &Trace) -> Vec<(bool, f64, f64, f64)> {
    let flow = Flow::of(trace);
    let families = gatherers(trace, &flow);
    let mut found = Vec::new();
    for i in &flow.units {
        let node = &trace.spans[*i];
        let gathers = families.contains(family(&node.name));
        let inside: Vec<usize> = flow.models_in(trace, *i).collect();
        let each = if inside.is_empty() && node.hidden_calls == 1 { vec![*i] } else { inside };
        let known = |s: &Span| {
            Some((s.tokens.prompt? as f64, s.tokens.completion.filter(|c| *c > 0)? as f64, s.seconds()))
        };
        found.extend(
            each.into_iter()
                .filter_map(|m| known(&trace.spans[m]))
                .filter(|c| c.2 > 0.0)
                .map(|(p, c, s)| (gathers, p, c, s)),
        );
    }
    found
}

/// Fits the model from traces: first token and rate by a robust line through seconds over tokens, the cost of the
/// prompt as it was recorded (it needs prompts of very different lengths to be seen), factors from the residuals.
pub fn fit(traces: &[Trace], fallback: &Latency) -> Latency {
    let all: Vec<(bool, f64, f64, f64)> = traces.iter().flat_map(calls).collect();
    let class = |gathers: bool| {
        let of: Vec<(f64, f64, f64)> =
            all.iter().filter(|c| c.0 == gathers).map(|c| (c.1, c.2, c.3)).collect();
        line(&of, fallback.of(gathers))
    };
    let fitted = (class(true), class(false));
    let own_spread = !all.is_empty()
        && [true, false].iter().all(|gathers| {
            let n = all.iter().filter(|c| c.0 == *gathers).count();
            n == 0 || n >= ENOUGH
        });
    let mut profiles = fallback.profiles.clone();
    profiles.insert("fitted".into(), fitted);
    Latency {
        profiles,
        profile: "fitted".into(),
        tools: fallback.tools,
        source: Source::Fitted { n_calls: all.len(), n_traces: traces.len(), own_spread },
    }
}

/// Theil and Sen's line: the median of all slopes, then the median of what is left. Too few calls keep the shape of
/// the fallback and take its scale from them.
fn line(calls: &[(f64, f64, f64)], fallback: CallModel) -> CallModel {
    let middle = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let mut model = fallback;
    let rest = |c: &(f64, f64, f64)| c.2 - fallback.prompt_s_per_1k * c.0 / 1000.0;
    let few: Vec<&(f64, f64, f64)> = calls.iter().step_by((calls.len() / 400).max(1)).collect();
    let mut slopes: Vec<f64> = Vec::new();
    for (i, a) in few.iter().enumerate() {
        for b in &few[i + 1..] {
            if (a.1 - b.1).abs() > 20.0 {
                slopes.push((rest(a) - rest(b)) / (a.1 - b.1));
            }
        }
    }
    if slopes.len() >= 6
        && let Some(slope) = middle(&mut slopes).filter(|s| *s > 1e-5)
    {
        let mut firsts: Vec<f64> = few.iter().map(|c| rest(c) - slope * c.1).collect();
        model.tokens_per_s = 1.0 / slope;
        model.first_token_s = middle(&mut firsts).unwrap_or(0.0).max(0.0);
    } else if let Some(ratio) =
        middle(&mut calls.iter().map(|c| c.2 / fallback.seconds(c.0, c.1).1).collect())
    {
        model.first_token_s *= ratio;
        model.prompt_s_per_1k *= ratio;
        model.tokens_per_s /= ratio;
    }
    let mut factors: Vec<f64> = calls
        .iter()
        .map(|c| c.2 / model.seconds(c.0, c.1).1.max(1e-9))
        .filter(|f| f.is_finite() && *f > 0.0)
        .collect();
    if factors.len() >= ENOUGH {
        factors.sort_by(f64::total_cmp);
        for (quantile, at) in model.residuals.iter_mut().zip(AT) {
            let place = at * (factors.len() - 1) as f64;
            let (low, high) = (factors[place.floor() as usize], factors[place.ceil() as usize]);
            *quantile = low + (high - low) * place.fract();
        }
    }
    model
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again() {
        let calls: Vec<(f64, f64, f64)> = (1..60)
            .map(|i: u32| {
                let c = f64::from(i) * 20.0;
                (1000.0, c, (1.5 + 0.0264 + c / 40.0) * [0.9, 1.0, 1.1][i as usize % 3])
            })
            .collect();
        let found = line(&calls, PLAIN);
        assert!((found.tokens_per_s - 40.0).abs() < 3.0, "{found:?}");
        assert!((found.first_token_s - 1.5).abs() < 0.5, "{found:?}");
        assert!(found.residuals[0] < 0.95 && found.residuals[8] > 1.05);
    }
}
