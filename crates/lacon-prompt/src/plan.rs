//! The prompt plan: the form of each section of each prompt, and the length of each answer, chosen for all calls of a
//! run at once under limits of tokens, money and time.
//!
//! Every open question is a [`Group`] of [`Choice`]s: a report in full, as its digest, as its figures, or as a pointer;
//! an answer of 300 or 225 words. A choice has a worth and a cost. [`solve`] takes the best choice of each group after
//! its cost, and gives up as little worth as it can until all limits hold. A required text has no choice that leaves it
//! out. A limit that even the smallest choices exceed is an error with the smallest one that works.
//!
//! The problem is a knapsack with several limits and a critical path, for which no exact method is fast. This solver
//! takes steps of least loss per relieved share of a limit, then single upgrades and pairs of changes while they help.
//! On random problems of up to eight groups, a test compares it with exhaustive search (`tests/it/plan.rs`). It holds
//! no bound: where two limits conflict, only three changes at once may lead further. About one random problem in
//! 350,000 ends more than a quarter below the best; the worst seen is 36 % below.

use std::collections::HashMap;

use crate::budget::MicroUsd;

/// Cost of one choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Tokens of prompt and answer, of every call that they appear in.
    pub tokens: u64,
    /// Money.
    pub micro_usd: MicroUsd,
    /// Milliseconds that it adds to the call.
    pub millis: u64,
}

/// One form of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The form's name: `full`, `digest`, `figures`, `pointer`; `225 words`.
    pub form: String,
    /// Worth, in thousandths of the best form of a required section.
    pub worth: u32,
    /// What it costs.
    pub cost: Cost,
}

/// An open question of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The call that it is about; an index into [`Problem::calls`].
    pub call: usize,
    /// The section, such as `market` or `answer`.
    pub segment: String,
    /// At least one.
    pub choices: Vec<Choice>,
}

/// A call with its fixed cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// The calls that it waits for: earlier indexes.
    pub after: Vec<usize>,
    /// Cost that no choice changes: instructions, framing, waiting.
    pub fixed: Cost,
}

/// Limits of a run; `None` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Tokens.
    pub tokens: Option<u64>,
    /// Money.
    pub micro_usd: Option<MicroUsd>,
    /// Milliseconds on the longest chain of calls.
    pub millis: Option<u64>,
}

/// Price of a token and a second in worth; both can be 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prices {
    /// Thousandths of worth per 1,000 tokens.
    pub per_1k_tokens: u32,
    /// Thousandths of worth per second of the call.
    pub per_second: u32,
}

/// A planning problem.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    /// The calls, each after those it waits for.
    pub calls: Vec<Call>,
    /// The open questions.
    pub groups: Vec<Group>,
    /// What the run may use.
    pub limits: Limits,
    /// Prices that save tokens and time without a limit.
    pub prices: Prices,
}

/// The choice of each group, and the expected use of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// For each group the index of its choice.
    pub chosen: Vec<usize>,
    /// For each group whether a limit, not its price, forced the choice.
    pub forced: Vec<bool>,
    /// Worth of all choices.
    pub worth: u64,
    /// Expected use: tokens and money of all calls, milliseconds of the longest chain.
    pub used: Cost,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Even the smallest choices break a limit.
    #[error("the run needs at least {needed} {unit}, its limit is {limit}\nhint: {hint}")]
    Infeasible {
        /// The limited unit.
        unit: &'static str,
        /// The smallest limit that works.
        needed: u64,
        /// The limit.
        limit: u64,
        /// How to fix it.
        hint: &'static str,
    },
    /// The problem is malformed: a group without a choice, or of a call that does not exist.
    #[error("group {segment:?} of call {call} {problem}")]
    Malformed {
        /// The group's call.
        call: usize,
        /// The group's segment.
        segment: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Chooses for all groups at once. Deterministic; O(groups² · choices) per exceeded limit.
///
/// # Errors
/// When a limit cannot be held, or the problem is malformed.
pub fn solve(problem: &Problem) -> Result<Solution, PlanError> {
    check(problem)?;
    let free: Vec<usize> =
        problem.groups.iter().map(|group| best_after_price(group, problem.prices)).collect();
    let mut at = Position::new(problem, free.clone());
    if !at.fits() {
        at.descend();
        if !at.fits() {
            // The cheapest choices by one limit need not be the cheapest by another: the least of each decides.
            at.reset_to_least();
            at.relieve();
        }
        if let Some(error) = at.broken() {
            return Err(error);
        }
        at.improve(&free);
    }
    let forced = at.chosen.iter().zip(&free).map(|(chosen, free)| chosen != free).collect();
    Ok(Solution { worth: at.worth(), used: at.used(), forced, chosen: at.chosen })
}

fn check(problem: &Problem) -> Result<(), PlanError> {
    for group in &problem.groups {
        let problem = if group.choices.is_empty() {
            "has no choice"
        } else if group.call >= problem.calls.len() {
            "belongs to a call that does not exist"
        } else {
            continue;
        };
        return Err(PlanError::Malformed { call: group.call, segment: group.segment.clone(), problem });
    }
    Ok(())
}

fn net(choice: &Choice, prices: Prices) -> i64 {
    let tokens = i64::from(prices.per_1k_tokens) * choice.cost.tokens as i64;
    let seconds = i64::from(prices.per_second) * choice.cost.millis as i64;
    i64::from(choice.worth) * 1000 - tokens - seconds
}

/// The first of the choices that are worth most after their price.
fn best_after_price(group: &Group, prices: Prices) -> usize {
    let best = group.choices.iter().map(|choice| net(choice, prices)).max();
    group.choices.iter().position(|choice| Some(net(choice, prices)) == best).unwrap_or(0)
}

struct Position<'a> {
    problem: &'a Problem,
    chosen: Vec<usize>,
    tokens: u64,
    micro_usd: u64,
    /// Milliseconds of each call.
    millis: Vec<u64>,
}

