//! Answers that processes share: one asks the source, the others wait for what it gets, for a while.
//!
//! All of it fails open. Whoever cannot reach the server, or has waited for long enough, asks the source itself. A flight whose
//! owner died ends with its lease.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::Script;
use tokio::runtime::Handle;

use super::Server;

/// Largest answer that is kept, in bytes.
pub const MAX_ANSWER: usize = 1 << 20;
/// Longest time that an answer is kept.
pub const MAX_KEEP: Duration = Duration::from_secs(86_400);
/// Longest wait for the answer that another process gets. Who waits has a limit for the whole call.
const LONGEST: Duration = Duration::from_secs(10);
/// First and longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// From another process.
    Elsewhere,
    /// From the source, asked here.
    Here,
    /// From the source, because the server could not be reached.
    Unshared,
}

/// Answers in the server, by name.
#[derive(Clone)]
pub struct SharedAnswers(Arc<Inner>);

struct Inner {
    server: Server,
    lease: Duration,
    look: Script,
    tell: Script,
    land: Script,
}

enum Looked {
    Answer(String),
    Ours,
    Theirs(String),
    Unreachable,
}

impl SharedAnswers {
    /// Answers in a server. A process that is silent for the time of a lease does not get its answer any more. Asks nothing yet.
    #[must_use]
    pub fn new(server: Server, lease: Duration) -> Self {
        Self(Arc::new(Inner {
            server,
            lease,
            look: Script::new(include_str!("look.lua")),
            tell: Script::new(include_str!("tell.lua")),
            land: Script::new(include_str!("land.lua")),
        }))
    }

    /// Gives the answer with a name: that of another process, or what `make` gives, which is kept for as long as it says.
    /// Dropping the future lets another process ask.
    ///
    /// # Errors
    /// What `make` says; the server alone is none.
    pub async fn answer<E>(
        &self,
        name: &str,
        make: impl Future<Output = Result<(String, Option<Duration>), E>>,
    ) -> Result<(String, Whence), E> {
        let flight = Flight { answers: self.clone(), name: name.to_owned(), me: token(), ours: false };
        let mut flight = match self.wait(flight).await {
            Waited::Answer(text) => return Ok((text, Whence::Elsewhere)),
            Waited::Alone(whence) => return make.await.map(|(text, _)| (text, whence)),
            Waited::Ours(flight) => flight,
        };
        let beats = async {
            loop {
                tokio::time::sleep(self.0.lease / 3).await;
                // A beat that did not arrive costs the others one call at most.
                drop(flight.look().await);
            }
        };
        let made = tokio::select! {
            made = make => made,
            () = beats => std::future::pending().await,
        };
        let (text, keep) = made?;
        if let Some(keep) = keep.filter(|keep| !keep.is_zero() && text.len() <= MAX_ANSWER) {
            flight.tell(&text, keep.min(MAX_KEEP));
        }
        Ok((text, Whence::Here))
    }

    async fn wait(&self, mut flight: Flight) -> Waited {
        let (began, mut pause) = (Instant::now(), PAUSES.0);
        let mut first = None;
        loop {
            match flight.look().await {
                Looked::Answer(text) => return Waited::Answer(text),
                Looked::Unreachable => return Waited::Alone(Whence::Unshared),
                Looked::Ours => {
                    flight.ours = true;
                    return Waited::Ours(flight);
                }
                // A second one in its place: the first gave nothing that others can use, and so may all.
                Looked::Theirs(who)
                    if *first.get_or_insert_with(|| who.clone()) != who || began.elapsed() >= LONGEST =>
                {
                    return Waited::Alone(Whence::Here);
                }
                Looked::Theirs(_) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

enum Waited {
    Answer(String),
    Alone(Whence),
    Ours(Flight),
}

/// A call of this process that others may wait for; dropped, it ends without an answer.
struct Flight {
    answers: SharedAnswers,
    name: String,
    me: String,
    ours: bool,
}

impl Flight {
    fn keys(&self) -> (String, String) {
        (format!("lacon:answer:{}", self.name), format!("lacon:flight:{}", self.name))
    }

    async fn look(&self) -> Looked {
        let ((answer, flight), me, all) = (self.keys(), self.me.clone(), self.answers.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let Inner { server, lease, look, .. } = &*all.0;
            let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).max(1);
            server.ask(|connection| {
                let look = &mut look.key(&answer);
                look.key(&flight).arg(&me).arg(lease).arg(MAX_ANSWER).invoke::<(u8, Vec<u8>)>(connection)
            })
        });
        match looked.await {
            Ok(Ok((1, _))) => Looked::Ours,
            Ok(Ok((state, text))) => match (state, String::from_utf8(text)) {
                (2, Ok(text)) => Looked::Answer(text),
                (0, Ok(who)) => Looked::Theirs(who),
                _ => Looked::Unreachable,
            },
            _ => Looked::Unreachable,
        }
    }

    /// Keeps the answer, in the background: who asked has it. Where it cannot be kept the flight still ends.
    fn tell(&mut self, text: &str, keep: Duration) {
        let Ok(handle) = Handle::try_current() else { return };
        self.ours = false;
        let ((answer, flight), me, all) = (self.keys(), self.me.clone(), self.answers.clone());
        let text = text.to_owned();
        handle.spawn_blocking(move || {
            let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).max(1);
            let told = all.0.server.ask(|connection| {
                let tell = &mut all.0.tell.key(&answer);
                tell.key(&flight).arg(&me).arg(&text).arg(keep).invoke::<()>(connection)
            });
            if told.is_err() {
                all.land(&flight, &me);
            }
        });
    }
}

impl SharedAnswers {
    fn land(&self, flight: &str, me: &str) {
        // What is not ended ends with its lease.
        drop(self.0.server.ask(|connection| self.0.land.key(flight).arg(me).invoke::<()>(connection)));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(handle) = Handle::try_current().ok().filter(|_| self.ours) else { return };
        let ((_, flight), me, all) = (self.keys(), self.me.clone(), self.answers.clone());
        handle.spawn_blocking(move || all.land(&flight, &me));
    }
}

/// A name of one call that no other call has.
fn token() -> String {
    let mut bytes = [0; 12];
    if getrandom::fill(&mut bytes).is_err() {
        // Without it two calls of this process are one to the server, which their process has made one already.
        bytes[..4].copy_from_slice(&std::process::id().to_le_bytes());
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
