//! `lacon run --repeat N`: the same question several times, because one answer of a language model is one sample.

use std::{process::ExitCode, sync::Arc, time::Instant};

use futures_util::{FutureExt, StreamExt};
use lacon_eval::stats::{Z_95, wilson};
use lacon_trading::{Action, Decided, Settings, decide};
use serde_json::json;

use super::{Common, block_on, run as run_command};
use crate::{
    args::RunArgs,
    failure::{Failure, GATE, INPUT, INTERRUPTED},
    lock::RunLock,
    signals,
    text::{self, thousands},
};

/// Most repetitions: each leaves a folder.
const MOST: u32 = 1000;
/// Runs at once.
const JOBS: usize = 4;

/// Runs all of them with one tool cache and prints how often each decision came. Exit 1 when a run failed.
pub fn run(common: &Common, args: &RunArgs, times: u32, started: Instant) -> Result<ExitCode, Failure> {
    if !(1..=MOST).contains(&times) {
        return Err(Failure::input(format!("--repeat is {times}, a number from 1 to {MOST} is needed")));
    }
    let (config, _) = run_command::config(common, args)?;
    let first_seed = config.integer("sim.seed");
    let name = run_command::run_id(args.run_id.as_deref())?;
    let mut all = Vec::new();
    let mut locks = Vec::new();
    for i in 0..times {
        let mut args = args.clone();
        args.run_id = Some(format!("{name}-{}", i + 1));
        args.seed = Some((first_seed + i64::from(i)).to_string());
        let (config, _) = run_command::config(common, &args)?;
        let mut settings = run_command::settings(&config, &args, None, Instant::now())?;
        locks.push(RunLock::of(&settings)?);
        if !args.force {
            run_command::refuse_existing(&settings)?;
        }
        if let Some(first) = all.first() {
            let first: &Settings = first;
            settings.cache = Arc::clone(&first.cache);
        } else if !args.json {
            text::out(&format!("{}, {times} times", run_command::heading(&config, &settings)));
        }
        all.push(settings);
    }
    let all: Vec<Decided> = block_on(async {
        let stop = signals::stop().boxed().shared();
        let runs = futures_util::stream::iter(all).map(async |settings| {
            let mut settings = run_command::introduced(&config, settings).await;
            // The clock of a run starts with it, not with the first of them.
            settings.process_start = Instant::now();
            settings.stop = Some(Box::pin(stop.clone()));
            decide(settings).await
        });
        runs.buffered(JOBS).collect().await
    })?;
    drop(locks);
    let failed = all.iter().filter(|d| d.failure.is_some()).count();
    if args.json {
        print_json(&all, started)
    } else {
        print(&all)
    }
    if all.iter().any(|d| d.record.status == "interrupted") {
        return Err(Failure { message: "interrupted: finished runs are saved".into(), code: INTERRUPTED });
    }
    if let Some(error) = all.iter().find_map(|d| d.write_error.as_ref()) {
        return Err(Failure { message: error.to_string(), code: INPUT });
    }
    Ok(ExitCode::from(if failed == 0 { 0 } else { GATE }))
}

/// Each decision with how often it came, the most frequent first; runs that ended without one last.
fn counted(all: &[Decided]) -> Vec<(&'static str, usize)> {
    let mut rows: Vec<(&'static str, usize)> = Vec::new();
    for run in all {
        let word = Action::of_run(&run.record).map_or("none", Action::as_str);
        match rows.iter_mut().find(|(of, _)| *of == word) {
            Some((_, n)) => *n += 1,
            None => rows.push((word, 1)),
        }
    }
    rows.sort_by_key(|(word, n)| (*word == "none", std::cmp::Reverse(*n), *word));
    rows
}

/// Lowest, middle and highest; the middle of an even number is the lower of the two.
fn spread(all: &[Decided], of: impl Fn(&Decided) -> f64) -> (f64, f64, f64) {
    let mut values: Vec<f64> = all.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let at = |i: usize| values.get(i).copied().unwrap_or(0.0);
    (at(0), at(values.len().saturating_sub(1) / 2), at(values.len().saturating_sub(1)))
}

/// Seconds of a run; on the simulator at recorded speed.
fn seconds(run: &Decided) -> f64 {
    let (record, scale) = (&run.record, run.record.environment.time_scale);
    if scale > 0.0 { record.model_s / scale + record.own_ms / 1e3 } else { record.wall_s }
}

fn dollars(run: &Decided) -> f64 {
    run.record.cost_usd.as_deref().and_then(|cost| cost.parse().ok()).unwrap_or(0.0)
}

fn print(all: &[Decided]) {
    text::out("");
    for (word, n) in counted(all) {
        let (low, high) = wilson(n as u32, all.len() as u32, Z_95);
        text::out(&format!(
            "{word:<5} {n:>4} of {}  {:>3.0} %  (95 % interval {:.0} to {:.0} %)",
            all.len(),
            100.0 * n as f64 / all.len() as f64,
            100.0 * low,
            100.0 * high
        ));
    }
    let total: u64 = all.iter().map(|d| d.record.tokens.total).sum();
    let tokens = spread(all, |d| d.record.tokens.total as f64);
    let time = spread(all, seconds);
    text::out(&format!(
        "\ntokens    {} together; a run from {} to {}, median {}",
        thousands(total),
        thousands(tokens.0 as u64),
        thousands(tokens.2 as u64),
        thousands(tokens.1 as u64)
    ));
    let priced = all.iter().all(|d| d.record.cost_usd.is_some());
    if priced {
        let list = if all.iter().all(|d| d.record.llm.simulated) { " at list price" } else { "" };
        text::out(&format!("cost      {:.6} USD together{list}", all.iter().map(dollars).sum::<f64>()));
    }
    text::out(&format!("time      a run from {:.1} to {:.1} s, median {:.1}", time.0, time.2, time.1));
    for run in all.iter().filter(|d| d.failure.is_some()) {
        let why = run.failure.as_ref().map(|error| crate::world::chain(error)).unwrap_or_default();
        text::out(&format!("{} failed: {why}", run.record.run_id));
    }
    if let Some(run) = all.first() {
        let folder = run.folder.parent().unwrap_or(&run.folder);
        text::out(&format!("reports   {}", folder.display()));
    }
}

fn print_json(all: &[Decided], started: Instant) {
    let rows: Vec<_> = all
        .iter()
        .map(|d| {
            json!({ "run_id": d.record.run_id, "seed": d.record.environment.seed, "status": d.record.status,
                "decision": d.record.decision, "tokens": d.record.tokens.total, "cost_usd": d.record.cost_usd,
                "seconds": seconds(d), "grade": d.record.grade.content, "folder": d.folder,
                "error": d.failure.as_ref().map(ToString::to_string) })
        })
        .collect();
    let decisions: Vec<_> = counted(all)
        .into_iter()
        .map(|(word, n)| {
            let (low, high) = wilson(n as u32, all.len() as u32, Z_95);
            json!({ "action": (word != "none").then_some(word), "runs": n, "share": n as f64 / all.len() as f64,
                "low": low, "high": high })
        })
        .collect();
    text::out(&format!(
        "{:#}",
        json!({ "schema_version": 1, "decisions": decisions, "runs": rows, "wall_s": started.elapsed().as_secs_f64() })
    ));
}
