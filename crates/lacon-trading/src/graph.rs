//! The graph of all profiles.
//!
//! ```text
//! dispatcher ─┬ market_tools ─ market ─┐                      ┌ judge ┐          ┌ risky ┐
//!             ├ social_tools ─ social ─┤             ┌ bull ┐ │       │          │       │
//!             ├ news_tools ─ news ─────┼ aggregator ─┤      ├─┤       ├──────────┼ safe ─┼ risk_manager ─ trader
//!             └ fundamentals_tools ─ … ┘             └ bear ┘ └ plan ─┘          └ neutral
//! ```
//! Without `prefetch` each analyst has a node before its tools (`market_call`); without `no_barrier` all nodes of a
//! step wait for the whole step before; without `parallel_judge`, or with more than one research round, the plan
//! waits for the judge. With `merged_judge` the plan's call answers for both: `bull`, `bear` ─ `plan` ─ `judge` ─ `risk_manager`,
//! where the judge asks only for what that answer lacks, beside the risk roles. Profile `upstream` has no judge; its debates go in turns, and its trader stands before them:
//!
//! ```text
//! aggregator ─ bull ─ bear ─ plan ─ trader ─ risky ─ safe ─ neutral ─ risk_manager
//!               └──────┘ rounds               └────────────────┘ rounds
//! ```

use std::{sync::Arc, time::Duration};

use lacon_graph::{Builder, Context, Graph, Output, step, validate::Faults};

use crate::{
    Role,
    cast::Order,
    context::RunContext,
    state::{TradeState, TradeUpdate, data_field, talk_field, text_field},
    steps,
};

/// Builds the graph for a context's optimizations and rounds.
///
/// # Errors
/// Never for the optimizations that exist; the faults are those of [`Builder::build`].
pub fn build(context: &Arc<RunContext>) -> Result<Graph<TradeState>, Faults> {
    let mut graph = Builder::new(&[]);
    let optimizations = &context.optimizations;
    let prefetch = optimizations.has("prefetch");
    graph.node(
        "dispatcher",
        step(|_: Context<TradeState>| async { Ok(Output::update(TradeUpdate::default())) }),
    );
    graph.entry("dispatcher");
    let tools = |role: Role| format!("{role}_tools");
    let call = |role: Role| format!("{role}_call");
    let cast = Arc::clone(&context.cast);
    for role in cast.analysts().iter().copied() {
        if !prefetch {
            graph
                .node(call(role), steps::analyst_call(context, role))
                .writes(&[talk_field(role)])
                .expected(seconds(5.0));
            graph.edge("dispatcher", &call(role)).edge(&call(role), &tools(role));
        } else {
            graph.edge("dispatcher", &tools(role));
        }
        let reads = if prefetch { vec![] } else { vec![talk_field(role)] };
        graph
            .node(tools(role), steps::analyst_tools(context, role, prefetch))
            .reads(&reads)
            .writes(&[data_field(role)])
            .expected(seconds(if role == Role::News { 20.0 } else { 7.0 }));
        let mut reads = reads;
        reads.push(data_field(role));
        graph
            .node(role.name(), steps::analyst_report(context, role, prefetch))
            .reads(&reads)
            .writes(&[text_field(role)])
            .expected(seconds(12.0));
        graph.edge(&tools(role), role.name()).edge(role.name(), "aggregator");
        if !optimizations.has("no_barrier") {
            for other in cast.analysts().iter().copied().filter(|o| *o != role) {
                if !prefetch {
                    graph.edge(&call(other), &tools(role));
                }
                graph.edge(&tools(other), role.name());
            }
        }
    }
    let reports: Vec<_> = cast.analysts().iter().map(|r| text_field(*r)).collect();
    graph.node("aggregator", steps::aggregator(context)).reads(&reports);
    let merged = cast.judge_in_plan(optimizations);
    for role in cast.later_roles().iter().copied() {
        let mut reads: Vec<_> = cast.reads(role, optimizations).into_iter().map(text_field).collect();
        reads.sort_by_key(|field| *field as u8);
        reads.dedup();
        let mut writes = vec![text_field(role)];
        writes.extend((role == Role::Plan && merged).then(|| text_field(Role::Judge)));
        let node = graph
            .node(role.name(), steps::reader(context, role))
            .reads(&reads)
            .writes(&writes)
            .expected(seconds(14.0));
        if cast.ends_round(role).is_some_and(|rounds| rounds > 1) {
            node.routes(&["again", "enough"]);
        }
    }
    match cast.order() {
        Order::Lacon => at_once(&mut graph, context),
        Order::Upstream => in_turns(&mut graph, context),
    }
    if context.embedder.is_some() && context.recall.is_some() {
        graph.node("situation", steps::situation(context)).reads(&reports);
        graph.edge("aggregator", "situation").edge("situation", "plan");
    }
    if !optimizations.has("local_signal") {
        graph
            .node("signal", steps::reader(context, Role::Signal))
            .reads(&[text_field(Role::RiskManager)])
            .writes(&[text_field(Role::Signal)])
            .expected(seconds(1.0));
        graph.edge(cast.later_roles().last().map_or("trader", |last| last.name()), "signal");
    }
    graph.build()
}

