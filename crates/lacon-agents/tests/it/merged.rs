//! One call for several agents: when it is made, and what happens where it does not answer for all.

use std::sync::{Arc, Mutex};

use lacon_agents::{Finished, Optimizations, RunError, Settings, plan::acts_on, run, stages::stages};
use lacon_llm::{Error, ErrorKind, Request, Response};

use crate::support::{Scripted, asked, done, inputs, scripted, sim, team};

const THREE: &str = "inputs = { d = { kind = \"text\", default = \"It is 41.\" } }\nresult = \"end\"\n\
    [[agent]]\nname = \"a\"\nreads = [\"input:d\"]\nprompt = \"do a\"\nwords = 30\n\
    [[agent]]\nname = \"b\"\nreads = [\"input:d\"]\nprompt = \"do b\"\nwords = 40\nsections = [\"Found\"]\n\
    [[agent]]\nname = \"end\"\nreads = [\"a\", \"b\"]\nprompt = \"sum up\"\n";

fn merged() -> Optimizations {
    Optimizations::all().switched(&[], &["merged"]).unwrap()
}

/// A run whose merged call gets an answer made of its two first lines, and every other call \"alone\".
async fn with(answer: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> (Finished, Vec<String>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let client = scripted(move |request| {
        let asked = asked(request);
        let line = |name: &str| {
            asked.lines().find(|line| line.starts_with(&format!("# {name} ["))).map(str::to_owned)
        };
        let first = asked.lines().find(|line| line.starts_with("You are ")).unwrap().to_owned();
        kept.lock().unwrap().push(first);
        match line("a").zip(line("b")) {
            Some((a, b)) => {
                assert_eq!(request.enough.as_ref().unwrap().words, 70);
                answer(&a, &b)
            }
            None => "## Found\nalone".into(),
        }
    });
    let team = team(THREE);
    let inputs = inputs(&team, &[]);
    let finished = done(Settings { inputs, optimizations: merged(), ..Settings::new(team, client) }).await;
    let seen = seen.lock().unwrap().clone();
    (finished, seen)
}

#[tokio::test]
async fn one_call_answers_for_both_and_stands_once_in_the_ledger() {
    let (finished, seen) = with(|a, b| format!("{a}\nFirst: 1.\n{b}\n## Found\nSecond: 2.\n")).await;
    assert_eq!(seen, ["You are several agents: a, b.", "You are end."]);
    assert_eq!(finished.text("a").unwrap(), "First: 1.");
    assert_eq!(finished.text("b").unwrap(), "## Found\nSecond: 2.");
    let record = finished.record;
    assert_eq!(record.agents.iter().map(|agent| agent.calls).collect::<Vec<_>>(), [1, 0, 1]);
    assert_eq!(record.agents.iter().map(|agent| agent.tokens).sum::<u64>(), record.tokens.total);
    let row = &record.optimizations["merged"];
    assert!(row.on && row.times == Some(1) && row.saved_tokens.unwrap() > 0, "{row:?}");
}

#[tokio::test]
async fn a_part_that_is_missing_or_lacks_a_section_is_asked_for_alone() {
    let (finished, seen) = with(|a, b| format!("{a}\nFirst.\n{b}\nNo heading.\n")).await;
    assert_eq!(seen, ["You are several agents: a, b.", "You are b.", "You are end."]);
    assert_eq!(
        (finished.text("a").unwrap(), finished.text("b").unwrap()),
        ("First.".into(), "## Found\nalone".into())
    );
    // Without the tags an answer is nobody's, whatever headings it has.
    let (_, seen) = with(|_, _| "# a\nFirst.\n# b\n## Found\nSecond.".into()).await;
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[tokio::test]
async fn a_failed_call_fails_for_each_of_its_agents_and_is_made_once() {
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let client = Scripted(move |_: &Request| {
        *counted.lock().unwrap() += 1;
        Err::<Response, _>(Error::new(ErrorKind::Auth, "wrong key"))
    });
    let team = team(THREE);
    let inputs = inputs(&team, &[]);
    let settings = Settings { inputs, optimizations: merged(), ..Settings::new(team, Arc::new(client)) };
    let failure = run(settings).await.failure.unwrap();
    assert!(matches!(failure, RunError::Model { kind: ErrorKind::Auth, .. }), "{failure}");
    assert_eq!(*calls.lock().unwrap(), 1);
}

#[tokio::test]
async fn the_simulator_answers_for_both() {
    let team = team(THREE);
    let inputs = inputs(&team, &[]);
    let finished = done(Settings { inputs, optimizations: merged(), ..Settings::new(team, sim()) }).await;
    assert_eq!(finished.record.calls.len(), 2);
    assert!(finished.text("a").unwrap().contains("41") && finished.text("b").unwrap().contains("## Found"));
}

#[test]
fn it_acts_on_plain_agents_with_the_same_reads_and_model_alone() {
    let reads = "reads = [\"input:d\"]\n";
    let agent = |name: &str, rest: &str| format!("[[agent]]\nname = \"{name}\"\nprompt = \"x\"\n{rest}\n");
    let acts = |other: &str| {
        let text = format!("inputs = {{ d = \"text\", l = \"list\" }}\n{}{other}", agent("a", reads));
        let team = team(&text);
        acts_on(
            &team,
            &stages(&team).unwrap(),
            &inputs(&team, &[("d", "x".into()), ("l", "x".into())]),
            lacon_agents::Optimization::Merged,
        )
    };
    assert_eq!(acts(&agent("b", reads)), ["a", "b"]);
    for other in [
        agent("b", ""),
        agent("b", "reads = [\"input:d\", \"input:l\"]"),
        agent("b", &format!("{reads}model = \"gpt-4o\"")),
        agent("b", &format!("{reads}effort = \"low\"")),
        agent("b", &format!("{reads}optional = true")),
        agent("b", &format!("{reads}approve = true")),
        agent("b", &format!("{reads}each = \"l\"")),
        agent("b", &format!("{reads}output = {{ list = \"m\" }}")),
        agent("b", &format!("{reads}[group.g]\nagents = [\"b\"]")),
    ] {
        assert!(acts(&other).is_empty(), "{other}");
    }
}