impl<'a> Position<'a> {
    fn new(problem: &'a Problem, chosen: Vec<usize>) -> Self {
        let mut at = Self { problem, chosen, tokens: 0, micro_usd: 0, millis: Vec::new() };
        at.count();
        at
    }

    fn count(&mut self) {
        let calls = &self.problem.calls;
        self.millis = calls.iter().map(|call| call.fixed.millis).collect();
        self.tokens = calls.iter().map(|call| call.fixed.tokens).sum();
        self.micro_usd = calls.iter().map(|call| call.fixed.micro_usd.0).sum();
        for (group, chosen) in self.problem.groups.iter().zip(&self.chosen) {
            let cost = group.choices[*chosen].cost;
            self.tokens += cost.tokens;
            self.micro_usd += cost.micro_usd.0;
            self.millis[group.call] += cost.millis;
        }
    }

    fn take(&mut self, group: usize, choice: usize) {
        let choices = &self.problem.groups[group].choices;
        let (old, new) = (choices[self.chosen[group]].cost, choices[choice].cost);
        self.tokens = self.tokens - old.tokens + new.tokens;
        self.micro_usd = self.micro_usd - old.micro_usd.0 + new.micro_usd.0;
        let millis = &mut self.millis[self.problem.groups[group].call];
        *millis = *millis - old.millis + new.millis;
        self.chosen[group] = choice;
    }

    /// Milliseconds of the longest chain.
    fn chain(&self) -> u64 {
        let mut ends: Vec<u64> = Vec::with_capacity(self.millis.len());
        for (call, millis) in self.problem.calls.iter().zip(&self.millis) {
            let start = call.after.iter().filter_map(|i| ends.get(*i)).max().copied().unwrap_or(0);
            ends.push(start + millis);
        }
        ends.into_iter().max().unwrap_or(0)
    }

    fn used(&self) -> Cost {
        Cost { tokens: self.tokens, micro_usd: MicroUsd(self.micro_usd), millis: self.chain() }
    }

    fn worth(&self) -> u64 {
        self.problem.groups.iter().zip(&self.chosen).map(|(g, c)| u64::from(g.choices[*c].worth)).sum()
    }

    /// Net worth, which the search maximizes.
    fn net(&self) -> i64 {
        self.problem
            .groups
            .iter()
            .zip(&self.chosen)
            .map(|(g, c)| net(&g.choices[*c], self.problem.prices))
            .sum()
    }

    /// By how much the limits are broken, each as a share of itself.
    fn excess(&self) -> f64 {
        let over = |used: u64, limit: Option<u64>| match limit {
            Some(limit) if used > limit => (used - limit) as f64 / limit.max(1) as f64,
            _ => 0.0,
        };
        let limits = self.problem.limits;
        over(self.tokens, limits.tokens)
            + over(self.micro_usd, limits.micro_usd.map(|m| m.0))
            + limits.millis.map_or(0.0, |_| over(self.chain(), limits.millis))
    }

    fn fits(&self) -> bool {
        self.excess() == 0.0
    }

    /// Every single change of one group.
    fn changes(&self) -> Vec<(usize, usize)> {
        let groups = self.problem.groups.iter().enumerate();
        groups
            .flat_map(|(g, group)| (0..group.choices.len()).map(move |c| (g, c)))
            .filter(|(g, c)| self.chosen[*g] != *c)
            .collect()
    }

