//! The reading test: what is asked, in which order, and what came back.

use std::collections::{BTreeMap, HashSet};

use futures_util::{StreamExt, stream};
use lacon_llm::{Capabilities, Client, Error, ErrorKind, Message, Request, ignore_events};
use lacon_tokens::Encoding;
use serde::{Deserialize, Serialize};

use crate::{
    forms::{Form, with_legend},
    material::Material,
    questions::{is_right, questions},
    stats::{Pairs, Z_95, Z_ERROR, wilson},
    verdict::{Entry, Verdict},
};

/// Stands between the text and the question.
pub const ASK: &str = "\n\nQuestion: ";
const HOW: &str = "Answer with the value alone, on one line.";
/// The name of the arm that reads the text as it is.
pub const ORIGINAL: &str = "original";
/// Room for an answer, and for the thoughts of a model that reasons.
const ANSWER_TOKENS: u32 = 40;
const THOUGHT_TOKENS: u32 = 4000;

/// What to ask.
#[derive(Debug, Clone)]
pub struct PlanOptions<'f> {
    /// The model.
    pub model: String,
    /// The forms to compare with the original.
    pub forms: Vec<&'f Form>,
    /// Whether our forms are also asked with their legend.
    pub legend: bool,
    /// Most questions.
    pub questions: usize,
    /// Most tokens of one text in a prompt.
    pub window: usize,
    /// Seed of the questions.
    pub seed: u64,
}

/// One prompt of the experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The question's number.
    pub question: usize,
    /// `original`, the name of a form, or that with `+legend`.
    pub arm: String,
    /// What kind of question it is.
    pub kind: &'static str,
    /// What names it in the file of answers: the digest of its request.
    pub key: String,
    /// The prompt.
    pub prompt: String,
    /// The right answer.
    pub right: String,
    /// Tokens of the prompt, by the encoding of the plan.
    pub tokens: usize,
    /// Tokens of the text in it.
    pub text_tokens: usize,
}

/// The prompts in the order in which they are sent.
///
/// Questions about one text in one form follow each other, so that a prompt cache reads the text once. All forms of a
/// text come before the next text, so that an experiment that stops early still has pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The model.
    pub model: String,
    /// The prompts.
    pub items: Vec<Item>,
    /// Questions that are asked of each arm.
    pub questions: BTreeMap<String, usize>,
}

/// Makes a plan.
pub fn plan(materials: &[Material], options: &PlanOptions<'_>, encoding: &Encoding) -> Plan {
    let windows: Vec<Material> =
        materials.iter().flat_map(|material| material.windows(options.window, encoding)).collect();
    let mut made = Plan { model: options.model.clone(), ..Plan::default() };
    let share = options.questions.div_ceil(windows.len().max(1));
    let mut next = 0;
    for (n, window) in windows.iter().enumerate() {
        let mut arms = vec![(ORIGINAL.to_owned(), window.text.clone(), None)];
        for form in &options.forms {
            let Some(text) = form.write(window, encoding) else { continue };
            if options.legend && form.has_legend() {
                arms.push((format!("{}+legend", form.name), with_legend(&text), Some(*form)));
            }
            arms.push((form.name.to_owned(), text, Some(*form)));
        }
        // A text that no form changes teaches nothing.
        if arms.len() < 2 {
            continue;
        }
        let left = options.questions.saturating_sub(next);
        let asked = questions(window, share.min(left), options.seed.wrapping_add(n as u64));
        for (arm, text, form) in &arms {
            let text_tokens = encoding.count(text);
            let answers = |kind: &str| form.is_none_or(|form| form.answers(kind));
            for (m, question) in asked.iter().enumerate().filter(|(_, question)| answers(question.kind)) {
                let prompt = format!("{text}{ASK}{}\n{HOW}", question.ask);
                made.items.push(Item {
                    question: next + m,
                    arm: arm.clone(),
                    kind: question.kind,
                    tokens: encoding.count(&prompt),
                    key: made.request(&prompt).digest()[..24].to_owned(),
                    prompt,
                    right: question.answer.clone(),
                    text_tokens,
                });
            }
            *made.questions.entry(arm.clone()).or_default() +=
                asked.iter().filter(|question| answers(question.kind)).count();
        }
        next += asked.len();
    }
    made
}

impl Plan {
    /// The request for a prompt.
    pub fn request(&self, prompt: &str) -> Request {
        let capabilities = Capabilities::of(&self.model);
        let room = if capabilities.is_known() && capabilities.reasons() { THOUGHT_TOKENS } else { 0 };
        Request {
            messages: vec![Message::user(prompt)],
            max_tokens: Some(ANSWER_TOKENS + room),
            temperature: capabilities.temperature.then_some(0.0),
            ..Request::new(self.model.clone())
        }
    }

    /// Prompt tokens of all items, and the most that answers can have.
    pub fn tokens(&self) -> (u64, u64) {
        let answers = u64::from(self.request("").max_tokens.unwrap_or(0)) * self.items.len() as u64;
        (self.items.iter().map(|item| item.tokens as u64).sum(), answers)
    }
}

/// One answer, as it stands in the file of answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What was asked ([`Item::key`]).
    pub key: String,
    /// The arm.
    pub arm: String,
    /// The question's number.
    pub question: usize,
    /// Whether the answer is right.
    pub right: bool,
    /// What was said, cut to a line.
    pub said: String,
    /// What is right.
    pub expected: String,
    /// Prompt tokens as the provider billed them, or as the plan counted them.
    pub prompt_tokens: u64,
    /// Those of them that came from the provider's cache.
    #[serde(default)]
    pub cached_tokens: u64,
    /// Tokens of the answer.
    pub answer_tokens: u64,
}

