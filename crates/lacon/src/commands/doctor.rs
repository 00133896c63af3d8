//! `lacon doctor`: checks key, endpoint, data, disk and clock, and says how to fix each.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lacon_llm::{Endpoint, ErrorKind, Fetch, FetchOptions, Protocol, Transport, TransportOptions};
use lacon_market::{folder, pack};
use lacon_models::Day;
use lacon_runtime::Config;

use super::{Common, block_on};
use crate::{
    args::DoctorArgs,
    failure::{self, Failure},
    text, world,
};

struct Check {
    name: &'static str,
    ok: bool,
    found: String,
    mend: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: String) -> Self {
        Self { name, ok: true, found, mend: None }
    }

    fn bad(name: &'static str, found: String, mend: &str) -> Self {
        Self { name, ok: false, found, mend: Some(mend.into()) }
    }
}

/// Prints one line per check; exit code 1 when one failed.
pub fn run(common: &Common, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let config = common.settings(&[
        ("llm.base_url", args.base_url.as_ref()),
        ("data.tools_url", args.tools_url.as_ref()),
        ("run.out", args.out.as_ref()),
        ("data.source", args.data.as_ref()),
    ])?;
    let endpoint = block_on(endpoint(&config))?;
    let tools = block_on(tools(&config))?;
    let checks = [key(&config), endpoint, data(&config), tools, disk(&config), clock(), models()];
    let all_ok = checks.iter().all(|c| c.ok);
    if args.json {
        let rows: Vec<_> = checks
            .iter()
            .map(|c| serde_json::json!({"check": c.name, "ok": c.ok, "found": c.found, "mend": c.mend}))
            .collect();
        text::out(&format!("{:#}", serde_json::json!({"schema_version": 1, "ok": all_ok, "checks": rows})));
    } else {
        for check in &checks {
            let mark = if check.ok { "ok  " } else { "FAIL" };
            text::out(&format!("{mark}  {:9} {}", check.name, check.found));
            if let Some(mend) = &check.mend {
                text::out(&format!("                hint: {mend}"));
            }
        }
    }
    Ok(ExitCode::from(if all_ok { 0 } else { failure::GATE }))
}

fn key(config: &Config) -> Check {
    let set = !config.text("llm.api_key").is_empty();
    if world::is_simulated(config) {
        return Check::good("key", "not needed: the language model is simulated".into());
    }
    match (set, config.text("llm.base_url").is_empty()) {
        (true, _) => Check::good("key", format!("set ({})", config.origin("llm.api_key"))),
        (false, false) => Check::good("key", "not set; the endpoint may not need one".into()),
        (false, true) => Check::bad("key", "not set".into(), "set OPENAI_API_KEY, or give --base-url"),
    }
}

async fn endpoint(config: &Config) -> Check {
    if world::is_simulated(config) {
        return Check::good("endpoint", "not needed: the language model is simulated".into());
    }
    let url = match config.text("llm.base_url") {
        "" => Protocol::Chat.default_base_url(),
        url => url,
    };
    let authorization = format!("Bearer {}", config.text("llm.api_key"));
    let headers: &[(&str, &str)] =
        if config.text("llm.api_key").is_empty() { &[] } else { &[("authorization", &authorization)] };
    match get(url, "/models", headers).await {
        Ok((bytes, took)) => match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Ok(json) => {
                let n = json["data"].as_array().map_or(0, Vec::len);
                Check::good(
                    "endpoint",
                    format!("{url} answers in {:.0} ms, {n} models", took.as_secs_f64() * 1e3),
                )
            }
            Err(_) => Check::bad(
                "endpoint",
                format!("{url}/models does not answer with JSON"),
                "the base URL is probably not that of an API; it usually ends in /v1",
            ),
        },
        Err((message, kind)) => {
            let mend = match kind {
                ErrorKind::Auth => "the key is wrong or not allowed: check OPENAI_API_KEY",
                ErrorKind::NotFound => "check the path of the base URL; it usually ends in /v1",
                ErrorKind::InvalidRequest => "write the base URL as http://host:port/v1 or https://host/v1",
                _ => "check that the server runs and that this machine reaches it",
            };
            Check::bad("endpoint", message, mend)
        }
    }
}

