//! How long the way to the end is from each role on.

use std::{collections::BTreeMap, time::Duration};

use crate::{Role, cast::Order};

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

/// What each of the roles and all behind it on the longest way take together; `usual` holds what one role takes.
pub fn ways(roles: &[Role], order: Order, usual: &BTreeMap<Role, Duration>) -> BTreeMap<String, Duration> {
    let of = |role: &Role| way(*role, order).iter().filter_map(|role| usual.get(role)).sum();
    roles.iter().map(|role| (role.name().to_owned(), of(role))).collect()
}
