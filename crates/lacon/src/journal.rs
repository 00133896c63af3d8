//! Journals of runs in a place that many machines see. A run there is a row of entries that are made once and never changed.
//!
//! Whoever claims a run adds an entry that says so, and everything that it keeps follows as further entries. An entry is made only
//! where none has its number. A worker that slept past its lease therefore finds the entry of the one that went on, and can write
//! nothing more. A claim is given up by its end, or by its lease: its worker was silent for so long, by the place's own clock.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "stores")]
mod store;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lacon_llm::BoxFuture;
use lacon_runtime::{Config, Keep};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot, watch},
};

use crate::failure::{Failure, UPSTREAM};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A worker begins, or goes on.
    Claim,
    /// Lines of the run's journal.
    Lines,
    /// The record of the run: it has ended.
    Record,
    /// The worker stopped before the end.
    Release,
}

/// One entry of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    kind: Kind,
    worker: String,
    #[serde(default)]
    text: String,
}

/// A place for the entries of runs. The texts of its errors are for people.
trait Place: Send + Sync {
    /// All entries of a run, from the first on.
    fn read<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, String>>;
    /// Makes an entry with a number, and says whether the one with that number is it.
    fn add<'a>(&'a self, run: &'a str, n: u64, entry: &'a Entry) -> BoxFuture<'a, Result<bool, String>>;
    /// Says that the worker of a claim lives, unless there is an entry with the number that it would make next.
    fn beat<'a>(&'a self, run: &'a str, claim: u64, next: u64) -> BoxFuture<'a, Result<bool, String>>;
    /// How long the worker of a claim has been silent.
    fn silence<'a>(&'a self, run: &'a str, claim: u64) -> BoxFuture<'a, Result<Duration, String>>;
}

/// What a claim finds.
pub enum Claimed {
    /// The run is ours.
    Ours(Held),
    /// It has ended, and this is its record, as JSON.
    Ended(String),
}

/// A run that is ours.
pub struct Held {
    /// The lines that its journal has so far.
    pub lines: String,
    due: mpsc::UnboundedSender<Due>,
    lost: watch::Receiver<Option<String>>,
    runtime: Arc<Runtime>,
}

/// What the writer is to do.
enum Due {
    Lines(String),
    /// Writes what waits and this, and ends.
    End(Kind, String, oneshot::Sender<Result<(), String>>),
}

/// Where a run gives its lines.
#[derive(Debug)]
struct Beside(mpsc::UnboundedSender<Due>);

impl Keep for Beside {
    fn take(&self, lines: &str) {
        // Without a writer the run is lost, which its owner is told.
        let _ = self.0.send(Due::Lines(lines.to_owned()));
    }
}

impl Held {
    /// Where its lines go.
    pub fn keep(&self) -> Arc<dyn Keep> {
        Arc::new(Beside(self.due.clone()))
    }

