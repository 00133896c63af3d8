//! Graphs inside graphs: as one node with its own state, or laid out among the nodes of the outer graph.

use std::{sync::Arc, time::Duration};

use crate::{
    Builder, Context, Graph, NodeId, Options, Output, State, Status, Step, StepError, executor, step,
};

/// A step that runs a whole graph with its own state.
///
/// `enter` makes the inner state from the outer one; `leave` makes the outer update from the final inner state. The
/// inner run is part of the step's future, so a limit, a cancellation or a dropped outer run stops it too. A journal
/// sees one node; [`Builder::embed`] lays out a graph of the same state node by node instead.
///
/// The step fails if the inner run fails. It interrupts the outer run if an inner node asks a person; the answer then
/// reaches that node.
pub fn sub_graph<S, T>(
    graph: Graph<T>,
    enter: impl Fn(&S) -> T + Send + Sync + 'static,
    leave: impl Fn(&T) -> S::Update + Send + Sync + 'static,
    deadline: Option<Duration>,
) -> Arc<dyn Step<S>>
where
    S: State,
    T: State,
{
    let shared = Arc::new((graph, enter, leave));
    step(move |context: Context<S>| {
        let shared = Arc::clone(&shared);
        async move {
            let (graph, enter, leave) = &*shared;
            let asked: Vec<String> = graph.names().map(Into::into).collect();
            let answers =
                context.answer.iter().flat_map(|answer| asked.iter().map(|n| (n.clone(), answer.clone())));
            let options = Options { deadline, answers: answers.collect(), ..Options::default() };
            let outcome = executor::run(graph, enter(&context.state), options).await;
            let name = |node: NodeId| graph.names().nth(node.index()).unwrap_or_default().to_owned();
            match outcome.status {
                Status::Done => Ok(Output::update(leave(&outcome.state))),
                Status::Failed { node, error } => {
                    let transient = error.is_transient();
                    let failed = StepError::with_source(format!("{}: {error}", name(node)), error);
                    Err(if transient { failed.transient() } else { failed })
                }
                Status::Interrupted(questions) => {
                    let text: Vec<String> = questions
                        .iter()
                        .map(|(node, question)| format!("{}: {question}", name(*node)))
                        .collect();
                    Err(StepError::interrupt(text.join("; ")))
                }
                Status::DeadlineExceeded => {
                    Err(StepError::new("the graph within took longer than its deadline").transient())
                }
                Status::Cancelled => Err(StepError::new("the graph within was cancelled")),
            }
        }
    })
}

impl<S: State> Builder<S> {
    /// Lays out another graph of the same state among the nodes of this one; its names get the prefix `prefix/`.
    ///
    /// Returns the names of its entries, to lead edges to: none of them is an entry of this graph. Every embedded node
    /// has its own events and its own journal line.
    pub fn embed(&mut self, prefix: &str, inner: Builder<S>) -> Vec<String> {
        let named = |name: &str| format!("{prefix}/{name}");
        for mut node in inner.nodes {
            node.name = named(&node.name).into();
            self.nodes.push(node);
        }
        for (from, to, label, bound) in inner.edges {
            self.edges.push((named(&from), named(&to), label, bound));
        }
        inner.entries.iter().map(|entry| named(entry)).collect()
    }
}
