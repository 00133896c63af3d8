//! Writes what is generated from the settings into the folder of the workspace; `cargo xtask fixtures` runs it.

use lacon_runtime::config;

fn main() -> std::io::Result<()> {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    std::fs::write(docs.join("settings.md"), config::reference())?;
    std::fs::write(docs.join("lacon.sample.toml"), config::sample())
}
