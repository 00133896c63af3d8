//! Where the crates meet: settings, tools, the agent step, a run.
//!
//! [`Config`] is resolved once (default, file, environment, flag). A [`Run`] holds what all agents of one run share:
//! the model client, the tools, the ledger, the clock. [`agent::ask`] is the one place that makes an agent's call.
//! Nothing here knows what the agents are for.

pub mod agent;
pub mod choice;
pub mod config;
pub mod durations;
pub mod http_tools;
pub mod journal;
pub mod ladder;
pub mod reuse;
pub mod run;
pub mod settings;
pub mod shared_cache;
pub mod stagger;
mod sync;
pub mod tape_tools;
pub mod tools;

pub use agent::{Answer, Ask};
pub use config::{Config, ConfigError, Origin};
pub use durations::DurationsFile;
pub use journal::{JOURNAL, Keep, Restored, RunJournal};
pub use lacon_monitor::facts;
pub use ladder::Ladder;
pub use run::{Counter, Progress, Run, RunOptions};
pub use shared_cache::SharedCache;
pub use stagger::Stagger;
pub use tools::{Elsewhere, ToolCache, ToolError, ToolRequest, ToolSource, ToolText};
