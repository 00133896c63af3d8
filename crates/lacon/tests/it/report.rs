//! `lacon report`, `lacon trace` and the log: what they print, and that nothing else happens.

use std::io::{Read, Write};

use serde_json::Value;

use crate::{
    server::{Reply, start},
    support::Folder,
};

fn made() -> Folder {
    let folder = Folder::new();
    let done = folder.lacon(&["run", "CRCL", "--run-id", "one", "--time-scale", "0.001", "--seed", "3"]);
    assert_eq!(done.code, 0, "{}", done.err);
    folder
}

#[test]
fn tables_html_and_exports_of_a_run() {
    let folder = made();
    let done = folder.lacon(&["report"]);
    for part in ["NODES", "WATERFALL", "TIME BREAKDOWN", "unattributed", "TOOLS", "ROLE × MODEL"] {
        assert!(done.out.contains(part), "{part} in\n{}", done.out);
    }
    let done = folder.lacon(&["report", "one", "--html", "r.html"]);
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{}", done.err);
    let page = std::fs::read_to_string(folder.path().join("r.html")).unwrap();
    assert!(page.len() < 1 << 20);
    // Nothing that a browser would fetch, nothing that runs.
    for sign in
        ["http://", "https://", "<script", "<img", "@import", "url(", "<iframe", "<link rel=\"stylesheet"]
    {
        let stripped = page.replace("http://sim", "").replace("http://www.w3.org", "");
        assert!(!stripped.contains(sign), "{sign}");
    }
    // The totals are those of run.json.
    let run: Value = serde_json::from_slice(
        &std::fs::read(folder.path().join("results/CRCL/2025-07-30/one/run.json")).unwrap(),
    )
    .unwrap();
    let total = |name: &str| {
        let at = page.find(&format!("data-total=\"{name}\">")).unwrap();
        let text = &page[at + name.len() + 14..];
        text[..text.find('<').unwrap()].replace(',', "")
    };
    assert_eq!(total("tokens.total"), run["tokens"]["total"].to_string());
    assert_eq!(total("tokens.prompt"), run["tokens"]["prompt"].to_string());
    assert_eq!(total("cost_usd"), run["cost_usd"].as_str().unwrap());
    assert_eq!(total("wall_s"), format!("{:.2}", run["wall_s"].as_f64().unwrap()));
    let done = folder.lacon(&["report", "one", "--svg", "w.svg"]);
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{}", done.err);
    let picture = std::fs::read_to_string(folder.path().join("w.svg")).unwrap();
    for sign in ["<svg xmlns", "prefers-color-scheme:dark", ">risk_manager</text>", "k-path"] {
        assert!(picture.contains(sign), "{sign}");
    }
    for (format, sign) in [
        ("otlp", "resourceSpans"),
        ("chrome", "traceEvents"),
        ("langsmith", "dotted_order"),
        ("prometheus", "# TYPE"),
    ] {
        let done = folder.lacon(&["report", "one", "--trace-format", format]);
        assert!(done.code == 0 && done.out.contains(sign), "{format}: {}", done.err);
    }
    let json = folder.lacon(&["report", "latest", "--json"]).json();
    assert_eq!(json["run"]["run_id"], "one");
    folder.lacon(&["report", "two"]).fails(2, "no run \"two\"");
}

#[test]
fn the_books_of_a_run_balance() {
    let folder = made();
    let run = folder.lacon(&["report", "one", "--json"]).json()["run"].clone();
    let rows = run["books"]["rows"].as_array().unwrap();
    let sum: f64 = rows.iter().map(|r| r["seconds"].as_f64().unwrap()).sum();
    assert!((sum - run["wall_s"].as_f64().unwrap()).abs() < 1e-6, "{rows:?}");
    assert_eq!(rows.last().unwrap()["kind"], "unattributed");
    let own = rows.iter().filter(|r| r["kind"].as_str().unwrap().starts_with("own: ")).count();
    assert!(own >= 3, "{rows:?}");
}

