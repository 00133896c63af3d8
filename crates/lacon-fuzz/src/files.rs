//! Files written by people or other programs: TOML of teams, agents and settings; traces.

use lacon_agents::file;
use lacon_monitor::{
    analyze::analyze,
    compare::compare,
    render,
    trace::{Trace, read_in_parts},
};
use lacon_runtime::Config;
use lacon_trading::{agents, traces::SCORERS};

/// Any text of a team, an agents file or settings is read or refused with a reason; what is read keeps its limits.
pub fn toml(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match file::parse("fuzz.toml", &text) {
        Ok(team) => assert!(team.agents.iter().all(|agent| !agent.name.is_empty())),
        Err(faults) => assert!(!faults.0.is_empty()),
    }
    match agents::parse(&text) {
        Ok(agents) => assert!(agents.agents.iter().all(|a| !a.readers.is_empty() && !a.name.is_empty())),
        Err(reason) => assert!(!reason.is_empty()),
    }
    if let Err(error) = Config::from_parts(Some(("fuzz.toml", &text)), &[], &[]) {
        assert!(!error.to_string().is_empty());
    }
}

/// Any file is a trace or an error; read in parts or value by value it is the same one, and all that is said of it ends.
pub fn traces(data: &[u8]) {
    let told = |traces: &[Trace]| {
        traces.iter().map(|t| serde_json::to_string(t).expect("a trace is JSON types")).collect::<Vec<_>>()
    };
    let one_by_one = read_in_parts(data, 1);
    for n in [2, 5] {
        match (&one_by_one, read_in_parts(data, n)) {
            (Ok(a), Ok(b)) => assert_eq!(told(a), told(&b)),
            (a, b) => assert_eq!(a.is_err(), b.is_err()),
        }
    }
    let Ok(traces) = one_by_one else { return };
    for trace in &traces {
        let analysis = analyze(trace, SCORERS);
        assert!(analysis.critical_path.len() <= trace.spans.len());
        assert!(!render::analysis(&analysis).is_empty());
    }
    let _ = compare(&traces, &traces, SCORERS);
}
