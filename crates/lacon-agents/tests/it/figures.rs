//! No figure is lost on its way: word limits give way to figures, and records stand under the result as they are.

use std::sync::{Arc, Mutex};

use lacon_agents::{Finished, Optimizations, Settings};
use lacon_monitor::facts::numerals;
use serde_json::json;

use crate::support::{asked, done, faults, inputs, scripted, settings, team};

const FIGURES: usize = 60;

/// The word limit that each agent is told, by name. The input states sixty figures, and so does every answer.
async fn told(agents: &str) -> Vec<(String, u32)> {
    let limits = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&limits);
    let client = scripted(move |request| {
        let asked = asked(request);
        let name = asked.rsplit_once("You are ").and_then(|(_, rest)| rest.split_once('.')).unwrap().0;
        let limit = asked
            .split_once("at most ")
            .map_or(0, |(_, rest)| rest.split(' ').next().unwrap().parse().unwrap());
        assert_eq!(request.enough.as_ref().map_or(0, |enough| enough.words), limit);
        kept.lock().unwrap().push((name.to_owned(), limit));
        (0..FIGURES).map(|i| format!("Figure {i}.\n")).collect()
    });
    let team = team(&format!("[team]\nname = \"t\"\ninputs = {{ data = \"text\" }}\n{agents}"));
    let data: String = (0..FIGURES).map(|i| format!("It is {i}.\n")).collect();
    let inputs = inputs(&team, &[("data", json!(data))]);
    done(Settings { inputs, ..Settings::new(team, client) }).await;
    let limits = limits.lock().unwrap().clone();
    limits
}

fn agent(name: &str, rest: &str) -> String {
    format!("[[agent]]\nname = \"{name}\"\nprompt = \"do {name}\"\nwords = 50\n{rest}\n")
}

#[tokio::test]
async fn a_limit_gives_way_where_an_answer_alone_hands_figures_on() {
    let has = |name: &str, limit: u32| (name.to_owned(), limit);
    // The result hands on what it reads whole, and who stands between the input and the result too.
    let chain = agent("a", "reads = [\"input:data\"]") + &agent("b", "reads = [\"a\"]");
    assert_eq!(told(&chain).await, [has("a", 300), has("b", 300)]);
    // Whoever reads the same text needs nobody who hands its figures on.
    let beside = agent("a", "reads = [\"input:data\"]") + &agent("b", "reads = [\"input:data\", \"a\"]");
    assert_eq!(told(&beside).await, [has("a", 50), has("b", 300)]);
    // What may be read in short need not be handed on whole.
    let short = agent("a", "reads = [\"input:data\"]\nstrict = true") + &agent("b", "reads = [\"digest:a\"]");
    assert_eq!(told(&short).await, [has("a", 50), has("b", 50)]);
}

#[tokio::test]
async fn a_limit_never_grows_past_the_longest_free_answers() {
    let team = team(
        "[team]\nname = \"t\"\ninputs = { data = \"text\" }\n[[agent]]\nname = \"a\"\nprompt = \"{data}\"\nwords = 9\n",
    );
    let data: String = (0..5_000).map(|i| format!("{i} ")).collect();
    let client = scripted(|request| {
        assert_eq!(request.enough.as_ref().unwrap().words, 420);
        "1".into()
    });
    let inputs = inputs(&team, &[("data", json!(data))]);
    done(Settings { inputs, ..Settings::new(team, client) }).await;
}

async fn shipped(name: &str, given: &[(&'static str, serde_json::Value)], on: Optimizations) -> Finished {
    let team = lacon_agents::shipped::find(name).unwrap().team().unwrap();
    done(Settings { optimizations: on, ..settings(team, given) }).await
}

#[tokio::test]
async fn shipped_teams_state_with_optimizations_what_they_state_without() {
    let documents: Vec<String> = (0..60)
        .map(|i| format!("Name: Customer {i}; Amount: {}.25; Subject: order {}", i * 7, 4_000 + i))
        .collect();
    let change: String = (0..40)
        .map(|i| format!("@@ -{},4 +{},5 @@\n+let limit = {};\n", i * 10, i * 10, i * 7 + 3))
        .collect();
    let cases =
        [("extract", vec![("documents", json!(documents))]), ("review", vec![("change", json!(change))])];
    for (name, given) in cases {
        let none = shipped(name, &given, Optimizations::none()).await;
        let all = shipped(name, &given, Optimizations::all()).await;
        let all = all.result().unwrap();
        let lost: Vec<&str> =
            numerals(none.result().unwrap()).filter(|n| !numerals(all).any(|other| other == *n)).collect();
        assert!(lost.is_empty(), "{name}: {lost:?}\n{all}");
    }
}

#[tokio::test]
async fn records_stand_under_the_result() {
    let given = [("documents", json!((0..40).map(|i| format!("Amount: {i}.75")).collect::<Vec<_>>()))];
    let finished = shipped("extract", &given, Optimizations::all()).await;
    let result = finished.result().unwrap();
    let (_, records) = result.split_once("## reader\n```json\n").unwrap();
    let records: Vec<serde_json::Value> = serde_json::from_str(records.trim_end_matches("\n```")).unwrap();
    assert_eq!(records.len(), 40);
    assert_eq!(records[39]["amount"], 39.75);
}

#[test]
fn what_cannot_be_attached_is_a_fault() {
    let one = |attach: &str| {
        faults(&format!(
            "[team]\nname = \"t\"\nattach = [\"{attach}\"]\n[[agent]]\nname = \"a\"\nprompt = \"x\"\n"
        ))
    };
    assert!(one("b").contains("\"b\" is no agent"));
    assert!(one("a").contains("writes the result itself"));
}
