//! Durations of nodes in earlier runs, in a file beside their results.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use lacon_graph::Durations;
use lacon_monitor::ledger::Facts;

/// The durations of one profile at one speed, and where they are kept.
#[derive(Debug)]
pub struct DurationsFile {
    path: PathBuf,
    key: String,
    all: BTreeMap<String, Durations>,
    /// What is known before the run.
    pub durations: Durations,
}

impl DurationsFile {
    /// Reads what earlier runs under the same folder left; nothing where the file is missing or damaged, for it only
    /// orders nodes that wait for a place and tells a deadline what is still to come.
    pub fn read(out: &Path, profile: &str, time_scale: f64) -> Self {
        let path = out.join(".cache/durations.json");
        let all: BTreeMap<String, Durations> =
            std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        // Simulated seconds pass faster: they say nothing of real ones.
        let key = format!("{profile}/{time_scale}");
        let durations = all.get(&key).cloned().unwrap_or_default();
        Self { path, key, all, durations }
    }

    /// Adds the nodes of a finished run. A file that cannot be written is no loss to the run.
    pub fn write(mut self, facts: &Facts) {
        for node in facts.nodes.iter().filter(|n| n.error.is_none()) {
            let took = Duration::try_from_secs_f64(node.end_s - node.start_s).unwrap_or_default();
            self.durations.observe(&node.node, took);
        }
        self.all.insert(self.key, self.durations);
        if let Ok(text) = serde_json::to_vec(&self.all) {
            let _ = lacon_files::write(&self.path, &text, [], lacon_files::Flush::Later);
        }
    }
}
