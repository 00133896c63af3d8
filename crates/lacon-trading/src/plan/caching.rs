//! What a provider's prompt cache is expected to read and write for a plan, by the rule of each role's model.

use lacon_models::{CacheKind, CacheRow, cache_of, plain_name};

use super::{Plan, PlanOptions, TOKENS_PER_WORD};
use crate::{Role, sections::Form};

/// Tokens that every prompt begins with: the rules, and who it is about.
const OPENING_TOKENS: u64 = 150;

/// What one role's first call is expected to read and write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caching {
    /// The role.
    pub role: Role,
    /// The rule of its model.
    pub rule: &'static CacheRow,
    /// Prompt tokens that an earlier role's prompt has left in the cache.
    pub cached: u64,
    /// Prompt tokens that are written for later ones and billed for it.
    pub written: u64,
}

/// Expects the cache's part of each prompt that others begin like; in the order in which the roles speak.
///
/// Lengths are the plan's, so this is an estimate; what a run was billed is compared by `lacon layout` on its tape.
pub fn caching(plan: &Plan, options: &PlanOptions) -> Vec<Caching> {
    if !options.optimizations.has("prefix_layout") {
        return Vec::new();
    }
    let beginning = |role: Role| -> Vec<(Role, Form)> {
        let pieces =
            options.cast.sections(role, &options.optimizations).into_iter().filter(|piece| piece.shared);
        pieces.map(|piece| (piece.source, plan.form(role, piece.source))).collect()
    };
    let tokens = |pieces: &[(Role, Form)]| {
        let one = |(source, form): &(Role, Form)| {
            let words = plan.words.get(source).copied().unwrap_or(0);
            (f64::from(words) * TOKENS_PER_WORD * form.weight().2) as u64
        };
        OPENING_TOKENS + pieces.iter().map(one).sum::<u64>()
    };
    let readers: Vec<(Role, Vec<(Role, Form)>)> = options
        .cast
        .roles()
        .into_iter()
        .map(|role| (role, beginning(role)))
        .filter(|(_, pieces)| !pieces.is_empty())
        .collect();
    let mut all = Vec::new();
    for (i, (role, own)) in readers.iter().enumerate() {
        let model = options.model(*role);
        let Some(rule) = cache_of(&plain_name(model)) else { continue };
        let same_model = |(other, _): &&(Role, Vec<(Role, Form)>)| options.model(*other) == model;
        // The longest beginning that this prompt has in common with one of these.
        let common = |others: &[(Role, Vec<(Role, Form)>)]| {
            let others = others.iter().filter(same_model).map(|(_, pieces)| pieces.clone());
            let n = lacon_runtime::reuse::parts(own, others).last().copied().unwrap_or(0);
            Some(tokens(&own[..n])).filter(|length| n > 0 && *length >= rule.least).unwrap_or(0)
        };
        let cached = common(&readers[..i]);
        let cached = cached - cached % rule.step;
        let paid = rule.kind != CacheKind::Automatic;
        let written = if paid { common(&readers[i + 1..]).saturating_sub(cached) } else { 0 };
        all.push(Caching { role: *role, rule, cached, written });
    }
    all
}
