//! Rate limits and the circuit breaker, on paused time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lacon_llm::{
    Breaker, BreakerOptions, Client, ErrorKind, Limit, LimitOptions, Message, Request, Retry, RetryOptions,
    ignore_events,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::scripted::{Scripted, asks_to_wait, fails, says};

fn request() -> Request {
    Request { max_tokens: Some(100), ..Request::new("m") }
}

async fn all(client: Arc<dyn Client>, n: usize) -> (Duration, usize) {
    let begin = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..n {
        let client = Arc::clone(&client);
        calls.spawn(async move { client.complete(&request(), &ignore_events).await.is_ok() });
    }
    let answered = calls.join_all().await.into_iter().filter(|ok| *ok).count();
    (begin.elapsed(), answered)
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_are_bounded() {
    let scripted = Arc::new(Scripted::new([says("ok", 100)]));
    let options = LimitOptions { max_concurrent: 3, ..LimitOptions::default() };
    let (elapsed, answered) = all(Arc::new(Limit::new(Arc::clone(&scripted), options)), 9).await;
    assert_eq!((answered, scripted.peak.load(Ordering::Relaxed)), (9, 3));
    assert_eq!(elapsed, Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn requests_per_minute() {
    let scripted = Arc::new(Scripted::new([says("ok", 0)]));
    let options = LimitOptions { requests_per_minute: Some(60), ..LimitOptions::default() };
    let (elapsed, answered) = all(Arc::new(Limit::new(scripted, options)), 90).await;
    assert_eq!(answered, 90);
    assert!(elapsed >= Duration::from_secs(30) && elapsed < Duration::from_secs(31), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_reserved_by_estimate_and_settled_by_usage() {
    // Each call reserves 100 and the script reports 110: 600 a minute are 10 a second.
    let scripted = Arc::new(Scripted::new([says("ok", 0)]));
    let options = LimitOptions { tokens_per_minute: Some(600), max_concurrent: 1, ..LimitOptions::default() };
    let (elapsed, answered) = all(Arc::new(Limit::new(scripted, options)), 12).await;
    assert_eq!(answered, 12);
    // The last call may start when 11 × 110 + 100 − 600 tokens have come back.
    assert!((71.0..71.5).contains(&elapsed.as_secs_f64()), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_the_bucket_still_goes_out() {
    let options = LimitOptions { tokens_per_minute: Some(50), ..LimitOptions::default() };
    let limit = Limit::new(Scripted::new([says("ok", 0)]), options);
    let big = Request { messages: vec![Message::user("x".repeat(40_000))], ..request() };
    assert!(limit.complete(&big, &ignore_events).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_part_of_the_calls_time() {
    let scripted = Arc::new(Scripted::new([says("ok", 100)]));
    let limit = Limit::new(scripted, LimitOptions { max_concurrent: 1, ..LimitOptions::default() });
    let request = request();
    let calls = async {
        tokio::join!(limit.complete(&request, &ignore_events), limit.complete(&request, &ignore_events))
    };
    let (_, second) = calls.await;
    let second = second.unwrap();
    assert_eq!(
        (second.elapsed, second.first_token),
        (Duration::from_millis(200), Some(Duration::from_millis(150)))
    );
    assert_eq!(second.attempts[0].start, Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_its_place_back() {
    let scripted = Arc::new(Scripted::new([says("never", 1_000_000), says("ok", 1)]));
    let limit = Limit::new(scripted, LimitOptions { max_concurrent: 1, ..LimitOptions::default() });
    let request = request();
    let second = Duration::from_secs(1);
    assert!(timeout(second, limit.complete(&request, &ignore_events)).await.is_err());
    assert!(timeout(second, limit.complete(&request, &ignore_events)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn refusals_by_chance_stop_nobody_and_many_stop_all() {
    let wait = Duration::from_secs(30);
    let refuse = || asks_to_wait(ErrorKind::RateLimited, wait);
    let ok = || says("ok", 0);
    let mut script = vec![ok(); 4];
    script.extend([refuse(), refuse(), ok(), ok(), refuse(), refuse(), refuse(), ok()]);
    let limit = Limit::new(Scripted::new(script), LimitOptions::default());
    let begin = Instant::now();
    for _ in 0..10 {
        let _ = limit.complete(&request(), &ignore_events).await;
    }
    assert_eq!((begin.elapsed(), limit.concurrency()), (Duration::ZERO, 512));
    assert!(limit.complete(&request(), &ignore_events).await.is_err());
    assert_eq!((begin.elapsed(), limit.concurrency()), (Duration::ZERO, 1));
    assert!(limit.complete(&request(), &ignore_events).await.is_ok());
    assert_eq!(begin.elapsed(), wait);
    for _ in 0..3 {
        assert!(limit.complete(&request(), &ignore_events).await.is_ok());
    }
    assert!(limit.concurrency() >= 2, "{}", limit.concurrency());
}

#[tokio::test(start_paused = true)]
async fn a_burst_with_some_refusals_keeps_its_speed() {
    // One call in ten is refused at once, the others answer after a second: no success comes before the last refusal.
    let script = (0..100).map(|n| {
        if n % 10 == 3 { asks_to_wait(ErrorKind::RateLimited, Duration::ZERO) } else { says("ok", 1000) }
    });
    let limit = Arc::new(Limit::new(Scripted::new(script), LimitOptions::default()));
    let (elapsed, answered) = all(limit.clone(), 100).await;
    assert_eq!((elapsed, answered, limit.concurrency()), (Duration::from_secs(1), 90, 512));
}

fn breaker() -> BreakerOptions {
    BreakerOptions { failures: 3, open: Duration::from_secs(2), max_open: Duration::from_secs(6) }
}

#[tokio::test(start_paused = true)]
async fn the_circuit_opens_and_is_tried_with_one_call() {
    let scripted = Arc::new(Scripted::new([fails(ErrorKind::Connect, 0)]));
    let breaker = Breaker::new(Arc::clone(&scripted), breaker());
    let ask = async || breaker.complete(&request(), &ignore_events).await.unwrap_err();
    for _ in 0..3 {
        assert_eq!(ask().await.kind(), ErrorKind::Connect);
    }
    // Open: nothing goes out, and each failed trial doubles the time up to the limit.
    for open in [2, 4, 6, 6] {
        let error = ask().await;
        assert_eq!(
            (error.kind(), error.retry_after()),
            (ErrorKind::CircuitOpen, Some(Duration::from_secs(open)))
        );
        tokio::time::sleep(Duration::from_secs(open)).await;
        assert_eq!(ask().await.kind(), ErrorKind::Connect);
    }
    assert_eq!(scripted.calls.lock().unwrap().len(), 3 + 4);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_answers_closes_the_circuit_and_one_that_is_dropped_does_not_block_it() {
    let sick = || fails(ErrorKind::Status(503), 0);
    let breaker = Breaker::new(
        Scripted::new([sick(), sick(), sick(), says("never", 1_000_000), says("ok", 0)]),
        breaker(),
    );
    for _ in 0..3 {
        breaker.complete(&request(), &ignore_events).await.unwrap_err();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = Duration::from_secs(1);
    assert!(timeout(second, breaker.complete(&request(), &ignore_events)).await.is_err());
    assert!(breaker.complete(&request(), &ignore_events).await.is_ok());
    assert!(breaker.complete(&request(), &ignore_events).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn failures_that_end_before_the_successes_of_their_burst_do_not_open_the_circuit() {
    // One call in ten fails at once, the others answer after a second.
    let script =
        (0..100).map(|n| if n % 10 == 0 { fails(ErrorKind::Status(500), 0) } else { says("ok", 1000) });
    let client = Arc::new(Breaker::new(Scripted::new(script), breaker()));
    let request = request();
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.complete(&request, &ignore_events).await
    };
    let ((_, answered), later) = tokio::join!(all(client.clone(), 100), later);
    assert_eq!((answered, later.unwrap().text.as_str()), (90, "ok"));
    let all_sick = Arc::new(Breaker::new(Scripted::new([fails(ErrorKind::Status(500), 10)]), breaker()));
    all(all_sick.clone(), 100).await;
    let error = all_sick.complete(&request, &ignore_events).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
}

#[tokio::test(start_paused = true)]
async fn refusals_do_not_open_the_circuit() {
    for kind in [ErrorKind::Auth, ErrorKind::RateLimited, ErrorKind::InvalidRequest] {
        let breaker = Breaker::new(Scripted::new([fails(kind, 0)]), breaker());
        for _ in 0..10 {
            assert_eq!(breaker.complete(&request(), &ignore_events).await.unwrap_err().kind(), kind);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retries_wait_for_the_circuit() {
    let sick = || fails(ErrorKind::Status(503), 0);
    let breaker = Breaker::new(Scripted::new([sick(), sick(), sick(), says("ok", 0)]), breaker());
    let options = RetryOptions { base: Duration::from_millis(1), ..RetryOptions::default() };
    let response = Retry::new(breaker, options).complete(&request(), &ignore_events).await.unwrap();
    assert_eq!(response.text, "ok");
    assert!(response.elapsed >= Duration::from_secs(2), "{:?}", response.elapsed);
}
