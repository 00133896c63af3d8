//! What a provider's prompt cache is expected to read and write for a plan.

use lacon_agents::plan::caching::{self, Beginning, Caching};

use super::{Plan, PlanOptions, TOKENS_PER_WORD, share};
use crate::{Role, sections::Form};

/// Tokens that every prompt begins with: the rules, and who it is about.
const OPENING_TOKENS: u64 = 150;

/// Expects the cache's part of each prompt that others begin like; in the order in which the roles speak.
///
/// Lengths are the plan's, so this is an estimate; what a run was billed is compared by `lacon layout` on its tape.
pub fn caching(plan: &Plan, options: &PlanOptions) -> Vec<(Role, Caching)> {
    if !options.optimizations.has("prefix_layout") {
        return Vec::new();
    }
    let tokens = |pieces: &[(Role, Form)]| {
        let one = |(source, form): &(Role, Form)| {
            let words = plan.words.get(source).copied().unwrap_or(0);
            (f64::from(words) * TOKENS_PER_WORD * share(*form)) as u64
        };
        OPENING_TOKENS + pieces.iter().map(one).sum::<u64>()
    };
    let beginning = |role: Role| {
        let shared = options.cast.sections(role, &options.optimizations).into_iter().filter(|s| s.shared);
        let pieces = shared.map(|piece| (piece.source, plan.form(role, piece.source))).collect();
        Beginning { model: options.model(role), pieces }
    };
    let (roles, beginnings): (Vec<Role>, Vec<_>) = options
        .cast
        .roles()
        .into_iter()
        .map(|role| (role, beginning(role)))
        .filter(|(_, beginning)| !beginning.pieces.is_empty())
        .unzip();
    let of = |(i, role): (usize, &Role)| {
        let (before, after) = (&beginnings[..i], &beginnings[i + 1..]);
        Some((*role, caching::caching(&beginnings[i], before, after, tokens)?))
    };
    roles.iter().enumerate().filter_map(of).collect()
}