async fn get(
    url: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<(Vec<u8>, Duration), (String, ErrorKind)> {
    let failed = |e: lacon_llm::Error| (e.message().to_owned(), e.kind());
    let endpoint = Endpoint::parse(url).map_err(failed)?;
    let transport =
        Transport::new(&TransportOptions { connect: Duration::from_secs(5), ..TransportOptions::default() })
            .map_err(failed)?;
    let fetch = Fetch::new(transport, endpoint, FetchOptions { max_attempts: 1, ..FetchOptions::default() });
    let began = Instant::now();
    match tokio::time::timeout(Duration::from_secs(10), fetch.get(path, headers)).await {
        Ok(answer) => answer.map(|bytes| (bytes, began.elapsed())).map_err(failed),
        Err(_) => Err((format!("{url} gave no answer within 10 s"), ErrorKind::Connect)),
    }
}

fn data(config: &Config) -> Check {
    match config.text("data.source") {
        "auto" | "offline" => {
            Check::good("data", format!("bundled packs: {}", pack::tickers().collect::<Vec<_>>().join(", ")))
        }
        "vendors" => {
            let able = |(_, account): &(_, lacon_market::vendor::Account)| !account.key.is_empty();
            let keyed: Vec<&str> =
                crate::vendors::accounts(config).into_iter().filter(able).map(|(v, _)| v.name()).collect();
            let keys = if keyed.is_empty() { "none".into() } else { keyed.join(", ") };
            Check::good("data", format!("{}; with a key: {keys}", crate::vendors::describe(config)))
        }
        path => {
            let tickers = folder::tickers(std::path::Path::new(path));
            if tickers.is_empty() {
                let mend =
                    "the folder needs market_data/price_data/{TICKER}-YFin-data-*.csv; see docs/data.md";
                Check::bad("data", format!("folder {path} holds no ticker"), mend)
            } else {
                Check::good("data", format!("folder {path}: {} tickers", tickers.len()))
            }
        }
    }
}

async fn tools(config: &Config) -> Check {
    let url = config.text("data.tools_url");
    if url.is_empty() {
        return Check::good("tools", "answered from the data above".into());
    }
    match get(url, "/", &[]).await {
        // Any answer of the server will do: the root of a tool endpoint is no tool.
        Ok(_) | Err((_, ErrorKind::NotFound | ErrorKind::Status(_) | ErrorKind::Auth)) => {
            Check::good("tools", format!("{url} is reached"))
        }
        Err((message, _)) => Check::bad("tools", message, "check --tools-url and that its server runs"),
    }
}

fn disk(config: &Config) -> Check {
    let out = std::path::Path::new(config.text("run.out"));
    let probe = out.join(".lacon-doctor");
    let written = lacon_files::write(&probe, &vec![b'x'; 1 << 20], [], lacon_files::Flush::Now);
    let _ = std::fs::remove_file(&probe);
    match written {
        Ok(()) => Check::good("disk", format!("{} can be written to", out.display())),
        Err(error) => {
            let text = error.to_string();
            let (found, mend) =
                text.split_once("\nhint: ").unwrap_or((&text, "choose another folder with --out"));
            Check::bad("disk", found.into(), mend)
        }
    }
}

/// Facts of providers change: what nobody has compared for long may be wrong.
fn models() -> Check {
    const LONGEST_DAYS: u64 = 90;
    let today = Day::of(std::time::SystemTime::now());
    let all = lacon_models::sources().chain(lacon_monitor::prices::sources());
    let dated: Vec<_> = all.filter_map(|source| Some((source.checked?, source))).collect();
    let old: Vec<String> = dated
        .iter()
        .filter(|(day, _)| today.since(*day) > LONGEST_DAYS)
        .map(|(day, source)| format!("{} ({day})", source.name))
        .collect();
    if old.is_empty() {
        let oldest = dated.iter().map(|(day, _)| *day).min();
        let oldest = oldest.map(|day| format!(", the oldest checked {day}")).unwrap_or_default();
        return Check::good(
            "models",
            format!("{} sources of prices, encodings and cache rules{oldest}", dated.len()),
        );
    }
    Check {
        name: "models",
        // An old row still works; it may be wrong.
        ok: true,
        found: format!("older than {LONGEST_DAYS} days: {}", old.join("; ")),
        mend: Some("update Lacon, or give newer facts with --models-file".into()),
    }
}

/// A clock before the day that this version was made is wrong; TLS and the check of future dates depend on it.
fn clock() -> Check {
    let now = Timestamp::now();
    let earliest = Timestamp::from_second(1_763_856_000).unwrap_or(Timestamp::UNIX_EPOCH);
    if now < earliest {
        Check::bad("clock", format!("{now} is before this version's release"), "set the system clock")
    } else {
        Check::good("clock", now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    }
}