#[test]
fn traces_are_analysed_compared_and_replayed() {
    let folder = made();
    let run = "results/CRCL/2025-07-30/one";
    let json = folder.lacon(&["trace", "analyze", run, "--json"]).json();
    assert_eq!(json["content"]["passed"], true);
    assert_eq!(json["edges_known"], true);
    let json = folder.lacon(&["trace", "compare", run, run, "--json"]).json();
    assert_eq!((json["delta_tokens"].as_i64(), json["confounded"].as_bool()), (Some(0), Some(false)));
    let done = folder.lacon(&["trace", "what-if", run, "--set", "answer=0.5x", "--set", "slots=1"]);
    assert!(done.code == 0 && done.out.contains("p50"), "{}{}", done.out, done.err);
    folder.lacon(&["trace", "what-if", run, "--set", "warp=9"]).fails(2, "unknown key");
    folder.lacon(&["trace", "analyze", &format!("{run}/run.json")]).fails(2, "give the run's folder");
    folder.write("bad.json", "<html>");
    folder.lacon(&["trace", "analyze", "bad.json"]).fails(2, "no trace in 6 bytes");
}

/// Packed files are read, and of several files those that hold no trace are listed.
#[test]
fn packed_traces_are_read_and_unreadable_files_listed() {
    let folder = Folder::new();
    let span = r#"[{"traceId": "t", "spanId": "a", "name": "chat", "startTimeUnixNano": "1000000000", "endTimeUnixNano": "4000000000",
        "attributes": {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}}]"#;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, span.as_bytes()).unwrap();
    std::fs::create_dir(folder.path().join("traces")).unwrap();
    std::fs::write(folder.path().join("traces/a.json.gz"), packed.finish().unwrap()).unwrap();
    #[cfg(feature = "parquet")]
    std::fs::write(folder.path().join("traces/b.zst"), zstd::encode_all(span.as_bytes(), 1).unwrap())
        .unwrap();
    let one = folder.lacon(&["trace", "analyze", "traces/a.json.gz", "--json"]).json();
    assert_eq!((one["summary"]["tokens"]["total"].as_u64(), one["wall_s"].as_f64()), (Some(15), Some(3.0)));
    assert_eq!(one["content"]["passed"], serde_json::Value::Null);
    folder.write("traces/notes.txt", "no trace");
    let all = folder.lacon(&["trace", "analyze", "traces", "--json", "--gate"]).json();
    assert_eq!(all["traces"].as_array().unwrap().len(), if cfg!(feature = "parquet") { 2 } else { 1 });
    assert!(all["unread"][0]["why"].as_str().unwrap().contains("hint:"), "{all}");
    folder.lacon(&["trace", "analyze", "traces/notes.txt"]).fails(2, "no trace in 8 bytes");
}

#[test]
fn the_trace_is_sent_as_protobuf() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let n = stream.read(&mut buffer).unwrap();
            bytes.extend_from_slice(&buffer[..n]);
            let text = String::from_utf8_lossy(&bytes).to_lowercase();
            if let Some(head) = text.find("\r\n\r\n") {
                let length: usize = text
                    .lines()
                    .find_map(|l| l.strip_prefix("content-length: "))
                    .unwrap()
                    .trim()
                    .parse()
                    .unwrap();
                let body = String::from_utf8_lossy(&bytes[..head.min(bytes.len())]).into_owned();
                if bytes.len() >= body.len() + 4 + length {
                    break;
                }
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let folder = Folder::new();
    let args = ["run", "CRCL", "--time-scale", "0", "--otlp", &url];
    let output = folder.command(&args).env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=abc").output().unwrap();
    assert!(output.status.success());
    let request = server.join().unwrap();
    assert!(request.starts_with("POST /v1/traces HTTP/1.1"), "{}", &request[..40]);
    assert!(request.contains("application/x-protobuf") && request.contains("x-key: abc"));
    assert!(request.contains("gen_ai.operation.name") && request.contains("invoke_workflow"));
    // A sink that is not there costs a warning, not the decision.
    let done = folder.lacon(&["run", "CRCL", "--time-scale", "0", "--otlp", "http://127.0.0.1:9"]);
    assert!(done.code == 0 && done.err.contains("the trace was not sent"), "{}", done.err);
}

