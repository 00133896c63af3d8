//! One request is one call: spans of several instrumentations that tell of the same request are folded.
//!
//! Of nested spans the innermost is the request; those around it become plain spans, whose own time is local. Of spans
//! beside each other one is the request, and the others are echoes that nothing counts.

use super::{Answer, Kind, Span, SpanTokens, Trace, json, retold, tree};

/// Higher ancestors are not looked at.
const HIGHEST: usize = 64;
/// More calls that begin at the same moment are not compared with each other.
const MOST_BESIDE: usize = 64;
/// Figures of one request may differ by this share before it is said.
const DIFFERS: f64 = 0.02;
/// A request that took less of the span around it ended with its first byte: the stream came after.
const STREAMED: f64 = 0.5;

/// Folds the calls and tools of a trace.
pub fn fold(trace: &mut Trace) {
    let depth = tree::depths(&trace.spans);
    alone(trace, &depth);
    let around = nested(trace, &depth);
    beside(trace, &depth, &around);
    tools(trace);
    retold::drop_second(trace);
    release(trace);
}

/// An agent or chain that names a model and its usage, and shows no request inside, is the request.
fn alone(trace: &mut Trace, depth: &[u32]) {
    let mut holds = vec![false; trace.spans.len()];
    let mark = |spans: &[Span], holds: &mut [bool], i: usize| {
        let mut at = spans[i].parent;
        for _ in 0..HIGHEST {
            match at {
                Some(p) if !holds[p] && spans[p].kind != Kind::Tool => holds[p] = true,
                _ => break,
            }
            at = at.and_then(|p| spans[p].parent);
        }
    };
    for i in (0..trace.spans.len()).filter(|i| trace.spans[*i].kind == Kind::Model) {
        mark(&trace.spans, &mut holds, i);
    }
    let is_one = |s: &Span| {
        // Graphs that Lacon and LangSmith record keep sums in their nodes: what those stand for is worked out later.
        matches!(s.kind, Kind::Node | Kind::Other)
            && s.model.is_some()
            && (s.tokens.prompt.is_some() || s.tokens.completion.is_some())
            && !matches!(s.scope.as_deref(), Some("langsmith" | "lacon"))
    };
    let mut found: Vec<usize> = (0..trace.spans.len()).filter(|i| is_one(&trace.spans[*i])).collect();
    found.sort_by_key(|i| std::cmp::Reverse(depth[*i]));
    for i in found {
        if !holds[i] {
            trace.spans[i].kind = Kind::Model;
            mark(&trace.spans, &mut holds, i);
        }
    }
}

/// Whether tokens of two spans may be those of one request: what both know is equal, and both know something.
fn equal(a: &SpanTokens, b: &SpanTokens) -> bool {
    let same = |x: Option<u64>, y: Option<u64>| x.is_none() || y.is_none() || x == y;
    let known = a.sum().is_some() && b.sum().is_some();
    known && same(a.prompt, b.prompt) && same(a.completion, b.completion) && same(a.sum(), b.sum())
}

fn plus(sum: SpanTokens, t: &SpanTokens) -> SpanTokens {
    SpanTokens { estimated: false, ..sum.plus(SpanTokens { total: t.sum(), ..*t }) }
}

