//! Twins that differ in one planted cause, which must be named, and in two, which must be called confounded.

use crate::support::compare;
use lacon_monitor::compare::{CauseKind, Comparison, TimeCause, TokenCause};

use crate::support::{Plan, twin};

fn found(change: impl Fn(&mut Plan)) -> Comparison {
    let mut plan = Plan::default();
    change(&mut plan);
    compare(&[twin(&Plan::default())], &[twin(&plan)]).unwrap()
}

fn kinds(c: &Comparison) -> Vec<CauseKind> {
    c.causes.iter().map(|c| c.kind).collect()
}

/// The planted cause is the only one that is named, and its rows carry the difference.
fn check(change: impl Fn(&mut Plan), expected: CauseKind, cause: TimeCause) {
    let found = found(change);
    assert_eq!(kinds(&found), [expected], "{:?}", found.findings);
    assert!(!found.confounded, "{:?}", found.confounded_by);
    let share = found.time.of(cause) / found.delta_s;
    assert!((0.9..1.1).contains(&share), "{expected:?}: {:?}", found.time.by_cause);
}

#[test]
fn nothing_changed() {
    let found = found(|_| ());
    assert!(found.causes.is_empty() && !found.confounded, "{:?}", found.causes);
    assert!(found.findings.last().unwrap().contains("repeat"));
}

#[test]
fn each_planted_cause_is_named() {
    check(|p| p.s_per_token = 0.05, CauseKind::Model, TimeCause::ModelSpeed);
    check(|p| p.first_token_s = 6.0, CauseKind::Model, TimeCause::ModelSpeed);
    check(
        |p| {
            p.s_per_token = 0.05;
            p.model = "o1";
        },
        CauseKind::Model,
        TimeCause::ModelSpeed,
    );
    check(|p| p.length = 2.0, CauseKind::OutputLength, TimeCause::OutputLength);
    check(|p| p.tool_s = 25.0, CauseKind::Tools, TimeCause::Tools);
    check(|p| p.local_s = 4.0, CauseKind::LocalCpu, TimeCause::LocalCpu);
    check(|p| p.gap_s = 3.0, CauseKind::Gaps, TimeCause::Gaps);
}

#[test]
fn a_barrier_is_named() {
    let with = Plan::default();
    // Without equal branches a barrier costs something.
    let without = Plan { barrier: false, ..with.clone() };
    let found = compare(&[twin(&without)], &[twin(&with)]).unwrap();
    let barrier = found.time.of(TimeCause::Barrier);
    assert!((barrier - found.delta_s).abs() < 0.05, "{:?}", found.time.by_cause);
}

#[test]
fn a_calls_removal_is_structure() {
    let found = found(|p| p.judge = false);
    assert!(kinds(&found).contains(&CauseKind::Structure), "{:?}", found.causes);
    assert!((found.time.of(TimeCause::Structure) - found.delta_s).abs() < 0.1);
}

#[test]
fn a_vanished_report_is_named() {
    let found = found(|p| p.market_report = false);
    let vanished = &found.tokens.vanished[0];
    assert_eq!((vanished.text.as_str(), vanished.missing_in), ("market_report", "B"));
    assert!(
        vanished.explains as f64 / found.delta_tokens.unwrap() as f64 > 0.85,
        "{:?}",
        found.tokens.by_cause
    );
    assert!(kinds(&found).contains(&CauseKind::Input));
    assert!(!found.confounded, "{:?}", found.confounded_by);
    // The other way round it appeared.
    let back = compare(&[twin(&Plan { market_report: false, ..Plan::default() })], &[twin(&Plan::default())])
        .unwrap();
    assert_eq!(back.tokens.vanished[0].missing_in, "A");
    assert!(back.tokens.vanished[0].explains > 0);
}

#[test]
fn a_longer_template_is_named() {
    let found = found(|p| p.template = 900);
    assert!(kinds(&found).contains(&CauseKind::PromptTemplate), "{:?}", found.causes);
    assert_eq!(found.tokens.of(TokenCause::PromptTemplate), 4 * 300);
    assert!(!found.confounded);
}

#[test]
fn two_causes_on_the_same_calls_are_confounded() {
    let slow = |p: &mut Plan| {
        p.s_per_token = 0.05;
        p.model = "o1";
    };
    for second in [
        |p: &mut Plan| p.ticker = "OTHER",
        |p: &mut Plan| p.market_report = false,
        |p: &mut Plan| p.template = 1200,
        |p: &mut Plan| p.judge = false,
    ] {
        let found = found(|p| {
            slow(p);
            second(p);
        });
        assert!(kinds(&found).contains(&CauseKind::Model), "{:?}", found.causes);
        assert!(found.confounded, "{:?}", found.causes);
        assert!(found.findings.iter().any(|f| f.starts_with("confounded")));
    }
}

#[test]
fn several_traces_a_side_give_an_interval() {
    let side = |s_per_token: f64| -> Vec<_> {
        (0..4).map(|i| twin(&Plan { s_per_token, jitter: i * 7, ..Plan::default() })).collect()
    };
    let found = compare(&side(0.02), &side(0.03)).unwrap();
    let interval = found.interval_s.as_ref().unwrap();
    assert!(
        interval.significant
            && interval.low > 0.0
            && interval.low < found.delta_s
            && found.delta_s < interval.high
    );
    assert!(found.findings.last().unwrap().contains("Welch"));
    let same = compare(&side(0.02), &side(0.02)).unwrap();
    assert!(!same.interval_s.unwrap().significant);
}

#[test]
fn many_traces_a_side_give_intervals_of_each_node() {
    let side = |slow: f64| -> Vec<lacon_monitor::trace::Trace> {
        (0..5)
            .map(|i| {
                let end = 2.0 + slow + f64::from(i) * 0.01;
                let line = |id: &str, parent: Option<&str>, name: &str, start: f64, end: f64| {
                    serde_json::json!({"trace_id": "t", "span_id": id, "parent_span_id": parent, "name": name, "start_s": start,
                        "end_s": end, "attributes": {}})
                    .to_string()
                };
                let text = [
                    line("r", None, "run", 0.0, end),
                    line("a", Some("r"), "reader", 0.0, 1.0 + f64::from(i) * 0.02),
                    line("b", Some("r"), "writer", 1.1, end),
                ];
                lacon_monitor::trace::read(text.join("\n").as_bytes()).unwrap().remove(0)
            })
            .collect()
    };
    let found = compare(&side(0.0), &side(1.0)).unwrap();
    let [writer, reader] = found.nodes.as_slice() else { panic!("{:?}", found.nodes) };
    assert_eq!((writer.node.as_str(), writer.n_a, writer.n_b), ("writer", 5, 5));
    assert!(
        writer.interval_s.as_ref().unwrap().significant && !reader.interval_s.as_ref().unwrap().significant
    );
    assert!((writer.mean_b_s - writer.mean_a_s - 1.0).abs() < 1e-9);
    assert!(
        found.findings.iter().any(|f| f.starts_with("B is slower: over 5 and 5 traces")),
        "{:?}",
        found.findings
    );
    // No call says its tokens: nothing is claimed of them.
    assert_eq!((found.a.tokens, found.delta_tokens, found.interval_tokens), (None, None, None));
}
