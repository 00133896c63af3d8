//! The source of every figure: the tool that showed it, the vendor that sent it, the window and the time.
//!
//! Each answer of a tool becomes a [`Record`] with the text that the model saw.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most answers that are kept; a run makes some dozens.
const MAX_RECORDS: usize = 10_000;

/// One request behind an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The vendor, or the pack.
    pub vendor: String,
    /// The address, without keys; empty for a pack.
    pub url: String,
    /// First and last day that were asked for.
    pub window: [Option<jiff::civil::Date>; 2],
    /// When the vendor sent it; for a pack when it was read.
    pub retrieved_at: Timestamp,
    /// Whether it came from the cache on disk.
    pub cached: bool,
}

/// One answer of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// `ok`, `no_data` or `failed`.
    pub status: String,
    /// The requests behind it.
    pub origins: Vec<Origin>,
    /// Vendors that were asked before and gave nothing, with the reason.
    pub passed: Vec<String>,
    /// What the model was shown.
    pub text: String,
}

/// The answers of a run.
#[derive(Debug, Default)]
pub struct Provenance {
    records: Mutex<Vec<Record>>,
}

impl Provenance {
    /// Keeps an answer. `text` is what the model was shown.
    pub fn keep(
        &self,
        tool: &str,
        arguments: &Map<String, Value>,
        status: &str,
        origins: Vec<Origin>,
        passed: Vec<String>,
        text: &str,
    ) {
        let record = Record {
            tool: tool.into(),
            arguments: arguments.clone(),
            status: status.into(),
            origins,
            passed,
            text: text.into(),
        };
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() < MAX_RECORDS {
            records.push(record);
        }
    }

    /// All answers, in the order in which they came.
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the ledger of a finished run, so that a report made later names the same sources.
    ///
    /// # Errors
    /// When the value is no ledger.
    pub fn read(books: &Value) -> Result<Self, serde_json::Error> {
        let records = serde_json::from_value(books.get("answers").cloned().unwrap_or_default())?;
        Ok(Self { records: Mutex::new(records) })
    }

    /// The ledger as it is written beside `run.json`.
    pub fn json(&self) -> Value {
        serde_json::json!({"schema_version": 2, "answers": self.records()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_with_its_origins() {
        let ledger = Provenance::default();
        let origin = Origin {
            vendor: "yahoo".into(),
            url: "http://h/v8".into(),
            window: [None, None],
            retrieved_at: Timestamp::UNIX_EPOCH,
            cached: false,
        };
        ledger.keep("get_YFin_data", &Map::new(), "ok", vec![origin], Vec::new(), "Close 1,234.50");
        let read = Provenance::read(&ledger.json()).unwrap();
        assert_eq!(read.records(), ledger.records());
        assert_eq!(
            (read.records()[0].origins[0].vendor.as_str(), &*read.records()[0].text),
            ("yahoo", "Close 1,234.50")
        );
        assert!(Provenance::read(&Value::Null).is_err());
    }
}
