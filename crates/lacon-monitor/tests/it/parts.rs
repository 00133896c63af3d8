//! Files read in parts at the same time give what the reader that takes one value after the other gives.

use crate::support::analyze;
use lacon_monitor::trace::{Trace, read_in_parts};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Plan, runs};

/// Everything that a trace holds, and everything that is said about it.
fn told(traces: &[Trace]) -> String {
    let hidden = |t: &Trace| -> Vec<Value> {
        t.spans
            .iter()
            .map(|s| json!([s.attributes, s.wrote.iter().map(|w| &w.start).collect::<Vec<_>>()]))
            .collect()
    };
    let all: Vec<Value> = traces.iter().map(|t| json!([t, t.attributes, hidden(t), analyze(t)])).collect();
    json!(all).to_string()
}

/// The same by the oracle and in parts of any number.
pub fn check(bytes: &[u8]) {
    let expected = read_in_parts(bytes, 1).map(|t| told(&t));
    for n in [2, 3, 7, 40] {
        let found = read_in_parts(bytes, n).map(|t| told(&t));
        let (Ok(found), Ok(expected)) = (&found, &expected) else {
            assert_eq!(found, expected, "in {n} parts");
            continue;
        };
        let at = found.bytes().zip(expected.bytes()).position(|(a, b)| a != b);
        let at = at.unwrap_or(found.len().min(expected.len()));
        let around = |text: &str| {
            String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(80)..])
                .chars()
                .take(160)
                .collect::<String>()
        };
        assert!(found == expected, "in {n} parts\n{}\none by one\n{}", around(found), around(expected));
    }
}

/// The runs of a plan, twice as long with each step, so that parts end between and inside nodes.
fn many(n: usize) -> Vec<Value> {
    let mut all = Vec::new();
    for i in 0..n {
        for mut run in runs(&Plan { jitter: i as u64, ..Plan::default() }) {
            for key in ["id", "trace_id", "parent_run_id"] {
                if let Some(id) = run[key].as_str() {
                    run[key] = json!(format!("{i}-{id}"));
                }
            }
            all.push(run);
        }
    }
    all
}

fn own(runs: &[Value]) -> Vec<Value> {
    let at = |run: &Value, key: &str| {
        let text = run[key].as_str().unwrap();
        let (minutes, seconds) = text.split_once("T10:").unwrap().1.split_once(':').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    runs.iter()
        .map(|r| {
            json!({"attributes": {"gen_ai.agent.name": r["name"], "gen_ai.usage.output_tokens": r["outputs"]["usage_metadata"]["output_tokens"],
                "lacon.status": "done", "gen_ai.output.messages": r["outputs"].to_string()},
                "trace_id": r["trace_id"], "span_id": r["id"], "parent_span_id": r["parent_run_id"], "name": r["name"],
                "start_s": at(r, "start_time"), "end_s": at(r, "end_time")})
        })
        .collect()
}

fn otlp(runs: &[Value], resources: &str, scopes: &str) -> Value {
    let spans: Vec<Value> = runs
        .iter()
        .map(|r| {
            json!({"traceId": r["trace_id"], "spanId": r["id"], "parentSpanId": r["parent_run_id"].as_str().unwrap_or(""),
                "name": r["name"], "startTimeUnixNano": r["start_time"], "endTimeUnixNano": r["end_time"],
                "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": if r["run_type"] == "llm" { "chat" } else { "invoke_agent" }}},
                    {"key": "input.value", "value": {"stringValue": r["inputs"].to_string()}},
                    {"key": "output.value", "value": {"stringValue": r["outputs"].to_string()}}]})
        })
        .collect();
    let (a, b) = spans.split_at(spans.len() / 3);
    json!({resources: [{"resource": {}, scopes: [{"spans": a}, {"spans": []}]}, {scopes: [{"spans": b}, 7]}, null]})
}

fn langfuse(runs: &[Value]) -> Value {
    let observations: Vec<Value> = runs
        .iter()
        .map(|r| {
            json!({"id": r["id"], "parentObservationId": r["parent_run_id"], "name": r["name"],
                "type": if r["run_type"] == "llm" { "GENERATION" } else { "SPAN" }, "startTime": r["start_time"],
                "endTime": r["end_time"], "input": r["inputs"], "output": r["outputs"].to_string()})
        })
        .collect();
    json!({"id": "t", "name": "trading", "input": {"ticker": "ACME"}, "observations": observations})
}

