//! What a run does when things go well and when they do not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lacon_agents::{Agent, RunError, Settings, Team, Tools, run, run::Approval};
use lacon_llm::{Error, ErrorKind, Response, Reuse, Role, ToolCall};
use serde_json::json;

use crate::support::{Scripted, asked, done, inputs, scripted, settings, sim, team};

const PAIR: &str = "inputs = { topic = { kind = \"text\", default = \"trees\" } }\n[[agent]]\nname = \"a\"\nprompt = \"About {topic}\"\n\
                    [[agent]]\nname = \"b\"\nreads = [\"a\"]\nprompt = \"Sum up {topic}\"\n";

#[tokio::test]
async fn texts_go_where_they_are_read() {
    let client = scripted(|request| {
        if asked(request).contains("You are a.") {
            return "Forty {two} trees.".into();
        }
        let all: String = request.messages.iter().map(|m| m.content.clone()).collect();
        assert!(all.contains("## a\nForty {two} trees."), "{all}");
        "done {topic}".into()
    });
    let team = team(PAIR);
    let inputs = inputs(&team, &[]);
    let finished = done(Settings { inputs, ..Settings::new(team, client) }).await;
    // Braces in a model's text are text.
    assert_eq!(finished.result(), Some("done {topic}"));
    assert_eq!(finished.record.calls.len(), 2);
}

#[tokio::test]
async fn a_missing_section_is_asked_for_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let client = scripted(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        if asked(request).starts_with("The answer lacks: Sources") {
            "## Answer\nx\n## Sources\ny".into()
        } else {
            "## Answer\nx".into()
        }
    });
    let team = team("[[agent]]\nname = \"a\"\nprompt = \"x\"\nsections = [\"Answer\", \"Sources\"]\n");
    let finished = done(Settings::new(team, client)).await;
    assert!(finished.result().unwrap().contains("## Sources") && calls.load(Ordering::SeqCst) == 2);
}

const DECIDES: &str =
    "decision = { agent = \"a\", values = [\"yes\", \"no\"] }\n[[agent]]\nname = \"a\"\nprompt = \"x\"\n";

#[tokio::test]
async fn a_missing_decision_is_asked_for_and_without_one_the_run_fails() {
    let client = scripted(|request| {
        let text = asked(request);
        match text.split_once("alone, with one of them: \"CHOICE [") {
            Some((_, rest)) => format!("CHOICE [{}]: no", rest.split(']').next().unwrap()),
            None => "CHOICE [ffffff]: yes\nI say yes.".into(),
        }
    });
    let finished = done(Settings::new(team(DECIDES), client)).await;
    let decision = finished.record.decision.unwrap();
    assert_eq!(
        (decision.chosen.value.as_str(), format!("{:?}", decision.chosen.how)),
        ("no", "Asked".into())
    );
    let finished = run(Settings::new(team(DECIDES), scripted(|_| "I say yes.".into()))).await;
    assert!(matches!(finished.failure, Some(RunError::NoDecision { .. })), "{:?}", finished.failure);
    assert_eq!(finished.record.status, "failed");
    assert!(finished.record.decision.is_none() && finished.text("a").is_some());
}

#[tokio::test(start_paused = true)]
async fn hanging_lying_and_huge_tools_cost_their_answer_alone() {
    let text = "[[agent]]\nname = \"a\"\nprompt = \"x\"\ntools = [\"hangs\", \"huge\", \"fails\"]\nprefetch = { hangs = {}, huge = {}, fails = {} }\n\
                [[tool]]\nname = \"hangs\"\ncode = true\ntimeout_s = 2\n[[tool]]\nname = \"huge\"\ncode = true\nmax_kb = 1\n[[tool]]\nname = \"fails\"\ncode = true\n";
    let client = scripted(|request| {
        let all: String = request.messages.iter().map(|m| m.content.clone()).collect();
        assert!(
            all.contains("tool hangs took longer than 2 s") && all.contains("(cut: 1024 of 5000 bytes)"),
            "{all}"
        );
        assert!(all.contains("no data: it broke") && all.len() < 4_000, "{}", all.len());
        "fine".into()
    });
    let tools = Tools::new()
        .with("hangs", |_| std::future::pending::<Result<String, String>>())
        .with("huge", |_| async { Ok("z".repeat(5_000)) })
        .with("fails", |_| async { Err("it broke".to_owned()) });
    let finished = done(Settings { tools, ..Settings::new(team(text), client) }).await;
    assert_eq!(finished.record.tools.len(), 3);
}

