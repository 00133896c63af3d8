//! What is known of models, as data: plain names, encodings, capabilities and cache rules.
//!
//! The data is `data/models.json`; every row has a source and the day on which it was last compared. Prices are
//! in `lacon-monitor`, which matches names with the clauses of this crate. A row names what it covers, so that a newer
//! family has no row rather than an older one's.

mod clause;
mod day;
mod name;
mod regex;
mod table;
mod user;

pub use clause::Clause;
pub use day::Day;
pub use name::plain_name;
pub use table::{
    CacheKind, CacheRow, CapabilityRow, EncodingRow, Source, Worth, cache_of, cache_rule, cache_rules,
    capabilities_of, encoding_of, encodings, source, sources,
};
pub use user::{FileError, RATES, UserRow, add_rows, read_rows, user_row};
