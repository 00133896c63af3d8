//! The statistics, each beside a slow way to the same number.

use lacon_eval::stats::{Pairs, Z_95, Z_ERROR, needed, wilson};
use lacon_eval::verdict::Verdict;
use proptest::prelude::*;

fn pairs() -> impl Strategy<Value = Pairs> {
    (1u32..400, 0.0..1.0, 0.0..1.0).prop_map(|(n, a, b)| {
        let lost = (f64::from(n) * a) as u32;
        let won = (f64::from(n - lost) * b) as u32;
        Pairs { n, lost, won }
    })
}

/// How likely the pairs are where a question is lost with chance `q` and the difference is `delta`.
fn likelihood(pairs: Pairs, q: f64, delta: f64) -> f64 {
    let term = |count: u32, p: f64| if count == 0 { 0.0 } else { f64::from(count) * p.max(1e-300).ln() };
    term(pairs.won, q + delta)
        + term(pairs.lost, q)
        + term(pairs.n - pairs.won - pairs.lost, 1.0 - 2.0 * q - delta)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_is_likelier_than_the_closed_form(pairs in pairs(), delta in -0.9..0.9f64) {
        let (low, high) = ((-delta).max(0.0), (1.0 - delta) / 2.0);
        let best = likelihood(pairs, pairs.likeliest_lost(delta), delta);
        for step in 1..400 {
            let q = low + (high - low) * f64::from(step) / 400.0;
            prop_assert!(likelihood(pairs, q, delta) <= best + 1e-6, "q {q} of {pairs:?} at {delta}");
        }
    }

    #[test]
    fn the_interval_holds_what_the_score_test_does_not_rule_out(pairs in pairs()) {
        let (low, high) = pairs.interval(Z_ERROR);
        prop_assert!(-1.0 <= low && low <= pairs.difference() && pairs.difference() <= high && high <= 1.0);
        for step in -200..=200 {
            let delta = f64::from(step) / 201.0;
            let is_in = pairs.score(delta).abs() <= Z_ERROR;
            if (delta - low).abs() > 1e-9 && (delta - high).abs() > 1e-9 {
                prop_assert_eq!(is_in, low < delta && delta < high, "{} in {:?} of {:?}", delta, (low, high), pairs);
            }
        }
    }

    #[test]
    fn wilson_is_the_root_of_its_equation(n in 1u32..2000, share in 0.0..=1.0f64) {
        let right = (f64::from(n) * share) as u32;
        let p = f64::from(right) / f64::from(n);
        let (low, high) = wilson(right, n, Z_95);
        for end in [low, high] {
            // (p − x)² = z² x (1 − x) / n, but at the ends of the range.
            let gap = (p - end).powi(2) - Z_95 * Z_95 * end * (1.0 - end) / f64::from(n);
            prop_assert!(gap.abs() < 1e-9 || end == 0.0 || end == 1.0, "{end} of {right}/{n}");
        }
        prop_assert!(low <= p && p <= high);
    }
}

/// The exact chance that pairs of `n` questions get a verdict, over all that can be counted.
fn chance(n: u32, lost: f64, won: f64, margin: f64, verdict: Verdict) -> f64 {
    let logs: Vec<f64> = std::iter::once(0.0)
        .chain((1..=n).scan(0.0, |sum, k| {
            *sum += f64::from(k).ln();
            Some(*sum)
        }))
        .collect();
    let power = |p: f64, k: u32| if k == 0 { 0.0 } else { f64::from(k) * p.ln() };
    let mut sum = 0.0;
    for a in 0..=n {
        for b in 0..=n - a {
            let rest = n - a - b;
            let log = logs[n as usize] - logs[a as usize] - logs[b as usize] - logs[rest as usize]
                + power(lost, a)
                + power(won, b)
                + power(1.0 - lost - won, rest);
            if log > -30.0 && Verdict::of(Pairs { n, lost: a, won: b }, margin) == verdict {
                sum += log.exp();
            }
        }
    }
    sum
}

#[test]
fn false_verdicts_are_as_rare_as_is_said() {
    // The form costs exactly the margin: "proven" would be wrong.
    for (n, lost, won, margin) in
        [(150, 0.10, 0.05, 0.05), (150, 0.06, 0.01, 0.05), (200, 0.03, 0.01, 0.02), (120, 0.15, 0.05, 0.10)]
    {
        let wrong = chance(n, lost, won, margin, Verdict::Proven);
        assert!(wrong < 0.06, "{wrong:.3} with {n} questions, margin {margin}");
    }
    // The form costs nothing: "worse" would be wrong.
    for (n, each) in [(150, 0.05), (150, 0.02), (200, 0.10)] {
        let wrong = chance(n, each, each, 0.02, Verdict::Worse);
        assert!(wrong < 0.06, "{wrong:.3} with {n} questions");
    }
}

#[test]
fn the_number_of_questions_suffices_for_a_verdict() {
    assert_eq!(needed(0.02, 0.0), 133);
    assert_eq!(needed(0.02, 0.1), 1578);
    for (margin, discordant) in [(0.10, 0.10), (0.08, 0.04), (0.10, 0.2)] {
        let n = needed(margin, discordant);
        let reached = chance(n, discordant / 2.0, discordant / 2.0, margin, Verdict::Proven);
        assert!((0.75..0.93).contains(&reached), "{reached:.3} with {n} questions");
    }
    // Not one question less than the least, even where every answer is the same.
    let same = |n| Verdict::of(Pairs { n, lost: 0, won: 0 }, 0.02);
    assert_eq!((same(132), same(133)), (Verdict::Undecided, Verdict::Proven));
    assert_eq!(same(0), Verdict::Undecided);
}

#[test]
fn shares_have_wilsons_interval() {
    // Newcombe 1998, table 1: 81 of 263 and 15 of 148; and both ends.
    let rounded = |right, n| {
        let (low, high) = wilson(right, n, Z_95);
        ((low * 1e4).round() / 1e4, (high * 1e4).round() / 1e4)
    };
    assert_eq!(rounded(81, 263), (0.2553, 0.3662));
    assert_eq!(rounded(15, 148), (0.0624, 0.1605));
    assert_eq!(rounded(0, 20), (0.0, 0.1611));
    assert_eq!(rounded(12, 12), (0.7575, 1.0));
    assert_eq!(wilson(0, 0, Z_95), (0.0, 1.0));
}
