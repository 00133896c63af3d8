//! Every check, in the order in which a failure is cheapest to find.

use std::{process::Command, time::Instant};

use anyhow::{Context, Result, bail};

use crate::{python, root, say, supply, tidy};

/// Name, cargo's arguments, an environment variable.
type Step = (&'static str, &'static [&'static str], Option<(&'static str, &'static str)>);

/// What is checked beside the defaults; its tests skip where Redis and PostgreSQL are absent. The tests build the client of Redis
/// anyway. That of PostgreSQL with TLS takes about 50 processor seconds. Object stores would take 100 more, and no server of
/// them is here without Python.
const FEATURES: &str = "lacon/shared,lacon/postgres";

const STEPS: &[Step] = &[
    ("fmt", &["fmt", "--all", "--", "--check"], None),
    (
        "clippy",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            FEATURES,
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
        None,
    ),
    ("docs", &["doc", "--workspace", "--no-deps", "--locked"], Some(("RUSTDOCFLAGS", "-D warnings"))),
    ("tests", &["test", "--workspace", "--features", FEATURES, "--locked"], None),
];

/// Examples that end by themselves; the tests have built them.
const EXAMPLES: [&str; 10] = [
    "count_tokens",
    "fit_to_budget",
    "compress_roundtrip",
    "proxy_embedded",
    "two_agents",
    "own_scorer",
    "own_optimization",
    "resume_after_kill",
    "custom_provider",
    "analyze_a_langgraph_trace",
];

/// Runs tidy, then each step, then the examples; stops at the first failure.
pub fn run() -> Result<()> {
    tidy::run()?;
    supply::run()?;
    for (name, arguments, environment) in STEPS {
        let began = Instant::now();
        say(&format!("== {name}: cargo {}", arguments.join(" ")));
        let mut command = Command::new("cargo");
        command.args(*arguments).current_dir(root());
        if let Some((key, value)) = environment {
            command.env(key, value);
        }
        let status = command.status().with_context(|| format!("cannot start cargo for {name}"))?;
        if !status.success() {
            bail!("{name} failed");
        }
        say(&format!("== {name}: ok in {:.0} s", began.elapsed().as_secs_f64()));
    }
    let folder = python::target()?.join("debug/examples");
    for name in EXAMPLES {
        let done = Command::new(folder.join(name)).current_dir(root()).output();
        let done = done.with_context(|| format!("cannot start the example {name}"))?;
        if !done.status.success() {
            bail!("the example {name} failed: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
    say(&format!("== examples: ok, {}", EXAMPLES.len()));
    Ok(())
}
