//! `lacon batch-run`: many tickers with shared news, one tool cache and one budget.

use std::{cell::Cell, path::Path, process::ExitCode, sync::Arc, time::Instant};

use clap::Parser;
use futures_util::{
    FutureExt, StreamExt,
    future::{Either, select},
};
use lacon_agents::RunError;
use lacon_runtime::ToolCache;
use lacon_trading::{Decided, Settings, decide, plan};
use serde_json::json;
use tokio::sync::Notify;

use super::{Common, block_on, run as run_command};
use crate::{
    args::{Cli, Command, many::BatchRunArgs},
    failure::{Failure, GATE, INTERRUPTED},
    lock::RunLock,
    signals,
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

/// A budget of tokens that runs share: each reserves what it may use before it begins, so that runs beside each other cannot
/// spend the same tokens.
struct Purse {
    left: Cell<u64>,
    running: Cell<usize>,
    settled: Notify,
}

impl Purse {
    fn new(budget: u64) -> Self {
        Self { left: Cell::new(budget), running: Cell::new(0), settled: Notify::new() }
    }

    /// What a run may use: what its plan expects and a fifth, or less where its plan can be made to fit. Waits for what runs under
    /// way give back; `None` where the run fits into nothing that is left. Dropping the future reserves nothing.
    async fn reserve(&self, settings: &Settings) -> Option<u64> {
        loop {
            if self.left.get() == u64::MAX {
                return Some(u64::MAX);
            }
            if let Some(share) = self.share(settings) {
                self.left.set(self.left.get() - share);
                self.running.set(self.running.get() + 1);
                return Some(share);
            }
            if self.running.get() == 0 {
                return None;
            }
            self.settled.notified().await;
        }
    }

    fn share(&self, settings: &Settings) -> Option<u64> {
        let own = if settings.budget_tokens == 0 { u64::MAX } else { settings.budget_tokens };
        let left = self.left.get().min(own);
        let mut options = settings.plan_options();
        options.limits.tokens = None;
        let usual = plan::compiled(&options).ok()?.solution.used.tokens;
        let wanted = usual + usual / 5;
        if wanted <= left {
            return Some(wanted);
        }
        // The solver leaves a margin of its own.
        options.limits.tokens = Some(left);
        (settings.optimizations.has("prompt_plan") && plan::compiled(&options).is_ok()).then_some(left)
    }

    /// Takes what a run used, and gives back what it reserved and did not use.
    fn settle(&self, share: u64, used: u64) {
        if share != u64::MAX {
            self.left.set(self.left.get() + share.saturating_sub(used));
            self.running.set(self.running.get() - 1);
            self.settled.notify_waiters();
        }
    }
}

/// What became of a ticker.
enum Ended {
    /// It ran, to its end or not.
    Decided(Box<Decided>),
    /// It did not fit into what was left of the budget.
    LeftOut,
    /// Its folder is in use.
    Refused(String),
    /// The user stopped the command before it began.
    Interrupted,
}

impl Ended {
    fn decided(&self) -> Option<&Decided> {
        if let Self::Decided(decided) = self { Some(decided) } else { None }
    }

    fn is_interrupted(&self) -> bool {
        match self {
            Self::Decided(decided) => matches!(decided.failure, Some(RunError::Interrupted)),
            Self::Interrupted => true,
            Self::LeftOut | Self::Refused(_) => false,
        }
    }
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
    let purse = Purse::new(budget);
    let results: Vec<(String, Ended)> = block_on(async {
        let stop = signals::stop().boxed().shared();
        let runs = futures_util::stream::iter(all).map(|mut settings| {
            let (purse, stop) = (&purse, stop.clone());
            async move {
                let ticker = settings.ticker.clone();
                let lock = match RunLock::of(&settings) {
                    Ok(lock) => lock,
                    Err(failure) => return (ticker, Ended::Refused(failure.message)),
                };
                let reserved = match select(std::pin::pin!(purse.reserve(&settings)), stop.clone()).await {
                    Either::Left((reserved, _)) if stop.peek().is_none() => reserved,
                    _ => return (ticker, Ended::Interrupted),
                };
                let Some(share) = reserved else { return (ticker, Ended::LeftOut) };
                if budget != u64::MAX {
                    settings.budget_tokens = share;
                }
                settings.stop = Some(Box::pin(stop));
                let decided = decide(settings).await;
                purse.settle(share, decided.record.tokens.total);
                drop(lock);
                (ticker, Ended::Decided(Box::new(decided)))
            }
        });
        runs.buffered(args.jobs.clamp(1, 1000)).collect().await
    })?;
    let decided = || results.iter().filter_map(|(_, ended)| ended.decided());
    let failed = results.len() - decided().filter(|d| d.failure.is_none()).count();
    let total: u64 = decided().map(|d| d.record.tokens.total).sum();
    if args.json {
        let rows: Vec<_> = results
            .iter()
            .map(|(ticker, ended)| match ended {
                Ended::LeftOut => json!({ "ticker": ticker, "status": "budget" }),
                Ended::Interrupted => json!({ "ticker": ticker, "status": "interrupted" }),
                Ended::Refused(why) => json!({ "ticker": ticker, "status": "refused", "error": why }),
                Ended::Decided(d) => json!({ "ticker": ticker, "status": d.record.status, "decision": d.record.decision,
                    "tokens": d.record.tokens.total, "wall_s": d.record.wall_s, "grade": d.record.grade.content,
                    "folder": d.folder, "error": d.failure.as_ref().map(ToString::to_string) }),
            })
            .collect();
        text::out(&format!(
            "{:#}",
            json!({ "schema_version": 1, "runs": rows, "failed": failed, "tokens": total, "wall_s": started.elapsed().as_secs_f64() })
        ));
    } else {
        if decided().any(|d| d.record.llm.simulated) {
            text::out("SIMULATED language model");
        }
        text::out(&format!("{:<10} {:<6} {:>8} {:>8} {:>6}  report", "ticker", "", "tokens", "s", "grade"));
        for (ticker, ended) in &results {
            match ended {
                Ended::Interrupted => text::out(&format!("{ticker:<10} not begun: interrupted")),
                Ended::Refused(why) => text::out(&format!("{ticker:<10} not begun: {why}")),
                Ended::LeftOut => text::out(&format!(
                    "{ticker:<10} skipped: it does not fit into the rest of the budget of {} tokens",
                    thousands(budget)
                )),
                Ended::Decided(d) => {
                    let r = &d.record;
                    let word = if d.failure.is_some() { "failed" } else { r.decision.word() };
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
    if results.iter().any(|(_, ended)| ended.is_interrupted()) {
        return Err(Failure {
            message: "interrupted: finished work was saved\nhint: go on with a run by lacon run --resume"
                .into(),
            code: INTERRUPTED,
        });
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
