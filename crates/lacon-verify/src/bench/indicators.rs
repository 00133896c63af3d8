//! `lacon bench indicators`: all thirteen indicators over a long series of daily bars.

use std::{process::ExitCode, time::Instant};

use jiff::{Span, civil::date};
use lacon_market::{Bar, Semantics, indicators};
use lacon_sim::world::Draws;
use serde_json::json;

use super::quantile;
use crate::args::bench::BenchIndicatorsArgs;
use lacon::{failure::Failure, text};

/// Prints milliseconds of a whole series.
pub fn run(args: &BenchIndicatorsArgs) -> Result<ExitCode, Failure> {
    let bars = series(args.bars.clamp(1, 5_000_000));
    let rounds = args.rounds.max(1);
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rounds {
        // Interleaved, so that a slow moment of the machine meets all of them.
        times[0].push(time(|| indicators::compute(&bars, Semantics::Standard).len()));
        times[1].push(time(|| indicators::compute(&bars, Semantics::Compat).len()));
        times[2].push(time(|| {
            // One bar at a time, nothing kept: what a live feed pays.
            let mut stream = indicators::Streaming::new(Semantics::Standard);
            bars.iter().filter(|b| stream.push(b).get(0).is_some()).count()
        }));
    }
    let [standard, compat, stream] = times.map(|mut t| quantile(&mut t, 0.5));
    if args.json {
        let row = json!({"schema_version": 1, "bars": bars.len(), "rounds": rounds, "standard_ms": standard, "compat_ms": compat, "streaming_ms": stream});
        text::out(&format!("{row:#}"));
    } else {
        text::out(&format!(
            "{} bars, thirteen indicators, median of {rounds} rounds, milliseconds",
            bars.len()
        ));
        text::out(&format!("  standard            {standard:7.2}"));
        text::out(&format!("  compat              {compat:7.2}"));
        text::out(&format!("  standard, streaming {stream:7.2}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// A random walk of daily bars.
fn series(n: usize) -> Vec<Bar> {
    let mut draws = Draws::new(1, "bench/indicators");
    let mut price = 100.0;
    let start = date(1600, 1, 1);
    (0..n)
        .map(|i| {
            let open: f64 = price;
            price = (price * (1.0 + draws.normal() * 0.02)).clamp(1.0, 10_000.0);
            let (high, low) = (
                open.max(price) * (1.0 + draws.draw() * 0.01),
                open.min(price) * (1.0 - draws.draw() * 0.01),
            );
            let day = start.checked_add(Span::new().days(i as i64)).unwrap_or(start);
            Bar { date: day, open, high, low, close: price, volume: (draws.draw() * 1e7).round() }
        })
        .collect()
}

fn time(work: impl FnOnce() -> usize) -> f64 {
    let began = Instant::now();
    std::hint::black_box(work());
    began.elapsed().as_secs_f64() * 1e3
}
