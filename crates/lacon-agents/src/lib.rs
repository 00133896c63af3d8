//! Teams of agents as data: a team is checked as a whole, planned before the first call, then run.
//!
//! A [`Team`] comes from a file ([`file::parse`]) or is written as a Rust value. [`check`](check::check) lists every
//! fault at once. [`plan`](plan::plan) derives from the team what runs beside what, what it will take, and what each
//! [`Optimization`] does for it. [`run()`] executes the plan and returns a [`Finished`] with texts, tokens and cost.
//! The crate knows no application: what agents talk about stands in their prompts.
//!
//! ```
//! let team = lacon_agents::file::parse(
//!     "team.toml",
//!     r#"
//!     [team]
//!     name = "two"
//!     inputs = { topic = "text" }
//!     result = "writer"
//!
//!     [[agent]]
//!     name = "critic"
//!     words = 60
//!     prompt = "What is unclear about {topic}?"
//!
//!     [[agent]]
//!     name = "writer"
//!     reads = ["critic"]
//!     words = 120
//!     prompt = "Explain {topic}."
//!     "#,
//! )
//! .expect("the team has no fault");
//! assert_eq!(team.agents.len(), 2);
//! ```

pub mod answer;
mod attach;
pub mod check;
pub mod choice;
mod context;
pub mod digest;
pub mod draw;
mod fan;
pub mod file;
mod finish;
pub mod inputs;
mod layout;
mod merged;
pub mod optimization;
pub mod own;
pub mod plan;
pub mod prompt;
pub mod record;
pub mod report;
mod room;
mod rounds;
pub mod run;
pub mod scorer;
pub mod shipped;
pub mod stages;
pub mod state;
mod step;
pub mod switches;
pub mod team;
pub mod template;
pub mod tools;

pub use check::{Fault, Faults};
pub use inputs::Inputs;
pub use optimization::{Optimization, Optimizations};
pub use own::OwnOptimization;
pub use plan::Plan;
pub use record::TeamRecord;
pub use run::{Finished, RunError, Settings, run};
pub use scorer::{Score, Scorer};
pub use team::{Agent, Team};
pub use tools::Tools;
