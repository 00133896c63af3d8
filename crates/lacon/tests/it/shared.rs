//! Runs of several processes that share a Redis: one call to a tool goes out, what one learns of counts corrects the others, and
//! whatever the server does, runs go on. Without a server the tests say so and pass.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a real server is waited for, and a skipped test says so"
)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::civil::date;
use lacon_sim::{
    FaultPlan, SimOptions, World,
    server::{Background, ServeOptions},
};
use serde_json::{Value, json};

use crate::support::{Done, Folder};

/// A server of this test, on a port of its own; killed with it.
struct Redis {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Redis {
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let Some(child) = Self::spawn(port, &folder) else {
            eprintln!("skipped: there is no redis-server or valkey-server here");
            return None;
        };
        let redis = Self { child, port, folder };
        redis.answers();
        Some(redis)
    }

    fn spawn(port: u16, folder: &tempfile::TempDir) -> Option<Child> {
        let port = port.to_string();
        ["redis-server", "valkey-server"].iter().find_map(|name| {
            let arguments = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"];
            let mut command = Command::new(name);
            command.args(arguments).current_dir(folder.path()).stdout(Stdio::null()).spawn().ok()
        })
    }

    /// Asks with one line, as a person would by hand.
    fn tell(&self, line: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
        let mut said = [0; 256];
        let n = stream.read(&mut said).ok()?;
        Some(String::from_utf8_lossy(&said[..n]).trim().to_owned())
    }

    fn answers(&self) {
        let began = Instant::now();
        while self.tell("PING").as_deref() != Some("+PONG") {
            assert!(began.elapsed() < Duration::from_secs(30), "the server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A server that answers every request with what `body` makes of its path, and counts them.
fn server(body: fn(&str) -> String, slow: Duration) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || {
                let Some(path) = request(&mut stream) else { return };
                counted.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(slow);
                let body = body(&path);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            });
        }
    });
    (url, calls)
}

/// Reads a request whole, and gives its path.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut part = [0; 8192];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                |line: &str| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok();
            if body.len() >= head.lines().find_map(length).unwrap_or(0) {
                return Some(head.split_whitespace().nth(1)?.to_owned());
            }
        }
        let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&part[..n]);
    }
}

fn team(url: &str, keep: u32) -> String {
    format!(
        "[team]\nname = \"desk\"\nmodels = {{ deep = \"m\" }}\n[[agent]]\nname = \"a\"\nprompt = \"How much?\"\nwords = 30\n\
         tools = [\"news\"]\nprefetch = {{ news = {{}} }}\n[[tool]]\nname = \"news\"\nhttp = \"{url}\"\nkeep_s = {keep}\n"
    )
}

const NEWS: fn(&str) -> String = |_| r#"{"text": "The pump lifts 41 liters."}"#.to_owned();

/// A run of the team in a folder of its own, as on a machine of its own.
fn command(folder: &Folder, redis: &Redis, args: &[&str]) -> Command {
    let mut command = folder.command(args);
    command.env("LACON_RUN_SHARED", format!("redis://127.0.0.1:{}/0", redis.port));
    command
}

fn run(redis: &Redis, team: &str) -> Value {
    let folder = Folder::new();
    folder.write("desk.toml", team);
    let done: Done = command(&folder, redis, &["run", "desk.toml", "--json"]).output().unwrap().into();
    done.json()
}

fn how(record: &Value) -> (&str, &str, bool) {
    let tool = &record["tools"][0];
    let warned = record["warnings"].to_string().contains("what runs share did not answer");
    assert!(record["result"]["text"].as_str().unwrap().contains("41 liters"), "{record:#}");
    (tool["cache"].as_str().unwrap(), tool["status"].as_str().unwrap(), warned)
}

