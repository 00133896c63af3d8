//! `lacon backtest`: decisions on past days, tested with a paper portfolio.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use jiff::civil::Date;
use lacon_agents::RunError;
use lacon_market::Bar;
use lacon_monitor::RunRecord;
use lacon_trading::Action;
use lacon_trading::{
    decide,
    portfolio::{PaperOptions, Performance, play},
};
use serde_json::json;

use super::{Common, batch_run::settings_of, block_on};
use crate::{
    args::many::BacktestArgs,
    failure::{Failure, GATE, INTERRUPTED},
    lock::RunLock,
    signals,
    text::{self, thousands},
};

/// The run's name in the folder of its day.
const RUN: &str = "backtest";

/// A decision of the back-test.
struct Made {
    date: Date,
    action: Option<Action>,
    tokens: u64,
    reused: bool,
    error: Option<String>,
}

/// Decides on every day that was asked for, then plays the decisions.
pub fn run(common: &Common, args: &BacktestArgs, started: Instant) -> Result<ExitCode, Failure> {
    let day = |text: &str, flag: &str| {
        text.parse::<Date>().map_err(|_| {
            Failure::input(format!("{flag} {text:?} is not a day\nhint: write it as yyyy-mm-dd"))
        })
    };
    let (from, to) = (day(&args.from, "--from")?, day(&args.to, "--to")?);
    if from > to {
        return Err(Failure::input(format!("--from {from} is after --to {to}")));
    }
    let options = PaperOptions { cash: args.cash, cost_bps: args.cost_bps, ..PaperOptions::default() };
    let mut flags = args.run_flags.clone();
    if let Some(out) = &args.out {
        flags.extend(["--out".into(), out.clone()]);
    }
    let mut reports = Vec::new();
    let mut failed = 0;
    let mut simulated = false;
    for ticker in &args.tickers {
        let probe =
            settings_of(common, &flags, &[ticker, "--date", &to.to_string(), "--run-id", RUN], started)?;
        let (bars, out, name) = (probe.bars.clone(), probe.out.clone(), probe.ticker.clone());
        let days = trading_days(&bars, from, to, args.every.max(1));
        if days.is_empty() {
            let span = match (bars.first(), bars.last()) {
                (Some(a), Some(b)) => format!("its bars go from {} to {}", a.date, b.date),
                _ => "its data holds no daily bars".into(),
            };
            return Err(Failure::input(format!(
                "no trading day of {name} between {from} and {to}: {span}\nhint: add a folder with price data (--data DIR after --)"
            )));
        }
        let mut made = Vec::new();
        for day in days {
            let date = day.to_string();
            let folder = out.join(&name).join(&date).join(RUN);
            if let Some(record) = finished(&folder) {
                simulated |= record.llm.simulated;
                made.push(Made {
                    date: day,
                    action: Action::of_run(&record),
                    tokens: record.tokens.total,
                    reused: true,
                    error: None,
                });
                continue;
            }
            // A decision that was cut off is gone on with.
            let path = folder.display().to_string();
            let own: Vec<&str> = if folder.join(lacon_trading::run::JOURNAL).is_file() {
                vec![ticker, "--resume", &path]
            } else {
                vec![ticker, "--date", &date, "--run-id", RUN]
            };
            let mut settings = settings_of(common, &flags, &own, started)?;
            // Earlier decisions may be judged with every bar before this day; the memory asks for no later one.
            settings.bars.clone_from(&bars);
            let _lock = RunLock::of(&settings)?;
            let decided = block_on(async {
                settings.stop = Some(Box::pin(signals::stop()));
                decide(settings).await
            })?;
            if let Some(RunError::Interrupted) = decided.failure {
                let message = format!(
                    "interrupted: the decisions before {date} are saved, this one as far as it was made, in {}\nhint: the same command goes on from there",
                    decided.folder.display()
                );
                return Err(Failure { message, code: INTERRUPTED });
            }
            simulated |= decided.record.llm.simulated;
            failed += usize::from(decided.failure.is_some());
            made.push(Made {
                date: day,
                action: Action::of_run(&decided.record),
                tokens: decided.record.tokens.total,
                reused: false,
                error: decided.failure.map(|f| f.to_string()),
            });
        }
        let decisions: Vec<(Date, Action)> =
            made.iter().filter(|m| m.error.is_none()).filter_map(|m| Some((m.date, m.action?))).collect();
        let performance = play(&bars, &decisions, options);
        reports.push((name, made, performance, out));
    }
    let rows: Vec<_> = reports
        .iter()
        .map(|(ticker, made, performance, _)| {
            let decisions: Vec<_> = made
                .iter()
                .map(|m| json!({ "date": m.date.to_string(), "action": m.action, "tokens": m.tokens, "reused": m.reused, "error": m.error }))
                .collect();
            json!({ "ticker": ticker, "decisions": decisions, "performance": performance })
        })
        .collect();
    let whole = json!({
        "schema_version": 1, "from": from.to_string(), "to": to.to_string(), "every": args.every, "cost_bps": args.cost_bps,
        "cash": args.cash, "simulated": simulated, "tickers": rows,
    });
    if let Some((.., out)) = reports.first() {
        let path: PathBuf = out.join("backtests").join(format!("{from}_{to}.json"));
        lacon_files::write(&path, format!("{whole:#}\n").as_bytes(), [], lacon_files::Flush::Now)?;
    }
    if args.json {
        text::out(&format!("{whole:#}"));
    } else {
        if simulated {
            text::out("SIMULATED language model: this tests the program, not the stock");
        }
        reports.iter().for_each(|(ticker, made, performance, _)| print(ticker, made, performance));
    }
    Ok(ExitCode::from(if failed == 0 { 0 } else { GATE }))
}

/// Every so many of the days with a bar, the first one included.
fn trading_days(bars: &[Bar], from: Date, to: Date, every: usize) -> Vec<Date> {
    bars.iter().map(|bar| bar.date).filter(|day| (from..=to).contains(day)).step_by(every).collect()
}

fn finished(folder: &std::path::Path) -> Option<RunRecord> {
    let record: RunRecord = serde_json::from_slice(&std::fs::read(folder.join("run.json")).ok()?).ok()?;
    (record.status == "done").then_some(record)
}

fn print(ticker: &str, made: &[Made], p: &Performance) {
    let percent = |x: f64| format!("{:+.2} %", x * 100.0);
    text::out(&format!("\n{ticker}: {} decisions", made.len()));
    for m in made {
        let note = match (&m.error, m.reused) {
            (Some(error), _) => format!("failed: {error}"),
            (None, true) => "kept from before".into(),
            (None, false) => format!("{} tokens", thousands(m.tokens)),
        };
        text::out(&format!("  {}  {:<4}  {note}", m.date, m.action.map_or("none", Action::as_str)));
    }
    let hits = if p.judged == 0 {
        "none judged yet".to_owned()
    } else {
        format!("{} of {} BUY and SELL decisions were right after 5 trading days", p.hits, p.judged)
    };
    text::out(&format!(
        "  portfolio {} in {} trades, buy and hold {}, alpha {}, deepest fall {}",
        percent(p.total_return),
        p.trades.len(),
        percent(p.buy_and_hold),
        percent(p.alpha),
        percent(-p.max_drawdown)
    ));
    text::out(&format!("  {hits}"));
}
