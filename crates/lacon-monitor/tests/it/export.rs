//! What is sent to others: checked against the published definitions and against our own readers.

use lacon_monitor::{
    export,
    metrics::Metrics,
    names::Conventions,
    trace::{Form, Kind, read},
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;

use crate::support::{Plan, twin};

/// A workflow is named by another attribute since GenAI v0.1.0; both are read, and its name is no agent's.
#[test]
fn a_workflow_is_named_as_its_release_does_and_read_from_both() {
    let trace = twin(&Plan::default());
    let mut back = Vec::new();
    for (conventions, key, other) in [
        (Conventions::Published, "gen_ai.workflow.name", "gen_ai.agent.name"),
        (Conventions::Latest, "gen_ai.agent.name", "gen_ai.workflow.name"),
    ] {
        let json = export::otlp_json(&trace, "test", conventions);
        let root = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"];
        let keys: Vec<&str> =
            root.as_array().unwrap().iter().filter_map(|pair| pair["key"].as_str()).collect();
        assert!(keys.contains(&key) && !keys.contains(&other), "{keys:?}");
        let read = read(json.to_string().as_bytes()).unwrap().remove(0);
        back.push(read.spans.iter().map(|s| (s.kind, s.name.clone(), s.role.clone())).collect::<Vec<_>>());
    }
    assert_eq!(back[0], back[1]);
}

/// So are the tokens that a call writes to the provider's cache.
#[test]
fn written_tokens_are_named_as_their_release_does() {
    let mut trace = twin(&Plan::default());
    let call = trace.spans.iter_mut().find(|span| span.kind == Kind::Model).unwrap();
    call.tokens.cache_write = Some(700);
    for (conventions, key, other) in [
        (Conventions::Published, "cache_creation", "cache_write"),
        (Conventions::Latest, "cache_write", "cache_creation"),
    ] {
        let json = export::otlp_json(&trace, "test", conventions);
        let named = |word: &str| json.to_string().contains(&format!("gen_ai.usage.{word}.input_tokens"));
        assert!(named(key) && !named(other), "{key}");
        let read = read(json.to_string().as_bytes()).unwrap().remove(0);
        assert!(read.spans.iter().any(|span| span.tokens.cache_write == Some(700)), "{key}");
    }
}

#[test]
fn otlp_json_and_protobuf_are_the_published_message() {
    let trace = twin(&Plan::default());
    let json = export::otlp_json(&trace, "test", Conventions::default());
    let from_json: ExportTraceServiceRequest = serde_json::from_value(json.clone()).unwrap();
    let from_proto = ExportTraceServiceRequest::decode(
        export::otlp_proto(&trace, "test", Conventions::default()).as_slice(),
    )
    .unwrap();
    for request in [&from_json, &from_proto] {
        let scope = &request.resource_spans[0].scope_spans[0];
        assert_eq!(scope.spans.len(), trace.spans.len() + 1);
        let root = &scope.spans[0];
        assert!(root.parent_span_id.is_empty() && root.trace_id.len() == 16 && root.span_id.len() == 8);
        assert!(scope.spans[1..].iter().all(|s| s.parent_span_id.len() == 8 && s.trace_id == root.trace_id));
        assert!(scope.spans.iter().all(|s| s.end_time_unix_nano >= s.start_time_unix_nano));
        let calls: Vec<_> = scope.spans.iter().filter(|s| s.kind == 3).collect();
        assert_eq!(calls.len(), trace.spans.iter().filter(|s| s.kind == Kind::Model).count());
        let keys: Vec<&str> = calls[0].attributes.iter().map(|a| a.key.as_str()).collect();
        for key in [
            "gen_ai.operation.name",
            "gen_ai.provider.name",
            "gen_ai.request.model",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
        ] {
            assert!(keys.contains(&key), "{key} in {keys:?}");
        }
    }
    assert_eq!(from_json, from_proto);
    // And it is read back as the same run.
    let back = read(json.to_string().as_bytes()).unwrap().remove(0);
    assert_eq!(back.form, Form::Otlp);
    assert_eq!((back.tokens.prompt, back.tokens.completion), (trace.tokens.prompt, trace.tokens.completion));
    assert!((back.wall_s - trace.wall_s).abs() < 1e-3);
}

#[test]
fn chrome_slices_nest_on_their_lanes() {
    let trace = twin(&Plan::default());
    let chrome = export::chrome(&trace);
    let events = chrome["traceEvents"].as_array().unwrap();
    let slices: Vec<(u64, f64, f64)> = events
        .iter()
        .filter(|e| e["ph"] == "X")
        .map(|e| {
            let start = e["ts"].as_f64().unwrap();
            (e["tid"].as_u64().unwrap(), start, start + e["dur"].as_f64().unwrap())
        })
        .collect();
    assert!(slices.len() > trace.spans.len());
    for a in &slices {
        for b in slices.iter().filter(|b| b.0 == a.0 && b.1 < a.2 && b.1 > a.1) {
            assert!(b.2 <= a.2 + 2.0, "{a:?} and {b:?} cross on one lane");
        }
    }
    assert!(events.iter().any(|e| e["ph"] == "C") && events.iter().any(|e| e["ph"] == "s"));
}

#[test]
fn langsmith_runs_keep_their_invariants() {
    let trace = twin(&Plan::default());
    let runs = export::langsmith(&trace);
    let text = |run: &Value, key: &str| run[key].as_str().unwrap_or_default().to_owned();
    let root = text(&runs[0], "id");
    for run in &runs {
        let order = text(run, "dotted_order");
        let parts: Vec<&str> = order.split('.').map(|p| &p[p.len() - 36..]).collect();
        assert_eq!(*parts.last().unwrap(), text(run, "id"));
        assert_eq!(parts[0], text(run, "trace_id"));
        assert_eq!(text(run, "trace_id"), root);
        if parts.len() > 1 {
            assert_eq!(parts[parts.len() - 2], text(run, "parent_run_id"));
        }
        for key in ["name", "run_type", "start_time", "end_time", "status", "inputs", "outputs", "extra"] {
            assert!(!run[key].is_null(), "{key}");
        }
    }
    let call = runs.iter().find(|r| r["run_type"] == "llm").unwrap();
    assert!(call["outputs"]["usage_metadata"]["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(call["extra"]["metadata"]["ls_model_name"], "gpt-4o-2024-08-06");
    let back = read(Value::Array(runs).to_string().as_bytes()).unwrap().remove(0);
    assert!(back.problems.is_empty(), "{:?}", back.problems);
    assert_eq!(back.tokens.total, trace.tokens.total);
}

#[test]
fn prometheus_text_has_a_head_for_every_name() {
    for names in [Conventions::Published, Conventions::Latest] {
        check(&Metrics::default().prometheus("openai", names));
    }
    let text = Metrics::default().prometheus("openai", Conventions::default());
    assert!(text.contains("gen_ai_client_operation_duration_seconds_bucket{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",le=\"0.01\"} 0"));
}

/// The names of the release that `OTEL_SEMCONV_STABILITY_OPT_IN` asks for, and no others.
#[test]
fn one_release_of_the_conventions_names_everything() {
    let metrics = Metrics::default();
    metrics.input_tokens.observe(1000.0);
    metrics.output_tokens.observe(50.0);
    let of = |list: &str| {
        let text = metrics.prometheus("openai", Conventions::opted_in(list));
        let heads = text.lines().filter_map(|l| l.strip_prefix("# TYPE gen_ai_"));
        heads.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        of("http"),
        [
            "client_operation_duration_seconds histogram",
            "client_operation_time_to_first_chunk_seconds histogram",
            "client_token_usage histogram",
        ]
    );
    assert_eq!(
        of("http, gen_ai_latest_experimental"),
        [
            "client_inference_duration_seconds histogram",
            "execute_tool_duration_seconds histogram",
            "client_inference_time_to_first_chunk_seconds histogram",
            "client_inference_operation_input_tokens histogram",
            "client_inference_operation_output_tokens histogram",
            "client_inference_usage_input_tokens_total counter",
            "client_inference_usage_output_tokens_total counter",
            "client_inference_usage_cache_read_input_tokens_total counter",
            "client_inference_usage_cache_write_input_tokens_total counter",
            "client_inference_usage_reasoning_output_tokens_total counter",
        ]
    );
    let text = metrics.prometheus("openai", Conventions::Latest);
    assert!(text.contains(
        "usage_input_tokens_total{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_token_modality=\"unknown\"} 1000"
    ));
}

fn check(text: &str) {
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let base = name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count");
        assert!(text.contains(&format!("# TYPE {base} ")), "{line}");
        assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
    }
}
