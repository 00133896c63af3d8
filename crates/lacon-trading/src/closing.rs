//! The end of a run: its record, the comparison of plan and wire, the report tree.
//!
//! Nobody waits for a model then, so all of it is our own time. It is therefore rehearsed on a thread of its own while the
//! last call is under way: what cannot change any more is written and compared by then, and what can has been done once.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use lacon_market::provenance::Provenance;
use lacon_monitor::{Ledger, OpFact, OpLog, RunRecord, ledger::Facts};

use tokio::task::JoinHandle;

use crate::{
    Role,
    cast::Order,
    outcome::{self, About, Lengths},
    plan::{self, Rebuilt},
    report::{self, Figures, WriteError, Written},
    run::JOURNAL,
    sources::{Sources, shown},
    state::TradeState,
    steps::Desk,
};

/// What of the end is done already.
#[derive(Debug, Default)]
pub struct Done {
    facts: Facts,
    written: Written,
    lengths: Lengths,
    rebuilt: Rebuilt,
    /// The plan's digest, and how much had been given up of the plan by then.
    digest: Option<(usize, String)>,
    /// Where figures come from, and how many calls of tools there had been by then.
    figures: Option<(usize, Figures)>,
    /// Kept as long as this is: a hundred runs at once would otherwise hold a hundred rehearsed ends until theirs come.
    _free: Option<Free>,
}

impl Done {
    /// Everything that was collected, most of it by the rehearsal.
    pub fn facts(&mut self, ledger: &Ledger) -> Facts {
        ledger.facts_since(std::mem::take(&mut self.facts))
    }
}

/// The rehearsal of a run's end.
#[derive(Debug, Default)]
pub struct Rehearsal {
    about: OnceLock<(About, PathBuf)>,
    running: Mutex<Option<JoinHandle<Done>>>,
}

impl Rehearsal {
    /// Tells what is known of the run before its end; without it nothing is rehearsed.
    pub fn prepare(&self, about: About, folder: PathBuf) {
        // A run prepares once.
        let _ = self.about.set((about, folder));
    }

    /// Begins on a thread for blocking work. It does nothing the second time, outside of an event loop, and while another
    /// run of the process has rehearsed and not ended: with many runs at once the processor is what they wait for, and
    /// rehearsing adds to it.
    pub fn begin(&self, desk: &Arc<Desk>, state: &Arc<TradeState>) {
        let Some((about, folder)) = self.about.get() else { return };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() || BUSY.swap(true, Ordering::Acquire) {
            return;
        }
        let free = Free;
        let (desk, state, about, folder) =
            (Arc::clone(desk), Arc::clone(state), about.clone(), folder.clone());
        let work = move || {
            let mut done = Done { _free: Some(free), ..Done::default() };
            let ledger = &desk.run.ledger;
            ledger.ops.time("rehearse the end", || {
                let quiet = OpLog::new(std::time::Instant::now(), false);
                done.written.prepare(&folder, &about.cast.roles());
                done.rebuilt = plan::rebuilt(&desk, &state);
                let last = last(about.cast.order());
                // What cannot be written now is tried again at the end, which tells of it.
                let facts = ledger.settled();
                let _ = close(&desk, about, &state, &facts, &quiet, &folder, &mut done);
                done.facts = facts;
                done.written.reserve(&folder, last);
            });
            done
        };
        *running =
            tokio::runtime::Handle::try_current().ok().map(|event_loop| event_loop.spawn_blocking(work));
    }

    /// What was done; waits for a rehearsal that has not ended.
    pub async fn end(&self) -> Done {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        match running {
            Some(running) => running.await.unwrap_or_default(),
            None => Done::default(),
        }
    }
}

/// Whether a run of this process has rehearsed its end and not come to it.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Lets the next one rehearse when it is dropped, also by a task that is dropped before it runs.
#[derive(Debug)]
struct Free;

impl Drop for Free {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Release);
    }
}

/// The role whose answer nothing waits for.
pub fn last(order: Order) -> Role {
    match order {
        Order::Lacon => Role::Trader,
        Order::Upstream => Role::RiskManager,
    }
}

/// Makes the record and writes everything but `run.json`, timed in `ops`; `done` is what need not be done again.
pub fn close(
    desk: &Desk,
    about: About,
    state: &TradeState,
    facts: &Facts,
    ops: &OpLog,
    folder: &Path,
    done: &mut Done,
) -> (RunRecord, Option<WriteError>) {
    let model = desk.run.options.counter.get();
    let began = about.began;
    let mut figures = match done.figures.take() {
        Some((then, figures)) if then == facts.tools.len() => figures,
        _ => ops.time("sources of figures", || figures(desk, facts, folder)),
    };
    let lengths = &mut done.lengths;
    let mut record =
        ops.time("record", || outcome::record(about, state, facts, &figures.sources, model, lengths));
    let verified = ops.time("verify plan", || plan::verify(desk, state, facts, &mut done.rebuilt));
    record.degraded = desk.ladder.given_up();
    let given_up = record.degraded.len();
    record.plan.digest = match done.digest.take() {
        Some((then, digest)) if then == given_up => digest,
        _ => ops.time("digest plan", || plan::digest(desk)),
    };
    done.digest = Some((given_up, record.plan.digest.clone()));
    record.plan.segments = desk.plan.segments();
    (record.plan.compared, record.plan.equal) = (verified.compared, verified.equal);
    record.plan.cached_predicted = verified.cached_predicted;
    if verified.equal < verified.compared {
        let lost = verified.compared - verified.equal;
        record.warnings.push(format!("{lost} of {} prompts were not sent as planned", verified.compared));
    }
    record.wall_s = began.elapsed().as_secs_f64();
    let written = ops.time("report tree", || {
        let own: Vec<OpFact> = desk.run.ledger.ops.iter().copied().collect();
        report::write_tree(folder, &record, state, facts, &own, &mut figures, &mut done.written)
    });
    done.figures = Some((facts.tools.len(), figures));
    (record, written.err())
}

/// Where the figures of the tools' answers come from.
fn figures(desk: &Desk, facts: &Facts, folder: &Path) -> Figures {
    let calls: Vec<_> = facts.tools.iter().map(|fact| fact.tool.clone()).collect();
    let books = desk.run.options.tools.provenance();
    let records = books.as_ref().and_then(|books| Provenance::read(books).ok());
    let records = records.map(|records| records.records()).unwrap_or_default();
    // Answers of an earlier process, another run, a tape and own tools are in no books of this run, but in its journal.
    let answered = calls.iter().filter(|t| matches!(&*t.status, "ok" | "no_data"));
    let asked: BTreeSet<_> = answered.map(|t| (&t.name, t.args.to_string())).collect();
    let journal = if asked.len() > records.len() {
        std::fs::read_to_string(folder.join(JOURNAL)).unwrap_or_default()
    } else {
        String::new()
    };
    Figures::new(
        books.map(|books| serde_json::to_string_pretty(&books).unwrap_or_default()),
        Sources::new(&calls, records, &shown(&journal)),
    )
}
