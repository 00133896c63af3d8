//! Durations of nodes in earlier runs, in a file beside their results.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use lacon_graph::Durations;
use lacon_monitor::ledger::Facts;

/// The durations of one kind of run, and where they are kept.
#[derive(Debug)]
pub struct DurationsFile {
    path: PathBuf,
    key: String,
    all: BTreeMap<String, Durations>,
    /// What is known before the run.
    pub durations: Durations,
}

impl DurationsFile {
    /// Reads what earlier runs of this kind left; nothing where the file is missing or damaged, for it only orders nodes
    /// that wait for a place, and says what is still to come. Simulated seconds pass faster: the kind has to name the speed.
    pub fn read(path: PathBuf, kind: String) -> Self {
        let all: BTreeMap<String, Durations> =
            std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let durations = all.get(&kind).cloned().unwrap_or_default();
        Self { path, key: kind, all, durations }
    }

    /// Adds the nodes of a finished run. A file that cannot be written is no loss to the run.
    pub fn write(mut self, facts: &Facts) {
        for node in facts.nodes.iter().filter(|n| n.error.is_none()) {
            let took = Duration::try_from_secs_f64(node.end_s - node.start_s).unwrap_or_default();
            self.durations.observe(&node.node, took);
        }
        // Agents of a group share its node: their first calls tell who of them is slow.
        let is_node = |role: &str| facts.nodes.iter().any(|node| node.node == role);
        let calls = facts.calls.iter().map(|fact| &fact.call);
        for call in calls.filter(|call| call.turn == 1 && call.status == "ok" && !is_node(&call.role)) {
            let took = Duration::try_from_secs_f64(call.end_s - call.start_s).unwrap_or_default();
            self.durations.observe(&call.role, took);
        }
        self.all.insert(self.key, self.durations);
        if let Ok(text) = serde_json::to_vec(&self.all) {
            let _ = lacon_files::write(&self.path, &text, [], lacon_files::Flush::Later);
        }
    }
}
