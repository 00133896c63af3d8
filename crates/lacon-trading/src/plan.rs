//! The prompt plan of a run: the form of every text in every prompt, and the length of every answer, decided before the
//! first call.
//!
//! The plan is what the agents send: `requests` builds each prompt from it alone. After the run, `verify` builds all of
//! them again and compares their digests with the sent ones. Choices are made per stage, not per reader,
//! so that siblings keep a common prefix. Unknown lengths are estimated from word limits; only limits on tokens, money
//! or time make a choice depend on them.

mod caching;

pub use caching::caching;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use lacon_agents::{
    Agent,
    plan::choices::{Asked, Form, LENGTHS, choose, shown},
};
use lacon_llm::Usage;
use lacon_monitor::prices;
use lacon_prompt::{
    budget::MicroUsd,
    plan::{Call, Cost, Limits, PlanError, Prices, Problem, Solution},
};

use crate::{Cast, Optimizations, Role};

/// What a plan is made for, and all that it follows from.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOptions {
    /// Which optimizations are on.
    pub optimizations: Optimizations,
    /// Who takes part.
    pub cast: Arc<Cast>,
    /// The model of the analysts.
    pub quick_model: String,
    /// The model of all other roles.
    pub deep_model: String,
    /// What the run may use.
    pub limits: Limits,
    /// Wall seconds per second of the endpoint.
    pub time_scale: f64,
}

impl PlanOptions {
    /// The model that a role asks.
    pub(crate) fn model(&self, role: Role) -> &str {
        match self.cast.file(role).model.as_str() {
            "quick" => &self.quick_model,
            _ => &self.deep_model,
        }
    }
}

/// A whole run's choices.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) forms: BTreeMap<(Role, Role), Form>,
    pub(crate) words: BTreeMap<Role, u32>,
    /// The problem that was solved.
    pub problem: Problem,
    /// Its solution.
    pub solution: Solution,
}

/// Tokens of an answer of so many words, as recorded answers have them.
const TOKENS_PER_WORD: f64 = 1.6;
/// Tokens of a role's instructions and framing.
const INSTRUCTION_TOKENS: u64 = 150;
/// Tokens of one analyst's tool data.
const DATA_TOKENS: u64 = 1_100;
/// Words of an answer that has no limit, as recorded.
const FREE_WORDS: u32 = 450;
/// Seconds to the first token and tokens a second of the recorded deep model at its median.
pub(crate) const FIRST_TOKEN_S: f64 = 1.8;
const TOKENS_PER_S: f64 = 45.0;
/// What tokens are worth where no limit asks: enough to send a view as its digest, not to cut what must be read.
const PRICES: Prices = Prices { per_1k_tokens: 150, per_second: 0 };
/// Plans that are kept for further runs.
const KEPT: usize = 16;

/// The plans made last, with what they were made for.
static MADE: Mutex<Vec<(PlanOptions, Arc<Plan>)>> = Mutex::new(Vec::new());

/// As [`compile`], but a plan that was made before for the same options is taken from there: many tickers, dates or
/// repetitions of one setting are planned once.
///
/// # Errors
/// As [`compile`]; failures are not kept.
pub fn compiled(options: &PlanOptions) -> Result<Arc<Plan>, PlanError> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = made.iter().position(|(known, _)| known == options) {
        // The one used last stands last.
        made[at..].rotate_left(1);
        return Ok(Arc::clone(&made[made.len() - 1].1));
    }
    drop(made);
    let plan = Arc::new(compile(options)?);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if made.len() >= KEPT {
        made.remove(0);
    }
    made.push((options.clone(), Arc::clone(&plan)));
    Ok(plan)
}

