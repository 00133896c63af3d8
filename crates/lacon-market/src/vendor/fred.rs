//! FRED: macro series as they were known on a day. Needs a key.
//!
//! `realtime_start` and `realtime_end` are set to the run's date, which gives the values that a reader of that day saw,
//! not later revisions.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use jiff::{Span, civil::Date};
use serde_json::Value;

use super::{Account, Ask, Fetched, Key, Problem, Vendor, VendorError, Wire, body};

const ME: Vendor = Vendor::Fred;

/// The most rows that are shown; the change is computed over the whole window.
pub const MAX_ROWS: usize = 40;

/// Names that people use, and the series.
const ALIASES: &[(&str, &str)] = &[
    ("fedfunds", "FEDFUNDS"),
    ("fedfundsrate", "FEDFUNDS"),
    ("10y", "DGS10"),
    ("10yeartreasury", "DGS10"),
    ("yieldcurve", "T10Y2Y"),
    ("curve", "T10Y2Y"),
    ("cpi", "CPIAUCSL"),
    ("inflation", "CPIAUCSL"),
    ("corecpi", "CPILFESL"),
    ("pce", "PCEPI"),
    ("corepce", "PCEPILFE"),
    ("gdp", "GDPC1"),
    ("unemployment", "UNRATE"),
    ("payrolls", "PAYEMS"),
    ("claims", "ICSA"),
    ("joblessclaims", "ICSA"),
    ("m2", "M2SL"),
    ("vix", "VIXCLS"),
    ("dollar", "DTWEXBGS"),
    ("sentiment", "UMCSENT"),
    ("housing", "HOUST"),
    ("retail", "RSAFS"),
    ("retailsales", "RSAFS"),
    ("production", "INDPRO"),
    ("industrialproduction", "INDPRO"),
    ("breakeven", "T10YIE"),
];

/// The series of an alias in any case and with any separators, or a raw series id; `None` for a phrase.
pub fn series_id(name: &str) -> Option<String> {
    let squeezed: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    if let Some((_, id)) = ALIASES.iter().find(|(alias, _)| *alias == squeezed) {
        return Some((*id).to_owned());
    }
    let trimmed = name.trim();
    let raw =
        (1..=24).contains(&trimmed.len()) && trimmed.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    raw.then(|| trimmed.to_uppercase())
}

/// The client.
#[derive(Debug)]
pub struct Fred {
    wire: Arc<Wire>,
    base: String,
    key: Key,
}

/// A series with its values, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its unit.
    pub units: String,
    /// How often it appears.
    pub frequency: String,
    /// Whether it is seasonally adjusted.
    pub adjustment: String,
    /// Day and value; missing values are left out.
    pub values: Vec<(Date, f64)>,
}

fn check(status: u16, answer: &[u8]) -> Option<(Problem, String)> {
    if status != 400 {
        return None;
    }
    let value: Value = serde_json::from_slice(answer).ok()?;
    let text = body::field(&value, "error_message");
    if text.is_empty() {
        return None;
    }
    let lower = text.to_lowercase();
    let problem = if lower.contains("api_key") {
        Problem::Unauthorised
    } else if lower.contains("does not exist") {
        Problem::NoData
    } else {
        Problem::BadRequest
    };
    Some((problem, text))
}

impl Fred {
    /// Makes a client.
    pub fn new(wire: Arc<Wire>, account: &Account) -> Self {
        Self { wire, base: account.base(ME), key: account.key.clone() }
    }

    fn ask(&self, path: &str, id: &str, known_on: Date) -> Result<Ask, VendorError> {
        if self.key.is_empty() {
            return Err(VendorError::no_key(ME, "FRED_API_KEY"));
        }
        Ok(Ask::get(ME, format!("{}{path}", self.base))
            .query("series_id", id)
            .query("realtime_start", &known_on.to_string())
            .query("realtime_end", &known_on.to_string())
            .query("file_type", "json")
            .key("api_key", &self.key)
            .fresh_for(Duration::from_secs(3600))
            .check(check))
    }

