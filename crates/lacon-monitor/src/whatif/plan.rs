//! A run as nodes with waits and calls that can be edited and replayed.
//!
//! A node is a row of rounds. The calls of a round run in parallel, and overhead lies between the rounds. A small event
//! queue runs it: a node starts when its waits have ended and its own gap has passed, and model calls take slots in
//! order of request.

mod price;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, VecDeque},
};

use super::{
    Outcome,
    edit::{Edit, Size, What},
    model::{CallModel, Latency, ToolSeconds},
};
use lacon_llm::Usage;

use crate::{
    analyze::{Flow, at_list_price, flow::family, flow::is_tool_node, gatherers, is_parallel, rates},
    prices,
    trace::{Kind, Trace},
};

/// A call of a node.
#[derive(Clone, Debug)]
struct Call {
    /// The role or node that it works for, or the tool's name.
    name: String,
    is_model: bool,
    /// Seconds after the begin of its round.
    after_s: f64,
    /// Seconds before the first token, waits excluded.
    first_s: f64,
    /// Seconds after it.
    stream_s: f64,
    /// Queue, failed tries: not the model's.
    before_s: f64,
    prompt: f64,
    completion: Option<f64>,
    /// Its model and how its seconds compare to that model's median.
    model: CallModel,
    factor: f64,
    /// The draw that its factor would be.
    id: u64,
    hedge: Option<f64>,
    /// What it was billed, and of it the part that this call is where several share the figures.
    usage: Usage,
    share: f64,
    /// Micro-dollars of its prompt and of its answer, where its model has a price.
    price: Option<(f64, f64)>,
    /// Whose price that is.
    asked: Option<String>,
}

/// A node.
#[derive(Clone, Debug)]
struct Node {
    name: String,
    label: String,
    waits: Vec<usize>,
    inputs: Vec<usize>,
    gap_s: f64,
    /// Rounds of calls, each with our own time before it.
    rounds: Vec<(f64, Vec<Call>)>,
    /// Our own time after the last round.
    after_s: f64,
    gone: bool,
    asks_tools: bool,
    gathers: bool,
}

/// A run that can be edited.
#[derive(Clone, Debug)]
pub struct Plan {
    nodes: Vec<Node>,
    tail_s: f64,
    slots: usize,
    tools: Option<ToolSeconds>,
    scale: f64,
    /// Hours for which cached contents are kept.
    kept_h: f64,
    /// What is assumed.
    pub notes: Vec<String>,
}

/// The draws of a Monte Carlo.
pub struct Draws {
    /// Their seed.
    pub seed: u64,
    /// How many.
    pub n: usize,
}

