//! Why data cannot be used.

use crate::Symbol;

/// Why data cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No data for the ticker.
    #[error("no data for ticker {ticker} in {origin}{}", hint_nearest(nearest, known))]
    UnknownTicker {
        /// The ticker asked for.
        ticker: Symbol,
        /// Where it was looked for.
        origin: String,
        /// The nearest known ones.
        nearest: Vec<String>,
        /// All known ones.
        known: Vec<String>,
    },
    /// A file is there but cannot be understood.
    #[error("{name}, line {line}: {problem}")]
    Malformed {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A file cannot be read.
    #[error("cannot read {name}")]
    Io {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than is accepted.
    #[error("{name} has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// The file.
        name: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

fn hint_nearest(nearest: &[String], known: &[String]) -> String {
    let list = |names: &[String]| names.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
    match (nearest.is_empty(), known.is_empty()) {
        (false, _) => format!("\nhint: did you mean {}?", list(nearest)),
        (true, false) => format!("\nhint: known tickers are {}", list(known)),
        (true, true) => "\nhint: the folder holds no ticker at all".into(),
    }
}
