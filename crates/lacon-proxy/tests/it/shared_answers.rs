//! Answers and comparisons that processes share, against a real server. Two objects with connections of their own are two processes.

use std::{
    convert::Infallible,
    future::ready,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use lacon_proxy::shared::{Server, SharedAnswers, SharedCounts, Whence};
use lacon_tokens::{Learned, learn, set_learned, take_fresh};
use tokio::sync::Notify;

use crate::shared::Redis;

const KEEP: Option<Duration> = Some(Duration::from_secs(60));
const LEASE: Duration = Duration::from_secs(5);
type Made = Result<(String, Option<Duration>), String>;

fn answers(redis: &Redis) -> SharedAnswers {
    SharedAnswers::new(redis.server(), LEASE)
}

fn made(text: &str, keep: Option<Duration>) -> impl Future<Output = Made> {
    ready(Ok((text.to_owned(), keep)))
}

/// Waits until the server says so; what is told is told in the background.
#[expect(clippy::disallowed_methods, reason = "another thread tells it")]
fn until(redis: &Redis, words: &[&str], wanted: &str) {
    let began = Instant::now();
    while redis.tell(words) != wanted {
        assert!(began.elapsed() < Duration::from_secs(30), "{words:?} is never {wanted}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn said(text: &str, whence: Whence) -> Result<(String, Whence), String> {
    Ok((text.to_owned(), whence))
}

#[tokio::test]
async fn equal_calls_of_many_processes_at_once_make_one() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (calls, go) = (AtomicUsize::new(0), Notify::new());
    let ask = async |answers: SharedAnswers| {
        let make = async {
            calls.fetch_add(1, Ordering::SeqCst);
            go.notified().await;
            Ok::<_, Infallible>(("news".to_owned(), KEEP))
        };
        answers.answer("a", make).await.unwrap()
    };
    let all = futures(8, || ask(answers(&redis)));
    let release = async {
        // Everybody has looked at least once by then: one owns the flight, and it is alive.
        tokio::time::sleep(Duration::from_millis(300)).await;
        go.notify_one();
    };
    let (told, ()) = tokio::join!(all, release);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(told.iter().all(|(text, _)| text == "news"));
    assert_eq!(told.iter().filter(|(_, whence)| *whence == Whence::Here).count(), 1);
    // It is kept for a while, and another one by its own name.
    assert_eq!(answers(&redis).answer("a", made("later", KEEP)).await, said("news", Whence::Elsewhere));
    assert_eq!(answers(&redis).answer("b", made("other", KEEP)).await, said("other", Whence::Here));
    let left: u64 = redis.tell(&["PTTL", "lacon:answer:a"]).parse().unwrap();
    assert!(left <= 60_000);
}

async fn futures<T>(n: usize, make: impl Fn() -> T) -> Vec<T::Output>
where
    T: Future,
{
    let mut all: Vec<_> = (0..n).map(|_| Box::pin(make())).collect();
    let mut done: Vec<Option<T::Output>> = (0..n).map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect()),
            false => std::task::Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn an_owner_that_died_blocks_for_its_lease_and_one_that_lives_keeps_it() {
    let Some(redis) = Redis::start(&[]) else { return };
    redis.tell(&["SET", "lacon:flight:a", "somebody who died", "PX", "300"]);
    assert_eq!(answers(&redis).answer("a", made("mine", KEEP)).await, said("mine", Whence::Here));
    until(&redis, &["GET", "lacon:answer:a"], "mine");
    // A source that takes longer than the lease: the flight stays one.
    let short = |redis: &Redis| SharedAnswers::new(redis.server(), Duration::from_secs(2));
    let go = Notify::new();
    let (one, two) = (short(&redis), short(&redis));
    let slow = one.answer("b", async {
        go.notified().await;
        Ok::<_, String>(("slow".to_owned(), KEEP))
    });
    let waiter = async {
        until(&redis, &["EXISTS", "lacon:flight:b"], "1");
        let release = async {
            tokio::time::sleep(Duration::from_millis(3500)).await;
            go.notify_one();
        };
        tokio::join!(two.answer("b", made("twice", KEEP)), release).0
    };
    let (slow, waited) = tokio::join!(slow, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        waiter.await
    });
    assert_eq!((slow, waited), (said("slow", Whence::Here), said("slow", Whence::Elsewhere)));
}

#[tokio::test]
async fn failures_are_not_kept_nor_what_is_too_large_or_not_to_be_kept() {
    let Some(redis) = Redis::start(&[]) else { return };
    let failed =
        answers(&redis).answer("a", ready(Err::<(String, Option<Duration>), _>("down".to_owned()))).await;
    assert_eq!(failed, Err("down".to_owned()));
    until(&redis, &["EXISTS", "lacon:flight:a"], "0");
    let large = "x".repeat((1 << 20) + 1);
    for (text, keep) in [("no data", None), (large.as_str(), KEEP)] {
        assert_eq!(answers(&redis).answer("a", made(text, keep)).await, said(text, Whence::Here));
        until(&redis, &["EXISTS", "lacon:flight:a"], "0");
        assert_eq!(redis.tell(&["EXISTS", "lacon:answer:a"]), "0");
    }
    // A caller that is dropped ends its flight.
    let one = answers(&redis);
    let stuck = one.answer("a", std::future::pending::<Made>());
    tokio::select! {
        _ = stuck => unreachable!(),
        () = async { while redis.tell(&["EXISTS", "lacon:flight:a"]) != "1" { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    until(&redis, &["EXISTS", "lacon:flight:a"], "0");
    // What somebody else wrote there is bounded too, and must be text.
    redis.tell(&["CONFIG", "SET", "proto-max-bulk-len", "536870912"]);
    redis.tell(&["SETRANGE", "lacon:answer:huge", "2000000", "x"]);
    assert_eq!(answers(&redis).answer("huge", made("ours", KEEP)).await, said("ours", Whence::Here));
    redis.tell(&["SETBIT", "lacon:answer:bytes", "0", "1"]);
    assert_eq!(answers(&redis).answer("bytes", made("ours", KEEP)).await, said("ours", Whence::Unshared));
}

#[tokio::test]
async fn where_the_server_is_dead_hangs_or_is_full_the_source_is_asked() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    let one = SharedAnswers::new(Server::patient(&redis.url(), Duration::from_millis(500)).unwrap(), LEASE);
    assert_eq!(answers(&redis).answer("kept", made("before", KEEP)).await, said("before", Whence::Here));
    until(&redis, &["EXISTS", "lacon:answer:kept"], "1");
    // Full: what is there comes back, flights are held, nothing more is kept, and nobody waits for it.
    redis.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(answers(&redis).answer("kept", made("again", KEEP)).await, said("before", Whence::Elsewhere));
    assert_eq!(answers(&redis).answer("new", made("new", KEEP)).await, said("new", Whence::Here));
    until(&redis, &["EXISTS", "lacon:flight:new"], "0");
    assert_eq!(redis.tell(&["EXISTS", "lacon:answer:new"]), "0");
    redis.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    // It hangs: asked once, then left alone, so that a hundred calls do not wait for 50 s.
    redis.signal("-STOP");
    let began = Instant::now();
    for n in 0..100 {
        let text = n.to_string();
        assert_eq!(one.answer("kept", made(&text, KEEP)).await, said(&text, Whence::Unshared));
    }
    assert!(began.elapsed() < Duration::from_secs(30));
    redis.signal("-CONT");
    redis.answers();
    redis.kill();
    assert_eq!(one.answer("kept", made("alone", KEEP)).await, said("alone", Whence::Unshared));
    // It comes back with what its log holds.
    redis.again();
    let began = Instant::now();
    while one.answer("kept", made("alone", KEEP)).await != said("before", Whence::Elsewhere) {
        assert!(began.elapsed() < Duration::from_secs(30), "the answer never comes back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn what_one_process_learns_corrects_the_counts_of_others_until_it_is_forgotten() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    let (one, two) = (SharedCounts::new(redis.server()), SharedCounts::new(redis.server()));
    let estimate = || lacon_tokens::for_model("claude-opus-5").of(1000).tokens;
    let usual = estimate();
    let bills =
        |n: usize, billed: u64| (0..n).for_each(|_| assert!(learn("claude-opus-5", 1000, billed).is_some()));
    bills(20, 1310);
    one.add().unwrap();
    // Another process has learned nothing.
    set_learned(Vec::new());
    assert!(take_fresh().is_empty());
    assert_eq!(estimate(), usual);
    set_learned(two.learned().unwrap());
    assert_eq!(estimate(), 1310);
    // It adds what it compares, not what it was told.
    bills(3, 1320);
    two.add().unwrap();
    let family = one.learned().unwrap().remove(0);
    assert_eq!((family.ratios.len(), family.ratios[22]), (23, 1.32));
    bills(200, 1400);
    one.add().unwrap();
    assert_eq!(two.learned().unwrap()[0].ratios.len(), Learned::KEPT);
    // What cannot be is left out, whoever wrote it.
    let key = format!("lacon:learned:{}", family.family);
    for word in ["NaN", "9e9", "-1", "what"] {
        redis.tell(&["RPUSH", &key, word]);
    }
    set_learned(two.learned().unwrap());
    assert_eq!(estimate(), 1400);
    one.forget().unwrap();
    assert!(two.learned().unwrap().is_empty());
    redis.kill();
    bills(1, 1310);
    assert!(one.add().is_err() && one.learned().is_err() && one.forget().is_err());
    set_learned(Vec::new());
}
