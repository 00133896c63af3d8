//! `run.json`: the record of a run, as one typed value.
//!
//! Additive changes keep `schema_version`; a field that changes its meaning raises it. Times are wall-clock seconds
//! since the start of the run. Absent counts are `null`, never zero.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::books::Books;
pub use crate::calls::{Call, Tokens, ToolCall};

/// The version written by this build.
pub const SCHEMA_VERSION: u32 = 1;

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// Version of this shape.
    pub schema_version: u32,
    /// The run's name, unique among runs with its labels.
    pub run_id: String,
    /// What the run is of, by name; each label is a key of its own beside the others.
    #[serde(flatten)]
    pub labels: Labels,
    /// The graph profile.
    pub profile: String,
    /// When the run began, RFC 3339.
    pub started_at: String,
    /// Whether it came to its end: `done`, `interrupted`, `deadline`, `failed`.
    pub status: String,
    /// Who answered.
    pub llm: LlmInfo,
    /// Where the data came from.
    pub data: DataInfo,
    /// What was decided.
    pub decision: Decision,
    /// What the risk manager, the trader and the plan state.
    #[serde(default)]
    pub views: Vec<View>,
    /// Wall time in seconds.
    pub wall_s: f64,
    /// Seconds of the critical path inside model and tool calls.
    pub model_s: f64,
    /// Milliseconds of the critical path outside of them: our own time.
    pub own_ms: f64,
    /// Milliseconds from the run's start to its first request.
    pub first_request_ms: Option<f64>,
    /// Highest resident memory of the process in MB; absent where the system does not tell.
    pub peak_rss_mb: Option<f64>,
    /// Tokens of all calls and attempts, as the provider reported them.
    pub tokens: Tokens,
    /// Cost in US dollars as a decimal string; absent where a model has no known price.
    pub cost_usd: Option<String>,
    /// Every model call.
    pub calls: Vec<Call>,
    /// Every tool call.
    pub tools: Vec<ToolCall>,
    /// Every role's report.
    pub reports: Vec<Report>,
    /// The chain of nodes that decided the wall time.
    pub critical_path: Vec<PathNode>,
    /// Every second of the wall time under one name.
    #[serde(default)]
    pub books: Books,
    /// Which texts stood in whose prompts.
    #[serde(default)]
    pub reads: Vec<Read>,
    /// Every optimization: whether it was on and what it was worth where that is known.
    #[serde(alias = "levers")]
    pub optimizations: BTreeMap<String, Optimization>,
    /// The whole-run prompt plan.
    pub plan: Plan,
    /// What was given up for the deadline; empty for a run that had time.
    #[serde(default)]
    pub degraded: Vec<Degraded>,
    /// Both grades with their evidence.
    pub grade: Grade,
    /// What a user should know.
    pub warnings: Vec<String>,
    /// The machine and the build.
    pub environment: Environment,
}

/// What a run is of: short texts by name, such as the day that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Keys of later versions that are no texts are no labels.
        let all = BTreeMap::<String, serde_json::Value>::deserialize(from)?;
        let text = |(name, value): (String, serde_json::Value)| Some((name, value.as_str()?.to_owned()));
        Ok(Self(all.into_iter().filter_map(text).collect()))
    }
}

/// Who answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LlmInfo {
    /// The provider's name.
    pub provider: String,
    /// The endpoint without credentials.
    pub base_url: String,
    /// The model of the quick agents.
    pub quick_model: String,
    /// The model of all others.
    pub deep_model: String,
    /// Whether the answers are made up by the simulator.
    pub simulated: bool,
}

/// Where the data came from.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct DataInfo {
    /// The source.
    pub source: String,
    /// Whether it is not the live market: an offline pack or a replay.
    pub simulated: bool,
}

/// What was decided and why.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The value that was decided; null when nobody decided.
    pub action: Option<String>,
    /// The rating on five steps, where the answer that decides states one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<String>,
    /// From 0 to 1 where the answer that decides states it.
    pub confidence: Option<f64>,
    /// Whether an answer states the action.
    pub parsed: bool,
    /// The role whose answer holds it.
    pub source: Option<String>,
    /// How it was read: `field` of a structured answer, tagged `line`, `asked` once more, or `prose`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// The role that should have decided and stated nothing; `source` stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in_for: Option<String>,
    /// Arguments of that answer, as they stand there.
    pub reasons: Vec<String>,
}

impl RunRecord {
    /// The text of a label; empty where the run has none of that name.
    pub fn label(&self, name: &str) -> &str {
        self.labels.0.get(name).map_or("", String::as_str)
    }

    /// The day that the run is for.
    pub fn date(&self) -> &str {
        self.label("date")
    }

    /// What the run is of, in one line.
    pub fn title(&self) -> String {
        [self.subject().as_str(), self.date()].join(" ").trim().to_owned()
    }

