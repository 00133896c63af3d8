//! `lacon mcp`, spoken to over pipes as a client does.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde_json::{Value, json};

use crate::support::Folder;

struct Client {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    id: u64,
}

impl Client {
    /// Starts the server and shakes hands.
    fn start(folder: &Folder, flags: &[&str]) -> Self {
        Self::offering(folder, &[], flags)
    }

    fn offering(folder: &Folder, own: &[&str], flags: &[&str]) -> Self {
        let args = [&["mcp"], own, &["--"], flags].concat();
        let mut child = folder
            .command(&args)
            .env("XDG_DATA_HOME", folder.path().join("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut client = Self { child, to, from, id: 0 };
        let hello = client.ask(
            "initialize",
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}),
        );
        assert_eq!(hello["result"]["serverInfo"]["name"], "lacon", "{hello}");
        assert!(hello["result"]["capabilities"]["tools"].is_object());
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        client
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.to.as_mut().unwrap(), "{message}").unwrap();
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}));
        let answer = self.line();
        assert_eq!(answer["id"], self.id, "{answer}");
        answer
    }

    /// The next message; every line on standard output is of the protocol.
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn call(&mut self, name: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": name, "arguments": arguments}))
    }

    /// Closes the client's end; the server goes by itself.
    fn close(mut self) {
        self.to = None;
        assert!(self.child.wait().unwrap().success());
    }
}

