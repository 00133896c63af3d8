//! Places spans in one tree on one clock: circles are broken, clocks of other services set right, orphans hung up.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::{Kind, Span, Trace};

/// Clocks within one machine agree to this.
pub const JITTER_S: f64 = 0.002;
/// More spans that are open at once are not looked through for an orphan's place.
const MOST_OPEN: usize = 512;
/// Higher ancestors are not looked at.
const HIGHEST: usize = 256;
/// More spans at the top are not looked at for an orphan that nothing else encloses.
const MOST_TOPS: usize = 16;

/// Puts the spans in order; `missing` are those whose parent is not in the file, with its identifier.
pub fn place(trace: &mut Trace, missing: &[(usize, String)]) {
    break_circles(trace);
    other_clocks(trace);
    lost_clocks(trace);
    orphans(trace, missing);
    outliving(trace);
    sort(trace);
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

fn shift(span: &mut Span, by: f64) {
    span.start_s += by;
    span.end_s += by;
    span.first_token_s = span.first_token_s.map(|t| t + by);
}

/// What one service's spans say of the clock of a service that they call.
struct Edge {
    /// The range of offsets that puts every answer into its call.
    range: (f64, f64),
    /// The same with what begins after its caller ended, which may have been left to do later.
    strict: (f64, f64),
    n: usize,
    /// Whether each of them fills at least half of its caller.
    fills: bool,
}

/// A service whose spans do not fit into those that called it has another clock. What it was called for gives the range
/// in which its offset lies; the middle is taken.
fn other_clocks(trace: &mut Trace) {
    const ANY: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
    let mut edges: BTreeMap<(&str, &str), Edge> = BTreeMap::new();
    for span in &trace.spans {
        let Some(parent) = span.parent.map(|p| &trace.spans[p]) else { continue };
        let (Some(theirs), Some(own)) = (parent.service.as_deref(), span.service.as_deref()) else {
            continue;
        };
        if theirs == own {
            continue;
        }
        let low = parent.start_s - span.start_s;
        let fits = span.seconds() <= parent.seconds() + JITTER_S;
        let range = (low, if fits { parent.end_s - span.end_s } else { f64::INFINITY });
        let later = span.start_s >= parent.end_s && !span.is_server;
        let edge = edges.entry((theirs, own)).or_insert(Edge { range: ANY, strict: ANY, n: 0, fills: true });
        let meet = |known: (f64, f64)| (known.0.max(range.0), known.1.min(range.1));
        edge.strict = meet(edge.strict);
        if !later {
            edge.range = meet(edge.range);
        }
        edge.n += 1;
        edge.fills &= fits && span.seconds() >= 0.5 * parent.seconds();
    }
    // Several answers that are all late by the same are late by the clock.
    let edges: BTreeMap<(&str, &str), (f64, f64)> = edges
        .into_iter()
        .map(|(key, e)| {
            (key, if e.n > 1 && e.fills && e.strict.0 <= e.strict.1 { e.strict } else { e.range })
        })
        .filter(|(_, range)| *range != ANY)
        .collect();
    if edges.is_empty() {
        return;
    }
    let first = trace.spans.iter().find(|s| s.parent.is_none()).and_then(|s| s.service.as_deref());
    let first = first.or_else(|| edges.keys().next().map(|(from, _)| *from)).unwrap_or_default();
    let mut offsets: HashMap<String, f64> = HashMap::from([(first.to_owned(), 0.0)]);
    let mut queue = VecDeque::from([first.to_owned()]);
    while let Some(from) = queue.pop_front() {
        let known = offsets.get(&from).copied().unwrap_or(0.0);
        let called = edges.range((from.as_str(), "")..).take_while(|((theirs, _), _)| *theirs == from);
        for ((_, own), (low, high)) in called {
            if offsets.contains_key(*own) {
                continue;
            }
            let (low, high) = (low + known, high + known);
            let offset = match () {
                () if low <= JITTER_S && high >= -JITTER_S => 0.0,
                () if high.is_infinite() || low > high => low,
                () => f64::midpoint(low, high),
            };
            offsets.insert((*own).to_owned(), offset);
            queue.push_back((*own).to_owned());
        }
    }
    let moved: Vec<(usize, f64)> = (0..trace.spans.len())
        .filter_map(|i| {
            let offset = *offsets.get(trace.spans[i].service.as_deref()?)?;
            (offset != 0.0 && offset.is_finite()).then_some((i, offset))
        })
        .collect();
    for (service, offset) in offsets.iter().filter(|(_, o)| **o != 0.0) {
        trace.problem("clock_skew", format!("{service}: its clock was set by {offset:.3} s"));
    }
    for (i, by) in moved {
        shift(&mut trace.spans[i], by);
    }
}

/// A span that lies further from the whole run than the run is long was timed by another clock: it is moved into its
/// parent, with all that hangs on it. One that only begins after its parent ended stays where it is.
fn lost_clocks(trace: &mut Trace) {
    let n = trace.spans.len();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); n];
    let mut order: Vec<usize> = Vec::with_capacity(n);
    let mut top: Vec<usize> = (0..n).collect();
    for i in 0..n {
        match trace.spans[i].parent {
            Some(p) => children[p].push(i),
            None => order.push(i),
        }
    }
    let mut by = vec![0.0_f64; n];
    let mut at = 0;
    while at < order.len() {
        let i = order[at];
        at += 1;
        shift(&mut trace.spans[i], by[i]);
        if let Some(p) = trace.spans[i].parent {
            let (parent, run) = (&trace.spans[p], &trace.spans[top[p]]);
            let (start, end, length) = (parent.start_s, parent.end_s, run.seconds());
            let far =
                trace.spans[i].start_s > run.end_s + length || trace.spans[i].end_s < run.start_s - length;
            top[i] = top[p];
            if far && trace.spans[i].seconds() <= parent.seconds() + JITTER_S {
                let after = trace.spans[i].start_s >= end;
                let moved = if after { end - trace.spans[i].end_s } else { start - trace.spans[i].start_s };
                shift(&mut trace.spans[i], moved);
                by[i] += moved;
                let what = format!(
                    "{} {} moved by {moved:.3} s into its parent",
                    trace.spans[i].name, trace.spans[i].id
                );
                trace.problem("clock_skew", what);
            }
        }
        for child in std::mem::take(&mut children[i]) {
            by[child] = by[i];
            order.push(child);
        }
    }
}

