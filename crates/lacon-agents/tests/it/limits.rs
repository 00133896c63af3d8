//! Lengths under limits of tokens, money and time, and who waits for whose first token.

use std::time::Duration;

use lacon_agents::{
    Optimization, Optimizations, Plan, Settings, Team,
    plan::{Limits, choices::Form, plan, within},
    shipped::SHIPPED,
    stages::stages,
};
use lacon_llm::Request;
use lacon_runtime::DurationsFile;
use serde_json::json;

use super::support::{asked, done, inputs, scripted, team};

const CHAIN: &str = r#"
models = { quick = "gpt-4o-mini", deep = "gpt-4o" }
[[agent]]
name = "first"
words = 400
prompt = "Write about tides."
[[agent]]
name = "second"
reads = ["first"]
words = 400
prompt = "Criticize it."
[[agent]]
name = "exact"
reads = ["first"]
words = 300
strict = true
prompt = "Count the words."
[[agent]]
name = "last"
reads = ["second", "exact"]
words = 400
prompt = "Write the result."
"#;

fn planned(team: &Team, on: &Optimizations, limits: Limits) -> Plan {
    let encoding = lacon_tokens::for_model("gpt-4o").encoding;
    within(team, &stages(team).unwrap(), &inputs(team, &[]), on, encoding, limits)
}

fn words(plan: &Plan) -> Vec<u32> {
    plan.agents.iter().map(|agent| agent.words).collect()
}

#[test]
fn limits_shorten_answers_and_a_strict_one_keeps_its_length() {
    let team = team(CHAIN);
    let on = Optimizations::all();
    let free = planned(&team, &on, Limits::default());
    assert_eq!(words(&free), [400, 400, 300, 400]);
    let wide = Limits { tokens: Some(free.expected.tokens() * 2), ..Limits::default() };
    assert_eq!(planned(&team, &on, wide), free, "a wide limit changes nothing");
    let checks: [fn(&Plan) -> Limits; 3] = [
        |free| Limits { tokens: Some(free.expected.tokens() * 80 / 100), ..Limits::default() },
        |free| Limits { micro_usd: free.expected.micro_usd.map(|usd| usd * 80 / 100), ..Limits::default() },
        |free| Limits {
            time: Some(Duration::from_secs_f64(free.expected.seconds * 0.8)),
            ..Limits::default()
        },
    ];
    for of in checks {
        let limits = of(&free);
        let plan = planned(&team, &on, limits);
        let expected = &plan.expected;
        assert!(limits.tokens.is_none_or(|most| expected.tokens() <= most), "{expected:?} {limits:?}");
        assert!(limits.micro_usd.is_none_or(|most| expected.micro_usd.unwrap() <= most), "{expected:?}");
        assert!(limits.time.is_none_or(|most| expected.seconds <= most.as_secs_f64() + 0.01), "{expected:?}");
        assert_eq!((plan.agents[2].words, plan.over.as_deref()), (300, None));
        assert!(words(&plan) != words(&free), "{limits:?}");
        // The result gives way last.
        assert!(plan.agents[3].words >= plan.agents[0].words.min(plan.agents[1].words), "{:?}", words(&plan));
        // Without its switch, or without word limits, nothing is planned.
        for off in [Optimization::PromptPlan, Optimization::WordLimits] {
            assert_eq!(words(&planned(&team, &on.without(off), limits)), words(&free));
        }
    }
    let least = planned(&team, &on, Limits { tokens: Some(10), ..Limits::default() });
    assert!(least.over.as_ref().is_some_and(|over| over.contains("10")), "{:?}", least.over);
    assert_eq!(words(&least), [180, 180, 300, 180]);
}

#[tokio::test]
async fn the_prompt_states_the_planned_length_and_the_record_says_so() {
    let team = team(CHAIN);
    let free = plan(
        &team,
        &stages(&team).unwrap(),
        &inputs(&team, &[]),
        &Optimizations::all(),
        lacon_tokens::for_model("gpt-4o").encoding,
    );
    let short = scripted(|request: &Request| {
        let limit = asked(request).rsplit("at most ").next().unwrap_or_default().to_owned();
        format!("I was told {limit}")
    });
    let budget_tokens = free.expected.tokens() * 80 / 100;
    let run = done(Settings { budget_tokens, ..Settings::new(team, short) }).await;
    let row = run.record.optimizations["prompt_plan"];
    assert!(row.on && row.times.unwrap() > 0, "{row:?}");
    let told: Vec<String> = ["first", "second", "exact", "last"].map(|a| run.text(a).unwrap()).into();
    assert!(told.iter().any(|text| !text.contains("400") && !text.contains("300")), "{told:?}");
    assert!(told[2].contains("300"), "{told:?}");
}

