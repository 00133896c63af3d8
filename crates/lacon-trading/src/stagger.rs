//! Whether a sibling waits for the first token of another one, so that the provider has cached their common prefix.
//!
//! A wait costs time unless somebody is slower anyway. So a role waits only if at least eight earlier runs show that,
//! even when it is slow and its slowest sibling fast, the sibling ends later. Without that history nobody waits.
//! Medians of a few runs do not suffice: they made siblings wait by chance and lost 2 to 4 of 90 s.

use std::time::Duration;

use crate::{Role, durations::DurationsFile};

/// Roles that start together with a common prefix.
const SIBLINGS: [&[Role]; 2] = [&[Role::Bull, Role::Bear], &[Role::Risky, Role::Safe, Role::Neutral]];

/// Runs that are known before anybody waits.
const LEAST_RUNS: usize = 8;
/// In how many runs a role takes no longer than what is reckoned with, and the slowest no shorter.
const USUALLY: f64 = 0.9;

/// Who waits for whom, and the longest it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stagger {
    waits: Vec<(Role, Role, Duration)>,
}

impl Stagger {
    /// Decides from earlier runs. `first_token` is how long a first token usually takes.
    pub fn new(durations: &DurationsFile, first_token: Duration) -> Self {
        let mut waits = Vec::new();
        for siblings in SIBLINGS {
            let of = |role: Role, share| durations.durations.quantile(role.name(), share, LEAST_RUNS);
            let known: Option<Vec<(Role, Duration)>> =
                siblings.iter().map(|role| Some((*role, of(*role, 0.5)?))).collect();
            let Some((slowest, _)) = known.and_then(|all| all.into_iter().max_by_key(|(_, d)| *d)) else {
                continue;
            };
            // The first token of the one that is waited for may be late itself.
            let most = first_token * 2;
            let Some(shortest) = of(slowest, 1.0 - USUALLY) else { continue };
            let ends_before = |role: Role| of(role, USUALLY).is_some_and(|d| d + most <= shortest);
            let others = siblings.iter().copied().filter(|role| *role != slowest);
            waits.extend(others.filter(|role| ends_before(*role)).map(|role| (role, slowest, most)));
        }
        Self { waits }
    }

    /// The role that this one waits for, and the longest it does.
    pub fn of(&self, role: Role) -> Option<(Role, Duration)> {
        self.waits.iter().find(|(waits, ..)| *waits == role).map(|(_, first, most)| (*first, *most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(runs: usize, seconds: &[(Role, u64)]) -> DurationsFile {
        let mut file = DurationsFile::read(std::path::Path::new("nowhere"), "lacon", 1.0);
        for run in 0..runs {
            // Up to two seconds more or less.
            let jitter = [0, 2, 4, 1, 3][run % 5];
            let took = |s: u64| Duration::from_secs(s + jitter - 2);
            seconds.iter().for_each(|(role, s)| file.durations.observe(role.name(), took(*s)));
        }
        file
    }

    #[test]
    fn only_who_is_nearly_always_faster_waits() {
        let first_token = Duration::from_secs(2);
        let of = |runs, seconds: &[(Role, u64)]| Stagger::new(&history(runs, seconds), first_token);
        assert_eq!(of(0, &[]), Stagger::default());
        let seconds =
            [(Role::Bull, 20), (Role::Bear, 10), (Role::Risky, 15), (Role::Safe, 14), (Role::Neutral, 5)];
        assert_eq!(of(7, &seconds), Stagger::default(), "too few runs");
        let some = of(8, &seconds);
        assert_eq!(some.of(Role::Bear), Some((Role::Bull, Duration::from_secs(4))));
        assert_eq!((some.of(Role::Bull), some.of(Role::Safe)), (None, None));
        assert_eq!(some.of(Role::Neutral).map(|(first, _)| first), Some(Role::Risky));
        // A slow run of the one ends with a fast run of the other, less the wait.
        let close = of(32, &[(Role::Bull, 20), (Role::Bear, 13), (Role::Risky, 9), (Role::Safe, 9)]);
        assert_eq!(close, Stagger::default());
    }
}
