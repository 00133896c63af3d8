//! Where a LangGraph run's time went: `cargo run -p lacon-monitor --example analyze_a_langgraph_trace [FILE]`.
//!
//! The file is what LangSmith's API gives, or any other form that `lacon trace` reads.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use lacon_monitor::{analyze::analyze, trace::read};

/// Two searches side by side, then a writer who waits for both and reads one.
const RUNS: &str = r#"[
{"id": "r", "trace_id": "r", "name": "LangGraph", "run_type": "chain", "start_time": "2026-11-30T10:00:00.000Z", "end_time": "2026-11-30T10:00:09.000Z"},
{"id": "n1", "trace_id": "r", "parent_run_id": "r", "name": "news", "run_type": "chain", "start_time": "2026-11-30T10:00:00.010Z", "end_time": "2026-11-30T10:00:02.000Z", "extra": {"metadata": {"langgraph_node": "news", "langgraph_step": 1}}},
{"id": "c1", "trace_id": "r", "parent_run_id": "n1", "name": "ChatOpenAI", "run_type": "llm", "start_time": "2026-11-30T10:00:00.020Z", "end_time": "2026-11-30T10:00:01.990Z", "extra": {"metadata": {"ls_model_name": "gpt-4o-mini"}}, "prompt_tokens": 900, "completion_tokens": 120},
{"id": "n2", "trace_id": "r", "parent_run_id": "r", "name": "filings", "run_type": "chain", "start_time": "2026-11-30T10:00:00.010Z", "end_time": "2026-11-30T10:00:06.000Z", "extra": {"metadata": {"langgraph_node": "filings", "langgraph_step": 1}}},
{"id": "c2", "trace_id": "r", "parent_run_id": "n2", "name": "ChatOpenAI", "run_type": "llm", "start_time": "2026-11-30T10:00:00.030Z", "end_time": "2026-11-30T10:00:05.980Z", "extra": {"metadata": {"ls_model_name": "gpt-4o-mini"}}, "prompt_tokens": 7400, "completion_tokens": 380},
{"id": "n3", "trace_id": "r", "parent_run_id": "r", "name": "writer", "run_type": "chain", "start_time": "2026-11-30T10:00:06.010Z", "end_time": "2026-11-30T10:00:08.990Z", "extra": {"metadata": {"langgraph_node": "writer", "langgraph_step": 2}}},
{"id": "c3", "trace_id": "r", "parent_run_id": "n3", "name": "ChatOpenAI", "run_type": "llm", "start_time": "2026-11-30T10:00:06.020Z", "end_time": "2026-11-30T10:00:08.980Z", "extra": {"metadata": {"ls_model_name": "gpt-4o-mini"}}, "prompt_tokens": 640, "completion_tokens": 210}
]"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bytes = std::env::args().nth(1).map_or_else(|| Ok(RUNS.into()), std::fs::read)?;
    for trace in read(&bytes)? {
        let found = analyze(&trace, &[]);
        println!("{}: {:.2} s, {:?} tokens", found.title, found.wall_s, found.summary.tokens.sum());
        for step in &found.critical_path {
            println!("  {:<10} {:>4.0} % of the run", step.node, step.share * 100.0);
        }
        for node in &found.nodes {
            println!("  {:<10} {:>6.2} s", node.node, node.seconds);
        }
        found.advice.iter().for_each(|advice| println!("  advice: {}", advice.what));
    }
    Ok(())
}
