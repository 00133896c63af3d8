//! The added tokens by call: which call's prompt or answer changed, and what stood between it and the call before.
//!
//! In a conversation every prompt holds the one before, the answer to it, and what was added since. What a prompt adds
//! beyond that came from the tools between the two calls, or from other texts.

use std::collections::BTreeMap;

use super::tokens::{TokenCause, TokenSplit, ToolChange};
use crate::{
    analyze::calls,
    trace::{Kind, Span, Trace},
};

/// Longer conversations are paired in order instead of by what they hold in common.
const MOST_ALIGNED: usize = 1500;

/// A call in its conversation.
struct Turn<'a> {
    span: &'a Span,
    /// Its name and the tools before it: what pairs it with a call of the other side.
    key: String,
    /// Tools that ended between the call before and this one, with the size of their results.
    tools: Vec<(&'a str, Option<u64>)>,
    /// Whether the call before asked for tools.
    asked: bool,
}

/// The part of a change of prompts that each cause is to blame for.
#[derive(Clone, Copy, Default)]
struct Share {
    template: i64,
    tools: i64,
    history: i64,
}

/// Splits the difference.
pub fn split(a: &Trace, b: &Trace) -> TokenSplit {
    let mut split = TokenSplit::default();
    let mut sums = [0_i64; TokenCause::ALL.len()];
    let (in_a, in_b) = (conversations(a), conversations(b));
    let names: std::collections::BTreeSet<&str> = in_a.keys().chain(in_b.keys()).copied().collect();
    for name in names {
        let none = Vec::new();
        let (of_a, of_b) = (in_a.get(name).unwrap_or(&none), in_b.get(name).unwrap_or(&none));
        conversation(of_a, of_b, &mut sums, &mut split);
    }
    let total = |t: &Trace| t.tokens.sum().unwrap_or(0) as i64;
    sums[TokenCause::Unexplained as usize] += total(b) - total(a) - sums.iter().sum::<i64>();
    split.by_cause = TokenCause::ALL.iter().map(|c| (*c, sums[*c as usize])).collect();
    split.tools.sort_by_key(|t| std::cmp::Reverse(t.tokens.abs()));
    split.estimated = a.spans.iter().chain(&b.spans).any(|s| s.tokens.estimated);
    split
}

fn conversation(a: &[Turn<'_>], b: &[Turn<'_>], sums: &mut [i64], split: &mut TokenSplit) {
    let count = |t: Option<u64>| t.unwrap_or(0) as i64;
    let mut share = Share::default();
    // The last pair: prompts and answers of both sides.
    let mut before: Option<(&Span, &Span)> = None;
    for (x, y) in align(a, b) {
        let (x, y) = match (x, y) {
            (Some(x), Some(y)) => (x, y),
            (Some(one), None) => {
                sums[TokenCause::Structure as usize] -= count(one.span.tokens.sum());
                continue;
            }
            (None, Some(one)) => {
                sums[TokenCause::Structure as usize] += count(one.span.tokens.sum());
                continue;
            }
            (None, None) => continue,
        };
        let (p, q) = (&x.span.tokens, &y.span.tokens);
        let prompt = count(q.prompt) - count(p.prompt);
        let answer = count(q.completion) - count(p.completion);
        match before {
            None => {
                split.template_a += count(p.prompt);
                let same = x.span.prompt_key.is_some() && x.span.prompt_key == y.span.prompt_key;
                share = if same {
                    Share { history: prompt, ..Share::default() }
                } else {
                    Share { template: prompt, ..Share::default() }
                };
            }
            Some((c, d)) => {
                let grows = p.prompt >= c.tokens.prompt && q.prompt >= d.tokens.prompt;
                let kept = if grows { share } else { Share::default() };
                let answered =
                    if grows { count(d.tokens.completion) - count(c.tokens.completion) } else { 0 };
                let known = kept.template + kept.tools + kept.history;
                let rest = prompt - known;
                // An answer that grew stands in the next prompt; it explains no more than what is there.
                let answered = if answered.signum() == rest.signum() {
                    answered.signum() * answered.abs().min(rest.abs())
                } else {
                    0
                };
                let added = rest - answered;
                share = Share { history: kept.history + answered, ..kept };
                if x.tools.is_empty() && y.tools.is_empty() && !x.asked && !y.asked {
                    share.history += added;
                } else {
                    share.tools += added;
                    if added != 0 {
                        split.tools.push(change(x, y, added));
                    }
                }
            }
        }
        sums[TokenCause::PromptTemplate as usize] += share.template;
        sums[TokenCause::ToolResults as usize] += share.tools;
        sums[TokenCause::History as usize] += share.history;
        sums[TokenCause::Output as usize] += answer;
        sums[TokenCause::Unexplained as usize] += count(q.sum()) - count(p.sum()) - prompt - answer;
        before = Some((x.span, y.span));
    }
}

