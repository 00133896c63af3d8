//! The server as a browser sees it, and the page as a file.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use lacon_monitor::trace::{Trace, read};
use lacon_ui::{Options, page, serve};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const TOKEN: &str = "0123";

fn read_file(path: &Path) -> Result<Vec<Trace>, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    read(&bytes).map_err(|e| format!("{}: {e}", path.display()))
}

/// A run with a call whose name and answer would act as markup.
fn trace(seconds: f64) -> String {
    let span = |id: &str, parent: Option<&str>, name: &str, start: f64, end: f64, attributes: Value| {
        json!({"trace_id": "t", "span_id": id, "parent_span_id": parent, "name": name, "start_s": start, "end_s": end,
            "attributes": attributes})
        .to_string()
    };
    let call = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20,
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text",
            "content": "</script><img src=x onerror=alert(1)>\u{202e} an answer of some length"}]}]});
    [
        span("r", None, "the run", 0.0, seconds, json!({})),
        span("n", Some("r"), "<b>node</b>", 0.0, seconds, json!({})),
        span("c", Some("n"), "chat gpt-4o-mini", 0.5, seconds, call),
    ]
    .join("\n")
}

async fn ask(address: &str, path: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let host =
        if headers.to_lowercase().contains("host:") { String::new() } else { format!("host: {address}\r\n") };
    let request = format!("GET {path} HTTP/1.1\r\n{host}connection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
}

async fn get(address: &str, path: &str) -> Value {
    let (status, _, body) = ask(address, path, &format!("x-lacon-token: {TOKEN}\r\n")).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The list once it has so many runs.
async fn list(address: &str, n: usize) -> Value {
    let begin = Instant::now();
    loop {
        let found = get(address, "/api/runs").await;
        if found["runs"].as_array().unwrap().len() == n {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{found}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn server(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = Options {
        folder: folder.to_owned(),
        read: Box::new(read_file),
        scorers: &[],
        proxy: None,
        proxy_token: None,
        token: TOKEN.into(),
    };
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(serve(listener, options, std::future::pending()));
    address
}

#[tokio::test]
async fn runs_are_listed_opened_compared_and_saved() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.jsonl"), trace(2.0)).unwrap();
    std::fs::write(folder.path().join("b.jsonl"), trace(5.0)).unwrap();
    std::fs::write(folder.path().join("c.json"), "{\"no\": \"trace\"}").unwrap();
    let address = server(folder.path()).await;
    let found = list(&address, 2).await;
    let unread = found["unread"].as_array().unwrap();
    // The third file may not have been looked at yet.
    assert!(unread.len() <= 1 && unread.iter().all(|file| file["file"] == "c.json"), "{unread:?}");
    let rows = found["runs"].as_array().unwrap();
    let [a, b] = ["a.jsonl", "b.jsonl"].map(|file| rows.iter().find(|row| row["file"] == file).unwrap());
    assert_eq!(
        (a["wall_s"].as_f64(), a["tokens"].as_u64(), a["calls"].as_u64()),
        (Some(2.0), Some(120), Some(1))
    );
    let (a, b) = (a["id"].as_str().unwrap(), b["id"].as_str().unwrap());
    let run = get(&address, &format!("/api/runs/{a}")).await;
    let spans = &run["spans"];
    assert_eq!(spans["start"], json!([0.0, 0.5]));
    assert_eq!(spans["parent"], json!([null, 0]));
    let span = get(&address, &format!("/api/runs/{a}/spans/1")).await;
    assert_eq!(span["tokens"]["completion"], 20);
    let shown = span["shown"][0]["text"].as_str().unwrap();
    assert!(shown.contains("an answer of some length"), "{span}");
    let two = get(&address, &format!("/api/compare?a={a}&b={b}")).await;
    assert!((two["delta_s"].as_f64().unwrap() - 3.0).abs() < 1e-9);
    let (status, head, body) = ask(&address, &format!("/export/{a}.html?token={TOKEN}"), "").await;
    assert!(status == 200 && head.contains("content-disposition: attachment") && body.contains("the run"));
    // A run that changes is read again; one that goes away leaves the list.
    std::fs::write(folder.path().join("a.jsonl"), trace(3.25)).unwrap();
    std::fs::remove_file(folder.path().join("b.jsonl")).unwrap();
    let found = list(&address, 1).await;
    let begin = Instant::now();
    let mut wall = found["runs"][0]["wall_s"].as_f64();
    while wall != Some(3.25) && begin.elapsed() < Duration::from_secs(60) {
        wall = list(&address, 1).await["runs"][0]["wall_s"].as_f64();
    }
    assert_eq!(wall, Some(3.25));
    let run = get(&address, &format!("/api/runs/{a}")).await;
    assert_eq!(run["row"]["wall_s"], 3.25);
}

#[tokio::test]
async fn only_the_page_that_knows_the_token_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let address = server(folder.path()).await;
    for (path, headers, status) in [
        ("/", "", 401),
        ("/?token=0123", "", 200),
        ("/?token=0124", "", 401),
        ("/api/runs", "x-lacon-token: 012\r\n", 401),
        ("/api/runs", "x-lacon-token: 0123\r\nhost: evil.example\r\n", 421),
        ("/api/runs", "x-lacon-token: 0123\r\norigin: http://evil.example\r\n", 403),
        ("/base.js", "", 200),
        ("/../Cargo.toml?token=0123", "", 404),
        ("/api/runs/none", "x-lacon-token: 0123\r\n", 404),
        ("/api/runs/none/spans/99999999999999999999", "x-lacon-token: 0123\r\n", 404),
        ("/api/compare?a=x", "x-lacon-token: 0123\r\n", 404),
    ] {
        let (found, head, body) = ask(&address, path, headers).await;
        assert_eq!(found, status, "{path} {headers}: {body}");
        assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    }
}

#[tokio::test]
async fn a_run_that_goes_on_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    std::fs::create_dir(&run).unwrap();
    let about = json!({"kind": "run", "about": {"kind": "team", "team": "research", "inputs": {}}});
    let call = |end: f64| {
        json!({"kind": "call", "answer": {"text": "Yes."}, "fact": {"call": {"role": "writer", "model": "gpt-4o-mini",
            "prompt": 10, "completion": 5, "start_s": 0.0, "end_s": end, "status": "ok"}}})
    };
    let journal = run.join("journal.jsonl");
    std::fs::write(&journal, format!("0123abcd {about}\n0123abcd {}\n", call(1.0))).unwrap();
    let address = server(folder.path()).await;
    let found = list(&address, 1).await;
    let row = &found["runs"][0];
    assert_eq!((&row["live"], &row["status"], &row["calls"]), (&json!(true), &json!("running"), &json!(1)));
    // Its events say when there is more.
    let mut events = TcpStream::connect(&address).await.unwrap();
    let request = format!("GET /api/events HTTP/1.1\r\nhost: {address}\r\nx-lacon-token: {TOKEN}\r\n\r\n");
    events.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut more = async |text: &mut String| {
        let mut bytes = [0; 4096];
        let n =
            tokio::time::timeout(Duration::from_secs(60), events.read(&mut bytes)).await.unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(&bytes[..n]));
        n > 0
    };
    while text.matches("event: runs").count() < 1 {
        assert!(more(&mut text).await, "{text}");
    }
    let before = text.matches("event: runs").count();
    std::fs::write(&journal, format!("0123abcd {about}\n0123abcd {}\n0123abcd {}\n", call(1.0), call(2.5)))
        .unwrap();
    while text.matches("event: runs").count() == before {
        assert!(more(&mut text).await, "{text}");
    }
    assert_eq!(list(&address, 1).await["runs"][0]["calls"], 2);
    std::fs::write(run.join("run.json"), "{}").unwrap();
    std::fs::write(&journal, format!("0123abcd {about}\n0123abcd {}\n", call(4.0))).unwrap();
    let begin = Instant::now();
    while list(&address, 1).await["runs"][0]["status"] != "ended" {
        assert!(begin.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_page_holds_its_run_and_nothing_in_it_acts() {
    let found = read(trace(2.0).as_bytes()).unwrap().remove(0);
    let page = page(&found, &[]);
    assert_eq!(page.matches("</script>").count(), 2, "text of the trace ended a script");
    assert!(!page.contains("<img") && !page.contains("<b>node"));
    for outside in ["http://", "https://"] {
        assert_eq!(page.replace("http://www.w3.org/2000/svg", "").matches(outside).count(), 0, "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
    let begin = page.find("id=\"data\">").unwrap() + 10;
    let end = begin + page[begin..].find("</script>").unwrap();
    let data: Value = serde_json::from_str(&page[begin..end]).unwrap();
    assert_eq!(data["detail"]["row"]["tokens"], 120);
    assert_eq!(data["spans"].as_array().unwrap().len(), 2);
}