const READERS: &str = r#"
models = { deep = "gpt-4o" }
[[agent]]
name = "first"
words = 400
strict = true
prompt = "Write about tides."
[[agent]]
name = "second"
title = "Second reader"
reads = ["first"]
words = 60
strict = true
prompt = "Criticize it."
[[agent]]
name = "last"
reads = ["digest:first", "second"]
words = 60
strict = true
prompt = "Write the result."
"#;

fn form(plan: &Plan, reader: usize) -> Option<Form> {
    plan.agents[reader].forms.get("first").copied()
}

#[test]
fn limits_have_texts_read_in_short_and_only_a_view_becomes_a_title() {
    let team = team(READERS);
    let on = Optimizations::all();
    let free = planned(&team, &on, Limits::default());
    assert_eq!((form(&free, 1), form(&free, 2)), (None, None));
    let at = |share: u64| Limits { tokens: Some(free.expected.tokens() * share / 100), ..Limits::default() };
    let plan = planned(&team, &on, at(90));
    assert!(plan.expected.tokens() <= free.expected.tokens() * 90 / 100, "{plan:?}");
    assert_eq!((words(&plan), plan.over.as_ref()), (words(&free), None));
    assert!(form(&plan, 1).is_some() || form(&plan, 2).is_some(), "{plan:?}");
    let least = planned(&team, &on, Limits { tokens: Some(10), ..Limits::default() });
    assert_eq!((form(&least, 1), form(&least, 2)), (Some(Form::Figures), Some(Form::Pointer)));
    let off = planned(&team, &on.without(Optimization::PromptPlan), at(90));
    assert_eq!((form(&off, 1), form(&off, 2)), (None, None));
}

#[tokio::test]
async fn the_prompt_holds_the_planned_form_and_the_record_says_what_it_saved() {
    let team = team(READERS);
    let free = planned(&team, &Optimizations::all(), Limits::default());
    let filler = "It goes on and on about nothing in particular, as such texts do. ".repeat(12);
    let client = scripted(move |request: &Request| match request.tags.role.as_str() {
        "first" => format!("Opening.\n{filler}\nThe tide is 4.2 m.\n{filler}\nOverall it is high."),
        _ => request.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n"),
    });
    let tokens = (60..100).rev().map(|share| free.expected.tokens() * share / 100);
    let both = |plan: &Plan| form(plan, 1).is_some() && form(plan, 2).is_some();
    let planned =
        |tokens| planned(&team, &Optimizations::all(), Limits { tokens: Some(tokens), ..Limits::default() });
    let budget_tokens = tokens.into_iter().find(|tokens| both(&planned(*tokens))).unwrap();
    let run = done(Settings { budget_tokens, ..Settings::new(team.clone(), client) }).await;
    for (agent, reader) in [("second", 1), ("last", 2)] {
        let (form, text) = (form(&planned(budget_tokens), reader).unwrap(), run.text(agent).unwrap());
        assert!(!text.contains("It goes on and on"), "{agent}: {text}");
        assert_eq!(text.contains("The tide is 4.2 m."), form != Form::Pointer, "{agent}: {text}");
        assert_eq!(text.contains("(taken up by Second reader)"), form == Form::Pointer, "{agent}: {text}");
    }
    assert!(run.record.optimizations["prompt_plan"].saved_tokens.unwrap() > 0);
}

/// What the plan promises holds in its own estimate: also where short forms meet short answers.
#[test]
fn limits_that_can_be_held_are_held_by_every_shipped_team() {
    for shipped in SHIPPED {
        let team = shipped.team().unwrap();
        let given = |input: &lacon_agents::team::Input| match input.kind {
            lacon_agents::team::InputKind::List => json!(["one thing", "another thing"]),
            lacon_agents::team::InputKind::Integer => json!(3),
            _ => json!("A text of some length on what is asked about, with 12 figures."),
        };
        let given: Vec<(&str, serde_json::Value)> =
            team.inputs.iter().map(|(name, input)| (name.as_str(), given(input))).collect();
        let (inputs, stages) = (inputs(&team, &given), stages(&team).unwrap());
        let encoding = lacon_tokens::for_model("gpt-4o").encoding;
        let planned = |limits| within(&team, &stages, &inputs, &Optimizations::all(), encoding, limits);
        let free = planned(Limits::default()).expected;
        let mut held = 0;
        for share in (40..100).step_by(3) {
            let limits = Limits {
                tokens: Some(free.tokens() * share / 100),
                micro_usd: free.micro_usd.map(|usd| usd * share / 100),
                ..Limits::default()
            };
            let plan = planned(limits);
            if plan.over.is_none() {
                held += 1;
                // Every count of the estimate is rounded to one.
                let slack = team.agents.len() as u64;
                assert!(
                    plan.expected.tokens() <= limits.tokens.unwrap() + slack,
                    "{} at {share} %",
                    team.name
                );
                assert!(plan.expected.micro_usd <= limits.micro_usd.map(|usd| usd + slack), "{}", team.name);
                // And no more is given up than has to be: less than a tenth of what may be used is left.
                let closest = [
                    plan.expected.tokens() * 100 / limits.tokens.unwrap(),
                    plan.expected.micro_usd.unwrap_or(0) * 100 / limits.micro_usd.unwrap_or(1).max(1),
                ];
                assert!(closest.iter().any(|used| *used >= 90), "{} at {share} %: {closest:?}", team.name);
            }
        }
        assert!(held > 2, "{}: {held}", team.name);
    }
}

