//! Two agents, one tool: `cargo run -p lacon-agents --example two_agents`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::Arc;

use lacon_agents::{Settings, Tools, file, run};
use lacon_sim::{SimClient, SimOptions};

const TEAM: &str = r#"
team = { name = "two", result = "writer", models = { deep = "gpt-4o-mini" } }
tool = [{ name = "rain", about = "Millimeters of rain.", arguments = { city = "which" }, code = true }]
agent = [
    { name = "finder", tools = ["rain"], words = 60, prompt = "How much does it rain in Oslo?" },
    { name = "writer", reads = ["finder"], words = 80, prompt = "Explain the figure to a child." },
]
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Arc::new(SimClient::generic(SimOptions::default()));
    let tools = Tools::new().with("rain", |_city| async { Ok("Oslo had 763 mm of rain in 2024.".into()) });
    let done = run(Settings { tools, ..Settings::new(file::parse("two", TEAM)?, client) }).await;
    println!("{}\n\n{}", done.text("finder").unwrap_or_default(), done.result().unwrap_or("no result"));
    println!("{} tokens, {} USD", done.record.tokens.total, done.record.cost_usd.unwrap_or_default());
    Ok(())
}
