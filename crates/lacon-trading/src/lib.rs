//! The trading graph: profiles, agents, prompts, decision, reports.
//!
//! Four analysts read the market, the crowd, the news and the company. A bull and a bear argue; a judge weighs the
//! debate, and a research manager writes the plan. Three risk analysts review it, a risk manager decides, and a trader
//! turns the decision into an order. [`decide`] runs it all and leaves a [`RunRecord`](lacon_monitor::RunRecord) and
//! reports.

pub mod agents;
pub mod cast;
pub mod closing;
pub mod condense;
pub mod context;
pub mod forms;
pub mod graph;
pub mod material;
pub mod memory;
pub mod optimizations;
pub mod outcome;
pub mod page;
pub mod plan;
pub mod portfolio;
mod reasons;
pub mod recall;
pub mod reflection;
pub mod report;
pub mod requests;
pub mod roles;
pub mod run;
pub mod sections;
pub mod signal;
pub mod source;
pub mod sources;
pub mod state;
pub mod steps;
pub mod team;
pub mod traces;
pub mod verify;

pub use cast::{Cast, CastOptions};
pub use optimizations::Optimizations;
pub use roles::Role;
pub use run::{Decided, Settings, decide};
pub use signal::Action;
