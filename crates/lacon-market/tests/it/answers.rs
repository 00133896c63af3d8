//! Every tool, point in time, no invented data.

use jiff::civil::{Date, date};
use lacon_market::{Answer, Bar, Dataset, Item, Semantics, Symbol, answer, catalog, pack};
use serde_json::{Map, Value, json};

fn ask(data: &Dataset, tool: &str, args: Value, as_of: Date) -> Answer {
    let Value::Object(args) = args else { panic!("arguments are an object") };
    answer(data, tool, &args, as_of, Semantics::Standard).unwrap()
}

fn crcl() -> Dataset {
    pack::load(&Symbol::parse("CRCL").unwrap()).unwrap()
}

fn args_for(tool: &lacon_market::Tool, day: &str) -> Map<String, Value> {
    tool.arguments
        .iter()
        .map(|a| {
            let value = match a.name {
                "indicator" => "rsi",
                "freq" => "quarterly",
                "look_back_days" => "30",
                name if name.ends_with("date") => day,
                _ => "CRCL",
            };
            (a.name.to_owned(), Value::from(value))
        })
        .collect()
}

#[test]
fn every_tool_of_the_catalogue_answers_for_every_pack() {
    for ticker in pack::tickers() {
        let data = pack::load(&Symbol::parse(ticker).unwrap()).unwrap();
        let day = data.date.unwrap();
        for tool in catalog::TOOLS {
            let text = answer(&data, tool.name, &args_for(tool, &day.to_string()), day, Semantics::Standard)
                .unwrap();
            assert!(!text.text().contains("has no source here"), "{}", tool.name);
            assert!(text.text().len() > 10);
        }
    }
}

/// A row dated the day after the run must never be shown, whatever the arguments ask for.
#[test]
fn nothing_after_the_run_date_is_shown() {
    let as_of = date(2025, 7, 28);
    let tomorrow = date(2025, 7, 29);
    let mut data = crcl();
    let canary =
        Item { date: tomorrow, source: "x".into(), title: "CANARY".into(), text: "CANARY 987.65".into() };
    for list in [
        &mut data.company_news,
        &mut data.global_news,
        &mut data.social,
        &mut data.global_social,
        &mut data.fundamentals,
    ] {
        list.push(canary.clone());
    }
    data.bars.retain(|b| b.date <= as_of);
    data.bars.push(Bar {
        date: tomorrow,
        open: 987.65,
        high: 987.65,
        low: 987.65,
        close: 987.65,
        volume: 98765.0,
    });
    let clean = answers(&crcl(), as_of);
    for ((tool, with), (_, without)) in answers(&data, as_of).into_iter().zip(clean) {
        assert!(!with.contains("CANARY") && !with.contains("9876"), "{tool}: {with}");
        assert!(!with.contains("2025-07-29"), "{tool}: {with}");
        assert_eq!(with, without, "{tool}");
    }
}

fn answers(data: &Dataset, as_of: Date) -> Vec<(&'static str, String)> {
    let mut data = data.clone();
    for list in [&mut data.company_news, &mut data.global_news, &mut data.social, &mut data.fundamentals] {
        list.retain(|i| i.date <= as_of || i.title == "CANARY" || i.text.starts_with("CANARY"));
    }
    catalog::TOOLS
        .iter()
        .map(|tool| {
            let args = args_for(tool, "2025-12-31");
            (
                tool.name,
                answer(&data, tool.name, &args, as_of, Semantics::Standard).unwrap().text().to_owned(),
            )
        })
        .collect()
}

/// The original Python system showed invented sentiment, volume and levels to the model as data.
#[test]
fn defect_20_tools_without_data_say_so_and_the_others_compute() {
    let day = date(2025, 7, 30);
    for tool in ["get_stocktwits_sentiment", "get_twitter_mentions"] {
        let Answer::NoData(text) = ask(&crcl(), tool, json!({"ticker": "CRCL"}), day) else {
            panic!("{tool}")
        };
        assert!(text.starts_with("no data:"), "{text}");
    }
    let Answer::Text(text) = ask(&crcl(), "get_volume_analysis", json!({"ticker": "CRCL"}), day) else {
        panic!()
    };
    assert!(text.contains("9534800 shares"), "{text}");
    let Answer::Text(text) = ask(&crcl(), "get_support_resistance", json!({"ticker": "CRCL"}), day) else {
        panic!()
    };
    assert!(text.contains("close of 181.64"), "{text}");
}

#[test]
fn the_listing_day_has_no_prices_and_says_why() {
    let fig = pack::load(&Symbol::parse("FIG").unwrap()).unwrap();
    let args = json!({"symbol": "FIG", "start_date": "2025-05-01", "end_date": "2025-07-31"});
    let answer = ask(&fig, "get_YFin_data_online", args, date(2025, 7, 31));
    assert_eq!(
        answer,
        Answer::NoData(
            "no data: prices of FIG from 2025-05-01 to 2025-07-31: no trading day; first day of trading 2025-07-31".into()
        )
    );
}