/// Bull and bear at once, then the judge beside the plan or before it; the risk views at once; the trader last.
fn at_once(graph: &mut Builder<TradeState>, context: &RunContext) {
    let rounds = context.cast.research_rounds();
    graph.edge("aggregator", "bull").edge("aggregator", "bear");
    let merged = context.cast.judge_in_plan(&context.optimizations);
    for debater in ["bull", "bear"] {
        graph.edge(debater, if merged { "plan" } else { "judge" });
    }
    if merged {
        graph.edge("plan", "judge").edge("judge", "risk_manager");
    } else if context.cast.judge_beside_plan(&context.optimizations) {
        graph.edge("bull", "plan").edge("bear", "plan").edge("judge", "risk_manager");
    } else if rounds == 1 {
        graph.edge("judge", "plan");
    } else {
        // Both sides speak again: a way back leads to the node before them.
        again(graph, ("aggregator", "judge", "plan"), "next_round", rounds);
        graph.edge("next_round", "bull").edge("next_round", "bear");
    }
    for role in Role::RISK {
        graph.edge("plan", role.name()).edge(role.name(), "risk_manager");
    }
    graph.edge("risk_manager", "trader");
}

/// Bull, bear and so on in turns; plan; trader; the risk views in turns; the portfolio manager last.
fn in_turns(graph: &mut Builder<TradeState>, context: &RunContext) {
    graph.edge("aggregator", "bull").edge("bull", "bear");
    match context.cast.research_rounds() {
        1 => {
            graph.edge("bear", "plan");
        }
        rounds => {
            again(graph, ("aggregator", "bear", "plan"), "next_round", rounds);
            graph.edge("next_round", "bull");
        }
    }
    graph.edge("plan", "trader").edge("trader", "risky").edge("risky", "safe").edge("safe", "neutral");
    match context.cast.risk_rounds() {
        1 => {
            graph.edge("neutral", "risk_manager");
        }
        rounds => {
            again(graph, ("trader", "neutral", "risk_manager"), "next_risk", rounds);
            graph.edge("next_risk", "risky");
        }
    }
}

/// A bounded way back from the end of a round to the node before it.
fn again(
    graph: &mut Builder<TradeState>,
    (before, end, behind): (&str, &str, &str),
    node: &str,
    rounds: u32,
) {
    graph.route(end, "enough", behind);
    graph.node(node, step(|_: Context<TradeState>| async { Ok(Output::update(TradeUpdate::default())) }));
    graph.edge(before, node);
    graph.back(end, "again", node, rounds - 1);
}

/// Usual durations of the recorded runs; they only order nodes that wait for a place.
fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}
