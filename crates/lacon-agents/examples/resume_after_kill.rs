//! A run is killed and goes on: `cargo run -p lacon-agents --example resume_after_kill`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use lacon_agents::{Finished, Settings, file, run};
use lacon_sim::{SimClient, SimOptions};

const TEAM: &str = r#"
team = { name = "tides", result = "writer", models = { deep = "gpt-4o-mini" } }
agent = [
    { name = "finder", words = 80, prompt = "What moves the tides?" },
    { name = "critic", reads = ["finder"], words = 60, prompt = "What is missing?" },
    { name = "writer", reads = ["finder", "critic"], words = 120, prompt = "Explain the tides." },
]
"#;

async fn go(folder: &Path, resume: bool) -> Result<Finished, Box<dyn std::error::Error>> {
    // A simulated model that takes a tenth of the time of a real one.
    let client = SimClient::generic(SimOptions { time_scale: 0.1, ..SimOptions::default() });
    let settings = Settings::new(file::parse("tides", TEAM)?, Arc::new(client));
    Ok(run(Settings { folder: Some(folder.to_owned()), resume, ..settings }).await)
}

fn answers(folder: &Path) -> usize {
    let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap_or_default();
    journal.lines().filter(|line| line.contains("\"text\"")).count()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(folder) = std::env::args().nth(1) {
        go(Path::new(&folder), false).await?;
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(std::env::current_exe()?).arg(folder.path()).spawn()?;
    while answers(folder.path()) == 0 && child.try_wait()?.is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    child.kill()?;
    child.wait()?;
    println!("killed with {} of 3 answers in the journal", answers(folder.path()));
    let done = go(folder.path(), true).await?;
    println!("{} calls in the whole run, {} tokens", done.record.calls.len(), done.record.tokens.total);
    println!("{}", done.result().unwrap_or("no result"));
    Ok(())
}
