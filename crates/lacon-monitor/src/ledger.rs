//! Collects facts during a run. Nothing is formatted or written here.

use std::{
    borrow::Cow,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lacon_llm::{Error, Response, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    calls::{Call, Tokens, ToolCall},
    metrics::Metrics,
    ops::OpLog,
    prices,
};

/// One finished model call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallFact {
    /// The row of `run.json`.
    pub call: Call,
    /// Tokens of every attempt, failed and canceled ones included.
    pub tokens: Tokens,
    /// Cost of every attempt; absent without a known price.
    pub micro_usd: Option<u64>,
    /// Every try, in order of start.
    #[serde(default)]
    pub attempts: Vec<AttemptFact>,
}

/// One try of a call. Times are seconds since the call began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptFact {
    /// When the request was sent.
    pub start_s: f64,
    /// When there was a connection to send it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_s: Option<f64>,
    /// When it ended.
    pub end_s: f64,
    /// `answered`, `superseded`, or the kind of the error.
    pub outcome: Cow<'static, str>,
    /// The HTTP status, where one came.
    pub status: Option<u16>,
    /// Whether it was sent beside an earlier one.
    pub hedge: bool,
}

fn attempts(of: &[lacon_llm::Attempt]) -> Vec<AttemptFact> {
    of.iter()
        .map(|a| AttemptFact {
            start_s: a.start.as_secs_f64(),
            connected_s: a.connected.map(|c| c.as_secs_f64()),
            end_s: a.end.as_secs_f64(),
            outcome: match &a.outcome {
                lacon_llm::Outcome::Answered => "answered",
                lacon_llm::Outcome::Superseded => "superseded",
                lacon_llm::Outcome::Failed(kind) => kind.as_str(),
            }
            .into(),
            status: a.status,
            hedge: a.hedge,
        })
        .collect()
}

/// Seconds before the first try, and seconds that failed tries and the waits between them took.
fn waits(attempts: &[AttemptFact]) -> (f64, f64) {
    let Some(first) = attempts.first() else { return (0.0, 0.0) };
    let last = attempts.iter().rev().find(|a| a.outcome == "answered").or(attempts.last()).unwrap_or(first);
    // A hedge beside a slow try is no retry: the slow try was waited for.
    let failed = attempts.iter().any(|a| a.end_s <= last.start_s + 1e-9 && !std::ptr::eq(a, last));
    (first.start_s, if failed { (last.start_s - first.start_s).max(0.0) } else { 0.0 })
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
        let tries = attempts(&response.attempts);
        let (queue_s, retry_s) = waits(&tries);
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
                cache_write: usage.cache_write,
                cache_write_1h: usage.cache_write_1h,
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
                queue_s,
                retry_s,
            },
            tokens,
            micro_usd,
            attempts: tries,
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
        let tries = attempts(error.attempts());
        let (queue_s, retry_s) = waits(&tries);
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
                queue_s,
                retry_s,
                ..Call::default()
            },
            tokens,
            micro_usd,
            attempts: tries,
        }
    }
}

fn finish_name(finish: &lacon_llm::Finish) -> String {
    finish.as_str().to_owned()
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
    tokens.cache_write = plus(plus(tokens.cache_write, usage.cache_write), usage.cache_write_1h);
    tokens.reasoning = plus(tokens.reasoning, usage.reasoning);
    if reported.is_none() {
        tokens.estimated += prompt + completion;
    }
    *micro_usd = micro_usd.zip(prices::cost(model, &usage)).map(|(sum, cost)| sum.saturating_add(cost));
}

fn plus(sum: Option<u64>, part: Option<u64>) -> Option<u64> {
    match (sum, part) {
        (None, None) => None,
        (sum, part) => Some(sum.unwrap_or(0).saturating_add(part.unwrap_or(0))),
    }
}

/// One finished tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// Something worth counting that is neither a call nor a node: an optimization's saving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saving {
    /// The node whose prompt it was.
    pub node: String,
    /// The optimization.
    #[serde(alias = "lever")]
    pub optimization: Cow<'static, str>,
    /// Tokens not sent because of it.
    pub tokens: i64,
}

/// Facts of a kind that are kept; a run with more calls keeps the first ones.
const MOST: usize = 100_000;

