//! Timestamps in traces: RFC 3339 with or without a zone, or seconds, milliseconds or nanoseconds since 1970.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;

/// Seconds since 1970; a moment without a zone is UTC, as the LangSmith client writes it.
pub fn unix(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => {
            let text = text.trim();
            if let Ok(number) = text.parse::<f64>() {
                return scaled(number);
            }
            if let Ok(stamp) = text.parse::<Timestamp>() {
                return Some(stamp.as_nanosecond() as f64 / 1e9);
            }
            // Parquet readers and databases write a blank before the zone.
            let (text, zone) = match text.rsplit_once(' ') {
                Some((civil, zone)) if zone.starts_with(['+', '-']) || zone == "UTC" => (civil, zone),
                _ => (text, "UTC"),
            };
            if zone != "UTC"
                && let Ok(stamp) = format!("{text}{zone}").parse::<Timestamp>()
            {
                return Some(stamp.as_nanosecond() as f64 / 1e9);
            }
            let civil: DateTime = text.parse().ok()?;
            Some(civil.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp().as_nanosecond() as f64 / 1e9)
        }
        Value::Number(number) => scaled(number.as_f64()?),
        _ => None,
    }
}

/// Seconds of a moment in nanoseconds, whatever its size; of a date as [`unix`].
pub fn nanos(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        // Node.js keeps seconds and nanoseconds apart.
        Value::Array(pair) => match pair.as_slice() {
            [s, n] => return Some(s.as_f64()? + n.as_f64()? / 1e9).filter(|t| t.is_finite() && *t >= 0.0),
            _ => None,
        },
        _ => None,
    };
    match number {
        Some(n) => (n.is_finite() && n > 0.0).then_some(n / 1e9),
        None => unix(value),
    }
}

/// The unit of a bare number follows from its size: no run is older than 1973 or later than 5138.
fn scaled(number: f64) -> Option<f64> {
    if !number.is_finite() || number <= 0.0 {
        return None;
    }
    Some(match number {
        n if n > 1e17 => n / 1e9,
        n if n > 1e14 => n / 1e6,
        n if n > 1e11 => n / 1e3,
        n => n,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_spellings_of_one_moment() {
        for value in [
            json!("2025-07-31T21:46:01.500"),
            json!("2025-07-31T21:46:01.500Z"),
            json!("2025-07-31T23:46:01.5+02:00"),
            json!("2025-07-31 21:46:01.500 UTC"),
            json!("2025-07-31 23:46:01.500 +02:00"),
            json!("1753998361500000000"),
            json!(1_753_998_361_500_u64),
            json!(1_753_998_361.5),
        ] {
            assert!((unix(&value).unwrap() - 1_753_998_361.5).abs() < 1e-3, "{value}");
        }
        assert_eq!(nanos(&json!("1000000000")), Some(1.0));
        assert_eq!(nanos(&json!([3, 500_000_000])), Some(3.5));
        assert_eq!(unix(&json!("soon")), None);
        assert_eq!(unix(&json!(-4)), None);
    }
}
