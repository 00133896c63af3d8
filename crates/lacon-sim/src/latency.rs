//! How long calls took in recorded runs of the trading graph: medians, decode speeds, residual quantiles.
//!
//! seconds = (first token + 0.0264 × prompt tokens / 1000 + completion tokens / rate) × factor, the factor drawn from
//! the residual quantiles (log-linear between them, flat beyond the 1st and 99th). Fitted on 73 public traces of
//! July and August 2025; the fit explains 79 % (quick) to 94 % of the variance in log space for the typical profile.

use std::str::FromStr;

/// Whose speed is simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// A small fast model.
    Fast,
    /// The usual provider.
    #[default]
    Typical,
    /// The usual provider on a bad night.
    Slow,
}

impl Profile {
    /// The name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Typical => "typical",
            Self::Slow => "slow",
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fast" => Ok(Self::Fast),
            "typical" => Ok(Self::Typical),
            "slow" => Ok(Self::Slow),
            other => Err(format!("unknown latency profile {other:?}\nhint: fast, typical or slow")),
        }
    }
}

/// Nine quantiles: 1, 5, 10, 25, 50, 75, 90, 95, 99 per cent.
type Quantiles = [f64; 9];
const AT: Quantiles = [0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99];

/// One class of calls as it was fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallModel {
    /// Seconds to the first token of an empty prompt.
    pub first_token_s: f64,
    /// Seconds per 1,000 prompt tokens.
    pub prompt_s_per_1k: f64,
    /// Tokens a second.
    pub tokens_per_s: f64,
    /// Quantiles of the factor at 1, 5, 10, 25, 50, 75, 90, 95, 99 per cent.
    pub residuals: [f64; 9],
}

const PROMPT_S_PER_1K: f64 = 0.0264;

const FAST_QUICK: CallModel = CallModel {
    prompt_s_per_1k: PROMPT_S_PER_1K,
    first_token_s: 1.162,
    tokens_per_s: 48.99,
    residuals: [0.73, 0.752, 0.779, 0.886, 1.0, 1.015, 1.076, 1.137, 1.185],
};
const FAST_DEEP: CallModel = CallModel {
    prompt_s_per_1k: PROMPT_S_PER_1K,
    first_token_s: 1.723,
    tokens_per_s: 76.51,
    residuals: [0.652, 0.702, 0.754, 0.902, 1.0, 1.167, 1.3, 1.701, 2.128],
};
const TYPICAL_QUICK: CallModel = CallModel {
    prompt_s_per_1k: PROMPT_S_PER_1K,
    first_token_s: 1.011,
    tokens_per_s: 44.7,
    residuals: [0.634, 0.694, 0.767, 0.864, 1.0, 1.208, 1.369, 1.615, 2.033],
};
const TYPICAL_DEEP: CallModel = CallModel {
    prompt_s_per_1k: PROMPT_S_PER_1K,
    first_token_s: 1.757,
    tokens_per_s: 45.46,
    residuals: [0.467, 0.537, 0.587, 0.745, 1.0, 1.213, 1.643, 1.876, 2.359],
};
const SLOW_QUICK: CallModel = CallModel {
    prompt_s_per_1k: PROMPT_S_PER_1K,
    first_token_s: 0.607,
    tokens_per_s: 35.61,
    residuals: [0.61, 0.724, 0.727, 0.828, 1.0, 1.242, 1.304, 1.368, 1.648],
};
const SLOW_DEEP: CallModel = CallModel {
    prompt_s_per_1k: PROMPT_S_PER_1K,
    first_token_s: 9.345,
    tokens_per_s: 29.96,
    residuals: [0.525, 0.65, 0.792, 0.931, 1.0, 1.128, 1.449, 2.32, 3.17],
};