/// Everything that happened in one run.
#[derive(Debug)]
pub struct Ledger {
    facts: Mutex<Facts>,
    /// Tokens and millionths of a US dollar of all calls: limits ask for them at every call, and a sum over all of them
    /// would cost a run the square of its calls.
    total_tokens: AtomicU64,
    spent_micro_usd: AtomicU64,
    /// Lacon's own work.
    pub ops: OpLog,
    /// Counters and histograms.
    pub metrics: Metrics,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::starting_at(Instant::now(), true)
    }
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
    /// Savings by optimization.
    pub savings: Vec<Saving>,
    /// Warnings in order, each once.
    pub warnings: Vec<String>,
    /// Receipts of prompt rewrites.
    pub receipts: Vec<Value>,
}

impl Ledger {
    /// A ledger whose own work is timed from `began`, or not at all.
    pub fn starting_at(began: Instant, timed: bool) -> Self {
        Self {
            facts: Mutex::default(),
            total_tokens: AtomicU64::new(0),
            spent_micro_usd: AtomicU64::new(0),
            ops: OpLog::new(began, timed),
            metrics: Metrics::default(),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a model call.
    pub fn call(&self, fact: CallFact) {
        self.metrics.call(&fact);
        self.total_tokens.fetch_add(fact.tokens.total, Ordering::Relaxed);
        self.spent_micro_usd.fetch_add(fact.micro_usd.unwrap_or(0), Ordering::Relaxed);
        push(&mut self.locked().calls, fact);
    }

    /// Adds a tool call.
    pub fn tool(&self, fact: ToolFact) {
        self.metrics.tool(&fact);
        push(&mut self.locked().tools, fact);
    }

    /// Adds a node.
    pub fn node(&self, fact: NodeFact) {
        push(&mut self.locked().nodes, fact);
    }

    /// Adds what an optimization saved in a node's prompt.
    pub fn saving(&self, node: &str, optimization: impl Into<Cow<'static, str>>, tokens: i64) {
        push(
            &mut self.locked().savings,
            Saving { node: node.into(), optimization: optimization.into(), tokens },
        );
    }

    /// Adds a warning unless it was given before.
    pub fn warn(&self, warning: impl Into<String>) {
        let warning = warning.into();
        let mut facts = self.locked();
        if !facts.warnings.contains(&warning) {
            push(&mut facts.warnings, warning);
        }
    }

    /// Adds the receipt of a prompt rewrite.
    pub fn receipt(&self, receipt: Value) {
        push(&mut self.locked().receipts, receipt);
    }

    /// Tokens of all calls so far.
    pub fn tokens(&self) -> Tokens {
        total(&self.locked().calls)
    }

    /// Prompt and completion tokens of all calls so far.
    pub fn total_tokens(&self) -> u64 {
        self.total_tokens.load(Ordering::Relaxed)
    }

    /// Millionths of a US dollar of all calls so far whose model has a known price.
    pub fn spent_micro_usd(&self) -> u64 {
        self.spent_micro_usd.load(Ordering::Relaxed)
    }

    /// Puts what an earlier process of the same run has collected in; before anything else.
    pub fn restore(&self, earlier: Facts) {
        earlier.calls.into_iter().for_each(|f| self.call(f));
        earlier.tools.into_iter().for_each(|f| self.tool(f));
        earlier.nodes.into_iter().for_each(|f| self.node(f));
        earlier.receipts.into_iter().for_each(|r| self.receipt(r));
        earlier.warnings.into_iter().for_each(|w| self.warn(w));
        earlier.savings.into_iter().for_each(|s| push(&mut self.locked().savings, s));
    }

    /// Looks at what was collected so far, which nobody adds to meanwhile.
    pub fn look<R>(&self, look: impl FnOnce(&Facts) -> R) -> R {
        look(&self.locked())
    }

    /// A copy of everything collected so far.
    pub fn facts(&self) -> Facts {
        self.locked().clone()
    }
}

fn push<T>(facts: &mut Vec<T>, fact: T) {
    if facts.len() < MOST {
        facts.push(fact);
    }
}

/// The tokens of these calls.
pub fn total<'a>(calls: impl IntoIterator<Item = &'a CallFact>) -> Tokens {
    calls.into_iter().fold(Tokens::default(), |sum, fact| {
        let t = &fact.tokens;
        Tokens {
            prompt: sum.prompt + t.prompt,
            cached: plus(sum.cached, t.cached),
            cache_write: plus(sum.cache_write, t.cache_write),
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