fn said(answer: &Value) -> String {
    let parts = answer["result"]["content"].as_array().unwrap_or_else(|| panic!("{answer}"));
    parts.iter().filter_map(|p| p["text"].as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn market_tools_and_run_over_pipes() {
    let folder = Folder::new();
    let mut client = Client::start(&folder, &["--time-scale", "0"]);
    let listed = client.ask("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"run") && names.contains(&"get_YFin_data_online"), "{names:?}");
    assert!(tools.iter().all(|t| t["inputSchema"]["type"] == "object" && t["description"].is_string()));

    let prices = client.call(
        "get_YFin_data_online",
        json!({"symbol": "CRCL", "start_date": "2025-07-20", "end_date": "2025-07-30"}),
    );
    assert!(said(&prices).contains("2025-07-29,") && prices["result"]["isError"] != true, "{prices}");
    // The day that is asked for bounds what is shown.
    let earlier = client.call(
        "get_YFin_data_online",
        json!({"symbol": "CRCL", "start_date": "2025-07-20", "end_date": "2025-07-30", "as_of": "2025-07-25"}),
    );
    assert!(said(&earlier).contains("2025-07-25,") && !said(&earlier).contains("2025-07-28,"), "{earlier}");

    let run = client.call("run", json!({"ticker": "CRCL", "profile": "upstream"}));
    let decision = &run["result"]["structuredContent"]["decision"];
    assert_eq!(decision["parsed"], true, "{run}");
    assert!(decision["rating"].is_string() && run["result"]["structuredContent"]["simulated"]["llm"] == true);
    // The report is a text of its own, and lies in the user's data rather than where the client was started.
    assert!(run["result"]["content"][1]["text"].as_str().unwrap().starts_with("# Decision: CRCL"), "{run}");
    let report = run["result"]["structuredContent"]["report"].as_str().unwrap();
    assert!(report.starts_with(folder.path().join("data/lacon/results").to_str().unwrap()), "{report}");
    assert!(!folder.path().join("results").exists());
    client.close();
}

#[test]
fn a_client_chooses_tools_and_hears_how_far_a_run_is() {
    let folder = Folder::new();
    let mut client = Client::offering(&folder, &["--tools", "compress,count"], &["--time-scale", "0"]);
    let listed = client.ask("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    let hints: Vec<(&str, bool)> = tools
        .iter()
        .map(|t| (t["name"].as_str().unwrap(), t["annotations"]["readOnlyHint"].as_bool().unwrap()))
        .collect();
    assert_eq!(hints, [("compress", false), ("count", true)]);
    let bytes = tools.iter().map(|tool| tool.to_string().len()).sum::<usize>();
    assert!(bytes < 2_400, "{bytes} bytes of definitions");
    assert_eq!(client.call("run", json!({"ticker": "CRCL"}))["error"]["code"], -32602);
    client.close();
    folder.lacon(&["mcp", "--tools", "compres"]).fails(2, "did you mean compress?");

    let mut client = Client::offering(&folder, &["--tools", "run"], &["--time-scale", "0"]);
    let params = json!({"name": "run", "arguments": {"ticker": "CRCL"}, "_meta": {"progressToken": "p"}});
    client.id += 1;
    client.send(&json!({"jsonrpc": "2.0", "id": client.id, "method": "tools/call", "params": params}));
    let mut last = 0.0;
    let answer = loop {
        let line = client.line();
        if line["method"] != "notifications/progress" {
            break line;
        }
        assert_eq!(line["params"]["progressToken"], "p");
        let now = line["params"]["progress"].as_f64().unwrap();
        assert!(now > last && line["params"]["message"].is_string(), "{line}");
        last = now;
    };
    assert!(last >= 5.0 && answer["result"]["isError"] != true, "{last} {answer}");
    client.close();
}

#[test]
fn bad_calls_are_told_and_the_server_goes_on() {
    let folder = Folder::new();
    let mut client = Client::start(&folder, &["--time-scale", "0"]);
    let unknown = client.call("get_global_nws", json!({}));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    for (name, arguments, expected) in [
        ("get_volume_analysis", json!({}), "needs a ticker"),
        ("get_volume_analysis", json!({"ticker": "../../etc"}), "contains '/'"),
        ("get_volume_analysis", json!({"ticker": "--data"}), "is not a ticker"),
        ("get_volume_analysis", json!({"ticker": "CRCL", "days": 3}), "has no argument \"days\""),
        ("get_volume_analysis", json!({"ticker": "CRCL", "as_of": "soon"}), "is not a day"),
        (
            "get_YFin_data_online",
            json!({"symbol": "CRCL", "start_date": "x", "end_date": "2025-07-30"}),
            "start_date",
        ),
        ("run", json!({}), "run needs a ticker"),
        ("run", json!({"ticker": "CRCL", "profile": "fast"}), "run.profile"),
        ("run", json!({"ticker": "CRCL", "budget_tokens": "--json"}), "run.budget_tokens"),
        ("run", json!({"ticker": "ZZZZ"}), "ZZZZ"),
    ] {
        let answer = client.call(name, arguments.clone());
        assert_eq!(answer["result"]["isError"], true, "{name} {arguments}: {answer}");
        assert!(said(&answer).contains(expected), "{name} {arguments}: {answer}");
    }
    for (line, id) in [
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"count","arguments":{"text":"\ud800"}}}"#,
            json!("a"),
        ),
        (r#"{"jsonrpc":"2.0","id":70,"method":"tools/call","params":{"n":1e400}}"#, json!(70)),
        (r#"{"jsonrpc":"2.0","id":71,"method":"tools/ca"#, json!(71)),
        ("{", Value::Null),
    ] {
        writeln!(client.to.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        client.from.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32700), &id), "{line}");
    }
    let broken = client.ask("no/such/method", json!({}));
    assert_eq!(broken["error"]["code"], -32601, "{broken}");
    assert!(said(&client.call("get_volume_analysis", json!({"ticker": "CRCL"}))).contains("olume"));
    client.close();
    folder.lacon(&["mcp", "--", "--profil", "x"]).fails(2, "--profil");
}

#[test]
fn prompts_are_compressed_retrieved_and_expanded() {
    let folder = Folder::new();
    let mut client = Client::start(&folder, &["--time-scale", "0"]);
    let blob: String = (0..600u32)
        .map(|i| char::from(b"aB3xYz9QkL+/mN7p0RtUvW2CdEfGh"[(i * i % 29 + i % 3) as usize % 29]))
        .collect();
    let rows: Vec<Value> = (0..30).map(|i| json!({"ticker": format!("T{i}"), "price": i})).collect();
    let text = format!("Attached: {blob}\nand {}\n", json!(rows));

    let answer = client.call("compress", json!({"text": text}))["result"].clone();
    // The model reads the text as it is; what a program wants to know is metadata.
    let short = answer["_meta"]["lacon/compress"].clone();
    let written = &answer["content"][0]["text"];
    let handle = short["handles"][0].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(answer["structuredContent"].is_null() && written.as_str().unwrap().contains("\n"), "{answer}");
    let line = answer["content"][1]["text"].as_str().unwrap();
    assert!(line.contains(" tokens before, ") && line.contains(handle), "{line}");
    assert!(short["tokens_after"].as_u64() < short["tokens_before"].as_u64(), "{short}");
    assert_eq!(said(&client.call("retrieve", json!({"handle": handle}))), blob);
    // What the tools store, the commands find.
    assert_eq!(folder.lacon(&["retrieve", handle]).out, blob);
    assert_eq!(said(&client.call("expand", json!({"text": written}))), text);

    let messages = json!([
        {"role": "system", "content": text}, {"role": "user", "content": "What is the price of T7?"},
        {"role": "tool", "tool_call_id": "c", "content": text, "extra": 1.5},
    ]);
    let short = client.call("compress", json!({"messages": messages}))["result"]["structuredContent"].clone();
    assert_eq!(short["changed"], json!(["/2/content"]), "{short}");
    assert_eq!((&short["messages"][0], &short["messages"][1]), (&messages[0], &messages[1]));
    let back = client.call("expand", json!({"messages": short["messages"], "changed": short["changed"]}));
    assert_eq!(back["result"]["structuredContent"]["messages"], messages);

    let count = client.call("count", json!({"text": "many things in few words", "encoding": ["o200k_base"]}));
    assert_eq!(count["result"]["structuredContent"]["counts"][0]["tokens"], 5, "{count}");
    for (name, arguments, expected) in [
        ("compress", json!({}), "needs either a text or messages"),
        ("compress", json!({"text": "a", "store": "/etc/passwd"}), "has no argument \"store\""),
        ("compress", json!({"text": "a", "policy": "best"}), "invalid value 'best' for 'policy'"),
        ("compress", json!({"messages": messages, "policy": "lossy"}), "not compressed with loss"),
        ("expand", json!({"messages": messages, "changed": ["/9"]}), "no text at \"/9\""),
        ("retrieve", json!({"handle": "0123456789abcdef"}), "has no content for 0123456789abcdef"),
        ("retrieve", json!({"handle": "--json"}), "is no handle"),
        ("count", json!({"text": "a", "encoding": "none"}), "none"),
    ] {
        let answer = client.call(name, arguments.clone());
        assert_eq!(answer["result"]["isError"], true, "{name} {arguments}: {answer}");
        assert!(said(&answer).contains(expected), "{name} {arguments}: {answer}");
    }
    client.close();
}