/// Every agent reads all before it: 496 texts are read.
#[test]
fn a_team_in_which_everybody_reads_everybody_before_is_planned_under_limits() {
    let agent = |i: usize| {
        let reads: Vec<String> = (0..i).map(|before| format!("\"a{before}\"")).collect();
        format!(
            "[[agent]]\nname = \"a{i}\"\nwords = 100\nprompt = \"Go on.\"\nreads = [{}]\n",
            reads.join(", ")
        )
    };
    let team = team(&(0..32).map(agent).collect::<String>());
    let free = planned(&team, &Optimizations::all(), Limits::default()).expected.tokens();
    let limits = Limits { tokens: Some(free / 2), ..Limits::default() };
    let plan = planned(&team, &Optimizations::all(), limits);
    assert!(plan.over.is_none() && plan.expected.tokens() <= free / 2 + 32, "{:?}", plan.expected);
}

const SIBLINGS: &str = r#"
models = { deep = "gpt-4o" }
[[agent]]
name = "first"
prompt = "Write."
[[agent]]
name = "slow"
reads = ["first"]
prompt = "Slow."
[[agent]]
name = "fast"
reads = ["first"]
prompt = "Fast."
[[agent]]
name = "last"
reads = ["slow", "fast"]
prompt = "Last."
"#;

/// Agents wait only with a history that shows that it costs nothing.
#[tokio::test]
async fn a_fast_sibling_waits_after_eight_runs_and_not_before() {
    waits_with_history(SIBLINGS).await;
}

/// Members of a group that speak at once are siblings as well; the first call of each is what is known of it.
#[tokio::test]
async fn a_fast_member_of_a_group_waits_too() {
    let group = "[group.pair]\nagents = [\"slow\", \"fast\"]\nat = \"once\"\n";
    waits_with_history(&format!("{SIBLINGS}{group}")).await;
}

async fn waits_with_history(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("durations.json");
    let team = team(text);
    let kind = format!("team {}/1", lacon_agents::run::digest(&team));
    for runs in 1..=8 {
        let mut file = DurationsFile::read(path.clone(), kind.clone());
        for (agent, seconds) in [("slow", 30), ("fast", 5)] {
            file.durations.observe(agent, Duration::from_secs(seconds));
        }
        file.write(&Default::default());
        let waits = |optimizations| {
            let history = Some(path.clone());
            let settings =
                Settings { history, optimizations, ..Settings::new(team.clone(), scripted(|_| "x".into())) };
            async { done(settings).await.record.optimizations["stagger"].times }
        };
        if runs == 1 {
            assert_eq!(waits(Optimizations::all()).await, Some(0));
            let observed = DurationsFile::read(path.clone(), kind.clone()).durations;
            assert!(observed.quantile("slow", 0.5, 2).is_some(), "the run itself is the second");
            // The run itself was observed too: its zero seconds must not count here.
            std::fs::remove_file(&path).unwrap();
            let mut file = DurationsFile::read(path.clone(), kind.clone());
            for (agent, seconds) in [("slow", 30), ("fast", 5)] {
                file.durations.observe(agent, Duration::from_secs(seconds));
            }
            file.write(&Default::default());
        }
        if runs == 8 {
            let before = std::fs::read(&path).unwrap();
            assert_eq!(waits(Optimizations::all()).await, Some(1));
            for off in [Optimization::Stagger, Optimization::PrefixLayout] {
                std::fs::write(&path, &before).unwrap();
                assert_eq!(waits(Optimizations::all().without(off)).await, Some(0), "{off}");
            }
        }
    }
}
