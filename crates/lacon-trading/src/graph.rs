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
//! waits for the judge. Profile `upstream` has no judge; its debates go in turns, and its trader stands before them:
//!
//! ```text
//! aggregator ─ bull ─ bear ─ plan ─ trader ─ risky ─ safe ─ neutral ─ risk_manager
//!               └──────┘ rounds               └────────────────┘ rounds
//! ```

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lacon_graph::{Builder, Context, Graph, Output, step, validate::Faults};

use crate::{
    Cast, Role,
    context::RunContext,
    state::{TradeField, TradeState, TradeUpdate},
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
                .writes(&[TradeField::talk])
                .expected(seconds(5.0));
            graph.edge("dispatcher", &call(role)).edge(&call(role), &tools(role));
        } else {
            graph.edge("dispatcher", &tools(role));
        }
        let reads = if prefetch { vec![] } else { vec![TradeField::talk] };
        graph
            .node(tools(role), steps::analyst_tools(context, role, prefetch))
            .reads(&reads)
            .writes(&[TradeField::data])
            .expected(seconds(if role == Role::News { 20.0 } else { 7.0 }));
        let mut reads = reads;
        reads.push(TradeField::data);
        graph
            .node(role.name(), steps::analyst_report(context, role, prefetch))
            .reads(&reads)
            .writes(&[TradeField::said])
            .expected(seconds(12.0));
        graph.edge(&tools(role), role.name()).edge(role.name(), AGGREGATOR);
        if !optimizations.has("no_barrier") {
            for other in cast.analysts().iter().copied().filter(|o| *o != role) {
                if !prefetch {
                    graph.edge(&call(other), &tools(role));
                }
                graph.edge(&tools(other), role.name());
            }
        }
    }
    graph.node(AGGREGATOR, steps::aggregator(context)).reads(&[TradeField::said]);
    for role in cast.later_roles() {
        let node = graph
            .node(role.name(), steps::reader(context, role))
            .reads(&[TradeField::said])
            .writes(&[TradeField::said, TradeField::read])
            .expected(seconds(14.0));
        if cast.ends_round(role).is_some_and(|rounds| rounds > 1) {
            node.routes(&["again", "enough"]);
        }
    }
    join(&mut graph, context);
    if context.embedder.is_some() && context.recall.is_some() {
        graph.node("situation", steps::situation(context)).reads(&[TradeField::said]);
        graph.edge(AGGREGATOR, "situation").edge("situation", "plan");
    }
    if !optimizations.has("local_signal") {
        graph
            .node("signal", steps::reader(context, Role::Signal))
            .reads(&[TradeField::said])
            .writes(&[TradeField::said, TradeField::read])
            .expected(seconds(1.0));
        graph.edge(cast.later_roles().last().map_or("trader", |last| last.name()), "signal");
    }
    graph.build()
}

/// Joins the roles behind the analysts: each waits for those that it must read, and rounds lead back to their beginning.
fn join(graph: &mut Builder<TradeState>, context: &RunContext) {
    let cast = &context.cast;
    let mut waits: BTreeMap<Role, Vec<Role>> = BTreeMap::new();
    for role in cast.later_roles() {
        let reads = cast.reads(role, &context.optimizations);
        waits.insert(role, reads.into_iter().filter(|read| !read.is_analyst()).collect());
    }
    // Who waits for a reader of a text waits for the text as well.
    let direct = |role: Role| {
        let all = &waits[&role];
        let covered = |of: &Role| all.iter().any(|other| other != of && waits_for(&waits, *other, *of));
        all.iter().copied().filter(|of| !covered(of)).collect::<Vec<_>>()
    };
    for role in cast.later_roles() {
        let before = direct(role);
        if before.is_empty() {
            graph.edge(AGGREGATOR, role.name());
        }
        for of in before {
            // Where a round may follow the end of one decides what comes next.
            match cast.ends_round(of).filter(|rounds| *rounds > 1) {
                Some(rounds) => {
                    graph.route(of.name(), "enough", role.name());
                    again(graph, cast, of, rounds, &direct);
                }
                None => drop(graph.edge(of.name(), role.name())),
            }
        }
    }
}

/// Whether a role speaks behind another one, as who reads whom says.
fn waits_for(waits: &BTreeMap<Role, Vec<Role>>, role: Role, of: Role) -> bool {
    waits
        .get(&role)
        .is_some_and(|before| before.iter().any(|other| *other == of || waits_for(waits, *other, of)))
}

/// A bounded way back from the end of a round to a node before those who open the next one.
fn again(
    graph: &mut Builder<TradeState>,
    cast: &Cast,
    end: Role,
    rounds: u32,
    before: &dyn Fn(Role) -> Vec<Role>,
) {
    let Some((debate, openers)) = cast.debate(end) else { return };
    let node = format!("next_{debate}");
    graph.node(&*node, step(|_: Context<TradeState>| async { Ok(Output::update(TradeUpdate::default())) }));
    let first = openers.first().and_then(|opener| before(*opener).first().copied());
    graph.edge(first.map_or(AGGREGATOR, Role::name), &node);
    graph.back(end.name(), "again", &node, rounds - 1);
    for opener in openers {
        graph.edge(&node, opener.name());
    }
}

/// The join of the analysts.
const AGGREGATOR: &str = "aggregator";

/// Usual durations of the recorded runs; they only order nodes that wait for a place.
fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}
