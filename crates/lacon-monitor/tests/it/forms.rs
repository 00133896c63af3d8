//! The forms that are read, each with its own spelling of the same things.

use crate::support::analyze;
use lacon_monitor::trace::{Form, Kind, Trace, read};
use serde_json::{Value, json};

use crate::support::{Plan, runs};

fn one(value: &Value) -> Trace {
    let mut traces = read(value.to_string().as_bytes()).unwrap();
    assert_eq!(traces.len(), 1);
    traces.remove(0)
}

#[test]
fn langsmith_lists_lines_and_trees_are_the_same_run() {
    let list = runs(&Plan::default());
    let from_list = one(&json!(list));
    let lines = list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let from_lines = read(lines.as_bytes()).unwrap().remove(0);
    // The tree: children inside their parents, without links.
    let children = |parent: &str| -> Vec<Value> {
        list.iter().filter(|r| r["parent_run_id"] == parent).cloned().collect()
    };
    let mut root = list[0].clone();
    root["child_runs"] = children("root")
        .into_iter()
        .map(|mut node| {
            let id = node["id"].as_str().unwrap().to_owned();
            node["child_runs"] = children(&id)
                .into_iter()
                .map(|mut c| {
                    c.as_object_mut().unwrap().remove("parent_run_id");
                    c
                })
                .collect();
            node
        })
        .collect();
    let from_tree = one(&root);
    for trace in [&from_list, &from_lines, &from_tree] {
        assert_eq!(trace.form, Form::Langsmith);
        assert!(trace.problems.is_empty(), "{:?}", trace.problems);
        assert_eq!(trace.spans.len(), list.len() - 1);
        assert_eq!(trace.wall_s, from_list.wall_s);
        assert_eq!(trace.tokens, from_list.tokens);
        assert_eq!(trace.inputs["company_of_interest"], "ACME");
    }
    let analysis = analyze(&from_list);
    assert!(analysis.content.passed, "{:?}", analysis.content);
    assert_eq!(analysis.models, ["gpt-4o-2024-08-06"]);
    let bull = analysis.calls.iter().find(|c| c.node == "bull_researcher").unwrap();
    assert!(
        (bull.tokens_per_s.unwrap() - 50.0).abs() < 0.1 && (bull.first_token_s.unwrap() - 1.0).abs() < 1e-3
    );
}

#[test]
fn dotted_order_alone_rebuilds_the_tree() {
    let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    let run = |n: u32, name: &str, order: &[u32], from: f64, to: f64| {
        let dotted: Vec<String> =
            order.iter().map(|o| format!("20250801T10000{o}000000Z{}", id(*o))).collect();
        json!({"id": id(n), "name": name, "run_type": "chain", "dotted_order": dotted.join("."), "start_time": 1_754_000_000.0 + from, "end_time": 1_754_000_000.0 + to})
    };
    let trace = one(&json!([
        run(1, "root", &[1], 0.0, 9.0),
        run(2, "a", &[1, 2], 0.0, 4.0),
        run(3, "inner", &[1, 2, 3], 1.0, 2.0),
        run(4, "b", &[1, 4], 4.0, 9.0)
    ]));
    let inner = trace.spans.iter().find(|s| s.name == "inner").unwrap();
    assert_eq!(trace.spans[inner.parent.unwrap()].name, "a");
    assert_eq!(trace.nodes().count(), 2);
}

fn otlp(names: &[(&str, &str)]) -> Value {
    let name =
        |ours: &str| names.iter().find(|(o, _)| *o == ours).map_or(ours.to_owned(), |(_, n)| (*n).to_owned());
    let attributes = |pairs: &[(&str, Value)]| -> Value {
        pairs
            .iter()
            .map(|(k, v)| {
                let value = match v {
                    Value::String(s) => json!({"stringValue": s}),
                    other => json!({"intValue": other.to_string()}),
                };
                json!({"key": name(k), "value": value})
            })
            .collect()
    };
    let span = |id: &str, parent: &str, title: &str, from: u64, to: u64, pairs: &[(&str, Value)]| {
        json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": id, "parentSpanId": parent, "name": title,
            "startTimeUnixNano": (1_754_000_000_000_000_000 + from * 1_000_000_000).to_string(),
            "endTimeUnixNano": (1_754_000_000_000_000_000 + to * 1_000_000_000).to_string(), "attributes": attributes(pairs),
            "status": {}})
    };
    json!({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "x"}, "spans": [
        span("a000000000000001", "", "invoke_workflow", 0, 10, &[("gen_ai.operation.name", json!("invoke_workflow"))]),
        span("a000000000000002", "a000000000000001", "invoke_agent market", 0, 4, &[("gen_ai.operation.name", json!("invoke_agent")), ("gen_ai.agent.name", json!("market"))]),
        span("a000000000000003", "a000000000000002", "chat gpt-4o", 0, 4, &[("gen_ai.operation.name", json!("chat")), ("gen_ai.provider.name", json!("openai")),
            ("gen_ai.request.model", json!("gpt-4o")), ("gen_ai.usage.input_tokens", json!(1000)), ("gen_ai.usage.output_tokens", json!(200))]),
        span("a000000000000004", "a000000000000001", "invoke_agent plan", 4, 10, &[("gen_ai.operation.name", json!("invoke_agent")), ("gen_ai.agent.name", json!("plan"))]),
        span("a000000000000005", "a000000000000004", "execute_tool get_news", 5, 6, &[("gen_ai.operation.name", json!("execute_tool")), ("gen_ai.tool.name", json!("get_news"))]),
    ]}]}]})
}