impl Plan {
    /// The run as it was.
    pub fn of(trace: &Trace, latency: &Latency) -> Self {
        let flow = Flow::of(trace);
        let families = gatherers(trace, &flow);
        let rates = rates(trace, &flow);
        let number = |key: &str| trace.attributes.get(key).and_then(serde_json::Value::as_f64);
        let scale = number("lacon.time_scale").filter(|s| *s > 0.0).unwrap_or(1.0);
        let mut notes = Vec::new();
        let mut next_id = 0_u64;
        let mut nodes: Vec<Node> = Vec::with_capacity(flow.units.len());
        let by_top = leaves(trace, &flow);
        // What a node left to do after its end is a node of its own that waits for it.
        let mut all: Vec<(usize, Vec<usize>, Vec<usize>)> = flow
            .units
            .iter()
            .enumerate()
            .map(|(u, i)| (*i, flow.waits[u].clone(), flow.inputs[u].clone()))
            .collect();
        let mut late: Vec<usize> =
            by_top.keys().copied().filter(|i| flow.units.binary_search(i).is_err()).collect();
        late.sort_unstable();
        for i in late {
            let of = flow.unit_of(trace, i).and_then(|top| flow.units.binary_search(&top).ok());
            let waits = match of {
                Some(u) if trace.spans[flow.units[u]].end_s <= trace.spans[i].start_s => vec![u],
                Some(u) => flow.waits[u].clone(),
                None => Vec::new(),
            };
            all.push((i, waits.clone(), waits));
        }
        let last = trace.spans.iter().filter(|s| s.is_work()).map(|s| s.end_s).fold(0.0, f64::max);
        for (i, waits, inputs) in all {
            let span = &trace.spans[i];
            let gathers = families.contains(family(&span.name));
            let ready = waits.iter().map(|v| trace.spans[flow.units[*v]].end_s).fold(0.0, f64::max);
            let model = latency.of(gathers || span.name == "signal");
            let leaves = by_top.get(&i).map(Vec::as_slice).unwrap_or_default();
            let mut node = Node {
                name: span.name.clone(),
                label: span.label(),
                waits,
                inputs,
                gap_s: (span.start_s - ready).max(0.0),
                rounds: Vec::new(),
                after_s: 0.0,
                gone: false,
                asks_tools: span.asks_tools > 0 || span.name.ends_with("_call"),
                gathers,
            };
            let mut call = |m: usize, share: f64, from: f64, to: f64| {
                let s = &trace.spans[m];
                next_id += 1;
                let is_model = s.is_call() || (m == i && s.hidden_calls > 0);
                let attribute =
                    |key: &str| s.attributes.get(key).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
                let before_s = if is_model {
                    (attribute("lacon.queue_s") + attribute("lacon.retry_s")).min(to - from)
                } else {
                    0.0
                };
                let seconds = (to - from - before_s) * share;
                let completion = s.tokens.completion.filter(|c| *c > 0).map(|c| c as f64 * share);
                let prompt = s.tokens.prompt.unwrap_or(0) as f64 * share;
                let (first, total) = model.seconds(prompt, completion.unwrap_or(0.0));
                let (first, total) = (first * scale, total * scale);
                let first_s = match s.first_token_s {
                    Some(at) => (at - s.start_s - before_s).clamp(0.0, seconds.max(0.0)),
                    None if total > 0.0 => seconds * first / total,
                    None => 0.0,
                };
                let mut call = Call {
                    name: s.role.clone().filter(|_| is_model).unwrap_or_else(|| s.name.clone()),
                    is_model,
                    after_s: 0.0,
                    first_s,
                    stream_s: seconds - first_s,
                    before_s: before_s * share,
                    prompt,
                    completion,
                    factor: if is_model && total > 0.0 && !latency.is_own_median() {
                        seconds / total
                    } else {
                        1.0
                    },
                    model,
                    id: next_id,
                    hedge: None,
                    usage: s.tokens.usage(),
                    share,
                    price: None,
                    asked: s.model.clone().filter(|_| is_model),
                };
                call.price = match (is_model, at_list_price(trace, s), s.model.as_deref()) {
                    (true, Some(_), Some(model)) => call.priced(|usage| prices::cost(model, usage)),
                    _ => None,
                };
                call
            };
            if leaves.is_empty() {
                let (n, beside) = (span.hidden_calls, is_parallel(span, &rates));
                if n > 1 && beside {
                    // The longest of them took the node's time; nothing tells them apart.
                    let calls = (0..n).map(|_| {
                        let mut one = call(i, 1.0, span.start_s, span.end_s);
                        one.completion = one.completion.map(|c| c / f64::from(n));
                        one.prompt /= f64::from(n);
                        one.share = 1.0 / f64::from(n);
                        one.price =
                            one.price.map(|(prompt, answer)| (prompt * one.share, answer * one.share));
                        one
                    });
                    node.rounds.push((0.0, calls.collect()));
                } else if n > 0 {
                    let share = 1.0 / f64::from(n);
                    node.rounds.extend((0..n).map(|_| (0.0, vec![call(i, share, span.start_s, span.end_s)])));
                } else if is_tool_node(span) {
                    node.rounds.push((0.0, vec![call(i, 1.0, span.start_s, span.end_s)]));
                } else {
                    node.after_s = span.seconds();
                }
            } else {
                let mut at = span.start_s;
                let mut k = 0;
                while k < leaves.len() {
                    let (m, begin, mut end) = leaves[k];
                    let mut calls = vec![call(m, 1.0, begin, end)];
                    k += 1;
                    while k < leaves.len() && leaves[k].1 < end - 1e-6 {
                        let (m, from, to) = leaves[k];
                        end = end.max(to);
                        let mut one = call(m, 1.0, from, to);
                        one.after_s = from - begin;
                        calls.push(one);
                        k += 1;
                    }
                    node.rounds.push(((begin - at).max(0.0), calls));
                    at = end;
                }
                node.after_s = (span.end_s - at).max(0.0);
            }
            nodes.push(node);
        }
        if !flow.known {
            notes.push("the trace does not name the inputs of its nodes: they follow from its times".into());
        }
        if nodes
            .iter()
            .flat_map(|n| &n.rounds)
            .flat_map(|r| &r.1)
            .any(|c| c.is_model && c.completion.is_none())
        {
            notes.push(
                "some calls do not say how long their answers are: edits of length leave them as they are"
                    .into(),
            );
        }
        Self {
            nodes,
            tail_s: (trace.wall_s - last).max(0.0),
            slots: usize::MAX,
            tools: latency.tools,
            scale,
            kept_h: 0.0,
            notes,
        }
    }

