//! Runs of one shape: the same nodes, tools and models, however often each ran.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
};

use serde::Serialize;

use super::Analysis;

/// Runs of one shape.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Group {
    /// Its nodes and tools.
    pub shape: Vec<String>,
    /// Its models.
    pub models: Vec<String>,
    /// Places of its runs among all.
    pub runs: Vec<usize>,
    /// Median of the seconds.
    pub median_s: f64,
    /// Nine tenths of the runs took no longer.
    pub p90_s: f64,
    /// The places of the slowest runs, the slowest first, at most five.
    pub slowest: Vec<usize>,
    /// Median of the tokens of runs that say them.
    pub median_tokens: Option<u64>,
    /// Cost of all runs by the source, else at list prices, in US dollars.
    pub cost_usd: Option<f64>,
    /// Runs with an error.
    pub n_failed: usize,
    /// Its nodes, those that explain most of why runs differ first, then those that take longest.
    pub nodes: Vec<Part>,
    /// Calls of its models, those that take longest first.
    pub calls: Vec<Part>,
}

/// A node in all runs of a group, or the calls of a model.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Part {
    /// The node, or the model.
    pub name: String,
    /// How often it ran.
    pub n: usize,
    /// Median of its seconds.
    pub p50_s: f64,
    /// Nine tenths took no longer.
    pub p90_s: f64,
    /// Median of its tokens, of those that say them.
    pub p50_tokens: Option<u64>,
    /// All its tokens.
    pub tokens: Option<u64>,
    /// Cost at list prices in US dollars, of the calls that have one.
    pub cost_usd: Option<f64>,
    /// How often it failed.
    pub n_failed: usize,
    /// Wilson's interval at 95 % for the share that fails.
    pub failed: (f64, f64),
    /// Of a node: its part of the variance of the runs' seconds, as covariance of its time on the critical path with them. All
    /// nodes and the gaps between them make 1. Absent of fewer than three runs, and of runs that take the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variance: Option<f64>,
}

/// More nodes of a group are left out.
const MOST_NODES: usize = 500;
/// Runs that are named as the slowest.
const SLOWEST: usize = 5;

/// One time that a part ran.
#[derive(Default)]
struct Times {
    seconds: Vec<f64>,
    tokens: Vec<u64>,
    cost: Option<f64>,
    failed: usize,
}

impl Times {
    fn add(&mut self, seconds: f64, tokens: Option<u64>, cost: Option<f64>, failed: bool) {
        self.seconds.push(seconds);
        self.tokens.extend(tokens);
        self.cost = cost.map_or(self.cost, |cost| Some(self.cost.unwrap_or(0.0) + cost));
        self.failed += usize::from(failed);
    }

    fn part(mut self, name: String, variance: Option<f64>) -> Part {
        self.seconds.sort_by(f64::total_cmp);
        self.tokens.sort_unstable();
        let n = self.seconds.len();
        let at = |q: f64| self.seconds.get(((n.max(1) - 1) as f64 * q).round() as usize).copied();
        Part {
            name,
            n,
            p50_s: at(0.5).unwrap_or(0.0),
            p90_s: at(0.9).unwrap_or(0.0),
            p50_tokens: self.tokens.get(self.tokens.len() / 2).copied(),
            tokens: self.tokens.iter().copied().reduce(u64::saturating_add),
            cost_usd: self.cost,
            n_failed: self.failed,
            failed: wilson(self.failed, n),
            variance,
        }
    }
}

/// Wilson's interval at 95 % for a share; the whole range where nothing was counted.
fn wilson(found: usize, n: usize) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (n as f64, found.min(n) as f64 / n as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let below = 1.0 + Z * Z / n;
    (((middle - half) / below).max(0.0).min(p), ((middle + half) / below).min(1.0).max(p))
}

/// The parts of the variance of the runs' seconds that the time of each node on the critical path explains.
fn variances(runs: &[&Analysis]) -> BTreeMap<String, f64> {
    let n = runs.len() as f64;
    let mean = runs.iter().map(|run| run.wall_s).sum::<f64>() / n;
    let all = runs.iter().map(|run| (run.wall_s - mean).powi(2)).sum::<f64>();
    let mut found = BTreeMap::new();
    // A thousandth of the time is the blur of clocks.
    if runs.len() < 3 || (all / n).sqrt() <= mean * 1e-3 {
        return found;
    }
    for run in runs {
        for step in &run.critical_path {
            let seconds = step.share * run.wall_s;
            *found.entry(plain(&step.node)).or_default() += seconds * (run.wall_s - mean) / all;
        }
    }
    found
}

