//! Files that are cut off, mixed up or wrong: a partial analysis with its problems listed, never a crash.

use crate::support::{analyze, compare};
use lacon_monitor::{
    render,
    trace::{Trace, read},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Plan, runs};

fn codes(trace: &Trace) -> Vec<&'static str> {
    trace.problems.iter().map(|p| p.code).collect()
}

fn line(id: &str, parent: Option<&str>, name: &str, start: f64, end: f64) -> Value {
    json!({"trace_id": "t", "span_id": id, "parent_span_id": parent, "name": name, "start_s": start, "end_s": end, "attributes": {}})
}

fn lines(values: &[Value]) -> Trace {
    let text: Vec<String> = values.iter().map(ToString::to_string).collect();
    read(text.join("\n").as_bytes()).unwrap().remove(0)
}

#[test]
fn a_file_cut_anywhere_gives_what_it_holds() {
    let whole = json!(runs(&Plan::default())).to_string();
    for share in [0.3, 0.6, 0.9, 0.999] {
        let cut = &whole[..(whole.len() as f64 * share) as usize];
        let trace = read(cut.as_bytes()).unwrap().remove(0);
        assert!(codes(&trace).contains(&"file_cut_off"), "{:?}", trace.problems);
        assert!(!trace.spans.is_empty());
        assert!(render::analysis(&analyze(&trace)).contains("PROBLEMS OF THE FILE"));
    }
}

#[test]
fn two_runs_in_one_file_are_two_traces() {
    let mut mixed = Vec::new();
    for (a, b) in runs(&Plan::default()).into_iter().zip(runs(&Plan { ticker: "OTHER", ..Plan::default() })) {
        let mut b = b;
        for key in ["id", "trace_id", "parent_run_id"] {
            if let Some(id) = b[key].as_str() {
                b[key] = json!(format!("second-{id}"));
            }
        }
        mixed.extend([a, b]);
    }
    let text: Vec<String> = mixed.iter().map(ToString::to_string).collect();
    let traces = read(text.join("\n").as_bytes()).unwrap();
    assert_eq!(traces.len(), 2);
    let tickers: Vec<&str> = traces.iter().map(|t| t.inputs["company_of_interest"].as_str()).collect();
    assert_eq!(tickers, ["ACME", "OTHER"]);
    assert_eq!(traces[0].spans.len(), traces[1].spans.len());
    assert!(codes(&traces[0]).contains(&"several_traces"));
}

#[test]
fn clocks_that_disagree_are_set_right() {
    let trace = lines(&[
        line("r", None, "run", 0.0, 10.0),
        line("a", Some("r"), "a", 0.0, 4.0),
        line("c", Some("a"), "inner", 104.0, 106.0),
        line("d", Some("c"), "deep", 104.5, 105.0),
        line("b", Some("r"), "b", 4.0, 10.0),
    ]);
    assert_eq!(codes(&trace), ["clock_skew"]);
    let inner = trace.spans.iter().find(|s| s.name == "inner").unwrap();
    assert!(inner.start_s >= 0.0 && inner.end_s <= 4.0 + 1e-9);
    let deep = trace.spans.iter().find(|s| s.name == "deep").unwrap();
    assert!((deep.start_s - inner.start_s - 0.5).abs() < 1e-9, "what hangs on it moves with it");
    assert_eq!(trace.wall_s, 10.0);
}

#[test]
fn missing_parents_ends_and_times() {
    let mut open = line("b", Some("r"), "b", 4.0, 0.0);
    open["end_s"] = Value::Null;
    let mut backwards = line("c", Some("r"), "c", 6.0, 5.0);
    backwards["surprise"] = json!({"deep": [1, 2, 3]});
    let trace = lines(&[
        line("r", None, "run", 0.0, 10.0),
        line("a", Some("nobody"), "orphan", 1.0, 2.0),
        open,
        backwards,
        line("a", Some("nobody"), "orphan", 1.0, 2.5),
        json!({"span_id": "x", "start_s": "soon", "name": 7}),
        json!(42),
    ]);
    let found = codes(&trace);
    for code in ["parent_missing", "no_end", "ends_before_it_starts", "span_twice"] {
        assert!(found.contains(&code), "{code} in {found:?}");
    }
    assert!(trace.spans.iter().any(|s| s.name == "orphan" && s.end_s == 2.5));
    analyze(&trace);
}

#[test]
fn parents_in_a_circle_end() {
    let trace = lines(&[
        line("a", Some("b"), "a", 0.0, 1.0),
        line("b", Some("a"), "b", 0.0, 1.0),
        line("c", Some("c"), "c", 0.0, 1.0),
    ]);
    assert!(codes(&trace).contains(&"parents_in_a_circle"));
    analyze(&trace);
}

#[test]
fn what_is_no_trace_says_so() {
    for text in ["", "hello", "{}", "[]", "[1, 2]", "<html>no</html>", "{\"resourceSpans\": 4}", "\u{0}\u{1}"]
    {
        let problem = read(text.as_bytes());
        if let Ok(traces) = &problem {
            traces.iter().for_each(|t| {
                analyze(t);
            });
        }
    }
    assert!(read(b"hello").unwrap_err().to_string().contains("hint:"));
}

/// 100,000 spans under 200 nodes, and as many nodes side by side.
#[test]
fn large_traces_are_read() {
    let mut text = line("r", None, "run", 0.0, 2000.0).to_string();
    for i in 0..200 {
        let at = f64::from(i) * 10.0;
        text.push('\n');
        text.push_str(&line(&format!("n{i}"), Some("r"), &format!("node{i}"), at, at + 10.0).to_string());
        for j in 0..100 {
            let start = at + f64::from(j) / 10.0;
            text.push('\n');
            text.push_str(
                &line(&format!("c{i}-{j}"), Some(&format!("n{i}")), "call", start, start + 0.1).to_string(),
            );
        }
    }
    let trace = read(text.as_bytes()).unwrap().remove(0);
    assert_eq!(trace.spans.len(), 20_200);
    assert_eq!(analyze(&trace).critical_path.len(), 200);
    let flat: Vec<Value> =
        std::iter::once(line("r", None, "run", 0.0, 50.0))
            .chain((0..20_000).map(|i| {
                line(&format!("n{i}"), Some("r"), "leaf", f64::from(i % 40), f64::from(i % 40) + 1.0)
            }))
            .collect();
    let trace = lines(&flat);
    analyze(&trace);
    compare(std::slice::from_ref(&trace), std::slice::from_ref(&trace)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }

    /// A real file with bytes changed.
    #[test]
    fn broken_files_do_not_panic(at in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..8)) {
        let mut bytes = json!(runs(&Plan::default())).to_string().into_bytes();
        for (place, byte) in at {
            let i = (place * bytes.len() as f64) as usize % bytes.len();
            bytes[i] = byte;
        }
        if let Ok(traces) = read(&bytes) {
            for trace in &traces {
                render::analysis(&analyze(trace));
            }
            compare(&traces, &traces).unwrap();
        }
    }
}
