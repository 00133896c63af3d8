//! From the loose spans of a file to traces: grouped, placed under their parents, put on one clock, named and counted.

use std::collections::{HashMap, HashSet};

use super::{Form, Kind, Problem, Span, SpanTokens, Trace, fold, note, tree, usage};

/// A span as a reader found it, with its links still by name and its times on any clock.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// The span; its times are filled in here.
    pub span: Span,
    /// The trace that it belongs to.
    pub trace: Option<String>,
    /// The identifier of its parent.
    pub parent: Option<String>,
    /// Start in seconds, on the file's clock.
    pub start: Option<f64>,
    /// End in seconds, on the file's clock.
    pub end: Option<f64>,
    /// First token in seconds, on the file's clock.
    pub first_token: Option<f64>,
    /// What does not fit together in it, by code.
    pub notes: Vec<(&'static str, String)>,
}

/// Puts spans together; one trace for each run found.
pub fn settle(
    form: Form,
    raws: Vec<Raw>,
    mut problems: Vec<Problem>,
    wants: impl Fn(&mut Trace),
) -> Vec<Trace> {
    let groups = grouped(raws);
    if groups.len() > 1 {
        note(&mut problems, "several_traces", format!("{} traces in one file", groups.len()));
    }
    groups
        .into_iter()
        .map(|(id, raws)| {
            let mut trace = one(form, id, raws, problems.clone());
            wants(&mut trace);
            if trace.status.is_empty() {
                trace.status = if trace.error.is_some() { "error" } else { "success" }.into();
            }
            trace
        })
        .collect()
}

/// The spans of each trace, in order of its first span. One without a trace belongs to its parent's.
fn grouped(raws: Vec<Raw>) -> Vec<(String, Vec<Raw>)> {
    if let Some(Some(id)) = raws.first().map(|r| r.trace.clone())
        && raws.iter().all(|r| r.trace.as_ref() == Some(&id))
    {
        return vec![(id, raws)];
    }
    let mut groups: Vec<(String, Vec<Raw>)> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    let trace_of: HashMap<String, String> =
        raws.iter().filter_map(|r| Some((r.span.id.clone(), r.trace.clone()?))).collect();
    for raw in raws {
        let name = raw
            .trace
            .clone()
            .or_else(|| raw.parent.as_ref().and_then(|p| trace_of.get(p).cloned()))
            .unwrap_or_default();
        let i = *by_name.entry(name.clone()).or_insert_with(|| {
            groups.push((name, Vec::new()));
            groups.len() - 1
        });
        groups[i].1.push(raw);
    }
    groups
}

