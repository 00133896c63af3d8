//! `lacon verify`: every promise has a check that measures it. One list, in the order of the phases.

mod agreement;
mod gate;
mod reliability;
mod runs;
mod session;
mod tokens;
mod wire;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::args::verify::VerifyArgs;
use lacon::commands::Common;
use lacon::{
    failure::{self, Failure},
    text::{self, paint},
};

/// What a check found.
#[derive(Default)]
pub struct Outcome {
    /// What does not hold, by name; empty when all of it does.
    pub failures: Vec<String>,
    /// What was measured, for a reader.
    pub lines: Vec<String>,
    /// The same as data.
    pub data: Value,
}

impl Outcome {
    /// Notes a failure unless the condition holds.
    pub fn require(&mut self, holds: bool, failure: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(failure());
        }
    }

    /// Adds a line.
    pub fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}

/// What every check is given.
pub struct Bench<'a> {
    common: &'a Common,
    args: &'a VerifyArgs,
    /// A folder for what runs leave; removed at the end.
    scratch: tempfile::TempDir,
    level: String,
}

type CheckFn = fn(&Bench<'_>) -> Result<Outcome, Failure>;

/// A check: its phase, its name, whether it belongs to the quick set, whether its flag was given, its work.
struct Check {
    phase: &'static str,
    name: &'static str,
    quick: bool,
    asked: fn(&VerifyArgs) -> bool,
    run: CheckFn,
}

const fn check(
    phase: &'static str,
    name: &'static str,
    quick: bool,
    asked: fn(&VerifyArgs) -> bool,
    run: CheckFn,
) -> Check {
    Check { phase, name, quick, asked, run }
}

/// All checks. A phase is what stands together in the summary.
const CHECKS: &[Check] = &[
    check("environment", "environment", true, |_| false, runs::environment),
    check("tokens", "async-tokens", true, |a| a.test_async_tokens, tokens::async_tokens),
    check("tokens", "token-performance", true, |a| a.compare_token_performance, tokens::performance),
    check("tokens", "tokenizer-cache", true, |a| a.test_tokenizer_cache, tokens::one_load),
    check("tokens", "tokenizer-init", true, |a| a.trace_tokenizer_init, tokens::loads_traced),
    check("prompts", "parallel-prompts", true, |a| a.test_parallel_prompts, tokens::parallel_prompts),
    check("graph", "batch-processing", true, |a| a.enable_batch_processing, runs::plan_on_the_wire),
    check("graph", "disable-async", true, |a| a.disable_async, runs::without_async),
    check("graph", "disable-cache", true, |a| a.disable_cache, runs::without_cache),
    check("graph", "disable-parallel", true, |a| a.disable_parallel, runs::without_parallel),
    check("graph", "rollback", false, |a| a.test_rollback, runs::rollback),
    check("tools", "cache-stats", true, |a| a.trace_cache_stats, tokens::caches),
    check("LLM", "faults", true, |a| a.test_faults, reliability::faults),
    check("LLM", "faults-on-the-wire", true, |a| a.test_faults, wire::faults),
    check("LLM", "kill-and-resume", false, |a| a.test_kill, reliability::kill),
    check("LLM", "secrets", true, |a| a.test_secrets, reliability::secrets),
    check("traces", "trace-performance", true, |a| a.trace_performance, runs::trace),
    check("performance", "log-level", true, |_| false, runs::log_level),
    check("performance", "memory", true, |a| a.profile_memory, runs::memory),
    check("performance", "soak", false, |a| a.test_soak, reliability::soak),
    check("report", "performance-report", true, |a| a.performance_report, runs::report),
    check("report", "gate", true, |a| a.gate, gate::gate),
];

/// A check that ran.
pub struct Row {
    phase: &'static str,
    name: &'static str,
    seconds: f64,
    outcome: Outcome,
}

/// Runs the checks that were asked for, prints each, leaves the session's files.
pub fn run(common: &Common, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let level = common.log_level.clone();
    let selected = select(args, level.is_some())?;
    let scratch = tempfile::tempdir().map_err(|e| Failure::input(format!("no temporary folder: {e}")))?;
    let level = level.unwrap_or_else(|| "error".into());
    let bench = Bench { common, args, scratch, level };
    let began = Instant::now();
    let mut rows: Vec<Row> = Vec::new();
    for check in selected {
        let started = Instant::now();
        let outcome = (check.run)(&bench)
            .unwrap_or_else(|failure| Outcome { failures: vec![failure.message], ..Outcome::default() });
        let row =
            Row { phase: check.phase, name: check.name, seconds: started.elapsed().as_secs_f64(), outcome };
        if !args.json {
            print(&row);
        }
        rows.push(row);
    }
    let failed = rows.iter().filter(|r| !r.outcome.failures.is_empty()).count();
    let files = session::write(args, &rows, began.elapsed())?;
    if args.json {
        let report = json!({
            "schema_version": 1, "passed": rows.len() - failed, "failed": failed, "seconds": began.elapsed().as_secs_f64(),
            "checks": session::rows(&rows), "files": files,
        });
        text::out(&format!("{report:#}"));
    } else {
        summary(&rows, began.elapsed());
        for file in &files {
            text::out(&format!("  {file}"));
        }
        text::out(&format!("{} passed, {failed} failed", rows.len() - failed));
    }
    Ok(ExitCode::from(if failed == 0 { 0 } else { failure::GATE }))
}

fn select(args: &VerifyArgs, level_given: bool) -> Result<Vec<&'static Check>, Failure> {
    if !args.test_specific.is_empty() {
        let holds = |check: &&Check| args.test_specific.iter().any(|name| check.name.contains(name.as_str()));
        let found: Vec<&Check> = CHECKS.iter().filter(holds).collect();
        if found.is_empty() {
            let name = &args.test_specific[0];
            let nearest = lacon_runtime::config::nearest(name, CHECKS.iter().map(|c| c.name));
            let names: Vec<&str> = CHECKS.iter().map(|c| c.name).collect();
            let hint = nearest.map_or_else(|| names.join(", "), |n| format!("did you mean {n}?"));
            return Err(Failure::input(format!("no check is named {name:?}\nhint: {hint}")));
        }
        return Ok(found);
    }
    let asked: Vec<&Check> = CHECKS
        .iter()
        .filter(|check| (check.asked)(args) || (check.name == "log-level" && level_given))
        .collect();
    if !asked.is_empty() && !args.full_test && !args.quick_test {
        return Ok(asked);
    }
    Ok(CHECKS.iter().filter(|check| args.full_test || check.quick).collect())
}

