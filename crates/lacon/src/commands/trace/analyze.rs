//! `lacon trace analyze`.

use std::process::ExitCode;

use lacon_monitor::{analyze::analyze, render};

use super::traces;
use crate::{
    args::trace::AnalyzeArgs,
    failure::{self, Failure},
    text,
};

/// Analyzes each trace of each file.
pub fn run(args: &AnalyzeArgs) -> Result<ExitCode, Failure> {
    let mut found = Vec::new();
    for file in &args.files {
        found.extend(traces(file)?.iter().map(analyze));
    }
    if args.json {
        let json = match found.as_slice() {
            [one] => serde_json::to_string_pretty(one),
            many => serde_json::to_string_pretty(&serde_json::json!({"schema_version": 1, "traces": many})),
        };
        text::out(&json.map_err(|e| Failure::input(format!("cannot write the analysis: {e}")))?);
    } else {
        for (i, analysis) in found.iter().enumerate() {
            if i > 0 {
                text::out("\n────────\n");
            }
            text::out(&render::analysis(analysis));
        }
    }
    let failed = args.gate && found.iter().any(|a| a.content.verdict == Some(false));
    Ok(if failed { ExitCode::from(failure::GATE) } else { ExitCode::SUCCESS })
}
