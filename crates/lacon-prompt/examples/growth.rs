//! How work grows with the text: `cargo run --release -p lacon-prompt --example growth [MAX_MIB [NAME]]`.
//!
//! `=2` runs the size of 2 MiB alone, which `benchmarks/growth.sh` counts in instructions.
//!
//! Each row compresses texts of one shape, and the last rows are requests of many messages. Each size is twice the one
//! before. Times are CPU time of all threads, so that other work on the machine counts less; off Linux they are wall time. They
//! are the best of three, each in a process of its own: a second round in one process finds the memory of the first,
//! which helps small texts alone. The ratio of a row is its greatest one.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark is a command line, and ends where it fails"
)]

use std::time::Duration;

use lacon_prompt::{
    compress::{Options, compress},
    request::{Request, RequestOptions},
    trim::{TrimOptions, trim_request},
};
use lacon_tokens::EncodingName;
use serde_json::{Value, json};

#[path = "../tests/it/generators.rs"]
mod generators;

/// CPU time of all threads since the start, as the scheduler counts it.
fn clock() -> Duration {
    // The scheduler counts a running thread up at each tick, 4 ms apart, and where it yields.
    std::thread::yield_now();
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let spent = threads.filter_map(|thread| {
        let line = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<u64>().ok()
    });
    match spent.sum() {
        0 => {
            static START: std::sync::LazyLock<std::time::Instant> =
                std::sync::LazyLock::new(std::time::Instant::now);
            START.elapsed()
        }
        nanoseconds => Duration::from_nanos(nanoseconds),
    }
}

fn main() {
    let size = std::env::args().nth(1).unwrap_or_else(|| "16".to_owned());
    if size == "names" {
        let names = generators::GENERATORS.iter().map(|(name, _)| *name);
        return names.chain(["request of many messages", "trim to half"]).for_each(|name| println!("{name}"));
    }
    let alone = size.starts_with('=');
    let most: usize = size.trim_start_matches('=').parse().expect("MAX_MIB is a number");
    let encoding = lacon_tokens::encoding(EncodingName::O200kBase);
    let sizes: Vec<usize> =
        std::iter::successors(Some(1), |mib| Some(mib * 2)).take_while(|mib| *mib <= most).collect();
    if !alone {
        let sizes: String = sizes.iter().map(|mib| format!("{mib:>7}")).collect();
        println!("{:<28} {sizes} {:>7} {:>7}", "seconds at MiB", "ratio", "MB/s");
    }
    let only = std::env::args().nth(2).unwrap_or_default();
    let row = |name: &str, run: &dyn Fn(usize) -> Duration| {
        if !name.contains(&only) {
            return;
        }
        if alone {
            if name == only {
                // Tables load at the first use, which is no work on the text.
                run(16 << 10);
                println!("{:.6}", run(most << 20).as_secs_f64());
            }
            return;
        }
        let once = |mib: usize| -> f64 {
            let this = std::env::current_exe().unwrap();
            let out = std::process::Command::new(this).args([&format!("={mib}"), name]).output().unwrap();
            String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
        };
        let times = sizes.iter().map(|mib| (0..3).map(|_| once(*mib)).fold(f64::INFINITY, f64::min));
        let times: Vec<f64> = times.collect();
        let ratio = times.windows(2).map(|two| two[1] / two[0]).fold(0.0, f64::max);
        let speed = (most << 20) as f64 / 1e6 / times.last().unwrap();
        let times: String = times.iter().map(|t| format!("{t:>7.3}")).collect();
        println!(
            "{name:<28} {times} {ratio:>7.2} {speed:>7.1}{}",
            if ratio > 2.2 { "  above 2.2" } else { "" }
        );
    };
    for (name, make) in generators::GENERATORS {
        row(name, &|size| {
            let text = make(size);
            let begin = clock();
            compress(&text, Options::default(), None, encoding).unwrap();
            clock() - begin
        });
    }
    let conversation = |size: usize| {
        let turn = |i: usize| {
            [
                json!({"role": "user", "content": format!("Question {i} about part {}", generators::noise(i))}),
                json!({"role": "assistant", "content": Value::Null, "tool_calls": [{"id": format!("c{i}"), "type": "function",
                    "function": {"name": "rows", "arguments": "{}"}}]}),
                json!({"role": "tool", "tool_call_id": format!("c{i}"),
                    "content": generators::lines(600, |k| format!(r#"{{"id": {k}, "value": {}}}"#, generators::noise(i * 31 + k)))}),
            ]
        };
        let messages: Vec<Value> = (0..size / 900).flat_map(turn).collect();
        json!({"model": "gpt-5-mini", "messages": messages}).to_string()
    };
    row("request of many messages", &|size| {
        let text = conversation(size);
        let begin = clock();
        Request::parse(&text).unwrap().shrink(&RequestOptions::default(), None, encoding).unwrap();
        clock() - begin
    });
    row("trim to half", &|size| {
        let text = conversation(size);
        let begin = clock();
        trim_request(&text, &TrimOptions::new((size / 8).max(1000)), None, encoding).unwrap();
        clock() - begin
    });
}
