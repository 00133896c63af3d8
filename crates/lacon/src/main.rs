//! The product's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    lacon::main()
}
