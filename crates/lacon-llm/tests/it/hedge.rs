//! Hedging: when a second request goes out, who wins, and who pays.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lacon_llm::{
    BoxFuture, Client, ClientInfo, Error, ErrorKind, Hedge, HedgeOptions, Malformed, Outcome, Request,
    Response, Retry, RetryOptions, Sample, StreamEvent, Tags, Timeout, ignore_events,
};
use tokio::time::Instant;

use crate::scripted::{Play, Scripted, asks_to_wait, fails, says};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn options() -> HedgeOptions {
    HedgeOptions {
        first_token: Some(ms(100)),
        gap: Some(ms(50)),
        min_wait: ms(1),
        first_factor: 1.0,
        ..HedgeOptions::default()
    }
}

fn request() -> Request {
    Request { tags: Tags { role: "bull".into(), ..Tags::default() }, ..Request::new("m") }
}

fn slow_first(first: u64, end: u64) -> Play {
    Play { first: Some(first), end, result: Ok("slow") }
}

#[tokio::test(start_paused = true)]
async fn a_fast_call_is_left_alone() {
    let hedge = Hedge::new(Scripted::new([slow_first(90, 120)]), options());
    let response = hedge.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((response.hedged, response.attempts.len(), response.elapsed), (false, 1, ms(120)));
}

