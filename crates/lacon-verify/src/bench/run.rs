//! `lacon bench run`: many simulated runs at once in one process; overhead per run and memory.

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use futures_util::future::join_all;
use lacon_trading::{Decided, Settings, decide};

use super::quantile;
use crate::args::bench::BenchRunArgs;
use lacon::commands::Common;
use lacon::{
    args::{Cli, Command},
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
    let set = |monitor: bool| -> Result<Measured, Failure> {
        let settings: Vec<Settings> = (0..args.runs.clamp(1, 10_000))
            .map(|i| {
                let id = format!("bench-{i}");
                let line = ["lacon", "run", "CRCL", "--run-id", &id];
                match Cli::try_parse_from(line).map_err(Failure::input)?.command {
                    Command::Run(args) => commands::run::settings(&config, &args, None, started)
                        .map(|settings| Settings { monitor: monitor && settings.monitor, ..settings }),
                    _ => Err(Failure::input("the line above names another command")),
                }
            })
            .collect::<Result<_, _>>()?;
        let cpu = cpu_seconds();
        let began = Instant::now();
        let decided = block_on(join_all(settings.into_iter().map(decide)))?;
        let wall = began.elapsed().as_secs_f64();
        let cpu = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
        let operations = decided.first().map_or(0, |first| {
            let trace = std::fs::read_to_string(first.folder.join("trace.jsonl")).unwrap_or_default();
            trace.lines().filter(|line| line.contains(r#""lacon.kind":"own""#)).count()
        });
        let _ = std::fs::remove_dir_all(&folder);
        Ok(Measured { decided, wall, cpu, operations })
    };
    if args.monitor_cost {
        return monitor_cost(args, &set);
    }
    let Measured { decided, wall, .. } = set(true)?;
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
        text::out(&format!("  overhead per run: p50 {p50:.1} ms, p99 {p99:.1} ms"));
        text::out(&format!("  peak memory of the process: {peak:.0} MB"));
    }
    Ok(ExitCode::SUCCESS)
}

/// One set of runs.
struct Measured {
    decided: Vec<Decided>,
    wall: f64,
    cpu: Option<f64>,
    /// Timed operations of one run.
    operations: usize,
}

/// Processor seconds of this process, where the system tells (Linux, in ticks of 10 ms).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold spaces; user and system time are the 12th and 13th field after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// Sets with our own work timed and not, in turns; the medians of what one run costs.
fn monitor_cost(
    args: &BenchRunArgs,
    set: &dyn Fn(bool) -> Result<Measured, Failure>,
) -> Result<ExitCode, Failure> {
    // The first set warms caches and vocabulary.
    let operations = set(true)?.operations;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..args.rounds.max(1) * 2 {
        // Who goes first changes with each pair.
        let on = (round % 2 == 0) != (round / 2 % 2 == 1);
        let measured = set(on)?;
        let runs = measured.decided.len() as f64;
        let cpu = measured.cpu.unwrap_or(measured.wall) * 1e3 / runs;
        let mut own: Vec<f64> = measured.decided.iter().map(|d| d.record.own_ms).collect();
        if on { &mut with } else { &mut without }.push((cpu, quantile(&mut own, 0.5)));
    }
    let median = |rows: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = rows.iter().map(of).collect();
        quantile(&mut values, 0.5)
    };
    let (cpu_on, cpu_off) = (median(&with, |r| r.0), median(&without, |r| r.0));
    let (own_on, own_off) = (median(&with, |r| r.1), median(&without, |r| r.1));
    let percent = |on: f64, off: f64| 100.0 * (on - off) / off;
    let single = note_cost();
    // What the difference of two medians drowns in the noise of a busy machine, the sum of the parts shows.
    let share = 100.0 * operations as f64 * single / 1e6 / own_off;
    if args.json {
        let row = serde_json::json!({
            "schema_version": 1, "runs": args.runs, "rounds": args.rounds, "cpu_ms_on": cpu_on, "cpu_ms_off": cpu_off,
            "own_ms_on": own_on, "own_ms_off": own_off, "note_ns": single, "operations": operations, "share_percent": share,
        });
        text::out(&format!("{row:#}"));
    } else {
        text::out(&format!(
            "{} runs at once, {} rounds of each, medians per run",
            args.runs,
            args.rounds.max(1)
        ));
        let cpu = percent(cpu_on, cpu_off);
        text::out(&format!(
            "  processor time: timed {cpu_on:.3} ms, not timed {cpu_off:.3} ms ({cpu:+.2} %)"
        ));
        let own = percent(own_on, own_off);
        text::out(&format!(
            "  overhead:       timed {own_on:.3} ms, not timed {own_off:.3} ms ({own:+.2} %)"
        ));
        text::out(&format!(
            "  {operations} timed operations a run, {single:.0} ns each: {:.1} µs, {share:.2} % of the overhead",
            operations as f64 * single / 1e3
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Nanoseconds that timing one operation costs.
fn note_cost() -> f64 {
    const N: u32 = 200_000;
    let log = lacon_monitor::OpLog::new(Instant::now(), true);
    let began = Instant::now();
    (0..N).for_each(|i| {
        log.time("nothing", || std::hint::black_box(i));
    });
    began.elapsed().as_secs_f64() * 1e9 / f64::from(N)
}
