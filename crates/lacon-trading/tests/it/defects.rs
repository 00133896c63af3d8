//! One test per defect of the system that the graph re-implements, named by its number; those that live lower are
//! tested in their crates (`defect_03` to `defect_05`, `07`, `08` in lacon-graph, `14` in lacon-runtime, `20` in
//! lacon-market, `02` and `12` in this crate's modules).

use std::{sync::Arc, time::Duration};

use lacon_llm::{Error, ErrorKind, Malformed, Response, Role};
use lacon_trading::Action;

use crate::support::{Scripted, asks_for, cast, prompt, run, says, settings};

/// The judge and the plan saw only the last line of each argument.
#[tokio::test(start_paused = true)]
async fn defect_01_judge_and_plan_read_the_whole_debate() {
    for (profile, disabled) in [("lacon", vec![]), ("seed", vec![]), ("lacon", vec!["all"])] {
        let client = Scripted::new(|role, _, _| {
            Ok(match role {
                "bull" | "bear" => {
                    says(role, &format!("first line 11.25\n{role} middle 22.50\nlast line 33.75"))
                }
                _ => says(role, "x"),
            })
        });
        let decided = run(settings("defect-01", profile, &disabled, client.clone())).await;
        assert!(decided.failure.is_none(), "{:?}", decided.failure);
        for role in ["judge", "plan"] {
            let text = prompt(&client.of(role)[0]);
            for part in ["bull says first line 11.25", "bear middle 22.50", "last line 33.75"] {
                assert!(text.contains(part), "{profile}: {role} misses {part:?}");
            }
        }
        let not_read = decided.record.grade.reasons.iter().any(|r| r.code == "not_read");
        assert!(!not_read, "{:?}", decided.record.grade.reasons);
    }
}

