//! Random teams: the checker never panics, and what it accepts finishes on the simulator.

use std::collections::BTreeMap;

use lacon_agents::{
    Agent, Inputs, Settings, Team,
    check::check,
    file, run,
    team::{Decision, Input, InputKind, Output, Rounds, Says, Speaking, Tool},
};
use proptest::{collection::vec, option, prelude::*};

use crate::support::{sim, tools};

const NAMES: [&str; 6] = ["a", "b", "c", "größe", "", "e f"];
const READS: [&str; 9] = ["a", "b", "c", "digest:a", "digest:b", "input:topic", "input:list", "größe", "x"];
const PROMPTS: [&str; 8] = ["do", "{topic}", "{item}", "{{x}}", "{", "}", "{nothing}", "{größe} {topic} 3"];

fn pick(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    (0..of.len()).prop_map(|i| of[i].to_owned())
}

fn says() -> impl Strategy<Value = Says> {
    (pick(&NAMES), vec(pick(&["yes", "no", "x", ""]), 0..3)).prop_map(|(agent, says)| Says { agent, says })
}

fn output() -> impl Strategy<Value = Output> {
    prop_oneof![
        (pick(&["l", "list", ""]), 0u32..9).prop_map(|(list, most)| Output::List { list, most }),
        Just(Output::Json {
            json: serde_json::json!({"type": "object", "properties": {"k": {"type": "number"}}})
        }),
        Just(Output::Json { json: 3.into() }),
    ]
}

fn agent() -> impl Strategy<Value = Agent> {
    let first = (
        pick(&NAMES),
        pick(&PROMPTS),
        vec(pick(&READS), 0..3),
        pick(&["", "", "", "l", "list", "none"]),
        vec(pick(&["t", "u"]), 0..2),
        any::<bool>(),
    );
    let second = (
        0u32..60,
        vec(pick(&["Answer", "Sources", ""]), 0..2),
        option::weighted(0.2, output()),
        option::weighted(0.2, says()),
        any::<bool>(),
        pick(&["", "", "VERDICT"]),
    );
    (first, second).prop_map(
        |((name, prompt, reads, each, tools, fetch), (words, sections, output, when, optional, states))| {
            let arguments = BTreeMap::from([("q".to_owned(), "{topic}".to_owned())]);
            let prefetch = if fetch && !tools.is_empty() {
                BTreeMap::from([("t".to_owned(), vec![arguments; 2])])
            } else {
                BTreeMap::new()
            };
            Agent {
                name,
                prompt,
                reads,
                each,
                prefetch,
                words,
                covers: sections.clone(),
                sections,
                output,
                when,
                optional,
                more: tools.clone(),
                states,
                tools,
                ..Agent::default()
            }
        },
    )
}

fn rounds() -> impl Strategy<Value = Rounds> {
    (vec(pick(&NAMES), 0..3), any::<bool>(), 0u32..4, option::of(says())).prop_map(
        |(agents, once, rounds, until)| Rounds {
            agents,
            at: if once { Speaking::Once } else { Speaking::Turns },
            rounds,
            until,
        },
    )
}

