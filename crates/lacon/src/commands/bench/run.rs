//! `lacon bench run`: many simulated runs at once in one process: our own time per run, memory.

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use futures_util::future::join_all;
use lacon_trading::{Settings, decide};

use super::{Common, quantile};
use crate::{
    args::{BenchRunArgs, Cli, Command},
    commands::{self, block_on},
    failure::Failure,
    text,
};

/// Prints medians and the 99th percentile.
pub fn run(common: &Common, args: &BenchRunArgs, started: Instant) -> Result<ExitCode, Failure> {
    let folder = std::env::temp_dir().join(format!("lacon-bench-{}", std::process::id()));
    let out = folder.display().to_string();
    let config = common.settings(&[
        ("run.out", Some(&out)),
        ("run.profile", Some(&args.profile)),
        ("sim.time_scale", Some(&args.time_scale)),
        ("llm.provider", Some(&"sim".to_owned())),
    ])?;
    let settings: Vec<Settings> = (0..args.runs.clamp(1, 10_000))
        .map(|i| {
            let id = format!("bench-{i}");
            let line = ["lacon", "run", "CRCL", "--run-id", &id];
            match Cli::try_parse_from(line).map_err(Failure::input)?.command {
                Command::Run(args) => commands::run::settings(&config, &args, None, started),
                _ => Err(Failure::input("the line above names another command")),
            }
        })
        .collect::<Result<_, _>>()?;
    let began = Instant::now();
    let decided = block_on(join_all(settings.into_iter().map(decide)))?;
    let wall = began.elapsed().as_secs_f64();
    let _ = std::fs::remove_dir_all(&folder);
    let complete = decided.iter().filter(|d| d.failure.is_none() && d.record.reports.len() == 13).count();
    let mut own: Vec<f64> = decided.iter().map(|d| d.record.own_ms).collect();
    let (p50, p99) = (quantile(&mut own, 0.5), quantile(&mut own, 0.99));
    let peak = decided.iter().filter_map(|d| d.record.peak_rss_mb).fold(0.0, f64::max);
    if args.json {
        let row = serde_json::json!({
            "schema_version": 1, "runs": decided.len(), "complete": complete, "time_scale": args.time_scale, "wall_s": wall,
            "own_ms_p50": p50, "own_ms_p99": p99, "peak_rss_mb": peak,
        });
        text::out(&format!("{row:#}"));
    } else {
        text::out(&format!(
            "{} simulated runs at once (time scale {}), {complete} complete, {wall:.1} s",
            decided.len(),
            args.time_scale
        ));
        text::out(&format!("  our own time per run: p50 {p50:.1} ms, p99 {p99:.1} ms"));
        text::out(&format!("  peak memory of the process: {peak:.0} MB"));
    }
    Ok(ExitCode::SUCCESS)
}
