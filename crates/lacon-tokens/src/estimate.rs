//! Estimates for models without a public vocabulary, and what is learned from the counts that providers bill.
//!
//! An estimate is the exact `o200k_base` count times a factor of the model's family. It is always labeled as one and
//! comes with a range. Factors come from the table of models, or from [`Learned`], which compares counts with what was
//! billed: the range is then the measured one.

use std::sync::{Mutex, PoisonError, RwLock};

use lacon_models::EncodingRow;

use crate::models::Exactness;

/// An estimator of a model family.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimator {
    /// Name of the family.
    pub family: &'static str,
    /// Tokens per token of `o200k_base`.
    pub factor: f64,
    /// Largest expected relative error: the true count is within ± this share of the estimate.
    pub error: f64,
    /// Source of the figures.
    pub source: String,
}

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
    /// Returns the estimator of a row, and how exact it is: what was learned comes before the row's own figures.
    pub(crate) fn of(row: &'static EncodingRow) -> Option<(Self, Exactness)> {
        if row.worth == lacon_models::Worth::Exact {
            return None;
        }
        let learned = LEARNED.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(learned) = learned.iter().find(|learned| learned.family == row.family)
            && let Some((factor, error)) = learned.factor(row)
        {
            let source = format!("measured on the usage of {} calls", learned.ratios.len());
            return Some((Self { family: &row.family, factor, error, source }, Exactness::Calibrated));
        }
        let (factor, error) = row.factor?;
        let source = format!("{} ({})", row.source.name, row.source.url);
        let how = match row.worth {
            lacon_models::Worth::Calibrated => Exactness::Calibrated,
            _ => Exactness::Heuristic,
        };
        Some((Self { family: &row.family, factor, error, source }, how))
    }

    /// Returns the estimate for an exact `o200k_base` count.
    pub fn estimate_from(&self, tokens: usize) -> Estimate {
        let middle = tokens as f64 * self.factor;
        Estimate {
            tokens: middle.round() as usize,
            low: (middle * (1.0 - self.error)).floor() as usize,
            high: (middle * (1.0 + self.error)).ceil() as usize,
        }
    }
}

/// Counts of a family compared with what its provider billed: billed tokens per token of `o200k_base`.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// Name of the family.
    pub family: String,
    /// The latest comparisons, oldest first; at most [`Learned::KEPT`].
    pub ratios: Vec<f64>,
}

impl Learned {
    /// Comparisons that are kept of a family.
    pub const KEPT: usize = 64;
    /// Comparisons from which on they count.
    pub const ENOUGH: usize = 8;
    /// Shorter prompts say more of the chat format than of the vocabulary.
    pub const SHORTEST: usize = 256;
    /// No vocabulary is this much coarser or finer than `o200k_base`: such a ratio compares different prompts.
    const POSSIBLE: std::ops::RangeInclusive<f64> = 0.4..=4.0;
    /// The error that is stated even where all comparisons agree.
    const LEAST_ERROR: f64 = 0.005;

    /// Adds a comparison; returns whether it is a possible one.
    pub fn add(&mut self, ratio: f64) -> bool {
        let possible = Self::POSSIBLE.contains(&ratio);
        if possible {
            let over = (self.ratios.len() + 1).saturating_sub(Self::KEPT);
            self.ratios.drain(..over);
            self.ratios.push(ratio);
        }
        possible
    }

    /// Returns the median ratio, and the error that 19 of 20 comparisons are within.
    fn factor(&self, row: &EncodingRow) -> Option<(f64, f64)> {
        if self.ratios.len() < Self::ENOUGH {
            return None;
        }
        let mut sorted = self.ratios.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        // A family's own figure bounds what a few odd prompts can teach.
        let table = row.factor.map_or(1.0, |(factor, _)| factor);
        let factor = median.clamp(table * 0.5, table * 2.0);
        let mut errors: Vec<f64> = sorted.iter().map(|ratio| (ratio / factor - 1.0).abs()).collect();
        errors.sort_by(f64::total_cmp);
        let within = (errors.len() * 19).div_ceil(20) - 1;
        Some((factor, errors[within].max(Self::LEAST_ERROR)))
    }
}

static LEARNED: RwLock<Vec<Learned>> = RwLock::new(Vec::new());
/// What was compared here since it was last taken, for those who share it with other processes.
static FRESH: Mutex<Vec<Learned>> = Mutex::new(Vec::new());

/// Replaces what this process has learned, for instance with what an earlier one stored. Impossible ratios are left out.
pub fn set_learned(all: Vec<Learned>) {
    let kept = all.into_iter().map(|stored| {
        let mut learned = Learned { family: stored.family, ratios: Vec::new() };
        stored.ratios.into_iter().for_each(|ratio| {
            learned.add(ratio);
        });
        learned
    });
    *LEARNED.write().unwrap_or_else(PoisonError::into_inner) = kept.collect();
}

/// Returns what this process has learned.
pub fn learned() -> Vec<Learned> {
    LEARNED.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Returns whether counts of a model are estimates that can learn.
pub fn learns(model: &str) -> bool {
    learner(model).is_some()
}

fn learner(model: &str) -> Option<&'static EncodingRow> {
    let is_known = || lacon_models::user_row(model, |row| row.encoding.is_some()).is_some();
    lacon_models::encoding_of(&lacon_models::plain_name(model))
        .filter(|row| row.worth != lacon_models::Worth::Exact && !is_known())
}

/// Compares an `o200k_base` count of a prompt with what the provider billed for it, and returns the family and the ratio
/// if something was learned: not of a model with a public vocabulary or without a family, nor of a short prompt.
pub fn learn(model: &str, counted: usize, billed: u64) -> Option<(&'static str, f64)> {
    let row = learner(model).filter(|_| counted >= Learned::SHORTEST)?;
    let ratio = billed as f64 / counted as f64;
    let add = |all: &mut Vec<Learned>| {
        let at = all.iter().position(|learned| learned.family == row.family).unwrap_or_else(|| {
            all.push(Learned { family: row.family.clone(), ratios: Vec::new() });
            all.len() - 1
        });
        all[at].add(ratio)
    };
    add(&mut FRESH.lock().unwrap_or_else(PoisonError::into_inner));
    add(&mut LEARNED.write().unwrap_or_else(PoisonError::into_inner)).then_some((row.family.as_str(), ratio))
}

/// Takes what was compared in this process since the last call, at most [`Learned::KEPT`] of a family.
pub fn take_fresh() -> Vec<Learned> {
    std::mem::take(&mut FRESH.lock().unwrap_or_else(PoisonError::into_inner))
}
