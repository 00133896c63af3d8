//! Google News: the headlines of a query as RSS. No key.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Span, civil::Date};
use quick_xml::{Reader, events::Event};

use super::{Account, Ask, Fetched, Problem, Story, Vendor, VendorError, Wire, body};

const ME: Vendor = Vendor::GoogleNews;

/// The most items that are read of a feed.
const MAX_ITEMS: usize = 200;

/// The client.
#[derive(Debug)]
pub struct GoogleNews {
    wire: Arc<Wire>,
    base: String,
}

impl GoogleNews {
    /// Makes a client.
    pub fn new(wire: Arc<Wire>, account: &Account) -> Self {
        Self { wire, base: account.base(ME) }
    }

    /// Headlines between two days, both inclusive; the vendor's own bounds are exclusive.
    ///
    /// # Errors
    /// What the vendor says; [`Problem::NoData`] when there is no headline.
    pub async fn search(
        &self,
        words: &str,
        start: Date,
        end: Date,
    ) -> Result<Fetched<Vec<Story>>, VendorError> {
        let before = start.checked_sub(Span::new().days(1)).unwrap_or(start);
        let after = end.checked_add(Span::new().days(1)).unwrap_or(end);
        let ask = Ask::get(ME, format!("{}/rss/search", self.base))
            .query("q", &format!("{words} after:{before} before:{after}"))
            .query("hl", "en-US")
            .query("gl", "US")
            .query("ceid", "US:en")
            .window(Some(start), Some(end));
        let got = self.wire.send(&ask).await?;
        let stories = parse_rss(&got.body, &got.content_type)?;
        if stories.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no headline on {words:?}")));
        }
        Ok(Fetched { value: stories, sources: vec![got.source] })
    }
}

/// Reads RSS 2.0; a title ends with its source behind a dash.
///
/// # Errors
/// [`Problem::Malformed`] when it is no feed.
pub fn parse_rss(answer: &[u8], content_type: &str) -> Result<Vec<Story>, VendorError> {
    Ok(items(ME, answer, content_type, "item")?
        .into_iter()
        .map(|item| {
            let get = |name: &str| item.get(name).map(|t| body::clean(t)).unwrap_or_default();
            let (title, source) = (get("title"), get("source"));
            let ending = format!(" - {source}");
            Story {
                date: item.get("pubDate").and_then(|t| body::day_in(t)),
                title: if source.is_empty() {
                    title
                } else {
                    title.trim_end_matches(ending.as_str()).to_owned()
                },
                source,
                text: String::new(),
            }
        })
        .filter(|s| !s.title.is_empty())
        .collect())
}

/// The elements of one name in a feed, each as the text of its children by name; the first child of a name counts.
///
/// # Errors
/// [`Problem::Malformed`] for a web page, for XML that is cut or crooked, for a document with nothing in it.
pub(super) fn items(
    vendor: Vendor,
    answer: &[u8],
    content_type: &str,
    element: &str,
) -> Result<Vec<BTreeMap<String, String>>, VendorError> {
    if body::is_html(answer) {
        return Err(body::malformed(vendor, "a web page stands where a feed should"));
    }
    let text = body::text(vendor, answer, content_type)?;
    let bad = |what: String| body::malformed(vendor, format!("the feed is no XML: {what}"));
    let mut reader = Reader::from_str(&text);
    let mut path: Vec<String> = Vec::new();
    let (mut all, mut current, mut seen): (Vec<_>, Option<BTreeMap<String, String>>, bool) =
        (Vec::new(), None, false);
    let mut value = String::new();
    loop {
        match reader.read_event().map_err(|e| bad(e.to_string()))? {
            Event::Start(start) => {
                seen = true;
                let name = start.local_name().as_ref().to_owned();
                if name == element && current.is_none() {
                    current = Some(BTreeMap::new());
                }
                path.push(name);
                // A feed is flat; deep nesting is an attack on whoever walks it.
                if path.len() > 64 {
                    return Err(bad("nested deeper than 64 elements".into()));
                }
                value.clear();
            }
            Event::Text(part) => {
                value.push_str(&part);
            }
            Event::CData(part) => value.push_str(&part),
            Event::GeneralRef(part) => {
                value.push_str(&body::plain_entity(&part));
            }
            Event::End(_) => {
                let Some(name) = path.pop() else { return Err(bad("an end without its start".into())) };
                if name == element
                    && !path.iter().any(|p| p == element)
                    && let Some(item) = current.take()
                {
                    all.push(item);
                    if all.len() == MAX_ITEMS {
                        return Ok(all);
                    }
                } else if let Some(item) = &mut current {
                    item.entry(name).or_insert_with(|| std::mem::take(&mut value));
                }
                value.clear();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if !seen || !path.is_empty() {
        return Err(bad("it ends too early".into()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headlines_lose_their_source_and_keep_their_day() {
        let rss = br#"<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>q</title>
<item><title>ACME beats &amp; raises - The Wire</title><link>x</link><guid>1</guid><pubDate>Tue, 29 Jul 2025 07:00:00 GMT</pubDate>
<description><![CDATA[<a href="x">y</a>]]></description><source url="https://w">The Wire</source></item>
<item><title>undated</title></item></channel></rss>"#;
        let stories = parse_rss(rss, "application/rss+xml").unwrap();
        assert_eq!(stories[0].title, "ACME beats & raises");
        assert_eq!(
            (stories[0].source.as_str(), stories[0].date),
            ("The Wire", Some(jiff::civil::date(2025, 7, 29)))
        );
        assert_eq!(stories[1].date, None);
    }

    #[test]
    fn hostile_feeds_are_refused() {
        let deep = "<a>".repeat(100_000);
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss><item><title>&b;</title></item></rss>"#;
        assert!(parse_rss(deep.as_bytes(), "").is_err());
        assert_eq!(parse_rss(bomb.as_bytes(), "").unwrap()[0].title, "&b;");
        for bad in [&b""[..], b"<rss><item>", b"</rss>", b"<html><body>login</body></html>", b"\xff\xfe"] {
            assert!(parse_rss(bad, "").is_err(), "{bad:?}");
        }
    }
}
