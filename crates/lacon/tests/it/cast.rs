//! Who takes part: profiles, subsets, own agents and tools, languages.

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use crate::support::{Done, Folder};

fn run(folder: &Folder, args: &[&str]) -> Done {
    let mut all = vec!["run", "CRCL", "--time-scale", "0", "--run-id", "r", "--json"];
    all.extend_from_slice(args);
    folder.lacon(&all)
}

fn report(folder: &Folder, path: &str) -> String {
    std::fs::read_to_string(folder.path().join("results/CRCL/2025-07-30/r/reports").join(path)).unwrap()
}

/// A tool over HTTP: answers every POST with `body`, after `wait_ms`. Gives its address.
fn tool(body: String, wait_ms: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let body = body.clone();
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                if wait_ms > 0 {
                    // Waits, but notices when the client goes away.
                    let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(wait_ms)));
                    let _ = stream.read(&mut head);
                }
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            });
        }
    });
    url
}

#[test]
fn upstream_decides_on_five_steps() {
    let folder = Folder::new();
    let record = run(&folder, &["--profile", "upstream"]).json();
    let rating = record["decision"]["rating"].as_str().unwrap();
    assert!(["Buy", "Overweight", "Hold", "Underweight", "Sell"].contains(&rating), "{rating}");
    assert_eq!(record["decision"]["parsed"], true);
    assert!(report(&folder, "3_risk/risk_manager.md").contains(&format!("Rating: {rating}")));
    let graph = folder.lacon(&["graph", "--profile", "upstream", "--risk-rounds", "2"]);
    assert!(graph.out.contains("next_risk") && !graph.out.contains("judge"), "{}", graph.out);
    folder.lacon(&["run", "CRCL", "--risk-rounds", "2"]).fails(2, "hint: use --profile upstream");
}

#[test]
fn the_example_of_the_documentation_runs() {
    let folder = Folder::new();
    let example = include_str!("../../../../docs/agents.example.toml");
    let url = tool(
        r#"{"name": "get_shipping", "text": "On 2025-07-29 there were 417.5 thousand tons under way."}"#
            .into(),
        0,
    );
    let file = folder.write("agents.toml", &example.replace("http://127.0.0.1:9000/tools", &url));
    let record = run(&folder, &["--agents", file.to_str().unwrap()]).json();
    let tools = record["tools"].as_array().unwrap();
    let called = |role: &str| {
        tools.iter().any(|t| t["name"] == "get_shipping" && t["role"] == role && t["status"] == "ok")
    };
    assert!(called("supply") && called("market"), "{tools:#?}");
    let own = record["reports"].as_array().unwrap().iter().find(|r| r["role"] == "supply").unwrap().clone();
    assert_eq!(own["path"], "reports/1_analysts/supply.md");
    let text = report(&folder, "1_analysts/supply.md");
    assert!(text.contains("# Supply chain analyst: CRCL") && text.contains("417.5"), "{text}");
    assert!(report(&folder, "complete.md").contains("# Supply chain analyst"));
    let explained = folder.lacon(&["explain", "r", "--json"]);
    assert_eq!(explained.code, 0, "{}", explained.err);
}

/// A tool that sends too much, or nothing in time, costs its own answer alone.
#[test]
fn own_tools_are_limited_in_size_and_time() {
    let example = include_str!("../../../../docs/agents.example.toml");
    let big = format!(r#"{{"name": "get_shipping", "text": "{}"}}"#, "x".repeat(80 << 10));
    for (url, expected) in [(tool(big, 0), "failed"), (tool("{}".into(), 3_000), "timeout")] {
        let folder = Folder::new();
        let text =
            example.replace("http://127.0.0.1:9000/tools", &url).replace("timeout_s = 5", "timeout_s = 0.3");
        let file = folder.write("agents.toml", &text);
        let record = run(&folder, &["--agents", file.to_str().unwrap()]).json();
        let call =
            record["tools"].as_array().unwrap().iter().find(|t| t["name"] == "get_shipping").unwrap().clone();
        assert_eq!(call["status"], expected, "{call}");
        assert_eq!(record["status"], "done");
    }
}

#[test]
fn faults_of_an_agents_file_are_told_before_anything_is_sent() {
    let folder = Folder::new();
    let file = folder
        .write("bad.toml", "[[agent]]\nname = \"supply\"\ntitle = \"x\"\nprompt = \"x\"\nwords = 90000\n");
    run(&folder, &["--agents", file.to_str().unwrap()]).fails(2, "words is 90000, at most 20000 is possible");
    run(&folder, &["--agents", "nowhere.toml"]).fails(2, "nowhere.toml: cannot be read");
    run(&folder, &["--analysts", "market,nws"]).fails(2, "did you mean news?");
    run(&folder, &["--language", "a: b"]).fails(2, "hint: give a name such as German");
    assert!(!folder.path().join("results").exists());
}

#[test]
fn a_subset_in_another_language() {
    let folder = Folder::new();
    let record = run(&folder, &["--analysts", "market,news", "--language", "German"]).json();
    assert_eq!(record["reports"].as_array().unwrap().len(), 11);
    assert_eq!(record["decision"]["parsed"], true);
    assert_eq!(record["plan"]["compared"], record["plan"]["equal"]);
}
