//! What a run gives up as its deadline nears: length first, then the better model.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lacon_monitor::record::Degraded;

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
pub struct Ladder {
    deadline: Option<Duration>,
    way: BTreeMap<String, Duration>,
    /// Agents that are always asked with the quick model.
    quick: Vec<String>,
    taken: Mutex<BTreeMap<String, (Step, String)>>,
}

/// What each of several steps and all that wait for it take together on the longest way. `after` gives for each step those
/// that it waits for, which stand before it; `own` is what it takes itself.
pub fn ways<'a>(
    after: impl DoubleEndedIterator<Item = &'a [usize]> + ExactSizeIterator,
    own: &[f64],
) -> Vec<f64> {
    let mut ways = own.to_vec();
    for (i, before) in after.enumerate().rev() {
        for step in before {
            ways[*step] = ways[*step].max(own[*step] + ways[i]);
        }
    }
    ways
}

impl Ladder {
    /// A ladder for a run; without a deadline nothing is ever given up. `way` is what each agent and all behind it on the
    /// longest way should take together.
    pub fn new(deadline: Option<Duration>, way: BTreeMap<String, Duration>, quick: Vec<String>) -> Self {
        Self { deadline, way, quick, taken: Mutex::default() }
    }

    /// Decides, once, how an agent is asked at this time of the run: before its first prompt is built.
    pub fn step(&self, agent: &str, now: Duration) {
        let Some(deadline) = self.deadline else { return };
        let Some(way) = self.way.get(agent) else { return };
        let left = deadline.saturating_sub(now);
        // A shorter answer takes about its share of the time.
        let step = if way.mul_f64(1.0 + IN_HAND) <= left {
            return;
        } else if way.mul_f64(f64::from(SHORTER) / 100.0 + IN_HAND) <= left {
            Step::Shorter
        } else {
            Step::QuickModel
        };
        let (left, way) = (left.as_secs_f64(), way.as_secs_f64());
        let reason = format!("{left:.1} s are left, the way to the end should take {way:.1} s");
        self.lock().entry(agent.into()).or_insert((step, reason));
    }

    /// Whether anything was given up for an agent.
    pub fn has_stepped(&self, agent: &str) -> bool {
        self.lock().contains_key(agent)
    }

    /// An agent's word limit after what was given up; a plan that has shortened it already is not shortened again.
    pub fn words(&self, agent: &str, usual: u32, planned: u32) -> u32 {
        if self.lock().contains_key(agent) { planned.min(usual * SHORTER / 100) } else { planned }
    }

    /// Whether an agent is asked with the quick model whatever its own is.
    pub fn is_quick(&self, agent: &str) -> bool {
        self.quick.iter().any(|quick| quick == agent)
            || self.lock().get(agent).is_some_and(|(step, _)| *step == Step::QuickModel)
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

#[cfg(test)]
mod tests {
    use super::ways;

    #[test]
    fn the_longest_way_counts() {
        // 0 before 1 and 2, both before 3; 4 stands alone.
        let after: [&[usize]; 5] = [&[], &[0], &[0], &[1, 2], &[]];
        assert_eq!(ways(after.into_iter(), &[1.0, 2.0, 5.0, 3.0, 0.5]), [9.0, 5.0, 8.0, 3.0, 0.5]);
    }
}
