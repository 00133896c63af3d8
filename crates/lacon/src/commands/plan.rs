//! `lacon plan`: the prompt plan of a run, without sending anything.

use std::{process::ExitCode, time::Instant};

use lacon_prompt::plan::by_call;
use lacon_trading::plan;
use serde_json::json;

use super::{Common, run as run_command};
use crate::{
    args::RunArgs,
    failure::Failure,
    text::{self, thousands},
    world,
};

/// Prints each call with the forms of what it reads and the length of its answer.
pub fn run(common: &Common, args: &RunArgs, started: Instant) -> Result<ExitCode, Failure> {
    if args.repeat.is_some() {
        return Err(Failure::input(
            "--repeat does nothing for a plan: nothing is sent\nhint: lacon run --repeat measures several runs",
        ));
    }
    let (config, resumed) = run_command::config(common, args)?;
    let settings = run_command::settings(&config, args, resumed.as_ref(), started)?;
    let began = Instant::now();
    let options = settings.plan_options();
    let plan = plan::compile(&options).map_err(Failure::input)?;
    let took = began.elapsed();
    let caching = plan::caching(&plan, &options);
    let rows = by_call(&plan.problem, &plan.solution);
    let used = plan.solution.used;
    let seconds = |millis: u64| millis as f64 / 1e3;
    if args.json {
        let calls: Vec<_> = rows
            .iter()
            .map(|(call, pieces)| {
                let pieces: Vec<_> = pieces
                    .iter()
                    .map(|(group, choice)| {
                        json!({ "segment": group.segment, "form": choice.form, "tokens": choice.cost.tokens,
                            "choices": group.choices.iter().map(|c| &c.form).collect::<Vec<_>>() })
                    })
                    .collect();
                json!({ "role": call.name, "fixed_tokens": call.fixed.tokens, "pieces": pieces })
            })
            .collect();
        let report = json!({
            "schema_version": 1, "ticker": settings.ticker, "date": settings.date.to_string(), "profile": settings.profile,
            "segments": plan.segments(), "calls": calls,
            "limits": { "tokens": plan.problem.limits.tokens, "micro_usd": plan.problem.limits.micro_usd.map(|m| m.0) },
            "expected": { "tokens": used.tokens, "micro_usd": used.micro_usd.0, "seconds": seconds(used.millis) },
            "cache": caching.iter().map(|(role, c)| json!({ "role": role.name(), "rule": c.rule.rule,
                "date": c.rule.source.checked.map(|day| day.to_string()),
                "cached": c.cached, "written": c.written })).collect::<Vec<_>>(),
            "forced": plan.solution.forced.iter().filter(|f| **f).count(), "compiled_us": took.as_micros() as u64,
        });
        text::out(&format!("{report:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    text::out(&format!("{} on {}, profile {}", settings.ticker, settings.date, settings.profile));
    text::out("\nrole          answer     what it reads");
    for (call, pieces) in &rows {
        let own = pieces.iter().find(|(group, _)| group.segment == "answer");
        let answer = own.map_or("", |(_, choice)| choice.form.as_str());
        let Ok(role) = call.name.parse::<lacon_trading::Role>() else { continue };
        let reads: Vec<String> = settings
            .cast
            .sections(role, &settings.optimizations)
            .iter()
            .map(|piece| format!("{} {}", piece.source, plan.form(role, piece.source).name()))
            .collect();
        let reads = if reads.is_empty() { "its tools' answers".to_owned() } else { reads.join(", ") };
        text::out(&format!("{:<13} {answer:<10} {reads}", call.name));
    }
    let forced = plan.solution.forced.iter().filter(|f| **f).count();
    let limits = plan.problem.limits;
    let limit = match (limits.tokens, limits.micro_usd) {
        (None, None) => "no limit on tokens or money".to_owned(),
        (tokens, usd) => {
            let tokens = tokens.map(|t| format!("{} tokens", thousands(t)));
            let usd = usd.map(|m| format!("{:.6} USD", m.0 as f64 / 1e6));
            let both: Vec<String> = tokens.into_iter().chain(usd).collect();
            format!("at most {}, which forced {forced} choices", both.join(" and "))
        }
    };
    // Where a simulator runs faster than the recorded models, these are the models' seconds.
    let scale = settings.time_scale;
    let speed = if scale == 1.0 {
        String::new()
    } else {
        format!(" at the speed of the recorded models (time scale {scale})")
    };
    text::out(&format!(
        "\nexpected  {} tokens, {:.6} USD, {:.1} s on the longest chain{speed}; {limit}",
        thousands(used.tokens),
        used.micro_usd.0 as f64 / 1e6,
        seconds(used.millis)
    ));
    let mut rules: Vec<&str> = caching.iter().map(|(_, c)| c.rule.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    for rule in rules {
        let of = || caching.iter().map(|(_, c)| c).filter(|c| c.rule.rule == rule);
        let (cached, written) = (of().map(|c| c.cached).sum(), of().map(|c| c.written).sum());
        text::out(&super::check::cache_line(rule, cached, written));
    }
    world::unproven(&config)?.iter().for_each(|line| text::out(&format!("note: {line}")));
    text::out(&format!(
        "compiled  {} sections of {} prompts in {} us",
        plan.segments(),
        rows.len(),
        took.as_micros()
    ));
    Ok(ExitCode::SUCCESS)
}
