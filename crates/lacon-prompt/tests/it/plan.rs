//! The plan's solver beside trying everything.

use lacon_prompt::budget::MicroUsd;
use lacon_prompt::plan::{Call, Choice, Cost, Group, Limits, PlanError, Prices, Problem, solve};
use proptest::prelude::*;

fn choice(form: &str, worth: u32, tokens: u64, millis: u64) -> Choice {
    Choice { form: form.into(), worth, cost: Cost { tokens, micro_usd: MicroUsd(tokens * 3), millis } }
}

fn call(name: &str, after: &[usize]) -> Call {
    Call {
        name: name.into(),
        after: after.to_vec(),
        fixed: Cost { tokens: 100, micro_usd: MicroUsd(300), millis: 1000 },
    }
}

fn small() -> Problem {
    let forms =
        || vec![choice("full", 1000, 500, 0), choice("digest", 900, 250, 0), choice("figures", 700, 150, 0)];
    let words = || vec![choice("300 words", 1000, 480, 10_000), choice("150 words", 800, 240, 5_000)];
    let group = |call, segment: &str, choices| Group { call, segment: segment.into(), choices };
    Problem {
        calls: vec![call("a", &[]), call("b", &[]), call("c", &[0, 1])],
        groups: vec![
            group(0, "answer", words()),
            group(1, "answer", words()),
            group(2, "a", forms()),
            group(2, "b", forms()),
        ],
        limits: Limits::default(),
        prices: Prices::default(),
    }
}

#[test]
fn without_limits_everything_is_whole() {
    let solution = solve(&small()).unwrap();
    assert_eq!(solution.chosen, [0, 0, 0, 0]);
    assert_eq!(solution.used, Cost { tokens: 2260, micro_usd: MicroUsd(6780), millis: 12_000 });
    assert!(solution.forced.iter().all(|forced| !forced));
}

#[test]
fn a_price_shortens_what_is_worth_least() {
    let prices = Prices { per_1k_tokens: 500, per_second: 0 };
    assert_eq!(solve(&Problem { prices, ..small() }).unwrap().chosen, [0, 0, 1, 1]);
}

#[test]
fn a_deadline_shortens_only_the_chain_that_breaks_it() {
    let limits = Limits { millis: Some(7_000), ..Limits::default() };
    let solution = solve(&Problem { limits, ..small() }).unwrap();
    assert_eq!(solution.chosen, [1, 1, 0, 0]);
    assert_eq!(solution.forced, [true, true, false, false]);
}

