//! Two grades: the origin's, which looks at run status alone, and one that looks at what the answers hold.

use crate::record::{Reason, RunRecord};

/// The origin's grade: half the share of nodes that succeeded, three tenths of the share without an error, two
/// tenths of the share that ended. Reproduced exactly, so that recorded grades can be compared; it gave A+ to a run
/// with an empty report.
pub fn origin_grade(n_nodes: usize, n_failed: usize, n_ended: usize) -> (f64, &'static str) {
    let share = |n: usize| if n_nodes == 0 { 0.0 } else { 100.0 * n as f64 / n_nodes as f64 };
    let score = 0.5 * share(n_nodes - n_failed.min(n_nodes))
        + 0.3 * (100.0 - share(n_failed))
        + 0.2 * share(n_ended.min(n_nodes));
    (score, origin_letter(score))
}

/// The origin's letter for a score.
pub fn origin_letter(score: f64) -> &'static str {
    match score {
        s if s >= 95.0 => "A+",
        s if s >= 90.0 => "A",
        s if s >= 85.0 => "B+",
        s if s >= 80.0 => "B",
        s if s >= 75.0 => "C+",
        s if s >= 70.0 => "C",
        _ => "D",
    }
}

/// What each fault costs. A missing report costs so much that nothing can make up for it.
pub mod points {
    /// Fewer points than this are not good enough.
    pub const PASS: f64 = 70.0;
    /// An analyst's report is missing or empty.
    pub const REPORT_EMPTY: f64 = 45.0;
    /// Another role's answer is missing or empty.
    pub const ANSWER_EMPTY: f64 = 15.0;
    /// A required part of an answer is missing.
    pub const SECTION_MISSING: f64 = 1.0;
    /// An answer was cut by the token limit.
    pub const ANSWER_CUT: f64 = 3.0;
    /// None of an analyst's tools gave data.
    pub const NO_DATA: f64 = 5.0;
    /// Some of an analyst's tools gave no data.
    pub const SOME_DATA_MISSING: f64 = 1.0;
    /// The date lies outside of what the data covers.
    pub const DATE_OUTSIDE_DATA: f64 = 10.0;
    /// A text did not reach its reader.
    pub const NOT_READ: f64 = 5.0;
    /// Most numbers of an answer stand in nothing that it read.
    pub const NOT_TRACEABLE: f64 = 3.0;
    /// The run said itself that it was not ready and went on.
    pub const NOT_READY: f64 = 5.0;
    /// No decision can be read.
    pub const DECISION_UNPARSED: f64 = 25.0;
    /// Another role stands in for the one that decides.
    pub const DECISION_STAND_IN: f64 = 10.0;
    /// The decision changes on its way.
    pub const DECISION_CHANGES: f64 = 2.0;
    /// The run did not come to its end.
    pub const NOT_FINISHED: f64 = 25.0;
    /// A node or call failed.
    pub const SPAN_FAILED: f64 = 5.0;
    /// Hidden reasoning was not counted.
    pub const REASONING: f64 = 2.0;
}

/// What the content-aware grade looks at besides the record itself.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Roles that must answer.
    pub expected_roles: Vec<String>,
    /// Roles that must have a report of data.
    pub analysts: Vec<String>,
    /// For each (reader, text): the share of the text's numbers that the reader's prompt held.
    pub read: Vec<(String, String, f64)>,
    /// For each analyst: the share of its report's numbers that stand in what it read.
    pub traceable: Vec<(String, f64)>,
    /// Why the data does not fit the date, where it does not.
    pub data_gap: Option<String>,
    /// Actions by role, from plan to trader, where one was found.
    pub actions: Vec<(String, &'static str)>,
}

