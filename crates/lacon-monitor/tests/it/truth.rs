//! A true run, told in every form that is read: by one to three instrumentations, with missing parents, other services and
//! clocks that differ. The same figures must come back from each.

use crate::support::{analyze, compare};
use lacon_monitor::{
    analyze::Analysis,
    compare::CauseKind,
    trace::{Trace, read},
    whatif,
};
use proptest::prelude::*;

use crate::telling::{Call, FORMS, Micros, Run, TOOLS, Told, claude, codex, nodes};

fn runs() -> impl Strategy<Value = Run> {
    let tool = (0..TOOLS.len(), 50_000..4_000_000_u64);
    let call = (
        60_000..400_000_u64,
        150_000..9_000_000_u64,
        100..40_000_u64,
        0.0..1.0_f64,
        1..3_000_u64,
        prop::collection::vec(tool, 0..3),
    );
    prop::collection::vec(call, 1..6).prop_map(|parts| {
        let mut at = 0;
        let mut calls = Vec::new();
        for (i, (gap, took, prompt, share, completion, tools)) in parts.into_iter().enumerate() {
            let start = at + gap;
            let end = start + took;
            // Two requests of one run differ, if in nothing else in their prompts.
            let prompt = prompt + i as u64;
            let tools: Vec<(usize, Micros, Micros)> =
                tools.into_iter().map(|(name, took)| (name, end + 60_000, end + 60_000 + took)).collect();
            at = tools.iter().map(|t| t.2).max().unwrap_or(end);
            calls.push(Call {
                start,
                end,
                prompt,
                cached: (prompt as f64 * share) as u64,
                completion,
                tools,
            });
        }
        Run { calls, end: at + 100_000 }
    })
}

fn tellings() -> impl Strategy<Value = Told> {
    (1..4_usize, any::<bool>(), any::<bool>(), any::<bool>(), prop::option::of(-400..400_i64)).prop_map(
        |(nested, beside, missing, summed, served)| Told {
            nested,
            beside: beside && nested < 3,
            missing,
            summed,
            served,
        },
    )
}

