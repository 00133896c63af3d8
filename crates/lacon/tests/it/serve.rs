//! `lacon serve` before the synthetic world, as a user starts it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
};

use serde_json::{Value, json};

use crate::support::Folder;

struct Server(Child, String);

impl Server {
    /// Starts a server and reads its address from the first line.
    fn start(folder: &Folder, args: &[&str]) -> Self {
        let mut child = folder.command(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at = line.split("http://").nth(1).unwrap_or_else(|| panic!("{line}"));
        let address = at.split([',', ' ', '\n']).next().unwrap().to_owned();
        Self(child, address)
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (String, String) {
        let mut socket = TcpStream::connect(&self.1).unwrap();
        let length = body.len();
        write!(socket, "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}").unwrap();
        let mut all = String::new();
        socket.read_to_string(&mut all).unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn requests_are_shortened_on_their_way_and_told_of() {
    let folder = Folder::new();
    let world = Server::start(&folder, &["sim", "serve", "--port", "0", "--time-scale", "0"]);
    let upstream = format!("http://{}/v1", world.1);
    let flags = ["--policy", "safe", "--store", "kept.db", "--receipts", "receipts.jsonl", "--shorten-user"];
    let proxy = Server::start(
        &folder,
        &[&["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream], &flags[..]].concat(),
    );
    let rows: Vec<Value> = (0..40).map(|i| json!({"ticker": format!("T{i}"), "price": i})).collect();
    let blob: String = (0..600u32)
        .map(|i| char::from(b"aB3xYz9QkL+/mN7p0RtUvW2CdEfGh"[(i * i % 29 + i % 3) as usize % 29]))
        .collect();
    let body = json!({"model": "gpt-5-mini", "messages": [
        {"role": "user", "content": "Which is dearest?"},
        {"role": "tool", "content": json!(rows).to_string()},
        {"role": "tool", "content": format!("Attached: {blob}\n")},
    ]})
    .to_string();
    let (head, answer) = proxy.ask(
        "POST",
        "/v1/chat/completions",
        "x-lacon-retrieve: 1\r\nauthorization: Bearer sk-secret\r\n",
        &body,
    );
    assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{answer}");
    assert!(answer.contains("\"choices\""), "{answer}");
    assert!(head.contains("x-lacon-tokens-after"), "{head}");

    let receipts = std::fs::read_to_string(folder.path().join("receipts.jsonl")).unwrap();
    let receipt: Value = serde_json::from_str(receipts.trim()).unwrap();
    assert!(receipt["tokens_after"].as_u64() < receipt["tokens_before"].as_u64(), "{receipt}");
    assert!(!receipts.contains("sk-secret") && !receipts.contains("dearest"), "{receipts}");
    let handle = receipt["handles"][0].as_str().unwrap();
    let (_, found) = proxy.ask("GET", &format!("/v1/retrieve/{handle}"), "", "");
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap()["original_content"], json!(blob));
    // The store is that of the commands.
    assert_eq!(folder.lacon(&["retrieve", handle, "--store", "kept.db"]).out, blob);
    let (_, metrics) = proxy.ask("GET", "/metrics", "", "");
    assert!(metrics.contains("lacon_proxy_requests_total{route=\"chat\"} 1"), "{metrics}");
    // What the answer says it took is billed at the model's list price, in the receipt and the metrics.
    let used = |kind: &str| receipt["usage"][kind].as_u64().unwrap_or(0);
    let micros = (used("input") * 250 + used("cached") * 25 + used("output") * 2000).div_ceil(1000);
    assert_eq!(receipt["cost_usd"].as_f64(), Some(micros as f64 / 1e6), "{receipt}");
    assert!(metrics.contains(&format!("lacon_proxy_cost_micro_usd_total {micros}\n")), "{metrics}");
    assert!(micros > 0 && metrics.contains("lacon_proxy_without_usage_total 0\n"), "{metrics}");
    // Receipts are read as a trace.
    assert!(receipt["waited_us"].as_u64() > Some(0), "{receipt}");
    let analysis = folder.lacon(&["trace", "analyze", "receipts.jsonl", "--json"]);
    let analysis: Value = serde_json::from_str(&analysis.out).unwrap();
    let found = (&analysis["summary"]["n_calls"], &analysis["models"][0]);
    assert_eq!(found, (&json!(1), &json!("gpt-5-mini")), "{analysis:#}");
    assert_eq!(analysis["summary"]["cost_list_usd"], receipt["cost_usd"], "{analysis:#}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it() {
    let folder = Folder::new();
    let mut server =
        Server::start(&folder, &["serve", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:9"]);
    assert!(server.ask("GET", "/healthz", "", "").1.contains("ok"));
    let id = server.0.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn counts_learn_from_what_answers_say_was_billed() {
    let folder = Folder::new();
    let body = |model: &str| {
        let text = "many things in few words ".repeat(100);
        json!({"model": model, "messages": [{"role": "user", "content": text}]}).to_string()
    };
    let count = |model: &str| folder.lacon(&["models", model, "--json"]).json()["models"][0].clone();
    let counted = {
        folder.write("request.json", &body("gpt-4o"));
        let count = folder.lacon(&["count", "--request", "request.json", "--model", "gpt-4o", "--json"]);
        count.json()["counts"][0]["tokens"].as_i64().unwrap()
    };
    // What cannot be true teaches nothing.
    for (billed, factor) in [(0, 1.53), (-5, 1.53), (i64::MAX, 1.53), (2 * counted, 2.0)] {
        let upstream = crate::server::start(move |_| crate::server::Reply::Billed(billed));
        let mut proxy =
            Server::start(&folder, &["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream]);
        for model in ["claude-opus-5", "gpt-4o", "acme-1"].repeat(40) {
            let (head, _) =
                proxy.ask("POST", "/v1/chat/completions", "accept-encoding: gzip\r\n", &body(model));
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        }
        let id = proxy.0.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(proxy.0.wait().unwrap().code(), Some(0));
        assert_eq!(count("claude-opus-5")["factor"], factor, "{billed}");
    }
    assert_eq!(
        (count("gpt-4o")["how"].as_str(), count("acme-1")["how"].as_str()),
        (Some("exact"), Some("heuristic"))
    );
    assert_eq!(folder.lacon(&["models", "--forget"]).code, 0);
    assert_eq!(count("claude-opus-5")["factor"], 1.53);
}

#[test]
fn wrong_flags_are_told() {
    let folder = Folder::new();
    for (flags, expected) in [
        (&["--upstream", "ftp://h"][..], "neither http nor https"),
        (&["--upstream", "https://h/v1?key=1"], "has a query"),
        (&["--drain", "0"], "--drain is 0"),
        (&["--disable", "jsn"], "unknown pass \"jsn\""),
        (&["--listen", "8787"], "invalid"),
        (&["--store", "."], "hint: name another file with --store"),
        (&["--policy", "lossy"], "possible values: off, lossless, safe"),
    ] {
        folder.lacon(&[&["serve"], flags].concat()).fails(2, expected);
    }
}

/// The first signal lets answers end within the drain, the second ends at once; work that goes on delays neither.
#[cfg(unix)]
#[test]
#[expect(clippy::disallowed_methods, reason = "another process is waited for, not a task")]
fn a_signal_ends_the_server_within_its_drain() {
    use std::time::{Duration, Instant};
    let folder = Folder::new();
    let world = Server::start(&folder, &["sim", "serve", "--port", "0"]);
    let upstream = format!("http://{}/v1", world.1);
    let row = |i: usize| json!({"ticker": format!("T{i}"), "price": i});
    let rows: Vec<Value> = (0..200_000).map(row).collect();
    let body =
        json!({"model": "gpt-5-mini", "messages": [{"role": "tool", "content": json!(rows).to_string()}]})
            .to_string();
    for (drain, signals) in [("0.5", 1), ("60", 2)] {
        let flags =
            ["serve", "--listen", "127.0.0.1:0", "--drain", drain, "--work-timeout", "60", "--upstream"];
        let mut proxy = Server::start(&folder, &[&flags[..], &[upstream.as_str()]].concat());
        let mut socket = TcpStream::connect(&proxy.1).unwrap();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: ";
        write!(socket, "{head}{}\r\n\r\n{body}", body.len()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        for _ in 0..signals {
            std::process::Command::new("kill").args(["-TERM", &proxy.0.id().to_string()]).status().unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
        while proxy.0.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(10), "it still runs, drain {drain}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
