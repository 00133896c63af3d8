//! The commands that the README shows run as shown.

use crate::support::Folder;

#[test]
fn readme_examples() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let folder = Folder::new();
    let mut n = 0;
    // Blocks marked `console` hold commands behind `$ ` that need neither key nor network.
    for block in readme.split("```console\n").skip(1).map(|b| b.split("```").next().unwrap()) {
        for line in block.lines().filter_map(|l| l.strip_prefix("$ lacon ")) {
            let args: Vec<&str> = line.split_whitespace().collect();
            let done = folder.lacon(&args);
            assert_eq!(done.code, 0, "lacon {line}\n{}{}", done.out, done.err);
            n += 1;
        }
    }
    assert!(n >= 3, "the README shows {n} commands");
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
    let folder = Folder::new();
    let done = std::process::Command::new("bash")
        .arg(format!("{root}/benchmarks/figures.sh"))
        .arg("--short")
        .env("LACON", env!("CARGO_BIN_EXE_lacon"))
        .env("TMPDIR", folder.path())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}{err}");
    assert!(out.matches("$ ").count() >= 12, "{out}");
}
