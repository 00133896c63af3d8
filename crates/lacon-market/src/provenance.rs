//! Where every figure comes from: which tool showed it, which vendor sent it, for which window, when.
//!
//! Each answer of a tool becomes a [`Record`] with the figures that stand in it. A report that shows a figure asks
//! [`Provenance::sources_of`] and can name its source, or learns that no tool ever showed it.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Mutex, PoisonError},
};

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
    /// The figures of the answer in their plain form, sorted.
    pub figures: Vec<String>,
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
            figures: figures(text).into_iter().collect(),
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

    /// The answers that showed a figure, written in any of its forms: `1,234.50` is `1234.5`.
    pub fn sources_of(&self, figure: &str) -> Vec<Record> {
        let Some(plain) = figures(figure).into_iter().next() else { return Vec::new() };
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().filter(|r| r.figures.binary_search(&plain).is_ok()).cloned().collect()
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
        serde_json::json!({"schema_version": 1, "answers": self.records()})
    }
}

/// The figures of a text in their plain form: no thousands commas, no zeros at the end of a fraction. Days and times are
/// no figures.
pub fn figures(text: &str) -> BTreeSet<String> {
    figures_at(text).into_iter().map(|(_, figure)| figure).collect()
}

/// The figures of a text in their plain form, each with where it stands, in their order.
pub fn figures_at(text: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        // In a row of a table commas divide cells, elsewhere thousands.
        let trimmed = line.trim_end_matches(['\n', '\r']);
        let row = trimmed.matches(',').count() >= 3 && !trimmed.contains(char::is_whitespace);
        let mut at = offset;
        let cells: Box<dyn Iterator<Item = &str>> =
            if row { Box::new(trimmed.split(',')) } else { Box::new(std::iter::once(trimmed)) };
        for cell in cells {
            figures_in(cell, &mut |range: Range<usize>, figure| {
                found.push((range.start + at..range.end + at, figure));
            });
            at += cell.len() + 1;
        }
        offset += line.len();
    }
    found
}

fn figures_in(text: &str, found: &mut dyn FnMut(Range<usize>, String)) {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let part_of_word = i > 0 && (bytes[i - 1].is_ascii_alphabetic() || bytes[i - 1] == b'_');
        if !bytes[i].is_ascii_digit() {
            i += 1;
            continue;
        }
        if part_of_word {
            // The digits of a name are no figure, not even their last ones.
            while bytes.get(i).is_some_and(u8::is_ascii_digit) {
                i += 1;
            }
            continue;
        }
        let start = i;
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let mut fraction = false;
        while i < bytes.len() {
            let three = digit(i + 1) && digit(i + 2) && digit(i + 3) && !digit(i + 4);
            match bytes[i] {
                b'0'..=b'9' => i += 1,
                // A comma divides thousands where three digits and no more follow.
                b',' if !fraction && three && i - start <= 3 => i += 1,
                b',' if !fraction && three && bytes[start..i].contains(&b',') => i += 1,
                b'.' if !fraction && digit(i + 1) => {
                    fraction = true;
                    i += 1;
                }
                _ => break,
            }
        }
        let number = &text[start..i];
        let dashed = |at: usize| bytes.get(at) == Some(&b'-') || bytes.get(at) == Some(&b':');
        let is_day =
            dashed(i) && digit(i + 1) || start > 0 && dashed(start - 1) && start > 1 && digit(start - 2);
        if !is_day {
            let plain: String = number.chars().filter(|c| *c != ',').collect();
            let plain = if fraction { plain.trim_end_matches('0').trim_end_matches('.') } else { &plain };
            let plain = plain.trim_start_matches('0');
            let figure = match plain {
                "" => "0".to_owned(),
                p if p.starts_with('.') => format!("0{p}"),
                p => p.to_owned(),
            };
            found(start..i, figure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_plain_and_days_are_none() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<String> = figures(text).into_iter().collect();
            let mut expected: Vec<String> = expected.iter().map(|e| (*e).to_owned()).collect();
            expected.sort();
            assert_eq!(found, expected, "{text}");
        };
        check("close 181.640 on 2025-07-30 at 10:15", &["181.64"]);
        check("1,234,567.50 USD and 0.05 %", &["1234567.5", "0.05"]);
        check("2025-07-30,181.5,190,170.25,181.64,9534800", &["181.5", "190", "170.25", "181.64", "9534800"]);
        check("ROLE2 close_50_sma: 7", &["7"]);
        check("", &[]);
    }

    #[test]
    fn figures_stand_where_they_are_said_to() {
        let text = "a 1,234.50\r\n2025-07-30,181.5,190,170.25\nüber 0.050 %";
        let found: Vec<(&str, String)> =
            figures_at(text).into_iter().map(|(range, figure)| (&text[range], figure)).collect();
        let expected = [
            ("1,234.50", "1234.5"),
            ("181.5", "181.5"),
            ("190", "190"),
            ("170.25", "170.25"),
            ("0.050", "0.05"),
        ];
        assert_eq!(found, expected.map(|(text, figure)| (text, figure.to_owned())));
    }

    #[test]
    fn a_figure_names_its_source() {
        let ledger = Provenance::default();
        let origin = Origin {
            vendor: "yahoo".into(),
            url: "http://h/v8".into(),
            window: [None, None],
            retrieved_at: Timestamp::UNIX_EPOCH,
            cached: false,
        };
        ledger.keep("get_YFin_data", &Map::new(), "ok", vec![origin], Vec::new(), "Close 1,234.50");
        assert_eq!(ledger.sources_of("1234.5")[0].origins[0].vendor, "yahoo");
        assert_eq!(ledger.sources_of("$1,234.50").len(), 1);
        let read = Provenance::read(&ledger.json()).unwrap();
        assert_eq!(read.sources_of("1234.5"), ledger.sources_of("1234.5"));
        assert!(Provenance::read(&Value::Null).is_err());
        assert!(ledger.sources_of("1234.6").is_empty() && ledger.sources_of("none").is_empty());
    }
}
