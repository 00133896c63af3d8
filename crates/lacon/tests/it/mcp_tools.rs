//! MCP servers as tools of a team: the product's own, one of the official Python package, and servers that misbehave.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Done, Folder};

/// A server that is right until it is asked to do what `how` says.
const SERVER: &str = r#"
import json, sys, time, os
how = sys.argv[1]
def say(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n"); sys.stdout.flush()
schema = {"type": "object", "properties": {"z": {"type": "string"}, "query": {"type": "string"}}, "required": ["query"]}
if how == "lies":
    schema["required"] = ["imagined"]
if how == "no_object":
    schema = {"type": "array"}
print("a banner that is no message", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    method, id = asked.get("method"), asked.get("id")
    if how == "hangs_at_once":
        time.sleep(60)
    if method == "initialize":
        say({"id": id, "result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "bad", "version": "1"}}})
    elif method == "tools/list":
        say({"id": id, "result": {"tools": [{"name": "look", "description": "Looks.", "inputSchema": schema}]}})
    elif method == "tools/call":
        if how == "hangs":
            time.sleep(60)
        if how == "dies":
            sys.stderr.write("out of ink\n"); sys.exit(3)
        if how == "huge":
            sys.stdout.write('{"jsonrpc": "2.0", "id": %d, "result": {"content": [{"type": "text", "text": "' % id)
            for _ in range(100):
                sys.stdout.write("x" * 1000000)
            sys.stdout.write('"}]}}\n'); sys.stdout.flush()
            time.sleep(60)
        if how == "wrong":
            say({"id": id, "result": {"content": "no list"}}); continue
        if how == "refuses":
            say({"id": id, "result": {"content": [{"type": "text", "text": "query is too short"}], "isError": True}}); continue
        text = "found 17 for %s, key %s, path %s" % (asked["params"]["arguments"].get("query"), os.environ.get("SOME_TOKEN"), "PATH" in os.environ)
        say({"id": id, "result": {"content": [{"type": "text", "text": text}]}})
"#;

fn python() -> bool {
    let there =
        std::process::Command::new("python3").arg("-V").output().is_ok_and(|done| done.status.success());
    if !there {
        eprintln!("skipped: no python3");
    }
    there
}

/// A team whose only tool is that of a server; the tool is called before the model is asked.
fn team(server: &str, rest: &str) -> String {
    format!(
        "[team]\nname = \"t\"\n[[agent]]\nname = \"a\"\nprompt = \"What is known about trees?\"\nwords = 60\ntools = [\"seek\"]\n\
         prefetch = {{ seek = {{ query = \"trees\" }} }}\n[[tool]]\nname = \"seek\"\ntimeout_s = 3\n{rest}\nmcp = {server}\n"
    )
}

fn bad(how: &str) -> (Folder, String) {
    let folder = Folder::new();
    folder.write("server.py", SERVER);
    let team = team(
        &format!("{{ command = [\"python3\", \"server.py\", \"{how}\"], tool = \"look\" }}"),
        "max_kb = 4",
    );
    (folder, team)
}

fn run(folder: &Folder, team: &str, flags: &[&str]) -> Done {
    folder.write("t.toml", team);
    folder
        .command(&[&["run", "t.toml", "--json", "--time-scale", "0", "--force"], flags].concat())
        .env("SOME_TOKEN", "secret")
        .output()
        .unwrap()
        .into()
}

/// What the run says of its tool call, and how long it took.
fn called(done: &Done) -> (Value, String) {
    let record = done.json();
    let tool = record["tools"][0].clone();
    (tool, record.to_string())
}

#[test]
fn nothing_is_started_that_is_not_allowed() {
    let (folder, team) = bad("fine");
    let team = team.replace("\"server.py\"", "\"never.py\"");
    let done = run(&folder, &team, &[]);
    done.fails(2, "tool \"seek\" would start MCP server \"python3 never.py fine\", which is not allowed\nhint: --allow-mcp seek");
    run(&folder, &team, &["--allow-mcp", "seak"]).fails(2, "did you mean \"seek\"?");
    // A name in the settings allows nothing: another team may give it to another program.
    let named = folder.command(&["run", "t.toml"]).env("LACON_RUN_ALLOW_MCP", "seek").output().unwrap();
    Done::from(named).fails(2, "not allowed");
    // The plan of a run starts nothing.
    assert_eq!(folder.lacon(&["check", "t.toml"]).code, 0);
}

#[test]
fn a_server_answers_and_gets_no_keys_of_others() {
    if !python() {
        return;
    }
    let (folder, team) = bad("fine");
    let (tool, record) = called(&run(&folder, &team, &["--allow-mcp", "seek"]));
    assert_eq!((&tool["name"], &tool["error"]), (&"seek".into(), &Value::Null), "{tool}");
    assert!(record.contains("found 17 for trees, key None, path True"), "{record}");
    // The whole command line in the settings, and a variable that the team names.
    let team = team.replace("tool = \"look\"", "tool = \"look\", env = [\"SOME_TOKEN\"]");
    folder.write("t.toml", &team);
    let mut command = folder.command(&["run", "t.toml", "--json", "--time-scale", "0", "--force"]);
    command.env("LACON_RUN_ALLOW_MCP", "python3 server.py fine").env("SOME_TOKEN", "given");
    assert!(called(&command.output().unwrap().into()).1.contains("key given"));
}

#[test]
fn servers_that_misbehave_cost_their_answer_alone() {
    if !python() {
        return;
    }
    for (how, expected) in [
        ("hangs", "took longer than 3 s"),
        ("dies", "it ended with exit status: 3: out of ink"),
        ("huge", "it sent a message of more than 1081344 bytes"),
        ("wrong", "its answer is none of a tool"),
        ("refuses", "query is too short"),
    ] {
        let (folder, team) = bad(how);
        let done = run(&folder, &team, &["--allow-mcp", "seek"]);
        let record = done.json();
        assert_eq!(record["status"], "done", "{how}: {record}");
        assert!(record.to_string().contains(expected), "{how}: {}", record["tools"]);
        assert!(
            record["peak_rss_mb"].as_f64().is_none_or(|peak| peak < 100.0),
            "{how}: {}",
            record["peak_rss_mb"]
        );
    }
}

/// A server over HTTP that is right until it is asked to do what `how` says.
struct Web {
    url: String,
    ended: Arc<AtomicBool>,
}

impl Web {
    fn start(how: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, ended) = (listener.local_addr().unwrap(), Arc::<AtomicBool>::default());
        let stops = Arc::clone(&ended);
        std::thread::spawn(move || {
            // Connections that get no answer stay open.
            let mut open = Vec::new();
            for stream in listener.incoming().flatten() {
                if stops.load(Ordering::Acquire) {
                    break;
                }
                open.extend(Self::answer(stream, how));
            }
        });
        Self { url: format!("http://{address}/mcp"), ended }
    }

    /// Answers one request; gives the connection back where it answers nothing.
    fn answer(stream: TcpStream, how: &str) -> Option<TcpStream> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).ok()? > 0 && line != "\r\n" {
            if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().ok()?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut stream = stream;
        let mut say = |head: &str, parts: &mut dyn Iterator<Item = String>| {
            let _ = write!(stream, "HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
            for part in parts {
                if stream.write_all(part.as_bytes()).is_err() {
                    break;
                }
            }
        };
        const JSON: &str = "200 OK\r\ncontent-type: application/json";
        const EVENTS: &str = "200 OK\r\ncontent-type: text/event-stream";
        let mut result = |value: Value| {
            let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": value });
            say(JSON, &mut std::iter::once(answer.to_string()));
        };
        let required = if how == "lies" { "imagined" } else { "query" };
        match (asked["method"].as_str().unwrap_or_default(), how) {
            (_, "hangs_at_once") | ("tools/call", "hangs") => return Some(stream),
            ("initialize", _) => result(json!({ "protocolVersion": "2025-06-18",
                "capabilities": { "tools": {} }, "serverInfo": { "name": "web", "version": "1" } })),
            ("tools/list", _) => result(json!({ "tools": [{ "name": "look", "description": "Looks.",
                "inputSchema": { "type": "object", "properties": { "query": { "type": "string" } },
                    "required": [required] } }] })),
            ("tools/call", "huge") => say(JSON, &mut (0..100).map(|_| "x".repeat(1 << 20))),
            ("tools/call", "huge_event") => {
                let head = std::iter::once("data: ".to_owned());
                say(EVENTS, &mut head.chain((0..100).map(|_| "x".repeat(1 << 20))));
            }
            ("tools/call", "babbles") => {
                let event = json!({ "jsonrpc": "2.0", "method": "notifications/message",
                    "params": { "level": "info", "data": "x".repeat(1 << 10) } });
                say(EVENTS, &mut std::iter::repeat_with(|| format!("data: {event}\n\n")));
            }
            ("tools/call", "ends") => say(EVENTS, &mut std::iter::once(": a comment alone\n\n".to_owned())),
            ("tools/call", "fails") => say("500 Internal Server Error", &mut std::iter::empty()),
            ("tools/call", "wrong") => say(JSON, &mut std::iter::once("<html>".to_owned())),
            ("tools/call", _) => {
                result(json!({ "content": [{ "type": "text", "text": "found 19 for trees" }] }));
            }
            _ => say("202 Accepted", &mut std::iter::empty()),
        }
        None
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches("/mcp"));
    }
}

#[test]
fn servers_over_http_that_misbehave_cost_their_answer_alone() {
    for (how, expected) in [
        ("fine", "found 19 for trees"),
        ("hangs", "took longer than 3 s"),
        ("huge", "it sent a message of more than 1081344 bytes"),
        ("huge_event", "it sent a message of more than 1081344 bytes"),
        ("babbles", "it sent a message of more than 1081344 bytes"),
        ("ends", "its stream ended without an answer"),
        ("fails", "answered 500"),
        ("wrong", "its answer is no message"),
    ] {
        let (folder, web) = (Folder::new(), Web::start(how));
        let team = team(&format!("{{ url = \"{}\", tool = \"look\" }}", web.url), "max_kb = 4");
        let done = run(&folder, &team, &["--allow-mcp", "seek"]);
        let record = done.json();
        assert_eq!(record["status"], "done", "{how}: {record}");
        assert!(record.to_string().contains(expected), "{how}: {}", record["tools"]);
        let peak = record["peak_rss_mb"].as_f64();
        assert!(peak.is_none_or(|peak| peak < 100.0), "{how}: {peak:?}");
    }
    for (how, expected) in [
        ("hangs_at_once", "it did not answer within 3 s"),
        ("lies", "\"look\" requires \"imagined\", which its schema does not have"),
    ] {
        let (folder, web) = (Folder::new(), Web::start(how));
        let team = team(&format!("{{ url = \"{}\", tool = \"look\" }}", web.url), "");
        run(&folder, &team, &["--allow-mcp", "seek"]).fails(3, expected);
    }
}

#[test]
fn what_is_wrong_before_the_run_costs_no_call() {
    if !python() {
        return;
    }
    for (how, expected) in [
        ("hangs_at_once", "it did not answer within 3 s"),
        ("lies", "\"look\" requires \"imagined\", which its schema does not have"),
        ("no_object", "the schema of \"look\" is no object: type is \"array\""),
    ] {
        let (folder, team) = bad(how);
        run(&folder, &team, &["--allow-mcp", "seek"]).fails(3, expected);
    }
    let (folder, team) = bad("fine");
    let other = team.replace("tool = \"look\"", "tool = \"lok\"");
    run(&folder, &other, &["--allow-mcp", "seek"])
        .fails(3, "it has no tool \"lok\"\nhint: did you mean \"look\"?");
    let other = team.replace("query = \"trees\"", "query = \"trees\", depth = \"1\"");
    run(&folder, &other, &["--allow-mcp", "seek"])
        .fails(3, "has no argument \"depth\"\nhint: it takes: z, query");
    let other = team.replace("\"python3\", ", "\"no-such-program\", ");
    run(&folder, &other, &["--allow-mcp", "seek"]).fails(3, "\"no-such-program\" cannot be started");
}

#[test]
fn a_model_calls_by_the_schema_of_the_server() {
    if !python() {
        return;
    }
    let (folder, team) = bad("fine");
    let team = team.replace("prefetch = { seek = { query = \"trees\" } }\n", "");
    let record = run(&folder, &team, &["--allow-mcp", "seek"]).json();
    assert_eq!(record["calls"].as_array().unwrap().len(), 2, "{record}");
    assert!(record.to_string().contains("found 17 for What is known"), "{record}");
}

#[test]
fn the_own_server_answers_a_team() {
    let folder = Folder::new();
    let server = format!("{{ command = [{:?}, \"mcp\"], tool = \"count\" }}", env!("CARGO_BIN_EXE_lacon"));
    let team = team(&server, "").replace("timeout_s = 3", "timeout_s = 30").replace("query = ", "text = ");
    let done = run(&folder, &team, &["--allow-mcp", "seek"]);
    let (tool, _) = called(&done);
    assert_eq!(tool["error"], Value::Null, "{tool}");
}

/// A server of the official Python package over streamable HTTP.
const OFFICIAL: &str = r#"
import sys
try:
    from mcp.server.fastmcp import FastMCP
    server = FastMCP("official", host="127.0.0.1", port=int(sys.argv[1]))
    serve = lambda: server.run(transport="streamable-http")
except ImportError:
    from mcp.server import MCPServer
    server = MCPServer("official")
    serve = lambda: server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
@server.tool()
def look(query: str) -> str:
    """Looks for a query."""
    return f"found 23 for {query}"
serve()
"#;

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_of_the_official_package_over_http() {
    let has = std::process::Command::new("python3").args(["-c", "import mcp.server"]).output();
    if !has.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: python3 has no package mcp");
        return;
    }
    let folder = Folder::new();
    folder.write("official.py", OFFICIAL);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = std::process::Command::new("python3");
    command.args(["official.py", &port.to_string()]).current_dir(folder.path()).stderr(Stdio::piped());
    let mut child = Killed(command.spawn().unwrap());
    // It says on standard error that it runs.
    let (to, from) = std::sync::mpsc::channel();
    let mut said = child.0.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        let mut part = [0; 512];
        while let Ok(n @ 1..) = said.read(&mut part) {
            all.extend_from_slice(&part[..n]);
            if String::from_utf8_lossy(&all).contains("running on http") {
                let _ = to.send(());
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    });
    let runs = from.recv_timeout(Duration::from_secs(60)).is_ok();
    if runs {
        let server = format!("{{ url = \"http://127.0.0.1:{port}/mcp\", tool = \"look\" }}");
        let done = run(&folder, &team(&server, ""), &["--allow-mcp", "seek"]);
        assert!(called(&done).1.contains("found 23 for trees"), "{}", done.out);
    }
    drop(child);
    let said = reader.join().unwrap();
    assert!(runs, "{said}");
}
