//! `lacon bench graph`: the cost of a node in the executor, beside a bare tokio `JoinSet`.

use std::{process::ExitCode, time::Instant};

use lacon_graph::{Append, Builder, Context, Graph, Options, Output, step};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::quantile;
use crate::args::bench::BenchGraphArgs;
use lacon::{commands::block_on, failure::Failure, text};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Nothing;

lacon_graph::state! {
    /// A state of one field that every node may write.
    struct Empty, update EmptyUpdate, field EmptyField {
        /// Never written: the benchmark measures the executor, not a reducer.
        nothing: Append<Nothing>,
    }
}

/// Prints microseconds per node.
pub fn run(args: &BenchGraphArgs) -> Result<ExitCode, Failure> {
    let nodes = args.nodes.clamp(1, 1_000_000);
    let chain = build(nodes, true).map_err(Failure::input)?;
    let wide = build(nodes, false).map_err(Failure::input)?;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..args.rounds.max(1) {
        // Interleaved, so that a slow moment of the machine meets all of them.
        times[0].push(time(lacon_graph::run(&chain, Empty::default(), Options::default()))? / nodes as f64);
        times[1].push(time(lacon_graph::run(&wide, Empty::default(), Options::default()))? / nodes as f64);
        times[2].push(time(bare(nodes))? / nodes as f64);
    }
    let [chain, wide, bare] = times.map(|mut t| quantile(&mut t, 0.5));
    if args.json {
        let row = serde_json::json!({"schema_version": 1, "nodes": nodes, "chain_us": chain, "wide_us": wide, "join_set_us": bare});
        text::out(&format!("{row:#}"));
    } else {
        text::out(&format!("{nodes} nodes, median of {} rounds, microseconds per node", args.rounds));
        text::out(&format!("  executor, one chain     {chain:6.2}"));
        text::out(&format!("  executor, side by side  {wide:6.2}"));
        text::out(&format!("  bare tokio JoinSet      {bare:6.2}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn build(nodes: usize, chain: bool) -> Result<Graph<Empty>, lacon_graph::Faults> {
    let mut graph = Builder::new(&[]);
    let work = step(|_: Context<Empty>| async { Ok(Output::update(EmptyUpdate::default())) });
    for i in 0..nodes {
        graph.node(format!("n{i}"), std::sync::Arc::clone(&work));
        if chain && i > 0 {
            graph.edge(&format!("n{}", i - 1), &format!("n{i}"));
        } else {
            graph.entry(&format!("n{i}"));
        }
    }
    graph.build()
}

async fn bare(nodes: usize) {
    let mut set = JoinSet::new();
    for _ in 0..nodes {
        set.spawn(async {});
    }
    while set.join_next().await.is_some() {}
}

/// Microseconds of a future.
fn time<T>(future: impl Future<Output = T>) -> Result<f64, Failure> {
    let began = Instant::now();
    block_on(future)?;
    Ok(began.elapsed().as_secs_f64() * 1e6)
}
