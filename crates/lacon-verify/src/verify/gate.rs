//! The success metrics as a gate: both profiles on the same random draws, means with 95 % intervals.

use futures_util::StreamExt;
use lacon_monitor::RunRecord;
use lacon_trading::{Action, Decided, decide, optimizations::OPTIMIZATIONS};
use serde_json::{Value, json};

use super::{
    Bench, Outcome,
    agreement::{self, Pair},
    runs,
};
use lacon::{commands::block_on, failure::Failure, text::thousands};

/// What a run of the `lacon` profile must keep.
const MOST_SECONDS: f64 = 140.0;
const MOST_TOKENS: f64 = 42_000.0;

/// What is measured of one run.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Model and tool time at recorded speed plus our own time, in seconds.
    pub seconds: f64,
    /// The record.
    pub record: RunRecord,
    /// Whether the run came to its end.
    pub done: bool,
}

/// Mean and half the width of its 95 % interval (Student's t).
fn interval(values: &[f64]) -> (f64, f64) {
    // Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom.
    const T: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
        2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
        2.045, 2.042,
    ];
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    if values.len() < 2 {
        return (mean, f64::INFINITY);
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = T.get(values.len() - 2).copied().unwrap_or(1.96);
    (mean, t * (variance / n).sqrt())
}

/// Everything that does not hold, by name.
///
/// `again` are more runs with the draws of the first one: figures that differ are not reproduced.
pub fn judge(seed: &[Measured], ours: &[Measured], again: &[Measured]) -> Vec<String> {
    let mut failures = Vec::new();
    let mut require = |holds: bool, failure: String| {
        if !holds {
            failures.push(failure);
        }
    };
    let seconds: Vec<f64> = ours.iter().map(|m| m.seconds).collect();
    let tokens: Vec<f64> = ours.iter().map(|m| m.record.tokens.total as f64).collect();
    let upper = |values: &[f64]| {
        let (mean, half) = interval(values);
        if half.is_finite() { mean + half } else { mean }
    };
    let (most_s, most_tokens) = (upper(&seconds), upper(&tokens));
    require(
        most_s < MOST_SECONDS,
        format!("runtime: {most_s:.1} s (upper end of the interval), {MOST_SECONDS} are allowed"),
    );
    require(
        most_tokens < MOST_TOKENS,
        format!("tokens: {most_tokens:.0} (upper end), {MOST_TOKENS:.0} are allowed"),
    );
    for (i, run) in ours.iter().enumerate() {
        let r = &run.record;
        require(run.done && r.decision.parsed, format!("success: run {i} has no decision ({})", r.status));
        for report in r.reports.iter().filter(|report| report.words == 0) {
            require(false, format!("report_empty: run {i}, {}", report.role));
        }
        require(r.reports.len() == 13, format!("report_missing: run {i} has {} of 13", r.reports.len()));
        require(r.grade.origin == "A+", format!("grade_origin: run {i} has {}", r.grade.origin));
        let why: Vec<&str> = r.grade.reasons.iter().map(|reason| reason.code.as_str()).collect();
        require(
            r.grade.content == "A+",
            format!("grade_content: run {i} has {} ({})", r.grade.content, why.join(", ")),
        );
        require(
            r.plan.tokens_planned == r.plan.tokens_sent,
            format!(
                "count: run {i} counted {} prompt tokens, the provider {}",
                r.plan.tokens_planned, r.plan.tokens_sent
            ),
        );
        let sum: u64 = r.calls.iter().map(|c| c.prompt.unwrap_or(0) + c.completion.unwrap_or(0)).sum();
        require(
            sum <= r.tokens.total,
            format!("count: run {i} bills {} tokens, its calls hold {sum}", r.tokens.total),
        );
        require(
            r.plan.equal == r.plan.compared,
            format!("plan: run {i} sent {} of {} prompts as planned", r.plan.equal, r.plan.compared),
        );
        for optimization in OPTIMIZATIONS.iter().filter(|l| l.usual) {
            let on = r.optimizations.get(optimization.name).is_some_and(|row| row.on);
            require(on, format!("optimization: {} is off in run {i}", optimization.name));
        }
    }
    if let (Some((seed_s, _)), Some((seed_tokens, _))) = (
        (!seed.is_empty()).then(|| interval(&seed.iter().map(|m| m.seconds).collect::<Vec<_>>())),
        (!seed.is_empty())
            .then(|| interval(&seed.iter().map(|m| m.record.tokens.total as f64).collect::<Vec<_>>())),
    ) {
        let (our_s, _) = interval(&seconds);
        let (our_tokens, _) = interval(&tokens);
        require(
            our_s * 1.4 < seed_s,
            format!("optimization: {our_s:.1} s are not well below the baseline's {seed_s:.1} s"),
        );
        require(
            our_tokens * 1.5 < seed_tokens,
            format!(
                "optimization: {our_tokens:.0} tokens are not well below the baseline's {seed_tokens:.0}"
            ),
        );
    }
    let Some(first) = ours.first() else { return failures };
    for again in again {
        let (a, b) = (&first.record, &again.record);
        let (answered_a, answered_b) = (runs::answered_tokens(a), runs::answered_tokens(b));
        require(
            answered_a == answered_b,
            format!("reproduced: answers of {answered_a} tokens, then {answered_b} with the same draws"),
        );
        // Whether a second request goes out is the clock's affair, and it is paid for.
        require(
            a.tokens.total == b.tokens.total || runs::second_request(a) || runs::second_request(b),
            format!("reproduced: {} tokens, then {} with the same draws", a.tokens.total, b.tokens.total),
        );
        let (a, b) = (a.decision.word(), b.decision.word());
        require(a == b, format!("reproduced: {a}, then {b} with the same draws"));
    }
    if !again.is_empty() {
        let (a, b) = shortest_in_turns(first, again);
        require(
            (a - b).abs() < a.min(b) * 0.1 + 2.0,
            format!("reproduced: {a:.1} s, then {b:.1} s with the same draws"),
        );
    }
    failures
}