    /// Nodes and calls.
    pub fn size(&self) -> usize {
        self.nodes.iter().map(|n| 1 + n.rounds.iter().map(|r| r.1.len()).sum::<usize>()).sum()
    }

    fn matches(name: &str, wanted: &str) -> bool {
        name == wanted || family(name) == wanted || name.split('#').next() == Some(wanted)
    }

    fn named(&self, wanted: &str) -> Vec<usize> {
        let exact: Vec<usize> = (0..self.nodes.len())
            .filter(|u| self.nodes[*u].name == wanted || self.nodes[*u].label == wanted)
            .collect();
        if exact.is_empty() {
            (0..self.nodes.len()).filter(|u| Self::matches(&self.nodes[*u].name, wanted)).collect()
        } else {
            exact
        }
    }

    fn calls_of(&mut self, role: Option<&str>, of_models: bool) -> Vec<&mut Call> {
        let mut found = Vec::new();
        for node in &mut self.nodes {
            let of_node = role.is_none_or(|r| Self::matches(&node.name, r) || node.label == r);
            for call in node.rounds.iter_mut().flat_map(|r| r.1.iter_mut()) {
                if call.is_model == of_models && (of_node || role.is_some_and(|r| call.name == r)) {
                    found.push(call);
                }
            }
        }
        found
    }

