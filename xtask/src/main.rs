//! Automation in Rust.
//!
//! | `cargo xtask …` | does |
//! |---|---|
//! | `ci` | every check |
//! | `tidy` | the checks that need no build |
//! | `fixtures` | writes what is generated from the source |
//! | `fuzz` | runs the fuzz targets for a while |
//! | `shuttle` | tests that try thread orders |
//! | `miri` | tests of unsafe code under Miri |
//! | `prices` | writes the price table from `genai-prices` |
//! | `python` | builds and tests the Python package |
//! | `supply` | checks licenses and versions of the dependencies |
//! | `verify` | builds the verification suite and runs it |
//! | `dist` | builds the archive and the wheel that are shipped |

mod ci;
mod dist;
mod fixtures;
mod fuzz;
mod miri;
mod prices;
mod python;
mod shuttle;
mod supply;
mod tidy;
mod verify;

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["ci"] => ci::run(),
        ["tidy"] => tidy::run(),
        ["fixtures"] => fixtures::write(),
        ["fuzz"] => fuzz::run("60", "all"),
        ["fuzz", seconds] => fuzz::run(seconds, "all"),
        ["fuzz", seconds, target] => fuzz::run(seconds, target),
        ["miri"] => miri::run(),
        ["prices"] => prices::run(),
        ["python"] => python::run(),
        ["shuttle"] => shuttle::run(),
        ["supply"] => supply::run(),
        ["verify", rest @ ..] => verify::run(rest),
        ["dist"] => dist::run(None),
        ["dist", binary] => dist::run(Some(binary)),
        _ => bail!(
            "usage: cargo xtask ci | tidy | fixtures | fuzz [SECONDS [TARGET]] | shuttle | miri | prices | python | supply | verify [FLAGS] | dist [BINARY]"
        ),
    }
}

/// Prints a line; xtask is a command line like the binary.
pub fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The folder of the workspace.
pub fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}
