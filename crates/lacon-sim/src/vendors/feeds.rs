//! The shapes of Reddit, StockTwits, Google News, Serper, Polymarket and the web search.

use std::fmt::Write as _;

use jiff::{Span, civil::Date};
use serde_json::{Value, json};

use super::{KeyIs, Question, Reply, key, last_days, midnight};
use crate::world::{Draws, News, Status, World};

/// A token that the OAuth host accepts.
const TOKEN: &str = "synthetic-token";

/// The symbol that words are about: the first word in capitals, in or out of quotes.
fn symbol_in(words: &str) -> String {
    let is_symbol = |w: &&str| {
        !w.is_empty()
            && *w != "OR"
            && w.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || ".-^=".contains(c))
            && w.chars().any(|c| c.is_ascii_uppercase())
    };
    words.split([' ', '"', '(', ')']).find(is_symbol).unwrap_or_default().to_owned()
}

fn news_on(world: &World, words: &str, start: Date, end: Date) -> Vec<News> {
    let symbol = symbol_in(words);
    if symbol.is_empty() {
        world.market_news(start, end)
    } else {
        world.news(&world.company(&symbol), start, end)
    }
}

/// What the crowd says of a day.
fn chatter(world: &World, words: &str, place: &str, days: i64) -> Vec<(i64, Date, String, String, i64)> {
    let (start, end) = last_days(world, days);
    news_on(world, words, start, end)
        .into_iter()
        .map(|n| {
            let mut draws = Draws::new(world.seed(), &format!("{place}/{}", n.title));
            let mood = draws.pick(&[
                "Holding through this",
                "Not what I hoped for",
                "What do you make of it",
                "Adding on weakness",
            ]);
            let votes = (draws.draw() * 900.0) as i64;
            let at = midnight(n.date) + (draws.draw() * 80_000.0) as i64;
            (at, n.date, format!("{}: {mood}", n.title), format!("{} {mood}.", n.text), votes)
        })
        .collect()
}