    /// Makes an edit; gives how many nodes or calls it touched.
    pub fn apply(&mut self, edit: &Edit, latency: &Latency) -> usize {
        let scale = self.scale;
        match &edit.what {
            What::NoBarrier => {
                let mut n = 0;
                for node in &mut self.nodes {
                    if node.inputs != node.waits {
                        node.waits.clone_from(&node.inputs);
                        n += 1;
                    }
                }
                n
            }
            What::Prefetch => {
                let asking: Vec<usize> = (0..self.nodes.len())
                    .filter(|u| {
                        let node = &self.nodes[*u];
                        // A node that asks for tools and is followed by its own tools is nothing but the question.
                        node.asks_tools
                            && node.gathers
                            && self.nodes.iter().any(|other| {
                                other.inputs.contains(u) && family(&other.name) == family(&node.name)
                            })
                    })
                    .collect();
                asking.iter().for_each(|u| self.remove(*u));
                asking.len()
            }
            What::Merge(a, b) => {
                let (from, into) = (self.named(a), self.named(b));
                if into.is_empty() {
                    return 0;
                }
                if from == into {
                    // Two calls in one node: one of them goes.
                    let mut n = 0;
                    for u in from {
                        let rounds = &mut self.nodes[u].rounds;
                        if rounds.len() > 1 {
                            rounds.remove(0);
                            n += 1;
                        }
                    }
                    return n;
                }
                from.iter().for_each(|u| self.remove(*u));
                from.len()
            }
            What::Remove(a) => {
                let gone = self.named(a);
                gone.iter().for_each(|u| self.remove(*u));
                gone.len()
            }
            What::Parallel(a, b) => {
                let (first, second) = (self.named(a), self.named(b));
                let mut n = 0;
                for v in second {
                    for u in &first {
                        if v == *u {
                            // Calls in a row within one node go beside each other.
                            let node = &mut self.nodes[v];
                            if node.rounds.len() > 1 {
                                let own = node.rounds.iter().map(|r| r.0).fold(0.0, f64::max);
                                let calls =
                                    std::mem::take(&mut node.rounds).into_iter().flat_map(|r| r.1).collect();
                                node.rounds.push((own, calls));
                                n += 1;
                            }
                        } else if self.nodes[v].waits.contains(u) {
                            let instead = self.nodes[*u].waits.clone();
                            // What waited for the second one alone now waits for both.
                            for w in 0..self.nodes.len() {
                                if w != v
                                    && self.nodes[w].waits.contains(&v)
                                    && !self.nodes[w].waits.contains(u)
                                    && w > v
                                {
                                    self.nodes[w].waits.push(*u);
                                    self.nodes[w].inputs.push(*u);
                                }
                            }
                            for list in [true, false] {
                                let node = &mut self.nodes[v];
                                let list = if list { &mut node.waits } else { &mut node.inputs };
                                list.retain(|w| w != u);
                                for w in &instead {
                                    if !list.contains(w) {
                                        list.push(*w);
                                    }
                                }
                            }
                            n += 1;
                        }
                    }
                }
                n
            }
            What::Answer(role, size) => {
                let mut n = 0;
                for call in self.calls_of(role.as_deref(), true) {
                    if let Some(old) = call.completion {
                        let new = match size {
                            Size::Times(factor) => old * factor,
                            Size::To(most) => old.min(*most),
                        };
                        call.stream_s *= new / old;
                        call.price = call.price.map(|(prompt, answer)| (prompt, answer * new / old));
                        call.completion = Some(new);
                        n += usize::from((new - old).abs() > 0.5);
                    }
                }
                n
            }
            What::Speed(role, factor) => {
                let calls = self.calls_of(role.as_deref(), true);
                let n = calls.len();
                for call in calls {
                    call.first_s /= factor;
                    call.stream_s /= factor;
                    call.model.first_token_s /= factor;
                    call.model.prompt_s_per_1k /= factor;
                    call.model.tokens_per_s *= factor;
                }
                n
            }
            What::Model(role, name) => {
                let Some((quick, deep)) = latency.profiles.get(name).copied() else {
                    let known: Vec<&str> = latency.profiles.keys().map(String::as_str).collect();
                    self.notes.push(format!("no profile {name:?}; known are {}", known.join(", ")));
                    return 0;
                };
                let gathering: BTreeSet<u64> = self
                    .nodes
                    .iter()
                    .filter(|n| n.gathers)
                    .flat_map(|n| n.rounds.iter().flat_map(|r| r.1.iter().map(|c| c.id)))
                    .collect();
                let calls = self.calls_of(role.as_deref(), true);
                let n = calls.len();
                for call in calls {
                    call.model = if gathering.contains(&call.id) { quick } else { deep };
                    let (first, total) = call.model.seconds(call.prompt, call.completion.unwrap_or(0.0));
                    call.first_s = first * scale * call.factor;
                    call.stream_s = (total - first) * scale * call.factor;
                }
                n
            }
            What::Price(role, name) => {
                let calls = self.calls_of(role.as_deref(), true);
                let n = calls.len();
                for call in calls {
                    let kept = call.completion.unwrap_or(0.0)
                        / (call.usage.completion_total().unwrap_or(0) as f64 * call.share).max(1.0);
                    let price = call.priced(|usage| usage.total().and_then(|_| prices::cost(name, usage)));
                    call.asked = Some(name.clone());
                    // An edit before this one may have changed the answer's length.
                    call.price = price.map(|(prompt, answer)| (prompt, answer * kept));
                }
                n
            }
            What::Keep(hours) => {
                self.kept_h = *hours;
                self.kept().len()
            }
            What::Tool(name, size) => {
                let calls = self.calls_of(name.as_deref(), false);
                let n = calls.len();
                for call in calls {
                    let seconds = match size {
                        Size::To(seconds) => seconds * scale,
                        times => times.of(call.stream_s + call.first_s),
                    };
                    (call.first_s, call.stream_s) = (0.0, seconds);
                    call.factor = 0.0;
                }
                n
            }
            What::Slots(n) => {
                self.slots = *n;
                self.nodes.len()
            }
            What::Hedge(quantile) => {
                let calls = self.calls_of(None, true);
                let n = calls.len();
                calls.into_iter().for_each(|c| c.hedge = Some(*quantile));
                n
            }
        }
    }