/// Folds nested calls; gives for each span the single request that it was around.
fn nested(trace: &mut Trace, depth: &[u32]) -> Vec<Option<usize>> {
    let n = trace.spans.len();
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); n];
    let mut holds_tool = vec![false; n];
    for i in 0..n {
        let kind = trace.spans[i].kind;
        if !matches!(kind, Kind::Model | Kind::Tool) {
            continue;
        }
        let mut at = trace.spans[i].parent;
        for _ in 0..HIGHEST {
            let Some(p) = at else { break };
            match (kind, trace.spans[p].kind) {
                (_, Kind::Tool) => break,
                (Kind::Model, Kind::Model) => {
                    below[p].push(i);
                    break;
                }
                (Kind::Tool, Kind::Model) => holds_tool[p] = true,
                _ => {}
            }
            at = trace.spans[p].parent;
        }
    }
    let mut around: Vec<Option<usize>> = vec![None; n];
    let mut outer: Vec<usize> = (0..n).filter(|i| !below[*i].is_empty()).collect();
    outer.sort_by_key(|i| std::cmp::Reverse(depth[*i]));
    for m in outer {
        let inside = &below[m];
        let own = trace.spans[m].tokens;
        let sum = inside.iter().fold(SpanTokens::default(), |sum, i| plus(sum, &trace.spans[*i].tokens));
        let bare =
            |s: &Span| s.tokens.sum().is_none() && s.answer == Answer::NotRecorded && s.prompt_key.is_none();
        if own.sum().is_some()
            && sum.sum().is_none()
            && inside.iter().all(|i| bare(&trace.spans[*i]))
            && inside.len() > 1
        {
            // Tries and phases of one request, which say nothing of their own.
            inside.iter().for_each(|i| trace.spans[*i].kind = Kind::Attempt);
            trace.n_folded += inside.len() as u32;
            continue;
        }
        let single = match inside.as_slice() {
            [only] if trace.spans[*only].kind == Kind::Model => Some(*only),
            [only] => around[*only],
            _ => None,
        };
        if let (Some(a), Some(b)) = (own.sum(), sum.sum())
            && a.abs_diff(b) as f64 > DIFFERS * a.max(b) as f64
        {
            let span = &trace.spans[m];
            let what = format!("{} {} says {a} tokens, the requests inside say {b}", span.name, span.id);
            trace.problem("tokens_differ", what);
        }
        let outer = take(&mut trace.spans[m]);
        trace.n_folded += 1;
        if let Some(rep) = single {
            around[m] = Some(rep);
            let streamed = is_stream(&outer, &trace.spans[rep])
                && equal(&outer.tokens, &trace.spans[rep].tokens)
                && !holds_tool[m]
                && trace.spans[rep].seconds() < STREAMED * outer.seconds();
            let rep = &mut trace.spans[rep];
            if streamed {
                (rep.start_s, rep.end_s) = (outer.start_s, outer.end_s);
            }
            absorb(rep, outer);
        }
    }
    around
}

/// Whether one of two spans of a request says that the answer was streamed.
fn is_stream(outer: &Span, inner: &Span) -> bool {
    let flag = |s: &Span, key: &str| s.attributes.get(key).is_some_and(|v| v.to_string().contains("true"));
    [outer, inner].iter().any(|s| {
        s.name.to_lowercase().contains("stream")
            || ["gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming"]
                .iter()
                .any(|key| flag(s, key))
    })
}

/// What a span says of its request; the span stays without it.
fn take(span: &mut Span) -> Span {
    let said = span.clone();
    span.kind = Kind::Other;
    span.wrote.clear();
    span.no_data.clear();
    span.asks_tools = 0;
    span.traceable = None;
    span.answer = Answer::NotRecorded;
    said
}

/// Completes a request by what another span says of it.
fn absorb(rep: &mut Span, other: Span) {
    rep.tokens = rep.tokens.or(&other.tokens);
    rep.model = rep.model.take().or(other.model);
    rep.role = rep.role.take().or(other.role);
    rep.first_token_s =
        rep.first_token_s.or(other.first_token_s).filter(|t| *t >= rep.start_s && *t <= rep.end_s);
    rep.error = rep.error.take().or(other.error);
    rep.cost_usd = rep.cost_usd.or(other.cost_usd);
    rep.traceable = rep.traceable.or(other.traceable);
    rep.prompt_key = rep.prompt_key.or(other.prompt_key);
    rep.request = rep.request.take().or(other.request);
    rep.asks_tools = rep.asks_tools.max(other.asks_tools);
    if matches!(rep.answer, Answer::NotRecorded | Answer::NotUnderstood) {
        rep.answer = other.answer;
    }
    if rep.wrote.is_empty() {
        rep.wrote = other.wrote;
    }
    for (key, value) in other.attributes {
        rep.attributes.entry(key).or_insert(value);
    }
    rep.folded += 1 + other.folded;
}

