//! Durations of nodes in earlier runs, so that a run can know its longest path in advance.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// Observations kept per node; older ones are dropped.
const KEPT: usize = 32;

/// The last durations of each node, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Durations {
    nodes: BTreeMap<String, Vec<u64>>,
}

impl Durations {
    /// Adds the duration of one start of a node.
    pub fn observe(&mut self, node: &str, took: Duration) {
        let list = self.nodes.entry(node.into()).or_default();
        if list.len() >= KEPT {
            list.drain(..=list.len() - KEPT);
        }
        list.push(took.as_millis().try_into().unwrap_or(u64::MAX));
    }

    /// Returns the median duration of the node.
    pub fn expected(&self, node: &str) -> Option<Duration> {
        let mut list = self.nodes.get(node)?.clone();
        list.sort_unstable();
        list.get(list.len() / 2).copied().map(Duration::from_millis)
    }

    /// Returns the given quantile of a node's durations, by nearest rank. Returns `None` for fewer than `least`
    /// observations, because the extremes of few observations say little.
    pub fn quantile(&self, node: &str, share: f64, least: usize) -> Option<Duration> {
        let mut list = self.nodes.get(node).filter(|list| list.len() >= least)?.clone();
        list.sort_unstable();
        let rank = (share.clamp(0.0, 1.0) * list.len() as f64).ceil() as usize;
        list.get(rank.saturating_sub(1)).copied().map(Duration::from_millis)
    }

    /// Returns every node with its median, for [`Options::expected`](crate::Options::expected).
    pub fn medians(&self) -> Vec<(String, Duration)> {
        self.nodes.keys().filter_map(|node| Some((node.clone(), self.expected(node)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_last_observations_is_expected() {
        let mut durations = Durations::default();
        assert_eq!(durations.expected("a"), None);
        (0..100).for_each(|_| durations.observe("a", Duration::from_secs(60)));
        (0..KEPT).for_each(|i| durations.observe("a", Duration::from_millis(i as u64)));
        assert_eq!(durations.expected("a"), Some(Duration::from_millis(16)));
        assert_eq!(durations.medians().len(), 1);
        let millis = |share| durations.quantile("a", share, KEPT).map(|d| d.as_millis());
        assert_eq!([0.0, 0.1, 0.9, 1.0].map(millis), [Some(0), Some(3), Some(28), Some(31)]);
        assert_eq!(durations.quantile("a", 0.5, KEPT + 1), None);
        assert_eq!(durations.quantile("b", 0.5, 0), None);
    }
}
