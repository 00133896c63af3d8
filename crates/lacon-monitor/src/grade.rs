//! Two grades: the original system's, which sees only the status of nodes, and one that looks at the content of
//! answers.

use crate::{
    evidence::Counted,
    record::{Reason, RunRecord},
};

/// The original Python system's grade: half the share of nodes that succeeded, three tenths of the share without an error, two
/// tenths of the share that ended. Reproduced exactly, so that recorded grades can be compared; it gave A+ to a run
/// with an empty report.
pub fn origin_grade(n_nodes: usize, n_failed: usize, n_ended: usize) -> (f64, &'static str) {
    let share = |n: usize| if n_nodes == 0 { 0.0 } else { 100.0 * n as f64 / n_nodes as f64 };
    let score = 0.5 * share(n_nodes - n_failed.min(n_nodes))
        + 0.3 * (100.0 - share(n_failed))
        + 0.2 * share(n_ended.min(n_nodes));
    (score, origin_letter(score))
}

/// The original Python system's letter for a score.
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
    /// A gatherer's report is missing or empty.
    pub const REPORT_EMPTY: f64 = 45.0;
    /// Another role's answer is missing or empty.
    pub const ANSWER_EMPTY: f64 = 15.0;
    /// A required part of an answer is missing.
    pub const SECTION_MISSING: f64 = 1.0;
    /// An answer was cut by the token limit.
    pub const ANSWER_CUT: f64 = 3.0;
    /// None of a gatherer's tools gave data.
    pub const NO_DATA: f64 = 10.0;
    /// Some of a gatherer's tools gave no data.
    pub const SOME_DATA_MISSING: f64 = 1.0;
    /// The date lies outside of what the data covers.
    pub const DATE_OUTSIDE_DATA: f64 = 10.0;
    /// A text did not reach its reader.
    pub const NOT_READ: f64 = 5.0;
    /// Some of the figures of a report stand in nothing that it read, most of them, nearly all of them.
    pub const FIGURES_WITHOUT_SOURCE: [f64; 3] = [3.0, 10.0, 20.0];

    /// What a report loses by the share of its figures that have a source.
    pub fn of_figures(share: f64) -> Option<f64> {
        match share {
            s if s < 0.2 => Some(FIGURES_WITHOUT_SOURCE[2]),
            s if s < 0.5 => Some(FIGURES_WITHOUT_SOURCE[1]),
            s if s < 0.75 => Some(FIGURES_WITHOUT_SOURCE[0]),
            _ => None,
        }
    }

    /// A tool was lost for good: it failed after every try, so that nobody knows what it would have said.
    pub const TOOL_LOST: f64 = 3.0;
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
    pub gatherers: Vec<String>,
    /// Roles whose answer is for the most part their own instruction.
    pub echoes: Vec<String>,
    /// For each (reader, text): the share of the text's numbers that the reader's prompt held.
    pub read: Vec<(String, String, f64)>,
    /// For each gatherer: where the figures of its report come from.
    pub figures: Vec<(String, Counted)>,
    /// Why the data does not fit the date, where it does not.
    pub data_gap: Option<String>,
    /// Actions by role, from plan to trader, where one was found.
    pub actions: Vec<(String, &'static str)>,
}

/// What the tools of an agent answered; the same rules for own runs and for imported traces.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Answers that hold data.
    pub with_data: usize,
    /// Tools that said that they have none, with what they said.
    pub without: Vec<String>,
    /// Tools that failed for good, with why.
    pub lost: Vec<String>,
}

impl Answers {
    /// All of them. An agent without tools of its own has none and is not fined for it.
    pub fn len(&self) -> usize {
        self.with_data + self.without.len() + self.lost.len()
    }

