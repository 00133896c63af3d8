//! The price table: `data/prices.json`, read once, and how a model is found in it.
//!
//! The table is written by `cargo xtask prices` from the package `genai-prices` (MIT), and a model is found as that
//! package finds it, so that both give the same price. Where the package knows no provider for a spelling of a cloud
//! (Bedrock, Vertex), the cloud's own list is asked.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use lacon_models::{Clause, Day, RATES, Source};
use serde_json::{Map, Value, value::RawValue};

const FORM: &str = "rows have the form that `cargo xtask prices` writes";
const DATA: &str = include_str!("../../data/prices.json");
/// Prices are read in USD for a million tokens and held in billionths of it.
const NANO: f64 = 1e9;
/// Found names that are remembered: more means names that nobody uses twice.
const REMEMBERED: usize = 1024;

/// A price in billionths of a USD for a million tokens, by the length of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) base: u64,
    /// From more than so many prompt tokens on, all tokens cost this.
    pub(super) tiers: Vec<(u64, u64)>,
}

impl Rate {
    pub(super) fn at(&self, prompt: u64) -> u64 {
        self.tiers.iter().rev().find(|(start, _)| prompt > *start).map_or(self.base, |(_, price)| *price)
    }

    fn read(value: &Value) -> Option<Self> {
        let nano = |value: &Value| Some((value.as_f64()? * NANO).round() as u64);
        let Value::Array(parts) = value else { return Some(Self { base: nano(value)?, tiers: Vec::new() }) };
        let (base, tiers) = parts.split_first()?;
        let tiers = tiers.iter().map(|tier| Some((tier[0].as_u64()?, nano(&tier[1])?)));
        Some(Self { base: nano(base)?, tiers: tiers.collect::<Option<_>>()? })
    }
}

/// Prices by kind of token, in the order of [`RATES`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rates([Option<Rate>; RATES.len()]);

impl Rates {
    pub(super) fn get(&self, kind: &str) -> Option<&Rate> {
        let at = RATES.iter().position(|known| *known == kind)?;
        self.0[at].as_ref()
    }

    pub(super) fn read(map: &Map<String, Value>) -> Option<Self> {
        let mut rates = Self::default();
        for (slot, kind) in rates.0.iter_mut().zip(RATES) {
            if let Some(value) = map.get(kind) {
                *slot = Some(Rate::read(value)?);
            }
        }
        Some(rates)
    }

    fn fill_from(&mut self, other: &Self) {
        for (slot, more) in self.0.iter_mut().zip(&other.0) {
            *slot = slot.take().or_else(|| more.clone());
        }
    }

    /// Prompt lengths from which on some price is another.
    pub(super) fn starts(&self) -> Vec<u64> {
        let mut starts: Vec<u64> =
            self.0.iter().flatten().flat_map(|rate| rate.tiers.iter().map(|tier| tier.0)).collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

#[derive(Debug)]
enum When {
    Always,
    From(Day),
    /// Minutes of the day in UTC; the end may be on the next day.
    Hours(u64, u64),
}

impl When {
    fn read(row: &Value) -> Option<Self> {
        let minutes = |value: &Value| {
            let (hours, minutes) = value.as_str()?.split_once(':')?;
            Some(hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?)
        };
        match (&row["from"], &row["hours"]) {
            (Value::String(day), _) => Day::read(day).map(Self::From),
            (_, Value::Array(hours)) => Some(Self::Hours(minutes(hours.first()?)?, minutes(hours.get(1)?)?)),
            _ => Some(Self::Always),
        }
    }

    fn holds(&self, at: SystemTime) -> bool {
        let minute = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 60 % 1440);
        match self {
            Self::Always => true,
            Self::From(day) => Day::of(at) >= *day,
            Self::Hours(start, end) if end < start => minute >= *start || minute < *end,
            Self::Hours(start, end) => (*start..*end).contains(&minute),
        }
    }
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) id: String,
    clause: Clause,
    pub(super) context: Option<u64>,
    prices: Vec<(When, Rates)>,
    batch: Vec<(When, Rates)>,
}

impl Model {
    /// The prices at a time: the last row that holds, else the first.
    pub(super) fn rates(&self, at: SystemTime) -> &Rates {
        let row = self.prices.iter().rev().find(|(when, _)| when.holds(at)).or(self.prices.first());
        &row.expect("a model has a price").1
    }

    /// The prices of a batch at a time, where they are others.
    pub(super) fn batch(&self, at: SystemTime) -> Option<Rates> {
        let mut rates = Rates::default();
        let mut any = false;
        for (_, row) in self.batch.iter().filter(|(when, _)| when.holds(at)) {
            rates.fill_from(row);
            any = true;
        }
        rates.fill_from(self.rates(at));
        any.then_some(rates)
    }

    fn read(row: &Value) -> Option<Self> {
        let rows = |value: &Value| -> Option<Vec<(When, Rates)>> {
            let rows = value.as_array().map(Vec::as_slice).unwrap_or_default();
            rows.iter().map(|row| Some((When::read(row)?, Rates::read(row.as_object()?)?))).collect()
        };
        let prices = rows(&row["prices"])?;
        if prices.is_empty() {
            return None;
        }
        Some(Self {
            id: row["id"].as_str()?.to_owned(),
            clause: Clause::read(&row["match"])?,
            context: row["context"].as_u64(),
            prices,
            batch: rows(&row["batch"])?,
        })
    }
}

#[derive(Debug)]
pub(super) struct Provider {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) url: Option<String>,
    clause: Option<Clause>,
    alias: Option<Clause>,
    fallback: Vec<String>,
    /// The JSON of its models, and the same read: a process asks for those of one or two providers.
    json: &'static RawValue,
    models: OnceLock<Vec<Model>>,
}

