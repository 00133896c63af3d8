//! What a provider's prompt cache is expected to read and write, by the rule of each call's model.

use lacon_models::{CacheKind, CacheRow, cache_of, plain_name};
use lacon_runtime::reuse::parts;

/// What a call's prompt begins with, in pieces that other prompts may begin with too.
#[derive(Clone, Debug, PartialEq)]
pub struct Beginning<'m, P> {
    /// The model that is asked: caches are kept apart by model.
    pub model: &'m str,
    /// The pieces, in their order.
    pub pieces: Vec<P>,
}

/// What one call is expected to read and write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caching {
    /// The rule of its model.
    pub rule: &'static CacheRow,
    /// Prompt tokens that an earlier call has left in the cache.
    pub cached: u64,
    /// Prompt tokens that are written for later calls and billed for it.
    pub written: u64,
}

/// Expects the cache's part of a prompt from those that are sent before and after it. `tokens` tells the length of a
/// beginning with what stands before the pieces; it is an estimate, for lengths are planned ones. Nothing for a model
/// whose rule is not known.
pub fn caching<'b, 'm: 'b, P: PartialEq + 'b>(
    own: &Beginning<'m, P>,
    before: impl IntoIterator<Item = &'b Beginning<'m, P>>,
    after: impl IntoIterator<Item = &'b Beginning<'m, P>>,
    tokens: impl Fn(&[P]) -> u64,
) -> Option<Caching> {
    let rule = cache_of(&plain_name(own.model))?;
    // The longest beginning that this prompt has in common with one of these.
    let pieces = |other: &'b Beginning<'m, P>| (other.model == own.model).then_some(&other.pieces);
    let common = |parts: Vec<usize>| {
        let n = parts.last().copied().unwrap_or(0);
        Some(tokens(&own.pieces[..n])).filter(|length| n > 0 && *length >= rule.least).unwrap_or(0)
    };
    let cached = common(parts(&own.pieces, before.into_iter().filter_map(pieces)));
    let cached = cached - cached % rule.step;
    let paid = rule.kind != CacheKind::Automatic;
    let later = || common(parts(&own.pieces, after.into_iter().filter_map(pieces)));
    let written = if paid { later().saturating_sub(cached) } else { 0 };
    Some(Caching { rule, cached, written })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin<'m>(model: &'m str, pieces: &str) -> Beginning<'m, char> {
        Beginning { model, pieces: pieces.chars().collect() }
    }

    /// Tokens read and written by a prompt, where each piece has a thousand and what stands before them a hundred.
    fn check(
        own: &Beginning<'_, char>,
        before: &[Beginning<'_, char>],
        after: &[Beginning<'_, char>],
    ) -> (u64, u64) {
        let tokens = |pieces: &[char]| 100 + 1_000 * pieces.len() as u64;
        caching(own, before, after, tokens).map_or((0, 0), |found| (found.cached, found.written))
    }

    #[test]
    fn what_begins_alike_is_read_and_what_is_billed_is_written_once() {
        let automatic = |pieces: &str| begin("gpt-4o", pieces);
        let step = |tokens: u64| tokens - tokens % 128;
        assert_eq!(check(&automatic("abc"), &[automatic("abd"), automatic("axy")], &[]), (step(2_100), 0));
        assert_eq!(check(&automatic("abc"), &[automatic("xbc")], &[automatic("abc")]), (0, 0));
        assert_eq!(check(&automatic("abc"), &[begin("gpt-4o-mini", "abc")], &[]), (0, 0), "another model");
        let paid = |pieces: &str| begin("claude-sonnet-4-5", pieces);
        assert_eq!(check(&paid("abc"), &[], &[paid("abd")]), (0, 2_100));
        assert_eq!(check(&paid("abc"), &[paid("axx")], &[paid("abc")]), (1_100, 2_000));
        assert_eq!(check(&paid("abc"), &[paid("abc")], &[paid("abc")]), (3_100, 0));
        assert_eq!(check(&begin("no such model", "abc"), &[begin("no such model", "abc")], &[]), (0, 0));
    }
}
