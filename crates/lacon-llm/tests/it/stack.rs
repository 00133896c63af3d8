//! All layers together, against an endpoint with every fault at once.

use std::sync::Arc;
use std::time::Duration;

use lacon_llm::{
    Client, ErrorKind, HedgeOptions, Malformed, Message, Outcome, Request, RetryOptions, Stack, StackOptions,
    ignore_events,
};
use proptest::prelude::*;
use tokio::task::JoinSet;

use crate::scripted::{Play, Scripted, asks_to_wait, fails, says};
use crate::server::{Server, Step, answer, good_stream, stream_head, text_event};

fn request() -> Request {
    Request { messages: vec![Message::user("AAPL?")], ..Request::new("gpt-4o-mini") }
}

#[tokio::test]
async fn a_stalled_stream_is_hedged_over_the_wire() {
    let stalled = vec![stream_head(), text_event("Buy "), Step::Stall];
    let server =
        Server::start([stalled, answer(429, "retry-after-ms: 5\r\n", "{}"), good_stream("Hold")]).await;
    let hedge = HedgeOptions {
        gap: Some(Duration::from_millis(40)),
        min_wait: Duration::from_millis(1),
        ..HedgeOptions::default()
    };
    let options = StackOptions { hedge: Some(hedge), ..StackOptions::full() };
    let stack = Stack::new(Arc::new(server.provider(|_| ())), options);
    let response = stack.client.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((response.text.as_str(), response.hedged), ("Hold", true));
    let outcomes: Vec<_> = response.attempts.iter().map(|attempt| attempt.outcome.clone()).collect();
    assert_eq!(outcomes, [Outcome::Superseded, Outcome::Failed(ErrorKind::RateLimited), Outcome::Answered]);
    assert_eq!(response.attempts[0].usage_estimate.unwrap().input, Some(2000));
    // The loser's connection is closed, so the provider can stop generating.
    server.wait_for_left(1).await;
}

fn play() -> impl Strategy<Value = Play> {
    let retryable = prop_oneof![
        Just(ErrorKind::Status(500)),
        Just(ErrorKind::Connect),
        Just(ErrorKind::Malformed(Malformed::CutStream)),
        Just(ErrorKind::Malformed(Malformed::Json)),
    ];
    prop_oneof![
        6 => (1u64..60_000).prop_map(|end| says("answer", end)),
        1 => (retryable, 0u64..5_000).prop_map(|(kind, end)| fails(kind, end)),
        1 => (0u64..3_000).prop_map(|ms| asks_to_wait(ErrorKind::RateLimited, Duration::from_millis(ms))),
        // A stall: the first token comes, the rest not for a long time.
        1 => (1u64..5_000).prop_map(|first| Play { first: Some(first), end: 3_600_000, result: Ok("late") }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever an endpoint does, each call ends, its attempts fit its own time, and at most one of them answered.
    #[test]
    fn every_call_ends_and_accounts_for_its_attempts(script in prop::collection::vec(play(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let scripted = Arc::new(Scripted::new(script));
            let options = StackOptions { retry: Some(RetryOptions { seed: 3, ..RetryOptions::default() }), ..StackOptions::full() };
            let stack = Stack::new(Arc::clone(&scripted) as Arc<dyn Client>, options);
            let mut calls = JoinSet::new();
            for _ in 0..30 {
                let client = Arc::clone(&stack.client);
                calls.spawn(async move {
                    let request = Request { timeout: Some(Duration::from_secs(7200)), ..request() };
                    client.complete(&request, &ignore_events).await
                });
            }
            let mut n_attempts = 0;
            for result in calls.join_all().await {
                let attempts = match &result {
                    Ok(response) => {
                        assert_eq!(response.attempts.iter().filter(|a| a.outcome == Outcome::Answered).count(), 1);
                        assert!(response.attempts.iter().all(|attempt| attempt.end <= response.elapsed));
                        assert!(response.first_token.is_some_and(|first| first <= response.elapsed));
                        assert_eq!(response.hedged, response.attempts.iter().any(|attempt| attempt.hedge));
                        &response.attempts[..]
                    }
                    Err(error) => {
                        assert!(error.attempts().iter().all(|attempt| attempt.outcome != Outcome::Answered));
                        error.attempts()
                    }
                };
                n_attempts += attempts.len();
                assert!(attempts.is_sorted_by_key(|attempt| attempt.start));
                for attempt in attempts {
                    assert!(attempt.start <= attempt.end);
                    assert!(attempt.first_token.is_none_or(|first| attempt.start <= first && first <= attempt.end));
                }
            }
            // No request is forgotten and none is told twice.
            assert_eq!(n_attempts, scripted.calls.lock().unwrap().len());
        });
    }
}
