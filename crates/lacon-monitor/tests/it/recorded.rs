//! The two recorded runs, of 106 s and of 215 s: every figure that must be said about them.

use crate::support::{analyze, compare};
use lacon_monitor::{
    compare::{CauseKind, TimeCause, TokenCause},
    trace::{Trace, read},
};

use crate::support::workload;

fn both() -> Option<(Trace, Trace)> {
    let folder = workload()?.join("langsmith");
    let load = |name: &str| read(&std::fs::read(folder.join(name)).ok()?).ok()?.pop();
    Some((load("crcl_106s.json")?, load("fig_215s.json")?))
}

#[test]
fn the_origins_figures_are_reproduced() {
    let Some(folder) = workload() else { return };
    for name in ["crcl_106s.json", "fig_215s.json"] {
        let bytes = std::fs::read(folder.join("langsmith").join(name)).unwrap();
        let file: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let expected = &file["analysis"];
        let origin = analyze(&read(&bytes).unwrap()[0]).origin;
        let close = |found: f64, path: &str| {
            let expected = expected.pointer(path).unwrap().as_f64().unwrap();
            assert!(
                (found - expected).abs() < 1e-6 * expected.abs().max(1.0),
                "{name} {path}: {found}, {expected}"
            );
        };
        close(origin.duration_seconds, "/summary/duration_seconds");
        close(origin.total_runs as f64, "/summary/total_runs");
        close(origin.total_tokens as f64, "/performance_metrics/total_tokens");
        close(origin.prompt_tokens as f64, "/performance_metrics/prompt_tokens");
        close(origin.completion_tokens as f64, "/performance_metrics/completion_tokens");
        close(origin.token_efficiency, "/performance_metrics/token_efficiency");
        close(origin.success_rate, "/performance_metrics/success_rate");
        close(origin.successful_runs as f64, "/performance_metrics/successful_runs");
        close(origin.avg_run_duration, "/performance_metrics/avg_run_duration");
        close(origin.min_run_duration, "/performance_metrics/min_run_duration");
        close(origin.max_run_duration, "/performance_metrics/max_run_duration");
        close(origin.total_run_time, "/performance_metrics/total_run_time");
        close(origin.tokens_per_second, "/token_analysis/tokens_per_second");
        close(origin.total_tokens_vs_target, "/token_analysis/target_comparison/total_tokens_vs_target");
        close(origin.runtime_vs_target, "/token_analysis/target_comparison/runtime_vs_target");
        close(origin.quality_score, "/quality_metrics/quality_score");
        assert_eq!(origin.efficiency_rating, expected["token_analysis"]["efficiency_rating"]);
        assert_eq!(origin.quality_grade, expected["quality_metrics"]["quality_grade"]);
        assert_eq!(origin.quality_grade, "A+");
        let listed: Vec<(&str, &str, &str, &str)> = origin
            .recommendations
            .iter()
            .map(|r| (r.priority, r.issue.as_str(), r.recommendation, r.details.as_str()))
            .collect();
        let recorded: Vec<(&str, &str, &str, &str)> = expected["recommendations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| {
                let text = |k: &str| r[k].as_str().unwrap();
                (text("priority"), text("issue"), text("recommendation"), text("details"))
            })
            .collect();
        assert_eq!(listed, recorded);
    }
}

#[test]
fn the_slow_run_fails_by_content() {
    let Some((crcl, fig)) = both() else { return };
    let fig = analyze(&fig);
    assert!(!fig.content.passed && fig.content.letter == "F");
    let codes: Vec<&str> = fig.content.reasons.iter().map(|r| r.code.as_str()).collect();
    assert_eq!(codes[0], "report_empty");
    assert!(
        fig.content.reasons[0].evidence.starts_with("market_report is empty"),
        "{:?}",
        fig.content.reasons[0]
    );
    assert!(
        codes.contains(&"no_data") && codes.contains(&"not_read") && codes.contains(&"not_ready"),
        "{codes:?}"
    );
    let crcl = analyze(&crcl);
    assert!(crcl.content.passed, "{:?}", crcl.content);
    assert!(crcl.content.reasons.iter().any(|r| r.code == "not_read"));
    assert!((crcl.barrier.worth_s - 7.3).abs() < 0.2, "{}", crcl.barrier.worth_s);
    assert!((fig.barrier.worth_s - 2.0).abs() < 0.3, "{}", fig.barrier.worth_s);
    for analysis in [&crcl, &fig] {
        let serial: Vec<(&str, usize)> =
            analysis.serial.iter().map(|s| (s.node.as_str(), s.n_calls)).collect();
        assert_eq!(serial, [("research_manager", 2)]);
        assert!((analysis.parts.sum() - analysis.wall_s).abs() < 0.01);
    }
}

