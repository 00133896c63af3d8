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
    /// The place of the slowest run.
    pub slowest: usize,
    /// Median of the tokens of runs that say them.
    pub median_tokens: Option<u64>,
    /// Cost of all runs by the source, else at list prices, in US dollars.
    pub cost_usd: Option<f64>,
    /// Runs with an error.
    pub n_failed: usize,
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
            let (median_s, p90_s, slowest) = (all[at(0.5)].wall_s, all[at(0.9)].wall_s, at(1.0));
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
                runs,
            }
        })
        .collect();
    let sum = |g: &Group| g.runs.iter().map(|i| all[*i].wall_s).sum::<f64>();
    found.sort_by(|a, b| sum(b).total_cmp(&sum(a)).then(a.shape.cmp(&b.shape)));
    found
}
