//! `lacon data`: offline packs, pulled from vendors and checked.

use std::process::ExitCode;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use lacon_market::{Symbol, folder, live::Gathered};
use serde_json::json;

use super::{Common, block_on};
use crate::{
    args::data::{DataArgs, DataCommand, PullArgs, VerifyArgs},
    failure::{Failure, GATE, UPSTREAM},
    text, vendors,
};

/// Runs the subcommand.
pub fn run(common: &Common, args: &DataArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        DataCommand::Pull(args) => pull(common, args),
        DataCommand::Verify(args) => verify(args),
    }
}

fn pull(common: &Common, args: &PullArgs) -> Result<ExitCode, Failure> {
    let config = common.settings(&[("vendors.base_url", args.vendors_url.as_ref())])?;
    let tickers: Vec<Symbol> =
        args.tickers.iter().map(|t| Symbol::parse(t).map_err(Failure::input)).collect::<Result<_, _>>()?;
    let today = Timestamp::now().to_zoned_datetime(TimeZone::UTC).date();
    let date: Date = match &args.date {
        None => today,
        Some(text) => text.parse().ok().filter(|d| *d <= today).ok_or_else(|| {
            Failure::input(format!("date {text:?} is not a day up to {today}\nhint: write it as yyyy-mm-dd"))
        })?,
    };
    let clients = vendors::clients(&config)?;
    let gathered: Vec<(Symbol, Gathered)> = block_on(async {
        let mut all = Vec::new();
        for ticker in tickers {
            let live = lacon_market::live::Live::new(
                std::sync::Arc::clone(&clients),
                &ticker,
                date,
                today,
                vendors::semantics(&config),
            );
            let got = live.gather().await;
            all.push((ticker, got));
        }
        all
    })?;
    let mut rows = Vec::new();
    let mut empty = Vec::new();
    for (ticker, got) in &gathered {
        let gaps: Vec<String> = got.gaps.iter().map(|(category, why)| format!("{category}: {why}")).collect();
        if got.data.bars.is_empty() && got.data.company_news.is_empty() && got.data.statements.is_empty() {
            empty.push(format!("{ticker}: {}", gaps.join("; ")));
            continue;
        }
        let files = folder::write(&args.out, ticker, &got.data)
            .map_err(|e| Failure::input(crate::world::chain(&e)))?;
        if !args.json {
            text::out(&format!(
                "{ticker}: {} bars, {} news, {} posts, {} messages, {} statements in {} files",
                got.data.bars.len(),
                got.data.company_news.len(),
                got.data.social.len(),
                got.data.messages.len(),
                got.data.statements.len(),
                files.len()
            ));
            let from: Vec<String> = got.from.iter().map(|(c, v)| format!("{c} {v}")).collect();
            text::out(&format!("  from {}", from.join(", ")));
            gaps.iter().for_each(|gap| text::out(&format!("  missing {gap}")));
        }
        rows.push(json!({
            "ticker": ticker.as_str(), "date": date.to_string(), "files": files, "missing": gaps,
            "from": got.from.iter().map(|(c, v)| (c.name().to_owned(), json!(v))).collect::<serde_json::Map<_, _>>(),
            "bars": got.data.bars.len(), "news": got.data.company_news.len(), "statements": got.data.statements.len(),
        }));
    }
    if args.json {
        let value = json!({"schema_version": 1, "folder": args.out, "tickers": rows, "failed": empty});
        text::out(&serde_json::to_string_pretty(&value).unwrap_or_default());
    }
    if empty.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let message = format!("no data for {}", empty.join("\nno data for "));
    Err(Failure { message, code: UPSTREAM })
}

fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    if !args.folder.is_dir() {
        let message = format!(
            "{} is not a folder\nhint: lacon data pull TICKER --out DIR writes one",
            args.folder.display()
        );
        return Err(Failure::input(message));
    }
    let checked = folder::verify(&args.folder);
    if args.json {
        let value = json!({
            "schema_version": 1, "files": checked.files, "bytes": checked.bytes, "tickers": checked.tickers,
            "has_manifest": checked.has_manifest, "problems": checked.problems,
        });
        text::out(&serde_json::to_string_pretty(&value).unwrap_or_default());
    } else {
        let digests = if checked.has_manifest {
            format!("{} files, {} bytes, every digest compared", checked.files, checked.bytes)
        } else {
            "no list of digests: files were read but not compared".into()
        };
        text::out(&format!("tickers  {}", checked.tickers.join(", ")));
        text::out(&format!("files    {digests}"));
        checked.problems.iter().for_each(|p| text::out(&format!("problem  {p}")));
        text::out(if checked.problems.is_empty() { "ok" } else { "not ok" });
    }
    Ok(if checked.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(GATE) })
}