#[tokio::test(start_paused = true)]
async fn a_late_first_token_brings_a_second_request_that_wins() {
    let hedge = Hedge::new(Scripted::new([slow_first(5000, 6000), says("fast", 40)]), options());
    let events = Mutex::new(Vec::new());
    let note = |event: StreamEvent<'_>| events.lock().unwrap().push(format!("{event:?}"));
    let begin = Instant::now();
    let response = hedge.complete(&request(), &note).await.unwrap();
    assert_eq!((response.text.as_str(), response.hedged, begin.elapsed()), ("fast", true, ms(140)));
    assert_eq!((response.first_token, response.elapsed), (Some(ms(120)), ms(140)));
    let [loser, winner] = &response.attempts[..] else { panic!("{:?}", response.attempts) };
    assert_eq!(
        (loser.start, loser.end, &loser.outcome, loser.hedge),
        (ms(0), ms(120), &Outcome::Superseded, false)
    );
    assert_eq!(
        (winner.start, winner.end, &winner.outcome, winner.hedge),
        (ms(100), ms(140), &Outcome::Answered, true)
    );
    assert_eq!(loser.usage_estimate.unwrap().input, Some(100));
    assert_eq!(
        events.into_inner().unwrap(),
        ["Sent { attempt: 1 }", "Hedged { after: 100ms }", "Restarted", "Delta(\"fast\")"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_request_may_still_win_and_the_second_is_dropped() {
    let scripted = std::sync::Arc::new(Scripted::new([slow_first(110, 130), says("second", 1000)]));
    let hedge = Hedge::new(std::sync::Arc::clone(&scripted), options());
    let response = hedge.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((response.text.as_str(), response.hedged, response.elapsed), ("slow", true, ms(130)));
    assert_eq!(scripted.dropped.load(Ordering::Relaxed), 1);
    assert_eq!((response.attempts[1].hedge, &response.attempts[1].outcome), (true, &Outcome::Superseded));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stands_still_brings_a_second_request() {
    let hedge = Hedge::new(Scripted::new([slow_first(20, 120_000), says("fast", 40)]), options());
    let response = hedge.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((response.text.as_str(), response.elapsed), ("fast", ms(20 + 50 + 40)));
    assert_eq!(response.attempts[0].first_token, Some(ms(20)));
}

#[tokio::test(start_paused = true)]
async fn one_failure_leaves_the_other_request_to_answer() {
    let late_failure = Play { first: None, end: 120, result: Err((ErrorKind::Status(500), None)) };
    let hedge = Hedge::new(Scripted::new([late_failure.clone(), says("second", 60)]), options());
    let response = hedge.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((response.text.as_str(), response.elapsed), ("second", ms(160)));
    assert_eq!(response.attempts[0].outcome, Outcome::Failed(ErrorKind::Status(500)));
    let hedge = Hedge::new(
        Scripted::new([slow_first(150, 200), asks_to_wait(ErrorKind::RateLimited, ms(1000))]),
        options(),
    );
    let response = hedge.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((response.text.as_str(), response.elapsed, response.attempts.len()), ("slow", ms(200), 2));
    let hedge = Hedge::new(
        Scripted::new([late_failure, fails(ErrorKind::Malformed(Malformed::Json), 60)]),
        options(),
    );
    let error = hedge.complete(&request(), &ignore_events).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts().len()), (ErrorKind::Malformed(Malformed::Json), 2));
    assert_eq!(error.attempts()[1].end, ms(160));
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_wait_is_left_to_the_retries() {
    let hedge = Hedge::new(Scripted::new([fails(ErrorKind::Status(500), 50), says("no", 1)]), options());
    let error = hedge.complete(&request(), &ignore_events).await.unwrap_err();
    assert_eq!(error.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_budget_caps_second_requests() {
    let scripted = std::sync::Arc::new(Scripted::new([slow_first(200, 250)]));
    let options = HedgeOptions { budget_reserve: 2, budget_ratio: 0.1, min_samples: 1000, ..options() };
    let hedge = Hedge::new(std::sync::Arc::clone(&scripted), options);
    for _ in 0..20 {
        hedge.complete(&request(), &ignore_events).await.unwrap();
    }
    // Two in reserve, one more for each ten calls.
    assert_eq!(scripted.calls.lock().unwrap().len(), 20 + 2 + 2);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_learned_per_role_and_model() {
    let learned = |n: u64| Sample { first_token: ms(n), gap: Some(ms(5)), ..Sample::default() };
    let check = async |role: &str, model: &str, expected: u64| {
        let hedge = Hedge::new(Scripted::new([slow_first(60_000, 60_001), says("fast", 0)]), options());
        for n in 1..=20 {
            hedge.learn("m", "bull", learned(n * 10));
            hedge.learn("m", "bear", learned(n * 100));
        }
        hedge.learn("m", "new", learned(1));
        let tags = Tags { role: role.into(), ..Tags::default() };
        let response =
            hedge.complete(&Request { tags, ..Request::new(model) }, &ignore_events).await.unwrap();
        assert_eq!(response.elapsed, ms(expected), "{role} {model}");
    };
    check("bull", "m", 190).await;
    check("bear", "m", 1900).await;
    // Too little is known of the role: the model's calls of all roles decide.
    check("new", "m", 1800).await;
    check("bull", "other", 100).await;
}

#[tokio::test(start_paused = true)]
async fn losers_keep_the_quantile_from_shrinking() {
    let scripted = Scripted::new([slow_first(60_000, 60_001), says("fast", 40)]);
    let hedge = Hedge::new(scripted, options());
    hedge.complete(&request(), &ignore_events).await.unwrap();
    let history = hedge.history();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].0.as_str(), history[0].1.as_str()), ("m", "bull"));
    let firsts: Vec<_> = history[0].2.iter().map(|sample| sample.first_token).collect();
    assert_eq!(firsts, [ms(120), ms(20)]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_second_request_is_followed_by_a_third() {
    let script =
        [slow_first(60_000, 60_001), asks_to_wait(ErrorKind::RateLimited, ms(30)), says("third", 40)];
    let hedge = Hedge::new(Scripted::new(script), options());
    let response = hedge.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((response.text.as_str(), response.elapsed), ("third", ms(100 + 30 + 40)));
    let shown: Vec<_> = response.attempts.iter().map(|a| (a.start, a.hedge, a.outcome.clone())).collect();
    let failed = Outcome::Failed(ErrorKind::RateLimited);
    assert_eq!(
        shown,
        [(ms(0), false, Outcome::Superseded), (ms(100), true, failed), (ms(130), true, Outcome::Answered)]
    );
    let script = [slow_first(60_000, 60_001), fails(ErrorKind::Auth, 5), says("third", 40)];
    let hedge = Hedge::new(Scripted::new(script), HedgeOptions { max_hedges: 9, ..options() });
    assert_eq!(hedge.complete(&request(), &ignore_events).await.unwrap().text, "slow");
    let hedge =
        Hedge::new(Scripted::new([slow_first(500, 600)]), HedgeOptions { max_hedges: 0, ..options() });
    assert_eq!(hedge.complete(&request(), &ignore_events).await.unwrap().attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_request_under_way_is_told_when_time_runs_out() {
    let silent = Play { first: None, end: 60_000, result: Ok("late") };
    let hedge = Hedge::new(Scripted::new([silent]), options());
    let retry = Retry::new(hedge, RetryOptions::default());
    let request = Request { timeout: Some(Duration::from_secs(20)), ..request() };
    let error = retry.complete(&request, &ignore_events).await.unwrap_err();
    assert_eq!(error.message(), "call took longer than its limit of 20 s");
    let late = Outcome::Failed(ErrorKind::Timeout(Timeout::Total));
    let shown: Vec<_> =
        error.attempts().iter().map(|a| (a.start, a.end.as_secs(), a.hedge, a.outcome.clone())).collect();
    assert_eq!(shown, [(ms(0), 20, false, late.clone()), (ms(100), 20, true, late)]);
}

/// Writes 40 parts of 100 bytes, one each time a wait of its script has passed.
struct Writer {
    waits: Mutex<Vec<u64>>,
    calls: AtomicUsize,
}

impl Client for Writer {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let wait = self.waits.lock().unwrap().pop().unwrap_or(100);
            on_event(StreamEvent::Sent { attempt: 1 });
            let mut text = String::new();
            for n in 0..40 {
                tokio::time::sleep(ms(wait)).await;
                if n == 0 {
                    on_event(StreamEvent::FirstToken);
                }
                let part = "x".repeat(100);
                on_event(StreamEvent::Delta(&part));
                text.push_str(&part);
            }
            Ok(Response::new(request.model.clone(), text))
        })
    }

    fn describe(&self) -> ClientInfo {
        ClientInfo { provider: "writer".into(), base_url: String::new(), simulated: true }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crawling_stream_is_overtaken_by_a_new_request() {
    let check = async |wait: u64, calls: usize, seconds: u64| {
        let writer = Writer { waits: Mutex::new(vec![wait]), calls: AtomicUsize::new(0) };
        let hedge = Hedge::new(writer, HedgeOptions { crawl_factor: Some(1.5), ..HedgeOptions::default() });
        // Usual: 4000 bytes at about 1000 a second.
        let usual =
            Sample { first_token: ms(500), gap: Some(ms(500)), bytes: Some(4000), bytes_per_s: Some(1000) };
        (0..12).for_each(|_| hedge.learn("m", "bull", usual));
        let begin = Instant::now();
        hedge.complete(&request(), &ignore_events).await.unwrap();
        let sent = hedge.inner().calls.load(Ordering::Relaxed);
        assert_eq!((sent, begin.elapsed().as_secs()), (calls, seconds), "{wait} ms a part");
    };
    check(100, 1, 4).await;
    check(150, 1, 6).await;
    // 400 ms a part would take 16 s; after 2 s a new request is sent, which takes 4 s.
    check(400, 2, 6).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_first_token_is_decided_by_the_first_token() {
    // The first request begins to write shortly after the second was sent: the second is dropped before it costs an answer.
    let hedge = Hedge::new(
        Scripted::new([slow_first(105, 5000), slow_first(30, 900)]),
        HedgeOptions { gap: None, ..options() },
    );
    let response = hedge.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((response.text.as_str(), response.elapsed), ("slow", ms(5000)));
    let second = &response.attempts[1];
    assert_eq!((second.start, second.end, &second.outcome), (ms(100), ms(105), &Outcome::Superseded));
    // The second begins first: the first is dropped then, not at the end.
    let hedge = Hedge::new(
        Scripted::new([slow_first(140, 150), slow_first(30, 900)]),
        HedgeOptions { gap: None, ..options() },
    );
    let response = hedge.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((response.elapsed, response.attempts[0].end), (ms(1000), ms(130)));
}
