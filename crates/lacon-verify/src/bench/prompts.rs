//! `lacon bench prompts`: the lossless passes with exact counts on texts of several kinds, and a whole run's plan.

use std::{fmt::Write as _, path::Path, process::ExitCode, sync::Arc, time::Instant};

use lacon_prompt::{
    compress::{Options, compress, expand},
    offload::{MemoryStore, Store},
};
use lacon_tokens::{EncodingName, encoding};
use lacon_trading::{
    Cast, CastOptions, Optimizations,
    plan::{PlanOptions, compile},
};
use serde_json::json;

use super::quantile;
use crate::args::bench::BenchPromptsArgs;
use lacon::{commands::read_text, failure::Failure, text};

/// Prints MB/s, saving and times; every text is restored and compared.
pub fn run(args: &BenchPromptsArgs) -> Result<ExitCode, Failure> {
    let o200k = encoding(EncodingName::O200kBase);
    let texts: Vec<(String, String)> = if args.files.is_empty() {
        vec![
            ("JSON records, 10 KB".into(), records(10_000)),
            ("JSON records, 200 KB".into(), records(200_000)),
            ("log, 200 KB".into(), log(200_000)),
            ("report, 10 KB".into(), report(10_000)),
        ]
    } else {
        let read = |path: &std::path::PathBuf| Ok((path.display().to_string(), read_text(Path::new(path))?));
        args.files.iter().map(read).collect::<Result<_, Failure>>()?
    };
    let mut rows = Vec::new();
    for (name, input) in &texts {
        let mut times = Vec::new();
        let mut saved = (0, 0);
        for _ in 0..args.rounds.max(1) {
            let mut store = MemoryStore::new([0; 32], 1 << 30);
            let began = Instant::now();
            let short = compress(input, Options::default(), Some(&mut store), o200k)
                .map_err(|e| Failure::input(format!("{name}: {e}")))?;
            times.push(began.elapsed().as_secs_f64());
            saved = (short.tokens_before, short.tokens_after);
            let whole = expand(&short.text, Some(&store as &dyn Store));
            if short.exact && whole.as_deref().ok() != Some(input.as_str()) {
                return Err(Failure::input(format!("{name}: is not restored byte for byte")));
            }
        }
        let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        rows.push((name.clone(), input.len(), saved, p50, p99));
    }
    let options = PlanOptions {
        optimizations: Optimizations::new("lacon", &[], &[]).map_err(Failure::input)?,
        cast: Arc::new(Cast::new(CastOptions::default()).map_err(Failure::input)?),
        quick_model: "gpt-4o-mini".into(),
        deep_model: "gpt-4o".into(),
        limits: lacon_prompt::plan::Limits { tokens: Some(20_000), ..Default::default() },
        time_scale: 1.0,
    };
    let mut plans: Vec<f64> = (0..args.rounds.max(1))
        .map(|_| {
            let began = Instant::now();
            let _ = compile(&options);
            began.elapsed().as_secs_f64()
        })
        .collect();
    let plan = quantile(&mut plans, 0.5);
    if args.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, bytes, (before, after), p50, p99)| {
                json!({ "name": name, "bytes": bytes, "tokens_before": before, "tokens_after": after,
                    "mb_per_s": *bytes as f64 / 1e6 / p50, "p50_ms": p50 * 1e3, "p99_ms": p99 * 1e3 })
            })
            .collect();
        text::out(&format!("{:#}", json!({ "schema_version": 1, "texts": rows, "plan_ms": plan * 1e3 })));
        return Ok(ExitCode::SUCCESS);
    }
    text::out(&format!(
        "{:<24} {:>9} {:>9} {:>9} {:>9}",
        "one thread, o200k_base", "saved", "MB/s", "p50 ms", "p99 ms"
    ));
    for (name, bytes, (before, after), p50, p99) in &rows {
        let saved = 100.0 * (1.0 - *after as f64 / (*before).max(1) as f64);
        text::out(&format!(
            "{name:<24} {saved:>8.1}% {:>9.1} {:>9.3} {:>9.3}",
            *bytes as f64 / 1e6 / p50,
            p50 * 1e3,
            p99 * 1e3
        ));
    }
    text::out(&format!("plan of all prompts of a run, under a token limit: {:.3} ms", plan * 1e3));
    Ok(ExitCode::SUCCESS)
}

fn records(bytes: usize) -> String {
    let mut rows = Vec::new();
    let mut n = 0;
    while n < bytes {
        let i = rows.len();
        let row = format!(
            "{{\"id\": {}, \"name\": \"Customer {i}\", \"city\": \"Springfield\", \"balance\": {}.{:02}, \"active\": {}, \"note\": null}}",
            1000 + i,
            i * 37 % 9000,
            i % 100,
            i % 3 == 0
        );
        n += row.len() + 2;
        rows.push(row);
    }
    format!("[{}]", rows.join(", "))
}

fn log(bytes: usize) -> String {
    let mut text = String::new();
    let mut i = 0u32;
    while text.len() < bytes {
        let _ = writeln!(
            text,
            "2025-07-29 12:{:02}:{:02},{:03} INFO dfs.DataNode: Received block blk_{} of size {} from /10.0.{}.{}",
            i / 60 % 60,
            i % 60,
            i % 1000,
            i.wrapping_mul(2_654_435_761),
            67_108_864 - i % 512,
            i % 255,
            i % 17
        );
        i += 1;
    }
    text
}

fn report(bytes: usize) -> String {
    let mut text = String::new();
    let mut i = 0;
    while text.len() < bytes {
        let _ = writeln!(
            text,
            "On 2025-07-{:02} the close was {}.{:02}; the average of 50 days stood at {}. Traders should not sell unless support at {} breaks.\n",
            1 + i % 28,
            180 + i % 20,
            i % 100,
            175 + i % 9,
            170 + i % 5
        );
        i += 1;
    }
    text
}