pub(super) fn reddit(world: &World, ask: &Question) -> Reply {
    let path = ask.path.as_str();
    if path == "/api/v1/access_token" {
        return match key(ask.header("authorization")) {
            KeyIs::Good => {
                Reply::json(200, &json!({"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600}))
            }
            _ => Reply::json(401, &json!({"message": "Unauthorized", "error": 401})),
        };
    }
    let oauth = path.strip_prefix("/oauth");
    if oauth.is_some() && ask.header("authorization") != format!("Bearer {TOKEN}") {
        return Reply::json(401, &json!({"message": "Unauthorized", "error": 401}));
    }
    let rest = oauth.unwrap_or(path);
    let Some((forum, file)) = rest.strip_prefix("/r/").and_then(|r| r.split_once('/')) else {
        return Reply::not_found(path);
    };
    let posts = chatter(world, ask.get("q"), forum, 6);
    match file {
        // Without login the JSON search is refused, as the real one often is; words with "open" are let in.
        "search.json" if oauth.is_none() && forum == "investing" => {
            Reply { status: 403, ..Reply::text("text/html", "<html><body>Blocked</body></html>".into()) }
        }
        "search.json" => {
            let children: Vec<Value> = posts
                .iter()
                .rev()
                .map(|(at, _, title, text, votes)| {
                    json!({"kind": "t3", "data": {"title": title, "selftext": text, "score": votes, "num_comments": votes / 7,
                        "created_utc": *at as f64, "permalink": "/r/x/comments/1/", "subreddit": forum}})
                })
                .collect();
            Reply::json(200, &json!({"kind": "Listing", "data": {"children": children, "after": null}}))
        }
        "search.rss" => {
            let mut feed = String::from(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><feed xmlns=\"http://www.w3.org/2005/Atom\"><title>search results</title>",
            );
            for (_, day, title, text, _) in posts.iter().rev() {
                let html = format!(
                    "<!-- SC_OFF --><div class=\"md\"><p>{text}</p></div><!-- SC_ON --> submitted by someone"
                );
                let _ = write!(
                    feed,
                    "<entry><author><name>/u/someone</name></author><content type=\"html\">{}</content><id>t3_1</id>\
                     <updated>{day}T12:00:00+00:00</updated><published>{day}T12:00:00+00:00</published><title>{}</title></entry>",
                    escape(&html),
                    escape(title)
                );
            }
            feed.push_str("</feed>");
            Reply::text("application/atom+xml; charset=UTF-8", feed)
        }
        other => Reply::not_found(other),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn stocktwits(world: &World, ask: &Question) -> Reply {
    let symbol =
        ask.path.strip_prefix("/streams/symbol/").and_then(|p| p.strip_suffix(".json")).unwrap_or_default();
    let company = world.company(symbol);
    if matches!(company.status, Status::Unknown | Status::Delisted) {
        return Reply::json(
            404,
            &json!({"response": {"status": 404}, "errors": [{"message": "Symbol not found"}]}),
        );
    }
    let messages: Vec<Value> = chatter(world, symbol, "stocktwits", 6)
        .iter()
        .rev()
        .enumerate()
        .map(|(i, (at, _, title, _, votes))| {
            let mood = match votes % 3 {
                0 => json!({"basic": "Bullish"}),
                1 => json!({"basic": "Bearish"}),
                _ => Value::Null,
            };
            let when = jiff::Timestamp::from_second(*at).map(|t| t.to_string()).unwrap_or_default();
            json!({"id": i + 1, "body": format!("${symbol} {title}"), "created_at": when, "user": {"username": format!("user{i}")},
                "entities": {"sentiment": mood}})
        })
        .collect();
    Reply::json(
        200,
        &json!({"response": {"status": 200}, "symbol": {"symbol": symbol}, "messages": messages}),
    )
}

/// Words without `after:` and `before:`, and the days that those name; both are exclusive.
fn bounds(world: &World, words: &str) -> (String, Date, Date) {
    let (mut start, mut end) = last_days(world, 7);
    let mut rest = Vec::new();
    for word in words.split(' ') {
        if let Some(day) = word.strip_prefix("after:").and_then(|d| d.parse::<Date>().ok()) {
            start = day.tomorrow().unwrap_or(day);
        } else if let Some(day) = word.strip_prefix("before:").and_then(|d| d.parse::<Date>().ok()) {
            end = day.yesterday().unwrap_or(day);
        } else {
            rest.push(word);
        }
    }
    (rest.join(" "), start, end)
}

pub(super) fn google_news(world: &World, ask: &Question) -> Reply {
    if ask.path != "/rss/search" {
        return Reply::not_found(&ask.path);
    }
    let (words, start, end) = bounds(world, ask.get("q"));
    // The real search now and then gives an item from after the bound, and one without a day.
    let late = end.checked_add(Span::new().days(2)).unwrap_or(end);
    let mut rss = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><rss version=\"2.0\"><channel><title>search</title><language>en-US</language>",
    );
    for n in news_on(world, &words, start, late).iter().rev() {
        let when = n.at.strftime("%a, %d %b %Y %H:%M:%S GMT");
        let _ = write!(
            rss,
            "<item><title>{} - {}</title><link>https://example.com/</link><guid isPermaLink=\"false\">1</guid><pubDate>{when}</pubDate>\
             <description>&lt;a href=\"https://example.com/\"&gt;{}&lt;/a&gt;</description><source url=\"https://example.com\">{}</source></item>",
            escape(&n.title),
            n.source,
            escape(&escape(&n.title)),
            n.source
        );
    }
    rss.push_str("<item><title>An item without a day - Nobody</title><link>https://example.com/</link><source url=\"\">Nobody</source></item></channel></rss>");
    Reply::text("application/xml; charset=utf-8", rss)
}

pub(super) fn serper(world: &World, ask: &Question) -> Reply {
    match key(ask.header("x-api-key")) {
        KeyIs::Good => {}
        _ => return Reply::json(403, &json!({"message": "Unauthorized.", "statusCode": 403})),
    }
    if !ask.post || ask.path != "/news" {
        return Reply::not_found(&ask.path);
    }
    let body = ask.json();
    let words = body.get("q").and_then(Value::as_str).unwrap_or_default();
    let (start, end) = last_days(world, 7);
    let news: Vec<Value> = news_on(world, words, start, end)
        .iter()
        .rev()
        .take(10)
        .enumerate()
        .map(|(i, n)| {
            // The first in words, the rest as days.
            let date = if i == 0 { "3 hours ago".to_owned() } else { n.date.strftime("%b %d, %Y").to_string() };
            json!({"title": n.title, "link": "https://example.com/", "snippet": n.text, "date": date, "source": n.source, "position": i + 1})
        })
        .collect();
    Reply::json(200, &json!({"searchParameters": {"q": words, "type": "news"}, "news": news, "credits": 1}))
}

pub(super) fn polymarket(world: &World, ask: &Question) -> Reply {
    if ask.path != "/public-search" {
        return Reply::not_found(&ask.path);
    }
    let words = ask.get("q");
    if words.starts_with("ZZ") {
        return Reply::json(200, &json!({"events": []}));
    }
    let market = |i: i64, question: String, closed: bool, days: i64, change: Option<f64>| {
        let yes = Draws::new(world.seed(), &question).draw();
        let ends = world.today().checked_add(Span::new().days(days)).unwrap_or(world.today());
        let mut market = json!({"id": i.to_string(), "question": question, "outcomes": "[\"Yes\", \"No\"]",
            "outcomePrices": format!("[\"{:.3}\", \"{:.3}\"]", yes, 1.0 - yes), "volumeNum": 1000.5 * i as f64,
            "endDate": format!("{ends}T12:00:00Z"), "closed": closed, "active": !closed});
        if let Some(change) = change {
            market["oneWeekPriceChange"] = json!(change);
        }
        market
    };
    Reply::json(
        200,
        &json!({"events": [
            {"title": words, "markets": [
                market(3, format!("Will {words} end the year higher?"), false, 120, Some(0.042)),
                market(9, format!("Will {words} fall by a tenth?"), false, 30, None),
            ]},
            {"title": "past", "markets": [
                market(50, format!("Was {words} up last month?"), true, -20, None),
                market(40, format!("Did {words} pass?"), false, -5, None),
            ]},
        ]}),
    )
}

pub(super) fn web_search(world: &World, ask: &Question) -> Reply {
    match key(ask.header("authorization")) {
        KeyIs::Good => {}
        _ => {
            return Reply::json(
                401,
                &json!({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}),
            );
        }
    }
    if !ask.post || ask.path != "/responses" {
        return Reply::not_found(&ask.path);
    }
    let body = ask.json();
    let question = body.pointer("/input/0/content/0/text").and_then(Value::as_str).unwrap_or_default();
    let (start, end) = last_days(world, 7);
    let listed = question
        .split_once("listed as ")
        .or_else(|| question.split_once("the ticker "))
        .map_or("", |(_, r)| r);
    let lines: Vec<String> = news_on(world, &symbol_in(listed), start, end)
        .iter()
        .map(|n| format!("- {}: {} ({})", n.date, n.title, n.source))
        .collect();
    let text = format!("What the search found:\n{}", lines.join("\n"));
    let tokens = (question.len() / 4 + 12, text.len() / 4 + 8);
    Reply::json(
        200,
        &json!({"id": "resp_synthetic", "object": "response", "status": "completed", "model": body.get("model"),
            "output": [
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "web_search_call", "id": "ws_1", "status": "completed"},
                {"type": "message", "id": "msg_1", "role": "assistant", "content": [
                    {"type": "output_text", "text": text, "annotations": [{"type": "url_citation", "url": "https://example.com/", "title": "x"}]},
                ]},
            ],
            "usage": {"input_tokens": tokens.0, "output_tokens": tokens.1, "total_tokens": tokens.0 + tokens.1},
        }),
    )
}
