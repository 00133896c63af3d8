//! `lacon run`: the main job, and everything that may go wrong with it.

use std::{process::Stdio, time::Duration};

use crate::{
    server::{Reply, start},
    support::{Done, Folder},
};

const FULL: &str =
    "Trend, indicators, risk, outlook, sentiment, themes, market, company, valuation, health, growth.";

fn says(role: &str) -> Reply {
    Reply::Text(format!("{role}: {FULL}\nRecommendation: HOLD\nFINAL DECISION: HOLD"))
}

fn fast(folder: &Folder, args: &[&str]) -> Done {
    let mut all = vec!["run"];
    all.extend_from_slice(args);
    all.extend(["--time-scale", "0"]);
    folder.lacon(&all)
}

#[test]
fn decides_offline_without_a_key() {
    let folder = Folder::new();
    let done = fast(&folder, &["CRCL"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out.starts_with("CRCL on 2025-07-30, profile lacon: SIMULATED language model"),
        "{}",
        done.out
    );
    assert!(done.out.contains("grade     checks passed, 98 of 100 points"), "{}", done.out);
    let runs = folder.path().join("results/CRCL/2025-07-30");
    let run = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    for file in ["run.json", "trace.jsonl", "events.jsonl", "receipts.jsonl", "reports/complete.md"] {
        assert!(run.join(file).exists(), "{file}");
    }
}

#[test]
fn json_is_the_record_and_nothing_else() {
    let folder = Folder::new();
    let done = fast(&folder, &["crcl", "--json", "--run-id", "one"]);
    let json = done.json();
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["ticker"], "CRCL");
    assert_eq!(json["llm"]["simulated"], true);
    assert_eq!(json["calls"].as_array().unwrap().len(), 13);
    let written =
        std::fs::read_to_string(folder.path().join("results/CRCL/2025-07-30/one/run.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["decision"], json["decision"]);
    assert!(done.err.contains("SIMULATED"), "the notice stands on stderr: {}", done.err);
}

#[test]
fn equal_seeds_give_equal_runs() {
    let folder = Folder::new();
    let digest = |args: &[&str]| {
        let json = fast(&folder, args).json();
        (json["plan"]["digest"].clone(), json["tokens"].clone(), json["decision"].clone())
    };
    assert_eq!(digest(&["CRCL", "--json"]), digest(&["CRCL", "--json"]));
    assert_ne!(digest(&["CRCL", "--json"]), digest(&["CRCL", "--json", "--seed", "2"]));
}

#[test]
fn the_listing_day_without_prices_is_decided_and_said() {
    let done = fast(&Folder::new(), &["FIG"]);
    assert_eq!(done.code, 0);
    assert!(done.out.contains("no_data: market: none of 7 tool answers holds data"), "{}", done.out);
}

#[test]
fn bad_input_is_answered_with_the_value_and_a_hint() {
    let folder = Folder::new();
    for (args, message) in [
        (vec!["CRCK"], "no data for ticker CRCK in the bundled offline packs\nhint: did you mean CRCL?"),
        (vec!["ZZZZZZ"], "hint: known tickers are AAPL, CRCL, FIG, NVDA"),
        (vec!["../etc"], "ticker \"../etc\" contains '/'"),
        (
            vec!["CRCL", "--date", "2025-02-30"],
            "date \"2025-02-30\" is not a day\nhint: write it as yyyy-mm-dd",
        ),
        (vec!["CRCL", "--date", "2999-01-01"], "date 2999-01-01 is in the future"),
        (
            vec!["CRCL", "--disable", "prefech"],
            "unknown optimization \"prefech\"\nhint: did you mean prefetch?",
        ),
        (
            vec!["CRCL", "--enable", "paralel_judge"],
            "unknown optimization \"paralel_judge\"\nhint: did you mean parallel_judge?",
        ),
        (
            vec!["CRCL", "--enable", "hedge", "--disable", "hedge"],
            "optimization \"hedge\" is both disabled and enabled\nhint: name it once",
        ),
        (
            vec!["CRCL", "--profile", "sed"],
            "run.profile is \"sed\", one of lacon, baseline, upstream is needed (flag)",
        ),
        (vec!["CRCL", "--run-id", "a/b"], "run id \"a/b\" cannot name a folder"),
        (vec!["CRCL", "--effort", "bul=low"], "unknown role \"bul\"\nhint: did you mean bull?"),
        (vec!["CRCL", "--effort", "bull=max"], "effort \"max\" of bull"),
        (vec!["CRCL", "--data", "nowhere"], "no data for ticker CRCL in folder nowhere"),
        (vec!["CRCL", "--base-url", "127.0.0.1:80"], "base url"),
        (vec!["CRCL", "--profil", "seed"], "--profile"),
    ] {
        fast(&folder, &args).fails(2, message);
    }
    folder.lacon(&["rum", "CRCL"]).fails(2, "run");
    assert!(!folder.path().join("results").exists(), "nothing is written for bad input");
}

#[test]
fn no_network_is_exit_3() {
    let folder = Folder::new();
    let config = folder.write("lacon.toml", "[llm]\nmax_attempts = 1\n");
    let done = folder.lacon(&[
        "run",
        "CRCL",
        "--base-url",
        "http://127.0.0.1:9/v1",
        "--config",
        config.to_str().unwrap(),
    ]);
    done.fails(3, "no analyst gave a report");
    done.fails(3, "cannot connect to 127.0.0.1:9");
}

#[test]
fn a_wrong_key_is_exit_4() {
    let folder = Folder::new();
    let url = start(|_| Reply::Status(401));
    let done: Done = folder
        .command(&["run", "CRCL", "--base-url", &url])
        .env("OPENAI_API_KEY", "sk-wrong")
        .output()
        .unwrap()
        .into();
    done.fails(4, "401");
    assert!(!done.err.contains("sk-wrong") && !done.out.contains("sk-wrong"));
    folder.lacon(&["run", "CRCL", "--llm", "openai"]).fails(4, "hint: set OPENAI_API_KEY");
}

#[test]
fn a_web_page_is_exit_3_and_named() {
    let url = start(|_| Reply::Html);
    let done = Folder::new().lacon(&["run", "CRCL", "--base-url", &url]);
    assert_eq!(done.code, 3, "{}", done.err);
    assert!(done.err.to_lowercase().contains("html") || done.err.contains("web page"), "{}", done.err);
}

#[test]
fn a_cut_stream_is_tried_again_then_named() {
    let folder = Folder::new();
    folder.write("lacon.toml", "[llm]\nmax_attempts = 2\n");
    let url = start(|role| if role == "social" { Reply::Cut } else { says(role) });
    let done = folder.lacon(&["run", "CRCL", "--base-url", &url, "--json"]);
    let json = done.json();
    let call = json["calls"].as_array().unwrap().iter().find(|c| c["role"] == "social").unwrap().clone();
    assert_eq!(call["attempts"], 2);
    assert_eq!(call["status"], "malformed_cut_stream");
    assert!(done.err.contains("social gave no answer"), "{}", done.err);
    assert_eq!(json["decision"]["action"], "HOLD");
}

#[test]
fn an_empty_report_and_braces_do_not_stop_the_run() {
    let folder = Folder::new();
    folder.write("lacon.toml", "[llm]\nmax_attempts = 1\n");
    let url = start(|role| match role {
        "news" => Reply::Empty,
        "bull" => Reply::Text(r"upside of {x} and \frac{1}{2} of {{ticker}}".into()),
        _ => says(role),
    });
    let json = folder.lacon(&["run", "CRCL", "--base-url", &url, "--json", "--run-id", "r"]).json();
    let lost: Vec<&str> =
        json["grade"]["reasons"].as_array().unwrap().iter().filter_map(|r| r["code"].as_str()).collect();
    assert!(lost.contains(&"report_empty"), "{lost:?}");
    assert_eq!(json["grade"]["origin"], "A+", "the original system's grade cannot see it");
    let bull =
        std::fs::read_to_string(folder.path().join("results/CRCL/2025-07-30/r/reports/2_research/bull.md"))
            .unwrap();
    assert!(bull.contains(r"{x} and \frac{1}{2} of {{ticker}}"));
}

#[test]
fn a_planted_key_is_in_nothing_that_a_run_leaves() {
    let folder = Folder::new();
    let url = start(|role| if role == "bear" { Reply::Status(500) } else { says(role) });
    let secret = "sk-planted-0123456789";
    let done: Done = folder
        .command(&["run", "CRCL", "--base-url", &url, "--log-level", "info"])
        .env("OPENAI_API_KEY", secret)
        .env("LACON_LLM_MAX_ATTEMPTS", "1")
        .output()
        .unwrap()
        .into();
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(!done.out.contains(secret) && !done.err.contains(secret));
    let mut folders = vec![folder.path().join("results")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).unwrap();
                assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{:?}", entry.path());
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_the_decision_printed() {
    let folder = Folder::new();
    let target = folder.path().join("results/CRCL/2025-07-30/x");
    std::fs::create_dir_all(&target).unwrap();
    std::os::unix::fs::symlink("/dev/full", target.join("trace.jsonl")).unwrap();
    let done = fast(&folder, &["CRCL", "--run-id", "x"]);
    done.fails(2, "hint: free space, or choose another folder with --out");
    assert!(done.out.contains(" by "), "{}", done.out);
    folder.write("file", "");
    fast(&folder, &["CRCL", "--out", "file"]).fails(2, "cannot write");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_finished() {
    let folder = Folder::new();
    let (sender, asked) = std::sync::mpsc::channel();
    let url = start(move |role| {
        let _ = sender.send(role.to_owned());
        if role == "bull" { Reply::Slow(Duration::from_secs(60)) } else { says(role) }
    });
    let child = folder
        .command(&["run", "CRCL", "--base-url", &url, "--run-id", "x"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    // Four analysts, the bull and the bear are asked; then a moment for the bear's answer to arrive.
    for _ in 0..6 {
        asked.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    assert!(
        asked.recv_timeout(Duration::from_millis(700)).is_err(),
        "nothing else starts while the bull is waited for"
    );
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let done = Done::from(child.wait_with_output().unwrap());
    done.fails(130, "interrupted: finished work was saved");
    let json = std::fs::read_to_string(folder.path().join("results/CRCL/2025-07-30/x/run.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["status"], "interrupted");
    assert_eq!(json["reports"].as_array().unwrap().len(), 5, "four analysts and the bear");
    let decision = folder.path().join("results/CRCL/2025-07-30/x/reports/5_decision.md");
    assert!(std::fs::read_to_string(decision).unwrap().contains("The run ended as **interrupted**"));
}

#[test]
fn a_recorded_run_replays_without_network() {
    let folder = Folder::new();
    let url = start(says);
    let record =
        folder.lacon(&["run", "CRCL", "--base-url", &url, "--tape", "t.jsonl", "--record", "--json"]).json();
    let replay = |extra: &[&str]| {
        let mut args = vec![
            "run",
            "CRCL",
            "--base-url",
            "http://127.0.0.1:9/v1",
            "--tape",
            "t.jsonl",
            "--replay",
            "--json",
        ];
        args.extend_from_slice(extra);
        folder.lacon(&args)
    };
    let again = replay(&[]).json();
    for key in ["decision", "tokens", "reports"] {
        assert_eq!(record[key], again[key], "{key}");
    }
    assert_eq!(record["plan"]["digest"], again["plan"]["digest"]);
    // Optimizations that only move calls in time replay from the same tape; one that changes a prompt is a miss, and named.
    for optimization in ["no_barrier", "tool_cache", "hedge"] {
        let without = replay(&["--disable", optimization]);
        assert_eq!(without.json()["decision"], record["decision"], "{optimization}");
    }
    let miss = replay(&["--disable", "word_limits"]);
    assert_ne!(miss.code, 0);
    assert!(miss.err.contains("tape"), "{}", miss.err);
    folder.lacon(&["run", "CRCL", "--record"]).fails(2, "--tape");
}

#[test]
fn a_settings_file_enables_and_a_flag_takes_it_back() {
    let folder = Folder::new();
    folder.write("lacon.toml", "[run]\nprofile = \"baseline\"\nenable = [\"prefetch\"]\n");
    let on = |extra: &[&str]| fast(&folder, &[&["CRCL", "--json"], extra].concat()).json();
    assert_eq!(on(&[])["optimizations"]["prefetch"]["on"], true);
    assert_eq!(on(&["--enable", ""])["optimizations"]["prefetch"]["on"], false);
    fast(&folder, &["CRCL", "--disable", "prefetch"]).fails(2, "--enable \"\"");
    // An optimization that an older version had.
    folder.write("lacon.toml", "[run]\nenable = [\"merged_judge\"]\n");
    fast(&folder, &["CRCL"]).fails(2, "unknown optimization \"merged_judge\"\nhint: ");
}

#[test]
fn a_folder_in_the_origins_layout_is_read() {
    let folder = Folder::new();
    let row = |day: u32| format!("2025-03-{day:02},10,11,9,10.{day:02},1000\n");
    let rows: String = (1..=25).map(row).collect();
    folder.write(
        "data/market_data/price_data/ACME-YFin-data-2015-01-01-2025-03-25.csv",
        &format!("Date,Open,High,Low,Close,Volume\n{rows}"),
    );
    let json = fast(&folder, &["ACME", "--data", "data", "--date", "2025-03-25", "--json"]).json();
    assert_eq!(json["data"]["source"], "folder data");
    let market: Vec<_> = json["tools"].as_array().unwrap().iter().filter(|t| t["role"] == "market").collect();
    assert!(market.iter().any(|t| t["status"] == "ok"));
}

#[test]
fn log_level_error_prints_nothing_on_success() {
    let done = fast(&Folder::new(), &["CRCL", "--log-level", "error"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
}

#[test]
fn the_published_schema_names_every_field_of_a_run() {
    let folder = Folder::new();
    let team = ["debate", "--input", "question=Close it?", "--input", "material=Traffic fell by 23 percent."];
    for (what, version, of) in [("run", 1, &["CRCL"][..]), ("team", 2, &team)] {
        let schema = folder.lacon(&["schema", what]).json();
        let run = fast(&folder, &[of, &["--json"]].concat()).json();
        assert_eq!(run["schema_version"], version);
        let properties = schema["properties"].as_object().unwrap();
        for key in run.as_object().unwrap().keys() {
            assert!(properties.contains_key(key), "{what}: {key}");
        }
    }
}
