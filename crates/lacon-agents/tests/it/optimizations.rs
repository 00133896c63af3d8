//! Each optimization: on which teams it acts, on which it must not, and what its switch changes.

use std::sync::{Arc, Mutex};

use lacon_agents::{
    Optimization, Optimizations, Settings, Team, Tools,
    optimization::Proven,
    plan::{acts_on, plan},
    stages::stages,
};
use lacon_llm::{Request, Response};
use lacon_prompt::passes::PassSet;
use serde_json::{Value, json};

use crate::support::{Scripted, done, inputs, team};

const TOOL: &str = "[[tool]]\nname = \"look\"\narguments = { q = \"what\" }\ncode = true\n";

/// A team for which an optimization has something to do, with the agents on which it acts, and one for which it has not.
fn teams(optimization: Optimization) -> (String, &'static [&'static str], String) {
    let agent =
        |name: &str, rest: &str| format!("[[agent]]\nname = \"{name}\"\nprompt = \"do {name}\"\n{rest}\n");
    let plain = agent("a", "") + &agent("b", "reads = [\"a\"]");
    let fetches = "tools = [\"look\"]\nprefetch = { look = { q = \"x\" } }";
    match optimization {
        Optimization::Prefetch => {
            (agent("a", fetches) + TOOL, &["a"], agent("a", "tools = [\"look\"]") + TOOL)
        }
        Optimization::NoBarrier => {
            let wide = agent("a", "")
                + &agent("b", "")
                + &agent("c", "reads = [\"a\"]")
                + &agent("d", "reads = [\"b\", \"c\"]");
            (wide, &["c"], plain)
        }
        Optimization::WordLimits => (agent("a", "words = 30"), &["a"], plain),
        Optimization::Digests => (agent("a", "") + &agent("b", "reads = [\"digest:a\"]"), &["b"], plain),
        Optimization::PrefixLayout => (
            agent("a", "") + &agent("b", "reads = [\"a\"]") + &agent("c", "reads = [\"a\"]"),
            &["b", "c"],
            plain,
        ),
        Optimization::Lossless => {
            let json = "output = { json = '{\"type\": \"object\", \"properties\": {\"k\": {\"type\": \"number\"}}}' }";
            (agent("a", json) + &agent("b", "reads = [\"a\"]"), &["b"], plain)
        }
        Optimization::SchemaOnce => {
            (agent("a", "output = { json = '{\"type\": \"object\"}' }"), &["a"], plain)
        }
        Optimization::DeadlineLadder => (agent("a", "words = 400"), &["a"], plain),
        Optimization::Stagger => {
            let reads = "reads = [\"a\"]";
            let apart =
                agent("a", "") + &agent("b", reads) + &agent("c", "model = \"gpt-4o\"\nreads = [\"a\"]");
            (agent("a", "") + &agent("b", reads) + &agent("c", reads), &["b", "c"], apart)
        }
        Optimization::PromptPlan => {
            (agent("a", "words = 400"), &["a"], agent("a", "words = 400\nstrict = true"))
        }
        Optimization::Merged => {
            let reads = "reads = [\"a\"]";
            (agent("a", "") + &agent("b", reads) + &agent("c", reads), &["b", "c"], plain)
        }
        Optimization::ToolCache => {
            (agent("a", fetches) + &agent("b", fetches) + TOOL, &["a", "b"], agent("a", fetches) + TOOL)
        }
    }
}

fn acts(team: &Team, optimization: Optimization) -> Vec<String> {
    acts_on(team, &stages(team).unwrap(), &inputs(team, &[]), optimization)
}

#[test]
fn each_acts_where_there_is_something_to_do_and_nowhere_else() {
    for optimization in Optimization::ALL {
        let (with, agents, without) = teams(optimization);
        assert_eq!(acts(&team(&with), optimization), agents, "{optimization}");
        assert!(acts(&team(&without), optimization).is_empty(), "{optimization}");
    }
}

#[test]
fn members_of_a_group_that_speak_at_once_start_together() {
    let reads = |name: &str| format!("[[agent]]\nname = \"{name}\"\nprompt = \"x\"\nreads = [\"a\"]\n");
    let group = |at: &str| {
        format!(
            "[[agent]]\nname = \"a\"\nprompt = \"x\"\n{}{}[group.g]\nagents = [\"b\", \"c\"]\nat = \"{at}\"\n",
            reads("b"),
            reads("c")
        )
    };
    assert_eq!(acts(&team(&group("once")), Optimization::Stagger), ["b", "c"]);
    assert!(acts(&team(&group("turns")), Optimization::Stagger).is_empty());
}

/// A tool in place of a model is told no words, reads no digest and is sent no schema.
#[test]
fn none_acts_on_an_agent_that_a_tool_answers_but_the_one_of_order() {
    for optimization in Optimization::ALL {
        let mut team = team(&(teams(optimization).0 + TOOL.replace("look", "other").as_str()));
        team.agents.iter_mut().for_each(|agent| agent.by = "other".into());
        let acts = acts(&team, optimization);
        assert_eq!(acts.is_empty(), optimization != Optimization::NoBarrier, "{optimization}: {acts:?}");
    }
}

#[test]
fn a_plan_never_says_that_one_costs_tokens() {
    let encoding = lacon_tokens::for_model("gpt-4o").encoding;
    for optimization in Optimization::ALL {
        let team = team(&teams(optimization).0);
        let stages = stages(&team).unwrap();
        let plan = plan(&team, &stages, &inputs(&team, &[]), &Optimizations::all(), encoding);
        for effect in plan.effects {
            assert!(
                effect.tokens >= 0 && (effect.seconds >= -1e-9 || effect.optimization == "merged"),
                "{optimization}: {effect:?}"
            );
            assert!(!effect.acts_on.is_empty() || effect.tokens == 0, "{effect:?}");
        }
    }
}

