//! `lacon explain`: why a run decided as it did, where its figures come from, and what would change it.

use std::{path::Path, process::ExitCode};

use lacon_monitor::{
    RunRecord,
    evidence::{Evidence, Found},
};
use lacon_trading::{Action, Role, signal, sources};
use serde_json::json;

use super::{
    Common,
    runs::{self, Needs},
};
use crate::{args::many::ExplainArgs, failure::Failure, text};

/// A role's stated view.
struct View {
    role: Role,
    action: Action,
    confidence: Option<f64>,
}

/// Prints decision, views, figures with their sources, and what would change it.
pub fn run(common: &Common, args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let config = common.settings(&[("run.out", args.out.as_ref())])?;
    let folder = runs::find(Path::new(config.text("run.out")), &args.run, None, Needs::Record)?;
    let path = folder.join("run.json");
    if folder.join("result.md").is_file() {
        return Err(Failure::input(format!(
            "{}: a run of a team, whose decision rests on no market data\nhint: lacon report {} shows it",
            path.display(),
            folder.display()
        )));
    }
    let record: RunRecord = std::fs::read(&path)
        .map_err(|e| e.to_string())
        .and_then(|text| serde_json::from_slice(&text).map_err(|e| e.to_string()))
        .map_err(|e| {
            Failure::input(format!(
                "{}: {e}\nhint: an interrupted run has no record; continue it with lacon run --resume",
                path.display()
            ))
        })?;
    let texts: Vec<(Role, String)> = record
        .reports
        .iter()
        // An own analyst is known by its file alone, which may be gone by now.
        .map(|r| r.role.parse().unwrap_or_else(|_| Role::own(&r.role, &r.role)))
        .filter_map(|role| Some((role, std::fs::read_to_string(folder.join(role.path())).ok()?)))
        .collect();
    let views: Vec<View> = texts
        .iter()
        .filter(|(role, _)| !role.is_analyst())
        .filter_map(|(role, text)| {
            let found = signal::parse(text)?;
            Some(View { role: *role, action: found.action, confidence: found.confidence })
        })
        .collect();
    let (sources, _) = sources::of_run(&folder, &record);
    let decider = record.decision.source.clone().unwrap_or_default();
    let decided = texts.iter().find(|(role, _)| role.name() == decider).map_or("", |(_, text)| text.as_str());
    let reports: Vec<&(Role, String)> = texts.iter().filter(|(role, _)| role.is_analyst()).collect();
    let bodies: Vec<&str> = reports.iter().map(|(_, text)| text.as_str()).collect();
    let stated = Evidence::of(&bodies, "").trace(decided, |_| false);
    let marks = sources.marks(&decider, decided);
    // Both read the same text, so they hold the same figures.
    let figures: Vec<_> = marks
        .iter()
        .zip(stated)
        .filter(|(mark, _)| mark.found != Found::Unchecked)
        .map(|(mark, (_, stated))| {
            let report = match stated {
                Found::Shown(i) => Some(reports[i].0),
                _ => None,
            };
            let row = match mark.found {
                Found::Shown(i) => Some(&sources.rows[i]),
                _ => None,
            };
            let computed = mark.found == Found::Computed;
            (
                &decided[mark.start..mark.unit_end],
                report,
                row.map(|row| format!("{} {}", row.tool, row.asked)),
                computed,
            )
        })
        .collect();
    let against: Vec<&View> = views
        .iter()
        .filter(|v| Some(v.action) != Action::of_run(&record) && v.role.name() != decider)
        .collect();
    let traced = figures.iter().filter(|(_, _, tool, _)| tool.is_some()).count();
    if args.json {
        let view =
            |v: &View| json!({ "role": v.role.name(), "action": v.action, "confidence": v.confidence });
        let figures: Vec<_> = figures
            .iter()
            .map(|(figure, report, tool, computed)| {
                json!({ "figure": figure, "report": report.map(Role::name), "tool": tool, "computed": computed })
            })
            .collect();
        let report = json!({
            "schema_version": 1, "run_id": record.run_id, "ticker": record.label("ticker"), "date": record.date(), "decision": record.decision,
            "views": views.iter().map(view).collect::<Vec<_>>(), "against": against.iter().map(|v| view(v)).collect::<Vec<_>>(),
            "figures": figures, "traced": traced, "simulated": record.llm.simulated,
        });
        text::out(&format!("{report:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    if record.llm.simulated {
        text::out("SIMULATED language model");
    }
    let confidence =
        record.decision.confidence.map(|c| format!(", confidence {:.0} %", c * 100.0)).unwrap_or_default();
    text::out(&format!(
        "{} on {}: {} by {decider}{confidence}",
        record.label("ticker"),
        record.date(),
        record.decision.word()
    ));
    record.decision.reasons.iter().for_each(|reason| text::out(&format!("  - {reason}")));
    text::out("\nwho said what");
    for view in &views {
        let confidence =
            view.confidence.map(|c| format!("  confidence {:.0} %", c * 100.0)).unwrap_or_default();
        text::out(&format!("  {:<13} {:<4}{confidence}", view.role.name(), view.action.as_str()));
    }
    text::out(&format!("\nfigures of the decision: {traced} of {} traced to a tool's answer", figures.len()));
    for (figure, report, tool, computed) in figures.iter().take(20) {
        let report = report.map_or("no report", Role::name);
        let nowhere = if *computed { "the difference of two figures beside it" } else { "no tool's answer" };
        text::out(&format!("  {figure:<14} {report:<13} {}", tool.as_deref().unwrap_or(nowhere)));
    }
    text::out("\nwhat would change it");
    if against.is_empty() {
        text::out(&format!("  no role argued against {}", record.decision.word()));
    }
    for view in against {
        text::out(&format!(
            "  {} if {} prevailed ({})",
            view.action.as_str(),
            view.role,
            folder.join(view.role.path()).display()
        ));
    }
    let lost = record.grade.reasons.iter().map(|r| format!("  weak: {}: {}", r.code, r.evidence));
    lost.for_each(|line| text::out(&line));
    Ok(ExitCode::SUCCESS)
}
