//! A run on live vendors, against the synthetic world; packs; the world as a server.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
};

use jiff::civil::date;
use lacon_sim::{
    FaultPlan, SimOptions, World,
    server::{Background, ServeOptions},
};

use crate::support::{Done, Folder};

fn world(faults: &str) -> Background {
    let sim = SimOptions { time_scale: 0.0, ..SimOptions::default() };
    let world = Arc::new(World::new(1, date(2025, 7, 30)));
    Background::start(ServeOptions { world, sim, faults: FaultPlan::parse(faults).unwrap() }).unwrap()
}

/// No key of the machine that runs the tests may reach a vendor.
fn command(folder: &Folder, args: &[&str]) -> Command {
    let mut command = folder.command(args);
    for name in [
        "ALPHA_VANTAGE_API_KEY",
        "FINNHUB_API_KEY",
        "FRED_API_KEY",
        "SERPER_API_KEY",
        "SIMFIN_API_KEY",
        "REDDIT_CLIENT_ID",
        "REDDIT_CLIENT_SECRET",
    ] {
        command.env_remove(name);
    }
    command
}

fn run(folder: &Folder, world: &Background, ticker: &str, more: &[&str]) -> Done {
    run_on(folder, world, ticker, "2025-07-30", more)
}

fn run_on(folder: &Folder, world: &Background, ticker: &str, day: &str, more: &[&str]) -> Done {
    let (models, vendors) = (format!("{}/v1", world.url()), world.url());
    let mut args = vec!["run", ticker, "--llm", "openai", "--base-url", &models, "--data", "vendors"];
    args.extend(["--vendors-url", &vendors, "--date", day, "--run-id", "r", "--json"]);
    args.extend(more);
    command(folder, &args).env("FINNHUB_API_KEY", "finnhub-secret-1").output().unwrap().into()
}

#[test]
fn a_run_on_vendors_is_whole_and_names_the_source_of_each_figure() {
    let (folder, world) = (Folder::new(), world(""));
    let done = run(&folder, &world, "MSFT", &[]);
    let record = done.json();
    assert_eq!(record["data"]["simulated"], false);
    assert!(record["data"]["source"].as_str().unwrap().starts_with("vendors at http://127.0.0.1"));
    for report in record["reports"].as_array().unwrap() {
        assert!(report["words"].as_u64().unwrap() > 0, "{report}");
    }
    let root = folder.path().join("results/MSFT/2025-07-30/r");
    let books = std::fs::read_to_string(root.join("provenance.json")).unwrap();
    assert!(!books.contains("finnhub-secret-1"));
    let books: serde_json::Value = serde_json::from_str(&books).unwrap();
    let answers = books["answers"].as_array().unwrap();
    let of = |tool: &str| answers.iter().find(|a| a["tool"] == tool).unwrap_or_else(|| panic!("{tool}"));
    assert_eq!(of("get_YFin_data_online")["origins"][0]["vendor"], "yahoo");
    assert_eq!(of("get_stock_news_openai")["origins"][0]["vendor"], "finnhub");
    assert!(of("get_google_news")["passed"][0].as_str().unwrap().starts_with("serper: not configured"));
    assert!(of("get_YFin_data_online")["text"].as_str().unwrap().lines().count() > 20);
    // The prompt of each agent tells who the ticker is.
    let report = std::fs::read_to_string(root.join("reports/complete.md")).unwrap();
    assert!(!report.is_empty());
}

#[test]
fn special_symbols_end_in_a_decision_that_says_what_is_missing() {
    let world = world("");
    for (ticker, says) in [
        ("NEWCO", "first day of trading 2025-07-30"),
        ("GONE", "symbol may be delisted"),
        ("STALE", "40 days before 2025-07-30"),
    ] {
        let folder = Folder::new();
        let record = run(&folder, &world, ticker, &[]).json();
        let tools = record["tools"].as_array().unwrap();
        assert!(tools.iter().filter(|t| t["role"] == "market").all(|t| t["status"] == "no_data"), "{ticker}");
        let books = folder.path().join(format!("results/{ticker}/2025-07-30/r/provenance.json"));
        assert!(std::fs::read_to_string(books).unwrap().contains(says), "{ticker}");
    }
}