/// The shortest of runs with the same draws, taken in turns for two sides, the first one for the left. A busy machine
/// makes a compressed second longer, never shorter.
fn shortest_in_turns(first: &Measured, again: &[Measured]) -> (f64, f64) {
    let mut sides = (first.seconds, f64::INFINITY);
    for (i, run) in again.iter().enumerate() {
        let side = if i % 2 == 0 { &mut sides.1 } else { &mut sides.0 };
        *side = side.min(run.seconds);
    }
    sides
}

fn measured(decided: Decided, scale: f64) -> Measured {
    let record = decided.record;
    Measured {
        seconds: record.model_s / scale + record.own_ms / 1e3,
        done: decided.failure.is_none(),
        record,
    }
}

/// Runs both profiles with the same draws and judges ours.
pub fn gate(bench: &Bench<'_>) -> Result<Outcome, Failure> {
    let args = bench.args;
    let real = args.base_url.is_some();
    let scale = args.time_scale.unwrap_or(if real { 1.0 } else { 0.02 });
    let scale_text = scale.to_string();
    let n = args.runs.clamp(1, 1000);
    let run = |profile: &str, i: usize| -> Result<_, Failure> {
        let seed = (i + 1).to_string();
        let name = format!("{}_{}", args.ticker, i + 1);
        let mut flags = vec!["--profile", profile];
        if let Some(url) = &args.base_url {
            flags.extend(["--base-url", url]);
            if let Some(tools) = &args.tools_url {
                flags.extend(["--tools-url", tools]);
            }
        } else {
            flags.extend(["--seed", &seed, "--time-scale", &scale_text]);
        }
        let mut settings = runs::settings(bench, &name, &flags)?;
        settings.out = bench.scratch.path().join(profile);
        if real {
            settings.time_scale = scale;
        }
        Ok(settings)
    };
    let all = |profile: &str| -> Result<Vec<Measured>, Failure> {
        let settings = (0..n).map(|i| run(profile, i)).collect::<Result<Vec<_>, _>>()?;
        let decided = if real {
            // A real endpoint is asked by one run after the other, as a user would.
            block_on(async {
                let mut done = Vec::new();
                for settings in settings {
                    done.push(decide(settings).await);
                }
                done
            })?
        } else {
            // A few at a time: on two processors more of them would wait for each other, and that is no model time.
            block_on(
                futures_util::stream::iter(settings.into_iter().map(decide)).buffered(5).collect::<Vec<_>>(),
            )?
        };
        Ok(decided.into_iter().map(|d| measured(d, scale)).collect())
    };
    let seed = all("baseline")?;
    let ours = all("lacon")?;
    let mut again: Vec<Measured> = Vec::new();
    while !real && again.len() < 7 {
        again.push(measured(block_on(decide(run("lacon", 0)?))?, scale));
        let (a, b) = shortest_in_turns(&ours[0], &again);
        if (a - b).abs() < a.min(b) * 0.03 {
            break;
        }
    }
    let mut outcome = Outcome { failures: judge(&seed, &ours, &again), ..Outcome::default() };
    outcome.line(if real {
        format!("{n} runs of each profile against {}", args.base_url.as_deref().unwrap_or_default())
    } else {
        format!(
            "{n} runs of each profile on {}: SIMULATED model and tools with recorded latencies, time compressed {:.0} times, seeds 1 to {n}",
            args.ticker,
            1.0 / scale
        )
    });
    outcome.line(format!(
        "{:<8} {:>18} {:>20} {:>9} {:>8} {:>9}",
        "profile", "runtime s", "tokens", "success", "status", "content"
    ));
    let mut rows = Vec::new();
    for (name, all) in [("baseline", &seed), ("lacon", &ours)] {
        let (s, s_half) = interval(&all.iter().map(|m| m.seconds).collect::<Vec<_>>());
        let (t, t_half) = interval(&all.iter().map(|m| m.record.tokens.total as f64).collect::<Vec<_>>());
        let done = all.iter().filter(|m| m.done && m.record.decision.parsed).count();
        let worst = |grade: fn(&RunRecord) -> &str| {
            let order = ["A+", "A", "B+", "B", "C+", "C", "D", "F"];
            let at = |g: &str| order.iter().position(|o| *o == g).unwrap_or(order.len());
            all.iter().map(|m| grade(&m.record)).max_by_key(|g| at(g)).unwrap_or("-").to_owned()
        };
        let (origin, content) = (worst(|r| &r.grade.origin), worst(|r| &r.grade.content));
        outcome.line(format!(
            "{name:<8} {:>18} {:>20} {:>8.0}% {origin:>8} {content:>9}",
            format!("{s:.1} ± {s_half:.1}"),
            format!("{} ± {t_half:.0}", thousands(t as u64)),
            done as f64 / all.len() as f64 * 100.0
        ));
        rows.push(json!({ "profile": name, "runs": all.len(), "seconds": { "mean": s, "ci95": finite(s_half) },
            "tokens": { "mean": t, "ci95": finite(t_half) }, "success": done, "grade_origin_worst": origin, "grade_content_worst": content }));
    }
    let mut pairs =
        vec![Pair { ticker: args.ticker.clone(), baseline: decisions(&seed), ours: decisions(&ours) }];
    if !real {
        pairs.extend(packs(bench)?);
    }
    let agreement = agreement::report(&mut outcome, &pairs);
    outcome.line(format!(
        "gate: runtime < {MOST_SECONDS} s, tokens < {MOST_TOKENS:.0}, success 100 %, A+ by both grades, the baseline's decisions"
    ));
    outcome.data = json!({ "time_scale": scale, "simulated": !real, "rows": rows, "agreement": agreement,
        "limits": { "seconds": MOST_SECONDS, "tokens": MOST_TOKENS } });
    Ok(outcome)
}

