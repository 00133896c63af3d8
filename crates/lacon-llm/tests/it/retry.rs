//! Retries: how often, how long between, and what is told of each attempt.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lacon_llm::{
    Client, Error, ErrorKind, Malformed, Outcome, Request, Response, Retry, RetryOptions, StreamEvent,
    Timeout, ignore_events,
};
use tokio::time::Instant;

use crate::scripted::{Play, Scripted, asks_to_wait, fails, says};
use crate::server::{Server, Step, answer, good_stream, stream_head, text_event};

const S500: ErrorKind = ErrorKind::Status(500);

async fn run(
    script: Vec<Play>,
    change: impl FnOnce(&mut RetryOptions),
) -> (Result<Response, Error>, Duration) {
    let mut options = RetryOptions { seed: 7, ..RetryOptions::default() };
    change(&mut options);
    let retry = Retry::new(Scripted::new(script), options);
    let begin = Instant::now();
    let result = retry.complete(&Request::new("m"), &ignore_events).await;
    (result, begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_told_on_the_calls_own_clock() {
    let script = vec![
        fails(S500, 100),
        Play { first: Some(50), ..fails(ErrorKind::Malformed(Malformed::CutStream), 80) },
        says("ok", 200),
    ];
    let (result, total) = run(script, |_| ()).await;
    let response = result.unwrap();
    assert_eq!(response.text, "ok");
    let attempts = &response.attempts;
    assert_eq!(attempts.len(), 3);
    assert_eq!(attempts[0].outcome, Outcome::Failed(S500));
    assert_eq!((attempts[0].start, attempts[0].end), (Duration::ZERO, Duration::from_millis(100)));
    assert!(attempts[1].start >= attempts[0].end && attempts[2].start >= attempts[1].end);
    assert_eq!(attempts[2].end, total);
    assert_eq!(response.elapsed, total);
    assert_eq!(response.first_token, attempts[2].first_token);
    // The cut attempt had read the same prompt as the one that answered; the refused one is not billed.
    assert_eq!(attempts[0].usage_estimate, None);
    assert_eq!(attempts[1].usage_estimate.unwrap().input, Some(100));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_get_better_is_not_tried_again() {
    for kind in [
        ErrorKind::Auth,
        ErrorKind::Quota,
        ErrorKind::InvalidRequest,
        ErrorKind::ContextTooLong,
        ErrorKind::NotFound,
        ErrorKind::Malformed(Malformed::TooLarge),
    ] {
        let (result, total) = run(vec![fails(kind, 10), says("ok", 10)], |_| ()).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.attempts().len(), total), (kind, 1, Duration::from_millis(10)));
        assert_eq!(error.message(), format!("scripted {}", kind.as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded() {
    let (result, _) = run(vec![fails(S500, 10)], |options| options.max_attempts = 4).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.attempts().len()), (S500, 4));
    assert_eq!(error.message(), "scripted status; gave up after 4 attempts");
    let (result, _) = run(vec![fails(S500, 10)], |options| options.max_attempts = 1).await;
    assert_eq!(result.unwrap_err().attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn waits_grow_up_to_a_cap_and_differ_by_seed() {
    let waits = async |seed: u64| {
        let scripted = Scripted::new([fails(S500, 0)]);
        let options = RetryOptions {
            max_attempts: 9,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(8),
            seed,
            ..RetryOptions::default()
        };
        let retry = Retry::new(scripted, options);
        let waits = Mutex::new(Vec::new());
        let note = |event: StreamEvent<'_>| {
            if let StreamEvent::Retrying { delay, .. } = event {
                waits.lock().unwrap().push(delay);
            }
        };
        retry.complete(&Request::new("m"), &note).await.unwrap_err();
        waits.into_inner().unwrap()
    };
    let (a, b) = (waits(1).await, waits(2).await);
    assert_eq!(a, waits(1).await);
    assert_ne!(a, b);
    for (n, wait) in a.iter().enumerate() {
        assert!(*wait <= Duration::from_secs(8).min(Duration::from_secs(1 << n)), "{n}: {wait:?}");
    }
    assert_eq!(a.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn the_providers_wait_is_kept_and_not_much_stretched() {
    let wait = Duration::from_secs(10);
    let (result, total) = run(vec![asks_to_wait(ErrorKind::RateLimited, wait), says("ok", 0)], |_| ()).await;
    assert!(result.is_ok() && total >= wait && total <= wait.mul_f64(1.11), "{total:?}");
    let (result, total) =
        run(vec![asks_to_wait(ErrorKind::RateLimited, wait * 60), says("ok", 0)], |_| ()).await;
    let error = result.unwrap_err();
    assert_eq!((error.retry_after(), total), (Some(wait * 60), Duration::ZERO));
    assert!(error.message().ends_with("; the wait the provider asks for is over the limit"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_what_retries_add() {
    let options = RetryOptions {
        budget_reserve: 3,
        budget_ratio: 0.1,
        budget_most: 3,
        max_attempts: 3,
        ..RetryOptions::default()
    };
    let retry = Retry::new(Scripted::new([fails(S500, 0)]), options);
    let mut attempts = Vec::new();
    for _ in 0..20 {
        attempts.push(retry.complete(&Request::new("m"), &ignore_events).await.unwrap_err().attempts().len());
    }
    // Three retries are in reserve, then each call adds a tenth of one.
    assert_eq!(attempts[..3], [3, 2, 1]);
    assert_eq!(attempts.iter().sum::<usize>(), 20 + 4);
    let error = retry.complete(&Request::new("m"), &ignore_events).await.unwrap_err();
    assert!(error.message().ends_with("; the retry budget is used up"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_and_tells_of_the_attempt_under_way() {
    let script = vec![fails(S500, 100), says("late", 60_000)];
    let retry = Retry::new(
        Scripted::new(script),
        RetryOptions { base: Duration::from_millis(1), ..RetryOptions::default() },
    );
    let request = Request { timeout: Some(Duration::from_secs(40)), ..Request::new("m") };
    let begin = Instant::now();
    let error = retry.complete(&request, &ignore_events).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Timeout::Total));
    assert_eq!(begin.elapsed().as_secs(), 40);
    assert_eq!(error.message(), "call took longer than its limit of 40 s");
    let last = &error.attempts()[1];
    assert_eq!(last.end.as_secs(), 40);
    assert!(last.first_token.is_some() && last.usage_estimate.is_some() && last.received == 4);
}

#[tokio::test(start_paused = true)]
async fn a_wait_past_the_deadline_is_not_begun() {
    let script = vec![asks_to_wait(ErrorKind::RateLimited, Duration::from_secs(30)), says("ok", 0)];
    let retry = Retry::new(Scripted::new(script), RetryOptions::default());
    let request = Request { timeout: Some(Duration::from_secs(20)), ..Request::new("m") };
    let begin = Instant::now();
    let error = retry.complete(&request, &ignore_events).await.unwrap_err();
    assert_eq!((error.kind(), begin.elapsed()), (ErrorKind::RateLimited, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_calls_brings_its_own_budget() {
    // Two hundred calls start before the first of them fails; one in five does.
    let script = (0..1000).map(|n| if n % 5 == 0 { fails(S500, 1000) } else { says("ok", 1000) });
    let retry = Arc::new(Retry::new(Scripted::new(script), RetryOptions::default()));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let retry = Arc::clone(&retry);
        calls.spawn(async move { retry.complete(&Request::new("m"), &ignore_events).await.is_ok() });
    }
    assert!(calls.join_all().await.into_iter().all(|ok| ok));
}

#[tokio::test]
async fn all_faults_of_an_endpoint_in_a_row() {
    let broken = r#"{"choices":[{"index":0,"delta":{"con"#;
    let server = Server::start([
        answer(429, "retry-after-ms: 5\r\n", "{}"),
        answer(500, "", "{}"),
        vec![stream_head(), text_event("Buy "), Step::Reset],
        vec![stream_head(), text_event("Buy "), Step::Stall],
        vec![stream_head(), text_event("Buy "), crate::server::event(broken)],
        good_stream("Hold at 12.5"),
    ])
    .await;
    let provider = server.provider(|options| options.idle = Duration::from_millis(50));
    let options = RetryOptions { base: Duration::from_millis(2), ..RetryOptions::default() };
    let events = Mutex::new(Vec::new());
    let note = |event: StreamEvent<'_>| match event {
        StreamEvent::Sent { attempt } => events.lock().unwrap().push(format!("sent {attempt}")),
        StreamEvent::Retrying { attempt, kind, .. } => {
            events.lock().unwrap().push(format!("{attempt} {}", kind.as_str()))
        }
        _ => {}
    };
    let request = Request { messages: vec![lacon_llm::Message::user("?")], ..Request::new("gpt-4o-mini") };
    let response = Retry::new(provider, options).complete(&request, &note).await.unwrap();
    assert_eq!(response.text, "Hold at 12.5");
    assert_eq!(
        events.into_inner().unwrap(),
        [
            "sent 1",
            "1 rate_limited",
            "sent 2",
            "2 status",
            "sent 3",
            "3 malformed_cut_stream",
            "sent 4",
            "4 timeout_idle",
            "sent 5",
            "5 malformed_json",
            "sent 6"
        ]
    );
    let billed: Vec<_> =
        response.attempts.iter().map(|a| a.usage_estimate.and_then(|usage| usage.input)).collect();
    assert_eq!(billed, [None, None, Some(2000), Some(2000), Some(2000), None]);
}
