//! Reddit: posts of a few forums by search, as JSON with counts if allowed, else as the feed without counts.
//!
//! Without a login the JSON search is often refused (403), and the feed is not. A feed has no counts, and none are
//! invented. With an application's id and secret, the OAuth host is asked instead.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{Span, Timestamp, civil::Date};
use serde_json::Value;
use tokio::sync::Mutex;

use super::{Account, Ask, Fetched, Key, Problem, Story, Vendor, VendorError, Wire, body, google_news};

const ME: Vendor = Vendor::Reddit;

/// The forums that are searched.
pub const FORUMS: [&str; 3] = ["wallstreetbets", "stocks", "investing"];

/// The client.
#[derive(Debug)]
pub struct Reddit {
    wire: Arc<Wire>,
    base: String,
    oauth: String,
    id: Key,
    secret: Key,
    token: Mutex<Option<(Key, Timestamp)>>,
}

/// A post; counts only where the vendor gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// When it was written.
    pub date: Option<Date>,
    /// Its title.
    pub title: String,
    /// Its text.
    pub text: String,
    /// Votes and comments.
    pub counts: Option<(i64, i64)>,
}

impl Reddit {
    /// Makes a client; `account.key` and `account.secret` are an application's id and secret, both optional.
    pub fn new(wire: Arc<Wire>, account: &Account) -> Self {
        let base = account.base(ME);
        let oauth = if account.base_url.is_empty() {
            "https://oauth.reddit.com".into()
        } else {
            format!("{base}/oauth")
        };
        Self {
            wire,
            base,
            oauth,
            id: account.key.clone(),
            secret: account.secret.clone(),
            token: Mutex::new(None),
        }
    }

    /// Posts of the forums that match words, of the last week before now, most voted first within a day.
    ///
    /// # Errors
    /// The last forum's error when no forum gave anything; [`Problem::NoData`] when there is no post.
    pub async fn search(&self, words: &str) -> Result<Fetched<Vec<Story>>, VendorError> {
        let mut posts: Vec<(&str, Post)> = Vec::new();
        let mut sources = Vec::new();
        let mut failure = None;
        for forum in FORUMS {
            match self.forum(forum, words).await {
                Ok(got) => {
                    posts.extend(got.value.into_iter().map(|p| (forum, p)));
                    sources.extend(got.sources);
                }
                Err(error) => failure = Some(error),
            }
        }
        if sources.is_empty() {
            return Err(failure.unwrap_or_else(|| VendorError::new(ME, Problem::NoData, "no forum")));
        }
        if posts.is_empty() {
            return Err(VendorError::new(ME, Problem::NoData, format!("no post on {words:?}")));
        }
        posts.sort_by_key(|(_, p)| (p.date, std::cmp::Reverse(p.counts.map_or(0, |(votes, _)| votes))));
        let stories = posts
            .into_iter()
            .map(|(forum, post)| {
                let counts =
                    post.counts.map(|(v, c)| format!(" ({v} votes, {c} comments)")).unwrap_or_default();
                let feed = if post.counts.is_none() { ", feed without counts" } else { "" };
                Story {
                    date: post.date,
                    source: format!("r/{forum}{feed}"),
                    title: format!("{}{counts}", post.title),
                    text: post.text,
                }
            })
            .collect();
        Ok(Fetched { value: stories, sources })
    }

    async fn forum(&self, forum: &str, words: &str) -> Result<Fetched<Vec<Post>>, VendorError> {
        let search = |ask: Ask| {
            ask.query("q", words)
                .query("restrict_sr", "on")
                .query("sort", "new")
                .query("t", "week")
                .query("limit", "25")
                .fresh_for(Duration::from_secs(180))
        };
        let refused = if self.id.is_empty() {
            let ask = search(Ask::get(ME, format!("{}/r/{forum}/search.json", self.base)));
            match self.wire.send(&ask).await.and_then(|got| Ok((parse_posts(&got.body)?, got.source))) {
                Ok((posts, source)) => return Ok(Fetched { value: posts, sources: vec![source] }),
                Err(error) => error,
            }
        } else {
            let token = self.token().await?;
            let ask = search(Ask::get(ME, format!("{}/r/{forum}/search.json", self.oauth)));
            let got = self.wire.send(&ask.key_header("authorization", "Bearer ", &token)).await?;
            return Ok(Fetched { value: parse_posts(&got.body)?, sources: vec![got.source] });
        };
        // A vendor that asks for patience is left in peace on its other address too.
        if refused.problem == Problem::RateLimited {
            return Err(refused);
        }
        let ask = search(Ask::get(ME, format!("{}/r/{forum}/search.rss", self.base)));
        let got = self.wire.send(&ask).await?;
        Ok(Fetched { value: parse_feed(&got.body, &got.content_type)?, sources: vec![got.source] })
    }