#[test]
fn two_processes_that_ask_the_same_make_one_call_and_go_on_whatever_the_server_does() {
    let Some(mut redis) = Redis::start() else { return };
    let (url, calls) = server(NEWS, Duration::from_millis(300));
    let shared = team(&url, 60);
    let folders = [Folder::new(), Folder::new()];
    let started: Vec<Child> = folders
        .iter()
        .map(|folder| {
            folder.write("desk.toml", &shared);
            let mut command = command(folder, &redis, &["run", "desk.toml", "--json"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let records: Vec<Value> =
        started.into_iter().map(|child| Done::from(child.wait_with_output().unwrap()).json()).collect();
    let mut how_each: Vec<_> = records.iter().map(how).collect();
    how_each.sort_unstable();
    assert_eq!(how_each, [("hit", "ok", false), ("prefetch", "ok", false)]);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // A tool that does not say for how long its answers hold answers each run.
    assert_eq!(how(&run(&redis, &team(&url, 0))), ("prefetch", "ok", false));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    // What the same server holds for another tool, or says elsewhere, is another answer.
    let (other, asked) = server(NEWS, Duration::ZERO);
    assert_eq!(how(&run(&redis, &team(&other, 60))), ("prefetch", "ok", false));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // A full memory keeps nothing new, and what is there comes back.
    redis.tell("CONFIG SET maxmemory 1");
    let (new, asked) = server(NEWS, Duration::ZERO);
    assert_eq!(how(&run(&redis, &shared)).0, "hit");
    assert_eq!(how(&run(&redis, &team(&new, 60))), ("prefetch", "ok", false));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    redis.tell("CONFIG SET maxmemory 0");
    // It hangs.
    redis.signal("-STOP");
    assert_eq!(how(&run(&redis, &shared)), ("unshared", "ok", true));
    redis.signal("-CONT");
    // It is dead, and comes back.
    redis.kill();
    assert_eq!(how(&run(&redis, &shared)), ("unshared", "ok", true));
    redis.child = Redis::spawn(redis.port, &redis.folder).unwrap();
    redis.answers();
    assert_eq!(how(&run(&redis, &shared)).0, "hit");
    // No address at all is a fault of the settings.
    let folder = Folder::new();
    folder.write("desk.toml", &shared);
    let done: Done =
        folder.command(&["run", "desk.toml"]).env("LACON_RUN_SHARED", "nowhere").output().unwrap().into();
    done.fails(2, "run.shared");
}

/// What a vendor told one machine another one has with its true time, also when the vendor is gone.
#[test]
fn a_vendor_is_asked_once_for_many_machines() {
    let Some(mut redis) = Redis::start() else { return };
    let start = || {
        let sim = SimOptions { time_scale: 0.0, ..SimOptions::default() };
        let world = Arc::new(World::new(1, date(2025, 7, 30)));
        Background::start(ServeOptions { world, sim, faults: FaultPlan::default() }).unwrap()
    };
    let (models, vendors) = (start(), start());
    let (models_url, vendors_url) = (format!("{}/v1", models.url()), vendors.url());
    let decide = |redis: &Redis| -> (Folder, Done) {
        let folder = Folder::new();
        let mut args = vec!["run", "MSFT", "--llm", "openai", "--base-url", &models_url, "--data", "vendors"];
        args.extend(["--vendors-url", &vendors_url, "--date", "2025-07-30", "--run-id", "r", "--json"]);
        let done = command(&folder, redis, &args).output().unwrap().into();
        (folder, done)
    };
    let prices = || {
        let (folder, done) = decide(&redis);
        let status = done.json()["status"].clone();
        let books = folder.path().join("results/MSFT/2025-07-30/r/provenance.json");
        let books: Value = serde_json::from_str(&std::fs::read_to_string(books).unwrap()).unwrap();
        let answers = books["answers"].as_array().unwrap();
        let of = answers.iter().find(|a| a["tool"] == "get_YFin_data_online").cloned().unwrap_or_default();
        (status, of["text"].clone(), of["origins"][0].clone())
    };
    let (_, text, first) = prices();
    assert!(first["vendor"] == "yahoo" && first["cached"] == false, "{first}");
    drop(vendors);
    let (status, again, second) = prices();
    assert!(second["vendor"] == "yahoo" && second["cached"] == true, "{second}");
    assert_eq!((&again, &second["retrieved_at"]), (&text, &first["retrieved_at"]), "{status}");
    // Without the server each machine asks for itself: nobody has the answer of the vendor that is gone.
    redis.kill();
    decide(&redis).1.fails(3, "no report rests on data");
}

#[test]
fn what_one_process_learns_of_counts_another_one_uses_until_it_is_forgotten() {
    let Some(redis) = Redis::start() else { return };
    let body: fn(&str) -> String = |_| {
        json!({"id": "1", "object": "chat.completion", "model": "claude-opus-5", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "It is so."}}], "usage": {"prompt_tokens": 900, "completion_tokens": 4, "total_tokens": 904}})
        .to_string()
    };
    let (url, _) = server(body, Duration::ZERO);
    let folder = Folder::new();
    let long = "many things in few words ".repeat(100);
    let agents: String =
        (0..9).map(|n| format!("[[agent]]\nname = \"a{n}\"\nprompt = \"{n} {long}\"\n")).collect();
    folder
        .write("t.toml", &format!("[team]\nname = \"t\"\nmodels = {{ deep = \"claude-opus-5\" }}\n{agents}"));
    let args = ["run", "t.toml", "--llm", "openai", "--base-url", &format!("{url}/v1"), "--json"];
    let done: Done =
        command(&folder, &redis, &args).env("LACON_LLM_STREAM", "false").output().unwrap().into();
    assert_eq!(done.json()["status"], "done", "{}", done.err);
    let other = Folder::new();
    let models = |args: &[&str]| -> Done {
        let args = [&["models", "claude-opus-5", "--json"], args].concat();
        command(&other, &redis, &args).output().unwrap().into()
    };
    let factor = |done: Done| done.json()["models"][0]["factor"].as_f64().unwrap();
    let learned = factor(models(&[]));
    assert!(learned > 1.0 && learned < 2.0 && (learned - 1.53).abs() > 0.01, "{learned}");
    assert_eq!(factor(models(&["--forget"])), 1.53);
    assert_eq!(factor(models(&[])), 1.53);
    // Its own machine kept what it learned, for when the server does not answer.
    assert!(folder.lacon(&["models"]).out.contains("9 bills compared"));
}
