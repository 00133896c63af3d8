//! Nodes are listed once: where two instrumentations tell of the same requests, each in a tree of its own, one tree stays.
//!
//! An instrumentation goes only where each of its calls and tools has a twin below a node of the one that stays. A tool
//! that it alone has seen keeps it whole. Where its tasks lie inside the other's nodes, its span of the whole run is left
//! with nothing below it, and goes.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Kind, Span, Trace};

/// Deeper trees are left as they are.
const HIGHEST: usize = 64;

/// Who tells of which requests. A request is a call or tool with its echoes.
struct Telling<'a> {
    spans: &'a [Span],
    /// The spans of each request.
    requests: Vec<Vec<usize>>,
    /// How many requests have a span below each span.
    told: Vec<usize>,
    /// How many have all their spans below it.
    whole: Vec<usize>,
}

/// Takes out the trees that tell of nothing but what another tells.
pub fn drop_second(trace: &mut Trace) {
    let empty = around_all(&trace.spans);
    if !empty.is_empty() {
        remove(trace, &empty);
    }
    if !trace.spans.iter().any(Span::is_echo) {
        return;
    }
    let Some(telling) = Telling::of(&trace.spans) else { return };
    let (gone, twins) = telling.second();
    if gone.is_empty() {
        return;
    }
    // A call moves to the place of its twin, and takes over what hung on it.
    let calls: HashMap<usize, usize> = twins.iter().map(|(call, twin)| (*twin, *call)).collect();
    for span in &mut trace.spans {
        span.parent = span.parent.map(|p| calls.get(&p).copied().unwrap_or(p));
    }
    for (call, twin) in twins {
        let parent = trace.spans[call].parent;
        trace.spans[call].parent = trace.spans[twin].parent;
        trace.spans[twin].parent = parent;
    }
    remove(trace, &gone);
}

fn is_node(span: &Span) -> bool {
    matches!(span.kind, Kind::Run | Kind::Node | Kind::Other)
}

fn above(spans: &[Span], i: usize) -> impl Iterator<Item = usize> + '_ {
    std::iter::successors(spans[i].parent, |p| spans[*p].parent).take(HIGHEST)
}

/// The spans with nothing below them that are around all requests, of a scope whose other nodes hold requests.
fn around_all(spans: &[Span]) -> HashSet<usize> {
    let mut has_child = vec![false; spans.len()];
    spans.iter().filter_map(|s| s.parent).for_each(|p| has_child[p] = true);
    let requests = || (0..spans.len()).filter(|i| spans[*i].is_call() || spans[*i].is_tool());
    let (first, last) = requests().fold((f64::INFINITY, f64::NEG_INFINITY), |(first, last), i| {
        (first.min(spans[i].start_s), last.max(spans[i].end_s))
    });
    let is_around = |i: &usize| {
        let span = &spans[*i];
        is_node(span)
            && !has_child[*i]
            && span.parent.is_some()
            && span.scope.is_some()
            && span.start_s <= first
            && last <= span.end_s
    };
    let empty: HashSet<usize> = (0..spans.len()).filter(is_around).collect();
    if empty.is_empty() || requests().nth(1).is_none() {
        return HashSet::new();
    }
    let tellers: HashSet<&str> = requests()
        .flat_map(|i| above(spans, i))
        .filter(|p| is_node(&spans[*p]))
        .filter_map(|p| spans[p].scope.as_deref())
        .collect();
    empty.into_iter().filter(|i| spans[*i].scope.as_deref().is_some_and(|s| tellers.contains(s))).collect()
}

impl<'a> Telling<'a> {
    /// `None` where a tree is too deep to be sure, or an echo stands for a span that is not there.
    fn of(spans: &'a [Span]) -> Option<Self> {
        let by_id: HashMap<&str, usize> = spans.iter().enumerate().map(|(i, s)| (s.id.as_str(), i)).collect();
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for i in (0..spans.len()).filter(|i| spans[*i].is_call() || spans[*i].is_tool()) {
            let mut at = i;
            for _ in 0..HIGHEST {
                match spans[at].same_as.as_deref().filter(|_| spans[at].is_echo()) {
                    Some(id) => at = *by_id.get(id)?,
                    None => break,
                }
            }
            if above(spans, i).count() == HIGHEST || spans[at].is_echo() {
                return None;
            }
            members.entry(at).or_default().push(i);
        }
        let mut telling = Self {
            spans,
            requests: members.into_values().collect(),
            told: vec![0; spans.len()],
            whole: vec![0; spans.len()],
        };
        for spans_of in &telling.requests {
            let mut below: HashMap<usize, usize> = HashMap::new();
            for i in spans_of {
                above(spans, *i).for_each(|p| *below.entry(p).or_default() += 1);
            }
            for (p, n) in below {
                telling.told[p] += 1;
                telling.whole[p] += usize::from(n == spans_of.len());
            }
        }
        Some(telling)
    }