fn one(text: &str) -> (Trace, Analysis) {
    let mut traces = read(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(traces.len(), 1, "{text}");
    let trace = traces.remove(0);
    let analysis = analyze(&trace);
    (trace, analysis)
}

/// Counts and tokens, which every form keeps.
fn same_figures(name: &str, run: &Run, found: &Analysis) {
    let s = &found.summary;
    let sum = |of: fn(&Call) -> u64| run.calls.iter().map(of).sum::<u64>();
    let tools = run.calls.iter().map(|c| c.tools.len()).sum::<usize>();
    let expected = (
        run.calls.len(),
        tools,
        Some(sum(|c| c.prompt)),
        Some(sum(|c| c.cached)),
        Some(sum(|c| c.completion)),
    );
    let got = (s.n_calls, s.n_tool_calls, s.tokens.prompt, s.tokens.cached, s.tokens.completion);
    assert_eq!(got, expected, "{name}: calls, tools, prompt, cached, completion; {:?}", found.problems);
    assert_eq!(s.tokens.total, Some(sum(|c| c.prompt + c.completion)), "{name}: one sum");
    let of_nodes: u64 = found.nodes.iter().filter_map(|n| n.total).sum();
    assert_eq!(Some(of_nodes), s.tokens.total, "{name}: the nodes' sum");
    for (i, tool) in TOOLS.iter().enumerate() {
        let n = run.calls.iter().flat_map(|c| &c.tools).filter(|t| t.0 == i).count();
        assert_eq!(s.tools.get(*tool).copied().unwrap_or(0), n, "{name}: {tool}");
    }
    assert!((found.parts.sum() - found.wall_s).abs() < 1e-6, "{name}: {:?} of {}", found.parts, found.wall_s);
}

/// Seconds, which forms of spans keep.
fn same_times(name: &str, run: &Run, told: &Told, found: &Analysis) {
    let seconds = |micros: u64| micros as f64 / 1e6;
    let model: f64 = run.calls.iter().map(|c| seconds(c.end - c.start)).sum();
    let tools: f64 =
        run.calls.iter().filter_map(|c| c.tools.iter().map(|t| t.2 - t.1).max()).map(seconds).sum();
    // What wrappers add and what clocks cannot tell.
    let blur = 0.003 * run.calls.len() as f64 * if told.beside || told.served.is_some() { 2.0 } else { 1.0 };
    let close = |what: &str, got: f64, expected: f64| {
        assert!(
            (got - expected).abs() <= blur,
            "{name} {what}: {got}, expected {expected}; {told:?}\n{:?}\n{:?}",
            found.problems,
            found.critical_path
        );
    };
    close("wall", found.wall_s, seconds(run.end));
    close("model", found.parts.model_s, model);
    close("tools", found.parts.tool_s, tools);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_run_has_the_same_figures_in_every_form(run in runs(), told in tellings(), dialect in 0..4_usize) {
        for (name, tell) in FORMS {
            // Only these say which instrumentation and which service a span is of.
            let all = ["otlp", "phoenix", "jaeger", "zipkin", "langfuse"].contains(&name);
            let mut told = if all { told.clone() } else { Told { beside: false, served: None, ..told.clone() } };
            // These do not say which span serves another: a single one that is late may have been left to do later.
            if ["phoenix", "langfuse"].contains(&name) && run.calls.len() == 1 && run.calls[0].tools.is_empty() {
                told.served = None;
            }
            let (trace, found) = one(&tell(&nodes(&run, &told), dialect));
            same_figures(name, &run, &found);
            same_times(name, &run, &told, &found);
            let tools: usize = run.calls.iter().map(|c| c.tools.len()).sum();
            let beside = if told.beside { run.calls.len() + tools } else { 0 };
            let further = (told.nested - 1) * run.calls.len() + beside;
            // Each node is listed once, by the name that the finer of two instrumentations gave it.
            if all && told.beside && !told.missing {
                let names: Vec<&str> = found.nodes.iter().map(|n| n.node.split('#').next().unwrap()).collect();
                prop_assert!(names.iter().all(|name| !["run.workflow", "agent.task"].contains(name)), "{}: {:?}", name, names);
                prop_assert_eq!(found.summary.n_retold as usize, run.calls.len() + 1, "{}", name);
            }
            // An agent that says a model and the sum of its calls may be taken for one more of them.
            let folded = found.summary.n_folded as usize;
            prop_assert!((further..=further + usize::from(told.summed)).contains(&folded), "{}: {} of {}", name, folded, further);
            // The replay of an unedited run takes as long as the run did, but for the blur of clocks.
            let latency = whatif::fit(std::slice::from_ref(&trace), &no_latency());
            let replayed = whatif::what_if(&trace, &[], &latency, &whatif::Options { draws: 1, seed: 1 });
            prop_assert!((replayed.before.replayed_s - trace.wall_s).abs() < 5e-3, "{}: {} of {}", name, replayed.before.replayed_s, trace.wall_s);
        }
        for (name, text) in [("claude", claude(&run)), ("codex", codex(&run))] {
            let (_, found) = one(&text);
            same_figures(name, &run, &found);
        }
    }

    /// The tasks of the second instrumentation lie inside the nodes of the first: its span of the whole run is empty.
    #[test]
    fn an_empty_span_of_the_whole_run_is_no_node(run in runs(), dialect in 0..4_usize) {
        prop_assume!(run.calls.len() > 1);
        let told = Told { nested: 1, beside: true, missing: false, summed: false, served: None };
        let mut all = nodes(&run, &told);
        let mut step = None;
        for node in &mut all {
            match node.name.as_str() {
                "step" => step = Some(node.id.clone()),
                "agent.task" => node.parent.clone_from(&step),
                _ => {}
            }
        }
        for (name, tell) in FORMS.iter().filter(|(name, _)| ["otlp", "phoenix", "jaeger", "zipkin", "langfuse"].contains(name)) {
            let (_, found) = one(&tell(&all, dialect));
            same_figures(name, &run, &found);
            same_times(name, &run, &told, &found);
            prop_assert!(found.nodes.iter().all(|n| n.node != "run.workflow"), "{}: {:?}", name, found.nodes);
        }
    }

    /// The critical path is all of a run, so its nodes explain all of the variance but what lies in gaps.
    #[test]
    fn nodes_explain_the_variance(all in prop::collection::vec(runs(), 3..9)) {
        let told = Told { nested: 1, beside: false, missing: false, summed: false, served: None };
        let found: Vec<Analysis> = all.iter().map(|run| one(&(FORMS[0].1)(&nodes(run, &told), 0)).1).collect();
        for group in lacon_monitor::analyze::groups(&found) {
            let walls: Vec<f64> = group.runs.iter().map(|i| found[*i].wall_s).collect();
            prop_assert!(group.slowest.len() <= 5 && found[group.slowest[0]].wall_s == walls.iter().copied().fold(0.0, f64::max));
            let explained: Vec<f64> = group.nodes.iter().filter_map(|node| node.variance).collect();
            if explained.is_empty() {
                continue;
            }
            let mean = walls.iter().sum::<f64>() / walls.len() as f64;
            let all: f64 = walls.iter().map(|wall| (wall - mean).powi(2)).sum();
            let gaps: f64 = group.runs.iter().map(|i| {
                let run = &found[*i];
                (1.0 - run.critical_path.iter().map(|step| step.share).sum::<f64>()) * run.wall_s * (run.wall_s - mean) / all
            }).sum();
            prop_assert!((explained.iter().sum::<f64>() + gaps - 1.0).abs() < 1e-6, "{:?} and gaps {}", explained, gaps);
            let n: usize = group.nodes.iter().map(|node| node.n).sum();
            prop_assert_eq!(n, group.runs.iter().map(|i| found[*i].nodes.len()).sum::<usize>());
            prop_assert!(group.nodes.iter().chain(&group.calls).all(|p| p.failed.0 <= p.failed.1 && p.p50_s <= p.p90_s));
        }
    }

    /// A tool whose result shrank is the cause, in every form and however often each request is told of.
    #[test]
    fn a_shrunken_tool_result_is_named_in_every_form(run in runs(), told in tellings(), dialect in 0..4_usize) {
        let mut big = run;
        big.calls.iter_mut().for_each(|c| { c.tools.clear(); c.cached = 0; c.prompt = c.prompt % 2000 + 1000; });
        let mut first = big.calls[0].clone();
        first.tools = vec![(0, first.end + 1000, first.end + 50_000)];
        let shift = first.end + 100_000;
        let mut second = big.calls[big.calls.len() - 1].clone();
        (second.start, second.end) = (shift, shift + 3_000_000);
        second.prompt = first.prompt + 30_000;
        let mut small = second.clone();
        small.prompt = first.prompt + 2_000;
        let told = Told { served: None, ..told };
        for (name, tell) in FORMS {
            let told = if name == "otlp" { told.clone() } else { Told { beside: false, ..told.clone() } };
            let side = |last: &Call| {
                let run = Run { calls: vec![first.clone(), last.clone()], end: last.end + 100_000 };
                one(&tell(&nodes(&run, &told), dialect)).0
            };
            let found = compare(&[side(&second)], &[side(&small)]).unwrap();
            let kinds: Vec<CauseKind> = found.causes.iter().map(|c| c.kind).collect();
            prop_assert_eq!(&kinds, &[CauseKind::ToolResults], "{}: {:?}", name, found.findings);
            prop_assert!(found.findings.iter().any(|f| f.starts_with("a tool's result shrank: search")), "{:?}", found.findings);
            let sum: i64 = found.tokens.by_cause.iter().map(|(_, t)| t).sum();
            prop_assert_eq!((sum, found.delta_tokens), (-28_000, Some(-28_000)));
        }
    }
}

/// Read on all processors, each form gives what it gives value by value.
#[test]
fn every_form_is_read_in_parts() {
    let call = |at: Micros| Call {
        start: at,
        end: at + 900_000,
        prompt: 700,
        cached: 30,
        completion: 40,
        tools: vec![(1, at + 950_000, at + 1_900_000)],
    };
    let run = Run { calls: (0..8).map(|i| call(i * 2_000_000 + 100_000)).collect(), end: 17_000_000 };
    let told = Told { nested: 2, beside: false, missing: true, summed: true, served: Some(30) };
    for (_, tell) in FORMS {
        crate::parts::check(tell(&nodes(&run, &told), 0).as_bytes());
    }
    crate::parts::check(claude(&run).as_bytes());
    crate::parts::check(codex(&run).as_bytes());
}

fn no_latency() -> whatif::Latency {
    whatif::Latency {
        profiles: std::collections::BTreeMap::new(),
        profile: String::new(),
        tools: None,
        source: whatif::Source::BuiltIn,
    }
}