#[test]
fn the_pair_is_explained() {
    let Some((crcl, fig)) = both() else { return };
    let found = compare(&[crcl], &[fig]).unwrap();
    assert!((found.delta_s - 108.75).abs() < 0.01);
    assert_eq!(found.delta_tokens, Some(-7686));
    assert!(found.time.deciding_model_s / found.delta_s >= 0.98, "{}", found.time.deciding_model_s);
    let manager = found.time.nodes.iter().find(|n| n.node == "research_manager").unwrap();
    assert!((manager.delta_s - 59.4).abs() < 0.1);
    let local = found.time.of(TimeCause::LocalCpu) + found.time.of(TimeCause::Gaps);
    assert!((local / found.delta_s).abs() < 0.01);
    let sum: f64 = found.time.by_cause.iter().map(|(_, s)| s).sum();
    assert!((sum - found.delta_s).abs() < 1e-6);
    let vanished = &found.tokens.vanished[0];
    assert_eq!((vanished.text.as_str(), vanished.missing_in, vanished.prompts), ("market_report", "B", 7));
    assert!(vanished.explains as f64 / found.delta_tokens.unwrap() as f64 >= 0.85, "{}", vanished.explains);
    let sum: i64 = found.tokens.by_cause.iter().map(|(_, t)| t).sum();
    assert_eq!(Some(sum), found.delta_tokens);
    assert_eq!(found.tokens.of(TokenCause::Unexplained), 0);
    assert!(
        found.causes.iter().any(|c| c.kind == CauseKind::Model
            && c.evidence.contains("gpt-4o-mini-2024-07-18 → gpt-4o-2024-08-06"))
    );
    assert!(found.confounded);
    assert!(found.findings.iter().any(|f| f.starts_with("confounded: model, input")), "{:?}", found.findings);
}

/// Barrier waste of the other recorded runs, as it was worked out by hand from their spans.
#[test]
fn barriers_of_other_recorded_runs() {
    let Some(folder) = workload() else { return };
    let Ok(bytes) = std::fs::read(folder.join("traces.json")) else { return };
    let file: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for (ticker, wall, saved) in [("AVGO", 69.9, 18.2), ("UNH", 68.7, 22.0), ("HOOD", 50.9, 10.3)] {
        let best = file["traces"].as_array().unwrap().iter().filter(|t| t["ticker"] == ticker && t["status"] == "success").find_map(|t| {
            let runs: Vec<serde_json::Value> = t["nodes"].as_array()?.iter().enumerate().map(|(i, n)| {
                let start = 1_754_000_000.0 + n["start"].as_f64().unwrap_or(0.0);
                serde_json::json!({"id": format!("n{i}"), "trace_id": "t", "parent_run_id": "t", "name": n["name"], "run_type": "chain",
                    "start_time": start, "end_time": start + n["dur"].as_f64().unwrap_or(0.0), "total_tokens": n["tokens"], "status": "success"})
            }).collect();
            let mut all = vec![serde_json::json!({"id": "t", "name": "trading", "run_type": "chain", "start_time": 1_754_000_000.0,
                "end_time": 1_754_000_000.0 + t["duration"].as_f64()?, "status": "success"})];
            all.extend(runs);
            let analysis = analyze(&read(&serde_json::to_vec(&all).unwrap()).unwrap()[0]);
            let stage = analysis.nodes.iter().find(|n| n.node == "aggregator")?.start_s;
            ((stage - wall).abs() < 0.5).then_some(analysis.barrier.worth_s)
        });
        match best {
            Some(worth) => assert!((worth - saved).abs() < 0.5, "{ticker}: {worth}, by hand {saved}"),
            None => eprintln!("skipped: no recorded run of {ticker} with an analyst stage of {wall} s"),
        }
    }
}
