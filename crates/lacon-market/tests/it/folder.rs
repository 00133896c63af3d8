//! A data folder in the original system's layout.

use std::{fs, path::PathBuf};

use jiff::civil::date;
use lacon_market::{Answer, Semantics, Symbol, answer, folder};
use serde_json::{Value, json};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("lacon-folder-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(root)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PRICES: &str = "market_data/price_data/ACME-YFin-data-2015-01-01-2025-03-25.csv";

fn full() -> Folder {
    Folder::new(
        "full",
        &[
            (
                PRICES,
                "Date,Open,High,Low,Close,Adj Close,Volume\n2025-03-24,1,2,0.5,1.5,1.5,100\n2025-03-25,,,,,,\n",
            ),
            (
                "finnhub_data/news_data/ACME_data_formatted.json",
                r#"{"2025-03-20": [{"headline": "Anvils", "summary": "Sold 5.", "source": "wire"}]}"#,
            ),
            (
                "finnhub_data/insider_trans/ACME_data_formatted.json",
                r#"{"2025-03-21": [{"name": "Coyote", "share": 10, "change": -5}]}"#,
            ),
            (
                "reddit_data/company_news/stocks.jsonl",
                "{\"created_utc\": 1742601600, \"title\": \"ACME moon\", \"selftext\": \"up\", \"ups\": 3}\n{\"created_utc\": 1742601600, \"title\": \"ACMELIKE\", \"selftext\": \"\", \"ups\": 9}\n",
            ),
            (
                "fundamental_data/simfin_data_all/income_statements/companies/us/us-income-quarterly.csv",
                "Ticker;Report Date;Publish Date;Revenue\nACME;2024-12-31;2025-02-10;500\nACME;2025-03-31;2025-05-10;900\nOTHER;2024-12-31;2025-02-10;1\n",
            ),
        ],
    )
}

fn ask(folder: &Folder, tool: &str, args: Value) -> Answer {
    let data = folder::load(&folder.0, &Symbol::parse("ACME").unwrap()).unwrap();
    let Value::Object(args) = args else { panic!() };
    answer(&data, tool, &args, date(2025, 3, 25), Semantics::Standard).unwrap()
}

#[test]
fn reads_each_kind_of_file() {
    let folder = full();
    let text = |tool: &str, args: Value| match ask(&folder, tool, args) {
        Answer::Text(text) => text,
        Answer::NoData(text) => panic!("{tool}: {text}"),
    };
    let dates = json!({"ticker": "ACME", "curr_date": "2025-03-25"});
    assert!(
        text(
            "get_YFin_data",
            json!({"symbol": "ACME", "start_date": "2025-03-01", "end_date": "2025-03-31"})
        )
        .ends_with("Date,Open,High,Low,Close,Volume\n2025-03-24,1,2,0.5,1.5,100\n")
    );
    assert!(
        text(
            "get_finnhub_news",
            json!({"ticker": "ACME", "start_date": "2025-03-01", "end_date": "2025-03-25"})
        )
        .contains("### Anvils (source: wire), 2025-03-20\nSold 5.")
    );
    assert!(
        text("get_finnhub_company_insider_transactions", dates.clone())
            .contains("name: Coyote; share: 10; change: -5")
    );
    let posts = text("get_reddit_stock_info", dates);
    assert!(posts.contains("ACME moon") && !posts.contains("ACMELIKE"));
    // The statement of the running quarter is published later and must not be seen.
    let income = text(
        "get_simfin_income_stmt",
        json!({"ticker": "ACME", "freq": "quarterly", "curr_date": "2025-03-25"}),
    );
    assert!(income.contains("Revenue: 500") && !income.contains("900"));
}

#[test]
fn damaged_files_name_their_line() {
    for (name, text, expected) in [
        (
            "number",
            "Date,Open,High,Low,Close,Volume\n2025-03-24,1,2,x,1.5,100\n",
            "line 2: \"x\" is no number",
        ),
        ("date", "Date,Open,High,Low,Close,Volume\nsoon,1,2,1,1.5,100\n", "line 2: \"soon\" is no date"),
        ("column", "Date,Open,High,Low,Close\n", "line 1: column \"volume\" is missing"),
        ("empty", "", "line 1: column \"date\" is missing"),
    ] {
        let folder = Folder::new(name, &[(PRICES, text)]);
        let error = folder::load(&folder.0, &Symbol::parse("ACME").unwrap()).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    let folder = Folder::new("bytes", &[(PRICES, "")]);
    fs::write(folder.0.join(PRICES), b"Date\n\xff\xfe").unwrap();
    let error = folder::load(&folder.0, &Symbol::parse("ACME").unwrap()).unwrap_err();
    assert!(error.to_string().ends_with("line 2: not UTF-8 text"), "{error}");
}

#[test]
fn an_unknown_ticker_names_the_known_ones() {
    let error = folder::load(&full().0, &Symbol::parse("ZZZ").unwrap()).unwrap_err().to_string();
    assert!(error.ends_with("\nhint: known tickers are ACME"), "{error}");
}
