//! The end of a run: its record, the comparison of plan and sent prompts, the reports.

use std::{collections::BTreeSet, path::Path};

use lacon_market::provenance::Provenance;
use lacon_monitor::{OpLog, RunRecord, ledger::Facts};
use lacon_runtime::JOURNAL;

use crate::{
    context::RunContext,
    outcome::{self, About},
    report::{self, WriteError},
    sources::{Sources, shown},
    state::TradeState,
    verify,
};

/// Makes the record and writes everything but `run.json`, timed in `ops`.
pub fn close(
    context: &RunContext,
    about: About,
    state: &TradeState,
    facts: &Facts,
    ops: &OpLog,
    folder: &Path,
) -> (RunRecord, Option<WriteError>) {
    let model = context.run.options.counter.get();
    let began = about.began;
    let books = context.run.options.tools.provenance();
    let sources = ops.time("sources of figures", || sources(books.as_ref(), facts, folder));
    let mut record = ops.time("record", || outcome::record(about, state, facts, &sources, model));
    let verified = ops.time("verify plan", || verify::verify(context, state, facts));
    record.degraded = context.ladder.given_up();
    record.plan.digest = ops.time("digest plan", || verify::digest(context));
    record.plan.segments = context.plan.segments();
    (record.plan.compared, record.plan.equal) = (verified.compared, verified.equal);
    record.plan.cached_predicted = verified.cached_predicted;
    if verified.equal < verified.compared {
        let lost = verified.compared - verified.equal;
        record.warnings.push(format!("{lost} of {} prompts were not sent as planned", verified.compared));
    }
    record.wall_s = began.elapsed().as_secs_f64();
    let books = books.map(|books| serde_json::to_string_pretty(&books).unwrap_or_default());
    let written = ops.time("report tree", || {
        report::write_tree(folder, &record, state, facts, &context.run.ledger.ops.facts(), &sources, books)
    });
    (record, written.err())
}

/// Where the figures of the tools' answers come from.
fn sources(books: Option<&serde_json::Value>, facts: &Facts, folder: &Path) -> Sources {
    let calls: Vec<_> = facts.tools.iter().map(|fact| fact.tool.clone()).collect();
    let records = books.and_then(|books| Provenance::read(books).ok());
    let records = records.map(|records| records.records()).unwrap_or_default();
    // Answers of an earlier process, another run, a tape and own tools are in no books of this run, but in its journal.
    let answered = calls.iter().filter(|t| matches!(&*t.status, "ok" | "no_data"));
    let asked: BTreeSet<_> = answered.map(|t| (&t.name, t.args.to_string())).collect();
    let journal = if asked.len() > records.len() {
        std::fs::read_to_string(folder.join(JOURNAL)).unwrap_or_default()
    } else {
        String::new()
    };
    Sources::new(&calls, records, &shown(&journal))
}
