//! `lacon run TEAM`, `check`, `new`, `graph TEAM`: output, exit codes, messages.

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use serde_json::Value;

use crate::{
    server::{Reply, start},
    support::Folder,
};

const FAST: [&str; 2] = ["--time-scale", "0"];

fn run(folder: &Folder, args: &[&str]) -> crate::support::Done {
    folder.lacon(&[&["run"], args, &FAST].concat())
}

#[test]
fn every_shipped_team_runs_against_the_simulator_and_says_so() {
    let folder = Folder::new();
    folder.write("docs.json", r#"{"documents": ["Name: Ada; Amount: 3", "Name: Bob; Amount: 4"]}"#);
    for (team, input) in [
        ("research", "topic=How do cities cool their streets?"),
        ("review", "change=- a\n+ b"),
        ("triage", "message=I want a refund for order 12."),
        ("extract", "@docs.json"),
        ("debate", "question=Is tea better than coffee?"),
    ] {
        let done = run(&folder, &[team, "--input", input, "--run-id", "one"]);
        assert_eq!(done.code, 0, "{team}: {}", done.err);
        assert!(
            done.out.contains("SIMULATED language model") && done.out.contains("tokens "),
            "{}",
            done.out
        );
        let record =
            std::fs::read(folder.path().join(format!("results/teams/{team}/runs/one/run.json"))).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        assert_eq!((&record["status"], &record["llm"]["simulated"]), (&"done".into(), &true.into()));
    }
    // What reads runs reads those of teams: the report in every form, and the journal's loops without a gap.
    let one = "results/teams/research/runs/one";
    let report = folder.lacon(&["report", one]);
    assert!(report.out.starts_with("research: done, run one"), "{}{}", report.out, report.err);
    assert!(report.out.contains("WATERFALL") && report.out.contains("writer"), "{}", report.out);
    let files =
        ["--html", "page.html", "--complete", "whole.md", "--trace-format", "otlp", "--output", "o.json"];
    assert_eq!(folder.lacon(&[&["report", one], &files[..]].concat()).code, 0);
    assert!(std::fs::read_to_string(folder.path().join("whole.md")).unwrap().contains("## Result"));
    assert!(folder.lacon(&["report", "results/teams/debate/runs/one"]).out.starts_with("debate: "));
    let analyzed = folder.lacon(&["trace", "analyze", one]);
    assert!(!analyzed.out.contains("PROBLEMS"), "{}", analyzed.out);
    folder.lacon(&["explain", one]).fails(2, "hint: lacon report");
    // Runs of teams are none of the trading graph's.
    assert!(folder.lacon(&["runs"]).out.contains("no runs"));
    run(&folder, &["research", "--input", "topic=x", "--run-id", "one"]).fails(2, "run one exists");
}

#[test]
fn trading_is_a_team_like_the_others() {
    let folder = Folder::new();
    let of = |args: &[&str]| {
        let mut record =
            folder.lacon(&[args, &["--json", "--force", "--run-id", "one"], &FAST].concat()).json();
        let called = |call: &Value| (call["role"].clone(), call["prompt_digest"].clone());
        let mut calls: Vec<_> = record["calls"].as_array().unwrap().iter().map(called).collect();
        calls.sort_by_key(|(role, _)| role.to_string());
        (record["decision"].take(), calls)
    };
    assert_eq!(of(&["run", "trading", "CRCL"]), of(&["run", "CRCL"]));
    let checked = folder.lacon(&["check", "trading"]);
    assert!(checked.out.contains("trading: no faults. 13 agents"), "{}", checked.out);
    for (profile, has, not) in [
        ("lacon", "judge", "signal"),
        ("baseline", "signal", "group risk"),
        ("upstream", "group risk", "judge"),
    ] {
        let drawn = folder.lacon(&["graph", "trading", "--profile", profile]);
        assert!(drawn.out.contains(has) && !drawn.out.contains(not), "{profile}: {}", drawn.out);
    }
    folder.lacon(&["run", "trading"]).fails(2, "hint: lacon run trading CRCL");
    folder.lacon(&["run", "CRCL", "NVDA"]).fails(2, "\"NVDA\" is one argument too many");
}

#[test]
fn a_new_team_runs_at_once() {
    let folder = Folder::new();
    let done = folder.lacon(&["new", "mine", "--template", "debate"]);
    assert_eq!((done.code, done.out.trim()), (0, "mine/team.toml"));
    folder.lacon(&["new", "mine"]).fails(2, "is there already");
    folder.lacon(&["new", "other", "--template", "nothing"]).fails(2, "one of research, review");
    for name in ["mine", "mine/team.toml"] {
        let done = run(&folder, &[name, "--input", "question=Is it?", "--json"]);
        assert_eq!(done.json()["team"], "mine");
    }
}

#[test]
fn check_lists_faults_with_lines_and_says_what_optimizations_do() {
    let folder = Folder::new();
    folder.write(
        "bad.toml",
        "[team]\nname = \"bad\"\n[[agent]]\nname = \"a\"\nprompt = \"{x}\"\nreads = [\"b\"]\nwrods = 3\n",
    );
    let done = folder.lacon(&["check", "bad.toml"]);
    for part in ["bad.toml:5: ", "bad.toml:6: ", "bad.toml:7: key \"wrods\"", "hint: did you mean \"words\"?"]
    {
        done.fails(2, part);
    }
    run(&folder, &["bad.toml"]).fails(2, "bad.toml:6: ");
    let done = folder.lacon(&["check", "research", "--input", "topic=x", "--input", "depth=6"]);
    assert!(
        done.code == 0 && done.out.contains("prefetch") && done.out.contains("expected "),
        "{}",
        done.out
    );
    let plan = folder.lacon(&["check", "extract", "--json"]).json();
    assert_eq!(plan["made_up_inputs"][0], "documents");
    assert_eq!(plan["plan"]["agents"][0]["calls"], 20);
    folder.lacon(&["check", "nothing"]).fails(2, "one of research, review");
}

#[test]
fn wrong_flags_name_what_there_is() {
    let folder = Folder::new();
    run(&folder, &["research"]).fails(2, "input \"topic\" is missing");
    run(&folder, &["research", "--input", "topc=x"]).fails(2, "did you mean \"topic\"?");
    run(&folder, &["research", "--input", "topic"]).fails(2, "write NAME=VALUE");
    run(&folder, &["research", "--input", "topic=x", "--date", "2025-01-01"])
        .fails(2, "--date does nothing for a team");
    run(&folder, &["research", "--input", "topic=x", "--disable", "prefech"])
        .fails(2, "did you mean prefetch?");
    run(&folder, &["research", "--input", "topic=x", "--tool", "find=http://x"])
        .fails(2, "there are: search");
    run(&folder, &["research", "--input", "topic=x", "--model", "nobody=m"]).fails(2, "is no agent");
    // A model that is not simulated gets no made-up tool answers.
    let real = ["research", "--input", "topic=x", "--llm", "openai", "--base-url", "http://127.0.0.1:9/v1"];
    run(&folder, &real).fails(2, "tool \"search\" is simulated");
    let done = folder.lacon(&["run", "NOSUCHTICKER"]);
    done.fails(2, "no data for ticker");
}

#[test]
fn a_run_that_needs_leave_waits_and_goes_on() {
    let folder = Folder::new();
    folder.write(
        "ask.toml",
        "[team]\nname = \"ask\"\ninputs = { topic = \"text\" }\n[[agent]]\nname = \"a\"\nprompt = \"{topic}\"\nwords = 20\n\
         [[agent]]\nname = \"b\"\nreads = [\"a\"]\nprompt = \"x\"\nwords = 20\napprove = true\n",
    );
    run(&folder, &["ask.toml", "--input", "topic=x", "--run-id", "r"]).fails(5, "may agent \"b\" run?");
    let done = run(&folder, &["ask.toml", "--resume", "r", "--approve", "b", "--json"]);
    let record = done.json();
    assert_eq!((&record["status"], &record["inputs"]["topic"]), (&"done".into(), &"x".into()));
    assert_eq!(record["calls"].as_array().unwrap().len(), 2);
}

#[test]
fn a_run_is_one_page_and_never_over_its_own_files() {
    let folder = Folder::new();
    let args = ["debate", "--input", "question=Is it?", "--run-id", "r"];
    assert_eq!(run(&folder, &[&args[..], &["--html", "r.html"]].concat()).code, 0);
    let page = std::fs::read_to_string(folder.path().join("r.html")).unwrap();
    assert!(page.contains("<h1>debate") && page.contains("The language model is simulated."));
    let own = "results/teams/debate/runs/r/run.json";
    let done = run(&folder, &[&args[..], &["--force", "--html", own]].concat());
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(std::fs::read_to_string(folder.path().join(own)).unwrap().starts_with('{'));
    folder.lacon(&["plan", "AAPL", "--repeat", "3"]).fails(2, "--repeat does nothing for a plan");
}

#[test]
fn a_team_is_drawn_in_three_ways() {
    let folder = Folder::new();
    assert!(folder.lacon(&["graph", "triage", "--format", "svg"]).out.starts_with("<svg "));
    folder.lacon(&["graph", "--format", "svg"]).fails(2, "draws teams");
    let text = folder.lacon(&["graph", "research"]).out;
    assert!(text.contains("loop draft: at most 2 rounds, until critic says no gaps"), "{text}");
    assert!(folder.lacon(&["graph", "research", "--format", "mermaid"]).out.starts_with("flowchart LR"));
    assert!(folder.lacon(&["graph", "research", "--format", "dot"]).out.starts_with("digraph team {"));
    assert!(folder.lacon(&["graph"]).out.contains("dispatcher"));
}

/// A server of tools: `/good` answers, `/liar` is no JSON, `/huge` never ends within its limit.
fn tool_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let n = stream.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..n]).into_owned();
                let body = match head.split_whitespace().nth(1).unwrap_or_default() {
                    "/good" => r#"{"name": "good", "text": "The pump lifts 41 liters."}"#.to_owned(),
                    "/huge" => format!("{{\"text\": \"{}\"}}", "z".repeat(100 << 20)),
                    _ => "surely".to_owned(),
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            });
        }
    });
    url
}

