//! Receipts: what the passes did, as facts to print, store and sum.

use crate::passes::Pass;
use serde_json::{Value, json};
use std::time::Duration;

/// Whether a pass's edits stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The edits are in the result.
    Kept,
    /// A guard failed, so what the pass wrote was thrown away.
    RolledBack(&'static str),
    /// The search took more steps than a text of this length may take; the text is as it was.
    GaveUp,
    /// The edits were only tried; the result is the input.
    Audited,
}

/// What one pass did to one text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassReport {
    /// The pass.
    pub pass: Pass,
    /// The segment it worked on; empty for a bare text.
    pub segment: String,
    /// Spans it changed.
    pub spans: usize,
    /// Tokens of those spans before it.
    pub tokens_before: usize,
    /// Tokens of what it wrote for them.
    pub tokens_after: usize,
    /// Time it took, counting included.
    pub elapsed: Duration,
    /// Whether its edits stood.
    pub outcome: Outcome,
}

impl PassReport {
    pub(crate) fn new(pass: Pass) -> Self {
        PassReport {
            pass,
            segment: String::new(),
            spans: 0,
            tokens_before: 0,
            tokens_after: 0,
            elapsed: Duration::ZERO,
            outcome: Outcome::Kept,
        }
    }

    /// The report as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (outcome, guard) = match self.outcome {
            Outcome::Kept => ("kept", None),
            Outcome::RolledBack(guard) => ("rolled_back", Some(guard)),
            Outcome::GaveUp => ("gave_up", None),
            Outcome::Audited => ("audited", None),
        };
        json!({
            "pass": self.pass.name(),
            "segment": self.segment,
            "spans": self.spans,
            "tokens_before": self.tokens_before,
            "tokens_after": self.tokens_after,
            "elapsed_us": u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX),
            "outcome": outcome,
            "guard": guard,
        })
    }
}

/// The reports as JSON lines, one a pass and segment.
#[must_use]
pub fn json_lines(reports: &[PassReport]) -> String {
    reports.iter().map(|report| format!("{}\n", report.to_json())).collect()
}

/// The reports as sentences.
#[must_use]
pub fn explain(reports: &[PassReport]) -> String {
    let mut out = String::new();
    for report in reports {
        let place = if report.segment.is_empty() { String::new() } else { format!(" in {}", report.segment) };
        let saved = report.tokens_before.saturating_sub(report.tokens_after);
        let outcome = match report.outcome {
            Outcome::Kept => format!("{saved} tokens saved"),
            Outcome::RolledBack(guard) => format!("rolled back: {guard}"),
            Outcome::GaveUp => "gave up: too many steps, nothing changed".to_owned(),
            Outcome::Audited => format!("{saved} tokens would be saved"),
        };
        out.push_str(&format!(
            "{}{place}: {} ({} → {} tokens, {} spans, {outcome})\n",
            report.pass.name(),
            report.pass.about(),
            report.tokens_before,
            report.tokens_after,
            report.spans,
        ));
    }
    if out.is_empty() {
        out.push_str("nothing to save: no pass found a shorter form\n");
    }
    out
}
