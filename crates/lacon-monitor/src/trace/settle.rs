//! From the loose spans of a file to traces: grouped, placed under their parents, put on one clock, named and counted.

use std::collections::{HashMap, HashSet};

use super::{Form, Kind, Problem, Span, SpanTokens, Trace, note};

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
}

/// Clocks within one machine agree to this.
const JITTER_S: f64 = 0.002;

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
    }
    let root = find_root(&mut raws, &mut trace);
    // Spans are large: their places are sorted, and each is moved once.
    let mut order: Vec<usize> = (0..raws.len()).filter(|i| Some(*i) != root).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&raws[*a].span, &raws[*b].span);
        a.start_s.total_cmp(&b.start_s).then(b.end_s.total_cmp(&a.end_s))
    });
    let places: HashMap<&str, usize> =
        order.iter().enumerate().map(|(place, i)| (raws[*i].span.id.as_str(), place)).collect();
    let root = root.map(|i| raws[i].span.id.as_str());
    let parents: Vec<Option<usize>> = order
        .iter()
        .map(|i| {
            let raw = &raws[*i];
            let parent = raw.parent.as_deref().filter(|parent| root != Some(parent))?;
            let found = places.get(parent).copied();
            if found.is_none() {
                trace.problem("parent_missing", format!("{} {} under {parent}", raw.span.name, raw.span.id));
            }
            found
        })
        .collect();
    drop(places);
    let spans =
        order.iter().zip(parents).map(|(i, parent)| Span { parent, ..std::mem::take(&mut raws[*i].span) });
    trace.spans = spans.collect();
    drop(raws);
    break_circles(&mut trace);
    set_right(&mut trace);
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
                trace.problem("span_twice", format!("{} {}", raw.span.name, raw.span.id));
                let old = &mut kept[i];
                old.start = old.start.or(raw.start);
                old.end = match (old.end, raw.end) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    (a, b) => a.or(b),
                };
                old.first_token = old.first_token.or(raw.first_token);
                old.parent = old.parent.take().or(raw.parent);
                if old.span.tokens == SpanTokens::default() {
                    old.span.tokens = raw.span.tokens;
                }
                if old.span.wrote.is_empty() {
                    old.span.wrote = raw.span.wrote;
                }
                old.span.error = old.span.error.take().or(raw.span.error);
            }
        }
    }
    kept
}

/// Finds the run itself among the spans: the one span without a parent that holds the others. Gives its place.
fn find_root(raws: &mut [Raw], trace: &mut Trace) -> Option<usize> {
    if raws.iter().all(|r| r.parent.is_some()) {
        // The run was started by a caller whose span is in another file.
        let ids: HashSet<String> = raws.iter().map(|r| r.span.id.clone()).collect();
        for raw in raws.iter_mut().filter(|r| r.parent.as_ref().is_some_and(|p| !ids.contains(p))) {
            trace.problem("parent_missing", format!("{} {}", raw.span.name, raw.span.id));
            raw.parent = None;
        }
    }
    let roots: Vec<usize> = (0..raws.len()).filter(|i| raws[*i].parent.is_none()).collect();
    let has_children: HashSet<&str> = raws.iter().filter_map(|r| r.parent.as_deref()).collect();
    let longest = roots
        .iter()
        .copied()
        .filter(|i| !matches!(raws[*i].span.kind, Kind::Model | Kind::Tool))
        .filter(|i| has_children.contains(raws[*i].span.id.as_str()) || roots.len() == 1)
        .max_by(|a, b| raws[*a].span.seconds().total_cmp(&raws[*b].span.seconds()));
    let start = raws.iter().map(|r| r.span.start_s).min_by(f64::total_cmp).unwrap_or(0.0);
    let end = raws.iter().map(|r| r.span.end_s).max_by(f64::total_cmp).unwrap_or(0.0);
    let inside = |i: usize, raws: &[Raw]| {
        roots.iter().all(|r| {
            raws[*r].span.start_s >= raws[i].span.start_s - JITTER_S
                && raws[*r].span.end_s <= raws[i].span.end_s + JITTER_S
        })
    };
    match longest.filter(|i| inside(*i, raws)) {
        Some(i) => {
            if roots.len() > 1 {
                trace.problem("several_roots", format!("{} spans without a parent", roots.len()));
            }
            let run = &mut raws[i].span;
            trace.name.clone_from(&run.name);
            trace.wall_s = run.seconds();
            trace.error = run.error.take();
            trace.tokens = run.tokens;
            trace.texts = std::mem::take(&mut run.wrote);
            trace.attributes = std::mem::take(&mut run.attributes);
            if !run.ended {
                trace.problem("run_not_ended", run.name.clone());
                trace.status = "pending".into();
            }
            if trace.id.is_empty() {
                trace.id.clone_from(&run.id);
            }
            // The run's clock begins with the run, also when another clock put a span before it.
            let shift = run.start_s;
            if shift > 0.0 {
                for other in raws.iter_mut() {
                    other.span.start_s -= shift;
                    other.span.end_s -= shift;
                    other.span.first_token_s = other.span.first_token_s.map(|t| t - shift);
                }
                trace.began_unix_s = trace.began_unix_s.map(|t| t + shift);
            }
            Some(i)
        }
        None => {
            if !raws.is_empty() {
                let n = roots.len();
                trace.problem("no_root", format!("{n} spans without a parent, none holds the others"));
            }
            trace.name = "unnamed".into();
            trace.wall_s = end - start;
            None
        }
    }
}