/// Makes the plan. Without limits it follows from the optimizations alone.
///
/// # Errors
/// When a limit cannot be held even with the smallest forms and the shortest answers; the error names the least.
pub fn compile(options: &PlanOptions) -> Result<Plan, PlanError> {
    let (optimizations, cast) = (&options.optimizations, &options.cast);
    let mut roles = cast.roles();
    roles.extend((!optimizations.has("local_signal")).then_some(Role::Signal));
    let place = |role: Role| roles.iter().position(|other| *other == role);
    let reads: Vec<Vec<(usize, bool)>> = roles
        .iter()
        .map(|role| {
            let sections = cast.sections(*role, optimizations).into_iter();
            sections.filter_map(|piece| Some((place(piece.source)?, piece.required))).collect()
        })
        .collect();
    let millis = |seconds: f64| (seconds * 1e3 * options.time_scale) as u64;
    let money = |role: usize, input: u64, output: u64| {
        let usage = Usage { input: Some(input), output: Some(output), ..Usage::default() };
        MicroUsd(prices::cost(options.model(roles[role]), &usage).unwrap_or(0))
    };
    let asked: Vec<Asked> = (0..roles.len())
        .map(|i| {
            let analyst = roles[i].is_analyst();
            let input = INSTRUCTION_TOKENS + if analyst { DATA_TOKENS } else { 0 };
            let data_s = if roles[i] == Role::News { 20.0 } else { 7.0 };
            let seconds = FIRST_TOKEN_S + if analyst { data_s } else { 0.0 };
            let waits = reads[i].iter().filter(|(_, whole)| *whole).map(|(source, _)| *source);
            let readers: Vec<usize> =
                (0..roles.len()).filter(|r| reads[*r].iter().any(|(of, _)| *of == i)).collect();
            let length = |(words, worth): (u32, u32)| {
                let tokens = (f64::from(words) * TOKENS_PER_WORD) as u64;
                // An answer is written once and read by others: both end with its length.
                let read = readers.len() as u64 * tokens / 2;
                let read_usd: u64 = readers.iter().map(|r| money(*r, tokens / 2, 0).0).sum();
                let cost = Cost {
                    tokens: tokens + read,
                    micro_usd: MicroUsd(money(i, 0, tokens).0 + read_usd),
                    millis: millis(tokens as f64 / TOKENS_PER_S),
                };
                (words, worth, cost)
            };
            Asked {
                call: Call {
                    name: roles[i].name().into(),
                    after: waits.collect(),
                    fixed: Cost { tokens: input, micro_usd: money(i, input, 0), millis: millis(seconds) },
                },
                lengths: word_choices(cast.file(roles[i]), optimizations).into_iter().map(length).collect(),
                limited: optimizations.has("word_limits"),
            }
        })
        .collect();
    let alike = |i: usize| cast.stage(roles[i]).into_iter().filter_map(place).collect();
    // A digest costs nothing to a role that only looks.
    let limited = optimizations.has("prompt_plan") && options.limits != Limits::default();
    let texts = shown(&reads, alike).into_iter().map(|text| {
        let words = word_choices(cast.file(roles[text.source]), optimizations)[0].0;
        let tokens = f64::from(words) * TOKENS_PER_WORD / 2.0;
        let cost = |form: &Form| {
            let each = (tokens * share(*form)) as u64;
            let micro_usd = MicroUsd(text.readers.iter().map(|r| money(*r, each, 0).0).sum());
            (*form, Cost { tokens: each * text.readers.len() as u64, micro_usd, millis: 0 })
        };
        let forms = Form::open(text.whole, optimizations.has("digests"), limited).iter().map(cost).collect();
        (text, forms)
    });
    let chosen = choose(&asked, &texts.collect::<Vec<_>>(), options.limits, PRICES)?;
    let named = |((reader, source), form): ((usize, usize), Form)| ((roles[reader], roles[source]), form);
    Ok(Plan {
        words: roles.iter().copied().zip(chosen.words).collect(),
        forms: chosen.forms.into_iter().map(named).collect(),
        problem: chosen.problem,
        solution: chosen.solution,
    })
}

/// The share of a text's tokens that a form is expected to keep.
fn share(form: Form) -> f64 {
    match form {
        Form::Full => 1.0,
        Form::Digest => 0.55,
        Form::Figures => 0.45,
        Form::Pointer => 0.05,
    }
}

/// The lengths that an answer may have, the usual one first, with their worth.
fn word_choices(file: &Agent, optimizations: &Optimizations) -> Vec<(u32, u32)> {
    if file.words == 0 || !optimizations.has("word_limits") {
        return vec![(if file.words == 0 { 0 } else { FREE_WORDS }, 1000)];
    }
    // The trader's order is short already and restates the decision: cutting it could lose that.
    if file.name == Role::Trader.name() {
        return vec![(file.words, 1000)];
    }
    let first = usize::from(optimizations.has("concise") && file.model == "deep");
    let lengths = &LENGTHS[first..if optimizations.has("prompt_plan") { LENGTHS.len() } else { first + 1 }];
    lengths.iter().map(|(share, worth)| (file.words * share / 100, *worth)).collect()
}