/// Takes most slips out of a team, so that many of them are accepted; cycles and impossible rounds stay.
fn mended(mut team: Team) -> Team {
    let n = team.agents.len();
    let known = |name: &str| (0..n).any(|i| NAMES[i % 4] == name);
    for (i, agent) in team.agents.iter_mut().enumerate() {
        agent.name = if i < 4 { NAMES[i].into() } else { format!("z{i}") };
        agent.tools.retain(|tool| tool == "t");
        if agent.tools.is_empty() {
            agent.prefetch.clear();
        }
        let mut seen = Vec::new();
        agent.reads.retain(|read| {
            let name = read.trim_start_matches("digest:").to_owned();
            let fits =
                (read.starts_with("input:") || known(&name)) && !seen.contains(&name) && agent.each != "list";
            seen.push(name);
            fits
        });
        agent.each = if agent.each == "list" { "list".into() } else { String::new() };
        if agent.each.is_empty() && agent.prompt.contains("{item}")
            || ["{", "}", "{nothing}"].contains(&agent.prompt.as_str())
        {
            agent.prompt = "{topic}".into();
        }
        agent.sections.retain(|section| !section.is_empty());
        agent.covers.retain(|words| !words.is_empty());
        agent.more.retain(|tool| tool == "t");
        agent.output =
            agent.output.take().filter(|output| matches!(output, Output::Json { json } if json.is_object()));
        if agent.output.is_some() {
            agent.sections.clear();
        }
        agent.when = agent.when.take().filter(|when| known(&when.agent) && when.says == ["yes"]);
    }
    team.decision = team
        .decision
        .take()
        .filter(|decision| decision.values.len() == 2 && decision.values[0] != decision.values[1]);
    let decides = team.decision.is_some();
    team.agents.iter_mut().filter(|_| !decides).for_each(|agent| agent.states.clear());
    if let Some(decision) = &mut team.decision {
        decision.stand_ins.retain(|name| team.agents.iter().any(|a| a.name == *name && !a.states.is_empty()));
    }
    for rounds in team.groups.values_mut().chain(team.loops.values_mut()) {
        rounds.agents.retain(|agent| known(agent));
        rounds.agents.dedup();
        rounds.until =
            rounds.until.take().filter(|until| rounds.agents.contains(&until.agent) && until.says == ["yes"]);
    }
    team.groups.retain(|_, rounds| !rounds.agents.is_empty());
    team.loops.retain(|_, rounds| !rounds.agents.is_empty());
    if !known(&team.result) {
        team.result = String::new();
    }
    team
}

fn team() -> impl Strategy<Value = Team> {
    (any_team(), 0..5).prop_map(|(team, n)| if n == 0 { team } else { mended(team) })
}

fn any_team() -> impl Strategy<Value = Team> {
    let decision = (pick(&NAMES), vec(pick(&["yes", "no"]), 0..3)).prop_map(|(agent, values)| Decision {
        stand_ins: vec![agent.clone()],
        agent,
        values,
    });
    (
        vec(agent(), 0..5),
        option::weighted(0.3, rounds()),
        option::weighted(0.3, rounds()),
        option::weighted(0.2, decision),
        pick(&["", "a", "b"]),
    )
        .prop_map(|(agents, group, looped, decision, result)| Team {
            name: "t".into(),
            inputs: BTreeMap::from([
                ("topic".into(), Input::default()),
                ("größe".into(), Input::default()),
                ("list".into(), Input { kind: InputKind::List, ..Input::default() }),
            ]),
            agents,
            decision,
            result,
            groups: group.map(|rounds| ("g".into(), rounds)).into_iter().collect(),
            loops: looped.map(|rounds| ("o".into(), rounds)).into_iter().collect(),
            tools: vec![Tool {
                name: "t".into(),
                arguments: BTreeMap::from([("q".into(), "what".into())]),
                simulated: true,
                ..Tool::default()
            }],
            ..Team::default()
        })
}

fn finishes(team: Team) {
    let given = [("topic", "trees".into()), ("größe", "big".into()), ("list", serde_json::json!(["x", "y"]))];
    let given =
        given.into_iter().map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value)).collect();
    let inputs = Inputs::new(&team, &given).unwrap();
    let tools = tools(&team);
    let settings = Settings { inputs, tools, ..Settings::new(team.clone(), sim()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let finished = runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(20), run(settings)).await.expect("the run ends")
    });
    // A condition may pass the result over; nothing else keeps a simulated run from its result.
    if let Some(failure) = &finished.failure {
        let text = failure.to_string();
        assert!(text.starts_with("no result") || text.starts_with("no decision"), "{text}\n{team:#?}");
    }
    assert_eq!(finished.record.tokens.total > 0, !finished.record.calls.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accepted_teams_finish(team in team()) {
        if check(&team).is_empty() {
            finishes(team);
        }
    }

    #[test]
    fn any_text_is_a_team_or_has_faults(text in "(\\[\\[?(agent|tool|loop\\.x|team)\\]?\\]\n|(name|prompt|reads|when|inputs) ?= ?(\"[a-z{}ü]{0,4}\"|\\[\"a\"\\]|3|\\{ a = \"x\" \\})\n|.{0,6}){0,12}") {
        let _ = file::parse("t.toml", &text);
    }
}

/// The random teams are no mere rubbish: a share of them is accepted.
#[test]
fn the_random_teams_are_often_sound() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let sound =
        (0..600).filter(|_| check(&team().new_tree(&mut runner).unwrap().current()).is_empty()).count();
    assert!(sound >= 120, "{sound} of 600");
}