/// A parent that is its own descendant is no parent.
fn break_circles(trace: &mut Trace) {
    let n = trace.spans.len();
    // 0 unknown, 1 leads to the top, 2 under way
    let mut state = vec![0_u8; n];
    let mut chain = Vec::new();
    for i in 0..n {
        chain.clear();
        let mut at = Some(i);
        while let Some(j) = at.filter(|j| state[*j] == 0) {
            state[j] = 2;
            chain.push(j);
            at = trace.spans[j].parent;
        }
        if let Some(j) = at.filter(|j| state[*j] == 2) {
            let example = format!("{} {}", trace.spans[j].name, trace.spans[j].id);
            trace.problem("parents_in_a_circle", example);
            trace.spans[j].parent = None;
        }
        chain.iter().for_each(|j| state[*j] = 1);
    }
}

/// Children that lie wholly outside of their parent were timed by another clock: they are moved inside, with all that
/// hangs on them. Children that only outlive it are left and noted.
fn set_right(trace: &mut Trace) {
    let n = trace.spans.len();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); n];
    let mut order: Vec<usize> = Vec::with_capacity(n);
    for i in 0..n {
        match trace.spans[i].parent {
            Some(p) => children[p].push(i),
            None => order.push(i),
        }
    }
    let mut at = 0;
    let mut shift = vec![0.0_f64; n];
    while at < order.len() {
        let i = order[at];
        at += 1;
        let (start, end) = match trace.spans[i].parent {
            Some(p) => (trace.spans[p].start_s, trace.spans[p].end_s),
            None => (0.0, trace.wall_s),
        };
        let span = &mut trace.spans[i];
        span.start_s += shift[i];
        span.end_s += shift[i];
        span.first_token_s = span.first_token_s.map(|t| t + shift[i]);
        let outside = span.start_s >= end + JITTER_S || span.end_s <= start - JITTER_S;
        let over = (start - span.start_s).max(span.end_s - end);
        let mut moved = 0.0;
        if outside && span.seconds() <= end - start + JITTER_S {
            moved = if span.start_s >= end { end - span.end_s } else { start - span.start_s };
            span.start_s += moved;
            span.end_s += moved;
            span.first_token_s = span.first_token_s.map(|t| t + moved);
        }
        let is_top = span.parent.is_none();
        let span_end = span.end_s;
        let what = || format!("{} {}", trace.spans[i].name, trace.spans[i].id);
        if moved != 0.0 {
            let what = format!("{} moved by {moved:.3} s into its parent", what());
            trace.problem("clock_skew", what);
        } else if over > JITTER_S {
            let what = format!("{} by {over:.3} s", what());
            trace.problem("outlives_parent", what);
            if is_top && span_end > trace.wall_s {
                trace.wall_s = span_end;
            }
        }
        for &child in &children[i] {
            shift[child] = shift[i] + moved;
            order.push(child);
        }
    }
    // Moving can change the order of starts; indices of parents follow.
    let mut by_start: Vec<usize> = (0..n).collect();
    by_start.sort_by(|a, b| trace.spans[*a].start_s.total_cmp(&trace.spans[*b].start_s));
    if by_start.windows(2).any(|w| w[0] > w[1]) {
        let mut place = vec![0; n];
        by_start.iter().enumerate().for_each(|(new, old)| place[*old] = new);
        let mut spans: Vec<Option<Span>> = std::mem::take(&mut trace.spans).into_iter().map(Some).collect();
        trace.spans = by_start.iter().filter_map(|old| spans[*old].take()).collect();
        for span in &mut trace.spans {
            span.parent = span.parent.map(|p| place[p]);
        }
    }
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
        let wrapper = trace.spans.remove(only);
        if trace.texts.is_empty() {
            trace.texts = wrapper.wrote;
        }
        for span in &mut trace.spans {
            span.parent = match span.parent {
                Some(p) if p == only => None,
                Some(p) if p > only => Some(p - 1),
                other => other,
            };
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
    let plus = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
    };
    for (span, has_model) in trace.spans.iter_mut().zip(has_model) {
        let is_source = match span.kind {
            Kind::Model => true,
            Kind::Attempt | Kind::Own | Kind::Tool => false,
            _ => span.parent.is_none() && !has_model,
        };
        if is_source && span.kind != Kind::Model && span.tokens.sum().is_some_and(|t| t > 0) {
            span.hidden_calls = span.hidden_calls.max(1);
        } else if span.kind != Kind::Model {
            span.hidden_calls = 0;
        }
        if is_source {
            sum.prompt = plus(sum.prompt, span.tokens.prompt);
            sum.cached = plus(sum.cached, span.tokens.cached);
            sum.completion = plus(sum.completion, span.tokens.completion);
            sum.reasoning = plus(sum.reasoning, span.tokens.reasoning);
            sum.total = plus(sum.total, span.tokens.sum());
            sum.estimated |= span.tokens.estimated;
        }
    }
    let reported = &mut trace.tokens;
    reported.prompt = reported.prompt.or(sum.prompt);
    reported.completion = reported.completion.or(sum.completion);
    reported.cached = reported.cached.or(sum.cached);
    reported.reasoning = reported.reasoning.or(sum.reasoning);
    reported.total = reported.sum().or(sum.total);
}