    /// A series over the days before `end`, as known on `end`.
    ///
    /// # Errors
    /// [`Problem::BadRequest`] for a phrase that names no series, [`Problem::NoData`] for one that is unknown or empty.
    pub async fn series(
        &self,
        name: &str,
        end: Date,
        look_back: i64,
    ) -> Result<Fetched<Series>, VendorError> {
        let id = series_id(name).ok_or_else(|| {
            let names: Vec<&str> = ALIASES.iter().map(|(alias, _)| *alias).collect();
            let what = format!("{name:?} names no series\nhint: a series id, or one of {}", names.join(", "));
            VendorError::new(ME, Problem::BadRequest, what)
        })?;
        let start = end.checked_sub(Span::new().days(look_back)).unwrap_or(Date::MIN);
        let head = self.wire.send(&self.ask("/series", &id, end)?).await?;
        let ask = self
            .ask("/series/observations", &id, end)?
            .query("observation_start", &start.to_string())
            .query("observation_end", &end.to_string())
            .query("sort_order", "asc")
            .window(Some(start), Some(end));
        let got = self.wire.send(&ask).await?;
        let mut series = parse_series(&head.body)?;
        series.id = id;
        series.values = parse_observations(&got.body)?;
        series.values.retain(|(day, _)| *day >= start && *day <= end);
        if series.values.is_empty() {
            let what = format!("no observation of {} from {start} to {end}", series.id);
            return Err(VendorError::new(ME, Problem::NoData, what));
        }
        Ok(Fetched { value: series, sources: vec![head.source, got.source] })
    }
}

impl Series {
    /// The series for a model: head, latest value, change over the window, the last rows.
    pub fn render(&self, known_on: Date) -> String {
        let mut text = format!("## {} ({}), as known on {known_on}\n\n", self.title, self.id);
        let _ = writeln!(text, "Units: {}; {}; {}", self.units, self.frequency, self.adjustment);
        if let (Some((first_day, first)), Some((last_day, last))) = (self.values.first(), self.values.last())
        {
            let _ = writeln!(text, "Latest: {last} on {last_day}");
            let change = ((last - first) * 1e4).round() / 1e4;
            let _ = writeln!(text, "Change since {first_day}: {change}");
        }
        let skipped = self.values.len().saturating_sub(MAX_ROWS);
        if skipped > 0 {
            let _ = writeln!(text, "Older rows left out: {skipped}");
        }
        text.push_str("\n| Date | Value |\n|---|---|\n");
        for (day, value) in &self.values[skipped..] {
            let _ = writeln!(text, "| {day} | {value} |");
        }
        text
    }
}

/// Reads a series' head.
///
/// # Errors
/// [`Problem::Malformed`] when there is none.
pub fn parse_series(answer: &[u8]) -> Result<Series, VendorError> {
    let value = body::json(ME, answer)?;
    let head =
        value.pointer("/seriess/0").ok_or_else(|| body::malformed(ME, "the answer holds no series"))?;
    Ok(Series {
        id: body::field(head, "id"),
        title: body::field(head, "title"),
        units: body::field(head, "units_short"),
        frequency: body::field(head, "frequency"),
        adjustment: body::field(head, "seasonal_adjustment_short"),
        values: Vec::new(),
    })
}

/// Reads observations; a value of `.` is missing.
///
/// # Errors
/// [`Problem::Malformed`] when there is no list.
pub fn parse_observations(answer: &[u8]) -> Result<Vec<(Date, f64)>, VendorError> {
    let value = body::json(ME, answer)?;
    let list = value.get("observations").and_then(Value::as_array);
    let list = list.ok_or_else(|| body::malformed(ME, "the answer holds no observations"))?;
    let mut values: Vec<(Date, f64)> = list
        .iter()
        .filter_map(|o| Some((body::day_in(o.get("date")?.as_str()?)?, body::number(o.get("value")?)?)))
        .collect();
    values.sort_by_key(|(day, _)| *day);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_and_phrases() {
        for (name, id) in [
            ("CPI", Some("CPIAUCSL")),
            ("fed_funds", Some("FEDFUNDS")),
            ("Core-CPI", Some("CPILFESL")),
            ("wilshire5000", Some("WILSHIRE5000")),
            ("the state of the economy", None),
            ("", None),
        ] {
            assert_eq!(series_id(name).as_deref(), id, "{name}");
        }
    }

    #[test]
    fn a_long_series_is_cut_and_its_change_is_not() {
        let day = jiff::civil::date(2020, 1, 1);
        let values = (0..100).map(|n| (day.checked_add(Span::new().days(n)).unwrap(), n as f64)).collect();
        let series = Series { id: "X".into(), title: "T".into(), values, ..Series::default() };
        let text = series.render(jiff::civil::date(2020, 5, 1));
        assert!(text.contains("Change since 2020-01-01: 99") && text.contains("left out: 60"), "{text}");
        assert_eq!(text.lines().filter(|l| l.starts_with("| 20")).count(), MAX_ROWS);
    }
}