/// An object of the table, member by member.
type Members = HashMap<&'static str, &'static RawValue>;

impl Provider {
    fn read(members: &Members) -> Option<Self> {
        let mut row = Value::Null;
        for (name, value) in members.iter().filter(|(name, _)| **name != "models") {
            row[*name] = serde_json::from_str(value.get()).ok()?;
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let clause = |value: &Value| match value {
            Value::Null => Some(None),
            value => Clause::read(value).map(Some),
        };
        let fallback = row["fallback"].as_array().map(Vec::as_slice).unwrap_or_default();
        Some(Self {
            id: text(&row["id"])?,
            name: text(&row["name"])?,
            url: text(&row["url"]),
            clause: clause(&row["match"])?,
            alias: clause(&row["alias"])?,
            fallback: fallback.iter().map(text).collect::<Option<_>>()?,
            json: members.get("models")?,
            models: OnceLock::new(),
        })
    }

    fn models(&self) -> &[Model] {
        self.models.get_or_init(|| {
            let rows: Vec<Value> = serde_json::from_str(self.json.get()).expect("models are a list");
            rows.iter().map(|row| Model::read(row).expect(FORM)).collect()
        })
    }

    /// The model with this name: of this provider, or of one whose models it offers at their prices.
    fn model(&'static self, name: &str) -> Option<Found> {
        let whose = |provider: &'static Self, name: &str| {
            provider.models().iter().find(|model| model.clause.matches(name))
        };
        let all = |name: &str| {
            let others = self.fallback.iter().filter_map(|id| by_id(id));
            std::iter::once(self).chain(others).find_map(|provider| whose(provider, name))
        };
        let model = all(name).or_else(|| all(&dashed(name)?))?;
        Some(Found { provider: self, model })
    }
}

/// A model and who offers it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) provider: &'static Provider,
    pub(super) model: &'static Model,
}

struct Table {
    source: Source,
    providers: Vec<Provider>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let data: Members = serde_json::from_str(DATA).expect("prices.json is JSON");
        let source: Value = serde_json::from_str(data["source"].get()).expect("JSON was read above");
        let providers: Vec<Members> =
            serde_json::from_str(data["providers"].get()).expect("providers are a list");
        Table {
            source: lacon_models::source(&source).expect("prices.json names its source"),
            providers: providers.iter().map(|members| Provider::read(members).expect(FORM)).collect(),
        }
    })
}

/// Where the table comes from.
pub(super) fn source() -> &'static Source {
    &table().source
}

fn by_id(id: &str) -> Option<&'static Provider> {
    table().providers.iter().find(|provider| provider.id == id)
}

/// Finds a model by its name, with or without a provider before a slash.
pub(super) fn find(model: &str) -> Option<Found> {
    static KNOWN: Mutex<Option<HashMap<String, Option<Found>>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(found) = known.get(model) {
        return *found;
    }
    let found = search(&model.trim().to_lowercase());
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(model.to_owned(), found);
    found
}

fn search(name: &str) -> Option<Found> {
    let providers = &table().providers;
    if let Some((path, rest)) = name.split_once('/') {
        let alias = |provider: &&Provider| provider.alias.as_ref().is_some_and(|alias| alias.matches(path));
        if let Some(provider) = by_id(path).or_else(|| providers.iter().find(alias)) {
            return provider.model(rest).or_else(|| of_bedrock(rest));
        }
    }
    // The first provider whose names look like this one is the one: another one's price would be a guess.
    let direct = providers.iter().find(|p| p.clause.as_ref().is_some_and(|clause| clause.matches(name)));
    let direct = direct.and_then(|provider| provider.model(name));
    direct.or_else(|| of_bedrock(name)).or_else(|| {
        // Google names a model by a path: `models/…`, `publishers/anthropic/models/…`.
        let (path, rest) = name.rsplit_once("models/")?;
        (path.is_empty() || path.contains("publishers/")).then(|| by_id("google")?.model(rest))?
    })
}

/// Bedrock names a model `vendor.model`, with a region before it, or by an ARN.
fn of_bedrock(name: &str) -> Option<Found> {
    let plain = lacon_models::plain_name(name);
    let id = name.rsplit('/').next().unwrap_or(name);
    let is_dotted = id.split_once('.').is_some_and(|(_, rest)| rest.contains(plain.as_str()))
        && !plain.is_empty()
        && !id.starts_with(plain.as_str());
    (is_dotted || name.starts_with("arn:aws:bedrock")).then(|| by_id("aws")?.model(name))?
}

/// Writes the date of `gpt-5.2-20251211` as `gpt-5.2-2025-12-11`.
fn dashed(name: &str) -> Option<String> {
    let (start, date) = name.char_indices().filter(|(_, c)| *c == '-').find_map(|(at, _)| {
        let date = name.get(at + 1..at + 9)?;
        let ends = name[at + 9..].is_empty() || name[at + 9..].starts_with(['-', ':']);
        let written = format!("{}-{}-{}", date.get(..4)?, date.get(4..6)?, date.get(6..)?);
        (ends && date.starts_with("20") && Day::read(&written).is_some()).then_some((at, written))
    })?;
    Some(format!("{}-{date}{}", &name[..start], &name[start + 9..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are read when their provider is asked for, so a test asks them all.
    #[test]
    fn every_row_has_the_form_that_is_read() {
        let models = table().providers.iter().map(|provider| provider.models().len());
        assert!(models.clone().sum::<usize>() > 500 && models.clone().all(|n| n > 0));
    }
}
