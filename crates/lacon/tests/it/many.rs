//! `lacon batch-run`, `lacon backtest`, `lacon explain`.

use std::fmt::Write as _;

use crate::support::Folder;

/// A data folder in the original system's layout with rising prices for three tickers and a benchmark.
fn data(folder: &Folder) -> String {
    for (ticker, slope) in [("AAA", 1.0), ("BBB", -0.5), ("CCC", 0.2), ("SPY", 0.1)] {
        let mut csv = String::from("Date,Open,High,Low,Close,Volume\n");
        let mut day: jiff::civil::Date = "2024-09-02".parse().unwrap();
        let mut news = Vec::new();
        for i in 0..150 {
            while matches!(day.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday) {
                day = day.tomorrow().unwrap();
            }
            let price = 200.0 + slope * f64::from(i);
            let _ = writeln!(
                csv,
                "{day},{price:.2},{:.2},{:.2},{:.2},{}",
                price + 2.0,
                price - 2.0,
                price + 0.5,
                1000 + i
            );
            // Every day's news tells its own name: whoever reads it knows which day it came from.
            news.push(format!(
                r#""{day}": [{{"headline": "{ticker} CANARY{}", "summary": "Told on that day alone.", "source": "w"}}]"#,
                day.to_string().replace('-', "")
            ));
            day = day.tomorrow().unwrap();
        }
        folder.write(
            &format!("data/finnhub_data/news_data/{ticker}_data_formatted.json"),
            &format!("{{{}}}", news.join(",")),
        );
        folder.write(
            &format!("data/market_data/price_data/{ticker}-YFin-data-2015-01-01-2025-03-25.csv"),
            &csv,
        );
    }
    folder.path().join("data").display().to_string()
}

#[test]
fn a_batch_shares_one_budget_and_one_failure_stays_one() {
    let folder = Folder::new();
    folder.write("watch.txt", "# mine\nCRCL\n\nNVDA\ncrcl\n");
    let done = folder.lacon(&["batch-run", "@watch.txt", "AAPL", "--json", "--", "--time-scale", "0"]);
    let json = done.json();
    let tickers: Vec<&str> =
        json["runs"].as_array().unwrap().iter().map(|r| r["ticker"].as_str().unwrap()).collect();
    assert_eq!(tickers, ["CRCL", "NVDA", "AAPL"]);
    assert_eq!(json["failed"], 0);
    let spent = json["tokens"].as_u64().unwrap();
    let done = folder.lacon(&[
        "batch-run",
        "CRCL",
        "NVDA",
        "AAPL",
        "--jobs",
        "1",
        "--budget-tokens",
        &(spent / 3).to_string(),
        "--",
        "--time-scale",
        "0",
    ]);
    done.fails(1, "");
    assert!(done.out.contains("the run needs at least") || done.out.contains("skipped"), "{}", done.out);
    folder.lacon(&["batch-run", "CRCL", "NOPE"]).fails(2, "no data for ticker NOPE");
    folder.lacon(&["batch-run", "CRCL", "--", "--tim-scale", "0"]).fails(2, "--time-scale");
}