    /// Takes, again and again, the change that gives up the least worth for what it relieves.
    fn descend(&mut self) {
        while !self.fits() {
            let (excess, before) = (self.excess(), self.net());
            let mut best: Option<(f64, usize, usize)> = None;
            for (group, choice) in self.changes() {
                let old = self.chosen[group];
                self.take(group, choice);
                let relief = excess - self.excess();
                let loss = (before - self.net()).max(0) as f64;
                self.take(group, old);
                if relief > 0.0 {
                    let rate = loss / relief;
                    if best.is_none_or(|(known, ..)| rate < known) {
                        best = Some((rate, group, choice));
                    }
                }
            }
            let Some((_, group, choice)) = best else { return };
            self.take(group, choice);
        }
    }

    /// The smallest choice of every group: by tokens, then time, then money.
    fn reset_to_least(&mut self) {
        for group in 0..self.chosen.len() {
            let choices = &self.problem.groups[group].choices;
            let least = (0..choices.len()).min_by_key(|c| {
                let cost = choices[*c].cost;
                (cost.tokens, cost.millis, cost.micro_usd.0)
            });
            self.take(group, least.unwrap_or(0));
        }
    }

    /// Takes every change that lowers the excess, whatever it is worth.
    fn relieve(&mut self) {
        loop {
            let excess = self.excess();
            let better = self.changes().into_iter().find(|(group, choice)| {
                let old = self.chosen[*group];
                self.take(*group, *choice);
                let relieved = self.excess() < excess;
                self.take(*group, old);
                relieved
            });
            match better {
                Some((group, choice)) if excess > 0.0 => self.take(group, choice),
                _ => return,
            }
        }
    }

    fn broken(&self) -> Option<PlanError> {
        let limits = self.problem.limits;
        let rows = [
            ("tokens", self.tokens, limits.tokens, "raise --budget-tokens"),
            (
                "millionths of a US dollar",
                self.micro_usd,
                limits.micro_usd.map(|m| m.0),
                "raise --budget-usd",
            ),
            ("ms", self.chain(), limits.millis, "raise --deadline"),
        ];
        rows.into_iter().find_map(|(unit, needed, limit, hint)| {
            let limit = limit.filter(|limit| needed > *limit)?;
            Some(PlanError::Infeasible { unit, needed, limit, hint })
        })
    }

    /// Single changes and pairs of changes that fit and are worth more, until there is none.
    fn improve(&mut self, free: &[usize]) {
        // Only groups that a limit has moved, or whose move could make room, matter; pairs are bounded by them.
        loop {
            let before = self.net();
            if let Some((group, choice)) = self.best_single(before) {
                self.take(group, choice);
                continue;
            }
            let moved: Vec<usize> = (0..free.len()).filter(|g| self.chosen[*g] != free[*g]).collect();
            let Some(pair) = self.best_pair(before, &moved) else { return };
            for (group, choice) in pair {
                self.take(group, choice);
            }
        }
    }

    fn best_single(&mut self, before: i64) -> Option<(usize, usize)> {
        let mut best: Option<(i64, (usize, usize))> = None;
        for (group, choice) in self.changes() {
            let old = self.chosen[group];
            self.take(group, choice);
            let gain = self.net() - before;
            if gain > 0 && best.as_ref().is_none_or(|(known, _)| gain > *known) && self.fits() {
                best = Some((gain, (group, choice)));
            }
            self.take(group, old);
        }
        best.map(|(_, change)| change)
    }

    fn best_pair(&mut self, before: i64, moved: &[usize]) -> Option<[(usize, usize); 2]> {
        for first in self.changes().into_iter().filter(|(group, _)| moved.contains(group)) {
            let old = self.chosen[first.0];
            self.take(first.0, first.1);
            if self.net() > before {
                for second in self.changes().into_iter().filter(|(group, _)| *group != first.0) {
                    let other = self.chosen[second.0];
                    self.take(second.0, second.1);
                    let better = self.net() > before && self.fits();
                    self.take(second.0, other);
                    if better {
                        self.take(first.0, old);
                        return Some([first, second]);
                    }
                }
            }
            self.take(first.0, old);
        }
        None
    }
}

/// The groups of each call, for a reader of the plan.
#[must_use]
pub fn by_call<'a>(
    problem: &'a Problem,
    solution: &'a Solution,
) -> Vec<(&'a Call, Vec<(&'a Group, &'a Choice)>)> {
    let mut rows: HashMap<usize, Vec<(&Group, &Choice)>> = HashMap::new();
    for (group, chosen) in problem.groups.iter().zip(&solution.chosen) {
        rows.entry(group.call).or_default().push((group, &group.choices[*chosen]));
    }
    let calls = problem.calls.iter().enumerate();
    calls.map(|(i, call)| (call, rows.remove(&i).unwrap_or_default())).collect()
}