    /// Takes a node out: what waited for it waits for what it waited for.
    fn remove(&mut self, u: usize) {
        let node = &mut self.nodes[u];
        node.gone = true;
        node.rounds.clear();
        node.after_s = 0.0;
        node.gap_s = 0.0;
    }

    /// Seconds with each call's own factor, and over the draws.
    pub fn outcome(&self, draws: &Draws) -> Outcome {
        let replayed_s = self.run(None, draws.seed);
        let mut all: Vec<f64> = (0..draws.n).map(|i| self.run(Some(i as u64), draws.seed)).collect();
        all.sort_by(f64::total_cmp);
        let at = |q: f64| {
            all.get(((all.len() as f64 * q) as usize).min(all.len().saturating_sub(1)))
                .copied()
                .unwrap_or(replayed_s)
        };
        Outcome { replayed_s, p10_s: at(0.1), p50_s: at(0.5), p90_s: at(0.9) }
    }

    fn seconds(&self, call: &Call, draw: Option<u64>, seed: u64) -> f64 {
        let recorded = call.before_s + call.first_s + call.stream_s;
        let u = |salt: u64| uniform(seed, draw.unwrap_or(u64::MAX), call.id, salt);
        if !call.is_model {
            // A tool scatters around what it took, as that tool does.
            let ratio = match (draw, self.tools) {
                (Some(_), Some(tools)) if call.factor > 0.0 => tools(&call.name, u(0))
                    .zip(tools(&call.name, 0.5))
                    .map_or(1.0, |(a, b)| (a / b).clamp(0.2, 5.0)),
                _ => 1.0,
            };
            return recorded * ratio;
        }
        let drawn = draw.map_or(call.factor, |_| call.model.factor(u(0)));
        let own = call.first_s + call.stream_s;
        let of = |factor: f64| if call.factor > 0.0 { own / call.factor * factor } else { own };
        let mut seconds = of(drawn);
        if let Some(quantile) = call.hedge {
            let patience = of(call.model.factor(quantile));
            if seconds > patience {
                seconds = seconds.min(patience + of(call.model.factor(u(1))));
            }
        }
        call.before_s + seconds
    }

