//! The simulated model keeps time, meters and repeats itself exactly.

use lacon_llm::{Client, ErrorKind, Finish, Message, Request, Tags, ToolSpec, ignore_events};
use lacon_sim::{Faults, SimClient, SimOptions};

fn request(role: &str, prompt: &str) -> Request {
    Request {
        messages: vec![Message::user(prompt)],
        tags: Tags {
            run: "r".into(),
            role: role.into(),
            labels: [("ticker".to_owned(), "CRCL".to_owned())].into(),
        },
        ..Request::new("simulated")
    }
}

#[tokio::test(start_paused = true)]
async fn takes_the_time_of_a_recorded_provider() {
    let sim = SimClient::new(SimOptions { noise: false, time_scale: 1.0, ..SimOptions::default() });
    let response = sim
        .complete(&request("bull", "Close 181.64 on 2025-07-29\nat most 300 words"), &ignore_events)
        .await
        .unwrap();
    let completion = response.usage.unwrap().completion_total().unwrap() as f64;
    let expected = 1.757 + completion / 45.46;
    assert!((response.elapsed.as_secs_f64() - expected).abs() < 0.01, "{:?} {expected}", response.elapsed);
    assert!(response.text.contains("181.64"));
}

#[tokio::test(start_paused = true)]
async fn calls_every_declared_tool_first() {
    let sim = SimClient::new(SimOptions::default());
    let schema = serde_json::json!({"type": "object", "properties": {"ticker": {"type": "string"}, "curr_date": {"type": "string"}}, "required": ["ticker", "curr_date"]});
    let mut ask = request("news", "Ticker CRCL, date 2025-07-30");
    ask.tools = vec![ToolSpec::new("get_fundamentals_openai", "x", schema)];
    let response = sim.complete(&ask, &ignore_events).await.unwrap();
    assert_eq!(response.finish, Finish::ToolCalls);
    assert_eq!(response.tool_calls[0].arguments, r#"{"ticker":"CRCL","curr_date":"2025-07-30"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_prefix_is_cached() {
    let sim = SimClient::new(SimOptions { time_scale: 0.0, ..SimOptions::default() });
    let long = "a figure of 12.50 and more words here\n".repeat(400);
    let first = sim.complete(&request("bull", &long), &ignore_events).await.unwrap();
    let second = sim.complete(&request("bear", &format!("{long} and more")), &ignore_events).await.unwrap();
    assert_eq!(first.usage.unwrap().cached, Some(0));
    assert!(second.usage.unwrap().cached.unwrap() >= 1024);
}

#[tokio::test(start_paused = true)]
async fn every_fault_has_its_error_and_repeats_exactly() {
    let check = |faults: Faults, kind: &'static str| async move {
        let sim = SimClient::new(SimOptions { faults, ..SimOptions::default() });
        let error = sim.complete(&request("bull", "x 1"), &ignore_events).await.unwrap_err();
        assert_eq!(error.kind().as_str(), kind);
        assert_eq!(error.attempts().len(), 1);
        error.kind()
    };
    assert_eq!(
        check(Faults { rate_limited: 1.0, ..Faults::default() }, "rate_limited").await,
        ErrorKind::RateLimited
    );
    check(Faults { server_error: 1.0, ..Faults::default() }, "status").await;
    check(Faults { dropped: 1.0, ..Faults::default() }, "malformed_cut_stream").await;
    check(Faults { stalled: 1.0, ..Faults::default() }, "timeout_idle").await;
    check(Faults { malformed: 1.0, ..Faults::default() }, "malformed_json").await;
}
