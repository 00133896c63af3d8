//! A small state and steps that take a given (virtual) time.

use std::{sync::Arc, time::Duration};

use lacon_graph::{Append, Builder, Context, LastWins, Max, Output, Step, step};

lacon_graph::state! {
    /// A state for tests.
    pub struct Log, update LogUpdate, field LogField {
        /// What every node said.
        said: Append<String>,
        /// The decision; the later node wins.
        decision: LastWins<String>,
        /// The highest round.
        round: Max<u32>,
    }
}

pub fn said(text: &str) -> LogUpdate {
    LogUpdate { said: Some(text.into()), ..LogUpdate::default() }
}

/// A step that sleeps and then says its own name.
pub fn sleeper(ms: u64) -> Arc<dyn Step<Log>> {
    step(move |c: Context<Log>| async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(Output::update(said(&c.node)))
    })
}

/// A graph of sleepers: `"a:10 b:20"` and `"a>b a>c"`; nodes without an incoming edge are entries.
pub fn sleepers(nodes: &str, edges: &str) -> Builder<Log> {
    let mut graph = Builder::new(&[]);
    let edges: Vec<(&str, &str)> = edges.split_whitespace().map(|e| e.split_once('>').unwrap()).collect();
    for node in nodes.split_whitespace() {
        let (name, ms) = node.split_once(':').unwrap();
        graph.node(name, sleeper(ms.parse().unwrap())).writes(&[LogField::said]);
        if !edges.iter().any(|(_, to)| *to == name) {
            graph.entry(name);
        }
    }
    for (from, to) in edges {
        graph.edge(from, to);
    }
    graph
}

pub fn lines(log: &Log) -> Vec<String> {
    log.said.iter().cloned().collect()
}