fn tree(all: &[Value]) -> Value {
    fn put(all: &[Value], run: &Value) -> Value {
        let mut run = run.clone();
        let children: Vec<Value> =
            all.iter().filter(|r| r["parent_run_id"] == run["id"]).map(|r| put(all, r)).collect();
        run["child_runs"] = json!(children);
        run["child_runs_total"] = json!(99);
        run
    }
    put(all, &all[0])
}

fn by_line(values: &[Value]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// One file of each form and spelling.
fn files() -> Vec<String> {
    let (one, several) = (runs(&Plan::default()), many(3));
    let observations = langfuse(&one)["observations"].clone();
    let pretty = |value: &Value| format!("\u{feff}{value:#}\n");
    vec![
        by_line(&several),
        json!(several).to_string(),
        pretty(&json!({"runs": several})),
        json!([tree(&one), tree(&one)]).to_string(),
        tree(&one).to_string(),
        pretty(&tree(&one)),
        by_line(&[tree(&several), several[1].clone()]),
        by_line(&own(&one)),
        by_line(&own(&several)),
        json!(own(&several)).to_string(),
        otlp(&one, "resourceSpans", "scopeSpans").to_string(),
        pretty(&otlp(&several, "resource_spans", "instrumentationLibrarySpans")),
        by_line(&several.chunks(5).map(|c| otlp(c, "batches", "scope_spans")).collect::<Vec<_>>()),
        json!({"data": otlp(&one, "resourceSpans", "scopeSpans")}).to_string(),
        langfuse(&one).to_string(),
        json!({"data": langfuse(&one)}).to_string(),
        json!({"data": observations}).to_string(),
        by_line(observations.as_array().unwrap()),
        json!([langfuse(&one), langfuse(&several)]).to_string(),
        json!([langfuse(&one), {"id": 4}, 7, otlp(&one, "resourceSpans", "scopeSpans")]).to_string(),
        json!({"trace_data": tree(&one)}).to_string(),
        json!([{"trace_data": tree(&one)}, one[0]]).to_string(),
    ]
}

#[test]
fn every_form_is_read_the_same() {
    for file in files() {
        check(file.as_bytes());
    }
}

/// Cuts that seem to lie between two elements and do not, and lists that end otherwise than they should.
#[test]
fn lists_are_cut_between_elements_only() {
    let mut all = many(2);
    for (i, run) in all.iter_mut().enumerate() {
        // Begins as an element does, in a list and in a text.
        let first = run.as_object().unwrap().keys().next().unwrap().clone();
        run["inputs"] = json!({"inner": [1, {first.clone(): "x"}, {first.clone(): i}],
            "text": format!("a, {{\"{first}\": 1}},{{\"{first}\":2")});
        run["outputs"] = json!("é".repeat(i * 7 % 40));
    }
    let (tight, loose) = (json!(all).to_string(), serde_json::to_string_pretty(&all).unwrap());
    for list in [&tight, &loose] {
        check(list.as_bytes());
        let open = &list[..list.len() - 1];
        for file in [
            open.to_owned(),
            format!("{open},]"),
            format!("{list} x"),
            format!("{list}]"),
            format!("\u{c}{list}"),
        ] {
            check(file.as_bytes());
        }
        check(list.replace("},", "}\u{c},").as_bytes());
        check(list.replace("},", "}").as_bytes());
        check(list.replacen("},", "},7,", 9).as_bytes());
    }
}

#[test]
fn broken_lines_keep_their_numbers() {
    let mut lines: Vec<String> = own(&many(2)).iter().map(ToString::to_string).collect();
    let n = lines.len();
    lines[n / 2].truncate(30);
    lines[n / 3] = format!("{}{}", lines[n / 3], lines[n / 3 + 1]);
    lines[n - 2] = format!("{{\"span_id\": \"cut{}", lines[n - 2]);
    lines.insert(4, String::new());
    lines.push("7".into());
    check(lines.join("\n").as_bytes());
    check(lines.join("\r\n").as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Bytes changed, the end cut off, parts of two files run together.
    #[test]
    fn damaged_files_are_read_the_same(
        which in 0usize..22, other in 0usize..22, cut in 0.5f64..1.5,
        at in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..4),
    ) {
        let files = files();
        let mut bytes = files[which].clone().into_bytes();
        if cut > 1.3 {
            bytes.push(b'\n');
            bytes.extend(files[other].bytes());
        }
        for (place, byte) in at {
            let i = (place * bytes.len() as f64) as usize % bytes.len();
            bytes[i] = byte;
        }
        bytes.truncate((bytes.len() as f64 * cut.min(1.0)) as usize);
        check(&bytes);
    }
}