fn decisions(runs: &[Measured]) -> Vec<&'static str> {
    runs.iter().map(|m| Action::of_run(&m.record).map_or("none", Action::as_str)).collect()
}

/// Both profiles on the other bundled packs, without waiting.
fn packs(bench: &Bench<'_>) -> Result<Vec<Pair>, Failure> {
    const SEEDS: [&str; 3] = ["1", "2", "3"];
    let of = |ticker: &str, profile: &str| -> Result<Vec<Measured>, Failure> {
        let runs = SEEDS.iter().map(|seed| {
            let name = format!("pack_{profile}_{seed}");
            let flags = ["--profile", profile, "--seed", seed, "--time-scale", "0"];
            Ok(measured(block_on(decide(runs::settings_of(bench, ticker, None, &name, &flags)?))?, 1.0))
        });
        runs.collect()
    };
    let others = lacon_market::pack::tickers().filter(|t| !t.eq_ignore_ascii_case(&bench.args.ticker));
    others
        .map(|ticker| {
            let (baseline, ours) = (of(ticker, "baseline")?, of(ticker, "lacon")?);
            Ok(Pair { ticker: ticker.into(), baseline: decisions(&baseline), ours: decisions(&ours) })
        })
        .collect()
}

fn finite(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs as the gate makes them, from the simulator, once for all mutations.
    fn runs(profile: &str) -> Vec<Measured> {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().display().to_string();
        let common = lacon::commands::Common::default();
        (1..=3)
            .map(|seed| {
                let seed = seed.to_string();
                let line = [
                    "lacon",
                    "run",
                    "CRCL",
                    "--llm",
                    "sim",
                    "--time-scale",
                    "0.002",
                    "--profile",
                    profile,
                    "--seed",
                    &seed,
                    "--run-id",
                    &seed,
                    "--out",
                    &out,
                ];
                let cli = <lacon::args::Cli as clap::Parser>::try_parse_from(line).unwrap();
                let lacon::args::Command::Run(args) = cli.command else { unreachable!() };
                let (config, _) = lacon::commands::run::config(&common, &args).unwrap();
                let settings =
                    lacon::commands::run::settings(&config, &args, None, std::time::Instant::now()).unwrap();
                let decided = block_on(decide(settings)).unwrap();
                // Debug builds under load are slow: the test is about names, not about time.
                let mut run = measured(decided, 0.002);
                run.seconds =
                    if profile == "baseline" { 180.0 } else { 80.0 } + run.record.environment.seed as f64;
                run
            })
            .collect()
    }

    #[test]
    fn each_mutation_fails_by_its_name() {
        let (seed, ours) = (runs("baseline"), runs("lacon"));
        let again = [ours[0].clone()];
        assert_eq!(judge(&seed, &ours, &again), Vec::<String>::new());
        let check = |name: &str, mutate: fn(&mut Vec<Measured>)| {
            let mut broken = ours.clone();
            mutate(&mut broken);
            let failures = judge(&seed, &broken, &again);
            assert!(failures.iter().any(|f| f.starts_with(name)), "{name}: {failures:?}");
        };
        check("report_empty", |runs| runs[1].record.reports[0].words = 0);
        check("report_missing", |runs| drop(runs[1].record.reports.pop()));
        check("optimization", |runs| runs[2].record.optimizations.get_mut("prefetch").unwrap().on = false);
        check("optimization", |runs| runs.iter_mut().for_each(|r| r.seconds = 139.0));
        check("count", |runs| runs[0].record.plan.tokens_sent += 1);
        check("count", |runs| runs[0].record.tokens.total = runs::answered_tokens(&runs[0].record) - 1);
        check("plan", |runs| runs[0].record.plan.equal -= 1);
        check("reproduced", |runs| *runs[0].record.calls[0].completion.as_mut().unwrap() += 1);
        check("reproduced", |runs| runs[0].seconds += 20.0);
        check("success", |runs| runs[0].record.decision.parsed = false);
        check("success", |runs| runs[0].done = false);
        check("runtime", |runs| runs.iter_mut().for_each(|r| r.seconds = 141.0));
        check("tokens", |runs| runs.iter_mut().for_each(|r| r.record.tokens.total = 42_001));
        check("grade_content", |runs| runs[0].record.grade.content = "B".into());
        check("grade_origin", |runs| runs[0].record.grade.origin = "A".into());
    }

    #[test]
    fn the_interval_is_students() {
        let (mean, half) = interval(&[1.0, 2.0, 3.0, 4.0]);
        assert!((mean - 2.5).abs() < 1e-12 && (half - 3.182 * (5.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-9);
        assert_eq!(interval(&[1.0]).1, f64::INFINITY);
    }
}
