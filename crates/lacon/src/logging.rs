//! Log lines on stderr. The libraries return facts and log nothing; this module turns the facts of a run into lines
//! under the name of their crate.

use std::sync::Arc;

use lacon_runtime::{Config, Progress, run::OnProgress};
use tracing::{debug, info, level_filters::LevelFilter, trace};
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{failure::Failure, text};

/// Opens the log at the level of `log.level`, per crate by `log.filter` (`lacon_llm=debug,lacon_graph=trace`).
///
/// # Errors
/// For a filter that cannot be read.
pub fn open(config: &Config) -> Result<(), Failure> {
    let level: LevelFilter = config.text("log.level").parse().unwrap_or(LevelFilter::WARN);
    let mut targets = Targets::new().with_default(LevelFilter::OFF).with_target("lacon", level);
    for name in CRATES {
        targets = targets.with_target(*name, level);
    }
    let filter = config.text("log.filter");
    for part in filter.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, wanted) = part.split_once('=').unwrap_or(("", part));
        let wanted: LevelFilter = wanted.parse().map_err(|_| {
            Failure::input(format!(
                "log.filter holds {part:?}\nhint: CRATE=LEVEL separated by commas, such as lacon_llm=debug; levels are off, error, warn, info, debug, trace"
            ))
        })?;
        if name.is_empty() {
            targets =
                CRATES.iter().fold(targets.with_target("lacon", wanted), |t, n| t.with_target(*n, wanted));
        } else if let Some(known) = CRATES.iter().find(|c| **c == name.replace('-', "_")) {
            targets = targets.with_target(*known, wanted);
        } else {
            return Err(Failure::input(format!(
                "log.filter names {name:?}\nhint: known are {}",
                CRATES.join(", ")
            )));
        }
    }
    let json = config.text("log.format") == "json";
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let layer = if json { layer.json().flatten_event(true).boxed() } else { layer.compact().boxed() };
    // A second command of the same process keeps the first one's log.
    let _ = tracing_subscriber::registry().with(layer.with_filter(targets)).try_init();
    Ok(())
}

/// The crates that lines can be about.
const CRATES: &[&str] = &["lacon_graph", "lacon_llm", "lacon_market", "lacon_monitor", "lacon_trading"];

/// Whether lines are so many that a live view would be torn apart by them.
pub fn is_chatty(config: &Config) -> bool {
    matches!(config.text("log.level"), "info" | "debug" | "trace") || !config.text("log.filter").is_empty()
}

/// Turns what a run reports into log lines, and hands it on.
pub fn logged(next: OnProgress) -> OnProgress {
    Arc::new(move |progress| {
        line(&progress);
        next(progress);
    })
}

fn line(progress: &Progress) {
    match progress {
        Progress::NodeStarted(node) => debug!(target: "lacon_graph", node, "node started"),
        Progress::NodeFinished { node, error: None } => info!(target: "lacon_graph", node, "node finished"),
        Progress::NodeFinished { node, error: Some(error) } => {
            info!(target: "lacon_graph", node, error, "node failed")
        }
        Progress::Calling { role, turn } => debug!(target: "lacon_llm", role, turn, "call sent"),
        Progress::Streaming { role, bytes } => trace!(target: "lacon_llm", role, bytes, "answer grows"),
        Progress::Retrying { role, reason } => info!(target: "lacon_llm", role, reason, "call tried again"),
        Progress::Answered { role, total_tokens, .. } => {
            info!(target: "lacon_llm", role, total_tokens, "call answered")
        }
        Progress::ToolCalled { role, tool } => debug!(target: "lacon_market", role, tool, "tool called"),
        _ => {}
    }
}

/// A warning that stands beside a result.
pub fn warn(config: &Config, message: &str) {
    if config.text("log.format") == "json" {
        tracing::warn!(target: "lacon", "{message}");
    } else if config.text("log.level") != "error" {
        text::warn(message);
    }
}