    /// Runs the plan; gives the end.
    fn run(&self, draw: Option<u64>, seed: u64) -> f64 {
        let n = self.nodes.len();
        let mut left: Vec<usize> = self.nodes.iter().map(|node| node.waits.len()).collect();
        let mut after: Vec<Vec<usize>> = vec![Vec::new(); n];
        for (u, node) in self.nodes.iter().enumerate() {
            node.waits.iter().for_each(|v| after[*v].push(u));
        }
        let mut round = vec![0_usize; n];
        let mut open = vec![0_usize; n];
        // (time, order, what): what is a node that goes on or a call that ends.
        let mut queue: BinaryHeap<Reverse<(Time, usize, Event)>> = BinaryHeap::new();
        let mut order = 0_usize;
        let mut push = |queue: &mut BinaryHeap<Reverse<(Time, usize, Event)>>, at: f64, event: Event| {
            order += 1;
            queue.push(Reverse((Time(at), order, event)));
        };
        let mut waiting: VecDeque<(usize, usize)> = VecDeque::new();
        let mut busy = 0_usize;
        for (u, node) in self.nodes.iter().enumerate() {
            if node.waits.is_empty() {
                push(&mut queue, node.gap_s, Event::Next(u));
            }
        }
        let mut end = 0.0_f64;
        while let Some(Reverse((Time(now), _, event))) = queue.pop() {
            match event {
                Event::Next(u) => {
                    let node = &self.nodes[u];
                    match node.rounds.get(round[u]) {
                        Some((own, calls)) => {
                            open[u] = calls.len();
                            for (c, call) in calls.iter().enumerate() {
                                push(&mut queue, now + own + call.after_s, Event::Ask(u, c));
                            }
                            if calls.is_empty() {
                                round[u] += 1;
                                push(&mut queue, now + own, Event::Next(u));
                            }
                        }
                        None => push(&mut queue, now + node.after_s, Event::Done(u)),
                    }
                }
                Event::Ask(u, c) => {
                    let call = &self.nodes[u].rounds[round[u]].1[c];
                    if call.is_model && busy >= self.slots {
                        waiting.push_back((u, c));
                    } else {
                        busy += usize::from(call.is_model);
                        push(&mut queue, now + self.seconds(call, draw, seed), Event::End(u, c));
                    }
                }
                Event::End(u, c) => {
                    if self.nodes[u].rounds[round[u]].1[c].is_model {
                        busy -= 1;
                        if let Some((v, d)) = waiting.pop_front() {
                            busy += 1;
                            let call = &self.nodes[v].rounds[round[v]].1[d];
                            push(&mut queue, now + self.seconds(call, draw, seed), Event::End(v, d));
                        }
                    }
                    open[u] -= 1;
                    if open[u] == 0 {
                        round[u] += 1;
                        push(&mut queue, now, Event::Next(u));
                    }
                }
                Event::Done(u) => {
                    end = end.max(now);
                    for v in &after[u] {
                        left[*v] -= 1;
                        if left[*v] == 0 {
                            push(&mut queue, now + self.nodes[*v].gap_s, Event::Next(*v));
                        }
                    }
                }
            }
        }
        end + self.tail_s
    }
}

/// A call or tool with the stretch of time that is its own.
type Leaf = (usize, f64, f64);

/// The calls and tools by the node that encloses them in time, by start. A call ends where the first call or tool inside
/// of it begins; a tool that holds calls or tools is their time and local code.
fn leaves(trace: &Trace, flow: &Flow) -> HashMap<usize, Vec<Leaf>> {
    // What a second instrumentation saw takes as long as what it saw.
    let is_leaf = |i: usize| trace.spans[i].is_call() || trace.spans[i].is_tool();
    let mut first_inside: HashMap<usize, f64> = HashMap::new();
    for i in (0..trace.spans.len()).filter(|i| is_leaf(*i)) {
        let start = trace.spans[i].start_s;
        let mut at = trace.spans[i].parent;
        for _ in 0..64 {
            let Some(p) = at else { break };
            if is_leaf(p) && start < trace.spans[p].end_s {
                first_inside.entry(p).and_modify(|s| *s = s.min(start)).or_insert(start);
                break;
            }
            at = trace.spans[p].parent;
        }
    }
    let mut found: HashMap<usize, Vec<Leaf>> = HashMap::new();
    for (i, span) in trace.spans.iter().enumerate().filter(|(i, _)| is_leaf(*i)) {
        let end = match (span.kind, first_inside.get(&i)) {
            (_, None) => span.end_s,
            (Kind::Model | Kind::Echo, Some(first)) => first.max(span.start_s),
            _ => continue,
        };
        let top = flow.top_in_time(trace, i);
        // An echo that lies in no node runs beside the span that stands for it.
        if !trace.spans[top].is_echo() {
            found.entry(top).or_default().push((i, span.start_s, end));
        }
    }
    for list in found.values_mut() {
        list.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    }
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Next(usize),
    Ask(usize, usize),
    End(usize, usize),
    Done(usize),
}

/// A moment that can be ordered.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// A draw in (0, 1) that depends on its coordinates alone (SplitMix64 finaliser).
fn uniform(seed: u64, draw: u64, call: u64, salt: u64) -> f64 {
    let mut z = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(draw.wrapping_mul(0xbf58_476d_1ce4_e5b9))
        .wrapping_add(call.wrapping_mul(0x94d0_49bb_1331_11eb))
        .wrapping_add(salt.wrapping_mul(0xd6e8_feb8_6659_fd93));
    for _ in 0..2 {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
    }
    ((z >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}
