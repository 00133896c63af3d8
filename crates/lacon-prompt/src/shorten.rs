//! Shortens one text by a policy: exact forms, exact forms with the store, or an extract for a question.
//!
//! Every front end (command line, proxy, Python) calls this module, so that a policy means the same everywhere.

use crate::compress::{Options, compress};
use crate::error::{Error, Result};
use crate::extract::{ExtractOptions, extract};
use crate::offload::{Store, StoreError};
use crate::passes::Pass;
use crate::receipt::{self, PassReport};
use lacon_tokens::Encoding;
use serde_json::{Value, json};

/// How far shortening may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// Exact forms only; expanding needs no store.
    #[default]
    Lossless,
    /// Exact forms, and blobs moved to the store.
    Safe,
    /// An extract for a question; gaps are marked.
    Lossy,
}

impl Policy {
    /// Every policy, the mildest first.
    pub const ALL: [Policy; 3] = [Policy::Lossless, Policy::Safe, Policy::Lossy];

    /// Returns the word in settings and flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Policy::Lossless => "lossless",
            Policy::Safe => "safe",
            Policy::Lossy => "lossy",
        }
    }

    /// Returns the policy of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Policy> {
        Policy::ALL.into_iter().find(|policy| policy.name() == name)
    }
}

/// Options of [`shorten`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShortenOptions<'q> {
    /// How far to go.
    pub policy: Policy,
    /// Passes and manner of the exact forms; `audit` holds for extracts too.
    pub exact: Options,
    /// With [`Policy::Lossy`]: the question; may be empty.
    pub query: &'q str,
    /// With [`Policy::Lossy`]: the share of the tokens to keep, half of them where none is named. Whoever names one wants it
    /// for texts of moderate length too.
    pub share: Option<f64>,
    /// Most tokens of the result, where there is a limit. With [`Policy::Lossy`] the share follows from it.
    pub budget: Option<usize>,
}

impl ShortenOptions<'_> {
    /// A policy without anything else.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        ShortenOptions { policy, exact: Options::default(), query: "", share: None, budget: None }
    }

    /// The share of a text of so many tokens that is to be kept.
    fn share_of(&self, tokens: usize) -> Result<f64> {
        let share = self.share.unwrap_or(0.5);
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::BadShare { share });
        }
        let most = self.budget.map(|budget| (budget as f64 / tokens.max(1) as f64).min(1.0));
        Ok(match (self.share, most) {
            (Some(share), Some(most)) => share.min(most),
            (None, Some(most)) => most,
            (_, None) => share,
        })
    }
}

/// Result of [`shorten`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Shortened {
    /// The shorter text, or the input where nothing was saved.
    pub text: String,
    /// Tokens of the input.
    pub tokens_before: usize,
    /// Tokens of `text`; in an audit, of what it would be.
    pub tokens_after: usize,
    /// Whether every byte of the input can be had back from the text and the store.
    pub exact: bool,
    /// What was done, one object a pass.
    pub receipt: Vec<Value>,
    /// The same as sentences.
    pub explanation: String,
    /// Whether the store was too full to keep what an extract leaves out.
    pub unkept: bool,
    /// The tokens that a share asked for, where an extract has more of them.
    pub missed: Option<usize>,
}

/// Shortens a text by a policy. A lossless policy does not touch the store, a safe one needs it for what it offloads, a lossy one
/// keeps long inputs in it whole.
///
/// # Errors
/// When the store's medium fails, the share is none, or the result is longer than the budget.
pub fn shorten(
    text: &str,
    options: &ShortenOptions<'_>,
    store: Option<&mut dyn Store>,
    encoding: &Encoding,
) -> Result<Shortened> {
    let done = match options.policy {
        Policy::Lossless => exact(text, options, None, encoding)?,
        Policy::Safe => exact(text, options, store, encoding)?,
        Policy::Lossy => extracted(text, options, store, encoding)?,
    };
    match options.budget {
        Some(budget) if done.tokens_after > budget => {
            Err(Error::TooLong { tokens: done.tokens_after, budget })
        }
        _ => Ok(done),
    }
}

fn exact(
    text: &str,
    options: &ShortenOptions<'_>,
    store: Option<&mut dyn Store>,
    encoding: &Encoding,
) -> Result<Shortened> {
    let short = compress(text, options.exact, store, encoding)?;
    Ok(Shortened {
        receipt: short.passes.iter().map(PassReport::to_json).collect(),
        explanation: receipt::explain(&short.passes),
        text: short.text,
        tokens_before: short.tokens_before,
        tokens_after: short.tokens_after,
        exact: short.exact,
        unkept: false,
        missed: None,
    })
}

/// Texts of so many tokens are kept whole in the store when an extract of them is made; the marker costs about twenty.
const MIN_STORED: usize = 1500;

fn extracted(
    text: &str,
    options: &ShortenOptions<'_>,
    store: Option<&mut dyn Store>,
    encoding: &Encoding,
) -> Result<Shortened> {
    let audit = options.exact.audit;
    let before = encoding.count(text);
    let mut share = options.share_of(before)?;
    let asked = options.share.is_some() || options.budget.is_some();
    // Below this nothing is left out.
    let min_tokens = if asked { 100 } else { ExtractOptions::default().min_tokens };
    let mut marker = String::new();
    let mut unkept = false;
    if let Some(store) = store
        && before >= MIN_STORED
        && share < 1.0
        && options.exact.passes.has(Pass::Blobs)
        && !audit
    {
        match store.put(text) {
            Ok(handle) => {
                marker = format!("\n[extract; full text: ref={handle}]");
                share = (share - (encoding.count(&marker) + 1) as f64 / before as f64).max(0.0);
            }
            Err(StoreError::Full { .. }) => unkept = true,
            Err(error) => return Err(error.into()),
        }
    }
    let mut found = extract(text, options.query, ExtractOptions { share, min_tokens }, encoding);
    if !found.left_out.is_empty() {
        found.text.push_str(&marker);
        found.tokens_after = encoding.count(&found.text);
    }
    let asked_for = (before as f64 * options.share_of(before)?) as usize;
    let missed = asked && found.tokens_after > asked_for;
    let report = json!({
        "pass": "extract",
        "asked_for": asked_for,
        "missed": missed,
        "units": found.units,
        "kept": found.kept,
        "tokens_before": found.tokens_before,
        "tokens_after": found.tokens_after,
        "left_out": found.left_out.iter().map(|range| [range.start, range.end]).collect::<Vec<_>>(),
        "outcome": if audit { "audited" } else { "kept" },
    });
    Ok(Shortened {
        exact: found.left_out.is_empty() || audit,
        text: if audit { text.to_owned() } else { found.text },
        tokens_before: found.tokens_before,
        tokens_after: found.tokens_after,
        receipt: vec![report],
        explanation: format!(
            "extract: kept {} of {} rows and sentences for {:?}\n",
            found.kept, found.units, options.query
        ),
        unkept: unkept && !found.left_out.is_empty(),
        missed: missed.then_some(asked_for),
    })
}
