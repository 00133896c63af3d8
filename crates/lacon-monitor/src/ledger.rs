//! Collects facts while a run goes on. One short lock per fact; nothing is formatted or written here.

use std::{borrow::Cow, sync::Mutex, time::Duration};

use lacon_llm::{Error, Response, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    prices,
    record::{Call, Tokens, ToolCall},
};

/// One finished model call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallFact {
    /// The row of `run.json`.
    pub call: Call,
    /// Tokens of every attempt, failed and cancelled ones included.
    pub tokens: Tokens,
    /// Cost of every attempt; absent without a known price.
    pub micro_usd: Option<u64>,
}

impl CallFact {
    /// The fact of an answered call. `start` is the call's start since the run's.
    pub fn answered(
        role: &str,
        turn: u32,
        start: Duration,
        digest: String,
        prompt_counted: Option<u64>,
        response: &Response,
    ) -> Self {
        let usage = response.usage.unwrap_or_default();
        let mut tokens = Tokens::default();
        let mut micro_usd = Some(0);
        let winner = response.attempts.iter().rposition(|a| a.outcome == lacon_llm::Outcome::Answered);
        for (i, attempt) in response.attempts.iter().enumerate() {
            // The winner's usage stands in the response itself, where a layer may have completed it.
            let (reported, estimate) = if Some(i) == winner {
                (response.usage.or(attempt.usage), attempt.usage_estimate)
            } else {
                (attempt.usage, attempt.usage_estimate)
            };
            add(&mut tokens, &mut micro_usd, &response.model, reported, estimate);
        }
        if response.attempts.is_empty() {
            add(&mut tokens, &mut micro_usd, &response.model, response.usage, None);
        }
        Self {
            call: Call {
                role: role.into(),
                turn,
                model: response.model.clone(),
                prompt: usage.prompt_total(),
                cached: usage.cached,
                completion: usage.completion_total(),
                reasoning: usage.reasoning,
                prompt_counted,
                start_s: start.as_secs_f64(),
                first_token_s: response.first_token.map(|f| (start + f).as_secs_f64()),
                end_s: (start + response.elapsed).as_secs_f64(),
                attempts: response.attempts.len().max(1) as u32,
                hedged: response.hedged,
                status: "ok".into(),
                finish_reason: Some(finish_name(&response.finish)),
                prompt_digest: digest,
            },
            tokens,
            micro_usd,
        }
    }

    /// The fact of a call that gave no answer.
    pub fn failed(
        role: &str,
        turn: u32,
        model: &str,
        (start, end): (Duration, Duration),
        digest: String,
        error: &Error,
    ) -> Self {
        let mut tokens = Tokens::default();
        let mut micro_usd = Some(0);
        for attempt in error.attempts() {
            add(&mut tokens, &mut micro_usd, model, attempt.usage, attempt.usage_estimate);
        }
        Self {
            call: Call {
                role: role.into(),
                turn,
                model: model.into(),
                start_s: start.as_secs_f64(),
                end_s: end.as_secs_f64(),
                attempts: error.attempts().len() as u32,
                status: error.kind().as_str().into(),
                prompt_digest: digest,
                ..Call::default()
            },
            tokens,
            micro_usd,
        }
    }
}

fn finish_name(finish: &lacon_llm::Finish) -> String {
    serde_json::to_value(finish)
        .ok()
        .and_then(|v| v.as_str().map(Into::into))
        .unwrap_or_else(|| format!("{finish:?}"))
}

fn add(
    tokens: &mut Tokens,
    micro_usd: &mut Option<u64>,
    model: &str,
    reported: Option<Usage>,
    estimate: Option<Usage>,
) {
    let Some(usage) = reported.or(estimate) else { return };
    let prompt = usage.prompt_total().unwrap_or(0);
    let completion = usage.completion_total().unwrap_or(0);
    tokens.prompt += prompt;
    tokens.completion += completion;
    tokens.total += prompt + completion;
    tokens.cached = plus(tokens.cached, usage.cached);
    tokens.reasoning = plus(tokens.reasoning, usage.reasoning);
    if reported.is_none() {
        tokens.estimated += prompt + completion;
    }
    *micro_usd = micro_usd.zip(prices::cost(model, &usage)).map(|(sum, cost)| sum + cost);
}

fn plus(sum: Option<u64>, part: Option<u64>) -> Option<u64> {
    match (sum, part) {
        (None, None) => None,
        (sum, part) => Some(sum.unwrap_or(0) + part.unwrap_or(0)),
    }
}