    /// What the run is of, without its day.
    pub fn subject(&self) -> String {
        let all = self.labels.0.iter().filter(|(name, _)| *name != "date");
        all.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// The grade for people. Where no language model answered there is nothing to grade: the checks of the run are named.
    pub fn grade_label(&self) -> String {
        let points = self.grade.content_points;
        match self.llm.simulated {
            true if points >= crate::grade::points::PASS => {
                format!("checks passed, {points:.0} of 100 points")
            }
            true => format!("checks failed, {points:.0} of 100 points"),
            false => format!("{} by content, {points:.0} of 100 points", self.grade.content),
        }
    }
}

impl Decision {
    /// The value as style sheets name it.
    pub fn class(&self) -> String {
        let word = self.action.as_deref().unwrap_or("none").to_lowercase();
        word.chars().filter(|c| c.is_ascii_alphanumeric()).collect()
    }

    /// The value, or that there is none.
    pub fn word(&self) -> &str {
        self.action.as_deref().unwrap_or("no decision")
    }
}

/// What a role that may decide states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct View {
    /// The role.
    pub role: String,
    /// The value.
    pub action: String,
    /// From 0 to 1 where its answer states it.
    pub confidence: Option<f64>,
    /// How it was read, as in [`Decision::how`].
    pub how: String,
}

/// One role's report.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The role.
    pub role: String,
    /// The file, relative to the run's folder.
    pub path: String,
    /// Words.
    pub words: u64,
    /// Tokens.
    pub tokens: u64,
    /// Whether the answer is whole and has all its sections.
    pub complete: bool,
    /// Required sections that are not there.
    pub missing_sections: Vec<String>,
}

/// One node of the critical path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathNode {
    /// The node.
    pub node: String,
    /// Start in seconds.
    pub start_s: f64,
    /// End in seconds.
    pub end_s: f64,
    /// How much later it could have ended without a later end of the run, in seconds.
    pub slack_s: f64,
}

/// A text that stood in a role's prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Read {
    /// Who read it.
    pub reader: String,
    /// Whose text it is.
    pub text: String,
    /// The share of its numbers that the prompt held.
    pub share: f64,
    /// Tokens of the whole text.
    pub tokens: u64,
}

/// One optimization.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Optimization {
    /// Whether it was on.
    pub on: bool,
    /// Tokens that it saved in this run, where that can be counted.
    pub saved_tokens: Option<i64>,
    /// Seconds that it saved in this run, where that can be counted.
    pub saved_s: Option<f64>,
    /// What it does.
    pub note: String,
}

/// The whole-run prompt plan.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Digest of all planned prompts.
    pub digest: String,
    /// How many segments it has.
    pub segments: u64,
    /// Prompt tokens counted before sending.
    pub tokens_planned: u64,
    /// Prompt tokens that the provider reported.
    pub tokens_sent: u64,
    /// First prompts of roles that were built again from the plan after the run.
    #[serde(default)]
    pub compared: u64,
    /// Those of them whose digest is the one that went over the wire.
    #[serde(default)]
    pub equal: u64,
    /// Prompt tokens that a provider with an automatic prefix cache (1,024 tokens and more, steps of 128) should have
    /// found cached, from the prompts as they were sent and when.
    #[serde(default)]
    pub cached_predicted: u64,
}

/// Something that was given up so that the run could end in time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Degraded {
    /// The role.
    pub role: String,
    /// `shorter_answer`, `quick_model` or `last_good_plan`.
    pub step: String,
    /// Why.
    pub reason: String,
}

/// Both grades.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Grade {
    /// By the original system's formula, which looks at run status alone.
    pub origin: String,
    /// By what the answers hold.
    pub content: String,
    /// Points of the content grade, 0 to 100.
    pub content_points: f64,
    /// Every point lost.
    pub reasons: Vec<Reason>,
}

/// Why points were lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// A fixed code.
    pub code: String,
    /// What shows it.
    pub evidence: String,
    /// Points lost.
    pub points: f64,
}

/// The machine and the build.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Version of lacon.
    pub version: String,
    /// Processors of the host.
    pub host_cpus: usize,
    /// Seed of every random source.
    pub seed: u64,
    /// Wall seconds per simulated second; 1 when nothing is simulated.
    pub time_scale: f64,
}

/// The JSON Schema of [`RunRecord`] for runs that carry these labels: name, and what it says.
pub fn schema(labels: &[(&str, &str)]) -> serde_json::Value {
    let mut schema: serde_json::Value = schemars::schema_for!(RunRecord).into();
    for (name, about) in labels {
        schema["properties"][*name] = serde_json::json!({ "type": "string", "description": about });
        if let Some(required) = schema["required"].as_array_mut() {
            required.push((*name).into());
        }
    }
    schema
}