/// Finds the calls that stand beside a call of the same request.
fn beside(trace: &mut Trace, depth: &[u32], around: &[Option<usize>]) {
    let calls: Vec<usize> = (0..trace.spans.len()).filter(|i| trace.spans[*i].kind == Kind::Model).collect();
    for (k, &i) in calls.iter().enumerate() {
        for &j in calls[k + 1..].iter().take(MOST_BESIDE) {
            if trace.spans[j].start_s > trace.spans[i].start_s + furthest(&trace.spans[i]) {
                break;
            }
            if trace.spans[i].kind != Kind::Model {
                break;
            }
            let may = trace.spans[j].kind == Kind::Model && same_request(&trace.spans[i], &trace.spans[j]);
            if !may || of_two_agents(&trace.spans, i, j) {
                continue;
            }
            let known = |s: &Span| (s.tokens.sum().is_some(), s.answer != Answer::NotRecorded);
            let rank = |x: usize| (known(&trace.spans[x]), depth[x]);
            let (rep, echo) = if rank(j) > rank(i) { (j, i) } else { (i, j) };
            let mut at = Some(echo);
            let mut said = None;
            while let Some(e) = at.filter(|e| *e == echo || around[*e] == Some(echo)) {
                let taken = take(&mut trace.spans[e]);
                said.get_or_insert(taken);
                trace.spans[e].kind = Kind::Echo;
                trace.spans[e].same_as = Some(trace.spans[rep].id.clone());
                at = trace.spans[e].parent;
            }
            trace.n_folded += 1;
            if let Some(said) = said {
                absorb(&mut trace.spans[rep], said);
            }
        }
    }
}

/// Whether two calls lie in agents of which neither lies in the other: no request is asked by both.
fn of_two_agents(spans: &[Span], a: usize, b: usize) -> bool {
    let agents = |i: usize| {
        let mut found = Vec::new();
        let mut at = spans[i].parent;
        for _ in 0..HIGHEST {
            let Some(p) = at else { break };
            if spans[p].kind == Kind::Node {
                found.push(p);
            }
            at = spans[p].parent;
        }
        found
    };
    let (of_a, of_b) = (agents(a), agents(b));
    match (of_a.first(), of_b.first()) {
        (Some(x), Some(y)) => !of_a.contains(y) && !of_b.contains(x),
        _ => false,
    }
}

/// How far apart two instrumentations see one request begin or end.
fn near(span: &Span) -> f64 {
    (0.02 * span.seconds()).clamp(0.02, 0.25)
}

/// The same where the tokens are equal and one lies in the other.
fn furthest(span: &Span) -> f64 {
    (0.1 * span.seconds()).clamp(near(span), 1.0)
}

fn same_request(a: &Span, b: &Span) -> bool {
    // As many tokens on both sides say more than clocks: what a framework does around its client may take a while.
    let telling = equal(&a.tokens, &b.tokens)
        && a.tokens.completion.zip(b.tokens.completion).is_some_and(|(x, y)| x.min(y) >= 8)
        && (a.start_s <= b.start_s) == (a.end_s >= b.end_s);
    let near = if telling { furthest(a) } else { near(a) };
    if (a.start_s - b.start_s).abs() > near || (a.end_s - b.end_s).abs() > near {
        return false;
    }
    let differ = |x: &Option<String>, y: &Option<String>| x.is_some() && y.is_some() && x != y;
    if a.request.is_some() && b.request.is_some() {
        return a.request == b.request;
    }
    let models = match (a.model.as_deref(), b.model.as_deref()) {
        (Some(x), Some(y)) => {
            let bare = |m: &'_ str| m.rsplit('/').next().unwrap_or_default().to_lowercase();
            let (x, y) = (bare(x), bare(y));
            x.starts_with(&y) || y.starts_with(&x)
        }
        _ => true,
    };
    let agent = |s: &Span| s.attributes.get("gen_ai.agent.name").and_then(json::text);
    if differ(&agent(a), &agent(b)) {
        return false;
    }
    let texts =
        a.wrote.first().zip(b.wrote.first()).is_none_or(|(x, y)| x.chars == y.chars && x.start == y.start);
    // One instrumentation tells of each request once.
    let two = differ(&a.scope, &b.scope) || (a.scope.is_none() || b.scope.is_none()) && a.name != b.name;
    let tokens = equal(&a.tokens, &b.tokens)
        || differ(&a.scope, &b.scope) && (a.tokens.sum().is_none() || b.tokens.sum().is_none());
    models && texts && two && tokens
}