#[test]
fn the_log_has_levels_per_crate_and_can_be_json() {
    let folder = Folder::new();
    let args = ["run", "CRCL", "--time-scale", "0"];
    let with = |env: &[(&str, &str)], more: &[&str]| {
        let mut all = args.to_vec();
        all.extend_from_slice(more);
        let output = folder.command(&all).envs(env.iter().copied()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let quiet = with(&[], &[]);
    assert!(!quiet.contains("node"), "{quiet}");
    let debug = with(&[], &["--log-level", "debug"]);
    assert!(
        debug.contains("node started") && debug.contains("call sent") && debug.contains("tool called"),
        "{debug}"
    );
    let graph = with(&[("LACON_LOG", "lacon_graph=debug")], &[]);
    assert!(graph.contains("node started") && !graph.contains("call sent"), "{graph}");
    let json = with(&[("LACON_LOG_FORMAT", "json")], &["--log-level", "info"]);
    for line in json.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(line["level"].is_string() && line["message"].is_string());
    }
    let bad = folder.command(&args).env("LACON_LOG", "lacon_graf=debug").output().unwrap();
    assert_eq!(bad.status.code(), Some(2));
}

/// The page in a real browser: no request leaves it, nothing is logged, the totals show.
#[test]
fn the_page_in_a_browser() {
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .find(|b| std::process::Command::new(b).arg("--version").output().is_ok());
    let Some(browser) = browser else {
        eprintln!("skipped: no Chromium is installed");
        return;
    };
    let folder = made();
    assert_eq!(folder.lacon(&["report", "one", "--html", "r.html"]).code, 0);
    let page = folder.path().join("r.html");
    let log = folder.path().join("net.json");
    let profile = folder.path().join("profile");
    let output = std::process::Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--dump-dom",
        ])
        .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=2000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    assert!(dom.contains("data-total=\"tokens.total\""), "the page was not rendered");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("CONSOLE"), "{errors}");
    // The browser's own net log holds each URL that was asked for on behalf of a page.
    let net = std::fs::read_to_string(&log).unwrap_or_default();
    let json: Value = serde_json::from_str(&net).unwrap_or_default();
    let initiated: Vec<&Value> = json["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|e| e["params"]["initiator"].as_str().is_some_and(|i| i.starts_with("file:") || i == "null"))
        .filter(|e| e["params"]["url"].as_str().is_some_and(|u| u.starts_with("http")))
        .collect();
    assert!(initiated.is_empty(), "{initiated:?}");
}

/// Prompt text is kept only when it is asked for, and then both sides stand in the page.
#[test]
fn rewritten_prompts_are_shown_when_their_text_is_kept() {
    let folder = Folder::new();
    for (name, keep) in [("plain", "false"), ("kept", "true")] {
        let args =
            ["run", "CRCL", "--llm", "sim", "--time-scale", "0", "--run-id", name, "--html", "page.html"];
        let done = folder.command(&args).env("LACON_LOG_PROMPT_TEXT", keep).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
        let receipts = folder.path().join(format!("results/CRCL/2025-07-30/{name}/receipts.jsonl"));
        let receipts = std::fs::read_to_string(receipts).unwrap();
        let kept = keep == "true";
        assert_eq!(page.contains("before and after condense"), kept);
        assert_eq!(receipts.contains("\"before\":"), kept);
        assert!(page.len() < 1_000_000);
    }
}

