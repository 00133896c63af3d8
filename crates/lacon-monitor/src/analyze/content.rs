//! The content grade of a trace: 100 points minus the evidence against it.
//!
//! It judges what the trace holds and lists what it could not judge. A run without one of its reports fails, however
//! good the rest is.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use super::{flow::Flow, general};
use crate::{
    grade::{content_letter, points},
    record::Reason,
    trace::{Form, Trace},
};

/// The grade and what it stands on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ContentGrade {
    /// A+ to F; `-` when the trace holds nothing that could be judged.
    pub letter: String,
    /// 0 to 100; absent where nothing was judged.
    pub points: Option<f64>,
    /// Whether it is good enough to be used, 70 points; absent where nothing was judged.
    #[serde(rename = "passed")]
    pub verdict: Option<bool>,
    /// Whether it was judged and is good enough.
    #[serde(skip)]
    pub passed: bool,
    /// By whose measure: the name of a [`Scorer`], or [`GENERAL`].
    pub scorer: &'static str,
    /// Every point lost.
    pub reasons: Vec<Reason>,
    /// What could not be judged.
    pub not_judged: Vec<String>,
}

/// Models that think before they answer.
pub fn reasons_in_secret(model: &str) -> bool {
    let model = model.rsplit('/').next().unwrap_or(model).to_lowercase();
    ["o1", "o3", "o4", "gpt-5", "deepseek-reasoner", "deepseek-r1", "qwq"]
        .iter()
        .any(|p| model.starts_with(p))
        || model.contains("thinking")
        || model.contains("reasoning")
}

/// Judges runs of one application by their traces.
///
/// A run that no scorer knows is judged by what holds for any run: failures, cut and empty answers.
pub trait Scorer: Send + Sync {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Whether a run is one of those that it judges: by what the run was asked, by what it left, or by who spoke.
    fn knows(&self, trace: &Trace) -> bool;

    /// Enters what a run lacks.
    fn judge(&self, trace: &Trace, flow: &Flow, sheet: &mut Sheet);
}

/// Scorers of applications; the first that knows a run judges it.
pub type Scorers<'s> = &'s [&'s dyn Scorer];

/// The name of the measure that holds for any run.
pub const GENERAL: &str = "general";

/// What was found of a run.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// Points lost.
    pub reasons: Vec<Reason>,
    /// What could not be judged.
    pub not_judged: Vec<String>,
}

impl Sheet {
    /// Takes points for a fault.
    pub fn lose(&mut self, code: &str, points: f64, evidence: String) {
        self.reasons.push(Reason { code: code.into(), evidence, points });
    }
}

/// Grades a trace.
pub(super) fn grade(trace: &Trace, flow: &Flow, scorers: Scorers<'_>) -> ContentGrade {
    let mut sheet = Sheet::default();
    let scorer = scorers.iter().find(|scorer| scorer.knows(trace));
    let recorded = trace.flags.get("lacon.grade").filter(|_| trace.form == Form::Lacon);
    let judged = match (scorer, recorded) {
        (None, _) => general::judge(trace, &mut sheet),
        (Some(_), Some(recorded)) => {
            for reason in recorded.get("reasons").and_then(Value::as_array).into_iter().flatten() {
                let text = |key: &str| reason.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                let points = reason.get("points").and_then(Value::as_f64).unwrap_or(0.0);
                sheet.lose(&text("code"), points, text("evidence"));
            }
            true
        }
        (Some(scorer), None) => {
            scorer.judge(trace, flow, &mut sheet);
            true
        }
    };
    let Sheet { mut reasons, not_judged } = sheet;
    let judged = match scorer {
        None => judged,
        Some(_) => {
            reasoning(trace, flow, &mut reasons);
            !trace.spans.is_empty() && (not_judged.len() < 4 || !reasons.is_empty())
        }
    };
    let points = (100.0 - reasons.iter().map(|r| r.points).sum::<f64>()).max(0.0);
    let passed = judged && points >= points::PASS;
    reasons.sort_by(|a, b| b.points.total_cmp(&a.points));
    ContentGrade {
        letter: if judged { content_letter(points) } else { "-" }.into(),
        points: judged.then_some(points),
        verdict: judged.then_some(passed),
        passed,
        scorer: scorer.map_or(GENERAL, |scorer| scorer.name()),
        reasons,
        not_judged,
    }
}

/// Hidden reasoning that nobody counted.
fn reasoning(trace: &Trace, flow: &Flow, reasons: &mut Vec<Reason>) {
    let mut uncounted: Vec<&str> = Vec::new();
    let mut known: HashSet<&str> = HashSet::new();
    for i in &flow.units {
        let node = &trace.spans[*i];
        let inside: Vec<usize> = flow.models_in(trace, *i).collect();
        let calls = if inside.is_empty() && node.hidden_calls > 0 { vec![*i] } else { inside };
        let silent = calls.iter().any(|m| {
            let call = &trace.spans[*m];
            let may = call.model.as_deref().is_none_or(reasons_in_secret);
            may && call.tokens.reasoning.is_none() && trace.tokens.reasoning.is_none()
        });
        if silent && known.insert(&node.name) {
            uncounted.push(&node.name);
        }
    }
    if !uncounted.is_empty() {
        let names = uncounted[..uncounted.len().min(4)].join(", ");
        let more = if uncounted.len() > 4 { ", …" } else { "" };
        reasons.push(Reason {
            code: "reasoning_not_counted".into(),
            points: points::REASONING,
            evidence: format!(
                "{} nodes ({names}{more}): the model is not written or thinks in secret, and no reasoning tokens are reported",
                uncounted.len()
            ),
        });
    }
}