/// Nodes and calls of some runs.
fn parts(runs: &[&Analysis]) -> (Vec<Part>, Vec<Part>) {
    let (mut nodes, mut calls): (BTreeMap<String, Times>, BTreeMap<String, Times>) = Default::default();
    for run in runs {
        for node in &run.nodes {
            let times = nodes.entry(plain(&node.node)).or_default();
            times.add(node.seconds, node.total, node.cost_usd, node.error.is_some());
        }
        for call in &run.calls {
            let model = call.model.clone().unwrap_or_else(|| "model not recorded".into());
            calls.entry(model).or_default().add(
                call.seconds,
                call.total,
                call.cost_usd,
                call.error.is_some(),
            );
        }
    }
    let variances = variances(runs);
    let of = |name: &str| (!variances.is_empty()).then(|| variances.get(name).copied().unwrap_or(0.0));
    let mut nodes: Vec<Part> = nodes
        .into_iter()
        .map(|(name, times)| {
            let v = of(&name);
            times.part(name, v)
        })
        .collect();
    nodes.sort_by(|a, b| {
        let key = |part: &Part| part.variance.unwrap_or(0.0);
        key(b).total_cmp(&key(a)).then(b.p50_s.total_cmp(&a.p50_s))
    });
    nodes.truncate(MOST_NODES);
    let mut calls: Vec<Part> = calls.into_iter().map(|(name, times)| times.part(name, None)).collect();
    calls.sort_by(|a, b| b.p50_s.total_cmp(&a.p50_s));
    (nodes, calls)
}

/// A name without the numbers that tell one run's parts from another's.
fn plain(name: &str) -> String {
    let name = name.split('#').next().unwrap_or(name);
    let plain =
        name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches([' ', '-', '_', ':', '/']);
    if plain.is_empty() { name.to_owned() } else { plain.to_owned() }
}

/// Groups runs by shape; the group that took the most seconds in all first.
pub fn groups<A: Borrow<Analysis>>(all: &[A]) -> Vec<Group> {
    let all: Vec<&Analysis> = all.iter().map(Borrow::borrow).collect();
    let mut by_shape: BTreeMap<(Vec<String>, Vec<String>), Vec<usize>> = BTreeMap::new();
    for (i, run) in all.iter().enumerate() {
        let nodes = run.nodes.iter().map(|n| plain(&n.node));
        let shape: BTreeSet<String> = nodes.chain(run.summary.tools.keys().map(|t| plain(t))).collect();
        let models: BTreeSet<String> = run.models.iter().cloned().collect();
        by_shape.entry((shape.into_iter().collect(), models.into_iter().collect())).or_default().push(i);
    }
    let mut found: Vec<Group> = by_shape
        .into_iter()
        .map(|((shape, models), mut runs)| {
            let mut order = runs.clone();
            order.sort_by(|a, b| all[*a].wall_s.total_cmp(&all[*b].wall_s));
            let at = |q: f64| order[((order.len() - 1) as f64 * q).round() as usize];
            let mut tokens: Vec<u64> = runs.iter().filter_map(|i| all[*i].summary.tokens.sum()).collect();
            tokens.sort_unstable();
            let cost = |i: &usize| all[*i].summary.cost_source_usd.or(all[*i].summary.cost_list_usd);
            let (median_s, p90_s) = (all[at(0.5)].wall_s, all[at(0.9)].wall_s);
            let slowest = order.iter().rev().take(SLOWEST).copied().collect();
            let of_group: Vec<&Analysis> = runs.iter().map(|i| all[*i]).collect();
            let (nodes, calls) = parts(&of_group);
            let cost_usd = runs.iter().filter_map(cost).reduce(|a, b| a + b);
            let n_failed = runs.iter().filter(|i| all[**i].summary.n_errors > 0).count();
            runs.sort_unstable();
            Group {
                shape,
                models,
                median_s,
                p90_s,
                slowest,
                median_tokens: tokens.get(tokens.len() / 2).copied(),
                cost_usd,
                n_failed,
                nodes,
                calls,
                runs,
            }
        })
        .collect();
    let sum = |g: &Group| g.runs.iter().map(|i| all[*i].wall_s).sum::<f64>();
    found.sort_by(|a, b| sum(b).total_cmp(&sum(a)).then(a.shape.cmp(&b.shape)));
    found
}
