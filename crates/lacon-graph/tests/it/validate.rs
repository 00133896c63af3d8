//! Every fault is found, all of them at once.

use lacon_graph::{Builder, Join};

use crate::support::{Log, LogField, sleeper, sleepers};

fn faults(builder: Builder<Log>) -> Vec<String> {
    builder.build().map(|_| Vec::new()).unwrap_or_else(|f| f.0.iter().map(ToString::to_string).collect())
}

#[test]
fn all_faults_at_once() {
    let mut graph = sleepers("a:1 b:1 c:1 d:1", "a>b b>c c>b");
    graph.node("a", sleeper(1));
    graph.node("r", sleeper(1)).routes(&["left", "right"]).reads(&[LogField::decision]);
    graph
        .edge("a", "r")
        .route("r", "left", "d")
        .route("r", "up", "d")
        .edge("r", "zz")
        .back("d", "again", "a", 0);
    graph.node("q", sleeper(1)).join(Join::Quorum(3));
    graph.edge("a", "q");
    let expected = [
        r#"node "a" is declared twice"#,
        r#"edge "r" -> "zz" names node "zz", which is not declared"#,
        r#"the way back from "d" to "a" has bound 0, at least 1 is needed"#,
        "cycle without a bound: b -> c -> b",
        r#"route "again" of node "d" stands on an edge but the node does not declare it"#,
        r#"route "right" of node "r" has no edge"#,
        r#"route "up" of node "r" stands on an edge but the node does not declare it"#,
        r#"node "q" waits for 3 of 1 inputs"#,
        r#"node "r" reads field "decision", which no node writes and which is not an input"#,
    ];
    let found = faults(graph);
    for fault in expected {
        assert!(found.iter().any(|f| f == fault), "missing: {fault}\nfound: {found:#?}");
    }
}

#[test]
fn two_concurrent_writers_of_a_last_wins_field() {
    let build = |edges: &[(&str, &str)]| {
        let mut graph = Builder::new(&[]);
        for name in ["a", "b", "c"] {
            graph.node(name, sleeper(1)).writes(&[LogField::decision, LogField::said]);
        }
        graph.entry("a");
        for (from, to) in edges {
            graph.edge(from, to);
        }
        faults(graph)
    };
    assert_eq!(build(&[("a", "b"), ("b", "c")]), [""; 0]);
    assert_eq!(
        build(&[("a", "b"), ("a", "c")]),
        [r#"nodes "b" and "c" may both write field "decision" at once, which keeps one value"#]
    );
}

#[test]
fn writers_behind_different_routes_are_no_fault() {
    let mut graph = Builder::new(&[]);
    graph.node("r", sleeper(1)).routes(&["left", "right"]);
    graph.node("a", sleeper(1)).writes(&[LogField::decision]);
    graph.node("b", sleeper(1)).writes(&[LogField::decision]);
    graph.entry("r").route("r", "left", "a").route("r", "right", "b");
    assert_eq!(faults(graph), [""; 0]);
}

#[test]
fn unreachable_and_no_entry() {
    let mut graph = Builder::<Log>::new(&[]);
    graph.node("a", sleeper(1));
    assert_eq!(faults(graph), ["the graph has no entry", "node \"a\" cannot be reached from an entry"]);
}

#[test]
fn pictures_name_every_node_and_way() {
    let mut graph = Builder::<Log>::new(&[]);
    graph.node("a", sleeper(1));
    graph.node("b", sleeper(1)).routes(&["end", "again"]);
    graph.node("c", sleeper(1));
    graph.entry("a").edge("a", "b").route("b", "end", "c").back("b", "again", "a", 2);
    let graph = graph.build().unwrap();
    assert_eq!(
        graph.to_mermaid(),
        "flowchart LR\n  n0[\"a\"]\n  n1[\"b\"]\n  n2[\"c\"]\n  n0 --> n1\n  n1 -->|end| n2\n  n1 -.->|again at most 2| n0\n"
    );
    assert!(graph.to_dot().contains("\"b\" -> \"a\" [label=\"again at most 2\", style=dashed];"));
}