#[tokio::test]
async fn a_call_of_a_tool_that_is_not_there_is_told_to_the_model() {
    let text = "[[agent]]\nname = \"a\"\nprompt = \"x\"\ntools = [\"real\"]\n[[tool]]\nname = \"real\"\ncode = true\n";
    let tools = || Tools::new().with("real", |_| async { Ok("yes".to_owned()) });
    let client = Scripted(|request: &lacon_llm::Request| {
        let told = request.messages.iter().find(|m| m.role == Role::Tool);
        let mut response = Response::new("m", "");
        match told {
            Some(message) => response.text = message.content.clone(),
            None => {
                response.tool_calls =
                    vec![ToolCall { id: "1".into(), name: "imagined".into(), arguments: "{}".into() }]
            }
        }
        Ok::<_, Error>(response)
    });
    let finished = done(Settings { tools: tools(), ..Settings::new(team(text), Arc::new(client)) }).await;
    assert!(finished.result().unwrap().contains("there is no tool \"imagined\"; tools: real"));
    // A model that never stops calling is stopped.
    let stubborn = Scripted(|_: &lacon_llm::Request| {
        let mut response = Response::new("m", "");
        response.tool_calls = vec![ToolCall { id: "1".into(), name: "real".into(), arguments: "{}".into() }];
        Ok::<_, Error>(response)
    });
    let finished = run(Settings { tools: tools(), ..Settings::new(team(text), Arc::new(stubborn)) }).await;
    assert!(finished.failure.unwrap().to_string().contains("gave no text in 3 calls"));
}

#[tokio::test]
async fn tools_and_mcp_need_somebody_who_answers() {
    let text = "[[agent]]\nname = \"a\"\nprompt = \"x\"\n[[tool]]\nname = \"c\"\ncode = true\n[[tool]]\nname = \"m\"\nmcp = { command = [\"p\"], tool = \"t\" }\n";
    let finished = run(Settings::new(team(text), sim())).await;
    let failure = finished.failure.unwrap().to_string();
    assert!(
        failure.contains("tool \"c\" has no code") && failure.contains("Model Context Protocol"),
        "{failure}"
    );
    assert!(finished.record.calls.is_empty());
}

#[tokio::test]
async fn an_optional_agent_may_fail_and_another_may_not() {
    let fails = || {
        Arc::new(Scripted(|request: &lacon_llm::Request| match request.tags.role.as_str() {
            "a" => Err(Error::new(ErrorKind::InvalidRequest, "refused")),
            _ => Ok(Response::new("m", "fine")),
        }))
    };
    let optional = team(&PAIR.replace("name = \"a\"", "name = \"a\"\noptional = true"));
    let given = inputs(&optional, &[]);
    let finished = done(Settings { inputs: given.clone(), ..Settings::new(optional, fails()) }).await;
    assert!(finished.record.warnings[0].contains("a failed: refused"));
    let finished = run(Settings { inputs: given, ..Settings::new(team(PAIR), fails()) }).await;
    assert!(matches!(finished.failure, Some(RunError::Model { kind: ErrorKind::InvalidRequest, .. })));
}

#[tokio::test]
async fn budget_deadline_and_stop_end_a_run_and_keep_its_work() {
    let of = |client| {
        let team = team(PAIR);
        Settings { inputs: inputs(&team, &[]), ..Settings::new(team, client) }
    };
    let finished = run(Settings { budget_tokens: 10, ..of(sim()) }).await;
    assert!(finished.failure.unwrap().to_string().contains("budget of 10"));
    let slow: Arc<dyn lacon_llm::Client> = Arc::new(Slow);
    let finished =
        run(Settings { deadline: Some(Duration::from_millis(300)), ..of(Arc::clone(&slow)) }).await;
    assert!(matches!(finished.failure, Some(RunError::Deadline(_))) && finished.text("a").is_some());
    let stop = Box::pin(tokio::time::sleep(Duration::from_millis(300)));
    let finished = run(Settings { stop: Some(stop), ..of(slow) }).await;
    assert_eq!((finished.record.status.as_str(), finished.text("a").is_some()), ("interrupted", true));
}

/// Answers agent `a` at once and `b` never.
struct Slow;

impl lacon_llm::Client for Slow {
    fn complete<'a>(
        &'a self,
        request: &'a lacon_llm::Request,
        _: &'a (dyn Fn(lacon_llm::StreamEvent<'_>) + Send + Sync),
    ) -> lacon_llm::BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            if request.tags.role == "b" {
                std::future::pending::<()>().await;
            }
            Ok(Response::new("m", "here"))
        })
    }

    fn describe(&self) -> lacon_llm::ClientInfo {
        lacon_llm::ClientInfo { provider: "slow".into(), base_url: String::new(), simulated: true }
    }
}

