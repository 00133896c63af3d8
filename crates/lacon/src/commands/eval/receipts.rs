//! `lacon eval receipts`: the arms of the proxy's receipts.

use std::{collections::HashMap, process::ExitCode};

use lacon_eval::receipts::{Arm, Shares, compare, outcomes};

use crate::{
    args::eval::EvalReceiptsArgs,
    commands::read_text,
    failure::Failure,
    text::{self, thousands},
};

/// Runs the subcommand.
pub fn run(args: &EvalReceiptsArgs) -> Result<ExitCode, Failure> {
    let told = match &args.outcomes {
        Some(path) => outcomes(&read_text(path)?),
        None => HashMap::new(),
    };
    let found = compare(&read_text(&args.file)?, &told);
    if found.control.requests == 0 || found.treated.requests == 0 {
        return Err(Failure::input(format!(
            "{} has {} requests of the control arm and {} of the treated arm\nhint: `lacon serve --holdout 0.1 --receipts FILE` writes both",
            args.file.display(),
            found.control.requests,
            found.treated.requests
        )));
    }
    if args.json {
        text::out(&serde_json::to_string(&found).unwrap_or_default());
        return Ok(ExitCode::SUCCESS);
    }
    for (name, arm) in [("control", &found.control), ("treated", &found.treated)] {
        text::out(&line(name, arm));
    }
    let points = |name: &str, shares: Shares| {
        let (d, low, high) = shares.difference;
        text::out(&format!(
            "{name:<9} {:+.2} points in the treated arm ({:+.2} to {:+.2})",
            d * 100.0,
            low * 100.0,
            high * 100.0
        ));
    };
    points("refused", found.refused);
    points("retried", found.retried);
    if let Some(good) = found.good {
        points("good", good);
    }
    if found.left_out > 0 {
        text::note(&format!("{} lines name no arm", thousands(u64::from(found.left_out))));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(name: &str, arm: &Arm) -> String {
    let told = if arm.told > 0 { format!(", {} of {} good", arm.good, arm.told) } else { String::new() };
    let billed = match (arm.billed, arm.cost_usd) {
        (0, _) => String::new(),
        (n, usd) => format!(
            "; {} answers billed {} prompt tokens ({} cached, {} written) and {} of answers, {}",
            thousands(u64::from(n)),
            thousands(arm.prompt),
            thousands(arm.cached),
            thousands(arm.cache_write),
            thousands(arm.completion),
            usd.map_or("some without a price".to_owned(), |usd| format!("{usd:.6} USD"))
        ),
    };
    format!(
        "{name:<9} {} requests, {} refused, {} to retry, {} of {} tokens sent{billed}{told}",
        thousands(u64::from(arm.requests)),
        thousands(u64::from(arm.refused)),
        thousands(u64::from(arm.retried)),
        thousands(arm.tokens_after),
        thousands(arm.tokens_before)
    )
}
