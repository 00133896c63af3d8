//! A scorer of one's own: `cargo run -p lacon-agents --example own_scorer`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::Arc;

use lacon_agents::{
    Score, Scorer, Settings, Team, TeamRecord, file, run,
    scorer::{self, Reason},
};
use lacon_sim::{SimClient, SimOptions};

const TEAM: &str = r#"
team = { name = "short", result = "writer", models = { deep = "gpt-4o-mini" } }
agent = [
    { name = "critic", words = 60, prompt = "What is unclear about tides?" },
    { name = "writer", reads = ["critic"], words = 80, sections = ["Cause"], prompt = "Explain the tides." },
]
"#;

/// Takes a point for every word above a limit.
struct Brief(usize);

impl Scorer for Brief {
    fn name(&self) -> &str {
        "brief"
    }

    fn score(&self, _: &Team, run: &TeamRecord) -> Option<Score> {
        let words = run.result.as_ref()?.text.split_whitespace().count();
        let evidence = format!("the result has {words} words, {} are enough", self.0);
        let points = words.saturating_sub(self.0) as f64;
        let reason = Reason { code: "too_long".into(), evidence, points };
        Some(Score::of(Some(reason).filter(|_| points > 0.0).into_iter().collect()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Arc::new(SimClient::generic(SimOptions::default()));
    let mut scorers = scorer::usual();
    scorers.push(Arc::new(Brief(40)));
    let done = run(Settings { scorers, ..Settings::new(file::parse("short", TEAM)?, client) }).await;
    for (name, score) in &done.record.scores {
        println!("{name}: {:.0} of 100 points, {}", score.points, score.letter());
        score.reasons.iter().for_each(|reason| println!("  -{} {}", reason.points, reason.evidence));
    }
    Ok(())
}
