//! What a run gives up, step by step, as its deadline nears: length, then the better model, then the remaining steps.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lacon_monitor::record::Degraded;

use crate::{Role, cast::Order};

/// Words of an answer on the first step, in hundredths of the planned ones.
const SHORTER: u32 = 60;

/// How far down the ladder a role was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A shorter answer.
    Shorter,
    /// A shorter answer of the quick model.
    QuickModel,
}

/// The deadline, what the rest of a run usually takes, and what was given up so far.
#[derive(Debug, Default)]
pub struct Ladder {
    deadline: Option<Duration>,
    order: Order,
    /// Usual time of each role's call.
    usual: BTreeMap<Role, Duration>,
    /// Roles that are always asked with the quick model.
    quick: Vec<Role>,
    taken: Mutex<BTreeMap<Role, (Step, String)>>,
}

/// The roles on the longest way from a role to the end, itself included.
fn way(role: Role, order: Order) -> &'static [Role] {
    use Role::{Bear, Bull, Neutral, News, Plan, RiskManager, Risky, Safe, Trader};
    const WAY: [Role; 6] = [News, Bull, Plan, Risky, RiskManager, Trader];
    const IN_TURNS: [Role; 9] = [News, Bull, Bear, Plan, Trader, Risky, Safe, Neutral, RiskManager];
    if order == Order::Upstream {
        let at = IN_TURNS.iter().position(|r| *r == role).unwrap_or(0);
        return &IN_TURNS[at..];
    }
    let at = match role {
        Role::Market | Role::Social | Role::News | Role::Fundamentals | Role::Own(_) => 0,
        Role::Bull | Role::Bear => 1,
        Role::Judge | Role::Plan => 2,
        Role::Risky | Role::Safe | Role::Neutral => 3,
        Role::RiskManager => 4,
        Role::Trader | Role::Signal => 5,
    };
    &WAY[at..]
}

impl Ladder {
    /// A ladder for a deadline, where one is kept by it; `usual` holds what roles took in earlier runs, or are expected
    /// to.
    pub fn new(
        deadline: Option<Duration>,
        order: Order,
        usual: BTreeMap<Role, Duration>,
        quick: Vec<Role>,
    ) -> Self {
        Self { deadline, order, usual, quick, taken: Mutex::default() }
    }

    /// Decides, once, how a role is asked at this time of the run: before its prompt is built.
    pub fn step(&self, role: Role, now: Duration) {
        let Some(deadline) = self.deadline else { return };
        let left = deadline.saturating_sub(now);
        let need: Duration = way(role, self.order).iter().filter_map(|r| self.usual.get(r)).sum();
        // A shorter answer takes about its share of the time; a tenth is kept in hand.
        let step = if need.mul_f64(1.1) <= left {
            return;
        } else if need.mul_f64(f64::from(SHORTER) / 100.0 + 0.1) <= left {
            Step::Shorter
        } else {
            Step::QuickModel
        };
        let reason = format!(
            "{:.1} s are left, the way to the end usually takes {:.1} s",
            left.as_secs_f64(),
            need.as_secs_f64()
        );
        self.lock().entry(role).or_insert((step, reason));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Role, (Step, String)>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The role's word limit after what was given up.
    pub fn words(&self, role: Role, planned: u32) -> u32 {
        if self.lock().contains_key(&role) { planned * SHORTER / 100 } else { planned }
    }

    /// Whether anything was given up for the role.
    pub fn has_stepped(&self, role: Role) -> bool {
        self.lock().contains_key(&role)
    }

    /// Whether the role is asked with the quick model although its file says otherwise.
    pub fn is_quick(&self, role: &str) -> bool {
        self.quick.iter().any(|r| r.name() == role)
            || self.lock().iter().any(|(r, (step, _))| r.name() == role && *step == Step::QuickModel)
    }

    /// What was given up, for the record.
    pub fn given_up(&self) -> Vec<Degraded> {
        let rows = self.lock();
        rows.iter()
            .map(|(role, (step, reason))| Degraded {
                role: role.name().into(),
                step: match step {
                    Step::Shorter => "shorter_answer".into(),
                    Step::QuickModel => "quick_model".into(),
                },
                reason: reason.clone(),
            })
            .collect()
    }
}