fn print(row: &Row) {
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let held = row.outcome.failures.is_empty();
    let word = if held { paint("ok", "32", terminal) } else { paint("FAILED", "31;1", terminal) };
    text::out(&format!("{:<12} {:<20} {word}  {:.2} s", row.phase, row.name, row.seconds));
    row.outcome.lines.iter().for_each(|line| text::out(&format!("    {line}")));
    row.outcome.failures.iter().for_each(|failure| text::out(&format!("    FAILED {failure}")));
}

fn summary(rows: &[Row], took: Duration) {
    let mut phases: Vec<&str> = Vec::new();
    rows.iter().for_each(|row| {
        if !phases.contains(&row.phase) {
            phases.push(row.phase);
        }
    });
    text::out(&format!("\nsummary, {:.1} s", took.as_secs_f64()));
    for phase in phases {
        let of: Vec<&Row> = rows.iter().filter(|r| r.phase == phase).collect();
        let failed: Vec<&str> =
            of.iter().filter(|r| !r.outcome.failures.is_empty()).map(|r| r.name).collect();
        let word = if failed.is_empty() { "held".into() } else { format!("FAILED: {}", failed.join(", ")) };
        text::out(&format!("  {phase:<12} {} of {} {word}", of.len() - failed.len(), of.len()));
    }
}
