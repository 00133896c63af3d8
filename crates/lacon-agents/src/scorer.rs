//! How good a finished run is: scorers take points for what its record lacks.
//!
//! A run has the scorers that its [`Settings`](crate::Settings) name, [`usual`] ones by default. A scorer sees the team and
//! the record, asks no model, and says why each point is lost.

use std::{collections::BTreeMap, sync::Arc};

use lacon_llm::Echoes;
pub use lacon_monitor::record::Reason;
use lacon_monitor::{
    grade::{Answers, content_letter, points},
    record::ToolCall,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    choice::How,
    record::{AgentRecord, TeamRecord},
    team::Team,
};

/// Judges finished runs.
pub trait Scorer: Send + Sync {
    /// Its name in the record; of two scorers with one name the later one counts.
    fn name(&self) -> &str;

    /// What the run is worth; `None` where there is nothing that it could judge.
    fn score(&self, team: &Team, run: &TeamRecord) -> Option<Score>;
}

/// What a run is worth by one measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// 0 to 100.
    pub points: f64,
    /// Every point lost.
    pub reasons: Vec<Reason>,
}

impl Score {
    /// A hundred points less what the reasons take.
    pub fn of(reasons: Vec<Reason>) -> Self {
        let lost: f64 = reasons.iter().map(|reason| reason.points).sum();
        Self { points: (100.0 - lost).clamp(0.0, 100.0), reasons }
    }

    /// A+ to F.
    pub fn letter(&self) -> &'static str {
        content_letter(self.points)
    }
}

/// The scorers of a run that names none.
pub fn usual() -> Vec<Arc<dyn Scorer>> {
    vec![Arc::new(Decision), Arc::new(Content)]
}

/// All scores of a run by name.
pub(crate) fn scores(scorers: &[Arc<dyn Scorer>], team: &Team, run: &TeamRecord) -> BTreeMap<String, Score> {
    let score = |scorer: &Arc<dyn Scorer>| Some((scorer.name().to_owned(), scorer.score(team, run)?));
    scorers.iter().filter_map(score).collect()
}

fn lost(code: &str, points: f64, evidence: String) -> Reason {
    Reason { code: code.into(), evidence, points }
}

/// Whether the agent that decides has decided, and how that was read. Of teams that decide.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decision;

impl Scorer for Decision {
    fn name(&self) -> &str {
        "decision"
    }

    fn score(&self, team: &Team, run: &TeamRecord) -> Option<Score> {
        let decision = team.decision.as_ref()?;
        let reason = match &run.decision {
            None => {
                let what = format!("{} states none of {}", decision.agent, decision.values.join(", "));
                Some(lost("decision_unparsed", points::DECISION_UNPARSED, what))
            }
            Some(decided) if decided.chosen.how == How::Asked => {
                let what = format!("{} was asked again for {:?}", decided.agent, decided.chosen.value);
                Some(lost("decision_asked", points::DECISION_CHANGES, what))
            }
            Some(_) => None,
        };
        Some(Score::of(reason.into_iter().collect()))
    }
}

/// Whether every agent has said what it had to, from tools that answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Content;

impl Scorer for Content {
    fn name(&self) -> &str {
        "content"
    }

    fn score(&self, team: &Team, run: &TeamRecord) -> Option<Score> {
        let mut reasons = Vec::new();
        for agent in &run.agents {
            let prompt = team.agent(&agent.name).map_or("", |agent| &agent.prompt);
            texts(agent, &Echoes::of(prompt), &mut reasons);
            let tools: Vec<&ToolCall> = run.tools.iter().filter(|call| call.role == agent.name).collect();
            let named = |status: &str| {
                let of = tools.iter().filter(|call| call.status == status);
                of.map(|call| call.name.clone()).collect::<Vec<_>>()
            };
            let failed = tools.iter().filter(|call| !matches!(&*call.status, "ok" | "no_data"));
            let answers = Answers {
                with_data: named("ok").len(),
                without: named("no_data"),
                lost: failed.map(|call| format!("{}: {}", call.name, call.status)).collect(),
            };
            answers.grade(&agent.name, &mut |code, points, evidence| {
                reasons.push(lost(code, points, evidence));
            });
        }
        for call in run.calls.iter().filter(|call| call.finish_reason.as_deref() == Some("loop")) {
            let what = format!("{} turn {}: the answer repeats itself and was closed", call.role, call.turn);
            reasons.push(lost("answer_loops", points::ANSWER_CUT, what));
        }
        if run.status != "done" {
            let what = format!("the run ended as {}", run.status);
            reasons.push(lost("not_finished", points::NOT_FINISHED, what));
        }
        Some(Score::of(reasons))
    }
}

/// What the texts of an agent lack. An agent that a condition passed over owes none.
fn texts(agent: &AgentRecord, instruction: &Echoes, reasons: &mut Vec<Reason>) {
    let all = || agent.said.iter().flat_map(|said| &said.texts).filter(|text| !text.skipped);
    let n = all().count();
    let absent: Vec<&str> = all().filter_map(|text| text.failure.as_deref()).collect();
    if let Some(first) = absent.first() {
        let share = absent.len() as f64 / n as f64;
        let what = format!("{}: {} of {n} texts are missing ({first})", agent.name, absent.len());
        reasons.push(lost("answer_empty", points::ANSWER_EMPTY * share, what));
    }
    let missing: Vec<&str> = all().flat_map(|text| &text.missing).map(String::as_str).collect();
    if !missing.is_empty() {
        let what = format!("{}: no {}", agent.name, missing.join(", "));
        reasons.push(lost("section_missing", points::SECTION_MISSING * missing.len() as f64, what));
    }
    let echoes = all().filter(|text| instruction.fill(&text.text)).count();
    if echoes > 0 {
        let what = format!("{}: {echoes} of {n} texts are for the most part its own instruction", agent.name);
        reasons.push(lost("answer_echoes", points::ANSWER_EMPTY * echoes as f64 / n as f64, what));
    }
    let cut = all().filter(|text| text.cut).count();
    if cut > 0 {
        let what = format!("{}: {cut} of {n} texts were cut by the token limit", agent.name);
        reasons.push(lost("answer_cut", points::ANSWER_CUT * cut as f64 / n as f64, what));
    }
}