/// Hangs spans whose parent is not in the file under the innermost span that encloses them; those of one parent together.
fn orphans(trace: &mut Trace, missing: &[(usize, String)]) {
    let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, parent) in missing {
        groups.entry(parent).or_default().push(*i);
    }
    let mut wanted: Vec<(f64, f64, Vec<usize>)> = groups
        .into_values()
        .map(|members| {
            let start = members.iter().map(|i| trace.spans[*i].start_s).fold(f64::INFINITY, f64::min);
            let end = members.iter().map(|i| trace.spans[*i].end_s).fold(f64::NEG_INFINITY, f64::max);
            (start, end, members)
        })
        .collect();
    wanted.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    let depth = depths(&trace.spans);
    let mut by_start: Vec<usize> = (0..trace.spans.len())
        .filter(|i| !matches!(trace.spans[*i].kind, Kind::Attempt | Kind::Own))
        .collect();
    let asked = requests(&trace.spans, missing);
    by_start.sort_by(|a, b| {
        let (x, y) = (&trace.spans[*a], &trace.spans[*b]);
        x.start_s.total_cmp(&y.start_s).then(y.end_s.total_cmp(&x.end_s)).then(depth[*a].cmp(&depth[*b]))
    });
    // An agent may look like a call by the sums that it says.
    let sums: Vec<usize> = (0..trace.spans.len())
        .filter(|i| trace.spans[*i].parent.is_none() && trace.spans[*i].kind == Kind::Model)
        .take(MOST_TOPS)
        .filter(|i| !missing.is_empty() && says_sums(&trace.spans, *i))
        .collect();
    let mut coming = by_start.into_iter().peekable();
    let mut open: Vec<usize> = Vec::new();
    for (start, end, members) in wanted {
        while let Some(i) = coming.next_if(|i| trace.spans[*i].start_s <= start + JITTER_S) {
            open.push(i);
        }
        if open.len() > MOST_OPEN {
            open.retain(|i| trace.spans[*i].end_s + JITTER_S >= start);
        }
        let own: HashSet<usize> = members.iter().copied().collect();
        let encloses =
            |i: &usize| trace.spans[*i].end_s + JITTER_S >= end && !is_under(&trace.spans, *i, &own);
        // Only what tells of the same request lies in a call.
        let request = if let [only] = members.as_slice() { asked.get(only) } else { None };
        let may = |i: &usize| {
            let t = &trace.spans[*i].tokens;
            trace.spans[*i].kind != Kind::Model
                || t.completion.is_some() && Some(&(t.prompt, t.completion)) == request
        };
        let place = open.iter().rev().take(MOST_OPEN).copied().find(|i| may(i) && encloses(i));
        let begun = |i: &&usize| trace.spans[**i].start_s <= start + JITTER_S;
        let place = place.or_else(|| sums.iter().filter(begun).copied().find(encloses));
        for i in members {
            trace.spans[i].parent = place;
        }
    }
}

