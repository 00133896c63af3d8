//! The suite as a user meets it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bench;
mod product;

use std::{path::Path, process::Command};

/// Starts the suite in a folder without the user's settings.
fn suite(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lacon-verify"));
    command.args(args).current_dir(folder).env_remove("OPENAI_API_KEY").env("NO_COLOR", "1");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LACON_")) {
        command.env_remove(name);
    }
    command
}

/// Exit code, output and messages.
fn ended(mut command: Command) -> (i32, String, String) {
    let done = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code().unwrap_or(-1), text(&done.stdout), text(&done.stderr))
}