#[test]
fn an_impossible_limit_names_the_least_that_works() {
    let limits = Limits { tokens: Some(1000), ..Limits::default() };
    let error = solve(&Problem { limits, ..small() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the run needs at least 1080 tokens, its limit is 1000\nhint: raise --budget-tokens"
    );
    assert!(matches!(error, PlanError::Infeasible { needed: 1080, .. }));
    let limits = Limits { tokens: Some(1080), ..Limits::default() };
    assert_eq!(solve(&Problem { limits, ..small() }).unwrap().chosen, [1, 1, 2, 2]);
}

#[test]
fn a_group_without_a_choice_is_named() {
    let mut problem = small();
    problem.groups[2].choices.clear();
    assert_eq!(solve(&problem).unwrap_err().to_string(), "group \"a\" of call 2 has no choice");
}

fn problems() -> impl Strategy<Value = Problem> {
    let choice = (1u32..1000, 1u64..600, 0u64..9000);
    let group = (0usize..3, prop::collection::vec(choice, 1..4));
    let limits = (
        prop::option::of(400u64..3500),
        prop::option::of(1000u64..12_000),
        prop::option::of(4000u64..40_000),
    );
    (prop::collection::vec(group, 1..8), limits, 0u32..400)
        .prop_map(|(groups, limits, price)| problem(groups, limits, price))
}

/// The call of a group, and its choices: worth, tokens and milliseconds.
type Row = (usize, Vec<(u32, u64, u64)>);
/// Limits of tokens, money and milliseconds.
type Three = (Option<u64>, Option<u64>, Option<u64>);

fn problem(groups: Vec<Row>, (tokens, usd, millis): Three, price: u32) -> Problem {
    Problem {
        calls: vec![call("a", &[]), call("b", &[0]), call("c", &[0])],
        groups: groups
            .into_iter()
            .enumerate()
            .map(|(i, (call, choices))| Group {
                call,
                segment: format!("s{i}"),
                choices: choices.into_iter().map(|(w, t, m)| self::choice("x", w, t, m)).collect(),
            })
            .collect(),
        limits: Limits { tokens, micro_usd: usd.map(MicroUsd), millis },
        prices: Prices { per_1k_tokens: price, per_second: 0 },
    }
}

/// Two limits that pull against each other: single changes and pairs end at two thirds of the best, and the way out is
/// three changes. From the cheapest choices it is the same corner.
#[test]
fn limits_that_pull_against_each_other_may_cost_a_third() {
    let groups = vec![
        (2, vec![(1, 183, 1473)]),
        (0, vec![(435, 436, 5466), (1, 1, 7512)]),
        (2, vec![(1, 256, 5370)]),
        (0, vec![(1, 436, 2735), (2, 265, 7966)]),
        (2, vec![(1, 13, 8664)]),
        (1, vec![(1, 18, 0), (501, 163, 0)]),
        (0, vec![(97, 183, 8420), (101, 326, 5235), (258, 499, 0)]),
    ];
    let problem = problem(groups, (Some(1825), None, Some(34_868)), 28);
    let best = exhaustive(&problem).expect("a plan fits");
    let found = net_of(&problem, &solve(&problem).unwrap());
    assert!(best - found <= best / 3, "{found} of {best}");
}

fn net_of(problem: &Problem, solution: &lacon_prompt::plan::Solution) -> i64 {
    let pairs = problem.groups.iter().zip(&solution.chosen);
    pairs
        .map(|(group, chosen)| {
            let choice = &group.choices[*chosen];
            i64::from(choice.worth) * 1000
                - i64::from(problem.prices.per_1k_tokens) * choice.cost.tokens as i64
        })
        .sum()
}

/// The best net worth of all that fits, by trying everything.
fn exhaustive(problem: &Problem) -> Option<i64> {
    let mut best = None;
    let n: usize = problem.groups.iter().map(|g| g.choices.len()).product();
    for mut code in 0..n {
        let mut tokens = 300;
        let mut usd = 900;
        let mut millis = [1000u64; 3];
        let mut net = 0i64;
        for group in &problem.groups {
            let choice = &group.choices[code % group.choices.len()];
            code /= group.choices.len();
            tokens += choice.cost.tokens;
            usd += choice.cost.micro_usd.0;
            millis[group.call] += choice.cost.millis;
            net += i64::from(choice.worth) * 1000
                - i64::from(problem.prices.per_1k_tokens) * choice.cost.tokens as i64;
        }
        let chain = millis[0] + millis[1].max(millis[2]);
        let fits = problem.limits.tokens.is_none_or(|l| tokens <= l)
            && problem.limits.micro_usd.is_none_or(|l| usd <= l.0)
            && problem.limits.millis.is_none_or(|l| chain <= l);
        if fits {
            best = best.max(Some(net));
        }
    }
    best
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if option_env!("RUN_SLOW_TESTS").is_some() { 20_000 } else { 1500 }))]

    #[test]
    fn limits_hold_and_the_worth_is_near_the_best(problem in problems()) {
        match (solve(&problem), exhaustive(&problem)) {
            (Ok(solution), best) => {
                let limits = problem.limits;
                prop_assert!(limits.tokens.is_none_or(|l| solution.used.tokens <= l));
                prop_assert!(limits.micro_usd.is_none_or(|l| solution.used.micro_usd <= l));
                prop_assert!(limits.millis.is_none_or(|l| solution.used.millis <= l));
                let net = net_of(&problem, &solution);
                let best = best.expect("what fits exists");
                prop_assert!(net <= best);
                // No bound holds for every problem; half is far from the worst that 400,000 of them showed.
                prop_assert!(best - net <= best.abs() / 2 + 50_000, "{net} of {best}");
                prop_assert_eq!(solve(&problem).unwrap(), solution);
            }
            // Greedy relief may miss a plan only where limits pull against each other.
            (Err(PlanError::Infeasible { .. }), best) => {
                let n = [problem.limits.tokens.is_some(), problem.limits.micro_usd.is_some(), problem.limits.millis.is_some()];
                prop_assert!(best.is_none() || n.iter().filter(|l| **l).count() > 1);
            }
            (Err(other), _) => prop_assert!(false, "{other}"),
        }
    }
}