#[tokio::test]
async fn a_stopped_run_goes_on_without_asking_twice() {
    let folder = tempfile::tempdir().unwrap();
    let of = |client, resume| {
        let team = team(PAIR);
        let folder = Some(folder.path().to_owned());
        Settings { inputs: inputs(&team, &[]), folder, resume, ..Settings::new(team, client) }
    };
    let finished =
        run(Settings { deadline: Some(Duration::from_millis(200)), ..of(Arc::new(Slow), false) }).await;
    assert_eq!(finished.record.status, "deadline");
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let client = scripted(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        assert!(request.tags.role == "b", "{} is asked again", request.tags.role);
        "end".into()
    });
    let finished = done(of(client, true)).await;
    assert_eq!((finished.result(), calls.load(Ordering::SeqCst)), (Some("end"), 1));
    assert_eq!(finished.record.calls.len(), 2);
    assert!(folder.path().join("run.json").exists() && folder.path().join("result.md").exists());
    // Another team cannot go on with it.
    let other = Team { agents: vec![Agent::new("z", "x")], name: "t".into(), ..Team::default() };
    let folder = Some(folder.path().to_owned());
    let finished = run(Settings { folder, resume: true, ..Settings::new(other, sim()) }).await;
    assert!(finished.failure.unwrap().to_string().contains("another team"));
}

#[tokio::test]
async fn approval_stops_asks_or_is_given_by_name() {
    let of = |approval| {
        let team = team(&PAIR.replace("name = \"b\"", "name = \"b\"\napprove = true"));
        Settings { inputs: inputs(&team, &[]), approval, ..Settings::new(team, sim()) }
    };
    let finished = run(of(Approval::Stop)).await;
    assert!(
        matches!(&finished.failure, Some(RunError::NeedsApproval(q)) if q[0].contains("may agent \"b\" run?"))
    );
    assert_eq!(finished.record.status, "needs_approval");
    assert!(finished.text("a").is_some());
    done(of(Approval::Named(vec!["b".into()]))).await;
    done(of(Approval::Ask(Arc::new(|_| Box::pin(async { true }))))).await;
    let finished = run(of(Approval::Ask(Arc::new(|_| Box::pin(async { false }))))).await;
    assert!(finished.failure.unwrap().to_string().contains("did not agree"));
}

#[tokio::test]
async fn a_loop_ends_when_it_is_told_to_and_at_its_bound() {
    let text = "[[agent]]\nname = \"w\"\nprompt = \"write\"\n[[agent]]\nname = \"c\"\nreads = [\"w\"]\nprompt = \"criticize\"\n\
                [loop.l]\nagents = [\"w\", \"c\"]\nrounds = 5\nuntil = { agent = \"c\", says = \"good\" }\n";
    let run_with = |after: usize| {
        let said = AtomicUsize::new(0);
        let client = scripted(move |request| {
            let text = asked(request);
            let Some((_, rest)) = text.split_once("CHOICE [") else { return "draft".into() };
            let n = said.fetch_add(1, Ordering::SeqCst) + 1;
            format!(
                "CHOICE [{}]: {}\nx",
                rest.split(']').next().unwrap(),
                if n >= after { "good" } else { "go on" }
            )
        });
        done(Settings::new(team(text), client))
    };
    assert_eq!(run_with(2).await.record.calls.len(), 4);
    assert_eq!(run_with(1).await.record.calls.len(), 2);
    assert_eq!(run_with(99).await.record.calls.len(), 10);
}

/// Two sides speak at once; the judge hears each round and says whether another one follows.
#[tokio::test]
async fn who_may_end_a_group_that_speaks_at_once_speaks_behind_the_others() {
    let text = "[[agent]]\nname = \"judge\"\nprompt = \"weigh\"\n[[agent]]\nname = \"for\"\nprompt = \"for\"\n\
                [[agent]]\nname = \"against\"\nprompt = \"against\"\n[[agent]]\nname = \"end\"\nreads = [\"judge\"]\nprompt = \"sum up\"\n\
                [group.debate]\nagents = [\"judge\", \"for\", \"against\"]\nat = \"once\"\nrounds = 4\n\
                until = { agent = \"judge\", says = \"settled\" }\n";
    let run_with = |settled_in: &'static str| {
        let client = scripted(move |request| {
            let (text, role) = (asked(request), request.tags.role.as_str());
            let Some((_, rest)) = text.split_once("CHOICE [") else { return format!("{role} says") };
            let all: String = request.messages.iter().map(|m| m.content.clone()).collect();
            let heard = |side: &str| all.contains(&format!("## {side}, round"));
            assert!(heard("for") && heard("against"), "{all}");
            let choice = if all.contains(settled_in) { "settled" } else { "go on" };
            format!("CHOICE [{}]: {choice}\nx", rest.split(']').next().unwrap())
        });
        done(Settings::new(team(text), client))
    };
    assert_eq!(run_with("## for, round 1").await.record.calls.len(), 3 + 1);
    assert_eq!(run_with("## for, round 2").await.record.calls.len(), 6 + 1);
    assert_eq!(run_with("never").await.record.calls.len(), 12 + 1);
}