#[test]
fn otlp_with_names_of_any_age() {
    let old = [
        ("gen_ai.provider.name", "gen_ai.system"),
        ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    ];
    for names in [&[][..], &old[..]] {
        let trace = one(&otlp(names));
        assert_eq!(trace.form, Form::Otlp);
        assert_eq!((trace.tokens.prompt, trace.tokens.completion), (Some(1000), Some(200)));
        assert_eq!(trace.wall_s, 10.0);
        let nodes: Vec<&str> = trace.nodes().map(|(_, s)| s.name.as_str()).collect();
        assert_eq!(nodes, ["market", "plan"]);
        let kinds: Vec<Kind> = trace.spans.iter().filter(|s| s.parent.is_some()).map(|s| s.kind).collect();
        assert_eq!(kinds, [Kind::Model, Kind::Tool]);
        assert_eq!(analyze(&trace).parts.tool_s, 1.0);
    }
}

#[test]
fn langfuse_traces_and_observations() {
    let observation = |id: &str, parent: Value, kind: &str, name: &str, from: &str, to: &str| {
        json!({"id": id, "traceId": "t", "type": kind, "name": name, "parentObservationId": parent,
            "startTime": format!("2025-08-01T10:00:{from}Z"), "endTime": format!("2025-08-01T10:00:{to}Z")})
    };
    let mut call = observation("3", json!("2"), "GENERATION", "llm", "00.000", "04.000");
    call["model"] = json!("gpt-4o");
    call["completionStartTime"] = json!("2025-08-01T10:00:01.000Z");
    call["usageDetails"] = json!({"input": 900, "output": 100, "input_cached_tokens": 100, "total": 1100});
    let list = json!([
        observation("1", Value::Null, "SPAN", "run", "00.000", "09.000"),
        observation("2", json!("1"), "SPAN", "market", "00.000", "04.000"),
        call,
        observation("4", json!("1"), "SPAN", "plan", "04.000", "09.000")
    ]);
    let whole = json!({"id": "t", "name": "run", "input": {"ticker": "ACME"}, "observations": list});
    for (value, ticker) in [(whole, true), (json!({"data": list}), false)] {
        let trace = one(&value);
        assert_eq!(trace.form, Form::Langfuse);
        assert_eq!(
            (trace.tokens.prompt, trace.tokens.cached, trace.tokens.completion),
            (Some(1000), Some(100), Some(100))
        );
        assert_eq!(trace.inputs.contains_key("ticker"), ticker);
        let call = trace.spans.iter().find(|s| s.kind == Kind::Model).unwrap();
        assert_eq!(call.first_token_s, Some(1.0));
    }
}

#[test]
fn a_journal_is_a_run_also_while_it_goes_on() {
    let line = |value: &Value| format!("0123abcd {value}\n");
    let call = |role: &str, start: f64, end: f64| {
        line(
            &json!({"kind": "call", "answer": {"text": "A long answer."}, "fact": {"micro_usd": 30, "call": {
            "role": role, "model": "gpt-4o-mini", "prompt": 80, "cached": 0, "completion": 32, "reasoning": null,
            "start_s": start, "first_token_s": start + 0.5, "end_s": end, "status": "ok"}}}),
        )
    };
    let run = line(
        &json!({"kind": "run", "about": {"kind": "team", "team": "research", "inputs": {"topic": "roofs"}}}),
    );
    let node = |name: &str, inputs: &[&str], start: f64, end: f64| {
        line(
            &json!({"kind": "node", "fact": {"node": name, "visit": 1, "start_s": start, "end_s": end, "inputs": inputs,
            "error": null}}),
        )
    };
    let tool = line(
        &json!({"kind": "tool", "text": "Passage 1", "fact": {"tool": {"name": "search", "role": "reader",
        "args": {"query": "roofs"}, "start_s": 1.0, "end_s": 1.5, "status": "ok"}}}),
    );
    let text =
        [run, call("planner", 0.0, 1.0), node("planner", &[], 0.0, 1.0), tool, call("reader", 1.5, 3.0)]
            .concat();
    let trace = read(text.as_bytes()).unwrap().remove(0);
    assert_eq!((trace.form, trace.name.as_str(), trace.wall_s), (Form::Journal, "research", 3.0));
    assert_eq!(trace.inputs["topic"], "roofs");
    let sum = analyze(&trace).summary;
    assert_eq!((sum.n_calls, sum.n_tool_calls, sum.tokens.sum()), (2, 1, Some(224)));
    // The reader has not ended: its node is as long as what is known of it, and open.
    let reader = trace.spans.iter().find(|s| s.kind == Kind::Node && s.name == "reader").unwrap();
    assert_eq!((reader.start_s, reader.end_s, reader.ended), (1.0, 3.0, false));
    // No node has ended yet: none of the open ones is taken for the run.
    let early =
        read(text.lines().take(3).filter(|l| !l.contains("node")).collect::<Vec<_>>().join("\n").as_bytes());
    assert_eq!(early.unwrap()[0].name, "research");
    // The process was killed inside of a line.
    let cut = read(&text.as_bytes()[..text.len() - 40]).unwrap().remove(0);
    assert_eq!(analyze(&cut).summary.n_calls, 1);
    assert_eq!(cut.problems[0].code, "broken_line");
}