/// With prices and figures out of reach those two analysts fail with the reason; the others and the decision stand.
#[test]
fn a_broken_vendor_costs_its_analysts_and_not_the_run() {
    let (folder, world) = (Folder::new(), world(""));
    folder.write("lacon.toml", &format!("[vendors]\nyahoo_url = \"{}/fault/500/yahoo\"\n", world.url()));
    let done = run(&folder, &world, "MSFT", &[]);
    let record = done.json();
    let tools = record["tools"].as_array().unwrap();
    assert!(tools.iter().any(|t| t["role"] == "market" && t["status"] == "unavailable"), "{tools:?}");
    let report = |role: &str| {
        let reports = record["reports"].as_array().unwrap();
        reports.iter().find(|r| r["role"] == role).and_then(|r| r["words"].as_u64()).unwrap_or(0)
    };
    assert_eq!(report("market"), 0);
    assert!(report("social") > 0 && report("news") > 0 && report("risk_manager") > 0);
    let complete = folder.path().join("results/MSFT/2025-07-30/r/reports/complete.md");
    let complete = std::fs::read_to_string(complete).unwrap();
    assert!(complete.contains("yahoo: upstream down"), "{complete}");
}

#[test]
fn a_tape_of_a_vendor_run_plays_without_any_vendor() {
    let (folder, server) = (Folder::new(), world(""));
    let first = run(&folder, &server, "MSFT", &["--tape", "t.jsonl", "--record"]).json();
    drop(server);
    let gone = world("drop=1");
    let again = run(&folder, &gone, "MSFT", &["--tape", "t.jsonl", "--replay", "--force"]).json();
    assert_eq!(first["decision"], again["decision"]);
}

#[test]
fn settings_of_vendors_are_checked() {
    let (folder, world) = (Folder::new(), world(""));
    for (env, value, says) in [
        ("LACON_VENDORS_ROUTES", "prices=fred", "fred gives no prices"),
        ("LACON_VENDORS_ROUTES", "price=yahoo", "did you mean prices?"),
        ("LACON_VENDORS_YAHOO_URL", "ftp://x", "which is not an http address"),
    ] {
        let url = world.url();
        let mut command = command(&folder, &["run", "MSFT", "--data", "vendors", "--vendors-url", &url]);
        let done: Done = command.env(env, value).output().unwrap().into();
        done.fails(2, says);
    }
}

#[test]
fn a_pack_is_pulled_checked_and_run_on() {
    let (folder, world) = (Folder::new(), world(""));
    let url = world.url();
    let pull = |tickers: &[&str]| -> Done {
        let mut args = vec!["data", "pull"];
        args.extend(tickers);
        args.extend(["--date", "2025-07-25", "--out", "pack", "--vendors-url", &url, "--json"]);
        command(&folder, &args).output().unwrap().into()
    };
    let pulled = pull(&["MSFT", "AAPL"]).json();
    assert_eq!(pulled["tickers"].as_array().unwrap().len(), 2);
    pull(&["ZZTOP"]).fails(3, "no data for ZZTOP: prices: yahoo: no data");
    folder.lacon(&["data", "pull", "../x", "--out", "pack"]).fails(2, "contains '/'");
    folder.lacon(&["data", "pull", "A", "--date", "2999-01-01"]).fails(2, "is not a day up to");
    let checked = folder.lacon(&["data", "verify", "pack", "--json"]).json();
    assert_eq!(
        (checked["tickers"].as_array().unwrap().len(), checked["has_manifest"].as_bool()),
        (2, Some(true))
    );
    let record = folder.lacon(&["run", "MSFT", "--data", "pack", "--json", "--time-scale", "0"]).json();
    assert_eq!(record["date"], "2025-07-25");
    assert!(record["tools"].as_array().unwrap().iter().any(|t| t["status"] == "ok"));
    std::fs::remove_file(folder.path().join("pack/lacon/AAPL.json")).unwrap();
    let broken = folder.lacon(&["data", "verify", "pack"]);
    assert_eq!(broken.code, 1, "{}", broken.out);
    assert!(broken.out.contains("problem  lacon/AAPL.json"), "{}", broken.out);
    folder.lacon(&["data", "verify", "nowhere"]).fails(2, "nowhere is not a folder");
}

