//! `lacon verify` and `lacon bench`: passed on to the program `lacon-verify`, which is no part of the product.

use std::process::{Command, ExitCode};

use crate::failure::Failure;

/// Runs the suite with this process's arguments where it lies beside this program.
pub fn run() -> Result<ExitCode, Failure> {
    let name = format!("lacon-verify{}", std::env::consts::EXE_SUFFIX);
    let program = std::env::current_exe()
        .map_err(|e| Failure::input(format!("the path of this program is unknown: {e}")))?
        .with_file_name(&name);
    if !program.is_file() {
        return Err(Failure::input(format!(
            "{} is missing: verify and bench are a program of their own\n\
             hint: in the source folder, run ./debug_local.sh or cargo xtask verify, or build both with cargo build --release",
            program.display()
        )));
    }
    let mut command = Command::new(&program);
    command.args(std::env::args_os().skip(1));
    pass_on(command).map_err(|e| Failure::input(format!("{}: cannot be started: {e}", program.display())))
}

/// Becomes the other program, so that signals reach it.
#[cfg(unix)]
fn pass_on(mut command: Command) -> std::io::Result<ExitCode> {
    Err(std::os::unix::process::CommandExt::exec(&mut command))
}

/// Waits for the other program.
#[cfg(not(unix))]
fn pass_on(mut command: Command) -> std::io::Result<ExitCode> {
    let code = command.status()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
