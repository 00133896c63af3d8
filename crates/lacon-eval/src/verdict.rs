//! What an experiment says of each form, and the file of verdicts that other commands read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stats::{Pairs, Z_ERROR};

/// What the pairs show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The form costs less than the margin: the lower end of the interval lies above it.
    Proven,
    /// The form costs accuracy: the upper end of the interval lies below zero.
    Worse,
    /// The questions do not suffice for either.
    Undecided,
}

impl Verdict {
    /// Decides with a chance of 5 % for each kind of false verdict.
    pub fn of(pairs: Pairs, margin: f64) -> Self {
        let (low, high) = pairs.interval(Z_ERROR);
        if pairs.n > 0 && low > -margin {
            Self::Proven
        } else if pairs.n > 0 && high < 0.0 {
            Self::Worse
        } else {
            Self::Undecided
        }
    }

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Worse => "worse",
            Self::Undecided => "undecided",
        }
    }
}

/// A verdict on one form for one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What was found.
    pub verdict: Verdict,
    /// Whether the form had its legend above it.
    pub legend: bool,
    /// Questions that both arms answered.
    pub questions: u32,
    /// Accuracy in the form minus accuracy in the original, and its interval of 90 %.
    pub difference: f64,
    /// Lower and upper end.
    pub interval: (f64, f64),
    /// The margin that was allowed.
    pub margin: f64,
    /// Tokens of the form as a share of the original's.
    pub tokens: f64,
    /// The day of the experiment.
    pub date: String,
}

/// All verdicts, by model and form.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Book {
    /// Verdicts by the model's name and the form's.
    pub models: BTreeMap<String, BTreeMap<String, Entry>>,
}

impl Book {
    /// Reads a book.
    ///
    /// # Errors
    /// What is wrong with the JSON.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("no book of verdicts: {error}"))
    }

    /// Writes the book.
    pub fn write(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Forms that are proven for a model, and whether each needs its legend.
    pub fn proven<'b>(&'b self, model: &str) -> impl Iterator<Item = (&'b str, bool)> + use<'b> {
        let forms = self.models.get(model).into_iter().flatten();
        forms
            .filter(|(_, entry)| entry.verdict == Verdict::Proven)
            .map(|(name, entry)| (name.strip_suffix("+legend").unwrap_or(name), entry.legend))
    }
}
