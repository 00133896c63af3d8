//! The binary: arguments in, one file per subcommand.

fn main() {}
