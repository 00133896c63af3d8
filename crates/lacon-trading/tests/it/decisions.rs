//! Who decides, how that is read, and what happens when nobody does.

use std::sync::Arc;

use lacon_agents::RunError;
use lacon_llm::{BoxFuture, Client, ClientInfo, Error, Finish, Request, Response, StreamEvent};
use lacon_trading::Action;
use lacon_trading::decide;

use crate::support::{Scripted, label, prompt, run, says, settings, settings_for, sim};

fn line(request: &lacon_llm::Request, action: &str) -> String {
    format!("{}: {action}", label(request).unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_tagged_line_decides_and_its_tag_reaches_nobody_else() {
    let client = Scripted::new(|role, _, request| {
        Ok(match role {
            "risk_manager" => {
                let quoted =
                    "The plan says\nFINAL DECISION: BUY\nand a headline FINAL DECISION [abcdef]: BUY";
                Response::new(
                    "scripted",
                    format!("{}\n\nMomentum is negative for weeks.\n{quoted}", line(request, "SELL")),
                )
            }
            _ => says(role, "x"),
        })
    });
    let decided = run(settings("tagged", "lacon", &[], client.clone())).await;
    let decision = &decided.record.decision;
    assert_eq!(
        (decision.action.as_deref(), decision.how.as_deref()),
        (Some("SELL"), Some("line")),
        "{decision:?}"
    );
    assert_eq!(decision.stands_in_for, None);
    let tag = line(&client.of("risk_manager")[0], "").replace("FINAL DECISION [", "").replace("]: ", "");
    assert_eq!(tag.len(), 6);
    for request in client.asked.lock().unwrap().iter().filter(|r| r.tags.role != "risk_manager") {
        assert!(!prompt(request).contains(&tag), "{}", request.tags.role);
    }
    assert_eq!(client.of("risk_manager").len(), 1);
}

/// A client that stands at a provider's own address.
struct At(Arc<dyn Client>);

impl Client for At {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        self.0.complete(request, on_event)
    }

    fn describe(&self) -> ClientInfo {
        let base_url = lacon_llm::Protocol::Chat.default_base_url().to_owned();
        ClientInfo { provider: "openai".into(), base_url, simulated: false }
    }
}

/// Where the endpoint binds answers to a schema, each role that decides has a field for it, and the decision is the same.
#[tokio::test(start_paused = true)]
async fn the_decision_is_a_field_where_the_endpoint_binds_answers() {
    for ticker in ["AAPL", "CRCL", "FIG", "NVDA"] {
        let plain = run(settings_for(ticker, &format!("line-{ticker}"), "lacon", sim())).await.record;
        let field = Arc::new(At(sim()));
        let field = run(settings_for(ticker, &format!("field-{ticker}"), "lacon", field)).await.record;
        assert_eq!(
            (plain.decision.how.as_deref(), field.decision.how.as_deref()),
            (Some("line"), Some("field"))
        );
        assert_eq!(plain.decision.action, field.decision.action, "{ticker}");
        assert_eq!(field.decision.source.as_deref(), Some("risk_manager"));
    }
    let client = Scripted::new(|role, _, request| {
        let decides = matches!(role, "plan" | "risk_manager" | "trader");
        assert_eq!(request.response_format.is_some(), decides, "{role}");
        assert_eq!(label(request), None, "no line beside the field");
        Ok(match role {
            "risk_manager" => Response {
                finish: Finish::Length,
                ..Response::new(
                    "scripted",
                    r#"{"decision": "SELL", "report": "It broke its average.\nThe stop is at 18"#,
                )
            },
            _ if decides => {
                Response::new("scripted", r#"{"decision": "BUY", "report": "FINAL DECISION: BUY"}"#)
            }
            _ => says(role, "x"),
        })
    });
    let decided = decide(settings("field-cut", "lacon", &[], Arc::new(At(client.clone())))).await;
    let record = &decided.record;
    assert_eq!(
        (record.decision.action.as_deref(), record.decision.how.as_deref()),
        (Some("SELL"), Some("field"))
    );
    let asked = client.of("risk_manager");
    assert_eq!(asked.len(), 1, "a cut answer still holds its decision");
    assert!(prompt(&asked[0]).contains("Decision: BUY"), "readers get text");
    let path = record.reports.iter().find(|r| r.role == "risk_manager").unwrap().path.clone();
    let text = std::fs::read_to_string(decided.folder.join(path)).unwrap();
    assert!(text.contains("It broke its average.") && !text.contains("The stop is"), "{text}");
    std::fs::remove_dir_all(&decided.folder).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_missing_decision_is_asked_for_with_a_small_request() {
    let client = Scripted::new(|role, n, request| {
        Ok(match (role, n) {
            ("risk_manager", 1) => {
                Response::new("scripted", "Everything speaks against it. Confidence: 70 %")
            }
            ("risk_manager", _) => Response::new("scripted", line(request, "SELL")),
            ("trader", _) => Response::new("scripted", format!("{}\nConfidence: 95 %", line(request, "BUY"))),
            _ => says(role, "x"),
        })
    });
    let decided = run(settings("asked", "lacon", &[], client.clone())).await;
    let decision = &decided.record.decision;
    assert_eq!(
        (decision.action.as_deref(), decision.how.as_deref()),
        (Some("SELL"), Some("asked")),
        "{decision:?}"
    );
    assert_eq!(decision.confidence, Some(0.7), "the trader's confidence is not the risk manager's");
    let question = &client.of("risk_manager")[1];
    assert!(prompt(question).contains("Everything speaks against it.") && prompt(question).len() < 700);
    assert_eq!(question.max_tokens, Some(48));
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_is_named_and_costs_a_grade() {
    let client = Scripted::new(|role, _, request| {
        Ok(match role {
            "risk_manager" => Response::new("scripted", "I cannot say. Confidence: 90 %"),
            "trader" => Response::new("scripted", line(request, "HOLD")),
            _ => says(role, "x"),
        })
    });
    let decided = run(settings("stand-in", "lacon", &[], client.clone())).await;
    let decision = &decided.record.decision;
    assert_eq!(decision.word(), "HOLD");
    assert_eq!(
        (decision.source.as_deref(), decision.stands_in_for.as_deref()),
        (Some("trader"), Some("risk_manager"))
    );
    assert_eq!(decision.confidence, None, "a confidence belongs to the role that decides");
    let lost = decided.record.grade.reasons.iter().find(|r| r.code == "decision_stand_in").unwrap();
    assert!(lost.points >= 10.0, "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_in_which_nobody_decides_fails_without_an_action() {
    let client = Scripted::new(|_, _, _| Ok(Response::new("scripted", "I cannot say anything about this.")));
    let decided = run(settings("undecided", "lacon", &["repair"], client)).await;
    assert!(matches!(decided.failure, Some(RunError::NoDecision { .. })), "{:?}", decided.failure);
    let record = &decided.record;
    assert_eq!((&record.decision.action, record.decision.parsed, &*record.status), (&None, false, "failed"));
    assert!(serde_json::to_value(&record.decision).unwrap()["action"].is_null());
    assert!(record.grade.reasons.iter().any(|r| r.code == "decision_unparsed"));
}

#[tokio::test(start_paused = true)]
async fn two_tagged_lines_that_differ_are_asked_about() {
    let client = Scripted::new(|role, n, request| {
        Ok(match (role, n) {
            ("risk_manager", 1) => Response::new(
                "scripted",
                format!("{}\ntext\n{}", line(request, "SELL"), line(request, "BUY")),
            ),
            ("risk_manager", _) => Response::new("scripted", line(request, "HOLD")),
            _ => says(role, "x"),
        })
    });
    let decided = run(settings("two-lines", "lacon", &[], client)).await;
    assert_eq!(Action::of_run(&decided.record), Some(Action::Hold));
}

/// An interrupted run has no stand-in: what the plan says is no decision.
#[tokio::test(start_paused = true)]
async fn an_overdue_run_shows_no_action() {
    let client = Scripted::with_delay(std::time::Duration::from_secs(100), |role, _, request| {
        Ok(if role == "plan" {
            Response::new("scripted", format!("{}\nThe risk is small.", line(request, "BUY")))
        } else {
            says(role, "x")
        })
    });
    let mut settings = settings("overdue", "lacon", &["deadline_ladder"], client);
    settings.deadline = Some(std::time::Duration::from_secs(350));
    let decided = run(settings).await;
    assert_eq!((&*decided.record.status, &decided.record.decision.action), ("deadline", &None));
    assert_eq!(decided.record.views.len(), 1, "what the plan says is kept as its view");
    // Under a paused clock nothing but the calls takes time, the one in flight included.
    assert!(decided.record.own_ms < 1_000.0, "{} ms", decided.record.own_ms);
}

/// A token limit cuts inside figures: what is passed on ends with a whole sentence.
#[tokio::test(start_paused = true)]
async fn half_a_figure_reaches_nobody() {
    let client = Scripted::new(|role, _, request| {
        Ok(match role {
            "bull" => Response {
                finish: Finish::Length,
                ..Response::new("scripted", "The close was 181.64. The target is 19")
            },
            "risk_manager" => Response::new("scripted", line(request, "SELL")),
            _ => says(role, "x"),
        })
    });
    let decided = run(settings("half", "lacon", &[], client.clone())).await;
    let plan = prompt(&client.of("plan")[0]);
    assert!(plan.contains("The close was 181.64.") && !plan.contains("The target is 19"), "{plan}");
    let bull = decided.record.reports.iter().find(|r| r.role == "bull").unwrap();
    assert!(!bull.complete, "{bull:?}");
}
