//! What any run can be asked: calls, tools, tokens, cost. Every figure is the sum over the calls; what is not recorded is
//! absent, never 0.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    prices,
    trace::{Answer, Kind, Span, SpanTokens, Trace},
};

/// The figures of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// The run's status in the trace's own word.
    pub status: String,
    /// Model calls; a node that reports tokens and shows no call is one.
    pub n_calls: usize,
    /// Tool calls.
    pub n_tool_calls: usize,
    /// Tools that calls asked for.
    pub n_tools_asked: u32,
    /// Tool calls by name.
    pub tools: BTreeMap<String, usize>,
    /// Spans that failed, the run itself included.
    pub n_errors: usize,
    /// Tokens of the whole run.
    pub tokens: SpanTokens,
    /// Calls that say their tokens.
    pub n_calls_with_tokens: usize,
    /// Spans that told of a request or tool that another span tells of.
    pub n_folded: u32,
    /// Nodes of a second instrumentation that told of the same requests once more, and were taken out.
    pub n_retold: u32,
    /// The cost by the source's own figures, in US dollars.
    pub cost_source_usd: Option<f64>,
    /// The cost at list prices, in US dollars.
    pub cost_list_usd: Option<f64>,
    /// Calls whose model has a list price.
    pub n_calls_priced: usize,
    /// Calls whose answer is recorded and understood.
    pub n_answers: usize,
}

/// Every call of a run: those with a span, and nodes that stand for some.
pub fn calls(trace: &Trace) -> impl Iterator<Item = (usize, &Span)> {
    trace.spans.iter().enumerate().filter(|(_, s)| s.kind == Kind::Model || s.hidden_calls > 0 && s.is_unit())
}

/// Sums a run up.
pub fn summary(trace: &Trace) -> Summary {
    let mut sum = Summary {
        status: trace.status.clone(),
        tokens: trace.tokens,
        n_folded: trace.n_folded,
        n_retold: trace.n_retold,
        cost_source_usd: trace.cost_usd,
        n_errors: usize::from(trace.error.is_some()),
        ..Summary::default()
    };
    let mut list = 0_u64;
    for (_, span) in calls(trace) {
        let n = span.hidden_calls.max(1) as usize;
        sum.n_calls += n;
        sum.n_calls_with_tokens += if span.tokens.sum().is_some() { n } else { 0 };
        sum.n_answers += usize::from(matches!(span.answer, Answer::Text | Answer::Tools | Answer::Empty));
        sum.n_tools_asked = sum.n_tools_asked.saturating_add(span.asks_tools);
        if let Some(micros) = at_list_price(trace, span) {
            list = list.saturating_add(micros);
            sum.n_calls_priced += 1;
        }
    }
    if sum.n_calls_priced > 0 {
        sum.cost_list_usd = Some(list as f64 / 1e6);
    }
    for span in trace.spans.iter().filter(|s| s.is_work()) {
        sum.n_errors += usize::from(span.error.is_some());
        if span.kind == Kind::Tool {
            sum.n_tool_calls += 1;
            *sum.tools.entry(span.name.clone()).or_default() += 1;
        }
    }
    sum
}

/// The cost of a call in micro-dollars, where its model has a price and its tokens are split. A simulated model costs
/// nothing.
pub(crate) fn at_list_price(trace: &Trace, span: &Span) -> Option<u64> {
    if trace.flags.get("lacon.simulated").and_then(serde_json::Value::as_bool) == Some(true) {
        return None;
    }
    let usage = span.tokens.usage();
    usage.total()?;
    prices::cost(span.model.as_deref()?, &usage)
}
