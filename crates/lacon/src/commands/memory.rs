//! `lacon memory`: the log of decisions with their outcomes; on request a model reviews judged decisions.

use std::{path::Path, process::ExitCode};

use lacon_trading::{
    memory::{Logged, Memory},
    reflection,
};
use serde_json::json;

use super::{Common, block_on};
use crate::{
    args::many::MemoryArgs,
    failure::{Failure, GATE},
    text::{self, thousands},
    world,
};

/// Prints the log, after the reflections that were asked for.
pub fn run(common: &Common, args: &MemoryArgs) -> Result<ExitCode, Failure> {
    let config = common.settings(&[
        ("run.out", args.out.as_ref()),
        ("llm.provider", args.llm.as_ref()),
        ("llm.base_url", args.base_url.as_ref()),
        ("llm.quick_model", args.quick_model.as_ref()),
    ])?;
    let path = Path::new(config.text("run.out")).join("memory.db");
    if !path.is_file() {
        let hint = "hint: every lacon run adds one; choose another folder with --out";
        return Err(Failure::input(format!("{}: no decisions\n{hint}", path.display())));
    }
    let failed = |e: lacon_trading::memory::MemoryError| Failure::input(e.to_string());
    let memory = Memory::open(&path).map_err(failed)?;
    let tickers: Vec<String> = args.tickers.iter().map(|t| t.to_uppercase()).collect();
    let mut rows = memory.log(&tickers).map_err(failed)?;
    let (mut tokens, mut problems) = (0, Vec::new());
    if args.reflect {
        let (client, _) = world::client(&config, false, None)?;
        let simulated = client.describe().simulated;
        // What a simulated model says of a real decision is no lesson.
        let open = |row: &&mut Logged| {
            row.resolved.is_some() && row.reflection.is_none() && (row.simulated || !simulated)
        };
        for row in rows.iter_mut().filter(open).take(args.most) {
            let request = reflection::request(config.text("llm.quick_model"), row, &row.situation);
            match block_on(client.complete(&request, &lacon_llm::ignore_events))? {
                Ok(answer) => {
                    tokens += answer.usage.as_ref().and_then(lacon_llm::Usage::total).unwrap_or(0);
                    if let Some(text) = reflection::kept(&answer.text)
                        && memory.reflect(row, &text).map_err(failed)?
                    {
                        row.reflection = Some(text);
                    }
                }
                Err(error) => {
                    problems.push(format!("{} {}: {}", row.ticker, row.date, error.message()));
                    // A wrong key or a dead endpoint answers the next one no better.
                    break;
                }
            }
        }
    }
    if args.json {
        let decisions: Vec<_> = rows.iter().map(as_json).collect();
        let log =
            json!({"schema_version": 1, "decisions": decisions, "tokens": tokens, "problems": problems});
        text::out(&format!("{log:#}"));
    } else {
        print(&rows);
        if args.reflect {
            text::out(&format!("{} tokens for reviews", thousands(tokens)));
        }
        problems.iter().for_each(|problem| text::out(&format!("not reviewed: {problem}")));
    }
    Ok(ExitCode::from(if problems.is_empty() { 0 } else { GATE }))
}

fn as_json(row: &Logged) -> serde_json::Value {
    json!({
        "ticker": row.ticker, "date": row.date, "action": row.action, "run_id": row.run_id, "simulated": row.simulated,
        "status": if row.resolved.is_some() { "resolved" } else { "pending" }, "resolved": row.resolved, "return": row.gain,
        "alpha": row.alpha, "benchmark": row.benchmark, "lesson": row.lesson, "reflection": row.reflection,
    })
}

fn print(rows: &[Logged]) {
    let percent = |x: f64| format!("{:+.1} %", x * 100.0);
    for row in rows {
        let outcome = match (&row.resolved, row.gain) {
            (Some(day), Some(gain)) => {
                let against = row.benchmark.as_deref().zip(row.alpha);
                let alpha = against.map(|(name, alpha)| format!(", {} against {name}", percent(alpha)));
                format!("{} until {day}{}", percent(gain), alpha.unwrap_or_default())
            }
            _ => "pending".into(),
        };
        let mark = if row.simulated { "  SIMULATED" } else { "" };
        text::out(&format!(
            "{}  {:<10} {:<4}  {outcome}{mark}  run {}",
            row.date, row.ticker, row.action, row.run_id
        ));
        for (name, text) in [("lesson", &row.lesson), ("looking back", &row.reflection)] {
            if let Some(text) = text {
                text::out(&format!("    {name}: {text}"));
            }
        }
    }
    let judged = rows.iter().filter(|row| row.resolved.is_some()).count();
    text::out(&format!("{} decisions, {judged} judged after five trading days", rows.len()));
}
