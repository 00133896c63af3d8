//! What a provider bills for keeping cached contents: `data/storage.json`, by the price table's name of the model.
//!
//! The price table has no such row, because the package that it is written from has no unit for it.

use std::{sync::OnceLock, time::SystemTime};

use lacon_models::{Day, Source};
use serde_json::Value;

const DATA: &str = include_str!("../../data/storage.json");
const FORM: &str = "storage.json has the form that is described in its README";

/// Prices of one model from a day on.
type Rows = Vec<(Option<Day>, f64)>;

struct Table {
    source: Source,
    rows: Vec<(String, Rows)>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let data: Value = serde_json::from_str(DATA).expect(FORM);
        read(&data).expect(FORM)
    })
}

fn read(data: &Value) -> Option<Table> {
    let row = |row: &Value| {
        let from = match &row["from"] {
            Value::Null => None,
            day => Some(Day::read(day.as_str()?)?),
        };
        Some((from, row["usd"].as_f64()?))
    };
    let rows = data["storage"].as_object()?.iter().map(|(model, rows)| {
        let rows: Rows = rows.as_array()?.iter().map(row).collect::<Option<_>>()?;
        Some((model.clone(), rows))
    });
    Some(Table { source: lacon_models::source(&data["source"])?, rows: rows.collect::<Option<_>>()? })
}

/// Where the prices come from.
pub(super) fn source() -> &'static Source {
    &table().source
}

/// USD for keeping a million tokens an hour, of Google's own model.
pub(super) fn usd(provider: &str, model: &str, at: SystemTime) -> Option<f64> {
    let (_, rows) = table().rows.iter().find(|(known, _)| provider == "google" && known == model)?;
    let holds = |from: &Option<Day>| from.is_none_or(|from| Day::of(at) >= from);
    rows.iter().rev().find(|(from, _)| holds(from)).map(|(_, usd)| *usd)
}
