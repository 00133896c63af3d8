//! Market data: vendors, offline packs, folder layouts, point-in-time rules, indicators.
//!
//! A [`Dataset`] holds the data of one ticker. [`answer()`] renders the text of one tool from it, and never from
//! anything dated after the run's date. Nothing is invented: without data the answer is [`Answer::NoData`] with the
//! reason, and the caller tells the model so.

pub mod answer;
pub mod bars;
pub mod catalog;
pub mod dataset;
pub mod error;
#[cfg(feature = "extended")]
pub mod extended;
pub mod folder;
pub mod indicators;
pub mod levels;
#[cfg(feature = "vendors")]
pub mod live;
pub mod pack;
pub mod provenance;
#[cfg(feature = "vendors")]
pub mod routing;
pub mod symbol;
#[cfg(feature = "vendors")]
pub mod vendor;

pub use answer::{Answer, BadArgument, answer};
pub use bars::Bar;
pub use catalog::{Argument, Kind, Tool};
pub use dataset::{Dataset, Item};
pub use error::DataError;
pub use indicators::{Indicator, Semantics};
pub use symbol::{Asset, Symbol, SymbolError};