/// Why an experiment stopped before its end.
#[derive(Debug)]
pub enum Stop {
    /// The budget of tokens is used up.
    Budget,
    /// The endpoint failed; what was answered is kept.
    Failed(Error),
}

/// Asks what `known` does not hold yet, and hands over each answer as it comes.
///
/// At most `at_once` calls are open. A failed call ends the experiment, but not the calls beside it. `budget` bounds
/// the tokens of prompts and answers that are sent now.
pub async fn run(
    client: &dyn Client,
    plan: &Plan,
    known: &HashSet<String>,
    at_once: usize,
    budget: Option<u64>,
    mut on_row: impl FnMut(Row),
) -> Option<Stop> {
    let mut left = budget.unwrap_or(u64::MAX);
    let mut stop = None;
    let mut sent = HashSet::new();
    let mut todo = Vec::new();
    for item in &plan.items {
        if known.contains(&item.key) || !sent.insert(item.key.as_str()) {
            continue;
        }
        let request = plan.request(&item.prompt);
        let most = item.tokens as u64 + u64::from(request.max_tokens.unwrap_or(0));
        let Some(rest) = left.checked_sub(most) else {
            stop = Some(Stop::Budget);
            break;
        };
        left = rest;
        todo.push((item, request));
    }
    let mut calls = stream::iter(todo)
        .map(|(item, request)| async move {
            let result = client.complete(&request, &ignore_events).await;
            (item, result)
        })
        .buffered(at_once.max(1));
    while let Some((item, result)) = calls.next().await {
        match result {
            Ok(response) => {
                let usage = response.usage.unwrap_or_default();
                on_row(Row {
                    key: item.key.clone(),
                    arm: item.arm.clone(),
                    question: item.question,
                    right: is_right(&response.text, &item.right),
                    said: response.text.trim().chars().take_while(|c| *c != '\n').take(200).collect(),
                    expected: item.right.clone(),
                    prompt_tokens: usage.prompt_total().unwrap_or(item.tokens as u64),
                    cached_tokens: usage.cached.unwrap_or(0),
                    answer_tokens: usage.output.unwrap_or(0),
                });
            }
            // An empty answer is an answer that is wrong.
            Err(error) if matches!(error.kind(), ErrorKind::Malformed(lacon_llm::Malformed::Empty)) => {
                on_row(Row {
                    key: item.key.clone(),
                    arm: item.arm.clone(),
                    question: item.question,
                    right: false,
                    said: String::new(),
                    expected: item.right.clone(),
                    prompt_tokens: item.tokens as u64,
                    cached_tokens: 0,
                    answer_tokens: 0,
                })
            }
            Err(error) => return Some(Stop::Failed(error)),
        }
    }
    stop
}

/// What one arm came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// Questions that it answered.
    pub questions: u32,
    /// Right answers.
    pub right: u32,
    /// Wilson's interval of 95 % for its accuracy.
    pub accuracy: (f64, f64),
    /// Prompt tokens as billed, all questions together.
    pub prompt_tokens: u64,
    /// Tokens of its texts as a share of the original's, by the plan's encoding.
    pub tokens: f64,
    /// Questions that it and the original answered.
    #[serde(skip)]
    pub pairs: Pairs,
    /// Difference of the accuracies with its interval of 90 %; absent for the original.
    pub difference: Option<(f64, f64, f64)>,
    /// The verdict; absent for the original.
    pub verdict: Option<Verdict>,
}

/// Sums up what came back. Rows that the plan does not know are left out.
pub fn summary(plan: &Plan, rows: &[Row], margin: f64) -> Vec<Arm> {
    let by_key: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.key.as_str(), row)).collect();
    let mut arms: BTreeMap<&str, BTreeMap<usize, (&Item, &Row)>> = BTreeMap::new();
    for item in &plan.items {
        if let Some(row) = by_key.get(item.key.as_str()) {
            arms.entry(&item.arm).or_default().insert(item.question, (item, row));
        }
    }
    let empty = BTreeMap::new();
    let original = arms.get(ORIGINAL).unwrap_or(&empty);
    let mut out: Vec<Arm> = arms
        .iter()
        .map(|(name, answers)| {
            let mut pairs = Pairs::default();
            let (mut own, mut theirs) = (0, 0);
            for (question, (item, row)) in answers {
                let Some((first, other)) = original.get(question) else { continue };
                pairs.n += 1;
                pairs.lost += u32::from(other.right && !row.right);
                pairs.won += u32::from(!other.right && row.right);
                own += item.text_tokens;
                theirs += first.text_tokens;
            }
            let questions = answers.len() as u32;
            let right = answers.values().filter(|(_, row)| row.right).count() as u32;
            let is_form = *name != ORIGINAL;
            let (low, high) = pairs.interval(Z_ERROR);
            Arm {
                name: (*name).to_owned(),
                questions,
                right,
                accuracy: wilson(right, questions, Z_95),
                prompt_tokens: answers.values().map(|(_, row)| row.prompt_tokens).sum(),
                tokens: if theirs == 0 { 1.0 } else { f64::from(own as u32) / f64::from(theirs as u32) },
                pairs,
                difference: is_form.then(|| (pairs.difference(), low, high)),
                verdict: is_form.then(|| Verdict::of(pairs, margin)),
            }
        })
        .collect();
    out.sort_by_key(|arm| (arm.name != ORIGINAL, arm.name.clone()));
    out
}

impl Arm {
    /// The entry for the book of verdicts.
    pub fn entry(&self, margin: f64, date: &str) -> Option<Entry> {
        let (difference, low, high) = self.difference?;
        Some(Entry {
            verdict: self.verdict?,
            legend: self.name.ends_with("+legend"),
            questions: self.pairs.n,
            difference,
            interval: (low, high),
            margin,
            tokens: self.tokens,
            date: date.to_owned(),
        })
    }
}
