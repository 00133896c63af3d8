//! What a run gives up as its deadline nears: length first, then the better model. Figures are kept: the shorter limit
//! has room for those that the answer hands on.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lacon_monitor::record::Degraded;

use crate::plan::Plan;

/// Words of an answer on the first step, in hundredths of the usual ones.
const SHORTER: u32 = 60;
/// What is kept in hand, as a share of the way.
const IN_HAND: f64 = 0.1;

/// How far down the ladder an agent is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Shorter,
    QuickModel,
}

/// The deadline, what the way to the end should take from each agent on, and what was given up.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    deadline: Option<Duration>,
    way_s: BTreeMap<String, f64>,
    taken: Mutex<BTreeMap<String, (Step, String)>>,
}

impl Ladder {
    /// A ladder for a run; without a deadline nothing is ever given up. `speed` is wall time as a share of real time.
    pub fn new(deadline: Option<Duration>, plan: &Plan, speed: f64) -> Self {
        let way = plan.agents.iter().map(|agent| (agent.name.clone(), agent.to_end * speed));
        Self { deadline, way_s: way.collect(), taken: Mutex::default() }
    }

    /// Decides, once, how an agent is asked: before its first prompt is built.
    pub fn step(&self, agent: &str, now: Duration) {
        let Some(deadline) = self.deadline else { return };
        let Some(way) = self.way_s.get(agent) else { return };
        let left = deadline.saturating_sub(now).as_secs_f64();
        // A shorter answer takes about its share of the time.
        let step = if way * (1.0 + IN_HAND) <= left {
            return;
        } else if way * (f64::from(SHORTER) / 100.0 + IN_HAND) <= left {
            Step::Shorter
        } else {
            Step::QuickModel
        };
        let reason = format!("{left:.1} s are left, the way to the end should take {way:.1} s");
        self.lock().entry(agent.into()).or_insert((step, reason));
    }

    /// An agent's word limit after what was given up.
    pub fn words(&self, agent: &str, usual: u32) -> u32 {
        if self.lock().contains_key(agent) { usual * SHORTER / 100 } else { usual }
    }

    /// Whether an agent is asked with the quick model whatever its own is.
    pub fn is_quick(&self, agent: &str) -> bool {
        self.lock().get(agent).is_some_and(|(step, _)| *step == Step::QuickModel)
    }

    /// What was given up, for the record.
    pub fn given_up(&self) -> Vec<Degraded> {
        let row = |(agent, (step, reason)): (&String, &(Step, String))| Degraded {
            role: agent.clone(),
            step: if *step == Step::Shorter { "shorter_answer" } else { "quick_model" }.into(),
            reason: reason.clone(),
        };
        self.lock().iter().map(row).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (Step, String)>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
