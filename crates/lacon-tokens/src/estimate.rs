//! Estimates for models without a public vocabulary.
//!
//! An estimate is the exact `o200k_base` count times a factor per kind of text. [`ESTIMATORS`] holds factors, bounds
//! and their sources. An estimate is always labeled as one and comes with a range.

use crate::encoding::Encoding;
use crate::encodings::{EncodingName, encoding};

/// A calibrated estimator of a model family.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimator {
    /// Prefix of the model names.
    pub prefix: &'static str,
    /// Tokens per token of `o200k_base`, on text in the Latin alphabet.
    pub factor: f64,
    /// The same on text where more than a third of the letters are not ASCII.
    pub factor_other_scripts: f64,
    /// Largest expected relative error: the true count is within ± this share of the estimate.
    pub error: f64,
    /// Source of the figures.
    pub source: &'static str,
}

const ANTHROPIC_LATER: &str = "a public measurement with the provider's count_tokens: 656 for 429 of o200k_base \
    (github.com/sammcj/ingest, pull request 65); other scripts not measured";
const ANTHROPIC_EARLIER: &str = "public measurements with the provider's count_tokens: 506 for 429 of o200k_base \
    (github.com/sammcj/ingest, pull request 65), 1.2 to 1.3 on prose and code of Claude 3.5; other scripts not measured";
const GOOGLE: &str = "the provider's rule of four characters a token, and public comparisons that find 5 to 10 % \
    more tokens than o200k_base on English; not measured";

/// The table to edit; the first matching prefix wins.
pub static ESTIMATORS: &[Estimator] = &[
    Estimator {
        prefix: "claude-opus-4-7",
        factor: 1.53,
        factor_other_scripts: 1.53,
        error: 0.25,
        source: ANTHROPIC_LATER,
    },
    Estimator {
        prefix: "claude-opus-4.7",
        factor: 1.53,
        factor_other_scripts: 1.53,
        error: 0.25,
        source: ANTHROPIC_LATER,
    },
    Estimator {
        prefix: "claude-opus-5",
        factor: 1.53,
        factor_other_scripts: 1.53,
        error: 0.25,
        source: ANTHROPIC_LATER,
    },
    Estimator {
        prefix: "claude-sonnet-5",
        factor: 1.53,
        factor_other_scripts: 1.53,
        error: 0.25,
        source: ANTHROPIC_LATER,
    },
    Estimator {
        prefix: "claude-haiku-5",
        factor: 1.53,
        factor_other_scripts: 1.53,
        error: 0.25,
        source: ANTHROPIC_LATER,
    },
    Estimator {
        prefix: "claude-fable-5",
        factor: 1.53,
        factor_other_scripts: 1.53,
        error: 0.25,
        source: ANTHROPIC_LATER,
    },
    Estimator {
        prefix: "claude",
        factor: 1.20,
        factor_other_scripts: 1.20,
        error: 0.25,
        source: ANTHROPIC_EARLIER,
    },
    Estimator { prefix: "gemini", factor: 1.05, factor_other_scripts: 1.05, error: 0.30, source: GOOGLE },
];

/// An estimated number of tokens with its expected range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The most likely number.
    pub tokens: usize,
    /// Lower end of the range.
    pub low: usize,
    /// Upper end of the range.
    pub high: usize,
}

impl Estimator {
    /// Returns the estimator of a plain model name.
    pub fn for_model(plain: &str) -> Option<&'static Self> {
        ESTIMATORS.iter().find(|estimator| plain.starts_with(estimator.prefix))
    }

    /// Estimates the tokens of `text`.
    pub fn estimate(&self, text: &str) -> Estimate {
        let base: &Encoding = encoding(EncodingName::O200kBase);
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let other = text.chars().filter(|c| c.is_alphabetic() && !c.is_ascii()).count();
        let factor = if other * 3 > letters { self.factor_other_scripts } else { self.factor };
        self.scale(base.count(text), factor)
    }

    /// Returns the estimate for an exact `o200k_base` count of Latin text.
    pub fn estimate_from(&self, tokens: usize) -> Estimate {
        self.scale(tokens, self.factor)
    }

    fn scale(&self, tokens: usize, factor: f64) -> Estimate {
        let middle = tokens as f64 * factor;
        Estimate {
            tokens: middle.round() as usize,
            low: (middle * (1.0 - self.error)).floor() as usize,
            high: (middle * (1.0 + self.error)).ceil() as usize,
        }
    }
}
