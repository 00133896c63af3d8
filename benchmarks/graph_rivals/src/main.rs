//! Microseconds per node of graph-flow: one chain of nodes that do nothing, and one fan-out of as many.

use std::{sync::Arc, time::Instant};

use graph_flow::{Context, FanOutTask, GraphBuilder, NextAction, Session, Task, TaskResult};

struct Nothing(String, bool);

#[async_trait::async_trait]
impl Task for Nothing {
    fn id(&self) -> &str {
        &self.0
    }

    async fn run(&self, _: Context) -> graph_flow::Result<TaskResult> {
        Ok(TaskResult::new(None, if self.1 { NextAction::End } else { NextAction::ContinueAndExecute }))
    }
}

fn main() {
    let nodes: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    let mut chain = GraphBuilder::new("chain");
    for i in 0..nodes {
        chain = chain.add_task(Arc::new(Nothing(format!("n{i}"), i + 1 == nodes)));
        if i > 0 {
            chain = chain.add_edge(format!("n{}", i - 1), format!("n{i}"));
        }
    }
    let chain = chain.build().expect("the chain is sound");
    let children: Vec<Arc<dyn Task>> =
        (0..nodes).map(|i| Arc::new(Nothing(format!("c{i}"), true)) as Arc<dyn Task>).collect();
    let wide =
        GraphBuilder::new("wide").add_task(FanOutTask::new("wide", children)).build().expect("it is sound");
    let time = |graph: &graph_flow::Graph, first: &str| {
        let began = Instant::now();
        runtime.block_on(async {
            let mut session = Session::new_from_task("s".into(), first);
            // One call runs all of it: nothing here pauses before the end.
            graph.execute_session(&mut session).await.expect("nothing fails");
        });
        began.elapsed().as_secs_f64() * 1e6 / nodes as f64
    };
    println!(
        "{{\"name\": \"graph-flow 0.8.1\", \"nodes\": {nodes}, \"chain_us\": {:.3}, \"wide_us\": {:.3}}}",
        time(&chain, "n0"),
        time(&wide, "wide")
    );
}
