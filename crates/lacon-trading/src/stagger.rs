//! Whether a sibling waits for the first token of another one, so that the provider has their common prefix cached.
//!
//! A wait costs time only where nobody is slower anyway. So a role waits only when earlier runs show that the slowest of
//! its siblings usually ends much later; without history nobody waits.

use std::time::Duration;

use crate::{Role, durations::DurationsFile};

/// Roles that start together with a common prefix.
const SIBLINGS: [&[Role]; 2] = [&[Role::Bull, Role::Bear], &[Role::Risky, Role::Safe, Role::Neutral]];

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
            let known: Vec<(Role, Duration)> = siblings
                .iter()
                .filter_map(|role| Some((*role, durations.durations.expected(role.name())?)))
                .collect();
            let Some((slowest, longest)) = known.iter().copied().max_by_key(|(_, d)| *d) else { continue };
            if known.len() < siblings.len() {
                continue;
            }
            // Twice the wait and a tenth of the whole: medians hide how much single calls differ.
            let spare = first_token * 2 + longest / 10;
            waits.extend(
                known
                    .iter()
                    .filter(|(role, usual)| *role != slowest && *usual + spare <= longest)
                    .map(|(role, _)| (*role, slowest, first_token * 2)),
            );
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

    fn history(seconds: &[(Role, u64)]) -> DurationsFile {
        let mut file = DurationsFile::read(std::path::Path::new("nowhere"), "lacon", 1.0);
        seconds.iter().for_each(|(role, s)| file.durations.observe(role.name(), Duration::from_secs(*s)));
        file
    }

    #[test]
    fn only_who_is_usually_much_faster_waits() {
        let first_token = Duration::from_secs(2);
        let none = Stagger::new(&history(&[]), first_token);
        assert_eq!(none, Stagger::default());
        let some = Stagger::new(
            &history(&[
                (Role::Bull, 20),
                (Role::Bear, 10),
                (Role::Risky, 15),
                (Role::Safe, 14),
                (Role::Neutral, 5),
            ]),
            first_token,
        );
        assert_eq!(some.of(Role::Bear), Some((Role::Bull, Duration::from_secs(4))));
        assert_eq!((some.of(Role::Bull), some.of(Role::Safe)), (None, None));
        assert_eq!(some.of(Role::Neutral).map(|(first, _)| first), Some(Role::Risky));
    }
}
