//! Every fault that the synthetic world can make, over real connections: at each role's model calls, at each vendor.

use std::{
    fmt::Write as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use futures_util::{StreamExt, stream};
use jiff::civil::date;
use lacon_market::vendor::Vendor;
use lacon_sim::{
    FaultPlan, SimOptions, World,
    server::{Background, ServeOptions},
};
use lacon_trading::{Decided, Role, decide, source::introduce};
use serde_json::json;

use super::{Bench, Outcome, runs};
use lacon::{
    args::{Cli, Command as Verb},
    commands::{self, Common, block_on},
    failure::Failure,
};

/// Every fault of `lacon_sim::fault::NAMES`, and whether another try may succeed at a model.
const FAULTS: [(&str, bool); 21] = [
    ("400", false),
    ("401", false),
    ("403", false),
    ("404", false),
    ("429", true),
    ("429:2", true),
    ("500", true),
    ("502", true),
    ("503", true),
    ("stall", true),
    ("cut", true),
    ("drop", true),
    ("badjson", true),
    ("html", false),
    ("error", true),
    ("consent", true),
    ("length", true),
    ("slow:5", true),
    // An oversized answer is not requested again: a provider bills it as often as it is sent.
    ("endless", false),
    ("nul", true),
    ("latin1", true),
];

/// The roles that a lasting fault is put at: one of each kind that a run treats differently.
const LASTING: [Role; 4] = [Role::Market, Role::Bear, Role::Plan, Role::RiskManager];

/// Runs at the same time: nearly all of a run is waiting here.
const AT_ONCE: usize = 8;

/// The longest that a run may take with any fault, in wall seconds; the run's own deadline is far below.
const HANGS: Duration = Duration::from_secs(60);

struct Case {
    fault: &'static str,
    mends: bool,
    at: String,
    role: Option<Role>,
    once: bool,
    stream: bool,
}

impl Case {
    fn name(&self) -> String {
        let how = if self.once { "once" } else { "always" };
        let whole = if self.stream { "" } else { ", whole answers" };
        format!("{} at {}, {how}{whole}", self.fault, self.at)
    }
}

struct Ran {
    case: Case,
    decided: Option<Decided>,
    met: u32,
    took: Duration,
    folder: PathBuf,
}

/// The cases: each fault once at each role, for good at four roles, in whole answers where the body is what breaks, and
/// for good at each vendor. The short form takes every fault at one role and one vendor.
fn cases(full: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for (fault, mends) in FAULTS {
        let roles: &[Role] = if full { &Role::ANSWERING } else { &[Role::Bear] };
        for role in roles {
            let case =
                |once, stream| Case { fault, mends, at: role.name().into(), role: Some(*role), once, stream };
            cases.push(case(true, true));
            if full && LASTING.contains(role) {
                cases.push(case(false, true));
            }
            if *role == Role::Bear {
                cases.push(case(true, false));
            }
        }
        for vendor in Vendor::ALL {
            if full || vendor == Vendor::Yahoo {
                let at = vendor.to_string();
                cases.push(Case { fault, mends, at, role: None, once: false, stream: true });
            }
        }
    }
    cases
}

/// Runs them all.
pub fn faults(bench: &Bench<'_>) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let cases = cases(bench.args.full_test || bench.args.test_faults);
    let n = cases.len();
    let all = block_on(
        stream::iter(cases.into_iter().enumerate())
            .map(|(i, case)| one(bench, i, case))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>(),
    )?;
    let (mut whole, mut partly, mut stopped, mut unmet) = (0, 0, 0, 0);
    let mut slowest = (Duration::ZERO, String::new());
    for ran in all {
        let ran = ran?;
        let at = ran.case.name();
        if ran.took > slowest.0 {
            slowest = (ran.took, at.clone());
        }
        let Some(decided) = &ran.decided else {
            outcome.require(false, || format!("{at}: the run hangs, given up after {HANGS:?}"));
            continue;
        };
        // A vendor without a key, or one that nobody asks for this symbol, is not met.
        unmet += u32::from(ran.met == 0);
        outcome.require(ran.met > 0 || ran.case.role.is_none(), || format!("{at}: the fault was never met"));
        match judge(&mut outcome, &ran, decided) {
            Ended::Whole => whole += 1,
            Ended::Partly => partly += 1,
            Ended::Stopped => stopped += 1,
        }
    }
    outcome.line(format!(
        "{n} runs over HTTP: {} faults at model calls of 13 roles and at {} vendors",
        FAULTS.len(),
        Vendor::ALL.len()
    ));
    outcome.line(format!(
        "{whole} whole, {partly} lost an answer or a source and said so, {stopped} stopped as they must, {unmet} asked nothing of the broken vendor"
    ));
    outcome.line(format!("the slowest took {:.1} s: {}", slowest.0.as_secs_f64(), slowest.1));
    outcome.data = json!({ "runs": n, "whole": whole, "partly": partly, "stopped": stopped, "unmet": unmet,
        "slowest_s": slowest.0.as_secs_f64() });
    Ok(outcome)
}

enum Ended {
    Whole,
    Partly,
    Stopped,
}

/// What must hold of any run, whatever went wrong.
fn judge(outcome: &mut Outcome, ran: &Ran, decided: &Decided) -> Ended {
    let (at, run, case) = (ran.case.name(), &decided.record, &ran.case);
    let answered = run.reports.iter().filter(|r| r.words > 0).count();
    outcome.require(ran.folder.join("run.json").exists(), || format!("{at}: no record"));
    outcome.require(run.books.imbalance_s() < 1e-6, || {
        format!("{at}: {:.6} s are in no row of the time breakdown", run.books.imbalance_s())
    });
    runs::calls_within_total(outcome, &at, run);
    if let Some(failure) = &decided.failure {
        let may = case.role.is_some_and(|role| {
            matches!(case.fault, "401" | "403" | "404" | "html")
                || (!role.may_fail() && (!case.once || !case.mends))
        });
        outcome.require(may, || format!("{at}: the run stopped: {failure}"));
        return Ended::Stopped;
    }
    if answered == 13
        && (case.role.is_some() || run.tools.iter().all(|t| t.status == "ok" || t.status == "no_data"))
    {
        return Ended::Whole;
    }
    let mut why = String::new();
    let _ = write!(why, "{at}: {answered} answers");
    match case.role {
        Some(role) => {
            outcome.require(answered == 12 && role.may_fail() && !(case.once && case.mends), || why.clone());
            outcome.require(run.warnings.iter().any(|w| w.contains(role.name())), || {
                format!("{at}: the lost answer is not mentioned")
            });
            outcome.require(run.grade.content != "A+", || format!("{at}: graded A+ with an answer missing"));
        }
        None => {
            outcome.require(answered >= 9, || why.clone());
            // An analyst without its data says so; a figure that nobody gave is in no report.
            outcome.require(answered == 13 || run.grade.content != "A+", || {
                format!("{at}: graded A+ with an answer missing")
            });
        }
    }
    Ended::Partly
}

async fn one(bench: &Bench<'_>, i: usize, case: Case) -> Result<Ran, Failure> {
    let at = format!("{}@{}{}", case.fault, case.at, if case.once { "*1" } else { "" });
    let faults = FaultPlan::parse(&at).map_err(Failure::input)?;
    let sim = SimOptions { time_scale: 0.01, ..SimOptions::default() };
    let world = Arc::new(World::new(1, date(2025, 7, 30)));
    let server = Background::start(ServeOptions { world, sim, faults: faults.clone() })
        .map_err(|e| Failure::input(format!("the synthetic world cannot be served: {e}")))?;
    // A key each, so that every vendor is asked; waits in hundredths of what they are, as the world's own time.
    let file = bench.scratch.path().join(format!("wire-{i}.toml"));
    let keys = [
        "alpha_vantage_key",
        "finnhub_key",
        "fred_key",
        "serper_key",
        "simfin_key",
        "reddit_id",
        "reddit_secret",
    ]
    .map(|key| format!("{key} = \"any\"\n"))
    .concat();
    let toml = format!(
        "[llm]\nheaders = true\ntime_scale = 0.01\nfirst_token_timeout_s = 30\nidle_timeout_s = 10\nstream = {}\n\n[vendors]\ntimeout_s = 0.4\ncache_mb = 0\nweb_search_model = \"simulated\"\n{keys}",
        case.stream
    );
    std::fs::write(&file, toml)
        .map_err(|e| Failure::input(format!("cannot write {}: {e}", file.display())))?;
    let common = Common::with_file(file);
    let (url, models) = (server.url(), format!("{}/v1", server.url()));
    let (out, id) = (bench.scratch.path().display().to_string(), format!("wire-{i}"));
    // The synthetic world knows every symbol; the roles' runs read a bundled pack, which takes no time.
    let ticker = if case.role.is_none() { "MSFT" } else { "CRCL" };
    let mut line = vec![
        "lacon",
        "run",
        ticker,
        "--run-id",
        &id,
        "--out",
        &out,
        "--date",
        "2025-07-30",
        "--llm",
        "openai",
    ];
    line.extend(["--base-url", &models, "--deadline", "40"]);
    if case.role.is_none() {
        line.extend(["--data", "vendors", "--vendors-url", &url]);
    }
    let Verb::Run(args) = Cli::try_parse_from(&line).map_err(Failure::input)?.command else {
        return Err(Failure::input("the line names another command"));
    };
    let (config, _) = commands::run::config(&common, &args)?;
    let mut settings = commands::run::settings(&config, &args, None, Instant::now())?;
    settings.memory = None;
    let folder = settings.out.join(&settings.ticker).join(settings.date.to_string()).join(&settings.run_id);
    let began = Instant::now();
    let run = async {
        if case.role.is_none() {
            let found = introduce(&*settings.tools).await;
            settings.company = found.company.unwrap_or(settings.company);
            settings.listing = found.listing;
        }
        decide(settings).await
    };
    let decided = tokio::time::timeout(HANGS, run).await.ok();
    Ok(Ran { met: faults.met(), case, decided, took: began.elapsed(), folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_holds_every_fault_of_the_world() {
        let known: Vec<&str> = lacon_sim::fault::NAMES.split(", ").collect();
        for name in &known {
            let name = name.split(':').next().unwrap();
            assert!(
                FAULTS.iter().any(|(fault, _)| fault.split(':').next() == Some(name)),
                "{name} is missing"
            );
        }
        for (fault, _) in FAULTS {
            assert!(FaultPlan::parse(fault).is_ok(), "{fault}");
        }
        assert!(cases(true).len() > 500);
    }
}