    async fn token(&self) -> Result<Key, VendorError> {
        let mut token = self.token.lock().await;
        if let Some((known, until)) = token.as_ref()
            && *until > Timestamp::now()
        {
            return Ok(known.clone());
        }
        let pair = STANDARD.encode(format!("{}:{}", self.id.expose(), self.secret.expose()));
        let url = format!("{}/api/v1/access_token", self.base);
        let form = b"grant_type=client_credentials".to_vec();
        let ask = Ask::post(ME, url, "application/x-www-form-urlencoded", form)
            .key_header("authorization", "Basic ", &Key::new(&pair))
            .fresh_for(Duration::ZERO);
        let got = self.wire.send(&ask).await?;
        let value = body::json(ME, &got.body)?;
        let text = value.get("access_token").and_then(Value::as_str).unwrap_or_default();
        if text.is_empty() {
            return Err(VendorError::new(ME, Problem::Unauthorised, "no access token was given"));
        }
        let lasts = value.get("expires_in").and_then(Value::as_i64).unwrap_or(600).clamp(60, 86_400) - 30;
        let until = Timestamp::now().checked_add(Span::new().seconds(lasts)).unwrap_or(Timestamp::MAX);
        *token = Some((Key::new(text), until));
        Ok(Key::new(text))
    }
}

/// Reads a JSON search answer.
///
/// # Errors
/// [`Problem::Malformed`] when there is no list of posts.
pub fn parse_posts(answer: &[u8]) -> Result<Vec<Post>, VendorError> {
    let value = body::json(ME, answer)?;
    let list = value.pointer("/data/children").and_then(Value::as_array);
    let list = list.ok_or_else(|| body::malformed(ME, "the answer holds no posts"))?;
    Ok(list
        .iter()
        .filter_map(|child| child.get("data"))
        .map(|p| Post {
            date: p.get("created_utc").and_then(Value::as_f64).and_then(|t| body::day_of(t as i64, 0)),
            title: body::field(p, "title"),
            text: body::field(p, "selftext"),
            counts: p.get("score").and_then(Value::as_i64).zip(p.get("num_comments").and_then(Value::as_i64)),
        })
        .filter(|p| !p.title.is_empty())
        .collect())
}

/// Reads an Atom feed; the text of a post lies between two comment marks in its HTML.
///
/// # Errors
/// [`Problem::Malformed`] when it is no feed.
pub fn parse_feed(answer: &[u8], content_type: &str) -> Result<Vec<Post>, VendorError> {
    let items = google_news::items(ME, answer, content_type, "entry")?;
    Ok(items
        .into_iter()
        .map(|item| {
            let html = item.get("content").cloned().unwrap_or_default();
            let inner = match (html.find("<!-- SC_OFF -->"), html.find("<!-- SC_ON -->")) {
                (Some(a), Some(b)) if a + 15 <= b => &html[a + 15..b],
                _ => "",
            };
            let when = item.get("published").or_else(|| item.get("updated"));
            Post {
                date: when.and_then(|t| body::day_in(t)),
                title: item.get("title").map(|t| body::clean(t)).unwrap_or_default(),
                text: body::plain(inner),
                counts: None,
            }
        })
        .filter(|p| !p.title.is_empty())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_gives_texts_between_its_marks() {
        let feed = br#"<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>search</title>
<entry><title>ACME &amp; co</title><published>2025-07-29T10:00:00+00:00</published>
<content type="html">&lt;!-- SC_OFF --&gt;&lt;div&gt;&lt;p&gt;It&amp;#39;s up 5%&lt;/p&gt;&lt;/div&gt;&lt;!-- SC_ON --&gt; link</content></entry>
<entry><title>no marks</title><updated>2025-07-28T01:00:00Z</updated><content>x</content></entry></feed>"#;
        let posts = parse_feed(feed, "application/atom+xml").unwrap();
        assert_eq!(posts.len(), 2);
        assert_eq!((posts[0].title.as_str(), posts[0].text.as_str()), ("ACME & co", "It's up 5%"));
        assert_eq!(posts[0].date, Some(jiff::civil::date(2025, 7, 29)));
        assert_eq!((posts[1].text.as_str(), posts[1].counts), ("", None));
        assert!(parse_feed(b"<feed><entry><title>x", "").is_err());
        assert!(parse_feed(b"", "").is_err());
    }
}