#[tokio::test]
async fn siblings_share_a_prefix_and_the_layout_can_be_switched_off() {
    let shared = "inputs = { doc = \"text\" }\n[[agent]]\nname = \"a\"\nreads = [\"input:doc\"]\nprompt = \"x\"\n[[agent]]\nname = \"b\"\nreads = [\"input:doc\"]\nprompt = \"y\"\n";
    // Both are asked at once: neither finds anything of the other.
    for (all, expected) in [(true, Reuse::Alone), (false, Reuse::Unknown)] {
        let team = team(shared);
        let client = scripted(move |request| {
            assert_eq!(request.reuse, expected);
            assert!(request.messages[1].content == "## doc\nlong");
            "z".into()
        });
        let inputs = inputs(&team, &[("doc", json!("long"))]);
        let optimizations = if all { Default::default() } else { lacon_agents::Optimizations::none() };
        done(Settings { inputs, optimizations, ..Settings::new(team, client) }).await;
    }
}

#[tokio::test]
async fn progress_and_ledger_name_the_agents() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&seen);
    let on_progress = Arc::new(move |progress| heard.lock().unwrap().push(format!("{progress:?}")));
    let team = team(PAIR);
    let finished = done(Settings { on_progress, ..settings(team, &[]) }).await;
    let seen = seen.lock().unwrap().join("\n");
    assert!(seen.contains("NodeStarted(\"a\")") && seen.contains("Answered { role: \"b\""), "{seen}");
    assert_eq!(finished.record.critical_path.len(), 2);
    assert!(finished.record.expected.calls == 2 && finished.record.cost_usd.is_some());
}

#[tokio::test]
async fn a_tool_answers_in_place_of_a_model() {
    let team = team(
        r#"
        inputs = { topic = "text" }
        decision = { agent = "judge", values = ["yes", "no"] }
        [[tool]]
        name = "own"
        code = true
        [[agent]]
        name = "writer"
        prompt = "Write of {topic}."
        words = 50
        [[agent]]
        name = "lines"
        by = "own"
        reads = ["writer", "input:topic"]
        prompt = "Split {topic}."
        output = { list = "parts" }
        [[agent]]
        name = "part"
        by = "own"
        each = "parts"
        [[agent]]
        name = "judge"
        by = "own"
        reads = ["part"]
        "#,
    );
    let client = scripted(|request| format!("about {}", request.messages.len()));
    let tools = Tools::new().with("own", |given: serde_json::Map<String, serde_json::Value>| async move {
        Ok(match given["agent"].as_str().unwrap() {
            "lines" => {
                assert_eq!(given["prompt"], "Split tea.");
                assert_eq!(given["reads"], json!({"writer": "about 2", "topic": "tea"}));
                "one\ntwo".into()
            }
            "part" => given["item"].as_str().unwrap().to_uppercase(),
            _ => format!("Yes\nbecause {}", given["reads"]["part"].as_str().unwrap().replace('\n', " ")),
        })
    });
    let inputs = inputs(&team, &[("topic", json!("tea"))]);
    let finished = done(Settings { inputs, tools, ..Settings::new(team, client) }).await;
    let record = &finished.record;
    assert_eq!(record.failure, None);
    assert_eq!(record.decision.as_ref().unwrap().chosen.value, "yes");
    assert_eq!(finished.text("judge").as_deref(), Some("because ONE  TWO"));
    assert_eq!((record.calls.len(), record.tools.len(), record.expected.calls), (1, 4, 1));
}

#[tokio::test]
async fn what_a_tool_says_in_place_of_a_model_is_checked() {
    let text = |key: &str| {
        format!("{key}\n[[tool]]\nname = \"own\"\ncode = true\n[[agent]]\nname = \"a\"\nby = \"own\"")
    };
    for (key, answer, said) in [
        ("", "", "has not any text"),
        ("decision = { agent = \"a\", values = [\"buy\", \"sell\"] }", "hold\nit", "begins with \"hold\""),
    ] {
        let team = team(&text(key));
        let tools = Tools::new().with("own", move |_| async move { Ok(answer.to_owned()) });
        let finished = run(Settings { tools, ..Settings::new(team, scripted(|_| "x".into())) }).await;
        assert!(finished.record.failure.as_deref().unwrap().contains(said), "{:?}", finished.record.failure);
    }
    let faults = crate::support::faults(
        "[team]\nname = \"t\"\n[[tool]]\nname = \"own\"\ncode = true\n[[agent]]\nname = \"a\"\nby = \"oen\"\nwords = 5\nmodel = \"m\"",
    );
    for said in
        ["answered by tool \"oen\"", "did you mean \"own\"?", "has words, and a tool", "has model, and"]
    {
        assert!(faults.contains(said), "{faults}");
    }
}
