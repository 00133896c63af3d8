//! `lacon bench` on small inputs, and the commands behind the README's figures.

use crate::{ended, suite};

#[test]
fn the_benchmark_runs_on_a_small_text() {
    let folder = tempfile::tempdir().unwrap();
    let text = "many things in few words, 1,234 times\n".repeat(300);
    std::fs::write(folder.path().join("text"), text).unwrap();
    let line = ["bench", "tokens", "--corpus", "mine=text", "--rounds", "1", "--json"];
    let (code, out, err) = ended(suite(folder.path(), &line));
    assert_eq!(code, 0, "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let rows = json["rows"].as_array().unwrap();
    assert!(rows.len() >= 4 && rows.iter().all(|row| row["tokens"] == rows[0]["tokens"]), "{json}");
    let (code, _, err) = ended(suite(folder.path(), &["bench", "tokens", "--corpus", "text"]));
    assert!(code == 2 && err.contains("NAME=FILE is needed"), "{code} {err}");
}

/// Every figure has its command, and each of them runs: `benchmarks/figures.sh` holds them all.
#[test]
#[cfg(unix)]
fn the_commands_behind_the_figures_run() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
    let script = std::fs::read_to_string(format!("{root}/benchmarks/figures.sh")).unwrap();
    let measured = readme.split("## Measured").nth(1).unwrap().split("\n## ").next().unwrap();
    let spans = measured.split('`').skip(1).step_by(2);
    let mut n = 0;
    for command in spans.filter(|s| s.starts_with("lacon bench") || s.contains(".sh")) {
        let command = command.split(" --rivals").next().unwrap();
        assert!(
            command == "benchmarks/figures.sh" || script.contains(&format!("run \"{command}")),
            "{command}"
        );
        n += 1;
    }
    assert!(n >= 6, "the README names {n} commands");
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("bash");
    command.arg(format!("{root}/benchmarks/figures.sh")).arg("--short").env("TMPDIR", folder.path());
    command.env("LACON", env!("CARGO_BIN_EXE_lacon-verify")).stdin(std::process::Stdio::null());
    let (code, out, err) = ended(command);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.matches("$ ").count() >= 12, "{out}");
}