/// The tools whose results changed: by their sizes where both sides recorded them, else all that ran before the call.
fn change(x: &Turn<'_>, y: &Turn<'_>, tokens: i64) -> ToolChange {
    let sizes = |turn: &Turn<'_>| {
        let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
        for (name, size) in &turn.tools {
            *sizes.entry((*name).to_owned()).or_default() += size.unwrap_or(0);
        }
        sizes
    };
    let (of_x, of_y) = (sizes(x), sizes(y));
    let differs = |name: &&String| {
        let (a, b) = (of_x.get(*name).copied().unwrap_or(0), of_y.get(*name).copied().unwrap_or(0));
        if tokens < 0 { b < a } else { b > a }
    };
    let all: std::collections::BTreeSet<&String> = of_x.keys().chain(of_y.keys()).collect();
    let changed: Vec<String> = all.iter().filter(|n| differs(n)).map(|n| (*n).clone()).collect();
    let tools = if changed.is_empty() { all.into_iter().cloned().collect() } else { changed };
    ToolChange { tools, call: y.span.name.clone(), tokens }
}

/// The calls of each agent, or of the whole run, in order of their starts.
fn conversations(trace: &Trace) -> BTreeMap<&str, Vec<Turn<'_>>> {
    let mut tools: Vec<&Span> = trace.spans.iter().filter(|s| s.kind == Kind::Tool).collect();
    tools.sort_by(|a, b| a.end_s.total_cmp(&b.end_s));
    let mut found: BTreeMap<&str, Vec<Turn<'_>>> = BTreeMap::new();
    let mut all: Vec<&Span> = calls(trace).map(|(_, span)| span).collect();
    all.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    for span in all {
        let turns = found.entry(span.role.as_deref().unwrap_or_default()).or_default();
        let since = turns.last().map_or(f64::NEG_INFINITY, |t: &Turn<'_>| t.span.start_s);
        let from = tools.partition_point(|t| t.end_s <= since);
        let until = tools.partition_point(|t| t.end_s <= span.start_s + 0.01);
        let between: Vec<(&str, Option<u64>)> = tools[from.min(until)..until]
            .iter()
            .filter(|t| t.start_s >= since)
            .map(|t| (t.name.as_str(), t.attributes.get("result_bytes").and_then(serde_json::Value::as_u64)))
            .collect();
        let asked = turns.last().is_some_and(|t| t.span.asks_tools > 0);
        let mut names: Vec<&str> = between.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        let key = format!("{}\n{}", span.name, names.join("\n"));
        turns.push(Turn { span, key, tools: between, asked });
    }
    found
}

type Pair<'t, 'a> = (Option<&'t Turn<'a>>, Option<&'t Turn<'a>>);

/// Pairs two conversations: the longest row of calls that both have; what lies between on both sides in order.
fn align<'t, 'a>(a: &'t [Turn<'a>], b: &'t [Turn<'a>]) -> Vec<Pair<'t, 'a>> {
    let mut pairs = Vec::new();
    let mut fill = |a: &'t [Turn<'a>], b: &'t [Turn<'a>]| {
        for i in 0..a.len().max(b.len()) {
            pairs.push((a.get(i), b.get(i)));
        }
    };
    if a.len() == b.len() || a.len() > MOST_ALIGNED || b.len() > MOST_ALIGNED {
        fill(a, b);
        return pairs;
    }
    let width = b.len() + 1;
    let mut best = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            best[i * width + j] = if a[i].key == b[j].key {
                best[(i + 1) * width + j + 1] + 1
            } else {
                best[(i + 1) * width + j].max(best[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i].key == b[j].key {
            pairs.push((Some(&a[i]), Some(&b[j])));
            (i, j) = (i + 1, j + 1);
        } else if best[(i + 1) * width + j] >= best[i * width + j + 1] {
            pairs.push((Some(&a[i]), None));
            i += 1;
        } else {
            pairs.push((None, Some(&b[j])));
            j += 1;
        }
    }
    pairs.extend(a[i..].iter().map(|t| (Some(t), None)));
    pairs.extend(b[j..].iter().map(|t| (None, Some(t))));
    pairs
}