    /// The outermost nodes that go, and for each call below them its twin in the tree that stays.
    fn second(&self) -> (HashSet<usize>, Vec<(usize, usize)>) {
        // By the first span of each: how many nodes stand directly above the requests, and whether one is around all.
        let mut scopes: Vec<(&str, usize, bool)> = Vec::new();
        let mut tellers: HashMap<&str, HashSet<usize>> = HashMap::new();
        for i in self.requests.iter().flatten() {
            let mut seen = HashSet::new();
            for p in above(self.spans, *i).filter(|p| is_node(&self.spans[*p])) {
                if let Some(scope) = self.spans[p].scope.as_deref().filter(|scope| seen.insert(*scope)) {
                    tellers.entry(scope).or_default().insert(p);
                }
            }
        }
        for (i, span) in self.spans.iter().enumerate() {
            if let Some(scope) = span.scope.as_deref().filter(|_| self.tells(i)) {
                let around = self.whole[i] == self.requests.len();
                match scopes.iter_mut().find(|(name, ..)| *name == scope) {
                    Some((_, _, known)) => *known |= around,
                    None => scopes.push((scope, tellers.get(scope).map_or(0, HashSet::len), around)),
                }
            }
        }
        // The finest first; of equals the one that is around all, then the one that begins first.
        scopes.sort_by_key(|(_, nodes, around)| (std::cmp::Reverse(*nodes), !around));
        let (mut gone, mut twins) = (HashSet::new(), Vec::new());
        for at in (1..scopes.len()).rev() {
            let Some(tops) = self.retold(scopes[at].0) else { continue };
            let found = scopes[..at].iter().find_map(|(first, ..)| self.twins(&tops, first));
            if let Some(found) = found {
                gone.extend(tops);
                twins.extend(found);
            }
        }
        (gone, twins)
    }

    fn tells(&self, i: usize) -> bool {
        self.told[i] > 0 && is_node(&self.spans[i])
    }

    /// The outermost nodes of a scope; `None` where one of them is around a request that nobody else tells of.
    fn retold(&self, scope: &str) -> Option<HashSet<usize>> {
        let mut tops = HashSet::new();
        for i in (0..self.spans.len()).filter(|i| self.tells(*i)) {
            if self.spans[i].scope.as_deref() != Some(scope) || self.whole[i] == self.requests.len() {
                continue;
            }
            if self.whole[i] > 0 {
                return None;
            }
            let is_inner = |p: usize| {
                self.tells(p) && self.whole[p] == 0 && self.spans[p].scope.as_deref() == Some(scope)
            };
            if !above(self.spans, i).any(is_inner) {
                tops.insert(i);
            }
        }
        (!tops.is_empty()).then_some(tops)
    }

    /// For each call and tool below the nodes one outside that lies in a node of another scope, for all or for none.
    fn twins(&self, tops: &HashSet<usize>, first: &str) -> Option<Vec<(usize, usize)>> {
        let mut top_of: HashMap<usize, usize> = HashMap::new();
        for i in self.requests.iter().flatten() {
            if let Some(top) = above(self.spans, *i).find(|p| tops.contains(p)) {
                top_of.insert(*i, top);
            }
        }
        let mut found = Vec::new();
        for request in self.requests.iter().filter(|r| r.iter().any(|i| top_of.contains_key(i))) {
            let around: HashSet<usize> = request
                .iter()
                .filter_map(|i| top_of.get(i))
                .flat_map(|top| above(self.spans, *top))
                .collect();
            let holds = |p: usize| {
                is_node(&self.spans[p])
                    && self.spans[p].scope.as_deref() == Some(first)
                    && !around.contains(&p)
            };
            let outside = |i: &&usize| !top_of.contains_key(*i) && above(self.spans, **i).any(holds);
            let twin = *request.iter().find(outside)?;
            for call in request.iter().copied().filter(|i| top_of.contains_key(i)) {
                if above(self.spans, twin).any(|p| p == call) || above(self.spans, call).any(|p| p == twin) {
                    return None;
                }
                if !self.spans[call].is_echo() {
                    found.push((call, twin));
                }
            }
        }
        Some(found)
    }
}

/// Takes out nodes with all that hangs on them.
fn remove(trace: &mut Trace, tops: &HashSet<usize>) {
    let goes = |i: usize| tops.contains(&i) || above(&trace.spans, i).any(|p| tops.contains(&p));
    let gone: Vec<bool> = (0..trace.spans.len()).map(goes).collect();
    let mut place = vec![0; gone.len()];
    let mut next = 0;
    for (i, gone) in gone.iter().enumerate() {
        place[i] = next;
        next += usize::from(!gone);
        trace.n_retold += u32::from(*gone && is_node(&trace.spans[i]));
    }
    let mut at = 0;
    trace.spans.retain(|_| {
        at += 1;
        !gone[at - 1]
    });
    for span in &mut trace.spans {
        span.parent = span.parent.map(|p| place[p]);
    }
}