    /// Waits until the run is no longer ours.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut lost = self.lost.clone();
        async move {
            if lost.wait_for(Option::is_some).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Ends the claim: with the record of a run that has ended, or so that another worker can go on at once.
    pub fn end(self, record: Option<&Value>) -> Result<(), Failure> {
        let (kind, text) =
            record.map_or((Kind::Release, String::new()), |record| (Kind::Record, record.to_string()));
        let (told, ended) = oneshot::channel();
        let said = match self.due.send(Due::End(kind, text, told)) {
            Ok(()) => self.runtime.block_on(ended).unwrap_or(Ok(())),
            Err(_) => Ok(()),
        };
        let lost = self.lost.borrow().clone();
        match lost.map_or(said, Err) {
            Ok(()) => Ok(()),
            Err(why) => Err(Failure {
                message: format!("{why}\nhint: the same command goes on with the run from its journal"),
                code: UPSTREAM,
            }),
        }
    }
}

/// Claims a run of the journal that the settings name; nothing where they name none. A run that failed is ended too, unless it is
/// to be resumed.
pub fn claim(config: &Config, run: &str, resume: bool) -> Result<Option<Claimed>, Failure> {
    let at = config.text("run.journal_at");
    if at.is_empty() {
        return Ok(None);
    }
    let lease = Duration::from_secs_f64(config.number("run.journal_lease_s"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = Arc::new(runtime.map_err(|e| Failure::input(format!("cannot start the event loop: {e}")))?);
    let place = place(at)?;
    let worker = worker();
    let claimed = runtime.block_on(claim_at(&*place, run, &worker, lease, resume));
    let (claim, lines) = match claimed.map_err(|message| Failure { message, code: UPSTREAM })? {
        Found::Ended(record) => return Ok(Some(Claimed::Ended(record))),
        Found::Held(message) => return Err(Failure::input(message)),
        Found::Ours(claim, lines) => (claim, lines),
    };
    let (due, waiting) = mpsc::unbounded_channel();
    let (loses, lost) = watch::channel(None);
    let run = run.to_owned();
    let write = async move {
        let writer =
            Writer { place, run, worker, claim, next: claim + 1, lease, until: Instant::now() + lease };
        if let Err(why) = writer.write(waiting).await {
            loses.send_replace(Some(why));
        }
    };
    runtime.spawn(write);
    Ok(Some(Claimed::Ours(Held { lines, due, lost, runtime })))
}

fn place(at: &str) -> Result<Arc<dyn Place>, Failure> {
    let scheme = at.split_once("://").map_or("", |(scheme, _)| scheme);
    match scheme {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Arc::new(postgres::Postgres::new(at)?)),
        #[cfg(feature = "stores")]
        "s3" | "gs" | "az" => Ok(Arc::new(store::Store::new(at)?)),
        // The address may hold a password.
        _ => Err(Failure::input(format!(
            "--journal: this build of lacon knows no journal at {scheme}://\nhint: postgres://HOST/DATABASE with --features postgres; s3://, gs:// or az:// with --features stores"
        ))),
    }
}

/// A name that no other process has, and that tells a person where to look.
fn worker() -> String {
    let mut draw = [0; 8];
    // Without the system's random numbers, time and process tell workers apart.
    let _ = getrandom::fill(&mut draw);
    let host = crate::lock::host();
    format!("process {} on {host} {:016x}", std::process::id(), u64::from_le_bytes(draw))
}

enum Found {
    /// Ours by this claim, with the lines so far.
    Ours(u64, String),
    Ended(String),
    /// Another worker has it.
    Held(String),
}

async fn claim_at(
    place: &dyn Place,
    run: &str,
    worker: &str,
    lease: Duration,
    resume: bool,
) -> Result<Found, String> {
    loop {
        let mut entries = place.read(run).await?;
        match entries.last_mut() {
            Some(last) if last.kind == Kind::Record => {
                let record: Value = serde_json::from_str(&last.text)
                    .map_err(|error| format!("the journal's record of run {run} is no JSON: {error}"))?;
                if !resume || record["status"] == "done" {
                    return Ok(Found::Ended(std::mem::take(&mut last.text)));
                }
            }
            Some(last) if last.kind != Kind::Release => {
                let claim = entries.iter().rposition(|entry| entry.kind == Kind::Claim).unwrap_or(0);
                let silence = place.silence(run, claim as u64).await?;
                if silence <= lease {
                    return Ok(Found::Held(format!(
                        "run {run} is in use by {}, heard of {:.0} s ago\nhint: wait until it ends; after {:.0} s of silence another worker can go on",
                        entries[claim].worker,
                        silence.as_secs_f64(),
                        lease.as_secs_f64()
                    )));
                }
            }
            _ => {}
        }
        let n = entries.len() as u64;
        let entry = Entry { kind: Kind::Claim, worker: worker.to_owned(), text: String::new() };
        // Whoever makes an entry first has it: each round means that another one did, so this ends.
        if place.add(run, n, &entry).await? {
            let lines = entries.into_iter().filter(|entry| entry.kind == Kind::Lines);
            return Ok(Found::Ours(n, lines.map(|entry| entry.text).collect()));
        }
    }
}

/// Writes the entries of one claim, and says that its worker lives.
struct Writer {
    place: Arc<dyn Place>,
    run: String,
    worker: String,
    claim: u64,
    next: u64,
    lease: Duration,
    /// Until when nobody else can have gone on, by our own clock.
    until: Instant,
}

impl Writer {
    /// Writes what comes until the claim is ended; why it is lost, where it is.
    async fn write(mut self, mut waiting: mpsc::UnboundedReceiver<Due>) -> Result<(), String> {
        let mut beat = tokio::time::interval(self.lease / 4);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let first = tokio::select! {
                due = waiting.recv() => due,
                _ = beat.tick() => {
                    self.beat().await?;
                    continue;
                }
            };
            // What waits by now is one entry.
            let (mut lines, mut end, mut next) = (String::new(), None, first);
            while let Some(due) = next {
                match due {
                    Due::Lines(more) => lines.push_str(&more),
                    Due::End(kind, text, told) => {
                        end = Some((kind, text, told));
                        break;
                    }
                }
                next = waiting.try_recv().ok();
            }
            if !lines.is_empty() {
                self.add(Kind::Lines, lines).await?;
            }
            if let Some((kind, text, told)) = end {
                let ended = self.add(kind, text).await;
                // Nobody asks where the process ends.
                let _ = told.send(ended.clone());
                return ended;
            }
            if waiting.is_closed() && waiting.is_empty() {
                return Ok(());
            }
        }
    }

    fn lapsed(&self) -> String {
        format!(
            "run {} was not kept alive for {:.0} s: another worker may go on with it",
            self.run,
            self.lease.as_secs_f64()
        )
    }

    fn taken(&self) -> String {
        format!("another worker goes on with run {}", self.run)
    }

    async fn beat(&mut self) -> Result<(), String> {
        let now = Instant::now();
        let left = self.until.checked_duration_since(now).ok_or_else(|| self.lapsed())?;
        match tokio::time::timeout(left, self.place.beat(&self.run, self.claim, self.next)).await {
            Ok(Ok(true)) => self.until = now + self.lease,
            Ok(Ok(false)) => return Err(self.taken()),
            // It is tried again with the next beat, until the lease ends.
            Ok(Err(_)) => {}
            Err(_) => return Err(self.lapsed()),
        }
        Ok(())
    }

    async fn add(&mut self, kind: Kind, text: String) -> Result<(), String> {
        let entry = Entry { kind, worker: self.worker.clone(), text };
        loop {
            let left = self.until.checked_duration_since(Instant::now()).ok_or_else(|| self.lapsed())?;
            match tokio::time::timeout(left, self.place.add(&self.run, self.next, &entry)).await {
                Ok(Ok(true)) => {
                    self.next += 1;
                    return Ok(());
                }
                Ok(Ok(false)) => return Err(self.taken()),
                Ok(Err(_)) => tokio::time::sleep(self.lease / 40).await,
                Err(_) => return Err(self.lapsed()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
