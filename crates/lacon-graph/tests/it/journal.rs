//! A killed run goes on without repeating or losing a finished node.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lacon_graph::{
    Builder, Context, Graph, Journal, JournalError, Options, Output, Status, StepError, run, step,
};

use crate::support::{Log, LogField, LogUpdate, lines, said};

fn counted(calls: &Arc<AtomicUsize>) -> Graph<Log> {
    let mut graph = Builder::new(&[]);
    for name in ["a", "b", "c", "d", "e"] {
        let calls = Arc::clone(calls);
        graph
            .node(
                name,
                step(move |c: Context<Log>| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    async move {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        Ok(Output::update(said(&c.node)))
                    }
                }),
            )
            .writes(&[LogField::said]);
    }
    graph.entry("a").edge("a", "b").edge("a", "c").edge("b", "d").edge("c", "d").edge("d", "e");
    graph.build().unwrap()
}

async fn run_with(path: &std::path::Path, graph: &Graph<Log>, deadline_ms: u64) -> (Vec<String>, Status) {
    let (mut journal, restored) = Journal::open::<LogUpdate>(path).unwrap();
    let options = Options {
        deadline: Some(Duration::from_millis(deadline_ms)),
        restored,
        on_output: Some(Box::new(move |record| {
            journal.append(record).map_err(|e| StepError::with_source("journal", e))
        })),
        ..Options::default()
    };
    let outcome = run(graph, Log::default(), options).await;
    (lines(&outcome.state), outcome.status)
}

#[tokio::test(start_paused = true)]
async fn a_run_stopped_at_any_moment_resumes() {
    let dir = std::env::temp_dir().join(format!("lacon-journal-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    for stop in [0, 5, 10, 15, 25, 35, 39] {
        let path = dir.join(format!("stop-{stop}"));
        let calls = Arc::new(AtomicUsize::new(0));
        let graph = counted(&calls);
        let (first, _) = run_with(&path, &graph, stop).await;
        let finished = first.len();
        let before = calls.load(Ordering::SeqCst);
        // A torn last line, as a killed process leaves it.
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"0badc0de {\"node\":\"x\"");
        fs::write(&path, bytes).unwrap();
        let (all, status) = run_with(&path, &graph, 1000).await;
        assert!(matches!(status, Status::Done));
        assert_eq!(all, ["a", "b", "c", "d", "e"], "stopped at {stop} ms");
        assert_eq!(calls.load(Ordering::SeqCst) - before, 5 - finished, "stopped at {stop} ms");
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_line_in_the_middle_is_an_error() {
    let path = std::env::temp_dir().join(format!("lacon-journal-damaged-{}", std::process::id()));
    let graph = counted(&Arc::default());
    run_with(&path, &graph, 1000).await;
    let text = fs::read_to_string(&path).unwrap().replacen("\"b\"", "\"q\"", 1);
    fs::write(&path, text).unwrap();
    let error = Journal::open::<LogUpdate>(&path).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error}");
    fs::remove_file(&path).unwrap();
}