/// The content-aware grade: 100 points less what the evidence takes away.
pub fn content_grade(run: &RunRecord, content: &Content) -> (f64, &'static str, Vec<Reason>) {
    let mut reasons = Vec::new();
    let mut lose = |code: &str, points: f64, evidence: String| {
        reasons.push(Reason { code: code.into(), evidence, points });
    };
    for role in &content.expected_roles {
        let report = run.reports.iter().find(|r| r.role == *role);
        let is_analyst = content.analysts.contains(role);
        match report {
            None => lose(
                if is_analyst { "report_missing" } else { "role_missing" },
                if is_analyst { points::REPORT_EMPTY } else { points::ANSWER_EMPTY },
                format!("{role}: no answer"),
            ),
            Some(r) if r.words == 0 => {
                lose(
                    if is_analyst { "report_empty" } else { "answer_empty" },
                    if is_analyst { points::REPORT_EMPTY } else { points::ANSWER_EMPTY },
                    format!("{role}: {} is empty", r.path),
                );
            }
            Some(r) if !r.missing_sections.is_empty() => {
                lose(
                    "section_missing",
                    points::SECTION_MISSING,
                    format!("{role}: no {}", r.missing_sections.join(", ")),
                );
            }
            Some(_) => {}
        }
    }
    for call in run.calls.iter().filter(|c| c.finish_reason.as_deref() == Some("length")) {
        lose(
            "answer_cut",
            points::ANSWER_CUT,
            format!("{} turn {}: cut by the token limit", call.role, call.turn),
        );
    }
    for role in &content.analysts {
        let of_role: Vec<_> = run.tools.iter().filter(|t| t.role == *role).collect();
        let with_data = of_role.iter().filter(|t| t.status == "ok").count();
        // An agent without tools of its own is not fined for having none.
        if with_data == 0 && !of_role.is_empty() {
            let names: Vec<&str> = of_role.iter().map(|t| t.name.as_str()).collect();
            lose("no_data", points::NO_DATA, format!("{role}: no tool gave data ({})", names.join(", ")));
        }
    }
    for (reader, text, share) in content.read.iter().filter(|(_, _, share)| *share < 0.9) {
        lose(
            "not_read",
            points::NOT_READ,
            format!("{reader} was given {:.0} % of the numbers of {text}", share * 100.0),
        );
    }
    for (role, share) in content.traceable.iter().filter(|(_, share)| *share < 0.5) {
        let evidence =
            format!("{role}: {:.0} % of the report's numbers stand in what it read", share * 100.0);
        lose("numbers_not_traceable", points::NOT_TRACEABLE, evidence);
    }
    if let Some(gap) = &content.data_gap {
        lose("date_outside_data", points::DATE_OUTSIDE_DATA, gap.clone());
    }
    if !run.decision.parsed {
        lose(
            "decision_unparsed",
            points::DECISION_UNPARSED,
            "no role that may decide states an action".into(),
        );
    }
    if let Some(missing) = &run.decision.stands_in_for {
        let by = run.decision.source.as_deref().unwrap_or("another role");
        let evidence = format!("{missing} states no decision: {by} stands in");
        lose("decision_stand_in", points::DECISION_STAND_IN, evidence);
    }
    if let Some((first, rest)) = content.actions.split_first()
        && let Some((role, action)) = rest.iter().find(|(_, action)| *action != first.1)
    {
        lose(
            "decision_changes",
            points::DECISION_CHANGES,
            format!("{} says {}, {role} says {action}", first.0, first.1),
        );
    }
    if run.status != "done" {
        lose("not_finished", points::NOT_FINISHED, format!("the run ended as {}", run.status));
    }
    let left = (100.0 - reasons.iter().map(|r| r.points).sum::<f64>()).max(0.0);
    (left, content_letter(left), reasons)
}

/// The content grade's letter for its points.
pub fn content_letter(points: f64) -> &'static str {
    match points {
        p if p >= 95.0 => "A+",
        p if p >= 90.0 => "A",
        p if p >= 80.0 => "B",
        p if p >= 70.0 => "C",
        p if p >= 60.0 => "D",
        _ => "F",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origins_grade_is_blind_to_content() {
        assert_eq!(origin_grade(24, 0, 24), (100.0, "A+"));
        assert_eq!(origin_grade(24, 2, 24).1, "A");
        assert_eq!(origin_grade(0, 0, 0).1, "D");
    }
}
