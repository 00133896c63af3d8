//! Order, joins, routes, loops, limits, isolation, cancellation.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lacon_graph::{Builder, Context, EventKind, Join, Options, Output, Status, StepError, run, step};
use proptest::prelude::*;

use crate::support::{Log, LogField, LogUpdate, lines, said, sleeper, sleepers};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_node_starts_the_moment_its_own_inputs_are_ready() {
    // Two branches: 10+90 and 80+20. With a barrier after each step it would take 80+90.
    let graph = sleepers("s:0 a:10 b:90 c:80 d:20 j:0", "s>a a>b s>c c>d b>j d>j").build().unwrap();
    let outcome = run(&graph, Log::default(), Options::default()).await;
    assert!(matches!(outcome.status, Status::Done));
    assert_eq!(outcome.elapsed.as_millis(), 100);
}

/// The original Python system's aggregator fired once only by luck of the super-step.
#[tokio::test(start_paused = true)]
async fn defect_03_a_join_fires_once_after_all_branches() {
    let graph = sleepers(
        "s:0 a:10 b:20 c:30 d:40 join:5 end:1",
        "s>a s>b s>c s>d a>join b>join c>join d>join join>end",
    )
    .build()
    .unwrap();
    let outcome = run(&graph, Log::default(), Options::default()).await;
    assert_eq!(outcome.visits[graph.find("join").unwrap().index()], 1);
    assert_eq!(lines(&outcome.state).last().unwrap(), "end");
    assert_eq!(outcome.elapsed.as_millis(), 46);
}

#[tokio::test(start_paused = true)]
async fn joins_any_quorum_deadline() {
    for (join, expected) in [
        (Join::All, 101),
        (Join::Any, 11),
        (Join::Quorum(2), 51),
        (Join::Deadline(60 * MS), 71),
        (Join::Deadline(500 * MS), 101),
    ] {
        let mut graph = Builder::new(&[]);
        for (name, ms) in [("a", 10), ("b", 50), ("c", 100)] {
            graph.node(name, sleeper(ms)).writes(&[LogField::said]);
            graph.entry(name);
        }
        graph.node("j", sleeper(1)).writes(&[LogField::said]).join(join);
        graph.edge("a", "j").edge("b", "j").edge("c", "j");
        let graph = graph.build().unwrap();
        let at = std::sync::Mutex::new(None);
        let options = Options {
            on_event: Some(Box::new(|e| {
                if e.node.index() == 3 && e.kind == EventKind::Finished {
                    *at.lock().unwrap() = Some(e.at.as_millis());
                }
            })),
            ..Options::default()
        };
        let outcome = run(&graph, Log::default(), options).await;
        assert_eq!(outcome.visits[3], 1, "{join:?}");
        assert_eq!(*at.lock().unwrap(), Some(expected), "{join:?}");
        assert_eq!(outcome.state.said.len(), 4, "{join:?}: late inputs still finish");
    }
}

fn router(labels: &'static [&'static str]) -> Arc<dyn lacon_graph::Step<Log>> {
    step(move |c: Context<Log>| async move {
        let label = labels[(c.visit as usize - 1).min(labels.len() - 1)];
        Ok(Output::route(said(&format!("{}{}", c.node, c.visit)), label))
    })
}

#[tokio::test(start_paused = true)]
async fn a_way_not_taken_is_ruled_out_through_joins() {
    let mut graph = Builder::new(&[]);
    graph.node("r", router(&["left"])).writes(&[LogField::said]).routes(&["left", "right"]);
    for name in ["l", "x", "y", "j"] {
        graph.node(name, sleeper(1)).writes(&[LogField::said]);
    }
    graph.entry("r").route("r", "left", "l").route("r", "right", "x");
    graph.edge("x", "y").edge("l", "j").edge("y", "j");
    let graph = graph.build().unwrap();
    let outcome = run(&graph, Log::default(), Options::default()).await;
    assert_eq!(lines(&outcome.state), ["r1", "l", "j"]);
    assert_eq!(outcome.visits, [1, 1, 0, 0, 1]);
}