#[test]
fn bad_arguments_are_named() {
    for (tool, args, expected) in [
        (
            "get_YFin_data_onlin",
            json!({}),
            "unknown tool \"get_YFin_data_onlin\"\nhint: did you mean get_YFin_data_online, get_YFin_data?",
        ),
        ("get_finnhub_news", json!({"ticker": "X"}), "tool get_finnhub_news needs argument \"start_date\""),
        (
            "get_google_news",
            json!({"query": "x", "curr_date": "30.07.2025"}),
            "tool get_google_news: argument \"curr_date\" is \"30.07.2025\", a day as yyyy-mm-dd is needed",
        ),
        (
            "get_simfin_cashflow",
            json!({"ticker": "X", "freq": "weekly", "curr_date": "2025-07-30"}),
            "tool get_simfin_cashflow: argument \"freq\" is \"weekly\", one of annual, quarterly is needed",
        ),
        (
            "get_stockstats_indicators_report_online",
            json!({"symbol": "X", "indicator": "rsi", "curr_date": "2025-07-30", "look_back_days": -1}),
            "tool get_stockstats_indicators_report_online: argument \"look_back_days\" is \"-1\", a whole number from 1 to 3660 is needed",
        ),
    ] {
        let Value::Object(args) = args else { panic!() };
        let error = answer(&crcl(), tool, &args, date(2025, 7, 30), Semantics::Standard).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn recorded_values_fill_a_short_history() {
    let aapl = pack::load(&Symbol::parse("AAPL").unwrap()).unwrap();
    let args = json!({"symbol": "AAPL", "indicator": "close_200_sma", "curr_date": "2025-08-07"});
    let Answer::Text(text) = ask(&aapl, "get_stockstats_indicators_report_online", args, date(2025, 8, 7))
    else {
        panic!()
    };
    assert!(text.contains("2025-08-06: 220.864\n"), "{text}");
}

/// The original Python system read its file and computed all indicators again for each calendar day of a window: one pass over the
/// bars gives a whole window here, and each value is the one of that pass.
#[test]
fn defect_15_a_window_is_one_pass_over_the_bars() {
    let mut data = Dataset { ticker: "ACME".into(), ..Dataset::default() };
    for n in 0..4000 {
        let date = date(2010, 1, 1).checked_add(jiff::Span::new().days(n)).unwrap();
        let price = 100.0 + f64::from(n % 37);
        data.bars.push(Bar {
            date,
            open: price,
            high: price + 1.0,
            low: price - 1.0,
            close: price,
            volume: 1e6,
        });
    }
    let last = data.bars.last().unwrap().date;
    let args =
        json!({"symbol": "ACME", "indicator": "rsi", "curr_date": last.to_string(), "look_back_days": 365});
    let Answer::Text(text) = ask(&data, "get_stockstats_indicators_report_online", args, last) else {
        panic!()
    };
    let rows = lacon_market::indicators::compute(&data.bars, Semantics::Standard);
    let column = lacon_market::Indicator::ALL.iter().position(|i| i.name() == "rsi").unwrap();
    let shown: Vec<(&str, f64)> = text
        .lines()
        .filter_map(|l| l.split_once(": "))
        .filter_map(|(day, value)| Some((day, value.parse().ok()?)))
        .collect();
    assert_eq!(shown.len(), 366);
    for (bar, row) in data.bars.iter().zip(&rows).rev().take(366) {
        let (_, value) = shown.iter().find(|(day, _)| *day == bar.date.to_string()).unwrap();
        assert!((value - row.get(column).unwrap()).abs() <= 5e-5);
    }
}

/// The original Python system showed a money-flow index of 0 to 1 under a legend that spoke of 80 and 20.
#[test]
fn a_money_flow_index_stands_over_a_legend_of_its_own_scale() {
    let day = date(2025, 8, 8);
    let nvda = pack::load(&Symbol::parse("NVDA").unwrap()).unwrap();
    let args = json!({"symbol": "NVDA", "indicator": "mfi", "curr_date": day.to_string()});
    for (semantics, legend, largest) in
        [(Semantics::Standard, "0 to 100; above 80", 100.0), (Semantics::Compat, "0 to 1; above 0.8", 1.0)]
    {
        let text =
            answer(&nvda, "get_stockstats_indicators_report", args.as_object().unwrap(), day, semantics);
        let text = text.unwrap().text().to_owned();
        assert!(text.contains(legend), "{text}");
        let values =
            text.lines().filter_map(|l| l.strip_prefix("2025-")?.split_once(": ")?.1.parse::<f64>().ok());
        assert!(values.clone().count() > 5 && values.into_iter().all(|v| v <= largest), "{text}");
    }
}
