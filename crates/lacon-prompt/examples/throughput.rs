//! Times the lossless passes, exact counts included, on files: `throughput FILE…`; or, after `--query TEXT`, the
//! selection of a third for that question.
//!
//! Prints for each file megabytes a second of processor time, and the p50 of the time that passes, which says little where
//! others work on the machine. Every call is one of thirty and more on the same text by one thread, so the pieces of
//! its words are known to the counter, as they are in a process that has run for a while; `first` is the first call.

use std::time::Instant;

use lacon_prompt::compress::{Options, compress};
use lacon_prompt::extract::{ExtractOptions, extract};
use lacon_prompt::offload::MemoryStore;
use lacon_tokens::{EncodingName, encoding};

/// Bytes that are worked on for each file, so that the clock of the processor, which ticks, has enough to tell.
const ENOUGH: usize = 4 << 20;

/// Seconds that this thread has had a processor; the time that passes where the system does not tell.
fn processor_seconds(began: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|line| line.split(' ').next().and_then(|n| n.parse::<f64>().ok()));
    nanos.map_or_else(|| began.elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

#[expect(clippy::print_stdout, reason = "an example's output is its purpose")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let encoding = encoding(EncodingName::O200kBase);
    let began = Instant::now();
    let (mut bytes, mut seconds, mut first_seconds) = (0usize, 0f64, 0f64);
    let mut args = std::env::args().skip(1).peekable();
    let query = args.next_if(|arg| arg == "--query").and_then(|_| args.next());
    for path in args {
        let text = std::fs::read_to_string(&path)?;
        let mut wall = Vec::new();
        let mut saved = (0, 0);
        let mut call = || -> Result<(), Box<dyn std::error::Error>> {
            let mut store = MemoryStore::new([0; 32], 1 << 30);
            let started = Instant::now();
            saved = match &query {
                Some(query) => {
                    let options = ExtractOptions { share: 0.33, ..ExtractOptions::default() };
                    let found = extract(&text, query, options, encoding);
                    (found.tokens_before, found.tokens_after)
                }
                None => {
                    let short = compress(&text, Options::default(), Some(&mut store), encoding)?;
                    (short.tokens_before, short.tokens_after)
                }
            };
            wall.push(started.elapsed().as_secs_f64());
            Ok(())
        };
        let at = processor_seconds(began);
        call()?;
        let first = processor_seconds(began) - at;
        let at = processor_seconds(began);
        let rounds = (ENOUGH / text.len().max(1)).clamp(30, 2000) as u32;
        for _ in 0..rounds {
            call()?;
        }
        let each = (processor_seconds(began) - at) / f64::from(rounds);
        wall.sort_by(f64::total_cmp);
        bytes += text.len();
        seconds += each;
        first_seconds += first;
        println!(
            "{path}: {} bytes, {} → {} tokens, {:.1} MB/s, {:.3} ms a call of processor time (first {:.3}), p50 {:.3} ms passed",
            text.len(),
            saved.0,
            saved.1,
            text.len() as f64 / 1e6 / each,
            each * 1e3,
            first * 1e3,
            wall[wall.len() / 2] * 1e3,
        );
    }
    println!(
        "all: {bytes} bytes, {:.1} MB/s a core; first calls {:.1} MB/s",
        bytes as f64 / 1e6 / seconds,
        bytes as f64 / 1e6 / first_seconds
    );
    Ok(())
}
