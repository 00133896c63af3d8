//! A run's own trace foretells what the run would take with an optimization switched on; the run then made agrees.
//!
//! The clock is paused: what a run takes is what its calls and tools take, to the microsecond.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lacon_llm::Client;
use lacon_market::{Semantics, Symbol, pack};
use lacon_monitor::{
    RunRecord,
    trace::{Trace, read},
    whatif::{self, CallModel, Latency, Options, Source},
};
use lacon_sim::{Profile, SimClient, SimOptions, latency, tool_seconds};
use lacon_trading::{Settings, decide, source::DatasetSource};

use crate::support::settings;

fn sim(noise: bool) -> Arc<dyn Client> {
    Arc::new(SimClient::new(SimOptions { time_scale: 1.0, noise, seed: 7, ..SimOptions::default() }))
}

/// A run whose tools take as long as recorded.
async fn run(name: &str, disabled: &[&str], noise: bool) -> (RunRecord, Trace) {
    run_of(settings(name, "lacon", disabled, sim(noise))).await
}

async fn run_of(base: Settings) -> (RunRecord, Trace) {
    let data = pack::load(&Symbol::parse("CRCL").unwrap()).unwrap();
    let delay: lacon_trading::source::Delay =
        Arc::new(|request| Duration::from_secs_f64(tool_seconds(&request.name, 0.5)));
    let tools = Arc::new(DatasetSource::new(Arc::new(data), base.date, Semantics::Standard, Some(delay)));
    let out = base.out.clone();
    let limit = Duration::from_secs(120);
    let decided = decide(Settings { tools, tool_timeout: limit, ..base }).await;
    let text = std::fs::read_to_string(decided.folder.join("trace.jsonl")).unwrap();
    let _ = std::fs::remove_dir_all(out);
    // The clock on the wall stood still for the calls: the run's own span ends with the last of them.
    let mut lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    lines[0]["end_s"] = took(&decided.record).into();
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    (decided.record, read(text.join("\n").as_bytes()).unwrap().remove(0))
}

fn built_in() -> Latency {
    let model = |quick| {
        let m = latency::call_model(Profile::Typical, quick);
        CallModel {
            first_token_s: m.first_token_s,
            prompt_s_per_1k: m.prompt_s_per_1k,
            tokens_per_s: m.tokens_per_s,
            residuals: m.residuals,
        }
    };
    Latency {
        profiles: BTreeMap::from([("typical".to_owned(), (model(true), model(false)))]),
        profile: "typical".into(),
        tools: Some(latency::known_tool_seconds),
        source: Source::BuiltIn,
    }
}

fn took(record: &RunRecord) -> f64 {
    record.calls.iter().map(|c| c.end_s).chain(record.tools.iter().map(|t| t.end_s)).fold(0.0, f64::max)
}

#[tokio::test(start_paused = true)]
async fn a_optimization_is_foretold_within_five_percent() {
    for noise in [false, true] {
        let (on, _) = run("foresee-on", &[], noise).await;
        for (optimization, edit) in [
            ("no_barrier", "barrier=off"),
            ("parallel_judge", "parallel=judge+plan"),
            ("prefetch", "prefetch=on"),
        ] {
            let (off, trace) = run(&format!("foresee-{optimization}"), &[optimization], noise).await;
            let foretold =
                whatif::what_if(&trace, &[whatif::parse(edit).unwrap()], &built_in(), &Options::default());
            let (before, after) = (took(&off), took(&on));
            let error = |found: f64, real: f64| (found - real).abs() / real;
            assert!(
                error(foretold.before.replayed_s, before) < 0.01,
                "{optimization}: {} {before}",
                foretold.before.replayed_s
            );
            assert!(
                error(foretold.after.replayed_s, after) < 0.05,
                "{optimization}, noise {noise}: foretold {:.2} s, took {after:.2} s (before {before:.2} s)",
                foretold.after.replayed_s
            );
            assert!(foretold.edits[0].touches > 0, "{optimization}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_spread_holds_what_other_seeds_take() {
    let (_, trace) = run("foresee-spread", &[], true).await;
    let foretold = whatif::what_if(&trace, &[], &built_in(), &Options::default());
    assert!(foretold.before.p10_s < foretold.before.p50_s && foretold.before.p50_s < foretold.before.p90_s);
    assert!((60.0..140.0).contains(&foretold.before.p50_s), "{:?}", foretold.before);
}

#[tokio::test(start_paused = true)]
async fn a_runs_books_balance_and_its_trace_says_what_the_record_says() {
    let (record, trace) = run("foresee-books", &[], true).await;
    assert!(record.books.imbalance_s() < 1e-6, "{:?}", record.books);
    assert_eq!(record.books.wall_s, record.wall_s);
    assert_eq!(trace.tokens.prompt, Some(record.tokens.prompt));
    assert_eq!(trace.tokens.completion, Some(record.tokens.completion));
    assert!(record.reads.iter().any(|r| r.reader == "bull" && r.text == "market" && r.tokens > 50));
    let analysis = lacon_monitor::analyze::analyze(&trace, lacon_trading::traces::SCORERS);
    assert!(analysis.content.passed, "{:?}", analysis.content);
    assert!(analysis.repeated.iter().any(|r| r.how == "recorded" && r.text == "plan"));
    assert_eq!(analysis.origin.error_count, 0);
}
