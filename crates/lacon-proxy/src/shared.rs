//! State that processes share in one Redis or Valkey: limits by provider key, budgets by team and day, offloaded content, answers
//! of tools, what is learned of token counts.
//!
//! Shares are leased: one round trip reserves for many calls, and what a process has leased it gives out by itself. What it has
//! leased counts as spent until it gives it back, so the sum over all processes never passes the budget, whoever dies.
//! Money fails closed: without the server, or after it lost its memory, no call that costs is made. The rest fails open, and the
//! metrics say so.

mod answers;
mod counts;
mod store;

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lacon_llm::Usage;
use lacon_monitor::prices;
use redis::{Client, Connection, RedisError, Script};

use crate::gate::{Call, Gate, Pass, Refused};

pub use answers::{SharedAnswers, Whence};
pub use counts::SharedCounts;
pub use store::SharedContent;

/// Longest wait for the server. It lies beside the proxies; a slower one is treated as absent.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long nobody asks a server that did not answer.
const REST: Duration = Duration::from_secs(1);
/// How long a lease on a bucket holds; a budget's holds for its day.
const LEASE: Duration = Duration::from_secs(10);
/// Part of a budget or bucket that is leased at once.
const SLICE: u64 = 200;
/// Most shares that one process holds; keys are whatever clients send.
const MAX_SHARES: usize = 10_000;
/// How long what a day spent is kept.
const KEEP: u64 = 3 * 86_400;
const DAY: u64 = 86_400;

/// What is limited, for all proxies together.
#[derive(Clone, Debug, Default)]
pub struct SharedOptions {
    /// Most requests a minute of one provider key.
    pub requests: Option<u64>,
    /// Most tokens a minute of one provider key, prompts and answers.
    pub tokens: Option<u64>,
    /// Micro-USD a day by team. A team that is not named may not call.
    pub budgets: HashMap<String, u64>,
}

/// The server, for all that use it. Cloning shares the connection.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    client: Client,
    patience: Duration,
    line: Mutex<Line>,
    unreachable: AtomicU64,
}

#[derive(Default)]
struct Line {
    connection: Option<Connection>,
    down_until: Option<Instant>,
}