/// One finished tool call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolFact {
    /// The row of `run.json`.
    pub tool: ToolCall,
}

/// One finished node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeFact {
    /// The node.
    pub node: String,
    /// How often it had been started.
    pub visit: u32,
    /// Start in seconds.
    pub start_s: f64,
    /// End in seconds.
    pub end_s: f64,
    /// The nodes that it waits for.
    pub inputs: Vec<String>,
    /// What went wrong, if anything.
    pub error: Option<String>,
}

/// Something worth counting that is neither a call nor a node: a lever's saving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saving {
    /// The node whose prompt it was.
    pub node: String,
    /// The lever.
    pub lever: Cow<'static, str>,
    /// Tokens not sent because of it.
    pub tokens: i64,
}

/// Everything that happened in one run.
#[derive(Debug, Default)]
pub struct Ledger {
    facts: Mutex<Facts>,
}

/// The facts collected so far.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Model calls in order of their end.
    pub calls: Vec<CallFact>,
    /// Tool calls in order of their end.
    pub tools: Vec<ToolFact>,
    /// Nodes in order of their end.
    pub nodes: Vec<NodeFact>,
    /// Savings by lever.
    pub savings: Vec<Saving>,
    /// Warnings in order, each once.
    pub warnings: Vec<String>,
    /// Receipts of prompt rewrites.
    pub receipts: Vec<Value>,
}

impl Ledger {
    fn with<R>(&self, f: impl FnOnce(&mut Facts) -> R) -> R {
        // A panic between lock and unlock cannot leave the lists half written: each closure pushes once.
        f(&mut self.facts.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Adds a model call.
    pub fn call(&self, fact: CallFact) {
        self.with(|facts| facts.calls.push(fact));
    }

    /// Adds a tool call.
    pub fn tool(&self, fact: ToolFact) {
        self.with(|facts| facts.tools.push(fact));
    }

    /// Adds a node.
    pub fn node(&self, fact: NodeFact) {
        self.with(|facts| facts.nodes.push(fact));
    }

    /// Adds what a lever saved in a node's prompt.
    pub fn saving(&self, node: &str, lever: &'static str, tokens: i64) {
        let saving = Saving { node: node.into(), lever: lever.into(), tokens };
        self.with(|facts| facts.savings.push(saving));
    }

    /// Adds a warning unless it was given before.
    pub fn warn(&self, warning: impl Into<String>) {
        let warning = warning.into();
        self.with(|facts| {
            if !facts.warnings.contains(&warning) {
                facts.warnings.push(warning);
            }
        });
    }

    /// Adds the receipt of a prompt rewrite.
    pub fn receipt(&self, receipt: Value) {
        self.with(|facts| facts.receipts.push(receipt));
    }

    /// Tokens of all calls so far.
    pub fn tokens(&self) -> Tokens {
        self.with(|facts| total(&facts.calls))
    }

    /// Does something with everything collected so far.
    pub fn read<R>(&self, f: impl FnOnce(&Facts) -> R) -> R {
        self.with(|facts| f(facts))
    }

    /// Puts what an earlier process of the same run has collected before what is collected from here on.
    pub fn restore(&self, earlier: Facts) {
        self.with(|facts| {
            let later = std::mem::replace(facts, earlier);
            facts.calls.extend(later.calls);
            facts.tools.extend(later.tools);
            facts.nodes.extend(later.nodes);
            facts.savings.extend(later.savings);
            facts.receipts.extend(later.receipts);
            let new: Vec<String> =
                later.warnings.into_iter().filter(|w| !facts.warnings.contains(w)).collect();
            facts.warnings.extend(new);
        });
    }

    /// A copy of everything collected so far.
    pub fn facts(&self) -> Facts {
        self.with(|facts| facts.clone())
    }
}

/// The tokens of these calls.
pub fn total(calls: &[CallFact]) -> Tokens {
    calls.iter().fold(Tokens::default(), |sum, fact| {
        let t = &fact.tokens;
        Tokens {
            prompt: sum.prompt + t.prompt,
            cached: plus(sum.cached, t.cached),
            completion: sum.completion + t.completion,
            reasoning: plus(sum.reasoning, t.reasoning),
            total: sum.total + t.total,
            estimated: sum.estimated + t.estimated,
        }
    })
}

/// The cost of these calls as a decimal string of US dollars; absent when one of the models has no known price.
pub fn cost_usd(calls: &[CallFact]) -> Option<String> {
    let micro: u64 = calls.iter().map(|fact| fact.micro_usd).sum::<Option<u64>>()?;
    Some(format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000))
}