/// A tool's name without what frameworks and protocols put around it.
fn bare(name: &str) -> &str {
    let name = ["execute_tool ", "tools/call ", "running tool: ", "tool."]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    let name = name.strip_suffix(".tool").unwrap_or(name);
    name.rsplit("__").next().unwrap_or(name)
}

/// A tool that was seen by two instrumentations is one tool call.
fn tools(trace: &mut Trace) {
    let tools: Vec<usize> = (0..trace.spans.len()).filter(|i| trace.spans[*i].kind == Kind::Tool).collect();
    let same = |a: &Span, b: &Span| match (&a.request, &b.request) {
        (Some(x), Some(y)) => x == y,
        _ => bare(&a.name) == bare(&b.name),
    };
    // A tool that starts itself again does so for a part of its time.
    let covers = |inner: &Span, outer: &Span| inner.seconds() >= 0.5 * outer.seconds();
    for &i in &tools {
        let mut at = trace.spans[i].parent;
        for _ in 0..HIGHEST {
            let Some(p) = at else { break };
            match trace.spans[p].kind {
                Kind::Tool
                    if same(&trace.spans[i], &trace.spans[p]) && covers(&trace.spans[i], &trace.spans[p]) =>
                {
                    let inner = take(&mut trace.spans[i]);
                    let outer = &mut trace.spans[p];
                    outer.folded += 1 + inner.folded;
                    outer.error = outer.error.take().or(inner.error);
                    if outer.no_data.is_empty() && outer.answer == Answer::NotRecorded {
                        outer.no_data = inner.no_data;
                        outer.answer = inner.answer;
                    }
                    trace.n_folded += 1;
                    break;
                }
                Kind::Tool | Kind::Model | Kind::Node => break,
                _ => at = trace.spans[p].parent,
            }
        }
    }
    for (k, &i) in tools.iter().enumerate() {
        let a = &trace.spans[i];
        if a.kind != Kind::Tool {
            continue;
        }
        let near = near(a);
        // Each further instrumentation tells of it once: by the span that ends closest.
        let mut twins: Vec<(Option<&str>, f64, usize)> = Vec::new();
        for &j in tools[k + 1..].iter().take(MOST_BESIDE) {
            let b = &trace.spans[j];
            if b.start_s > a.start_s + near {
                break;
            }
            let by_two = a.scope.is_some() && b.scope.is_some() && a.scope != b.scope
                || a.request.is_some() && a.request == b.request;
            let apart = (a.end_s - b.end_s).abs();
            if b.kind != Kind::Tool || !by_two || !same(a, b) || apart > near {
                continue;
            }
            match twins.iter_mut().find(|(scope, ..)| *scope == b.scope.as_deref()) {
                Some(known) if known.1 > apart => (known.1, known.2) = (apart, j),
                Some(_) => {}
                None => twins.push((b.scope.as_deref(), apart, j)),
            }
        }
        for j in twins.into_iter().map(|(.., j)| j).collect::<Vec<_>>() {
            take(&mut trace.spans[j]);
            trace.spans[j].kind = Kind::EchoTool;
            trace.spans[j].same_as = Some(trace.spans[i].id.clone());
            trace.spans[i].folded += 1;
            trace.n_folded += 1;
        }
    }
}

/// What hangs on an echo hangs on the span above it.
fn release(trace: &mut Trace) {
    for i in 0..trace.spans.len() {
        if trace.spans[i].is_echo() {
            continue;
        }
        let mut parent = trace.spans[i].parent;
        for _ in 0..HIGHEST {
            match parent {
                Some(p) if trace.spans[p].is_echo() => parent = trace.spans[p].parent,
                _ => break,
            }
        }
        trace.spans[i].parent = parent;
    }
}