/// When the model asked for more tools after its first results, the report stayed empty and the run went on.
#[tokio::test(start_paused = true)]
async fn defect_06_a_request_for_more_tools_is_no_report() {
    for profile in ["lacon", "seed"] {
        let client = Scripted::new(move |role, n, request| {
            let first_turn_of_seed = profile == "seed" && n == 1;
            Ok(match role {
                "market"
                    if first_turn_of_seed
                        || !request.messages.iter().any(|m| m.content.contains("swing")) =>
                {
                    asks_for("get_support_resistance", r#"{"ticker": "CRCL"}"#)
                }
                _ => says(role, "done"),
            })
        });
        let decided = run(settings("defect-06", profile, &[], client.clone())).await;
        let market = decided.record.reports.iter().find(|r| r.role == "market").unwrap();
        assert!(market.words > 0 && market.complete, "{profile}: {market:?}");
        // Every tool call has its answer, in order, as providers require.
        for request in client.of("market") {
            let mut open: Vec<String> = Vec::new();
            for message in &request.messages {
                open.extend(message.tool_calls.iter().map(|c| c.id.clone()));
                if message.role == Role::Tool {
                    assert_eq!(Some(open.remove(0)), message.tool_call_id);
                }
            }
            assert!(open.is_empty());
        }
    }
}

/// A model that asks for tools for ever ends as a failed role, not as an empty report or an endless run.
#[tokio::test(start_paused = true)]
async fn defect_06_tool_rounds_are_bounded() {
    let client = Scripted::new(|role, _, _| {
        Ok(match role {
            "market" => asks_for("get_support_resistance", r#"{"ticker": "CRCL"}"#),
            _ => says(role, "done"),
        })
    });
    let decided = run(settings("defect-06b", "lacon", &[], client.clone())).await;
    assert!(decided.failure.is_none());
    assert_eq!(client.of("market").len(), 3);
    assert!(
        decided.record.warnings.iter().any(|w| w == "market gave no answer: market gave no text in 3 calls")
    );
    assert!(decided.record.grade.reasons.iter().any(|r| r.code == "report_empty"));
    assert!(prompt(&client.of("bull")[0]).contains("(no answer: market gave no text in 3 calls)"));
}

/// The trader ran last, so the "trader plan" that others read was empty, and it overwrote the risk manager.
#[tokio::test(start_paused = true)]
async fn defect_13_the_trader_does_not_overrule_the_risk_manager() {
    let client = Scripted::new(|role, _, _| {
        Ok(match role {
            "risk_manager" => Response::new("scripted", "FINAL DECISION: SELL"),
            "trader" => Response::new("scripted", "FINAL TRANSACTION PROPOSAL: BUY"),
            _ => says(role, "x"),
        })
    });
    let decided = run(settings("defect-13", "lacon", &[], client.clone())).await;
    assert_eq!(Action::of_run(&decided.record), Some(Action::Sell));
    assert_eq!(decided.record.decision.source.as_deref(), Some("risk_manager"));
    assert!(decided.record.warnings.iter().any(|w| w.contains("the trader proposes BUY")));
    assert!(client.asked.lock().unwrap().iter().all(|r| !prompt(r).contains("trader plan")));
}

/// Model text with braces broke a prompt template.
#[tokio::test(start_paused = true)]
async fn braces_in_an_answer_reach_the_reader_as_they_are() {
    let odd = r"margin \frac{a}{b} {ticker} {{x}} {0} %s ${PATH}";
    let client = Scripted::new(move |role, _, _| Ok(says(role, odd)));
    let decided = run(settings("braces", "lacon", &[], client.clone())).await;
    assert!(decided.failure.is_none());
    for role in ["bull", "plan", "risky", "risk_manager", "trader"] {
        assert!(prompt(&client.of(role)[0]).contains(odd), "{role}");
    }
}

/// The time limit existed only on one of two paths.
#[tokio::test(start_paused = true)]
async fn defect_19_the_deadline_holds_in_every_profile() {
    for profile in ["lacon", "seed"] {
        let client = Scripted::with_delay(Duration::from_secs(100), |role, _, _| Ok(says(role, "x")));
        let mut settings = settings("defect-19", profile, &[], client);
        settings.deadline = Some(Duration::from_secs(250));
        let decided = run(settings).await;
        assert_eq!(decided.record.status, "deadline", "{profile}");
        assert!(decided.record.reports.iter().any(|r| r.words > 0), "{profile}: what was finished is kept");
    }
}

/// Memory lines were shown that had nothing to do with the stock: no prompt claims a memory that does not exist.
#[tokio::test(start_paused = true)]
async fn defect_17_no_prompt_claims_a_memory() {
    let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
    run(settings("defect-17", "seed", &[], client.clone())).await;
    for request in client.asked.lock().unwrap().iter() {
        let text = prompt(request).to_lowercase();
        assert!(!text.contains("memory") && !text.contains("memories") && !text.contains("past mistakes"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_failed_analyst_never_stops_the_run() {
    let client = Scripted::new(|role, _, _| match role {
        "social" => Err(Error::new(ErrorKind::Malformed(Malformed::CutStream), "the stream was cut")),
        _ => Ok(says(role, "x")),
    });
    let decided = run(settings("one-fails", "lacon", &[], client.clone())).await;
    assert!(decided.failure.is_none());
    assert_eq!(decided.record.status, "done");
    assert!(decided.record.warnings.contains(&"social gave no answer: the stream was cut".to_owned()));
    assert!(
        decided
            .record
            .grade
            .reasons
            .iter()
            .any(|r| r.code == "report_empty" && r.evidence.starts_with("social"))
    );
    assert!(
        prompt(&client.of("plan")[0]).contains("## Social media analyst\n(no answer: the stream was cut)")
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_stops_the_run_at_once() {
    let client = Scripted::new(|_, _, _| Err(Error::new(ErrorKind::Auth, "provider answered 401")));
    let decided = run(settings("auth", "lacon", &[], client.clone())).await;
    assert_eq!(decided.record.status, "failed");
    assert!(client.count() <= 4, "no role after the analysts is asked");
    assert!(matches!(decided.failure, Some(lacon_agents::RunError::Model { kind: ErrorKind::Auth, .. })));
}

#[tokio::test(start_paused = true)]
async fn without_any_report_the_run_stops_with_all_reasons() {
    let client = Scripted::new(|role, _, _| Err(Error::new(ErrorKind::Connect, format!("{role} is down"))));
    let decided = run(settings("none", "lacon", &[], client.clone())).await;
    let message = decided.failure.unwrap().to_string();
    for role in ["market", "social", "news", "fundamentals"] {
        assert!(message.contains(&format!("{role}: {role} is down")), "{message}");
    }
    assert_eq!(client.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_keeps_what_is_finished() {
    let client = Scripted::with_delay(Duration::from_secs(10), |role, _, _| Ok(says(role, "x")));
    let mut settings = settings("stopped", "lacon", &[], client);
    settings.stop = Some(Box::pin(tokio::time::sleep(Duration::from_secs(15))));
    let decided = run(settings).await;
    assert_eq!(decided.record.status, "interrupted");
    assert_eq!(decided.record.reports.len(), 4);
    assert!(matches!(decided.failure, Some(lacon_agents::RunError::Interrupted)));
}

#[tokio::test(start_paused = true)]
async fn a_token_budget_stops_before_it_is_overspent() {
    let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
    let mut settings = settings("budget", "lacon", &["prompt_plan"], client.clone());
    settings.budget_tokens = 900;
    let decided = run(settings).await;
    assert!(decided.record.tokens.total <= 900);
    assert!(decided.record.warnings.iter().any(|w| w.contains("of the run's budget of 900 are used")));
    assert!(client.count() < 13);
}

/// Rounds beyond the first read the other side and the judge; the loop ends by consensus or by its bound.
#[tokio::test(start_paused = true)]
async fn a_debate_of_three_rounds() {
    let client = Scripted::new(|role, n, _| Ok(says(role, &format!("round-{n} Consensus: no"))));
    let mut three = settings("rounds", "lacon", &[], client.clone());
    three.cast = cast("lacon", |o| o.research_rounds = 3);
    let decided = run(three).await;
    assert!(decided.failure.is_none(), "{:?}", decided.failure);
    // Also who speaks in several rounds was sent what the plan says.
    assert_eq!((decided.record.plan.compared, decided.record.plan.equal), (13, 13));
    assert_eq!((client.of("bull").len(), client.of("judge").len(), client.of("plan").len()), (3, 3, 1));
    let third = prompt(&client.of("bull")[2]);
    assert!(third.contains("bear says round-2") && third.contains("judge says round-2"), "{third}");
    let judge = prompt(&client.of("judge")[2]);
    for n in 1..=3 {
        for side in ["bull", "bear"] {
            assert!(
                judge.contains(&format!("{side} says round-{n}")),
                "the judge reads every round: {judge}"
            );
        }
    }
    let plan = prompt(&client.of("plan")[0]);
    assert!((1..=3).all(|n| plan.contains(&format!("bull says round-{n}"))));

    let client = Scripted::new(|role, _, _| Ok(says(role, "Consensus: yes")));
    let mut early = settings("rounds-early", "lacon", &[], Arc::clone(&client) as _);
    early.cast = cast("lacon", |o| o.research_rounds = 3);
    run(early).await;
    assert_eq!(client.of("judge").len(), 1);
}