/// A debate of three rounds inside a graph: the body runs again, what lies behind it runs once.
#[tokio::test(start_paused = true)]
async fn a_bounded_loop_runs_its_body_again() {
    let mut graph = Builder::new(&[]);
    for name in ["start", "control", "bull", "bear", "end"] {
        graph.node(name, sleeper(1)).writes(&[LogField::said]);
    }
    graph
        .node("judge", router(&["again", "again", "enough"]))
        .writes(&[LogField::said])
        .routes(&["again", "enough"]);
    graph.entry("start").edge("start", "control").edge("control", "bull").edge("control", "bear");
    graph.edge("start", "bull");
    graph
        .edge("bull", "judge")
        .edge("bear", "judge")
        .route("judge", "enough", "end")
        .back("judge", "again", "control", 2);
    let graph = graph.build().unwrap();
    let outcome = run(&graph, Log::default(), Options::default()).await;
    assert!(matches!(outcome.status, Status::Done), "{:?}", outcome.status);
    assert_eq!(outcome.visits, [1, 3, 3, 3, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_loop_beyond_its_bound_is_an_error_not_a_hang() {
    let mut graph = Builder::new(&[]);
    graph.node("a", sleeper(1)).writes(&[LogField::said]);
    graph.node("r", router(&["again"])).writes(&[LogField::said]).routes(&["again", "end"]);
    graph.node("e", sleeper(1)).writes(&[LogField::said]);
    graph.entry("a").edge("a", "r").route("r", "end", "e").back("r", "again", "a", 4);
    let outcome = run(&graph.build().unwrap(), Log::default(), Options::default()).await;
    let Status::Failed { error, .. } = outcome.status else { panic!("{:?}", outcome.status) };
    assert_eq!(error.to_string(), "node \"r\" went back to \"a\" more often than its bound of 4");
}

/// The original Python system's router returned a name that was not in its edge map.
#[tokio::test(start_paused = true)]
async fn defect_04_an_undeclared_route_fails_with_the_declared_ones() {
    let mut graph = Builder::new(&[]);
    graph.node("r", router(&["nowhere"])).writes(&[LogField::said]).routes(&["left"]);
    graph.node("l", sleeper(1)).writes(&[LogField::said]);
    graph.entry("r").route("r", "left", "l");
    let outcome = run(&graph.build().unwrap(), Log::default(), Options::default()).await;
    let Status::Failed { error, .. } = outcome.status else { panic!("{:?}", outcome.status) };
    assert_eq!(error.to_string(), r#"node "r" returned route "nowhere"; its routes are ["left"]"#);
}

/// The original Python system returned keys that its schema did not have, and they were dropped.
#[tokio::test(start_paused = true)]
async fn defect_05_an_undeclared_field_fails_the_node() {
    let mut graph = Builder::new(&[]);
    graph
        .node(
            "a",
            step(|_: Context<Log>| async { Ok(Output::update(LogUpdate { round: Some(1), ..said("x") })) }),
        )
        .writes(&[LogField::said]);
    graph.entry("a");
    let outcome = run(&graph.build().unwrap(), Log::default(), Options::default()).await;
    let Status::Failed { error, .. } = outcome.status else { panic!("{:?}", outcome.status) };
    assert_eq!(error.to_string(), "node \"a\" wrote field \"round\", which it does not declare");
}

#[tokio::test(start_paused = true)]
async fn a_failing_or_panicking_branch_is_isolated() {
    let mut graph = Builder::new(&[]);
    graph
        .node("bad", step(|_: Context<Log>| async { Err(StepError::new("no data")) }))
        .writes(&[LogField::said])
        .fallback(|e| said(&format!("failed: {e}")));
    graph
        .node("worse", step(|_: Context<Log>| async { panic!("oh") }))
        .writes(&[LogField::said])
        .fallback(|e| said(&format!("failed: {e}")));
    graph
        .node("slow", sleeper(1_000_000))
        .writes(&[LogField::said])
        .time_limit(20 * MS)
        .fallback(|e| said(&format!("failed: {e}")));
    graph.node("j", sleeper(1)).writes(&[LogField::said]);
    for name in ["bad", "worse", "slow"] {
        graph.entry(name).edge(name, "j");
    }
    let outcome = run(&graph.build().unwrap(), Log::default(), Options::default()).await;
    assert!(matches!(outcome.status, Status::Done));
    let mut all = lines(&outcome.state);
    assert_eq!(all.pop().unwrap(), "j");
    all.sort();
    assert_eq!(
        all,
        [
            "failed: no data",
            "failed: node \"slow\" took longer than its limit of 0.020 s",
            "failed: step panicked: oh"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn cancel_and_deadline_keep_what_is_finished() {
    for cancelled in [true, false] {
        let graph = sleepers("a:10 b:10 c:1000 d:1", "a>b b>c c>d").build().unwrap();
        let options = if cancelled {
            Options { cancel: Some(Box::pin(tokio::time::sleep(500 * MS))), ..Options::default() }
        } else {
            Options { deadline: Some(500 * MS), ..Options::default() }
        };
        let outcome = run(&graph, Log::default(), options).await;
        assert_eq!(matches!(outcome.status, Status::Cancelled), cancelled);
        assert_eq!(matches!(outcome.status, Status::DeadlineExceeded), !cancelled);
        assert_eq!(lines(&outcome.state), ["a", "b"]);
        assert_eq!(outcome.unfinished.iter().map(|n| n.index()).collect::<Vec<_>>(), [2]);
        assert_eq!(outcome.elapsed.as_millis(), 500);
    }
}

#[tokio::test(start_paused = true)]
async fn a_class_limit_is_kept_and_the_longest_tail_goes_first() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let mut graph = Builder::new(&[]);
    for (name, expected) in [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)] {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        graph
            .node(
                name,
                step(move |c: Context<Log>| {
                    let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                    async move {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::time::sleep(10 * MS).await;
                        running.fetch_sub(1, Ordering::SeqCst);
                        Ok(Output::update(said(&c.node)))
                    }
                }),
            )
            .writes(&[LogField::said])
            .class("model")
            .expected(expected * MS);
        graph.entry(name);
    }
    let graph = graph.build().unwrap();
    let order = std::sync::Mutex::new(Vec::new());
    let options = Options {
        class_limits: vec![("model", 2)],
        on_event: Some(Box::new(|e| {
            if e.kind == EventKind::Started {
                order.lock().unwrap().push(e.node.index());
            }
        })),
        ..Options::default()
    };
    let outcome = run(&graph, Log::default(), options).await;
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert_eq!(outcome.elapsed.as_millis(), 30);
    drop(outcome);
    assert_eq!(*order.lock().unwrap(), [4, 3, 2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_nodes_in_a_chain_and_side_by_side() {
    let chain: Vec<String> = (0..10_000).map(|i| format!("n{i}:0")).collect();
    let edges: Vec<String> = (1..10_000).map(|i| format!("n{}>n{i}", i - 1)).collect();
    for edges in [edges.join(" "), String::new()] {
        let graph = sleepers(&chain.join(" "), &edges);
        let outcome = run(&graph.build().unwrap(), Log::default(), Options::default()).await;
        assert_eq!(outcome.state.said.len(), 10_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every node of a random graph runs exactly once, after all its inputs, and the run takes as long as its
    /// longest chain.
    #[test]
    fn random_graphs_run_in_order(
        times in prop::collection::vec(0u64..50, 1..25),
        bits in prop::collection::vec(prop::bool::weighted(0.2), 25 * 25),
    ) {
        let n = times.len();
        let nodes: Vec<String> = times.iter().enumerate().map(|(i, ms)| format!("n{i}:{ms}")).collect();
        let pairs: Vec<(usize, usize)> = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)))
            .filter(|(a, b)| bits[a * 25 + b]).collect();
        let edges: Vec<String> = pairs.iter().map(|(a, b)| format!("n{a}>n{b}")).collect();
        let graph = sleepers(&nodes.join(" "), &edges.join(" ")).build().unwrap();
        let mut longest = vec![0; n];
        for b in 0..n {
            let before = pairs.iter().filter(|(_, to)| *to == b).map(|(a, _)| longest[*a]).max().unwrap_or(0);
            longest[b] = before + times[b];
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let finished = std::sync::Mutex::new(vec![None; n]);
        let started = std::sync::Mutex::new(vec![None; n]);
        let count = std::sync::atomic::AtomicUsize::new(0);
        let outcome = runtime.block_on(run(&graph, Log::default(), Options {
            on_event: Some(Box::new(|e| {
                let order = count.fetch_add(1, Ordering::SeqCst);
                match e.kind {
                    EventKind::Started => started.lock().unwrap()[e.node.index()] = Some(order),
                    EventKind::Finished => finished.lock().unwrap()[e.node.index()] = Some(order),
                    _ => {}
                }
            })),
            ..Options::default()
        }));
        prop_assert!(outcome.visits.iter().all(|v| *v == 1));
        prop_assert_eq!(outcome.elapsed.as_millis() as u64, longest.iter().copied().max().unwrap());
        for (a, b) in pairs {
            prop_assert!(finished.lock().unwrap()[a].unwrap() < started.lock().unwrap()[b].unwrap());
        }
    }
}
