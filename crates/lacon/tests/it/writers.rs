//! One run folder, one writer; and a run that is asked to stop keeps what is finished.
#![cfg(unix)]

use std::{
    process::{Child, Stdio},
    sync::mpsc::Receiver,
    time::Duration,
};

use crate::{
    server::{Reply, start},
    support::{Done, Folder},
};

/// A server that answers all but the bull, and who was asked.
fn stuck() -> (String, Receiver<String>) {
    let (sender, asked) = std::sync::mpsc::channel();
    let url = start(move |role| {
        let _ = sender.send(role.to_owned());
        if role == "bull" {
            Reply::Slow(Duration::from_secs(60))
        } else {
            Reply::Text(format!("{role} holds."))
        }
    });
    (url, asked)
}

fn begin(folder: &Folder, args: &[&str], asked: &Receiver<String>) -> Child {
    let child = folder.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while asked.recv_timeout(Duration::from_secs(60)).unwrap() != "bull" {}
    child
}

fn kill(child: Child, signal: &str) -> Done {
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_second_writer_is_told_who_holds_the_folder_and_a_dead_ones_lock_is_taken_over() {
    let folder = Folder::new();
    let (url, asked) = stuck();
    let first = begin(&folder, &["run", "CRCL", "--base-url", &url, "--run-id", "x"], &asked);
    let holder = format!("is in use by process {} on ", first.id());
    let again = ["run", "CRCL", "--base-url", &url, "--run-id", "x"];
    folder.lacon(&again).fails(2, &holder);
    folder.lacon(&[&again[..], &["--force"]].concat()).fails(2, &holder);
    let resumed = folder.lacon(&["run", "--resume", "x", "--base-url", &url]);
    resumed.fails(2, &holder);
    resumed.fails(2, "\nhint: ");
    // Another folder is free.
    folder.lacon(&["run", "CRCL", "--time-scale", "0", "--run-id", "y", "--json"]).json();
    kill(first, "-KILL");
    let run = folder.path().join("results/CRCL/2025-07-30/x");
    assert!(run.join("run.lock").exists(), "a killed process removes nothing");
    let url = start(|role| Reply::Text(format!("{role} holds.")));
    folder.lacon(&["run", "--resume", "x", "--base-url", &url]);
    let record = std::fs::read_to_string(run.join("run.json")).unwrap();
    assert!(record.contains("\"status\""), "{record}");
    assert!(!run.join("run.lock").exists());
}

#[test]
fn sigterm_keeps_what_is_finished() {
    let folder = Folder::new();
    let (url, asked) = stuck();
    let child = begin(&folder, &["run", "CRCL", "--base-url", &url, "--run-id", "x"], &asked);
    kill(child, "-TERM").fails(130, "interrupted: finished work was saved");
    let run = folder.path().join("results/CRCL/2025-07-30/x");
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(json["status"], "interrupted");
    assert!(json["reports"].as_array().unwrap().len() >= 4, "{json}");
    assert!(!run.join("run.lock").exists());
}

#[test]
fn both_signals_stop_a_batch_and_keep_what_is_finished() {
    for signal in ["-TERM", "-INT"] {
        let folder = Folder::new();
        let (url, asked) = stuck();
        let line = ["batch-run", "CRCL", "AAPL", "--jobs", "1", "--json", "--", "--base-url", &url];
        let done = kill(begin(&folder, &line, &asked), signal);
        done.fails(130, "interrupted: finished work was saved");
        let told: serde_json::Value = serde_json::from_str(&done.out).unwrap();
        let states: Vec<_> = told["runs"].as_array().unwrap().iter().map(|run| &run["status"]).collect();
        assert_eq!(states, ["interrupted", "interrupted"], "{told}");
        let saved = std::path::Path::new(told["runs"][0]["folder"].as_str().unwrap()).to_owned();
        assert!(folder.path().join(saved).join("reports/5_decision.md").exists());
    }
}
