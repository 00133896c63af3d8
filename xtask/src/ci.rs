//! Every check, in the order in which a failure is cheapest to find.

use std::{process::Command, time::Instant};

use anyhow::{Context, Result, bail};

use crate::{root, say, supply, tidy};

/// Name, cargo's arguments, an environment variable.
type Step = (&'static str, &'static [&'static str], Option<(&'static str, &'static str)>);

const STEPS: &[Step] = &[
    ("fmt", &["fmt", "--all", "--", "--check"], None),
    (
        "clippy",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "lacon/shared",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
        None,
    ),
    ("docs", &["doc", "--workspace", "--no-deps", "--locked"], Some(("RUSTDOCFLAGS", "-D warnings"))),
    ("tests", &["test", "--workspace", "--locked"], None),
];

/// Runs tidy, then each step; stops at the first failure.
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
    Ok(())
}
