//! Automation in Rust: `cargo xtask ci`.

fn main() {}
