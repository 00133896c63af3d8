//! The table of models: `data/models.json`, read once.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::{clause::Clause, day::Day};

const DATA: &str = include_str!("../data/models.json");

/// Where a row comes from, and when somebody last compared it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is.
    pub name: String,
    /// Its address; empty for a file of the user.
    pub url: String,
    /// The day of the last comparison, if it is known.
    pub checked: Option<Day>,
}

/// How exact counts with an encoding are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// The model's own vocabulary.
    Exact,
    /// Another vocabulary with a factor fitted on measured texts.
    Calibrated,
    /// Another vocabulary, error not measured.
    Heuristic,
}

/// The encoding of a family of models.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodingRow {
    /// The family's name.
    pub family: String,
    clause: Clause,
    /// Name of the encoding.
    pub encoding: String,
    /// How exact it is.
    pub worth: Worth,
    /// For an estimate: tokens per token of the encoding, and the largest relative error expected.
    pub factor: Option<(f64, f64)>,
    /// Why it is not exact, in words.
    pub note: Option<String>,
    /// Where the row comes from.
    pub source: &'static Source,
}

/// What a family of models accepts, as the data states it.
#[derive(Debug, Clone, PartialEq)]
pub struct CapabilityRow {
    /// The family's name.
    pub family: String,
    clause: Clause,
    fields: Map<String, Value>,
    /// Where the row comes from.
    pub source: &'static Source,
}

impl CapabilityRow {
    /// A yes or no; absent where the row says neither.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.fields.get(name)?.as_bool()
    }

    /// A word; absent where the row has none.
    pub fn word(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }
}

/// How a provider reuses the beginning of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheKind {
    /// The longest beginning that an earlier request had, without any mark.
    Automatic,
    /// Beginnings that end at a breakpoint; the newest message is one unless the request says otherwise.
    Breakpoints,
    /// Beginnings that end at a mark of the request.
    Marks,
}

/// The cache rule of a family of models.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheRow {
    /// The rule's name.
    pub rule: String,
    clause: Clause,
    /// How a beginning is reused.
    pub kind: CacheKind,
    /// The shortest beginning in tokens.
    pub least: u64,
    /// Beginnings are cut to a multiple of so many tokens.
    pub step: u64,
    /// How many marks a request may have.
    pub marks: u64,
    /// How long an unused beginning is kept, in seconds.
    pub keep_s: u64,
    /// What a written token costs of the input price, in thousandths.
    pub write_permille: u64,
    /// The same for a beginning that is kept for an hour.
    pub write_1h_permille: Option<u64>,
    /// What a read token costs of the input price in thousandths, where the price table has no price of its own.
    pub read_permille: u64,
    /// Where the row comes from.
    pub source: &'static Source,
}

/// All rows.
pub(crate) struct Table {
    pub(crate) sources: Vec<(String, Source)>,
    pub(crate) paths: Vec<String>,
    pub(crate) encodings: Vec<EncodingRow>,
    capabilities: Vec<CapabilityRow>,
    caches: Vec<CacheRow>,
}

/// Rows of `EncodingRow`s in the order in which they are tried.
pub fn encodings() -> &'static [EncodingRow] {
    &table().encodings
}

/// Returns the encoding of a plain name.
pub fn encoding_of(plain: &str) -> Option<&'static EncodingRow> {
    table().encodings.iter().find(|row| row.clause.matches(plain))
}

/// Returns what a plain name accepts.
pub fn capabilities_of(plain: &str) -> Option<&'static CapabilityRow> {
    table().capabilities.iter().find(|row| row.clause.matches(plain))
}

/// Returns the cache rule of a plain name.
pub fn cache_of(plain: &str) -> Option<&'static CacheRow> {
    table().caches.iter().find(|row| row.clause.matches(plain))
}

/// Returns the cache rule with this name.
pub fn cache_rule(name: &str) -> Option<&'static CacheRow> {
    table().caches.iter().find(|row| row.rule == name)
}

/// All cache rules.
pub fn cache_rules() -> &'static [CacheRow] {
    &table().caches
}

/// The sources of the rows.
pub fn sources() -> impl Iterator<Item = &'static Source> {
    table().sources.iter().map(|(_, source)| source)
}

pub(crate) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    static SOURCES: OnceLock<Vec<(String, Source)>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let data: Value = serde_json::from_str(DATA).expect("models.json is JSON");
        let sources = SOURCES.get_or_init(|| read_sources(&data).expect("each source has name, url and day"));
        read(&data, sources).expect("models.json has the form that is described in its README")
    })
}

fn read_sources(data: &Value) -> Option<Vec<(String, Source)>> {
    data["sources"].as_object()?.iter().map(|(key, row)| Some((key.clone(), source(row)?))).collect()
}

/// Reads a source as the data writes it.
pub fn source(row: &Value) -> Option<Source> {
    let text = |name: &str| row[name].as_str().map(str::to_owned);
    Some(Source {
        name: text("name")?,
        url: text("url")?,
        checked: Some(Day::read(row["checked"].as_str()?)?),
    })
}

fn read(data: &Value, sources: &'static [(String, Source)]) -> Option<Table> {
    let from = |row: &Value| {
        let key = row["source"].as_str()?;
        sources.iter().find(|(known, _)| known == key).map(|(_, source)| source)
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let encoding = |row: &Value| {
        Some(EncodingRow {
            family: text(&row["family"])?,
            clause: Clause::read(&row["match"])?,
            encoding: text(&row["encoding"])?,
            worth: match row["how"].as_str()? {
                "exact" => Worth::Exact,
                "calibrated" => Worth::Calibrated,
                "heuristic" => Worth::Heuristic,
                _ => return None,
            },
            factor: row["factor"].as_f64().zip(row["error"].as_f64()),
            note: text(&row["note"]),
            source: from(row)?,
        })
    };
    let capability = |row: &Value| {
        Some(CapabilityRow {
            family: text(&row["family"])?,
            clause: Clause::read(&row["match"])?,
            fields: row.as_object()?.clone(),
            source: from(row)?,
        })
    };
    let permille = |value: &Value| value.as_f64().map(|share| (share * 1000.0).round() as u64);
    let cache = |row: &Value| {
        Some(CacheRow {
            rule: text(&row["rule"])?,
            clause: Clause::read(&row["match"])?,
            kind: match row["kind"].as_str()? {
                "automatic" => CacheKind::Automatic,
                "breakpoints" => CacheKind::Breakpoints,
                "marks" => CacheKind::Marks,
                _ => return None,
            },
            least: row["least"].as_u64()?,
            step: row["step"].as_u64().filter(|step| *step > 0)?,
            marks: row["marks"].as_u64().unwrap_or(0),
            keep_s: row["keep_s"].as_u64()?,
            write_permille: permille(&row["write"])?,
            write_1h_permille: permille(&row["write_1h"]),
            read_permille: permille(&row["read"])?,
            source: from(row)?,
        })
    };
    Some(Table {
        sources: sources.to_vec(),
        paths: data["paths"].as_array()?.iter().map(text).collect::<Option<_>>()?,
        encodings: data["encodings"].as_array()?.iter().map(encoding).collect::<Option<_>>()?,
        capabilities: data["capabilities"].as_array()?.iter().map(capability).collect::<Option<_>>()?,
        caches: data["caches"].as_array()?.iter().map(cache).collect::<Option<_>>()?,
    })
}
