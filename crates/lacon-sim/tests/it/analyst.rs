//! The rule-based analyst in whole runs: one decision for one set of data, whatever carries it; whole sentences; figures that
//! stand in the prompt or follow from it.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::civil::Date;
use lacon_llm::{BoxFuture, Client, ClientInfo, Error, Finish, Request, Response, StreamEvent};
use lacon_market::{Semantics, Symbol, pack};
use lacon_runtime::ToolCache;
use lacon_sim::{SimClient, SimOptions};
use lacon_trading::{Cast, CastOptions, Optimizations, Settings, decide, source::DatasetSource};

/// The simulated model, with all that it was asked and answered.
struct Watched {
    inner: SimClient,
    heard: Mutex<Vec<(Request, Response)>>,
}

impl Client for Watched {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            let response = self.inner.complete(request, on_event).await?;
            self.heard.lock().unwrap().push((request.clone(), response.clone()));
            Ok(response)
        })
    }

    fn describe(&self) -> ClientInfo {
        self.inner.describe()
    }
}

struct Seen {
    decision: String,
    tokens: u64,
    talk: Vec<(Request, Response)>,
}

async fn run(ticker: &str, profile: &str, seed: u64, disabled: &[&str]) -> Seen {
    let data = pack::load(&Symbol::parse(ticker).unwrap()).unwrap();
    let days =
        [("AAPL", "2025-08-07"), ("CRCL", "2025-07-30"), ("FIG", "2025-07-31"), ("NVDA", "2025-08-11")];
    let day: Date = days.iter().find(|(of, _)| *of == ticker).unwrap().1.parse().unwrap();
    let options = SimOptions { seed, time_scale: 0.0, ..SimOptions::default() };
    let client = Arc::new(Watched { inner: SimClient::new(options), heard: Mutex::default() });
    let name = format!("{ticker}-{profile}-{seed}-{}", disabled.join("-"));
    let out = std::env::temp_dir().join(format!("lacon-sim-analyst-{name}-{}", std::process::id()));
    let settings = Settings {
        run_id: name,
        ticker: ticker.into(),
        listing: String::new(),
        company: data.name.clone().unwrap(),
        date: day,
        profile: profile.into(),
        optimizations: Optimizations::new(profile, disabled, &[]).unwrap(),
        client: client.clone(),
        tools: Arc::new(DatasetSource::new(Arc::new(data), day, Semantics::Standard, None)),
        cache: Arc::new(ToolCache::new(1 << 20)),
        quick_model: "gpt-4o-mini".into(),
        deep_model: "gpt-4o".into(),
        effort: Vec::new(),
        temperature: None,
        tool_rounds: 2,
        cast: Arc::new(Cast::new(CastOptions { profile: profile.into(), ..CastOptions::default() }).unwrap()),
        tool_timeout: Duration::from_secs(10),
        deadline: Some(Duration::from_secs(600)),
        stop: None,
        budget_tokens: 0,
        budget_micro_usd: 0,
        models: Vec::new(),
        out: out.clone(),
        process_start: Instant::now(),
        seed,
        time_scale: 0.0,
        version: "test".into(),
        on_progress: Arc::new(|_| {}),
        memory: None,
        embedder: None,
        bars: Vec::new(),
        benchmark: None,
        monitor: true,
        keep_text: false,
        parallel: true,
        async_loading: true,
        journal: false,
        resume: false,
        nonce: "test".into(),
        data_gap: None,
        about: serde_json::Value::Null,
    };
    let decided = decide(settings).await;
    let _ = std::fs::remove_dir_all(out);
    assert!(decided.failure.is_none(), "{ticker} {profile}: {:?}", decided.failure);
    let talk = std::mem::take(&mut *client.heard.lock().unwrap());
    let usage = talk.iter().filter_map(|(_, response)| response.usage);
    Seen {
        decision: decided.record.decision.word().to_owned(),
        tokens: usage.map(|u| u.prompt_total().unwrap_or(0) + u.completion_total().unwrap_or(0)).sum(),
        talk,
    }
}

const EXPECTED: [(&str, &str); 4] = [("AAPL", "BUY"), ("CRCL", "SELL"), ("FIG", "HOLD"), ("NVDA", "BUY")];
const PROFILES: [&str; 3] = ["lacon", "seed", "upstream"];

#[tokio::test]
async fn the_same_data_gives_the_same_decision() {
    for (ticker, expected) in EXPECTED {
        for profile in PROFILES {
            for seed in [1, 2, 7] {
                let seen = run(ticker, profile, seed, &[]).await;
                assert_eq!(seen.decision, expected, "{ticker} in profile {profile}, seed {seed}");
            }
        }
        for disabled in [&["word_limits"][..], &["digests"], &["condense"]] {
            let seen = run(ticker, "lacon", 1, disabled).await;
            assert_eq!(seen.decision, expected, "{ticker} without {disabled:?}");
        }
    }
}

/// Numbers of a text as they are written, dates and their parts left out.
fn numbers(text: &str) -> Vec<&str> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
        .map(|n| n.trim_matches(['.', '-']))
        .filter(|n| n.bytes().any(|b| b.is_ascii_digit()) && !n.contains('-'))
        .collect()
}

#[tokio::test]
async fn answers_are_whole_and_their_prices_stand_in_the_prompt() {
    for (ticker, _) in EXPECTED {
        for profile in PROFILES {
            let seen = run(ticker, profile, 1, &[]).await;
            for (request, response) in seen.talk.iter().filter(|(_, r)| r.tool_calls.is_empty()) {
                let (role, text) = (&request.tags.role, &response.text);
                assert_eq!(response.finish, Finish::Stop, "{ticker} {profile} {role}: {text}");
                if request.response_format.is_some() || role == "signal" {
                    continue;
                }
                let ends = |line: &str| {
                    line.is_empty()
                        || line.starts_with('#')
                        || line.ends_with(['.', '%'])
                        || ["SELL", "BUY", "HOLD", "Consensus: yes"].iter().any(|w| line.ends_with(w))
                };
                for line in text.lines() {
                    assert!(ends(line), "{ticker} {profile} {role}: {line}\n\n{text}");
                }
                // What is computed is a share, a ratio, a count or a price that names how; all other figures were read.
                let prompt: String =
                    request.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n");
                let known = numbers(&prompt);
                for sentence in text.lines().flat_map(|line| line.split_inclusive(". ")) {
                    let computes = [
                        "%",
                        "times",
                        "average true range",
                        "median",
                        "to 1",
                        "total",
                        "score",
                        "Confidence",
                        "ranges",
                    ];
                    let figures = numbers(sentence).into_iter().filter(|n| n.contains('.'));
                    for figure in figures.filter(|_| !computes.iter().any(|w| sentence.contains(w))) {
                        assert!(known.contains(&figure), "{ticker} {profile} {role}: {figure} in {sentence}");
                    }
                }
            }
        }
    }
}

/// `cargo test -p lacon-sim --test it -- --ignored --nocapture prints` shows what a run says.
#[tokio::test]
#[ignore = "prints every answer of the bundled runs"]
async fn prints_every_answer() {
    for (ticker, _) in EXPECTED {
        for profile in PROFILES {
            let seen = run(ticker, profile, 1, &[]).await;
            println!("\n######## {ticker} {profile}: {} with {} tokens", seen.decision, seen.tokens);
            for (request, response) in seen.talk.iter().filter(|(_, r)| r.tool_calls.is_empty()) {
                println!("\n==== {}\n{}", request.tags.role, response.text);
            }
        }
    }
}
