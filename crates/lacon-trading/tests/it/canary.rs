//! No look-ahead, seen from the model: of twelve days of three tickers no prompt holds anything of the day after.

use std::sync::Arc;

use jiff::{ToSpan, civil::Date};
use lacon_market::{
    Bar, Dataset, Item, Semantics,
    dataset::{Entry, Statement, StatementKind},
};
use lacon_trading::source::DatasetSource;

use crate::support::{Scripted, prompt, run, says, settings};

/// A name that only its own day knows.
fn canary(day: Date) -> String {
    format!("CANARY{}", day.to_string().replace('-', ""))
}

/// A volume that no other day has, and no sum of a few is.
fn volume(n: usize) -> usize {
    1_000_003 + n * 7_919 * 7_919 % 900_007
}

/// A year of weekdays; each day's row, news, posts, filings and statements tell its own name.
fn dataset(ticker: &str) -> (Dataset, Vec<Date>) {
    let mut day = jiff::civil::date(2024, 3, 1);
    let mut days = Vec::new();
    while days.len() < 260 {
        if !matches!(day.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday) {
            days.push(day);
        }
        day = day.tomorrow().unwrap();
    }
    let bars = days.iter().enumerate().map(|(n, day)| {
        let price = 50.0 + (n as f64 / 9.0).sin() * 5.0;
        let volume = volume(n) as f64;
        Bar { date: *day, open: price, high: price + 1.0, low: price - 1.0, close: price + 0.25, volume }
    });
    let item = |day: &Date| Item {
        date: *day,
        source: "wire".into(),
        title: format!("{ticker} {}", canary(*day)),
        text: format!("Told on that day alone: {}.", canary(*day)),
    };
    let entry = |day: &Date| {
        let fields = serde_json::json!({"name": canary(*day), "change": 10, "mspr": 1.5, "share": 5, "transactionPrice": 9.5});
        Entry { date: *day, fields: fields.as_object().unwrap().clone() }
    };
    let items: Vec<Item> = days.iter().map(item).collect();
    let entries: Vec<Entry> = days.iter().map(entry).collect();
    let statements = days.iter().step_by(5).map(|day| Statement {
        kind: StatementKind::Income,
        frequency: "quarterly".into(),
        report_date: day.checked_sub(40.days()).unwrap(),
        publish_date: *day,
        rows: vec![("Revenue".into(), canary(*day))],
    });
    let data = Dataset {
        ticker: ticker.into(),
        name: Some(format!("{ticker} Incorporated")),
        origin: "a made-up year".into(),
        bars: bars.collect(),
        company_news: items.clone(),
        global_news: items.clone(),
        social: items.clone(),
        global_social: items.clone(),
        messages: items.clone(),
        fundamentals: items,
        insider_sentiment: entries.clone(),
        insider_transactions: entries,
        statements: statements.collect(),
        ..Dataset::default()
    };
    (data, days)
}

#[tokio::test(start_paused = true)]
async fn no_prompt_holds_a_row_of_the_day_after() {
    let (mut seen, mut prompts) = (0, 0);
    for ticker in ["AAA", "BBB", "CCC"] {
        let (data, days) = dataset(ticker);
        let data = Arc::new(data);
        // Fridays and Mondays too: the day after is then days away, or the day before a weekend.
        for (n, day) in days.iter().skip(60).step_by(16).take(12).enumerate() {
            let client = Scripted::new(|role, _, _| Ok(says(role, "nothing of note.")));
            let profile = ["lacon", "seed", "upstream"][n % 3];
            let mut settings = settings(&format!("canary-{ticker}-{day}"), profile, &[], client.clone());
            (settings.ticker, settings.company) = (ticker.into(), format!("{ticker} Incorporated"));
            settings.date = *day;
            settings.tools = Arc::new(DatasetSource::new(Arc::clone(&data), *day, Semantics::Standard, None));
            settings.cast = crate::support::cast(profile, |_| {});
            let decided = run(settings).await;
            assert!(decided.failure.is_none(), "{ticker} {day}: {:?}", decided.failure);
            let at = days.iter().position(|d| d == day).unwrap();
            let after: Vec<String> =
                (at + 1..days.len()).flat_map(|k| [canary(days[k]), days[k].to_string()]).collect();
            let volumes: Vec<String> = (at + 1..days.len()).map(|k| volume(k).to_string()).collect();
            for request in client.asked.lock().unwrap().iter() {
                let text = prompt(request);
                let role = &request.tags.role;
                let found = after.iter().find(|word| text.contains(word.as_str()));
                assert!(found.is_none(), "{ticker} {day}: {role} reads {found:?}");
                let found =
                    text.split(|c: char| !c.is_ascii_digit()).find(|w| volumes.iter().any(|v| v == w));
                assert!(found.is_none(), "{ticker} {day}: {role} reads a volume of {found:?}");
                seen += usize::from(text.contains(&canary(*day)));
                prompts += 1;
            }
        }
    }
    // The canaries of the day itself are read: what is looked for would be found.
    assert!(prompts > 36 * 10 && seen > 36, "{seen} of {prompts} prompts hold their own day's");
}
