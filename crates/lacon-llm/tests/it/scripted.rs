//! A client that answers from a script, on tokio's clock; with paused time its tests take no time.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lacon_llm::{
    Attempt, BoxFuture, Client, ClientInfo, Error, ErrorKind, Outcome, Request, Response, StreamEvent, Usage,
};
use tokio::time::{Instant, sleep};

/// One scripted answer.
#[derive(Debug, Clone)]
pub struct Play {
    /// Time until the first token; none means that it fails before one.
    pub first: Option<u64>,
    /// Time until the end, in milliseconds.
    pub end: u64,
    /// The text, or the error.
    pub result: Result<&'static str, (ErrorKind, Option<Duration>)>,
}

/// Answers after `end` milliseconds, with the first token half way.
pub fn says(text: &'static str, end: u64) -> Play {
    Play { first: Some(end / 2), end, result: Ok(text) }
}

/// Fails after `end` milliseconds.
pub fn fails(kind: ErrorKind, end: u64) -> Play {
    Play { first: None, end, result: Err((kind, None)) }
}

/// Fails at once and asks for a wait.
pub fn asks_to_wait(kind: ErrorKind, wait: Duration) -> Play {
    Play { first: None, end: 0, result: Err((kind, Some(wait))) }
}

/// The client; past its script it goes on with the last answer.
#[derive(Debug)]
pub struct Scripted {
    script: Mutex<VecDeque<Play>>,
    begin: Instant,
    /// When each call began.
    pub calls: Mutex<Vec<Duration>>,
    /// Calls that were dropped before they ended.
    pub dropped: AtomicUsize,
    /// Most calls at once.
    pub peak: AtomicUsize,
    active: AtomicUsize,
}

impl Scripted {
    pub fn new(script: impl IntoIterator<Item = Play>) -> Self {
        Self {
            script: Mutex::new(script.into_iter().collect()),
            begin: Instant::now(),
            calls: Mutex::default(),
            dropped: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
        }
    }
}

/// Counts a call as dropped unless it was told to be done.
struct Guard<'a>(&'a Scripted, bool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Client for Scripted {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            let play = {
                let mut script = self.script.lock().unwrap();
                if script.len() > 1 { script.pop_front() } else { script.front().cloned() }.unwrap()
            };
            self.calls.lock().unwrap().push(self.begin.elapsed());
            let active = self.active.fetch_add(1, Ordering::Relaxed) + 1;
            self.peak.fetch_max(active, Ordering::Relaxed);
            let mut guard = Guard(self, false);
            on_event(StreamEvent::Sent { attempt: 1 });
            if let Some(first) = play.first {
                sleep(Duration::from_millis(first)).await;
                on_event(StreamEvent::FirstToken);
                on_event(StreamEvent::Delta(play.result.as_ref().map_or("part", |text| text)));
            }
            sleep(Duration::from_millis(play.end - play.first.unwrap_or(0))).await;
            guard.1 = true;
            let usage = Usage { input: Some(100), output: Some(10), ..Usage::default() };
            let mut attempt = Attempt {
                start: Duration::ZERO,
                connected: None,
                first_token: play.first.map(Duration::from_millis),
                end: Duration::from_millis(play.end),
                status: Some(200),
                outcome: Outcome::Answered,
                error: None,
                usage: Some(usage),
                usage_estimate: None,
                received: 4,
                hedge: false,
            };
            match play.result {
                Ok(text) => Ok(Response {
                    usage: Some(usage),
                    first_token: attempt.first_token,
                    elapsed: attempt.end,
                    attempts: vec![attempt],
                    ..Response::new(request.model.clone(), text)
                }),
                Err((kind, wait)) => {
                    attempt.outcome = Outcome::Failed(kind);
                    attempt.usage = None;
                    attempt.usage_estimate =
                        play.first.map(|_| Usage { output: Some(1), ..Usage::default() });
                    Err(Error::new(kind, format!("scripted {}", kind.as_str()))
                        .with_retry_after(wait)
                        .with_attempts(vec![attempt]))
                }
            }
        })
    }

    fn describe(&self) -> ClientInfo {
        ClientInfo { provider: "scripted".into(), base_url: String::new(), simulated: true }
    }
}
