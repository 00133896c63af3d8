//! Claims and writers on a place in memory whose answers can be held up or refused.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use super::*;

#[derive(Default)]
struct Memory {
    entries: Mutex<Vec<Entry>>,
    /// When the worker of each claim last gave a sign, by the clock below.
    heard: Mutex<BTreeMap<u64, u64>>,
    clock_s: AtomicU64,
    down: AtomicBool,
}

impl Memory {
    fn up(&self) -> Result<(), String> {
        if self.down.load(SeqCst) { Err("is down".to_owned()) } else { Ok(()) }
    }

    fn kinds(&self) -> Vec<Kind> {
        self.entries.lock().unwrap().iter().map(|entry| entry.kind).collect()
    }
}

impl Place for Memory {
    fn read<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, String>> {
        Box::pin(async { self.up().map(|()| self.entries.lock().unwrap().clone()) })
    }

    fn add<'a>(&'a self, _: &'a str, n: u64, entry: &'a Entry) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            self.up()?;
            let mut entries = self.entries.lock().unwrap();
            if entries.len() as u64 == n {
                entries.push(entry.clone());
                self.heard.lock().unwrap().entry(n).or_insert(self.clock_s.load(SeqCst));
            }
            Ok(entries.get(n as usize) == Some(entry))
        })
    }

    fn beat<'a>(&'a self, _: &'a str, claim: u64, next: u64) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            self.up()?;
            let ours = self.entries.lock().unwrap().len() as u64 <= next;
            if ours {
                self.heard.lock().unwrap().insert(claim, self.clock_s.load(SeqCst));
            }
            Ok(ours)
        })
    }

    fn silence<'a>(&'a self, _: &'a str, claim: u64) -> BoxFuture<'a, Result<Duration, String>> {
        Box::pin(async move {
            self.up()?;
            let heard = self.heard.lock().unwrap()[&claim];
            Ok(Duration::from_secs(self.clock_s.load(SeqCst) - heard))
        })
    }
}

const LEASE: Duration = Duration::from_secs(30);

async fn claimed(place: &Memory, worker: &str) -> Found {
    claim_at(place, "team/1", worker, LEASE, false).await.expect("a place that answers")
}

fn writer(place: &Arc<Memory>, worker: &str, claim: u64) -> Writer {
    Writer {
        place: Arc::clone(place) as Arc<dyn Place>,
        run: "team/1".into(),
        worker: worker.into(),
        claim,
        next: claim + 1,
        lease: LEASE,
        until: Instant::now() + LEASE,
    }
}

#[tokio::test]
async fn a_run_has_one_worker_and_one_that_slept_writes_nothing() {
    let place = Arc::new(Memory::default());
    let Found::Ours(claim, lines) = claimed(&place, "first").await else { panic!("nobody had it") };
    assert_eq!((claim, &*lines), (0, ""));
    let mut first = writer(&place, "first", claim);
    first.add(Kind::Lines, "a\n".into()).await.unwrap();
    assert!(matches!(claimed(&place, "second").await, Found::Held(why) if why.contains("in use by first")));
    // It sleeps, and gives no sign.
    place.clock_s.store(31, SeqCst);
    let Found::Ours(claim, lines) = claimed(&place, "second").await else { panic!("the lease has ended") };
    assert_eq!((claim, &*lines), (2, "a\n"));
    // It wakes up, and its own clock tells it nothing.
    assert_eq!(first.add(Kind::Lines, "late\n".into()).await, Err(first.taken()));
    assert_eq!(first.beat().await, Err(first.taken()));
    let mut second = writer(&place, "second", claim);
    second.add(Kind::Lines, "b\n".into()).await.unwrap();
    second.add(Kind::Record, r#"{"status":"done"}"#.into()).await.unwrap();
    assert!(
        matches!(claimed(&place, "third").await, Found::Ended(record) if record == r#"{"status":"done"}"#)
    );
    assert_eq!(place.kinds(), [Kind::Claim, Kind::Lines, Kind::Claim, Kind::Lines, Kind::Record]);
}

#[tokio::test]
async fn of_many_that_claim_at_once_one_gets_the_run() {
    let place = Arc::new(Memory::default());
    let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let all = futures_util::future::join_all(names.iter().map(|name| claimed(&place, name))).await;
    assert_eq!(all.iter().filter(|found| matches!(found, Found::Ours(..))).count(), 1);
    assert_eq!(place.kinds(), [Kind::Claim]);
}

#[tokio::test]
async fn what_stopped_or_failed_is_gone_on_with_as_asked() {
    let place = Arc::new(Memory::default());
    let Found::Ours(claim, _) = claimed(&place, "first").await else { panic!("nobody had it") };
    writer(&place, "first", claim).add(Kind::Release, String::new()).await.unwrap();
    let Found::Ours(claim, _) = claimed(&place, "second").await else { panic!("it was given up") };
    writer(&place, "second", claim).add(Kind::Record, r#"{"status":"failed"}"#.into()).await.unwrap();
    assert!(matches!(claimed(&place, "third").await, Found::Ended(_)));
    let again = claim_at(&*place, "team/1", "third", LEASE, true).await;
    assert!(matches!(again, Ok(Found::Ours(4, _))));
}

#[tokio::test]
async fn a_place_that_is_down_for_a_while_loses_nothing_and_one_for_long_loses_the_run() {
    let place = Arc::new(Memory::default());
    let Found::Ours(claim, _) = claimed(&place, "first").await else { panic!("nobody had it") };
    let lease = Duration::from_millis(400);
    let mut first = Writer { lease, until: Instant::now() + lease, ..writer(&place, "first", claim) };
    place.down.store(true, SeqCst);
    let (added, ()) = tokio::join!(first.add(Kind::Lines, "a\n".into()), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        place.down.store(false, SeqCst);
    });
    assert_eq!((added, first.next), (Ok(()), 2));
    place.down.store(true, SeqCst);
    assert_eq!(first.add(Kind::Lines, "b\n".into()).await, Err(first.lapsed()));
    assert_eq!(first.beat().await, Err(first.lapsed()));
}