impl Server {
    /// Checks the address; connects when something is asked.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(url: &str) -> Result<Self, String> {
        Self::patient(url, PATIENCE)
    }

    /// The same with another longest wait.
    ///
    /// # Errors
    /// When the address is none.
    pub fn patient(url: &str, patience: Duration) -> Result<Self, String> {
        let client = Client::open(url).map_err(|error| {
            format!("{error}\nhint: give an address such as redis://127.0.0.1:6379/0, or rediss://HOST:6380/0 for TLS")
        })?;
        Ok(Self(Arc::new(Inner { client, patience, line: Mutex::default(), unreachable: AtomicU64::new(0) })))
    }

    /// Asks the server. A connection that turns out to be dead is replaced once; a server that is slow is left alone for a while.
    fn ask<T>(
        &self,
        mut question: impl FnMut(&mut Connection) -> Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        let mut line = locked(&self.0.line);
        let failed = |line: &mut Line, error: RedisError| {
            line.connection = None;
            line.down_until = Some(Instant::now() + REST);
            self.0.unreachable.fetch_add(1, Ordering::Relaxed);
            error
        };
        if line.down_until.is_some_and(|until| Instant::now() < until) {
            self.0.unreachable.fetch_add(1, Ordering::Relaxed);
            return Err(RedisError::from(std::io::Error::other("the server did not answer a moment ago")));
        }
        let mut fresh = line.connection.is_none();
        loop {
            if line.connection.is_none() {
                match self.connected() {
                    Ok(connection) => line.connection = Some(connection),
                    Err(error) => return Err(failed(&mut line, error)),
                }
            }
            let Some(connection) = line.connection.as_mut() else { continue };
            match question(connection) {
                Ok(answer) => {
                    line.down_until = None;
                    return Ok(answer);
                }
                Err(error) if !fresh && error.is_io_error() && !error.is_timeout() => {
                    (line.connection, fresh) = (None, true);
                }
                Err(error) if error.is_io_error() => return Err(failed(&mut line, error)),
                // The server answers, and says no: full memory, loading, read-only.
                Err(error) => return Err(error),
            }
        }
    }

    fn connected(&self) -> Result<Connection, RedisError> {
        let connection = self.0.client.get_connection_with_timeout(self.0.patience)?;
        connection.set_read_timeout(Some(self.0.patience))?;
        connection.set_write_timeout(Some(self.0.patience))?;
        Ok(connection)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a process has leased and not given out; below zero where calls took more than their most.
struct Share {
    left: i64,
    until: Instant,
}

/// Limits and budgets that all processes share.
pub struct Limits {
    server: Server,
    options: SharedOptions,
    /// What the server remembered when this process began.
    epoch: String,
    shares: Mutex<HashMap<String, Share>>,
    /// Micro-USD that each team had left when it was last asked for, which a page can show without asking.
    left: Mutex<HashMap<String, i64>>,
    figures: Figures,
    take: Script,
    spend: Script,
    give: Script,
}

#[derive(Default)]
struct Figures {
    leases: AtomicU64,
    limited: AtomicU64,
    over_budget: AtomicU64,
    closed: AtomicU64,
    open: AtomicU64,
    beyond: AtomicU64,
}

impl Limits {
    /// Connects, and where budgets are wanted checks that the server keeps what it is told.
    ///
    /// # Errors
    /// When the server does not answer, or would forget what was spent.
    pub fn new(server: Server, options: SharedOptions) -> Result<Arc<Self>, String> {
        if !options.budgets.is_empty() {
            keeps(&server)?;
        }
        let proposed = format!("{:x}-{}", now().as_nanos(), std::process::id());
        let epoch = server.ask(|connection| {
            redis::cmd("SET").arg("lacon:epoch").arg(&proposed).arg("NX").query::<()>(connection)?;
            redis::cmd("GET").arg("lacon:epoch").query::<String>(connection)
        });
        Ok(Arc::new(Self {
            epoch: epoch.map_err(|error| format!("the shared state does not answer: {error}"))?,
            server,
            options,
            shares: Mutex::default(),
            left: Mutex::default(),
            figures: Figures::default(),
            take: Script::new(include_str!("shared/take.lua")),
            spend: Script::new(include_str!("shared/spend.lua")),
            give: Script::new(include_str!("shared/give.lua")),
        }))
    }

    /// Takes from a bucket of the key; without the server everyone may pass.
    fn within(&self, kind: &str, key: &str, size: Option<u64>, need: u64) -> Result<Option<String>, Refused> {
        let Some(size) = size else { return Ok(None) };
        if need > size {
            return Err(Refused::Never(format!(
                "the call takes up to {need} {kind}, the limit is {size} a minute\nhint: shorten it, or name a lower max_tokens"
            )));
        }
        let name = format!("lacon:{kind}:{key}");
        let Drawn::Part { missing, held } = self.draw(&name, need, LEASE)? else { return Ok(Some(name)) };
        let answer = self.server.ask(|connection| {
            let (need, wish) = (missing.min(size), missing.min(size).max(size / SLICE));
            self.take.key(&name).arg(size).arg(need).arg(wish).invoke::<(u64, u64)>(connection)
        });
        match answer {
            Ok((0, wait)) => {
                self.undraw(&name, held);
                self.figures.limited.fetch_add(1, Ordering::Relaxed);
                let what =
                    format!("{size} {kind} a minute are used up for this key, by all proxies together");
                Err(Refused::Limit { wait: Duration::from_millis(wait), what })
            }
            Ok((taken, _)) => {
                self.leased(&name, taken, missing);
                Ok(Some(name))
            }
            Err(_) => {
                self.undraw(&name, held);
                self.figures.open.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
        }
    }

    /// Takes from the team's budget of the day; without the server nobody may pass.
    fn afford(&self, call: &Call) -> Result<Option<(String, u64)>, Refused> {
        if self.options.budgets.is_empty() {
            return Ok(None);
        }
        let Some(&budget) = self.options.budgets.get(&call.team) else {
            return Err(Refused::Never(format!(
                "team {:?} has no budget here\nhint: x-lacon-team names one that has",
                call.team
            )));
        };
        // What is written to a provider's cache costs up to twice its price.
        let written = Usage { input: None, cache_write_1h: Some(call.input), ..call.most() };
        let dearest =
            [call.most(), written].iter().filter_map(|usage| prices::cost(&call.model, usage)).max();
        let Some(need) = dearest else {
            return Err(Refused::Never(format!(
                "{:?} has no known price, so no budget can pay it",
                call.model
            )));
        };
        let need = need.max(1);
        let name = format!("lacon:spent:{}:{}", call.team, now().as_secs() / DAY);
        let Drawn::Part { missing, held } = self.draw(&name, need, Duration::from_secs(DAY))? else {
            return Ok(Some((name, need)));
        };
        let answer = self.server.ask(|connection| {
            let spend = &mut self.spend.key(&name);
            let spend = spend.key("lacon:epoch").arg(budget).arg(missing).arg(missing.max(budget / SLICE));
            spend.arg(KEEP).arg(&self.epoch).invoke::<(i64, i64)>(connection)
        });
        if let Ok((0.., left)) = answer {
            locked(&self.left).insert(call.team.clone(), left);
        }
        if let Ok((taken @ 1.., _)) = answer {
            self.leased(&name, taken.unsigned_abs(), missing);
            return Ok(Some((name, need)));
        }
        self.undraw(&name, held);
        match answer {
            Ok((0, left)) => {
                self.figures.over_budget.fetch_add(1, Ordering::Relaxed);
                Err(Refused::Budget(format!(
                    "team {:?} has {} of {} USD left today, the call may cost {}",
                    call.team,
                    usd(left.saturating_add(held).max(0).unsigned_abs()),
                    usd(budget),
                    usd(need)
                )))
            }
            Ok(_) => Err(self.closed(
                "the shared state was lost, so nobody knows what was spent\nhint: start the proxies anew once that is settled",
            )),
            Err(error) => Err(self
                .closed(&format!("the shared state does not answer, so no call that costs is made: {error}"))),
        }
    }

    fn closed(&self, what: &str) -> Refused {
        self.figures.closed.fetch_add(1, Ordering::Relaxed);
        Refused::Unknown(what.to_owned())
    }

    /// Draws from what is leased already: all that is needed, or what there is, so that nobody else draws it meanwhile. Debts
    /// are drawn too. The lock is never held while the server is asked: answers settle on the event loop.
    fn draw(&self, name: &str, need: u64, time: Duration) -> Result<Drawn, Refused> {
        let mut shares = locked(&self.shares);
        if !shares.contains_key(name) {
            room(&mut shares)?;
        }
        let until = Instant::now() + time;
        let share = shares.entry(name.to_owned()).or_insert(Share { left: 0, until });
        if !is_money(name) && share.until < Instant::now() {
            share.left = share.left.min(0);
            share.until = until;
        }
        let need = i64::try_from(need).unwrap_or(i64::MAX);
        if share.left >= need {
            share.left -= need;
            return Ok(Drawn::All);
        }
        let held = std::mem::take(&mut share.left);
        Ok(Drawn::Part { missing: need.saturating_sub(held).unsigned_abs(), held })
    }

    fn undraw(&self, name: &str, held: i64) {
        if let Some(share) = locked(&self.shares).get_mut(name) {
            share.left = share.left.saturating_add(held);
        }
    }

    /// Takes in a lease, of which a call uses what it was missing.
    fn leased(&self, name: &str, taken: u64, missing: u64) {
        self.figures.leases.fetch_add(1, Ordering::Relaxed);
        self.put(name, taken, missing);
    }

    /// Puts back what was reserved and not taken, or owes what was taken beyond.
    fn put(&self, name: &str, reserved: u64, took: u64) {
        let mut shares = locked(&self.shares);
        let until = Instant::now() + LEASE;
        let share = shares.entry(name.to_owned()).or_insert(Share { left: 0, until });
        share.left = share.left.saturating_add_unsigned(reserved).saturating_sub_unsigned(took);
    }
}

/// What a share gave of what was needed.
enum Drawn {
    All,
    Part { missing: u64, held: i64 },
}

fn is_money(name: &str) -> bool {
    name.starts_with("lacon:spent:")
}

/// Makes room for one more share. Those whose time is over hold nothing any more; of a budget they wait to be given back.
fn room(shares: &mut HashMap<String, Share>) -> Result<(), Refused> {
    if shares.len() >= MAX_SHARES {
        let now = Instant::now();
        shares.retain(|name, share| share.until > now || (is_money(name) && share.left != 0));
    }
    match shares.len() < MAX_SHARES {
        true => Ok(()),
        false => Err(Refused::Unknown(format!("more than {MAX_SHARES} keys and teams call at once"))),
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn usd(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Whether what is spent survives a crash of the server, and a full memory.
fn keeps(server: &Server) -> Result<(), String> {
    let setting = |name: &str| -> Result<Option<String>, String> {
        let answer = server.ask(|connection| {
            redis::cmd("CONFIG").arg("GET").arg(name).query::<HashMap<String, String>>(connection)
        });
        match answer {
            Ok(mut found) => Ok(found.remove(name)),
            Err(error) if error.is_io_error() => Err(format!("the shared state does not answer: {error}")),
            // Servers of others hide their settings; their owner answers for them.
            Err(_) => Ok(None),
        }
    };
    // With `everysec` a write may wait for two seconds behind a slow disk, and its answer does not.
    let lacks = |found: Option<String>, wanted: &str| found.is_some_and(|value| value != wanted);
    if lacks(setting("appendonly")?, "yes") || lacks(setting("appendfsync")?, "always") {
        return Err(
            "the server would forget what was spent when it crashes\nhint: redis-server --appendonly yes --appendfsync always"
                .to_owned(),
        );
    }
    match setting("maxmemory-policy")? {
        Some(policy) if policy != "noeviction" => Err(format!(
            "the server may evict what was spent, its maxmemory-policy is {policy}\nhint: redis-server --maxmemory-policy noeviction"
        )),
        _ => Ok(()),
    }
}

/// A call that holds parts of shares.
struct Held {
    limits: Arc<Limits>,
    model: String,
    tokens: Option<(String, u64)>,
    money: Option<(String, u64)>,
}

impl Pass for Held {
    fn settle(self: Box<Self>, usage: &Usage) {
        let Held { limits, model, tokens, money } = *self;
        let beyond = |took: u64, reserved: u64| {
            limits.figures.beyond.fetch_add(took.saturating_sub(reserved), Ordering::Relaxed);
        };
        if let Some((name, reserved)) = tokens {
            let took = usage.total().unwrap_or(0);
            beyond(took, reserved);
            limits.put(&name, reserved, took);
        }
        if let Some((name, reserved)) = money {
            let took = match usage.total() {
                None => 0,
                Some(_) => prices::cost(&model, usage).unwrap_or(reserved),
            };
            beyond(took, reserved);
            limits.put(&name, reserved, took);
        }
    }
}

/// The gate is a handle, so that calls under way keep what they hold.
pub struct SharedGate(pub Arc<Limits>);

impl Gate for SharedGate {
    fn open(&self, call: &Call) -> Result<Box<dyn Pass>, Refused> {
        let (limits, options) = (&self.0, &self.0.options);
        let money = limits.afford(call)?;
        let most = call.input.saturating_add(call.output);
        let held = |tokens| {
            Box::new(Held {
                limits: Arc::clone(limits),
                model: call.model.clone(),
                tokens,
                money: money.clone(),
            })
        };
        // What is not used after all is given back.
        let refused = |why: Refused, held: Box<Held>| {
            held.settle(&Usage::default());
            why
        };
        if let Err(why) = limits.within("requests", &call.key, options.requests, 1) {
            return Err(refused(why, held(None)));
        }
        match limits.within("tokens", &call.key, options.tokens, most) {
            Ok(name) => Ok(held(name.map(|name| (name, most)))),
            Err(why) => Err(refused(why, held(None))),
        }
    }

    fn ready(&self) -> Result<(), String> {
        if self.0.options.budgets.is_empty() {
            return Ok(());
        }
        let known = self
            .0
            .server
            .ask(|connection| redis::cmd("GET").arg("lacon:epoch").query::<Option<String>>(connection));
        match known {
            Ok(epoch) if epoch.as_deref() == Some(&self.0.epoch) => Ok(()),
            Ok(_) => Err("the shared state was lost".to_owned()),
            Err(error) => Err(format!("the shared state does not answer: {error}")),
        }
    }

    fn close(&self) {
        let mut shares = locked(&self.0.shares);
        for (name, share) in shares.drain().filter(|(name, share)| share.left > 0 && is_money(name)) {
            let give = || {
                self.0.server.ask(|connection| {
                    let give = &mut self.0.give.key(&name);
                    give.key("lacon:epoch").arg(share.left).arg(&self.0.epoch).invoke::<i64>(connection)
                })
            };
            // What cannot be given back stays spent.
            drop(give());
        }
    }

    fn metrics(&self, out: &mut String) {
        let figures = &self.0.figures;
        for (name, help, value) in [
            ("leases_total", "round trips that leased a share", &figures.leases),
            ("limited_total", "calls refused because a limit was reached", &figures.limited),
            ("over_budget_total", "calls refused because a budget was used up", &figures.over_budget),
            (
                "failed_closed_total",
                "calls refused because nobody knew whether there was money",
                &figures.closed,
            ),
            ("failed_open_total", "calls let through without a limit", &figures.open),
            ("beyond_total", "tokens and micro-USD that calls took beyond their most", &figures.beyond),
            ("unreachable_total", "questions that the server did not answer", &self.0.server.0.unreachable),
        ] {
            let value = value.load(Ordering::Relaxed);
            let _ = writeln!(
                out,
                "# HELP lacon_shared_{name} {help}\n# TYPE lacon_shared_{name} counter\nlacon_shared_{name} {value}"
            );
        }
        let label = |team: &str| team.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let budgets = self.0.options.budgets.iter().map(|(team, all)| (label(team), i128::from(*all)));
        let left = locked(&self.0.left).iter().map(|(team, left)| (label(team), i128::from(*left))).collect();
        let gauges: [(&str, &str, Vec<_>); 2] = [
            ("budget_micro_usd", "what a team may spend a day", budgets.collect()),
            ("left_micro_usd", "what no proxy had leased of it when this one last asked", left),
        ];
        for (name, help, mut values) in gauges {
            values.sort();
            let _ = writeln!(out, "# HELP lacon_shared_{name} {help}\n# TYPE lacon_shared_{name} gauge");
            for (team, value) in values {
                let _ = writeln!(out, "lacon_shared_{name}{{team=\"{team}\"}} {value}");
            }
        }
    }
}
