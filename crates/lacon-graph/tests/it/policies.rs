//! Items, retries, caches, idle limits, interrupts, sub-graphs, forks, learned durations.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lacon_graph::{
    Builder, Context, Durations, EventKind, Journal, MemoryCache, Options, Output, Retry, Status, Step,
    StepError, fork, run, step, sub_graph,
};

use crate::support::{Log, LogField, LogUpdate, lines, said, sleeper, sleepers};

const MS: Duration = Duration::from_millis(1);

/// Says its item; items with a higher number are done first.
fn item_step(calls: &Arc<AtomicUsize>) -> Arc<dyn Step<Log>> {
    let calls = Arc::clone(calls);
    step(move |c: Context<Log>| {
        calls.fetch_add(1, Ordering::SeqCst);
        async move {
            let item = c.item.unwrap();
            tokio::time::sleep(MS * (10 - item as u32)).await;
            Ok(Output::update(said(&format!("item {item}"))))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_node_runs_once_for_each_item_and_merges_in_their_order() {
    for (n, limit, expected_ms) in [(0, 9, 2), (1, 9, 12), (5, 9, 12), (5, 1, 1 + 10 + 9 + 8 + 7 + 6 + 1)] {
        let calls = Arc::new(AtomicUsize::new(0));
        let mut graph = Builder::new(&[]);
        graph.node("a", sleeper(1)).writes(&[LogField::said]);
        graph.node("z", sleeper(1)).writes(&[LogField::said]);
        graph.node("each", item_step(&calls)).writes(&[LogField::said]).for_each(move |_| n).class("call");
        graph.entry("a").edge("a", "each").edge("each", "z");
        let graph = graph.build().unwrap();
        let options = Options { class_limits: vec![("call", limit)], ..Options::default() };
        let outcome = run(&graph, Log::default(), options).await;
        let mut expected = vec!["a".to_owned()];
        expected.extend((0..n).map(|i| format!("item {i}")));
        expected.push("z".into());
        assert_eq!(lines(&outcome.state), expected, "{n} items, {limit} at once");
        assert_eq!(outcome.elapsed.as_millis(), expected_ms, "{n} items, {limit} at once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_stopped_among_items_repeats_none_of_them() {
    let dir = tempdir("items");
    for stop in [0, 3, 7, 8, 9, 10, 11] {
        let path = dir.join(format!("stop-{stop}"));
        let calls = Arc::new(AtomicUsize::new(0));
        let mut graph = Builder::new(&[]);
        graph.node("each", item_step(&calls)).writes(&[LogField::said]).for_each(|_| 4);
        graph.node("z", sleeper(1)).writes(&[LogField::said]);
        graph.entry("each").edge("each", "z");
        let graph = graph.build().unwrap();
        let mut finished = 0;
        for deadline in [stop, 1000] {
            let (mut journal, restored) = Journal::open::<LogUpdate>(&path).unwrap();
            let before = calls.load(Ordering::SeqCst);
            let options = Options {
                deadline: Some(MS * deadline),
                restored,
                on_output: Some(Box::new(move |record| {
                    journal.append(record).map_err(|e| StepError::with_source("journal", e))
                })),
                ..Options::default()
            };
            let outcome = run(&graph, Log::default(), options).await;
            if deadline == 1000 {
                assert_eq!(
                    lines(&outcome.state),
                    ["item 0", "item 1", "item 2", "item 3", "z"],
                    "stop {stop}"
                );
                assert_eq!(calls.load(Ordering::SeqCst) - before, 4 - finished, "stop {stop}");
            } else {
                finished = lines(&outcome.state).iter().filter(|l| l.starts_with("item")).count();
            }
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A step that fails so often before it succeeds.
fn flaky(failures: u32, transient: bool) -> (Arc<AtomicUsize>, Arc<dyn Step<Log>>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let work = step(move |c: Context<Log>| {
        let n = seen.fetch_add(1, Ordering::SeqCst) as u32;
        async move {
            if n < failures {
                let error = StepError::new("busy");
                return Err(if transient { error.transient() } else { error });
            }
            Ok(Output::update(said(&c.node)))
        }
    });
    (calls, work)
}

#[tokio::test(start_paused = true)]
async fn only_transient_errors_are_tried_again_and_no_longer_than_told() {
    for (failures, transient, attempts, calls_made, done, ms) in [
        (2, true, 3, 3, true, 1500),
        (3, true, 3, 3, false, 1500),
        (1, false, 3, 1, false, 0),
        (0, true, 3, 1, true, 0),
    ] {
        let (calls, work) = flaky(failures, transient);
        let mut graph = Builder::new(&[]);
        graph.node("a", work).writes(&[LogField::said]).retry(Retry::attempts(attempts));
        graph.entry("a");
        let graph = graph.build().unwrap();
        let retries = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&retries);
        let options = Options {
            on_event: Some(Box::new(move |event| {
                if matches!(event.kind, EventKind::Retrying { .. }) {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
            })),
            ..Options::default()
        };
        let outcome = run(&graph, Log::default(), options).await;
        assert_eq!(calls.load(Ordering::SeqCst), calls_made);
        assert_eq!(retries.load(Ordering::SeqCst), calls_made - 1);
        assert_eq!(matches!(outcome.status, Status::Done), done);
        assert_eq!(outcome.elapsed.as_millis(), ms);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cached_output_is_taken_until_it_is_too_old() {
    let (calls, work) = flaky(0, false);
    let mut graph = Builder::new(&[]);
    graph.node("a", work).writes(&[LogField::said]).cache(Duration::from_secs(60), |_| Some("k".into()));
    graph.entry("a");
    let graph = graph.build().unwrap();
    let cache = Arc::new(MemoryCache::new(8));
    let once = async || {
        let options = Options { cache: Some(cache.clone()), ..Options::default() };
        lines(&run(&graph, Log::default(), options).await.state)
    };
    assert_eq!(once().await, ["a"]);
    assert_eq!(once().await, ["a"]);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(once().await, ["a"]);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_idle_limit_allows_long_work_that_shows_signs_of_life() {
    let beating = |beats: u32| {
        step(move |c: Context<Log>| async move {
            for _ in 0..beats {
                tokio::time::sleep(MS * 40).await;
                c.pulse.beat();
            }
            tokio::time::sleep(MS * if beats == 0 { 60 } else { 40 }).await;
            Ok(Output::update(said("done")))
        })
    };
    for (beats, done) in [(20, true), (0, false)] {
        let mut graph = Builder::new(&[]);
        graph.node("a", beating(beats)).writes(&[LogField::said]).idle_limit(MS * 50);
        graph.entry("a");
        let outcome = run(&graph.build().unwrap(), Log::default(), Options::default()).await;
        match outcome.status {
            Status::Done => assert!(done),
            Status::Failed { error, .. } => {
                assert!(!done);
                assert!(error.to_string().contains("idle limit of 0.050 s"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

fn asking() -> Builder<Log> {
    let mut graph = sleepers("a:1 side:50 end:1", "a>side");
    graph
        .node(
            "approve",
            step(|c: Context<Log>| async move {
                match c.answer {
                    Some(answer) => Ok(Output::update(said(&answer))),
                    None => Err(StepError::interrupt("buy 100?")),
                }
            }),
        )
        .writes(&[LogField::said]);
    graph.edge("a", "approve").edge("approve", "end").edge("side", "end");
    graph
}

#[tokio::test(start_paused = true)]
async fn a_node_may_ask_a_person_and_goes_on_with_the_answer() {
    let dir = tempdir("interrupt");
    let path = dir.join("journal");
    // "end" stands among the entries of `sleepers` only when no edge leads to it when it is made.
    let graph = {
        let mut graph = Builder::new(&[]);
        let inner = asking();
        let entries = graph.embed("g", inner);
        assert_eq!(entries, ["g/a", "g/end"]);
        graph.entry("g/a");
        graph.build().unwrap()
    };
    let with = async |answers: Vec<(String, String)>| {
        let (mut journal, restored) = Journal::open::<LogUpdate>(&path).unwrap();
        let options = Options {
            answers,
            restored,
            on_output: Some(Box::new(move |record| {
                journal.append(record).map_err(|e| StepError::with_source("journal", e))
            })),
            ..Options::default()
        };
        run(&graph, Log::default(), options).await
    };
    let first = with(vec![]).await;
    let Status::Interrupted(questions) = &first.status else { panic!("{:?}", first.status) };
    assert_eq!(
        (graph.names().nth(questions[0].0.index()), questions[0].1.as_str()),
        (Some("g/approve"), "buy 100?")
    );
    assert_eq!(lines(&first.state), ["g/a", "g/side"]);
    let second = with(vec![("g/approve".into(), "yes".into())]).await;
    assert!(matches!(second.status, Status::Done));
    assert!(
        lines(&second.state).contains(&"yes".to_owned()) && lines(&second.state).ends_with(&["g/end".into()])
    );
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_graph_is_a_step_of_another_one() {
    let inner = sleepers("x:10 y:20", "x>y").build().unwrap();
    let mut graph = Builder::new(&[]);
    let work = sub_graph(inner, |_: &Log| Log::default(), |log: &Log| said(&lines(log).join("+")), None);
    graph.node("inner", work).writes(&[LogField::said]);
    graph.node("after", sleeper(1)).writes(&[LogField::said]);
    graph.entry("inner").edge("inner", "after");
    let graph = graph.build().unwrap();
    let outcome = run(&graph, Log::default(), Options::default()).await;
    assert_eq!(lines(&outcome.state), ["x+y", "after"]);
    // The outer deadline stops the inner run with it.
    let options = Options { deadline: Some(MS * 15), ..Options::default() };
    assert!(matches!(run(&graph, Log::default(), options).await.status, Status::DeadlineExceeded));
}

#[tokio::test(start_paused = true)]
async fn a_fork_goes_on_from_any_checkpoint_and_leaves_the_first_run_alone() {
    let dir = tempdir("fork");
    let path = dir.join("journal");
    let graph = sleepers("a:1 b:1 c:1", "a>b b>c").build().unwrap();
    let with = async |path: &std::path::Path| {
        let (mut journal, restored) = Journal::open::<LogUpdate>(path).unwrap();
        let n = restored.len();
        let options = Options {
            restored,
            on_output: Some(Box::new(move |record| {
                journal.append(record).map_err(|e| StepError::with_source("journal", e))
            })),
            ..Options::default()
        };
        (n, run(&graph, Log::default(), options).await)
    };
    with(&path).await;
    let whole = std::fs::read(&path).unwrap();
    for lines_kept in 0..=3 {
        let other = dir.join(format!("fork-{lines_kept}"));
        fork(&path, &other, lines_kept).unwrap();
        let (restored, outcome) = with(&other).await;
        assert_eq!(restored, lines_kept);
        assert_eq!(lines(&outcome.state), ["a", "b", "c"]);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        assert!(fork(&path, &other, 1).is_err(), "an existing file is never overwritten");
    }
    assert!(fork(&path, &dir.join("more"), 4).is_err());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_one_place_the_longest_way_to_the_end_goes_first() {
    let order = async |expected: Vec<(String, Duration)>| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut graph = Builder::new(&[]);
        for name in ["short", "long", "middle"] {
            graph.node(name, sleeper(10)).writes(&[LogField::said]).class("call");
            graph.entry(name);
        }
        let graph = graph.build().unwrap();
        let names: Vec<String> = graph.names().map(Into::into).collect();
        let log = Arc::clone(&seen);
        let options = Options {
            class_limits: vec![("call", 1)],
            expected,
            on_event: Some(Box::new(move |event| {
                if event.kind == EventKind::Started {
                    log.lock().unwrap().push(names[event.node.index()].clone());
                }
            })),
            ..Options::default()
        };
        run(&graph, Log::default(), options).await;
        seen.lock().unwrap().clone()
    };
    assert_eq!(order(vec![]).await, ["short", "long", "middle"], "without history first come, first served");
    let mut history = Durations::default();
    for (node, s) in [("short", 1), ("long", 30), ("middle", 5)] {
        history.observe(node, Duration::from_secs(s));
    }
    assert_eq!(order(history.medians()).await, ["long", "middle", "short"]);
}

#[tokio::test(start_paused = true)]
async fn with_one_node_at_a_time_the_result_is_the_same() {
    let graph = sleepers("s:0 a:10 b:90 c:80 d:20 j:0", "s>a a>b s>c c>d b>j d>j").build().unwrap();
    let one = run(&graph, Log::default(), Options { max_running: 1, ..Options::default() }).await;
    let many = run(&graph, Log::default(), Options::default()).await;
    assert_eq!(lines(&one.state), lines(&many.state));
    assert_eq!((one.elapsed.as_millis(), many.elapsed.as_millis()), (200, 100));
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("lacon-policies-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
