//! How long the way to the end is from each role on.

use std::{collections::BTreeMap, time::Duration};

use crate::{Cast, Optimizations, Role};

/// What each of the roles and all that wait for it take together on the longest way; `usual` holds what one role takes.
pub fn ways(
    cast: &Cast,
    roles: &[Role],
    optimizations: &Optimizations,
    usual: &BTreeMap<Role, Duration>,
) -> BTreeMap<String, Duration> {
    let mut ways: BTreeMap<Role, Duration> = BTreeMap::new();
    // Whoever reads a role speaks behind it, so its own way is known before.
    for role in roles.iter().rev() {
        let reads_it = |reader: &&Role| cast.reads(**reader, optimizations).contains(role);
        let longest = roles.iter().filter(reads_it).filter_map(|reader| ways.get(reader)).max();
        let way = longest.copied().unwrap_or_default() + usual.get(role).copied().unwrap_or_default();
        ways.insert(*role, way);
    }
    ways.into_iter().map(|(role, way)| (role.name().to_owned(), way)).collect()
}
