use lacon_prompt::budget::{Amount, Level, Limits, MicroUsd, OnExceed, Spending};
use lacon_prompt::response::{
    ROLE_LIMITS, cut_at_sentence, expected_tokens, max_tokens_for, missing_sections, role_limit,
    word_limit_line,
};
use lacon_tokens::EncodingName;

#[test]
fn every_limit_line_has_at_most_25_tokens() {
    let encoding = lacon_tokens::encoding(EncodingName::O200kBase);
    for limit in &ROLE_LIMITS {
        let line = word_limit_line(limit);
        assert!(encoding.count(&line) <= 25, "{line}");
    }
}

#[test]
fn max_tokens_leave_room_for_the_words() {
    assert_eq!(max_tokens_for(300), 693);
    assert!(ROLE_LIMITS.iter().all(|limit| max_tokens_for(limit.words) > limit.words * 2));
}

#[test]
fn sections_are_found_at_word_starts() {
    assert_eq!(missing_sections("the threshold is high", &[&["hold"]]), ["hold"]);
    assert!(missing_sections("**HOLD**", &[&["hold"]]).is_empty());
    assert!(!missing_sections("nothing", role_limit("market").sections).is_empty());
}

#[test]
fn expectations_come_from_the_ninetieth_percentile() {
    let limit = role_limit("trader");
    assert_eq!(expected_tokens(&[100, 100], limit).samples, 0);
    let history: Vec<usize> = (1..=10).map(|n| n * 10).collect();
    assert_eq!(expected_tokens(&history, limit).tokens, 90);
}

#[test]
fn a_cut_ends_at_a_sentence_and_keeps_the_decision() {
    let text = "One two three four five. Six seven eight nine ten. Eleven twelve.";
    let cut = cut_at_sentence(text, 10);
    assert_eq!(cut.text, "One two three four five. Six seven eight nine ten.");
    assert_eq!(cut.words_over, 2);
    let text = "One two three four five. Six seven eight nine ten. Final decision: SELL";
    assert_eq!(cut_at_sentence(text, 10).text, text);
    assert_eq!(cut_at_sentence("a 1.5 b", 10).text, "a 1.5 b");
}

#[test]
fn reservations_count_at_every_level() {
    let mut spending = Spending::new(Limits { cost: Some(MicroUsd(500)), ..Limits::tokens(1_000) });
    let run = spending.run();
    let a = spending.open(run, Level::Agent, "a", Limits::tokens(800));
    let b = spending.open(run, Level::Agent, "b", Limits::tokens(800));
    let first = spending.reserve(a, Amount::tokens(700), "call").expect("fits");
    assert!(!first.warnings.is_empty());
    let refused = spending.reserve(b, Amount::tokens(400), "call").expect_err("run is full");
    assert_eq!(
        (refused.scope.as_str(), refused.needed, refused.limit, refused.excess),
        ("run", 1_100, 1_000, 100)
    );
    assert_eq!(refused.to_string().lines().next(), Some("run needs 1100 tokens, budget is 1000"));
    assert_eq!(spending.reserve(a, Amount::tokens(700), "call").expect("same key").id, first.id);
    assert_eq!(spending.reserved(run).tokens, 700);
    spending.commit(first.id, Amount { tokens: 500, cost: MicroUsd(400) });
    spending.commit(first.id, Amount::tokens(500));
    spending.release(first.id);
    assert_eq!((spending.spent(run).tokens, spending.reserved(run).tokens), (500, 0));
    assert_eq!(spending.left(b), Some(500));
    let refused =
        spending.reserve(b, Amount { tokens: 1, cost: MicroUsd(101) }, "money").expect_err("too dear");
    assert_eq!(refused.unit, "micro-dollars");
    assert_eq!(spending.projected(1, 13), Some(6_500));
}

#[test]
fn a_released_key_can_be_reserved_again() {
    let mut spending = Spending::new(Limits { on_exceed: OnExceed::Warn, ..Limits::tokens(10) });
    let run = spending.run();
    let first = spending.reserve(run, Amount::tokens(50), "k").expect("only warns");
    assert_eq!(first.warnings.len(), 1);
    spending.release(first.id);
    let second = spending.reserve(run, Amount::tokens(5), "k").expect("fits");
    assert_ne!(first.id, second.id);
}
