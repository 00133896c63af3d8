//! `lacon eval run` on the simulator: tape, budget, resume, both kinds of team.

use serde_json::{Value, json};

use crate::support::{Done, Folder};

fn cases(folder: &Folder, n: usize) {
    std::fs::create_dir_all(folder.path().join("cases")).unwrap();
    for i in 0..n {
        let message = format!(
            "Order {} came damaged on day {}, and I was billed {} USD twice.",
            100 + i,
            i + 1,
            30 + i
        );
        let case = json!({"inputs": {"message": message}, "facts": [format!("{}", 100 + i)]});
        folder.write(&format!("cases/{i}.json"), &case.to_string());
    }
}

fn test(folder: &Folder, team: &str, more: &[&str]) -> Done {
    let flags = ["eval", "run", team, "--cases", "cases", "--time-scale", "0", "--json"];
    folder.lacon(&[&flags[..], more].concat())
}

/// All that a pair says but for its time.
fn timeless(done: &Value) -> Vec<Value> {
    let mut pairs = done["pairs"].as_array().unwrap().clone();
    for pair in &mut pairs {
        pair["first"]["seconds"] = json!(0);
        pair["second"]["seconds"] = json!(0);
    }
    pairs
}

#[test]
fn a_tape_plays_a_whole_test_for_nothing() {
    let folder = Folder::new();
    cases(&folder, 2);
    let first =
        test(&folder, "triage", &["--llm", "sim", "--tape", "calls.tape", "--record", "--out", "a"]).json();
    assert_eq!(first["comparison"]["cases"], 2, "{first:#}");
    // Also with a budget of nothing: no call is made.
    let again =
        test(&folder, "triage", &["--tape", "calls.tape", "--out", "b", "--budget-tokens", "1"]).json();
    assert_eq!(timeless(&first), timeless(&again));
    let other = test(&folder, "review", &["--tape", "calls.tape", "--out", "c"]);
    assert_ne!(other.code, 0, "{}", other.out);
}

#[test]
fn a_budget_ends_a_test_that_goes_on_later() {
    let folder = Folder::new();
    cases(&folder, 3);
    let whole = test(&folder, "triage", &["--llm", "sim", "--out", "whole"]).json();
    let pair = &whole["pairs"][0];
    let of_one = pair["first"]["tokens"].as_u64().unwrap() + pair["second"]["tokens"].as_u64().unwrap();
    let recorded = ["--llm", "sim", "--tape", "calls.tape", "--record", "--out", "parts"];
    // Enough for one case and a half.
    let budget = (of_one * 3 / 2).to_string();
    let part = test(&folder, "triage", &[&recorded[..], &["--budget-tokens", &budget]].concat());
    assert_eq!(part.code, 0, "{}", part.err);
    assert!(part.err.contains("the budget is used up after 1 of 3 cases"), "{}", part.err);
    assert_eq!(part.json()["budget_used_up"], true);
    let rest = test(&folder, "triage", &recorded).json();
    assert_eq!((timeless(&rest), &rest["budget_used_up"]), (timeless(&whole), &json!(false)));
    // The tape holds what both commands asked.
    let played = test(&folder, "triage", &["--tape", "calls.tape", "--out", "played"]).json();
    assert_eq!(timeless(&played), timeless(&whole));
}

#[test]
fn the_trading_team_is_a_team_too() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().join("cases")).unwrap();
    folder.write(
        "cases/crcl.json",
        r#"{"inputs": {"ticker": "CRCL", "date": "2025-07-30"}, "facts": ["CRCL"]}"#,
    );
    let recorded = ["--llm", "sim", "--tape", "calls.tape", "--record"];
    let both = test(&folder, "trading", &recorded).json();
    let (first, second) = (&both["pairs"][0]["first"], &both["pairs"][0]["second"]);
    assert_eq!((&both["arms"], &both["comparison"]["cases"]), (&json!(["baseline", "lacon"]), &json!(1)));
    assert!(second["tokens"].as_u64() < first["tokens"].as_u64(), "{both:#}");
    assert!(first["decision"].is_string() && !second["text"].as_str().unwrap().is_empty(), "{both:#}");
    let played = test(&folder, "trading", &["--tape", "calls.tape", "--out", "b"]).json();
    assert_eq!(timeless(&both), timeless(&played));
    let without = test(&folder, "trading", &["--llm", "sim", "--ablate", "digests"]).json();
    assert_eq!(without["arms"][0], "lacon without digests");
    assert!(without["pairs"][0]["first"]["tokens"].as_u64() > second["tokens"].as_u64(), "{without:#}");
    folder.write("cases/more.json", r#"{"inputs": {"ticker": "CRCL", "message": "m"}}"#);
    test(&folder, "trading", &["--llm", "sim"]).fails(2, "\"message\" is no input of the trading team");
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let folder = Folder::new();
    cases(&folder, 1);
    for (args, said) in [
        (
            &["--llm", "sim", "--budget-usd", "1", "--quick-model", "house-7b"][..],
            "\"house-7b\" has no known price",
        ),
        (&["--llm", "sim", "--compare", "baseline,none"], "unknown arm \"none\""),
        (&["--llm", "sim", "--ablate", "nothing"], "nothing"),
        (&["--tape", "none.tape"], "none.tape"),
        (&["--base-url", "http://127.0.0.1:9/v1"], "name a server: --tool"),
    ] {
        let done = test(&folder, "triage", args);
        assert!(done.code != 0 && done.err.contains(said), "{args:?}: {} {}", done.code, done.err);
    }
    // A dead endpoint is no arm's failure: nothing is kept of its case.
    folder.write("cases/0.json", r#"{"question": "Shall we move?"}"#);
    let dead = test(&folder, "debate", &["--base-url", "http://127.0.0.1:9/v1", "--out", "dead"]);
    dead.fails(3, "finished cases are kept; the same command goes on from there");
    assert_eq!(std::fs::read_to_string(folder.path().join("dead/eval/run-debate/pairs.jsonl")).unwrap(), "");
}