fn one(form: Form, id: String, raws: Vec<Raw>, problems: Vec<Problem>) -> Trace {
    let mut trace = Trace { form, id, problems, ..Trace::default() };
    let mut raws = merge(raws, &mut trace);
    let base = raws.iter().filter_map(|r| r.start).min_by(f64::total_cmp).unwrap_or(0.0);
    let last = raws.iter().filter_map(|r| r.end.or(r.start)).max_by(f64::total_cmp).unwrap_or(base);
    if base > 1e8 {
        trace.began_unix_s = Some(base);
    }
    for raw in &mut raws {
        let name = || format!("{} {}", raw.span.name, raw.span.id);
        let start = raw.start.unwrap_or_else(|| {
            trace.problem("no_start", name());
            raw.end.unwrap_or(base)
        });
        let mut end = raw.end.unwrap_or_else(|| {
            trace.problem("no_end", name());
            last
        });
        raw.span.ended = raw.end.is_some();
        if end < start {
            trace.problem("ends_before_it_starts", format!("{} by {:.3} s", name(), start - end));
            end = start;
        }
        raw.span.start_s = start - base;
        raw.span.end_s = end - base;
        raw.span.first_token_s =
            raw.first_token.map(|t| t - base).filter(|t| *t >= start - base && *t <= end - base);
        if raw.first_token.is_some() && raw.span.first_token_s.is_none() {
            trace.problem("first_token_outside", name());
        }
        if let Some(differs) = usage::agree(&mut raw.span.tokens) {
            let what = format!("{} {}: {differs}", raw.span.name, raw.span.id);
            trace.problem("usage_differs", what);
        }
        for (code, what) in std::mem::take(&mut raw.notes) {
            trace.problem(code, what);
        }
    }
    // Spans are large: their places are sorted, and each is moved once.
    let mut order: Vec<usize> = (0..raws.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&raws[*a].span, &raws[*b].span);
        a.start_s.total_cmp(&b.start_s).then(b.end_s.total_cmp(&a.end_s))
    });
    let places: HashMap<&str, usize> =
        order.iter().enumerate().map(|(place, i)| (raws[*i].span.id.as_str(), place)).collect();
    let mut missing: Vec<(usize, String)> = Vec::new();
    let parents: Vec<Option<usize>> = order
        .iter()
        .enumerate()
        .map(|(place, i)| {
            let parent = raws[*i].parent.as_deref()?;
            let found = places.get(parent).copied();
            if found.is_none() {
                missing.push((place, parent.to_owned()));
            }
            found
        })
        .collect();
    drop(places);
    for (place, parent) in &missing {
        let span = &raws[order[*place]].span;
        trace.problem("parent_missing", format!("{} {} under {parent}", span.name, span.id));
    }
    let spans =
        order.iter().zip(parents).map(|(i, parent)| Span { parent, ..std::mem::take(&mut raws[*i].span) });
    trace.spans = spans.collect();
    drop(raws);
    tree::place(&mut trace, &missing);
    fold::fold(&mut trace);
    take_root(&mut trace);
    unwrap_only_child(&mut trace);
    for i in 0..trace.spans.len() {
        if trace.spans[i].parent.is_none() && trace.spans[i].kind == Kind::Other {
            trace.spans[i].kind = Kind::Node;
        } else if trace.spans[i].parent.is_some() && trace.spans[i].kind == Kind::Node {
            trace.spans[i].kind = Kind::Other;
        }
    }
    visits(&mut trace);
    totals(&mut trace);
    trace
}

/// Equal identifiers are one span: exporters that write a span at its start and again at its end leave two lines.
fn merge(raws: Vec<Raw>, trace: &mut Trace) -> Vec<Raw> {
    let mut seen = HashSet::with_capacity(raws.len());
    if raws.iter().all(|raw| !raw.span.id.is_empty() && seen.insert(raw.span.id.as_str())) {
        return raws;
    }
    let mut at: HashMap<String, usize> = HashMap::with_capacity(raws.len());
    let mut kept: Vec<Raw> = Vec::with_capacity(raws.len());
    for (n, mut raw) in raws.into_iter().enumerate() {
        if raw.span.id.is_empty() {
            trace.problem("no_id", raw.span.name.clone());
            raw.span.id = format!("#{n}");
        }
        match at.get(&raw.span.id) {
            None => {
                at.insert(raw.span.id.clone(), kept.len());
                kept.push(raw);
            }
            Some(&i) => {
                let old = &mut kept[i];
                // A line for the start and a line for the end are one span told in two parts.
                if old.end.is_some() && raw.end.is_some() {
                    trace.problem("span_twice", format!("{} {}", raw.span.name, raw.span.id));
                }
                if old.span.name == "unnamed" {
                    old.span.name = std::mem::take(&mut raw.span.name);
                }
                if old.span.kind == Kind::Other {
                    old.span.kind = raw.span.kind;
                }
                if old.span.answer == super::Answer::NotRecorded {
                    old.span.answer = raw.span.answer;
                }
                old.span.model = old.span.model.take().or(raw.span.model.take());
                old.span.asks_tools = old.span.asks_tools.max(raw.span.asks_tools);
                old.span.prompt_key = old.span.prompt_key.or(raw.span.prompt_key);
                old.span.cost_usd = old.span.cost_usd.or(raw.span.cost_usd);
                for (key, value) in std::mem::take(&mut raw.span.attributes) {
                    old.span.attributes.entry(key).or_insert(value);
                }
                old.start = old.start.or(raw.start);
                old.end = match (old.end, raw.end) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    (a, b) => a.or(b),
                };
                old.first_token = old.first_token.or(raw.first_token);
                old.parent = old.parent.take().or(raw.parent);
                old.span.tokens = old.span.tokens.or(&raw.span.tokens);
                if old.span.wrote.is_empty() {
                    old.span.wrote = raw.span.wrote;
                }
                old.span.error = old.span.error.take().or(raw.span.error);
            }
        }
    }
    kept
}

