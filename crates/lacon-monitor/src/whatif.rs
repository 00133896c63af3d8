//! Replays a run with edits: its spans on their graph, to predict time and tokens.
//!
//! Each call keeps its deviation: a call that took twice as long as its model usually takes for that many tokens still
//! does so after the edit. For the spread, every call's factor is drawn anew from the model's residuals. All edits see
//! the same draws, so differences come from the edits.

mod edit;
mod model;
mod plan;

use serde::Serialize;

use edit::What;
pub use edit::{Edit, EditError, KNOWN, parse};
pub use model::{CallModel, Latency, Source, fit};

use crate::trace::Trace;
use plan::{Draws, Plan};

/// How a what-if is computed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Draws of the Monte Carlo.
    pub draws: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { draws: 2000, seed: 1 }
    }
}

/// Seconds of a run: with each call's own factor, and over the draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// With the factors that this run's calls had.
    pub replayed_s: f64,
    /// Tenth percentile of the draws.
    pub p10_s: f64,
    /// Median of the draws.
    pub p50_s: f64,
    /// Ninetieth percentile of the draws.
    pub p90_s: f64,
}

/// What one edit is worth.
#[derive(Clone, Debug, Serialize)]
pub struct Worth {
    /// The edit as it was written.
    pub edit: String,
    /// What it does.
    pub does: String,
    /// How many nodes or calls it touches.
    pub touches: usize,
    /// The run with this edit alone.
    pub alone: Outcome,
    /// Seconds that it saves alone, with this run's factors.
    pub saves_s: f64,
    /// Seconds that it saves in the median of the draws.
    pub saves_p50_s: f64,
    /// Seconds that the run would lose again if this edit alone were left out of all of them.
    pub saves_last_s: f64,
    /// US dollars at list prices that it saves alone; absent where no call has a price.
    pub saves_usd: Option<f64>,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct WhatIf {
    /// Version of this shape.
    pub schema_version: u32,
    /// The run.
    pub title: String,
    /// Seconds that it took.
    pub recorded_s: f64,
    /// The run replayed without edits.
    pub before: Outcome,
    /// With all edits.
    pub after: Outcome,
    /// US dollars at list prices as it was, without calls that have no price; absent where none has.
    pub before_usd: Option<f64>,
    /// The same with all edits.
    pub after_usd: Option<f64>,
    /// Each edit.
    pub edits: Vec<Worth>,
    /// Where the residuals come from.
    pub residuals: String,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Draws made.
    pub draws: usize,
    /// Their seed.
    pub seed: u64,
}

/// Replays a trace with edits.
pub fn what_if(trace: &Trace, edits: &[Edit], latency: &Latency, options: &Options) -> WhatIf {
    let base = Plan::of(trace, latency);
    // A large trace costs as many steps per draw as it has nodes.
    let draws = options.draws.min(40_000_000 / (base.size() + 1)).max(20);
    let random = Draws { seed: options.seed, n: draws };
    let mut notes = base.notes.clone();
    let edited = |chosen: &[&Edit]| -> (Plan, Vec<usize>) {
        let mut plan = base.clone();
        let touched = chosen.iter().map(|e| plan.apply(e, latency)).collect();
        (plan, touched)
    };
    let run = |chosen: &[&Edit]| -> (Outcome, Vec<usize>) {
        let (plan, touched) = edited(chosen);
        (plan.outcome(&random), touched)
    };
    // Without any price there is no sum, and 0 stands for a run from which all calls were taken.
    let usd = |plan: &Plan| match plan.list_price() {
        (_, 0, n) if n > 0 => None,
        (usd, ..) => Some(usd),
    };
    let all: Vec<&Edit> = edits.iter().collect();
    let (before, _) = run(&[]);
    let (after, touched) = run(&all);
    let before_usd = usd(&base);
    let after_usd = usd(&edited(&all).0);
    if let (_, priced, n) = base.list_price()
        && priced > 0
        && priced < n
    {
        notes.push(format!("{priced} of {n} calls have a list price; the others are in no sum"));
    }
    if before_usd.is_some() && all.iter().any(|edit| matches!(edit.what, What::Hedge(_))) {
        notes.push("second requests of hedges are in no sum".into());
    }
    let rows = edits
        .iter()
        .enumerate()
        .map(|(i, edit)| {
            let (alone, _) = run(&[edit]);
            let others: Vec<&Edit> =
                all.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, e)| *e).collect();
            let (without, _) = run(&others);
            let alone_touches = run(&[edit]).1.first().copied().unwrap_or(0);
            let touches = touched.get(i).copied().unwrap_or(0).max(alone_touches);
            if touches == 0 {
                notes.push(format!("{} touches nothing in this trace", edit.text));
            }
            Worth {
                edit: edit.text.clone(),
                does: edit.does(),
                touches,
                alone,
                saves_s: before.replayed_s - alone.replayed_s,
                saves_p50_s: before.p50_s - alone.p50_s,
                saves_last_s: without.replayed_s - after.replayed_s,
                saves_usd: before_usd.zip(usd(&edited(&[edit]).0)).map(|(before, after)| before - after),
            }
        })
        .collect();
    let error = (before.replayed_s - trace.wall_s).abs() / trace.wall_s.max(1e-9);
    if error > 0.02 {
        notes.push(format!(
            "the replay without edits takes {:.2} s, the run took {:.2} s: its order is not fully known",
            before.replayed_s, trace.wall_s
        ));
    }
    WhatIf {
        schema_version: 1,
        title: trace.title(),
        recorded_s: trace.wall_s,
        before,
        after,
        before_usd,
        after_usd,
        edits: rows,
        residuals: latency.describe(),
        notes,
        draws,
        seed: options.seed,
    }
}