/// The fitted model of a profile, for the analysts (`quick`) or for all other roles.
pub fn call_model(profile: Profile, quick: bool) -> CallModel {
    match (profile, quick) {
        (Profile::Fast, true) => FAST_QUICK,
        (Profile::Fast, false) => FAST_DEEP,
        (Profile::Typical, true) => TYPICAL_QUICK,
        (Profile::Typical, false) => TYPICAL_DEEP,
        (Profile::Slow, true) => SLOW_QUICK,
        (Profile::Slow, false) => SLOW_DEEP,
    }
}

/// Seconds to the first token and in all, for a draw `u` in (0, 1); `u` = 0.5 is the median.
pub fn call_seconds(profile: Profile, quick: bool, prompt: usize, completion: usize, u: f64) -> (f64, f64) {
    let model = call_model(profile, quick);
    let factor = between(u, &model.residuals);
    let first = (model.first_token_s + model.prompt_s_per_1k * prompt as f64 / 1000.0) * factor;
    (first, first + completion as f64 / model.tokens_per_s * factor)
}

/// Seconds of one tool call over the network, for a draw `u` in (0, 1).
///
/// Prices and indicators, stock news, market news and fundamentals are measured; the others are assumed.
pub fn tool_seconds(tool: &str, u: f64) -> f64 {
    known_tool_seconds(tool, u).unwrap_or_else(|| log_normal(u, -0.511, 0.5))
}

/// The same for tools and for whole tool nodes of the original system's graph, whose durations were measured; `None` for others.
pub fn known_tool_seconds(tool: &str, u: f64) -> Option<f64> {
    Some(match tool {
        "market_tools" => between(u, &[2.46, 2.72, 3.32, 4.46, 6.52, 9.93, 12.85, 13.64, 16.08]),
        "social_tools" => return known_tool_seconds("get_stock_news_openai", u),
        "news_tools" => return known_tool_seconds("get_global_news_openai", u),
        "fundamentals_tools" => return known_tool_seconds("get_fundamentals_openai", u),
        "get_stock_news_openai" => between(u, &[5.55, 5.56, 5.6, 5.78, 6.45, 7.29, 8.86, 10.76, 12.52]),
        "get_global_news_openai" => between(u, &[1.19, 1.21, 1.48, 8.52, 24.46, 28.65, 30.66, 31.69, 42.18]),
        "get_fundamentals_openai" => between(u, &[4.77, 5.36, 5.62, 6.06, 6.87, 7.67, 8.08, 10.44, 26.79]),
        "get_YFin_data_online" | "get_stockstats_indicators_report_online" => log_normal(u, 1.432, 0.37),
        "get_google_news" => log_normal(u, 0.182, 0.4),
        "get_stocktwits_sentiment"
        | "get_twitter_mentions"
        | "get_volume_analysis"
        | "get_support_resistance" => 0.002,
        _ => return None,
    })
}

fn between(u: f64, quantiles: &Quantiles) -> f64 {
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

/// Winitzki's approximation of the inverse error function; draws beyond 2.4 deviations are cut.
fn log_normal(u: f64, mu: f64, sigma: f64) -> f64 {
    let x = (2.0 * u - 1.0).clamp(-0.999_999, 0.999_999);
    let a = 0.147;
    let l = (1.0 - x * x).ln();
    let y = 2.0 / (std::f64::consts::PI * a) + l / 2.0;
    let z = ((y * y - l / a).sqrt() - y).sqrt().copysign(x) * std::f64::consts::SQRT_2;
    (mu + sigma * z.clamp(-2.4, 2.4)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_fit_and_draws_are_monotone() {
        let (first, total) = call_seconds(Profile::Typical, false, 2000, 455, 0.5);
        assert!((first - (1.757 + 0.0528)).abs() < 1e-9);
        assert!((total - first - 10.0088).abs() < 1e-3);
        for tool in ["get_global_news_openai", "get_YFin_data_online", "else"] {
            let draws: Vec<f64> = (1..100).map(|i| tool_seconds(tool, f64::from(i) / 100.0)).collect();
            assert!(draws.windows(2).all(|w| w[0] <= w[1]), "{tool}");
        }
        assert!((tool_seconds("get_google_news", 0.5) - 0.182f64.exp()).abs() < 1e-6);
    }
}