/// Takes the run itself out of the spans: the one without a parent that holds the others.
fn take_root(trace: &mut Trace) {
    let roots: Vec<usize> = (0..trace.spans.len()).filter(|i| trace.spans[*i].parent.is_none()).collect();
    let mut has_children = vec![false; trace.spans.len()];
    trace.spans.iter().filter_map(|s| s.parent).for_each(|p| has_children[p] = true);
    let longest = roots
        .iter()
        .copied()
        .filter(|i| !trace.spans[*i].is_call() && !trace.spans[*i].is_tool())
        .filter(|i| has_children[*i] || roots.len() == 1)
        .max_by(|a, b| trace.spans[*a].seconds().total_cmp(&trace.spans[*b].seconds()));
    let inside = |i: &usize| {
        roots.iter().all(|r| {
            trace.spans[*r].start_s >= trace.spans[*i].start_s - tree::JITTER_S
                && trace.spans[*r].end_s <= trace.spans[*i].end_s + tree::JITTER_S
        })
    };
    match longest.filter(inside) {
        Some(i) => {
            if roots.len() > 1 {
                trace.problem("several_roots", format!("{} spans without a parent", roots.len()));
            }
            let alone = !has_children[i] && roots.len() == 1;
            let mut run = lift(trace, i);
            if alone {
                // A run without a span inside is all that ran.
                trace.spans.push(Span { parent: None, wrote: Vec::new(), ..run.clone() });
            }
            trace.has_root = true;
            trace.name.clone_from(&run.name);
            trace.wall_s = run.seconds();
            trace.error = run.error.take();
            trace.tokens = run.tokens;
            trace.cost_usd = run.cost_usd;
            trace.texts = std::mem::take(&mut run.wrote);
            trace.answer = run.answer;
            trace.attributes = std::mem::take(&mut run.attributes);
            if !run.ended {
                trace.problem("run_not_ended", run.name.clone());
                trace.status = "pending".into();
            }
            if trace.id.is_empty() {
                trace.id.clone_from(&run.id);
            }
            // The run's clock begins with the run, also when another clock put a span before it.
            begin_at(trace, run.start_s);
        }
        None => {
            if roots.len() > 1 {
                let n = roots.len();
                trace.problem("no_root", format!("{n} spans without a parent, none holds the others"));
            }
            trace.name = match roots.as_slice() {
                [only] => trace.spans[*only].name.clone(),
                _ => "unnamed".into(),
            };
            begin_at(trace, trace.spans.first().map_or(0.0, |s| s.start_s));
        }
    }
    let last = trace.spans.iter().filter(|s| s.is_work()).map(|s| s.end_s).fold(0.0, f64::max);
    // Work that was left to do later belongs to the run; what only runs over by a clock's blur does not.
    if last > trace.wall_s + tree::JITTER_S {
        trace.wall_s = last;
    }
}

fn begin_at(trace: &mut Trace, start: f64) {
    if start == 0.0 {
        return;
    }
    for span in &mut trace.spans {
        span.start_s -= start;
        span.end_s -= start;
        span.first_token_s = span.first_token_s.map(|t| t - start);
    }
    trace.began_unix_s = trace.began_unix_s.map(|t| t + start);
}

/// Takes a span out of the tree; what hung on it hangs on its parent.
fn lift(trace: &mut Trace, i: usize) -> Span {
    let taken = trace.spans.remove(i);
    let above = taken.parent.map(|p| if p > i { p - 1 } else { p });
    for span in &mut trace.spans {
        span.parent = match span.parent {
            Some(p) if p == i => above,
            Some(p) if p > i => Some(p - 1),
            other => other,
        };
    }
    taken
}

