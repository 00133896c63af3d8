//! Shared limits and budgets against a real server: Redis of the system, started here. Without one the tests say so and pass.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "processes of its own: settings come by the environment, a real server is waited for, and a skipped test says so"
)]

use std::{
    collections::HashMap,
    env,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use lacon_llm::Usage;
use lacon_prompt::offload::Store;
use lacon_proxy::{
    Call, Gate, Policy, Refused,
    shared::{Limits, Server, SharedContent, SharedGate, SharedOptions},
};
use serde_json::{Value, json};

use crate::support::{World, answer};

/// A server of this test, on a port of its own; killed with it.
pub struct Redis {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Redis {
    pub fn start(more: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let Some(child) = Self::spawn(port, folder.path(), more) else {
            eprintln!("skipped: there is no redis-server or valkey-server here");
            return None;
        };
        let redis = Self { child, port, folder };
        redis.answers();
        Some(redis)
    }

    fn spawn(port: u16, folder: &Path, more: &[&str]) -> Option<Child> {
        ["redis-server", "valkey-server"].iter().find_map(|name| {
            Command::new(name)
                .args([
                    "--port",
                    &port.to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "yes",
                    "--appendfsync",
                    "always",
                ])
                .args(more)
                .current_dir(folder)
                .stdout(Stdio::null())
                .spawn()
                .ok()
        })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub fn server(&self) -> Server {
        // On a busy machine an answer may take long; only a test of that waits less.
        Server::patient(&self.url(), Duration::from_secs(20)).unwrap()
    }

    pub fn answers(&self) {
        let began = Instant::now();
        while self.tell(&["PING"]) != "PONG" {
            assert!(began.elapsed() < Duration::from_secs(30), "the server does not start");
            std::thread::yield_now();
        }
    }

    /// Asks by the server's own command line.
    pub fn tell(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let names = ["redis-cli", "valkey-cli"];
        let said =
            names.iter().find_map(|name| Command::new(name).args(["-p", &port]).args(words).output().ok());
        String::from_utf8(said.unwrap().stdout).unwrap().trim().to_owned()
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn again(&mut self) {
        self.child = Self::spawn(self.port, self.folder.path(), &[]).unwrap();
        self.answers();
    }

    /// What all processes have taken from the budget of a team today, in micro-USD.
    fn spent(&self, team: &str) -> u64 {
        let keys = self.tell(&["KEYS", &format!("lacon:spent:{team}:*")]);
        keys.lines()
            .filter(|key| !key.is_empty())
            .map(|key| self.tell(&["GET", key]).parse::<u64>().unwrap())
            .sum()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One million micro-USD buys 100 calls of 1,000 prompt tokens and 750 more of the answer, at 2.50 and 10 USD a million.
fn call(team: &str) -> Call {
    Call {
        key: "0123456789abcdef".into(),
        team: team.into(),
        model: "gpt-4o".into(),
        input: 1000,
        output: 750,
    }
}
const COST: u64 = 10_000;

fn budget(micros: u64) -> SharedOptions {
    SharedOptions { budgets: HashMap::from([("default".to_owned(), micros)]), ..SharedOptions::default() }
}

fn gate(redis: &Redis, options: SharedOptions) -> SharedGate {
    SharedGate(Limits::new(redis.server(), options).unwrap())
}

fn used(input: u64, output: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), ..Usage::default() }
}

#[test]
fn a_budget_is_never_overspent_and_what_is_not_used_comes_back() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (one, two) = (gate(&redis, budget(100 * COST)), gate(&redis, budget(100 * COST)));
    let mut passes = Vec::new();
    loop {
        let opened = [one.open(&call("default")), two.open(&call("default"))];
        let n = opened.iter().filter(|opened| opened.is_ok()).count();
        passes.extend(opened.into_iter().flatten());
        if n == 0 {
            break;
        }
    }
    assert_eq!(passes.len(), 100);
    let why = one.open(&call("default")).err().unwrap();
    assert!(
        matches!(&why, Refused::Budget(what) if what.contains("0.000000 of 1.000000 USD left today, the call may cost 0.010000")),
        "{why:?}"
    );
    // Half of the calls took half.
    for (n, pass) in passes.into_iter().enumerate() {
        pass.settle(&if n % 2 == 0 { used(500, 375) } else { used(1000, 750) });
    }
    assert!(one.open(&call("default")).is_ok());
    one.close();
    two.close();
    assert_eq!(redis.spent("default"), 75 * COST + COST, "one call is still open");
    for team in ["", "other"] {
        assert!(
            matches!(one.open(&call(team)), Err(Refused::Never(what)) if what.contains("has no budget here"))
        );
    }
    let dear = Call { model: "a-model-of-nobody".into(), ..call("default") };
    assert!(matches!(one.open(&dear), Err(Refused::Never(what)) if what.contains("no known price")));
}

#[test]
fn eight_processes_with_ten_thousand_reservations_overspend_nothing() {
    let Some(redis) = Redis::start(&[]) else { return };
    // A budget for 3,000 of the 10,000 calls.
    let workers: Vec<Child> = (0..8)
        .map(|_| {
            Command::new(env::current_exe().unwrap())
                .args(["shared::worker", "--exact", "--ignored", "--nocapture"])
                .env("LACON_TEST_SHARED", redis.url())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut passed = 0;
    for worker in workers {
        let said = String::from_utf8(worker.wait_with_output().unwrap().stdout).unwrap();
        let line =
            said.lines().find_map(|line| line.split_once("passed ")).unwrap_or_else(|| panic!("{said}"));
        passed += line.1.trim().parse::<u64>().unwrap();
    }
    // A process that ends gives back what it had leased, maybe too late for the others.
    assert!((2800..=3000).contains(&passed), "{passed}");
    assert_eq!(redis.spent("default"), passed * COST);
}

#[test]
fn what_is_shared_goes_by_tls_where_the_address_says_so() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let by_tls =
        ["--tls-port", &port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no"];
    let Some(redis) = Redis::start(&by_tls) else { return };
    let worker = |trusted: &str| {
        let done = Command::new(env::current_exe().unwrap())
            .args(["shared::worker", "--exact", "--ignored", "--nocapture"])
            .env("LACON_TEST_SHARED", format!("rediss://localhost:{port}/0"))
            .env("SSL_CERT_FILE", trusted)
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let said = worker(cert);
    assert!(said.contains("passed 1250"), "{said}");
    assert_eq!(redis.spent("default"), 1250 * COST);
    // A server whose certificate nobody trusts is none.
    let said = worker("/dev/null");
    assert!(said.contains("FAILED. 0 passed") && redis.spent("default") == 1250 * COST, "{said}");
}

/// One of the eight: 1,250 reservations from ten threads.
#[test]
#[ignore = "started by other tests here"]
fn worker() {
    let Ok(url) = env::var("LACON_TEST_SHARED") else { return };
    let server = Server::patient(&url, Duration::from_secs(20)).unwrap();
    let gate = Arc::new(SharedGate(Limits::new(server, budget(3000 * COST)).unwrap()));
    let threads: Vec<_> = (0..10)
        .map(|_| {
            let gate = Arc::clone(&gate);
            std::thread::spawn(move || {
                let mut passed = 0;
                for _ in 0..125 {
                    match gate.open(&call("default")) {
                        Ok(pass) => {
                            passed += 1;
                            pass.settle(&used(1000, 750));
                        }
                        Err(Refused::Budget(_)) => {}
                        Err(why) => panic!("{why:?}"),
                    }
                }
                passed
            })
        })
        .collect();
    let passed: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    gate.close();
    println!("passed {passed}");
}

#[test]
fn money_stays_closed_while_the_server_is_dead_and_goes_on_after_it() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    let limited = SharedOptions { requests: Some(1_000_000), ..SharedOptions::default() };
    let (money, free) = (gate(&redis, budget(1000 * COST)), gate(&redis, limited));
    let mut passed = 0;
    for round in 0..20 {
        for _ in 0..10 {
            if let Ok(pass) = money.open(&call("default")) {
                pass.settle(&used(1000, 750));
                passed += 1;
            }
        }
        redis.kill();
        // What is leased may be given out; then nothing may.
        let refused = (0..100).find_map(|_| match money.open(&call("default")) {
            Ok(pass) => {
                pass.settle(&used(1000, 750));
                passed += 1;
                None
            }
            Err(why) => Some(why),
        });
        assert!(matches!(refused, Some(Refused::Unknown(_))), "round {round}: {refused:?}");
        assert!(money.ready().is_err());
        assert!(free.open(&call("default")).is_ok(), "limits fail open");
        redis.again();
        // The process leaves the server alone for a second after it did not answer.
        let began = Instant::now();
        while money.ready().is_err() {
            assert!(began.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    money.close();
    assert!(passed >= 200);
    assert_eq!(redis.spent("default"), passed * COST, "after 20 kills");
    let mut told = String::new();
    money.metrics(&mut told);
    free.metrics(&mut told);
    assert!(
        told.contains("lacon_shared_failed_closed_total 20")
            && !told.contains("lacon_shared_unreachable_total 0"),
        "{told}"
    );
}

#[test]
fn a_server_that_lost_its_memory_lets_no_money_through() {
    let Some(redis) = Redis::start(&[]) else { return };
    let money = gate(&redis, budget(1000 * COST));
    redis.tell(&["FLUSHALL"]);
    assert!(matches!(money.open(&call("default")), Err(Refused::Unknown(what)) if what.contains("was lost")));
    assert_eq!(money.ready(), Err("the shared state was lost".to_owned()));
    // Nor one that would: no log, or entries that may go.
    redis.tell(&["CONFIG", "SET", "appendonly", "no"]);
    let why = Limits::new(redis.server(), budget(1)).err().unwrap();
    assert!(why.contains("--appendonly yes"), "{why}");
    redis.tell(&["CONFIG", "SET", "appendonly", "yes"]);
    redis.tell(&["CONFIG", "SET", "appendfsync", "everysec"]);
    assert!(Limits::new(redis.server(), budget(1)).is_err(), "it may lose two seconds");
    redis.tell(&["CONFIG", "SET", "appendfsync", "always"]);
    redis.tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let why = Limits::new(redis.server(), budget(1)).err().unwrap();
    assert!(why.contains("noeviction"), "{why}");
}

#[test]
fn a_server_that_hangs_costs_half_a_second_once() {
    let Some(redis) = Redis::start(&[]) else { return };
    let limited = SharedOptions { requests: Some(1_000_000_000), ..SharedOptions::default() };
    let hasty = |options: SharedOptions| loop {
        if let Ok(limits) = Limits::new(Server::new(&redis.url()).unwrap(), options.clone()) {
            break SharedGate(limits);
        }
    };
    let (money, free) = (hasty(budget(1_000_000 * COST)), hasty(limited));
    redis.signal("-STOP");
    assert!(matches!(money.open(&call("default")), Err(Refused::Unknown(_))));
    // While it rests, no question waits: a hundred of them would take 50 s.
    for _ in 0..100 {
        assert!(money.open(&call("default")).is_err() && free.open(&call("default")).is_ok());
    }
    redis.signal("-CONT");
    redis.answers();
    let began = Instant::now();
    while money.ready().is_err() {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    // Whatever the server did with questions whose answer nobody waited for counts as spent, never as left.
    money.open(&call("default")).ok().unwrap().settle(&used(1000, 750));
    money.close();
    assert!(redis.spent("default") >= COST);
}

#[test]
fn a_full_memory_refuses_money_and_content_and_takes_back_what_was_leased() {
    let Some(redis) = Redis::start(&[]) else { return };
    let money = gate(&redis, budget(1000 * COST));
    let pass = money.open(&call("default")).ok().unwrap();
    let mut content = SharedContent::new(redis.server(), "full", Duration::from_secs(60));
    let handle = content.put("kept").unwrap();
    redis.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(content.put("one more").is_err());
    assert_eq!(content.get(&handle).unwrap().as_deref(), Some("kept"));
    let refused = (0..10).find_map(|_| money.open(&call("default")).err());
    assert!(matches!(refused, Some(Refused::Unknown(_))), "{refused:?}");
    pass.settle(&Usage::default());
    money.close();
    assert!(redis.spent("default") <= 5 * COST, "what was not used came back");
}

#[test]
fn limits_of_a_key_hold_over_processes_and_fill_again() {
    let Some(redis) = Redis::start(&[]) else { return };
    let options = SharedOptions { requests: Some(60), tokens: Some(100_000), ..SharedOptions::default() };
    let gates = [gate(&redis, options.clone()), gate(&redis, options)];
    let passed = (0..200).filter(|n| gates[n % 2].open(&call("default")).is_ok()).count();
    // 100,000 tokens are 57 calls of 1,750; a second fills one more.
    assert!((55..=70).contains(&passed), "{passed}");
    let Some(Refused::Limit { wait, what }) = gates[0].open(&call("default")).err() else {
        panic!("no limit")
    };
    assert!(
        wait > Duration::ZERO && wait < Duration::from_secs(60) && what.contains("by all proxies together")
    );
    let other = Call { key: "fedcba9876543210".into(), ..call("default") };
    assert!(gates[1].open(&other).is_ok());
    let long = Call { input: 200_000, ..other };
    assert!(
        matches!(gates[0].open(&long), Err(Refused::Never(what)) if what.contains("the limit is 100000 a minute"))
    );
}

#[test]
fn content_comes_back_from_every_process_until_its_time_is_over() {
    let Some(redis) = Redis::start(&[]) else { return };
    let session = |name: &str| SharedContent::new(redis.server(), name, Duration::from_secs(60));
    let (mut one, mut two) = (session("a"), session("a"));
    let handle = one.put("a long blob").unwrap();
    assert_eq!(two.put("a long blob").unwrap(), handle, "the same handle everywhere");
    assert_eq!(two.get(&handle).unwrap().as_deref(), Some("a long blob"));
    assert_eq!(session("b").get(&handle).unwrap(), None);
    let left: u64 = redis.tell(&["TTL", &format!("lacon:content:a:{handle}")]).parse().unwrap();
    assert!((1..=60).contains(&left));
    redis.tell(&["SET", &format!("lacon:content:a:{handle}"), "another"]);
    assert!(one.put("a long blob").unwrap_err().to_string().contains("already holds another content"));
}

fn request(max_tokens: u64) -> Vec<u8> {
    let body = json!({"model": "gpt-4o", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "hello"}]}).to_string();
    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer k\r\naccept-encoding: gzip\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_request_is_reserved_for_its_most_and_settled_by_its_usage() {
    let Some(redis) = Redis::start(&[]) else { return };
    let usage: Value = json!({"usage": {"prompt_tokens": 8, "completion_tokens": 2}});
    let told = usage.to_string();
    let acts = answer(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{told}", told.len()).as_bytes());
    let limits = Limits::new(redis.server(), budget(20_000)).unwrap();
    let gate: Arc<dyn Gate> = Arc::new(SharedGate(limits));
    let held = Arc::clone(&gate);
    let world = World::with(acts, Policy::Off, |options| options.gate = Some(held)).await;
    for _ in 0..5 {
        let said = String::from_utf8(world.raw(&request(1000)).await).unwrap();
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }
    assert!(world.seen.lock().unwrap().iter().all(|sent| sent.header("accept-encoding").is_none()));
    // A call whose most is dearer than what is left is not made.
    let said = String::from_utf8(world.raw(&request(5000)).await).unwrap();
    assert!(said.starts_with("HTTP/1.1 429") && said.contains("insufficient_quota"), "{said}");
    assert_eq!(world.seen.lock().unwrap().len(), 5);
    gate.close();
    // Five times 8 tokens at 2.50 and 2 at 10 USD a million.
    assert_eq!(redis.spent("default"), 5 * 40);
}

/// A request with a blob that the `safe` policy moves to the store.
fn with_blob() -> String {
    let blob: String = (0..600_u32)
        .map(|i| char::from(b"aB3xYz9QkL+/mN7p0RtUvW2CdEfGh"[(i * i % 29 + i % 3) as usize % 29]))
        .collect();
    json!({"model": "gpt-4o", "max_tokens": 10, "messages": [
        {"role": "user", "content": "What is it?"},
        {"role": "tool", "tool_call_id": "a", "content": format!("data:image/png;base64,{blob}")},
    ]})
    .to_string()
}

#[tokio::test]
async fn two_proxies_send_the_same_bytes_and_give_back_what_the_other_took() {
    let Some(redis) = Redis::start(&[]) else { return };
    let shared = |options: &mut lacon_proxy::ProxyOptions| {
        options.store = Box::new(SharedContent::new(redis.server(), "default", Duration::from_secs(60)));
    };
    let one = World::with(crate::support::ok(), Policy::Safe, shared).await;
    let two = World::with(crate::support::ok(), Policy::Safe, shared).await;
    let headers = "content-type: application/json\r\nx-lacon-retrieve: 1\r\n";
    for world in [&one, &two] {
        assert_eq!(
            world.send("POST", "/v1/chat/completions", headers, with_blob().as_bytes()).await.status,
            200
        );
    }
    assert_eq!(one.last(), two.last(), "a balancer may send a conversation to either");
    let handle = one.last().split_once("ref=").unwrap().1[..16].to_owned();
    for world in [&one, &two] {
        let got = world.send("GET", &format!("/v1/retrieve/{handle}"), "", b"").await;
        assert!(got.status == 200 && with_blob().contains(got.json()["original_content"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so_before_it_refuses() {
    let mut world = World::with(crate::support::ok(), Policy::Lossless, |options| {
        options.notice = Duration::from_secs(3600);
    })
    .await;
    assert_eq!(world.send("GET", "/readyz", "", b"").await.status, 200);
    world.stop.take().unwrap().send(()).unwrap();
    while world.send("GET", "/readyz", "", b"").await.status == 200 {}
    world.send("GET", "/readyz", "", b"").await.refused(503, "stopping", "the server is stopping");
    assert_eq!(
        world.post("/v1/chat/completions", &with_blob()).await.status,
        200,
        "requests are still served"
    );
}
