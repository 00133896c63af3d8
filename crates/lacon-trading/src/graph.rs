//! The graph of both profiles.
//!
//! ```text
//! dispatcher ─┬ market_tools ─ market ─┐                      ┌ judge ┐          ┌ risky ┐
//!             ├ social_tools ─ social ─┤             ┌ bull ┐ │       │          │       │
//!             ├ news_tools ─ news ─────┼ aggregator ─┤      ├─┤       ├──────────┼ safe ─┼ risk_manager ─ trader
//!             └ fundamentals_tools ─ … ┘             └ bear ┘ └ plan ─┘          └ neutral
//! ```
//! Without `prefetch` each analyst has a node before its tools (`market_call`); without `no_barrier` all nodes of a
//! step wait for the whole step before; without `parallel_judge`, or with more than one research round, the plan
//! waits for the judge.

use std::{sync::Arc, time::Duration};

use lacon_graph::{Builder, Context, Graph, Output, step, validate::Faults};

use crate::{
    Role,
    state::{TradeState, TradeUpdate, data_field, talk_field, text_field},
    steps::{self, Desk},
};

/// Builds the graph for a desk's levers and rounds.
///
/// # Errors
/// Never for the levers that exist; the faults are those of [`Builder::build`].
pub fn build(desk: &Arc<Desk>) -> Result<Graph<TradeState>, Faults> {
    let mut graph = Builder::new(&[]);
    let levers = &desk.levers;
    let prefetch = levers.has("prefetch");
    graph.node(
        "dispatcher",
        step(|_: Context<TradeState>| async { Ok(Output::update(TradeUpdate::default())) }),
    );
    graph.entry("dispatcher");
    let tools = |role: Role| format!("{role}_tools");
    let call = |role: Role| format!("{role}_call");
    for role in Role::ANALYSTS {
        if !prefetch {
            graph
                .node(call(role), steps::analyst_call(desk, role))
                .writes(&[talk_field(role)])
                .expected(seconds(5.0));
            graph.edge("dispatcher", &call(role)).edge(&call(role), &tools(role));
        } else {
            graph.edge("dispatcher", &tools(role));
        }
        let reads = if prefetch { vec![] } else { vec![talk_field(role)] };
        graph
            .node(tools(role), steps::analyst_tools(desk, role, prefetch))
            .reads(&reads)
            .writes(&[data_field(role)])
            .expected(seconds(if role == Role::News { 20.0 } else { 7.0 }));
        let mut reads = reads;
        reads.push(data_field(role));
        graph
            .node(role.name(), steps::analyst_report(desk, role, prefetch))
            .reads(&reads)
            .writes(&[text_field(role)])
            .expected(seconds(12.0));
        graph.edge(&tools(role), role.name()).edge(role.name(), "aggregator");
        if !levers.has("no_barrier") {
            for other in Role::ANALYSTS.into_iter().filter(|o| *o != role) {
                if !prefetch {
                    graph.edge(&call(other), &tools(role));
                }
                graph.edge(&tools(other), role.name());
            }
        }
    }
    graph.node("aggregator", steps::aggregator()).reads(&Role::ANALYSTS.map(text_field));

    for role in [
        Role::Bull,
        Role::Bear,
        Role::Judge,
        Role::Plan,
        Role::Risky,
        Role::Safe,
        Role::Neutral,
        Role::RiskManager,
        Role::Trader,
    ] {
        let reads: Vec<_> = role.reads().iter().map(|r| text_field(*r)).collect();
        let node = graph
            .node(role.name(), steps::reader(desk, role))
            .reads(&reads)
            .writes(&[text_field(role)])
            .expected(seconds(14.0));
        if role == Role::Judge && desk.research_rounds > 1 {
            node.routes(&["again", "enough"]);
        }
    }
    graph.edge("aggregator", "bull").edge("aggregator", "bear");
    for debater in ["bull", "bear"] {
        graph.edge(debater, "judge");
    }
    let parallel = levers.has("parallel_judge") && desk.research_rounds == 1;
    if parallel {
        graph.edge("bull", "plan").edge("bear", "plan").edge("judge", "risk_manager");
    } else if desk.research_rounds == 1 {
        graph.edge("judge", "plan");
    } else {
        graph.route("judge", "enough", "plan");
        // Both sides speak again: a way back leads to the node before them.
        graph.node(
            "next_round",
            step(|_: Context<TradeState>| async { Ok(Output::update(TradeUpdate::default())) }),
        );
        graph.edge("aggregator", "next_round").edge("next_round", "bull").edge("next_round", "bear");
        graph.back("judge", "again", "next_round", desk.research_rounds - 1);
    }
    for role in Role::RISK {
        graph.edge("plan", role.name()).edge(role.name(), "risk_manager");
    }
    graph.edge("risk_manager", "trader");
    if !levers.has("local_signal") {
        graph
            .node("signal", steps::reader(desk, Role::Signal))
            .reads(&[text_field(Role::RiskManager)])
            .writes(&[text_field(Role::Signal)])
            .expected(seconds(1.0));
        graph.edge("trader", "signal");
    }
    graph.build()
}

/// Usual durations of the recorded runs; they only order nodes that wait for a place.
fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}