/// A report is made from a run's files: none of them can be its place, under any name, and no link is followed.
#[test]
fn a_report_never_destroys_what_it_is_made_from() {
    let folder = made();
    let run = folder.path().join("results/CRCL/2025-07-30/one");
    let read = |name: &str| std::fs::read(run.join(name)).unwrap();
    let decision = "reports/5_decision.md";
    std::fs::hard_link(run.join("trace.jsonl"), folder.path().join("hard.json")).unwrap();
    for (flag, file, source) in [
        ("--html", run.join("run.json"), "run.json"),
        ("--html", run.join("reports/../journal.jsonl"), "journal.jsonl"),
        ("--complete", run.join(decision), decision),
        ("--html", folder.path().join("hard.json"), "trace.jsonl"),
    ] {
        let before = read(source);
        let done = folder.lacon(&["report", "one", flag, file.to_str().unwrap()]);
        done.fails(2, "which writing would destroy");
        assert!(read(source) == before, "{source}");
    }
    let done = folder.lacon(&[
        "report",
        "one",
        "--trace-format",
        "chrome",
        "-o",
        run.join("trace.jsonl").to_str().unwrap(),
    ]);
    done.fails(2, "which writing would destroy");
    // What an earlier report wrote is written again, whole.
    for _ in 0..2 {
        assert_eq!(folder.lacon(&["report", "one", "--complete", "--html", "r.html"]).code, 0);
    }
    #[cfg(unix)]
    {
        std::fs::write(folder.path().join("other"), "content").unwrap();
        std::os::unix::fs::symlink("other", folder.path().join("link.html")).unwrap();
        folder.lacon(&["report", "one", "--html", "link.html"]).fails(2, "is a link to");
        assert_eq!(std::fs::read(folder.path().join("other")).unwrap(), b"content");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().flatten();
    assert!(left.into_iter().all(|file| !file.file_name().to_string_lossy().ends_with(".tmp")));
}

/// A model that speaks to the terminal and to the browser reaches neither.
#[test]
fn what_a_model_says_acts_in_no_page_and_on_no_terminal() {
    const EVIL: &str = "The price holds at 12.5 today.\u{1b}[2J\u{1b}]52;c;aGk=\u{7} \u{9b}31m and \u{202e}rises\u{2066}. \r <script>alert(1)</script> \
        <img src=x onerror=alert(1)> [a](javascript:alert(1)) ![p](http://evil.example/p.png) <b onclick=x>bold</b>\n\n<style>*{display:none}</style>\n\n";
    let folder = Folder::new();
    let url = start(|role| {
        Reply::Text(format!(
            "{EVIL}FINAL TRANSACTION PROPOSAL: **HOLD**\nRecommendation: HOLD\n{role} {EVIL}"
        ))
    });
    let run = [
        "run",
        "CRCL",
        "--base-url",
        &url,
        "--run-id",
        "x",
        "--complete",
        "--html",
        "r.html",
        "--performance-report",
    ];
    let done = folder.lacon(&run);
    let explained = folder.lacon(&["explain", "x"]);
    let more = folder.lacon(&["report", "x", "--complete", "c.md"]);
    let json = folder.lacon(&["report", "x", "--json"]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let pages = [read("r.html"), read("results/CRCL/2025-07-30/x/reports/complete.html")];
    let shown = [
        &done.out,
        &done.err,
        &explained.out,
        &explained.err,
        &more.out,
        &json.out,
        &read("c.md"),
        &pages[0],
        &pages[1],
    ];
    for (i, text) in shown.into_iter().enumerate() {
        let left: Vec<char> = text
            .chars()
            .filter(|c| (c.is_control() && !"\n\t".contains(*c)) || ('\u{202a}'..='\u{2069}').contains(c))
            .filter(|c| !matches!(c, '\u{202f}'..='\u{2065}'))
            .collect();
        assert!(left.is_empty(), "{i}: {left:?}");
    }
    assert!(pages[1].contains("\\u001b[2J") && pages[1].contains("&lt;script&gt;"));
    for page in &pages {
        assert!(page.contains(
            "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'"
        ));
        for sign in [
            "<script",
            "<img",
            "onerror=alert(1)>",
            "href=\"javascript",
            "src=\"http",
            "<b onclick",
            "<style>*",
        ] {
            assert!(!page.contains(sign), "{sign}");
        }
    }
    serde_json::from_str::<Value>(&json.out).unwrap();
}
