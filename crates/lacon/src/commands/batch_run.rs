//! `lacon batch-run`: many tickers with shared news, one tool cache and one budget.

use std::{path::Path, process::ExitCode, sync::Arc, time::Instant};

use clap::Parser;
use futures_util::StreamExt;
use lacon_runtime::ToolCache;
use lacon_trading::{Decided, Settings, decide};
use serde_json::json;

use super::{Common, block_on, run as run_command};
use crate::{
    args::{Cli, Command, many::BatchRunArgs},
    failure::{Failure, GATE},
    text::{self, thousands},
};

/// Settings of one run with the flags that follow `--`.
pub(in crate::commands) fn settings_of(
    common: &Common,
    flags: &[String],
    own: &[&str],
    started: Instant,
) -> Result<Settings, Failure> {
    let mut line: Vec<&str> = vec!["lacon", "run"];
    line.extend(own);
    line.extend(flags.iter().map(String::as_str));
    let cli = Cli::try_parse_from(line)
        .map_err(|e| Failure::input(e.render().to_string().trim_end().to_owned()))?;
    let Command::Run(args) = cli.command else {
        return Err(Failure::input("the flags after -- are not those of lacon run"));
    };
    let (config, resumed) = run_command::config(common, &args)?;
    run_command::settings(&config, &args, resumed.as_ref(), started)
}

/// Runs all of them and prints a line each.
pub fn run(common: &Common, args: &BatchRunArgs, started: Instant) -> Result<ExitCode, Failure> {
    let tickers = tickers(&args.tickers)?;
    let mut flags = args.run_flags.clone();
    if let Some(out) = &args.out {
        flags.extend(["--out".into(), out.clone()]);
    }
    let cache = Arc::new(ToolCache::new(64 << 20));
    // Every ticker is checked before the first run begins: a typing error must not show after an hour.
    let mut all = Vec::new();
    for ticker in &tickers {
        let mut settings = settings_of(common, &flags, &[ticker], started)?;
        settings.cache = Arc::clone(&cache);
        all.push(settings);
    }
    let budget = args.budget_tokens.unwrap_or(u64::MAX);
    let spent = std::cell::Cell::new(0u64);
    let results: Vec<(String, Option<Decided>)> = block_on(
        futures_util::stream::iter(all)
            .map(|mut settings| {
                let spent = &spent;
                async move {
                    let ticker = settings.ticker.clone();
                    let left = budget.saturating_sub(spent.get());
                    if left == 0 {
                        return (ticker, None);
                    }
                    if budget != u64::MAX {
                        settings.budget_tokens =
                            if settings.budget_tokens == 0 { left } else { settings.budget_tokens.min(left) };
                    }
                    let decided = decide(settings).await;
                    spent.set(spent.get() + decided.record.tokens.total);
                    (ticker, Some(decided))
                }
            })
            .buffered(args.jobs.clamp(1, 1000))
            .collect(),
    )?;
    let failed = results.iter().filter(|(_, d)| d.as_ref().is_none_or(|d| d.failure.is_some())).count();
    let total: u64 = results.iter().filter_map(|(_, d)| d.as_ref()).map(|d| d.record.tokens.total).sum();
    if args.json {
        let rows: Vec<_> = results
            .iter()
            .map(|(ticker, decided)| match decided {
                None => json!({ "ticker": ticker, "status": "budget" }),
                Some(d) => json!({ "ticker": ticker, "status": d.record.status, "decision": d.record.decision,
                    "tokens": d.record.tokens.total, "wall_s": d.record.wall_s, "grade": d.record.grade.content,
                    "folder": d.folder, "error": d.failure.as_ref().map(ToString::to_string) }),
            })
            .collect();
        text::out(&format!(
            "{:#}",
            json!({ "schema_version": 1, "runs": rows, "failed": failed, "tokens": total, "wall_s": started.elapsed().as_secs_f64() })
        ));
    } else {
        if results.iter().filter_map(|(_, d)| d.as_ref()).any(|d| d.record.llm.simulated) {
            text::out("SIMULATED language model");
        }
        text::out(&format!("{:<10} {:<6} {:>8} {:>8} {:>6}  report", "ticker", "", "tokens", "s", "grade"));
        for (ticker, decided) in &results {
            match decided {
                None => text::out(&format!(
                    "{ticker:<10} left out: the budget of {} tokens is used",
                    thousands(budget)
                )),
                Some(d) => {
                    let r = &d.record;
                    let word = if d.failure.is_some() { "failed" } else { r.decision.action.as_str() };
                    text::out(&format!(
                        "{ticker:<10} {word:<6} {:>8} {:>8.2} {:>6}  {}",
                        thousands(r.tokens.total),
                        r.wall_s,
                        r.grade.content,
                        d.folder.join("reports/complete.md").display()
                    ));
                    if let Some(failure) = &d.failure {
                        text::out(&format!("    {failure}"));
                    }
                }
            }
        }
        text::out(&format!(
            "\n{} of {} decided, {} tokens, {:.2} s",
            results.len() - failed,
            results.len(),
            thousands(total),
            started.elapsed().as_secs_f64()
        ));
    }
    Ok(ExitCode::from(if failed == 0 { 0 } else { GATE }))
}

/// The tickers themselves, and those of files named with `@`; blank lines and lines that begin with `#` are left out.
fn tickers(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut all: Vec<String> = Vec::new();
    for entry in given {
        match entry.strip_prefix('@') {
            None => all.push(entry.clone()),
            Some(file) => {
                let list = super::read_text(Path::new(file))?;
                let lines = list.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
                all.extend(lines.map(Into::into));
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|ticker| seen.insert(ticker.to_uppercase()));
    if all.is_empty() {
        return Err(Failure::input("the lists name no ticker"));
    }
    Ok(all)
}
