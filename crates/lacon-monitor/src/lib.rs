//! Turns the facts of a run into a ledger of tokens, money and time, and the ledger into reports, spans and grades.
//!
//! The other crates return facts; only this one names a metric or a price. A [`Ledger`] collects facts during a run.
//! The caller combines it with the state into the [`RunRecord`] that is written as `run.json`.

pub mod analyze;
pub mod books;
pub mod calls;
pub mod compare;
pub mod critical;
pub mod evidence;
pub mod export;
pub mod facts;
pub mod figures;
pub mod grade;
pub mod html;
pub mod ledger;
pub mod metrics;
pub mod names;
pub mod ops;
pub mod prices;
pub mod record;
pub mod render;
pub mod report;
pub mod spans;
pub mod trace;
pub mod visible;
pub mod whatif;

pub use books::{Books, books};
pub use grade::{content_grade, origin_grade};
pub use ledger::{CallFact, Ledger, NodeFact, ToolFact};
pub use ops::{OpFact, OpLog};
pub use record::RunRecord;
