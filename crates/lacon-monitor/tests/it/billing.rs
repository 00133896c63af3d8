//! Calls of imported traces are billed by their model's own row: cached reads, and cache writes by their time to live.

use lacon_monitor::{trace, whatif};
use serde_json::{Value, json};

use crate::support::analyze;

/// USD at list prices of a trace of one call.
fn bill(document: &Value) -> Option<f64> {
    let read = trace::read(document.to_string().as_bytes()).expect("a trace");
    analyze(&read[0]).summary.cost_list_usd
}

fn span(attributes: &Value) -> Value {
    let attributes: Vec<Value> = attributes
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => json!({"key": key, "value": {"stringValue": text}}),
            number => json!({"key": key, "value": {"intValue": number.to_string()}}),
        })
        .collect();
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "a1", "spanId": "b1", "name": "chat", "attributes": attributes,
        "startTimeUnixNano": "1764500000000000000", "endTimeUnixNano": "1764500002000000000"}]}]}]})
}

#[test]
fn writes_and_cached_reads_of_imported_calls_are_billed() {
    let anthropic = json!({"input_tokens": 1000, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 7000,
        "cache_creation": {"ephemeral_5m_input_tokens": 3000, "ephemeral_1h_input_tokens": 4000}, "output_tokens": 100});
    // 5, 0.5, 6.25, 10 and 25 USD for a million: input, cached, written, written for an hour, answer.
    let all = f64::from(5 * 1000 + 1000 + 6250 * 3 + 10 * 4000 + 25 * 100) / 1e6;
    // Without the division by time to live, a write is one of five minutes.
    let short = f64::from(5 * 1000 + 1000 + 6250 * 7 + 25 * 100) / 1e6;
    let langsmith = |usage: Value| {
        json!({"id": "r1", "trace_id": "r1", "dotted_order": "x", "name": "ChatAnthropic", "run_type": "llm", "status": "success",
            "start_time": "2026-11-30T10:00:00", "end_time": "2026-11-30T10:00:02",
            "extra": {"metadata": {"ls_model_name": "claude-opus-4-7"}},
            "outputs": {"generations": [[{"text": "a", "message": {"kwargs": {"content": "a", "usage_metadata": usage}}}]]}})
    };
    for (document, expected) in [
        (
            langsmith(
                json!({"input_tokens": 10_000, "output_tokens": 100, "total_tokens": 10_100, "input_token_details":
                {"cache_read": 2000, "cache_creation": 0, "ephemeral_5m_input_tokens": 3000, "ephemeral_1h_input_tokens": 4000}}),
            ),
            all,
        ),
        (
            langsmith(
                json!({"input_tokens": 10_000, "output_tokens": 100, "total_tokens": 10_100, "input_token_details":
                {"cache_read": 2000, "cache_creation": 7000}}),
            ),
            short,
        ),
        (
            span(&json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-opus-4-7",
                "gen_ai.usage.input_tokens": 10_000, "gen_ai.usage.output_tokens": 100,
                "gen_ai.usage.cache_read.input_tokens": 2000, "gen_ai.usage.cache_creation.input_tokens": 7000})),
            short,
        ),
        (
            json!({"type": "assistant", "sessionId": "s1", "uuid": "u1", "timestamp": "2026-11-30T10:00:02Z", "message":
                {"id": "m1", "model": "claude-opus-4-7", "role": "assistant", "content": [{"type": "text", "text": "a"}],
                 "usage": anthropic}}),
            all,
        ),
    ] {
        let found = bill(&document).unwrap_or_default();
        assert!((found - expected).abs() < 1.5e-6, "{found}, not {expected}: {document}");
    }
    // OpenAI from 5.6 on: writes cost 1.25 times the input.
    let openai = json!({"at": "2026-11-30T10:00:02Z", "route": "chat", "status": 200, "overhead_us": 90, "waited_us": 900,
        "took_us": 1900, "model": "gpt-5.6-sol", "usage": {"input": 1000, "cached": 2000, "cache_write": 3000, "output": 100}});
    let expected = (4.0 * 1000.0 + 0.4 * 2000.0 + 5.0 * 3000.0 + 20.0 * 100.0) / 1e6;
    let found = bill(&openai).unwrap_or_default();
    assert!((found - expected).abs() < 1.5e-6, "{found}, not {expected}");
}

#[test]
fn what_an_edit_saves_is_said_in_money() {
    let document = span(&json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-opus-4-7",
        "gen_ai.usage.input_tokens": 10_000, "gen_ai.usage.output_tokens": 1000,
        "gen_ai.usage.cache_read.input_tokens": 2000, "gen_ai.usage.cache_creation.input_tokens": 7000}));
    let trace = trace::read(document.to_string().as_bytes()).unwrap().remove(0);
    let worth = priced(&trace, &["answer=0.5x", "price=gpt-5.6-sol"]);
    let before = 0.005 + 0.001 + 0.04375 + 0.025;
    near(worth.before_usd, before);
    near(worth.edits[0].saves_usd, 0.0125);
    // 4, 0.4, 5 and 20 USD for a million.
    near(worth.edits[1].saves_usd, before - (0.004 + 0.0008 + 0.035 + 0.02));
    near(worth.after_usd, 0.004 + 0.0008 + 0.035 + 0.01);
}

/// Storage is billed by the hour, once for contents that several calls read.
#[test]
fn keeping_cached_contents_costs_by_the_hour() {
    let read = |cached: u64| {
        span(&json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gemini-2.5-pro",
            "gen_ai.usage.input_tokens": 100_000, "gen_ai.usage.output_tokens": 1000,
            "gen_ai.usage.cache_read.input_tokens": cached}))
    };
    let mut document = read(90_000);
    let mut second = read(80_000)["resourceSpans"][0]["scopeSpans"][0]["spans"][0].clone();
    second["spanId"] = json!("b2");
    document["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array_mut().unwrap().push(second);
    let trace = trace::read(document.to_string().as_bytes()).unwrap().remove(0);
    let worth = priced(&trace, &["keep=2", "price=claude-opus-4-7"]);
    // 4.5 USD for a million tokens an hour.
    near(worth.edits[0].saves_usd, -4.5 * 0.09 * 2.0);
    assert_eq!(worth.edits[0].touches, 1);
    let without = priced(&trace, &["price=claude-opus-4-7"]);
    near(worth.after_usd, without.after_usd.unwrap());
}

fn near(found: Option<f64>, expected: f64) {
    assert!(found.is_some_and(|found| (found - expected).abs() < 3e-6), "{found:?}, not {expected}");
}

fn priced(trace: &trace::Trace, edits: &[&str]) -> whatif::WhatIf {
    let edits: Vec<_> = edits.iter().map(|edit| whatif::parse(edit).unwrap()).collect();
    let model = whatif::CallModel {
        first_token_s: 0.5,
        prompt_s_per_1k: 0.01,
        tokens_per_s: 50.0,
        residuals: [0.5, 0.6, 0.7, 0.9, 1.0, 1.2, 1.5, 1.8, 2.5],
    };
    let profiles = [("typical".to_owned(), (model, model))].into();
    let latency =
        whatif::Latency { profiles, profile: "typical".into(), source: whatif::Source::BuiltIn, tools: None };
    whatif::what_if(trace, &edits, &latency, &whatif::Options { draws: 20, seed: 1 })
}
