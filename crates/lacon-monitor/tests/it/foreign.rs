//! Runs that other tools recorded: what a span is, what is judged, and forms that only some tools write.

use crate::support::analyze;
use lacon_monitor::{
    analyze::Analysis,
    render,
    trace::{Form, Kind, Trace, read},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use serde_json::{Value, json};

fn one(text: &str) -> (Trace, Analysis) {
    let mut traces = read(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(traces.len(), 1);
    let trace = traces.remove(0);
    let analysis = analyze(&trace);
    assert!(
        (analysis.parts.sum() - analysis.wall_s).abs() < 1e-6,
        "{:?} of {}",
        analysis.parts,
        analysis.wall_s
    );
    (trace, analysis)
}

/// A span with times in seconds and attributes as an object.
fn span(id: &str, parent: &str, name: &str, at: (f64, f64), attributes: Value) -> Value {
    let nanos = |s: f64| format!("{}", 1_790_000_000_000_000_000_u64 + (s * 1e9) as u64);
    json!({"traceId": "t", "spanId": id, "parentSpanId": parent, "name": name, "startTimeUnixNano": nanos(at.0),
        "endTimeUnixNano": nanos(at.1), "attributes": attributes})
}

fn spans(list: &[Value]) -> (Trace, Analysis) {
    one(&json!(list).to_string())
}

fn usage(prompt: u64, completion: u64) -> Value {
    json!({"gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": prompt, "gen_ai.usage.output_tokens": completion})
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
}

/// The kind of each of these spans beside a root.
#[test]
fn a_span_is_what_it_holds() {
    for (attributes, expected) in [
        (usage(10, 5), Kind::Model),
        (
            json!({"gen_ai.request.model": "m", "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "x"}),
            Kind::Model,
        ),
        (json!({"llm": {"model_name": "m", "token_count": {"prompt": 3}}}), Kind::Model),
        (
            json!({"ai.operationId": "ai.generateText.doGenerate", "ai.model.id": "m", "ai.usage.promptTokens": 3}),
            Kind::Model,
        ),
        (json!({"mlflow.spanType": "\"CHAT_MODEL\""}), Kind::Model),
        (json!({"gen_ai.request.model": "m"}), Kind::Node),
        (json!({"gen_ai.tool.name": "almanac"}), Kind::Tool),
        (json!({"ai.operationId": "ai.toolCall", "ai.toolCall.name": "almanac"}), Kind::Tool),
        (json!({"openinference.span.kind": "TOOL", "tool.name": "almanac"}), Kind::Tool),
        (json!({"traceloop.span.kind": "tool", "traceloop.entity.name": "almanac"}), Kind::Tool),
        (json!({"http.method": "POST"}), Kind::Node),
    ] {
        let root = span("r", "", "run", (0.0, 5.0), json!({}));
        let (trace, _) = spans(&[root, span("x", "r", "x", (1.0, 4.0), attributes.clone())]);
        assert_eq!(trace.spans[0].kind, expected, "{attributes}");
    }
    // A run that is one call.
    let (trace, found) = spans(&[span("r", "", "chat", (0.0, 2.0), usage(34, 19))]);
    assert_eq!((found.summary.n_calls, found.summary.tokens.total), (1, Some(53)));
    close(found.parts.model_s, 2.0);
    assert!(trace.problems.is_empty(), "{:?}", trace.problems);
    // An agent with its usage and no call inside.
    let mut agent = usage(100, 20);
    agent["gen_ai.operation.name"] = json!("invoke_agent");
    let (_, found) =
        spans(&[span("r", "", "run", (0.0, 5.0), json!({})), span("a", "r", "agent", (0.0, 4.0), agent)]);
    assert_eq!((found.summary.n_calls, found.summary.tokens.total), (1, Some(120)));
}

#[test]
fn spans_of_one_request_are_one_call() {
    // A wrapper with two steps holds their sum.
    let (_, found) = spans(&[
        span("w", "", "ai.generateText", (0.0, 9.0), usage(300, 30)),
        span("a", "w", "doGenerate", (0.0, 4.0), usage(100, 10)),
        span("b", "w", "doGenerate", (5.0, 9.0), usage(200, 20)),
    ]);
    assert_eq!(
        (found.summary.n_calls, found.summary.tokens.total, found.summary.n_folded),
        (2, Some(330), 1)
    );
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    // A wrapper that says another sum is named.
    let (_, found) = spans(&[
        span("w", "", "ai.generateText", (0.0, 9.0), usage(900, 30)),
        span("a", "w", "doGenerate", (0.0, 8.0), usage(100, 10)),
    ]);
    assert_eq!(found.summary.tokens.total, Some(110));
    assert!(found.problems.iter().any(|p| p.code == "tokens_differ"), "{:?}", found.problems);
    // The request inside ended with its first byte.
    let (_, found) = spans(&[
        span("r", "", "run", (0.0, 10.0), json!({})),
        span("w", "r", "ai.streamText", (0.0, 10.0), usage(100, 500)),
        span("a", "w", "openai.chat", (0.0, 1.0), usage(100, 500)),
    ]);
    close(found.parts.model_s, 10.0);
    // Calls that run beside each other are as many calls as they are.
    let (_, found) = spans(&[
        span("r", "", "run", (0.0, 5.0), json!({})),
        span("a", "r", "chat", (0.0, 4.0), usage(100, 1)),
        span("b", "r", "chat", (0.0, 4.0), usage(100, 1)),
    ]);
    assert_eq!((found.summary.n_calls, found.summary.n_folded), (2, 0));
    // Nor is it one call if two agents ask at the same time for the same length.
    let agent = json!({"gen_ai.operation.name": "invoke_agent"});
    let (_, found) = spans(&[
        span("r", "", "run", (0.0, 5.0), json!({})),
        span("p", "r", "bull", (0.0, 4.0), agent.clone()),
        span("q", "r", "bear", (0.0, 4.0), agent),
        span("a", "p", "ask bull", (0.0, 4.0), usage(100, 20)),
        span("b", "q", "ask bear", (0.0, 4.0), usage(100, 20)),
    ]);
    assert_eq!((found.summary.n_calls, found.summary.n_folded), (2, 0));
    // Beside each other under other names they are one.
    let (_, found) = spans(&[
        span("r", "", "run", (0.0, 5.0), json!({})),
        span("a", "r", "ChatOpenAI", (0.0, 4.0), usage(100, 20)),
        span("b", "r", "openai.chat", (0.0, 4.0), usage(100, 20)),
    ]);
    assert_eq!(
        (found.summary.n_calls, found.summary.n_folded, found.summary.tokens.total),
        (1, 1, Some(120))
    );
    close(found.parts.model_s, 4.0);
    // So are they if the one around took longer, and if the span between them is not in the file.
    for parent in ["r", "lost"] {
        let (_, found) = spans(&[
            span("r", "", "run", (0.0, 9.0), json!({})),
            span("a", "r", "ChatOpenAI", (1.0, 7.0), usage(100, 20)),
            span("b", parent, "litellm", (1.2, 6.9), usage(100, 20)),
        ]);
        assert_eq!((found.summary.n_calls, found.summary.tokens.total), (1, Some(120)), "{parent}");
    }
    // A second tree of the whole run has the times of what it tells of, and calls with a tool between them are a loop.
    let tool = json!({"gen_ai.tool.name": "search", "gen_ai.tool.call.id": "c1"});
    let (_, found) = spans(&[
        span("r", "", "run", (0.0, 10.0), json!({})),
        span("a", "r", "ChatOpenAI", (0.0, 4.0), usage(100, 20)),
        span("t", "r", "search", (4.0, 6.0), tool.clone()),
        span("b", "r", "ChatOpenAI", (6.0, 10.0), usage(200, 30)),
        span("w", "", "run.workflow", (0.0, 10.0), json!({})),
        span("v", "w", "task", (0.0, 10.0), json!({})),
        span("c", "v", "openai.chat", (0.0, 4.0), usage(100, 20)),
        span("u", "v", "search.tool", (4.0, 6.0), tool),
        span("d", "v", "openai.chat", (6.0, 10.0), usage(200, 30)),
    ]);
    assert_eq!((found.summary.n_calls, found.summary.n_tool_calls, found.summary.n_folded), (2, 1, 3));
    close(found.parts.model_s, 8.0);
    close(found.parts.tool_s, 2.0);
    assert!(found.serial.is_empty(), "{:?}", found.serial);
    // An agent that a tool starts makes calls of its own.
    let (_, found) = spans(&[
        span("a", "", "chat", (0.0, 9.0), usage(100, 10)),
        span("t", "a", "ask", (1.0, 8.0), json!({"gen_ai.tool.name": "ask"})),
        span("b", "t", "chat", (2.0, 7.0), usage(50, 5)),
    ]);
    assert_eq!((found.summary.n_calls, found.summary.tokens.total), (2, Some(165)));
    close(found.parts.tool_s, 2.0);
}

#[test]
fn time_adds_up_where_spans_do_not_nest() {
    let (trace, found) = spans(&[
        span("r", "", "handle mail", (0.0, 10.0), json!({})),
        span("d", "r", "draft reply", (0.0, 4.0), json!({})),
        span("a", "d", "chat", (1.0, 4.0), usage(5, 5)),
        span("b", "d", "chat", (5.0, 9.0), usage(5, 5)),
    ]);
    let late = trace.spans.iter().find(|s| s.id == "b").unwrap();
    close(late.start_s, 5.0);
    close(found.parts.model_s, 7.0);
    assert_eq!(found.gaps.len(), 2, "{:?}", found.gaps);
    assert!(found.nodes.iter().any(|n| n.node == "draft reply" && n.total == Some(20)));
    // An orphan, inside of a span of another service.
    let (_, found) = spans(&[
        span("r", "", "POST /plan", (0.0, 5.0), json!({})),
        span("f", "r", "forward", (0.0, 5.0), json!({})),
        span("g", "lost", "run_agent", (0.5, 4.5), json!({})),
        span("c", "g", "chat", (1.0, 4.0), usage(5, 5)),
    ]);
    close(found.parts.model_s, 3.0);
    assert_eq!(found.nodes.len(), 1, "{:?}", found.nodes);
    // Clocks that count from zero.
    let mut small = span("r", "", "chat", (0.0, 0.0), usage(1, 1));
    (small["startTimeUnixNano"], small["endTimeUnixNano"]) = (json!("1000000000"), json!("4000000000"));
    close(spans(&[small]).1.wall_s, 3.0);
}

fn langfuse(output: Value, usage: Value) -> (Trace, Analysis) {
    one(&json!({"id": "t", "name": "garden", "observations": [
        {"id": "r", "traceId": "t", "type": "AGENT", "name": "run", "startTime": "2026-05-04T08:00:00Z", "endTime": "2026-05-04T08:00:05Z"},
        {"id": "c", "traceId": "t", "type": "GENERATION", "name": "chat", "startTime": "2026-05-04T08:00:00Z",
            "endTime": "2026-05-04T08:00:05Z", "parentObservationId": "r", "model": "gpt-4o-mini", "output": output,
            "usageDetails": usage, "totalCost": 0.25, "totalUsage": usage["own"]}]})
    .to_string())
}

#[test]
fn answers_of_any_form_are_judged_or_said_not_to_be() {
    let gemini =
        json!({"content": {"parts": [{"text": "Sow the peas."}], "role": "model"}, "finish_reason": "STOP"});
    let call = json!([{"toolCallId": "c1", "toolName": "order", "input": "{}"}]);
    for (output, usage, letter) in [
        (gemini.clone(), json!({"input": 3, "output": 4}), "A+"),
        (json!(gemini.to_string()), json!({"input": 3, "output": 4}), "A+"),
        (call, json!({"input": 3, "output": 4}), "A+"),
        (json!({"score": 3}), json!({"input": 3, "output": 4}), "A+"),
        (json!(""), json!({"input": 3, "output": 0}), "B"),
        (json!(""), json!({"input": 3, "output": 400}), "-"),
        (json!("<openai.Stream object at 0x7f00>"), json!({"input": 3, "output": 4}), "-"),
        (Value::Null, json!({}), "-"),
    ] {
        let (_, found) = langfuse(output.clone(), usage);
        assert_eq!(found.content.letter, letter, "{output}: {:?}", found.content);
        let text = render::analysis(&found);
        for word in ["analyst", "report_empty", "decision", "Excellent", "FAILED", "BUY"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        assert_eq!(found.content.verdict.is_none(), letter == "-");
    }
    let text = render::analysis(&langfuse(Value::Null, json!({})).1);
    assert!(text.contains("tokens not recorded") && text.contains("not judged"), "{text}");
}

#[test]
fn usage_in_parts_agrees_or_is_named() {
    let tokens = |usage: Value| {
        let (trace, found) = langfuse(json!("x"), usage);
        let t = found.summary.tokens;
        (
            t.prompt,
            t.cached,
            t.completion,
            t.reasoning,
            t.total,
            trace.problems.iter().any(|p| p.code == "usage_differs"),
        )
    };
    let beside =
        json!({"input": 142, "input_cache_read": 8, "output": 24, "output_reasoning": 64, "total": 238});
    assert_eq!(tokens(beside), (Some(150), Some(8), Some(88), Some(64), Some(238), false));
    let within =
        json!({"input": 150, "input_cache_read": 8, "output": 88, "output_reasoning": 64, "total": 238});
    assert_eq!(tokens(within), (Some(150), Some(8), Some(88), Some(64), Some(238), false));
    let odd = json!({"input": 10, "output": 5, "total": 15, "own": 99});
    assert_eq!(tokens(odd), (Some(10), None, Some(5), None, Some(15), true));
    let (_, found) = langfuse(json!("x"), json!({"input": 1_000_000, "output": 0}));
    assert_eq!((found.summary.cost_source_usd, found.summary.cost_list_usd), (Some(0.25), Some(0.15)));
}

#[test]
fn parts_of_runs_come_together() {
    let order = "20260504T080000000000Zr";
    let post = json!({"post": [
        {"id": "r", "trace_id": "r", "name": "run", "run_type": "chain", "start_time": "2026-05-04T08:00:00", "dotted_order": order},
        {"id": "l", "trace_id": "r", "name": "ChatOpenAI", "run_type": "llm", "start_time": "2026-05-04T08:00:01",
            "dotted_order": format!("{order}.20260504T080001000000Zl")}], "patch": []});
    let patch = json!({"post": [], "patch": [
        {"id": "l", "trace_id": "r", "dotted_order": format!("{order}.20260504T080001000000Zl"), "end_time": "2026-05-04T08:00:04",
            "outputs": {"usage_metadata": {"input_tokens": 120, "output_tokens": 30, "total_tokens": 150}}},
        {"id": "r", "trace_id": "r", "dotted_order": order, "end_time": "2026-05-04T08:00:05"}]});
    let (trace, found) = one(&format!("{post}\n{patch}"));
    assert_eq!((trace.form, found.summary.tokens.total), (Form::Langsmith, Some(150)));
    close(found.parts.model_s, 3.0);
    assert!(trace.problems.is_empty(), "{:?}", trace.problems);
    let batch = json!({"batch": [
        {"id": "e1", "type": "trace-create", "body": {"id": "t", "name": "garden"}},
        {"id": "e2", "type": "generation-create", "body": {"id": "g", "traceId": "t", "name": "chat", "model": "m",
            "startTime": "2026-05-04T08:00:00Z"}},
        {"id": "e3", "type": "generation-update", "body": {"id": "g", "traceId": "t", "endTime": "2026-05-04T08:00:02Z",
            "output": "Peas.", "usage": {"input": 5, "output": 7, "total": 12}}}]});
    let (trace, found) = one(&batch.to_string());
    assert_eq!(
        (trace.form, found.summary.n_calls, found.summary.tokens.total),
        (Form::Langfuse, 1, Some(12))
    );
    close(found.parts.model_s, 2.0);
}

#[test]
fn an_agent_of_a_session_lies_in_the_tool_that_started_it() {
    let line = |kind: &str, second: u32, side: bool, message: Value| {
        json!({"type": kind, "uuid": format!("u{second}{side}"), "sessionId": "s", "isSidechain": side,
            "timestamp": format!("2026-05-04T08:00:{second:02}Z"), "message": message})
        .to_string()
    };
    let said = |id: &str, block: Value| {
        json!({"id": id, "model": "claude-sonnet-4", "role": "assistant", "content": [block],
            "usage": {"input_tokens": 4, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 6, "output_tokens": 10}})
    };
    let text = [
        line("user", 0, false, json!({"role": "user", "content": "Plan the beds"})),
        line("assistant", 2, false, said("a", json!({"type": "tool_use", "id": "t1", "name": "Task", "input": {"prompt": "Look"}}))),
        line("user", 2, true, json!({"role": "user", "content": "Look"})),
        line("assistant", 6, true, said("b", json!({"type": "text", "text": "Peas."}))),
        line("user", 7, false, json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "Peas."}]})),
        line("assistant", 9, false, said("c", json!({"type": "text", "text": "Sow peas."}))),
    ]
    .join("\n");
    let (trace, found) = one(&text);
    assert_eq!(
        (trace.form, found.summary.n_calls, found.summary.tokens.prompt),
        (Form::ClaudeCode, 3, Some(300))
    );
    let inner = trace.spans.iter().find(|s| s.id == "b").unwrap();
    assert_eq!(trace.spans[inner.parent.unwrap()].name, "Task");
    // Two and two seconds of the session's calls, four of the agent's, one of the tool's own.
    close(found.parts.model_s, 8.0);
    close(found.parts.tool_s, 1.0);
}

#[test]
fn protobuf_is_read_as_the_same_json_is() {
    let value = |value: any_value::Value| Some(AnyValue { value: Some(value) });
    let pair =
        |key: &str, v: any_value::Value| KeyValue { key: key.into(), value: value(v), ..KeyValue::default() };
    let span = |id: u8, parent: Vec<u8>, name: &str, from: u64, to: u64, attributes: Vec<KeyValue>| Span {
        trace_id: vec![7; 16],
        span_id: vec![id; 8],
        parent_span_id: parent,
        name: name.into(),
        start_time_unix_nano: 1_790_000_000_000_000_000 + from * 1_000_000_000,
        end_time_unix_nano: 1_790_000_000_000_000_000 + to * 1_000_000_000,
        attributes,
        ..Span::default()
    };
    let attributes = vec![
        pair("gen_ai.request.model", any_value::Value::StringValue("gpt-4o-mini".into())),
        pair("gen_ai.usage.input_tokens", any_value::Value::IntValue(120)),
        pair("gen_ai.usage.output_tokens", any_value::Value::DoubleValue(30.0)),
    ];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![
                    span(1, vec![], "run", 0, 5, vec![]),
                    span(2, vec![1; 8], "chat", 1, 4, attributes),
                ],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let bytes = request.encode_to_vec();
    let framed = [&(bytes.len() as u32).to_be_bytes(), bytes.as_slice()].concat();
    for bytes in [&bytes, &framed] {
        let traces = read(bytes).unwrap();
        let found = analyze(&traces[0]);
        assert_eq!((found.summary.n_calls, found.summary.tokens.total), (1, Some(150)));
        close(found.parts.model_s, 3.0);
    }
    // Cut anywhere, it is an error or a shorter trace.
    for n in 0..bytes.len() {
        let _ = read(&bytes[..n]);
    }
}

#[test]
fn a_trajectory_has_sums_and_no_times_of_calls() {
    let (trace, found) = one(&json!({"environment": "swe_main", "history": [], "trajectory": [
        {"action": "ls -a\n", "observation": "a b", "response": "Let me look.", "execution_time": 0.5},
        {"action": "submit", "observation": "", "response": "Done.", "execution_time": 0.1}],
        "info": {"model_stats": {"instance_cost": 0.12, "tokens_sent": 12_000, "tokens_received": 300, "api_calls": 2}}})
    .to_string());
    assert_eq!((trace.form, found.summary.n_calls, found.summary.n_tool_calls), (Form::SweAgent, 2, 2));
    assert_eq!((found.summary.tokens.total, found.summary.cost_source_usd), (Some(12_300), Some(0.12)));
    assert!(trace.problems.iter().any(|p| p.code == "no_times"));
}

#[test]
fn receipts_of_a_proxy_are_calls_until_their_answers_began() {
    let line = |at: u32, status: u32, model: Option<&str>| {
        json!({"schema_version": 1, "at": format!("2026-11-30T10:00:{at:02}Z"), "route": "chat", "status": status,
            "overhead_us": 2_000, "waited_us": 1_498_000, "model": model, "unchanged": null})
        .to_string()
    };
    let text = [line(10, 200, Some("gpt-5-mini")), line(12, 429, Some("gpt-5-mini")), line(13, 200, None)]
        .join("\n");
    let (trace, found) = one(&text);
    assert_eq!((trace.form, found.summary.n_calls, found.summary.tokens.total), (Form::Receipts, 2, None));
    close(trace.wall_s, 4.5);
    let failed: Vec<_> = trace.spans.iter().filter_map(|span| span.error.as_deref()).collect();
    assert_eq!(failed, ["status 429"]);
    assert!(trace.problems.iter().any(|p| p.code == "no_usage"));
    // A large file is read in parts; no request of one part is taken for one of another.
    let large = vec![line(10, 200, Some("gpt-5-mini")); 3_000].join("\n");
    let (_, found) = one(&large);
    assert_eq!(found.summary.n_calls, 3_000);
}

#[test]
fn forms_that_are_not_read_are_named_with_a_way() {
    for (bytes, name) in [
        (&b"PAR1\x15\x04"[..], "Parquet"),
        (b"SQLite format 3\0xyz", "SQLite"),
        (b"PK\x03\x04zip", "zip"),
        (br#"{"traceEvents": [{"ph": "X", "ts": 1}]}"#, "Chrome"),
        (br#"{"resourceLogs": []}"#, "logs"),
        (br#"[{"op_name": "x", "started_at": "2026-05-04T08:00:00Z", "trace_id": "t"}]"#, "Weave"),
        (br#"[{"role": "user", "content": "Which peas?"}]"#, "conversation"),
        (b"id,trace_id,name,start_time\n1,2,3,4\n", "CSV"),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("hint:"), "{name}: {error}");
    }
}
