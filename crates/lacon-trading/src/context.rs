//! What all steps of a run share, frozen before the first of them.

use std::sync::{Arc, OnceLock};

use jiff::civil::Date;
use lacon_agents::Agent;
use lacon_llm::{Capabilities, Effort, Enough, Request, ToolSpec};
use lacon_runtime::{Ladder, Run, Stagger};

use crate::{
    Cast, Optimizations, Role,
    forms::AnswerForm,
    material::{ShortForms, StatedActions},
    plan::Plan,
    recall::{Embedder, Recall},
};

/// What all steps of a run share.
pub struct RunContext {
    /// The run.
    pub run: Arc<Run>,
    /// Which optimizations are on.
    pub optimizations: Optimizations,
    /// The ticker.
    pub ticker: String,
    /// The company's name, or the ticker.
    pub company: String,
    /// Sector and exchange as whole sentences; empty where they are not known.
    pub listing: String,
    /// The run's date.
    pub date: Date,
    /// Who it is about, once it was put together.
    pub identity: OnceLock<String>,
    /// The model of the analysts.
    pub quick_model: String,
    /// The model of all other roles.
    pub deep_model: String,
    /// Reasoning effort by role.
    pub effort: Vec<(Role, Effort)>,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Rounds of tool calls that an analyst may ask for.
    pub tool_rounds: u32,
    /// Who takes part and who reads whom.
    pub cast: Arc<Cast>,
    /// Models of single roles; they go before the other two.
    pub models: Vec<(Role, String)>,
    /// What every prompt holds.
    pub plan: Arc<Plan>,
    /// What is given up when the deadline nears.
    pub ladder: Ladder,
    /// What earlier decisions teach.
    pub recall: Option<Recall>,
    /// Who turns the situation into a vector; without one its words are compared.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Who waits for a sibling's first token.
    pub stagger: Stagger,
    /// Whether receipts hold the texts before and after a rewrite.
    pub keep_text: bool,
    /// The texts that prompts hold in a shorter form.
    pub short_forms: ShortForms,
    /// What the reports state.
    pub stated_actions: StatedActions,
    /// What the tags of decision lines are drawn from; no text from outside may hold it.
    pub nonce: String,
}

impl RunContext {
    /// Who it is about.
    pub fn identity(&self) -> &str {
        self.identity.get_or_init(|| {
            let name =
                if self.company == self.ticker { String::new() } else { format!(" ({})", self.company) };
            let listing = if self.listing.is_empty() { String::new() } else { format!(" {}", self.listing) };
            format!("{}: {}{name}.{listing} Date: {}.", self.cast.label(), self.ticker, self.date)
        })
    }

    /// The tag of a role's decision line: it stands in that role's instruction alone.
    pub fn tag(&self, role: Role) -> String {
        lacon_runtime::choice::tag(&self.nonce, role.name())
    }

    /// The model that a role is asked with.
    pub fn model(&self, file: &Agent) -> &str {
        let own =
            self.models.iter().find(|(role, _)| role.name() == file.name).map(|(_, model)| model.as_str());
        let quick = file.model == "quick" || self.ladder.is_quick(&file.name);
        own.unwrap_or(if quick { &self.quick_model } else { &self.deep_model })
    }

    /// The form of the role's answer: that of its file, else a field for its decision where the endpoint binds answers
    /// to a schema.
    pub(crate) fn form(&self, role: Role) -> Option<AnswerForm> {
        let file = self.cast.file(role);
        let of_file = AnswerForm::of(file);
        let takes_field = || {
            !file.states.is_empty()
                && Capabilities::enforces_schema(&self.run.options.client.describe(), self.model(file))
        };
        of_file.or_else(|| takes_field().then_some(AnswerForm::Verdict))
    }

    /// The role's word limit; 0 for none.
    pub fn words(&self, role: Role) -> u32 {
        if self.optimizations.has("word_limits") {
            self.ladder.words(role.name(), self.plan.words(role), self.plan.words(role))
        } else {
            0
        }
    }

    /// Fills in what follows from the role: model limits, effort, temperature.
    pub(crate) fn prepare(&self, role: Role, request: &mut Request) {
        let file = self.cast.file(role);
        request.model = self.model(file).to_owned();
        request.temperature = self.temperature;
        request.effort = self.effort.iter().find(|(r, _)| *r == role).map(|(_, e)| *e);
        let words = self.words(role);
        if words > 0 {
            // The names of a form's fields and its quotes are no words of the answer.
            let frame = if self.form(role).is_some() { FORM_TOKENS } else { 0 };
            request.max_tokens =
                Some(max_tokens(words) + frame + Capabilities::reasoning_room(&request.model));
            request.enough = Some(Enough { words, needs: file.needs() });
        }
    }

    pub(crate) fn tool_specs(&self, names: &[String]) -> Vec<ToolSpec> {
        names.iter().filter_map(|name| self.cast.agents().spec(name)).collect()
    }
}

/// The far bound of an answer in tokens. The stream is closed long before it, at the end of a sentence behind the word limit
/// ([`lacon_llm::Enough`]): this bounds a model that ends no sentence.
///
/// Recorded answers had 1.2 to 2.0 tokens a word (o200k_base); a row of figures has up to 30.
pub(crate) fn max_tokens(words: u32) -> u32 {
    words.saturating_mul(4).saturating_add(128)
}

/// Tokens of a form's own signs in an answer.
const FORM_TOKENS: u32 = 80;