#[test]
fn a_back_test_goes_on_where_it_was_and_remembers_no_future() {
    let folder = Folder::new();
    let data = data(&folder);
    let line = [
        "backtest",
        "AAA",
        "BBB",
        "CCC",
        "--from",
        "2024-12-02",
        "--to",
        "2025-02-28",
        "--every",
        "5",
        "--json",
        "--",
        "--data",
        &data,
        "--time-scale",
        "0",
    ];
    let first = folder.lacon(&line).json();
    let tickers = first["tickers"].as_array().unwrap();
    assert_eq!(tickers.len(), 3);
    for ticker in tickers {
        let decisions = ticker["decisions"].as_array().unwrap();
        assert!(decisions.len() >= 12, "{}", decisions.len());
        assert!(decisions.iter().all(|d| d["error"].is_null() && d["reused"] == false), "{decisions:?}");
        let performance = &ticker["performance"];
        assert!(
            performance["buy_and_hold"].is_number() && performance["equity"].as_array().unwrap().len() > 50
        );
    }
    // The news of each day, and that of the day after: of all runs, in all that a model or a person was shown.
    for ticker in ["AAA", "BBB", "CCC"] {
        let dates = std::fs::read_dir(folder.path().join(format!("results/{ticker}"))).unwrap();
        let mut runs = 0;
        for date in dates.map(|d| d.unwrap().file_name().into_string().unwrap()) {
            let run = folder.path().join(format!("results/{ticker}/{date}/backtest"));
            let text = ["journal.jsonl", "reports/complete.md", "run.json", "trace.jsonl", "provenance.json"]
                .map(|name| std::fs::read_to_string(run.join(name)).unwrap_or_default())
                .join("\n");
            let own = date.replace('-', "");
            let days: Vec<&str> = text.match_indices("CANARY").map(|(i, _)| &text[i + 6..i + 14]).collect();
            assert!(days.contains(&own.as_str()), "{ticker} {date}: its own day is read");
            assert!(days.iter().all(|day| *day <= own.as_str()), "{ticker} {date}: {days:?}");
            runs += 1;
        }
        assert!(runs >= 12, "{ticker}: {runs}");
    }
    // Nothing dated after a decision's own day is in anything that it was sent: the journal holds every tool's text.
    for (ticker, date) in [("AAA", "2024-12-02"), ("CCC", "2025-01-13")] {
        let journal = folder.path().join(format!("results/{ticker}/{date}/backtest/journal.jsonl"));
        let text = std::fs::read_to_string(journal).unwrap();
        let later = text.split(|c: char| !c.is_ascii_digit() && c != '-').filter(|word| {
            word.len() == 10 && word.as_bytes()[4] == b'-' && *word > date && word.starts_with("202")
        });
        // The clock's own day may stand in a retrieval time.
        let today = jiff::Timestamp::now().to_string();
        let found: Vec<&str> = later.filter(|day| !today.starts_with(day)).collect();
        assert!(found.is_empty(), "{ticker} {date}: {found:?}");
    }
    // Later decisions read what came of earlier ones.
    let plan = folder.path().join("results/AAA/2025-02-24/backtest/journal.jsonl");
    assert!(plan.exists());
    let second = folder.lacon(&line).json();
    let reused = |json: &serde_json::Value| {
        json["tickers"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|t| t["decisions"].as_array().unwrap().clone())
            .all(|d| d["reused"] == true)
    };
    assert!(reused(&second));
    assert_eq!(first["tickers"][0]["performance"], second["tickers"][0]["performance"]);
    // The log: what is five trading days old is judged against the benchmark, once; a model looks back once as well.
    let log = folder.lacon(&["memory", "--json"]).json();
    let decisions = log["decisions"].as_array().unwrap();
    assert!(decisions.len() >= 36, "{}", decisions.len());
    let judged: Vec<_> = decisions.iter().filter(|d| d["status"] == "resolved").collect();
    assert!(judged.len() >= 30, "{}", judged.len());
    for decision in &judged {
        assert!(decision["return"].is_number() && decision["alpha"].is_number(), "{decision}");
        assert_eq!(decision["benchmark"], "SPY");
        let lesson = decision["lesson"].as_str().unwrap();
        assert!(lesson.contains("in 5 trading days") && lesson.contains("against SPY"), "{lesson}");
        assert!(
            decision["resolved"].as_str() > decision["date"].as_str() && decision["reflection"].is_null()
        );
    }
    let reflected = folder.lacon(&["memory", "BBB", "--reflect", "--most", "2", "--json"]).json();
    let reflections = |log: &serde_json::Value| {
        let all = log["decisions"].as_array().unwrap().clone();
        all.iter().filter(|d| d["reflection"].is_string()).count()
    };
    assert_eq!(reflections(&reflected), 2, "{reflected:#}");
    assert!(reflected["tokens"].as_u64().unwrap() > 0);
    assert_eq!(reflections(&folder.lacon(&["memory", "--json"]).json()), 2);
    let text = folder.lacon(&["memory", "bbb"]);
    assert!(text.out.contains("looking back: ") && text.out.contains("SIMULATED"), "{}", text.out);
    folder.lacon(&["memory", "--out", "none"]).fails(2, "no decisions");
    folder
        .lacon(&["backtest", "AAA", "--from", "2025-02-01", "--to", "2025-01-01"])
        .fails(2, "--from 2025-02-01 is after");
    folder
        .lacon(&["backtest", "AAA", "--from", "2030-01-01", "--to", "2030-02-01", "--", "--data", &data])
        .fails(2, "");
}

#[test]
fn a_decision_is_explained_with_the_source_of_its_figures() {
    let folder = Folder::new();
    assert_eq!(folder.lacon(&["run", "CRCL", "--time-scale", "0", "--run-id", "one"]).code, 0);
    let json = folder.lacon(&["explain", "one", "--json"]).json();
    assert!(!json["figures"].as_array().unwrap().is_empty());
    assert!(json["traced"].as_u64().unwrap() > 0, "{json:#}");
    assert!(!json["views"].as_array().unwrap().is_empty());
    let text = folder.lacon(&["explain", "one"]);
    assert!(text.out.contains("what would change it") && text.out.contains("SIMULATED"), "{}", text.out);
    folder.lacon(&["explain", "two"]).fails(2, "no run \"two\"");
}

#[test]
fn a_run_is_repeated_with_other_seeds() {
    let folder = Folder::new();
    let flags = ["run", "FIG", "--repeat", "3", "--seed", "5", "--run-id", "r", "--time-scale", "0"];
    let done = folder.lacon(&flags);
    assert!(done.out.contains("HOLD     3 of 3  100 %"), "{}", done.out);
    folder.lacon(&flags).fails(2, "run r-1 exists");
    let again = folder.lacon(&[&flags[..], &["--force", "--json"]].concat());
    let json = again.json();
    let seeds: Vec<i64> =
        json["runs"].as_array().unwrap().iter().map(|run| run["seed"].as_i64().unwrap()).collect();
    assert_eq!(seeds, [5, 6, 7]);
    assert_eq!(json["decisions"][0]["runs"], 3);
    folder.lacon(&["run", "FIG", "--repeat", "0"]).fails(2, "--repeat is 0");
    folder.lacon(&["run", "FIG", "--repeat", "2", "--html", "a.html"]).fails(2, "cannot be used with");
}
