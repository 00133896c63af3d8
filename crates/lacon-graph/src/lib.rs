//! Runs a graph of async steps: order, joins, loops, limits, cancellation, checkpoints.
//!
//! A graph is built once ([`Builder`]), checked once ([`Builder::build`] lists every fault) and immutable afterwards.
//! [`run`] starts each node the moment its own inputs are ready: there is no super-step and no barrier. One typed state
//! travels between nodes, with a reducer per field ([`state!`]). Reducers do not depend on the order in which
//! concurrent nodes finish.
//!
//! The crate knows nothing of prompts, tokens, providers or money. It spawns no task: the future of [`run`] polls all
//! steps, so dropping it drops every running step.

pub mod checkpoint;
pub mod compose;
pub mod durations;
pub mod event;
pub mod executor;
pub mod export;
mod options;
pub mod policy;
pub mod spec;
pub mod state;
pub mod validate;

pub use checkpoint::{Journal, JournalError, Log, Record, fork};
pub use compose::sub_graph;
pub use durations::Durations;
pub use event::{Event, EventKind};
pub use executor::run;
pub use options::{OnOutput, Options, Outcome, Status};
pub use policy::{MemoryCache, NodeCache, Pulse, Retry};
pub use spec::{Builder, Context, Graph, Join, NodeId, Output, Step, StepError, StepFuture, step};
pub use state::{Append, LastWins, Max, Reducer, Stamp, State};
pub use validate::{Fault, Faults};
