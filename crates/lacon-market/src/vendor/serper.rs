//! Serper: headlines of a query. Needs a key. Each request costs money, so it is sent once.
//!
//! Dates come as words such as "3 hours ago" and are counted back from the time of the request.

use std::sync::Arc;

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use super::{Account, Ask, Fetched, Key, Problem, Story, Vendor, VendorError, Wire, body};

const ME: Vendor = Vendor::Serper;

/// The client.
#[derive(Debug)]
pub struct Serper {
    wire: Arc<Wire>,
    base: String,
    key: Key,
}

impl Serper {
    /// Makes a client.
    pub fn new(wire: Arc<Wire>, account: &Account) -> Self {
        Self { wire, base: account.base(ME), key: account.key.clone() }
    }

    /// Headlines on words between two days, both inclusive.
    ///
    /// # Errors
    /// What the vendor says; [`Problem::NoData`] when there is no headline.
    pub async fn news(
        &self,
        words: &str,
        start: Date,
        end: Date,
    ) -> Result<Fetched<Vec<Story>>, VendorError> {
        if self.key.is_empty() {
            return Err(VendorError::no_key(ME, "SERPER_API_KEY"));
        }
        let us = |day: Date| day.strftime("%m/%d/%Y").to_string();
        let request = json!({
            "q": words, "gl": "us", "hl": "en", "num": 10, "page": 1,
            "tbs": format!("cdr:1,cd_min:{},cd_max:{}", us(start), us(end)),
        });
        let url = format!("{}/news", self.base);
        let ask = Ask::post(ME, url, "application/json", request.to_string().into_bytes())
            .key_header("x-api-key", "", &self.key)
            .window(Some(start), Some(end))
            .once();
        let got = self.wire.send(&ask).await?;
        let stories = parse_news(&got.body, got.source.retrieved_at)?;
        if stories.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no headline on {words:?}")));
        }
        Ok(Fetched { value: stories, sources: vec![got.source] })
    }
}

/// Reads headlines.
///
/// # Errors
/// [`Problem::Malformed`] when there is no list.
pub fn parse_news(answer: &[u8], fetched: Timestamp) -> Result<Vec<Story>, VendorError> {
    let value = body::json(ME, answer)?;
    let list = value.get("news").and_then(Value::as_array);
    let list = list.ok_or_else(|| body::malformed(ME, "the answer holds no news"))?;
    Ok(list
        .iter()
        .map(|n| Story {
            date: n.get("date").and_then(Value::as_str).and_then(|t| relative_day(t, fetched)),
            source: body::field(n, "source"),
            title: body::field(n, "title"),
            text: body::field(n, "snippet"),
        })
        .filter(|s| !s.title.is_empty())
        .collect())
}

/// The day of "3 hours ago", "yesterday", "Jul 29, 2025" or an ISO day.
pub fn relative_day(text: &str, fetched: Timestamp) -> Option<Date> {
    let text = text.trim().to_lowercase();
    let now = fetched.to_zoned_datetime(TimeZone::UTC);
    if text == "yesterday" {
        return now.date().yesterday().ok();
    }
    if let Some(rest) = text.strip_suffix(" ago") {
        let (n, unit) = rest.split_once(' ')?;
        let n: i64 = if matches!(n, "a" | "an") { 1 } else { n.parse().ok()? };
        let n = n.clamp(0, 10_000);
        let span = match unit.trim_end_matches('s') {
            "second" | "sec" => Span::new().seconds(n),
            "minute" | "min" => Span::new().minutes(n),
            "hour" | "hr" => Span::new().hours(n),
            "day" => Span::new().days(n),
            "week" => Span::new().weeks(n),
            "month" => Span::new().months(n),
            "year" => Span::new().years(n),
            _ => return None,
        };
        return now.checked_sub(span).ok().map(|z| z.date());
    }
    let written = || {
        let mut parts = text.split([' ', ',']).filter(|p| !p.is_empty());
        let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
        let names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        let month = names.iter().position(|n| month.starts_with(n))? as i8 + 1;
        Date::new(year.parse().ok()?, month, day.parse().ok()?).ok()
    };
    body::day_in(&text).or_else(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_days() {
        let now = "2025-07-30T01:00:00Z".parse().unwrap();
        for (text, day) in [
            ("3 hours ago", Some((2025, 7, 29))),
            ("30 minutes ago", Some((2025, 7, 30))),
            ("1 day ago", Some((2025, 7, 29))),
            ("2 weeks ago", Some((2025, 7, 16))),
            ("yesterday", Some((2025, 7, 29))),
            ("Jul 4, 2025", Some((2025, 7, 4))),
            ("2025-07-01", Some((2025, 7, 1))),
            ("recently", None),
            ("x days ago", None),
            ("99999999999999999999 days ago", None),
        ] {
            let expected = day.map(|(y, m, d)| jiff::civil::date(y, m, d));
            assert_eq!(relative_day(text, now), expected, "{text}");
        }
    }
}
