//! The word limit of one answer, with room for the figures that it hands on.

use std::collections::BTreeSet;

use lacon_monitor::facts::numerals;

use super::Material;
use crate::{Optimization, context::Context, room::words, team::Agent};

/// Whether the figures of an agent's answer are counted at all.
pub(crate) fn counts(context: &Context, agent: &Agent) -> bool {
    agent.words > 0 && !agent.strict && agent.output.is_none() && context.has(Optimization::WordLimits)
}

/// The word limit of one answer.
pub(crate) fn limit(
    context: &Context,
    agent: &Agent,
    material: &Material,
    tool_texts: &str,
    item: &str,
) -> u32 {
    let usual = context.ladder.words(&agent.name, agent.words, context.plan.words(agent));
    if !counts(context, agent) {
        return usual;
    }
    let own: BTreeSet<&str> = numerals(tool_texts).chain(numerals(item)).collect();
    let more = own.into_iter().filter(|figure| !material.figures.contains(*figure)).count();
    words(agent, usual, material.figures.len() + more)
}
