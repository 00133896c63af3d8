//! Room for figures: a word limit gives way where an answer alone hands figures on.
//!
//! The figures of what an agent reads whole reach a reader by its answer, unless every reader has the same text. The
//! result has no reader in the team, so it always hands them on.

use std::collections::BTreeSet;

use lacon_monitor::facts::numerals;

use crate::{
    Inputs,
    team::{Agent, Read, Team},
    template,
};

/// Words that state one figure and what it is of.
const WORDS_PER_FIGURE: usize = 5;
/// The longest that a limit becomes: as long as the longest recorded answers without one.
const MOST_WORDS: u32 = 420;

/// The word limit of an answer that has to hold so many figures.
pub(crate) fn words(agent: &Agent, usual: u32, figures: usize) -> u32 {
    let needed = u32::try_from(figures * WORDS_PER_FIGURE).unwrap_or(MOST_WORDS).min(MOST_WORDS);
    if agent.strict || usual == 0 { usual } else { usual.max(needed) }
}

/// Whether figures of what an agent reads get to the user, or to one of its readers, by its answer alone.
pub(crate) fn hands_on(team: &Team, agent: &Agent, read: Read<'_>) -> bool {
    if matches!(read, Read::Digest(_)) {
        return false;
    }
    if team.result_agent().is_some_and(|result| result.name == agent.name) {
        return !read.agent().is_some_and(|name| team.attach.iter().any(|attached| attached == name));
    }
    let reads_it = |other: &&Agent| other.read().any(|r| r.agent() == Some(&agent.name));
    team.agents.iter().filter(reads_it).any(|reader| !has(reader, read))
}

/// Whether an agent has a text whole: it reads it, or the input stands in its prompt.
fn has(agent: &Agent, read: Read<'_>) -> bool {
    agent.read().any(|own| own == read)
        || matches!(read, Read::Input(name) if template::names(&agent.prompt).iter().any(|own| own == name))
}

/// The figures of the inputs that an agent hands on: those that it reads whole, and those in its prompt.
pub(crate) fn given(team: &Team, inputs: &Inputs, agent: &Agent) -> BTreeSet<String> {
    let read = agent
        .read()
        .filter_map(|read| if let Read::Input(name) = read { Some(name.to_owned()) } else { None });
    let names = read.chain(template::names(&agent.prompt));
    let handed_on = names.filter(|name| hands_on(team, agent, Read::Input(name)));
    handed_on.filter_map(|name| inputs.text(&name)).flat_map(numerals).map(str::to_owned).collect()
}
