//! Times the lossless passes, exact counts included, on files: `throughput FILE…`; or, after `--query TEXT`, the
//! selection of a third for that question.
//!
//! Prints for each file the best of several runs in megabytes a second, and the p50 and p99 of the time.

use std::time::Instant;

use lacon_prompt::compress::{Options, compress};
use lacon_prompt::extract::{ExtractOptions, extract};
use lacon_prompt::offload::MemoryStore;
use lacon_tokens::{EncodingName, encoding};

#[expect(clippy::print_stdout, reason = "an example's output is its purpose")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let encoding = encoding(EncodingName::O200kBase);
    let (mut bytes, mut best_total) = (0usize, 0f64);
    let mut args = std::env::args().skip(1).peekable();
    let query = args.next_if(|arg| arg == "--query").and_then(|_| args.next());
    for path in args {
        let text = std::fs::read_to_string(&path)?;
        let mut times = Vec::new();
        let mut saved = (0, 0);
        for _ in 0..30 {
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
            times.push(started.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        bytes += text.len();
        best_total += times[0];
        println!(
            "{path}: {} bytes, {} → {} tokens, {:.1} MB/s, p50 {:.3} ms, p99 {:.3} ms",
            text.len(),
            saved.0,
            saved.1,
            text.len() as f64 / 1e6 / times[0],
            times[times.len() / 2] * 1e3,
            times[times.len() - 1] * 1e3
        );
    }
    println!("all: {bytes} bytes, {:.1} MB/s", bytes as f64 / 1e6 / best_total);
    Ok(())
}