const TOOLS: &str = "[team]\nname = \"pumps\"\nmodels = { deep = \"m\" }\n[[agent]]\nname = \"größe\"\nprompt = \"How much?\"\nwords = 30\n\
                     tools = [\"good\", \"liar\", \"huge\"]\nprefetch = { good = {}, liar = {}, huge = {} }\n";

#[test]
fn servers_of_tools_that_lie_or_flood_cost_their_own_answer() {
    let folder = Folder::new();
    let url = tool_server();
    let tools: String = ["good", "liar", "huge"]
        .iter()
        .map(|name| format!("[[tool]]\nname = \"{name}\"\nhttp = \"{url}\"\n"))
        .collect();
    folder.write("pumps.toml", &format!("{TOOLS}{tools}"));
    let record = run(&folder, &["pumps.toml", "--json"]).json();
    let statuses: Vec<&str> =
        record["tools"].as_array().unwrap().iter().map(|t| t["status"].as_str().unwrap()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == "ok").count(), 1, "{statuses:?}");
    assert!(record["result"]["text"].as_str().unwrap().contains("41 liters"));
    assert!(record["peak_rss_mb"].as_f64().is_none_or(|mb| mb < 250.0), "{}", record["peak_rss_mb"]);
}

#[test]
fn a_program_reads_what_goes_on_and_names_servers_by_a_file() {
    let folder = Folder::new();
    let tool = "[[tool]]\nname = \"good\"\ncode = true\n";
    folder.write(
        "own.toml",
        &format!("[team]\nname = \"own\"\n{tool}[[agent]]\nname = \"a\"\nby = \"good\"\n"),
    );
    folder.write("urls.json", &format!("{{\"good\": \"{}/good\"}}", tool_server()));
    folder.write("wrong.json", "[1]");
    let done = run(&folder, &["own.toml", "--events", "--tool", "@urls.json", "--run-id", "one"]);
    let lines: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["started", "tool", "finished", "record"], "{}", done.err);
    assert_eq!(lines[3]["record"]["result"]["text"], "The pump lifts 41 liters.");
    // Elsewhere and gone on with, it is the same run.
    let url = format!("good={}/good", tool_server());
    let done = run(&folder, &["own.toml", "--json", "--tool", &url, "--resume", "one"]);
    assert_eq!(done.json()["status"], "done");
    run(&folder, &["own.toml", "--tool", "@wrong.json"]).fails(2, "no JSON object of URLs");
    run(&folder, &["own.toml"]).fails(2, "has no code that answers it");
}

#[test]
fn a_team_runs_against_a_provider_and_its_faults_have_their_codes() {
    let folder = Folder::new();
    folder.write(
        "t.toml",
        "[team]\nname = \"t\"\nmodels = { deep = \"m\" }\n[[agent]]\nname = \"a\"\nprompt = \"x\"\n[[agent]]\nname = \"größe\"\nreads = [\"a\"]\nprompt = \"y\"\n",
    );
    let url = start(|role| Reply::Text(format!("I am {role}.")));
    let at = |url: &str| folder.lacon(&["run", "t.toml", "--llm", "openai", "--base-url", url, "--json"]);
    let done = at(&url);
    let record = done.json();
    assert!(
        record["agents"][0]["said"][0]["texts"][0]["text"] == "I am a."
            && record["llm"]["simulated"] == false,
        "{record:#}"
    );
    assert!(!done.err.contains("SIMULATED"), "{}", done.err);
    at(&start(|_| Reply::Status(401))).fails(4, "a: ");
    at(&start(|_| Reply::Html)).fails(3, "a: ");
}
