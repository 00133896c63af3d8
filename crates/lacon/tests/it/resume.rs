//! A killed run goes on where it stopped: no finished call is repeated or lost, and the result is the same.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::Folder;

const SCALE: &str = "0.004";

fn start(folder: &Folder, args: &[&str]) -> std::process::Command {
    let mut line = vec!["run", "CRCL", "--time-scale", SCALE, "--json"];
    line.extend_from_slice(args);
    let mut command = folder.command(&line);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn record(out: &Path, run: &str) -> Option<Value> {
    let path = out.join("results/CRCL/2025-07-30").join(run).join("run.json");
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn reports(out: &Path, run: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![out.join("results/CRCL/2025-07-30").join(run).join("reports")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.file_name().to_string_lossy().into_owned();
                // The complete report also tells times.
                if name != "complete.md" {
                    found.insert(name, std::fs::read_to_string(entry.path()).unwrap());
                }
            }
        }
    }
    found
}

/// Key and count of the answered calls in a journal.
fn answered(out: &Path, run: &str) -> BTreeMap<String, usize> {
    let path = out.join("results/CRCL/2025-07-30").join(run).join("journal.jsonl");
    let mut keys = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
        let Ok(line) = serde_json::from_str::<Value>(line.get(9..).unwrap_or_default()) else { continue };
        if line["kind"] == "call" && !line["answer"].is_null() {
            *keys.entry(line["key"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    keys
}

#[test]
fn killed_at_any_instant_and_resumed_it_is_the_same_run() {
    let folder = Folder::new();
    let out = folder.path();
    assert!(start(&folder, &["--run-id", "whole"]).status().unwrap().success());
    let whole = record(out, "whole").unwrap();
    let expected = answered(out, "whole");
    assert_eq!(expected.len(), 13);
    for (i, ms) in [0, 15, 60, 130, 210, 300, 380, 450].into_iter().enumerate() {
        let name = format!("killed-{i}");
        let began = Instant::now();
        let mut child = start(&folder, &["--run-id", &name]).spawn().unwrap();
        while began.elapsed() < Duration::from_millis(ms) {
            std::thread::yield_now();
        }
        // SIGKILL: nothing of the process runs after it.
        child.kill().unwrap();
        child.wait().unwrap();
        if record(out, &name).is_none_or(|r| r["status"] != "done") {
            // A run that was killed before its journal's first line has not begun; on a busy machine that takes a while.
            let journal = out.join("results/CRCL/2025-07-30").join(&name).join("journal.jsonl");
            if !std::fs::read_to_string(journal).is_ok_and(|lines| lines.contains('\n')) {
                continue;
            }
            let before = answered(out, &name);
            assert!(start(&folder, &["--resume", &name]).status().unwrap().success(), "killed after {ms} ms");
            let after = answered(out, &name);
            assert!(before.iter().all(|(key, n)| after.get(key) == Some(n)), "a finished call was repeated");
        }
        let run = record(out, &name).unwrap();
        assert_eq!(answered(out, &name), expected, "killed after {ms} ms");
        assert_eq!(run["decision"], whole["decision"]);
        // What the provider's cache holds depends on the process; what was sent and answered does not.
        for kind in ["prompt", "completion", "total"] {
            assert_eq!(run["tokens"][kind], whole["tokens"][kind], "{kind}, killed after {ms} ms");
        }
        assert_eq!(run["calls"].as_array().unwrap().len(), 13);
        assert_eq!(run["tools"].as_array().unwrap().len(), whole["tools"].as_array().unwrap().len());
        assert_eq!(reports(out, &name), reports(out, "whole"));
    }
}

#[test]
fn a_run_is_forked_before_a_node_and_the_first_one_stays() {
    let folder = Folder::new();
    let out = folder.path();
    assert!(start(&folder, &["--run-id", "first"]).status().unwrap().success());
    let before = reports(out, "first");
    let fork =
        start(&folder, &["--resume", "first", "--from", "risk_manager", "--run-id", "second"]).status();
    assert!(fork.unwrap().success());
    assert_eq!(reports(out, "first"), before);
    let second = record(out, "second").unwrap();
    assert_eq!(second["calls"].as_array().unwrap().len(), 13);
    assert_eq!(second["status"], "done");
}

#[test]
fn what_cannot_be_resumed_is_said() {
    let folder = Folder::new();
    assert!(start(&folder, &["--run-id", "done"]).status().unwrap().success());
    let fails = |args: &[&str], message: &str| folder.lacon(&[&["run"], args].concat()).fails(2, message);
    fails(&["--resume", "done"], "run done is finished");
    fails(&["--resume", "dome"], "hint: did you mean done?");
    fails(
        &["NVDA", "--resume", "results/CRCL/2025-07-30/done"],
        "run results/CRCL/2025-07-30/done is about CRCL, not NVDA",
    );
    fails(
        &["--resume", "done", "--from", "nobody", "--run-id", "x"],
        "nothing in it is about node \"nobody\"",
    );
}
