//! `lacon trace pull` against doubles that answer as the documentation of each service says. Phoenix itself is asked in
//! `benchmarks/collector.sh`.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::support::Folder;

/// Answers each request by its first line and its body; keeps what was asked, with the headers.
fn server(
    answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut text = String::new();
            let mut bytes = [0; 8192];
            let whole = |text: &str| {
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length = head
                    .to_lowercase()
                    .lines()
                    .find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
                body.len() >= length.unwrap_or(0)
            };
            while !whole(&text) {
                match stream.read(&mut bytes) {
                    Ok(n) if n > 0 => text.push_str(&String::from_utf8_lossy(&bytes[..n])),
                    _ => break,
                }
            }
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
            let (status, found) =
                answer(head.lines().next().unwrap_or(""), &serde_json::from_str(body).unwrap_or(Value::Null));
            seen.lock().unwrap().push(text.clone());
            let found = found.to_string();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{found}",
                found.len()
            );
        }
    });
    (url, asked)
}

/// A run of LangSmith with one call.
fn runs(trace: &str) -> Value {
    let run = |id: &str, parent: Option<&str>, kind: &str, from: u32, to: u32| {
        json!({"id": format!("{trace}-{id}"), "trace_id": trace, "parent_run_id": parent.map(|p| format!("{trace}-{p}")), "name": id,
            "run_type": kind, "start_time": format!("2026-05-04T08:00:{from:02}"), "end_time": format!("2026-05-04T08:00:{to:02}"),
            "prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100, "extra": {"metadata": {"ls_model_name": "gpt-4o-mini"}}})
    };
    json!([run("root", None, "chain", 0, 9), run("call", Some("root"), "llm", 1, 8)])
}

#[test]
fn langsmith_gives_pages_of_roots_and_each_trace_once() {
    let (url, asked) = server(|line, body| match line {
        _ if line.starts_with("GET /api/v1/sessions?name=my%20project") => (200, json!([{"id": "s1"}])),
        _ if body["is_root"] == true => {
            let (n, next) = if body["cursor"].is_null() { (0, json!("second")) } else { (2, Value::Null) };
            let root = |i: i32| json!({"id": format!("t{i}-root"), "trace_id": format!("t{i}")});
            (200, json!({"runs": [root(n), root(n + 1)], "cursors": {"next": next}}))
        }
        _ => (200, json!({"runs": runs(body["trace"].as_str().unwrap_or("?")), "cursors": {}})),
    });
    let folder = Folder::new();
    let pull = |more: &[&str]| {
        let args = ["trace", "pull", "langsmith", "--project", "my project", "--url", &url, "-o", "traces"];
        folder.command(&[&args[..], more].concat()).env("LANGSMITH_API_KEY", "key").output().unwrap()
    };
    let out = |done: &std::process::Output| String::from_utf8_lossy(&done.stdout).into_owned();
    let done = pull(&["--last", "3", "--since", "24h"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(out(&done).trim(), "3 traces in traces: 3 new, 0 were there");
    let first = asked.lock().unwrap().clone();
    assert!(first.iter().all(|text| text.to_lowercase().contains("x-api-key: key")));
    assert!(first[1].contains("start_time") && first[1].contains("\"limit\":3"));
    // Again: only the roots are asked for.
    assert_eq!(out(&pull(&["--last", "4"])).trim(), "4 traces in traces: 1 new, 3 were there");
    assert_eq!(asked.lock().unwrap().len() - first.len(), 4);
    let analysis = folder.lacon(&["trace", "analyze", "traces", "--json"]).json();
    let found = analysis["traces"].as_array().unwrap();
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|run| run["summary"]["tokens"]["total"] == 100 && run["wall_s"] == 9.0));
}

#[test]
fn langfuse_gives_pages_of_traces_with_their_observations() {
    let (url, asked) = server(|line, _| {
        let path = line.split(' ').nth(1).unwrap_or("");
        if path.starts_with("/api/public/traces?") {
            assert!(path.contains("orderBy=timestamp.desc"));
            return (
                200,
                json!({"data": [{"id": "a/b"}, {"id": "c"}], "meta": {"page": 1, "totalPages": 1}}),
            );
        }
        let id = path.strip_prefix("/api/public/traces/").unwrap_or("?").replace("%2F", "/");
        (
            200,
            json!({"id": id, "name": "answer", "timestamp": "2026-05-04T08:00:00Z", "observations": [{"id": "o1", "type": "GENERATION",
            "traceId": id, "name": "call", "model": "gpt-4o-mini", "startTime": "2026-05-04T08:00:00Z", "endTime": "2026-05-04T08:00:03Z",
            "usage": {"input": 40, "output": 2, "total": 42}}]}),
        )
    });
    let folder = Folder::new();
    let done = folder
        .command(&["trace", "pull", "langfuse", "--url", &url, "-o", "out"])
        .envs([("LANGFUSE_PUBLIC_KEY", "pk"), ("LANGFUSE_SECRET_KEY", "sk")])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(asked.lock().unwrap()[0].contains("Basic cGs6c2s="));
    assert!(folder.path().join("out/langfuse-a_b.json").exists());
    let analysis = folder.lacon(&["trace", "analyze", "out", "--json"]).json();
    assert_eq!(analysis["traces"].as_array().unwrap().len(), 2);
    assert_eq!(analysis["traces"][0]["summary"]["tokens"]["total"], 42);
}

#[test]
fn jaeger_gives_traces_of_a_service() {
    let (url, asked) = server(|_, _| {
        (
            200,
            json!({"data": [{"traceID": "ab12", "processes": {"p1": {"serviceName": "app"}}, "spans": [{"traceID": "ab12",
            "spanID": "1", "operationName": "chat gpt-4o-mini", "processID": "p1", "startTime": 1_777_881_600_000_000_u64,
            "duration": 2_000_000, "references": [], "tags": [
                {"key": "gen_ai.request.model", "type": "string", "value": "gpt-4o-mini"},
                {"key": "gen_ai.usage.input_tokens", "type": "int64", "value": 7},
                {"key": "gen_ai.usage.output_tokens", "type": "int64", "value": 3}]}]}]}),
        )
    });
    let folder = Folder::new();
    let done = folder.lacon(&[
        "trace",
        "pull",
        "jaeger",
        "--project",
        "app",
        "--last",
        "5",
        "--since",
        "1h",
        "--url",
        &url,
    ]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(asked.lock().unwrap()[0].starts_with("GET /api/traces?service=app&limit=5&start="));
    let analysis = folder.lacon(&["trace", "analyze", "traces/jaeger-ab12.json", "--json"]).json();
    assert_eq!((&analysis["summary"]["tokens"]["total"], &analysis["wall_s"]), (&json!(10), &json!(2.0)));
}

/// Lines of a collector: traces in turns, over two files, and a last line that is still written.
#[test]
fn a_collectors_files_give_one_file_for_each_trace() {
    let folder = Folder::new();
    let line = |trace: &str, id: u32, parent: &str, (start, end): (u64, u64), service: &str| {
        let attributes = json!([{"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o-mini"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": id.to_string()}},
            {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "3"}}]);
        let nanoseconds = |s: u64| (s * 1_000_000_000).to_string();
        json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
            "scopeSpans": [{"scope": {"name": "app"}, "spans": [{"traceId": trace, "spanId": format!("{id:016x}"), "parentSpanId": parent,
            "name": if parent.is_empty() { "run" } else { "chat" }, "startTimeUnixNano": nanoseconds(start),
            "endTimeUnixNano": nanoseconds(end), "attributes": if parent.is_empty() { json!([]) } else { attributes }}]}]}]})
        .to_string()
    };
    let root = format!("{:016x}", 1);
    folder.write(
        "otel/1.jsonl",
        &[
            line("aa", 1, "", (100, 120), "app"),
            line("bb", 7, "", (200, 220), "app"),
            line("aa", 3, &root, (101, 105), "app"),
        ]
        .join("\n"),
    );
    let second = [
        line("aa", 2, &root, (110, 115), "app"),
        line("cc", 9, "", (300, 310), "other"),
        "{\"resourceSp".to_owned(),
    ];
    folder.write("otel/2.jsonl", &second.join("\n"));
    let pull =
        |more: &[&str]| folder.lacon(&[&["trace", "pull", "otlp-file", "--url", "otel"], more].concat());
    let done = pull(&["--project", "app"]);
    assert_eq!((done.code, done.out.trim()), (0, "2 traces in traces: 2 new, 0 were there"), "{}", done.err);
    assert!(done.err.contains("lines left out, which are no JSON: 1"), "{}", done.err);
    let analysis = folder.lacon(&["trace", "analyze", "traces/otlp-file-aa.json", "--json"]).json();
    assert_eq!((&analysis["summary"]["tokens"]["total"], &analysis["wall_s"]), (&json!(11), &json!(20.0)));
    // The last one alone; a trace that has grown is written again.
    folder.write("otel/3.jsonl", &line("bb", 8, &format!("{:016x}", 7), (201, 210), "app"));
    assert_eq!(pull(&[]).out.trim(), "3 traces in traces: 2 new, 1 were there");
    assert_eq!(pull(&["--last", "1"]).out.trim(), "1 traces in traces: 0 new, 1 were there");
    assert!(pull(&["--since", "1h"]).out.starts_with("0 traces"));
    folder.lacon(&["trace", "pull", "otlp-file"]).fails(2, "otlp-file needs --url");
    folder.lacon(&["trace", "pull", "otlp-file", "--url", "absent"]).fails(2, "absent: cannot be read");
}

#[test]
fn what_goes_wrong_is_said_with_a_hint() {
    let folder = Folder::new();
    let keyless = folder
        .command(&["trace", "pull", "langsmith", "--project", "x"])
        .env_remove("LANGSMITH_API_KEY")
        .env_remove("LANGCHAIN_API_KEY")
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&keyless.stderr).into_owned();
    assert!(
        keyless.status.code() == Some(4) && err.contains("LANGSMITH_API_KEY or LANGCHAIN_API_KEY is not set"),
        "{err}"
    );
    folder
        .lacon(&["trace", "pull", "jaeger", "--project", "x", "--since", "soon"])
        .fails(2, "--since is \"soon\"");
    folder.lacon(&["trace", "pull", "jaeger"]).fails(2, "jaeger needs --project");
    let (url, _) = server(|_, _| (403, json!({})));
    folder.lacon(&["trace", "pull", "phoenix", "--url", &url]).fails(4, "answered 403");
    let (url, _) = server(|_, _| (200, json!("<html>")));
    let done = folder.lacon(&["trace", "pull", "phoenix", "--url", &url]);
    assert_eq!((done.code, done.out.trim()), (0, "0 traces in traces: 0 new, 0 were there"));
}
