//! `lacon trace what-if`.

use std::{collections::BTreeMap, process::ExitCode};

use lacon_monitor::{
    analyze::Scorer,
    render,
    trace::Trace,
    whatif::{self, CallModel, Latency, Options, Source},
};
use lacon_sim::{Profile, latency};
use lacon_trading::traces::TradingTraces;

use super::traces;
use crate::{args::trace::WhatIfArgs, failure::Failure, text};

/// Replays a trace with edits.
pub fn run(args: &WhatIfArgs) -> Result<ExitCode, Failure> {
    let mut found: Vec<Trace> = Vec::new();
    for file in &args.files {
        found.extend(traces(file)?);
    }
    let Some(trace) = found.first() else { return Err(Failure::input("the file holds no trace")) };
    let mut edits = Vec::new();
    for text in args.set.iter().flat_map(|s| s.split(',')).filter(|s| !s.trim().is_empty()) {
        edits.push(whatif::parse(text.trim()).map_err(Failure::input)?);
    }
    let latency = built_in(&args.profile, trace)?;
    // Recorded runs of the trading graph say nothing about the speed of another one.
    let latency = match () {
        () if args.fit => whatif::fit(&found, &latency),
        () if !TradingTraces.knows(trace) && args.profile == "auto" => whatif::fit(&found[..1], &latency),
        () => latency,
    };
    let options = Options { draws: args.draws.clamp(1, 100_000), seed: args.seed };
    let answer = whatif::what_if(trace, &edits, &latency, &options);
    if args.json {
        let json = serde_json::to_string_pretty(&answer);
        text::out(&json.map_err(|e| Failure::input(format!("cannot write the answer: {e}")))?);
    } else {
        text::out(&render::what_if(&answer));
    }
    Ok(ExitCode::SUCCESS)
}

/// The recorded model in the shape in which the monitor uses it.
fn built_in(profile: &str, trace: &Trace) -> Result<Latency, Failure> {
    let model = |p: Profile, quick: bool| {
        let m = latency::call_model(p, quick);
        CallModel {
            first_token_s: m.first_token_s,
            prompt_s_per_1k: m.prompt_s_per_1k,
            tokens_per_s: m.tokens_per_s,
            residuals: m.residuals,
        }
    };
    let profiles: BTreeMap<String, (CallModel, CallModel)> = [Profile::Fast, Profile::Typical, Profile::Slow]
        .into_iter()
        .map(|p| (p.as_str().to_owned(), (model(p, true), model(p, false))))
        .collect();
    // A simulated run says whose speed it had.
    let recorded = trace.attributes.get("lacon.sim_profile").and_then(serde_json::Value::as_str);
    let profile = if profile == "auto" { recorded.unwrap_or("typical") } else { profile };
    if !profiles.contains_key(profile) {
        return Err(Failure::input(format!(
            "unknown latency profile {profile:?}\nhint: auto, fast, typical or slow"
        )));
    }
    Ok(Latency {
        profiles,
        profile: profile.to_owned(),
        tools: Some(latency::known_tool_seconds),
        source: Source::BuiltIn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The monitor knows of no simulator and is handed its figures: what it makes of them must be the simulator's times.
    #[test]
    fn the_monitor_draws_what_the_simulator_draws() {
        let latency = built_in("slow", &Trace::default()).unwrap();
        for u in [0.001, 0.04, 0.3, 0.5, 0.77, 0.93, 0.999] {
            for (quick, prompt, completion) in [(true, 900, 300), (false, 6_000, 700)] {
                let (first, all) = latency::call_seconds(Profile::Slow, quick, prompt, completion, u);
                let model = latency.of(quick);
                let (our_first, our_all) = model.seconds(prompt as f64, completion as f64);
                let factor = model.factor(u);
                assert!(
                    (our_first * factor - first).abs() < 1e-9 && (our_all * factor - all).abs() < 1e-9,
                    "{u}"
                );
            }
        }
    }
}
