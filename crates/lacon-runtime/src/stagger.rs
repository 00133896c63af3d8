//! Whether a sibling waits for the first token of another one, so that the provider has cached their common prefix.
//!
//! A wait costs time unless somebody is slower anyway. So an agent waits only if at least eight earlier runs show that,
//! even when it is slow and its slowest sibling fast, the sibling ends later. Without that history nobody waits.
//! Medians of a few runs do not suffice: they made siblings wait by chance and lost 2 to 4 of 90 s.

use std::time::Duration;

use lacon_graph::Durations;

/// Runs that are known before anybody waits.
const LEAST_RUNS: usize = 8;
/// In how many runs an agent takes no longer than what is reckoned with, and the slowest no shorter.
const USUALLY: f64 = 0.9;

/// Who waits for whom, and the longest it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stagger {
    waits: Vec<(String, String, Duration)>,
}

impl Stagger {
    /// Decides from earlier runs among groups of agents that start together with a common prefix. `first_token` is how long
    /// a first token usually takes.
    pub fn new<'n>(
        groups: impl IntoIterator<Item = Vec<&'n str>>,
        durations: &Durations,
        first_token: Duration,
    ) -> Self {
        let mut waits = Vec::new();
        for siblings in groups {
            let of = |agent: &str, share| durations.quantile(agent, share, LEAST_RUNS);
            let known: Option<Vec<(&str, Duration)>> =
                siblings.iter().map(|agent| Some((*agent, of(agent, 0.5)?))).collect();
            let Some((slowest, _)) = known.and_then(|all| all.into_iter().max_by_key(|(_, d)| *d)) else {
                continue;
            };
            // The first token of the one that is waited for may be late itself.
            let most = first_token * 2;
            let Some(shortest) = of(slowest, 1.0 - USUALLY) else { continue };
            let ends_before = |agent: &str| of(agent, USUALLY).is_some_and(|d| d + most <= shortest);
            let others = siblings.iter().copied().filter(|agent| *agent != slowest);
            let early = others.filter(|agent| ends_before(agent));
            waits.extend(early.map(|agent| (agent.to_owned(), slowest.to_owned(), most)));
        }
        Self { waits }
    }

    /// The agent that this one waits for, and the longest it does.
    pub fn of(&self, agent: &str) -> Option<(&str, Duration)> {
        let (_, first, most) = self.waits.iter().find(|(waits, ..)| waits == agent)?;
        Some((first, *most))
    }

    /// How many agents wait.
    pub fn len(&self) -> usize {
        self.waits.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(runs: usize, seconds: &[(&str, u64)]) -> Durations {
        let mut durations = Durations::default();
        for run in 0..runs {
            // Up to two seconds more or less.
            let jitter = [0, 2, 4, 1, 3][run % 5];
            let took = |s: u64| Duration::from_secs(s + jitter - 2);
            seconds.iter().for_each(|(agent, s)| durations.observe(agent, took(*s)));
        }
        durations
    }

    #[test]
    fn only_who_is_nearly_always_faster_waits() {
        let of = |runs, seconds: &[(&str, u64)]| {
            let groups = [vec!["one", "two"], vec!["a", "b", "c"]];
            Stagger::new(groups, &history(runs, seconds), Duration::from_secs(2))
        };
        assert_eq!(of(0, &[]), Stagger::default());
        let seconds = [("one", 20), ("two", 10), ("a", 15), ("b", 14), ("c", 5)];
        assert_eq!(of(7, &seconds), Stagger::default(), "too few runs");
        let some = of(8, &seconds);
        assert_eq!(some.of("two"), Some(("one", Duration::from_secs(4))));
        assert_eq!((some.of("one"), some.of("b"), some.len()), (None, None, 2));
        assert_eq!(some.of("c").map(|(first, _)| first), Some("a"));
        // A slow run of the one ends with a fast run of the other, less the wait.
        let close = of(32, &[("one", 20), ("two", 13), ("a", 9), ("b", 9)]);
        assert_eq!(close, Stagger::default());
    }
}
