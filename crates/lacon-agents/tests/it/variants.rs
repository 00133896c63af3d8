//! Profiles that change a team, decisions that others stand in for, prompts that begin alike, and what answers speak of.

use std::sync::{Arc, Mutex};

use lacon_agents::{Settings, run};

use crate::support::{asked, done, faults, inputs, scripted, team};

const TEAM: &str = r#"
[team]
name = "t"
result = "b"
rules = "You are one of two."
decision = { agent = "b", values = ["yes", "no"], stand_ins = ["a"] }
prefixes = [["b", "c"]]

[[agent]]
name = "a"
title = "First voice"
states = "FIRST"
prompt = "speak"

[[agent]]
name = "c"
reads = ["a"]
prompt = "look"

[[agent]]
name = "b"
reads = ["a", "c"]
covers = ["Risk|danger", "Price"]
states = "LAST"
prompt = "decide"

[profile.other]
agents = ["a", "d", "b"]
decision = { agent = "b", values = ["buy", "keep"] }

[profile.other.agent.b]
reads = ["d"]
covers = []
states = "choice"
output = { json = '{"type": "object", "properties": {"choice": {"type": "string"}}}' }

[profile.other.agent.d]
reads = ["a"]
prompt = "stand between"

[profile.other.group.talk]
agents = ["a"]
rounds = 2
"#;

#[test]
fn a_profile_changes_agents_order_groups_and_the_decision() {
    let team = team(TEAM);
    let other = team.varied(&team.profiles["other"]).unwrap();
    let names: Vec<&str> = other.agents.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(names, ["a", "d", "b"]);
    let b = other.agent("b").unwrap();
    assert_eq!((b.prompt.as_str(), b.reads[0].as_str(), b.states.as_str()), ("decide", "d", "choice"));
    assert_eq!((other.groups["talk"].most(), other.decision.unwrap().values.len()), (2, 2));
}

#[test]
fn faults_of_a_profile_are_named_with_it() {
    for (from, to, expected) in [
        (
            "reads = [\"d\"]",
            "reads = [\"e\"]",
            "profile \"other\": agent \"b\" reads \"e\", which is no agent",
        ),
        ("agents = [\"a\", \"d\", \"b\"]", "agents = [\"a\", \"x\"]", "profile \"other\": \"x\" is no agent"),
        ("covers = []", "words = \"many\"", "profile \"other\": invalid type: string \"many\""),
        (
            "covers = []",
            "wrods = 3",
            "key \"wrods\" of profile.other.agent.b is unknown\nhint: did you mean \"words\"?",
        ),
        ("stand_ins = [\"a\"]", "stand_ins = [\"c\"]", "stand_ins: agent \"c\" states no value"),
        ("[[\"b\", \"c\"]]", "[[\"b\", \"z\"]]", "prefixes: \"z\" is no agent"),
    ] {
        assert!(TEAM.contains(from), "{from}");
        let found = faults(&TEAM.replacen(from, to, 1));
        assert!(found.contains(expected) && found.contains("t.toml:"), "{from}: {found}");
    }
}

#[tokio::test]
async fn another_stands_in_for_who_states_no_value_and_is_named() {
    let client = scripted(|request| {
        let text = asked(request);
        match text.split_once("\"FIRST [").and_then(|(_, rest)| rest.split(']').next()) {
            Some(tag) => format!("FIRST [{tag}]: no\nBecause."),
            None => "Risk and price, and no word of it.".into(),
        }
    });
    let team = team(TEAM);
    let finished = done(Settings { inputs: inputs(&team, &[]), ..Settings::new(team, client) }).await;
    let decision = finished.record.decision.unwrap();
    assert_eq!((decision.agent.as_str(), decision.chosen.value.as_str()), ("a", "no"));
}

#[tokio::test]
async fn a_field_of_a_json_answer_states_the_value() {
    let client = scripted(|request| match request.response_format {
        Some(_) => r#"{"choice": "Keep"}"#.into(),
        None => "FIRST [0]: said".into(),
    });
    let team = team(TEAM);
    let other = team.varied(&team.profiles["other"]).unwrap();
    let finished = done(Settings { inputs: inputs(&other, &[]), ..Settings::new(other, client) }).await;
    assert_eq!(finished.record.decision.unwrap().chosen.value, "keep");
}

#[tokio::test]
async fn prompts_begin_alike_and_say_what_to_speak_of() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&sent);
    let client = scripted(move |request| {
        keep.lock().unwrap().push(request.clone());
        "Danger everywhere.".into()
    });
    let team = team(TEAM);
    run(Settings { inputs: inputs(&team, &[]), ..Settings::new(team, client) }).await;
    let sent = sent.lock().unwrap();
    let of = |name: &str| sent.iter().find(|request| request.tags.role == name).unwrap();
    let (b, c) = (of("b"), of("c"));
    assert_eq!(b.messages[..2], c.messages[..2]);
    assert_eq!(b.messages[0].content, "You are one of two.");
    assert!(b.messages[1].content.starts_with("## First voice\n"), "{}", b.messages[1].content);
    assert!(asked(b).contains("## c\n") && asked(b).contains("Cover: Risk; Price."), "{}", asked(b));
    assert!(asked(of("a")).starts_with("You are First voice."));
    // Danger is a risk; of the price nobody spoke, so it is asked for once.
    assert!(sent.iter().any(|request| asked(request).contains("The answer lacks: Price.")));
}