/// The prompt and the answer of the outermost call at or below each orphan.
fn requests(spans: &[Span], missing: &[(usize, String)]) -> HashMap<usize, (Option<u64>, Option<u64>)> {
    let orphans: HashSet<usize> = missing.iter().map(|(i, _)| *i).collect();
    let mut found = HashMap::new();
    if orphans.is_empty() {
        return found;
    }
    for (j, span) in spans.iter().enumerate().filter(|(_, s)| s.kind == Kind::Model) {
        let mut outermost = span;
        let mut at = Some(j);
        for _ in 0..HIGHEST {
            let Some(i) = at else { break };
            if spans[i].kind == Kind::Model {
                outermost = &spans[i];
            }
            if orphans.contains(&i) {
                found.entry(i).or_insert((outermost.tokens.prompt, outermost.tokens.completion));
                break;
            }
            at = spans[i].parent;
        }
    }
    found
}

/// Whether a span that looks like a call says the sums of the outermost calls within its time.
fn says_sums(spans: &[Span], i: usize) -> bool {
    let outer = &spans[i];
    let Some(own) = outer.tokens.sum().filter(|_| outer.kind == Kind::Model) else { return false };
    let is_outermost = |j: usize| {
        let mut at = spans[j].parent;
        for _ in 0..HIGHEST {
            match at {
                Some(p) if p != i && spans[p].kind == Kind::Model => return false,
                Some(p) => at = spans[p].parent,
                None => return true,
            }
        }
        false
    };
    let inside = |j: usize| {
        let s = &spans[j];
        j != i
            && s.kind == Kind::Model
            && s.start_s >= outer.start_s - JITTER_S
            && s.end_s <= outer.end_s + JITTER_S
            && is_outermost(j)
    };
    let sum: u64 = (0..spans.len()).filter(|j| inside(*j)).filter_map(|j| spans[j].tokens.sum()).sum();
    // Each of several instrumentations may tell of every request.
    (1..=4).any(|n| sum > 0 && own.saturating_mul(n).abs_diff(sum) as f64 <= 0.02 * sum as f64)
}

/// Whether a span is one of these or lies below one; of a span too deep to be sure, that it does.
fn is_under(spans: &[Span], i: usize, above: &HashSet<usize>) -> bool {
    let mut at = Some(i);
    for _ in 0..HIGHEST {
        match at {
            Some(j) if above.contains(&j) => return true,
            Some(j) => at = spans[j].parent,
            None => return false,
        }
    }
    true
}

/// How deep each span lies; the depth of very deep ones is cut.
pub fn depths(spans: &[Span]) -> Vec<u32> {
    let mut depths = vec![u32::MAX; spans.len()];
    let mut chain = Vec::new();
    for i in 0..spans.len() {
        let mut at = Some(i);
        while let Some(j) = at.filter(|j| depths[*j] == u32::MAX) {
            // Marks the way, so that a circle ends.
            depths[j] = 0;
            chain.push(j);
            at = spans[j].parent;
        }
        let mut depth = at.map_or(0, |j| depths[j] + 1);
        while let Some(j) = chain.pop() {
            depths[j] = depth;
            depth += 1;
        }
    }
    depths
}

/// Notes what outlives its parent.
fn outliving(trace: &mut Trace) {
    for i in 0..trace.spans.len() {
        let span = &trace.spans[i];
        let Some(parent) = span.parent.map(|p| &trace.spans[p]) else { continue };
        let over = (parent.start_s - span.start_s).max(span.end_s - parent.end_s);
        if over > JITTER_S {
            let what = format!("{} {} by {over:.3} s", span.name, span.id);
            trace.problem("outlives_parent", what);
        }
    }
}

/// Moving can change the order of starts; indices of parents follow.
fn sort(trace: &mut Trace) {
    let n = trace.spans.len();
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
