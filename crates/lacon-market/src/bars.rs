//! Daily price bars and their CSV form.

use jiff::civil::Date;

use crate::DataError;

/// One trading day.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The day, in the exchange's time.
    pub date: Date,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Shares traded.
    pub volume: f64,
}

impl Bar {
    /// (high + low + close) / 3.
    pub fn typical(&self) -> f64 {
        (self.high + self.low + self.close) / 3.0
    }
}

/// Reads `Date,Open,High,Low,Close,Volume` rows in any column order, oldest first. Rows with an empty price (days
/// without trading) are dropped; other columns are ignored.
///
/// # Errors
/// A missing column or a cell that is no number or date, with its line.
pub fn parse_csv(name: &str, text: &str) -> Result<Vec<Bar>, DataError> {
    let malformed = |line: usize, problem: String| DataError::Malformed { name: name.into(), line, problem };
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    let header: Vec<String> = lines
        .next()
        .map(|(_, l)| l.split(',').map(|c| c.trim().to_lowercase()).collect())
        .unwrap_or_default();
    let column = |wanted: &str| {
        header
            .iter()
            .position(|c| c == wanted)
            .ok_or_else(|| malformed(1, format!("column {wanted:?} is missing")))
    };
    let date_column = column("date")?;
    let columns = [column("open")?, column("high")?, column("low")?, column("close")?, column("volume")?];
    let mut bars = Vec::new();
    for (index, line) in lines {
        if line.trim().is_empty() {
            continue;
        }
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |i: usize| cells.get(i).copied().unwrap_or("");
        let date = parse_date(cell(date_column))
            .ok_or_else(|| malformed(index + 1, format!("{:?} is no date", cell(date_column))))?;
        let mut values = [0.0; 5];
        let mut empty = false;
        for (value, i) in values.iter_mut().zip(columns) {
            match cell(i) {
                "" | "null" | "nan" | "NaN" => empty = true,
                text => {
                    *value = text
                        .parse()
                        .ok()
                        .filter(|v: &f64| v.is_finite())
                        .ok_or_else(|| malformed(index + 1, format!("{text:?} is no number")))?;
                }
            }
        }
        if !empty {
            let [open, high, low, close, volume] = values;
            bars.push(Bar { date, open, high, low, close, volume });
        }
    }
    bars.sort_by_key(|bar| bar.date);
    bars.dedup_by_key(|bar| bar.date);
    Ok(bars)
}

/// The day of `2025-07-30`, also with a time behind it.
pub(crate) fn parse_date(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}