/// What goes over the wire for a team with an optimization on or off.
async fn sent(text: &str, on: bool, optimization: Optimization) -> (Vec<Request>, usize) {
    let all = Optimizations::all().switched(&[], &[optimization.name()]).unwrap();
    // A plan that fits the deadline would leave the ladder nothing to do.
    let all = if optimization == Optimization::DeadlineLadder {
        all.without(Optimization::PromptPlan)
    } else {
        all
    };
    sent_as(text, if on { all } else { all.without(optimization) }, optimization).await
}

async fn sent_as(
    text: &str,
    optimizations: Optimizations,
    optimization: Optimization,
) -> (Vec<Request>, usize) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    let client = Scripted(move |request: &Request| {
        kept.lock().unwrap().push(request.clone());
        let mut response =
            Response::new("m", "It is 41.\n".to_owned() + &"Nothing more is said about it here. ".repeat(9));
        if request.response_format.is_some() {
            response.text =
                Value::Array((0..9).map(|i| json!({"name": "a", "k": i, "long": "b"})).collect()).to_string();
        }
        let told = request.messages.iter().any(|m| m.role == lacon_llm::Role::Tool);
        if !request.tools.is_empty() && !told {
            let call = lacon_llm::ToolCall {
                id: "1".into(),
                name: "look".into(),
                arguments: "{\"q\": \"x\"}".into(),
            };
            response = Response { tool_calls: vec![call], ..Response::new("m", "") };
        }
        Ok(response)
    });
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let tools = Tools::new().with("look", move |_| {
        *counted.lock().unwrap() += 1;
        async { Ok("found 17".to_owned()) }
    });
    let budget_tokens = if optimization == Optimization::PromptPlan { 480 } else { 0 };
    // Only the ladder minds a deadline: a run that should take 11 s has 10.
    let deadline = (optimization == Optimization::DeadlineLadder).then(|| std::time::Duration::from_secs(10));
    done(Settings {
        tools,
        optimizations,
        deadline,
        budget_tokens,
        ..Settings::new(team(text), Arc::new(client))
    })
    .await;
    let requests = requests.lock().unwrap().clone();
    let calls = *calls.lock().unwrap();
    (requests, calls)
}

fn text(requests: &[Request]) -> String {
    requests.iter().flat_map(|r| &r.messages).map(|m| m.content.clone() + "\n").collect()
}

/// A model that no test has shown to read a form is sent what it would be sent without the optimization.
#[tokio::test]
async fn a_model_is_given_proven_forms_alone() {
    let model = lacon_agents::team::DEFAULT_MODEL.to_owned();
    for optimization in [Optimization::Digests, Optimization::Lossless] {
        let (with, ..) = teams(optimization);
        let all = Optimizations::all();
        let read = |digests, passes| all.proven([(model.clone(), Proven { passes, digests })].into());
        let told = async |on: Optimizations| text(&sent_as(&with, on, optimization).await.0);
        let (on, off) = (told(all.clone()).await, told(all.without(optimization)).await);
        assert_ne!(on, off);
        assert_eq!(told(read(true, PassSet::default())).await, on, "{optimization}");
        assert_eq!(told(read(false, PassSet::NONE)).await, off, "{optimization}");
        assert_eq!(told(all.proven(Default::default())).await, off, "{optimization}");
    }
}

#[tokio::test]
async fn each_switch_changes_what_is_sent() {
    for optimization in Optimization::ALL {
        let (with, ..) = teams(optimization);
        let (on, calls_on) = sent(&with, true, optimization).await;
        let (off, calls_off) = sent(&with, false, optimization).await;
        let has = |requests: &[Request], part: &str| text(requests).contains(part);
        let changed = match optimization {
            Optimization::Prefetch => {
                on.len() == 1 && on[0].tools.is_empty() && has(&on, "found 17") && off.len() == 2
            }
            // The order of what is sent is that of the graph; what is sent is the same.
            Optimization::NoBarrier => on.len() == 4 && off.len() == 4,
            Optimization::WordLimits => {
                has(&on, "at most 30 words")
                    && on[0].enough.is_some()
                    && !has(&off, "at most 30")
                    && off[0].enough.is_none()
            }
            Optimization::Digests => has(&on, "## a, in short") && text(&on).len() < text(&off).len(),
            Optimization::PrefixLayout => {
                on[1].messages[..2] == on[2].messages[..2] && off[1].messages[0] != off[2].messages[0]
            }
            Optimization::Lossless => text(&on).len() < text(&off).len() && has(&off, "\"long\":\"b\""),
            Optimization::SchemaOnce => !has(&on, "fit this schema") && has(&off, "fit this schema"),
            Optimization::DeadlineLadder => has(&on, "at most 240 words") && has(&off, "at most 400 words"),
            // Who waits sends the same later; `limits.rs` tests who does.
            Optimization::Stagger => text(&on) == text(&off),
            Optimization::PromptPlan => {
                !has(&on, "at most 400 words") && has(&on, " words.") && has(&off, "at most 400 words")
            }
            Optimization::Merged => on.len() < off.len() + 2 && has(&on, "You are several agents: b, c."),
            Optimization::ToolCache => calls_on == 1 && calls_off == 2,
        };
        assert!(changed, "{optimization}: {calls_on} {calls_off}\n{}\n---\n{}", text(&on), text(&off));
    }
}
