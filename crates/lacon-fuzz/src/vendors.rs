//! Bodies of vendors: whatever comes, a client says what is wrong with it or gives sound data.

use lacon_market::{
    Item, bars,
    dataset::StatementKind,
    folder,
    vendor::{
        Story, alpha_vantage, body, finnhub, fred, google_news, polymarket, reddit, serper, simfin,
        stocktwits, web_search, yahoo,
    },
};

/// No body panics a parser; what is read is finite, bounded, and holds no character that a person cannot see.
pub fn vendors(data: &[u8]) {
    let [which, body @ ..] = data else { return };
    let today = jiff::civil::date(2025, 7, 30);
    let now = jiff::Timestamp::UNIX_EPOCH;
    match which % 24 {
        0 => {
            if let Ok(chart) = yahoo::parse_chart(body) {
                sound_bars(&chart.bars);
                assert!(chart.splits.iter().all(|(_, r)| *r > 0.0 || r.is_infinite()));
            }
        }
        1 => drop(yahoo::parse_summary(body)),
        2 => drop(yahoo::parse_timeseries(body).map(|all| all.len())),
        3 => drop(yahoo::parse_search(body).map(|(_, stories)| sound(stories))),
        4 => drop(yahoo::parse_news(body).map(sound)),
        5 => {
            if let Ok(bars) = alpha_vantage::parse_daily(body, "text/csv", today) {
                sound_bars(&bars);
            }
        }
        6 => drop(alpha_vantage::parse_overview(body)),
        7 => drop(alpha_vantage::parse_statements(body, StatementKind::Income)),
        8 => drop(alpha_vantage::parse_news(body, Some("AAPL")).map(sound)),
        9 => drop(alpha_vantage::parse_insiders(body)),
        10 => drop(alpha_vantage::parse_indicator(body, "")),
        11 => drop(finnhub::parse_news(body).map(sound)),
        12 => drop(finnhub::parse_sentiment(body)),
        13 => drop(finnhub::parse_transactions(body)),
        14 => drop(finnhub::parse_metrics(body)),
        15 => {
            drop(fred::parse_series(body));
            if let Ok(values) = fred::parse_observations(body) {
                assert!(values.iter().all(|(_, v)| v.is_finite()) && values.is_sorted_by_key(|(d, _)| *d));
            }
        }
        16 => drop(reddit::parse_posts(body)),
        17 => drop(reddit::parse_feed(body, "application/atom+xml; charset=iso-8859-1")),
        18 => drop(google_news::parse_rss(body, "").map(sound)),
        19 => drop(stocktwits::parse_messages(body)),
        20 => drop(serper::parse_news(body, now).map(sound)),
        21 => {
            if let Ok(markets) = polymarket::parse_markets(body, today) {
                assert!(markets.iter().all(|m| m.outcomes.iter().all(|(_, p)| (0.0..=1.0).contains(p))));
            }
        }
        22 => {
            drop(simfin::parse_statements(body, "", "AAPL", StatementKind::Balance, "annual"));
            if let Ok(text) = body::text(lacon_market::vendor::Vendor::SimFin, body, "") {
                drop(folder::parse_statements(
                    "fuzz",
                    &text,
                    "AAPL",
                    StatementKind::Income,
                    "annual",
                    &mut Vec::new(),
                ));
                drop(bars::parse_csv("fuzz", &text));
                let plain = body::plain(&text);
                assert!(plain.chars().count() <= body::MAX_TEXT + 2);
            }
        }
        _ => drop(web_search::parse_answer(body)),
    }
}

fn sound(stories: Vec<Story>) {
    for story in stories {
        for text in [&story.title, &story.text, &story.source] {
            assert!(!text.contains('\0') && text.chars().count() <= 2 * body::MAX_TEXT + 100, "{text:?}");
        }
        let item: Option<Item> = story.clone().dated(None);
        assert_eq!(item.is_some(), story.date.is_some(), "an undated story passes nowhere in a back-test");
    }
}

fn sound_bars(bars: &[lacon_market::Bar]) {
    assert!(bars.windows(2).all(|w| w[0].date <= w[1].date));
    for b in bars {
        assert!(b.volume.is_finite() || b.volume.is_infinite());
        assert!(!b.close.is_nan());
    }
}
