//! A thousand teams at once in one process: `cargo run -p lacon-agents --example many_teams -- 1000 0.05`.
//! The figures after the name are how many, and the share of recorded time that the simulated model waits.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::{sync::Arc, time::Instant};

use futures_util::future::join_all;
use lacon_agents::{Inputs, Settings, run, shipped};
use lacon_sim::{SimClient, SimOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut given = std::env::args().skip(1);
    let teams: usize = given.next().map_or(Ok(1_000), |n| n.parse())?;
    let time_scale: f64 = given.next().map_or(Ok(0.05), |n| n.parse())?;
    let team = Arc::new(shipped::find("debate").ok_or("the team is not shipped")?.team()?);
    let question = [("question".into(), "Should the town close its main street to cars?".into())];
    let inputs = Inputs::new(&team, &question.into())?;
    let began = Instant::now();
    let runs = (0..teams).map(|i| {
        let client = Arc::new(SimClient::generic(SimOptions { time_scale, ..SimOptions::default() }));
        let settings = Settings {
            run_id: i.to_string(),
            inputs: inputs.clone(),
            ..Settings::new(Default::default(), client)
        };
        run(Settings { team: Arc::clone(&team), ..settings })
    });
    let records: Vec<_> = join_all(runs).await.into_iter().map(|finished| finished.record).collect();
    let done = records.iter().filter(|record| record.status == "done").count();
    let calls: usize = records.iter().map(|record| record.calls.len()).sum();
    let peak = lacon_runtime::run::peak_rss_mb().unwrap_or_default();
    println!(
        "{done} of {teams} teams done, {calls} calls, {:.2} s, peak memory {peak:.0} MB",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}