/// A run that holds nothing but one chain of nearly the same length is that chain with a wrapper around it.
fn unwrap_only_child(trace: &mut Trace) {
    for _ in 0..4 {
        let top: Vec<usize> = (0..trace.spans.len()).filter(|i| trace.spans[*i].parent.is_none()).collect();
        let &[only] = top.as_slice() else { return };
        let n_children = trace.spans.iter().filter(|s| s.parent == Some(only)).count();
        let covers = trace.spans[only].seconds() >= 0.9 * trace.wall_s;
        if !covers || n_children < 2 || matches!(trace.spans[only].kind, Kind::Model | Kind::Tool) {
            return;
        }
        let wrapper = lift(trace, only);
        if trace.texts.is_empty() {
            trace.texts = wrapper.wrote;
        }
    }
}

fn visits(trace: &mut Trace) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for span in trace.spans.iter_mut().filter(|s| s.is_unit()) {
        let visit = seen.entry(span.name.clone()).or_default();
        *visit += 1;
        span.visit = *visit;
    }
}

/// Model calls hide in nodes that report tokens and have no span for them; what the run did not report is summed up.
fn totals(trace: &mut Trace) {
    let n = trace.spans.len();
    let mut has_model = vec![false; n];
    for i in 0..n {
        if trace.spans[i].kind == Kind::Model {
            let mut at = trace.spans[i].parent;
            while let Some(p) = at.filter(|p| !has_model[*p]) {
                has_model[p] = true;
                at = trace.spans[p].parent;
            }
        }
    }
    let mut sum = SpanTokens::default();
    for (span, has_model) in trace.spans.iter_mut().zip(has_model) {
        let is_source = match span.kind {
            Kind::Model => true,
            Kind::Attempt | Kind::Own | Kind::Tool | Kind::Echo | Kind::EchoTool => false,
            _ => span.parent.is_none() && !has_model,
        };
        if is_source && span.kind != Kind::Model && span.tokens.sum().is_some_and(|t| t > 0) {
            span.hidden_calls = span.hidden_calls.max(1);
        } else if span.kind != Kind::Model {
            span.hidden_calls = 0;
        }
        if is_source {
            sum = sum.plus(SpanTokens { total: span.tokens.sum(), ..span.tokens });
        }
    }
    reconcile(trace, sum);
}

/// One sum per figure: where every call says its tokens, the run's are their sum, and another figure of the run's own is
/// named. Where only totals are known, the run's own parts stay.
fn reconcile(trace: &mut Trace, sum: SpanTokens) {
    let own = trace.tokens;
    if let (Some(own), Some(sum)) = (own.sum(), sum.sum())
        && own != sum
    {
        let what = format!("the run says {own} tokens, its calls hold {sum}");
        trace.problem("totals_differ", what);
    }
    let split = |t: &SpanTokens| t.prompt.is_some() && t.completion.is_some();
    let all_split = trace.spans.iter().all(|s| match s.kind {
        Kind::Model => s.tokens.sum().is_none() || split(&s.tokens),
        _ => s.hidden_calls == 0 || split(&s.tokens),
    });
    let of_calls = sum.sum().is_some();
    let tokens = &mut trace.tokens;
    if of_calls && all_split && split(&sum) {
        (tokens.prompt, tokens.completion) = (sum.prompt, sum.completion);
    }
    tokens.estimated |= sum.estimated;
    tokens.prompt = tokens.prompt.or(sum.prompt);
    tokens.completion = tokens.completion.or(sum.completion);
    tokens.cached = sum.cached.or(tokens.cached);
    tokens.cache_write = sum.cache_write.or(tokens.cache_write);
    tokens.cache_write_1h = sum.cache_write_1h.or(tokens.cache_write_1h);
    tokens.reasoning = sum.reasoning.or(tokens.reasoning);
    tokens.total = if of_calls { sum.total } else { tokens.sum() };
    let costs: Vec<f64> = trace
        .spans
        .iter()
        .filter(|s| s.kind == Kind::Model || s.hidden_calls > 0)
        .filter_map(|s| s.cost_usd)
        .collect();
    if !costs.is_empty() {
        trace.cost_usd = Some(costs.iter().sum());
    }
}
