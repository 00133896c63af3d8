//! The run test: facts, the judge, means, early stops.

use lacon_eval::receipts::{self, outcomes};
use lacon_eval::runs::{Judged, Outcome, Pair, compare, holds, is_decided, judge, mean};
use lacon_llm::{BoxFuture, Client, ClientInfo, Error, Request, Response, StreamEvent};

/// A judge with a bias.
struct Judge<F>(F);

impl<F: Fn(&str) -> &'static str + Send + Sync> Client for Judge<F> {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        _: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move { Ok(Response::new("judge", (self.0)(&request.messages[0].content))) })
    }

    fn describe(&self) -> ClientInfo {
        ClientInfo { provider: "test".into(), base_url: String::new(), simulated: true }
    }
}

fn pair(first: &str, second: &str) -> Pair {
    let run = |text: &str, decision: &str, tokens| Outcome {
        decision: Some(decision.into()),
        text: text.into(),
        tokens,
        seconds: 1.0,
        ..Outcome::default()
    };
    Pair {
        case: "c".into(),
        first: run(first, first, 1000),
        second: run(second, second, 400),
        ..Pair::default()
    }
}

#[test]
fn a_fact_is_kept_whole_or_not() {
    for (text, fact, kept) in [
        ("Revenue grew 3.5 % to 12.", "3.5 %", true),
        ("Revenue grew 13.5 %.", "3.5 %", false),
        ("It fell to 12.", "12", true),
        ("It fell to 12.5", "12", false),
        ("It fell to 120", "12", false),
        ("THE  main\nstreet", "the main street", true),
        ("anything", "", false),
    ] {
        assert_eq!(holds(text, fact), kept, "{fact:?} in {text:?}");
    }
}

#[tokio::test]
async fn a_judge_is_asked_in_both_orders() {
    let ask = |judge_by: fn(&str) -> &'static str| async move {
        judge(&Judge(judge_by), "m", "task", &pair("good", "bad")).await.unwrap()
    };
    let good_first = |prompt: &str| prompt.find("good") < prompt.find("bad");
    assert!(good_first("good bad"));
    let by_merit: fn(&str) -> &'static str = |p| if p.find("good") < p.find("bad") { "1" } else { "2." };
    assert_eq!(ask(by_merit).await, Judged::First);
    assert_eq!(ask(|_| "1").await, Judged::Tie, "who always takes the first prefers neither");
    assert_eq!(ask(|_| "tie").await, Judged::Tie);
    assert_eq!(ask(|_| "I like both of them").await, Judged::Nonsense);
    assert_eq!(ask(|_| "").await, Judged::Nonsense);
    // What a judge may say for its word, and what nobody can be certain of.
    for (said, expected) in [
        ("1", Judged::Tie),
        ("**Tie.**", Judged::Tie),
        ("My choice is answer 2, because it is short.", Judged::Tie),
        ("Answer 1 is worse", Judged::Nonsense),
        ("1 is better than 2", Judged::Nonsense),
        ("not 2", Judged::Nonsense),
        ("As an assistant I read both.", Judged::Nonsense),
        ("12", Judged::Nonsense),
        ("", Judged::Nonsense),
    ] {
        let found = judge(&Judge(move |_: &str| said), "m", "task", &pair("good", "bad")).await.unwrap();
        assert_eq!(found, expected, "{said:?}");
    }
    let same =
        judge(&Judge(|_: &str| panic!("equal texts need no judge")), "m", "task", &pair("a", "a")).await;
    assert_eq!(same.unwrap(), Judged::Tie);
}

#[test]
fn pairs_are_compared_and_looked_at_four_times() {
    let mut failed = pair("BUY", "BUY");
    failed.second.failure = Some("no connection".into());
    let pairs: Vec<Pair> =
        (0..30).map(|n| pair("BUY", if n == 0 { "SELL" } else { "BUY" })).chain([failed]).collect();
    let found = compare(&pairs);
    assert_eq!((found.cases, found.failed, found.agreed), (30, (0, 1), (29, 30)));
    let tokens = found.tokens.unwrap();
    assert!([tokens.mean, tokens.low, tokens.high].iter().all(|share| (share - 0.4).abs() < 1e-9));
    assert!(found.money.is_none(), "unknown costs are not compared");
    let same: Vec<Pair> = (0..100).map(|_| pair("BUY", "BUY")).collect();
    assert!(is_decided(&same, 400, 0.9) && !is_decided(&same[..99], 400, 0.9));
    assert!(!is_decided(&same[..2], 8, 0.9), "two cases decide nothing");
    assert!(!is_decided(&[], 0, 0.9));
}

#[test]
fn a_mean_lies_in_its_interval() {
    let spread = mean(&[0.2, 0.4, 0.9, 0.5, 0.3]).unwrap();
    assert!(0.2 <= spread.low && spread.low < spread.mean && spread.mean < spread.high && spread.high <= 0.9);
    assert_eq!(mean(&[]), None);
    assert_eq!(mean(&[f64::NAN]), None);
}

#[test]
fn receipts_are_compared_by_arm() {
    let line = |arm: &str, status: u16, id: usize| {
        format!(
            r#"{{"arm":"{arm}","status":{status},"tokens_before":100,"tokens_after":{},"outcome":"o{id}"}}"#,
            if arm == "control" { 100 } else { 60 }
        )
    };
    let mut lines: Vec<String> = (0..90).map(|n| line("treated", if n < 9 { 500 } else { 200 }, n)).collect();
    lines.extend((90..100).map(|n| line("control", 200, n)));
    lines.extend(["{\"arm\":null}".into(), "no json".into(), String::new()]);
    let told =
        outcomes("{\"id\":\"o1\",\"good\":true}\n{\"id\":\"o95\",\"good\":false}\n{\"id\":3}\nnothing");
    let found = receipts::compare(&lines.join("\n"), &told);
    assert_eq!((found.control.requests, found.treated.requests, found.left_out), (10, 90, 2));
    assert_eq!((found.control.tokens_after, found.treated.tokens_after), (1000, 5400));
    assert_eq!((found.treated.retried, found.treated.refused, found.control.retried), (9, 0, 0));
    let (d, low, high) = found.retried.difference;
    assert!(
        (d - 0.1).abs() < 1e-12 && low < 0.0 && high > 0.1,
        "ten requests rule nothing out: {low} to {high}"
    );
    assert_eq!(
        (found.treated.told, found.treated.good, found.control.told, found.control.good),
        (1, 1, 1, 0)
    );
    let billed =
        r#"{"arm":"control","usage":{"input":10,"cached":5,"cache_write_1h":3,"output":2},"cost_usd":0.25}"#;
    let unpriced = billed.replace("0.25", "null");
    let sums = |lines: &str| receipts::compare(lines, &told).control;
    let arm = sums(&format!("{billed}\n{billed}"));
    assert_eq!((arm.billed, arm.prompt, arm.cached, arm.cache_write, arm.completion), (2, 36, 10, 6, 4));
    assert_eq!((arm.cost_usd, found.control.cost_usd), (Some(0.5), None));
    assert_eq!(sums(&format!("{billed}\n{unpriced}")).cost_usd, None);
    assert_eq!(receipts::compare("", &told).retried.difference, (0.0, -1.0, 1.0));
}
