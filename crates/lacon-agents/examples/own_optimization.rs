//! An optimization of one's own: `cargo run -p lacon-agents --example own_optimization`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::Arc;

use lacon_agents::{Agent, Inputs, OwnOptimization, Settings, Team, file, run};
use lacon_llm::Request;
use lacon_sim::{SimClient, SimOptions};
use serde_json::json;

const TEAM: &str = r#"
team = { name = "mail", inputs = { mail = "text" }, models = { deep = "gpt-4o-mini" } }
agent = [{ name = "reader", reads = ["input:mail"], words = 60, prompt = "What does the sender want?" }]
"#;
const MAIL: &str =
    "The pump stops after 3 minutes.\n> You wrote on Monday:\n> Please clean the filter twice.\nI did.";

/// Leaves out what a mail quotes.
struct WithoutQuotes;

impl OwnOptimization for WithoutQuotes {
    fn name(&self) -> &str {
        "without_quotes"
    }

    fn acts_on(&self, _: &Team, agent: &Agent) -> bool {
        agent.reads.iter().any(|read| read == "input:mail")
    }

    fn change(&self, _: &[&Agent], request: &mut Request) {
        for message in &mut request.messages {
            let own = message.content.lines().filter(|line| !line.starts_with("> "));
            message.content = own.collect::<Vec<_>>().join("\n");
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let team = file::parse("mail", TEAM)?;
    let inputs = Inputs::new(&team, &[("mail".to_owned(), json!(MAIL))].into())?;
    let client = Arc::new(SimClient::generic(SimOptions::default()));
    let own_optimizations: Vec<Arc<dyn OwnOptimization>> = vec![Arc::new(WithoutQuotes)];
    let done = run(Settings { inputs, own_optimizations, ..Settings::new(team, client) }).await;
    let row = &done.record.optimizations["without_quotes"];
    println!("calls changed: {}, tokens saved: {}", row.times.unwrap_or(0), row.saved_tokens.unwrap_or(0));
    Ok(())
}