    /// Whether no tool was asked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they cost the grade of an agent.
    pub fn grade(&self, agent: &str, lose: &mut impl FnMut(&str, f64, String)) {
        let some = |all: &[String]| {
            let mut each: Vec<(&str, usize)> = Vec::new();
            for name in all {
                match each.iter_mut().find(|(of, _)| of == name) {
                    Some((_, n)) => *n += 1,
                    None => each.push((name, 1)),
                }
            }
            let named = each.iter().take(3).map(|(name, n)| match n {
                1 => (*name).to_owned(),
                n => format!("{n} times {name}"),
            });
            let more = if each.len() > 3 { ", …" } else { "" };
            format!("{}{more}", named.collect::<Vec<_>>().join(", "))
        };
        let n = self.len();
        if n > 0 && self.with_data == 0 {
            let all: Vec<String> = self.lost.iter().chain(&self.without).cloned().collect();
            lose(
                "no_data",
                points::NO_DATA,
                format!("{agent}: none of {n} tool answers holds data ({})", some(&all)),
            );
            return;
        }
        if !self.lost.is_empty() {
            let evidence = format!(
                "{agent}: {} of {n} tool calls failed for good ({})",
                self.lost.len(),
                some(&self.lost)
            );
            lose("tool_lost", points::TOOL_LOST, evidence);
        }
        if !self.without.is_empty() {
            let evidence = format!(
                "{agent}: {} of {n} tool answers hold no data ({})",
                self.without.len(),
                some(&self.without)
            );
            lose("some_data_missing", points::SOME_DATA_MISSING, evidence);
        }
    }
}

/// The content-aware grade: 100 points less what the evidence takes away.
pub fn content_grade(run: &RunRecord, content: &Content) -> (f64, &'static str, Vec<Reason>) {
    let mut reasons = Vec::new();
    let mut lose = |code: &str, points: f64, evidence: String| {
        reasons.push(Reason { code: code.into(), evidence, points });
    };
    for role in &content.expected_roles {
        let report = run.reports.iter().find(|r| r.role == *role);
        let is_gatherer = content.gatherers.contains(role);
        match report {
            None => lose(
                if is_gatherer { "report_missing" } else { "role_missing" },
                if is_gatherer { points::REPORT_EMPTY } else { points::ANSWER_EMPTY },
                format!("{role}: no answer"),
            ),
            Some(r) if r.words == 0 => {
                lose(
                    if is_gatherer { "report_empty" } else { "answer_empty" },
                    if is_gatherer { points::REPORT_EMPTY } else { points::ANSWER_EMPTY },
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
    for call in run.calls.iter().filter(|c| c.finish_reason.as_deref() == Some("loop")) {
        let what = format!("{} turn {}: the answer repeats itself and was closed", call.role, call.turn);
        lose("answer_loops", points::ANSWER_CUT, what);
    }
    for role in &content.echoes {
        let what = format!("{role}: most of its answer is its own instruction");
        lose("answer_echoes", points::ANSWER_EMPTY, what);
    }
    for role in &content.gatherers {
        let of_role = || run.tools.iter().filter(|t| t.role == *role);
        let named = |status: fn(&str) -> bool| -> Vec<String> {
            of_role().filter(|t| status(&t.status)).map(|t| t.name.clone()).collect()
        };
        let answers = Answers {
            with_data: named(|s| s == "ok").len(),
            without: named(|s| s == "no_data"),
            lost: of_role()
                .filter(|t| !matches!(&*t.status, "ok" | "no_data"))
                .map(|t| format!("{}: {}", t.name, t.status))
                .collect(),
        };
        answers.grade(role, &mut lose);
    }
    for (reader, text, share) in content.read.iter().filter(|(_, _, share)| *share < 0.9) {
        lose(
            "not_read",
            points::NOT_READ,
            format!("{reader} was given {:.0} % of the numbers of {text}", share * 100.0),
        );
    }
    for (role, counted) in &content.figures {
        if let Some(points) = points::of_figures(counted.share()) {
            let bare = counted.nowhere;
            let checked = counted.shown + counted.computed + bare;
            let evidence =
                format!("{role}: {bare} of {checked} figures of the report stand in nothing that it read");
            lose("figures_without_source", points, evidence);
        }
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
