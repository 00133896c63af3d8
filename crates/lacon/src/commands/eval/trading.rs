//! The trading team in a run test: a case is a ticker and a day, an arm a profile or all optimizations but one.

use std::{path::Path, sync::Arc, time::Instant};

use lacon_eval::runs::Outcome;
use lacon_llm::Client;
use lacon_trading::{Action, decide};

use super::run::{Case, usd};
use crate::{
    args::eval::EvalRunArgs,
    commands::{Common, batch_run, read_text},
    failure::Failure,
};

/// The name under which `lacon eval run` tests it.
pub const NAME: &str = "trading";

/// The flags of an arm.
pub fn arm(args: &EvalRunArgs, arm: &str) -> Vec<String> {
    match (&args.ablate, arm) {
        (Some(name), _) if arm != "lacon" => vec!["--disable".into(), name.clone()],
        _ => vec!["--profile".into(), arm.into()],
    }
}

/// Runs a case in an arm, with nothing learned from the other one.
pub async fn outcome(
    (common, args): (&Common, &EvalRunArgs),
    client: &Arc<dyn Client>,
    nonce: &str,
    out: &Path,
    case: &Case,
    arm: &[String],
    run_id: &str,
) -> Result<Outcome, Failure> {
    let bad = |what: String| {
        let hint = r#"{"inputs": {"ticker": "CRCL", "date": "2025-07-30"}}"#;
        Failure::input(format!("case {:?}: {what}\nhint: {hint}", case.name))
    };
    if let Some(name) = case.inputs.keys().find(|name| !["ticker", "date"].contains(&name.as_str())) {
        return Err(bad(format!("{name:?} is no input of the trading team")));
    }
    let text = |name: &str| case.inputs.get(name).and_then(serde_json::Value::as_str);
    let ticker = text("ticker").ok_or_else(|| bad("it names no ticker".into()))?;
    let mut flags = arm.to_vec();
    let out = out.display().to_string();
    let given = [
        ("--date", text("date")),
        ("--run-id", Some(run_id)),
        ("--out", Some(&out)),
        ("--llm", args.llm.as_deref()),
        ("--base-url", args.base_url.as_deref()),
        ("--quick-model", args.quick_model.as_deref()),
        ("--deep-model", args.deep_model.as_deref()),
        ("--seed", args.seed.as_deref()),
        ("--time-scale", args.time_scale.as_deref()),
    ];
    for (flag, value) in given.into_iter().filter_map(|(flag, value)| Some((flag, value?))) {
        flags.extend([flag.to_owned(), value.to_owned()]);
    }
    let mut settings = batch_run::settings_of(common, &flags, &[ticker], Instant::now())
        .map_err(|failure| bad(failure.message))?;
    settings.client = Arc::clone(client);
    settings.nonce = nonce.to_owned();
    // One arm must not read what the other one wrote.
    settings.memory = None;
    let decided = decide(settings).await;
    let record = &decided.record;
    let by = record.decision.source.as_deref().unwrap_or_default();
    let report = record.reports.iter().find(|report| report.role == by);
    let text = report.map_or(Ok(String::new()), |report| read_text(&decided.folder.join(&report.path)));
    Ok(Outcome {
        decision: Action::of_run(record).map(|action| action.as_str().to_owned()),
        text: text?,
        failure: decided.failure.as_ref().map(ToString::to_string),
        tokens: record.tokens.total,
        micro_usd: record.cost_usd.as_deref().and_then(usd),
        seconds: record.wall_s,
    })
}