#[test]
fn sim_serve_says_where_and_answers() {
    let folder = Folder::new();
    let mut command =
        command(&folder, &["sim", "serve", "--port", "0", "--time-scale", "0", "--date", "2025-07-30"]);
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url =
        line.split_whitespace().find(|w| w.starts_with("http://")).unwrap().trim_end_matches(',').to_owned();
    assert!(line.starts_with("SYNTHETIC world at http://127.0.0.1:"), "{line}");
    let pulled = folder.lacon(&["data", "pull", "MSFT", "--date", "2025-07-30", "--vendors-url", &url]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(pulled.code == 0 && pulled.out.starts_with("MSFT: "), "{} {}", pulled.out, pulled.err);
    folder.lacon(&["sim", "serve", "--faults", "teapot=1"]).fails(2, "unknown fault \"teapot\"");
    folder.lacon(&["sim", "serve", "--date", "soon"]).fails(2, "date \"soon\" is not a day");
}

/// A vendor that never stops talking, a file of a million rows, texts with unseen characters: the memory stays bounded.
#[test]
fn hostile_input_stays_within_the_memory_limit() {
    let world = world("");
    let peak = |record: &serde_json::Value| record["peak_rss_mb"].as_f64().unwrap();
    // Every answer of every vendor is a gigabyte and more.
    let folder = Folder::new();
    let endless = format!("{}/fault/endless", world.url());
    let models = format!("{}/v1", world.url());
    let args = [
        "run",
        "MSFT",
        "--llm",
        "openai",
        "--base-url",
        &models,
        "--data",
        "vendors",
        "--vendors-url",
        &endless,
        "--date",
        "2025-07-30",
        "--json",
    ];
    let done: Done = command(&folder, &args).output().unwrap().into();
    let record: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert!(record["tools"].as_array().unwrap().iter().all(|t| t["status"] != "ok"));
    assert!(peak(&record) < 256.0, "{} MB with endless answers", peak(&record));

    let mut prices = String::from("Date,Open,High,Low,Close,Volume\n");
    let first = jiff::civil::date(1, 1, 1);
    for n in 0..1_000_000i64 {
        let day = first.checked_add(jiff::Span::new().days(n)).unwrap();
        prices.push_str(&format!("{day},10,12,9,11,1000\n"));
    }
    let folder = Folder::new();
    folder.write("pack/market_data/price_data/BIG-YFin-data-a.csv", &prices);
    let record = folder
        .lacon(&["run", "BIG", "--data", "pack", "--date", "2025-07-30", "--time-scale", "0", "--json"])
        .json();
    assert!(peak(&record) < 512.0, "{} MB with a million rows", peak(&record));

    let folder = Folder::new();
    folder.write(
        "pack/finnhub_data/news_data/BAD_data_formatted.json",
        "{\"2025-07-29\": [{\"headline\": \"A\\u0000B\\u202eC\", \"summary\": \"x\\u0000\\u200by\", \"source\": \"w\\u0000\"}]}",
    );
    let done = folder.lacon(&[
        "run",
        "BAD",
        "--data",
        "pack",
        "--date",
        "2025-07-30",
        "--time-scale",
        "0",
        "--json",
    ]);
    assert!(!done.out.contains("\\u0000") && !done.out.contains('\u{202e}'), "{}", done.out);
    // A path in a ticker, in the list of digests, in a link of a vendor: nothing leads out of the folder.
    for ticker in ["../../etc/passwd", "..", "A/B", "A\\B", "%2e%2e"] {
        let done = folder.lacon(&["run", ticker, "--data", "vendors", "--vendors-url", &world.url()]);
        assert_eq!(done.code, 2, "{ticker}: {}", done.err);
    }
    folder.write(
        "pack/lacon/manifest.json",
        r#"{"schema_version": 1, "files": {"../../../etc/hostname": {"bytes": 1, "blake3": "00"}}}"#,
    );
    let done = folder.lacon(&["data", "verify", "pack"]);
    assert!(done.code == 1 && done.out.contains("leads out of the pack"), "{}", done.out);
    std::fs::write(
        folder.path().join("pack/finnhub_data/news_data/BAD_data_formatted.json"),
        b"\xff\xfe{\0}\0",
    )
    .unwrap();
    folder.lacon(&["run", "BAD", "--data", "pack"]).fails(2, "not UTF-8 text");
}

/// Coins and currencies end to end: who has something to say, which day counts, what is never asked.
#[test]
fn coins_and_currencies_from_vendors() {
    let world = world("");
    for (ticker, symbol, label, absent) in [
        ("BTCUSD", "BTC-USD", "Coin: BTC-USD (BTC USD)", "statements"),
        ("EURUSD", "EURUSD=X", "Currency pair: EURUSD=X (EUR/USD)", "statements"),
    ] {
        let folder = Folder::new();
        // A Sunday: coins have a price of that day, currencies of Friday.
        let done = run_on(&folder, &world, ticker, "2025-07-27", &[]);
        let record = done.json();
        assert_eq!(
            (record["ticker"].as_str(), record["status"].as_str()),
            (Some(symbol), Some("done")),
            "{absent}"
        );
        let roles: Vec<&str> =
            record["reports"].as_array().unwrap().iter().map(|r| r["role"].as_str().unwrap()).collect();
        assert!(!roles.contains(&"fundamentals") && roles.contains(&"market"), "{roles:?}");
        let tools = record["tools"].as_array().unwrap();
        assert!(tools.iter().all(|t| t["name"] != "get_fundamentals_openai"));
        assert!(tools.iter().any(|t| t["name"] == "get_macro_series"));
        let prices = tools.iter().find(|t| t["name"] == "get_YFin_data_online").unwrap();
        assert_eq!(prices["status"], "ok", "{prices}");
        let root = folder.path().join(format!("results/{symbol}/2025-07-27/r"));
        let journal = std::fs::read_to_string(root.join("journal.jsonl")).unwrap();
        // A row of prices, not a sentence that names the day.
        let mut rows = journal.match_indices("2025-07-27,").map(|(at, day)| &journal[at + day.len()..]);
        let has_row = rows.any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(has_row, symbol == "BTC-USD", "the price of a Sunday");
        assert!(journal.contains(label) || journal.contains("2025-07-25,"), "{label}");
    }
    let folder = Folder::new();
    let done = run(&folder, &world, "EURUSD", &["--analysts", "fundamentals"]);
    done.fails(2, "analyst \"fundamentals\" has nothing to say of a forex");
}

#[test]
fn the_complete_report_is_written_on_demand() {
    let (folder, world) = (Folder::new(), world(""));
    assert_eq!(run(&folder, &world, "MSFT", &["--complete"]).code, 0);
    let page = folder.path().join("results/MSFT/2025-07-30/r/reports/complete.html");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("yahoo") && page.contains("<svg") && page.contains("#s1"));
    let done = folder.lacon(&["report", "r", "--complete", "out.md"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let text = std::fs::read_to_string(folder.path().join("out.md")).unwrap();
    assert!(text.contains("# Sources of the figures") && text.contains("| yahoo |"), "{text}");
    folder.lacon(&["report", "r", "--complete", "out.pdf"]).fails(2, "hint: name it .html or .md");
}

#[test]
fn embeddings_come_from_an_endpoint_and_words_stand_in_for_them() {
    let (folder, world) = (Folder::new(), world(""));
    let url = format!("{}/v1", world.url());
    let line = |id: &'static str| ["run", "CRCL", "--time-scale", "0", "--run-id", id, "--json"];
    let record: Done =
        command(&folder, &line("one")).env("LACON_MEMORY_EMBEDDINGS_URL", &url).output().unwrap().into();
    assert_eq!(record.json()["warnings"].as_array().unwrap().len(), 0);
    let memory = std::fs::read(folder.path().join("results/memory.db")).unwrap();
    let wal = std::fs::read(folder.path().join("results/memory.db-wal")).unwrap_or_default();
    let holds = |bytes: &[u8]| bytes.windows(22).any(|w| w == b"text-embedding-3-small");
    assert!(holds(&memory) || holds(&wal), "the vector is kept with its model");
    let done: Done = command(&folder, &line("two"))
        .env("LACON_MEMORY_EMBEDDINGS_URL", "http://127.0.0.1:9/v1")
        .output()
        .unwrap()
        .into();
    let warnings = done.json()["warnings"].to_string();
    assert!(warnings.contains("situations are compared by their words: embeddings: "), "{warnings}");
}
