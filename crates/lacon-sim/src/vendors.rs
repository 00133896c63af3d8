//! The vendors of the synthetic world: each answers in the format of the real one, from the same companies.
//!
//! A vendor is a function from a question to a reply. The server adds latency, faults and HTTP; [`InProcess`] calls it
//! without a socket. The first part of a path is the vendor's name, the rest is the vendor's own path.

mod feeds;
mod figures;
mod yahoo;

use std::sync::Arc;

use jiff::civil::Date;
use lacon_market::vendor::{Fetch, FetchError, HttpAnswer, HttpRequest, Method, Vendor, fetch::BoxFuture};
use serde_json::{Value, json};

use crate::world::World;

/// The key that every vendor refuses.
pub const BAD_KEY: &str = "refused-key";

/// A question to a vendor.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Whether it is a POST.
    pub post: bool,
    /// The path behind the vendor's name.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Question {
    /// A value of the query; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.query.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }

    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }

    fn day(&self, name: &str) -> Option<Date> {
        self.get(name).get(..10)?.parse().ok()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What a vendor replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: value.to_string().into_bytes(),
        }
    }

    fn text(content_type: &'static str, text: String) -> Self {
        Self { status: 200, content_type, headers: Vec::new(), body: text.into_bytes() }
    }

    fn not_found(what: &str) -> Self {
        Self::json(404, &json!({"error": format!("not found: {what}")}))
    }
}

/// What a key is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyIs {
    Good,
    Missing,
    Bad,
}

fn key(value: &str) -> KeyIs {
    match value.rsplit(' ').next().unwrap_or_default() {
        "" => KeyIs::Missing,
        BAD_KEY => KeyIs::Bad,
        _ => KeyIs::Good,
    }
}

/// Answers a question to a vendor.
pub fn reply(world: &World, vendor: Vendor, ask: &Question) -> Reply {
    match vendor {
        Vendor::Yahoo => yahoo::reply(world, ask),
        Vendor::AlphaVantage => figures::alpha_vantage(world, ask),
        Vendor::Finnhub => figures::finnhub(world, ask),
        Vendor::Fred => figures::fred(world, ask),
        Vendor::SimFin => figures::simfin(world, ask),
        Vendor::Reddit => feeds::reddit(world, ask),
        Vendor::StockTwits => feeds::stocktwits(world, ask),
        Vendor::GoogleNews => feeds::google_news(world, ask),
        Vendor::Serper => feeds::serper(world, ask),
        Vendor::Polymarket => feeds::polymarket(world, ask),
        Vendor::WebSearch => feeds::web_search(world, ask),
    }
}

/// A vendor that asks for consent where it would set a cookie; nothing for all else.
pub fn consent_first(vendor: Vendor, ask: &Question) -> Option<Reply> {
    (vendor == Vendor::Yahoo && ask.path == "/cookie").then(yahoo::asks_for_consent)
}

/// The error that a vendor hides in a 200.
pub fn error_inside(vendor: Vendor) -> Reply {
    let value = match vendor {
        Vendor::Yahoo => {
            json!({"chart": {"result": null, "error": {"code": "Internal Server Error", "description": "try again later"}}})
        }
        Vendor::AlphaVantage => {
            json!({"Information": "Our standard API rate limit is 25 requests per day. Please subscribe to a premium plan."})
        }
        Vendor::Finnhub => json!({"error": "API limit reached. Please try again later."}),
        Vendor::Fred => json!({"error_code": 500, "error_message": "Internal error."}),
        Vendor::Reddit => json!({"message": "Too Many Requests", "error": 429}),
        Vendor::StockTwits => {
            json!({"response": {"status": 429}, "errors": [{"message": "Rate limit exceeded"}]})
        }
        Vendor::WebSearch => json!({"error": {"message": "the model is overloaded", "type": "server_error"}}),
        Vendor::Serper => json!({"statusCode": 400, "message": "Not enough credits"}),
        _ => json!({"error": "internal error"}),
    };
    Reply::json(200, &value)
}

/// The vendor of a path and the path behind its name.
pub fn split_path(path: &str) -> Option<(Vendor, &str)> {
    let path = path.strip_prefix('/')?;
    let (name, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    Some((name.parse().ok()?, rest))
}

/// The pairs of a query, decoded.
pub fn read_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Undoes percent-encoding; what is no encoding stays.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = text.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The world as a [`Fetch`]: vendor clients without a socket. Addresses are `http://world/<vendor>/…`.
#[derive(Clone, Debug)]
pub struct InProcess(pub Arc<World>);

impl Fetch for InProcess {
    fn fetch<'a>(&'a self, request: &'a HttpRequest) -> BoxFuture<'a, Result<HttpAnswer, FetchError>> {
        Box::pin(async move {
            let rest = request.url.split_once("://").map_or("", |(_, r)| r);
            let path = rest.find('/').map_or("", |at| &rest[at..]);
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let Some((vendor, path)) = split_path(path) else {
                return Err(FetchError::BadUrl(format!("no vendor stands at {path}")));
            };
            let ask = Question {
                post: request.method == Method::Post,
                path: decode(path),
                query: read_query(query),
                headers: request.headers.clone(),
                body: request.body.clone(),
            };
            let reply = reply(&self.0, vendor, &ask);
            if reply.body.len() > request.max_bytes {
                return Err(FetchError::TooLarge { limit: request.max_bytes });
            }
            let mut headers = vec![("content-type".to_owned(), reply.content_type.to_owned())];
            headers.extend(reply.headers.into_iter().map(|(n, v)| (n.to_owned(), v)));
            Ok(HttpAnswer { status: reply.status, headers, body: reply.body })
        })
    }
}

/// Midnight of a day in seconds since 1970.
fn midnight(day: Date) -> i64 {
    day.to_zoned_datetime(jiff::tz::TimeZone::UTC).map_or(0, |z| z.timestamp().as_second())
}

/// The days of the last week of the world.
fn last_days(world: &World, n: i64) -> (Date, Date) {
    let start = world.today().checked_sub(jiff::Span::new().days(n)).unwrap_or(world.today());
    (start, world.today())
}
