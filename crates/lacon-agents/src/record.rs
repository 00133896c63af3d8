//! The record of a run, as it is written to `run.json`: who said what, what it took, and what each optimization saved.

use std::collections::BTreeMap;

use lacon_monitor::{
    Books, RunRecord,
    record::{
        Call, DataInfo, Decision, Degraded, Environment, Grade, Labels, LlmInfo, Optimization, PathNode,
        Plan, Tokens, ToolCall,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{choice::Chosen, plan::Expected, scorer::Score, state::Said};

/// Version of the record's shape; 1 is the shape of the trading application.
pub const SCHEMA_VERSION: u32 = 2;

/// What a run of a team leaves.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct TeamRecord {
    /// Version of this shape.
    pub schema_version: u32,
    /// The team's name.
    pub team: String,
    /// The run's name.
    pub run_id: String,
    /// When it began, as the caller said.
    pub started_at: String,
    /// How it ended: `done`, `interrupted`, `deadline`, `needs_approval` or `failed`.
    pub status: String,
    /// Why it did not come to its end.
    pub failure: Option<String>,
    /// Who answered; `quick_model` and `deep_model` are those classes of the team.
    pub llm: LlmInfo,
    /// What it was given.
    pub inputs: Value,
    /// The text that the team names as its result.
    pub result: Option<Outcome>,
    /// What the run is of, by name, as the caller says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What the run is worth, by scorer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, Score>,
    /// What was decided, in teams that decide.
    pub decision: Option<Decided>,
    /// Every agent with its texts, in the order of the team.
    pub agents: Vec<AgentRecord>,
    /// Wall time in seconds.
    pub wall_s: f64,
    /// Tokens of all calls and attempts.
    pub tokens: Tokens,
    /// Cost in US dollars as a decimal string; absent where a model has no known price.
    pub cost_usd: Option<String>,
    /// What was expected before the first call.
    pub expected: Expected,
    /// What was given up near the deadline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
    /// Every optimization: whether it was on, and what it kept out of prompts.
    pub optimizations: BTreeMap<String, Saved>,
    /// Every model call.
    pub calls: Vec<Call>,
    /// Every tool call.
    pub tools: Vec<ToolCall>,
    /// The chain of stages that decided the wall time.
    pub critical_path: Vec<PathNode>,
    /// What a user should know.
    pub warnings: Vec<String>,
    /// Highest resident memory of the process in MB, where the system tells.
    pub peak_rss_mb: Option<f64>,
}

impl TeamRecord {
    /// The same run in the shape that reports of every run read: texts, inputs and expectations are left out.
    pub fn as_run(&self) -> RunRecord {
        let mut labels = self.labels.clone();
        labels.insert("team".into(), self.team.clone());
        let decision = self.decision.as_ref().map(|decided| Decision {
            action: Some(decided.chosen.value.clone()),
            parsed: true,
            source: Some(decided.agent.clone()),
            how: Some(decided.chosen.how.name().into()),
            ..Decision::default()
        });
        let row = |(name, saved): (&String, &Saved)| {
            let note = name.parse::<crate::Optimization>().map_or("", crate::Optimization::about).to_owned();
            (
                name.clone(),
                Optimization { on: saved.on, saved_tokens: saved.saved_tokens, saved_s: None, note },
            )
        };
        let content = self.scores.get("content").cloned().unwrap_or_default();
        let calls = self.calls.iter().map(|call| (call.start_s, call.end_s));
        let spans: Vec<(f64, f64)> =
            calls.chain(self.tools.iter().map(|tool| (tool.start_s, tool.end_s))).collect();
        let model_s = covered(spans.clone());
        RunRecord {
            schema_version: self.schema_version,
            run_id: self.run_id.clone(),
            labels: Labels(labels),
            profile: String::new(),
            started_at: self.started_at.clone(),
            status: self.status.clone(),
            llm: self.llm.clone(),
            data: DataInfo::default(),
            decision: decision.unwrap_or_default(),
            views: Vec::new(),
            wall_s: self.wall_s,
            model_s,
            own_ms: (self.wall_s - model_s).max(0.0) * 1e3,
            first_request_ms: spans.iter().map(|span| span.0 * 1e3).min_by(f64::total_cmp),
            peak_rss_mb: self.peak_rss_mb,
            tokens: self.tokens,
            cost_usd: self.cost_usd.clone(),
            calls: self.calls.clone(),
            tools: self.tools.clone(),
            reports: Vec::new(),
            critical_path: self.critical_path.clone(),
            books: Books::default(),
            reads: Vec::new(),
            optimizations: self.optimizations.iter().map(row).collect(),
            plan: Plan::default(),
            degraded: self.degraded.clone(),
            grade: Grade {
                origin: String::new(),
                content: content.letter().into(),
                content_points: content.points,
                reasons: content.reasons,
            },
            warnings: self.warnings.clone(),
            environment: Environment::default(),
        }
    }
}

/// Seconds in which at least one of the spans went on.
fn covered(mut spans: Vec<(f64, f64)>) -> f64 {
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut all, mut reached) = (0.0, 0.0_f64);
    for (start, end) in spans {
        all += (end - start.max(reached)).max(0.0);
        reached = reached.max(end);
    }
    all
}

/// The JSON Schema of [`TeamRecord`].
pub fn schema() -> Value {
    schemars::schema_for!(TeamRecord).into()
}

/// A result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Who wrote it.
    pub agent: String,
    /// The text.
    pub text: String,
}

/// A decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// Who decided.
    pub agent: String,
    /// What, and how it was read.
    #[serde(flatten)]
    pub chosen: Chosen,
}

/// One agent's part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentRecord {
    /// Its name.
    pub name: String,
    /// The model that it was asked with.
    pub model: String,
    /// Model calls.
    pub calls: u64,
    /// Tokens of these calls.
    pub tokens: u64,
    /// Seconds of its calls, one after another.
    pub seconds: f64,
    /// What it said, in the order of its rounds.
    pub said: Vec<Said>,
}

/// What an optimization did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Saved {
    /// Whether it was on.
    pub on: bool,
    /// Tokens that it kept out of prompts, where that can be counted.
    pub saved_tokens: Option<i64>,
    /// How often it acted, where that can be counted.
    pub times: Option<u64>,
}

/// Between the names of a call in the ledger that answers for several agents.
pub(crate) const AND: char = '+';

/// Whose row of the ledger has a call: of one that answers for several the first.
pub(crate) fn billed_to(role: &str) -> &str {
    role.split(AND).next().unwrap_or(role)
}