impl Plan {
    /// The form of a text in a reader's prompt.
    pub fn form(&self, reader: Role, source: Role) -> Form {
        self.forms.get(&(reader, source)).copied().unwrap_or(Form::Full)
    }

    /// The role's word limit; 0 for none.
    pub fn words(&self, role: Role) -> u32 {
        self.words.get(&role).copied().unwrap_or(0)
    }

    /// How many pieces all prompts have together.
    pub fn segments(&self) -> u64 {
        // Each prompt also has the shared rules, who it is about, and its instruction.
        self.forms.len() as u64 + 3 * self.words.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(disabled: &[&str], limits: Limits) -> PlanOptions {
        PlanOptions {
            optimizations: Optimizations::new("lacon", disabled, &[]).unwrap(),
            cast: Arc::new(Cast::new(crate::CastOptions::default()).unwrap()),
            quick_model: "gpt-4o-mini".into(),
            deep_model: "gpt-4o".into(),
            limits,
            time_scale: 1.0,
        }
    }

    #[test]
    fn equal_options_are_planned_once_and_others_anew() {
        let first = compiled(&options(&[], Limits::default())).unwrap();
        let again = compiled(&options(&[], Limits::default())).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let other = compiled(&options(&["digests"], Limits::default())).unwrap();
        assert_eq!(other.forms, compile(&options(&["digests"], Limits::default())).unwrap().forms);
        assert!(!Arc::ptr_eq(&first, &other) && other.forms != first.forms);
        // More of them than are kept: the plans stay those of their options.
        for tokens in 0..2 * KEPT as u64 {
            let limits = Limits { tokens: Some(1_000_000 + tokens), ..Limits::default() };
            assert_eq!(compiled(&options(&[], limits)).unwrap().problem.limits, limits);
        }
        assert!(MADE.lock().unwrap().len() <= KEPT);
    }

    #[test]
    fn without_limits_the_optimizations_decide() {
        let plan = compile(&options(&[], Limits::default())).unwrap();
        assert_eq!(plan.form(Role::Bull, Role::Market), Form::Full);
        assert_eq!(plan.form(Role::Safe, Role::Market), Form::Digest);
        assert_eq!(
            (plan.words(Role::Market), plan.words(Role::Bull), plan.words(Role::Trader)),
            (300, 225, 150)
        );
        let plan = compile(&options(&["digests", "concise"], Limits::default())).unwrap();
        assert_eq!(plan.form(Role::Safe, Role::Market), Form::Full);
        assert_eq!(plan.words(Role::Bull), 300);
        // Who limits nothing gets the same with the solver as without.
        let without = compile(&options(&["prompt_plan"], Limits::default())).unwrap();
        let with = compile(&options(&[], Limits::default())).unwrap();
        assert_eq!((without.forms, without.words), (with.forms, with.words));
    }

    #[test]
    fn limits_shorten_and_never_leave_out_what_must_be_read() {
        let whole = compile(&options(&[], Limits::default())).unwrap().solution.used;
        for share in [90, 80, 70] {
            let limits = Limits { tokens: Some(whole.tokens * share / 100), ..Limits::default() };
            let plan = compile(&options(&[], limits)).unwrap();
            assert!(plan.solution.used.tokens <= whole.tokens * share / 100);
            let given = options(&[], limits);
            for reader in Role::ANSWERING {
                for source in given.cast.reads(reader, &given.optimizations) {
                    assert_ne!(plan.form(reader, source), Form::Pointer, "{reader} must read {source}");
                }
            }
        }
        let limits = Limits { tokens: Some(1000), ..Limits::default() };
        let error = compile(&options(&[], limits)).unwrap_err().to_string();
        assert!(error.contains("its limit is 1000") && error.contains("--budget-tokens"), "{error}");
    }

    #[test]
    fn a_deadline_shortens_the_chain_and_siblings_keep_one_form() {
        let whole = compile(&options(&[], Limits::default())).unwrap().solution.used;
        let limits = Limits { millis: Some(whole.millis * 85 / 100), ..Limits::default() };
        let plan = compile(&options(&[], limits)).unwrap();
        assert!(plan.solution.used.millis <= whole.millis * 85 / 100);
        for source in Role::ANALYSTS {
            assert_eq!(plan.form(Role::Bull, source), plan.form(Role::Plan, source));
            assert_eq!(plan.form(Role::Risky, source), plan.form(Role::RiskManager, source));
        }
    }
}
